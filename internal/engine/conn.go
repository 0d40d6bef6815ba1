package engine

import (
	"errors"
	"io"
	"net/netip"
	"syscall"
	"unsafe"
)

var (
	// ErrAgain: nothing can be read or written now; the handler will run when
	// that changes.
	ErrAgain = errors.New("engine: would block")
	// ErrClosed is the answer of a connection after Close.
	ErrClosed = errors.New("engine: connection is closed")
	// ErrNotSupported: splicing over TLS.
	ErrNotSupported = errors.New("engine: not possible on a TLS connection")
)

// Handler runs when the readiness of c changed, when a dial or a TLS handshake
// ended, and after Wake.
type Handler interface{ OnConn(c *Conn) }

const (
	flagReadable    = 1 << iota // a read may give something
	flagWritable                // a write may take something
	flagReadClosed              // RDHUP or HUP was seen
	flagFailed                  // ERR was seen, or an I/O call failed
	flagEOF                     // a read gave the end
	flagConnecting              // dialled, not yet known to be connected
	flagConnected               //
	flagRegistered              // known to epoll
	flagOut                     // OUT is (to be) in the registration
	flagQueued                  // on the run-queue
	flagClosed                  // by the owner; it may linger for TLS output
	flagWriteClosed             // ShutdownWrite was called
	flagDialFailed              // errno is what connect gave
)

// Conn is a stream socket owned by a loop. It holds no buffers.
type Conn struct {
	// Set once.
	loop  *Loop
	index uint32

	// Owned by the loop.
	gen     uint32 // grows at every Close, so stale events and queue entries show
	handler Handler
	tls     *tlsState
	fd      int32
	flags   uint32
	errno   uint32
}

// Adopt takes an accepted or received non-blocking stream socket. Its first
// Read may be tried at once.
func (l *Loop) Adopt(fd int, h Handler) (*Conn, error) {
	if fd <= 0 {
		return nil, syscall.EBADF
	}
	return l.newConn(fd, h, flagReadable|flagWritable|flagConnected), nil
}

// registerNow tells epoll, at the end of the round.
func (c *Conn) registerNow() {
	if c.flags&flagRegistered != 0 || c.fd <= 0 {
		return
	}
	if c.flags&flagConnecting != 0 {
		c.flags |= flagOut
	}
	c.epollCtl(syscall.EPOLL_CTL_ADD)
}

func (c *Conn) epollCtl(op int) {
	l := c.loop
	l.ev = syscall.EpollEvent{Events: syscall.EPOLLIN | epollRDHUP | epollET, Fd: int32(c.index), Pad: int32(c.gen)}
	if c.flags&flagOut != 0 {
		l.ev.Events |= syscall.EPOLLOUT
	}
	if e := sysEpollCtl(l.epfd, op, c.fd, &l.ev); e != 0 {
		// No memory, or over max_user_watches: this connection cannot live.
		c.fail(e)
		c.Wake()
		return
	}
	c.flags |= flagRegistered
}

// wantOut has epoll report room for output from now on. It stays registered:
// edge-triggered, it costs nothing while there is room.
func (c *Conn) wantOut() {
	c.flags &^= flagWritable
	if c.flags&flagOut != 0 {
		return
	}
	c.flags |= flagOut
	if c.flags&flagRegistered != 0 {
		c.epollCtl(syscall.EPOLL_CTL_MOD)
	}
}

func (c *Conn) fail(e syscall.Errno) {
	c.errno = uint32(e)
	c.flags |= flagFailed | flagReadable | flagWritable
	if c.flags&flagConnecting != 0 {
		c.flags = c.flags&^flagConnecting | flagDialFailed
	}
}

// onEvent turns an epoll event into flags and runs the handler if one changed
// that it can act upon.
func (c *Conn) onEvent(ev uint32) {
	old := c.flags
	f := old
	if ev&(syscall.EPOLLIN|epollRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
		f |= flagReadable
		if ev&(epollRDHUP|syscall.EPOLLHUP) != 0 {
			f |= flagReadClosed
		}
		if ev&syscall.EPOLLERR != 0 {
			f |= flagFailed | flagWritable
		}
		if ev&syscall.EPOLLHUP != 0 {
			f |= flagWritable
		}
	} else if old&(flagWritable|flagConnecting) == flagWritable {
		return // there was room already
	}
	if ev&syscall.EPOLLOUT != 0 {
		f |= flagWritable
	}
	c.flags = f
	if f&flagConnecting != 0 {
		c.dialEvent(ev)
	}
	if c.tls != nil && !c.tls.onEvent(old) {
		return
	}
	c.call()
}

func (c *Conn) call() {
	if c.handler != nil && c.flags&flagClosed == 0 {
		c.handler.OnConn(c)
	}
}

// dialEvent ends a connect in progress.
func (c *Conn) dialEvent(ev uint32) {
	if ev&(syscall.EPOLLERR|syscall.EPOLLHUP) != 0 {
		v, e := sysGetInt(c.fd, syscall.SOL_SOCKET, syscall.SO_ERROR)
		if e == 0 && v != 0 {
			e = syscall.Errno(v)
		}
		if e == 0 {
			e = syscall.ENOTCONN
		}
		c.fail(e)
		return
	}
	if ev&(syscall.EPOLLOUT|syscall.EPOLLIN) != 0 {
		c.connected()
	}
}

func (c *Conn) connected() {
	c.flags = c.flags&^flagConnecting | flagConnected
}

// Connected tells whether the connection was made (also if it ended since).
func (c *Conn) Connected() bool { return c.flags&flagConnected != 0 }

// ConnectErr is why a dial failed: a syscall.Errno; nil while it goes on and
// after it succeeded.
func (c *Conn) ConnectErr() error {
	if c.flags&flagDialFailed != 0 {
		return syscall.Errno(c.errno)
	}
	return nil
}

// SetHandler changes who is told.
func (c *Conn) SetHandler(h Handler) {
	c.check()
	c.handler = h
}

// Handler is who is told.
func (c *Conn) Handler() Handler { return c.handler }

func (c *Conn) check() {
	if c.flags&flagClosed != 0 && c.loop.noReuse {
		panic("engine: use of a Conn after Close")
	}
}

// Read gives ErrAgain when there is nothing, io.EOF at the end, or a
// syscall.Errno. It makes no system call while the connection is known to have
// nothing.
func (c *Conn) Read(p []byte) (int, error) {
	if c.tls != nil {
		return c.tls.read(p)
	}
	if c.flags&(flagReadable|flagClosed) != flagReadable {
		return 0, c.notReadable()
	}
	return c.recv(p)
}

func (c *Conn) notReadable() error {
	if c.flags&flagClosed != 0 {
		c.check()
		return ErrClosed
	}
	return ErrAgain
}

// recv reads what the socket carries. A short read has emptied the socket, so
// the next edge tells of more; but not after the peer's end was seen, because
// its edge is behind us and the end itself is still to be read.
func (c *Conn) recv(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, e := sysRecv(c.fd, p, 0)
	if e != 0 {
		return 0, c.readErr(e)
	}
	if n == 0 {
		c.flags |= flagEOF | flagReadClosed
		return 0, io.EOF
	}
	if n < len(p) && c.flags&(flagReadClosed|flagFailed) == 0 {
		c.flags &^= flagReadable
	}
	return n, nil
}

func (c *Conn) readErr(e syscall.Errno) error {
	if e == syscall.EAGAIN {
		c.flags &^= flagReadable
		return ErrAgain
	}
	c.fail(e)
	return e
}

// Peek reads without taking. It is for the bytes in front of a TLS handshake.
func (c *Conn) Peek(p []byte) (int, error) {
	if c.tls != nil {
		return 0, ErrNotSupported
	}
	if c.flags&(flagReadable|flagClosed) != flagReadable {
		return 0, c.notReadable()
	}
	n, e := sysRecv(c.fd, p, syscall.MSG_PEEK)
	if e != 0 {
		return 0, c.readErr(e)
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Write takes what fits and says how much; ErrAgain when nothing fits, or while
// a dial or handshake goes on. A short write has filled the socket.
func (c *Conn) Write(p []byte) (int, error) { return c.write(p, 0) }

// WriteMore is Write for what is to be followed at once by more: the kernel may
// wait for it before it sends a segment that is not full.
func (c *Conn) WriteMore(p []byte) (int, error) { return c.write(p, syscall.MSG_MORE) }

func (c *Conn) write(p []byte, flags int) (int, error) {
	if c.tls != nil {
		return c.tls.write(p, nil)
	}
	if c.flags&(flagWritable|flagClosed) != flagWritable {
		return 0, c.notWritable()
	}
	return c.send(p, flags)
}

func (c *Conn) notWritable() error {
	if c.flags&flagClosed != 0 {
		c.check()
		return ErrClosed
	}
	return ErrAgain
}

func (c *Conn) send(p []byte, flags int) (int, error) {
	n, e := sysSend(c.fd, p, flags)
	if e != 0 {
		return 0, c.writeErr(e)
	}
	c.sent(n < len(p))
	return n, nil
}

func (c *Conn) sent(short bool) {
	if c.flags&flagConnecting != 0 {
		c.connected()
	}
	if short {
		c.wantOut()
	}
}

func (c *Conn) writeErr(e syscall.Errno) error {
	if e == syscall.EAGAIN || e == syscall.EINPROGRESS {
		c.wantOut()
		return ErrAgain
	}
	c.fail(e)
	return e
}

// Writev is Write of two pieces in one call.
func (c *Conn) Writev(a, b []byte) (int, error) {
	if len(b) == 0 {
		return c.Write(a)
	}
	if len(a) == 0 {
		return c.Write(b)
	}
	if c.tls != nil {
		return c.tls.write(a, b)
	}
	if c.flags&(flagWritable|flagClosed) != flagWritable {
		return 0, c.notWritable()
	}
	l := c.loop
	l.iov[0].Base = unsafe.SliceData(a)
	l.iov[0].SetLen(len(a))
	l.iov[1].Base = unsafe.SliceData(b)
	l.iov[1].SetLen(len(b))
	l.msg.Iov = &l.iov[0]
	l.msg.Iovlen = 2
	n, e := sysSendmsg(c.fd, &l.msg, 0)
	l.iov[0].Base, l.iov[1].Base = nil, nil
	if e != 0 {
		return 0, c.writeErr(e)
	}
	c.sent(n < len(a)+len(b))
	return n, nil
}

// Readable: a Read may give data, the end or an error.
func (c *Conn) Readable() bool {
	if c.tls != nil {
		return c.tls.readable()
	}
	return c.flags&flagReadable != 0
}

// Writable: a Write may take something.
func (c *Conn) Writable() bool {
	if c.tls != nil {
		return c.tls.writable()
	}
	return c.flags&flagWritable != 0
}

// ReadClosed: the peer has sent its end (there may be data before it).
func (c *Conn) ReadClosed() bool { return c.flags&flagReadClosed != 0 }

// Failed: the socket has an error; the next Read or Write tells which.
func (c *Conn) Failed() bool {
	return c.flags&flagFailed != 0 || c.tls != nil && c.tls.failed()
}

// Closed: Close, Reset or Detach was called.
func (c *Conn) Closed() bool { return c.flags&flagClosed != 0 }

// ShutdownWrite sends the end (for TLS: close_notify first, and both only
// after what is still pending).
func (c *Conn) ShutdownWrite() error {
	if c.flags&(flagWriteClosed|flagClosed) != 0 {
		return nil
	}
	c.flags |= flagWriteClosed
	if c.tls != nil {
		return c.tls.shutdownWrite()
	}
	return c.shutdownSocket()
}

func (c *Conn) shutdownSocket() error {
	if e := sysShutdown(c.fd, syscall.SHUT_WR); e != 0 {
		return e
	}
	return nil
}

// Close gives the descriptor back. Data that the socket took is still
// delivered, and so is pending TLS output (for as long as lingerFor).
func (c *Conn) Close() {
	if c.flags&flagClosed != 0 {
		return
	}
	if c.tls != nil && c.tls.close() {
		// Output is pending: the engine keeps the connection, the owner not.
		c.flags |= flagClosed
		c.handler = nil
		return
	}
	c.release()
}

// Reset closes at once and makes the kernel send RST.
func (c *Conn) Reset() {
	if c.flags&flagClosed != 0 {
		return
	}
	c.SetLinger(0)
	c.abort()
}

// abort closes without caring for TLS output.
func (c *Conn) abort() {
	if c.tls != nil {
		c.tls.abort()
	}
	c.release()
}

// release closes the socket and gives the struct back.
func (c *Conn) release() {
	fd := c.fd
	c.forget()
	sysClose(fd)
}

func (c *Conn) forget() {
	l := c.loop
	c.gen++
	c.flags = flagClosed
	c.handler = nil
	c.tls = nil
	c.fd = -1
	l.conns.Store(l.conns.Load() - 1)
	l.closed = append(l.closed, c)
}

// Detach gives the descriptor to the caller and forgets it. TLS state is lost.
func (c *Conn) Detach() int {
	if c.flags&flagClosed != 0 {
		return -1
	}
	if c.flags&flagRegistered != 0 {
		sysEpollCtl(c.loop.epfd, syscall.EPOLL_CTL_DEL, c.fd, &c.loop.ev)
	}
	if c.tls != nil {
		c.tls.abort()
	}
	fd := c.fd
	c.forget()
	return int(fd)
}

// Wake has the handler run once more in this round.
func (c *Conn) Wake() {
	if c.flags&(flagQueued|flagClosed) != 0 {
		return
	}
	c.flags |= flagQueued
	c.loop.runQueue = append(c.loop.runQueue, connRef{c, c.gen})
}

// FD is the descriptor; it stays the connection's.
func (c *Conn) FD() int { return int(c.fd) }

// Loop is the owner.
func (c *Conn) Loop() *Loop { return c.loop }

// RemoteAddr is the peer's address; zero for unix sockets.
func (c *Conn) RemoteAddr() netip.AddrPort { return c.name(syscall.SYS_GETPEERNAME) }

// LocalAddr is this side's address; zero for unix sockets.
func (c *Conn) LocalAddr() netip.AddrPort { return c.name(syscall.SYS_GETSOCKNAME) }

func (c *Conn) name(call uintptr) netip.AddrPort {
	l := c.loop
	l.addrLen = uint32(unsafe.Sizeof(l.addr))
	_, _, e := syscall.RawSyscall(call, uintptr(c.fd), uintptr(unsafe.Pointer(&l.addr)), uintptr(unsafe.Pointer(&l.addrLen)))
	if e != 0 {
		return netip.AddrPort{}
	}
	return addrPort(&l.addr)
}
