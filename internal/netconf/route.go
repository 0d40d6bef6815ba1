package netconf

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

var routeTypes = map[string]byte{
	"": unix.RTN_UNICAST, "unicast": unix.RTN_UNICAST, "local": unix.RTN_LOCAL, "broadcast": unix.RTN_BROADCAST,
	"anycast": unix.RTN_ANYCAST, "multicast": unix.RTN_MULTICAST, "blackhole": unix.RTN_BLACKHOLE,
	"unreachable": unix.RTN_UNREACHABLE, "prohibit": unix.RTN_PROHIBIT, "throw": unix.RTN_THROW,
}

// String is the route in ip-route's words.
func (r Route) String() string {
	dst := "default"
	if r.Dst.IsValid() && r.Dst.Bits() > 0 {
		dst = r.Dst.String()
	}
	metric, tos := "", ""
	if r.Metric != nil {
		metric = strconv.FormatUint(uint64(*r.Metric), 10)
	}
	if r.TOS != nil {
		tos = fmt.Sprintf("%#02x", *r.TOS)
	}
	s := words("route", r.Type, dst, optional("from", prefixText(r.From)), optional("tos", tos), optional("via", addrText(r.Gateway)),
		optional("dev", r.Device), optional("src", addrText(r.Src)), optional("table", r.Table), optional("metric", metric))
	for _, h := range r.NextHops {
		s += words(" nexthop", optional("via", addrText(h.Gateway)), optional("dev", h.Device))
	}
	return s
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func prefixText(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}

// family is 4 or 6, from what the route says, and an error where that differs.
// A gateway may be of the other family.
func (r *Route) family() (uint8, error) {
	family := 0
	see := func(a netip.Addr) error {
		f := 4
		if !a.IsValid() {
			return nil
		}
		if a.Is6() {
			f = 6
		}
		if family != 0 && family != f {
			return fmt.Errorf("%v is of another family than the rest", a)
		}
		family = f
		return nil
	}
	if err := errors.Join(see(r.Dst.Addr()), see(r.From.Addr()), see(r.Src)); err != nil {
		return 0, err
	}
	if r.Family != 0 {
		if family != 0 && family != r.Family {
			return 0, fmt.Errorf("addresses of IPv%d in a route of IPv%d", family, r.Family)
		}
		family = r.Family
	}
	if family == 0 {
		_ = see(r.Gateway)
	}
	if family == 0 && len(r.NextHops) > 0 {
		_ = see(r.NextHops[0].Gateway)
	}
	if family == 6 {
		return unix.AF_INET6, nil
	}
	return unix.AF_INET, nil
}

func (c *compiler) route(r *Route) (*item, error) {
	family, err := r.family()
	if err != nil {
		return nil, err
	}
	kind, ok := routeTypes[r.Type]
	if !ok {
		return nil, fmt.Errorf("unknown route type %q", r.Type)
	}
	table, protocol, scope, err := c.routeNumbers(r, family, kind)
	if err != nil {
		return nil, err
	}
	// struct rtmsg; a table beyond 255 is in the attribute alone
	header := []byte{family, byte(max(r.Dst.Bits(), 0)), byte(max(r.From.Bits(), 0)), 0, 0, byte(protocol), byte(scope), kind, 0, 0, 0, 0}
	if r.TOS != nil {
		header[3] = *r.TOS
	}
	if table < 256 {
		header[4] = byte(table)
	}
	if r.OnLink {
		header[8] = unix.RTNH_F_ONLINK
	}
	add := newMessage(unix.RTM_NEWROUTE, header)
	header[8] = 0
	if family == unix.AF_INET {
		header[6] = unix.RT_SCOPE_NOWHERE // of whatever scope
	}
	remove := newMessage(unix.RTM_DELROUTE, header)
	for _, m := range []*message{&add, &remove} {
		if r.Dst.Bits() > 0 {
			m.address(unix.RTA_DST, r.Dst.Masked().Addr())
		}
		if r.From.Bits() > 0 {
			m.address(unix.RTA_SRC, r.From.Masked().Addr())
		}
		m.uint32(unix.RTA_TABLE, table)
		if r.Metric != nil {
			m.uint32(unix.RTA_PRIORITY, *r.Metric)
		}
	}
	if r.Src.IsValid() {
		add.address(unix.RTA_PREFSRC, r.Src)
	}
	if err := c.paths(&add, r, family); err != nil {
		return nil, err
	}
	if err := c.routeOptions(&add, r); err != nil {
		return nil, err
	}
	it := &item{text: r.String(), add: add.done(), remove: remove.done(), once: r.Once}
	it.id, _ = routeIdentity(it.add[unix.NLMSG_HDRLEN:])
	return it, nil
}

func (c *compiler) routeNumbers(r *Route, family, kind uint8) (table, protocol, scope uint32, err error) {
	table, protocol = unix.RT_TABLE_MAIN, Mark
	if kind == unix.RTN_LOCAL || kind == unix.RTN_BROADCAST || kind == unix.RTN_ANYCAST {
		table = unix.RT_TABLE_LOCAL
	}
	if r.Table != "" {
		if table, err = number("table", r.Table, c.names.tables, 1<<32-1); err != nil {
			return
		}
	}
	if r.Protocol != "" {
		if protocol, err = number("protocol", r.Protocol, c.names.protocols, 255); err != nil {
			return
		}
	}
	scope = r.scope(family, kind)
	if r.Scope != "" {
		scope, err = number("scope", r.Scope, c.names.scopes, 255)
	}
	return
}

// scope is what ip-route chooses: a destination that is reached without a
// gateway is on the link, so that other routes' gateways may be behind it.
func (r *Route) scope(family, kind uint8) uint32 {
	if family == unix.AF_INET6 {
		return unix.RT_SCOPE_UNIVERSE // IPv6 routes have none
	}
	switch kind {
	case unix.RTN_LOCAL:
		return unix.RT_SCOPE_HOST
	case unix.RTN_BROADCAST, unix.RTN_MULTICAST, unix.RTN_ANYCAST:
		return unix.RT_SCOPE_LINK
	case unix.RTN_UNICAST:
		if !r.Gateway.IsValid() && len(r.NextHops) == 0 {
			return unix.RT_SCOPE_LINK
		}
	}
	return unix.RT_SCOPE_UNIVERSE
}

// paths adds the gateway and device, or several.
func (c *compiler) paths(m *message, r *Route, family uint8) error {
	if len(r.NextHops) == 0 {
		addGateway(m, r.Gateway, family)
		if r.Device != "" {
			index, err := c.index(r.Device)
			if err != nil {
				return err
			}
			m.uint32(unix.RTA_OIF, uint32(index))
		}
		return nil
	}
	if r.Gateway.IsValid() || r.Device != "" {
		return errors.New("both a gateway or device and next hops")
	}
	all := m.nest(unix.RTA_MULTIPATH)
	for _, h := range r.NextHops {
		if h.Weight < 0 || h.Weight > 256 {
			return fmt.Errorf("the weight %d of a next hop is not between 1 and 256", h.Weight)
		}
		index := 0
		if h.Device != "" {
			var err error
			if index, err = c.index(h.Device); err != nil {
				return err
			}
		}
		flags := byte(0)
		if h.OnLink {
			flags = unix.RTNH_F_ONLINK
		}
		at := len(*m) // struct rtnexthop, then its attributes
		*m = append(*m, 0, 0, flags, byte(max(h.Weight, 1)-1), 0, 0, 0, 0)
		native.PutUint32((*m)[at+4:], uint32(index))
		addGateway(m, h.Gateway, family)
		m.close(at)
	}
	m.close(all)
	return nil
}

func addGateway(m *message, gateway netip.Addr, family uint8) {
	switch {
	case !gateway.IsValid():
	case familyOf(gateway) == family:
		m.address(unix.RTA_GATEWAY, gateway)
	default:
		m.attr(unix.RTA_VIA, append(native.AppendUint16(nil, uint16(familyOf(gateway))), gateway.AsSlice()...))
	}
}

// routeIdentity reads of a message by what the kernel tells routes apart, and
// the protocol.
func routeIdentity(body []byte) (id identity, protocol uint8) {
	if len(body) < unix.SizeofRtMsg {
		return
	}
	id = identity{class: classRoute, family: body[0], tos: body[3], table: uint32(body[4])}
	zero := netip.IPv4Unspecified()
	if id.family == unix.AF_INET6 {
		zero = netip.IPv6Unspecified()
		id.metric = 1024 // the kernel's default
	}
	id.to, id.from = netip.PrefixFrom(zero, 0), netip.PrefixFrom(zero, 0)
	for kind, value := range attributes(body[unix.SizeofRtMsg:]) {
		switch kind {
		case unix.RTA_DST:
			id.to = netip.PrefixFrom(asAddr(value), int(body[1]))
		case unix.RTA_SRC:
			id.from = netip.PrefixFrom(asAddr(value), int(body[2]))
		case unix.RTA_TABLE:
			id.table = asUint32(value)
		case unix.RTA_PRIORITY:
			if v := asUint32(value); v != 0 || id.family == unix.AF_INET {
				id.metric = v
			}
		}
	}
	return id, body[5]
}
