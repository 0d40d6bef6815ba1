package space

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// pair is two nodes at a switch, and a socket in each.
type pair struct {
	t        *testing.T
	prefix   string
	from, to *net.UDPConn
}

func newPair(t *testing.T) *pair {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	p := &pair{t: t, prefix: fmt.Sprintf("ekG%d-", os.Getpid())}
	t.Cleanup(func() {
		names, err := List(p.prefix)
		if err != nil {
			t.Error(err)
		}
		for _, n := range names {
			if err := Remove(n); err != nil {
				t.Error(err)
			}
		}
	})
	p.must(Make(p.name("switch")))
	p.must(Bridge(p.name("switch"), "br0"))
	for i, n := range []string{"a", "b"} {
		p.must(Make(p.name(n)))
		p.must(Settle(p.name(n)))
		p.must(Plug(Cable{Switch: p.name("switch"), Bridge: "br0", Port: n + ".0", Node: p.name(n), Name: "eth0",
			MAC: net.HardwareAddr{2, 0, 0, 0, 0, byte(i)}, Addresses: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.9.9.%d/24", i+1))}}))
		p.must(In(p.name(n), func() (err error) {
			c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(10, 9, 9, byte(i+1)), Port: 7})
			if i == 0 {
				p.from = c
			} else {
				p.to = c
			}
			return err
		}))
	}
	t.Cleanup(func() { p.from.Close(); p.to.Close() })
	return p
}

func (p *pair) name(n string) string { return p.prefix + n }

func (p *pair) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// reach sends a word again and again until one of that word arrives, and
// fails when another does.
func (p *pair) reach(word string) {
	p.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		p.from.WriteToUDP([]byte(word), &net.UDPAddr{IP: net.IPv4(10, 9, 9, 2), Port: 7})
		var b [64]byte
		p.to.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		n, _, err := p.to.ReadFromUDP(b[:])
		if err != nil {
			continue
		}
		if got := string(b[:n]); got != word {
			p.t.Fatalf("%q arrived, though it was sent during the fault", got)
		}
		return
	}
	p.t.Fatalf("%q never arrived", word)
}

func TestFaults(t *testing.T) {
	p := newPair(t)
	p.reach("before")
	// The link-layer addresses stay known, so that no packet waits for them.
	p.must(In(p.name("a"), func() error { return permanent("eth0", "10.9.9.2", net.HardwareAddr{2, 0, 0, 0, 0, 1}) }))
	both := func(on bool) error {
		for _, port := range []string{"a.0", "b.0"} {
			if err := Isolate(p.name("switch"), port, on); err != nil {
				return err
			}
		}
		return nil
	}
	for _, f := range []struct {
		name      string
		act, heal func() error
		carrier   bool // the node still has its link
	}{
		{"link down", func() error { return Down(p.name("b"), "eth0") }, func() error { return Up(p.name("b"), "eth0") }, false},
		{"carrier", func() error { return Down(p.name("switch"), "b.0") }, func() error { return Up(p.name("switch"), "b.0") }, false},
		{"isolation", func() error { return both(true) }, func() error { return both(false) }, true},
		{"silence", func() error { return Swallow(p.name("switch"), "b.0", true) }, func() error { return Swallow(p.name("switch"), "b.0", false) }, true},
	} {
		drain(p.to)
		p.must(f.act())
		for range 5 {
			p.from.WriteToUDP([]byte(f.name), &net.UDPAddr{IP: net.IPv4(10, 9, 9, 2), Port: 7})
		}
		if got := running(t, p.name("b")); got != f.carrier {
			t.Errorf("%s: the node has its link: %v", f.name, got)
		}
		p.must(f.heal())
		p.reach("after " + f.name)
	}
}

// drain takes what is on its way.
func drain(c *net.UDPConn) {
	var b [64]byte
	for {
		c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, _, err := c.ReadFromUDP(b[:]); err != nil {
			return
		}
	}
}

func TestNames(t *testing.T) {
	p := newPair(t)
	if err := Make(p.name("a")); err == nil {
		t.Error("a namespace was made twice")
	}
	a, err := IDOf(Path(p.name("a")))
	p.must(err)
	own, err := IDOf("/proc/self/ns/net")
	p.must(err)
	var inside ID
	p.must(In(p.name("a"), func() (err error) { inside, err = IDOf("/proc/thread-self/ns/net"); return err }))
	if a == own || a != inside {
		t.Errorf("ids: %v, own %v, inside %v", a, own, inside)
	}
	p.must(Unplug(p.name("switch"), "a.0"))
	p.must(Unplug(p.name("switch"), "a.0"))
	if err := Up(p.name("a"), "eth0"); err == nil {
		t.Error("the cable is gone at one end only")
	}
	p.must(Remove(p.name("a")))
	p.must(Remove(p.name("a")))
	if names, err := List(p.prefix); err != nil || len(names) != 2 {
		t.Errorf("names: %v, %v", names, err)
	}
	if err := In(p.name("a"), func() error { return nil }); err == nil {
		t.Error("a namespace without a name was entered")
	}
}

// permanent sets a neighbour of the present namespace.
func permanent(device, address string, mac net.HardwareAddr) error {
	l, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	return netlink.NeighSet(&netlink.Neigh{LinkIndex: l.Attrs().Index, State: netlink.NUD_PERMANENT, IP: net.ParseIP(address), HardwareAddr: mac})
}

// running says whether eth0 of a namespace has a carrier.
func running(t *testing.T, space string) (yes bool) {
	t.Helper()
	err := In(space, func() error {
		l, err := netlink.LinkByName("eth0")
		if err == nil {
			// At once, where the operational state comes a moment later.
			yes = l.Attrs().RawFlags&unix.IFF_LOWER_UP != 0
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return yes
}
