package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// load is a steady crowd: half of it keeps its connections, the other half
// takes a new one for each request.
type load struct {
	addr    string
	served  atomic.Int64
	refused atomic.Int64        // connections that could not be made
	failed  atomic.Int64        // requests without a whole answer
	asked   [crowd]atomic.Int64 // requests that are over, by user
	stop    atomic.Bool
	wg      sync.WaitGroup
	mu      sync.Mutex
	first   string // guarded by mu: the first thing that went wrong
}

const crowd = 64

func newLoad(t *testing.T, addr string) *load {
	l := &load{addr: addr}
	for i := range crowd {
		l.wg.Add(1)
		go func() {
			defer l.wg.Done()
			l.user(&l.asked[i], i%2 == 0)
		}()
	}
	t.Cleanup(l.end)
	return l
}

func (l *load) end() {
	l.stop.Store(true)
	l.wg.Wait()
}

func (l *load) wrong(what string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == "" {
		l.first = what + ": " + err.Error()
	}
}

func (l *load) user(asked *atomic.Int64, keep bool) {
	var c net.Conn
	var br *bufio.Reader
	for !l.stop.Load() {
		if c == nil {
			var err error
			if c, err = net.DialTimeout("tcp", l.addr, patience); err != nil {
				l.refused.Add(1)
				l.wrong("connect", err)
				c = nil
				continue
			}
			br = bufio.NewReader(c)
		}
		c.SetDeadline(time.Now().Add(patience))
		last, err := l.ask(c, br, keep)
		asked.Add(1)
		if err != nil {
			l.failed.Add(1)
			l.wrong(fmt.Sprintf("request (keep-alive %v)", keep), err)
			last = true
		} else {
			l.served.Add(1)
		}
		if last || !keep {
			c.Close()
			c = nil
		}
	}
	if c != nil {
		c.Close()
	}
}

// ask sends one request. last: the director announced the end of the
// connection.
func (l *load) ask(c net.Conn, br *bufio.Reader, keep bool) (last bool, err error) {
	fields := ""
	if !keep {
		fields = "Connection: close\r\n"
	}
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n"+fields+"\r\n"); err != nil {
		return true, err
	}
	r, err := http.ReadResponse(br, nil)
	if err != nil {
		return true, err
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return true, err
	}
	if r.StatusCode != 200 || string(b) != "hello" {
		return true, fmt.Errorf("%s %.100q", r.Status, b)
	}
	return r.Close, nil
}

// more waits until another n requests were served: the load goes on.
func (l *load) more(t *testing.T, n int64) {
	t.Helper()
	from := l.served.Load()
	until(t, "requests are served", func() bool { return l.served.Load() >= from+n })
}

// round waits until the request that each of the crowd has under way is over.
func (l *load) round(t *testing.T) {
	t.Helper()
	var from [crowd]int64
	for i := range from {
		from[i] = l.asked[i].Load()
	}
	for i := range from {
		until(t, fmt.Sprintf("request %d of user %d is over", from[i]+1, i), func() bool { return l.asked[i].Load() > from[i] })
	}
}

func (l *load) clean(t *testing.T, after string) {
	t.Helper()
	if r, f := l.refused.Load(), l.failed.Load(); r+f > 0 {
		t.Fatalf("%s: %d connections refused, %d requests failed of %d (%s)", after, r, f, l.served.Load(), l.first)
	}
}

func hello(c *oconn) {
	for {
		if c.head() == "" {
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
	}
}

func (d *director) pid() int {
	out, err := d.tryCtl("show info")
	if err != nil {
		return 0
	}
	for _, l := range strings.Split(out, "\n") {
		if v, ok := strings.CutPrefix(l, "Pid: "); ok {
			n, _ := strconv.Atoi(v)
			return n
		}
	}
	return 0
}

// TestReloads: twenty reloads and five take-overs under load cost no request,
// no connection and no idle connection.
func TestReloads(t *testing.T) {
	t.Parallel()
	o := serve(t, hello)
	addr := freeAddr(t)
	cfg := fmt.Sprintf("listen web\n    bind %s\n    no log\n    server s1 %s\n    server s2 %s\n", addr, o.addr, o.addr)
	d := start(t, evenkeel, cfg, withArgs("-W"))
	l := newLoad(t, addr)
	l.more(t, 200)
	for i := range 20 {
		was := d.pid()
		if i%2 == 0 {
			d.signal(syscall.SIGUSR2)
		} else {
			d.signal(syscall.SIGHUP)
		}
		d.until("another worker answers", func() bool { p := d.pid(); return p != 0 && p != was })
		l.more(t, 100)
		l.clean(t, fmt.Sprintf("after reload %d", i+1))
	}
	for i := range 5 {
		old, was, exited := d.cmd.Process.Pid, d.pid(), d.exited
		d.run("-sf", strconv.Itoa(old))
		d.until("another worker answers", func() bool { p := d.pid(); return p != 0 && p != was })
		l.more(t, 100)
		select {
		case <-exited:
		case <-time.After(patience):
			t.Fatal("the old process stays")
		}
		l.clean(t, fmt.Sprintf("after take-over %d", i+1))
	}
	l.end()
	l.clean(t, "at the end")
	t.Logf("%d requests", l.served.Load())
}

// TestTakeOvers: the same without a master.
func TestTakeOvers(t *testing.T) {
	t.Parallel()
	o := serve(t, hello)
	addr := freeAddr(t)
	d := start(t, evenkeel, fmt.Sprintf("listen web\n    bind %s\n    no log\n    server s1 %s\n", addr, o.addr))
	l := newLoad(t, addr)
	l.more(t, 200)
	for i := range 5 {
		old, was, exited := d.cmd.Process.Pid, d.pid(), d.exited
		args := []string{"-sf", strconv.Itoa(old)}
		if i%2 == 1 {
			args = append([]string{"-x", d.socket}, args...)
		}
		d.run(args...)
		d.until("another worker answers", func() bool { p := d.pid(); return p != 0 && p != was })
		l.more(t, 100)
		select {
		case <-exited:
		case <-time.After(patience):
			t.Fatal("the old process stays")
		}
		l.clean(t, fmt.Sprintf("after take-over %d", i+1))
	}
	l.end()
	l.clean(t, "at the end")
}

// TestKills: a killed worker costs what it had in its hands, and nobody is
// refused.
func TestKills(t *testing.T) {
	t.Parallel()
	o := serve(t, hello)
	addr := freeAddr(t)
	d := start(t, evenkeel, fmt.Sprintf("listen web\n    bind %s\n    no log\n    server s1 %s\n", addr, o.addr), withArgs("-W"))
	l := newLoad(t, addr)
	l.more(t, 200)
	const kills = 10
	for range kills {
		was := d.pid()
		if was == 0 || was == d.cmd.Process.Pid {
			t.Fatalf("no worker's pid: %d", was)
		}
		syscall.Kill(was, syscall.SIGKILL)
		d.until("another worker answers", func() bool { p := d.pid(); return p != 0 && p != was })
		l.more(t, 100)
	}
	l.end()
	if n := l.refused.Load(); n > 0 {
		t.Errorf("%d connections refused (%s)", n, l.first)
	}
	// Each of the crowd has one request under way, or an idle connection.
	if n := l.failed.Load(); n > kills*crowd {
		t.Errorf("%d requests failed over %d kills", n, kills)
	}
}

// TestBadReload: a configuration that does not parse changes nothing.
func TestBadReload(t *testing.T) {
	o := serve(t, hello)
	addr := freeAddr(t)
	cfg := fmt.Sprintf("listen web\n    bind %s\n    server s1 %s\n", addr, o.addr)
	d := start(t, evenkeel, cfg, withArgs("-W"))
	was := d.pid()
	d.write(cfg + "    nonsense\n")
	d.signal(syscall.SIGUSR2)
	d.until("the refusal is printed", func() bool { return strings.Contains(d.stderr.String(), "nonsense") })
	c := dial(t, addr)
	c.get("/")
	c.want(200, "hello")
	if p := d.pid(); p != was {
		t.Errorf("worker %d instead of %d", p, was)
	}
	d.write(cfg)
	d.signal(syscall.SIGUSR2)
	d.until("another worker answers", func() bool { p := d.pid(); return p != 0 && p != was })
	c.get("/")
	c.want(200, "hello")
}

// TestReloadCarriesOn: what is under way when a reload comes is finished by
// the old worker: a slow download, an upload, a tunnel.
func TestReloadCarriesOn(t *testing.T) {
	o := serve(t, func(c *oconn) {
		q, err := http.ReadRequest(c.br)
		if err != nil {
			return
		}
		c.note("request")
		switch q.URL.Path {
		case "/download":
			c.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
			c.await()
			c.say("67890")
		case "/upload":
			b, _ := io.ReadAll(q.Body)
			c.ok(string(b))
		case "/tunnel":
			c.say("HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
			io.Copy(c.Conn, c.br)
		}
		c.halt()
	})
	addr := freeAddr(t)
	d := start(t, evenkeel, fmt.Sprintf("listen web\n    bind %s\n    server s1 %s\n", addr, o.addr), withArgs("-W"))
	down, up, tun := dial(t, addr), dial(t, addr), dial(t, addr)
	down.get("/download")
	up.send("POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345")
	tun.get("/tunnel", "Upgrade: x", "Connection: upgrade")
	tun.read("HTTP/1.1 101 Switching\r\n")
	readHead(tun.br)
	tun.send("ping")
	tun.read("ping")
	until(t, "all are under way", func() bool { return len(o.notes()) == 3 })
	was := d.pid()
	d.signal(syscall.SIGUSR2)
	d.until("another worker answers", func() bool { p := d.pid(); return p != 0 && p != was })
	o.cues <- struct{}{}
	down.want(200, "1234567890")
	up.send("67890")
	up.want(200, "1234567890")
	tun.send("pong")
	tun.read("pong")
	tun.Close()
	up.Close()
	down.Close()
	until(t, "the old worker ends", func() bool { return syscall.Kill(was, 0) != nil })
}

// TestSoftStop: SIGUSR1 lets a download end, refuses new connections, and the
// process ends after it.
func TestSoftStop(t *testing.T) {
	for _, p := range programs() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			o := serve(t, func(c *oconn) {
				c.head()
				c.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
				c.note("half")
				c.await()
				c.say("67890")
				c.halt()
			})
			addr := freeAddr(t)
			d := start(t, p, fmt.Sprintf("listen web\n    bind %s\n    server s1 %s\n", addr, o.addr))
			c := dial(t, addr)
			c.get("/")
			until(t, "it is under way", func() bool { return len(o.notes()) == 1 })
			d.signal(syscall.SIGUSR1)
			until(t, "the listener is closed", func() bool {
				x, err := net.Dial("tcp", addr)
				if err == nil {
					x.Close()
				}
				return err != nil
			})
			o.cues <- struct{}{}
			c.want(200, "1234567890")
			c.Close()
			d.awaitExit()
		})
	}
}

// TestStop: SIGTERM ends at once, whatever is under way.
func TestStop(t *testing.T) {
	for _, args := range [][]string{{"-db"}, {"-W"}} {
		o := serve(t, func(c *oconn) { c.head(); c.note("half"); c.halt() })
		addr := freeAddr(t)
		d := start(t, evenkeel, fmt.Sprintf("listen web\n    bind %s\n    server s1 %s\n", addr, o.addr), withArgs(args...))
		c := dial(t, addr)
		c.get("/")
		until(t, "it is under way", func() bool { return len(o.notes()) == 1 })
		d.signal(syscall.SIGTERM)
		d.awaitExit()
		c.all()
		if _, err := net.Dial("tcp", addr); err == nil {
			t.Error("something still listens")
		}
	}
}

// TestHardStop: hard-stop-after bounds a soft stop.
func TestHardStop(t *testing.T) {
	o := serve(t, func(c *oconn) { c.head(); c.note("half"); c.halt() })
	addr := freeAddr(t)
	d := start(t, evenkeel, fmt.Sprintf("global\n    hard-stop-after 300ms\nlisten web\n    bind %s\n    server s1 %s\n", addr, o.addr))
	c := dial(t, addr)
	c.get("/")
	until(t, "it is under way", func() bool { return len(o.notes()) == 1 })
	d.signal(syscall.SIGUSR1)
	d.awaitExit()
}
