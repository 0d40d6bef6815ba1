package xdp

import (
	"errors"
	"net/netip"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"evenkeel/internal/l4"
)

// learned are the clients' next hops that are known, by place.
func (b *bench) learned() map[uint32]directorLearnedHop {
	b.t.Helper()
	known := make(map[uint32]directorLearnedHop)
	for i := range b.maps.LearnedHops.MaxEntries() {
		var h directorLearnedHop
		if err := b.maps.LearnedHops.Lookup(i, &h); err != nil {
			b.t.Fatal(err)
		}
		if h.Ifindex != 0 {
			known[i] = h
		}
	}
	return known
}

// Next hops to clients that no route has led to for a minute are forgotten,
// others are not, and one that is needed again is found again.
func TestClientsHopsAreForgotten(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 1024})
	b.set(one(l4.NAT, false))
	p := packet{}.withDefaults()
	b.run(p.frame())
	back := p.answer(flagSYN | flagACK).frame()
	if v, _ := b.run(back); v != tcRedirect {
		t.Fatalf("the answer: verdict %d", v)
	}
	known := b.learned()
	if len(known) != 1 {
		t.Fatalf("known: %v", known)
	}
	for at, h := range known {
		if age := int32(now() - h.Tick); age < 0 || age > 3000 {
			t.Errorf("learned %d ticks ago", age)
		}
		// In use all the time.
		h.Tick = now() + 3000
		other := (at + 2000) % b.maps.LearnedHops.MaxEntries()
		if err := b.maps.LearnedHops.Put(other, &h); err != nil {
			t.Fatal(err)
		}
		h.Tick = now() - unlearnTicks - 1
		if err := b.maps.LearnedHops.Put(at, &h); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the old one is forgotten", func() bool { return b.learned()[at].Ifindex == 0 })
		if got := b.learned(); got[other].Ifindex == 0 || len(got) != 1 {
			t.Errorf("what is left: %v", got)
		}
		waitFor(t, "it is found again", func() bool {
			v, out := b.run(back)
			return v == tcRedirect && string(out[:12]) == string(toClient[:]) && b.learned()[at].Ifindex == h.Ifindex
		})
	}
}

// The programs hold on to a number that they have looked up for LEARN_TICKS
// only: what is forgotten is older by far.
const unlearnTicks = 3577 // bpf/consts.h

// runOf runs one of the programs, whichever the bench is of.
func (b *bench) runOf(program *ebpf.Program, frame []byte, mark uint32) int32 {
	b.t.Helper()
	o := &ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+512), Repeat: 1}
	if mark != 0 {
		o.Context = &skb{Mark: mark}
	}
	for {
		got, err := program.Run(o)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			b.t.Fatal(err)
		}
		return int32(got)
	}
}

// XDP does not know marks: where there are services of marks it begins no flow,
// not even of those without, and leaves that to the program behind it. Flows
// that there are it forwards.
func TestMarksBehindXDP(t *testing.T) {
	const xdpPassed, xdpSent, xdpRedirected = 2, 3, 4
	b := newBench(t, Options{MaxFlows: 1024, Mode: Native})
	marked := farm("rr", 1)
	marked.Key = l4.Key{FwMark: 7}
	plain := farm("rr", 1)
	for i, s := range []*l4.Service{&marked, &plain} {
		s.Servers[0].Addr = netip.MustParseAddr(fixtureServer(1+i, false))
		s.Servers[0].Method = l4.DR
	}
	b.set(l4.Config{Services: []l4.Service{marked, plain}})
	// The service's address and port, and marked: it is the mark's.
	syn := packet{sport: 1000}.frame()
	ack := packet{sport: 1000, flags: flagACK}.frame()
	if v := b.runOf(b.fast.DirectorXdp, syn, 0); v != xdpPassed {
		t.Errorf("a new connection under XDP: %d", v)
	}
	if v := b.runOf(b.prog, syn, 7); v != tcRedirect {
		t.Errorf("the same under tc: %d", v)
	}
	if v := b.runOf(b.fast.DirectorXdp, ack, 0); v != xdpSent && v != xdpRedirected {
		t.Errorf("it goes on under XDP: %d", v)
	}
	st, err := b.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if st.Services[0].Connections != 1 || st.Services[1].Connections != 0 || st.Services[0].PacketsIn != 2 {
		t.Errorf("counted for the mark %+v, for the address %+v", st.Services[0].Counters, st.Services[1].Counters)
	}
	// Without marks XDP begins flows itself.
	b.set(l4.Config{Services: []l4.Service{plain}})
	if v := b.runOf(b.fast.DirectorXdp, packet{sport: 1001}.frame(), 0); v != xdpSent && v != xdpRedirected {
		t.Errorf("without marks: %d", v)
	}
}

// A subscription that the kernel has ended is made again, and leaves no socket
// behind; neighbours that are no server's next hop are not worth a look.
func TestSubscriptionsAreRenewed(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 64})
	b.set(one(l4.DR, false))
	b.Close() // follow owns the subscriptions until then
	h, err := openHops(b.maps.Hops, b.opts.Log)
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	h.byKey = b.hops.byKey
	w, err := openWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	descriptors := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	before := descriptors()
	for range 50 {
		if err := errors.Join(h.renew(), w.renew()); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "the old sockets are closed", func() bool { return descriptors() < before+10 })
	for len(h.changed) > 0 {
		<-h.changed
	}
	ipHere(t, "neigh", "add", "203.0.113.99", "lladdr", "02:00:00:00:00:99", "dev", "out")
	ipHere(t, "neigh", "replace", "10.0.0.11", "lladdr", "02:00:00:00:00:98", "dev", "out")
	waitFor(t, "a change of a server's neighbour", func() bool { return len(h.changed) == 1 })
	if out, err := netlink.LinkByName("out"); err != nil || h.uses(out.Attrs().Index, netip.MustParseAddr("203.0.113.99")) || !h.uses(out.Attrs().Index, netip.MustParseAddr("10.0.0.11")) {
		t.Error("a stranger is looked at, or a server is not")
	}
}
