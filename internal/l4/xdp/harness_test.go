package xdp

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"runtime"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"evenkeel/internal/l4"
)

// bench is a plane whose program is run by hand, in a namespace of its own
// that has nothing but the loopback and a dummy interface towards servers.
type bench struct {
	*Plane
	t testing.TB
}

// The addresses of the fixtures. Servers are neighbours on an interface with a
// known hardware address, so that output is known to the byte.
const (
	fixtureClient4 = "203.0.113.7"
	fixtureVIP4    = "192.0.2.1"
	fixtureClient6 = "2001:db8:1::7"
	fixtureVIP6    = "2001:db8:2::1"
)

func fixtureServer(n int, v6 bool) string {
	if v6 {
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 3, 15: byte(10 + n)}).String()
	}
	return netip.AddrFrom4([4]byte{10, 0, 0, byte(10 + n)}).String()
}

// newBench opens a plane in a fresh namespace. The thread stays there until
// the test ends.
func newBench(t testing.TB, o Options) *bench {
	needRoot(t)
	runtime.LockOSThread()
	// The thread dies with the goroutine: it is not unlocked.
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{
		{"link", "set", "lo", "up"},
		{"link", "add", "out", "type", "veth", "peer", "name", "far"},
		{"link", "set", "far", "up"},
		{"link", "set", "out", "address", "02:00:00:00:00:01", "up"},
		{"addr", "add", "10.0.0.1/24", "dev", "out"},
		{"addr", "add", "2001:db8:3::1/64", "dev", "out", "nodad"},
		{"addr", "add", "203.0.113.1/24", "dev", "out"},
		{"addr", "add", "2001:db8:1::1/64", "dev", "out", "nodad"},
		{"neigh", "add", fixtureClient4, "lladdr", "02:00:00:00:00:07", "dev", "out"},
		{"neigh", "add", fixtureClient6, "lladdr", "02:00:00:00:00:07", "dev", "out"},
		{"neigh", "add", "10.0.0.11", "lladdr", "02:00:00:00:00:11", "dev", "out"},
		{"neigh", "add", "10.0.0.12", "lladdr", "02:00:00:00:00:12", "dev", "out"},
		{"neigh", "add", "2001:db8:3::b", "lladdr", "02:00:00:00:00:11", "dev", "out"},
		{"neigh", "add", "2001:db8:3::c", "lladdr", "02:00:00:00:00:12", "dev", "out"},
	} {
		ipHere(t, command...)
	}
	writeFile(t, "/proc/sys/net/ipv4/ip_forward", "1")
	writeFile(t, "/proc/sys/net/ipv6/conf/all/forwarding", "1")
	o.Interfaces = []string{"out"}
	p, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	if o.Mode == Native {
		// What is run by hand comes in on the loopback, which has no address.
		if err := p.fast.XdpPorts.Put(uint32(1), &driverPort{}); err != nil {
			t.Fatal(err)
		}
	}
	return &bench{p, t}
}

// run gives a frame to the director.
func (b *bench) run(frame []byte) (verdict int32, out []byte) {
	b.t.Helper()
	return b.runContext(frame, nil)
}

// skb is the part of struct __sk_buff that a test can set (up to gso_size).
type skb struct {
	Len, PktType, Mark, QueueMapping, Protocol, VlanPresent, VlanTCI, VlanProto, Priority uint32
	IngressIfindex, Ifindex, TCIndex                                                      uint32
	CB                                                                                    [5]uint32
	Hash, TCClassid, Data, DataEnd, NapiID, Family                                        uint32
	RemoteIP4, LocalIP4                                                                   uint32
	RemoteIP6, LocalIP6                                                                   [4]uint32
	RemotePort, LocalPort, DataMeta                                                       uint32
	FlowKeys, Tstamp                                                                      uint64
	WireLen, GSOSegs                                                                      uint32
	SK                                                                                    uint64
	GSOSize                                                                               uint32
	TstampType, Pad                                                                       uint32
	HWTstamp                                                                              uint64
}

func (b *bench) runContext(frame []byte, ctx *skb) (verdict int32, out []byte) {
	b.t.Helper()
	o := &ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+512), Repeat: 1}
	if ctx != nil {
		o.Context = ctx
	}
	for {
		program := b.prog
		if b.fast != nil {
			program = b.fast.DirectorXdp
		}
		got, err := program.Run(o)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			b.t.Fatal(err)
		}
		if b.fast != nil {
			// XDP's verdicts as tc's: aborted, drop, pass, sent back, redirected.
			return [...]int32{-99, tcDrop, tcNext, tcRedirect, tcRedirect}[got], o.DataOut
		}
		return int32(got), o.DataOut
	}
}

// set is Set for tests that do not expect an error.
func (b *bench) set(c l4.Config) {
	b.t.Helper()
	if err := b.Set(c); err != nil {
		b.t.Fatal(err)
	}
}

// baseline is a program that does nothing: what it costs is the harness's.
func baseline(t testing.TB) *ebpf.Program {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "Dual MIT/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// sum16 is the Internet checksum.
func sum16(data []byte, start uint32) uint16 {
	sum := uint64(start)
	for ; len(data) > 1; data = data[2:] {
		sum += uint64(binary.BigEndian.Uint16(data))
	}
	if len(data) == 1 {
		sum += uint64(data[0]) << 8
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
