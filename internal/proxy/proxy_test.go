package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/engine"
	"evenkeel/internal/model"
	"evenkeel/internal/pool"
	"evenkeel/internal/rule"
)

// rig is a runtime with one frontend and one backend on a loop of its own.
type rig struct {
	t    *testing.T
	rt   *Runtime
	addr string
	pool *pool.Backend
}

// newRig serves cfg's first proxy on a free port.
func newRig(t *testing.T, cfg *model.Config) *rig {
	t.Helper()
	pools := map[*model.Proxy]*pool.Backend{}
	r := &rig{t: t}
	for i, p := range cfg.Proxies {
		p.ID = i + 1
		if p.Kind&model.KindBackend != 0 {
			b, err := pool.New(p, pool.Options{Now: engine.Monotonic, Wall: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			pools[p], r.pool = b, b
		}
	}
	rt, d := Build(Options{Config: cfg, Pools: pools, Compiler: rule.NewCompiler(cfg)})
	for _, x := range d {
		t.Errorf("diagnostic: %v", x)
	}
	l, err := engine.New(engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	rt.Attach([]*engine.Loop{l})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, _ := ln.(*net.TCPListener).File()
	ln.Close()
	if err := setNonblock(f); err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	for _, e := range rt.Endpoints() {
		e.Use(int(f.Fd()))
	}
	setNonblock(f)
	if err := rt.Start(0); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- l.Run() }()
	r.rt = rt
	t.Cleanup(func() {
		rt.Stop()
		l.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		f.Close()
	})
	return r
}

// listen makes a `listen` section with servers at addrs.
func listen(mode model.Mode, addrs ...string) *model.Config {
	p := &model.Proxy{Name: "web", Kind: model.KindListen, Mode: mode}
	p.Timeouts.Client, p.Timeouts.Server, p.Timeouts.Connect = 30*time.Second, 30*time.Second, 30*time.Second
	p.Frontend.Binds = []*model.Bind{{Addrs: []model.ListenAddr{{Network: "tcp4", Host: "127.0.0.1"}}}}
	p.Backend.Balance.Algorithm = "roundrobin"
	for i, a := range addrs {
		ap := netip.MustParseAddrPort(a)
		p.Backend.Servers = append(p.Backend.Servers, &model.Server{
			Name: "s" + strconv.Itoa(i+1), ID: i + 1,
			Addr: model.ServerAddr{Network: "tcp4", Host: ap.Addr().String(), Port: int(ap.Port())},
		})
	}
	return &model.Config{Proxies: []*model.Proxy{p}}
}

func origin(t *testing.T, h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// raw sends bytes and gives everything until the proxy closes.
func (r *rig) raw(send string) string {
	r.t.Helper()
	c := r.dial()
	defer c.Close()
	if _, err := io.WriteString(c, send); err != nil {
		r.t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil {
		r.t.Fatalf("after %q: %v", b, err)
	}
	return string(b)
}

func (r *rig) dial() net.Conn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(60 * time.Second))
	return c
}

func TestKeepAliveGet(t *testing.T) {
	o := origin(t, func(w http.ResponseWriter, q *http.Request) { fmt.Fprintf(w, "hello %s", q.URL.Path) })
	r := newRig(t, listen(model.ModeHTTP, o))
	c := r.dial()
	defer c.Close()
	br := bufio.NewReader(c)
	for i := range 5 {
		fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		if want := fmt.Sprintf("hello /%d", i); string(b) != want || res.Close {
			t.Fatalf("got %q (close %v), want %q", b, res.Close, want)
		}
	}
}

// While the addresses move away, connections are still taken, and each ends
// with its next response.
func TestLeave(t *testing.T) {
	o := origin(t, func(w http.ResponseWriter, q *http.Request) { fmt.Fprint(w, "hello") })
	r := newRig(t, listen(model.ModeHTTP, o))
	before := r.dial()
	defer before.Close()
	br := bufio.NewReader(before)
	ask := func() (*http.Response, error) {
		fmt.Fprintf(before, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		return http.ReadResponse(br, nil)
	}
	res, err := ask()
	if err != nil || res.Close {
		t.Fatalf("before: %+v, %v", res, err)
	}
	io.Copy(io.Discard, res.Body)
	r.rt.Leave()
	res, err = ask()
	if err != nil || res.StatusCode != 200 || !res.Close {
		t.Fatalf("a connection from before: %+v, %v", res, err)
	}
	if got := r.raw("GET / HTTP/1.1\r\nHost: x\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.Contains(strings.ToLower(got), "\r\nconnection: close\r\n") {
		t.Fatalf("a new connection: %q", got)
	}
}

func TestPipelined(t *testing.T) {
	o := origin(t, func(w http.ResponseWriter, q *http.Request) { fmt.Fprintf(w, "<%s>", q.URL.Path) })
	r := newRig(t, listen(model.ModeHTTP, o))
	var req strings.Builder
	for i := range 50 {
		fmt.Fprintf(&req, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
	}
	req.WriteString("GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	got := r.raw(req.String())
	for i := range 50 {
		if !strings.Contains(got, fmt.Sprintf("</%d>", i)) {
			t.Fatalf("no answer %d in %q", i, got)
		}
	}
	if !strings.HasSuffix(got, "</last>") {
		t.Fatalf("end of %q", got)
	}
}

func TestBodies(t *testing.T) {
	o := origin(t, func(w http.ResponseWriter, q *http.Request) {
		b, err := io.ReadAll(q.Body)
		if q.URL.Path == "/chunked" {
			w.(http.Flusher).Flush()
		}
		if q.URL.Path == "/length" {
			w.Header().Set("Content-Length", strconv.Itoa(len(b)))
		}
		n, _ := w.Write(b)
		if err != nil {
			t.Errorf("origin after %d bytes: %v", n, err)
		}
	})
	r := newRig(t, listen(model.ModeHTTP, o))
	for _, size := range []int{0, 1, 1000, 15000, 16384, 40000, 70000, 1 << 20, 5 << 20} {
		for _, chunkedRequest := range []bool{false, true} {
			for _, path := range []string{"/", "/chunked", "/length"} {
				body := strings.Repeat("0123456789abcdef", size/16+1)[:size]
				var in io.Reader = strings.NewReader(body)
				if chunkedRequest {
					in = struct{ io.Reader }{in}
				}
				req, _ := http.NewRequest("POST", "http://"+r.addr+path, in)
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatalf("size %d chunked %v: %v", size, chunkedRequest, err)
				}
				b, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || string(b) != body {
					t.Fatalf("size %d chunked %v %s: %d bytes came back, %v", size, chunkedRequest, path, len(b), err)
				}
			}
		}
	}
}

func TestNoServer(t *testing.T) {
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	dead := l.Addr().String()
	l.Close()
	cfg := listen(model.ModeHTTP, dead)
	zero := 0
	cfg.Proxies[0].Backend.Retries = &zero
	r := newRig(t, cfg)
	got := r.raw("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 503 ") {
		t.Fatalf("got %q", got)
	}
}

func TestBadRequest(t *testing.T) {
	o := origin(t, func(w http.ResponseWriter, q *http.Request) {})
	r := newRig(t, listen(model.ModeHTTP, o))
	for _, req := range []string{
		"BAD\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"GET / HTTP/1.1\r\nHost : a\r\n\r\n", "GET / HTTP/1.1\r\nX: " + strings.Repeat("a", 20000) + "\r\n\r\n",
	} {
		if got := r.raw(req); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("%.40q: got %q", req, got)
		}
	}
}

func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	r := newRig(t, listen(model.ModeTCP, l.Addr().String()))
	body := strings.Repeat("evenkeel", 200000)
	c := r.dial()
	defer c.Close()
	go func() {
		io.WriteString(c, body)
		c.(*net.TCPConn).CloseWrite()
	}()
	b, err := io.ReadAll(c)
	if err != nil || string(b) != body {
		t.Fatalf("%d of %d bytes came back, %v", len(b), len(body), err)
	}
}

func setNonblock(f *os.File) error {
	rc, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	rc.Control(func(fd uintptr) { inner = sysSetNonblock(int(fd)) })
	return inner
}

func TestErrorFileLength(t *testing.T) {
	for raw, bad := range map[string]bool{
		"HTTP/1.0 503 X\r\nContent-Length: 3\r\n\r\nabc": false,
		"HTTP/1.0 503 X\r\n\r\nabc":                      false,
		"HTTP/1.0 503 X\nContent-Length: 4\n\nabc":       true,
		"HTTP/1.0 503 X\r\nno end":                       true,
	} {
		cfg := listen(model.ModeHTTP, "127.0.0.1:1")
		cfg.Proxies[0].Errors = map[int]model.ErrorReply{503: {Raw: []byte(raw), File: "503.http"}}
		b, err := pool.New(cfg.Proxies[0], pool.Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, d := Build(Options{Config: cfg, Pools: map[*model.Proxy]*pool.Backend{cfg.Proxies[0]: b}, Compiler: rule.NewCompiler(cfg)})
		if d.HasErrors() != bad {
			t.Errorf("%q: %v", raw, d)
		}
	}
}
