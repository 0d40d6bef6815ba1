package netconf_test

import (
	"net/netip"
	"strings"
	"testing"

	"evenkeel/internal/netconf"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }

var routes = []struct {
	name   string
	r      netconf.Route
	family string // for ip
	want   string // what ip -d shows, without "proto keepalived"
}{
	{"a gateway", netconf.Route{Dst: prefix("198.51.100.0/24"), Gateway: addr("10.9.0.9")}, "-4",
		"unicast 198.51.100.0/24 via 10.9.0.9 dev eth0 table main scope global"},
	{"a device", netconf.Route{Dst: prefix("198.51.100.0/24"), Device: "eth0"}, "-4",
		"unicast 198.51.100.0/24 dev eth0 table main scope link"},
	{"host bits in the destination", netconf.Route{Dst: prefix("198.51.100.7/24"), Device: "eth0"}, "-4",
		"unicast 198.51.100.0/24 dev eth0 table main scope link"},
	{"the default", netconf.Route{Gateway: addr("10.9.0.9"), Metric: ptr(uint32(70))}, "-4",
		"unicast default via 10.9.0.9 dev eth0 table main scope global metric 70"},
	{"a table, source and metric", netconf.Route{Dst: prefix("198.51.100.0/24"), Gateway: addr("10.9.0.9"), Src: addr("10.9.0.1"), Table: "1000", Metric: ptr(uint32(5))}, "-4",
		"unicast 198.51.100.0/24 via 10.9.0.9 dev eth0 table 1000 scope global src 10.9.0.1 metric 5"},
	{"a table by name", netconf.Route{Dst: prefix("198.51.100.0/24"), Device: "eth0", Table: "default"}, "-4",
		"unicast 198.51.100.0/24 dev eth0 table default scope link"},
	{"type of service and scope", netconf.Route{Dst: prefix("198.51.100.0/24"), Device: "eth0", TOS: ptr(uint8(0x10)), Scope: "global"}, "-4",
		"unicast 198.51.100.0/24 tos 0x10 dev eth0 table main scope global"},
	{"onlink", netconf.Route{Dst: prefix("198.51.100.0/24"), Gateway: addr("203.0.113.1"), Device: "eth0", OnLink: true}, "-4",
		"unicast 198.51.100.0/24 via 203.0.113.1 dev eth0 table main scope global onlink"},
	{"metrics", netconf.Route{Dst: prefix("198.51.100.0/24"), Device: "eth0", Options: map[string]string{
		"mtu": "lock 1400", "advmss": "1360", "window": "4000", "rtt": "20ms", "rttvar": "8ms", "ssthresh": "9", "cwnd": "8", "reordering": "4",
		"initcwnd": "20", "initrwnd": "21", "hoplimit": "9", "rto_min": "30ms", "quickack": "1", "features": "ecn", "congctl": "reno", "realms": "3/4"}}, "-4",
		"unicast 198.51.100.0/24 dev eth0 table main scope link realms 3/4 mtu lock 1400 window 4000 rtt 20ms rttvar 8ms ssthresh 9 cwnd 8 advmss 1360 reordering 4 hoplimit 9 initcwnd 20 features ecn rto_min 30ms initrwnd 21 quickack 1 congctl reno"},
	{"several paths", netconf.Route{Dst: prefix("198.51.100.0/24"), NextHops: []netconf.NextHop{
		{Gateway: addr("10.9.0.9"), Weight: 2}, {Gateway: addr("10.9.0.10"), Device: "eth0"}, {Gateway: addr("203.0.113.1"), Device: "eth0", OnLink: true}}}, "-4",
		"unicast 198.51.100.0/24 table main scope global nexthop via 10.9.0.9 dev eth0 weight 2 nexthop via 10.9.0.10 dev eth0 weight 1 nexthop via 203.0.113.1 dev eth0 weight 1 onlink"},
	{"a gateway of IPv6", netconf.Route{Dst: prefix("198.51.100.0/24"), Gateway: addr("fe80::9"), Device: "eth0"}, "-4",
		"unicast 198.51.100.0/24 via inet6 fe80::9 dev eth0 table main scope global"},
	{"blackhole", netconf.Route{Type: "blackhole", Dst: prefix("198.51.100.0/24")}, "-4",
		"blackhole 198.51.100.0/24 table main scope global"},
	{"prohibit", netconf.Route{Type: "prohibit", Dst: prefix("198.51.100.0/24")}, "-4",
		"prohibit 198.51.100.0/24 table main scope global"},
	{"unreachable", netconf.Route{Type: "unreachable", Dst: prefix("198.51.100.0/24")}, "-4",
		"unreachable 198.51.100.0/24 table main scope global"},
	{"throw", netconf.Route{Type: "throw", Dst: prefix("198.51.100.0/24"), Table: "55"}, "-4",
		"throw 198.51.100.0/24 table 55 scope global"},
	{"local", netconf.Route{Type: "local", Dst: prefix("198.51.100.0/24"), Device: "lo"}, "-4",
		"local 198.51.100.0/24 dev lo table local scope host"},
	{"IPv6 by a gateway", netconf.Route{Dst: prefix("2001:db8:7::/48"), Gateway: addr("2001:db8::9")}, "-6",
		"unicast 2001:db8:7::/48 via 2001:db8::9 dev eth0 table main scope global metric 1024 pref medium"},
	{"IPv6 default by a link-local gateway", netconf.Route{Gateway: addr("fe80::9"), Device: "eth0", Metric: ptr(uint32(5)), Options: map[string]string{"pref": "high"}}, "-6",
		"unicast default via fe80::9 dev eth0 table main scope global metric 5 pref high"},
	{"IPv6 from a source", netconf.Route{Dst: prefix("2001:db8:7::/48"), From: prefix("2001:db8:8::/48"), Gateway: addr("2001:db8::9"), Table: "77", Options: map[string]string{"mtu": "1300"}}, "-6",
		"unicast 2001:db8:7::/48 from 2001:db8:8::/48 via 2001:db8::9 dev eth0 table 77 scope global metric 1024 mtu 1300 pref medium"},
	{"IPv6 by several paths", netconf.Route{Dst: prefix("2001:db8:7::/48"), NextHops: []netconf.NextHop{{Gateway: addr("2001:db8::9")}, {Gateway: addr("fe80::9"), Device: "eth0", Weight: 3}}}, "-6",
		"unicast 2001:db8:7::/48 table main scope global metric 1024 pref medium nexthop via 2001:db8::9 dev eth0 weight 1 nexthop via fe80::9 dev eth0 weight 3"},
	{"IPv6 blackhole", netconf.Route{Type: "blackhole", Dst: prefix("2001:db8:7::/48")}, "-6",
		"blackhole 2001:db8:7::/48 dev lo table main scope global metric 1024 pref medium"},
}

// shown are the routes of ours, as ip shows them.
func (n *namespace) shown(t *testing.T, family string) string {
	t.Helper()
	out := n.ip(t, family+" -d route show table all proto keepalived")
	return strings.Join(strings.Fields(strings.ReplaceAll(out, "proto keepalived", "")), " ")
}

func TestRoutes(t *testing.T) {
	n := newNamespace(t)
	n.ip(t, "addr add 2001:db8::1/64 dev eth0 nodad")
	h := open(t)
	for _, c := range routes {
		n.run(t, c.name, func(t *testing.T) {
			config := netconf.Config{Routes: []netconf.Route{c.r}}
			for range 2 { // the second time changes nothing
				if _, err := h.Set("A", config); err != nil {
					t.Fatal(err)
				}
				if got := n.shown(t, c.family); got != c.want {
					t.Errorf("ip shows\n%s, should be\n%s", got, c.want)
				}
			}
			requests := h.RemovalRequests("A")
			if err := h.Remove("A"); err != nil {
				t.Error(err)
			}
			if got := n.shown(t, c.family); got != "" {
				t.Errorf("left: %s", got)
			}
			if _, err := h.Set("A", config); err != nil {
				t.Fatal(err)
			}
			sendAll(t, requests)
			if got := n.shown(t, c.family); got != "" {
				t.Errorf("left after the removal requests: %s", got)
			}
			if err := h.Remove("A"); err != nil {
				t.Errorf("what is gone already: %v", err)
			}
		})
	}
}

// A route of ours changes in place; one of others is left alone.
func TestRoutesOfOthers(t *testing.T) {
	n := newNamespace(t)
	h := open(t)
	c := netconf.Config{Routes: []netconf.Route{{Dst: prefix("198.51.100.0/24"), Gateway: addr("10.9.0.9")}}}
	if _, err := h.Set("A", c); err != nil {
		t.Fatal(err)
	}
	c.Routes[0].Gateway = addr("10.9.0.10")
	if _, err := h.Set("A", c); err != nil {
		t.Fatal(err)
	}
	if got := n.shown(t, "-4"); !strings.Contains(got, "via 10.9.0.10") || strings.Contains(got, "10.9.0.9 ") {
		t.Errorf("%s", got)
	}
	if err := h.Remove("A"); err != nil {
		t.Fatal(err)
	}

	n.ip(t, "route add 198.51.100.0/24 via 10.9.0.77")
	_, err := h.Set("A", c)
	if err == nil || !strings.Contains(err.Error(), "A: route 198.51.100.0/24 via 10.9.0.10: another route") {
		t.Errorf("%v", err)
	}
	c.Routes[0].Gateway = addr("10.9.0.77")
	r, err := h.Set("A", c)
	if err != nil || len(r.Notes) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if err := h.Remove("A"); err != nil {
		t.Error(err)
	}
	if got := n.ip(t, "route show 198.51.100.0/24"); !strings.Contains(got, "10.9.0.77") {
		t.Errorf("the administrator's route: %q", got)
	}

	// One of an earlier run is replaced, and goes with us.
	n.ip(t, "route del 198.51.100.0/24")
	n.ip(t, "route add 198.51.100.0/24 via 10.9.0.78 proto keepalived")
	if _, err := h.Set("A", c); err != nil {
		t.Error(err)
	}
	if got := n.shown(t, "-4"); !strings.Contains(got, "via 10.9.0.77") {
		t.Errorf("%s", got)
	}
	if err := h.Remove("A"); err != nil {
		t.Error(err)
	}
	if got := n.shown(t, "-4"); got != "" {
		t.Errorf("left: %s", got)
	}
}

var rules = []struct {
	name   string
	r      netconf.Rule
	family string
	want   string
}{
	{"a source", netconf.Rule{From: prefix("10.9.0.100/32"), Table: "100"}, "-4", "16384: from 10.9.0.100 lookup 100"},
	{"everything", netconf.Rule{Priority: ptr(uint32(900)), Table: "main"}, "-4", "900: from all lookup main"},
	{"not to, with a mark", netconf.Rule{Not: true, To: prefix("192.0.2.0/24"), FwMark: ptr(uint32(0x10)), FwMask: ptr(uint32(0xf0)), Table: "100"}, "-4",
		"16384: not from all to 192.0.2.0/24 fwmark 0x10/0xf0 lookup 100"},
	{"a mark", netconf.Rule{Family: 4, FwMark: ptr(uint32(7)), Table: "100"}, "-4", "16384: from all fwmark 0x7 lookup 100"},
	{"devices and type of service", netconf.Rule{IIF: "eth0", OIF: "eth1", TOS: ptr(uint8(0x10)), Table: "100"}, "-4",
		"16384: from all tos 0x10 iif eth0 oif eth1 lookup 100"},
	{"a device that is not there", netconf.Rule{IIF: "later0", Table: "100"}, "-4", "16384: from all iif later0 [detached] lookup 100"},
	{"ports, protocol and users", netconf.Rule{IPProto: "tcp", SrcPort: "1-9", DstPort: "80", UIDRange: "1000-1010", Table: "100"}, "-4",
		"16384: from all uidrange 1000-1010 ipproto tcp sport 1-9 dport 80 lookup 100"},
	{"suppressed", netconf.Rule{SuppressLen: ptr(0), Table: "main"}, "-4", "16384: from all lookup main suppress_prefixlength 0"},
	{"a group suppressed", netconf.Rule{SuppressGroup: "7", Table: "main"}, "-4", "16384: from all lookup main suppress_ifgroup 7"},
	{"realms", netconf.Rule{From: prefix("192.0.2.0/24"), Realms: "3/4", Table: "100"}, "-4", "16384: from 192.0.2.0/24 lookup 100 realms 3/4"},
	{"a tunnel", netconf.Rule{TunnelID: "77", Table: "100"}, "-4", "16384: from all tun_id 77 lookup 100"},
	{"the table of a VRF", netconf.Rule{Action: "l3mdev", Priority: ptr(uint32(900))}, "-4", "900: from all lookup [l3mdev-table]"},
	{"blackhole", netconf.Rule{From: prefix("192.0.2.0/24"), Action: "blackhole"}, "-4", "16384: from 192.0.2.0/24 blackhole"},
	{"unreachable", netconf.Rule{From: prefix("192.0.2.0/24"), Action: "unreachable"}, "-4", "16384: from 192.0.2.0/24 unreachable"},
	{"prohibit", netconf.Rule{From: prefix("192.0.2.0/24"), Action: "prohibit"}, "-4", "16384: from 192.0.2.0/24 prohibit"},
	{"nop", netconf.Rule{From: prefix("192.0.2.0/24"), Action: "nop"}, "-4", "16384: from 192.0.2.0/24 nop"},
	{"goto", netconf.Rule{Action: "goto", Goto: ptr(uint32(32766))}, "-4", "16384: from all goto 32766"},
	{"IPv6", netconf.Rule{From: prefix("2001:db8::100/128"), To: prefix("2001:db8:7::/48"), Table: "100000"}, "-6",
		"16384: from 2001:db8::100 to 2001:db8:7::/48 lookup 100000"},
	{"IPv6 by family", netconf.Rule{Family: 6, FwMark: ptr(uint32(7)), Table: "100"}, "-6", "16384: from all fwmark 0x7 lookup 100"},
}

func (n *namespace) rules(t *testing.T, family string) string {
	t.Helper()
	var ours []string
	for line := range strings.Lines(n.ip(t, family+" -d rule")) {
		if text, ok := strings.CutSuffix(strings.TrimSpace(line), "proto keepalived"); ok {
			ours = append(ours, strings.Join(strings.Fields(text), " "))
		}
	}
	return strings.Join(ours, "; ")
}

func TestRules(t *testing.T) {
	n := newNamespace(t)
	h := open(t)
	for _, c := range rules {
		n.run(t, c.name, func(t *testing.T) {
			config := netconf.Config{Rules: []netconf.Rule{c.r}}
			for range 2 {
				if _, err := h.Set("A", config); err != nil {
					t.Fatal(err)
				}
				if got := n.rules(t, c.family); got != c.want {
					t.Errorf("ip shows\n%s, should be\n%s", got, c.want)
				}
			}
			// A second run finds it by its mark, and takes it away.
			second := open(t)
			if n, err := second.Adopt("A", config, netconf.Marked); n != 1 || err != nil {
				t.Errorf("adopted %d, %v", n, err)
			}
			if err := second.Remove("A"); err != nil {
				t.Error(err)
			}
			if got := n.rules(t, c.family); got != "" {
				t.Errorf("left: %s", got)
			}
			if _, err := h.Set("A", config); err != nil {
				t.Error(err)
			}
			if got := n.rules(t, c.family); got != c.want {
				t.Errorf("put back as %q", got)
			}
			sendAll(t, h.RemovalRequests("A"))
			if got := n.rules(t, c.family); got != "" {
				t.Errorf("left after the removal requests: %s", got)
			}
		})
	}
}

// What is wanted once stays away when somebody takes it, until it is wanted anew.
func TestRoutesAndRulesOnce(t *testing.T) {
	n := newNamespace(t)
	h := open(t)
	c := netconf.Config{
		Routes: []netconf.Route{{Dst: prefix("198.51.100.0/24"), Device: "eth0", Once: true}, {Dst: prefix("203.0.113.0/24"), Device: "eth0"}},
		Rules:  []netconf.Rule{{From: prefix("10.9.0.100/32"), Table: "100", Once: true}, {From: prefix("10.9.0.101/32"), Table: "100"}},
	}
	set := func(want int) {
		t.Helper()
		if _, err := h.Set("A", c); err != nil {
			t.Fatal(err)
		}
		routes, rules := strings.Count(n.shown(t, "-4"), "unicast"), strings.Count(n.rules(t, "-4"), "lookup")
		if routes != want || rules != want {
			t.Errorf("%d routes, %d rules, should be %d each: %s; %s", routes, rules, want, n.shown(t, "-4"), n.rules(t, "-4"))
		}
	}
	set(2)
	for _, what := range []string{"route del 198.51.100.0/24", "route del 203.0.113.0/24", "rule del from 10.9.0.100", "rule del from 10.9.0.101"} {
		n.ip(t, what)
	}
	set(1)
	if err := h.Remove("A"); err != nil {
		t.Error(err)
	}
	set(2)
}

// The same rule of somebody else's stays when we go: to the kernel it is another
// one, by its protocol.
func TestRulesOfOthers(t *testing.T) {
	n := newNamespace(t)
	h := open(t)
	n.ip(t, "rule add from 10.9.0.100 lookup 100 priority 16384")
	r, err := h.Set("A", netconf.Config{Rules: []netconf.Rule{{From: prefix("10.9.0.100/32"), Table: "100"}}})
	if err != nil || r.Added != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if err := h.Remove("A"); err != nil {
		t.Error(err)
	}
	if got := n.ip(t, "rule"); !strings.Contains(got, "10.9.0.100") {
		t.Error("gone")
	}
}
