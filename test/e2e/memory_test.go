package e2e

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// memory is the resident set of a process, in bytes, that is its own.
func memory(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range strings.Split(string(b), "\n") {
		if v, ok := strings.CutPrefix(l, "RssAnon:"); ok {
			n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(v), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatal("no RssAnon")
	return 0
}

// TestSlowReaders: two hundred clients that each ask for 10 MB and read
// nothing cost the worker a few buffers each; the servers are made to wait.
func TestSlowReaders(t *testing.T) {
	t.Parallel()
	const clients, size = 200, 10 << 20
	o := serve(t, func(c *oconn) {
		for c.head() != "" {
			c.note("request")
			c.say("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
			io.Copy(c.Conn, io.LimitReader(zeros{}, size))
		}
	})
	addr := freeAddr(t)
	d := start(t, evenkeel, fmt.Sprintf("listen web\n    bind %s\n    no log\n    timeout client 10m\n    timeout server 10m\n    server s %s\n", addr, o.addr))
	pid := d.pid()
	before := memory(t, pid)
	var all []*client
	for range clients {
		c := dial(t, addr)
		c.get("/")
		all = append(all, c)
	}
	until(t, "all were asked", func() bool { return len(o.notes()) == clients })
	// Two of them read all the same, which takes some turns of the loops.
	for _, c := range all[:2] {
		c.want(200, "*")
	}
	after := memory(t, pid)
	// 64 KiB and a small buffer each, and what the collector leaves lying.
	if limit := clients * 160 << 10; after-before > limit {
		t.Errorf("%d KiB for %d slow readers, more than %d", (after-before)>>10, clients, limit>>10)
	}
	t.Logf("%d KiB, then %d", before>>10, after>>10)
	// And then everybody gets everything.
	var wg sync.WaitGroup
	for _, c := range all[2:6] {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r, b, err := c.response()
			if err != nil || len(b) != size {
				t.Errorf("%v: %d bytes, %v", r, len(b), err)
			}
		}()
	}
	wg.Wait()
}

// TestFloods: clients that send heads without an end, and responses that are
// garbage, leave nothing behind.
func TestFloods(t *testing.T) {
	t.Parallel()
	o := serve(t, func(c *oconn) {
		for {
			q, _, err := c.request()
			if err != nil {
				return
			}
			if q.URL.Path == "/bad" {
				c.say("HTTP/1.1 200 OK\r\n%s", strings.Repeat("X: "+strings.Repeat("y", 4000)+"\r\n", 10))
				return
			}
			c.ok("")
		}
	})
	addr := freeAddr(t)
	d := start(t, evenkeel, fmt.Sprintf("listen web\n    bind %s\n    no log\n    server s %s\n", addr, o.addr))
	pid := d.pid()
	flood := func(n int) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for range n / 8 {
					c := dial(t, addr)
					switch i % 3 {
					case 0:
						io.WriteString(c.Conn, "GET / HTTP/1.1\r\n"+strings.Repeat("A: b\r\n", 10000))
					case 1:
						io.WriteString(c.Conn, "GET /"+strings.Repeat("a", 100000))
					case 2:
						io.WriteString(c.Conn, "GET /bad HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
					}
					c.all()
					c.Close()
				}
			}()
		}
		wg.Wait()
	}
	flood(400)
	before := memory(t, pid)
	flood(1600)
	if after := memory(t, pid); after-before > 8<<20 {
		t.Errorf("%d KiB after 400 floods, %d after 2000", before>>10, after>>10)
	}
	until(t, "all sessions have ended", func() bool { return d.info("CurrConns") == 0 })
	c := dial(t, addr)
	c.get("/")
	c.want(200, "")
}

// TestIdle: idle keep-alive connections hold no buffers.
func TestIdle(t *testing.T) {
	t.Parallel()
	o := serve(t, hello)
	addr := freeAddr(t)
	d := start(t, evenkeel, fmt.Sprintf("listen web\n    bind %s\n    no log\n    timeout http-keep-alive 10m\n    timeout client 10m\n    server s %s\n", addr, o.addr))
	pid := d.pid()
	connect := func(n int) {
		for range n {
			c := dial(t, addr)
			c.get("/")
			c.want(200, "hello")
		}
	}
	connect(100)
	before := memory(t, pid)
	const more = 1000
	connect(more)
	if after := memory(t, pid); (after-before)/more > 4<<10 {
		t.Errorf("%d bytes for an idle connection", (after-before)/more)
	}
}
