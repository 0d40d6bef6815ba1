package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"evenkeel/internal/l4"
)

// edit is a frame with bytes changed, and the IPv4 header's checksum set right
// again when fix is wanted.
func edit(p packet, fix bool, change func(f []byte)) []byte {
	f := p.frame()
	change(f)
	if fix {
		header := f[14:min(len(f), 14+int(f[14]&0xf)*4)]
		header[10], header[11] = 0, 0
		binary.BigEndian.PutUint16(header[10:], sum16(header, 0))
	}
	return f
}

// What is not well-formed is left to the host's stack: no server sees it.
func TestFixturesOfMalformedHeaders(t *testing.T) {
	var list []fixture
	dr4, dr6, nat4, nat6 := one(l4.DR, false), one(l4.DR, true), one(l4.NAT, false), one(l4.NAT, true)
	pass := func(name string, c l4.Config, in []byte, drop string) {
		list = append(list, fixture{name: name, config: c, in: in, want: tcNext, drop: drop})
	}
	tcp4, udp4 := packet{}, packet{protocol: l4.UDP}
	tcp6, udp6 := packet{v6: true}, packet{v6: true, protocol: l4.UDP}
	const bad = "malformed"

	pass("version 5", dr4, edit(tcp4, true, func(f []byte) { f[14] = 0x55 }), bad)
	pass("version 6 in an IPv4 frame", dr4, edit(tcp4, false, func(f []byte) { f[14] = 0x65 }), bad)
	pass("header of 16 bytes", dr4, edit(tcp4, false, func(f []byte) { f[14] = 0x44 }), bad)
	pass("header of 0 bytes", dr4, edit(tcp4, false, func(f []byte) { f[14] = 0x40 }), bad)
	pass("header longer than the packet", dr4, edit(tcp4, true, func(f []byte) { f[14] = 0x4f; f[17] = 44 }), bad)
	pass("length shorter than the header", dr4, edit(tcp4, true, func(f []byte) { f[16], f[17] = 0, 19 }), bad)
	pass("length 0", dr4, edit(tcp4, true, func(f []byte) { f[16], f[17] = 0, 0 }), bad)
	pass("length beyond the frame", dr4, edit(tcp4, true, func(f []byte) { f[17]++ }), bad)
	pass("length 65535", dr4, edit(tcp4, true, func(f []byte) { f[16], f[17] = 255, 255 }), bad)
	pass("length without the whole TCP header", dr4, edit(tcp4, true, func(f []byte) { f[16], f[17] = 0, 39 }), bad)
	pass("length without the whole UDP header", dr4, edit(udp4, true, func(f []byte) { f[16], f[17] = 0, 27 }), bad)
	pass("header checksum wrong", dr4, edit(tcp4, false, func(f []byte) { f[24] ^= 1 }), bad)
	pass("header checksum of a changed header", nat4, edit(tcp4, false, func(f []byte) { f[15] ^= 4 }), bad)
	pass("checksum 0", nat4, edit(tcp4, false, func(f []byte) { f[24], f[25] = 0, 0 }), bad)
	pass("TCP header of 16 bytes", dr4, edit(tcp4, false, func(f []byte) { f[46] = 0x40 }), bad)
	pass("TCP header of 0 bytes", nat4, edit(tcp4, false, func(f []byte) { f[46] = 0 }), bad)
	pass("TCP header longer than the packet", dr4, edit(tcp4, false, func(f []byte) { f[46] = 0xf0 }), bad)
	pass("UDP length 7", dr4, edit(udp4, false, func(f []byte) { f[39] = 7 }), bad)
	pass("UDP length 0", dr4, edit(udp4, false, func(f []byte) { f[39] = 0 }), bad)
	pass("UDP length beyond the packet", dr4, edit(udp4, false, func(f []byte) { f[39]++ }), bad)

	pass("IPv6 with version 4", dr6, edit(tcp6, false, func(f []byte) { f[14] = 0x45 }), bad)
	pass("IPv6 payload beyond the frame", dr6, edit(tcp6, false, func(f []byte) { f[19]++ }), bad)
	pass("IPv6 payload 65535", nat6, edit(tcp6, false, func(f []byte) { f[18], f[19] = 255, 255 }), bad)
	pass("IPv6 payload 0", dr6, edit(tcp6, false, func(f []byte) { f[18], f[19] = 0, 0 }), bad)
	pass("IPv6 payload without the whole TCP header", dr6, edit(tcp6, false, func(f []byte) { f[19] = 19 }), bad)
	pass("IPv6 payload without the whole UDP header", dr6, edit(udp6, false, func(f []byte) { f[19] = 7 }), bad)
	pass("TCP header of 16 bytes over IPv6", dr6, edit(tcp6, false, func(f []byte) { f[66] = 0x40 }), bad)
	pass("UDP length beyond the packet over IPv6", dr6, edit(udp6, false, func(f []byte) { f[59]++ }), bad)

	for _, flags := range []uint8{flagSYN | flagFIN, flagSYN | flagRST, flagFIN | flagRST, 0x28, flagSYN | flagFIN | flagRST | flagACK} {
		p := tcp4.with(func(p *packet) { p.flags = flags })
		pass(fmt.Sprintf("TCP flags %#x", flags), dr4, p.frame(), bad)
		p = tcp6.with(func(p *packet) { p.flags = flags })
		pass(fmt.Sprintf("TCP flags %#x over IPv6", flags), nat6, p.frame(), bad)
	}
	zero := func(p packet, dst bool) []byte {
		f := p.frame()
		at := 34
		if p.v6 {
			at = 54
		}
		if dst {
			at += 2
		}
		f[at], f[at+1] = 0, 0
		return f
	}
	pass("to TCP port 0", dr4, zero(tcp4, true), bad)
	pass("from TCP port 0", dr4, zero(tcp4, false), bad)
	pass("to UDP port 0", dr4, zero(udp4, true), bad)
	pass("to TCP port 0 over IPv6", dr6, zero(tcp6, true), bad)

	for _, source := range []string{"0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", fixtureVIP4} {
		pass("from "+source, dr4, tcp4.with(func(p *packet) { p.client = netip.MustParseAddr(source) }).frame(), bad)
	}
	for _, source := range []string{"::", "::1", "ff02::1", "fe80::1", "::ffff:192.0.2.9", fixtureVIP6} {
		pass("from "+source, dr6, tcp6.with(func(p *packet) { p.client = netip.MustParseAddr(source) }).frame(), bad)
	}
	run(t, list)
}

// A frame cut off anywhere goes to the stack, or the kernel does not take it.
func TestTruncatedEverything(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 1024})
	for _, method := range []l4.Method{l4.DR, l4.NAT, l4.TUN} {
		for _, v6 := range []bool{false, true} {
			b.set(one(method, v6))
			for _, p := range []packet{{}, {protocol: l4.UDP}, {options: []byte{1, 1, 1, 0}}, {extension: 60, extensions: []byte{6, 0, 1, 4, 0, 0, 0, 0}}} {
				p.v6 = v6
				whole := p.frame()
				for n := 14; n < len(whole); n++ {
					got, err := b.prog.Run(&ebpf.RunOptions{Data: whole[:n]})
					if errors.Is(err, unix.EINVAL) && n < 14+40 {
						continue
					}
					if err != nil {
						t.Fatal(err)
					}
					if int32(got) != tcNext {
						t.Fatalf("%v %s: %d of %d bytes: verdict %d", method, family(v6), n, len(whole), int32(got))
					}
				}
			}
		}
	}
}

// Checksums of TCP and UDP are the receiver's affair: the director changes
// them by what it changes, so that a wrong one stays wrong.
func TestFixturesOfChecksums(t *testing.T) {
	var list []fixture
	for _, v6 := range []bool{false, true} {
		for _, protocol := range []l4.Protocol{l4.TCP, l4.UDP} {
			for _, method := range []l4.Method{l4.DR, l4.NAT} {
				p := packet{v6: v6, protocol: protocol, badSum: true}.withDefaults()
				_, out := p.frame(), p.atServer(method).frame()
				list = append(list, fixture{
					name:   fmt.Sprintf("%v: wrong %v checksum over %s", method, protocol, family(v6)),
					config: one(method, v6), in: p.frame(), want: tcRedirect, out: wrongBySame(p, p.atServer(method), out),
				})
			}
		}
	}
	none := packet{protocol: l4.UDP, noSum: true}.withDefaults()
	list = append(list, fixture{name: "UDP without checksum stays without", config: one(l4.NAT, false), in: none.frame(), want: tcRedirect, out: none.atServer(l4.NAT).frame()})
	for _, wanted := range []uint16{0, 0xffff} {
		// A payload for which the sum is 0 at the server: sent as 0xffff (RFC 768).
		for i := range 65536 {
			p := packet{protocol: l4.UDP, payload: []byte{byte(i >> 8), byte(i)}}.withDefaults()
			s := p.atServer(l4.NAT)
			h := s.transport()
			h[6], h[7] = 0, 0
			if sum16(h, s.pseudo(len(h))) == 0 {
				list = append(list, fixture{name: fmt.Sprintf("UDP sum that comes out as 0 (%#x)", wanted), config: one(l4.NAT, false), in: p.frame(), want: tcRedirect, out: s.frame()})
				break
			}
		}
	}
	for _, n := range []int{0, 1, 2, 7, 1400} {
		p := packet{payload: make([]byte, n)}.withDefaults()
		list = append(list, fixture{name: fmt.Sprintf("payload of %d", n), config: one(l4.NAT, false), in: p.frame(), want: tcRedirect, out: p.atServer(l4.NAT).frame()})
	}
	run(t, list)
}

// wrongBySame is a rewritten frame whose checksum is as wrong as before.
func wrongBySame(before, after packet, out []byte) []byte {
	at, in := 14+20, before.frame()
	if before.v6 {
		at = 14 + 40
	}
	at += 16
	if before.protocol == l4.UDP {
		at -= 10
	}
	right := before.with(func(p *packet) { p.badSum = false }).frame()
	good := after.with(func(p *packet) { p.badSum = false }).frame()
	// Ones' complement: wrong - right is the same difference on both sides.
	sum := uint32(binary.BigEndian.Uint16(good[at:])) + uint32(binary.BigEndian.Uint16(in[at:])) + uint32(^binary.BigEndian.Uint16(right[at:]))
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(out[at:], uint16(sum))
	return out
}
