package e2e

import (
	"io"
	"net"
	"strings"
	"testing"
)

// websocketKey is what HAProxy asks of an upgrade.
const websocketKey = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="

// upgraded accepts an upgrade and echoes.
func upgraded(c *oconn) {
	h := c.head()
	if h == "" {
		return
	}
	c.note(h)
	if strings.HasPrefix(h, "CONNECT ") {
		c.say("HTTP/1.1 200 Established\r\n\r\n")
	} else {
		c.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
	}
	io.Copy(c.Conn, c.br)
}

func (c *client) upgrade() {
	c.t.Helper()
	c.get("/ws", "Connection: Upgrade", "Upgrade: websocket", websocketKey)
	c.read("HTTP/1.1 101 Switching Protocols\r\n")
	if h := strings.ToLower(readHead(c.br)); !strings.Contains(h, "upgrade: websocket\r\n") || !strings.Contains(h, "connection: upgrade\r\n") {
		c.t.Errorf("got %q", h)
	}
}

// TestTunnels: WebSocket and CONNECT.
func TestTunnels(t *testing.T) {
	play(t, []scenario{
		{
			name: "WebSocket", server: upgraded,
			client: func(c *client) {
				c.upgrade()
				for range 3 {
					c.send("ping")
					c.read("ping")
				}
				big := strings.Repeat("0123456789abcdef", 1<<16)
				go io.WriteString(c.Conn, big)
				c.read(big)
				c.closeWrite()
				c.wantEOF()
			},
			check: func(t *testing.T, o *origin) {
				h := strings.ToLower(o.notes()[0])
				if !strings.Contains(h, "connection: upgrade\r\n") || !strings.Contains(h, "upgrade: websocket\r\n") {
					t.Errorf("the server got %q", h)
				}
			},
			log: []string{"101 ----"},
		}, {
			name: "the server closes", server: func(c *oconn) {
				c.head()
				c.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nbye")
			},
			client: func(c *client) { c.upgrade(); c.read("bye"); c.wantEOF(); c.Close() },
			log:    []string{"101 ----"},
		}, {
			name: "data behind the request, and behind the answer",
			server: func(c *oconn) {
				c.head()
				b := make([]byte, 5)
				c.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nfirst")
				io.ReadFull(c.br, b)
				c.say("<%s>", b)
			},
			client: func(c *client) {
				c.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + websocketKey + "\r\n\r\nearly")
				readHead(c.br)
				c.read("first<early>")
				c.Close()
			},
			log: []string{"101 ----"},
		}, {
			name: "refused", server: echo,
			client: func(c *client) {
				c.get("/ws", "Connection: Upgrade", "Upgrade: websocket", websocketKey)
				c.want(200, "GET /ws ")
				c.get("/next")
				c.want(200, "GET /next ")
				c.Close()
			},
			log: []string{"200 ----", "200 ----"},
		}, {
			name: "timeout tunnel", cfg: "timeout tunnel 2s", server: upgraded,
			client: func(c *client) { c.upgrade(); c.send("x"); c.read("x"); c.wantEOF() },
			log:    []string{"101 cD--"},
		}, {
			name: "timeout tunnel outlasts timeout client", cfg: "timeout client 2s\ntimeout server 2s\ntimeout tunnel 30s",
			server: func(c *oconn) {
				c.head()
				c.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
				readLater(c, "late")
			},
			client: func(c *client) { c.upgrade(); c.read("late"); c.Close() },
			log:    []string{"101 ----"},
		}, {
			name: "timeout client", cfg: "timeout client 2s", server: upgraded,
			client: func(c *client) { c.upgrade(); c.wantEOF() },
			log:    []string{"101 cD--"},
		}, {
			name: "timeout server", cfg: "timeout server 2s", server: upgraded,
			client: func(c *client) { c.upgrade(); c.wantEOF() },
			log:    []string{"101 sD--"},
		}, {
			name: "CONNECT", server: upgraded,
			client: func(c *client) {
				c.send("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n")
				c.read("HTTP/1.1 200 Established\r\n")
				readHead(c.br)
				c.send("hello")
				c.read("hello")
				c.closeWrite()
				c.wantEOF()
			},
			log: []string{"200 ----"},
		}, {
			name: "CONNECT, refused", server: func(c *oconn) {
				c.head()
				c.say("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
				c.halt()
			},
			client: func(c *client) {
				c.send("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n")
				c.want(403, "")
				c.Close()
			},
			log: []string{"403 ----"},
		}, {
			name: "the client resets", server: upgraded,
			client: func(c *client) { c.upgrade(); c.send("x"); c.read("x"); c.reset() },
			log:    []string{"101 CD--"},
		}, {
			name: "the server resets",
			server: func(c *oconn) {
				c.head()
				c.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nx")
				c.await()
				c.reset()
			},
			client: func(c *client) { c.upgrade(); c.read("x"); c.cue(); c.all() },
			log:    []string{"101 SD--"},
		},
	})
}

// readLater writes text when 4 s have passed in which nothing came: longer
// than the time-outs that a tunnel must not know.
func readLater(c *oconn, text string) {
	c.Conn.SetReadDeadline(soon(4000))
	io.Copy(io.Discard, c.br)
	c.say("%s", text)
	c.Conn.SetReadDeadline(soon(int(patience.Milliseconds())))
	c.halt()
}

// TestTCP: mode tcp, with everything that can happen to a stream of bytes.
func TestTCP(t *testing.T) {
	echoBytes := func(c *oconn) { io.Copy(c.Conn, c.br) }
	const tcp = "mode tcp\nlog-format \"%f %tsc %s ;%B\"\n"
	hello := tlsHello(t, "a.example")
	play(t, []scenario{
		{
			name: "the client closes first", cfg: tcp,
			server: func(c *oconn) {
				b, _ := io.ReadAll(c.br)
				c.say("got %d bytes", len(b))
			},
			client: func(c *client) {
				c.send(strings.Repeat("x", 1000000))
				c.closeWrite()
				if got, err := c.all(); got != "got 1000000 bytes" {
					c.t.Errorf("%q %v", got, err)
				}
			},
			log: []string{"---- s"},
		}, {
			name: "the server closes first", cfg: tcp,
			server: func(c *oconn) {
				c.say("hello")
				c.Conn.(*net.TCPConn).CloseWrite()
				b, _ := io.ReadAll(c.br)
				c.note(string(b))
			},
			client: func(c *client) {
				if got, err := c.all(); got != "hello" || err != nil {
					c.t.Errorf("%q %v", got, err)
				}
				c.send("good")
				c.send("bye")
				c.closeWrite()
			},
			log: []string{"---- s"},
			check: func(t *testing.T, o *origin) {
				until(t, "the rest arrives", func() bool { return strings.Join(o.notes(), "") == "goodbye" })
			},
		}, {
			name: "both ways at once, 4 MB", cfg: tcp, server: echoBytes,
			client: func(c *client) {
				go func() {
					io.Copy(c.Conn, io.LimitReader(zeros{}, 4<<20))
					c.closeWrite()
				}()
				if got, err := c.all(); len(got) != 4<<20 || err != nil {
					c.t.Errorf("%d %v", len(got), err)
				}
			},
			log: []string{"---- s"},
		}, {
			name: "nothing listens", cfg: tcp,
			client: func(c *client) { c.all() },
			log:    []string{"SC-- s"},
		}, {
			name: "timeout client", cfg: tcp + "timeout client 2s", server: echoBytes,
			client: func(c *client) { c.send("x"); c.read("x"); c.wantEOF() },
			log:    []string{"cD-- s"},
		}, {
			name: "timeout server", cfg: tcp + "timeout server 2s\ntimeout client 8s", server: echoBytes,
			client: func(c *client) { c.send("x"); c.read("x"); c.wantEOF() },
			log:    []string{"sD-- s"},
		}, {
			name: "the client resets", cfg: tcp, server: echoBytes,
			client: func(c *client) { c.send("x"); c.read("x"); c.reset() },
			log:    []string{"CD-- s"},
		}, {
			name: "the server resets", cfg: tcp,
			server: func(c *oconn) { c.say("x"); c.await(); c.reset() },
			client: func(c *client) {
				c.read("x")
				c.cue()
				c.all()
			},
			log: []string{"SD-- s"},
		}, {
			name: "reject by payload", cfg: tcp + "tcp-request inspect-delay 30s\nacl ssh payload(0,4) -m bin 5353482d\ntcp-request content accept if ssh\ntcp-request content reject if { req.len ge 4 }",
			server: echoBytes,
			client: func(c *client) { c.send("GET / HTTP/1.0\r\n\r\n"); c.all() },
			log:    []string{"PR-- <NOSRV>"},
		}, {
			name: "accept by payload that trickles", cfg: tcp + "tcp-request inspect-delay 30s\nacl ssh payload(0,4) -m bin 5353482d\ntcp-request content accept if ssh\ntcp-request content reject if { req.len ge 4 }",
			server: echoBytes,
			client: func(c *client) {
				for _, b := range []byte("SSH-2.0") {
					c.Write([]byte{b})
				}
				c.read("SSH-2.0")
				c.closeWrite()
				c.wantEOF()
			},
			log: []string{"---- s"},
		}, {
			name: "inspect-delay passes", cfg: tcp + "tcp-request inspect-delay 200ms\ntcp-request content accept if { req.len ge 100 }\ntcp-request content reject",
			server: echoBytes,
			client: func(c *client) { c.send("x"); c.all() },
			log:    []string{"PR-- <NOSRV>"},
		}, {
			name: "the server speaks first and nothing waits", cfg: tcp + "tcp-request inspect-delay 200ms\ntcp-request content accept if WAIT_END",
			server: func(c *oconn) { c.say("220 ready"); c.halt() },
			client: func(c *client) { c.read("220 ready"); c.closeWrite(); c.wantEOF() },
			log:    []string{"---- s"},
		}, {
			name: "SNI routing", cfg: tcp + "tcp-request inspect-delay 30s\ntcp-request content reject unless { req.ssl_sni -m found }\nuse-server s if { req.ssl_sni -i a.example }\nserver other 127.0.0.1:1\nserver s {server}",
			server: echoBytes,
			client: func(c *client) {
				c.send(hello[:20])
				c.send(hello[20:])
				c.read(hello)
				c.closeWrite()
				c.wantEOF()
			},
			log: []string{"---- s"},
		}, {
			name: "SNI routing refuses what is no TLS", cfg: tcp + "tcp-request inspect-delay 30s\ntcp-request content reject unless { req.ssl_hello_type 1 }",
			server: echoBytes,
			client: func(c *client) { c.send("GET / HTTP/1.0\r\n\r\n"); c.all() },
			log:    []string{"PR-- <NOSRV>"},
		},
	})
}
