package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// justGet asks once and reads to the end of the connection.
func justGet(status int) func(*client) {
	return func(c *client) {
		c.get("/", "Connection: close")
		c.wantStatus(status)
	}
}

// TestServers: servers that fail in every way there is.
func TestServers(t *testing.T) {
	play(t, []scenario{
		{
			name: "nothing listens", client: justGet(503), log: []string{"503 SC--"},
		}, {
			name: "frozen", cfg: "timeout server 200ms",
			server: func(c *oconn) { c.halt() },
			client: justGet(504), log: []string{"504 sH--"},
		}, {
			name: "frozen after half a head", cfg: "timeout server 200ms",
			server: func(c *oconn) { c.head(); c.say("HTTP/1.1 200 OK\r\nContent-"); c.halt() },
			client: justGet(504), log: []string{"504 sH--"},
		}, {
			name: "frozen in the body", cfg: "timeout server 2s",
			server: func(c *oconn) {
				c.head()
				c.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
				c.halt()
			},
			client: wantCut("200", "12345"), log: []string{"200 sD--"},
		}, {
			name:   "closes without an answer",
			server: func(c *oconn) { c.head() },
			client: justGet(502), log: []string{"502 SH--"},
		}, {
			name:   "closes before the request",
			server: func(c *oconn) {},
			client: justGet(502), log: []string{"502 SH--"},
		}, {
			name:   "resets after the request",
			server: func(c *oconn) { c.head(); c.reset() },
			client: justGet(502), log: []string{"502 SH--"},
		}, {
			name:   "closes in the head",
			server: func(c *oconn) { c.head(); c.say("HTTP/1.1 200 OK\r\nContent-Le") },
			client: justGet(502), log: []string{"502 SH--"},
		}, {
			name: "closes in the body",
			server: func(c *oconn) {
				c.head()
				c.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
				c.await()
			},
			client: wantCut("200", "12345"), log: []string{"200 SD--"},
		}, {
			name: "resets in the body",
			server: func(c *oconn) {
				c.head()
				c.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
				c.await()
				c.reset()
			},
			client: wantCut("200", "12345"), log: []string{"200 SD--"},
		}, {
			name: "closes in a chunk",
			server: func(c *oconn) {
				c.head()
				c.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n12345")
				c.await()
			},
			client: wantCut("200", "12345"), log: []string{"200 SD--"},
		}, {
			name: "bad chunk size in the middle",
			server: func(c *oconn) {
				c.head()
				c.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n")
				c.await()
				c.say("zz\r\nabc\r\n0\r\n\r\n")
				c.halt()
			},
			client: wantCut("200", "12345"), log: []string{"200 SD--"},
		}, {
			name:   "garbage",
			server: func(c *oconn) { c.head(); c.say("SSH-2.0-OpenSSH_9.2\r\n\r\n"); c.halt() },
			client: justGet(502), log: []string{"502 PH--"},
		}, {
			name: "a field without a colon",
			server: func(c *oconn) {
				c.head()
				c.say("HTTP/1.1 200 OK\r\nNonsense\r\nContent-Length: 0\r\n\r\n")
				c.halt()
			},
			client: justGet(502), log: []string{"502 PH--"},
		}, {
			name: "two lengths",
			server: func(c *oconn) {
				c.head()
				c.say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd")
				c.halt()
			},
			client: justGet(502), log: []string{"502 PH--"},
		}, {
			name: "a negative length",
			server: func(c *oconn) {
				c.head()
				c.say("HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc")
				c.halt()
			},
			client: justGet(502), log: []string{"502 PH--"},
		}, {
			name: "a head that is too large",
			server: func(c *oconn) {
				c.head()
				c.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: %s\r\n\r\n", strings.Repeat("x", 20000))
				c.halt()
			},
			client: justGet(502), log: []string{"502 PH--"},
		}, {
			name: "a head that never ends",
			server: func(c *oconn) {
				c.head()
				c.say("HTTP/1.1 200 OK\r\n")
				for i := 0; i < 1e6; i++ {
					if _, err := fmt.Fprintf(c, "X-%d: y\r\n", i); err != nil {
						return
					}
				}
				c.t.Error("the server could send a million fields")
			},
			client: justGet(502), log: []string{"502 PH--"},
		}, {
			name: "too many fields",
			server: func(c *oconn) {
				c.head()
				c.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n%s\r\n", strings.Repeat("X: y\r\n", 200))
				c.halt()
			},
			client: justGet(502), log: []string{"502 PH--"},
		}, {
			name: "a byte at a time",
			server: func(c *oconn) {
				c.head()
				for _, b := range []byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello") {
					c.Write([]byte{b})
				}
				c.halt()
			},
			client: func(c *client) { c.get("/"); c.want(200, "hello"); c.Close() },
			log:    []string{"200 ----"},
		}, {
			name: "chunks a byte at a time",
			server: func(c *oconn) {
				c.head()
				for _, b := range []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nT: 1\r\n\r\n") {
					c.Write([]byte{b})
				}
				c.halt()
			},
			client: func(c *client) { c.get("/"); c.want(200, "hello!"); c.Close() },
			log:    []string{"200 ----"},
		}, {
			name: "until close",
			server: func(c *oconn) {
				c.head()
				c.say("HTTP/1.1 200 OK\r\n\r\nhello ")
				c.say("world")
			},
			client: func(c *client) { c.get("/"); c.want(200, "hello world"); c.Close() },
			log:    []string{"200 ----"},
		}, {
			name: "HTTP/1.0 until close",
			server: func(c *oconn) {
				c.head()
				c.say("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nhello")
			},
			client: func(c *client) { c.get("/"); c.want(200, "hello"); c.Close() },
			log:    []string{"200 ----"},
		}, {
			name:   "HTTP/0.9",
			server: func(c *oconn) { c.head(); c.say("<html>hello</html>\n") },
			client: justGet(502), log: []string{"502 PH--"},
		}, {
			name: "100 Continue unasked, then more 1xx",
			server: func(c *oconn) {
				c.head()
				c.say("HTTP/1.1 100 Continue\r\n\r\n")
				for i := range 300 {
					c.say("HTTP/1.1 103 Early Hints\r\nLink: </%d>\r\n\r\n", i)
				}
				c.ok("done")
				c.halt()
			},
			client: func(c *client) {
				c.get("/", "Connection: close")
				got, _ := c.all()
				if n := strings.Count(got, "HTTP/1.1 103 "); n != 300 || !strings.HasSuffix(got, "done") {
					c.t.Errorf("%d early hints, end %.100q", n, got[max(0, len(got)-100):])
				}
			},
			log: []string{"200 ----"},
		}, {
			name: "1xx to an HTTP/1.0 client",
			server: func(c *oconn) {
				c.head()
				c.say("HTTP/1.1 103 Early Hints\r\n\r\n")
				c.ok("done")
				c.halt()
			},
			client: func(c *client) {
				c.send("GET / HTTP/1.0\r\n\r\n")
				got, _ := c.all()
				if !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.HasSuffix(got, "done") {
					c.t.Errorf("got %q", got)
				}
			},
			log:      []string{"200 ----"},
			onlyOurs: true, why: "RFC 9110, 15.2 forbids it; HAProxy passes it on",
		}, {
			name: "101 unasked",
			server: func(c *oconn) {
				c.head()
				c.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
				c.halt()
			},
			client: justGet(502), log: []string{"502 PH--"},
		}, {
			name: "more than the length, the connection is not used again",
			server: func(c *oconn) {
				if _, _, err := c.request(); err != nil {
					return
				}
				// At once: what comes later may be taken for an answer to the next request.
				c.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
				c.halt()
			},
			client: func(c *client) {
				for range 3 {
					c.get("/")
					c.want(200, "hello")
				}
				c.Close()
			},
			log: []string{"200 ----", "200 ----", "200 ----"},
			check: func(t *testing.T, o *origin) {
				if n := o.conns.Load(); n != 3 {
					t.Errorf("%d connections for 3 requests", n)
				}
			},
			onlyOurs: true, why: "HAProxy may take the surplus for the next answer",
		}, {
			name: "an answer that nobody asked for ends an idle connection",
			server: func(c *oconn) {
				if _, _, err := c.request(); err != nil {
					return
				}
				c.ok("hello")
				c.await()
				c.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
				c.halt()
				c.note("closed")
			},
			client: func(c *client) {
				for i := range 3 {
					c.get("/")
					c.want(200, "hello")
					c.cue()
					until(c.t.(*testing.T), "the server's connection is closed", func() bool { return len(c.origin.notes()) == i+1 })
				}
				c.Close()
			},
			log: []string{"200 ----", "200 ----", "200 ----"},
		}, {
			name: "a body behind 204 and 304",
			server: func(c *oconn) {
				q, _, err := c.request()
				if err != nil {
					return
				}
				if q.URL.Path == "/204" {
					c.say("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
				} else {
					c.say("HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil")
				}
				c.halt()
			},
			client: func(c *client) {
				c.get("/204")
				c.want(204, "")
				c.get("/304")
				c.want(304, "")
				c.get("/204")
				c.want(204, "")
				c.Close()
			},
			log: []string{"204 ----", "304 ----", "204 ----"},
		}, {
			name: "HEAD with a length, and with a body",
			server: func(c *oconn) {
				for {
					q, _, err := c.request()
					if err != nil {
						return
					}
					answer := "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
					if q.URL.Path == "/evil" {
						answer += "hello" // with it: later it would answer the next request
					}
					c.say("%s", answer)
				}
			},
			client: func(c *client) {
				for _, path := range []string{"/", "/evil", "/"} {
					c.send("HEAD " + path + " HTTP/1.1\r\nHost: h\r\n\r\n")
					r, err := http.ReadResponse(c.br, &http.Request{Method: "HEAD"})
					if err != nil || r.ContentLength != 5 {
						c.t.Errorf("%s: %v %v", path, r, err)
					}
				}
				c.closeWrite()
				c.wantEOF()
			},
			log: []string{"200 ----", "200 ----", "200 ----"},
		}, {
			name: "413 while the client uploads",
			server: func(c *oconn) {
				c.head()
				c.say("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
				c.halt()
			},
			client: func(c *client) {
				c.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n")
				c.want(413, "big")
				c.Close()
			},
			log:     []string{"413 ----"},
			differs: []string{"413 CD--"}, why: "the whole answer was given before the client closed",
		}, {
			name: "413 and a reset while the client uploads",
			server: func(c *oconn) {
				c.head()
				c.say("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
			},
			client: func(c *client) {
				go io.Copy(c.Conn, io.MultiReader(
					strings.NewReader("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n"),
					io.LimitReader(zeros{}, 100000000)))
				r, b, err := c.response()
				if err != nil || r.StatusCode != 413 || b != "big" {
					c.t.Errorf("%v %q %v", r, b, err)
				}
				c.Close()
			},
			log:      []string{"413 ----"},
			onlyOurs: true, why: "HAProxy 2.6 loses the answer when its write fails first",
		},
	})
}

// zeros is endless.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// wantCut expects the head of a response, a part of its body, and an end that
// no client can take for the whole.
func wantCut(status, part string) func(*client) {
	return func(c *client) {
		c.get("/")
		r, err := http.ReadResponse(c.br, nil)
		if err != nil || !strings.HasPrefix(r.Status, status) {
			c.t.Errorf("got %v, %v", r, err)
			c.cue()
			return
		}
		got := make([]byte, len(part))
		if _, err := io.ReadFull(r.Body, got); err != nil {
			c.t.Error(err)
		}
		c.cue()
		rest, err := io.ReadAll(r.Body)
		b := string(got) + string(rest)
		if err == nil || !strings.HasPrefix(part, b) {
			c.t.Errorf("body %q and %v, want a part of %q and an error", b, err, part)
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET) {
			c.t.Errorf("%v", err)
		}
	}
}
