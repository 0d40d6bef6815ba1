package engine

import (
	"fmt"
	"net/netip"
	"syscall"
	"unsafe"
)

// AcceptHandler takes new connections: it owns fd, and usually calls Adopt or
// gives it to another loop by Hand. src is zero for unix sockets.
type AcceptHandler interface {
	OnAccept(ln *Listener, fd int, src netip.AddrPort)
}

// Listener is a listening socket on one loop; loops may share the socket, each
// with a Listener of its own.
type Listener struct {
	// Set once.
	loop      *Loop
	handler   AcceptHandler
	maxAccept int
	index     uint32
	fd        int32

	// Owned by the loop.
	gen    uint32
	timer  Timer // ends a pause for lack of descriptors
	paused bool  // by Pause
	starve bool  // for lack of descriptors
	closed bool
	added  bool
}

// acceptPause is how long accepting stops when the machine is out of
// descriptors or memory: level-triggered, it would spin.
const acceptPause = 100e6

// Listen accepts from a listening non-blocking socket, at most maxAccept at one
// wake-up (64 if it is 0). The descriptor stays the caller's.
func (l *Loop) Listen(fd int, h AcceptHandler, maxAccept int) (*Listener, error) {
	if maxAccept <= 0 {
		maxAccept = 64
	}
	ln := &Listener{loop: l, fd: int32(fd), handler: h, maxAccept: maxAccept}
	ln.index = uint32(len(l.listeners))
	for i, old := range l.listeners {
		if old == nil {
			ln.index = uint32(i)
			break
		}
	}
	// A generation that no event of an earlier listener at this index has.
	ln.gen = uint32(l.now)
	if e := ln.add(); e != 0 {
		return nil, fmt.Errorf("epoll_ctl of a listening socket: %w", e)
	}
	if int(ln.index) == len(l.listeners) {
		l.listeners = append(l.listeners, ln)
	} else {
		l.listeners[ln.index] = ln
	}
	return ln, nil
}

// add registers level-triggered and exclusive: one loop, not all, wakes up for
// a connection. An exclusive registration cannot be changed, only removed.
func (ln *Listener) add() syscall.Errno {
	l := ln.loop
	l.ev = syscall.EpollEvent{Events: syscall.EPOLLIN | epollExclusive,
		Fd: int32(ln.index | indexListener), Pad: int32(ln.gen)}
	e := sysEpollCtl(l.epfd, syscall.EPOLL_CTL_ADD, ln.fd, &l.ev)
	ln.added = e == 0
	return e
}

func (ln *Listener) remove() {
	if ln.added {
		sysEpollCtl(ln.loop.epfd, syscall.EPOLL_CTL_DEL, ln.fd, &ln.loop.ev)
		ln.added = false
	}
	ln.gen++
}

func (ln *Listener) accept() {
	l := ln.loop
	for range ln.maxAccept {
		l.addrLen = uint32(unsafe.Sizeof(l.addr))
		fd, _, e := syscall.RawSyscall6(syscall.SYS_ACCEPT4, uintptr(ln.fd),
			uintptr(unsafe.Pointer(&l.addr)), uintptr(unsafe.Pointer(&l.addrLen)),
			syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0, 0)
		switch e {
		case 0:
			if l.addrLen < 2 {
				l.addr.Addr.Family = syscall.AF_UNSPEC
			}
			l.accepted.Add(1)
			ln.handler.OnAccept(ln, int(fd), addrPort(&l.addr))
			if !ln.added {
				return // the handler paused or closed it
			}
		case syscall.EAGAIN:
			return
		case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM:
			l.acceptPauses.Add(1)
			ln.starve = true
			ln.remove()
			l.Arm(&ln.timer, ln, l.now+acceptPause)
			return
		case syscall.EBADF, syscall.EINVAL, syscall.ENOTSOCK, syscall.EOPNOTSUPP, syscall.EFAULT:
			// Not listening any more (shut down by another owner of the socket).
			l.acceptErrors.Add(1)
			ln.remove()
			return
		default:
			// The connection was gone, or the network under it: the next one.
			l.acceptErrors.Add(1)
		}
	}
}

// OnTimer ends a pause for lack of descriptors.
func (ln *Listener) OnTimer(*Timer) {
	ln.starve = false
	ln.resume()
}

func (ln *Listener) resume() {
	if ln.closed || ln.paused || ln.starve || ln.added {
		return
	}
	if e := ln.add(); e != 0 {
		ln.starve = true
		ln.loop.Arm(&ln.timer, ln, ln.loop.now+acceptPause)
	}
}

// Pause stops accepting: connections wait in the socket's queue.
func (ln *Listener) Pause() {
	ln.paused = true
	ln.remove()
}

// Resume goes on after Pause.
func (ln *Listener) Resume() {
	ln.paused = false
	ln.resume()
}

// Paused tells whether Pause is in force.
func (ln *Listener) Paused() bool { return ln.paused }

// Starving tells whether accepting stopped for lack of descriptors or memory.
func (ln *Listener) Starving() bool { return ln.starve }

// Close stops for good and leaves the descriptor alone.
func (ln *Listener) Close() {
	if ln.closed {
		return
	}
	ln.closed = true
	ln.remove()
	ln.loop.Disarm(&ln.timer)
	ln.loop.listeners[ln.index] = nil
}

// FD is the listening socket.
func (ln *Listener) FD() int { return int(ln.fd) }

// Loop is the owner.
func (ln *Listener) Loop() *Loop { return ln.loop }

// Handler is who is given the connections.
func (ln *Listener) Handler() AcceptHandler { return ln.handler }
