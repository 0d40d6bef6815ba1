package netconf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// monitor follows the kernel's notifications of links and addresses, and of
// routes and rules of ours that go.
type monitor struct {
	fd       int
	receive  []byte
	snapshot Snapshot
	changes  []Change // reused
}

// openMonitor subscribes. Notifications of what the socket renewals asked for
// are left out: they change nothing, and would wake the process each time that
// it has renewed its addresses.
func openMonitor(renewals uint32) (*monitor, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("netlink socket", err)
	}
	growReceive(fd, 4<<20)
	groups := uint32(0)
	for _, g := range []int{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE} {
		groups |= 1 << (g - 1)
	}
	err = onlyWanted(fd, renewals)
	if err == nil {
		err = os.NewSyscallError("netlink bind", unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}))
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &monitor{fd: fd, receive: make([]byte, 64<<10), snapshot: emptySnapshot()}, nil
}

func emptySnapshot() Snapshot {
	return Snapshot{byIndex: map[int]*LinkState{}, byName: map[string]*LinkState{}}
}

// onlyWanted has the kernel drop notifications whose nlmsg_pid is port, and of
// routes and rules all but the removal of those with our Mark: a router may have
// a million others. The filter loads in network order what the kernel wrote in
// the host's.
func onlyWanted(fd int, port uint32) error {
	portAsLoaded := binary.BigEndian.Uint32(native.AppendUint32(nil, port))
	kind := func(k uint16) uint32 { return uint32(binary.BigEndian.Uint16(native.AppendUint16(nil, k))) }
	const (
		load     = unix.BPF_LD | unix.BPF_ABS
		same     = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		end      = unix.BPF_RET | unix.BPF_K
		everyone = ^uint32(0)
		// Of struct rtmsg, behind the header of the message.
		routeProtocol = unix.NLMSG_HDRLEN + 5
	)
	filter := []unix.SockFilter{
		{Code: load | unix.BPF_W, K: 12}, // nlmsg_pid
		{Code: same, Jf: 1, K: portAsLoaded},
		{Code: end, K: 0},
		{Code: load | unix.BPF_H, K: 4}, // nlmsg_type
		{Code: same, Jt: 4, K: kind(unix.RTM_NEWROUTE)},
		{Code: same, Jt: 3, K: kind(unix.RTM_NEWRULE)},
		{Code: same, Jf: 3, K: kind(unix.RTM_DELROUTE)},
		{Code: load | unix.BPF_B, K: routeProtocol},
		{Code: same, Jt: 1, K: Mark},
		{Code: end, K: 0},
		{Code: end, K: everyone},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return os.NewSyscallError("netlink filter", unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program))
}

// readChanges is what Watch gives.
func (h *Host) readChanges() ([]Change, error) {
	m := h.monitor
	m.changes = m.changes[:0]
	lost := false
	for {
		n, from, err := unix.Recvfrom(m.fd, m.receive, 0)
		if err != nil {
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if errors.Is(err, unix.ENOBUFS) {
				lost = true
				continue
			}
			if !errors.Is(err, unix.EAGAIN) {
				return h.report(), fmt.Errorf("netlink notifications: %w", err)
			}
			break
		}
		if s, ok := from.(*unix.SockaddrNetlink); !ok || s.Pid != 0 {
			continue // not from the kernel
		}
		m.apply(m.receive[:n])
	}
	if lost {
		if err := m.reread(h.requests); err != nil {
			return h.report(), err
		}
	}
	return h.report(), nil
}

// report gives the changes, and does what follows from them.
func (h *Host) report() []Change {
	h.usable = h.usable[:0]
	changes := h.attribute()
	if len(h.usable) > 0 {
		h.askAnew(h.usable)
	}
	return changes
}

// attribute names who wants the addresses of the changes; one that has gone is
// named only if it has not come back meanwhile.
func (h *Host) attribute() []Change {
	for i := range h.monitor.changes {
		c := &h.monitor.changes[i]
		if !c.Prefix.IsValid() {
			continue
		}
		it := h.find(c.Index, c.Prefix)
		if it == nil {
			continue
		}
		if l := h.monitor.snapshot.ByIndex(c.Index); l != nil {
			there := slices.IndexFunc(l.Addresses, func(a AddressState) bool { return addressIdentity(l.Index, a.Prefix, a.Peer) == it.id })
			if there >= 0 && c.Kind == AddressRemoved {
				continue
			}
			if there >= 0 && it.state == ours {
				l.Addresses[there].Protocol = Mark // kernels before 5.18 do not keep it
			}
		}
		if c.Kind == AddressAdded && it.state == ours {
			h.usable = append(h.usable, place{it.id.family, c.Index})
		}
		if c.Kind == AddressRemoved && it.once && it.state == ours && (it.lease == 0 || h.now()-it.renewed < it.lease) {
			it.state = lost
		}
		if it.state != lost {
			c.Owner = it.owners[0]
		}
	}
	return h.monitor.changes
}

// find gives the wanted address; one with a peer has to be looked for.
func (h *Host) find(index int, prefix netip.Prefix) *item {
	if it := h.items[addressIdentity(index, prefix, netip.Addr{})]; it != nil {
		return it
	}
	for id, it := range h.items {
		if id.class == classAddress && id.index == index && id.to == prefix && id.from.IsValid() {
			return it
		}
	}
	return nil
}

// apply takes one datagram into the picture.
func (m *monitor) apply(datagram []byte) {
	for h, body := range messages(datagram) {
		switch h.kind {
		case unix.RTM_NEWLINK:
			if l, ok := parseLink(body); ok {
				m.link(l)
			}
		case unix.RTM_DELLINK:
			if l, ok := parseLink(body); ok {
				m.unlink(l.Index)
			}
		case unix.RTM_NEWADDR:
			if index, a, ok := parseAddress(body); ok {
				m.address(index, a)
			}
		case unix.RTM_DELADDR:
			if index, a, ok := parseAddress(body); ok {
				m.unaddress(index, a)
			}
		case unix.RTM_DELROUTE:
			if len(body) >= unix.SizeofRtMsg && body[5] == Mark {
				m.changes = append(m.changes, Change{Kind: RouteRemoved})
			}
		case unix.RTM_DELRULE:
			if ourRule(body) {
				m.changes = append(m.changes, Change{Kind: RouteRemoved})
			}
		}
	}
}

// ourRule says whether a rule has our Mark.
func ourRule(body []byte) bool {
	if len(body) < unix.SizeofRtMsg { // struct fib_rule_hdr is as long
		return false
	}
	for kind, value := range attributes(body[unix.SizeofRtMsg:]) {
		if kind == unix.FRA_PROTOCOL {
			return len(value) > 0 && value[0] == Mark
		}
	}
	return false
}

func (m *monitor) change(kind ChangeKind, l *LinkState) *Change {
	m.changes = append(m.changes, Change{Kind: kind, Index: l.Index, Name: l.Name})
	return &m.changes[len(m.changes)-1]
}

func (m *monitor) link(l LinkState) {
	s := &m.snapshot
	old := s.byIndex[l.Index]
	if old == nil {
		// A name is one link's: if another has it, that one's end went unnoticed.
		if stale := s.byName[l.Name]; stale != nil {
			m.unlink(stale.Index)
		}
		s.byIndex[l.Index], s.byName[l.Name] = &l, &l
		m.change(LinkNew, &l)
		return
	}
	if old.Name != l.Name {
		former := old.Name
		if s.byName[former] == old {
			delete(s.byName, former)
		}
		old.Name = l.Name
		s.byName[l.Name] = old
		m.change(LinkRenamed, old).OldName = former
	}
	if old.Up != l.Up {
		m.change(pick(l.Up, LinkUp, LinkDown), old)
	}
	if old.Running != l.Running {
		m.change(pick(l.Running, LinkRunning, LinkNotRunning), old)
	}
	if old.MTU != l.MTU || old.MAC != l.MAC || old.Master != l.Master {
		m.change(LinkChanged, old)
	}
	l.Addresses = old.Addresses
	*old = l
}

func pick(yes bool, a, b ChangeKind) ChangeKind {
	if yes {
		return a
	}
	return b
}

func (m *monitor) unlink(index int) {
	l := m.snapshot.byIndex[index]
	if l == nil {
		return
	}
	delete(m.snapshot.byIndex, index)
	if m.snapshot.byName[l.Name] == l {
		delete(m.snapshot.byName, l.Name)
	}
	m.change(LinkGone, l)
}

func (l *LinkState) position(index int, a *AddressState) int {
	id := addressIdentity(index, a.Prefix, a.Peer)
	return slices.IndexFunc(l.Addresses, func(b AddressState) bool { return addressIdentity(index, b.Prefix, b.Peer) == id })
}

// changing are the flags whose change somebody may want to know.
const changing = flagSecondary | flagDADFailed | flagDeprecated | flagTentative

func (m *monitor) address(index int, a AddressState) {
	l := m.snapshot.byIndex[index]
	if l == nil {
		return // of a link that is gone meanwhile
	}
	i := l.position(index, &a)
	if i < 0 {
		l.Addresses = append(l.Addresses, a)
		m.change(AddressAdded, l).Prefix = a.Prefix
		return
	}
	old := l.Addresses[i]
	if a.Protocol == 0 {
		a.Protocol = old.Protocol // see Host.attribute
	}
	l.Addresses[i] = a
	switch {
	case old.Tentative() && !a.Tentative():
		m.change(AddressAdded, l).Prefix = a.Prefix
	case (old.Flags^a.Flags)&changing != 0 || old.Label != a.Label || old.Scope != a.Scope || old.Broadcast != a.Broadcast:
		m.change(AddressChanged, l).Prefix = a.Prefix
	}
}

func (m *monitor) unaddress(index int, a AddressState) {
	l := m.snapshot.byIndex[index]
	if l == nil {
		return
	}
	if i := l.position(index, &a); i >= 0 {
		l.Addresses = slices.Delete(l.Addresses, i, i+1)
	}
	// Also of one that was not in the picture: the kernel tells of a new IPv6
	// address some time after it has added it, and not at all if it is gone by
	// then.
	m.change(AddressRemoved, l).Prefix = a.Prefix
}

// reread asks for everything, and takes what differs for changes.
func (m *monitor) reread(s *socket) error {
	var links []LinkState
	err := s.dumpWhole(unix.RTM_GETLINK, make([]byte, unix.SizeofIfInfomsg), func() { links = links[:0] }, func(kind uint16, body []byte) {
		if l, ok := parseLink(body); kind == unix.RTM_NEWLINK && ok {
			links = append(links, l)
		}
	})
	if err != nil {
		return fmt.Errorf("reading links: %w", err)
	}
	addresses, err := s.addresses()
	if err != nil {
		return err
	}
	for index := range m.snapshot.byIndex {
		if !slices.ContainsFunc(links, func(l LinkState) bool { return l.Index == index }) {
			m.unlink(index)
		}
	}
	for _, l := range links {
		m.link(l)
	}
	for _, l := range m.snapshot.byIndex {
		for _, old := range slices.Clone(l.Addresses) {
			if !slices.ContainsFunc(addresses, func(a linkAddress) bool {
				return a.index == l.Index && addressIdentity(a.index, a.Prefix, a.Peer) == addressIdentity(a.index, old.Prefix, old.Peer)
			}) {
				m.unaddress(l.Index, old)
			}
		}
	}
	for _, a := range addresses {
		m.address(a.index, a.AddressState)
	}
	return nil
}

type linkAddress struct {
	index int
	AddressState
}

// addresses lists all addresses of the host.
func (s *socket) addresses() (all []linkAddress, err error) {
	err = s.dumpWhole(unix.RTM_GETADDR, make([]byte, unix.SizeofIfAddrmsg), func() { all = all[:0] }, func(kind uint16, body []byte) {
		if index, a, ok := parseAddress(body); kind == unix.RTM_NEWADDR && ok {
			all = append(all, linkAddress{index, a})
		}
	})
	if err != nil {
		err = fmt.Errorf("reading addresses: %w", err)
	}
	return all, err
}

// parseLink reads RTM_NEWLINK and RTM_DELLINK. Those of a bridge about its
// ports are not of links.
func parseLink(body []byte) (l LinkState, ok bool) {
	if len(body) < unix.SizeofIfInfomsg || body[0] == unix.AF_BRIDGE {
		return l, false
	}
	flags := native.Uint32(body[8:])
	l.Index = int(int32(native.Uint32(body[4:])))
	l.Up, l.NoARP = flags&unix.IFF_UP != 0, flags&unix.IFF_NOARP != 0
	l.Running = l.Up && flags&unix.IFF_RUNNING != 0 && flags&unix.IFF_LOWER_UP != 0
	elsewhere := false
	for kind, value := range attributes(body[unix.SizeofIfInfomsg:]) {
		switch kind {
		case unix.IFLA_IFNAME:
			l.Name = asText(value)
		case unix.IFLA_ADDRESS:
			if len(value) == 6 {
				l.MAC = [6]byte(value)
			}
		case unix.IFLA_MTU:
			l.MTU = int(asUint32(value))
		case unix.IFLA_LINK:
			l.Base = int(asUint32(value))
		case unix.IFLA_LINK_NETNSID:
			elsewhere = true
		case unix.IFLA_MASTER:
			l.Master = int(asUint32(value))
		case unix.IFLA_LINKINFO:
			for kind, value := range attributes(value) {
				if kind == unix.IFLA_INFO_KIND {
					l.Kind = asText(value)
				}
			}
		}
	}
	if elsewhere || l.Base == l.Index {
		l.Base = 0
	}
	return l, l.Name != "" && l.Index > 0
}

// parseAddress reads RTM_NEWADDR and RTM_DELADDR.
func parseAddress(body []byte) (index int, a AddressState, ok bool) {
	if len(body) < unix.SizeofIfAddrmsg {
		return 0, a, false
	}
	bits := int(body[1])
	a.Flags, a.Scope = uint32(body[2]), body[3]
	a.Valid, a.Preferred = Forever, Forever
	index = int(int32(native.Uint32(body[4:])))
	var local, address netip.Addr
	for kind, value := range attributes(body[unix.SizeofIfAddrmsg:]) {
		switch kind {
		case unix.IFA_LOCAL:
			local = asAddr(value)
		case unix.IFA_ADDRESS:
			address = asAddr(value)
		case unix.IFA_BROADCAST:
			a.Broadcast = asAddr(value)
		case unix.IFA_LABEL:
			a.Label = asText(value)
		case unix.IFA_FLAGS:
			a.Flags = asUint32(value)
		case unix.IFA_CACHEINFO:
			if len(value) >= 8 {
				a.Preferred, a.Valid = lifetime(native.Uint32(value)), lifetime(native.Uint32(value[4:]))
			}
		case attributeProtocol:
			if len(value) > 0 {
				a.Protocol = value[0]
			}
		}
	}
	if !local.IsValid() {
		local = address
	}
	if address != local {
		a.Peer = address
	}
	a.Prefix = netip.PrefixFrom(local, bits)
	return index, a, a.Prefix.IsValid() && index > 0
}

func lifetime(s uint32) time.Duration {
	if s == infinite {
		return Forever
	}
	return time.Duration(s) * time.Second
}
