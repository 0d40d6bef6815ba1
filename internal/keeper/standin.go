package keeper

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"evenkeel/internal/keeper/lease"
)

// standIn does in the place of a failover process that died what its will
// says: first it keeps the peers from taking over, then it gives up in order.
type standIn struct {
	will lease.Will
	stop chan struct{} // closed by the keeper's loop: a new process has taken over
	done chan struct{} // closed by run
}

// holdFactor is how many advertisement intervals after the last sign of life
// of a failover process its peers still wait: three, less a margin.
const holdFactor = 2.5

// fresh says whether the peers still take this node for the master. After a
// freeze of the whole node they do not, and to say so would make two masters.
func fresh(w lease.Will, silence time.Duration) bool {
	return w.Every > 0 && silence < time.Duration(holdFactor*float64(w.Every))
}

func newStandIn(w lease.Will) *standIn {
	return &standIn{will: w, stop: make(chan struct{}), done: make(chan struct{})}
}

// hold sends the advertisements of the will until stop is closed; it says
// whether that was before its patience was over.
func (s *standIn) hold(send func(lease.Datagram) error) (stopped bool) {
	patience := time.NewTimer(s.will.Patience)
	defer patience.Stop()
	due := make([]time.Time, len(s.will.Alive))
	now := time.Now()
	for i := range due {
		due[i] = now
	}
	turn := time.NewTimer(0)
	defer turn.Stop()
	for {
		select {
		case <-s.stop:
			return true
		case <-patience.C:
			return false
		case now = <-turn.C:
		}
		next := now.Add(time.Hour)
		for i, d := range s.will.Alive {
			if !due[i].After(now) {
				_ = send(d)
				every := d.Every
				if every <= 0 {
					every = s.will.Every
				}
				due[i] = now.Add(max(every, time.Millisecond))
			}
			if due[i].Before(next) {
				next = due[i]
			}
		}
		turn.Reset(time.Until(next))
	}
}

// leave gives the addresses up: priority 0, a wait in which this node still
// answers, and the removal.
func (s *standIn) leave(send func(lease.Datagram) error, remove func([][]byte) error) error {
	var errs []error
	for _, d := range s.will.Leave {
		if err := send(d); err != nil {
			errs = append(errs, err)
		}
	}
	if len(s.will.Leave) > 0 {
		time.Sleep(s.will.Wait)
	}
	if err := remove(s.will.Remove); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// sender sends datagrams from raw sockets, which it opens when they are
// wanted first. It hears nothing.
type sender struct {
	sockets map[[2]int]int // family and protocol
}

func (s *sender) close() {
	for _, fd := range s.sockets {
		unix.Close(fd)
	}
	s.sockets = nil
}

func (s *sender) socket(family, protocol int) (int, error) {
	key := [2]int{family, protocol}
	if fd, ok := s.sockets[key]; ok {
		return fd, nil
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return -1, fmt.Errorf("raw socket for protocol %d: %w", protocol, err)
	}
	nothing := unix.SockFprog{Len: 1, Filter: &unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}}
	_ = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &nothing)
	// Internetwork control, as routing protocols mark themselves (RFC 2474).
	const control = 0xc0
	if family == unix.AF_INET {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, control)
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0)
		// Never fragmented, the packet has an ID of 0: an authentication header
		// covers it, so it had to be known when the will was written.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
	} else {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, control)
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0)
	}
	if s.sockets == nil {
		s.sockets = map[[2]int]int{}
	}
	s.sockets[key] = fd
	return fd, nil
}

func (s *sender) send(d lease.Datagram) error {
	if !d.Destination.IsValid() || !d.Source.IsValid() || d.Destination.Is4() != d.Source.Is4() {
		return fmt.Errorf("a datagram from %v to %v", d.Source, d.Destination)
	}
	family := unix.AF_INET6
	if d.Destination.Is4() {
		family = unix.AF_INET
	}
	fd, err := s.socket(family, d.Protocol)
	if err != nil {
		return err
	}
	var to unix.Sockaddr
	var from []byte
	if family == unix.AF_INET {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL, d.TTL)
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, d.TTL)
		to = &unix.SockaddrInet4{Addr: d.Destination.As4()}
		from = unix.PktInfo4(&unix.Inet4Pktinfo{Ifindex: int32(d.Interface), Spec_dst: d.Source.As4()})
	} else {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, d.TTL)
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, d.TTL)
		zone := uint32(0)
		if isLinkLocal(d.Destination) {
			zone = uint32(d.Interface)
		}
		to = &unix.SockaddrInet6{Addr: d.Destination.As16(), ZoneId: zone}
		from = unix.PktInfo6(&unix.Inet6Pktinfo{Addr: d.Source.As16(), Ifindex: uint32(d.Interface)})
	}
	if err := unix.Sendmsg(fd, d.Payload, from, to, 0); err != nil {
		return fmt.Errorf("advertisement from %v to %v: %w", d.Source, d.Destination, err)
	}
	return nil
}

func isLinkLocal(a netip.Addr) bool { return a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast() }

// request sends netlink messages that somebody else has made. What they were
// to remove may be gone already, so only a failure to send is an error.
func request(messages [][]byte) error {
	if len(messages) == 0 {
		return nil
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("netlink socket: %w", err)
	}
	defer unix.Close(fd)
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: 1})
	for _, m := range messages {
		// The kernel acts within the call; what it answers is not read.
		if err := unix.Sendto(fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return fmt.Errorf("removing addresses: %w", err)
		}
	}
	return nil
}
