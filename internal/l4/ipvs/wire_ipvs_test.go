//go:build ipvs

package ipvs

import (
	"encoding/binary"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"evenkeel/internal/l4"
)

// ipip is the protocol of an IPv4 packet in another.
const ipip l4.Protocol = 4

// icmp is that of refusals.
const icmp l4.Protocol = 1

const (
	flagFIN = 1
	flagSYN = 2
	flagRST = 4
	flagACK = 16
)

// wireVIP is the director's virtual address.
var wireVIP = netip.MustParseAddr("10.0.0.1")

// wire is a TUN device behind which all clients and all servers are: what is
// sent into it arrives at the director, and what the director forwards comes
// out of it.
type wire struct{ f *os.File }

func newWire(t *testing.T) *wire {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	ifr, _ := unix.NewIfreq("ekI0")
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		t.Fatal(err)
	}
	w := &wire{os.NewFile(uintptr(fd), "tun")}
	t.Cleanup(func() { w.f.Close() })
	for name, value := range map[string]string{"net/ipv4/ip_forward": "1", "net/ipv4/icmp_ratelimit": "0", "net/ipv4/icmp_msgs_per_sec": "100000", "net/ipv4/conf/all/rp_filter": "0", "net/ipv4/conf/ekI0/rp_filter": "0", "net/ipv6/conf/ekI0/disable_ipv6": "1"} {
		if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{"addr add 172.31.0.1/24 dev ekI0", "link set ekI0 mtu 65000 up", "route add 10.0.0.0/8 dev ekI0", "route add 192.0.2.0/24 dev ekI0",
		"addr add 10.0.0.0/24 dev lo"} {
		if strings.HasPrefix(line, "addr add 10.0.0.0") {
			line = "route add local 10.0.0.0/24 dev lo"
		}
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil && !strings.Contains(string(out), "exists") {
			t.Fatalf("ip %s: %v %s", line, err, out)
		}
	}
	return w
}

func (w *wire) send(p []byte) { _, _ = w.f.Write(p) }

// packet is what matters of one.
type packet struct {
	protocol l4.Protocol
	from, to netip.AddrPort
	flags    byte
	inner    *packet // of IPIP, and what an ICMP error is about
}

func read(b []byte) (packet, bool) {
	var p packet
	if len(b) < 20 || b[0]>>4 != 4 {
		return p, false
	}
	p.protocol = l4.Protocol(b[9])
	from, to := netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	p.from, p.to = netip.AddrPortFrom(from, 0), netip.AddrPortFrom(to, 0)
	rest := b[int(b[0]&15)*4:]
	switch {
	case (p.protocol == l4.TCP || p.protocol == l4.UDP) && len(rest) >= 8:
		p.from = netip.AddrPortFrom(from, binary.BigEndian.Uint16(rest))
		p.to = netip.AddrPortFrom(to, binary.BigEndian.Uint16(rest[2:]))
		if p.protocol == l4.TCP && len(rest) >= 20 {
			p.flags = rest[13]
		}
	case p.protocol == ipip:
		if in, ok := read(rest); ok {
			p.inner = &in
		}
	case p.protocol == icmp && len(rest) > 8:
		if in, ok := read(rest[8:]); ok {
			p.inner = &in
		}
	}
	return p, true
}

// next is the next packet of a protocol or of ICMP; ok is false when none came
// in time.
func (w *wire) next(protocol l4.Protocol, wait time.Duration) (packet, bool) {
	b := make([]byte, 70000)
	if err := w.f.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return packet{}, false
	}
	for {
		n, err := w.f.Read(b)
		if err != nil {
			return packet{}, false
		}
		if p, ok := read(b[:n]); ok && (p.protocol == protocol || p.protocol == icmp) {
			return p, true
		}
	}
}

func (w *wire) expect(t *testing.T, protocol l4.Protocol) packet {
	t.Helper()
	for {
		p, ok := w.next(protocol, 5*time.Second)
		if !ok {
			t.Fatalf("no packet of protocol %d came", protocol)
		}
		if p.protocol == protocol {
			return p
		}
	}
}

func ipPacket(protocol l4.Protocol, from, to netip.Addr, payload int) []byte {
	b := make([]byte, 20+payload)
	b[0], b[8], b[9] = 0x45, 64, byte(protocol)
	copy(b[12:], from.AsSlice())
	copy(b[16:], to.AsSlice())
	return b
}

func tcpPacket(from, to netip.AddrPort, flags byte) []byte {
	b := ipPacket(l4.TCP, from.Addr(), to.Addr(), 20)
	binary.BigEndian.PutUint16(b[20:], from.Port())
	binary.BigEndian.PutUint16(b[22:], to.Port())
	b[32], b[33], b[34] = 5<<4, flags, 0x10
	fix(b)
	return b
}

func udpPacket(from, to netip.AddrPort) []byte {
	b := ipPacket(l4.UDP, from.Addr(), to.Addr(), 8)
	binary.BigEndian.PutUint16(b[20:], from.Port())
	binary.BigEndian.PutUint16(b[22:], to.Port())
	fix(b)
	return b
}

// fix makes lengths and checksums right.
func fix(b []byte) {
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	b[10], b[11] = 0, 0
	binary.BigEndian.PutUint16(b[10:], ^sum(b[:20], 0))
	at := 16
	if l4.Protocol(b[9]) == l4.UDP {
		at = 6
		binary.BigEndian.PutUint16(b[24:], uint16(len(b)-20))
	}
	b[20+at], b[21+at] = 0, 0
	binary.BigEndian.PutUint16(b[20+at:], ^sum(b[20:], uint32(sum(b[12:20], uint32(b[9])+uint32(len(b)-20)))))
}

func sum(b []byte, s uint32) uint16 {
	for i := 0; i+1 < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		s += uint32(b[len(b)-1]) << 8
	}
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}
