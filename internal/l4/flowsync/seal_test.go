package flowsync

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"
)

// keysOf are keys that differ by their numbers.
func keysOf(numbers ...byte) Keys {
	var list [][]byte
	for _, n := range numbers {
		list = append(list, bytes.Repeat([]byte{n}, keySize))
	}
	return Keys{&hidden{&list}}
}

// party is a vault that tells, and remembers all that it was told.
type party struct {
	*vault
	sent [][]byte
}

func newParty(k Keys) *party { return &party{vault: newVault(k)} }

func (p *party) say(x extensions, text string) []byte {
	b := bytes.Clone(p.seal(51, x, []byte(text)))
	p.sent = append(p.sent, b)
	return b
}

// tell gives a datagram to another one, and goes on as long as there are
// answers. It gives what became of the first.
func (p *party) tell(now time.Duration, to *party, text string) verdict {
	got := to.open(now, p.say(extensions{}, text))
	if got.verdict == taken && string(got.plain) != text {
		return 99
	}
	from, first := to, got.verdict
	for other := p; got.answer != (extensions{}); from, other = other, from {
		got = other.open(now, from.say(got.answer, "hello"))
	}
	return first
}

// TestProof: a sender is taken from its second datagram on, by both sides, and
// one that was silent for long shows again that it lives.
func TestProof(t *testing.T) {
	a, b := newParty(keysOf(1)), newParty(keysOf(1))
	now := time.Minute
	for i, want := range []verdict{unproven, taken, taken} {
		if got := a.tell(now, b, "text"); got != want {
			t.Errorf("datagram %d: %v, want %v", i, got, want)
		}
	}
	if got := b.tell(now, a, "text"); got != taken {
		t.Errorf("and back: %v", got)
	}
	if got := a.open(now, a.say(extensions{}, "")).verdict; got != own {
		t.Errorf("its own: %v", got)
	}
	now += peerSilent
	if got := a.tell(now, b, "text"); got != taken {
		t.Errorf("after 10 s: %v", got)
	}
	now += peerSilent + 1
	for i, want := range []verdict{unproven, taken} {
		if got := a.tell(now, b, "text"); got != want {
			t.Errorf("after a long silence, datagram %d: %v, want %v", i, got, want)
		}
	}
	for _, k := range []Keys{keysOf(2), keysOf(3, 4)} {
		if got := newParty(k).tell(now, b, "text"); got != forged {
			t.Errorf("another key: %v", got)
		}
	}
}

// TestReplay: nothing that was recorded is taken again: by the same listener, by
// one that begins anew, and when the sender has been forgotten.
func TestReplay(t *testing.T) {
	a, b := newParty(keysOf(1)), newParty(keysOf(1))
	now := time.Minute
	for i := range 100 {
		a.tell(now, b, fmt.Sprint(i))
	}
	// refuses plays everything, also what b has sent, and lets it answer what it
	// wants.
	refuses := func(when string, to *party) {
		t.Helper()
		for i, d := range slices.Concat(a.sent, b.sent) {
			got := to.open(now, d)
			if got.verdict == taken || got.plain != nil || got.begins {
				t.Errorf("%s: datagram %d is taken", when, i)
			}
		}
	}
	refuses("again", b)
	refuses("to one that begins anew", newParty(keysOf(1)))
	for range 20 {
		now += time.Second
		refuses("when time goes by", b)
	}
	if len(b.sessions) != 0 {
		t.Fatalf("%d sessions are kept alive by what was there before", len(b.sessions))
	}
	refuses("when it has been forgotten", b)
	// A sender that begins anew is taken, and what it sent before is not.
	old := slices.Clone(a.sent)
	now += time.Second // there are no more answers at once
	a.vault = newVault(keysOf(1))
	a.tell(now, b, "")
	if got := a.tell(now, b, "text"); got != taken {
		t.Errorf("a sender that begins anew: %v", got)
	}
	for _, d := range old {
		if got := b.open(now, d); got.verdict == taken {
			t.Error("its former self is taken")
		}
	}
}

// TestOrder: datagrams may come in another order, each once, unless they are
// much too late.
func TestOrder(t *testing.T) {
	a, b := newParty(keysOf(1)), newParty(keysOf(1))
	now := time.Minute
	a.tell(now, b, "")
	a.tell(now, b, "")
	var list [][]byte
	for range 200 {
		list = append(list, a.say(extensions{}, "text"))
	}
	for _, c := range []struct {
		at   int
		want verdict
	}{{0, taken}, {2, taken}, {1, taken}, {1, replayed}, {2, replayed}, {0, replayed}, {63, taken}, {1, replayed}, {3, taken}, {64, taken},
		{1, replayed}, {4, taken}, {199, taken}, {136, taken}, {135, replayed}, {134, replayed}, {198, taken}, {198, replayed}, {136, replayed}} {
		if got := b.open(now, list[c.at]).verdict; got != c.want {
			t.Errorf("datagram %d: %v, want %v", c.at, got, c.want)
		}
	}
}

// TestRotation: keys change one director after the other, and no datagram is
// refused, nor has anybody to show again that it lives.
func TestRotation(t *testing.T) {
	a, b := newParty(keysOf(1)), newParty(keysOf(1))
	now := time.Minute
	both := func(when string) {
		t.Helper()
		for range 3 {
			if x, y := a.tell(now, b, "text"), b.tell(now, a, "text"); x != taken || y != taken {
				t.Errorf("%s: %v and %v", when, x, y)
			}
		}
	}
	a.tell(now, b, "")
	for _, k := range []Keys{keysOf(1, 2), keysOf(2, 1), keysOf(2), keysOf(2, 3), keysOf(3, 2), keysOf(3)} {
		a.rekey(k)
		both("one of them")
		b.rekey(k)
		both("both")
	}
	a.rekey(keysOf(4))
	if got := a.tell(now, b, "text"); got != forged {
		t.Errorf("a key that the other one does not have: %v", got)
	}
	if got := newParty(keysOf(1)).tell(now, b, "text"); got != forged {
		t.Errorf("a key that is not used any more: %v", got)
	}
}

// TestChanged: nothing can be changed on the way.
func TestChanged(t *testing.T) {
	a, b := newParty(keysOf(1)), newParty(keysOf(1))
	a.tell(time.Minute, b, "")
	a.tell(time.Minute, b, "")
	d := a.say(extensions{}, "text")
	for i := range d {
		for _, bit := range []byte{1, 0x80} {
			x := bytes.Clone(d)
			x[i] ^= bit
			if isSealed(x) && b.open(time.Minute, x).verdict != forged {
				t.Errorf("byte %d is not protected", i)
			}
		}
	}
	for n := range d {
		if isSealed(d[:n]) && b.open(time.Minute, d[:n]).verdict != forged {
			t.Errorf("%d of %d bytes are enough", n, len(d))
		}
	}
	if bytes.Contains(d, []byte("text")) {
		t.Error("it can be read")
	}
	if got := b.open(time.Minute, d).verdict; got != taken {
		t.Errorf("unchanged: %v", got)
	}
}

// TestBounds: nobody is remembered who has shown nothing, and the answers have
// an end.
func TestBounds(t *testing.T) {
	a, b := newParty(keysOf(1)), newParty(keysOf(1))
	now, answers := time.Minute, 0
	a.tell(now, b, "")
	now += time.Second
	for range strangerRate {
		if b.open(now, newParty(keysOf(1)).say(extensions{}, "")).answer != (extensions{}) {
			answers++
		}
	}
	if len(b.sessions) != 1 || answers != answerBurst {
		t.Errorf("%d sessions, %d answers", len(b.sessions), answers)
	}
	// A flood does not take the time of those who are known, and others have to
	// wait for its end.
	if got := newParty(keysOf(1)).tell(now, b, ""); got != forged {
		t.Errorf("one unknown too many is tried: %v", got)
	}
	if got := a.tell(now, b, "text"); got != taken {
		t.Errorf("a known one in a flood: %v", got)
	}
	now += time.Second
	if got := newParty(keysOf(1)).tell(now, b, ""); got != unproven {
		t.Errorf("after the flood: %v", got)
	}
	// Nor of those who have, more than there can be.
	for range 3 * maxSessions {
		now += 100 * time.Millisecond
		newParty(keysOf(1)).tell(now, b, "")
	}
	if len(b.sessions) != maxSessions {
		t.Errorf("%d sessions", len(b.sessions))
	}
}

// FuzzOpen: whatever comes, it is refused or was made with the key; and whatever
// was made with the key and makes no sense does no harm.
func FuzzOpen(f *testing.F) {
	a, b := newParty(keysOf(1)), newParty(keysOf(1))
	a.tell(time.Minute, b, string(datagram(header{kind: kindFlows}, samples()...)))
	for _, d := range slices.Concat(a.sent, b.sent) {
		f.Add(d, []byte{hasChallenge | hasProof})
	}
	f.Add([]byte("EKFS\x02"), extensions{proof: &extension{}}.append(nil))
	f.Add(make([]byte, sealedHead), append(extensions{challenge: &extension{}}.append(nil), datagram(header{kind: kindHello})...))
	f.Fuzz(func(t *testing.T, outside, inside []byte) {
		listener, sender := newParty(keysOf(1)), newParty(keysOf(1))
		sender.tell(time.Minute, listener, "")
		if isSealed(outside) {
			if got := listener.open(time.Minute, outside); got.verdict == taken || got.plain != nil {
				t.Fatalf("%v", got)
			}
		}
		// seal adds the extensions: these are in their place.
		sender.counter++
		d := bytes.Clone(sender.seal(51, extensions{}, nil)[:sealedHead])
		d = sender.ciphers[0].Seal(d, nonce(sender.counter), inside, d)
		got := listener.open(time.Minute, d)
		x, rest, ok := parseExtensions(inside)
		if ok != (got.verdict == taken) || ok && !bytes.Equal(rest, got.plain) || len(listener.sessions) != 1 {
			t.Fatalf("%v of %x", got, inside)
		}
		if ok && !bytes.Equal(append(x.append(nil), rest...), inside) {
			t.Fatalf("%x is told otherwise again", inside)
		}
		if ok {
			_, _, _ = parse(got.plain, nil)
		}
	})
}
