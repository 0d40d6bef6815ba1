package netconf_test

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/netconf"
)

func open(t testing.TB) *netconf.Host {
	t.Helper()
	h, err := netconf.Open(netconf.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func ptr[T any](v T) *T { return &v }

// Every attribute, as ip shows it.
func TestAddressAttributes(t *testing.T) {
	n := newNamespace(t)
	h := open(t)
	for _, c := range []struct {
		name string
		a    netconf.Address
		key  string
		want ipAddress
	}{
		{"plain", netconf.Address{Prefix: netip.MustParsePrefix("10.9.0.100/32")}, "10.9.0.100/32",
			ipAddress{Family: "inet", Scope: "global", Label: "eth0"}},
		{"broadcast by rule", netconf.Address{Prefix: netip.MustParsePrefix("192.0.2.69/27"), Broadcast: "+"}, "192.0.2.69/27",
			ipAddress{Family: "inet", Scope: "global", Label: "eth0", Broadcast: "192.0.2.95"}},
		{"broadcast of zeros", netconf.Address{Prefix: netip.MustParsePrefix("192.0.2.69/27"), Broadcast: "-"}, "192.0.2.69/27",
			ipAddress{Family: "inet", Scope: "global", Label: "eth0", Broadcast: "192.0.2.64"}},
		{"broadcast, scope and label", netconf.Address{Prefix: netip.MustParsePrefix("192.0.2.69/24"), Broadcast: "192.0.2.250", Scope: "link", Label: "eth0:vip"}, "192.0.2.69/24",
			ipAddress{Family: "inet", Scope: "link", Label: "eth0:vip", Broadcast: "192.0.2.250"}},
		{"scope by number", netconf.Address{Prefix: netip.MustParsePrefix("192.0.2.69/24"), Scope: "200"}, "192.0.2.69/24",
			ipAddress{Family: "inet", Scope: "site", Label: "eth0"}},
		{"peer", netconf.Address{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Peer: netip.MustParsePrefix("192.0.2.2/32")}, "192.0.2.1/32",
			ipAddress{Family: "inet", Scope: "global", Label: "eth0", Address: "192.0.2.2"}},
		{"no prefix route", netconf.Address{Prefix: netip.MustParsePrefix("192.0.2.1/24"), Options: []string{"noprefixroute"}}, "192.0.2.1/24",
			ipAddress{Family: "inet", Scope: "global", Label: "eth0", NoPrefixRoute: true}},
		{"a lease", netconf.Address{Prefix: netip.MustParsePrefix("192.0.2.1/24"), ValidLifetime: 3600 * time.Second}, "192.0.2.1/24",
			ipAddress{Family: "inet", Scope: "global", Label: "eth0", Dynamic: true, ValidLifetime: 3600, PreferredLifetime: 3600}},
		{"IPv6 without duplicate address detection", netconf.Address{Prefix: netip.MustParsePrefix("2001:db8::1/64")}, "2001:db8::1/64",
			ipAddress{Family: "inet6", Scope: "global", NoDAD: true}},
		{"IPv6 with it", netconf.Address{Prefix: netip.MustParsePrefix("2001:db8::1/64"), Options: []string{"-nodad"}}, "2001:db8::1/64",
			ipAddress{Family: "inet6", Scope: "global"}},
		{"IPv6 /128 is deprecated", netconf.Address{Prefix: netip.MustParsePrefix("2001:db8::1/128")}, "2001:db8::1/128",
			ipAddress{Family: "inet6", Scope: "global", NoDAD: true, Deprecated: true, ValidLifetime: forever, PreferredLifetime: 0}},
		{"unless it is not", netconf.Address{Prefix: netip.MustParsePrefix("2001:db8::1/128"), Deprecated: ptr(false)}, "2001:db8::1/128",
			ipAddress{Family: "inet6", Scope: "global", NoDAD: true}},
		{"deprecated with a lease", netconf.Address{Prefix: netip.MustParsePrefix("2001:db8::1/64"), Deprecated: ptr(true), ValidLifetime: 3600 * time.Second}, "2001:db8::1/64",
			ipAddress{Family: "inet6", Scope: "global", NoDAD: true, Deprecated: true, Dynamic: true, ValidLifetime: 3600, PreferredLifetime: 0}},
		{"preferred for a while", netconf.Address{Prefix: netip.MustParsePrefix("2001:db8::1/64"), Preferred: 600 * time.Second, ValidLifetime: 3600 * time.Second}, "2001:db8::1/64",
			ipAddress{Family: "inet6", Scope: "global", NoDAD: true, Dynamic: true, ValidLifetime: 3600, PreferredLifetime: 600}},
		{"preferred for longer than the lease", netconf.Address{Prefix: netip.MustParsePrefix("192.0.2.1/24"), Preferred: 7200 * time.Second, ValidLifetime: 3600 * time.Second}, "192.0.2.1/24",
			ipAddress{Family: "inet", Scope: "global", Label: "eth0", Dynamic: true, ValidLifetime: 3600, PreferredLifetime: 3600}},
		{"home, mngtmpaddr", netconf.Address{Prefix: netip.MustParsePrefix("2001:db8::1/64"), Options: []string{"home", "mngtmpaddr", "nodad", "noprefixroute"}}, "2001:db8::1/64",
			ipAddress{Family: "inet6", Scope: "global", NoDAD: true, Home: true, ManageTempAddr: true, NoPrefixRoute: true}},
		{"link-local", netconf.Address{Prefix: netip.MustParsePrefix("fe80::1:2/64")}, "fe80::1:2/64",
			ipAddress{Family: "inet6", Scope: "link", NoDAD: true}},
	} {
		n.run(t, c.name, func(t *testing.T) {
			c.a.Device = "eth0"
			if r, err := h.Set("A", netconf.Config{Addresses: []netconf.Address{c.a}}); err != nil || r.Added != 1 {
				t.Fatalf("%+v, %v", r, err)
			}
			got := n.addresses(t, "eth0")[c.key]
			want := c.want
			want.Local, want.PrefixLen = c.a.Prefix.Addr().String(), c.a.Prefix.Bits()
			if !want.Dynamic && !want.Deprecated {
				want.ValidLifetime, want.PreferredLifetime = forever, forever
			}
			if want.Dynamic && got.ValidLifetime >= want.ValidLifetime-2 && got.ValidLifetime <= want.ValidLifetime {
				got.ValidLifetime = want.ValidLifetime // a second may have gone by
			}
			if want.Dynamic && got.PreferredLifetime >= want.PreferredLifetime-2 && want.PreferredLifetime > 0 {
				got.PreferredLifetime = want.PreferredLifetime
			}
			if got != want {
				t.Errorf("ip shows\n%+v, should be\n%+v", got, want)
			}
			if err := h.Remove("A"); err != nil {
				t.Error(err)
			}
			if _, there := n.addresses(t, "eth0")[c.key]; there {
				t.Error("still there")
			}
		})
	}
}

// The time for which an address is preferred runs on when its lease is renewed.
func TestPreferredRunsOn(t *testing.T) {
	n := newNamespace(t)
	now := time.Duration(0)
	h, err := netconf.Open(netconf.Options{Now: func() time.Duration { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	c := netconf.Config{Addresses: []netconf.Address{{Device: "eth0", Prefix: netip.MustParsePrefix("2001:db8::1/64"),
		Preferred: 1000 * time.Second, ValidLifetime: 800 * time.Second}}}
	if _, err := h.Set("A", c); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ low, high int64 }{{790, 800}, {390, 400}, {0, 0}} {
		if got := int64(n.addresses(t, "eth0")["2001:db8::1/64"].PreferredLifetime); got < step.low || got > step.high {
			t.Errorf("after %v it is preferred for %d s, should be %d to %d", now, got, step.low, step.high)
		}
		now += 600 * time.Second
		if err := h.Renew("A"); err != nil {
			t.Fatal(err)
		}
	}
	now -= 600 * time.Second // of the last round
	if _, err := h.Set("A", c); err != nil {
		t.Error(err)
	}
	if got := n.addresses(t, "eth0")["2001:db8::1/64"]; got.PreferredLifetime != 0 || got.ValidLifetime < 790 {
		t.Errorf("set again: %+v", got)
	}
}

// A change that the kernel cannot make in place.
func TestAddressRelabelled(t *testing.T) {
	n := newNamespace(t)
	h := open(t)
	for _, c := range []netconf.Address{
		{Prefix: netip.MustParsePrefix("192.0.2.1/24"), Label: "eth0:a"},
		{Prefix: netip.MustParsePrefix("192.0.2.1/24"), Label: "eth0:b"},
		{Prefix: netip.MustParsePrefix("192.0.2.1/24"), Label: "eth0:b", Broadcast: "+"},
		{Prefix: netip.MustParsePrefix("192.0.2.1/24"), ValidLifetime: time.Hour},
		{Prefix: netip.MustParsePrefix("192.0.2.1/24")},
	} {
		c.Device = "eth0"
		if _, err := h.Set("A", netconf.Config{Addresses: []netconf.Address{c}}); err != nil {
			t.Fatal(err)
		}
		got := n.addresses(t, "eth0")["192.0.2.1/24"]
		label := c.Label
		if label == "" {
			label = "eth0"
		}
		if got.Label != label || (got.Broadcast == "192.0.2.255") != (c.Broadcast == "+") || got.Dynamic != (c.ValidLifetime > 0) {
			t.Errorf("%+v became %+v", c, got)
		}
	}
	// IPv6 knows an address once on a link, so this replaces it.
	for _, p := range []string{"2001:db8::1/64", "2001:db8::1/128"} {
		if _, err := h.Set("B", addresses("eth0", 0, p)); err != nil {
			t.Fatal(err)
		}
		if all := n.addresses(t, "eth0"); all[p].Local == "" {
			t.Errorf("%s is not there: %v", p, all)
		}
	}
}

// An address that somebody else labelled is not ours to relabel, and one of an
// earlier run is.
func TestTakeOverInAnotherForm(t *testing.T) {
	n := newNamespace(t)
	former, h := open(t), open(t)
	a := netconf.Address{Prefix: netip.MustParsePrefix("192.0.2.1/24"), Device: "eth0", Label: "eth0:old"}
	if _, err := former.Set("A", netconf.Config{Addresses: []netconf.Address{a}}); err != nil {
		t.Fatal(err)
	}
	a.Label = "eth0:new"
	if _, err := h.Set("A", netconf.Config{Addresses: []netconf.Address{a}}); err != nil {
		t.Fatal(err)
	}
	if got := n.addresses(t, "eth0")["192.0.2.1/24"]; got.Label != "eth0:new" {
		t.Errorf("%+v", got)
	}
}

// The first address of a subnet takes the others with it when the kernel is left
// to itself: neither the administrator's nor another instance's may go.
func TestSecondariesStay(t *testing.T) {
	n := newNamespace(t)
	h := open(t)
	if _, err := h.Set("A", addresses("eth0", 0, "192.0.2.1/24", "192.0.2.2/24")); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Set("B", addresses("eth0", 0, "192.0.2.3/24")); err != nil {
		t.Fatal(err)
	}
	n.ip(t, "addr add 192.0.2.4/24 dev eth0")
	if err := h.Remove("A"); err != nil {
		t.Fatal(err)
	}
	all := n.addresses(t, "eth0")
	for p, want := range map[string]bool{"192.0.2.1/24": false, "192.0.2.2/24": false, "192.0.2.3/24": true, "192.0.2.4/24": true} {
		if _, got := all[p]; got != want {
			t.Errorf("%s there: %v", p, got)
		}
	}
	if v := sysctl(t, "net/ipv4/conf/eth0/promote_secondaries"); v != "0" {
		t.Errorf("promote_secondaries is %s afterwards", v)
	}
}

// The same when another process removes them.
func TestSecondariesOutliveTheWill(t *testing.T) {
	n := newNamespace(t)
	h := open(t)
	if _, err := h.Set("A", addresses("eth0", 0, "192.0.2.1/24", "192.0.2.2/24")); err != nil {
		t.Fatal(err)
	}
	n.ip(t, "addr add 192.0.2.4/24 dev eth0")
	sendAll(t, h.RemovalRequests("A"))
	all := n.addresses(t, "eth0")
	for p, want := range map[string]bool{"192.0.2.1/24": false, "192.0.2.2/24": false, "192.0.2.4/24": true} {
		if _, got := all[p]; got != want {
			t.Errorf("%s there: %v", p, got)
		}
	}
}

func sysctl(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// What the kernel refuses is said in words that tell what to do.
func TestRefusals(t *testing.T) {
	n := newNamespace(t)
	h := open(t)
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/eth1/disable_ipv6", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	_, err := h.Set("A", addresses("eth1", 0, "2001:db8::1/64"))
	if err == nil || !strings.Contains(err.Error(), "A: address 2001:db8::1/64 dev eth1: ") || !strings.Contains(err.Error(), "disable") && !strings.Contains(err.Error(), "IPv6 is switched off") {
		t.Errorf("%v", err)
	}
	if err := h.Remove("A"); err != nil {
		t.Errorf("removal of what never was: %v", err)
	}
	n.ip(t, "addr flush dev eth0")
	_, err = h.Set("A", netconf.Config{Routes: []netconf.Route{{Dst: netip.MustParsePrefix("198.51.100.0/24"), Gateway: netip.MustParseAddr("10.9.0.254")}}})
	if err == nil || !strings.Contains(err.Error(), "A: route 198.51.100.0/24 via 10.9.0.254: ") {
		t.Errorf("%v", err)
	}
	t.Log(err)
}

// 200 addresses are one batch: the kernel's answers to a batch are its failures
// and one acknowledgement, and Renew allocates nothing.
func TestManyAddresses(t *testing.T) {
	n := newNamespace(t)
	h := open(t)
	var prefixes []string
	for i := range 200 {
		prefixes = append(prefixes, fmt.Sprintf("10.9.0.%d/24", 20+i))
	}
	prefixes[100] = "10.9.0.1/24" // one that is there is in the middle
	r, err := h.Set("A", addresses("eth0", time.Hour, prefixes...))
	if err != nil || r.Added != 199 || len(r.Notes) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if got := len(n.addresses(t, "eth0")); got != 201 { // and the link-local one
		t.Errorf("%d addresses", got)
	}
	if allocations := testing.AllocsPerRun(5, func() {
		if err := h.Renew("A"); err != nil {
			t.Error(err)
		}
	}); allocations > 20 {
		t.Errorf("Renew of 199 addresses: %v allocations", allocations)
	}
	if r, err := h.Set("A", netconf.Config{}); err != nil || r.Removed != 199 {
		t.Errorf("%+v, %v", r, err)
	}
	if got := len(n.addresses(t, "eth0")); got != 2 {
		t.Errorf("%d addresses", got)
	}
}

// What could not be removed is not forgotten: the owner's next Set tries again.
func TestRemovalIsTriedAgain(t *testing.T) {
	n := newNamespace(t)
	h := open(t)
	if _, err := h.Set("A", addresses("eth0", 0, "10.9.0.100/32", "10.9.0.101/32")); err != nil {
		t.Fatal(err)
	}
	repair := netconf.BreakRequests(h)
	if err := h.Remove("A"); err == nil {
		t.Error("removed without a socket")
	}
	repair()
	if got := len(h.RemovalRequests("A")); got != 1 {
		t.Errorf("%d requests", got)
	}
	if r, err := h.Set("A", netconf.Config{}); err != nil || r.Removed != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if all := n.addresses(t, "eth0"); len(all) != 2 {
		t.Errorf("%v", all)
	}
}
