package engine

import (
	"bytes"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"unsafe"
)

func TestPostKeepsOrderAndLosesNothing(t *testing.T) {
	l := startLoop(t, Options{})
	const posters, each = 8, 2000
	var got [posters][]int
	var wg sync.WaitGroup
	for p := range posters {
		wg.Go(func() {
			for i := range each {
				l.Post(func() { got[p] = append(got[p], i) })
			}
		})
	}
	wg.Wait()
	on(t, l, func() {
		for p := range got {
			if len(got[p]) != each {
				t.Fatal("lost", each-len(got[p]))
			}
			for i, v := range got[p] {
				if v != i {
					t.Fatal("out of order")
				}
			}
		}
	})
}

// Each Post meets a loop that is asleep or just falling asleep.
func TestPostWakesASleepingLoop(t *testing.T) {
	l := startLoop(t, Options{})
	for range 2000 {
		on(t, l, func() {})
	}
}

func TestPostAfterTheEnd(t *testing.T) {
	l, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	l.Stop()
	if err := l.Run(); err != nil {
		t.Fatal(err)
	}
	l.Post(func() { t.Error("ran") })
	fd, peer := socketPair(t)
	l.Hand(fd, netip.AddrPort{}, nil)
	if _, err := peer.Read(make([]byte, 1)); err == nil {
		t.Error("a descriptor handed to a loop that is over stays open")
	}
}

func TestRunClosesWhatIsOpen(t *testing.T) {
	l, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	fd, peer := socketPair(t)
	if _, err := l.Adopt(fd, handlerFunc(func(*Conn) { t.Error("told after the end") })); err != nil {
		t.Fatal(err)
	}
	l.Stop()
	l.Run()
	if _, err := peer.Read(make([]byte, 1)); err == nil {
		t.Error("still open")
	}
	if l.Conns() != 0 {
		t.Error(l.Conns())
	}
}

func TestClocks(t *testing.T) {
	a := startLoop(t, Options{})
	b := startLoop(t, Options{ID: 7})
	if b.ID() != 7 {
		t.Error(b.ID())
	}
	var now1, now2 int64
	on(t, a, func() {
		now1 = a.Now()
		if a.Wall().Year() < 2024 {
			t.Error(a.Wall())
		}
	})
	on(t, b, func() { now2 = b.Now() })
	if now1 <= 0 || now2 < now1 {
		t.Error("the loops' clocks differ", now1, now2)
	}
}

func TestLoopTimers(t *testing.T) {
	l := startLoop(t, Options{})
	fired := make(chan int, 10)
	var a, b, c Timer
	on(t, l, func() {
		now := l.Now()
		l.Arm(&b, timerFunc(func(*Timer) { fired <- 2 }), now+30e6)
		l.Arm(&a, timerFunc(func(*Timer) {
			if l.Now() < now+10e6 {
				t.Error("early")
			}
			fired <- 1
		}), now+10e6)
		l.Arm(&c, timerFunc(func(*Timer) { fired <- 3 }), now+20e6)
		l.Disarm(&c)
	})
	if x, y := wait(t, fired), wait(t, fired); x != 1 || y != 2 {
		t.Error(x, y)
	}
}

type handedFunc func(l *Loop, fd int, src netip.AddrPort)

func (f handedFunc) OnHanded(l *Loop, fd int, src netip.AddrPort) { f(l, fd, src) }

func TestAcceptAndHandOver(t *testing.T) {
	a := startLoop(t, Options{})
	b := startLoop(t, Options{})
	fd, addr := listen(t, "tcp", "127.0.0.1:0")
	h := handedFunc(func(l *Loop, fd int, src netip.AddrPort) {
		if l != b || !src.Addr().IsLoopback() {
			t.Error("handed to the wrong loop, or without its source", src)
		}
		l.Adopt(fd, &echo{l: l})
	})
	on(t, a, func() {
		a.Listen(fd, acceptFunc(func(ln *Listener, fd int, src netip.AddrPort) {
			b.Hand(fd, src, h)
		}), 1)
	})
	for range 5 {
		peer, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		exchange(t, peer, noise(1000))
		peer.Close()
	}
	if a.Conns() != 0 || a.Stats().Accepted != 5 {
		t.Errorf("%+v", a.Stats())
	}
}

func TestListenerPauseResumeClose(t *testing.T) {
	l := startLoop(t, Options{})
	fd, addr := listen(t, "tcp", "127.0.0.1:0")
	accepted := make(chan int, 10)
	var ln *Listener
	on(t, l, func() {
		var err error
		ln, err = l.Listen(fd, acceptFunc(func(ln *Listener, fd int, src netip.AddrPort) {
			syscall.Close(fd)
			ln.Pause() // one at a time
			accepted <- fd
		}), 100)
		if err != nil {
			t.Error(err)
		}
	})
	for range 3 {
		c, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	for i := range 3 {
		wait(t, accepted)
		on(t, l, func() {
			if len(accepted) != 0 || !ln.Paused() {
				t.Error("accepted while paused")
			}
			if i < 2 {
				ln.Resume()
			}
		})
	}
	on(t, l, func() {
		ln.Close()
		ln.Resume()
		ln.Close()
		again, err := l.Listen(fd, ln.Handler(), 1)
		if err != nil || again.index != ln.index {
			t.Error("a closed listener's place is not used again", err)
		}
	})
	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wait(t, accepted)
}

// Without descriptors the listener must pause, not spin, and go on later.
func TestAcceptWithoutDescriptors(t *testing.T) {
	l := startLoop(t, Options{})
	fd, addr := listen(t, "tcp", "127.0.0.1:0")
	accepted := make(chan int, 10)
	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var old syscall.Rlimit
	syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old)
	low := old
	low.Cur = 3
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Skip(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old)
	var ln *Listener
	on(t, l, func() {
		ln, err = l.Listen(fd, acceptFunc(func(ln *Listener, fd int, src netip.AddrPort) {
			syscall.Close(fd)
			accepted <- fd
		}), 100)
		if err != nil {
			t.Error(err)
		}
	})
	until(t, l, func() bool { return l.Stats().AcceptPauses > 0 })
	on(t, l, func() {
		if !ln.Starving() || ln.added {
			t.Error("not paused")
		}
		if _, err := l.Dial(&Dialer{Addr: netip.MustParseAddrPort(addr.String())}, nil); err == nil {
			t.Error("dialled without descriptors")
		}
	})
	syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old)
	wait(t, accepted)
}

func TestBuffers(t *testing.T) {
	l, err := New(Options{BufSize: 8000})
	if err != nil {
		t.Fatal(err)
	}
	b := l.GetBuffer()
	if len(b.B) != 8000 || cap(b.B) != 8000 || len(l.GetBigBuffer().B) != 65536 {
		t.Fatal(len(b.B), cap(b.B))
	}
	b.W = copy(b.B, "hello world")
	b.R = 6
	b.Compact()
	if string(b.Bytes()) != "world" || b.Len() != 5 || len(b.Free()) != 7995 {
		t.Errorf("%q", b.Bytes())
	}
	l.PutBuffer(b)
	l.PutBuffer(nil)
	if again := l.GetBuffer(); again != b || again.Len() != 0 {
		t.Error("the hot buffer must come first, and empty")
	}
}

func TestUnusedBuffersGoBackToTheKernel(t *testing.T) {
	l, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	const n = 1000
	var all []*Buffer
	for range n {
		b := l.GetBuffer()
		b.B[0] = 1
		all = append(all, b)
	}
	for _, b := range all {
		l.PutBuffer(b)
	}
	if !l.trimTimer.Armed() {
		t.Fatal("nobody will look at the free buffers")
	}
	for now := l.now; l.trimTimer.Armed(); now += 1e8 {
		if now > l.now+100e9 {
			t.Fatal("trims for ever")
		}
		l.wheel.advance(now)
	}
	kept, cold := 0, 0
	for _, b := range all {
		switch {
		case b.B[0] == 1:
			kept++
		case b.cold:
			cold++
		}
	}
	if kept+cold != n || kept > trimKeep/16384 || kept == 0 {
		t.Errorf("kept %d, gave back %d", kept, cold)
	}
	for range n {
		b := l.GetBuffer()
		b.B[16383] = 2 // still memory
	}
}

func TestSocketAddresses(t *testing.T) {
	for _, s := range []string{"127.0.0.1:80", "255.254.1.2:65535", "[::1]:443", "[2001:db8::1]:1", "[fe80::1%3]:9"} {
		var sa syscall.RawSockaddrAny
		ap := netip.MustParseAddrPort(s)
		putAddrPort(&sa, ap)
		if got := addrPort(&sa); got != ap {
			t.Errorf("%v became %v", ap, got)
		}
	}
	var sa syscall.RawSockaddrAny
	putAddrPort(&sa, netip.MustParseAddrPort("[::ffff:10.0.0.1]:80"))
	if got := addrPort(&sa); got.String() != "10.0.0.1:80" {
		t.Error("mapped IPv4:", got)
	}
	for path, want := range map[string]string{"/run/x": "/run/x\x00", "@abc": "\x00abc", "\x00abc": "\x00abc"} {
		n, ok := putUnix(&sa, path)
		raw := unsafe.Slice((*byte)(unsafe.Pointer(&sa)), n)[2:]
		if !ok || !bytes.Equal(raw, []byte(want)) {
			t.Errorf("%q: %q", path, raw)
		}
	}
}

func TestEventRate(t *testing.T) {
	var r eventRate
	now := int64(1e9)
	r.add(now, 1) // the first window ends at once
	for i := range 10 {
		r.add(now+int64(i+1)*rateWindow/10, busyEvents/10+1)
	}
	if !r.busy {
		t.Error("not busy after more than enough events in a window")
	}
	now += rateWindow
	for i := range 10 {
		r.add(now+int64(i+1)*rateWindow/10, 1) // one client that waits for each answer
	}
	if r.busy {
		t.Error("busy after few events in a window")
	}
	r.add(now+10*rateWindow, busyEvents)
	if r.busy {
		t.Error("busy after a burst at the end of a long silence")
	}
}
