package xdp

import (
	"bytes"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"evenkeel/internal/l4"
)

// The configuration says which drivers run the program: at once, after a reload
// and in the next process. What it does not name any more is left alone.
func TestXDPWhereItIsNamed(t *testing.T) {
	l := newLAN(t, "xnm")
	l.throughDirector()
	l.servers(func(n int) []string { return []string{serverIP(n, false)} })
	o := Options{Pin: filepath.Join(t.TempDir(), "bpf")}
	p := l.director(o)
	t.Cleanup(func() { p.Close(); Remove(o.Pin) })
	xdpOn := func(names ...string) func() bool {
		return func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			var got []string
			for _, a := range p.attached {
				if a.kind == xdpKind {
					got = append(got, a.name)
				}
			}
			slices.Sort(got)
			return slices.Equal(got, names)
		}
	}
	c := l4.Config{Services: []l4.Service{both(l4.NAT, l4.TCP, false)}, XDP: []string{"eth0", "late0"}}
	l.set(p, c)
	waitFor(t, "XDP on eth0", xdpOn("eth0"))
	l.ip("w", "link add name far0 type veth peer name late0 netns "+l.prefix+"d")
	waitFor(t, "XDP on what comes later", xdpOn("eth0", "late0"))
	p.Close()
	p = l.director(o)
	l.set(p, c)
	waitFor(t, "XDP is taken over", xdpOn("eth0", "late0"))
	pinned := len(p.pins(t))
	c.XDP = nil
	l.set(p, c)
	waitFor(t, "XDP is left", xdpOn())
	if got := p.pins(t); len(got) != pinned-2 {
		t.Errorf("still pinned: %v", got)
	}
	if got := l.turns(t, "tcp", vip4+":80", 4, 4000); got["s1"] != 2 {
		t.Errorf("by tc: %v", got)
	}
}

// Where a driver hides the tags of VLANs, what comes in one would be taken for
// untagged: such an interface is left to tc as long as it has VLANs.
func TestXDPWithVLANs(t *testing.T) {
	l := newLAN(t, "xvl")
	l.in("d", func() {
		eth0, err := netlink.LinkByName("eth0")
		if err != nil {
			t.Fatal(err)
		}
		all, err := netlink.LinkList()
		if err != nil {
			t.Fatal(err)
		}
		if err := hidesVLANs(eth0, all); err != nil {
			t.Errorf("without VLANs: %v", err)
		}
		other := &netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: "other.5", ParentIndex: eth0.Attrs().Index + 1000}}
		mine := &netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: "eth0.5", ParentIndex: eth0.Attrs().Index}}
		if err := hidesVLANs(eth0, append(all, other)); err != nil {
			t.Errorf("a VLAN of another interface: %v", err)
		}
		if err := hidesVLANs(eth0, append(all, mine)); err == nil || !strings.Contains(err.Error(), "eth0.5") || !strings.Contains(err.Error(), "ethtool -K eth0 rxvlan off") {
			t.Errorf("with a VLAN: %v", err)
		}
		ethtool(t, "eth0", 0x26 /* ETHTOOL_SFLAGS */, 0)
		if err := hidesVLANs(eth0, append(all, mine)); err != nil {
			t.Errorf("the driver leaves tags where they are: %v", err)
		}
	})
}

// A program that an earlier process left in a driver is taken away where the
// configuration does not name it any more.
func TestXDPOfAnEarlierProcess(t *testing.T) {
	l := newLAN(t, "xea")
	o := Options{Pin: filepath.Join(t.TempDir(), "bpf")}
	p := l.director(o)
	t.Cleanup(func() { p.Close(); Remove(o.Pin) })
	l.set(p, l4.Config{XDP: []string{"eth0"}})
	has := func() bool {
		return slices.ContainsFunc(p.pins(t), func(n string) bool { return n[:len(xdpKind)] == xdpKind })
	}
	waitFor(t, "XDP", has)
	p.Close()
	p = l.director(o)
	l.set(p, l4.Config{})
	waitFor(t, "no XDP", func() bool { return !has() })
}

// Out of an interface that has no program the driver may drop what XDP sends:
// tc sends there.
func TestXDPSendsOnlyWhereItIs(t *testing.T) {
	b := newBench(t, Options{Mode: Native})
	s := farm("rr", 1)
	s.Servers[0].Addr, s.Servers[0].Method = netip.MustParseAddr(fixtureServer(1, false)), l4.NAT
	b.set(l4.Config{Services: []l4.Service{s}})
	waitFor(t, "the neighbour", b.hops.known)
	forth := packet{client: netip.MustParseAddr(fixtureClient4), sport: 2000}.frame()
	back := packet{client: netip.MustParseAddr(fixtureServer(1, false)), server: netip.MustParseAddr(fixtureClient4), sport: 80, dport: 2000}.frame()
	for _, frame := range [][]byte{forth, back} {
		if v, _ := b.run(frame); v != tcRedirect {
			t.Fatalf("verdict %d", v)
		}
	}
	out, err := net.InterfaceByName("out")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.fast.XdpPorts.Delete(uint32(out.Index)); err != nil {
		t.Fatal(err)
	}
	if v, got := b.run(forth); v != tcNext || !bytes.Equal(got, forth) {
		t.Errorf("verdict %d, the frame changed: %v", v, !bytes.Equal(got, forth))
	}
	if v, got := b.run(back); v != tcNext || !bytes.Equal(got, back) {
		t.Errorf("an answer: verdict %d, the frame changed: %v", v, !bytes.Equal(got, back))
	}
}
