package xdp

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"evenkeel/internal/l4"
)

const benchFlows = 10000

// benchFrames are 60-byte frames of that many flows, of which the connections
// are established. from tells the i-th client.
func (b *bench) establish(protocol l4.Protocol, v6 bool) [][]byte {
	frames := make([][]byte, benchFlows)
	for i := range frames {
		f := packet{v6: v6, protocol: protocol, ttl: 255, sport: uint16(1024 + i%50000), flags: flagSYN}
		f.client = clientNumber(i, v6)
		if protocol == l4.TCP {
			b.run(f.frame())
		}
		f.flags = flagACK
		frames[i] = f.frame()
		if v, _ := b.run(frames[i]); v != tcRedirect {
			drops, _ := b.drops()
			b.t.Fatalf("flow %d: verdict %d, drops %v", i, v, drops)
		}
	}
	return frames
}

// timed is the kernel's own ns a run, the harness's cost included.
func timed(t testing.TB, p *ebpf.Program, frame []byte, repeat int) time.Duration {
	o := &ebpf.RunOptions{Data: frame, Repeat: uint32(repeat)}
	for {
		_, d, err := runTimed(p, o)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
}

func runTimed(p *ebpf.Program, o *ebpf.RunOptions) (uint32, time.Duration, error) {
	return p.Benchmark(o.Data, int(o.Repeat), nil)
}

// benchmark walks over all flows, a few runs of each, as caches of a real
// director would see them.
func benchmark(b *testing.B, method l4.Method, protocol l4.Protocol, v6 bool) {
	d := newBench(b, Options{})
	s := l4.Service{Key: l4.Key{Addr: netip.MustParseAddr(fixtureVIP(v6)), Protocol: protocol, Port: 80}, Scheduler: "rr"}
	for n := 1; n <= 2; n++ {
		s.Servers = append(s.Servers, l4.Server{Addr: netip.MustParseAddr(fixtureServer(n, v6)), Port: 80, Weight: 1, Method: method})
	}
	if method == l4.NAT {
		// The kernel runs the program on what it made of the packet, over and
		// over: a server with the virtual address makes the same of it.
		s.Servers = []l4.Server{{Addr: s.Addr, Port: 80, Weight: 1, Method: method}}
		ipHere(b, "neigh", "add", s.Addr.String(), "lladdr", "02:00:00:00:00:11", "dev", "out")
		ipHere(b, "route", "add", netip.PrefixFrom(s.Addr, s.Addr.BitLen()).String(), "dev", "out")
	}
	d.set(l4.Config{Services: []l4.Service{s}})
	d.measure(b, d.establish(protocol, v6))
}

func (d *bench) measure(b *testing.B, frames [][]byte) {
	pass := baseline(b)
	const each = 250 // the hop limit goes down with each
	var with, without time.Duration
	n := 0
	for b.Loop() {
		with += timed(b, d.prog, frames[n*7919%len(frames)], each)
		without += timed(b, pass, frames[n*7919%len(frames)], each)
		n++
	}
	if drops, _ := d.drops(); len(drops) > 0 {
		b.Fatalf("drops: %v", drops)
	}
	b.ReportMetric(float64(with-without)/float64(n), "ns/packet")
	b.ReportMetric(float64(without)/float64(n), "ns/harness")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkAnswer is NAT's way back. Its servers have the virtual address, see
// benchmark.
func BenchmarkAnswer(b *testing.B) {
	d := newBench(b, Options{})
	vip := netip.MustParseAddr(fixtureVIP4)
	ipHere(b, "neigh", "add", fixtureVIP4, "lladdr", "02:00:00:00:00:11", "dev", "out")
	ipHere(b, "route", "add", fixtureVIP4+"/32", "dev", "out")
	ipHere(b, "route", "add", "198.18.0.0/15", "via", fixtureClient4, "dev", "out")
	d.set(l4.Config{Services: []l4.Service{{Key: l4.Key{Addr: vip, Protocol: l4.TCP, Port: 80}, Scheduler: "rr",
		Servers: []l4.Server{{Addr: vip, Port: 80, Weight: 1, Method: l4.NAT}}}}})
	d.establish(l4.TCP, false)
	frames := make([][]byte, benchFlows)
	for i := range frames {
		frames[i] = packet{client: vip, server: clientNumber(i, false), sport: 80, dport: uint16(1024 + i%50000), flags: flagACK, ttl: 255}.frame()
		if v, _ := d.run(frames[i]); v != tcRedirect {
			b.Fatalf("flow %d: verdict %d", i, v)
		}
	}
	d.measure(b, frames)
}

func BenchmarkDR(b *testing.B)     { benchmark(b, l4.DR, l4.TCP, false) }
func BenchmarkDRUDP(b *testing.B)  { benchmark(b, l4.DR, l4.UDP, false) }
func BenchmarkDRIPv6(b *testing.B) { benchmark(b, l4.DR, l4.TCP, true) }
func BenchmarkNAT(b *testing.B)    { benchmark(b, l4.NAT, l4.TCP, false) }
func BenchmarkNATUDP(b *testing.B) { benchmark(b, l4.NAT, l4.UDP, false) }
