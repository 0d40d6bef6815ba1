package e2e

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// TestSmuggling: whatever a client sends, the server gets exactly the messages
// that the director understood, and refusals end the connection. The server
// here parses strictly by the framing it is given.
func TestSmuggling(t *testing.T) {
	const host = "Host: h\r\n"
	refused := func(status int) []string { return []string{fmt.Sprintf("%d PR--", status)} }
	rows := []struct {
		name, send string
		status     int      // of the first answer
		seen       []string // by the server
		onlyOurs   bool
	}{
		{name: "CL and TE", status: 200, // the length is dropped, RFC 9112 6.3; the connection closes
			send: "POST /1 HTTP/1.1\r\n" + host + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
			seen: []string{"POST /1 "}, onlyOurs: true},
		{name: "TE that is not chunked", status: 400,
			send: "POST /1 HTTP/1.1\r\n" + host + "Content-Length: 3\r\nTransfer-Encoding: xchunked\r\n\r\nabc"},
		{name: "TE with chunked before another", status: 400,
			send: "POST /1 HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"},
		{name: "TE chunked twice", status: 400,
			send: "POST /1 HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{name: "TE behind a tab", status: 0,
			send: "POST /1 HTTP/1.1\r\n" + host + "Transfer-Encoding:\tchunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
			seen: []string{"POST /1 abc"}},
		{name: "TE with a vertical tab", status: 400,
			send: "POST /1 HTTP/1.1\r\n" + host + "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n"},
		{name: "TE name with a space", status: 400,
			send: "POST /1 HTTP/1.1\r\n" + host + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"},
		{name: "two different lengths", status: 400,
			send: "POST /1 HTTP/1.1\r\n" + host + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"},
		{name: "two lengths in one field", status: 400,
			send: "POST /1 HTTP/1.1\r\n" + host + "Content-Length: 3, 4\r\n\r\nabcd"},
		{name: "the same length twice", status: 0,
			send: "POST /1 HTTP/1.1\r\n" + host + "Content-Length: 3\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
			seen: []string{"POST /1 abc"}},
		{name: "a length with a plus", status: 400,
			send: "POST /1 HTTP/1.1\r\n" + host + "Content-Length: +3\r\n\r\nabc"},
		{name: "a hexadecimal length", status: 400,
			send: "POST /1 HTTP/1.1\r\n" + host + "Content-Length: 0x3\r\n\r\nabc"},
		{name: "a huge length", status: 400,
			send: "POST /1 HTTP/1.1\r\n" + host + "Content-Length: 99999999999999999999\r\n\r\nabc"},
		{name: "an empty length", status: 400,
			send: "POST /1 HTTP/1.1\r\n" + host + "Content-Length: \r\n\r\nabc"},
		{name: "obs-fold", status: 400, onlyOurs: true,
			send: "GET /1 HTTP/1.1\r\n" + host + "X: a\r\n b\r\n\r\n"},
		{name: "obs-fold of TE", status: 400, onlyOurs: true,
			send: "POST /1 HTTP/1.1\r\n" + host + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"},
		{name: "a bare CR in a value", status: 400,
			send: "GET /1 HTTP/1.1\r\n" + host + "X: a\rb\r\n\r\n"},
		{name: "bare LF", status: 400, onlyOurs: true,
			send: "GET /1 HTTP/1.1\nHost: h\n\n"},
		{name: "a NUL in a value", status: 400, onlyOurs: true,
			send: "GET /1 HTTP/1.1\r\n" + host + "X: a\x00b\r\n\r\n"},
		{name: "a control character in a name", status: 400,
			send: "GET /1 HTTP/1.1\r\n" + host + "X\x01: a\r\n\r\n"},
		{name: "a space in the target", status: 400,
			send: "GET /1 /2 HTTP/1.1\r\n" + host + "\r\n"},
		{name: "a field before the first", status: 400,
			send: "GET /1 HTTP/1.1\r\n X: y\r\n" + host + "\r\n"},
		{name: "two hosts", status: 400, onlyOurs: true,
			send: "GET /1 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
		{name: "HTTP/1.2", status: 0, // the higher minor version is ours to answer as 1.1
			send: "GET /1 HTTP/1.2\r\n" + host + "Connection: close\r\n\r\n"},
		{name: "HTTP/2.0", status: 0,
			send: "GET /1 HTTP/2.0\r\n" + host + "\r\n"},
		{name: "a preface of HTTP/2", status: 0,
			send: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", onlyOurs: true},
		{name: "a chunk size with a plus", status: 400,
			send: "POST /1 HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n"},
		{name: "a chunk size with 0x", status: 400,
			send: "POST /1 HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n"},
		{name: "a chunk size that overflows", status: 400,
			send: "POST /1 HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n"},
		{name: "chunk data that is too long", status: 400,
			send: "POST /1 HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n"},
		{name: "chunk extensions", status: 0,
			send: "POST /1 HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n3;a=b;c=\"d\"\r\nabc\r\n0;x\r\n\r\n",
			seen: []string{"POST /1 abc"}},
		{name: "a chunk extension with a line feed", status: 400, onlyOurs: true,
			send: "POST /1 HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3;a\nabc\r\n0\r\n\r\n"},
		{name: "chunk lines that end in LF", status: 400, onlyOurs: true,
			send: "POST /1 HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n"},
		{name: "TE in HTTP/1.0", status: 400, onlyOurs: true,
			send: "POST /1 HTTP/1.0\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
		{name: "a request in the body", status: 0,
			send: "POST /1 HTTP/1.1\r\n" + host + "Content-Length: 31\r\nConnection: close\r\n\r\nGET /evil HTTP/1.1\r\nHost: h\r\n\r\n",
			seen: []string{"POST /1 GET /evil HTTP/1.1\r\nHost: h\r\n\r\n"}},
		{name: "a body on GET", status: 0,
			send: "GET /1 HTTP/1.1\r\n" + host + "Content-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n",
			seen: []string{"GET /1 abc", "GET /2 "}},
		{name: "Connection names Content-Length", status: 0,
			send: "POST /1 HTTP/1.1\r\n" + host + "Content-Length: 3\r\nConnection: close, Content-Length\r\n\r\nabc",
			seen: []string{"POST /1 abc"}},
		{name: "Connection names Transfer-Encoding", status: 0,
			send: "POST /1 HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nConnection: close, Transfer-Encoding\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
			seen: []string{"POST /1 abc"}},
		{name: "h2c upgrade with a body behind", status: 0,
			send: "GET /1 HTTP/1.1\r\n" + host + "Upgrade: h2c\r\nHTTP2-Settings: AA\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\nGET /2 HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n",
			seen: []string{"GET /1 ", "GET /2 "}},
	}
	var all []scenario
	for _, r := range rows {
		s := scenario{name: r.name, cfg: "timeout client 8s", server: echo, onlyOurs: r.onlyOurs}
		s.client = func(c *client) {
			// Whatever a refused request hides must not be answered either.
			io.WriteString(c.Conn, r.send)
			if r.status != 0 && r.seen == nil {
				io.WriteString(c.Conn, "GET /behind HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
			}
			got, _ := c.all()
			if r.status != 0 && !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", r.status)) {
				c.t.Errorf("got %.300q, want %d", got, r.status)
			}
			if strings.Contains(got, "/behind") {
				c.t.Errorf("what stood behind a refused request was answered: %q", got)
			}
			if r.status == 0 && r.seen != nil && !strings.HasPrefix(got, "HTTP/1.1 200 ") {
				c.t.Errorf("got %.300q, want 200", got)
			}
		}
		if r.status >= 400 {
			s.log = refused(r.status)
		}
		s.check = func(t *testing.T, o *origin) {
			got := o.notes()
			if !slices.Equal(got, r.seen) && !(r.status == 0 && r.seen == nil) {
				t.Errorf("the server saw %q, want %q", got, r.seen)
			}
		}
		all = append(all, s)
	}
	play(t, all)
}

// TestRebuilt: what reaches the server is made anew, whatever the client's
// notation was.
func TestRebuilt(t *testing.T) {
	play(t, []scenario{{
		name: "head",
		server: func(c *oconn) {
			c.note(c.head())
			c.ok("")
			c.halt()
		},
		client: func(c *client) {
			c.send("GET /a?b=c HTTP/1.1\r\nHOST:h  \r\nX-A:   1 \t\r\nconnection: close, X-Hop\r\nX-Hop: secret\r\nKeep-Alive: 300\r\nProxy-Connection: keep-alive\r\nTE: trailers, gzip\r\nUpgrade: websocket\r\n\r\n")
			c.wantStatus(200)
		},
		onlyOurs: true, why: "RFC 9110, 7.6.1 asks for more than HAProxy removes",
		check: func(t *testing.T, o *origin) {
			got := strings.ToLower(strings.Join(o.notes(), ""))
			for _, bad := range []string{"x-hop", "keep-alive", "gzip", "upgrade"} {
				if strings.Contains(got, bad) {
					t.Errorf("the server got %q", got)
				}
			}
			if !strings.HasPrefix(got, "get /a?b=c http/1.1\r\nhost: h\r\nx-a: 1\r\n") {
				t.Errorf("the server got %q", got)
			}
		},
		log: []string{"200 ----"},
	}})
}
