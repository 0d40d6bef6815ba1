package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// origin is a server whose behaviour a test writes.
type origin struct {
	t        testing.TB
	addr     string
	listener net.Listener
	conns    atomic.Int64 // accepted so far
	requests atomic.Int64
	cues     chan struct{} // from the client's script to the server's
	mu       sync.Mutex
	open     map[net.Conn]bool // guarded by mu
	seen     []string          // guarded by mu: requests as received
}

// oconn is one connection that an origin accepted.
type oconn struct {
	*origin
	net.Conn
	br *bufio.Reader
	n  int64 // the number of this connection, from 1
}

// serve starts an origin that runs f on each connection and closes it after.
func serve(t testing.TB, f func(*oconn)) *origin {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, l, f)
}

func serveOn(t testing.TB, l net.Listener, f func(*oconn)) *origin {
	o := &origin{t: t, addr: l.Addr().String(), listener: l, cues: make(chan struct{}, 100), open: map[net.Conn]bool{}}
	t.Cleanup(o.stop)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			o.mu.Lock()
			o.open[c] = true
			o.mu.Unlock()
			oc := &oconn{origin: o, Conn: c, br: bufio.NewReaderSize(c, 64<<10), n: o.conns.Add(1)}
			go func() {
				defer func() {
					o.mu.Lock()
					delete(o.open, c)
					o.mu.Unlock()
					c.Close()
				}()
				f(oc)
			}()
		}
	}()
	return o
}

// stop closes the listener and every connection, as a killed server does.
func (o *origin) stop() {
	o.listener.Close()
	o.mu.Lock()
	defer o.mu.Unlock()
	for c := range o.open {
		c.Close()
	}
}

// current is the number of open connections.
func (o *origin) current() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.open)
}

func (o *origin) note(s string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, s)
}

func (o *origin) notes() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.seen...)
}

// head reads a message head with its empty line; "" at the end of input.
func (c *oconn) head() string { return readHead(c.br) }

func readHead(br *bufio.Reader) string {
	var b strings.Builder
	for {
		l, err := br.ReadString('\n')
		b.WriteString(l)
		if err != nil {
			return ""
		}
		if l == "\r\n" || l == "\n" {
			return b.String()
		}
	}
}

// request reads a whole request as a strict server would.
func (c *oconn) request() (*http.Request, string, error) {
	q, err := http.ReadRequest(c.br)
	if err != nil {
		return nil, "", err
	}
	b, err := io.ReadAll(q.Body)
	if err == nil {
		c.requests.Add(1)
	}
	return q, string(b), err
}

func (c *oconn) say(format string, a ...any) { fmt.Fprintf(c, format, a...) }

// await waits for the client's cue.
func (c *oconn) await() {
	select {
	case <-c.cues:
	case <-time.After(2 * patience):
		c.t.Error("the client gave no cue")
	}
}

// ok answers 200 with a body and keeps the connection.
func (c *oconn) ok(body string) {
	c.say("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// reset closes so that the peer gets a reset.
func (c *oconn) reset() {
	c.Conn.(*net.TCPConn).SetLinger(0)
	c.Conn.Close()
}

// halt waits until the other side closes.
func (c *oconn) halt() { io.Copy(io.Discard, c.br) }

// echo answers each request with its method, path and body.
func echo(c *oconn) {
	for {
		q, body, err := c.request()
		if err != nil {
			return
		}
		c.note(q.Method + " " + q.RequestURI + " " + body)
		c.ok(q.Method + " " + q.RequestURI + " " + body)
	}
}

// client is a raw connection to a director.
type client struct {
	t testing.TB
	net.Conn
	br     *bufio.Reader
	origin *origin // of the scenario
}

// cue lets the server's script go on.
func (c *client) cue() { c.origin.cues <- struct{}{} }

// patient reads for as long as something comes once in a while.
type patient struct{ net.Conn }

func (p patient) Read(b []byte) (int, error) {
	p.SetReadDeadline(time.Now().Add(2 * patience))
	return p.Conn.Read(b)
}

func dialTo(t testing.TB, network, addr string) *client {
	t.Helper()
	c, err := net.DialTimeout(network, addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{t: t, Conn: c, br: bufio.NewReaderSize(patient{c}, 64<<10)}
}

func dial(t testing.TB, addr string) *client {
	t.Helper()
	return dialTo(t, "tcp", addr)
}

func (c *client) send(s string) {
	c.t.Helper()
	c.SetWriteDeadline(time.Now().Add(2 * patience))
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Errorf("sending %.60q: %v", s, err)
	}
}

// get sends a GET with extra field lines.
func (c *client) get(path string, fields ...string) {
	c.t.Helper()
	s := "GET " + path + " HTTP/1.1\r\nHost: h\r\n"
	for _, f := range fields {
		s += f + "\r\n"
	}
	c.send(s + "\r\n")
}

// all reads to the end, and gives the error that ended it if it was not EOF.
func (c *client) all() (string, error) {
	b, err := io.ReadAll(c.br)
	return string(b), err
}

// status reads everything until the director closes, checks that it begins
// with a status, and gives all of it.
func (c *client) wantStatus(status int) string {
	c.t.Helper()
	got, err := c.all()
	if err != nil {
		c.t.Errorf("after %.200q: %v", got, err)
	}
	if !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", status)) {
		c.t.Errorf("got %.200q, want status %d", got, status)
	}
	return got
}

// read takes exactly this text off the connection.
func (c *client) read(text string) {
	c.t.Helper()
	b := make([]byte, len(text))
	n, err := io.ReadFull(c.br, b)
	if err != nil || string(b) != text {
		c.t.Fatalf("got %.300q and %v, want %.300q", b[:n], err, text)
	}
}

// response reads one response to a GET.
func (c *client) response() (*http.Response, string, error) {
	r, err := http.ReadResponse(c.br, nil)
	if err != nil {
		return nil, "", err
	}
	b, err := io.ReadAll(r.Body)
	return r, string(b), err
}

// want reads a response and compares status and body.
func (c *client) want(status int, body string) *http.Response {
	c.t.Helper()
	r, b, err := c.response()
	if err != nil {
		c.t.Fatalf("response: %v (after %.100q)", err, b)
	}
	if r.StatusCode != status || body != "*" && b != body {
		c.t.Fatalf("got %d %.200q, want %d %.200q", r.StatusCode, b, status, body)
	}
	return r
}

// closed waits for the director to close without another byte.
func (c *client) wantEOF() {
	c.t.Helper()
	if got, err := c.all(); err != nil || got != "" {
		c.t.Errorf("got %.200q and %v, want the end", got, err)
	}
}

// reset closes with a reset.
func (c *client) reset() {
	if tc, ok := c.Conn.(*net.TCPConn); ok {
		tc.SetLinger(0)
	}
	c.Conn.Close()
}

func (c *client) closeWrite() {
	c.t.Helper()
	if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		c.t.Error(err)
	}
}
