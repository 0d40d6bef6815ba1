package bfd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"

	wire "evenkeel/internal/wire/bfd"
)

// listener is the socket on a port for one family, shared by all sessions.
type listener struct {
	fd   int
	v6   bool
	port uint16

	ready bool // by wait: there is something to read
}

// networkControl is the class selector 6 of RFC 2474 for what is sent.
const networkControl = 0xc0

// listen opens the socket that c needs; nil: there is one.
func (r *Runner) listen(c *Config) (*listener, error) {
	v6 := c.Neighbor.Is6()
	for _, l := range r.listeners {
		if l.v6 == v6 && l.port == c.Port {
			return nil, nil
		}
	}
	l := &listener{v6: v6, port: c.Port}
	var err error
	set := func(fd, level, option int) {
		if err == nil {
			err = unix.SetsockoptInt(fd, level, option, 1)
		}
	}
	if v6 {
		if l.fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
			return nil, fmt.Errorf("socket: %w", err)
		}
		set(l.fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
		set(l.fd, unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT)
		set(l.fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO)
		if err == nil {
			err = unix.Bind(l.fd, &unix.SockaddrInet6{Port: int(c.Port)})
		}
	} else {
		if l.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
			return nil, fmt.Errorf("socket: %w", err)
		}
		set(l.fd, unix.IPPROTO_IP, unix.IP_RECVTTL)
		set(l.fd, unix.IPPROTO_IP, unix.IP_PKTINFO)
		if err == nil {
			err = unix.Bind(l.fd, &unix.SockaddrInet4{Port: int(c.Port)})
		}
	}
	if err != nil {
		unix.Close(l.fd)
		if errors.Is(err, unix.EADDRINUSE) {
			return nil, fmt.Errorf("UDP port %d is in use; another program speaks BFD here: %w", c.Port, err)
		}
		return nil, fmt.Errorf("UDP port %d: %w", c.Port, err)
	}
	r.listeners = append(r.listeners, l)
	return l, nil
}

// prune closes the sockets that no session needs any more.
func (r *Runner) prune() {
	kept := r.listeners[:0]
	for _, l := range r.listeners {
		needed := false
		for _, s := range r.sessions {
			needed = needed || s.cfg.Port == l.port && s.cfg.Neighbor.Is6() == l.v6
		}
		if needed {
			kept = append(kept, l)
		} else {
			unix.Close(l.fd)
		}
	}
	r.listeners = kept
}

// dial opens the socket that a session sends from: a source port in the range
// of RFC 5881 section 4, the same for all its packets.
func dial(c *Config) (fd int, to unix.Sockaddr, neighbor netip.Addr, err error) {
	zone, err := zoneID(c.Neighbor)
	if err != nil {
		return -1, nil, neighbor, err
	}
	neighbor = c.Neighbor
	if zone != 0 {
		neighbor = neighbor.WithZone(strconv.Itoa(int(zone)))
	}
	family := unix.AF_INET
	if c.Neighbor.Is6() {
		family = unix.AF_INET6
	}
	fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, nil, neighbor, fmt.Errorf("socket: %w", err)
	}
	options := [][3]int{
		{unix.IPPROTO_IP, unix.IP_TTL, c.TTL}, {unix.IPPROTO_IP, unix.IP_TOS, networkControl},
		// The source may be an address that this node gets later.
		{unix.IPPROTO_IP, unix.IP_FREEBIND, 1},
	}
	if family == unix.AF_INET6 {
		options = [][3]int{
			{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, c.TTL}, {unix.IPPROTO_IPV6, unix.IPV6_TCLASS, networkControl},
			{unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1},
		}
	}
	for _, o := range options {
		if err = unix.SetsockoptInt(fd, o[0], o[1], o[2]); err != nil {
			unix.Close(fd)
			return -1, nil, neighbor, fmt.Errorf("socket option: %w", err)
		}
	}
	if err = bindSource(fd, family, c, zone); err != nil {
		unix.Close(fd)
		return -1, nil, neighbor, err
	}
	if family == unix.AF_INET6 {
		return fd, &unix.SockaddrInet6{Addr: c.Neighbor.As16(), Port: int(c.Port), ZoneId: zone}, neighbor, nil
	}
	return fd, &unix.SockaddrInet4{Addr: c.Neighbor.As4(), Port: int(c.Port)}, neighbor, nil
}

// bindSource looks for a free port, from a random place in the range on.
func bindSource(fd, family int, c *Config, zone uint32) (err error) {
	const ports = sourcePortLast - sourcePortFirst + 1
	start := rand.IntN(ports)
	for i := range ports {
		port := sourcePortFirst + (start+i)%ports
		var a unix.Sockaddr
		if family == unix.AF_INET6 {
			v6 := &unix.SockaddrInet6{Port: port}
			if c.Source.IsValid() {
				v6.Addr = c.Source.As16()
				if c.Source.IsLinkLocalUnicast() {
					v6.ZoneId = zone
				}
			}
			a = v6
		} else {
			v4 := &unix.SockaddrInet4{Port: port}
			if c.Source.IsValid() {
				v4.Addr = c.Source.As4()
			}
			a = v4
		}
		if err = unix.Bind(fd, a); !errors.Is(err, unix.EADDRINUSE) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("source address %s: %w", c.Source, err)
	}
	return nil
}

// zoneID is the index of a link-local address's interface; 0: none is needed.
func zoneID(a netip.Addr) (uint32, error) {
	if a.Zone() == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(a.Zone(), 10, 32); err == nil {
		return uint32(n), nil
	}
	i, err := net.InterfaceByName(a.Zone())
	if err != nil {
		return 0, fmt.Errorf("interface %s: %w", a.Zone(), err)
	}
	return uint32(i.Index), nil
}

// send sends a packet. What fails is tried again with the next packet: a
// route or an address that is missing now may come.
func (r *Runner) send(s *session, c *wire.Control) {
	s.packet = wire.Append(s.packet[:0], c)
	if err := unix.Sendto(s.fd, s.packet, unix.MSG_DONTWAIT, s.to); err != nil {
		r.tell(s.cfg.Name, "send", "cannot send to %s: %v", s.cfg.Neighbor, err)
	}
}

// arrival is what is known of a packet besides its bytes.
type arrival struct {
	from, to netip.Addr
	ttl      int // -1: unknown
}

// drain reads what has arrived.
func (r *Runner) drain(l *listener) {
	for range burst {
		n, oobn, flags, from, err := unix.Recvmsg(l.fd, r.buf, r.oob, unix.MSG_DONTWAIT)
		if err != nil {
			return // nothing more, or an error that the read has consumed
		}
		a := arrival{ttl: -1}
		switch x := from.(type) {
		case *unix.SockaddrInet4:
			a.from = netip.AddrFrom4(x.Addr)
		case *unix.SockaddrInet6:
			a.from = netip.AddrFrom16(x.Addr)
			if a.from.IsLinkLocalUnicast() && x.ZoneId != 0 {
				a.from = a.from.WithZone(strconv.Itoa(int(x.ZoneId)))
			}
		default:
			continue
		}
		a.control(r.oob[:oobn])
		if flags&unix.MSG_TRUNC != 0 {
			// No control packet is that long; its length field cannot be
			// larger than what was read.
			r.tell("", "long", "a packet from %s is longer than any BFD packet", a.from)
			continue
		}
		r.receive(l, &a, r.buf[:n])
	}
}

// control reads the ancillary data.
func (a *arrival) control(oob []byte) {
	for len(oob) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return
		}
		oob = rest
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_TTL, h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_HOPLIMIT:
			if len(data) >= 4 {
				a.ttl = int(int32(binary.NativeEndian.Uint32(data)))
			}
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO:
			// struct in_pktinfo: index, local address, destination.
			if len(data) >= 12 {
				a.to = netip.AddrFrom4([4]byte(data[8:12]))
			}
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO:
			if len(data) >= 16 {
				a.to = netip.AddrFrom16([16]byte(data[:16]))
			}
		}
	}
}

// receive finds the session of a packet and gives it to its machine.
func (r *Runner) receive(l *listener, a *arrival, p []byte) {
	c, err := wire.Parse(p)
	if err != nil {
		if s := r.neighbor(l, a); s != nil {
			s.machine.Discard(err.Error())
			r.tell(s.cfg.Name, "packet", "a packet from %s is refused: %v", a.from, err)
		}
		return
	}
	var s *session
	if c.YourDiscriminator != 0 {
		// Section 6.8.6: by the discriminator alone; but nobody else's packets
		// are taken for the neighbor's.
		s = r.byDiscr[c.YourDiscriminator]
		if s != nil && (s.neighbor != a.from || s.cfg.Port != l.port) {
			r.tell(s.cfg.Name, "address", "a packet for this session came from %s, which is not its neighbor %s", a.from, s.cfg.Neighbor)
			s = nil
		}
	} else {
		s = r.neighbor(l, a)
	}
	if s == nil {
		if c.YourDiscriminator == 0 {
			r.tell("", "unknown", "a packet came from %s, which is no session's neighbor", a.from)
		}
		return
	}
	if least := s.cfg.least(); a.ttl < least {
		s.machine.Discard(fmt.Sprintf("TTL %d is below %d", a.ttl, least))
		r.tell(s.cfg.Name, "ttl", "a packet from %s is refused: its TTL %d is below %d; let the neighbor send with 255, or set max_hops", a.from, a.ttl, least)
		return
	}
	r.do(s, s.machine.Receive(r.now(), &c))
}

// neighbor is the session with the sender of a packet that names none.
func (r *Runner) neighbor(l *listener, a *arrival) *session {
	var any *session
	for _, s := range r.sessions {
		if s.leaving || s.neighbor != a.from || s.cfg.Port != l.port {
			continue
		}
		if s.cfg.Source == a.to {
			return s
		}
		if !s.cfg.Source.IsValid() {
			any = s
		}
	}
	return any
}
