package forwarding

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// vrrp is the instance that has the virtual addresses.
func vrrp(state string, priority int, addresses ...string) string {
	text := fmt.Sprintf("vrrp_instance VI_1 {\n  state %s\n  interface eth0\n  virtual_router_id 51\n  priority %d\n  advert_int 0.5\n  version 3\n  virtual_ipaddress {\n", state, priority)
	for _, a := range addresses {
		text += "    " + a + " dev eth0\n"
	}
	return text + "  }\n}\n"
}

// real is a real server with a check.
func real(address, more string) string {
	return fmt.Sprintf("  real_server %s {\n    weight 1\n%s\n    TCP_CHECK {\n      connect_timeout 10\n      retry 1\n      delay_before_retry 0.2\n    }\n  }\n", address, more)
}

// virtual is the service of these tests.
func virtual(kind, scheduler, more string, servers ...string) string {
	return fmt.Sprintf("virtual_server %s 80 {\n  delay_loop 0.3\n  warmup 0\n  lb_algo %s\n  lb_kind %s\n  protocol TCP\n%s\n%s}\n", vip, scheduler, kind, more, strings.Join(servers, ""))
}

const globals = "global_defs {\n  router_id LVS\n  script_user root\n}\n"

// TestDirect is the pair of directors in front of two web servers by DR: turns
// are taken, a server that stops leaves and comes back, scripts hear of it, and
// a reload adds a server.
func TestDirect(t *testing.T) {
	l := newLAN(t)
	l.direct()
	for _, n := range []string{"1", "2", "3"} {
		l.serve(n)
	}
	heard := filepath.Join(l.dir, "heard")
	script := filepath.Join(l.dir, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho \"$@\" >> "+heard+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	hears := func(text string) func() bool {
		return func() bool {
			b, _ := os.ReadFile(heard)
			return strings.Contains(string(b), text+"\n")
		}
	}
	notify := func(n string) string {
		return fmt.Sprintf("    notify_up \"%s up %s\"\n    notify_down \"%s down %s\"", script, n, script, n)
	}
	quorum := fmt.Sprintf("  quorum_up \"%s quorum up\"\n  quorum_down \"%s quorum down\"", script, script)
	two := func(more ...string) string {
		return globals + vrrp("MASTER", 150, vip+"/24") + virtual("DR", "rr", quorum, append([]string{
			real("10.79.0.21 80", notify("1")), real("10.79.0.22 80", notify("2"))}, more...)...)
	}
	d := l.director("d", two())
	e := l.director("e", globals+vrrp("BACKUP", 100, vip+"/24")+virtual("DR", "rr", "", real("10.79.0.21 80", ""), real("10.79.0.22 80", "")))
	l.eventually("the master", func() bool { return l.holds("d", vip) && !l.holds("e", vip) })

	if seen := l.count(10); seen["1"] != 5 || seen["2"] != 5 {
		t.Errorf("ten requests went to %v", seen)
	}
	status := d.command("status", "-p", fmt.Sprint(d.cmd.Process.Pid))
	for _, want := range []string{"forwarding by ebpf", "virtual_server " + vip + ":80/TCP  rr  quorum: weight 2 of 1", "10.79.0.21:80 up"} {
		if !strings.Contains(status, want) {
			t.Errorf("status does not have %q:\n%s", want, status)
		}
	}

	t.Run("leaves and comes back", func(t *testing.T) {
		l.silence("1")
		l.eventually("server 1 leaves", func() bool { return only(l.who(4), "2") })
		l.eventually("notify_down", hears("down 1"))
		l.serve("1")
		l.eventually("server 1 comes back", func() bool { return only(l.who(4), "1", "2") })
		l.eventually("notify_up", hears("up 1"))
	})
	t.Run("quorum", func(t *testing.T) {
		l.silence("1")
		l.silence("2")
		l.eventually("quorum_down", hears("quorum down"))
		l.serve("1")
		l.serve("2")
		l.eventually("quorum_up", hears("quorum up"))
		l.eventually("both", func() bool { return only(l.who(4), "1", "2") })
	})
	t.Run("reload", func(t *testing.T) {
		whole := l.downloads(6)
		d.reload(two(real("10.79.0.23 80", "")))
		l.eventually("the third server", func() bool { return only(l.who(6), "1", "2", "3") })
		for range 5 {
			d.reload(two())
			d.reload(two(real("10.79.0.23 80", "    inhibit_on_failure")))
		}
		d.reload(two())
		l.eventually("it is taken out", func() bool { return only(l.who(6), "1", "2") })
		if n := whole(); n != 6 {
			t.Errorf("%d of 6 downloads came through twelve reloads", n)
		}
	})
	t.Run("upgrade", func(t *testing.T) {
		whole := l.downloads(6)
		pid := d.another(0)
		d.install()
		d.reload(two())
		d.another(pid)
		for range 10 {
			// Turns may begin anew; that somebody answers is what counts.
			if seen := l.count(2); seen["nobody"] > 0 {
				t.Errorf("requests went to %v", seen)
			}
		}
		if n := whole(); n != 6 {
			t.Errorf("%d of 6 downloads came through the upgrade", n)
		}
	})
	t.Run("crash", func(t *testing.T) {
		whole := l.downloads(6)
		pid := d.another(0)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		d.another(pid)
		l.eventually("its checks", func() bool { return strings.Contains(d.services(), "10.79.0.21:80 up") })
		if seen := l.count(4); seen["nobody"] > 0 {
			t.Errorf("afterwards requests went to %v", seen)
		}
		l.eventually("both in turn", func() bool { return only(l.who(4), "1", "2") })
		if n := whole(); n != 6 {
			t.Errorf("%d of 6 downloads survived the process", n)
		}
	})
	t.Run("stop", func(t *testing.T) {
		d.stop()
		l.eventually("the backup", func() bool { return l.holds("e", vip) && !l.holds("d", vip) })
		l.eventually("it forwards", func() bool { return only(l.who(4), "1", "2") })
		e.stop()
		if seen := l.who(1); seen["nobody"] != 1 {
			t.Errorf("without directors %v answered", seen)
		}
		for _, n := range []string{"d", "e"} {
			if left, err := os.Stat("/run/evenkeel/forwarding-" + cookie(l.prefix+n)); err == nil {
				t.Errorf("director %s has left %s", n, left.Name())
			}
		}
	})
}

// TestTakeover: by mh every director sends a connection to the same server, so
// that DR connections outlive the director that they came through.
func TestTakeover(t *testing.T) {
	l := newLAN(t)
	l.direct()
	l.serve("1")
	l.serve("2")
	text := func(state string, priority int) string {
		return globals + vrrp(state, priority, vip+"/24") + virtual("DR", "mh", "  mh-port", real("10.79.0.21 80", ""), real("10.79.0.22 80", ""))
	}
	d := l.director("d", text("MASTER", 150))
	l.director("e", text("BACKUP", 100))
	l.eventually("the master", func() bool { return l.holds("d", vip) && !l.holds("e", vip) })
	if seen := l.count(24); !only(seen, "1", "2") {
		t.Errorf("requests went to %v", seen)
	}
	whole := l.downloads(12)
	d.stop()
	l.eventually("the backup has the address", func() bool { return l.holds("e", vip) })
	if n := whole(); n != 12 {
		t.Errorf("%d of 12 downloads survived the director", n)
	}
}

// TestNAT is the walk-through: the servers' gateway is the director, ports
// differ, and the server sees the client's address.
func TestNAT(t *testing.T) {
	l := newLAN(t)
	l.behind(insideVIP)
	for _, n := range []string{"1", "2", "3"} {
		l.serve(n)
	}
	text := globals + vrrp("MASTER", 150, vip+"/24", insideVIP+"/24") +
		virtual("NAT", "wrr", "  sorry_server 10.80.0.23 8080", strings.Replace(real("10.80.0.21 8080", ""), "weight 1", "weight 3", 1), real("10.80.0.22 8080", ""))
	d := l.director("d", text)
	l.eventually("the master", func() bool { return l.holds("d", vip) })
	if seen := l.count(12); seen["1"] != 9 || seen["2"] != 3 {
		t.Errorf("twelve requests by weights 3 and 1 went to %v", seen)
	}
	if text, err := l.get(vip+":80", "/", patience); err != nil || !strings.HasSuffix(text, " 10.79.0.2") {
		t.Errorf("the server sees %q, %v", text, err)
	}
	whole := l.downloads(4)
	l.silence("3") // nobody needs it yet
	if n := whole(); n != 4 {
		t.Errorf("%d of 4 downloads were whole", n)
	}
	l.serve("3")
	t.Run("sorry server", func(t *testing.T) {
		l.silence("1")
		l.eventually("one is left", func() bool { return only(l.who(4), "2") })
		l.silence("2")
		l.eventually("the sorry server", func() bool { return only(l.who(4), "3") })
		if text := d.ctl("services"); !strings.Contains(text, "NO QUORUM: weight 0 of 1, the sorry server answers") {
			t.Errorf("services:\n%s", text)
		}
		l.serve("1")
		l.eventually("it leaves again", func() bool { return only(l.who(4), "1") })
	})
	t.Run("ipvsadm", func(t *testing.T) {
		admin := filepath.Join(l.dir, "ipvsadm")
		if err := os.Symlink(program, admin); err != nil {
			t.Fatal(err)
		}
		do := func(args ...string) string {
			return said(l.in("d", append([]string{admin}, args...)...))
		}
		if got := do("-a", "-t", vip+":80", "-r", "10.80.0.23:8080", "-m"); got != "" {
			t.Errorf("-a: %s", got)
		}
		l.eventually("a server by hand", func() bool { return only(l.who(8), "1", "3") })
		if got := do("-a", "-t", vip+":80", "-r", "10.80.0.23:8080", "-m"); !strings.Contains(got, "Destination already exists") {
			t.Errorf("-a again: %s", got)
		}
		if got := do("-e", "-t", vip+":80", "-r", "10.80.0.21:8080", "-m", "-w", "0"); got != "" {
			t.Errorf("-e: %s", got)
		}
		l.eventually("one is drained", func() bool { return only(l.who(4), "3") })
		list := strings.Join(strings.Fields(do("-Ln")), " ")
		for _, want := range []string{"IP Virtual Server version", "TCP " + vip + ":80 wrr", "-> 10.80.0.21:8080 Masq 0 ", "-> 10.80.0.23:8080 Masq 1 "} {
			if !strings.Contains(list, want) {
				t.Errorf("-Ln does not have %q:\n%s", want, list)
			}
		}
		if got := do("-Lnc"); !strings.Contains(got, vip+":80") {
			t.Errorf("-Lnc: %s", got)
		}
		d.reload(text)
		l.eventually("the reload puts it right", func() bool { return only(l.who(4), "1") })
	})
}

// TestVirtualOnly is a configuration without any vrrp_instance: the address is
// the host's own.
func TestVirtualOnly(t *testing.T) {
	l := newLAN(t)
	l.direct()
	l.serve("1")
	l.ip("d", "addr add "+vip+"/24 dev eth0")
	l.director("d", virtual("DR", "wlc", "", real("10.79.0.21 80", "")))
	if seen := l.count(3); !only(seen, "1") {
		t.Errorf("requests went to %v", seen)
	}
}

// TestSuspend: while the address is elsewhere nothing is checked.
func TestSuspend(t *testing.T) {
	l := newLAN(t)
	l.direct()
	l.serve("1")
	d := l.director("d", virtual("DR", "wlc", "  ha_suspend", real("10.79.0.21 80", "")))
	l.eventually("suspended", func() bool { return strings.Contains(d.ctl("services"), "suspended: its address is not here") })
	l.ip("d", "addr add "+vip+"/24 dev eth0")
	l.eventually("checked", func() bool {
		text := d.ctl("services")
		return !strings.Contains(text, "suspended") && d.connected() == 1
	})
	if seen := l.count(2); !only(seen, "1") {
		t.Errorf("requests went to %v", seen)
	}
	l.ip("d", "addr del "+vip+"/24 dev eth0")
	l.eventually("suspended again", func() bool { return strings.Contains(d.ctl("services"), "suspended") })
}

// TestCheck: what this host lacks is said before anything is started.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "lvs.conf")
	text := strings.Replace(virtual("NAT", "lblc", "", real("10.79.0.21 80", "")), "TCP", "SCTP", 1)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program, "check", file).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "SCTP: ebpf does not forward it") || !strings.Contains(string(out), "lvs.conf:1:1") ||
		!strings.Contains(string(out), "lvs_backend ipvs") {
		t.Errorf("%v:\n%s", err, out)
	}
	if _, err := os.Stat("/proc/net/ip_vs"); err == nil {
		return // this kernel has IPVS
	}
	if err := os.WriteFile(file, []byte("global_defs {\n  lvs_backend ipvs\n}\n"+text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err = exec.Command(program, "check", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "ipvs: ") || !strings.Contains(string(out), "ip_vs") && !strings.Contains(string(out), "IPVS") {
		t.Errorf("%v:\n%s", err, out)
	}
}
