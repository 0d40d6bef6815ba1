package netconf_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"evenkeel/internal/netconf"
)

func vmac(vrid uint8, family int) netconf.Link {
	return netconf.Link{Name: "vrrp.51", Base: "eth0", Kind: netconf.Macvlan, MAC: netconf.VirtualRouterMAC(family, vrid), Family: family}
}

// linkInfo is what ip says of a link.
type linkInfo struct {
	Address string
	Link    string // the one below
	Flags   []string
	Info    struct {
		Kind string `json:"info_kind"`
		Data struct {
			Mode string
		} `json:"info_data"`
	} `json:"linkinfo"`
	AddressGeneration string `json:"inet6_addr_gen_mode"`
}

func (n *namespace) link(t *testing.T, name string) (l linkInfo, there bool) {
	t.Helper()
	var all []json.RawMessage
	decode(t, n.ip(t, "-j -d link show"), &all)
	for _, raw := range all {
		var named struct{ IfName string }
		decode(t, string(raw), &named)
		if named.IfName == name {
			decode(t, string(raw), &l)
			return l, true
		}
	}
	return l, false
}

func TestVirtualMAC(t *testing.T) {
	n := newNamespace(t)
	h := open(t)
	if err := os.WriteFile("/proc/sys/net/ipv4/conf/all/rp_filter", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/conf/eth1/rp_filter", []byte("2"), 0); err != nil {
		t.Fatal(err)
	}
	c := netconf.Config{Links: []netconf.Link{vmac(51, 4)}}
	c.Addresses = addresses("vrrp.51", 0, "10.9.0.100/24").Addresses
	for i := range 2 {
		r, err := h.Set("A", c)
		if err != nil || r.Added != 2*(1-i) {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	l, _ := n.link(t, "vrrp.51")
	if l.Address != "00:00:5e:00:01:33" || l.Link != "eth0" || l.Info.Kind != "macvlan" || l.Info.Data.Mode != "private" || !strings.Contains(strings.Join(l.Flags, " "), "UP") {
		t.Errorf("%+v", l)
	}
	if _, there := n.addresses(t, "vrrp.51")["10.9.0.100/24"]; !there {
		t.Error("no address")
	}
	during := map[string]string{
		"net/ipv4/conf/vrrp.51/arp_ignore": "1", "net/ipv4/conf/vrrp.51/accept_local": "1", "net/ipv4/conf/vrrp.51/rp_filter": "0",
		"net/ipv4/conf/vrrp.51/promote_secondaries": "1", "net/ipv6/conf/vrrp.51/disable_ipv6": "1",
		"net/ipv4/conf/eth0/arp_ignore": "1", "net/ipv4/conf/eth0/arp_filter": "1",
		"net/ipv4/conf/all/rp_filter": "0", "net/ipv4/conf/eth0/rp_filter": "1", "net/ipv4/conf/eth1/rp_filter": "2", "net/ipv4/conf/default/rp_filter": "1",
	}
	for name, want := range during {
		if got := sysctl(t, name); got != want {
			t.Errorf("%s is %s, should be %s", name, got, want)
		}
	}
	// A second virtual router on the same link keeps what it needs when the
	// first goes.
	second := vmac(52, 4)
	second.Name = "vrrp.52"
	if _, err := h.Set("B", netconf.Config{Links: []netconf.Link{second}}); err != nil {
		t.Fatal(err)
	}
	if r, err := h.Set("A", netconf.Config{}); err != nil || r.Removed != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, there := n.link(t, "vrrp.51"); there {
		t.Error("vrrp.51 is left")
	}
	for _, name := range []string{"net/ipv4/conf/eth0/arp_ignore", "net/ipv4/conf/eth0/arp_filter", "net/ipv4/conf/eth0/rp_filter"} {
		if got := sysctl(t, name); got != "1" {
			t.Errorf("%s is %s while vrrp.52 needs it", name, got)
		}
	}
	if err := h.Remove("B"); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{"net/ipv4/conf/eth0/arp_ignore": "0", "net/ipv4/conf/eth0/arp_filter": "0",
		"net/ipv4/conf/all/rp_filter": "1", "net/ipv4/conf/eth0/rp_filter": "0", "net/ipv4/conf/eth1/rp_filter": "2", "net/ipv4/conf/default/rp_filter": "0"} {
		if got := sysctl(t, name); got != want {
			t.Errorf("afterwards %s is %s, was %s", name, got, want)
		}
	}
}

// RFC 9568 7.4: the link-local address of an IPv6 virtual router's link is not
// made from the virtual router's MAC.
func TestVirtualMACOfIPv6(t *testing.T) {
	n := newNamespace(t)
	n.ip(t, "addr flush dev eth0")
	n.ip(t, "addr add fe80::7/64 dev eth0 nodad")
	h := open(t)
	for name, want := range map[string]string{"of the link below": "fe80::7/64", "as said": "fe80::99/64"} {
		n.run(t, name, func(t *testing.T) {
			l := vmac(51, 6)
			if want == "fe80::99/64" {
				l.LinkLocal = addr("fe80::99")
			}
			for range 2 {
				if _, err := h.Set("A", netconf.Config{Links: []netconf.Link{l}}); err != nil {
					t.Fatal(err)
				}
			}
			if l, _ := n.link(t, "vrrp.51"); l.Address != "00:00:5e:00:02:33" || l.AddressGeneration != "none" {
				t.Errorf("%+v", l)
			}
			all := n.addresses(t, "vrrp.51")
			if a, there := all[want]; len(all) != 1 || !there || !a.Deprecated || !a.NoDAD {
				t.Errorf("%+v", all)
			}
			_, read := h.Watch()
			if _, err := read(); err != nil {
				t.Error(err)
			}
			if err := h.Remove("A"); err != nil {
				t.Error(err)
			}
		})
	}
}

// A link that an earlier run left is used or replaced; somebody else's of the
// name is not touched.
func TestLinksThatAreThere(t *testing.T) {
	n := newNamespace(t)
	h := open(t)
	c := netconf.Config{Links: []netconf.Link{vmac(51, 4)}}

	n.ip(t, "link add link eth0 name vrrp.51 address 00:00:5e:00:01:33 type macvlan mode private")
	if r, err := h.Set("A", c); err != nil || r.Added != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if l, _ := n.link(t, "vrrp.51"); !strings.Contains(strings.Join(l.Flags, " "), "UP") {
		t.Errorf("%+v", l)
	}
	if err := h.Remove("A"); err != nil {
		t.Error(err)
	}
	if _, there := n.link(t, "vrrp.51"); there {
		t.Error("that of the earlier run is left")
	}

	n.ip(t, "link add link eth1 name vrrp.51 address 00:00:5e:00:01:07 type macvlan mode private")
	if r, err := h.Set("A", c); err != nil || r.Added != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if l, _ := n.link(t, "vrrp.51"); l.Address != "00:00:5e:00:01:33" || l.Link != "eth0" {
		t.Errorf("%+v", l)
	}
	if err := h.Remove("A"); err != nil {
		t.Error(err)
	}

	n.ip(t, "link add name vrrp.51 type bridge")
	if _, err := h.Set("A", c); err == nil || !strings.Contains(err.Error(), "A: link vrrp.51 link eth0 address 00:00:5e:00:01:33 type macvlan: there is another link") {
		t.Errorf("%v", err)
	}
	if err := h.Remove("A"); err != nil {
		t.Error(err)
	}
	if l, there := n.link(t, "vrrp.51"); !there || l.Info.Kind != "bridge" {
		t.Errorf("the bridge: %+v", l)
	}
}

// The link came back by itself after somebody had deleted it.
func TestLinkRemade(t *testing.T) {
	n := newNamespace(t)
	h := open(t)
	c := netconf.Config{Links: []netconf.Link{vmac(51, 4)}}
	c.Addresses = addresses("vrrp.51", 0, "10.9.0.100/24").Addresses
	if _, err := h.Set("A", c); err != nil {
		t.Fatal(err)
	}
	n.ip(t, "link del vrrp.51")
	if r, err := h.Set("A", c); err != nil || r.Added != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, there := n.addresses(t, "vrrp.51")["10.9.0.100/24"]; !there {
		t.Error("no address")
	}
}

func TestIPvlan(t *testing.T) {
	n := newNamespace(t)
	h := open(t)
	c := netconf.Config{Links: []netconf.Link{{Name: "ipv.51", Base: "eth0", Kind: netconf.IPvlan, Family: 4}}}
	_, err := h.Set("A", c)
	if err != nil {
		if !strings.Contains(err.Error(), "A: link ipv.51 link eth0 type ipvlan: this kernel has no ipvlan") {
			t.Errorf("%v", err)
		}
		return // most kernels have it, this one said that it has not
	}
	if l, _ := n.link(t, "ipv.51"); l.Info.Kind != "ipvlan" || l.Info.Data.Mode != "l2" || l.Link != "eth0" {
		t.Errorf("%+v", l)
	}
	if err := h.Remove("A"); err != nil {
		t.Error(err)
	}
}

func TestSysctls(t *testing.T) {
	newNamespace(t)
	h := open(t)
	set := func(owner string, s ...netconf.Sysctl) error {
		_, err := h.Set(owner, netconf.Config{Sysctls: s})
		return err
	}
	const name, other = "net/ipv4/conf/eth0/rp_filter", "net/ipv4/conf/eth1/arp_announce"
	if err := set("A", netconf.Sysctl{Name: "net.ipv4.conf.eth0.rp_filter", Value: "2"}, netconf.Sysctl{Name: other, Value: "2"}); err != nil {
		t.Fatal(err)
	}
	if got := sysctl(t, name) + sysctl(t, other); got != "22" {
		t.Errorf("%s", got)
	}
	if err := set("B", netconf.Sysctl{Name: name, Value: "1"}); err == nil || !strings.Contains(err.Error(), "B: sysctl "+name+" = 1: wanted as 2 by A") {
		t.Errorf("%v", err)
	}
	if err := set("B", netconf.Sysctl{Name: name, Value: "2"}); err != nil {
		t.Error(err)
	}
	// What somebody else has changed meanwhile is theirs.
	if err := os.WriteFile("/proc/sys/"+other, []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	if err := set("A"); err != nil {
		t.Error(err)
	}
	if got := sysctl(t, name); got != "2" {
		t.Errorf("B still wants it: %s", got)
	}
	if err := set("B"); err != nil {
		t.Error(err)
	}
	if got := sysctl(t, name) + sysctl(t, other); got != "01" {
		t.Errorf("%s", got)
	}
	for _, bad := range []string{"", "net/../kernel/panic", "/etc/passwd/..", "net/ipv4/no_such_thing"} {
		if err := set("A", netconf.Sysctl{Name: bad, Value: "1"}); err == nil {
			t.Errorf("%q was written", bad)
		}
	}
}
