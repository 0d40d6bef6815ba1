package pool

import (
	"strings"
	"testing"
	"time"

	"evenkeel/internal/model"
)

func checked(i int, s *model.Server) { s.Check.Enabled = true }

var refused = CheckReport{Status: CheckL4Con, Info: "Connection refused"}

// The texts were taken from a running HAProxy 2.6.
func TestCheckEvents(t *testing.T) {
	b, c, r := simple(t, "roundrobin", 2, checked)
	s1, s2 := b.Servers[0], b.Servers[1]
	s1.CheckDone(refused)
	lines(t, r.take(),
		`1 Server b/s1 is DOWN, reason: Layer4 connection problem, info: "Connection refused", check duration: 0ms. 1 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.`)
	s2.CheckDone(CheckReport{Status: CheckL7Status, Code: 503, Info: "Service <Un>", Duration: 12 * time.Millisecond})
	lines(t, r.take(),
		`1 Server b/s2 is DOWN, reason: Layer7 wrong status, code: 503, info: "Service <3C>Un<3E>", check duration: 12ms. 0 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.`,
		`0 backend b has no server available!`)
	c.step(3 * time.Second)
	s1.CheckDone(CheckReport{Status: CheckL4OK})
	lines(t, r.take())
	s1.CheckDone(CheckReport{Status: CheckL4OK})
	lines(t, r.take(),
		`5 Server b/s1 is UP, reason: Layer4 check passed, check duration: 0ms. 1 active and 0 backup servers online. 0 sessions requeued, 0 total in queue.`)
	snap := b.Snapshot(0)
	same(t, "statuses", []any{snap.Status, snap.Servers[0].Status, snap.Servers[1].Status}, "[UP UP DOWN]")
	same(t, "downtime", []any{snap.Downtime, snap.Servers[0].Downtime, snap.Servers[0].Downs}, "[3 3 1]")
}

func TestRiseAndFall(t *testing.T) {
	b, _, _ := simple(t, "roundrobin", 1, checked)
	s := b.Servers[0]
	ok, bad := CheckReport{Status: CheckL7OK, Code: 200}, refused
	for i, step := range []struct {
		report CheckReport
		want   string
		next   time.Duration
	}{
		{ok, "UP", 2 * time.Second},
		{bad, "UP 2/3", 500 * time.Millisecond},
		{bad, "UP 1/3", 500 * time.Millisecond},
		{ok, "UP", 2 * time.Second}, // one success forgives all failures
		{bad, "UP 2/3", 500 * time.Millisecond},
		{bad, "UP 1/3", 500 * time.Millisecond},
		{bad, "DOWN", 5 * time.Second},
		{bad, "DOWN", 5 * time.Second},
		{ok, "DOWN 1/2", 500 * time.Millisecond},
		{bad, "DOWN", 5 * time.Second},
		{ok, "DOWN 1/2", 500 * time.Millisecond},
		{ok, "UP", 2 * time.Second},
	} {
		s.Model.Check.FastInter, s.Model.Check.DownInter = 500*time.Millisecond, 5*time.Second
		s.CheckDone(step.report)
		if got := b.Snapshot(0).Servers[0].Status; got != step.want {
			t.Errorf("step %d: status %q, want %q", i, got, step.want)
		}
		if got := s.CheckInterval(); got != step.next {
			t.Errorf("step %d: next check in %v, want %v", i, got, step.next)
		}
	}
}

func TestMaintenanceEvents(t *testing.T) {
	b, _, r := simple(t, "roundrobin", 5, func(i int, s *model.Server) {
		s.Check.Enabled = i <= 2
		s.Disabled = i == 3
		s.Backup = i == 4
		if i == 5 {
			s.Track = "b/s1"
			s.SlowStart = 10 * time.Second
		}
	})
	lines(t, r.take())
	b.Server("s2").CheckDone(refused)
	r.take()
	b.Server("s3").Enable()
	_, admin := b.Server("s3").State()
	same(t, "flags of s3", admin, AdminConfigMaint)
	must(t, b.Server("s1").SetAdmin("maint"))
	lines(t, r.take(),
		`5 Server b/s3 is UP/READY (leaving forced maintenance).`,
		`1 Server b/s1 is going DOWN for maintenance. 2 active and 1 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.`,
		`1 Server b/s5 is going DOWN for maintenance via b/s1. 1 active and 1 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.`)
	same(t, "s5", b.Snapshot(0).Servers[4].Status, "MAINT (via b/s1)")
	must(t, b.Server("s1").SetAdmin("drain"))
	lines(t, r.take(),
		`5 Server b/s1 is UP/DRAIN (leaving forced maintenance).`,
		`5 Server b/s1 remains in forced drain mode.`,
		`5 Server b/s5 is UP/DRAIN (leaving maintenance).`,
		`5 Server b/s5 remains in drain mode via b/s1.`)
	must(t, b.Server("s1").SetAdmin("ready"))
	lines(t, r.take(),
		`5 Server b/s1 is UP (leaving forced drain).`,
		`5 Server b/s5 is UP (leaving forced drain).`)
	must(t, b.Server("s2").SetAdmin("maint"))
	must(t, b.Server("s3").SetAdmin("maint"))
	must(t, b.Server("s1").SetAdmin("maint"))
	got := r.take()
	lines(t, got[:2],
		`5 Server b/s2 was DOWN and now enters maintenance.`,
		`1 Server b/s3 is going DOWN for maintenance. 2 active and 1 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.`)
	if !strings.Contains(got[3], "0 active and 1 backup servers left. Running on backup. 0 sessions") {
		t.Errorf("no word about the backup: %s", got[3])
	}
}

func TestForcedHealth(t *testing.T) {
	b, _, r := simple(t, "roundrobin", 1, checked)
	s := b.Servers[0]
	must(t, s.SetHealth("down"))
	must(t, s.SetHealth("up"))
	must(t, s.SetHealth("stopping"))
	lines(t, r.take(),
		`1 Server b/s1 is DOWN, changed from CLI. 0 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.`,
		`0 backend b has no server available!`,
		`5 Server b/s1 is UP, changed from CLI. 1 active and 0 backup servers online. 0 sessions requeued, 0 total in queue.`,
		`5 Server b/s1 is stopping, changed from CLI. 0 active and 0 backup servers online. 0 sessions requeued, 0 total in queue.`,
		`0 backend b has no server available!`)
	same(t, "agent", s.SetAgent("up"), "agent checks are not enabled on this server.")
	same(t, "unknown", s.SetHealth("foo"), "'set server <srv> health' expects 'up', 'stopping', or 'down'.")
}

func TestConditionalCheck(t *testing.T) {
	b, _, r := simple(t, "roundrobin", 2, func(i int, s *model.Server) { s.Check.Enabled = true; s.Cookie = s.Name })
	s := b.Servers[0]
	s.CheckDone(CheckReport{Status: CheckL7OKConditional, Code: 404})
	lines(t, r.take(), `5 Server b/s1 is stopping, reason: Layer7 check conditionally passed, code: 404, check duration: 0ms. 1 active and 0 backup servers online. 0 sessions requeued, 0 total in queue.`)
	same(t, "status", b.Snapshot(0).Servers[0].Status, "NOLB")
	for range 3 {
		if got, _, _ := b.Pick(&Choice{}, nil); got != b.Servers[1] {
			t.Error("a stopping server got new traffic")
		}
	}
	ch := Choice{Cookie: []byte("s1")}
	if got, _, _ := b.Pick(&ch, nil); got != s || ch.CookieState != CookieValid || !ch.Persistent {
		t.Errorf("persistent traffic went to %v, %v", got, ch)
	}
}

func TestAgent(t *testing.T) {
	b, _, r := simple(t, "roundrobin", 1, func(i int, s *model.Server) {
		s.Agent.Enabled = true
		s.Weight = weight(10)
	})
	s := b.Servers[0]
	s.AgentDone(AgentReport{Status: CheckL7OK, Weight: "50%"})
	same(t, "weight", s.Weight(), 5)
	s.AgentDone(AgentReport{Status: CheckL4Con, Info: "Connection refused"})
	same(t, "an agent that cannot be reached", r.take(), "[]")
	s.AgentDone(AgentReport{Status: CheckL7OK, Oper: "down", Reason: "too hot"})
	lines(t, r.take(),
		`1 Server b/s1 is DOWN, reason: Layer7 wrong status, code: 0, info: "down (too hot)", check duration: 0ms. 0 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.`,
		`0 backend b has no server available!`)
	same(t, "status", b.Snapshot(0).Servers[0].Status, "DOWN (agent)")
	s.AgentDone(AgentReport{Status: CheckL7OK, Oper: "up", Weight: "100%"})
	if up := s.Up(); !up || s.Weight() != 10 {
		t.Error("the agent's up did nothing", up, s.Weight())
	}
	r.take()
	s.AgentDone(AgentReport{Status: CheckL7OK, Admin: "drain"})
	same(t, "drain", r.take()[0], `5 Server b/s1 enters drain state. 0 active and 0 backup servers online. 0 sessions requeued, 0 total in queue.`)
	same(t, "status", b.Snapshot(0).Servers[0].Status, "DRAIN (agent)")
}

func TestOnError(t *testing.T) {
	for _, test := range []struct {
		onError string
		want    []string // after each group of 3 errors
	}{
		{"", []string{"UP 2/3", "UP 1/3", "DOWN"}},
		{"fail-check", []string{"UP 2/3", "UP 1/3", "DOWN"}},
		{"fastinter", []string{"UP", "UP", "UP"}},
		{"sudden-death", []string{"UP 1/3", "DOWN"}},
		{"mark-down", []string{"DOWN"}},
	} {
		b, _, r := simple(t, "roundrobin", 1, func(i int, s *model.Server) {
			s.Check.Enabled, s.Check.FastInter = true, time.Millisecond
			s.Observe, s.OnError, s.ErrorLimit = "layer7", test.onError, 3
		})
		s := b.Servers[0]
		kicks := 0
		s.SetCheckKick(func() { kicks++ })
		s.CheckDone(CheckReport{Status: CheckL4OK})
		for i, want := range test.want {
			s.Observe(HanaHTTPStatus)
			s.Observe(HanaHTTPOK) // forgives
			for range 3 {
				srv, _, err := b.Pick(&Choice{}, nil)
				if err != nil {
					t.Fatal(err)
				}
				srv.Finish(&Result{Hana: HanaHTTPStatus, Status: 500, Session: true})
			}
			if got := b.Snapshot(0).Servers[0].Status; got != want {
				t.Errorf("on-error %q: after %d times 3 errors %s, want %s", test.onError, i+1, got, want)
			}
			if kicks != i+1 {
				t.Errorf("on-error %q: %d checks were hurried, want %d", test.onError, kicks, i+1)
			}
		}
		if test.onError == "mark-down" {
			same(t, "event", r.take()[0], `1 Server b/s1 is DOWN, reason: Health analyze, info: "Detected 3 consecutive errors, last one was: Wrong http response". 0 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.`)
		}
	}
}

func TestSlowStart(t *testing.T) {
	b, c, _ := simple(t, "roundrobin", 2, func(i int, s *model.Server) {
		s.Weight, s.MaxConn = weight(10), 100
		if i == 1 {
			s.SlowStart, s.Check.Enabled = 20*time.Second, true
		}
	})
	s := b.Servers[0]
	must(t, s.SetHealth("down"))
	must(t, s.SetHealth("up"))
	var weights, limits, throttles []int
	for range 11 {
		b.Tick(c.now)
		v := b.Snapshot(c.now).Servers[0]
		weights, throttles = append(weights, v.Weight), append(throttles, v.Throttle)
		ch := Choice{}
		srv, _, _ := b.Pick(&ch, nil)
		srv.Finish(&Result{Session: true})
		limits = append(limits, b.Snapshot(c.now).Servers[0].Limit)
		c.step(2 * time.Second)
	}
	same(t, "weights", weights, "[1 2 3 4 5 6 7 8 9 10 10]")
	same(t, "throttle", throttles, "[6 12 25 31 43 56 62 75 81 93 -1]")
	same(t, "limits", limits, "[1 10 20 30 40 50 60 70 80 90 100]")
	if next := b.Tick(c.now); next != 0 {
		t.Error("it still warms up")
	}
}

func TestMarkedDownAndUp(t *testing.T) {
	closed, backups := 0, 0
	c := newClock()
	p := &model.Proxy{Backend: model.Backend{Servers: servers(1, func(i int, s *model.Server) {
		s.Check.Enabled = true
		s.OnMarkedDown, s.OnMarkedUp = "shutdown-sessions", "shutdown-backup-sessions"
	})}}
	var b *Backend
	b = newTest(t, p, Options{Now: c.Now,
		CloseSessions:       func(s *Server) { closed++; b.Snapshot(0) }, // must not deadlock
		CloseBackupSessions: func(*Backend) { backups++; b.Usable() },
	})
	must(t, b.Servers[0].SetHealth("down"))
	must(t, b.Servers[0].SetHealth("up"))
	must(t, b.Servers[0].SetAdmin("maint"))
	must(t, b.Servers[0].SetAdmin("ready"))
	same(t, "callbacks", []int{closed, backups}, "[2 2]")
}

func TestTrackAcrossBackends(t *testing.T) {
	c, r := newClock(), &recorder{}
	mk := func(name string, track string) *Backend {
		p := &model.Proxy{Name: name, Kind: model.KindBackend, Backend: model.Backend{Servers: servers(1, func(i int, s *model.Server) {
			s.Check.Enabled, s.Track = track == "", track
		})}}
		b, err := New(p, Options{Now: c.Now, Event: r.event})
		must(t, err)
		return b
	}
	a, b, d := mk("a", ""), mk("b", "a/s1"), mk("d", "b/s1")
	must(t, Link([]*Backend{a, b, d}))
	a.Servers[0].CheckDone(refused)
	same(t, "statuses", []string{a.Snapshot(0).Servers[0].Status, b.Snapshot(0).Servers[0].Status, d.Snapshot(0).Servers[0].Status}, "[DOWN DOWN DOWN]")
	var down []string
	for _, e := range r.take() {
		if strings.Contains(e, "is DOWN") {
			down = append(down, strings.TrimLeft(e[:32], "1 "))
		}
	}
	same(t, "events", strings.Join(down, "|"), "Server a/s1 is DOWN, reason: L|Server b/s1 is DOWN via a/s1. |Server d/s1 is DOWN via b/s1. ")
	x, y := mk("x", "y/s1"), mk("y", "x/s1")
	if err := Link([]*Backend{x, y}); err == nil {
		t.Error("a circle of tracking was accepted")
	}
	if err := Link([]*Backend{mk("z", "nobody/s1")}); err == nil {
		t.Error("tracking an unknown server was accepted")
	}
}

func TestLogHealthChecks(t *testing.T) {
	b, _, r := simple(t, "roundrobin", 1, checked)
	b.Model.Options.LogHealthChecks = true
	s := b.Servers[0]
	s.CheckDone(CheckReport{Status: CheckL7OK, Code: 200})
	s.CheckDone(CheckReport{Status: CheckL7OK, Code: 200})
	s.CheckDone(CheckReport{Status: CheckL7Status, Code: 500, Info: "x"})
	s.CheckDone(CheckReport{Status: CheckL7Status, Code: 500, Info: "x"})
	s.CheckDone(CheckReport{Status: CheckL7Status, Code: 500, Info: "x"})
	lines(t, r.take(),
		`5 Health check for server b/s1 succeeded, reason: Layer7 check passed, code: 200, check duration: 0ms, status: 3/3 UP.`,
		`5 Health check for server b/s1 failed, reason: Layer7 wrong status, code: 500, info: "x", check duration: 0ms, status: 2/3 UP.`,
		`5 Health check for server b/s1 failed, reason: Layer7 wrong status, code: 500, info: "x", check duration: 0ms, status: 1/3 UP.`,
		`5 Health check for server b/s1 failed, reason: Layer7 wrong status, code: 500, info: "x", check duration: 0ms, status: 0/2 DOWN.`,
		`1 Server b/s1 is DOWN. 0 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue.`,
		`0 backend b has no server available!`)
}

func TestLateCheckResults(t *testing.T) {
	b, _, r := simple(t, "roundrobin", 1, checked)
	s := b.Servers[0]
	must(t, s.SetAdmin("maint"))
	r.take()
	s.CheckDone(refused)
	s.CheckDone(CheckReport{Status: CheckL4OK})
	same(t, "events in maintenance", r.take(), "[]")
	must(t, s.SetAdmin("ready"))
	same(t, "after it", b.Snapshot(0).Servers[0].Status, "UP 1/3")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
