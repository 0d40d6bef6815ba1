package xdp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"evenkeel/internal/l4"
)

// icmpError is an ICMP error about a packet, of which it quotes so many bytes
// behind the IP header.
type icmpError struct {
	outer      packet // its addresses
	about      packet
	kind, code uint8
	value      uint16 // the next hop's MTU
	quote      int
	badSum     bool
}

func (e icmpError) frame() []byte {
	quoted := e.about.frame()[14:]
	header, protocol := 20, uint8(1)
	if e.about.v6 {
		header, protocol = 40, 58
	}
	if e.quote == 0 {
		e.quote = 8
	}
	quoted = quoted[:min(len(quoted), header+e.quote)]
	body := []byte{e.kind, e.code, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(body[6:], e.value)
	body = append(body, quoted...)
	start := uint32(0)
	if e.about.v6 {
		o := e.outer.withDefaults()
		o.protocol = 58
		start = o.pseudo(len(body))
	}
	sum := sum16(body, start)
	if e.badSum {
		sum ^= 0x1111
	}
	binary.BigEndian.PutUint16(body[2:], sum)
	return e.outer.wrap(protocol, body)
}

// asked and answered are what the hosts at both ends have sent: the client to
// the virtual address, the server to the client.
func TestFixturesOfICMPErrors(t *testing.T) {
	var list []fixture
	router := map[bool]netip.Addr{false: netip.MustParseAddr("203.0.113.99"), true: netip.MustParseAddr("2001:db8:1::99")}
	for _, v6 := range []bool{false, true} {
		kinds := [][2]uint8{{3, 1}, {3, 4}, {4, 0}, {11, 0}, {12, 0}}
		if v6 {
			kinds = [][2]uint8{{1, 0}, {2, 0}, {3, 0}, {4, 0}}
		}
		for _, protocol := range []l4.Protocol{l4.TCP, l4.UDP} {
			first := packet{v6: v6, protocol: protocol}.withDefaults()
			vip, server := netip.MustParseAddr(fixtureVIP(v6)), netip.MustParseAddr(fixtureServer(1, v6))
			atServer := first.atServer(l4.NAT)
			answer := first.answer(flagSYN | flagACK)
			atClient := answer.atClient()
			for _, k := range kinds {
				name := fmt.Sprintf("%v over %s: type %d code %d", protocol, family(v6), k[0], k[1])
				// About an answer, from a router on the way to the client.
				fromClientSide := icmpError{outer: packet{v6: v6, client: router[v6], server: vip}, about: atClient, kind: k[0], code: k[1], value: 1400}
				inServer := answer.with(func(p *packet) { p.ttl = atClient.ttl })
				toServerSide := icmpError{
					outer: packet{v6: v6, client: router[v6], server: server, ttl: 63, mac: toServer},
					about: inServer, kind: k[0], code: k[1], value: 1400,
				}
				// About a request, from a router on the way to the server.
				fromServerSide := icmpError{outer: packet{v6: v6, client: netip.MustParseAddr(map[bool]string{false: "10.0.0.99", true: "2001:db8:3::99"}[v6]), server: first.client},
					about: atServer, kind: k[0], code: k[1], value: 1400}
				seen := first.with(func(p *packet) { p.ttl = atServer.ttl })
				toClientSide := icmpError{outer: packet{v6: v6, client: vip, server: first.client, ttl: 63, mac: toClient}, about: seen, kind: k[0], code: k[1], value: 1400}
				list = append(list,
					fixture{name: "NAT " + name + " to the server", config: one(l4.NAT, v6), before: [][]byte{first.frame()},
						in: fromClientSide.frame(), want: tcRedirect, out: keepInnerSum(toServerSide, fromClientSide)},
					fixture{name: "NAT " + name + " to the client", config: one(l4.NAT, v6), before: [][]byte{first.frame()},
						in: fromServerSide.frame(), want: tcRedirect, out: keepInnerSum(toClientSide, fromServerSide)},
					fixture{name: "NAT " + name + " of no flow", config: one(l4.NAT, v6), in: fromClientSide.frame(), want: tcNext},
				)
				direct := fromClientSide
				direct.outer.mac, direct.outer.ttl = toServer, 63
				list = append(list, fixture{name: "DR " + name, config: one(l4.DR, v6), before: [][]byte{first.frame()},
					in: fromClientSide.frame(), want: tcRedirect, out: direct.frame()})
			}
		}
	}
	list = append(list, strangeICMP()...)
	run(t, list)
}

// keepInnerSum gives an error the quoted transport header of another: the
// director leaves its checksum alone, which no receiver looks at.
func keepInnerSum(want, was icmpError) []byte {
	a, b := want.frame(), was.frame()
	at := 14 + 20 + 8 + 20
	if want.about.v6 {
		at = 14 + 40 + 8 + 40
	}
	if want.about.protocol == l4.UDP {
		copy(a[at+6:at+8], b[at+6:at+8])
	}
	icmp := 14 + 20
	start := uint32(0)
	if want.about.v6 {
		icmp = 14 + 40
		o := want.outer.withDefaults()
		o.protocol = 58
		start = o.pseudo(len(a) - icmp)
	}
	a[icmp+2], a[icmp+3] = 0, 0
	binary.BigEndian.PutUint16(a[icmp+2:], sum16(a[icmp:], start))
	return a
}

// strangeICMP are messages that are no errors of flows.
func strangeICMP() []fixture {
	var list []fixture
	for _, v6 := range []bool{false, true} {
		first := packet{v6: v6}.withDefaults()
		atClient := first.answer(flagACK).atClient()
		outer := packet{v6: v6, client: first.client}
		c := one(l4.NAT, v6)
		add := func(name string, in []byte) {
			list = append(list, fixture{name: name + " over " + family(v6), config: c, before: [][]byte{first.frame()}, in: in, want: tcNext})
		}
		echo, reply, unreachable := uint8(8), uint8(0), uint8(3)
		protocol := uint8(1)
		if v6 {
			echo, reply, unreachable, protocol = 128, 129, 1, 58
		}
		add("echo request", outer.wrap(protocol, []byte{echo, 0, 0, 0, 0, 1, 0, 1, 'p', 'i', 'n', 'g'}))
		add("echo reply", outer.wrap(protocol, []byte{reply, 0, 0, 0, 0, 1, 0, 1}))
		add("ICMP of one byte", outer.wrap(protocol, []byte{unreachable}))
		add("ICMP without anything", outer.wrap(protocol, nil))
		add("error without a packet", outer.wrap(protocol, []byte{unreachable, 0, 0, 0, 0, 0, 0, 0}))
		e := icmpError{outer: outer, about: atClient, kind: unreachable}
		for _, quote := range []int{-19, 1, 3, 7} {
			short := e
			short.quote = quote
			add(fmt.Sprintf("error with %d bytes behind the quoted header", quote), short.frame())
		}
		whole := e.frame()
		inner := 14 + 20 + 8
		if v6 {
			inner = 14 + 40 + 8
		}
		change := func(at int, value byte) []byte {
			f := append([]byte{}, whole...)
			f[at] = value
			return f
		}
		add("error about version 7", change(inner, 0x75))
		if v6 {
			add("error about SCTP", change(inner+6, 132))
			add("error about ICMP", change(inner+6, 58))
			add("redirect", change(inner-8, 137))
			add("neighbour solicitation", change(inner-8, 135))
		} else {
			add("error about a header of 16 bytes", change(inner, 0x44))
			add("error about options beyond the quote", change(inner, 0x4f))
			add("error about a following fragment", change(inner+7, 9))
			add("error about SCTP", change(inner+9, 132))
			add("redirect", change(inner-8, 5))
			add("timestamp request", change(inner-8, 13))
		}
	}
	return list
}

// Packets that do not fit or live no longer are refused with an ICMP error.
func TestFixturesOfComplaints(t *testing.T) {
	var list []fixture
	for _, v6 := range []bool{false, true} {
		old := packet{v6: v6, ttl: 1, payload: make([]byte, 40)}.withDefaults()
		for _, method := range []l4.Method{l4.DR, l4.NAT, l4.TUN} {
			list = append(list, fixture{name: fmt.Sprintf("%v: TTL 1 over %s", method, family(v6)), config: one(method, v6),
				in: old.frame(), want: tcRedirect, out: complaint(old, "ttl", 0), drop: "TTL exceeded"})
		}
		none := one(l4.DR, v6)
		none.Services[0].Servers[0].Weight = 0
		p := packet{v6: v6, payload: make([]byte, 40)}.withDefaults()
		list = append(list, fixture{name: "no server over " + family(v6), config: none, in: p.frame(), want: tcRedirect, out: complaint(p, "port", 0), drop: "no server"})
		big := packet{v6: v6, payload: make([]byte, 1500-40), fragment: 0x4000}.withDefaults()
		room := 1500 - 20
		if v6 {
			big.payload, room = make([]byte, 1500-60), 1500-40
		}
		list = append(list, fixture{name: "TUN: no room for the outer header, " + family(v6), config: one(l4.TUN, v6), in: big.frame(), want: tcRedirect,
			out: complaint(big, "big", uint16(room)), drop: "too big"})
		huge := packet{v6: v6, payload: make([]byte, 1500), fragment: 0x4000}.withDefaults()
		list = append(list, fixture{name: "NAT: too big, " + family(v6), config: one(l4.NAT, v6), in: huge.frame(), want: tcRedirect,
			out: complaint(huge, "big", 1500), drop: "too big"})
	}
	fragmentable := packet{payload: make([]byte, 1500-40)}.withDefaults()
	list = append(list, fixture{name: "TUN: no room, may be fragmented", config: one(l4.TUN, false), in: fragmentable.frame(), want: tcRedirect,
		out: complaint(fragmentable, "big", 1480), drop: "too big"})
	// The port has to be quoted: senders do not know otherwise who it is about.
	first := packet{v6: true, protocol: l4.UDP, extension: 44, extensions: []byte{17, 0, 0, 1, 0, 0, 0, 9}, payload: make([]byte, 1440)}.withDefaults()
	list = append(list, fixture{name: "TUN: no room for a first fragment over IPv6", config: one(l4.TUN, true), in: first.frame(), want: tcRedirect,
		out: complaint(first, "big", 1460), drop: "too big"})
	zero := edit(packet{}, true, func(f []byte) { f[22] = 0 })
	e := complaint(packet{}, "ttl", 0)
	list = append(list, fixture{name: "TTL 0", config: one(l4.DR, false), in: zero, want: tcRedirect, out: requote(e, zero), drop: "TTL exceeded"})
	two := packet{ttl: 2}.withDefaults()
	list = append(list, fixture{name: "TTL 2", config: one(l4.DR, false), in: two.frame(), want: tcRedirect, out: two.atServer(l4.DR).frame()})
	run(t, list)
}

// complaint is the director's error about a packet.
func complaint(p packet, what string, mtu uint16) []byte {
	p = p.withDefaults()
	e := icmpError{about: p, value: mtu, quote: 28,
		outer: packet{v6: p.v6, client: p.server, server: p.client, ttl: 64, tos: 0xc0}}
	if len(p.frame()) < 14+48 {
		e.quote = 8
	}
	kinds := map[string][2]uint8{"ttl": {11, 0}, "port": {3, 3}, "big": {3, 4}}
	if p.v6 {
		kinds = map[string][2]uint8{"ttl": {3, 0}, "port": {1, 4}, "big": {2, 0}}
		e.quote, e.outer.tos = 8, 0
		if len(p.frame()) >= 14+112 {
			e.quote = 72
		}
	}
	e.kind, e.code = kinds[what][0], kinds[what][1]
	return e.frame()
}

// requote puts another packet's first bytes into an ICMP error over IPv4.
func requote(e, of []byte) []byte {
	copy(e[42:], of[14:])
	e[36], e[37] = 0, 0
	binary.BigEndian.PutUint16(e[36:], sum16(e[34:], 0))
	return e
}

// A router on the way to a server says that a tunnelled packet is too big: the
// client is told, of its own packet.
func TestFixturesOfTooBigTunnels(t *testing.T) {
	var list []fixture
	for _, v6 := range []bool{false, true} {
		router, own, protocol, kind, code, header := "10.0.0.99", "10.0.0.1", uint8(1), uint8(3), uint8(4), 20
		if v6 {
			router, own, protocol, kind, code, header = "2001:db8:3::99", "2001:db8:3::1", 58, 2, 0, 40
		}
		server := fixtureServer(1, v6)
		p := packet{v6: v6, fragment: 0x4000, payload: make([]byte, 60)}.withDefaults()
		tunnelled := outer(v6, server, p.with(func(p *packet) { p.ttl-- }))[14:]
		from := packet{v6: v6, client: netip.MustParseAddr(router), server: netip.MustParseAddr(own)}
		message := func(mtu uint16, quote []byte) []byte {
			body := append([]byte{kind, code, 0, 0, 0, 0, byte(mtu >> 8), byte(mtu)}, quote...)
			start := uint32(0)
			if v6 {
				o := from.withDefaults()
				o.protocol = 58
				start = o.pseudo(len(body))
			}
			binary.BigEndian.PutUint16(body[2:], sum16(body, start))
			return from.wrap(protocol, body)
		}
		e := icmpError{about: p.with(func(p *packet) { p.ttl-- }), kind: kind, code: code, value: uint16(1400 - header), quote: 28,
			outer: packet{v6: v6, client: p.server, server: p.client, ttl: 64, tos: 0xc0, mac: toClient}}
		if v6 {
			e.quote, e.outer.tos = 72, 0
		}
		c, before := one(l4.TUN, v6), [][]byte{p.frame()}
		wrong := append([]byte{}, tunnelled...)
		wrong[header-1] ^= 1 // another server's tunnel
		list = append(list,
			fixture{name: "too big in a tunnel over " + family(v6), config: c, before: before, in: message(1400, tunnelled), want: tcRedirect, out: e.frame()},
			fixture{name: "of no flow over " + family(v6), config: c, in: message(1400, tunnelled), want: tcNext},
			fixture{name: "of another tunnel over " + family(v6), config: c, before: before, in: message(1400, wrong), want: tcNext},
			fixture{name: "too small to be true over " + family(v6), config: c, before: before, in: message(60, tunnelled), want: tcNext},
			fixture{name: "short quote over " + family(v6), config: c, before: before, in: message(1400, tunnelled[:header+8]), want: tcNext},
			fixture{name: "of a flow by DR over " + family(v6), config: one(l4.DR, v6), before: before, in: message(1400, tunnelled), want: tcNext},
		)
	}
	run(t, list)
}
