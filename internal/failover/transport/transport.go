package transport

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	wire "evenkeel/internal/wire/vrrp"
)

// Packet is one that was received. Its payload is valid during the call.
type Packet struct {
	Interface int // index of the one it came in by
	Header    wire.Header
	Multicast bool
	Payload   []byte // behind the IP header
}

// Transport is all sockets. It belongs to one goroutine.
type Transport struct {
	sockets map[key]*socket
	byFD    map[int]*socket
	groups  groups
	wanted  VRIDs
	receive receiver
	opened  func(fd int) error
	Stats   Stats
}

// Stats counts since Open.
type Stats struct {
	Received, Sent, SendErrors uint64
	SendCalls                  uint64
}

type key struct {
	family   int // unix.AF_INET or AF_INET6
	protocol uint8
}

type socket struct {
	key
	fd  int
	out queue
}

// receiveBuffer is what a socket may hold: a burst of every router on the
// network while this process starts a script.
const receiveBuffer = 1 << 20

// sendBuffer is what all instances may send in one round.
const sendBuffer = 4 << 20

// Open makes a transport without sockets; they come with Need. opened is told
// of each: it becomes readable when packets have arrived.
func Open(opened func(fd int) error) *Transport {
	t := &Transport{sockets: map[key]*socket{}, byFD: map[int]*socket{}, opened: opened}
	t.groups.init()
	t.receive.init()
	return t
}

// Close gives everything back.
func (t *Transport) Close() {
	for _, s := range t.sockets {
		unix.Close(s.fd)
	}
	t.groups.close()
	t.sockets, t.byFD = nil, nil
}

// Need makes sure that packets of a protocol and family (4 or 6) can be sent
// and are received.
func (t *Transport) Need(family, protocol uint8) error {
	k := key{unix.AF_INET, protocol}
	if family == 6 {
		k.family = unix.AF_INET6
	}
	if t.sockets[k] != nil {
		return nil
	}
	s, err := open(k)
	if err != nil {
		return fmt.Errorf("raw socket for protocol %d over IPv%d: %w", protocol, family, err)
	}
	if err := attach(s, &t.wanted); err != nil {
		unix.Close(s.fd)
		return fmt.Errorf("filter for protocol %d over IPv%d: %w", protocol, family, err)
	}
	if err := t.opened(s.fd); err != nil {
		unix.Close(s.fd)
		return err
	}
	t.sockets[k], t.byFD[s.fd] = s, s
	return nil
}

// Accept sets which virtual routers' packets are received.
func (t *Transport) Accept(v VRIDs) error {
	if v == t.wanted {
		return nil
	}
	t.wanted = v
	var errs []error
	for _, s := range t.sockets {
		errs = append(errs, attach(s, &t.wanted))
	}
	return errors.Join(errs...)
}

// option is a setting of a socket without which it would not work.
type option struct {
	level, name, value int
}

func open(k key) (*socket, error) {
	fd, err := unix.Socket(k.family, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(k.protocol))
	if err != nil {
		return nil, err
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer)
	// Internetwork control before everything else in a queue.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, 6)
	options := []option{
		{unix.IPPROTO_IP, unix.IP_HDRINCL, 1}, // any source, and a known ID for AH
		{unix.IPPROTO_IP, unix.IP_PKTINFO, 1},
		{unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0},
		{unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 1}, // groups are joined elsewhere
	}
	if k.family == unix.AF_INET6 {
		options = []option{
			{unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1},
			{unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1},
			{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0},
			{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 1},
			{unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1}, // a source of another interface (virtual MAC)
			{unix.IPPROTO_IPV6, unix.IPV6_TCLASS, trafficClass},
		}
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			unix.Close(fd)
			return nil, fmt.Errorf("socket option %d/%d: %w", o.level, o.name, err)
		}
	}
	return &socket{key: k, fd: fd}, nil
}

// trafficClass is CS6, internetwork control, as routing protocols mark
// themselves (RFC 2474).
const trafficClass = 0xc0
