package netconf

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What cannot be asked of a kernel is said before it is asked.
func TestCheck(t *testing.T) {
	prefix := netip.MustParsePrefix
	u32 := func(v uint32) *uint32 { return &v }
	address := func(a Address) Config {
		if a.Device == "" {
			a.Device = "eth0"
		}
		return Config{Addresses: []Address{a}}
	}
	route := func(r Route) Config { return Config{Routes: []Route{r}} }
	rule := func(r Rule) Config { return Config{Rules: []Rule{r}} }
	link := func(change func(*Link)) Config {
		l := Link{Name: "vrrp.1", Base: "eth0", Kind: Macvlan, MAC: VirtualRouterMAC(4, 1), Family: 4}
		change(&l)
		return Config{Links: []Link{l}}
	}
	for _, c := range []struct {
		c    Config
		want string // "": nothing is wrong
	}{
		{address(Address{Prefix: prefix("10.0.0.1/24"), Label: "eth0:1", Broadcast: "+", Scope: "link", Options: []string{"noprefixroute"}}), ""},
		{address(Address{}), "no address"},
		{address(Address{Prefix: prefix("::ffff:10.0.0.1/120")}), "write it as IPv4"},
		{address(Address{Prefix: prefix("224.0.0.18/32")}), "not an address that a host can have"},
		{address(Address{Prefix: prefix("0.0.0.0/0")}), "not an address that a host can have"},
		{Config{Addresses: []Address{{Prefix: prefix("10.0.0.1/24")}}}, "no device"},
		{address(Address{Prefix: prefix("10.0.0.1/24"), Peer: prefix("2001:db8::1/64")}), "of the other family"},
		{address(Address{Prefix: prefix("2001:db8::1/64"), Label: "x"}), "no label"},
		{address(Address{Prefix: prefix("2001:db8::1/64"), Broadcast: "+"}), "no broadcast"},
		{address(Address{Prefix: prefix("10.0.0.1/24"), Label: "eth0:longer-than-15"}), "longer than 15"},
		{address(Address{Prefix: prefix("10.0.0.1/32"), Broadcast: "+"}), "a /32 has no broadcast"},
		{address(Address{Prefix: prefix("10.0.0.1/24"), Broadcast: "all"}), "neither +, - nor"},
		{address(Address{Prefix: prefix("10.0.0.1/24"), Scope: "galaxy"}), `scope "galaxy"`},
		{address(Address{Prefix: prefix("10.0.0.1/24"), Scope: "256"}), "more than 255"},
		{address(Address{Prefix: prefix("10.0.0.1/24"), Options: []string{"nodat"}}), `unknown option "nodat"`},
		{address(Address{Prefix: prefix("10.0.0.1/24"), Options: []string{"home"}}), "IPv6 only"},
		{address(Address{Prefix: prefix("10.0.0.1/24"), ValidLifetime: -1}), "below zero"},

		{route(Route{Gateway: netip.MustParseAddr("10.0.0.1")}), ""},
		{route(Route{Dst: prefix("10.0.0.0/8"), Src: netip.MustParseAddr("2001:db8::1")}), "another family"},
		{route(Route{Dst: prefix("10.0.0.0/8"), Family: 6}), "IPv4 in a route of IPv6"},
		{route(Route{Type: "teleport"}), `unknown route type "teleport"`},
		{route(Route{Table: "no-such-table"}), `table "no-such-table"`},
		{route(Route{Protocol: "999"}), "more than 255"},
		{route(Route{Options: map[string]string{"mtoo": "1"}}), `unknown option "mtoo"`},
		{route(Route{Options: map[string]string{"mtu": "much"}}), `mtu: "much" is not a number`},
		{route(Route{Options: map[string]string{"rtt": "never"}}), "nor a time"},
		{route(Route{Options: map[string]string{"pref": "best"}}), "not low, medium or high"},
		{route(Route{Options: map[string]string{"realms": "1/300"}}), "more than 255"},
		{route(Route{Device: "eth0", NextHops: []NextHop{{Device: "eth1"}}}), "both a gateway or device and next hops"},
		{route(Route{NextHops: []NextHop{{Device: "eth1", Weight: 257}}}), "weight 257"},

		{rule(Rule{Table: "5"}), ""},
		{rule(Rule{Family: 6, From: prefix("10.0.0.0/8")}), "not of IPv6"},
		{rule(Rule{Action: "dance"}), `unknown action "dance"`},
		{rule(Rule{Action: "goto"}), "goto needs a priority"},
		{rule(Rule{Goto: u32(5)}), "goto needs a priority"},
		{rule(Rule{Action: "blackhole", Table: "5"}), "both a table and blackhole"},
		{rule(Rule{UIDRange: "9-5"}), `uidrange "9-5"`},
		{rule(Rule{SrcPort: "70000"}), `sport "70000"`},
		{rule(Rule{IPProto: "carrier-pigeon"}), `ipproto "carrier-pigeon"`},
		{rule(Rule{IIF: "a-name-of-sixteen"}), "more than 15"},

		{link(func(*Link) {}), ""},
		{link(func(l *Link) { l.Kind = "vlan" }), "neither macvlan nor ipvlan"},
		{link(func(l *Link) { l.Mode = "l2" }), `macvlan has no mode "l2"`},
		{link(func(l *Link) { l.Name = "a-name-of-sixteen" }), "cannot be the name"},
		{link(func(l *Link) { l.Name = "" }), "cannot be the name"},
		{link(func(l *Link) { l.Base = l.Name }), "on top of itself"},
		{link(func(l *Link) { l.MAC[0] = 1 }), "cannot be a station's address"},
		{link(func(l *Link) { l.Family = 0 }), "neither IPv4 nor IPv6"},
		{link(func(l *Link) { l.LinkLocal = netip.MustParseAddr("2001:db8::1") }), "not an IPv6 link-local"},

		{Config{Sysctls: []Sysctl{{"net.ipv4.ip_forward", "1"}}}, ""},
		{Config{Sysctls: []Sysctl{{"net/../x", "1"}}}, "cannot be the name of a sysctl"},
	} {
		err := Check("A", c.c, []string{})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "A: ")) {
			t.Errorf("%+v: %v, should be %q", c.c, err, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "rt_tables.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"rt_tables":          "# reserved\n100\tlan\n0x65 wan # comment\nnonsense\n7\n-1 no\n",
		"rt_tables.d/x.conf": "102 dmz\n",
		"rt_scopes":          "130 rack\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	n := loadNames([]string{filepath.Join(dir, "missing"), dir})
	for word, want := range map[string]uint32{"lan": 100, "wan": 101, "dmz": 102, "main": 254, "17": 17, "0x11": 17} {
		if got, err := number("table", word, n.tables, 1<<32-1); err != nil || got != want {
			t.Errorf("%s: %d, %v", word, got, err)
		}
	}
	for _, word := range []string{"no", "#", "nonsense", ""} {
		if got, err := number("table", word, n.tables, 1<<32-1); err == nil {
			t.Errorf("%q: %d", word, got)
		}
	}
	if n.scopes["rack"] != 130 {
		t.Errorf("%v", n.scopes)
	}
}

// A kernel that does not answer is waited for no longer than said.
func TestTimeout(t *testing.T) {
	s, err := openSocket(20 * time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(s.fd)
	begin := time.Now()
	_, err = s.recv()
	if err == nil || !strings.Contains(err.Error(), "within 20ms") {
		t.Errorf("%v", err)
	}
	if d := time.Since(begin); d < 20*time.Millisecond {
		t.Errorf("gave up after %v", d)
	}
}

// Whatever bytes come, reading them ends and stays within them.
func FuzzMessages(f *testing.F) {
	c := &compiler{names: loadNames(nil), index: func(string) (int, error) { return 3, nil }}
	a, _ := c.address(&Address{Prefix: netip.MustParsePrefix("10.0.0.1/24"), Device: "eth0", Label: "eth0:1"})
	r, _ := c.route(&Route{Gateway: netip.MustParseAddr("10.0.0.1"), Options: map[string]string{"mtu": "1400"}})
	u, _ := c.rule(&Rule{From: netip.MustParsePrefix("10.0.0.1/32"), SrcPort: "1-2", UIDRange: "1-2", IIF: "lo"})
	for _, it := range []*item{a, r, u} {
		f.Add(it.add)
		f.Add(append(append([]byte(nil), it.add...), it.remove...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		m := &monitor{snapshot: emptySnapshot()}
		for h, body := range messages(b) {
			total += len(body) + unix.NLMSG_HDRLEN
			for _, value := range attributes(body) {
				_ = asText(value)
			}
			reason(h, body)
			parseLink(body)
			parseAddress(body)
			routeIdentity(body)
			identifyRule(body)
		}
		if total > len(b) {
			t.Fatalf("%d bytes of %d", total, len(b))
		}
		m.apply(b)
		for l := range m.snapshot.All() {
			if m.snapshot.ByName(l.Name) != l && l.Index > 0 {
				t.Fatalf("%+v is not found by its name", l)
			}
		}
	})
}

// The identity of what we ask for is that of what the kernel lists, whatever it
// adds: an address's does not depend on its form, a route's on its path.
func TestIdentities(t *testing.T) {
	c := &compiler{names: loadNames(nil), index: func(string) (int, error) { return 3, nil }}
	address := func(a Address) identity {
		a.Device = "eth0"
		it, err := c.address(&a)
		if err != nil {
			t.Fatal(err)
		}
		index, state, ok := parseAddress(it.add[unix.NLMSG_HDRLEN:])
		if got := addressIdentity(index, state.Prefix, state.Peer); !ok || got != it.id {
			t.Errorf("%v: %+v, %+v", a, got, it.id)
		}
		return it.id
	}
	prefix := netip.MustParsePrefix
	if address(Address{Prefix: prefix("10.0.0.1/24")}) == address(Address{Prefix: prefix("10.0.0.1/32")}) {
		t.Error("IPv4 tells prefix lengths apart")
	}
	if address(Address{Prefix: prefix("10.0.0.1/24"), Label: "a"}) != address(Address{Prefix: prefix("10.0.0.1/24"), Label: "b"}) {
		t.Error("a label makes no other address")
	}
	if address(Address{Prefix: prefix("2001:db8::1/64")}) != address(Address{Prefix: prefix("2001:db8::1/128")}) {
		t.Error("IPv6 does not tell prefix lengths apart")
	}
	if address(Address{Prefix: prefix("10.0.0.1/32"), Peer: prefix("10.0.0.2/32")}) == address(Address{Prefix: prefix("10.0.0.1/32")}) {
		t.Error("a peer makes another address")
	}
	route := func(r Route) identity {
		it, err := c.route(&r)
		if err != nil {
			t.Fatal(err)
		}
		return it.id
	}
	metric := uint32(1024)
	six := Route{Dst: prefix("2001:db8::/32"), Device: "eth0"}
	same := six
	same.Metric = &metric
	if route(six) != route(same) {
		t.Error("IPv6 has a metric of 1024 by default")
	}
	if route(Route{Dst: prefix("10.0.0.0/8"), Device: "a"}) != route(Route{Dst: prefix("10.0.0.0/8"), Gateway: netip.MustParseAddr("10.0.0.1")}) {
		t.Error("a path makes no other route")
	}
}

// The answer to a request that was given up is not taken for that of the next.
func TestLateAnswer(t *testing.T) {
	s, err := openSocket(time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(s.fd)
	nothing := newMessage(unix.RTM_DELADDR, make([]byte, unix.SizeofIfAddrmsg)).done() // refused: no address
	get := newMessage(unix.RTM_GETLINK, []byte{4: 1, 15: 0}).done()                    // link 1, loopback everywhere
	var b batch
	b.add(nothing, 0)
	native.PutUint32(b.bytes[8:], s.sequence) // sent, and not waited for
	if err := s.send(b.bytes); err != nil {
		t.Fatal(err)
	}
	b.reset()
	b.add(get, 0)
	if err := s.do(&b); err != nil || len(b.failed) != 0 {
		t.Errorf("%v, %v", err, b.failed)
	}
}

// Where the kernel keeps no mark, an address of ours is known as such by whose
// it is: it must not become the address that the link's packets carry.
func TestMarkOnOldKernels(t *testing.T) {
	c := &compiler{names: loadNames(nil), index: func(string) (int, error) { return 3, nil }}
	it, err := c.address(&Address{Prefix: netip.MustParsePrefix("10.0.0.100/24"), Device: "eth0"})
	if err != nil {
		t.Fatal(err)
	}
	it.state, it.owners = ours, []string{"A"}
	l := &LinkState{Index: 3, Name: "eth0"}
	h := &Host{monitor: &monitor{snapshot: *NewSnapshot(l)}, items: map[identity]*item{it.id: it}}
	for _, a := range []string{"10.0.0.100/24", "10.1.0.1/24"} {
		h.monitor.address(3, AddressState{Prefix: netip.MustParsePrefix(a)})
	}
	changes := h.attribute()
	h.monitor.address(3, AddressState{Prefix: netip.MustParsePrefix("10.0.0.100/24"), Valid: time.Second}) // renewed
	if got := l.PrimaryIPv4(); got.String() != "10.1.0.1" {
		t.Errorf("primary address %v", got)
	}
	if len(changes) != 2 || changes[0].Owner != "A" || changes[1].Owner != "" {
		t.Errorf("%+v", changes)
	}
}

// TestIPvlanModes: what the kernel is told of each, in the words of its header:
// L2 is 0; the flags private 1 and vepa 2.
func TestIPvlanModes(t *testing.T) {
	for mode, want := range map[string][2]uint16{"": {0, 0}, "bridge": {0, 0}, "private": {0, 1}, "vepa": {0, 2}, "l3": {1, 0}, "l3s": {2, 0}} {
		k := linkKinds[IPvlan]
		m := newMessage(unix.RTM_NEWLINK, nil)
		k.data(&m, k.modes[mode])
		var got [2]uint16
		for kind, value := range attributes(m.done()[unix.NLMSG_HDRLEN:]) {
			got[kind-unix.IFLA_IPVLAN_MODE] = native.Uint16(value)
		}
		if got != want {
			t.Errorf("mode %q: %v, not %v", mode, got, want)
		}
	}
	if err := (&Link{Name: "a", Base: "b", Kind: IPvlan, Family: 4, Mode: "passthru"}).check(); err == nil {
		t.Error("a mode that ipvlan does not have")
	}
}
