package failover

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func macWords(m [6]byte) string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// TestHostScripts: one runs before there is an address and not again after a
// crash, the other one when all addresses have gone.
func TestHostScripts(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	dir := t.TempDir()
	log := dir + "/log"
	script := dir + "/script"
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho $1 $(ip -o addr show | grep -c '"+vip+"') >>"+log+"\nsleep 30 & test $1 != slow || wait\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	config := "global_defs {\n script_user root\n startup_script \"" + script + " up\"\n shutdown_script \"" + script + " slow\"\n shutdown_script_timeout 4\n}\n" +
		instanceText("VI_1", 51, 150, vip+"/24")
	page := newPage(t)
	a := l.start(0, config, page)
	l.only(0, vip)
	a.kill()
	a.run(l.nodes[0])
	l.only(0, vip)
	a.stop()
	b, _ := os.ReadFile(log)
	if got := string(b); got != "up 0\nslow 0\n" {
		t.Errorf("the scripts saw: %q", got)
	}
	if got := a.errors.String(); !strings.Contains(got, "shutdown_script") || !strings.Contains(got, "killed") {
		t.Errorf("a script that hangs: %s", got)
	}
}

// TestNoAccept: packets to the addresses are dropped while this node has them,
// those of an instance with accept are not; the table goes with the process.
func TestNoAccept(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs nft")
	}
	config := func(accept string) string {
		return instanceText("VI_1", 51, 150, vip+"/24\n fe80::100/64", accept) + instanceText("VI_2", 52, 150, "192.0.2.110/24", "accept") +
			instanceText("VI_3", 53, 150, "fe80::300/64\n 2001:db8::300/64", accept)
	}
	a := l.start(0, config("no_accept"), nil)
	l.only(0, vip)
	l.only(0, "192.0.2.110")
	l.only(0, "2001:db8::300")
	// Nothing listens there: an address that answers refuses at once.
	answers := func(addr string) bool {
		out, _ := exec.Command("ip", "netns", "exec", l.nodes[1], "timeout", "2", "bash", "-c", "</dev/tcp/"+addr+"/9").CombinedOutput()
		return strings.Contains(string(out), "refused")
	}
	l.eventually("the address that accepts answers", func() bool { return answers("192.0.2.110") })
	for _, addr := range []string{vip, "2001:db8::300", "fe80::300%eth0"} {
		if answers(addr) {
			t.Errorf("%s answers:\n%s", addr, l.nft(0))
		}
	}
	a.write(config("accept"))
	if got := a.control("reload"); got != "" {
		t.Fatal(got)
	}
	for _, addr := range []string{vip, "2001:db8::300", "fe80::300%eth0"} {
		l.eventually(addr+" answers", func() bool { return answers(addr) })
	}
	a.write(config("no_accept"))
	a.control("reload")
	if got := l.nft(0); !strings.Contains(got, vip) {
		t.Errorf("rules: %s", got)
	}
	a.stop()
	if got := l.nft(0); got != "" {
		t.Errorf("left behind: %s", got)
	}
}

func (l *lab) nft(node int) string {
	out, _ := exec.Command("ip", "netns", "exec", l.nodes[node], "nft", "list", "ruleset").CombinedOutput()
	return string(out)
}

// TestIPvlan: the mode, and the address from which it advertises.
func TestIPvlan(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	if out := l.try("-n " + l.nodes[0] + " link add probe link eth0 type ipvlan"); out != "" {
		// A kernel without it: the instance says so, and its peer has the address.
		a := l.start(0, instanceText("VI_1", 51, 150, vip+"/24", "use_ipvlan ipv51 192.0.2.51/24 vepa"), nil)
		l.start(1, instanceText("VI_1", 51, 100, vip+"/24"), nil)
		l.only(1, vip)
		if got := a.control("status"); !strings.Contains(got, "ipv51") {
			t.Errorf("nothing is said of the missing link (%s):\n%s", out, got)
		}
		return
	}
	l.ip("-n " + l.nodes[0] + " link del probe")
	a := l.start(0, instanceText("VI_1", 51, 150, vip+"/24", "use_ipvlan ipv51 192.0.2.51/24 vepa"), nil)
	b := l.start(1, instanceText("VI_1", 51, 100, vip+"/24"), nil)
	l.only(0, vip)
	if got := l.try("-n " + l.nodes[0] + " -d link show ipv51"); !strings.Contains(got, "vepa") {
		t.Errorf("link: %s", got)
	}
	l.eventually("the peer hears the address of the interface", func() bool { return b.instance("VI_1").Master == "192.0.2.51" })
	a.stop()
	if got := l.try("-n " + l.nodes[0] + " link show ipv51"); !strings.Contains(got, "does not exist") {
		t.Errorf("a link was left behind: %s", got)
	}
}

// TestAddressMAC: an address on another interface has the virtual MAC there.
func TestAddressMAC(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	n := l.nodes[0]
	l.ip("-n " + n + " link add d1 type veth peer name e1")
	l.ip("-n " + n + " link set e1 up")
	l.ip("-n " + n + " link set d1 up")
	a := l.start(0, instanceText("VI_1", 51, 150, vip+"/24\n 10.1.1.100/24 dev d1", "use_vmac_addr"), nil)
	l.only(0, "10.1.1.100")
	if got := l.try("-n " + n + " addr show vrrp.51.d1"); !strings.Contains(got, "00:00:5e:00:01:33") || !strings.Contains(got, "10.1.1.100") {
		t.Errorf("link: %s", got)
	}
	a.stop()
	if got := l.try("-n " + n + " link show vrrp.51.d1"); !strings.Contains(got, "does not exist") {
		t.Errorf("a link was left behind: %s", got)
	}
}

// TestVRF: unicast without an interface, in a VRF.
func TestVRF(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	config := func(me, peer, priority int) string {
		text := instanceText("VI_1", 51, priority, vip+"/24 dev eth0", "vrf blue", fmt.Sprintf("unicast_src_ip 192.0.2.%d\n unicast_peer {\n 192.0.2.%d\n }", me, peer))
		return strings.Replace(text, " interface eth0\n", "", 1)
	}
	for k, n := range l.nodes {
		if out := l.try("-n " + n + " link add blue type vrf table 100"); out != "" {
			// A kernel without it: as with one that is not there yet.
			a := l.start(0, config(1, 2, 150), nil)
			l.start(1, instanceText("VI_1", 51, 100, vip+"/24"), nil)
			l.only(1, vip)
			if got := a.control("status"); !strings.Contains(got, "vrf blue") {
				t.Errorf("nothing is said of the missing VRF (%s):\n%s", out, got)
			}
			return
		}
		l.ip("-n " + n + " link set blue up")
		l.ip("-n " + n + " link set eth0 master blue")
		// An address of the same name where it must not be looked for.
		l.ip(fmt.Sprintf("-n %s route add blackhole 192.0.2.%d/32", n, 2-k))
	}
	a := l.start(0, config(1, 2, 150), nil)
	b := l.start(1, config(2, 1, 100), nil)
	l.only(0, vip)
	l.eventually("the second hears the first", func() bool { return b.instance("VI_1").Counters.AdvertsReceived > 3 })
	if i := b.instance("VI_1"); i.State != "BACKUP" {
		t.Errorf("%+v", i)
	}
	a.stop()
	l.only(1, vip)
}

// TestRouteTakenAway: a virtual route and a rule that somebody removes are put
// back.
func TestRouteTakenAway(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	n := l.nodes[0]
	l.start(0, "static_rules {\n from 10.7.0.0/16 table 77 preference 700\n}\n"+
		instanceText("VI_1", 51, 150, vip+"/24", "virtual_routes {\n 10.8.0.0/16 via 192.0.2.254 dev eth0\n }"), nil)
	l.only(0, vip)
	routed := func() bool { return strings.Contains(l.try("-n "+n+" route show"), "10.8.0.0/16") }
	ruled := func() bool { return strings.Contains(l.try("-n "+n+" rule show"), "10.7.0.0/16") }
	l.eventually("the route is there", routed)
	l.eventually("the rule is there", ruled)
	l.ip("-n " + n + " route del 10.8.0.0/16")
	l.ip("-n " + n + " rule del from 10.7.0.0/16 table 77")
	l.eventually("the route is back", routed)
	l.eventually("the rule is back", ruled)
}
