package flowsync

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"
)

// With a key, a datagram (see datagram.go) is sealed by AES-256-GCM. The first
// 32 bytes are readable and cannot be changed:
//
//	 0  "EKFS"
//	 4  version, 2
//	 5  0
//	 6  sync ID
//	 7  0
//	 8  session, a number that a sender draws when it starts (16 bytes)
//	24  counter, of all datagrams of the session (8 bytes), which is the nonce
//	32  sealed: extensions, the datagram
//	    tag (16 bytes)
//
// Each session has a key of its own: HKDF-SHA256 of the shared one, with the
// session as salt.
//
// What was recorded could be played again to one that has not heard it: so a
// session is taken only when its sender has shown that it lives. Who hears a
// session that it does not know sends a challenge, a number that nobody knows
// beforehand, and the sender gives it back, sealed. From then on each counter
// is taken once, and none that is much older than the newest. Nothing is
// remembered of those who have shown nothing.
//
// Extensions are a byte that says which there are, and for each 32 bytes:
// whose session it is for, and the number.
const (
	sealedVersion = 2
	sealedHead    = 32
	sealedTag     = 16
	extensionSize = 32

	// What sealing takes of a datagram with connections.
	sealedOverhead = sealedHead + 1 + sealedTag
	// The shortest room in which directors can come to know each other.
	sealedLeast = sealedOverhead + 2*extensionSize + headerSize
)

const (
	hasChallenge = 0x01
	hasProof     = 0x02
)

type (
	sessionID [16]byte
	number    [16]byte
)

// extension is a challenge or its answer.
type extension struct {
	session sessionID // whom it is for
	number  number
}

// extensions are those of a datagram; nil: it has none.
type extensions struct{ challenge, proof *extension }

const (
	maxSessions = 2 * maxPeers // that are known
	// A challenge is good for one to two of these. It has to be less than
	// peerSilent, after which a session is forgotten: else an answer could be
	// played again.
	challengeTime = 4 * time.Second
	// How many answers a second senders get that have shown nothing yet.
	answerRate  = 200
	answerBurst = 50
	// How many datagrams a second of unknown sessions are tried with the keys: a
	// flood of them shall not take the time of those that are known.
	strangerRate = 2000
)

// verdict is what became of a sealed datagram.
type verdict uint8

const (
	taken    verdict = iota
	unproven         // its sender has shown nothing yet
	forged           // made with another key, or changed
	replayed         // it was there before
	own              // this sender's
)

// opened is what a sealed datagram was.
type opened struct {
	verdict verdict
	plain   []byte     // of what is taken
	begins  bool       // the sender has just shown that it lives
	answer  extensions // to be sent at once
}

// session is another sender's.
type session struct {
	id      sessionID
	ciphers []cipher.AEAD
	newest  uint64
	seen    uint64 // bit n: newest-n was there
	heard   time.Duration
}

// vault seals what this director tells, and opens what others do. It is pure:
// the time is given to it.
type vault struct {
	keys     Keys
	id       sessionID
	counter  uint64
	ciphers  []cipher.AEAD
	secret   [32]byte // of the challenges
	sessions []*session
	answers  pace
	tries    pace   // of unknown sessions
	plain    []byte // room of what is sealed
	sealed   []byte
	clear    []byte // room of what is opened
}

func newVault(k Keys) *vault {
	v := &vault{answers: pace{rate: answerRate, burst: answerBurst, tokens: answerBurst},
		tries: pace{rate: strangerRate, burst: strangerRate, tokens: strangerRate}}
	// They do not fail.
	_, _ = rand.Read(v.id[:])
	_, _ = rand.Read(v.secret[:])
	v.rekey(k)
	return v
}

// rekey goes on with other keys. Who knows a session goes on with it.
func (v *vault) rekey(k Keys) {
	v.keys = k
	v.ciphers = k.ciphers(&v.id)
	for _, s := range v.sessions {
		s.ciphers = k.ciphers(&s.id)
	}
}

// isSealed says whether a datagram is of the sealed kind.
func isSealed(b []byte) bool {
	return len(b) >= sealedHead && [4]byte(b) == magic && b[4] == sealedVersion
}

// seal seals a datagram. The answer is good until the next call.
func (v *vault) seal(id uint8, x extensions, plain []byte) []byte {
	v.counter++
	b := append(v.sealed[:0], magic[:]...)
	b = append(b, sealedVersion, 0, id, 0)
	b = append(b, v.id[:]...)
	b = binary.BigEndian.AppendUint64(b, v.counter)
	v.plain = append(x.append(v.plain[:0]), plain...)
	v.sealed = v.ciphers[0].Seal(b, nonce(v.counter), v.plain, b[:sealedHead])
	return v.sealed
}

func nonce(counter uint64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 4, 12), counter)
}

func (x extensions) append(b []byte) []byte {
	at := len(b)
	b = append(b, 0)
	for _, e := range []struct {
		*extension
		bit byte
	}{{x.challenge, hasChallenge}, {x.proof, hasProof}} {
		if e.extension != nil {
			b[at] |= e.bit
			b = append(append(b, e.session[:]...), e.number[:]...)
		}
	}
	return b
}

// parseExtensions gives what is behind them.
func parseExtensions(b []byte) (x extensions, rest []byte, ok bool) {
	if len(b) == 0 || b[0]&^(hasChallenge|hasProof) != 0 {
		return x, nil, false
	}
	has, rest := b[0], b[1:]
	for _, e := range []struct {
		to  **extension
		bit byte
	}{{&x.challenge, hasChallenge}, {&x.proof, hasProof}} {
		if has&e.bit == 0 {
			continue
		}
		if len(rest) < extensionSize {
			return x, nil, false
		}
		*e.to = &extension{sessionID(rest), number(rest[16:])}
		rest = rest[extensionSize:]
	}
	return x, rest, true
}

// open opens a datagram for which isSealed is true. What it gives is good until
// the next call.
func (v *vault) open(now time.Duration, b []byte) opened {
	v.sessions = slices.DeleteFunc(v.sessions, func(s *session) bool { return now-s.heard > peerSilent })
	id, counter := sessionID(b[8:]), binary.BigEndian.Uint64(b[24:])
	if id == v.id {
		return opened{verdict: own}
	}
	var s *session
	for _, x := range v.sessions {
		if x.id == id {
			s = x
		}
	}
	known := s != nil
	if !known {
		if !v.tries.spare(now) {
			return opened{verdict: forged}
		}
		s = &session{id: id, ciphers: v.keys.ciphers(&id)}
	}
	plain, ok := s.unseal(v.clear[:0], b, counter)
	if !ok {
		return opened{verdict: forged}
	}
	v.clear = plain
	x, rest, ok := parseExtensions(plain)
	if !ok {
		return opened{verdict: forged} // by one that has the key
	}
	o := opened{verdict: taken, plain: rest}
	switch {
	case known && !s.fresh(counter):
		return opened{verdict: replayed}
	case known:
		s.heard = now
	case v.proves(now, x.proof, &id) && len(v.sessions) < maxSessions:
		s.newest, s.seen, s.heard = counter, ^uint64(0), now
		v.sessions = append(v.sessions, s)
		o.begins = true
	default:
		o.verdict, o.plain = unproven, nil
	}
	o.answer = v.reply(now, &id, x.challenge, o.verdict == unproven)
	return o
}

// reply is what the sender of a datagram is to be told: the answer to its
// challenge, and where it has shown nothing yet, a challenge.
func (v *vault) reply(now time.Duration, id *sessionID, asked *extension, challenge bool) (x extensions) {
	answers := asked != nil && asked.session == v.id
	if !answers && !challenge || !v.answers.spare(now) {
		return x
	}
	if answers {
		x.proof = &extension{*id, asked.number}
	}
	if challenge {
		x.challenge = &extension{*id, v.challenge(id, now/challengeTime)}
	}
	return x
}

// challenge is the number that a session has to give back. It is not kept: it
// follows from a secret.
func (v *vault) challenge(id *sessionID, period time.Duration) number {
	m := hmac.New(sha256.New, v.secret[:])
	m.Write(id[:])
	m.Write(binary.BigEndian.AppendUint64(nil, uint64(period)))
	return number(m.Sum(nil))
}

// proves says whether somebody has given back what it was sent lately.
func (v *vault) proves(now time.Duration, x *extension, id *sessionID) bool {
	if x == nil || x.session != v.id {
		return false
	}
	period := now / challengeTime
	last, before := v.challenge(id, period), v.challenge(id, period-1)
	return hmac.Equal(x.number[:], last[:]) || hmac.Equal(x.number[:], before[:])
}

// unseal opens with any of the keys, and goes on with that one first.
func (s *session) unseal(room, b []byte, counter uint64) ([]byte, bool) {
	for i, c := range s.ciphers {
		plain, err := c.Open(room, nonce(counter), b[sealedHead:], b[:sealedHead])
		if err == nil {
			s.ciphers[0], s.ciphers[i] = s.ciphers[i], s.ciphers[0]
			return plain, true
		}
	}
	return nil, false
}

// fresh says whether a counter comes for the first time, and notes it.
func (s *session) fresh(counter uint64) bool {
	if counter > s.newest {
		if ahead := counter - s.newest; ahead < 64 {
			s.seen = s.seen<<ahead | 1
		} else {
			s.seen = 1
		}
		s.newest = counter
		return true
	}
	back := s.newest - counter
	if back >= 64 || s.seen>>back&1 != 0 {
		return false
	}
	s.seen |= 1 << back
	return true
}

// encrypts says whether there is a key.
func (d *Daemon) encrypts() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.vault != nil
}
