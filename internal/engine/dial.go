package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"
	"unsafe"
)

// Dialer says how to reach a server. It is only read, so loops may share one.
type Dialer struct {
	Addr netip.AddrPort
	Path string // unix socket instead of Addr; '@' or NUL first: abstract

	Source      netip.AddrPort // zero: the kernel chooses
	SourcePorts [2]uint16      // with Source: try these ports, first to last
	Interface   string
	Mark        int
	TOS         int
	MSS         int
	UserTimeout time.Duration
	Transparent bool // Source need not be an address of this machine
	TFO         bool
	MPTCP       bool
	NoDelay     bool // turn TCP_NODELAY on
	KeepAlive   bool

	KeepAliveIdle     time.Duration
	KeepAliveInterval time.Duration
	KeepAliveCount    int
}

// DialError says which step of a dial failed at once, in words for a log.
type DialError struct {
	Op    string // the system call
	Hint  string // what it usually means; may be empty
	Errno syscall.Errno
}

func (e *DialError) Error() string {
	if e.Hint != "" {
		return e.Hint + " (" + e.Op + ": " + e.Errno.Error() + ")"
	}
	return e.Op + ": " + e.Errno.Error()
}

func (e *DialError) Unwrap() error { return e.Errno }

func dialErr(op string, e syscall.Errno) error {
	d := &DialError{Op: op, Errno: e}
	switch e {
	case syscall.EADDRNOTAVAIL, syscall.EADDRINUSE:
		d.Hint = "no free port, or the source address is not on this machine"
	case syscall.EMFILE:
		d.Hint = "out of file descriptors: raise the limit of this process"
	case syscall.ENFILE:
		d.Hint = "out of file descriptors: raise fs.file-max"
	case syscall.ENOBUFS, syscall.ENOMEM:
		d.Hint = "out of memory for sockets"
	case syscall.EAGAIN:
		d.Hint = "the server's queue is full, or there is no free local port"
	case syscall.EPERM, syscall.EACCES:
		d.Hint = "not permitted: a capability, a firewall rule or a file's mode forbids it"
	}
	return d
}

// Dial begins a connection that is usable at once: a Write is tried, and gives
// ErrAgain while the connection is not made. On the loopback it usually is. The
// error is what connect said at once; later ones are in ConnectErr. With TFO,
// "connected" means that the first write was taken, before the server answered.
func (l *Loop) Dial(d *Dialer, h Handler) (*Conn, error) {
	family, proto := syscall.AF_INET, 0
	var size uintptr
	switch {
	case d.Path != "":
		family = syscall.AF_UNIX
	case !d.Addr.IsValid():
		return nil, errors.New("dial: no address")
	case !d.Addr.Addr().Unmap().Is4():
		family = syscall.AF_INET6
	}
	if d.MPTCP && family != syscall.AF_UNIX {
		proto = ipprotoMPTCP
	}
	fd, e := newSocket(family, proto)
	if e != 0 {
		return nil, dialErr("socket", e)
	}
	if err := l.prepare(fd, family, d); err != nil {
		sysClose(fd)
		return nil, err
	}
	if d.Path != "" {
		var ok bool
		if size, ok = putUnix(&l.addr, d.Path); !ok {
			sysClose(fd)
			return nil, fmt.Errorf("dial: %q cannot be a unix socket's path: too long", d.Path)
		}
	} else {
		size = putAddrPort(&l.addr, netip.AddrPortFrom(d.Addr.Addr().Unmap(), d.Addr.Port()))
	}
	_, _, e = syscall.RawSyscall(syscall.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&l.addr)), size)
	switch e {
	case 0:
		// With fast open the connection begins with the first write.
		if d.TFO && family != syscall.AF_UNIX {
			return l.newConn(int(fd), h, flagWritable|flagConnecting), nil
		}
		// A unix socket: there will be no event for who only waits.
		c := l.newConn(int(fd), h, flagWritable|flagConnected)
		c.Wake()
		return c, nil
	case syscall.EINPROGRESS, syscall.EINTR:
		return l.newConn(int(fd), h, flagWritable|flagConnecting), nil
	}
	sysClose(fd)
	return nil, dialErr("connect", e)
}

func newSocket(family, proto int) (int32, syscall.Errno) {
	kind := syscall.SOCK_STREAM | syscall.SOCK_NONBLOCK | syscall.SOCK_CLOEXEC
	fd, _, e := syscall.RawSyscall(syscall.SYS_SOCKET, uintptr(family), uintptr(kind), uintptr(proto))
	if e != 0 && proto == ipprotoMPTCP {
		// A kernel without MPTCP: plain TCP is what the peer would fall back to.
		fd, _, e = syscall.RawSyscall(syscall.SYS_SOCKET, uintptr(family), uintptr(kind), 0)
	}
	return int32(fd), e
}

// prepare sets the options that must precede connect.
func (l *Loop) prepare(fd int32, family int, d *Dialer) error {
	var err error
	set := func(on bool, name string, level, opt, value int) {
		if !on || err != nil {
			return
		}
		if e := sysSetInt(fd, level, opt, value); e != 0 {
			err = dialErr("setsockopt "+name, e)
		}
	}
	set(d.Mark != 0, "SO_MARK", syscall.SOL_SOCKET, soMark, d.Mark)
	if family == syscall.AF_UNIX {
		return err
	}
	set(d.NoDelay, "TCP_NODELAY", solTCP, syscall.TCP_NODELAY, 1)
	set(d.KeepAlive, "SO_KEEPALIVE", syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1)
	set(d.KeepAliveIdle > 0, "TCP_KEEPIDLE", solTCP, syscall.TCP_KEEPIDLE, seconds(d.KeepAliveIdle))
	set(d.KeepAliveInterval > 0, "TCP_KEEPINTVL", solTCP, syscall.TCP_KEEPINTVL, seconds(d.KeepAliveInterval))
	set(d.KeepAliveCount > 0, "TCP_KEEPCNT", solTCP, syscall.TCP_KEEPCNT, d.KeepAliveCount)
	set(d.UserTimeout > 0, "TCP_USER_TIMEOUT", solTCP, tcpUserTimeout, int(d.UserTimeout/time.Millisecond))
	set(d.MSS > 0, "TCP_MAXSEG", solTCP, syscall.TCP_MAXSEG, d.MSS)
	set(d.TFO, "TCP_FASTOPEN_CONNECT", solTCP, tcpFastOpenConnect, 1)
	if family == syscall.AF_INET {
		set(d.TOS != 0, "IP_TOS", syscall.IPPROTO_IP, syscall.IP_TOS, d.TOS)
		set(d.Transparent, "IP_TRANSPARENT", syscall.IPPROTO_IP, syscall.IP_TRANSPARENT, 1)
	} else {
		set(d.TOS != 0, "IPV6_TCLASS", syscall.IPPROTO_IPV6, syscall.IPV6_TCLASS, d.TOS)
		set(d.Transparent, "IPV6_TRANSPARENT", syscall.IPPROTO_IPV6, ipv6Transparent, 1)
	}
	if d.Interface != "" && err == nil {
		if e := syscall.BindToDevice(int(fd), d.Interface); e != nil {
			errno, _ := e.(syscall.Errno)
			err = dialErr("setsockopt SO_BINDTODEVICE", errno)
		}
	}
	if d.Source.IsValid() && err == nil {
		err = l.bindSource(fd, d)
	}
	return err
}

// bindSource binds to the source address; without a port the kernel chooses one
// at connect, when it knows the destination, so ports are not used up.
func (l *Loop) bindSource(fd int32, d *Dialer) error {
	bind := func(ap netip.AddrPort) syscall.Errno {
		size := putAddrPort(&l.addr, ap)
		_, _, e := syscall.RawSyscall(syscall.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&l.addr)), size)
		return e
	}
	first, last := d.SourcePorts[0], d.SourcePorts[1]
	if first == 0 {
		if d.Source.Port() == 0 {
			sysSetInt(fd, syscall.IPPROTO_IP, ipBindAddressNoPort, 1)
		} else {
			sysSetInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
		}
		if e := bind(d.Source); e != 0 {
			return dialErr("bind", e)
		}
		return nil
	}
	sysSetInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	// Loops begin at different places, moving on, so that they seldom collide.
	count := int(max(last, first)-first) + 1
	start := int(l.now/1000) % count
	var e syscall.Errno
	for i := range count {
		port := first + uint16((start+i)%count)
		if e = bind(netip.AddrPortFrom(d.Source.Addr(), port)); e != syscall.EADDRINUSE {
			break
		}
	}
	if e != 0 {
		return dialErr("bind", e)
	}
	return nil
}
