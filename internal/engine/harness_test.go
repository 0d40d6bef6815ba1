package engine

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// patience bounds what a test waits for; nothing measures it.
const patience = 20 * time.Second

// startLoop runs a loop until the end of the test.
func startLoop(t testing.TB, o Options) *Loop {
	t.Helper()
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- l.Run() }()
	t.Cleanup(func() {
		l.Stop()
		if err := wait(t, done); err != nil {
			t.Error(err)
		}
	})
	return l
}

// on runs f on the loop and waits for it.
func on(t testing.TB, l *Loop, f func()) {
	t.Helper()
	done := make(chan bool, 1)
	l.Post(func() { f(); done <- true })
	wait(t, done)
}

func wait[T any](t testing.TB, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatal("nothing happened")
	}
	return v
}

// until runs f on the loop, round after round, until it is true.
func until(t testing.TB, l *Loop, f func() bool) {
	t.Helper()
	end := time.Now().Add(patience)
	for {
		ok := false
		on(t, l, func() { ok = f() })
		if ok {
			return
		}
		if time.Now().After(end) {
			t.Fatal("never became true")
		}
	}
}

type handlerFunc func(c *Conn)

func (f handlerFunc) OnConn(c *Conn) { f(c) }

type acceptFunc func(ln *Listener, fd int, src netip.AddrPort)

func (f acceptFunc) OnAccept(ln *Listener, fd int, src netip.AddrPort) { f(ln, fd, src) }

type timerFunc func(t *Timer)

func (f timerFunc) OnTimer(t *Timer) { f(t) }

// socketPair is a non-blocking descriptor for a loop and the other end of it.
func socketPair(t testing.TB) (int, net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[1]), "pair")
	peer, err := net.FileConn(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	peer.SetDeadline(time.Now().Add(patience))
	return fds[0], peer
}

// tcpPair is the same over TCP on the loopback.
func tcpPair(t testing.TB) (int, *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	peer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	peer.SetDeadline(time.Now().Add(patience))
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return dupFD(t, c.(*net.TCPConn)), peer.(*net.TCPConn)
}

func dupFD(t testing.TB, c syscall.Conn) int {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	fd := -1
	err = raw.Control(func(s uintptr) {
		r, _, e := syscall.Syscall(syscall.SYS_FCNTL, s, syscall.F_DUPFD_CLOEXEC, 0)
		if e == 0 {
			fd = int(r)
		}
	})
	if err != nil || fd < 0 {
		t.Fatal("cannot duplicate a descriptor", err)
	}
	syscall.SetNonblock(fd, true)
	return fd
}

// listen gives a listening descriptor that lives as long as the test.
func listen(t testing.TB, network, address string) (int, net.Addr) {
	t.Helper()
	if network == "unix" && address == "" {
		address = filepath.Join(t.TempDir(), "s")
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Skip("cannot listen on", network, address, err)
	}
	t.Cleanup(func() { ln.Close() })
	fd := dupFD(t, ln.(syscall.Conn))
	t.Cleanup(func() { syscall.Close(fd) })
	return fd, ln.Addr()
}

// echo sends back what it reads, minding back-pressure, and passes the end on.
type echo struct {
	l    *Loop
	buf  *Buffer
	end  bool
	errs chan error // may be nil
}

func (e *echo) OnConn(c *Conn) {
	for {
		if e.buf == nil {
			e.buf = e.l.GetBuffer()
		}
		for e.buf.Len() > 0 {
			n, err := c.Write(e.buf.Bytes())
			e.buf.R += n
			if err == ErrAgain {
				return
			}
			if err != nil {
				e.close(c, err)
				return
			}
		}
		e.buf.Reset()
		if e.end {
			c.ShutdownWrite()
			e.close(c, nil)
			return
		}
		n, err := c.Read(e.buf.Free())
		e.buf.W += n
		switch {
		case err == ErrAgain:
			e.l.PutBuffer(e.buf)
			e.buf = nil
			return
		case err != nil && err.Error() == "EOF":
			e.end = true
		case err != nil:
			e.close(c, err)
			return
		}
	}
}

func (e *echo) close(c *Conn, err error) {
	e.l.PutBuffer(e.buf)
	e.buf = nil
	c.Close()
	if e.errs != nil {
		e.errs <- err
	}
}
