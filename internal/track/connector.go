package track

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// The kernel's proc connector: linux/connector.h and linux/cn_proc.h.
const (
	cnIdxProc = 1
	cnValProc = 1

	procListen = 1
	procIgnore = 2

	procNone = 0
	procFork = 1
	procExec = 2
	procComm = 0x200
	procExit = 0x80000000

	sizeCN    = 20 // struct cn_msg
	sizeEvent = 16 // struct proc_event without its data
)

// procEvent is one event about a whole process; threads are left out.
type procEvent struct {
	what   uint32
	pid    int
	parent int    // of a fork
	errno  uint32 // of procNone: the answer to listening
}

// parseConnector reads the events of one datagram. What is not understood is
// left out.
func parseConnector(b []byte) []procEvent {
	var list []procEvent
	for len(b) >= unix.NLMSG_HDRLEN {
		n := int(binary.NativeEndian.Uint32(b))
		kind := binary.NativeEndian.Uint16(b[4:])
		if n < unix.NLMSG_HDRLEN || n > len(b) {
			break
		}
		body := b[unix.NLMSG_HDRLEN:n]
		b = b[min((n+3)&^3, len(b)):]
		if kind != unix.NLMSG_DONE || len(body) < sizeCN+sizeEvent {
			continue
		}
		if binary.NativeEndian.Uint32(body) != cnIdxProc || binary.NativeEndian.Uint32(body[4:]) != cnValProc {
			continue
		}
		if e, ok := parseProcEvent(body[sizeCN:]); ok {
			list = append(list, e)
		}
	}
	return list
}

func parseProcEvent(b []byte) (procEvent, bool) {
	e := procEvent{what: binary.NativeEndian.Uint32(b)}
	data := b[sizeEvent:]
	word := func(i int) int {
		if len(data) < 4*i+4 {
			return -1
		}
		return int(int32(binary.NativeEndian.Uint32(data[4*i:])))
	}
	switch e.what {
	case procNone:
		if word(0) < 0 {
			return e, false
		}
		e.errno = uint32(word(0))
		return e, true
	case procFork: // parent pid, parent tgid, child pid, child tgid
		e.parent, e.pid = word(1), word(3)
		return e, e.pid > 0 && e.parent > 0 && word(2) == e.pid
	case procExec, procComm, procExit: // pid, tgid
		e.pid = word(1)
		return e, e.pid > 0 && word(0) == e.pid
	}
	return e, false
}

// connector is an open subscription to events of processes.
type connector struct {
	file *os.File
	buf  []byte
}

// errOverrun says that events were lost.
var errOverrun = errors.New("the kernel had more events than we read")

// openConnector subscribes. The kernel has the connector in its first network
// namespace alone: where this process is in another, its socket is made in
// that of process 1, if we may.
func openConnector() (*connector, error) {
	c, err := listenConnector()
	if err == nil {
		return c, nil
	}
	if e := inNamespace("/proc/1/ns/net", func() { c, err = listenConnector() }); e != nil {
		return nil, err
	}
	return c, err
}

// inNamespace runs f in another network namespace.
func inNamespace(path string, f func()) error {
	there, err := os.Open(path)
	if err != nil {
		return err
	}
	defer there.Close()
	runtime.LockOSThread()
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer here.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	f()
	if err := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); err != nil {
		return err // a thread that cannot come back is never used again: it stays locked
	}
	runtime.UnlockOSThread()
	return nil
}

func listenConnector() (*connector, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_CONNECTOR)
	if err != nil {
		return nil, fmt.Errorf("proc connector: socket: %w", err)
	}
	fail := func(what string, err error) (*connector, error) {
		unix.Close(fd)
		return nil, fmt.Errorf("proc connector: %s: %w", what, err)
	}
	// Forks come in storms; the forced form is for root.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: cnIdxProc}); err != nil {
		return fail("bind", err)
	}
	if err := tellConnector(fd, procListen); err != nil {
		return fail("listen", err)
	}
	// The answer is among the events; without one the kernel does not do it
	// for us (another pid namespace).
	buf := make([]byte, 64<<10)
	tv := unix.NsecToTimeval(int64(time.Second))
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv)
	for until := time.Now().Add(time.Second); ; {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.ENOBUFS) {
			return fail("answer", err)
		}
		for _, e := range parseConnector(buf[:max(n, 0)]) {
			if e.what != procNone {
				continue
			}
			if e.errno != 0 {
				return fail("listen", unix.Errno(e.errno))
			}
			if err := unix.SetNonblock(fd, true); err != nil {
				return fail("non-blocking", err)
			}
			return &connector{file: os.NewFile(uintptr(fd), "proc connector"), buf: buf}, nil
		}
		if time.Now().After(until) {
			return fail("answer", unix.ETIMEDOUT)
		}
	}
}

// tellConnector sends procListen or procIgnore.
func tellConnector(fd int, what uint32) error {
	msg := make([]byte, unix.NLMSG_HDRLEN+sizeCN+4)
	put := binary.NativeEndian
	put.PutUint32(msg, uint32(len(msg)))
	put.PutUint16(msg[4:], unix.NLMSG_DONE)
	cn := msg[unix.NLMSG_HDRLEN:]
	put.PutUint32(cn, cnIdxProc)
	put.PutUint32(cn[4:], cnValProc)
	put.PutUint16(cn[16:], 4)
	put.PutUint32(cn[sizeCN:], what)
	return unix.Sendto(fd, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

// read waits for events. errOverrun means that the table must be made anew.
func (c *connector) read() ([]procEvent, error) {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return nil, err
	}
	var n int
	var e error
	err = raw.Read(func(fd uintptr) bool {
		var from unix.Sockaddr
		n, from, e = unix.Recvfrom(int(fd), c.buf, 0)
		if nl, ok := from.(*unix.SockaddrNetlink); ok && nl.Pid != 0 {
			n = 0 // not from the kernel
		}
		return !errors.Is(e, unix.EAGAIN) && !errors.Is(e, unix.EINTR)
	})
	switch {
	case err != nil:
		return nil, err
	case errors.Is(e, unix.ENOBUFS):
		return nil, errOverrun
	case e != nil:
		return nil, e
	}
	return parseConnector(c.buf[:n]), nil
}

// close unsubscribes too: before Linux 6.6 the kernel would go on making events
// for a listener that only closed its socket.
func (c *connector) close() {
	if raw, err := c.file.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { tellConnector(int(fd), procIgnore) })
	}
	c.file.Close()
}
