package engine

import (
	"net"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// Socket options fail only on sockets of another family or without privilege;
// who sets one as a wish ignores the error.

func (c *Conn) set(level, opt, value int) error {
	if c.flags&flagClosed != 0 {
		return ErrClosed
	}
	if e := sysSetInt(c.fd, level, opt, value); e != 0 {
		return e
	}
	return nil
}

func flag(on bool) int {
	if on {
		return 1
	}
	return 0
}

// SetNoDelay: send small segments at once. Accepted sockets inherit it from
// the listening one.
func (c *Conn) SetNoDelay(on bool) error { return c.set(solTCP, syscall.TCP_NODELAY, flag(on)) }

// SetKeepAlive turns the kernel's probes on.
func (c *Conn) SetKeepAlive(on bool) error {
	return c.set(syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, flag(on))
}

// SetKeepAliveTimes sets the probes' times; zero leaves the kernel's.
func (c *Conn) SetKeepAliveTimes(idle, interval time.Duration, count int) error {
	if idle > 0 {
		if err := c.set(solTCP, syscall.TCP_KEEPIDLE, seconds(idle)); err != nil {
			return err
		}
	}
	if interval > 0 {
		if err := c.set(solTCP, syscall.TCP_KEEPINTVL, seconds(interval)); err != nil {
			return err
		}
	}
	if count > 0 {
		return c.set(solTCP, syscall.TCP_KEEPCNT, count)
	}
	return nil
}

func seconds(d time.Duration) int { return max(1, int(d/time.Second)) }

// SetCork holds back segments that are not full.
func (c *Conn) SetCork(on bool) error { return c.set(solTCP, syscall.TCP_CORK, flag(on)) }

// SetQuickAck acknowledges at once; the kernel turns it off by itself.
func (c *Conn) SetQuickAck(on bool) error { return c.set(solTCP, syscall.TCP_QUICKACK, flag(on)) }

// SetTOS sets the IPv4 TOS or the IPv6 traffic class, whichever the socket has.
func (c *Conn) SetTOS(tos int) error {
	e4 := c.set(syscall.IPPROTO_IP, syscall.IP_TOS, tos)
	e6 := c.set(syscall.IPPROTO_IPV6, syscall.IPV6_TCLASS, tos)
	if e4 != nil && e6 != nil {
		return e4
	}
	return nil
}

// SetMark sets the netfilter mark; it takes CAP_NET_ADMIN.
func (c *Conn) SetMark(mark int) error { return c.set(syscall.SOL_SOCKET, soMark, mark) }

// SetUserTimeout bounds how long sent data may stay unacknowledged.
func (c *Conn) SetUserTimeout(d time.Duration) error {
	return c.set(solTCP, tcpUserTimeout, int(d/time.Millisecond))
}

// SetLinger is SO_LINGER in seconds; 0 makes Close send RST, less than 0 is the
// kernel's default.
func (c *Conn) SetLinger(sec int) error {
	if c.flags&flagClosed != 0 {
		return ErrClosed
	}
	l := syscall.Linger{Onoff: 1, Linger: int32(sec)}
	if sec < 0 {
		l = syscall.Linger{}
	}
	if e := sysSetsockopt(c.fd, syscall.SOL_SOCKET, syscall.SO_LINGER, unsafe.Pointer(&l), unsafe.Sizeof(l)); e != 0 {
		return e
	}
	return nil
}

// zoneIndex is the number of an IPv6 zone given by number or interface name.
func zoneIndex(zone string) uint32 {
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n)
	}
	if i, err := net.InterfaceByName(zone); err == nil {
		return uint32(i.Index)
	}
	return 0
}
