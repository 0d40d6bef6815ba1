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

// world is a few nodes on a virtual network with a clock of its own.
type world struct {
	t      *testing.T
	rng    *rand.Rand
	now    time.Duration
	nodes  []*node
	flight []delivery
	log    []string

	loss     float64
	delay    time.Duration // longest
	cut      func(from, to int) bool
	lossless bool // nothing but orderly events so far

	ownerless, owned, doubled time.Duration // since when; never
	longestGap, longestDouble time.Duration
}

type node struct {
	m     *Machine
	c     Config
	alive bool // the process runs
	awake bool
}

type delivery struct {
	at       time.Duration
	from, to int
	packet   Received
}

// newWorld makes up machines that could share addresses.
func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 3)), now: 1000 * second, ownerless: never, owned: never, doubled: never, lossless: true}
	w.cut = func(int, int) bool { return false }
	n := 2 + w.rng.IntN(4)
	base := basic()
	base.Interval = []time.Duration{10 * ms, 100 * ms, second}[w.rng.IntN(3)]
	switch w.rng.IntN(4) {
	case 0:
		base.Version, base.Interval = 2, second
	case 1:
		base.Version, base.Interval, base.Auth = 2, second, wire.AuthAH
	}
	base.PromptElection = w.rng.IntN(2) == 0
	base.Preempt = w.rng.IntN(4) != 0
	base.HigherPrioSendAdvert = w.rng.IntN(4) == 0
	base.LowerPrioNoAdvert = w.rng.IntN(4) == 0
	w.delay = base.Interval / 20
	equal := w.rng.IntN(4) == 0
	for i := range n {
		c := base
		c.Name = fmt.Sprint(i)
		c.Source = netip.AddrFrom4([4]byte{10, 9, 0, byte(i + 1)})
		if !equal {
			c.Priority = uint8(1 + w.rng.IntN(254))
		}
		c.StartMaster = w.rng.IntN(4) == 0
		if w.rng.IntN(4) == 0 {
			c.PreemptDelay = time.Duration(w.rng.IntN(3)) * c.Interval
		}
		w.nodes = append(w.nodes, &node{m: New(c), c: c, alive: true, awake: true})
	}
	return w
}

func (w *world) interval() time.Duration { return w.nodes[0].c.Interval }

// down is longer than any of the nodes waits.
func (w *world) down() time.Duration {
	return 3*w.interval() + max(w.interval(), second*time.Duration(3-w.nodes[0].c.Version)) + w.delay
}

func (w *world) say(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%v ", w.now-1000*second)+fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	var setup []string
	for _, n := range w.nodes {
		setup = append(setup, fmt.Sprintf("%s: %v", n.c.Name, n.c))
	}
	w.t.Fatalf("%s\n%s\n%s", fmt.Sprintf(format, args...), strings.Join(setup, "\n"), strings.Join(w.log[max(0, len(w.log)-60):], "\n"))
}

// step gives a machine an event and does what it says.
func (w *world) step(i int, ev Event) {
	n := w.nodes[i]
	for _, a := range n.m.Step(w.now, ev) {
		switch a.Kind {
		case SendAdvert:
			w.send(i, *n.m.Advert(a.Priority, a.Sequence))
		case Transition:
			w.say("%d %v>%v %s", i, a.From, a.To, a.Text())
		case AddAddresses, RemoveAddresses:
			w.say("%d %s", i, words([]Action{a}))
		}
	}
	at, ok := n.m.Deadline()
	s := n.m.State()
	if !ok && (s == Master || s == Backup || n.m.holds) {
		w.fail("%d is %v without a deadline", i, s)
	}
	if _, timer := ev.(Timer); timer && ok && at <= w.now {
		w.fail("%d wants its timer again at once", i)
	}
	if s == Master && !n.m.holds {
		w.fail("%d is master without the addresses", i)
	}
}

func (w *world) send(from int, a wire.Advert) {
	for to := range w.nodes {
		if to == from || w.cut(from, to) || w.rng.Float64() < w.loss {
			continue
		}
		late := time.Duration(1)
		if w.delay > 0 {
			late += time.Duration(w.rng.Int64N(int64(w.delay)))
		}
		w.flight = append(w.flight, delivery{w.now + late, from, to, Received{Advert: a,
			Header: wire.Header{Source: w.nodes[from].c.Source, Destination: group, TTL: 255}}})
	}
	slices.SortStableFunc(w.flight, func(a, b delivery) int { return cmp.Compare(a.at, b.at) })
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	end := w.now + d
	for rounds := 0; ; rounds++ {
		if rounds > 100000 {
			w.fail("no end")
		}
		next, who := end, -1
		for i, n := range w.nodes {
			if at, ok := n.m.Deadline(); ok && n.alive && n.awake && at < next {
				next, who = at, i
			}
		}
		if len(w.flight) > 0 && w.flight[0].at <= next {
			d := w.flight[0]
			w.flight = w.flight[1:]
			w.now = max(w.now, d.at)
			if n := w.nodes[d.to]; n.alive && n.awake {
				w.step(d.to, &d.packet)
			}
			w.look()
			continue
		}
		w.now = max(w.now, next)
		if who < 0 {
			return
		}
		w.step(who, Timer{})
		w.look()
	}
}

// look keeps account of owners.
func (w *world) look() {
	owners, masters, able := 0, 0, 0
	for _, n := range w.nodes {
		if !n.alive {
			continue
		}
		if n.m.holds {
			owners++
		}
		switch n.m.State() {
		case Master:
			masters++
			able++
		case Backup:
			able++
		}
	}
	if owners > 0 {
		w.owned = w.now
		if w.ownerless != never {
			w.longestGap = max(w.longestGap, w.now-w.ownerless)
			w.ownerless = never
		}
	} else if w.owned != never && w.ownerless == never && able > 0 {
		w.ownerless = w.now
	}
	switch {
	case masters > 1 && w.doubled == never:
		w.doubled = w.now
	case masters < 2 && w.doubled != never:
		w.longestDouble = max(w.longestDouble, w.now-w.doubled)
		w.doubled = never
	}
}

func (w *world) masters() (who []int) {
	for i, n := range w.nodes {
		if n.alive && n.m.State() == Master {
			who = append(who, i)
		}
	}
	return who
}

// start starts all.
func (w *world) start() {
	for i := range w.nodes {
		w.step(i, Start{})
	}
	w.look()
}

// heal ends all trouble.
func (w *world) heal() {
	w.say("healed")
	w.loss = 0
	w.cut = func(int, int) bool { return false }
	for i, n := range w.nodes {
		if !n.awake {
			w.wake(i)
		}
		if !n.alive {
			w.restart(i)
		}
		w.step(i, Recovered{})
		w.step(i, Start{})
	}
	w.look()
}

// restart is a new process after a crash that left the addresses behind: it
// remembers nothing.
func (w *world) restart(i int) {
	n := w.nodes[i]
	n.alive, n.awake = true, true
	n.m = New(n.c)
	w.say("%d starts again", i)
	w.step(i, Start{})
}

func (w *world) wake(i int) {
	n := w.nodes[i]
	n.awake = true
	w.say("%d awake", i)
	if n.alive && n.m.Overslept(w.now) {
		w.step(i, Frozen{})
	}
}

// settled fails unless exactly one is master, and the best where they preempt.
func (w *world) settled() {
	w.t.Helper()
	var delay time.Duration
	for _, n := range w.nodes {
		delay = max(delay, n.c.PreemptDelay)
	}
	w.run(4*w.down() + delay)
	masters := w.masters()
	if len(masters) != 1 {
		w.fail("masters after healing: %v", masters)
	}
	for i, n := range w.nodes {
		if n.m.holds != (i == masters[0]) {
			w.fail("%d holds the addresses: %v, the master is %d", i, n.m.holds, masters[0])
		}
		if best := w.nodes[masters[0]]; n.c.preempts() && n.m.priority() > best.m.priority() {
			w.fail("%d has priority %d, but the master %d has %d", i, n.m.priority(), masters[0], best.m.priority())
		}
		if n.m.State() == Backup && n.m.Info().Master != w.nodes[masters[0]].c.Source {
			w.fail("%d takes %v for the master", i, n.m.Info().Master)
		}
	}
}

// trouble is one event of a kind; orderly ones lose nothing that is sent.
func (w *world) trouble(kind, i int) {
	n := w.nodes[i]
	if kind%12 < 8 && !(n.alive && n.awake) {
		return // it cannot take orders
	}
	w.say("trouble %d for %d", kind%12, i)
	switch kind % 12 {
	case 0:
		w.step(i, SetPriority{Effective: uint8(1 + w.rng.IntN(254)), Why: "w"})
	case 1:
		w.step(i, FaultSet{Why: "script"})
	case 2:
		w.step(i, Recovered{})
	case 3:
		w.step(i, Stop{})
	case 4:
		w.step(i, Start{})
	case 5:
		w.step(i, GiveUp{})
	case 6:
		w.step(i, TakeOver{})
	case 7:
		w.step(i, Clear{})
	case 8: // crash and restart
		w.lossless = false
		if n.alive {
			n.alive = false
		} else {
			w.restart(i)
		}
	case 9: // frozen for a while
		w.lossless = false
		if n.awake {
			n.awake = false
		} else {
			w.wake(i)
		}
	case 10:
		w.lossless = false
		side := w.rng.IntN(1 << len(w.nodes))
		oneWay := w.rng.IntN(2) == 0
		w.cut = func(from, to int) bool {
			a, b := side>>from&1, side>>to&1
			return a < b || a > b && !oneWay
		}
	case 11:
		w.lossless = false
		w.loss = w.rng.Float64()
		w.delay = time.Duration(w.rng.Int64N(int64(w.interval())))
	}
	w.look()
}

// simulate plays a script, heals and judges.
func simulate(t *testing.T, seed uint64, script []byte) {
	w := newWorld(t, seed)
	w.start()
	delay := w.delay
	for len(script) >= 2 {
		kind, pause := int(script[0]), int(script[1])
		script = script[2:]
		w.trouble(kind, kind/12%len(w.nodes))
		w.run(w.interval() * time.Duration(pause) / 32)
	}
	w.delay = delay
	w.heal()
	w.settled()
	if w.lossless && w.longestDouble > w.interval()+w.delay {
		w.fail("two masters for %v, and nothing was lost", w.longestDouble)
	}
}

func TestSimulation(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for seed := range uint64(400) {
		script := make([]byte, 2*rng.IntN(20))
		for i := range script {
			script[i] = byte(rng.UintN(256))
		}
		simulate(t, seed, script)
	}
}

// TestSimulationOrderly has no events by which anything is lost.
func TestSimulationOrderly(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 5))
	for seed := range uint64(400) {
		script := make([]byte, 2*rng.IntN(20))
		for i := range script {
			script[i] = byte(rng.UintN(256))
			if i%2 == 0 && script[i]%12 >= 8 {
				script[i] -= 4
			}
		}
		simulate(t, seed, script)
	}
}

// TestSimulationStop stops master after master: while one is left the addresses
// are always somebody's.
func TestSimulationStop(t *testing.T) {
	for seed := range uint64(200) {
		w := newWorld(t, seed)
		w.delay = min(w.delay, 2*ms) // the time in which a successor is heard
		w.start()
		w.run(3 * w.down())
		w.longestGap, w.longestDouble, w.ownerless = 0, 0, never
		for range len(w.nodes) - 1 {
			masters := w.masters()
			if len(masters) != 1 {
				w.fail("masters: %v", masters)
			}
			switch i := masters[0]; w.rng.IntN(3) {
			case 0:
				w.step(i, Stop{})
			case 1:
				w.step(i, FaultSet{Why: "script"})
			case 2:
				w.step(i, GiveUp{})
				w.run(w.interval())
				w.step(i, Stop{})
			}
			w.look()
			w.run(w.down())
		}
		if w.longestGap > 0 || w.ownerless != never {
			w.fail("nobody had the addresses for %v", w.longestGap)
		}
		if w.longestDouble > 2*w.delay { // an advertisement and the answer to it
			w.fail("two masters for %v", w.longestDouble)
		}
	}
}

func FuzzSimulation(f *testing.F) {
	f.Add(uint64(1), []byte{3, 10, 4, 90, 8, 200, 8, 10, 10, 255, 11, 30})
	f.Add(uint64(7), []byte{6, 40, 9, 255, 9, 1, 0, 0, 18, 100})
	f.Fuzz(func(t *testing.T, seed uint64, script []byte) {
		if len(script) > 200 {
			return
		}
		simulate(t, seed, script)
	})
}
