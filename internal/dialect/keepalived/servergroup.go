package keepalived

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"evenkeel/internal/model"
)

func readServerGroup(p *parser, n *node) {
	name, ok := p.named(n, taken(p.f.ServerGroups, func(x *model.VirtualServerGroup) (string, model.Pos) { return x.Name, x.Pos }))
	if !ok {
		return
	}
	g := &model.VirtualServerGroup{Pos: n.pos(0), Name: name}
	for _, line := range n.body {
		if !p.value(line) {
			continue
		}
		if m, ok := p.groupMember(line); ok {
			g.Members = append(g.Members, m)
		}
	}
	if len(g.Members) == 0 {
		p.warnf(n.pos(0), "write ADDRESS PORT, FIRST-LAST PORT or fwmark NUMBER", "virtual_server_group '%s' has no entry: it is left out", name)
		return
	}
	p.f.ServerGroups = append(p.f.ServerGroups, g)
}

// groupMember reads one line: ADDRESS, ADDRESS/LENGTH, FIRST-LAST, with a port or
// a range of them, or fwmark NUMBER [inet|inet6].
func (p *parser) groupMember(n *node) (model.GroupMember, bool) {
	m := model.GroupMember{Pos: n.pos(0)}
	if n.arg(0) == "fwmark" {
		v, ok := p.number(n, 1, 1, 1<<32-1, "the line is left out")
		m.FwMark = uint32(v)
		switch n.arg(2) {
		case "inet":
			m.Family = 4
		case "inet6":
			m.Family = 6
		case "":
		default:
			p.warnf(n.pos(2), "write inet or inet6", "unknown family '%s': it is not used", n.arg(2))
		}
		return m, ok
	}
	first, last, ok := addressRange(n.arg(0))
	if !ok {
		p.errorf(n.pos(0), "write ADDRESS, FIRST-LAST or NETWORK/LENGTH, and a port behind a blank", "'%s' is neither an address nor a range of them", n.arg(0))
		return m, false
	}
	m.First, m.Last = first, last
	high := 1
	if n.arg(0) == "fwmark" {
		high = 2
	}
	p.want(n, 0, high)
	if len(n.words) > 1 {
		if m.Port, m.PortLast, ok = p.portRange(n, 1); !ok {
			return m, false
		}
	}
	return m, true
}

// portRange reads PORT or FIRST-LAST.
func (p *parser) portRange(n *node, i int) (first, last uint16, ok bool) {
	a, b, found := strings.Cut(n.arg(i), "-")
	if !found {
		first, ok = p.port(n, i)
		return first, first, ok
	}
	x, okX := wholeNumber(a)
	y, okY := wholeNumber(b)
	if !okX || !okY || x < 1 || y < x || y > 65535 {
		p.errorf(n.pos(i), "write FIRST-LAST, from 1 to 65535", "'%s' is not a range of ports", n.arg(i))
		return 0, 0, false
	}
	return uint16(x), uint16(y), true
}

// completeGroup judges what a virtual server and its group demand of each other.
func (p *parser) completeGroup(v *model.VirtualServer) {
	var g *model.VirtualServerGroup
	for _, x := range p.f.ServerGroups {
		if x.Name == v.Group {
			g = x
			break
		}
	}
	if g == nil || v.Group == "" {
		return
	}
	for _, m := range g.Members {
		if m.FwMark != 0 {
			continue
		}
		if m.Port == 0 && v.Persistence == 0 {
			p.warnf(m.Pos, "write a port, or 'persistence_timeout 360' in the virtual_server", "%s has an entry without a port, which persistence is needed for: 360 seconds are used", title(v))
			v.Persistence = defaultPersistence
		}
		p.completeMember(v, m)
	}
}

// completeMember: only NAT changes a port, and only a tunnel the family.
func (p *parser) completeMember(v *model.VirtualServer, m model.GroupMember) {
	all := slices.Clone(v.Real)
	if v.Sorry != nil {
		all = append(all, v.Sorry)
	}
	served := len(all) == 0
	for _, r := range all {
		method := p.method(v, r)
		if method != "TUN" && family(r.Addr) != family(m.First) {
			continue
		}
		served = true
		if r.Port == 0 || m.Port == 0 || m.Port <= r.Port && r.Port <= m.PortLast || strings.HasSuffix(method, "NAT") {
			continue
		}
		key := fmt.Sprint("port of ", v.Group, r.Pos)
		p.once(key, r.Pos, "leave its port out; a checker can have its own connect_port", "%s forwards by %s, which does not change ports: %d of %s is that of its checks only",
			title(v), method, r.Port, r.Addr)
	}
	if !served {
		p.warnf(m.Pos, "add one, or use lvs_method TUN", "%s has no real server of the family of %s: nobody answers there", title(v), m.First)
	}
}

// addressRange reads A, A-B where B is an address or its last part, and A/N.
func addressRange(s string) (first, last netip.Addr, ok bool) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return a, a, true
	}
	if x, err := netip.ParsePrefix(s); err == nil {
		if x != x.Masked() || x.Addr().BitLen()-x.Bits() > 16 {
			return first, last, false
		}
		bytes := x.Addr().AsSlice()
		for bit := x.Bits(); bit < len(bytes)*8; bit++ {
			bytes[bit/8] |= 0x80 >> (bit % 8)
		}
		last, _ = netip.AddrFromSlice(bytes)
		return x.Addr(), last, true
	}
	a, b, found := strings.Cut(s, "-")
	first, err := netip.ParseAddr(a)
	if !found || err != nil || first.Zone() != "" {
		return first, last, false
	}
	if last, err = netip.ParseAddr(b); err != nil {
		separator, base, bits := ".", 10, 8
		if first.Is6() {
			separator, base, bits = ":", 16, 16
		}
		v, err := strconv.ParseUint(b, base, bits)
		if err != nil {
			return first, last, false
		}
		full := first.StringExpanded()
		if last, err = netip.ParseAddr(full[:strings.LastIndex(full, separator)+1] + strconv.FormatUint(v, base)); err != nil {
			return first, last, false
		}
	}
	return first, last, last.Is4() == first.Is4() && first.Less(last)
}
