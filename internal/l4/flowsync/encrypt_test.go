package flowsync

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// said are the notices until now.
func (p *pair) said() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.notices)
}

// TestEncrypted: with a key all goes as without, and nothing can be read.
func TestEncrypted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		settings := Settings{ID: 51, Keys: keysOf(1)}
		p := newPair(t, settings)
		defer p.stop()
		for n := range uint16(500) {
			p.tables[0].put(1, 1000+n)
		}
		p.daemons[0].Active(true)
		p.wait(3 * time.Second)
		p.same("what was there before")
		p.tables[0].put(1, 1, 2, 3, 999)
		p.wait(2 * shortest)
		p.same("new ones")

		p.daemons[1].Close()
		p.tables[1] = &memory{clock: 1, flows: map[uint16]stored{}}
		p.start(1, settings)
		start := time.Now()
		p.daemons[1].Settle(t.Context())
		if d := time.Since(start); d > 2*refreshLeast {
			t.Errorf("a backup that begins anew has settled after %v", d)
		}
		p.same("a backup that begins anew")
		p.tables[0].put(4, 1)
		p.daemons[0].Close()
		p.wait(time.Millisecond)
		p.same("the last words")
		p.start(0, settings)
		p.daemons[0].Active(true)
		p.wait(2 * time.Second)
		p.tables[0].put(5, 1)
		p.wait(2 * shortest)
		p.same("a master that begins anew")
		p.mu.Lock()
		for _, l := range p.ports {
			if l.plain > 0 || l.sealed == 0 || l.long > 300 {
				t.Errorf("%d datagrams can be read, %d cannot, of up to %d bytes", l.plain, l.sealed, l.long)
			}
		}
		p.mu.Unlock()
		for i, d := range p.daemons {
			if s := d.Status(); !s.Encrypted || len(s.Advice) > 0 || s.Unsigned+s.Forged+s.Replayed+s.Keyless > 0 || d.Settings().Keys != (Keys{}) {
				t.Errorf("director %d: %+v", i, s)
			}
		}
		if said := p.said(); len(said) > 0 {
			t.Errorf("%q", said)
		}
	})
}

// TestOneWithout: where one has a key and the other has not, or has another,
// neither listens, both say why, once, and it goes on when they agree.
func TestOneWithout(t *testing.T) {
	for name, c := range map[string]struct {
		first, second Keys
		says          [2]string
	}{
		"the backup has none": {keysOf(1), Keys{}, [2]string{"192.0.2.1 tells without a key", "192.0.2.0 tells with a key, and this director has none"}},
		"the master has none": {Keys{}, keysOf(1), [2]string{"192.0.2.1 tells with a key, and this director has none", "192.0.2.0 tells without a key"}},
		"they have others":    {keysOf(1, 2), keysOf(3), [2]string{"what 192.0.2.1 tells was made with another key", "what 192.0.2.0 tells was made with another key"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t, Settings{})
			defer p.stop()
			p.stop() // those of newPair have no keys
			for i, k := range []Keys{c.first, c.second} {
				p.start(i, Settings{ID: 51, Keys: k})
			}
			p.daemons[0].Active(true)
			p.tables[0].put(1, 1, 2, 3)
			p.wait(5 * time.Minute)
			if n := len(p.tables[1].states()); n != 0 {
				t.Errorf("%s: %d connections were taken", name, n)
			}
			for i, want := range c.says {
				s := p.daemons[i].Status()
				if len(s.Advice) != 1 || !strings.HasPrefix(s.Advice[0], want) || !strings.Contains(s.Advice[0], "lvs_sync_key_file") || len(s.Peers) > 0 {
					t.Errorf("%s: director %d says %q, hears %v", name, i, s.Advice, s.Peers)
				}
				if s.Unsigned+s.Keyless+s.Forged < 200 || s.Bad > 0 {
					t.Errorf("%s: director %d: %+v", name, i, s)
				}
				count := 0
				for _, text := range p.said() {
					if strings.Contains(text, want) {
						count++
					}
				}
				if count != 1 {
					t.Errorf("%s: %q is said %d times", name, want, count)
				}
			}
			p.wait(6 * time.Minute)
			if said := p.said(); len(said) != 4 {
				t.Errorf("%s: in eleven minutes it is said %q", name, said)
			}
			p.daemons[1].Rekey(c.first)
			p.wait(3 * time.Second)
			p.same(name + ", and then the same")
			p.wait(warnStatus)
			for i, d := range p.daemons {
				if s := d.Status(); len(s.Advice) > 0 || len(s.Peers) != 1 {
					t.Errorf("%s: director %d still says %q, hears %v", name, i, s.Advice, s.Peers)
				}
			}
		})
	}
}

// TestNewKeys: while changes are told, the keys change on one director after the
// other: nothing is lost, and nobody has to begin anew.
func TestNewKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, Settings{Keys: keysOf(1)})
		defer p.stop()
		p.daemons[0].Active(true)
		p.wait(3 * time.Second)
		before := p.daemons[0].Status().Refreshes
		n := uint16(1000)
		some := func() {
			for range 20 {
				p.tables[0].put(1, n)
				n++
				p.wait(7 * time.Millisecond)
			}
		}
		for _, k := range []Keys{keysOf(1, 2), keysOf(2, 1), keysOf(2)} {
			for _, i := range []int{1, 0} {
				p.daemons[i].Rekey(k)
				some()
			}
		}
		p.wait(2 * shortest)
		p.same("with another key")
		for i, d := range p.daemons {
			s := d.Status()
			if s.Forged+s.Unsigned+s.Replayed > 0 || len(s.Peers) != 1 || s.Peers[0].Lost > 0 {
				t.Errorf("director %d: %+v", i, s)
			}
		}
		if n := p.daemons[0].Status().Refreshes - before; n != 0 {
			t.Errorf("everything was told again %d times", n)
		}
	})
}

// TestForeignKeys: directors of another ID may have other keys.
func TestForeignKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, Settings{ID: 51, Keys: keysOf(1)})
		defer p.stop()
		p.stop()
		p.start(0, Settings{ID: 51, Keys: keysOf(1)})
		p.start(1, Settings{ID: 52, Keys: keysOf(2)})
		p.daemons[0].Active(true)
		p.wait(10 * time.Second)
		for i, d := range p.daemons {
			if s := d.Status(); s.Foreign == 0 || s.Forged+s.Unsigned > 0 || len(s.Advice) > 0 {
				t.Errorf("director %d: %+v", i, s)
			}
		}
	})
}

// TestRefusals: whoever sends what, as much is remembered.
func TestRefusals(t *testing.T) {
	var r refusals
	warned := 0
	for i := range 100000 {
		if r.note(time.Duration(i)*time.Millisecond, reason(i%int(reasons)), server("192.0.2.1:1").Addr) != "" {
			warned++
		}
	}
	if warned != int(reasons)-1 {
		t.Errorf("%d warnings in 100 seconds", warned)
	}
	if list := r.advice(100 * time.Second); len(list) != int(reasons)-1 || slices.Contains(list, "") {
		t.Errorf("%q", list)
	}
	if list := r.advice(100*time.Second + warnStatus); len(list) != 0 {
		t.Errorf("%q", list)
	}
}
