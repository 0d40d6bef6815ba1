package failover

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/alert"
	"evenkeel/internal/model"
	"evenkeel/internal/netconf"
	"evenkeel/internal/netconf/fake"
	"evenkeel/internal/vrrp"
)

// links lets the plane hear what has happened to the links, in a round.
func (b *bench) links() {
	b.round(func() { b.plane.changed(b.plane.changes()) })
}

// TestUpDownDelays: a link that bounces moves nothing, one that stays down does
// when the delay is over, and it has to be up for long enough.
func TestUpDownDelays(t *testing.T) {
	b := newBench(t, "interface_up_down_delays {\n eth0 0.2 1.5\n}\n"+manyText(1, "0.1"))
	i := b.plane.instances[0]
	b.run(2 * time.Second)
	state := func(when string, want vrrp.State) {
		t.Helper()
		if got := i.machine.State(); got != want {
			t.Fatalf("%s: %v, not %v", when, got, want)
		}
	}
	state("at first", vrrp.Master)
	b.host.SetLink("eth0", true, false)
	b.links()
	b.run(150 * time.Millisecond)
	b.host.SetLink("eth0", true, true)
	b.links()
	b.run(time.Second)
	state("after a bounce", vrrp.Master)
	if n := i.transitions[vrrp.Fault]; n != 0 {
		t.Errorf("%d faults", n)
	}
	b.host.SetLink("eth0", true, false)
	b.links()
	b.run(190 * time.Millisecond)
	state("before the delay is over", vrrp.Master)
	b.run(20 * time.Millisecond)
	state("after it", vrrp.Fault)
	b.host.SetLink("eth0", true, true)
	b.links()
	b.run(1400 * time.Millisecond)
	state("not up for long enough", vrrp.Fault)
	b.run(2 * time.Second)
	state("up again", vrrp.Master)
}

// TestDelaysOfATrackedInterface: they count for track_interface too.
func TestDelaysOfATrackedInterface(t *testing.T) {
	config := "interface_up_down_delays {\n eth1 0.2\n}\n" + instanceText("V", 1, 150, "10.0.1.1/32", "track_interface {\n eth1 weight -60\n }")
	b := newBench(t, config)
	b.host.AddLink(fake.Ethernet(3, "eth1"))
	b.links()
	b.run(time.Second)
	i := b.plane.instances[0]
	b.host.SetLink("eth1", false, false)
	b.links()
	b.run(100 * time.Millisecond)
	if i.effect != 150 {
		t.Errorf("priority %d before the delay is over", i.effect)
	}
	b.run(200 * time.Millisecond)
	if i.effect != 90 {
		t.Errorf("priority %d after it", i.effect)
	}
}

const trackGroupText = `static_ipaddress {
 10.9.0.1/24 dev eth1 track_group G
 10.9.1.1/24 dev eth0
}
track_group G {
 group {
  V
 }
}
`

// TestTrackGroup: an instance follows a static address that cannot be kept, and
// no other one does.
func TestTrackGroup(t *testing.T) {
	b := newBench(t, trackGroupText+instanceText("V", 1, 150, "10.0.1.1/32")+instanceText("W", 2, 150, "10.0.2.1/32"))
	v, w := b.plane.byName["V"], b.plane.byName["W"]
	check := func(when string, want vrrp.State) {
		t.Helper()
		b.run(2 * time.Second)
		if v.machine.State() != want || w.machine.State() != vrrp.Master {
			t.Fatalf("%s: %v because %q, the other one %v", when, v.machine.State(), v.told, w.machine.State())
		}
	}
	check("without the device", vrrp.Fault)
	b.host.AddLink(fake.Ethernet(3, "eth1"))
	b.links()
	check("with it", vrrp.Master)
	if !b.host.Has("eth1", "10.9.0.1") {
		t.Fatal("the address is not there")
	}
	// Taken away and put back: nobody moves.
	b.host.RemoveAddress("eth1", "10.9.0.1/24")
	b.links()
	if !b.host.Has("eth1", "10.9.0.1") || v.transitions[vrrp.Fault] != 1 {
		t.Errorf("not put back: %v", v.transitions)
	}
	// Taken away for good.
	b.host.Fail("10.9.0.1", errors.New("refused"))
	b.host.RemoveAddress("eth1", "10.9.0.1/24")
	b.links()
	check("without the address", vrrp.Fault)
	if !strings.Contains(v.told, "track_group G") {
		t.Errorf("why: %q", v.told)
	}
	b.host.Fail("10.9.0.1", nil)
	check("with it again", vrrp.Master)
	b.host.SetLink("eth1", true, false)
	b.links()
	check("without carrier", vrrp.Fault)
	// A reload without the group frees the instance.
	b.load(strings.Replace(trackGroupText, " track_group G", "", 1)+instanceText("V", 1, 150, "10.0.1.1/32")+instanceText("W", 2, 150, "10.0.2.1/32"), nil)
	check("unfollowed", vrrp.Master)
}

// TestStaticRouteComesBack: the kernel takes routes away with a link, and others
// may take them too.
func TestStaticRouteComesBack(t *testing.T) {
	b := newBench(t, "static_routes {\n 10.8.0.0/16 via 192.0.2.254 dev eth0\n}\n"+manyText(1, "0.1"))
	b.run(time.Second)
	for name, change := range map[string]netconf.Change{"removed": {Kind: netconf.RouteRemoved}, "link": {Kind: netconf.LinkRunning, Index: 2}} {
		b.plane.statics.broken["probe"] = "not set again"
		b.round(func() { b.plane.changed([]netconf.Change{change}) })
		if len(b.plane.statics.broken) != 0 {
			t.Errorf("%s: nothing was set again", name)
		}
	}
}

// TestSharedGARPInterval: the interfaces of a garp_group share one limit.
func TestSharedGARPInterval(t *testing.T) {
	text := "vrrp_instance V {\n interface eth0\n virtual_router_id 1\n priority 150\n advert_int 0.1\n version 3\n garp_master_repeat 3\n" +
		" virtual_ipaddress {\n  10.0.1.1/32\n  10.0.1.2/32 dev eth1\n }\n}\n"
	gaps := func(group string) (most int) {
		b := newBench(t, "")
		b.host.AddLink(fake.Ethernet(3, "eth1"))
		b.load("garp_group {\n garp_interval 0.05\n "+group+"\n}\n"+text, nil)
		for n := 0; n < 40; n++ {
			b.frames.Frames()
			b.run(50 * time.Millisecond)
			most = max(most, len(b.frames.Frames()))
		}
		return most
	}
	if got := gaps("interfaces {\n  eth0\n  eth1\n }"); got > 1 {
		t.Errorf("%d frames within an interval of two interfaces that share it", got)
	}
	if got := gaps("interface eth0"); got < 2 {
		t.Errorf("at most %d frames within an interval when eth1 has none", got)
	}
}

// TestGARPExtra: where no advertisement leaves, frames are repeated.
func TestGARPExtra(t *testing.T) {
	for _, c := range []struct {
		extra string
		want  []int // links
	}{{"garp_extra_if all 30", []int{3}}, {"garp_extra_if 30", nil}} {
		b := newBench(t, "")
		b.host.AddLink(fake.Ethernet(3, "eth1"))
		b.load("vrrp_instance V {\n interface eth0\n virtual_router_id 1\n priority 150\n advert_int 1\n "+c.extra+"\n"+
			" virtual_ipaddress {\n  10.0.1.1/32\n  10.0.1.2/32 dev eth1\n }\n}\n", nil)
		b.run(20 * time.Second)
		b.frames.Frames()
		for n := 0; n < 3; n++ {
			var links []int
			b.run(30 * time.Second)
			for _, f := range b.frames.Frames() {
				links = append(links, f.Index)
			}
			if !slices.Equal(links, c.want) {
				t.Errorf("%s: frames on %v, not %v", c.extra, links, c.want)
			}
		}
	}
}

// TestStatesOnReload: the FIFOs hear of all states again, and scripts do not.
func TestStatesOnReload(t *testing.T) {
	for _, wanted := range []bool{true, false} {
		text := manyText(1, "0.1") + "vrrp_sync_group G {\n group {\n  V1\n }\n}\n"
		if wanted {
			text = "global_defs {\n fifo_write_vrrp_states_on_reload\n}\n" + text
		}
		b := newBench(t, text)
		b.run(2 * time.Second)
		b.plane.repeatStates()
		var lines []string
		for _, e := range b.hub.Recent() {
			if e.Kind == "reload" {
				lines = append(lines, string(e.Notify.AppendLine(nil)))
				if (alert.Scripts{}).Wants(&e) && len(e.Notify.Commands()) > 0 {
					t.Error("a script would be run")
				}
			}
		}
		got := strings.Join(lines, "")
		if want := "INSTANCE \"V1\" MASTER 150\nGROUP \"G\" MASTER 0\n"; wanted && got != want || !wanted && got != "" {
			t.Errorf("wanted %v: %q", wanted, got)
		}
	}
}

// TestAddressLinks: which addresses get an interface with the virtual MAC.
func TestAddressLinks(t *testing.T) {
	text := func(more string, addresses ...string) string {
		return "vrrp_instance V {\n interface eth0\n virtual_router_id 51\n priority 150\n " + more + "\n virtual_ipaddress {\n  " +
			strings.Join(addresses, "\n  ") + "\n }\n virtual_ipaddress_excluded {\n  2001:db8::1/64\n }\n}\n"
	}
	for _, c := range []struct {
		more      string
		addresses []string
		links     string
		devices   string
	}{
		{"", []string{"10.0.0.1/24", "10.1.0.1/24 dev eth1"}, "", "eth0 eth1 eth0"},
		{"use_vmac_addr", []string{"10.0.0.1/24", "10.1.0.1/24 dev eth1", "10.1.0.2/24 dev eth1"},
			"vrrp.51.eth1/eth1/00:00:5e:00:01:33 vrrp6.51.eth0/eth0/00:00:5e:00:02:33", "eth0 vrrp.51.eth1 vrrp.51.eth1 vrrp6.51.eth0"},
		{"", []string{"10.0.0.1/24", "10.1.0.1/24 dev eth1 use_vmac"}, "vrrp.51.eth1/eth1/00:00:5e:00:01:33", "eth0 vrrp.51.eth1 eth0"},
		{"use_vmac", []string{"10.0.0.1/24", "10.1.0.1/24 dev eth1 use_vmac", "10.2.0.1/24 dev eth0 use_vmac"},
			"vrrp.51.eth1/eth1/00:00:5e:00:01:33", "vrrp.51 vrrp.51.eth1 vrrp.51 vrrp.51"},
		{"", []string{"10.0.0.1/24", "10.1.0.1/24 dev averylongname12 use_vmac"}, "vrrp.51.a78b26/averylongname12/00:00:5e:00:01:33", "eth0 vrrp.51.a78b26 eth0"},
	} {
		s := parse(t, text(c.more, c.addresses...)).instances[0]
		var links, devices []string
		for _, l := range s.more {
			links = append(links, l.Name+"/"+l.Base+"/"+macWords(l.MAC))
			if len(l.Name) > longestName {
				t.Errorf("the name %s is too long", l.Name)
			}
		}
		for _, a := range s.hosts.Addresses {
			devices = append(devices, a.Device)
		}
		if got := strings.Join(links, " "); got != c.links {
			t.Errorf("%q %q: links %s, not %s", c.more, c.addresses, got, c.links)
		}
		if got := strings.Join(devices, " "); got != c.devices {
			t.Errorf("%q %q: devices %s, not %s", c.more, c.addresses, got, c.devices)
		}
	}
}

// TestFirewallText: what is dropped, in nft's words.
func TestFirewallText(t *testing.T) {
	instance := func(more, addresses string) string {
		return "vrrp_instance V {\n interface eth0\n virtual_router_id 51\n priority 150\n version 3\n " + more + "\n virtual_ipaddress {\n  " + addresses + "\n }\n}\n"
	}
	text := func(config string) string { return newFirewall(parse(t, config).model).text }
	if got := text(instance("", "10.0.0.1/24")); got != "" {
		t.Errorf("with accept: %s", got)
	}
	if got := text(strings.Replace(instance("no_accept", "10.0.0.1/24"), "priority 150", "priority 255", 1)); got != "" {
		t.Errorf("of the owner: %s", got)
	}
	want := "add table inet evenkeel\ndelete table inet evenkeel\ntable inet evenkeel {\n set vips4 {\n  type ipv4_addr\n  elements = { 10.0.0.1 }\n }\n" +
		" chain in {\n  type filter hook input priority -1; policy accept;\n  ip daddr @vips4 drop\n }\n}\n"
	if got := text(instance("no_accept", "10.0.0.1/24")); got != want {
		t.Errorf("%s", got)
	}
	got := text("global_defs {\n nftables mine\n nftables_priority -5\n nftables_counters\n}\n" + instance("no_accept", "fe80::1/64\n  2001:db8::1/64"))
	for _, part := range []string{"table inet mine", "priority -5", `fe80::1 . "eth0"`, "elements = { 2001:db8::1 }", "nd-neighbor-solicit", "@vips6 counter drop"} {
		if !strings.Contains(got, part) {
			t.Errorf("%q is missing:\n%s", part, got)
		}
	}
}

// TestNoAcceptNeedsNFT: without nft the configuration is refused, at its line.
func TestNoAcceptNeedsNFT(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	var d model.Diagnostics
	checkFirewall(&model.Failover{Instances: []*model.VRRPInstance{{Name: "V", Priority: 100, Pos: model.Pos{File: "k.conf", Line: 7, Col: 1},
		Addresses: []*model.IPAddress{{}}}}}, &d)
	if !d.HasErrors() || !strings.Contains(d[0].String(), "k.conf:7:1") || !strings.Contains(d[0].String(), "install nftables") {
		t.Errorf("%v", d)
	}
}

// TestVRFDevice: an instance without an interface sends by the device of its
// VRF, and is in fault without it.
func TestVRFDevice(t *testing.T) {
	b := newBench(t, "vrrp_instance V {\n virtual_router_id 1\n priority 150\n vrf blue\n unicast_src_ip 192.0.2.1\n unicast_peer {\n  192.0.2.2\n }\n"+
		" virtual_ipaddress {\n  10.0.1.1/32 dev eth0\n }\n}\n")
	i := b.plane.instances[0]
	b.run(5 * time.Second)
	if i.machine.State() != vrrp.Fault || !strings.Contains(i.told, "vrf blue") {
		t.Errorf("without it: %v because %q", i.machine.State(), i.told)
	}
	b.host.AddLink(fake.Ethernet(7, "blue"))
	b.links()
	b.run(5 * time.Second)
	if i.machine.State() != vrrp.Master || i.leave != 7 {
		t.Errorf("with it: %v, leaving by %d", i.machine.State(), i.leave)
	}
}

// TestIPvlanSource: the interface has its own address as long as the instance
// exists, and advertisements come from it.
func TestIPvlanSource(t *testing.T) {
	b := newBench(t, instanceText("V", 51, 150, "10.0.1.1/32", "use_ipvlan ipv51 192.0.2.51/24 private"))
	i := b.plane.instances[0]
	if l := i.setup.link; l.Mode != "private" || l.Kind != netconf.IPvlan {
		t.Errorf("link %v", l)
	}
	if !b.host.Has("ipv51", "192.0.2.51") {
		b.host.AddLink(fake.Ethernet(9, "ipv51"))
		b.plane.wantLinks(i)
	}
	b.links()
	b.run(3 * time.Second)
	if len(b.queued)+len(b.sent) == 0 || i.source.String() != "192.0.2.51" || !b.host.Has("ipv51", "192.0.2.51") {
		t.Errorf("source %v, sent %d", i.source, len(b.sent))
	}
}

// TestScheduling: a real-time priority only where an interval is short, and what
// the configuration asks for before that.
func TestScheduling(t *testing.T) {
	for _, c := range []struct {
		global, interval string
		want             scheduling
	}{
		{"", "1", scheduling{0, -20, gathering}},
		{"", "0.9", scheduling{realtime: 1}},
		{"vrrp_rt_priority 7", "1", scheduling{7, 0, gathering}},
		{"vrrp_priority -5", "0.1", scheduling{0, -5, 0}},
	} {
		got := parse(t, "global_defs {\n "+c.global+"\n}\n"+manyText(2, "2")+strings.ReplaceAll(instanceText("W", 99, 100, "10.9.9.9/32"), "advert_int 0.1", "advert_int "+c.interval)).scheduling()
		if got != c.want {
			t.Errorf("%q, %s s: %+v, not %+v", c.global, c.interval, got, c.want)
		}
	}
}
