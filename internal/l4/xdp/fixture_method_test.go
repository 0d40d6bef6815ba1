package xdp

import (
	"fmt"
	"net/netip"
	"testing"

	"evenkeel/internal/l4"
)

func family(v6 bool) string {
	if v6 {
		return "IPv6"
	}
	return "IPv4"
}

// Each method, in each family, with each protocol: first packet, packets after
// it, and what comes back.
func TestFixturesOfMethods(t *testing.T) {
	var list []fixture
	for _, v6 := range []bool{false, true} {
		for _, protocol := range []l4.Protocol{l4.TCP, l4.UDP} {
			first := packet{v6: v6, protocol: protocol, tos: 0x28}.withDefaults()
			next := first.with(func(p *packet) { p.flags = flagACK; p.payload = []byte("odd number of bytes") })
			name := fmt.Sprintf("%v over %s: ", protocol, family(v6))
			for _, method := range []l4.Method{l4.DR, l4.NAT} {
				n := fmt.Sprintf("%v %s", method, name)
				list = append(list,
					fixture{name: n + "first", config: one(method, v6), in: first.frame(), want: tcRedirect, out: first.atServer(method).frame()},
					fixture{name: n + "next", config: one(method, v6), before: [][]byte{first.frame()}, in: next.frame(), want: tcRedirect, out: next.atServer(method).frame()},
				)
			}
			back := first.answer(flagSYN | flagACK)
			list = append(list,
				fixture{name: "NAT " + name + "answer", config: one(l4.NAT, v6), before: [][]byte{first.frame()}, in: back.frame(), want: tcRedirect, out: back.atClient().frame()},
				fixture{name: "NAT " + name + "answer to nothing", config: one(l4.NAT, v6), in: back.frame(), want: tcNext},
				fixture{name: "DR " + name + "answer passing by", config: one(l4.DR, v6), before: [][]byte{first.frame()}, in: back.frame(), want: tcNext},
			)
			to8080 := first.atServer(l4.NAT).with(func(p *packet) { p.dport = 8080 })
			from8080 := back.with(func(p *packet) { p.sport = 8080 })
			list = append(list,
				fixture{name: "NAT " + name + "other port", config: toPort(one(l4.NAT, v6), 8080), in: first.frame(), want: tcRedirect, out: to8080.frame()},
				fixture{name: "NAT " + name + "answer from other port", config: toPort(one(l4.NAT, v6), 8080), before: [][]byte{first.frame()},
					in: from8080.frame(), want: tcRedirect, out: back.atClient().frame()},
			)
			for _, outerV6 := range []bool{false, true} {
				server := fixtureServer(1, outerV6)
				whole := first.with(func(p *packet) { p.fragment = 0x4000 })
				inner := whole.with(func(p *packet) { p.ttl-- })
				list = append(list, fixture{
					name:   fmt.Sprintf("TUN %s in %s", name, family(outerV6)),
					config: oneOf(l4.TUN, v6, server), in: whole.frame(), want: tcRedirect, out: outer(outerV6, server, inner),
				})
			}
		}
	}
	run(t, list)
}

// FULLNAT takes a port of its pool that only it knows: the fixtures go there
// and back.
func TestFullNATThereAndBack(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 1024, PoolPorts: [2]uint16{5000, 5003}})
	for _, v6 := range []bool{false, true} {
		for _, protocol := range []l4.Protocol{l4.TCP, l4.UDP} {
			b.set(one(l4.FULLNAT, v6))
			first := packet{v6: v6, protocol: protocol}.withDefaults()
			verdict, out := b.run(first.frame())
			if verdict != tcRedirect {
				t.Fatalf("%v %s: verdict %d", protocol, family(v6), verdict)
			}
			at := 34
			pool := netip.MustParseAddr("10.0.0.200")
			if v6 {
				at = 54
				pool = netip.MustParseAddr("2001:db8:3::200")
			}
			port := uint16(out[at])<<8 | uint16(out[at+1])
			want := first.atServer(l4.NAT).with(func(p *packet) { p.client = pool; p.sport = port })
			if string(out) != string(want.frame()) || port < 5000 || port > 5003 {
				t.Errorf("%v %s:\n got  %x\n want %x", protocol, family(v6), out, want.frame())
			}
			back := first.answer(flagSYN | flagACK).with(func(p *packet) { p.server = pool; p.dport = port })
			verdict, out = b.run(back.frame())
			want = back.atClient().with(func(p *packet) { p.server = first.client; p.dport = first.sport })
			if verdict != tcRedirect || string(out) != string(want.frame()) {
				t.Errorf("%v %s answer: verdict %d\n got  %x\n want %x", protocol, family(v6), verdict, out, want.frame())
			}
			for i := range uint16(10) {
				b.run(first.with(func(p *packet) { p.sport = 50000 + i }).frame())
			}
		}
	}
	if drops, _ := b.drops(); drops["pool exhausted"] == 0 || drops["internal"] != 0 {
		t.Errorf("a pool of four ports for eleven connections: %v", drops)
	}
}
