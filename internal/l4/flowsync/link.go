package flowsync

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// link is the socket of one interface.
type link struct {
	connection *net.UDPConn
	name       string
	index      int
	to         netip.AddrPort
	size       int // bytes of a datagram
}

const (
	receiveBuffer = 8 << 20 // holds what comes while connections are put in
	largest       = 65507   // of a datagram's payload
)

// openLink opens the socket of the group on the interface.
func openLink(s *Settings) (medium, error) {
	iface, err := net.InterfaceByName(s.Interface)
	if err != nil {
		return nil, fmt.Errorf("there is no interface %s", s.Interface)
	}
	if iface.Flags&net.FlagUp == 0 {
		return nil, fmt.Errorf("interface %s is down", s.Interface)
	}
	room := roomOf(iface.MTU, s)
	if room < headerSize+recordHead {
		return nil, fmt.Errorf("a datagram of %d bytes on %s has no room for a connection", room, s.Interface)
	}
	c, err := openSocket(s, iface.Index, iface.Name)
	if err != nil {
		return nil, fmt.Errorf("group %v on %s: %w", s.Group, iface.Name, err)
	}
	group := s.Group
	if group.Is6() {
		group = group.WithZone(iface.Name)
	}
	return &link{connection: c, name: iface.Name, index: iface.Index, to: netip.AddrPortFrom(group, s.Port), size: room}, nil
}

// roomOf is how long a datagram gets: not so long that it is cut in pieces.
func roomOf(mtu int, s *Settings) int {
	overhead := 20 + 8
	if s.Group.Is6() {
		overhead = 40 + 8
	}
	room := min(mtu-overhead, largest)
	if s.MaxLen > 0 {
		room = min(room, s.MaxLen)
	}
	return room
}

// openSocket makes a socket that gets what comes to the group on the interface,
// and nothing else.
func openSocket(s *Settings, index int, name string) (*net.UDPConn, error) {
	family := unix.AF_INET
	if s.Group.Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "flowsync")
	defer f.Close() // FilePacketConn has a copy
	// Another daemon of the host may listen to the same group.
	err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), unix.BindToDevice(fd, name))
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	if s.Group.Is6() {
		err = errors.Join(err, join6(fd, s, index), unix.Bind(fd, &unix.SockaddrInet6{Port: int(s.Port), Addr: s.Group.As16(), ZoneId: uint32(index)}))
	} else {
		err = errors.Join(err, join4(fd, s, index), unix.Bind(fd, &unix.SockaddrInet4{Port: int(s.Port), Addr: s.Group.As4()}))
	}
	if err != nil {
		return nil, err
	}
	c, err := net.FilePacketConn(f)
	if err != nil {
		return nil, err
	}
	return c.(*net.UDPConn), nil
}

func join4(fd int, s *Settings, index int) error {
	m := &unix.IPMreqn{Multiaddr: s.Group.As4(), Ifindex: int32(index)}
	return errors.Join(unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, m),
		unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(index)}),
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, int(s.TTL)),
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0))
}

func join6(fd int, s *Settings, index int) error {
	m := &unix.IPv6Mreq{Multiaddr: s.Group.As16(), Interface: uint32(index)}
	return errors.Join(unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, m),
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, index),
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, int(s.TTL)),
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0))
}

// check says whether the interface is still the one that was opened.
func (l *link) check() error {
	iface, err := net.InterfaceByName(l.name)
	switch {
	case err != nil || iface.Index != l.index:
		return fmt.Errorf("interface %s has gone", l.name)
	case iface.Flags&net.FlagUp == 0:
		return fmt.Errorf("interface %s is down", l.name)
	}
	return nil
}

// write sends a datagram. A full queue is waited for a moment.
func (l *link) write(b []byte) error {
	for try := 0; ; try++ {
		_, err := l.connection.WriteToUDPAddrPort(b, l.to)
		if !errors.Is(err, unix.ENOBUFS) || try == 3 {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

func (l *link) read(b []byte) (int, netip.Addr, error) {
	n, from, err := l.connection.ReadFromUDPAddrPort(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = net.ErrClosed
	}
	return n, from.Addr().Unmap().WithZone(""), err
}

func (l *link) room() int { return l.size }

func (l *link) hush() { _ = l.connection.SetReadDeadline(time.Now()) }

func (l *link) close() { _ = l.connection.Close() }
