package certs

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// keyPeriod is how long one key seals tickets, and keptKeys how many
	// periods a ticket can be used in.
	keyPeriod = 8 * time.Hour
	keptKeys  = 3
	// fileKeys is the least number of keys in a tls-ticket-keys file.
	fileKeys = 3
)

// tickets holds the keys that the listeners without a tls-ticket-keys file
// share.
type tickets struct {
	now    func() time.Time
	random func() [32]byte

	mu   sync.Mutex
	keys [][32]byte // newest first; guarded by mu
	cfgs []*tls.Config

	due atomic.Int64 // Unix seconds of the next rotation
}

func newTickets(now func() time.Time) *tickets {
	t := &tickets{now: now, random: func() (k [32]byte) {
		_, _ = rand.Read(k[:]) // never fails
		return k
	}}
	t.keys = [][32]byte{t.random()}
	t.due.Store(now().Add(keyPeriod).Unix())
	return t
}

// use gives the keys to the settings of a listener, now and later.
func (t *tickets) use(cfg *tls.Config) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cfgs = append(t.cfgs, cfg)
	cfg.SetSessionTicketKeys(t.keys)
}

func (t *tickets) set(keys [][32]byte) {
	if len(keys) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.replace(keys)
}

// replace takes keys in; mu is held.
func (t *tickets) replace(keys [][32]byte) {
	t.keys = append([][32]byte(nil), keys[:min(len(keys), keptKeys)]...)
	for _, cfg := range t.cfgs {
		cfg.SetSessionTicketKeys(t.keys)
	}
}

func (t *tickets) list() [][32]byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([][32]byte(nil), t.keys...)
}

// rotateIfDue is called by handshakes; it costs a look at the clock.
func (t *tickets) rotateIfDue() {
	now := t.now()
	due := t.due.Load()
	if now.Unix() < due || !t.due.CompareAndSwap(due, now.Add(keyPeriod).Unix()) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.replace(append([][32]byte{t.random()}, t.keys...))
}

// parseTicketKeys reads a tls-ticket-keys file. Both kinds of HAProxy's keys
// are only the seed of ours: crypto/tls has its own form of tickets. The last
// key but one seals; so a new key can be known everywhere before it is used.
func parseTicketKeys(data []byte) ([][32]byte, *fault) {
	const cure = "write at least 3 lines of: openssl rand -base64 -A 80"
	var keys [][32]byte
	size := 0
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			return nil, faultf(cure, "line %d is not base64", i+1)
		}
		if len(raw) != 48 && len(raw) != 80 {
			return nil, faultf(cure, "the key of line %d has %d bytes, not 48 or 80", i+1, len(raw))
		}
		if size != 0 && size != len(raw) {
			return nil, faultf(cure, "line %d mixes keys of 48 and 80 bytes", i+1)
		}
		size = len(raw)
		keys = append(keys, sha256.Sum256(append([]byte("evenkeel ticket key\x00"), raw...)))
	}
	if len(keys) < fileKeys {
		return nil, faultf(cure, "%d keys are too few", len(keys))
	}
	keys = keys[len(keys)-fileKeys:]
	n := len(keys)
	return [][32]byte{keys[n-2], keys[n-1], keys[n-3]}, nil
}

// limitSessions makes tickets older than life useless (tune.ssl.lifetime);
// crypto/tls alone takes them for a week. The time stands in the sealed
// session.
func limitSessions(cfg *tls.Config, keys *tls.Config, life time.Duration, now func() time.Time) {
	mark := []byte("evenkeel:")
	cfg.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		stamped := false
		for _, e := range ss.Extra {
			// A resumed session keeps its first moment.
			stamped = stamped || len(e) == len(mark)+8 && string(e[:len(mark)]) == string(mark)
		}
		if !stamped {
			ss.Extra = append(ss.Extra, binary.BigEndian.AppendUint64(append([]byte(nil), mark...), uint64(now().Unix())))
		}
		return keys.EncryptTicket(cs, ss)
	}
	cfg.UnwrapSession = func(identity []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		ss, err := keys.DecryptTicket(identity, cs)
		if err != nil || ss == nil {
			return nil, err
		}
		for _, e := range ss.Extra {
			if len(e) == len(mark)+8 && string(e[:len(mark)]) == string(mark) {
				at := int64(binary.BigEndian.Uint64(e[len(mark):]))
				if now().Unix()-at < int64(life/time.Second) {
					return ss, nil
				}
			}
		}
		return nil, nil
	}
}
