package flowsync

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"evenkeel/internal/l4"
)

// network is a medium in memory: what one sends, all others get.
type network struct {
	mu      sync.Mutex
	ports   []*tap
	lose    int // so many datagrams with records are lost
	missing bool
}

// tap is one end of it.
type tap struct {
	*network
	address netip.Addr
	in      chan []byte
	over    chan struct{}
	once    sync.Once
	long    int // of the longest datagram
	sealed  int // datagrams
	plain   int
}

func (n *network) open(last byte) func(*Settings) (medium, error) {
	return func(*Settings) (medium, error) {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.missing {
			return nil, errors.New("there is no interface")
		}
		t := &tap{network: n, address: netip.AddrFrom4([4]byte{192, 0, 2, last}), in: make(chan []byte, 4096), over: make(chan struct{})}
		n.ports = append(n.ports, t)
		return t, nil
	}
}

func (t *tap) read(b []byte) (int, netip.Addr, error) {
	select {
	case <-t.over:
		return 0, netip.Addr{}, net.ErrClosed
	case p := <-t.in:
		return copy(b, p[1:]), netip.AddrFrom4([4]byte{192, 0, 2, p[0]}), nil
	}
}

func (t *tap) write(b []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.long = max(t.long, len(b))
	if isSealed(b) {
		t.sealed++
	} else {
		t.plain++
	}
	if t.lose > 0 && kind(b[5]) == kindFlows {
		t.lose--
		return nil
	}
	for _, o := range t.ports {
		select {
		case <-o.over:
		case o.in <- append([]byte{t.address.As4()[3]}, b...):
		}
	}
	return nil
}

func (t *tap) check() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.missing {
		return errors.New("the interface has gone")
	}
	return nil
}

func (t *tap) room() int { return 300 }
func (t *tap) hush()     { t.once.Do(func() { close(t.over) }) }
func (t *tap) close()    { t.hush() }

// memory is a table in memory: by the ports of its clients.
type memory struct {
	mu    sync.Mutex
	clock uint32
	flows map[uint16]stored

	// What it notes, where room is not 0.
	room   int
	noting bool
	notes  []uint16
	missed bool
	walk   time.Duration // what looking at all takes
	each   time.Duration // what looking at one that was noted takes
	walks  int
	heard  func(*l4.Sync) // of each connection that is put in
}

type stored struct {
	l4.Sync
	changed uint32
}

func connection(n uint16) l4.Sync {
	s := samples()[0]
	s.Client = netip.AddrPortFrom(s.Client.Addr(), n)
	return s
}

func (m *memory) put(state uint8, ports ...uint16) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clock++
	for _, n := range ports {
		s := connection(n)
		s.State = state
		m.flows[n] = stored{s, m.clock}
		switch {
		case !m.noting:
		case len(m.notes) < m.room:
			m.notes = append(m.notes, n)
		default:
			m.missed = true
		}
	}
}

func (m *memory) watch(on bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.noting, m.notes, m.missed = on, nil, false
	return nil
}

func (m *memory) noted(yield func(l4.Sync) bool) (uint32, bool, error) {
	m.mu.Lock()
	clock, missed, each := m.clock, m.missed, m.each
	var list []l4.Sync
	for _, n := range m.notes {
		list = append(list, m.flows[n].Sync)
	}
	m.notes, m.missed = nil, false
	m.mu.Unlock()
	if missed {
		return 0, true, nil
	}
	time.Sleep(each * time.Duration(len(list)))
	for _, s := range list {
		if !yield(s) {
			break
		}
	}
	return clock, false, nil
}

func (m *memory) table() Table {
	t := Table{
		Changed: func(since uint32, all bool, yield func(l4.Sync) bool) (uint32, error) {
			m.mu.Lock()
			clock, walk := m.clock, m.walk
			m.walks++
			var list []l4.Sync
			for _, s := range m.flows {
				if all || s.changed >= since {
					list = append(list, s.Sync)
				}
			}
			m.mu.Unlock()
			time.Sleep(walk)
			for _, s := range list {
				if !yield(s) {
					break
				}
			}
			return clock, nil
		},
		Tell: func(s *l4.Sync) bool { return s.Client.Port() != 999 },
		Insert: func(list []l4.Sync) (int, error) {
			m.mu.Lock()
			defer m.mu.Unlock()
			for _, s := range list {
				m.flows[s.Client.Port()] = stored{s, 0}
				if m.heard != nil {
					m.heard(&s)
				}
			}
			return len(list), nil
		},
		Flows: func() int { m.mu.Lock(); defer m.mu.Unlock(); return len(m.flows) },
	}
	if m.room > 0 {
		t.Watch, t.Noted = m.watch, m.noted
	}
	return t
}

func (m *memory) states() (list map[uint16]uint8) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list = map[uint16]uint8{}
	for n, s := range m.flows {
		list[n] = s.State
	}
	return list
}

// pair is two directors on one network.
type pair struct {
	*testing.T
	network
	tables  [2]*memory
	daemons [2]*Daemon
	notices []string
}

func newPair(t *testing.T, settings Settings) *pair {
	p := &pair{T: t}
	for i := range p.tables {
		p.tables[i] = &memory{clock: 1, flows: map[uint16]stored{}}
		p.start(i, settings)
	}
	return p
}

func (p *pair) start(i int, settings Settings) {
	p.daemons[i] = begin(settings, p.tables[i].table(), func(bad bool, text string) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.notices = append(p.notices, fmt.Sprint(bad, " ", text))
	}, p.network.open(byte(i)))
}

func (p *pair) stop() {
	for _, d := range p.daemons {
		d.Close()
	}
}

func (p *pair) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (p *pair) same(what string) {
	p.Helper()
	a, b := p.tables[0].states(), p.tables[1].states()
	delete(a, 999)
	for n, state := range a {
		if state == 2 { // SYN_SENT
			delete(a, n)
		}
	}
	if !maps.Equal(a, b) {
		missing := 0
		for n, state := range a {
			if b[n] != state {
				missing++
			}
		}
		p.Errorf("%s: of %d connections the backup has %d, and %d not or otherwise", what, len(a), len(b), missing)
	}
}

// TestPair: what the master has comes to the backup, soon and whole, whatever
// is lost and whoever begins anew.
func TestPair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, Settings{Interface: "eth0", ID: 51})
		defer p.stop()
		for n := range uint16(500) {
			p.tables[0].put(1, 1000+n)
		}
		p.wait(3 * time.Second)
		if n := len(p.tables[1].states()); n != 0 {
			t.Fatalf("a backup told of %d connections", n)
		}
		p.daemons[0].Active(true)
		p.wait(3 * time.Second)
		p.same("what was there before")

		p.tables[0].put(1, 1, 2, 3, 999)
		p.tables[0].put(2, 4)
		p.wait(2 * shortest)
		p.same("new ones")
		p.tables[0].put(4, 1)
		p.wait(2 * shortest)
		p.same("a changed one")

		p.mu.Lock()
		p.lose = 2
		p.mu.Unlock()
		for n := range uint16(40) {
			p.tables[0].put(1, 2000+n)
		}
		p.wait(5 * time.Second)
		p.same("after a loss")
		s := p.daemons[1].Status()
		if len(s.Peers) != 1 || s.Peers[0].Lost == 0 || !s.Peers[0].Active || s.Peers[0].Address.String() != "192.0.2.0" || s.Peers[0].Flows != 545 {
			t.Errorf("the backup sees %+v", s.Peers)
		}
		if s := p.daemons[0].Status(); s.Lag == 0 || s.Lag > 4*shortest || s.Told < 500 || s.Refreshes < 2 || len(s.Peers) != 1 || s.Peers[0].Active {
			t.Errorf("the master says %+v", s)
		}
		for _, l := range p.ports {
			if l.long > 300 {
				t.Errorf("a datagram of %d bytes", l.long)
			}
		}

		p.daemons[1].Close()
		p.tables[1] = &memory{clock: 1, flows: map[uint16]stored{}}
		p.start(1, Settings{Interface: "eth0", ID: 51})
		p.wait(4 * time.Second)
		p.same("a backup that begins anew")
		if s := p.daemons[0].Status(); len(s.Peers) != 1 {
			t.Errorf("it counts as another: %+v", s.Peers)
		}

		p.tables[0].put(1, 7)
		p.daemons[0].Active(false)
		p.wait(time.Millisecond)
		p.same("the last words of a master")
		p.daemons[0].Active(true)
		p.wait(time.Second)
		p.tables[0].put(1, 8)
		p.daemons[0].Close()
		p.wait(time.Millisecond)
		p.same("the last words of a process")
		p.start(0, Settings{Interface: "eth0", ID: 51})
	})
}

// TestOtherID: directors of another ID do not listen, those of none do.
func TestOtherID(t *testing.T) {
	for id, want := range map[uint8]int{51: 0, 52: 1, 0: 1} {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t, Settings{ID: id})
			defer p.stop()
			p.daemons[0].Close()
			p.start(0, Settings{ID: 52})
			p.tables[0].put(1, 1)
			p.daemons[0].Active(true)
			p.wait(2 * time.Second)
			if n := len(p.tables[1].states()); n != want {
				t.Errorf("ID %d: %d connections", id, n)
			}
			if s := p.daemons[1].Status(); (s.Foreign > 0) != (want == 0) {
				t.Errorf("ID %d: %+v", id, s)
			}
		})
	}
}

// TestBoth: where both tell, each has what the other has.
func TestBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, Settings{})
		defer p.stop()
		for i, d := range p.daemons {
			p.tables[i].put(1, uint16(1+i))
			d.Active(true)
		}
		p.wait(3 * time.Second)
		if a, b := p.tables[0].states(), p.tables[1].states(); len(a) != 2 || len(b) != 2 {
			t.Errorf("%v and %v", a, b)
		}
	})
}

// TestInterface: one that comes later is waited for, one that goes too.
func TestInterface(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, Settings{Interface: "eth9"})
		defer p.stop()
		p.tables[0].put(1, 1)
		p.daemons[0].Active(true)
		p.wait(2 * time.Second)
		for _, there := range []bool{false, true} {
			p.mu.Lock()
			p.missing = !there
			p.mu.Unlock()
			p.tables[0].put(1, 2)
			p.wait(3 * time.Second)
			if s := p.daemons[0].Status(); (s.Trouble == "") != there {
				t.Errorf("there %v: trouble %q", there, s.Trouble)
			}
		}
		p.same("after the interface has come back")
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.notices) < 4 || len(p.notices) > 6 {
			t.Errorf("%q", p.notices)
		}
	})
}

// TestMany: more than may be told in a second take their time, and new ones do
// not wait for them.
func TestMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, Settings{})
		defer p.stop()
		var all []uint16
		for n := range uint16(20000) {
			all = append(all, 1000+n)
		}
		p.tables[0].put(1, all...)
		p.tables[0].put(2, 5)
		p.wait(time.Second)
		p.daemons[0].Active(true)
		p.wait(time.Second / 4)
		if n := len(p.tables[1].states()); n == 0 || n > refreshRate/3 {
			t.Errorf("%d connections were told in a quarter of a second", n)
		}
		p.tables[0].put(4, 1)
		p.wait(2 * shortest)
		if p.tables[1].states()[1] != 4 {
			t.Error("a new one waits for those that were there")
		}
		p.wait(2 * time.Second)
		p.same("in the end")
	})
}

func TestPeers(t *testing.T) {
	var l peers
	from := netip.MustParseAddr("192.0.2.1")
	for i, c := range []struct {
		at        time.Duration
		h         header
		take, ask bool
		lost      uint64
	}{
		{1 * time.Second, header{sender: 1, sequence: 100}, true, false, 0},
		{2 * time.Second, header{sender: 1, sequence: 101, active: true}, true, true, 0},
		{2 * time.Second, header{sender: 1, sequence: 101, active: true}, false, false, 0}, // twice
		{3 * time.Second, header{sender: 1, sequence: 104, active: true}, true, false, 2},  // it was asked a second ago
		{4 * time.Second, header{sender: 1, sequence: 105, active: true}, true, true, 2},
		{4 * time.Second, header{sender: 1, sequence: 103, active: true}, false, false, 2},
		{5 * time.Second, header{sender: 1, sequence: 106}, true, false, 2},
		{6 * time.Second, header{sender: 1, sequence: 108}, true, false, 3}, // nothing is told
		{30 * time.Second, header{sender: 1, sequence: 3, active: true}, true, true, 3},
	} {
		p, take, ask := l.hear(c.at, from, &c.h)
		if take != c.take || ask != c.ask || p.lost != c.lost {
			t.Errorf("%d: take %v, ask %v, lost %d", i, take, ask, p.lost)
		}
	}
	l = nil
	for i, c := range []struct {
		sequence, from uint32
		want           bool
	}{{100, 100, true}, {100, 99, false}, {101, 100, true}, {103, 101, false}, {104, 103, true}, {104, 104, true}} {
		p, _, _ := l.hear(time.Second, from, &header{sender: 1, sequence: c.sequence})
		if p.heardSince(c.from) != c.want {
			t.Errorf("%d: from %d to %d all has come: %v", i, c.from, c.sequence, !c.want)
		}
	}
	l = nil
	now := time.Minute
	for n := range uint64(40) {
		l.hear(now, netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), &header{sender: 100 + n, sequence: 1})
	}
	if len(l) != maxPeers {
		t.Errorf("%d senders are remembered", len(l))
	}
	if p, take, _ := l.hear(now+time.Second, from, &header{sender: 7, sequence: 1}); p != nil && take {
		t.Error("one too many is heard")
	}
	if p, _, _ := l.hear(now+peerSilent+time.Second, from, &header{sender: 7, sequence: 1}); p == nil || len(l) != 1 {
		t.Errorf("those that are silent are remembered: %d", len(l))
	}
}

// TestSettle: who begins waits for what the others have, and not where there is
// nobody.
func TestSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, Settings{})
		defer p.stop()
		took := func(within time.Duration) time.Duration {
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			start := time.Now()
			p.daemons[1].Settle(ctx)
			return time.Since(start)
		}
		if d := took(time.Second); d < settling || d > settling*11/10 {
			t.Errorf("alone: %v", d)
		}
		var all []uint16
		for n := range uint16(10000) {
			all = append(all, n+1000)
		}
		p.tables[0].put(1, all...)
		p.daemons[0].Active(true)
		p.wait(5 * time.Second)
		again := func() {
			p.daemons[1].Close()
			p.tables[1] = &memory{clock: 1, flows: map[uint16]stored{}}
			p.start(1, Settings{})
		}
		again()
		if d := took(5 * time.Second); d > 2*refreshLeast {
			t.Errorf("with a master: %v", d)
		}
		p.same("when it has settled")
		again()
		if d := took(20 * time.Millisecond); d != 20*time.Millisecond {
			t.Errorf("with little time: %v", d)
		}
		p.daemons[1].Close()
		p.mu.Lock()
		p.missing = true
		p.mu.Unlock()
		p.start(1, Settings{})
		p.wait(0)
		if d := took(time.Second); d > settling {
			t.Errorf("without an interface: %v", d)
		}
		p.mu.Lock()
		p.missing = false
		p.mu.Unlock()
	})
}
