package e2e

import (
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestRuntimeUnderLoad: servers are taken out, brought back and re-weighted
// while requests come; none fails.
func TestRuntimeUnderLoad(t *testing.T) {
	t.Parallel()
	a, b := serve(t, hello), serve(t, hello)
	addr := freeAddr(t)
	d := start(t, evenkeel, fmt.Sprintf("listen web\n    bind %s\n    no log\n    balance roundrobin\n    server a %s\n    server b %s\n", addr, a.addr, b.addr))
	l := newLoad(t, addr)
	l.more(t, 100)
	total := func(s string) string { return d.stat("web", s, "stot") }
	for range 5 {
		d.ctl("disable server web/a")
		if s := d.stat("web", "a", "status"); s != "MAINT" {
			t.Fatalf("status %s", s)
		}
		l.round(t) // what was on its way is over
		was := total("a")
		l.more(t, 100)
		if now := total("a"); now != was {
			t.Fatalf("a disabled server got requests: %s, then %s", was, now)
		}
		d.ctl("enable server web/a")
		d.ctl("set weight web/b 0")
		l.round(t)
		was = total("b")
		l.more(t, 100)
		if now := total("b"); now != was {
			t.Fatalf("a server of weight 0 got requests: %s, then %s", was, now)
		}
		d.ctl("set weight web/b 100%; set server web/a state drain; show info; set server web/a state ready")
		for range 20 {
			d.ctl("show sess")
			d.ctl("show stat")
			d.ctl("show servers state")
		}
		l.clean(t, "after a round")
	}
	l.end()
	l.clean(t, "at the end")
}

// TestShutdownSession: the administrator ends a connection.
func TestShutdownSession(t *testing.T) {
	for _, p := range programs() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			o := serve(t, hold)
			addr := freeAddr(t)
			d := start(t, p, fmt.Sprintf("listen web\n    bind %s\n    timeout client 8s\n    timeout server 8s\n    server s %s\n", addr, o.addr))
			c := dial(t, addr)
			c.get("/")
			until(t, "it is under way", func() bool { return len(o.notes()) == 1 })
			var id string
			d.until("the session is shown", func() bool {
				for _, line := range strings.Split(d.ctl("show sess"), "\n") {
					if strings.Contains(line, "fe=web") {
						id, _, _ = strings.Cut(line, ":")
					}
				}
				return id != ""
			})
			d.ctl("shutdown session " + id)
			c.all()
			if got := d.logs.await(t, "web", 1); !strings.Contains(got[0], " K") {
				t.Errorf("log %q", got)
			}
		})
	}
}

// TestMarkedDown: on-marked-down shutdown-sessions cuts what a server carries,
// shutdown sessions server does on demand.
func TestMarkedDown(t *testing.T) {
	for _, p := range programs() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			o := serve(t, upgraded)
			addr := freeAddr(t)
			d := start(t, p, fmt.Sprintf("listen web\n    bind %s\n    server s %s on-marked-down shutdown-sessions check inter 60s\n", addr, o.addr))
			c := dial(t, addr)
			c.upgrade()
			d.ctl("set server web/s health down")
			c.all()
			if got := d.logs.await(t, "web", 1); !strings.HasPrefix(got[0], "101 D") {
				t.Errorf("log %q", got)
			}
			d.ctl("set server web/s health up")
			c = dial(t, addr)
			c.upgrade()
			d.ctl("shutdown sessions server web/s")
			c.all()
			if got := d.logs.await(t, "web", 2); !strings.HasPrefix(got[1], "101 K") {
				t.Errorf("log %q", got)
			}
		})
	}
}

// TestHealthChecks: a server whose check fails gets nothing, and is back when
// it works again.
func TestHealthChecks(t *testing.T) {
	for _, p := range programs() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			var sick atomic.Bool
			answer := func(name string, mayFail bool) func(*oconn) {
				return func(c *oconn) {
					for {
						q, _, err := c.request()
						if err != nil {
							return
						}
						if q.URL.Path == "/health" && mayFail && sick.Load() {
							c.say("HTTP/1.1 500 Sick\r\nContent-Length: 0\r\n\r\n")
							continue
						}
						c.ok(name)
					}
				}
			}
			a, b := serve(t, answer("a", true)), serve(t, answer("b", false))
			addr := freeAddr(t)
			d := start(t, p, fmt.Sprintf(`
listen web
    bind %s
    balance roundrobin
    option httpchk GET /health
    timeout check 20s
    default-server check inter 1s fall 2 rise 2
    server a %s
    server b %s
`, addr, a.addr, b.addr))
			c := dial(t, addr)
			both := func() bool {
				seen := map[string]bool{}
				for range 4 {
					c.get("/")
					_, body, err := c.response()
					if err != nil {
						t.Fatal(err)
					}
					seen[body] = true
				}
				return len(seen) == 2
			}
			if !both() {
				t.Error("one server gets everything")
			}
			sick.Store(true)
			d.until("a is down", func() bool { return strings.HasPrefix(d.stat("web", "a", "status"), "DOWN") })
			if both() {
				t.Error("a server that is down gets requests")
			}
			d.logs.find(t, "Server web/a is DOWN, reason: Layer7 wrong status, code: 500")
			sick.Store(false)
			d.until("a is up", func() bool { return d.stat("web", "a", "status") == "UP" })
			d.logs.find(t, "Server web/a is UP, reason: Layer7 check passed, code: 200")
			if !both() {
				t.Error("one server gets everything")
			}
		})
	}
}

// TestCookies: persistence, and where a client goes whose server is down.
func TestCookies(t *testing.T) {
	for _, p := range programs() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			name := func(n string) func(*oconn) {
				return func(c *oconn) {
					for {
						q, _, err := c.request()
						if err != nil {
							return
						}
						if v := q.Header.Get("Cookie"); strings.Contains(v, "SRV=") {
							c.t.Errorf("the server sees %q", v)
						}
						c.ok(n)
					}
				}
			}
			a, b := serve(t, name("a")), serve(t, name("b"))
			addr := freeAddr(t)
			d := start(t, p, fmt.Sprintf("listen web\n    bind %s\n    cookie SRV insert indirect nocache\n    option redispatch\n    server a %s cookie A\n    server b %s cookie B\n", addr, a.addr, b.addr))
			c := dial(t, addr)
			ask := func(cookie, want, set string) {
				t.Helper()
				if cookie == "" {
					c.get("/")
				} else {
					c.get("/", "Cookie: x=y; SRV="+cookie+"; z=1")
				}
				r := c.want(200, want)
				if got := r.Header.Get("Set-Cookie"); got != set {
					t.Errorf("cookie %q: Set-Cookie %q, want %q", cookie, got, set)
				}
			}
			ask("", "a", "SRV=A; path=/")
			for range 3 {
				ask("B", "b", "")
				ask("A", "a", "")
			}
			d.ctl("set server web/a state maint")
			ask("A", "b", "SRV=B; path=/")
			ask("B", "b", "")
			d.ctl("set server web/a state ready")
			ask("A", "a", "")
			ask("nobody", "b", "SRV=B; path=/")
			want := []string{"200 --NI", "200 --VN", "200 --VN", "200 --VN", "200 --VN", "200 --VN", "200 --VN", "200 --DI", "200 --VN", "200 --VN", "200 --II"}
			if got := d.logs.await(t, "web", len(want)); strings.Join(got, ",") != strings.Join(want, ",") {
				t.Errorf("log %q, want %q", got, want)
			}
		})
	}
}

// TestDisableFrontend: a frontend that is disabled over the runtime API
// refuses nobody that it has, and takes new ones again when it is enabled.
func TestDisableFrontend(t *testing.T) {
	o := serve(t, hello)
	addr := freeAddr(t)
	d := start(t, evenkeel, fmt.Sprintf("listen web\n    bind %s\n    server s %s\n", addr, o.addr))
	c := dial(t, addr)
	c.get("/")
	c.want(200, "hello")
	d.ctl("disable frontend web")
	c.get("/")
	c.want(200, "hello")
	waiting := dial(t, addr)
	waiting.get("/")
	d.ctl("enable frontend web")
	waiting.want(200, "hello")
	if err := syscall.Kill(d.cmd.Process.Pid, 0); err != nil {
		t.Error(err)
	}
}
