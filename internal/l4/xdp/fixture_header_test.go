package xdp

import (
	"fmt"
	"net/netip"
	"testing"

	"evenkeel/internal/l4"
)

func TestFixturesOfOptions(t *testing.T) {
	var list []fixture
	nop := func(n int) []byte {
		o := make([]byte, n)
		for i := range o {
			o[i] = 1
		}
		return o
	}
	cross := map[string][]byte{
		"four no-operations": nop(4),
		"end of list":        {0, 0, 0, 0},
		"end, then rubbish":  {0, 200, 200, 200},
		"router alert":       {148, 4, 0, 0},
		"record route":       {7, 7, 4, 0, 0, 0, 0, 0},
		"timestamp":          {68, 8, 5, 0, 0, 0, 0, 0},
		"forty bytes":        nop(40),
		"security":           {130, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
	}
	stay := map[string][]byte{
		"loose source route":         {131, 7, 4, 10, 0, 0, 1, 0},
		"strict source route":        {137, 7, 4, 10, 0, 0, 1, 0},
		"source route behind others": {1, 1, 131, 3, 4, 0, 0, 0},
		"length 0":                   {7, 0, 0, 0},
		"length 1":                   {7, 1, 0, 0},
		"length beyond the header":   {7, 5, 0, 0},
		"no room for a length":       {1, 1, 1, 7},
	}
	for _, method := range []l4.Method{l4.DR, l4.NAT} {
		for name, o := range cross {
			p := packet{options: o}.withDefaults()
			list = append(list, fixture{name: fmt.Sprintf("%v: option %s", method, name), config: one(method, false), in: p.frame(), want: tcRedirect, out: p.atServer(method).frame()})
		}
		for name, o := range stay {
			p := packet{options: o}
			list = append(list, fixture{name: fmt.Sprintf("%v: option %s", method, name), config: one(method, false), in: p.frame(), want: tcNext, drop: "malformed"})
		}
	}
	wrong := packet{options: nop(8)}.frame()
	wrong[40] ^= 1
	list = append(list, fixture{name: "options under a wrong checksum", config: one(l4.DR, false), in: wrong, want: tcNext, drop: "malformed"})
	run(t, list)
}

func TestFixturesOfExtensionHeaders(t *testing.T) {
	var list []fixture
	tcp := uint8(l4.TCP)
	type chain struct {
		first   uint8
		headers []byte
	}
	pad := func(next uint8) []byte { return []byte{next, 0, 1, 4, 0, 0, 0, 0} }
	join := func(parts ...[]byte) (all []byte) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	cross := map[string]chain{
		"hop-by-hop":                   {0, pad(tcp)},
		"destination options":          {60, pad(tcp)},
		"16 bytes of destination":      {60, join([]byte{tcp, 1, 1, 12}, make([]byte, 12))},
		"hop-by-hop, destination":      {0, join(pad(60), pad(tcp))},
		"routing, no segments left":    {43, []byte{tcp, 0, 4, 0, 0, 0, 0, 0}},
		"atomic fragment":              {44, []byte{tcp, 0, 0, 0, 0, 0, 0, 9}},
		"hop-by-hop, atomic fragment":  {0, join(pad(44), []byte{tcp, 0, 0, 0, 0, 0, 0, 9})},
		"seven headers, then TCP":      {0, join(pad(60), pad(60), pad(60), pad(60), pad(60), pad(60), pad(tcp))},
		"fragment, destination option": {44, join([]byte{60, 0, 0, 0, 0, 0, 0, 9}, pad(tcp))},
	}
	stay := map[string]chain{
		"routing, a segment left":        {43, []byte{tcp, 0, 0, 1, 0, 0, 0, 0}},
		"segment routing":                {43, join([]byte{tcp, 2, 4, 1}, make([]byte, 20))},
		"hop-by-hop not first":           {60, join(pad(0), pad(tcp))},
		"hop-by-hop twice":               {0, join(pad(0), pad(tcp))},
		"authentication":                 {51, []byte{tcp, 4, 0, 0, 0, 0, 0, 0}},
		"encryption":                     {50, pad(tcp)},
		"no next header":                 {59, pad(tcp)},
		"mobility":                       {135, pad(tcp)},
		"unknown header":                 {253, pad(tcp)},
		"nine headers":                   {0, join(pad(60), pad(60), pad(60), pad(60), pad(60), pad(60), pad(60), pad(60), pad(tcp))},
		"fragment header twice":          {44, join([]byte{44, 0, 0, 0, 0, 0, 0, 9}, []byte{tcp, 0, 0, 0, 0, 0, 0, 9})},
		"length beyond the packet":       {60, []byte{tcp, 200, 1, 4, 0, 0, 0, 0}},
		"length that leaves no TCP":      {60, []byte{tcp, 3, 1, 4, 0, 0, 0, 0}},
		"not a multiple of 8, more come": {44, []byte{tcp, 0, 0, 1, 0, 0, 0, 9}},
	}
	for _, method := range []l4.Method{l4.DR, l4.NAT} {
		for name, c := range cross {
			p := packet{v6: true, extension: c.first, extensions: c.headers}.withDefaults()
			list = append(list, fixture{name: fmt.Sprintf("%v: %s", method, name), config: one(method, true), in: p.frame(), want: tcRedirect, out: p.atServer(method).frame()})
		}
		for name, c := range stay {
			p := packet{v6: true, extension: c.first, extensions: c.headers}
			list = append(list, fixture{name: fmt.Sprintf("%v: %s", method, name), config: one(method, true), in: p.frame(), want: tcNext})
		}
	}
	run(t, list)
}

// Frames that are none of the director's business.
func TestFixturesOfOtherFrames(t *testing.T) {
	var list []fixture
	c := one(l4.NAT, false)
	pass := func(name string, in []byte) {
		list = append(list, fixture{name: name, config: c, in: in, want: tcNext})
	}
	whole := packet{}.frame()
	typed := func(insert ...byte) []byte {
		return append(append(append([]byte{}, whole[:12]...), insert...), whole[14:]...)
	}
	pass("VLAN", typed(0x81, 0, 0, 5, 8, 0))
	pass("VLAN in VLAN", typed(0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 8, 0))
	pass("priority tag", typed(0x81, 0, 0x20, 0, 8, 0))
	pass("MPLS", typed(0x88, 0x47, 0, 1, 1, 64))
	pass("PPPoE", typed(0x88, 0x64, 0x11, 0, 0, 1, 0, 46, 0, 0x21))
	pass("ARP", typed(8, 6))
	pass("802.3 length", typed(0, 40))
	pass("unknown type", typed(0x88, 0xb5))
	pass("IPv6 in an IPv4 type", func() []byte { f := packet{v6: true}.frame(); f[12], f[13] = 8, 0; return f }())
	pass("IPv4 in an IPv6 type", typed(0x86, 0xdd))
	for name, mac := range map[string][6]byte{"another host": {2, 0, 0, 0, 0, 99}, "broadcast": {255, 255, 255, 255, 255, 255}, "multicast": {1, 0, 0x5e, 0, 0, 1}} {
		f := packet{}.frame()
		copy(f, mac[:])
		pass("to the hardware address of "+name, f)
	}
	for name, protocol := range map[string]uint8{"SCTP": 132, "GRE": 47, "IPIP": 4, "6in4": 41, "ESP": 50, "AH": 51, "OSPF": 89, "VRRP": 112, "IGMP": 2, "UDP-Lite": 136, "protocol 0": 0, "protocol 255": 255} {
		pass(name, packet{}.wrap(protocol, packet{}.withDefaults().transport()))
	}
	pass("another port", packet{dport: 81}.frame())
	pass("another address", packet{server: netip.MustParseAddr("192.0.2.2")}.frame())
	pass("a broadcast address", packet{server: netip.MustParseAddr("255.255.255.255")}.frame())
	pass("a multicast address", packet{server: netip.MustParseAddr("224.0.0.5")}.frame())
	pass("straight to the server", packet{server: netip.MustParseAddr(fixtureServer(1, false))}.frame())
	pass("IPv6 to a director of IPv4", packet{v6: true}.frame())
	tail := packet{tail: make([]byte, 20)}.withDefaults()
	list = append(list, fixture{name: "padding behind the packet", config: c, in: tail.frame(), want: tcRedirect, out: tail.atServer(l4.NAT).frame()})
	tail6 := packet{v6: true, tail: []byte{1, 2, 3}}.withDefaults()
	list = append(list, fixture{name: "padding behind an IPv6 packet", config: one(l4.NAT, true), in: tail6.frame(), want: tcRedirect, out: tail6.atServer(l4.NAT).frame()})
	class := packet{tos: 0xff}.withDefaults()
	list = append(list, fixture{name: "type of service and congestion marks", config: one(l4.DR, false), in: class.frame(), want: tcRedirect, out: class.atServer(l4.DR).frame()})
	class6 := packet{v6: true, tos: 0xff}.withDefaults()
	list = append(list, fixture{name: "traffic class", config: one(l4.NAT, true), in: class6.frame(), want: tcRedirect, out: class6.atServer(l4.NAT).frame()})
	anyUDP := packet{protocol: l4.UDP}.withDefaults()
	anyUDP.sport = 0
	list = append(list, fixture{name: "from UDP port 0", config: one(l4.DR, false), in: anyUDP.raw(), want: tcRedirect, out: anyUDP.atRaw(l4.DR)})
	run(t, list)
}

// raw is the frame of a packet whose zero source port is meant.
func (p packet) raw() []byte {
	p.sport = 1
	f := p.frame()
	at := 34
	f[at], f[at+1] = 0, 0
	// The sum over one less, which does not overflow here.
	s := uint16(f[at+6])<<8 | uint16(f[at+7])
	s++
	f[at+6], f[at+7] = byte(s>>8), byte(s)
	return f
}

func (p packet) atRaw(m l4.Method) []byte {
	p.sport = 1
	return p.atServer(m).raw()
}

func TestFixturesOfFragments(t *testing.T) {
	var list []fixture
	const more = 0x2000
	for _, method := range []l4.Method{l4.DR, l4.NAT} {
		// The checksum is over the whole datagram: here the first fragment's is
		// taken as it is and changed by the addresses.
		first := packet{protocol: l4.UDP, id: 7, fragment: more, payload: make([]byte, 24)}.withDefaults()
		next := packet{id: 7, fragment: more | 4, protocol: l4.UDP}.withDefaults()
		last := next.with(func(p *packet) { p.fragment = 7 })
		body := make([]byte, 24)
		c := one(method, false)
		n := method.String() + ": "
		at := func(p packet) []byte { return p.atServer(method).wrap(17, body) }
		list = append(list,
			fixture{name: n + "first fragment", config: c, in: first.frame(), want: tcRedirect, out: first.atServer(method).frame()},
			fixture{name: n + "next fragment", config: c, before: [][]byte{first.frame()}, in: next.wrap(17, body), want: tcRedirect, out: at(next)},
			fixture{name: n + "last fragment", config: c, before: [][]byte{first.frame(), next.wrap(17, body)}, in: last.wrap(17, body), want: tcRedirect, out: at(last)},
			fixture{name: n + "fragment of another datagram", config: c, before: [][]byte{first.frame()}, in: next.with(func(p *packet) { p.id = 8 }).wrap(17, body), want: tcNext, drop: "stray fragment"},
			fixture{name: n + "fragment of another client", config: c, before: [][]byte{first.frame()}, in: next.with(func(p *packet) { p.client = netip.MustParseAddr("203.0.113.8") }).wrap(17, body), want: tcNext, drop: "stray fragment"},
			fixture{name: n + "fragment of another protocol", config: c, before: [][]byte{first.frame()}, in: next.wrap(6, body), want: tcNext, drop: "stray fragment"},
		)
	}
	c := one(l4.NAT, false)
	tcp := packet{fragment: more, id: 3, payload: make([]byte, 12)}.withDefaults()
	list = append(list,
		fixture{name: "first fragment of TCP", config: c, in: tcp.frame(), want: tcRedirect, out: tcp.atServer(l4.NAT).frame()},
		fixture{name: "tiny first fragment of TCP", config: c, in: tcp.wrap(6, tcp.transport()[:16]), want: tcNext, drop: "malformed"},
		fixture{name: "fragment of TCP at 8", config: c, before: [][]byte{tcp.frame()}, in: tcp.with(func(p *packet) { p.fragment = 1 }).wrap(6, make([]byte, 24)), want: tcNext, drop: "malformed"},
		fixture{name: "fragment beyond 65535", config: c, before: [][]byte{packet{protocol: l4.UDP, id: 3, fragment: more}.frame()},
			in: packet{protocol: l4.UDP, id: 3, fragment: 0x1fff}.wrap(17, make([]byte, 24)), want: tcNext, drop: "malformed"},
		fixture{name: "fragment of an ICMP message", config: c, in: packet{fragment: more}.wrap(1, make([]byte, 24)), want: tcNext},
		fixture{name: "fragment of UDP with too short a header", config: c, in: packet{fragment: more}.wrap(17, make([]byte, 7)), want: tcNext, drop: "malformed"},
	)
	for _, method := range []l4.Method{l4.DR, l4.NAT} {
		head := func(next uint8, offset uint16) []byte {
			return []byte{next, 0, byte(offset >> 8), byte(offset), 0, 0, 0, 77}
		}
		first := packet{v6: true, protocol: l4.UDP, extension: 44, extensions: head(17, 1), payload: make([]byte, 24)}.withDefaults()
		next := packet{v6: true, protocol: l4.UDP, extension: 44, extensions: head(17, 32|1)}.withDefaults()
		stray := next.with(func(p *packet) { p.extensions = []byte{17, 0, 0, 33, 0, 0, 0, 78} })
		c := one(method, true)
		n := method.String() + ": IPv6 "
		list = append(list,
			fixture{name: n + "first fragment", config: c, in: first.frame(), want: tcRedirect, out: first.atServer(method).frame()},
			fixture{name: n + "next fragment", config: c, before: [][]byte{first.frame()}, in: next.wrap(17, make([]byte, 16)), want: tcRedirect, out: next.atServer(method).wrap(17, make([]byte, 16))},
			fixture{name: n + "stray fragment", config: c, before: [][]byte{first.frame()}, in: stray.wrap(17, make([]byte, 16)), want: tcNext, drop: "stray fragment"},
		)
	}
	run(t, list)
}
