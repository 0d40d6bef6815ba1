package engine

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestConnIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(Conn{}); n > 64 {
		t.Errorf("a Conn takes %d bytes", n)
	}
}

// exchange writes data, half-closes, and wants the same back up to the end.
func exchange(t *testing.T, peer net.Conn, data []byte) {
	t.Helper()
	go func() {
		peer.Write(data)
		peer.(interface{ CloseWrite() error }).CloseWrite()
	}()
	got, err := io.ReadAll(peer)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("sent %d bytes, got %d back: %v", len(data), len(got), err)
	}
}

func TestEchoBothWays(t *testing.T) {
	for _, pair := range []struct {
		name string
		make func() (int, net.Conn)
	}{
		{"unix", func() (int, net.Conn) { return socketPair(t) }},
		{"tcp", func() (int, net.Conn) { fd, c := tcpPair(t); return fd, c }},
	} {
		for _, size := range []int{0, 1, 16384, 1 << 20} {
			l := startLoop(t, Options{NoReuse: true})
			fd, peer := pair.make()
			errs := make(chan error, 1)
			on(t, l, func() {
				if _, err := l.Adopt(fd, &echo{l: l, errs: errs}); err != nil {
					t.Error(err)
				}
			})
			exchange(t, peer, noise(size))
			if err := wait(t, errs); err != nil {
				t.Errorf("%s: %v", pair.name, err)
			}
			until(t, l, func() bool { return l.Conns() == 0 })
		}
	}
}

func TestAbruptCloseIsAnError(t *testing.T) {
	l := startLoop(t, Options{})
	fd, peer := tcpPair(t)
	errs := make(chan error, 1)
	on(t, l, func() {
		l.Adopt(fd, handlerFunc(func(c *Conn) {
			_, err := c.Read(make([]byte, 10))
			if !c.Failed() || !c.ReadClosed() {
				err = errors.New("the failure does not show")
			}
			c.Close()
			errs <- err
		}))
	})
	peer.SetLinger(0)
	peer.Close()
	if err := wait(t, errs); err != syscall.ECONNRESET {
		t.Fatal(err)
	}
}

func TestResetSendsRST(t *testing.T) {
	l := startLoop(t, Options{})
	fd, peer := tcpPair(t)
	on(t, l, func() {
		c, _ := l.Adopt(fd, nil)
		c.Reset()
		if !c.Closed() {
			t.Error("not closed")
		}
	})
	if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
}

func TestReadFlags(t *testing.T) {
	l := startLoop(t, Options{})
	fd, peer := socketPair(t)
	events := make(chan bool, 10)
	var c *Conn
	on(t, l, func() {
		c, _ = l.Adopt(fd, handlerFunc(func(*Conn) { events <- true }))
		if !c.Readable() || !c.Writable() || !c.Connected() {
			t.Error("an adopted socket must be worth a try")
		}
		if _, err := c.Read(make([]byte, 1)); err != ErrAgain || c.Readable() {
			t.Error("empty socket:", err)
		}
	})
	peer.Write([]byte("abcdef"))
	wait(t, events)
	on(t, l, func() {
		buf := make([]byte, 4)
		if n, err := c.Peek(buf); n != 4 || err != nil || string(buf) != "abcd" {
			t.Error("peek", n, err)
		}
		if n, err := c.Read(buf); n != 4 || err != nil || !c.Readable() {
			t.Error("a full read leaves it readable", n, err)
		}
		if n, err := c.Read(buf); n != 2 || err != nil || c.Readable() {
			t.Error("a short read has emptied it", n, err)
		}
	})
	// After the peer's end is known, a short read is followed by the end.
	peer.Write([]byte("xy"))
	peer.(*net.UnixConn).CloseWrite()
	until(t, l, c.ReadClosed)
	on(t, l, func() {
		buf := make([]byte, 4)
		if n, _ := c.Read(buf); n != 2 || !c.Readable() {
			t.Error("the end is still to be read", n)
		}
		if _, err := c.Read(buf); err != io.EOF {
			t.Error("want the end, got", err)
		}
		if n, err := c.Writev([]byte("ab"), []byte("cd")); n != 4 || err != nil {
			t.Error("half-closed, but writable", n, err)
		}
		c.Close()
		c.Close()
		if _, err := c.Read(buf); err != ErrClosed {
			t.Error(err)
		}
		if _, err := c.Write(buf); err != ErrClosed {
			t.Error(err)
		}
	})
	if got, _ := io.ReadAll(peer); string(got) != "abcd" {
		t.Errorf("%q", got)
	}
}

func TestBackPressure(t *testing.T) {
	l := startLoop(t, Options{})
	fd, peer := socketPair(t)
	data := noise(4 << 20)
	sent, blocked := 0, 0
	done := make(chan bool, 1)
	stuck := make(chan bool, 1)
	on(t, l, func() {
		h := handlerFunc(func(c *Conn) {
			for sent < len(data) {
				n, err := c.Write(data[sent:])
				sent += n
				if err == ErrAgain {
					if c.Writable() {
						t.Error("writable after ErrAgain")
					}
					if blocked++; blocked == 1 {
						stuck <- true
					}
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
			c.Close()
			done <- true
		})
		c, _ := l.Adopt(fd, h)
		h.OnConn(c)
	})
	wait(t, stuck)
	got, err := io.ReadAll(peer)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatal(len(got), err)
	}
	wait(t, done)
	if blocked == 0 {
		t.Fatal("never blocked")
	}
}

// Two connections become readable in one batch; the first handler to run
// closes the other: that one's handler must not run.
func TestCloseWithinABatch(t *testing.T) {
	for range 20 {
		l := startLoop(t, Options{})
		var fds [2]int
		var peers [2]net.Conn
		for i := range fds {
			fds[i], peers[i] = socketPair(t)
		}
		runs := 0
		var conns [2]*Conn
		on(t, l, func() {
			for i := range conns {
				conns[i], _ = l.Adopt(fds[i], handlerFunc(func(c *Conn) {
					if runs++; runs > 1 {
						return // the end of the test
					}
					conns[1-i].Close()
					// The struct must not serve another connection yet either.
					fd, _ := socketPair(t)
					if n, _ := l.Adopt(fd, nil); n == conns[1-i] {
						t.Error("a Conn was used again in the round of its Close")
					}
				}))
			}
		})
		on(t, l, func() {
			// Both from within one round: one batch.
			peers[0].Write([]byte("x"))
			peers[1].Write([]byte("x"))
		})
		until(t, l, func() bool { return runs > 0 })
		on(t, l, func() {})
		on(t, l, func() {
			if runs != 1 {
				t.Error("handlers ran:", runs)
			}
		})
	}
}

func TestConnIsUsedAgainLater(t *testing.T) {
	l := startLoop(t, Options{})
	var first *Conn
	on(t, l, func() {
		fd, _ := socketPair(t)
		first, _ = l.Adopt(fd, nil)
		first.Close()
	})
	on(t, l, func() {
		fd, _ := socketPair(t)
		if c, _ := l.Adopt(fd, nil); c != first {
			t.Error("not used again")
		}
	})
	// Neither an event nor a run-queue entry of the old one is the new one's.
	on(t, l, func() {
		fd, _ := socketPair(t)
		old, _ := l.Adopt(fd, handlerFunc(func(*Conn) { t.Error("the handler of a closed connection ran") }))
		old.Wake()
		stale := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(old.index), Pad: int32(old.gen)}
		old.Close()
		l.dispatch(&stale)
		l.finishRound()
		ran := 0
		fd, _ = socketPair(t)
		c, _ := l.Adopt(fd, handlerFunc(func(*Conn) { ran++ }))
		l.dispatch(&stale)
		l.runWoken()
		if c != old || ran != 0 {
			t.Error("told of what happened to an earlier connection", ran)
		}
		stale.Pad = int32(c.gen)
		l.dispatch(&stale)
		if ran != 1 {
			t.Error("not told of its own event")
		}
		c.Close()
	})
}

func TestNoReusePanics(t *testing.T) {
	l := startLoop(t, Options{NoReuse: true})
	on(t, l, func() {
		fd, _ := socketPair(t)
		c, _ := l.Adopt(fd, nil)
		c.Close()
		defer func() {
			if recover() == nil {
				t.Error("use after Close was not found")
			}
		}()
		c.Read(make([]byte, 1))
	})
}

func TestWake(t *testing.T) {
	l := startLoop(t, Options{})
	fd, _ := socketPair(t)
	runs, rounds := 0, 0
	on(t, l, func() {
		l.SetEndRound(func() { rounds++ })
		c, _ := l.Adopt(fd, handlerFunc(func(c *Conn) {
			if runs++; runs < 1000 {
				c.Wake()
				c.Wake() // twice is once
			}
		}))
		c.Wake()
	})
	until(t, l, func() bool { return runs == 1000 })
	on(t, l, func() {
		if rounds < 1000/wakeRounds {
			t.Error("a handler that wakes itself kept the loop from polling:", rounds)
		}
	})
}

func TestDial(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ name, network, address string }{
		{"IPv4", "tcp", "127.0.0.1:0"},
		{"IPv6", "tcp", "[::1]:0"},
		{"unix", "unix", filepath.Join(dir, "s")},
		{"abstract", "unix", "@evenkeel-engine-test"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := startLoop(t, Options{NoReuse: true})
			fd, addr := listen(t, c.network, c.address)
			var srcs []netip.AddrPort
			d := Dialer{NoDelay: true, KeepAlive: true, UserTimeout: time.Minute, KeepAliveIdle: time.Minute}
			if c.network == "tcp" {
				d.Addr = netip.MustParseAddrPort(addr.String())
			} else {
				d.Path = c.address
			}
			got := make(chan string, 1)
			on(t, l, func() {
				l.Listen(fd, acceptFunc(func(ln *Listener, fd int, src netip.AddrPort) {
					srcs = append(srcs, src)
					l.Adopt(fd, &echo{l: l})
				}), 4)
				client, err := l.Dial(&d, handlerFunc(func(c *Conn) {
					buf := make([]byte, 100)
					n, err := c.Read(buf)
					if err == ErrAgain {
						return
					}
					if !c.Connected() || c.ConnectErr() != nil {
						t.Error("not connected")
					}
					got <- string(buf[:n])
				}))
				if err != nil {
					t.Fatal(err)
				}
				if n, err := client.Write([]byte("hello")); n != 5 || err != nil {
					t.Error("on the loopback the first write succeeds:", n, err)
				}
				if c.network == "tcp" && client.RemoteAddr() != d.Addr {
					t.Error(client.RemoteAddr())
				}
				t.Cleanup(func() {})
			})
			if s := wait(t, got); s != "hello" {
				t.Errorf("%q", s)
			}
			on(t, l, func() {
				if len(srcs) != 1 || srcs[0].IsValid() != (c.network == "tcp") {
					t.Error(srcs)
				}
			})
		})
	}
}

// A dial whose owner only waits is told when it is connected.
func TestDialTellsOfTheConnection(t *testing.T) {
	_, addr := listen(t, "tcp", "127.0.0.1:0")
	_, path := listen(t, "unix", "")
	to := netip.MustParseAddrPort(addr.String())
	mapped := netip.AddrPortFrom(netip.AddrFrom16(to.Addr().As16()), to.Port())
	for _, d := range []Dialer{{Addr: to}, {Addr: mapped}, {Path: path.String()}} {
		l := startLoop(t, Options{})
		done := make(chan bool, 10)
		on(t, l, func() {
			c, err := l.Dial(&d, handlerFunc(func(c *Conn) {
				done <- c.Connected() && c.Writable() && c.ConnectErr() == nil
			}))
			if err != nil || c.Connected() != (d.Path != "") {
				t.Error(err, "or connected too early")
			}
		})
		if !wait(t, done) {
			t.Fatal("told, but not connected")
		}
	}
}

func TestDialRefused(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &Dialer{Addr: netip.MustParseAddrPort(free.Addr().String())}
	free.Close()
	for _, write := range []bool{false, true} {
		l := startLoop(t, Options{})
		errs := make(chan error, 1)
		on(t, l, func() {
			h := handlerFunc(func(c *Conn) {
				if c.Connected() || !c.Failed() {
					t.Error("connected to nobody")
				}
				errs <- c.ConnectErr()
				c.Close()
			})
			c, err := l.Dial(d, h)
			if err != nil {
				t.Error(err)
				return
			}
			if write {
				if _, err := c.Write([]byte("x")); err != syscall.ECONNREFUSED && err != ErrAgain {
					t.Error(err)
				}
				if c.ConnectErr() != nil {
					h.OnConn(c)
				}
			}
		})
		if err := wait(t, errs); err != syscall.ECONNREFUSED {
			t.Fatal(err)
		}
	}
}

func TestDialErrorsAreClear(t *testing.T) {
	l := startLoop(t, Options{})
	_, addr := listen(t, "tcp", "127.0.0.1:0")
	to := netip.MustParseAddrPort(addr.String())
	long := string(bytes.Repeat([]byte("x"), 200))

	// A unix socket whose queue is full.
	path := filepath.Join(t.TempDir(), "full")
	lfd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(lfd)
	if err := syscall.Bind(lfd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	syscall.Listen(lfd, 0)

	on(t, l, func() {
		for i := 0; i < 4; i++ {
			if _, err = l.Dial(&Dialer{Path: path}, nil); err != nil {
				break
			}
		}
	})
	var de *DialError
	if !errors.As(err, &de) || !errors.Is(err, syscall.EAGAIN) || de.Hint == "" {
		t.Error("full unix queue:", err)
	}
	for _, c := range []struct {
		d    Dialer
		want error
	}{
		{Dialer{Addr: to, Source: netip.MustParseAddrPort("192.0.2.1:0")}, syscall.EADDRNOTAVAIL},
		{Dialer{Path: filepath.Join(t.TempDir(), "none")}, syscall.ENOENT},
		{Dialer{Addr: to, Interface: "no-such-if0"}, syscall.ENODEV},
		{Dialer{Path: long}, nil},
		{Dialer{}, nil},
	} {
		on(t, l, func() {
			before := l.Conns()
			_, err := l.Dial(&c.d, nil)
			if err == nil || c.want != nil && !errors.Is(err, c.want) && !errors.Is(err, syscall.EPERM) {
				t.Errorf("%+v: %v", c.d, err)
			}
			if l.Conns() != before {
				t.Error("a failed dial left a connection")
			}
		})
	}
}

func TestDialSourcePorts(t *testing.T) {
	l := startLoop(t, Options{})
	_, addr := listen(t, "tcp", "127.0.0.1:0")
	free, _ := net.Listen("tcp", "127.0.0.1:0")
	port := netip.MustParseAddrPort(free.Addr().String()).Port()
	free.Close()
	d := &Dialer{Addr: netip.MustParseAddrPort(addr.String()), SourcePorts: [2]uint16{port, port},
		Source: netip.MustParseAddrPort("127.0.0.1:0")}
	on(t, l, func() {
		c, err := l.Dial(d, nil)
		if err != nil || c.LocalAddr().Port() != port {
			t.Error("the only port was not taken", err)
		}
		if _, err = l.Dial(d, nil); !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Error("no port is left, but:", err)
		}
	})
}

func TestDetachMovesToAnotherLoop(t *testing.T) {
	a := startLoop(t, Options{})
	b := startLoop(t, Options{ID: 1})
	fd, peer := socketPair(t)
	var c *Conn
	on(t, a, func() {
		c, _ = a.Adopt(fd, handlerFunc(func(*Conn) { t.Error("the old owner was told") }))
		c.Read(make([]byte, 1))
	})
	on(t, a, func() { fd = c.Detach() })
	on(t, b, func() { b.Adopt(fd, &echo{l: b}) })
	exchange(t, peer, noise(100000))
	if a.Conns() != 0 {
		t.Error("counted twice")
	}
}

func TestSplice(t *testing.T) {
	l := startLoop(t, Options{})
	in, from := socketPair(t)
	out, to := tcpPair(t)
	data := noise(1 << 20)
	done := make(chan error, 1)
	on(t, l, func() {
		p, err := l.GetPipe()
		if err != nil {
			t.Fatal(err)
		}
		var src, dst *Conn
		end := false
		move := handlerFunc(func(*Conn) {
			for {
				if p.Len() > 0 {
					if _, err := dst.SpliceOut(p); err == ErrAgain {
						return
					} else if err != nil {
						done <- err
						return
					}
				}
				if end {
					if p.Len() > 0 {
						continue
					}
					src.Close()
					dst.Close()
					l.PutPipe(p)
					if again, _ := l.GetPipe(); again != p {
						t.Error("the pipe is not kept")
					}
					done <- nil
					return
				}
				_, err := src.SpliceIn(p, 65536)
				switch {
				case err == io.EOF:
					end = true
				case err == ErrAgain && p.Len() == 0:
					return
				case err != nil && err != ErrAgain:
					done <- err
					return
				}
			}
		})
		src, _ = l.Adopt(in, move)
		dst, _ = l.Adopt(out, move)
	})
	go func() {
		from.Write(data)
		from.Close()
	}()
	got, err := io.ReadAll(to)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatal(len(got), err)
	}
	if err := wait(t, done); err != nil {
		t.Fatal(err)
	}
}

func TestSocketOptions(t *testing.T) {
	l := startLoop(t, Options{})
	fd, _ := tcpPair(t)
	on(t, l, func() {
		c, _ := l.Adopt(fd, nil)
		for name, err := range map[string]error{
			"nodelay":   c.SetNoDelay(true),
			"keepalive": c.SetKeepAlive(true),
			"times":     c.SetKeepAliveTimes(time.Minute, time.Second, 3),
			"cork":      c.SetCork(true),
			"quickack":  c.SetQuickAck(true),
			"tos":       c.SetTOS(0x10),
			"timeout":   c.SetUserTimeout(time.Second),
			"linger":    c.SetLinger(-1),
		} {
			if err != nil {
				t.Error(name, err)
			}
		}
		if v, _ := sysGetInt(c.fd, solTCP, syscall.TCP_KEEPIDLE); v != 60 {
			t.Error("keepalive idle", v)
		}
	})
}

// A connection that is served must not make garbage.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	l := startLoop(t, Options{})
	fd, peer := tcpPair(t)
	on(t, l, func() { l.Adopt(fd, &echo{l: l}) })
	buf := make([]byte, 1024)
	rounds := func(n int) {
		for range n {
			peer.Write(buf)
			if _, err := io.ReadFull(peer, buf); err != nil {
				t.Fatal(err)
			}
		}
	}
	rounds(100)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	rounds(2000)
	runtime.ReadMemStats(&after)
	if n := after.Mallocs - before.Mallocs; n > 500 {
		t.Errorf("%d allocations in 2000 round trips", n)
	}
}
