package netconf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// rulePriority is where rules without a priority go: before main, and where
// keepalived puts the first of its own.
const rulePriority = 16384

// ruleHeader is the length of struct fib_rule_hdr.
const ruleHeader = 12

var ruleActions = map[string]byte{
	"": unix.FR_ACT_TO_TBL, "lookup": unix.FR_ACT_TO_TBL, "goto": unix.FR_ACT_GOTO, "nop": unix.FR_ACT_NOP,
	"l3mdev": unix.FR_ACT_TO_TBL, "blackhole": unix.FR_ACT_BLACKHOLE, "unreachable": unix.FR_ACT_UNREACHABLE, "prohibit": unix.FR_ACT_PROHIBIT,
}

// ruleIdentity is all of a rule but its protocol: two rules that are the same
// in it do the same.
type ruleIdentity struct {
	action, protocol       uint8 // protocol: of IP
	not                    bool
	priority, mark, mask   uint32
	iif, oif               string
	gotoPriority, suppress uint32
	group, flow            uint32
	tunnel                 uint64
	l3mdev                 bool
	uids, sources, targets [2]uint32
}

// String is the rule in ip-rule's words.
func (r Rule) String() string {
	u32 := func(v *uint32, base int) string {
		if v == nil {
			return ""
		}
		if base == 16 {
			return fmt.Sprintf("%#x", *v)
		}
		return strconv.FormatUint(uint64(*v), 10)
	}
	not, suppress := "", ""
	if r.Not {
		not = "not"
	}
	if r.SuppressLen != nil {
		suppress = strconv.Itoa(*r.SuppressLen)
	}
	mark := u32(r.FwMark, 16)
	if mark != "" && r.FwMask != nil {
		mark += "/" + u32(r.FwMask, 16)
	}
	tos := ""
	if r.TOS != nil {
		tos = fmt.Sprintf("%#02x", *r.TOS)
	}
	return words("rule", not, optional("from", prefixText(r.From)), optional("to", prefixText(r.To)), optional("tos", tos),
		optional("fwmark", mark), optional("iif", r.IIF), optional("oif", r.OIF), optional("uidrange", r.UIDRange),
		optional("ipproto", r.IPProto), optional("sport", r.SrcPort), optional("dport", r.DstPort),
		optional("priority", u32(r.Priority, 10)), optional("lookup", r.Table), r.Action, u32(r.Goto, 10),
		optional("suppress_prefixlength", suppress), optional("suppress_ifgroup", r.SuppressGroup),
		optional("realms", r.Realms), optional("tun_id", r.TunnelID))
}

func (r *Rule) family() (uint8, error) {
	family := r.Family
	for _, p := range []netip.Prefix{r.From, r.To} {
		if !p.IsValid() {
			continue
		}
		f := 4
		if p.Addr().Is6() {
			f = 6
		}
		if family != 0 && family != f {
			return 0, fmt.Errorf("%v is not of IPv%d", p, family)
		}
		family = f
	}
	if family == 6 {
		return unix.AF_INET6, nil
	}
	return unix.AF_INET, nil
}

func (c *compiler) rule(r *Rule) (*item, error) {
	family, err := r.family()
	if err != nil {
		return nil, err
	}
	action, ok := ruleActions[r.Action]
	switch {
	case !ok:
		return nil, fmt.Errorf("unknown action %q", r.Action)
	case (action == unix.FR_ACT_GOTO) != (r.Goto != nil):
		return nil, errors.New("goto needs a priority, and only goto has one")
	case (action != unix.FR_ACT_TO_TBL || r.Action == "l3mdev") && r.Table != "":
		return nil, fmt.Errorf("both a table and %s", r.Action)
	}
	table, protocol := uint32(unix.RT_TABLE_UNSPEC), uint32(Mark)
	if action == unix.FR_ACT_TO_TBL && r.Action != "l3mdev" {
		table = unix.RT_TABLE_MAIN
	}
	if r.Table != "" {
		if table, err = number("table", r.Table, c.names.tables, 1<<32-1); err != nil {
			return nil, err
		}
	}
	if r.Protocol != "" {
		if protocol, err = number("protocol", r.Protocol, c.names.protocols, 255); err != nil {
			return nil, err
		}
	}
	h := []byte{family, byte(max(r.To.Bits(), 0)), byte(max(r.From.Bits(), 0)), 0, 0, 0, 0, action, 0, 0, 0, 0}
	if r.TOS != nil {
		h[3] = *r.TOS
	}
	if table < 256 {
		h[4] = byte(table)
	}
	if r.Not {
		native.PutUint32(h[8:], unix.FIB_RULE_INVERT)
	}
	m := newMessage(unix.RTM_NEWRULE, h)
	if r.To.Bits() > 0 {
		m.address(unix.FRA_DST, r.To.Masked().Addr())
	}
	if r.From.Bits() > 0 {
		m.address(unix.FRA_SRC, r.From.Masked().Addr())
	}
	m.uint32(unix.FRA_TABLE, table)
	if err := ruleSelectors(&m, r); err != nil {
		return nil, err
	}
	if err := c.ruleExtras(&m, r, family); err != nil {
		return nil, err
	}
	m.byte(unix.FRA_PROTOCOL, byte(protocol))
	add := m.done()
	remove := append([]byte(nil), add...)
	native.PutUint16(remove[4:], unix.RTM_DELRULE)
	it := &item{text: r.String(), add: add, remove: remove, once: r.Once}
	it.id, _ = identifyRule(add[unix.NLMSG_HDRLEN:])
	return it, nil
}

// ruleSelectors adds what a packet has to be like, and the priority.
func ruleSelectors(m *message, r *Rule) error {
	priority := uint32(rulePriority)
	if r.Priority != nil {
		priority = *r.Priority
	}
	m.uint32(unix.FRA_PRIORITY, priority)
	if r.FwMark != nil {
		m.uint32(unix.FRA_FWMARK, *r.FwMark)
	}
	if r.FwMask != nil {
		m.uint32(unix.FRA_FWMASK, *r.FwMask)
	}
	if r.Goto != nil {
		m.uint32(unix.FRA_GOTO, *r.Goto)
	}
	if r.SuppressLen != nil {
		m.uint32(unix.FRA_SUPPRESS_PREFIXLEN, uint32(int32(*r.SuppressLen)))
	}
	for _, d := range []struct {
		kind uint16
		name string
	}{{unix.FRA_IIFNAME, r.IIF}, {unix.FRA_OIFNAME, r.OIF}} {
		if len(d.name) >= unix.IFNAMSIZ {
			return fmt.Errorf("the device %q has a name of more than %d characters", d.name, unix.IFNAMSIZ-1)
		}
		if d.name != "" {
			m.text(d.kind, d.name)
		}
	}
	if r.UIDRange != "" {
		from, to, err := interval("uidrange", r.UIDRange, 1<<32-1)
		if err != nil {
			return err
		}
		m.attr(unix.FRA_UID_RANGE, native.AppendUint32(native.AppendUint32(nil, from), to))
	}
	if r.IPProto != "" {
		p, err := number("ipproto", r.IPProto, ipProtocols, 255)
		if err != nil {
			return err
		}
		m.byte(unix.FRA_IP_PROTO, byte(p))
	}
	for _, d := range []struct {
		kind        uint16
		name, value string
	}{{unix.FRA_SPORT_RANGE, "sport", r.SrcPort}, {unix.FRA_DPORT_RANGE, "dport", r.DstPort}} {
		if d.value == "" {
			continue
		}
		from, to, err := interval(d.name, d.value, 65535)
		if err != nil {
			return err
		}
		m.attr(d.kind, native.AppendUint16(native.AppendUint16(nil, uint16(from)), uint16(to)))
	}
	return nil
}

// ruleExtras adds what few rules have.
func (c *compiler) ruleExtras(m *message, r *Rule, family uint8) error {
	if r.Action == "l3mdev" {
		m.byte(unix.FRA_L3MDEV, 1)
	}
	if r.SuppressGroup != "" {
		group, err := number("suppress_ifgroup", r.SuppressGroup, c.names.groups, 1<<31-1)
		if err != nil {
			return err
		}
		m.uint32(unix.FRA_SUPPRESS_IFGROUP, group)
	}
	if r.Realms != "" {
		if family != unix.AF_INET {
			return errors.New("realms are for IPv4 only")
		}
		flow, err := c.realms(r.Realms)
		if err != nil {
			return err
		}
		m.uint32(unix.FRA_FLOW, flow)
	}
	if r.TunnelID != "" {
		id, err := strconv.ParseUint(r.TunnelID, 0, 64)
		if err != nil {
			return fmt.Errorf("the tunnel id %q is not a number", r.TunnelID)
		}
		m.attr(unix.FRA_TUN_ID, binary.BigEndian.AppendUint64(nil, id))
	}
	return nil
}

var ipProtocols = map[string]uint32{
	"icmp": 1, "igmp": 2, "ipip": 4, "tcp": 6, "udp": 17, "dccp": 33, "gre": 47, "esp": 50, "ah": 51,
	"ipv6-icmp": 58, "icmpv6": 58, "ospf": 89, "vrrp": 112, "sctp": 132, "udplite": 136,
}

// identifyRule reads a rule of ours and of the kernel's listing alike.
func identifyRule(body []byte) (id identity, protocol uint8) {
	if len(body) < ruleHeader {
		return
	}
	zero := netip.IPv4Unspecified()
	if body[0] == unix.AF_INET6 {
		zero = netip.IPv6Unspecified()
	}
	id = identity{class: classRule, family: body[0], tos: body[3], table: uint32(body[4]),
		to: netip.PrefixFrom(zero, 0), from: netip.PrefixFrom(zero, 0)}
	r := &id.rule
	r.action, r.not, r.suppress, r.group = body[7], native.Uint32(body[8:])&unix.FIB_RULE_INVERT != 0, ^uint32(0), ^uint32(0)
	masked := false
	for kind, value := range attributes(body[ruleHeader:]) {
		switch kind {
		case unix.FRA_DST:
			id.to = netip.PrefixFrom(asAddr(value), int(body[1]))
		case unix.FRA_SRC:
			id.from = netip.PrefixFrom(asAddr(value), int(body[2]))
		case unix.FRA_TABLE:
			id.table = asUint32(value)
		case unix.FRA_PRIORITY:
			r.priority = asUint32(value)
		case unix.FRA_FWMARK:
			r.mark = asUint32(value)
		case unix.FRA_FWMASK:
			r.mask, masked = asUint32(value), true
		case unix.FRA_GOTO:
			r.gotoPriority = asUint32(value)
		case unix.FRA_SUPPRESS_PREFIXLEN:
			r.suppress = asUint32(value)
		case unix.FRA_SUPPRESS_IFGROUP:
			r.group = asUint32(value)
		case unix.FRA_FLOW:
			r.flow = asUint32(value)
		case unix.FRA_TUN_ID:
			if len(value) >= 8 {
				r.tunnel = binary.BigEndian.Uint64(value)
			}
		case unix.FRA_L3MDEV:
			r.l3mdev = len(value) > 0 && value[0] != 0
		case unix.FRA_IIFNAME:
			r.iif = asText(value)
		case unix.FRA_OIFNAME:
			r.oif = asText(value)
		case unix.FRA_UID_RANGE:
			if len(value) >= 8 {
				r.uids = [2]uint32{native.Uint32(value), native.Uint32(value[4:])}
			}
		case unix.FRA_IP_PROTO:
			if len(value) > 0 {
				r.protocol = value[0]
			}
		case unix.FRA_SPORT_RANGE:
			r.sources = ports(value)
		case unix.FRA_DPORT_RANGE:
			r.targets = ports(value)
		case unix.FRA_PROTOCOL:
			if len(value) > 0 {
				protocol = value[0]
			}
		}
	}
	if r.mark != 0 && !masked {
		r.mask = ^uint32(0) // the kernel's default
	}
	return id, protocol
}

func ports(b []byte) [2]uint32 {
	if len(b) < 4 {
		return [2]uint32{}
	}
	return [2]uint32{uint32(native.Uint16(b)), uint32(native.Uint16(b[2:]))}
}
