package e2e

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// single is one event loop, so that idle server connections are in one place.
const single = "global\n    nbthread 1\n"

// TestReuse counts the server's connections for each http-reuse mode: two
// clients that send two requests each, one after the other, and a third whose
// only request is its first.
func TestReuse(t *testing.T) {
	for _, p := range programs() {
		for _, r := range []struct {
			mode string
			want int64
		}{
			{"never", 3},
			// A first request gets no connection of others; later ones do.
			{"safe", 3},
			// The first client's connection has served a second request.
			{"aggressive", 1},
			{"always", 1},
		} {
			t.Run(p.name+"/"+r.mode, func(t *testing.T) {
				t.Parallel()
				o := serve(t, echo)
				addr := freeAddr(t)
				start(t, p, fmt.Sprintf("%slisten web\n    bind %s\n    http-reuse %s\n    server s %s\n", single, addr, r.mode, o.addr))
				a, b, c := dial(t, addr), dial(t, addr), dial(t, addr)
				for range 2 {
					a.get("/a")
					a.want(200, "GET /a ")
				}
				for range 2 {
					b.get("/b")
					b.want(200, "GET /b ")
				}
				c.get("/c")
				c.want(200, "GET /c ")
				if n := o.conns.Load(); n != r.want {
					t.Errorf("%d server connections, want %d", n, r.want)
				}
			})
		}
	}
}

// TestReuseAggressive: a connection that two sessions have used well is given
// to a session's first request.
func TestReuseAggressive(t *testing.T) {
	for _, p := range programs() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			o := serve(t, echo)
			addr := freeAddr(t)
			start(t, p, fmt.Sprintf("%slisten web\n    bind %s\n    http-reuse aggressive\n    server s %s\n", single, addr, o.addr))
			a, b := dial(t, addr), dial(t, addr)
			for _, c := range []*client{a, b, a, b, a, b} {
				c.get("/")
				c.want(200, "GET / ")
			}
			n := o.conns.Load()
			c := dial(t, addr)
			c.get("/")
			c.want(200, "GET / ")
			if after := o.conns.Load(); after != n || n > 2 {
				t.Errorf("%d connections, then %d", n, after)
			}
		})
	}
}

// TestPrivate: a connection that NTLM authenticated belongs to its client.
func TestPrivate(t *testing.T) {
	o := serve(t, func(c *oconn) {
		for {
			if _, _, err := c.request(); err != nil {
				return
			}
			c.say("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: %d\r\n\r\n%d", len(fmt.Sprint(c.n)), c.n)
		}
	})
	addr := freeAddr(t)
	start(t, evenkeel, fmt.Sprintf("%slisten web\n    bind %s\n    http-reuse always\n    server s %s\n", single, addr, o.addr))
	a, b := dial(t, addr), dial(t, addr)
	for range 3 {
		a.get("/")
		a.want(401, "1")
		b.get("/")
		b.want(401, "2")
	}
}

// TestReuseRace: the server closes its idle connection in the moment in which
// the next request is sent on it. What may be repeated is repeated, silently;
// a POST is not sent twice.
func TestReuseRace(t *testing.T) {
	race := func(c *oconn) {
		q, _, err := c.request()
		if err != nil {
			return
		}
		if c.n == 1 {
			c.ok("first")
			// The next request finds the connection open and then dies with it.
			if _, _, err := c.request(); err != nil {
				return
			}
			c.note("swallowed")
			return
		}
		c.note(q.Method)
		c.ok("again")
		c.halt()
	}
	play(t, []scenario{
		{
			name: "GET", server: race,
			client:   func(c *client) { c.get("/"); c.want(200, "first"); c.get("/"); c.want(200, "again"); c.Close() },
			check:    wantNotes("swallowed", "GET"),
			log:      []string{"200 ----", "200 ----"},
			onlyOurs: true, why: "HAProxy closes towards the client, which may repeat the request",
		}, {
			name: "DELETE", server: race,
			client: func(c *client) {
				c.get("/")
				c.want(200, "first")
				c.send("DELETE / HTTP/1.1\r\nHost: h\r\n\r\n")
				c.want(200, "again")
				c.Close()
			},
			check: wantNotes("swallowed", "DELETE"),
			log:   []string{"200 ----", "200 ----"}, onlyOurs: true,
		}, {
			name: "POST", cfg: "timeout http-keep-alive 2s", server: race,
			client: func(c *client) {
				c.get("/")
				c.want(200, "first")
				c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
				c.all()
			},
			check: wantNotes("swallowed"),
		},
	})
}

func wantNotes(want ...string) func(*testing.T, *origin) {
	return func(t *testing.T, o *origin) {
		t.Helper()
		if got := strings.Join(o.notes(), " "); got != strings.Join(want, " ") {
			t.Errorf("the server noted %q, want %q", got, want)
		}
	}
}

// TestServerCloses: a server that closes after each answer, without saying so,
// while a client goes on. No request may fail.
func TestServerCloses(t *testing.T) {
	o := serve(t, func(c *oconn) {
		for range 3 {
			if _, _, err := c.request(); err != nil {
				return
			}
			c.ok("hello")
		}
	})
	addr := freeAddr(t)
	start(t, evenkeel, fmt.Sprintf("listen web\n    bind %s\n    http-reuse always\n    server s %s\n", addr, o.addr))
	var clients []*client
	for range 8 {
		clients = append(clients, dial(t, addr))
	}
	for range 100 {
		for _, c := range clients {
			c.get("/")
		}
		for _, c := range clients {
			c.want(200, "hello")
		}
	}
}

// TestRetries: attempts, their waits, and where they go.
func TestRetries(t *testing.T) {
	dead := func(t *testing.T) string { return freeAddr(t) }
	firstFails := func(how func(c *oconn)) func(*oconn) {
		return func(c *oconn) {
			q, _, err := c.request()
			if err != nil {
				return
			}
			c.note(q.Method)
			if c.n == 1 {
				how(c)
				return
			}
			c.ok("again")
			c.halt()
		}
	}
	again := func(c *client) { c.get("/", "Connection: close"); c.wantStatus(200) }
	post := func(status int) func(*client) {
		return func(c *client) {
			c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")
			c.wantStatus(status)
		}
	}
	const fmtRetries = "\nlog-format \"%f %ST %tsc %s %rc ;%B\""
	one, other := serve(t, echo), serve(t, echo)
	play(t, []scenario{
		{
			name: "connection refused, three times", cfg: "retries 3\ntimeout connect 1s" + fmtRetries,
			client: justGet(503), log: []string{"503 SC-- s 3"},
		}, {
			name: "redispatch at the last attempt", cfg: "retries 2\ntimeout connect 1s\noption redispatch\nbalance source" + fmtRetries +
				"\ncookie SRV insert\nserver dead " + dead(t) + " cookie d\nserver s " + one.addr + " cookie s",
			client: func(c *client) { c.get("/", "Connection: close", "Cookie: SRV=d"); c.wantStatus(200) },
			log:    []string{"200 --DI s +2"},
		}, {
			name: "no redispatch", cfg: "retries 2\ntimeout connect 1s\nno option redispatch" + fmtRetries +
				"\ncookie SRV insert\nserver dead " + dead(t) + " cookie d\nserver s " + other.addr + " cookie s",
			client: func(c *client) { c.get("/", "Connection: close", "Cookie: SRV=d"); c.wantStatus(503) },
			log:    []string{"503 SCVN dead 2"},
		}, {
			name: "redispatch 1", cfg: "retries 2\ntimeout connect 1s\noption redispatch 1" + fmtRetries +
				"\ncookie SRV insert\nserver dead " + dead(t) + " cookie d\nserver s " + other.addr + " cookie s",
			client: func(c *client) { c.get("/", "Connection: close", "Cookie: SRV=d"); c.wantStatus(200) },
			log:    []string{"200 --DI s +1"},
		}, {
			name: "no retry-on for an empty answer", cfg: "retries 2" + fmtRetries,
			server: firstFails(func(c *oconn) {}), client: justGet(502),
			log: []string{"502 SH-- s 0"}, check: wantNotes("GET"),
		}, {
			name: "retry-on empty-response", cfg: "retries 2\nretry-on empty-response" + fmtRetries,
			server: firstFails(func(c *oconn) {}), client: again,
			log: []string{"200 ---- s 1"}, check: wantNotes("GET", "GET"),
		}, {
			name: "retry-on empty-response, POST", cfg: "retries 2\nretry-on empty-response" + fmtRetries,
			server: firstFails(func(c *oconn) {}), client: post(200),
			log: []string{"200 ---- s 1"}, check: wantNotes("POST", "POST"),
		}, {
			name:   "retry-on empty-response, disable-l7-retry for POST",
			cfg:    "retries 2\nretry-on empty-response\nhttp-request disable-l7-retry if METH_POST" + fmtRetries,
			server: firstFails(func(c *oconn) {}), client: post(502),
			log: []string{"502 SH-- s 0"}, check: wantNotes("POST"),
		}, {
			name: "retry-on junk-response", cfg: "retries 2\nretry-on junk-response" + fmtRetries,
			server: firstFails(func(c *oconn) { c.say("junk\r\n\r\n"); c.halt() }), client: again,
			log: []string{"200 ---- s 1"}, check: wantNotes("GET", "GET"),
		}, {
			name: "retry-on response-timeout", cfg: "retries 2\ntimeout server 2s\nretry-on response-timeout" + fmtRetries,
			server: firstFails(func(c *oconn) { c.halt() }), client: again,
			log: []string{"200 ---- s 1"}, check: wantNotes("GET", "GET"),
		}, {
			name: "retry-on 503", cfg: "retries 2\nretry-on 503" + fmtRetries,
			server: firstFails(func(c *oconn) { c.say("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"); c.halt() }), client: again,
			log: []string{"200 ---- s 1"}, check: wantNotes("GET", "GET"),
		}, {
			name: "retry-on 503, always", cfg: "retries 2\nretry-on 503" + fmtRetries,
			server: func(c *oconn) {
				c.head()
				c.note("x")
				c.say("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
				c.halt()
			},
			client: justGet(503), log: []string{"503 ---- s 2"}, check: wantNotes("x", "x", "x"),
		}, {
			name: "retry-on all-retryable-errors, a body that does not fit", cfg: "retries 2\nretry-on all-retryable-errors" + fmtRetries,
			server: firstFails(func(c *oconn) {}),
			client: func(c *client) {
				c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\nConnection: close\r\n\r\n" + strings.Repeat("x", 100000))
				c.wantStatus(502)
			},
			log: []string{"502 SH-- s 0"}, check: wantNotes("POST"),
		}, {
			name: "a started response is not repeated", cfg: "retries 2\nretry-on all-retryable-errors" + fmtRetries,
			server: firstFails(func(c *oconn) { c.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345"); c.await() }),
			client: wantCut("200", "12345"),
			log:    []string{"200 SD-- s 0"}, check: wantNotes("GET"),
		},
	})
}

// TestQueue: a server that is full, and those who wait for it.
func TestQueue(t *testing.T) {
	play(t, []scenario{{
		name: "time-out in the queue", cfg: "timeout queue 150ms\nserver s {server} maxconn 1",
		server: func(c *oconn) { c.head(); c.note("request"); c.await(); c.ok("done"); c.halt() },
		client: func(c *client) {
			c.get("/1")
			c.awaitNote()
			second := dial(c.t, c.RemoteAddr().String())
			second.get("/2", "Connection: close")
			second.wantStatus(503)
			c.cue()
			c.want(200, "done")
			c.Close()
		},
		log: []string{"503 sQ--", "200 ----"},
	}, {
		name: "leaves the queue, abortonclose", cfg: "timeout queue 30s\noption abortonclose\nserver s {server} maxconn 1",
		server: func(c *oconn) { c.head(); c.note("request"); c.await(); c.ok("done"); c.halt() },
		client: func(c *client) {
			c.get("/1")
			c.awaitNote()
			second := dial(c.t, c.RemoteAddr().String())
			second.get("/2")
			second.closeWrite()
			second.all()
			c.cue()
			c.want(200, "done")
			c.Close()
		},
		log:      []string{"-1 CQ--", "200 ----"},
		onlyOurs: true, why: "HAProxy 2.6 does not notice a half-close in the queue",
	}})
}

// TestQueueOrder: who waits longest goes first.
func TestQueueOrder(t *testing.T) {
	for _, p := range programs() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			o := serve(t, func(c *oconn) {
				q, _, err := c.request()
				if err != nil {
					return
				}
				c.note(q.URL.Path)
				c.await()
				c.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			})
			addr := freeAddr(t)
			d := start(t, p, fmt.Sprintf("%slisten web\n    bind %s\n    server s %s maxconn 1\n", single, addr, o.addr))
			var all []*client
			for i := range 6 {
				c := dial(t, addr)
				c.get(fmt.Sprintf("/%d", i), "Connection: close")
				all = append(all, c)
				if i == 0 {
					until(t, "the first is served", func() bool { return len(o.notes()) == 1 })
				} else {
					until(t, "the next waits", func() bool { return d.stat("web", "BACKEND", "qcur") == fmt.Sprint(i) })
				}
			}
			for _, c := range all {
				o.cues <- struct{}{}
				c.wantStatus(200)
			}
			if got := strings.Join(o.notes(), " "); got != "/0 /1 /2 /3 /4 /5" {
				t.Errorf("order %s", got)
			}
			if n := d.stat("web", "s", "smax"); n != "1" {
				t.Errorf("%s at a time", n)
			}
		})
	}
}

// TestFrontendMaxconn: more connections than maxconn wait in the kernel, and
// are served when others end.
func TestFrontendMaxconn(t *testing.T) {
	for _, p := range programs() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			o := serve(t, echo)
			addr := freeAddr(t)
			d := start(t, p, fmt.Sprintf("frontend web\n    bind %s\n    maxconn 3\n    timeout client 8s\n    default_backend b\nbackend b\n    server s %s\n", addr, o.addr))
			var all []*client
			for i := range 10 {
				c := dial(t, addr)
				io.WriteString(c, fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", i))
				all = append(all, c)
			}
			for i, c := range all {
				c.want(200, fmt.Sprintf("GET /%d ", i))
				c.Close()
			}
			// Two threads may each accept one at the same moment.
			if n := d.stat("web", "FRONTEND", "smax"); n != "3" && n != "4" {
				t.Errorf("up to %s sessions with maxconn 3", n)
			}
		})
	}
}
