package transport

import (
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// groups are the multicast groups that interfaces have joined. Any socket can
// join for the whole host, and one takes only a few (igmp_max_memberships), so
// there are as many as it takes; they receive nothing themselves.
type groups struct {
	joined  map[Membership]int // the socket that joined
	sockets []int
	all     []int
}

// Membership is a group on an interface.
type Membership struct {
	Interface int
	Group     netip.Addr
}

func (g *groups) init() { g.joined = map[Membership]int{} }

func (g *groups) close() {
	for _, fd := range g.all {
		unix.Close(fd)
	}
}

// Join makes an interface receive a group. Repeatable: an interface that was
// away and is back under another index is another one; one that flapped keeps
// its groups.
func (t *Transport) Join(m Membership) error {
	g := &t.groups
	if _, ok := g.joined[m]; ok {
		return nil
	}
	for _, fd := range g.sockets {
		err := membership(fd, m, true)
		if err == nil || errors.Is(err, unix.EADDRINUSE) {
			g.joined[m] = fd
			return nil
		}
		if !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.ENOMEM) && !errors.Is(err, unix.EAFNOSUPPORT) {
			return fmt.Errorf("join %v on interface %d: %w", m.Group, m.Interface, err)
		}
	}
	// An IPv6 socket can join groups of both families.
	for _, family := range []int{unix.AF_INET6, unix.AF_INET} {
		if family == unix.AF_INET && m.Group.Is6() {
			break
		}
		fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			continue
		}
		if err = membership(fd, m, true); err != nil {
			unix.Close(fd)
			if family == unix.AF_INET6 && m.Group.Is4() {
				continue
			}
			return fmt.Errorf("join %v on interface %d: %w", m.Group, m.Interface, err)
		}
		g.all = append(g.all, fd)
		g.sockets = append(g.sockets, fd)
		g.joined[m] = fd
		return nil
	}
	return fmt.Errorf("join %v on interface %d: no socket of its family", m.Group, m.Interface)
}

// Leave ends a membership. The interface may be gone.
func (t *Transport) Leave(m Membership) {
	fd, ok := t.groups.joined[m]
	if !ok {
		return
	}
	delete(t.groups.joined, m)
	_ = membership(fd, m, false)
}

// Memberships are those that are in force.
func (t *Transport) Memberships() []Membership {
	all := make([]Membership, 0, len(t.groups.joined))
	for m := range t.groups.joined {
		all = append(all, m)
	}
	return all
}

func membership(fd int, m Membership, join bool) error {
	if m.Group.Is4() {
		name := unix.IP_ADD_MEMBERSHIP
		if !join {
			name = unix.IP_DROP_MEMBERSHIP
		}
		r := unix.IPMreqn{Multiaddr: m.Group.As4(), Ifindex: int32(m.Interface)}
		return setsockopt(fd, unix.IPPROTO_IP, name, unsafe.Pointer(&r), unsafe.Sizeof(r))
	}
	name := unix.IPV6_JOIN_GROUP
	if !join {
		name = unix.IPV6_LEAVE_GROUP
	}
	r := unix.IPv6Mreq{Multiaddr: m.Group.As16(), Interface: uint32(m.Interface)}
	return setsockopt(fd, unix.IPPROTO_IPV6, name, unsafe.Pointer(&r), unsafe.Sizeof(r))
}

func setsockopt(fd, level, name int, p unsafe.Pointer, n uintptr) error {
	_, _, e := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(name), uintptr(p), n, 0)
	if e != 0 {
		return e
	}
	return nil
}
