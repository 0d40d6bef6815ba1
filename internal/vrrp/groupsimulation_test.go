package vrrp

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	wire "evenkeel/internal/wire/vrrp"
)

// groupWorld is a few nodes with a sync group of two or three instances each.
type groupWorld struct {
	t      *testing.T
	rng    *rand.Rand
	now    time.Duration
	groups []*Group
	flight []groupDelivery
	loss   float64
	log    []string
}

type groupDelivery struct {
	at         time.Duration
	to, member int
	packet     Received
}

func newGroupWorld(t *testing.T, seed uint64) *groupWorld {
	w := &groupWorld{t: t, rng: rand.New(rand.NewPCG(seed, 9)), now: 1000 * second}
	nodes, members := 2+w.rng.IntN(3), 2+w.rng.IntN(2)
	preempt := w.rng.IntN(3) != 0
	equal := w.rng.IntN(3) == 0
	for n := range nodes {
		priority := uint8(100)
		if !equal {
			priority += uint8(10 * n)
		}
		var machines []*Machine
		for i := range members {
			c := basic()
			c.Name, c.VRID, c.Priority, c.Preempt = fmt.Sprint(n, "/", i), uint8(i), priority, preempt
			c.Source = netip.AddrFrom4([4]byte{10, 9, byte(i), byte(n + 1)})
			machines = append(machines, New(c))
		}
		w.groups = append(w.groups, NewGroup("G", machines...))
	}
	return w
}

func (w *groupWorld) step(n, i int, ev Event) {
	for _, a := range w.groups[n].Step(w.now, i, ev) {
		m := w.groups[n].members[a.Member].machine
		switch a.Action.Kind {
		case SendAdvert:
			for to := range w.groups {
				if to == n || w.rng.Float64() < w.loss {
					continue
				}
				late := 1 + time.Duration(w.rng.Int64N(int64(5*ms)))
				w.flight = append(w.flight, groupDelivery{w.now + late, to, a.Member, Received{
					Advert: *m.Advert(a.Action.Priority, a.Action.Sequence),
					Header: wire.Header{Source: m.config.Source, Destination: group, TTL: 255}}})
			}
			slices.SortStableFunc(w.flight, func(a, b groupDelivery) int { return cmp.Compare(a.at, b.at) })
		case Transition:
			w.log = append(w.log, fmt.Sprintf("%v %s %v>%v %s", w.now-1000*second, m.config.Name, a.Action.From, a.Action.To, a.Action.Text()))
		}
	}
	// The members never disagree after a step, but for what a resumed or
	// stopped one may be.
	states := map[State]bool{}
	for _, x := range w.groups[n].members {
		states[x.machine.state] = true
	}
	if len(states) > 1 && !states[Init] && !states[Stopped] {
		w.fail("node %d is of several states", n)
	}
}

func (w *groupWorld) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%s\n%s", fmt.Sprintf(format, args...), strings.Join(w.log[max(0, len(w.log)-60):], "\n"))
}

func (w *groupWorld) run(d time.Duration) {
	end := w.now + d
	for {
		next, node, member := end, -1, 0
		for n, g := range w.groups {
			for i := range g.members {
				if at, ok := g.members[i].machine.Deadline(); ok && at < next {
					next, node, member = at, n, i
				}
			}
		}
		if len(w.flight) > 0 && w.flight[0].at <= next {
			f := w.flight[0]
			w.flight = w.flight[1:]
			w.now = max(w.now, f.at)
			w.step(f.to, f.member, &f.packet)
			continue
		}
		w.now = max(w.now, next)
		if node < 0 {
			return
		}
		w.step(node, member, Timer{})
	}
}

func (w *groupWorld) all(n int, ev Event) {
	for i := range w.groups[n].members {
		w.step(n, i, ev)
	}
}

// TestGroupSimulation: whatever happened, in the end one node is master of all
// addresses, and stays so.
func TestGroupSimulation(t *testing.T) {
	for seed := range uint64(300) {
		w := newGroupWorld(t, seed)
		for n := range w.groups {
			w.all(n, Start{})
		}
		for range w.rng.IntN(20) {
			n := w.rng.IntN(len(w.groups))
			i := w.rng.IntN(len(w.groups[n].members))
			switch w.rng.IntN(8) {
			case 0:
				w.step(n, i, FaultSet{Why: "x", LinkDown: w.rng.IntN(2) == 0})
			case 1:
				w.step(n, i, Recovered{})
			case 2:
				w.all(n, Stop{})
			case 3:
				w.all(n, Start{})
			case 4:
				w.step(n, i, TakeOver{})
			case 5:
				w.step(n, i, GiveUp{})
			case 6:
				w.step(n, i, Frozen{})
			case 7:
				w.loss = w.rng.Float64()
			}
			w.run(time.Duration(w.rng.Int64N(int64(6 * second))))
		}
		w.loss = 0
		w.log = append(w.log, "healed")
		for n := range w.groups {
			for i := range w.groups[n].members {
				w.step(n, i, Recovered{})
			}
			w.step(n, 0, Clear{})
			w.all(n, Start{})
		}
		w.run(20 * second)
		healed := len(w.log)
		w.run(20 * second)
		if len(w.log) > healed {
			w.fail("seed %d: it does not come to rest", seed)
		}
		masters := 0
		for _, g := range w.groups {
			if g.State() == Master {
				masters++
			} else if g.State() != Backup {
				w.fail("seed %d: a group is %v", seed, g.State())
			}
		}
		if masters != 1 {
			w.fail("seed %d: %d masters", seed, masters)
		}
	}
}
