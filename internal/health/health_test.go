package health

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"evenkeel/internal/model"
	"evenkeel/internal/pool"
)

// world is a network in which each address answers, refuses or hangs.
type world struct {
	mu    sync.Mutex
	how   map[string]string // address -> "ok", "refuse", "hang", or a reply
	dials []dialed
	begin time.Time
}

type dialed struct {
	addr string
	at   time.Duration
}

func (w *world) set(addr, how string) {
	w.mu.Lock()
	w.how[addr] = how
	w.mu.Unlock()
}

func (w *world) dial(ctx context.Context, _ *pool.Server, _, addr string) (net.Conn, error) {
	w.mu.Lock()
	how := w.how[addr]
	w.dials = append(w.dials, dialed{addr, time.Since(w.begin)})
	w.mu.Unlock()
	switch how {
	case "ok", "":
		c, s := net.Pipe()
		go func() { io.Copy(io.Discard, s); s.Close() }()
		return c, nil
	case "refuse":
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	case "hang":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	c, s := net.Pipe()
	go func() { io.WriteString(s, how); s.Close() }()
	return c, nil
}

func (w *world) times(addr string) (out []time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.dials {
		if d.addr == addr {
			out = append(out, d.at)
		}
	}
	return out
}

// setup makes one backend with the given servers and starts its checks.
func setup(t *testing.T, w *world, px *model.Proxy, g model.Global) (*pool.Backend, *Runner) {
	t.Helper()
	w.begin = time.Now()
	if w.how == nil {
		w.how = map[string]string{}
	}
	px.Name, px.Kind = "be", model.KindBackend
	for i, s := range px.Backend.Servers {
		if s.ID == 0 {
			s.ID = i + 1
		}
		if i > 0 {
			s.Name += string(rune('1' + i))
		}
		if s.Addr.Network == "" {
			s.Addr = model.ServerAddr{Network: "tcp4", Host: "10.0.0." + string(rune('1'+i)), Port: 80}
		}
	}
	begin := time.Now()
	b, err := pool.New(px, pool.Options{
		Resolve: func(string) (netip.Addr, error) { return netip.Addr{}, errors.New("no names here") },
		Now:     func() int64 { return int64(time.Since(begin)) + 1 },
		Wall:    time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Start(t.Context(), []*pool.Backend{b}, &model.Config{Global: g}, Options{Dial: w.dial, Random: func() float64 { return 0.5 }})
	if err != nil {
		t.Fatal(err)
	}
	return b, r
}

func stop(t *testing.T, r *Runner) {
	t.Helper()
	if err := r.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

func checked(rise, fall int, inter, fast, down time.Duration) *model.Server {
	return &model.Server{Name: "s", Check: model.ServerCheck{Enabled: true, Rise: rise, Fall: fall, Inter: inter, FastInter: fast, DownInter: down}}
}

func equal(a, b []time.Duration) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

const sec = time.Second

// Up: every inter. Failing: every fastinter until fall. Down: every downinter.
// Coming back: every fastinter until rise.
func TestIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		px := &model.Proxy{}
		px.Backend.Servers = []*model.Server{checked(2, 3, 10*sec, 2*sec, 30*sec)}
		b, r := setup(t, w, px, model.Global{})
		s := b.Servers[0]
		time.Sleep(11 * sec)
		w.set("10.0.0.1:80", "refuse")
		time.Sleep(60 * sec)
		if s.Up() {
			t.Error("the server is up after three failures")
		}
		w.set("10.0.0.1:80", "ok")
		time.Sleep(30 * sec)
		if !s.Up() {
			t.Error("the server is down after two good checks")
		}
		stop(t, r)
		// A server starts at its rise: a good check lifts it to the top.
		want := []time.Duration{0, 10 * sec, 20 * sec, 22 * sec, 24 * sec, 54 * sec, 84 * sec, 86 * sec, 96 * sec}
		if got := w.times("10.0.0.1:80"); !equal(got, want) {
			t.Errorf("checks at %v, want %v", got, want)
		}
	})
}

func TestFirstChecksAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		px := &model.Proxy{}
		px.Backend.Servers = []*model.Server{checked(0, 0, 8*sec, 0, 0), checked(0, 0, 8*sec, 0, 0), checked(0, 0, 4*sec, 0, 0), checked(0, 0, 8*sec, 0, 0)}
		_, r := setup(t, w, px, model.Global{SpreadChecks: 50})
		time.Sleep(3500 * time.Millisecond)
		stop(t, r)
		for i, d := range w.dials {
			if d.at != time.Duration(i)*sec {
				t.Errorf("check %d at %v", i, d.at)
			}
		}
		if len(w.dials) != 4 {
			t.Errorf("%d checks", len(w.dials))
		}
		r.opt.Random = func() float64 { return 0 }
		if d := r.spread(10 * sec); d != 15*sec {
			t.Errorf("spread %v", d)
		}
		r.opt.Random = func() float64 { return 1 }
		if d := r.spread(10 * sec); d != 5*sec {
			t.Errorf("spread %v", d)
		}
	})
}

// Without timeout check, inter bounds a connection; with it, timeout connect.
func TestConnectBounds(t *testing.T) {
	for _, x := range []struct {
		check, connect, want time.Duration
	}{{0, sec, 3 * sec}, {5 * sec, sec, sec}, {5 * sec, 9 * sec, 3 * sec}} {
		synctest.Test(t, func(t *testing.T) {
			w := &world{how: map[string]string{"10.0.0.1:80": "hang"}}
			px := &model.Proxy{}
			px.Timeouts.Check, px.Timeouts.Connect = x.check, x.connect
			px.Backend.Servers = []*model.Server{checked(0, 0, 3*sec, 20*sec, 20*sec)}
			b, r := setup(t, w, px, model.Global{})
			time.Sleep(19 * sec)
			got := b.Snapshot(0).Servers[0].Check
			if got.Duration != x.want || got.Code != pool.CheckL4Timeout {
				t.Errorf("timeout check %v connect %v: %s after %v, want %v", x.check, x.connect, got.Status, got.Duration, x.want)
			}
			stop(t, r)
		})
	}
}

func TestDisabledAndMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		px := &model.Proxy{}
		px.Backend.Servers = []*model.Server{checked(0, 0, sec, 0, 0)}
		b, r := setup(t, w, px, model.Global{})
		s := b.Servers[0]
		time.Sleep(1500 * time.Millisecond)
		s.Disable()
		time.Sleep(10 * sec)
		if n := len(w.times("10.0.0.1:80")); n != 2 {
			t.Errorf("%d checks of a server in maintenance", n)
		}
		s.Enable()
		if err := r.SetCheckAddr(s, "10.9.9.9", 81); err != nil {
			t.Error(err)
		}
		if _, err := s.SetAddr("10.0.0.7", "8080", "a test"); err != nil {
			t.Error(err)
		}
		time.Sleep(1100 * time.Millisecond)
		if len(w.times("10.9.9.9:81")) == 0 {
			t.Errorf("the check has not moved: %v", w.dials)
		}
		s.SetCheckEnabled(false)
		n := len(w.dials)
		time.Sleep(10 * sec)
		if len(w.dials) != n {
			t.Error("disabled health checks went on")
		}
		if r.SetAgentAddr(s, "10.1.1.1", 1) == nil || r.SetAgentSend(s, "x") == nil {
			t.Error("a server without an agent has one")
		}
		stop(t, r)
	})
}

func TestAddressChangeIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		px := &model.Proxy{}
		px.Backend.Servers = []*model.Server{checked(0, 0, sec, 0, 0)}
		b, r := setup(t, w, px, model.Global{})
		time.Sleep(500 * time.Millisecond)
		b.Servers[0].SetAddr("10.0.0.7", "8080", "a test")
		time.Sleep(sec)
		stop(t, r)
		if len(w.times("10.0.0.7:8080")) != 1 {
			t.Errorf("checks went to %v", w.dials)
		}
	})
}

func TestAgentDrivesTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{how: map[string]string{"10.0.0.1:9999": "drain 50%\n"}}
		px := &model.Proxy{}
		weight := 100
		px.Backend.Servers = []*model.Server{{Name: "s", Weight: &weight, Agent: model.AgentCheck{Enabled: true, Port: 9999, Inter: sec}}}
		b, r := setup(t, w, px, model.Global{})
		s := b.Servers[0]
		time.Sleep(500 * time.Millisecond)
		if _, admin := s.State(); admin&pool.AdminDrain == 0 {
			t.Error("the agent's drain was not heard")
		}
		if _, user := s.Weights(); user != 50 {
			t.Errorf("weight %d", user)
		}
		w.set("10.0.0.1:9999", "ready down # maintenance\n")
		time.Sleep(sec)
		if s.Up() {
			t.Error("the agent's down was not heard")
		}
		w.set("10.0.0.1:9999", "up 100%\n")
		time.Sleep(sec)
		if !s.Up() {
			t.Error("the agent's up was not heard")
		}
		// An agent that cannot be reached changes nothing.
		w.set("10.0.0.1:9999", "refuse")
		time.Sleep(5 * sec)
		if !s.Up() {
			t.Error("a silent agent took the server down")
		}
		if err := r.SetAgentAddr(s, "10.5.5.5", 0); err != nil {
			t.Error(err)
		}
		time.Sleep(sec)
		if len(w.times("10.5.5.5:9999")) == 0 {
			t.Error("the agent check has not moved")
		}
		stop(t, r)
	})
}

// Stop must end checks that hang, and leave no goroutine: synctest fails the
// test otherwise.
func TestStopEndsHangingChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{how: map[string]string{"10.0.0.1:80": "hang"}}
		px := &model.Proxy{}
		px.Backend.Servers = []*model.Server{checked(0, 0, time.Hour, 0, 0)}
		b, r := setup(t, w, px, model.Global{})
		time.Sleep(sec)
		stop(t, r)
		if k := b.Snapshot(0).Servers[0].Check; k.Code > pool.CheckInit {
			t.Errorf("an ended check was reported: %s", k.Status)
		}
	})
}

func TestStartRefusesWhatItCannotCheck(t *testing.T) {
	px := &model.Proxy{Name: "be", Kind: model.KindBackend}
	px.Backend.Check.Kind = model.CheckSPOP
	px.Backend.Servers = []*model.Server{checked(0, 0, 0, 0, 0)}
	px.Backend.Servers[0].Addr = model.ServerAddr{Network: "tcp4", Host: "10.0.0.1", Port: 80}
	b, err := pool.New(px, pool.Options{Now: func() int64 { return 1 }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), []*pool.Backend{b}, nil, Options{}); err == nil {
		t.Error("a check that is not supported starts")
	}
}

func TestPlaces(t *testing.T) {
	e := pool.Endpoint{Network: "tcp", Addr: netip.MustParseAddrPort("[2001:db8::1]:80")}
	mapped := e
	mapped.PortMapped = true
	for _, x := range []struct {
		e             pool.Endpoint
		addr          string
		port          int
		network, host string
		want          int
	}{
		{e, "", 0, "tcp", "2001:db8::1", 80},
		{e, "10.0.0.1", 81, "tcp", "10.0.0.1", 81},
		{mapped, "", 81, "tcp", "2001:db8::1", 81},
		{pool.Endpoint{Network: "unix", Path: "/s"}, "", 0, "unix", "/s", 0},
		{pool.Endpoint{Network: "abns", Path: "s"}, "", 0, "unix", "@s" + strings.Repeat("\x00", 106), 0},
		{pool.Endpoint{Network: "unix", Path: "/s"}, "10.0.0.1", 81, "tcp", "10.0.0.1", 81},
	} {
		network, host, port, err := place(x.e, x.addr, x.port)
		if network != x.network || host != x.host || port != x.want || err != nil {
			t.Errorf("%+v: %s %s %d %v", x, network, host, port, err)
		}
	}
	if _, _, _, err := place(pool.Endpoint{}, "", 0); err == nil {
		t.Error("a server without an address has a place")
	}
}
