package real

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"evenkeel/internal/health/checks"
	"evenkeel/internal/model"
)

// world says how the servers of a test are, and what was checked when.
type world struct {
	t     *testing.T
	start time.Time

	mu    sync.Mutex
	bad   map[string]string // address: why
	hang  map[string]bool   // until the end
	runs  []string
	log   []string
	watch map[string]bool // names of what is watched and good
}

func newWorld(t *testing.T) *world {
	return &world{t: t, start: time.Now(), bad: map[string]string{}, hang: map[string]bool{}, watch: map[string]bool{}}
}

// fake is a checker in a world.
type fake struct {
	w     *world
	spec  *model.RealCheck
	parts int
}

func (f *fake) Parts() int { return f.parts }

func (f *fake) Run(ctx context.Context, t checks.RealTarget) checks.RealResult {
	addr := t.Server.Addr().String()
	f.w.mu.Lock()
	f.w.runs = append(f.w.runs, fmt.Sprintf("%v %s", time.Since(f.w.start), addr))
	why, hang := f.w.bad[addr], f.w.hang[addr]
	f.w.mu.Unlock()
	if hang {
		<-ctx.Done()
	}
	if f.spec.Kind == model.CheckerMISC {
		time.Sleep(2 * time.Second)
	}
	return checks.RealResult{OK: why == "", Text: "it is " + why}
}

// follower is a checker that watches.
type follower struct {
	w    *world
	name string
}

func (f *follower) Watches() checks.Watched {
	return checks.Watched{Kind: model.CheckerBFD, Name: f.name}
}

func (f *follower) Run(context.Context, checks.RealTarget) checks.RealResult {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	return checks.RealResult{OK: f.w.watch[f.name], Text: "session " + f.name}
}

func (w *world) open() *Runner {
	return Open(Options{Random: func() float64 { return 0.5 }, Event: func(e Event) {
		w.mu.Lock()
		defer w.mu.Unlock()
		who := ""
		if e.Real != nil {
			who = " " + e.Real.Addr.String()
		}
		w.log = append(w.log, fmt.Sprintf("%v %v%s", time.Since(w.start), e.Kind, who))
	}})
}

func (w *world) set(r *Runner, v ...*model.VirtualServer) {
	w.t.Helper()
	p, ds := compile(&model.Failover{VirtualServers: v}, func(c *model.RealCheck) (checks.RealChecker, error) {
		if c.Kind == model.CheckerBFD {
			return &follower{w, c.BFD}, nil
		}
		return &fake{w, c, 1}, nil
	})
	if ds != nil {
		w.t.Fatal(ds)
	}
	if err := r.Set(p); err != nil {
		w.t.Fatal(err)
	}
}

// is sets the state of a server; "" is good.
func (w *world) is(addr, why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bad[addr] = why
}

// said gives and forgets the events.
func (w *world) said() string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.log
	w.log = nil
	return strings.Join(list, ", ")
}

func (w *world) ran() string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.runs
	w.runs = nil
	return strings.Join(list, ", ")
}

func (w *world) expect(what, got, want string) {
	w.t.Helper()
	if got != want {
		w.t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

// sorted is a list whose order within a moment does not matter.
func sorted(list string) string {
	parts := strings.Split(list, ", ")
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

func closeRunner(t *testing.T, r *Runner) {
	t.Helper()
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// virtual has a TCP checker for each address.
func virtual(addrs ...string) *model.VirtualServer {
	v := &model.VirtualServer{Addr: netip.MustParseAddr("10.0.0.100"), Port: 80, Quorum: 1}
	for _, a := range addrs {
		c := tcp()
		c.Warmup = 4 * s
		v.Real = append(v.Real, &model.RealServer{Addr: netip.MustParseAddr(a), Port: 80, Weight: 1, Checkers: []*model.RealCheck{c}})
	}
	return v
}

func TestRhythm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.open()
		defer closeRunner(t, r)
		w.set(r, virtual("10.0.0.1", "10.0.0.2"))
		time.Sleep(13 * s)
		// Half of the warmup, then every delay_loop.
		w.expect("runs", sorted(w.ran()), "12s 10.0.0.1, 12s 10.0.0.2, 2s 10.0.0.1, 2s 10.0.0.2")
		w.expect("events", w.said(), "")
		w.is("10.0.0.1", "broken")
		time.Sleep(22 * s)
		w.expect("events", w.said(), "22s check failed 10.0.0.1, 23s check failed 10.0.0.1, 24s server down 10.0.0.1")
		w.is("10.0.0.2", "broken too")
		time.Sleep(20 * s)
		w.expect("events", w.said(), "42s check failed 10.0.0.2, 43s check failed 10.0.0.2, 44s server down 10.0.0.2, 44s quorum lost")
		if got := r.Destinations("10.0.0.100:80/TCP"); len(got) != 0 {
			t.Errorf("%+v", got)
		}
		w.is("10.0.0.2", "")
		time.Sleep(10 * s)
		w.expect("events", w.said(), "1m4s server up 10.0.0.2, 1m4s quorum gained")
		all := r.Status()
		if len(all) != 1 || !all[0].Quorum || all[0].Weight != 1 || all[0].Servers[0].Up || !all[0].Servers[1].Up ||
			all[0].Servers[0].Checks[0].Text != "it is broken" || len(all[0].Destinations) != 1 {
			t.Errorf("%+v", all)
		}
		if r.Destinations("nobody") != nil {
			t.Error("nobody has destinations")
		}
	})
}

// rs_init_notifies: what is taken for up is told, once.
func TestAnnounce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.open()
		defer closeRunner(t, r)
		v := virtual("10.0.0.1", "10.0.0.2")
		v.Real[1].Checkers[0].Alpha = true
		for range 2 {
			p, _ := compile(&model.Failover{ServerInitNotify: true, VirtualServers: []*model.VirtualServer{v}},
				func(c *model.RealCheck) (checks.RealChecker, error) { return &fake{w, c, 1}, nil })
			if err := r.Set(p); err != nil {
				t.Fatal(err)
			}
		}
		w.expect("events", w.said(), "0s server up 10.0.0.1")
	})
}

// MISC_CHECK is paced from start to start.
func TestMISCRhythm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.open()
		defer closeRunner(t, r)
		v := virtual("10.0.0.1")
		v.Real[0].Checkers[0].Kind, v.Real[0].Checkers[0].Warmup = model.CheckerMISC, 0
		w.set(r, v)
		time.Sleep(25 * s)
		w.expect("runs", w.ran(), "0s 10.0.0.1, 10s 10.0.0.1, 20s 10.0.0.1")
	})
}

func TestAlpha(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.open()
		defer closeRunner(t, r)
		v := virtual("10.0.0.1", "10.0.0.2")
		for _, x := range v.Real {
			x.Checkers[0].Alpha = true
		}
		w.is("10.0.0.2", "dead")
		w.set(r, v)
		w.expect("at the start", w.said(), "0s quorum lost")
		time.Sleep(30 * s)
		w.expect("then", w.said(), "2s server up 10.0.0.1, 2s quorum gained")
	})
}

// A reload touches what has changed only, and a changed check starts from what
// is known of the server.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.open()
		defer closeRunner(t, r)
		w.is("10.0.0.2", "broken")
		w.set(r, virtual("10.0.0.1", "10.0.0.2", "10.0.0.3"))
		time.Sleep(5 * s)
		w.expect("start", w.said(), "2s server down 10.0.0.2")
		w.ran()

		// The same again, elsewhere in the file: the rhythm goes on.
		v := virtual("10.0.0.1", "10.0.0.2", "10.0.0.3")
		v.Real[0].Checkers[0].Pos.Line = 77
		w.set(r, v)
		time.Sleep(6 * s)
		w.expect("the same", w.said(), "")
		if got := strings.Count(w.ran(), "12s"); got != 0 {
			t.Errorf("%d checks at 12 s already", got)
		}
		time.Sleep(2 * s)
		if got := w.ran(); strings.Count(got, "12s") != 3 || strings.Count(got, ",") != 2 {
			t.Errorf("checks: %s", got)
		}

		// The first asks something else, the second something else too, the
		// third gets another rhythm; a fourth comes.
		v = virtual("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4")
		v.Real[0].Checkers[0].Connect.Port = 81
		v.Real[0].Checkers[0].Alpha = true // for new servers only
		v.Real[1].Checkers[0].Connect.Port = 81
		v.Real[2].Checkers[0].Interval = 5 * s
		w.set(r, v) // at 13 s
		w.expect("changed", w.said(), "")
		time.Sleep(8 * s)
		w.expect("changed, later", w.said(), "")
		w.expect("changed runs", sorted(w.ran()), "15s 10.0.0.1, 15s 10.0.0.2, 15s 10.0.0.3, 15s 10.0.0.4, 20s 10.0.0.3")
		w.is("10.0.0.2", "")
		w.is("10.0.0.1", "broken")
		time.Sleep(10 * s)
		w.expect("results of the changed ones", sorted(w.said()), "25s check failed 10.0.0.1, 25s server up 10.0.0.2, 26s check failed 10.0.0.1, 27s server down 10.0.0.1")

		// A server that goes is told as down, one without its bad checker is
		// up, and another weight is told.
		v = virtual("10.0.0.1", "10.0.0.2", "10.0.0.4")
		v.Real[0].Checkers = nil
		v.Real[1].Weight = 5
		w.set(r, v)
		w.expect("less", sorted(w.said()), "31s server down 10.0.0.3, 31s server up 10.0.0.1, 31s server weight 10.0.0.2")
		w.set(r)
		w.expect("nothing left", sorted(w.said()), "31s server down 10.0.0.1, 31s server down 10.0.0.2, 31s server down 10.0.0.4")
		w.ran()
		time.Sleep(60 * s)
		w.expect("no more checks", w.ran(), "")
	})
}

// Servers that come one by one in a reload cost no quorum between.
func TestReloadKeepsQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.open()
		defer closeRunner(t, r)
		for _, last := range []string{"10.0.0.3", "10.0.0.4"} {
			v := virtual("10.0.0.1", "10.0.0.2", last)
			v.Quorum = 3
			w.set(r, v)
		}
		w.expect("events", w.said(), "0s server down 10.0.0.3")
	})
}

func TestWatching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.open()
		defer closeRunner(t, r)
		v := virtual("10.0.0.1", "10.0.0.2")
		for i, x := range v.Real {
			// The retries are the virtual server's; what is watched has none.
			x.Checkers = []*model.RealCheck{{Kind: model.CheckerBFD, BFD: fmt.Sprint("b", i), Retry: 1}}
		}
		w.watch["b1"] = true
		w.set(r, v)
		w.expect("at the start", w.said(), "0s server down 10.0.0.1")
		turn := func(name string, good bool) {
			w.mu.Lock()
			w.watch[name] = good
			w.mu.Unlock()
			r.Changed(model.CheckerBFD, name)
		}
		turn("b0", true)
		w.expect("b0 up", w.said(), "0s server up 10.0.0.1")
		turn("b1", false)
		w.expect("b1 down", w.said(), "0s server down 10.0.0.2")
		r.Changed(model.CheckerFILE, "b1")
		turn("b7", false)
		w.expect("others", w.said(), "")
	})
}

func TestSuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.open()
		defer closeRunner(t, r)
		here := false
		r.Held(func(p netip.Prefix) bool { return here && p.String() == "10.0.0.100/32" })
		v := virtual("10.0.0.1")
		v.HASuspend = true
		other := virtual("10.0.0.2")
		other.Port = 81
		w.set(r, v, other)
		time.Sleep(15 * s)
		w.expect("away", w.ran(), "2s 10.0.0.2, 12s 10.0.0.2")
		if !r.Status()[0].Suspended {
			t.Error("it is not suspended")
		}
		here = true
		r.Held(func(p netip.Prefix) bool { return here && p.String() == "10.0.0.100/32" })
		w.expect("here", w.ran(), "15s 10.0.0.1")
		time.Sleep(6 * s)
		w.ran()
		time.Sleep(5 * s) // at 26 s
		w.expect("its rhythm", w.ran(), "22s 10.0.0.2, 25s 10.0.0.1")
	})
}

// Close ends checks that hang, is told in order with omega, and takes no more.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.open()
		v := virtual("10.0.0.1", "10.0.0.2")
		v.Omega = true
		w.hang["10.0.0.1"] = true
		w.set(r, v)
		time.Sleep(5 * s)
		closeRunner(t, r)
		w.expect("omega", w.said(), "5s server down 10.0.0.1, 5s server down 10.0.0.2, 5s quorum lost")
		if r.Set(&Plan{}) == nil {
			t.Error("a closed runner takes a configuration")
		}
		closeRunner(t, r)
	})
}

// Events come one at a time and in order, also when telling them takes long
// and the callback asks for the status.
func TestEventsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var r *Runner
		var mu sync.Mutex
		var got []string
		r = Open(Options{Random: func() float64 { return 0 }, Event: func(e Event) {
			if !mu.TryLock() {
				t.Error("two events at a time")
				return
			}
			defer mu.Unlock()
			time.Sleep(time.Second)
			r.Status()
			got = append(got, e.Kind.String())
		}})
		defer closeRunner(t, r)
		for i := range 20 {
			w.is(fmt.Sprintf("10.0.0.%d", i+1), "broken")
		}
		var addrs []string
		for i := range 20 {
			addrs = append(addrs, fmt.Sprintf("10.0.0.%d", i+1))
		}
		w.set(r, virtual(addrs...))
		time.Sleep(time.Minute)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if len(got) != 21 || got[20] != "quorum lost" {
			t.Errorf("%d: %v", len(got), got)
		}
	})
}
