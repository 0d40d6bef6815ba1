package xdp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"evenkeel/internal/l4"
)

// onCPU keeps the test's thread on one CPU: each has its own short ways.
func onCPU(t testing.TB, cpu int) {
	t.Helper()
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		t.Fatal(err)
	}
}

// firstCPUs are CPUs that this process may use.
func firstCPUs(t testing.TB) (list []int) {
	t.Helper()
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Fatal(err)
	}
	for cpu := range 256 {
		if set.IsSet(cpu) {
			list = append(list, cpu)
		}
	}
	return list
}

// shortWays are the entries that there are, by their place.
func (b *bench) shortWays() map[uint32]directorFastSet {
	b.t.Helper()
	all := make(map[uint32]directorFastSet)
	keys, values := make([]uint32, b.maps.Fast4s.MaxEntries()), make([]directorFastSet, b.maps.Fast4s.MaxEntries())
	var cursor ebpf.MapBatchCursor
	n, err := b.maps.Fast4s.BatchLookup(&cursor, keys, values, nil)
	if n != len(keys) {
		b.t.Fatal(n, err)
	}
	for i, v := range values {
		if v.Way[0].Kind != 0 || v.Way[1].Kind != 0 {
			all[keys[i]] = v
		}
	}
	return all
}

// noShortWays has all packets go the long way again.
func (b *bench) noShortWays() {
	b.t.Helper()
	for k := range b.shortWays() {
		if err := b.maps.Fast4s.Put(k, &directorFastSet{}); err != nil {
			b.t.Fatal(err)
		}
	}
}

// hasShortWay is whether frames of a tuple have one.
func (b *bench) hasShortWay(f []byte) bool {
	b.t.Helper()
	for _, set := range b.shortWays() {
		for _, e := range set.Way {
			if e.Kind != 0 && e.Saddr == binary.NativeEndian.Uint32(f[26:]) && e.Daddr == binary.NativeEndian.Uint32(f[30:]) &&
				e.Ports == binary.NativeEndian.Uint32(f[34:]) {
				return true
			}
		}
	}
	return false
}

// shorten sends a frame until it has a short way. (Entries are believed for a
// quarter of a second, which can go by between two packets of a test.)
func (b *bench) shorten(t *testing.T, f []byte) {
	t.Helper()
	waitUntil(t, 20*time.Second, func() bool {
		if v, _ := b.run(f); v != tcRedirect {
			t.Fatalf("verdict %d on %x", v, f)
		}
		return b.hasShortWay(f)
	})
}

// conversation is one flow: a frame each way.
type conversation struct {
	name    string
	ask     packet
	answer  packet
	answers bool
}

// converse begins a flow of a method.
func (b *bench) converse(method l4.Method, protocol l4.Protocol) conversation {
	b.t.Helper()
	c := conversation{name: fmt.Sprint(method, " ", protocol), ask: packet{protocol: protocol}.withDefaults(), answers: method != l4.DR}
	_, out := b.run(c.ask.frame())
	c.ask.flags = flagACK
	c.answer = c.ask.answer(flagACK)
	c.answer.client = netip.AddrFrom4([4]byte(out[30:34]))
	c.answer.server = netip.AddrFrom4([4]byte(out[26:30]))
	c.answer.sport, c.answer.dport = binary.BigEndian.Uint16(out[36:]), binary.BigEndian.Uint16(out[34:])
	if protocol == l4.TCP && c.answers {
		b.run(c.answer.with(func(p *packet) { p.flags = flagSYN | flagACK }).frame())
		b.run(c.ask.frame())
	}
	return c
}

// Whatever a packet is, it becomes the same by the short way, or where there is
// none.
func TestShortWayIsTheLongWay(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	for _, mode := range []Mode{Auto, Native} {
		b := newBench(t, Options{MaxFlows: 1024, Mode: mode})
		onCPU(t, firstCPUs(t)[0])
		for _, method := range []l4.Method{l4.DR, l4.NAT, l4.FULLNAT} {
			for _, protocol := range []l4.Protocol{l4.TCP, l4.UDP} {
				b.forget()
				b.noShortWays()
				config := one(method, false)
				if method != l4.DR {
					config = toPort(config, 8080)
				}
				b.set(config)
				c := b.converse(method, protocol)
				frames := [][]byte{c.ask.frame()}
				if c.answers {
					frames = append(frames, c.answer.frame())
				}
				for _, f := range frames {
					b.sameBothWays(t, c.name, f, random)
				}
			}
		}
	}
}

func (b *bench) sameBothWays(t *testing.T, name string, seed []byte, random *rand.Rand) {
	t.Helper()
	try := func(f []byte) (forwarded bool) {
		b.shorten(t, seed)
		short, got := b.run(f)
		b.noShortWays()
		long, want := b.run(f)
		if short != long || !bytes.Equal(got, want) {
			t.Fatalf("%s: verdict %d, the long way %d\n in   %s\n got  %s\n want %s", name, short, long, hex.EncodeToString(f), hex.EncodeToString(got), hex.EncodeToString(want))
		}
		return short == tcRedirect
	}
	if !try(seed) {
		t.Fatalf("%s: %x is not forwarded", name, seed)
	}
	crossed := 0
	for range 100 {
		f := bytes.Clone(seed)
		for range 1 + random.Intn(2) {
			at := 14 + random.Intn(len(f)-14)
			if at == 47 && f[23] == 6 {
				continue // TCP's flags end connections: see TestShortWaysEndWithTheState
			}
			f[at] = byte(random.Intn(256))
		}
		if random.Intn(4) > 0 {
			f[24], f[25] = 0, 0
			binary.BigEndian.PutUint16(f[24:], sum16(f[14:34], 0))
		}
		if try(f) {
			crossed++
		}
	}
	if crossed < 15 {
		t.Errorf("%s: only %d crossed", name, crossed)
	}
}

// A packet by the short way is one that the flow's entry in the hash map is not
// asked for.
func TestShortWayIsTaken(t *testing.T) {
	for _, mode := range []Mode{Auto, Native} {
		b := newBench(t, Options{MaxFlows: 1024, Mode: mode})
		onCPU(t, firstCPUs(t)[0])
		b.set(one(l4.NAT, false))
		c := b.converse(l4.NAT, l4.TCP)
		for _, f := range [][]byte{c.ask.frame(), c.answer.frame()} {
			waitUntil(t, 20*time.Second, func() bool {
				b.shorten(t, f)
				all := b.shortWays()
				for k, set := range all {
					for i := range set.Way {
						set.Way[i].NewPorts = 0x01020304
					}
					if err := b.maps.Fast4s.Put(k, &set); err != nil {
						t.Fatal(err)
					}
				}
				_, out := b.run(f)
				b.noShortWays()
				return binary.NativeEndian.Uint32(out[34:]) == 0x01020304
			})
		}
	}
}

// states are those of the one connection that there is, forward entry first.
func (b *bench) states() (forward, reverse uint32) {
	b.t.Helper()
	for _, e := range b.entries() {
		if e.flow.Flags&flowReverse == 0 {
			forward = e.flow.State
		} else {
			reverse = e.flow.State
		}
	}
	return forward, reverse
}

// Any order of segments (without SYN: what answers do after one depends on the
// time) has a connection in the same state after each, whether
// packets before went the short way or not.
func TestShortWaysEndWithTheState(t *testing.T) {
	random := rand.New(rand.NewSource(2))
	for _, method := range []l4.Method{l4.DR, l4.NAT} {
		a, b := newBench(t, Options{MaxFlows: 1024}), newBench(t, Options{MaxFlows: 1024})
		onCPU(t, firstCPUs(t)[0])
		short := 0
		for round := range 25 {
			type step struct {
				answer bool
				flags  uint8
			}
			steps := make([]step, 12)
			for i := range steps {
				steps[i] = step{method != l4.DR && random.Intn(2) == 0, []uint8{flagACK, flagACK, flagACK, flagFIN | flagACK, flagRST}[random.Intn(5)]}
			}
			var told [2][]string
			for i, d := range []*bench{a, b} {
				d.forget()
				d.noShortWays()
				d.set(one(method, false))
				c := d.converse(method, l4.TCP)
				for _, s := range steps {
					p := c.ask
					if s.answer {
						p = c.answer
					}
					p.flags = flagACK
					for range 2 { // the second one makes a short way
						if d == b {
							d.noShortWays()
						}
						d.run(p.frame())
					}
					if d == a {
						short += len(d.shortWays())
					} else {
						d.noShortWays()
					}
					p.flags = s.flags
					v, out := d.run(p.frame())
					forward, _ := d.states()
					told[i] = append(told[i], fmt.Sprintf("%+v: %d %x, state %d", s, v, out, forward))
				}
			}
			for i := range told[0] {
				if told[0][i] != told[1][i] {
					t.Fatalf("%v, round %d, step %d of %+v:\n %s\n by the long way only\n %s", method, round, i, steps, told[0][i], told[1][i])
				}
			}
		}
		if short < 5 {
			t.Errorf("%v: only %d short ways, this tests nothing", method, short)
		}
	}
}

// What ends a flow, on whichever CPU, ends its short ways; and a new flow on the
// same ports goes where it belongs.
func TestShortWaysEndWithTheFlow(t *testing.T) {
	cpus := firstCPUs(t)
	other := cpus[len(cpus)-1]
	b := newBench(t, Options{MaxFlows: 1024})
	s := one(l4.NAT, false)
	b.set(s)
	for name, end := range map[string]func(c conversation){
		"reset, and a new connection": func(c conversation) {
			b.run(c.ask.with(func(p *packet) { p.flags = flagRST }).frame())
			b.run(c.ask.with(func(p *packet) { p.flags = flagSYN }).frame())
		},
		"ended by hand": func(c conversation) {
			e := b.entries()[0]
			if e.flow.Flags&flowReverse != 0 {
				e = b.entries()[1]
			}
			if err := order(b.ctl, &directorCommand{Order: orderEnd, Saddr: e.key.Saddr, Daddr: e.key.Daddr, Sport: e.key.Sport, Dport: e.key.Dport, Protocol: e.key.Protocol, Family: 4}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		b.forget()
		b.noShortWays()
		b.set(s)
		onCPU(t, cpus[0])
		c := b.converse(l4.NAT, l4.TCP)
		b.shorten(t, c.ask.frame())
		b.shorten(t, c.answer.frame())
		onCPU(t, other)
		end(c)
		if n := len(b.shortWays()); n != 0 {
			t.Errorf("%s: %d short ways are left", name, n)
		}
	}
	runtime.KeepAlive(b)
}

// The sweeper, too.
func TestShortWaysEndWithTime(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 1024})
	onCPU(t, firstCPUs(t)[0])
	s := one(l4.NAT, false)
	s.Timeouts = l4.Timeouts{TCP: time.Second, UDP: time.Second}
	b.set(s)
	c := b.converse(l4.NAT, l4.UDP)
	b.shorten(t, c.ask.frame())
	b.shorten(t, c.answer.frame())
	waitUntil(t, 30*time.Second, func() bool { return len(b.entries()) == 0 })
	if n := len(b.shortWays()); n != 0 {
		t.Errorf("%d short ways are left", n)
	}
}

// A flow whose packets come by now this CPU, now that one has one short way at a
// time, and a busy one's packets are still seen in it.
func TestShortWayMovesAndIsRenewed(t *testing.T) {
	cpus := firstCPUs(t)
	if len(cpus) < 2 {
		t.Skip("one CPU")
	}
	b := newBench(t, Options{MaxFlows: 1024})
	b.set(one(l4.DR, false))
	onCPU(t, cpus[0])
	c := b.converse(l4.DR, l4.TCP)
	f := c.ask.frame()
	b.shorten(t, f)
	had := b.shortWays()
	before := b.entries()[0].flow.Last
	onCPU(t, cpus[1])
	b.run(f)
	b.run(f)
	waitUntil(t, 20*time.Second, func() bool {
		b.run(f)
		all := b.shortWays()
		if len(all) > 1 {
			t.Fatalf("%d short ways of one flow", len(all))
		}
		for k := range all {
			if _, old := had[k]; !old {
				return true
			}
		}
		return false
	})
	if now := b.entries()[0].flow.Last; now == before {
		t.Error("a busy flow's last packet is the first one")
	}
}

// A server that is removed or has no known neighbour gets nothing by the short
// way either.
func TestShortWayMindsTheServer(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 1024})
	onCPU(t, firstCPUs(t)[0])
	b.set(one(l4.DR, false))
	c := b.converse(l4.DR, l4.TCP)
	b.shorten(t, c.ask.frame())
	b.set(l4.Config{Services: []l4.Service{{Key: one(l4.DR, false).Services[0].Key, Scheduler: "rr"}}})
	if v, _ := b.run(c.ask.frame()); v != tcDrop {
		t.Errorf("verdict %d on a packet for a server that was removed", v)
	}
}

// A flow that had no packet for a while gets no short way for the next one: that
// would be made for nothing, and others would lose theirs.
func TestSeldomFlowsHaveNone(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 1024})
	onCPU(t, firstCPUs(t)[0])
	b.set(one(l4.DR, false))
	c := b.converse(l4.DR, l4.UDP)
	if b.hasShortWay(c.ask.frame()) {
		t.Error("the first packet of a flow has one made")
	}
	b.shorten(t, c.ask.frame())
	b.noShortWays()
	k := directorKey4{Saddr: binary.NativeEndian.Uint32(c.ask.frame()[26:]), Daddr: binary.NativeEndian.Uint32(c.ask.frame()[30:]),
		Sport: binary.NativeEndian.Uint16(c.ask.frame()[34:]), Dport: binary.NativeEndian.Uint16(c.ask.frame()[36:]), Protocol: uint8(l4.UDP)}
	var f directorFlow4
	if err := b.maps.Flows4.Lookup(&k, &f); err != nil {
		t.Fatal(err)
	}
	f.Fast, f.Last = 0, now()-1000
	if err := b.maps.Flows4.Put(&k, &f); err != nil {
		t.Fatal(err)
	}
	if b.run(c.ask.frame()); b.hasShortWay(c.ask.frame()) {
		t.Error("a seldom flow's packet has one made")
	}
	b.shorten(t, c.ask.frame())
}

// How many there are: one for each flow, as long as a CPU's cache holds them.
func TestHowManyShortWays(t *testing.T) {
	for _, c := range []struct {
		flows uint32
		cpus  int
		want  uint32
	}{{1 << 18, 2, 14}, {1 << 18, 128, 10}, {1 << 10, 1, 9}, {64, 4, 8}, {1 << 24, 64, 14}, {100000, 4, 13}} {
		if got := fastBits(c.flows, c.cpus); got != c.want {
			t.Errorf("%d flows, %d CPUs: 2^%d sets, want 2^%d", c.flows, c.cpus, got, c.want)
		}
	}
}
