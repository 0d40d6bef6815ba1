package bfd

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	wire "evenkeel/internal/wire/bfd"
)

const ms = time.Millisecond

func one(name string) Config {
	return Config{Name: name, MinRx: 20 * ms, MinTx: 10 * ms, Multiplier: 3}
}

// half is a source of jitter in the middle of what is allowed.
func half() float64 { return 0.5 }

// end is one side of a wire in a simulation.
type end struct {
	m     *Machine
	sent  []wire.Control
	times []time.Duration
	log   []string
	ended bool
}

// wires joins two machines: what one sends the other gets after delay, unless
// lose says otherwise. Time is the simulation's.
type wires struct {
	t     *testing.T
	now   time.Duration
	delay time.Duration
	ends  [2]*end
	lose  func(from int, c *wire.Control) bool
	air   []flight
}

type flight struct {
	at time.Duration
	to int
	c  wire.Control
}

func join(t *testing.T, a, b Config) *wires {
	w := &wires{t: t, delay: ms}
	w.ends[0] = &end{m: New(a, 1, half)}
	w.ends[1] = &end{m: New(b, 2, half)}
	return w
}

func (w *wires) do(i int, actions []Action) {
	e := w.ends[i]
	for _, a := range actions {
		switch a.Kind {
		case Send:
			e.sent, e.times = append(e.sent, a.Control), append(e.times, w.now)
			// Through the codec, as on a real wire.
			c, err := wire.Parse(wire.Append(nil, &a.Control))
			if err != nil {
				w.t.Fatalf("%d sent %+v: %v", i, a.Control, err)
			}
			if w.lose == nil || !w.lose(i, &c) {
				w.air = append(w.air, flight{w.now + w.delay, 1 - i, c})
			}
		case Changed:
			e.log = append(e.log, fmt.Sprintf("%v %v: %s", w.now.Round(ms), a.To, a.Why))
		case Ended:
			e.ended = true
		}
	}
}

func (w *wires) start() {
	for i, e := range w.ends {
		w.do(i, e.m.Start(w.now))
	}
}

// run goes on until the time t.
func (w *wires) run(t time.Duration) {
	for {
		next, what := t, -1
		for i, e := range w.ends {
			if d := e.m.Deadline(); d < next {
				next, what = d, i
			}
		}
		for i, f := range w.air {
			if f.at <= next {
				next, what = f.at, 2+i
			}
		}
		w.now = max(w.now, next)
		switch {
		case what < 0:
			return
		case what < 2:
			w.do(what, w.ends[what].m.Timer(w.now))
		default:
			f := w.air[what-2]
			w.air = slices.Delete(w.air, what-2, what-1)
			w.do(f.to, w.ends[f.to].m.Receive(w.now, &f.c))
		}
	}
}

func (w *wires) states(a, b State) {
	w.t.Helper()
	if x, y := w.ends[0].m.Info().State, w.ends[1].m.Info().State; x != a || y != b {
		w.t.Fatalf("at %v: %v and %v, want %v and %v\n%s\n--\n%s", w.now, x, y, a, b, strings.Join(w.ends[0].log, "\n"), strings.Join(w.ends[1].log, "\n"))
	}
}

// since is what an end has sent from t on.
func (e *end) since(t time.Duration) (list []wire.Control) {
	for i, at := range e.times {
		if at >= t {
			list = append(list, e.sent[i])
		}
	}
	return list
}

func TestSessionComesUp(t *testing.T) {
	w := join(t, one("a"), one("b"))
	w.start()
	w.run(20 * ms)
	w.states(Up, Up)
	first := w.ends[0].sent[0]
	if first.State != Down || first.YourDiscriminator != 0 || first.DesiredMinTx != time.Second || first.DetectMult != 3 {
		t.Errorf("first: %+v", first)
	}
	w.run(500 * ms)
	for i, e := range w.ends {
		info := e.m.Info()
		// The larger of what one wants to send and the other to receive.
		if info.TxInterval != 20*ms || info.DetectionTime != 60*ms || info.RemoteDiscr != uint32(2-i) {
			t.Errorf("%d: %+v", i, info)
		}
		// 75 % to 100 % of 20 ms, here 87.5 %.
		if n := len(e.since(100 * ms)); n < 22 || n > 24 {
			t.Errorf("%d sent %d packets in 400 ms", i, n)
		}
		polls, finals := 0, 0
		for _, c := range e.sent {
			if c.Poll {
				polls++
			}
			if c.Final {
				finals++
			}
		}
		if polls == 0 || polls > 3 || finals == 0 {
			t.Errorf("%d sent %d polls and %d finals", i, polls, finals)
		}
	}
}

// A system that hears nothing is down after the detection time and tells the
// other side, which hears still.
func TestDetectionTime(t *testing.T) {
	w := join(t, one("a"), one("b"))
	w.start()
	w.run(300 * ms)
	w.states(Up, Up)
	w.lose = func(from int, _ *wire.Control) bool { return from == 0 }
	heard := w.ends[1].m.Info().LastHeard
	w.run(heard + 62*ms)
	w.states(Down, Down)
	a, b := w.ends[0].m.Info(), w.ends[1].m.Info()
	if b.Since != heard+60*ms && b.Since != heard+61*ms || b.Diagnostic != wire.DetectionTimeExpired || b.RemoteDiscr != 0 || b.Flaps != 1 {
		t.Errorf("b: %+v, heard at %v", b, heard)
	}
	if a.Since != b.Since+ms || a.Diagnostic != wire.NeighborSignaledDown || a.Why != "the neighbor went down: control detection time expired" {
		t.Errorf("a: %+v", a)
	}
	// And back.
	w.lose = nil
	w.run(w.now + 1100*ms)
	w.states(Up, Up)
	if d := w.ends[1].m.Info().Diagnostic; d != wire.NoDiagnostic {
		t.Errorf("diagnostic %v when up", d)
	}
}

// While it is not up a session sends once a second at most.
func TestIdle(t *testing.T) {
	w := join(t, one("a"), one("b"))
	w.lose = func(int, *wire.Control) bool { return true }
	w.start()
	w.run(10 * time.Second)
	w.states(Down, Down)
	if n := len(w.ends[0].sent); n < 11 || n > 14 {
		t.Errorf("%d packets in 10 s", n)
	}
}

func TestPassive(t *testing.T) {
	c := one("a")
	c.Passive = true
	w := join(t, c, c)
	w.start()
	w.run(5 * time.Second)
	if len(w.ends[0].sent)+len(w.ends[1].sent) != 0 {
		t.Error("a passive side began")
	}
	w = join(t, c, one("b"))
	w.start()
	w.run(100 * ms)
	w.states(Up, Up)
	w.lose = func(from int, _ *wire.Control) bool { return from == 1 }
	w.run(time.Second)
	w.states(Down, Down)
	at := w.now
	w.run(at + 5*time.Second)
	if n := len(w.ends[0].since(at)); n != 0 {
		t.Errorf("%d packets from a passive side that hears nothing", n)
	}
	if m := New(c, 1, half); len(m.Start(0)) != 0 || len(m.Stop(ms)) != 2 {
		t.Error("a passive session that nobody spoke to says something")
	}
}

// A stop is told, several times, and the other side does not come back by
// itself.
func TestStop(t *testing.T) {
	w := join(t, one("a"), one("b"))
	w.start()
	w.run(300 * ms)
	at := w.now
	w.do(0, w.ends[0].m.Stop(w.now))
	w.run(at + 2*ms)
	w.states(AdminDown, Down)
	if b := w.ends[1].m.Info(); b.Why != "the neighbor is administratively down" || b.Diagnostic != wire.NeighborSignaledDown || b.RemoteDiagnostic != wire.AdministrativelyDown {
		t.Errorf("%+v", b)
	}
	w.run(at + 5*time.Second)
	w.states(AdminDown, Down)
	if n := len(w.ends[0].since(at)); n != goodbyes || !w.ends[0].ended {
		t.Errorf("%d goodbyes, ended %v", n, w.ends[0].ended)
	}
	if w.ends[0].m.Stop(w.now) != nil || w.ends[0].m.Deadline() != never || w.ends[0].m.Info().Discarded == 0 {
		t.Error("a stopped session does something")
	}
}

// An interval that grows counts for us when the other side knows; one that
// shrinks counts for our detection when the other side has sped up.
func TestReconfigure(t *testing.T) {
	w := join(t, one("a"), one("b"))
	w.start()
	w.run(300 * ms)
	hold := func(from int, c *wire.Control) bool { return from == 1 && c.Final }
	w.lose = hold
	slow := one("a")
	slow.MinTx, slow.MinRx = 50*ms, 5*ms
	at := w.now
	w.do(0, w.ends[0].m.Reconfigure(w.now, slow))
	w.run(at + 200*ms)
	w.states(Up, Up)
	if i := w.ends[0].m.Info(); i.TxInterval != 20*ms || i.DetectionTime != 60*ms {
		t.Errorf("before the final: %+v", i)
	}
	if i := w.ends[1].m.Info(); i.DetectionTime != 150*ms || i.TxInterval != 10*ms {
		t.Errorf("the other side: %+v", i)
	}
	w.lose = nil
	w.run(at + 400*ms)
	w.states(Up, Up)
	if i := w.ends[0].m.Info(); i.TxInterval != 50*ms || i.DetectionTime != 30*ms {
		t.Errorf("after the final: %+v", i)
	}
	// A second change while a poll is under way gets a poll of its own.
	w.do(0, w.ends[0].m.Reconfigure(w.now, one("a")))
	w.do(0, w.ends[0].m.Reconfigure(w.now, slow))
	w.run(at + 800*ms)
	w.states(Up, Up)
	if i := w.ends[0].m.Info(); i.TxInterval != 50*ms || i.DetectionTime != 30*ms || i.Flaps != 0 {
		t.Errorf("after two changes: %+v", i)
	}
	if got := w.ends[0].m.Reconfigure(w.now, slow); len(got) != 0 {
		t.Errorf("no change does %+v", got)
	}
}

// What the neighbor may say in each state, and what becomes of it.
func TestTransitions(t *testing.T) {
	for _, x := range []struct {
		state, hears, want State
	}{
		{Down, AdminDown, Down}, {Down, Down, Init}, {Down, Init, Up}, {Down, Up, Down},
		{Init, AdminDown, Down}, {Init, Down, Init}, {Init, Init, Up}, {Init, Up, Up},
		{Up, AdminDown, Down}, {Up, Down, Down}, {Up, Init, Up}, {Up, Up, Up},
	} {
		m := New(one("a"), 1, half)
		m.Start(0)
		for _, s := range map[State][]State{Down: nil, Init: {Down}, Up: {Down, Init}}[x.state] {
			m.Receive(ms, &wire.Control{State: s, MyDiscriminator: 2, DetectMult: 3, RequiredMinRx: ms, DesiredMinTx: ms})
		}
		if m.Info().State != x.state {
			t.Fatalf("not in %v", x.state)
		}
		m.Receive(2*ms, &wire.Control{State: x.hears, MyDiscriminator: 2, YourDiscriminator: 1, DetectMult: 3, RequiredMinRx: ms, DesiredMinTx: ms})
		if got := m.Info().State; got != x.want {
			t.Errorf("%v hears %v: %v, want %v", x.state, x.hears, got, x.want)
		}
	}
}

// A poll is answered at once in every state, and a neighbor that wants no
// packets gets none.
func TestPollAndZeroMinRx(t *testing.T) {
	m := New(one("a"), 1, half)
	m.Start(0)
	got := m.Receive(ms, &wire.Control{State: Up, Poll: true, MyDiscriminator: 2, YourDiscriminator: 1, DetectMult: 3, DesiredMinTx: ms})
	if len(got) != 1 || !got[0].Control.Final || got[0].Control.Poll || got[0].Control.State != Down {
		t.Errorf("%+v", got)
	}
	if m.nextTx != never {
		t.Errorf("periodic packets at %v for a neighbor with RequiredMinRx 0", m.nextTx)
	}
	// In demand mode both being up is enough.
	up := func(c wire.Control) wire.Control {
		c.MyDiscriminator, c.YourDiscriminator, c.DetectMult, c.RequiredMinRx, c.DesiredMinTx = 2, 1, 3, ms, ms
		return c
	}
	for _, c := range []wire.Control{up(wire.Control{State: Init}), up(wire.Control{State: Up, Final: true}), up(wire.Control{State: Up, Demand: true})} {
		m.Receive(2*ms, &c)
	}
	if m.Info().State != Up || m.nextTx != never {
		t.Errorf("%v, next at %v", m.Info().State, m.nextTx)
	}
}

func TestJitter(t *testing.T) {
	for _, x := range []struct {
		multiplier int
		least      time.Duration
		most       time.Duration
	}{{1, 75 * ms, 90 * ms}, {2, 75 * ms, 100 * ms}} {
		m := New(Config{Multiplier: x.multiplier}, 1, rand.New(rand.NewPCG(1, 2)).Float64)
		low, high := time.Hour, time.Duration(0)
		for range 10000 {
			d := m.jitter(100 * ms)
			low, high = min(low, d), max(high, d)
		}
		if low < x.least || low > x.least+ms || high > x.most || high < x.most-ms {
			t.Errorf("multiplier %d: %v to %v", x.multiplier, low, high)
		}
	}
}

// Whatever packets come in whatever order, a machine stays in a known state,
// never polls and finishes at once, and never wants to run in the past.
func FuzzMachine(f *testing.F) {
	f.Add([]byte{0x20, 0x40, 5, 24, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 39, 16, 0, 0, 39, 16, 0, 0, 0, 0}, int64(5))
	f.Fuzz(func(t *testing.T, p []byte, step int64) {
		m := New(one("a"), 1, half)
		now := time.Duration(0)
		act := func(list []Action) {
			for _, a := range list {
				if a.Kind == Send {
					if _, err := wire.Parse(wire.Append(nil, &a.Control)); err != nil {
						t.Fatalf("sends %+v: %v", a.Control, err)
					}
				}
			}
		}
		act(m.Start(now))
		for len(p) > 0 {
			n := min(len(p), wire.Size)
			c, err := wire.Parse(p[:n])
			now += time.Duration(step & 0xffffff)
			if err == nil {
				act(m.Receive(now, &c))
			}
			for range 3 {
				if m.Deadline() <= now {
					act(m.Timer(now))
				}
			}
			if m.Deadline() <= now {
				t.Fatalf("busy at %v: %+v", now, m.Info())
			}
			p = p[n:]
		}
		act(m.Stop(now))
	})
}

func TestNoAllocations(t *testing.T) {
	w := join(t, one("a"), one("b"))
	w.start()
	w.run(300 * ms)
	m, now := w.ends[0].m, w.now
	c := wire.Control{State: Up, MyDiscriminator: 2, YourDiscriminator: 1, DetectMult: 3, RequiredMinRx: 10 * ms, DesiredMinTx: 10 * ms}
	if n := testing.AllocsPerRun(100, func() {
		now += 20 * ms
		m.Receive(now, &c)
		m.Timer(now)
	}); n != 0 {
		t.Errorf("%v allocations for a packet and a timer", n)
	}
}
