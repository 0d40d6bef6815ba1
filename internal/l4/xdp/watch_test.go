package xdp

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"evenkeel/internal/l4"
)

// on is what the director is attached to, by name, with how often.
func (p *Plane) on() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make(map[string]int)
	for _, a := range p.attached {
		list[a.name]++
	}
	return list
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not after 30 s: %s", what)
		}
	}
}

// An interface that comes later forwards like the others; what is known of one
// that goes is given back.
func TestInterfacesComeAndGo(t *testing.T) {
	for name, o := range map[string]Options{
		"all":    {Pin: filepath.Join(t.TempDir(), "bpf")},
		"clsact": {Mode: Clsact},
		"named":  {Interfaces: []string{"eth0", "eth1"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLAN(t, "ifc"+name[:1])
			l.throughDirector()
			l.servers(func(n int) []string { return []string{serverIP(n, false)} })
			appear := func() {
				l.ip("c", "link add name eth1 type veth peer name eth1 netns "+l.prefix+"d")
				for _, n := range []string{"c", "d"} {
					l.ip(n, "link set eth1 up")
				}
				l.ip("d", "addr add 10.76.0.1/24 dev eth1")
				l.ip("c", "addr add 10.76.0.2/24 dev eth1")
				l.ip("c", "route replace "+vip4+"/32 via 10.76.0.1 dev eth1 src 10.76.0.2")
			}
			if name == "named" {
				appear()
			}
			p := l.director(o)
			if o.Pin != "" {
				t.Cleanup(func() { p.Close(); Remove(o.Pin) })
			}
			l.set(p, l4.Config{Services: []l4.Service{both(l4.NAT, l4.TCP, false)}})
			for round := range 2 {
				if name != "named" || round > 0 {
					appear()
				}
				waitFor(t, "attached to eth1", func() bool { return p.on()["eth1"] == 1 })
				if got := l.turns(t, "tcp", vip4+":80", 4, 4000); got["s1"] != 2 {
					t.Errorf("through the new interface: %v", got)
				}
				pinned := p.pins(t)
				l.ip("d", "link del eth1")
				waitFor(t, "eth1 forgotten", func() bool { return p.on()["eth1"] == 0 })
				if o.Pin != "" && len(p.pins(t)) != len(pinned)-1 {
					t.Errorf("pinned with eth1 %v, without %v", pinned, p.pins(t))
				}
			}
			if got := p.on(); got["eth0"] != 1 || got["lo"] != 1 || len(got) != 2 {
				t.Errorf("in the end on %v", got)
			}
		})
	}
}

// pins are the files of pinned links.
func (p *Plane) pins(t *testing.T) (names []string) {
	t.Helper()
	if p.opts.Pin == "" {
		return nil
	}
	list, err := os.ReadDir(filepath.Join(p.opts.Pin, "links"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// A port of a bridge hands its packets to the bridge, also if it becomes one
// later; alone again it is attached to again.
func TestPortsOfBridges(t *testing.T) {
	l := newLAN(t, "brp")
	p := l.director(Options{})
	is := func(want ...string) func() bool {
		return func() bool {
			got := p.on()
			return len(got) == len(want) && !slices.ContainsFunc(want, func(n string) bool { return got[n] != 1 })
		}
	}
	l.ip("w", "link add name far0 type veth peer name dm0 netns "+l.prefix+"d")
	waitFor(t, "dm0", is("lo", "eth0", "dm0"))
	l.ip("d", "link add br9 type bridge")
	l.ip("d", "link set dm0 master br9")
	waitFor(t, "br9 instead of dm0", is("lo", "eth0", "br9"))
	l.ip("d", "link set dm0 nomaster")
	waitFor(t, "dm0 alone", is("lo", "eth0", "br9", "dm0"))
	l.ip("d", "link add link eth0 name mv0 type macvlan mode bridge")
	waitFor(t, "a macvlan", is("lo", "eth0", "br9", "dm0", "mv0"))
}

func TestWantedInterfaces(t *testing.T) {
	link := func(index int, name, kind, encapsulation string, master int) netlink.Link {
		return &netlink.GenericLink{LinkType: kind, LinkAttrs: netlink.LinkAttrs{Index: index, Name: name, EncapType: encapsulation, MasterIndex: master}}
	}
	all := []netlink.Link{
		link(1, "lo", "device", "loopback", 0), link(2, "eth0", "device", "ether", 0),
		link(3, "br0", "bridge", "ether", 0), link(4, "port", "veth", "ether", 3),
		link(5, "red", "vrf", "ether", 0), link(6, "inred", "veth", "ether", 5),
		link(7, "tun0", "tun", "none", 0), link(8, "bond0", "bond", "ether", 3), link(9, "slave", "device", "ether", 8),
	}
	for _, c := range []struct {
		names []string
		want  string
	}{{nil, "eth0 br0 inred"}, {[]string{"port", "nosuch"}, "port"}} {
		var got []string
		for _, l := range wanted(c.names, all) {
			got = append(got, l.Attrs().Name)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v: %v, want %s", c.names, got, c.want)
		}
	}
}
