package xdp

import (
	"encoding/binary"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"evenkeel/internal/l4"
)

// Verdicts of tc.
const (
	tcNext     = -1
	tcDrop     = 2
	tcRedirect = 7
)

const (
	flagFIN = 0x01
	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10
)

// packet describes a frame. What is zero has a default: from the client to the
// virtual address, port 80, 6 bytes of payload, everything as it should be.
type packet struct {
	v6             bool
	client, server netip.Addr // source, destination
	protocol       l4.Protocol
	sport, dport   uint16
	flags          uint8
	ttl            uint8
	tos            uint8
	payload        []byte
	options        []byte // of IPv4; a multiple of 4
	extensions     []byte // of IPv6, the first's type in extension
	extension      uint8
	id             uint16
	fragment       uint16 // flags and offset of IPv4
	tail           []byte // behind the IP packet
	mac            [12]byte
	badSum         bool // the TCP or UDP checksum is wrong
	noSum          bool // UDP without checksum
}

func fixtureVIP(v6 bool) string {
	if v6 {
		return fixtureVIP6
	}
	return fixtureVIP4
}

// clientNumber is the i-th of many clients.
func clientNumber(i int, v6 bool) netip.Addr {
	if v6 {
		a := netip.MustParseAddr("2001:db8:1::1:0").As16()
		binary.BigEndian.PutUint16(a[14:], uint16(i))
		return netip.AddrFrom16(a)
	}
	return netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
}

func (p packet) withDefaults() packet {
	if !p.client.IsValid() {
		p.client = netip.MustParseAddr(fixtureClient4)
		if p.v6 {
			p.client = netip.MustParseAddr(fixtureClient6)
		}
	}
	if !p.server.IsValid() {
		p.server = netip.MustParseAddr(fixtureVIP(p.v6))
	}
	if p.protocol == 0 {
		p.protocol = l4.TCP
	}
	if p.sport == 0 {
		p.sport = 40000
	}
	if p.dport == 0 {
		p.dport = 80
	}
	if p.ttl == 0 {
		p.ttl = 64
	}
	if p.payload == nil {
		p.payload = []byte("packet")
	}
	if p.protocol == l4.TCP && p.flags == 0 {
		p.flags = flagSYN
	}
	return p
}

// transport is the TCP or UDP header and payload.
func (p packet) transport() []byte {
	var h []byte
	sum := 16
	if p.protocol == l4.UDP {
		h = binary.BigEndian.AppendUint16(h, p.sport)
		h = binary.BigEndian.AppendUint16(h, p.dport)
		h = binary.BigEndian.AppendUint16(h, uint16(8+len(p.payload)))
		h = append(h, 0, 0)
		sum = 6
	} else {
		h = binary.BigEndian.AppendUint16(h, p.sport)
		h = binary.BigEndian.AppendUint16(h, p.dport)
		h = append(h, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, p.flags, 0x10, 0, 0, 0, 0, 0)
	}
	h = append(h, p.payload...)
	if p.noSum {
		return h
	}
	c := sum16(h, p.pseudo(len(h)))
	if c == 0 && p.protocol == l4.UDP {
		c = 0xffff
	}
	if p.badSum {
		c ^= 0x5555
	}
	binary.BigEndian.PutUint16(h[sum:], c)
	return h
}

// pseudo is the sum of the pseudo header.
func (p packet) pseudo(length int) uint32 {
	sum := uint32(length) + uint32(p.protocol)
	for _, a := range []netip.Addr{p.client, p.server} {
		b := a.AsSlice()
		for i := 0; i < len(b); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(b[i:]))
		}
	}
	return sum
}

// frame is the whole.
func (p packet) frame() []byte {
	p = p.withDefaults()
	return p.wrap(uint8(p.protocol), p.transport())
}

// wrap puts Ethernet and IP headers before a transport packet.
func (p packet) wrap(protocol uint8, body []byte) []byte {
	p = p.withDefaults()
	f := append([]byte{}, p.mac[:]...)
	if p.v6 {
		f = append(f, 0x86, 0xdd)
		next := protocol
		if p.extensions != nil {
			next = p.extension
		}
		f = append(f, 0x60|p.tos>>4, p.tos<<4, 0, 0)
		f = binary.BigEndian.AppendUint16(f, uint16(len(p.extensions)+len(body)))
		f = append(f, next, p.ttl)
		f = append(f, p.client.AsSlice()...)
		f = append(f, p.server.AsSlice()...)
		f = append(f, p.extensions...)
	} else {
		f = append(f, 0x08, 0)
		h := []byte{byte(0x45 + len(p.options)/4), p.tos}
		h = binary.BigEndian.AppendUint16(h, uint16(20+len(p.options)+len(body)))
		h = binary.BigEndian.AppendUint16(h, p.id)
		h = binary.BigEndian.AppendUint16(h, p.fragment)
		h = append(h, p.ttl, protocol, 0, 0)
		h = append(h, p.client.AsSlice()...)
		h = append(h, p.server.AsSlice()...)
		h = append(h, p.options...)
		binary.BigEndian.PutUint16(h[10:], sum16(h, 0))
		f = append(f, h...)
	}
	f = append(f, body...)
	return append(f, p.tail...)
}

func ipHere(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
