package flowsync

import (
	"testing"
	"testing/synctest"
	"time"

	"evenkeel/internal/l4"
)

// noter starts the first director of a pair on a table that notes so many
// changes, and that takes so long to look at.
func (p *pair) noter(room int, walk time.Duration) *memory {
	p.daemons[0].Close()
	m := &memory{clock: 1, flows: map[uint16]stored{}, room: room, walk: walk}
	p.tables[0] = m
	p.start(0, Settings{})
	p.daemons[0].Active(true)
	p.wait(10 * time.Second)
	return m
}

// TestLag: a change of a table that takes long to look at is told soon where it
// is noted, and as it was where it is not.
func TestLag(t *testing.T) {
	// What 100,000 connections of NAT take.
	const walk = 75 * time.Millisecond
	for room, most := range map[int]time.Duration{0: leisure*walk + 2*walk, 100: 2 * soon} {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t, Settings{})
			defer p.stop()
			m := p.noter(room, walk)
			worst := time.Duration(0)
			for n := range uint16(20) {
				p.wait(time.Duration(n) * 7 * time.Millisecond)
				start := time.Now()
				m.put(1, n)
				for p.tables[1].states()[n] != 1 {
					if time.Since(start) > 5*time.Second {
						t.Fatalf("room %d: a change is not told", room)
					}
					p.wait(time.Millisecond)
				}
				worst = max(worst, time.Since(start))
			}
			if s := p.daemons[0].Status(); worst > most || room == 0 && worst < leisure*walk/2 || s.Lag > most+time.Millisecond {
				t.Errorf("room %d: told after up to %v, and it says %v; want %v", room, worst, s.Lag, most)
			}
		})
	}
}

// TestMissed: what is more than can be noted is told, too, and those who note
// do not look at all of the table otherwise.
func TestMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, Settings{})
		defer p.stop()
		m := p.noter(10, time.Millisecond)
		walks := func() int { m.mu.Lock(); defer m.mu.Unlock(); return m.walks }
		before := walks()
		for n := range uint16(30) {
			m.put(1, 100+n)
			p.wait(5 * time.Millisecond)
		}
		p.wait(2 * shortest)
		p.same("what was noted")
		if n := walks() - before; n != 0 {
			t.Errorf("the table was looked through %d times", n)
		}
		for round := range uint16(5) {
			for n := range uint16(200) {
				m.put(1, 1000*(round+1)+n)
			}
			p.wait(2 * shortest)
			p.same("what could not be noted")
		}
		if s := p.daemons[0].Status(); s.Missed != 5 {
			t.Errorf("there was more than could be noted %d times", s.Missed)
		}
		m.put(1, 1)
		p.wait(soon)
		p.same("afterwards")
		// It notes only while it tells, and what is between is not lost.
		m.put(4, 1)
		p.daemons[0].Active(false)
		p.wait(time.Millisecond)
		p.same("the last words")
		if m.noting {
			t.Error("it is noted what nobody tells")
		}
		m.put(5, 1)
		p.daemons[0].Active(true)
		m.put(5, 2)
		p.wait(3 * time.Second)
		p.same("when it tells again")
	})
}

// TestBusy: very many changes, one after the other, are told as they come, and
// none is missed.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, Settings{})
		defer p.stop()
		m := p.noter(40000, 75*time.Millisecond)
		m.mu.Lock()
		m.each = 2500 * time.Nanosecond
		m.mu.Unlock()
		worst := time.Duration(0)
		for n := range 300 {
			var some []uint16
			for i := range 300 {
				some = append(some, uint16(1000+(300*n+i)%30000))
			}
			m.put(uint8(1+3*(n/100)), some...)
			p.wait(10 * time.Millisecond)
			worst = max(worst, p.daemons[0].Status().Lag)
		}
		if s := p.daemons[0].Status(); worst > 6*late || s.Missed > 0 {
			t.Errorf("it lags by up to %v, and has missed some %d times", worst, s.Missed)
		}
		p.wait(3 * late)
		p.same("in the end")
	})
}

// TestForgotten: what goes on is told again before the others forget it,
// however short a time that is, and not oftener than it takes.
func TestForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, Settings{})
		defer p.stop()
		m := p.noter(100, time.Millisecond)
		timeouts := map[uint16]time.Duration{1: 9 * time.Second, 2: 30 * time.Second, 3: 50 * time.Second, 4: 15 * time.Minute, 5: 2 * time.Second}
		table := m.table()
		changed := table.Changed
		table.Changed = func(since uint32, all bool, yield func(l4.Sync) bool) (uint32, error) {
			return changed(since, all, func(s l4.Sync) bool {
				s.Timeout = timeouts[s.Client.Port()]
				return yield(s)
			})
		}
		table.Shortest = func() time.Duration { return timeouts[1] }
		p.daemons[0].Close()
		p.daemons[0] = begin(Settings{}, table, func(bool, string) {}, p.network.open(0))
		p.daemons[0].Active(true)
		p.wait(5 * time.Second)

		start := time.Now()
		last, longest, count := map[uint16]time.Duration{}, map[uint16]time.Duration{}, map[uint16]int{}
		b := p.tables[1]
		b.mu.Lock()
		b.heard = func(s *l4.Sync) {
			n, now := s.Client.Port(), time.Since(start)
			longest[n] = max(longest[n], now-last[n])
			last[n] = now
			count[n]++
		}
		b.mu.Unlock()
		for n := range timeouts {
			m.put(1, n)
		}
		const long = 10 * time.Minute
		p.wait(long)
		p.stop()
		for n, timeout := range timeouts {
			if n == 5 {
				continue // what is forgotten so soon has ended
			}
			want := min(timeout/often, refreshEvery)
			if longest[n] > want+5*time.Second || longest[n] >= timeout || count[n] > int(long/want+long/refreshEvery)+2 {
				t.Errorf("remembered for %v: told %d times, %v apart", timeout, count[n], longest[n])
			}
		}
	})
}
