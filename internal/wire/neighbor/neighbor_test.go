package neighbor

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var (
	virtual  = HardwareAddr{0, 0, 0x5e, 0, 1, 0x33}
	hardware = HardwareAddr{0x72, 0xfb, 0x9d, 0x70, 0x88, 0x9d}
)

// The frames of keepalived 2.2.7 as tcpdump saw them, and those of RFC 5227 and
// RFC 4862.
var frames = []struct {
	name    string
	message Message
	hex     string
}{
	{"keepalived's gratuitous ARP", GratuitousRequest(virtual, netip.MustParseAddr("10.9.0.100")), `
		ffff ffff ffff 0000 5e00 0133 0806 0001 0800 0604 0001 0000 5e00 0133 0a09 0064
		ffff ffff ffff 0a09 0064`},
	{"the same as a reply", GratuitousReply(virtual, netip.MustParseAddr("10.9.0.100")), `
		ffff ffff ffff 0000 5e00 0133 0806 0001 0800 0604 0002 0000 5e00 0133 0a09 0064
		ffff ffff ffff 0a09 0064`},
	{"keepalived's neighbour advertisement", Unsolicited(hardware, netip.MustParseAddr("fe80::1:2:3"), false), `
		3333 0000 0001 72fb 9d70 889d 86dd 6000 0000 0020 3aff fe80 0000 0000 0000 0000
		0001 0002 0003 ff02 0000 0000 0000 0000 0000 0000 0001 8800 c088 2000 0000 fe80
		0000 0000 0000 0000 0001 0002 0003 0201 72fb 9d70 889d`},
	{"and of a router", Unsolicited(hardware, netip.MustParseAddr("2001:db8::100"), true), `
		3333 0000 0001 72fb 9d70 889d 86dd 6000 0000 0020 3aff 2001 0db8 0000 0000 0000
		0000 0000 0100 ff02 0000 0000 0000 0000 0000 0000 0001 8800 e023 a000 0000 2001
		0db8 0000 0000 0000 0000 0000 0100 0201 72fb 9d70 889d`},
	{"ARP probe", Probe(hardware, netip.MustParseAddr("10.9.0.100")), `
		ffff ffff ffff 72fb 9d70 889d 0806 0001 0800 0604 0001 72fb 9d70 889d 0000 0000
		0000 0000 0000 0a09 0064`},
	{"solicitation as of duplicate address detection", Probe(hardware, netip.MustParseAddr("2001:db8::102:304")), `
		3333 ff02 0304 72fb 9d70 889d 86dd 6000 0000 0018 3aff 0000 0000 0000 0000 0000
		0000 0000 0000 ff02 0000 0000 0000 0000 0001 ff02 0304 8700 45e3 0000 0000 2001
		0db8 0000 0000 0000 0000 0102 0304`},
}

func TestFrames(t *testing.T) {
	for _, c := range frames {
		t.Run(c.name, func(t *testing.T) {
			want := unhex(t, c.hex)
			got := Append([]byte{0xaa}, &c.message)
			if hex.EncodeToString(got[1:]) != hex.EncodeToString(want) {
				t.Errorf("frame\n%x\nshould be\n%x", got[1:], want)
			}
			m, err := Parse(append(want, 0, 0, 0, 0)) // Ethernet's padding
			if err != nil || m != c.message {
				t.Errorf("parsed %+v, %v\nshould be %+v", m, err, c.message)
			}
			for n := range want {
				if _, err := Parse(want[:n]); !errors.Is(err, ErrShort) {
					t.Errorf("the first %d bytes give %v", n, err)
				}
			}
		})
	}
}

func TestClaims(t *testing.T) {
	four, six := netip.MustParseAddr("10.9.0.100"), netip.MustParseAddr("2001:db8::100")
	answer := Unsolicited(hardware, six, true)
	answer.TargetMAC = HardwareAddr{} // the asker has it from the frame
	resolving := Probe(hardware, six)
	resolving.Sender, resolving.SenderMAC = netip.MustParseAddr("fe80::1"), hardware
	for _, c := range []struct {
		message Message
		addr    netip.Addr
		at      HardwareAddr
		ok      bool
	}{
		{GratuitousRequest(virtual, four), four, virtual, true},
		{GratuitousReply(virtual, four), four, virtual, true},
		{Unsolicited(virtual, six, false), six, virtual, true},
		{answer, six, hardware, true},
		{resolving, netip.MustParseAddr("fe80::1"), hardware, true},
		{Probe(hardware, four), netip.IPv4Unspecified(), hardware, false},
		{Probe(hardware, six), netip.IPv6Unspecified(), hardware, false},
		{Message{}, netip.Addr{}, HardwareAddr{}, false},
	} {
		if addr, at, ok := c.message.Claims(); addr != c.addr || at != c.at || ok != c.ok {
			t.Errorf("%v %v: claims %v at %x, %v", c.message.Kind, c.message.Target, addr, at, ok)
		}
	}
}

// What has to be refused, each made from a good frame by one change.
func TestRefused(t *testing.T) {
	arp := Append(nil, ptr(GratuitousRequest(virtual, netip.MustParseAddr("10.9.0.100"))))
	na := Append(nil, ptr(Unsolicited(hardware, netip.MustParseAddr("2001:db8::100"), false)))
	const icmp = etherHeader + ipv6Header
	for _, c := range []struct {
		name  string
		frame []byte
		at    int
		to    byte
		fix   bool // the checksum, so that only the change is wrong
		err   error
	}{
		{"another protocol", arp, 13, 0x00, false, ErrOther},
		{"hardware type", arp, 15, 6, false, ErrFormat},
		{"protocol type", arp, 17, 1, false, ErrFormat},
		{"hardware length", arp, 18, 8, false, ErrFormat},
		{"protocol length", arp, 19, 16, false, ErrFormat},
		{"reverse ARP", arp, 21, 3, false, ErrOther},
		{"IP version", na, 14, 0x40, false, ErrOther},
		{"next header", na, 20, 17, false, ErrOther},
		{"hop limit", na, 21, 254, false, ErrHopLimit},
		{"payload longer than the frame", na, 19, 33, false, ErrShort},
		{"payload of nothing", na, 19, 0, false, ErrShort},
		{"payload shorter than a message", na, 19, 16, true, ErrShort},
		{"ICMPv6 type", na, icmp, 128, false, ErrOther},
		{"ICMPv6 code", na, icmp + 1, 1, true, ErrOther},
		{"checksum", na, icmp + 2, 0, false, ErrChecksum},
		{"one bit of the target", na, icmp + 20, 1, false, ErrChecksum},
		{"multicast target", na, icmp + 8, 0xff, true, ErrTarget},
		{"option of no length", na, icmp + 25, 0, true, ErrOption},
		{"option past the end", na, icmp + 25, 2, true, ErrOption},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := append([]byte(nil), c.frame...)
			f[c.at] = c.to
			if c.fix {
				reseal(f)
			}
			if m, err := Parse(f); !errors.Is(err, c.err) {
				t.Errorf("%+v, %v; should be %v", m, err, c.err)
			}
		})
	}
}

// Options that are not known are passed over (RFC 4861 4.6).
func TestUnknownOption(t *testing.T) {
	f := Append(nil, ptr(Unsolicited(hardware, netip.MustParseAddr("2001:db8::100"), false)))
	f = append(f, 14, 1, 1, 2, 3, 4, 5, 6) // a nonce
	f[19] += 8
	reseal(f)
	if m, err := Parse(f); err != nil || m.TargetMAC != hardware {
		t.Errorf("%+v, %v", m, err)
	}
}

func ptr(m Message) *Message { return &m }

// reseal puts the right checksum into a neighbour discovery frame.
func reseal(f []byte) {
	packet := f[etherHeader : etherHeader+ipv6Header+int(f[19])]
	packet[ipv6Header+2], packet[ipv6Header+3] = 0, 0
	sum := ^checksum(packet)
	packet[ipv6Header+2], packet[ipv6Header+3] = byte(sum>>8), byte(sum)
}

func TestNoAllocation(t *testing.T) {
	buffer := make([]byte, 0, MaxFrame)
	for _, c := range frames {
		if n := testing.AllocsPerRun(100, func() {
			buffer = Append(buffer[:0], &c.message)
			if _, err := Parse(buffer); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
		if len(buffer) > MaxFrame {
			t.Errorf("%s: %d bytes", c.name, len(buffer))
		}
	}
}

// Whatever comes: no crash; what is read is written and read again as the same.
func FuzzParse(f *testing.F) {
	for _, c := range frames {
		f.Add(Append(nil, &c.message))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		m, err := Parse(frame)
		if err != nil {
			if m != (Message{}) {
				t.Fatalf("%v with a message %+v", err, m)
			}
			return
		}
		again, err := Parse(Append(nil, &m))
		if err != nil || again != m {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
	})
}
