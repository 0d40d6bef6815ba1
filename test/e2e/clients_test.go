package e2e

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// hold reads a request, tells that it came, and never answers.
func hold(c *oconn) {
	if c.head() != "" {
		c.note("request")
		c.halt()
	}
}

// awaitNote waits until the server has seen something.
func (c *client) awaitNote() {
	c.t.Helper()
	until(c.t.(*testing.T), "the server sees the request", func() bool { return len(c.origin.notes()) > 0 })
}

// TestClients: clients that are slow, leave, or flood.
func TestClients(t *testing.T) {
	play(t, []scenario{
		{
			name: "slow head", cfg: "timeout http-request 2s", server: echo,
			client: func(c *client) { c.send("GET / HT"); c.wantStatus(408) },
			log:    []string{"408 cR--"},
		}, {
			name: "slow head, timeout client only", cfg: "timeout client 2s", server: echo,
			client: func(c *client) { c.send("GET / HT"); c.wantStatus(408) },
			log:    []string{"408 cR--"},
		}, {
			name: "silent", cfg: "timeout http-request 200ms", server: echo,
			client: func(c *client) { c.wantStatus(408) },
			log:    []string{"408 cR--"},
		}, {
			name: "silent, http-ignore-probes", cfg: "timeout http-request 200ms\noption http-ignore-probes", server: echo,
			client: func(c *client) { c.wantEOF(); c.origin.note("gone") },
		}, {
			name: "a head trickling for longer than its time", cfg: "timeout http-request 300ms", server: echo,
			client: func(c *client) {
				c.send("GET / HTTP/1.1\r\nHost: h\r\n")
				go func() {
					for {
						if _, err := io.WriteString(c.Conn, "X: y\r\n"); err != nil {
							return
						}
					}
				}()
				got, _ := c.all()
				// The flood may meet the size limit first.
				if !strings.HasPrefix(got, "HTTP/1.1 408 ") && !strings.HasPrefix(got, "HTTP/1.1 400 ") && got != "" {
					c.t.Errorf("got %q", got)
				}
			},
		}, {
			name: "idle between requests", cfg: "timeout http-keep-alive 200ms", server: echo,
			client: func(c *client) { c.get("/"); c.want(200, "*"); c.wantEOF() },
			log:    []string{"200 ----"},
		}, {
			name: "slow second head", cfg: "timeout http-request 2s", server: echo,
			client: func(c *client) { c.get("/"); c.want(200, "*"); c.send("GET /"); c.wantStatus(408) },
			log:    []string{"200 ----", "408 cR--"},
		}, {
			name: "slow body", cfg: "timeout client 2s", server: echo,
			client: func(c *client) {
				c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345")
				c.wantStatus(408)
			},
			log:      []string{"408 cH--"},
			onlyOurs: true, why: "HAProxy's manual says cH; its 2.6 waits for timeout server",
		}, {
			name: "slow body with http-buffer-request", cfg: "timeout http-request 2s\noption http-buffer-request", server: echo,
			client: func(c *client) {
				c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345")
				c.wantStatus(408)
			},
			log: []string{"408 cR--"},
		}, {
			name: "leaves in the head", server: echo,
			client: func(c *client) { c.send("GET / HTTP/1.1\r\nHo"); c.closeWrite(); c.all() },
			log:    []string{"400 CR--"},
		}, {
			name: "resets in the head", server: echo,
			client: func(c *client) { c.send("GET / HTTP/1.1\r\nHo"); c.reset() },
			log:    []string{"400 CR--"},
		}, {
			name: "leaves in the body", server: echo,
			client: func(c *client) {
				c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345")
				c.closeWrite()
				c.all()
			},
			log:      []string{"-1 CD--"},
			onlyOurs: true, why: "HAProxy 2.6 says D or L, as it happens",
		}, {
			name: "resets in the body", server: hold,
			client: func(c *client) {
				c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345")
				c.awaitNote()
				c.reset()
			},
			log: []string{"-1 CD--"},
		}, {
			name: "leaves before the answer, abortonclose", cfg: "option abortonclose", server: hold,
			client: func(c *client) { c.get("/"); c.awaitNote(); c.closeWrite(); c.all() },
			log:    []string{"400 CH--"},
		}, {
			name: "resets before the answer", server: hold, cfg: "option abortonclose",
			client:  func(c *client) { c.get("/"); c.awaitNote(); c.reset() },
			log:     []string{"400 CH--"},
			differs: []string{"-1 CD--"}, why: "no data flows yet",
		}, {
			name:   "half-closes and waits for its answer",
			server: func(c *oconn) { c.head(); c.await(); c.ok("late"); c.halt() },
			client: func(c *client) { c.get("/"); c.closeWrite(); c.cue(); c.want(200, "late"); c.wantEOF() },
			log:    []string{"200 ----"},
		}, {
			name: "leaves in the response",
			server: func(c *oconn) {
				c.head()
				c.say("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
				io.Copy(c.Conn, io.LimitReader(zeros{}, 100000000))
			},
			client: func(c *client) { c.get("/"); c.read("HTTP/1.1 200 OK\r\n"); c.reset() },
			log:    []string{"200 CD--"},
		}, {
			name: "does not read the response", cfg: "timeout client 2s",
			server: func(c *oconn) {
				c.head()
				c.say("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
				io.Copy(c.Conn, io.LimitReader(zeros{}, 100000000))
			},
			client: func(c *client) { c.get("/") },
			log:    []string{"200 cD--"},
		}, {
			name: "a head that is too large", server: echo,
			client: func(c *client) {
				c.send("GET / HTTP/1.1\r\nX: " + strings.Repeat("a", 20000) + "\r\n\r\n")
				c.wantStatus(400)
			},
			log: []string{"400 PR--"},
		}, {
			name: "too many fields", server: echo,
			client: func(c *client) {
				c.send("GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("X: y\r\n", 200) + "\r\n")
				c.wantStatus(400)
			},
			log: []string{"400 PR--"},
		}, {
			name: "as many fields as there may be", server: echo,
			client: func(c *client) {
				c.send("GET /ok HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" + strings.Repeat("X: y\r\n", 98) + "\r\n")
				c.wantStatus(200)
			},
			log: []string{"200 ----"},
		}, {
			name: "a flood of a head", server: echo,
			client: func(c *client) {
				io.WriteString(c.Conn, "GET / HTTP/1.1\r\nX: ")
				for i := 0; i < 1000; i++ {
					if _, err := io.WriteString(c.Conn, strings.Repeat("a", 64<<10)); err != nil {
						c.Close()
						return
					}
				}
				c.t.Error("64 MB of a head were taken")
			},
			log: []string{"400 PR--"},
		}, {
			name: "a byte at a time", server: echo,
			client: func(c *client) {
				for _, b := range []byte("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc") {
					c.Write([]byte{b})
				}
				c.want(200, "POST /x abc")
				c.Close()
			},
			log: []string{"200 ----"},
		}, {
			name: "chunks a byte at a time", server: echo,
			client: func(c *client) {
				for _, b := range []byte("POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\n1\r\nd\r\n0\r\nT: 1\r\n\r\n") {
					c.Write([]byte{b})
				}
				c.want(200, "POST /x abcd")
				c.Close()
			},
			log: []string{"200 ----"},
		}, {
			name: "a bad chunk in the middle", server: hold,
			client: func(c *client) {
				c.send("POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
				c.awaitNote()
				c.send("zz\r\n")
				c.wantStatus(400)
			},
			log: []string{"400 PH--"},
		}, {
			name: "pipelining a thousand", server: echo,
			client: func(c *client) {
				go func() {
					var b strings.Builder
					for i := range 1000 {
						if i%3 == 0 {
							fmt.Fprintf(&b, "POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", i)
						} else {
							fmt.Fprintf(&b, "GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", i)
						}
					}
					io.WriteString(c.Conn, b.String())
				}()
				for i := range 1000 {
					if i%3 == 0 {
						c.want(200, fmt.Sprintf("POST /%d abc", i))
					} else {
						c.want(200, fmt.Sprintf("GET /%d ", i))
					}
				}
			},
			check: func(t *testing.T, o *origin) {
				if n := o.requests.Load(); n != 1000 {
					t.Errorf("the server saw %d requests", n)
				}
				if n := o.conns.Load(); n > 3 {
					t.Errorf("over %d connections", n)
				}
			},
		}, {
			name: "100-continue", server: func(c *oconn) {
				h := c.head()
				if !strings.Contains(strings.ToLower(h), "expect: 100-continue") {
					c.t.Errorf("the server sees %q", h)
				}
				c.say("HTTP/1.1 100 Continue\r\n\r\n")
				b := make([]byte, 5)
				io.ReadFull(c.br, b)
				c.ok(string(b))
				c.halt()
			},
			client: func(c *client) {
				c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
				c.read("HTTP/1.1 100 Continue\r\n\r\n")
				c.send("hello")
				c.want(200, "hello")
				c.Close()
			},
			log: []string{"200 ----"},
		}, {
			name: "100-continue, refused", server: func(c *oconn) {
				c.head()
				c.say("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
				c.halt()
			},
			client: func(c *client) {
				c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
				c.want(417, "")
				c.Close()
			},
			log:     []string{"417 ----"},
			differs: []string{"417 CD--"}, why: "the whole answer was given before the client closed",
		}, {
			name: "100-continue answered for http-buffer-request", cfg: "option http-buffer-request", server: echo,
			client: func(c *client) {
				c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
				c.read("HTTP/1.1 100 ")
				readHead(c.br)
				c.send("hello")
				c.want(200, "POST / hello")
				c.Close()
			},
			log: []string{"200 ----"},
		}, {
			name: "HTTP/1.0", server: echo,
			client: func(c *client) {
				c.send("GET / HTTP/1.0\r\n\r\n")
				if got := c.wantStatus(200); !strings.HasSuffix(got, "GET / ") {
					c.t.Errorf("got %q", got)
				}
			},
			log: []string{"200 ----"},
		}, {
			name: "HTTP/1.0 keep-alive", server: echo,
			client: func(c *client) {
				for range 3 {
					c.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
					c.want(200, "GET / ")
				}
				c.closeWrite()
				c.wantEOF()
			},
			log: []string{"200 ----", "200 ----", "200 ----"},
		}, {
			name: "HTTP/1.0 and a chunked answer",
			server: func(c *oconn) {
				c.head()
				c.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
				c.halt()
			},
			client: func(c *client) {
				c.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
				got := c.wantStatus(200)
				if !strings.HasSuffix(got, "\r\n\r\nhello") || strings.Contains(strings.ToLower(got), "chunked") {
					c.t.Errorf("got %q", got)
				}
			},
			log:      []string{"200 ----"},
			onlyOurs: true, why: "HAProxy sends chunks to HTTP/1.0",
		}, {
			name: "empty lines before and behind requests", server: echo,
			client: func(c *client) {
				c.send("\r\n\r\nGET /1 HTTP/1.1\r\nHost: h\r\n\r\n")
				c.want(200, "GET /1 ")
				c.send("\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n")
				c.want(200, "GET /2 ")
				c.closeWrite()
				c.wantEOF()
			},
			log: []string{"200 ----", "200 ----"},
		}, {
			name: "leaves without a word, dontlognull", cfg: "option dontlognull", server: echo,
			client:   func(c *client) { c.closeWrite(); c.wantEOF() },
			log:      []string{},
			onlyOurs: true, why: "HAProxy answers 400 to nobody",
		}, {
			name: "leaves without a word", server: echo,
			client: func(c *client) { c.closeWrite(); c.all() },
			log:    []string{"400 CR--"},
		}, {
			name: "an upload of 5 MB, echoed while it comes",
			server: func(c *oconn) {
				c.head()
				c.say("HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n")
				io.CopyN(c.Conn, c.br, 5000000)
				c.halt()
			},
			client: func(c *client) {
				go func() {
					io.WriteString(c.Conn, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5000000\r\n\r\n")
					io.Copy(c.Conn, io.LimitReader(zeros{}, 5000000))
				}()
				r, b, err := c.response()
				if err != nil || len(b) != 5000000 {
					c.t.Errorf("%v: %d bytes, %v", r, len(b), err)
				}
				c.Close()
			},
			log: []string{"200 ----"},
		},
	})
}

// TestAbortPhases: a client leaves while its request waits for a connection or
// for its turn.
func TestAbortPhases(t *testing.T) {
	full := fullBacklog(t)
	play(t, []scenario{
		{
			name: "connect time-out", cfg: "timeout connect 200ms\nserver s " + full,
			client: justGet(503), log: []string{"503 sC--"},
		}, {
			name: "leaves while connecting, abortonclose", cfg: "timeout connect 30s\noption abortonclose\nserver s " + full,
			client: func(c *client) { c.get("/"); c.closeWrite(); c.all() },
			log:    []string{"-1 CC--"},
		}, {
			name: "resets while connecting", cfg: "timeout connect 30s\noption abortonclose\nserver s " + full,
			client: func(c *client) { c.get("/"); c.reset() },
			log:    []string{"-1 CC--"},
		},
	})
}

// fullBacklog is an address where connections are neither taken nor refused.
func fullBacklog(t *testing.T) string {
	t.Helper()
	addr := listenWithBacklog(t, 0)
	// A backlog of 0 takes one connection; what comes then is dropped.
	for range 3 {
		c, err := net.DialTimeout("tcp", addr, fillTime)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("the backlog does not fill up")
	return ""
}
