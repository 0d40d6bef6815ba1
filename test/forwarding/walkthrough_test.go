package forwarding

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"evenkeel/test/subject"
)

// names makes a directory with the program under the names that people type.
func (l *lan) names() string {
	l.t.Helper()
	bin := filepath.Join(l.dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		l.t.Fatal(err)
	}
	for _, name := range []string{"evenkeel", "ipvsadm", "keepalived"} {
		if err := os.Symlink(program, filepath.Join(bin, name)); err != nil && !os.IsExist(err) {
			l.t.Fatal(err)
		}
	}
	return bin
}

// types runs commands on a node as somebody types them, each of which has to
// work, and gives what they print.
func (l *lan) types(n, commands string) string {
	l.t.Helper()
	text, err := l.typed(n, commands)
	if err != nil {
		l.t.Fatalf("%s# %s\n%s%v", n, commands, text, err)
	}
	return text
}

func (l *lan) typed(n, commands string) (string, error) {
	cmd := l.in(n, "sh", "-e", "-c", commands)
	cmd.Env = append(os.Environ(), "PATH="+l.names()+":"+os.Getenv("PATH"))
	out := &subject.Output{}
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	return out.String(), err
}

// curl asks n times through the virtual address, as the write-ups do. Each time
// somebody answers, or refuses, or has all of the patience.
func (l *lan) curl(n int) map[string]int { return l.curlWithin(n, patience) }

func (l *lan) curlWithin(n int, within time.Duration) map[string]int {
	seen := map[string]int{}
	for range n {
		text, err := l.in("c", "curl", "-s", "-m", fmt.Sprint(within.Seconds()), "http://"+vip+"/").Output()
		name, _, _ := strings.Cut(string(text), " ")
		if err != nil || name == "" {
			name = "nobody"
		}
		seen[name]++
	}
	return seen
}

// started are the directors that ipvsadm has started on a node.
func (l *lan) started(n string) (pids []int) {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	space, err := os.Stat("/run/netns/" + l.prefix + n)
	if err != nil {
		return nil
	}
	for _, file := range all {
		b, _ := os.ReadFile(file)
		words := strings.Split(string(b), "\x00")
		if len(words) < 2 || words[1] != "director" {
			continue
		}
		dir := filepath.Dir(file)
		if own, err := os.Stat(dir + "/ns/net"); err != nil || !os.SameFile(own, space) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(dir))
		stat, _ := os.ReadFile(dir + "/stat")
		// The keeper's parent is not one of them: the failover process is its child.
		if _, rest, ok := strings.Cut(string(stat), ") "); ok && len(strings.Fields(rest)) > 1 {
			parent, _ := strconv.Atoi(strings.Fields(rest)[1])
			if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", parent)); !strings.Contains(string(b), "\x00director\x00") {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// signal sends a signal to processes and waits until they are gone.
func (l *lan) end(pids []int, s syscall.Signal) {
	l.t.Helper()
	for _, pid := range pids {
		_ = syscall.Kill(pid, s)
	}
	l.eventually("the processes end", func() bool {
		return !slices.ContainsFunc(pids, func(pid int) bool {
			b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			return len(b) > 0
		})
	})
}

// clearByHand leaves nothing of what was forwarded by hand.
func (l *lan) clearByHand() {
	_, _ = l.typed("d", "ipvsadm -C")
	l.end(l.started("d"), syscall.SIGTERM)
}

func needsNoIPVS(t *testing.T) {
	if _, err := os.Stat("/proc/net/ip_vs"); err == nil {
		t.Skip("this kernel has IPVS, which ipvsadm then speaks to")
	}
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
}

// TestByHandNAT is LVS-NAT as the write-ups do it, on a director where nothing of
// ours runs before the first ipvsadm.
func TestByHandNAT(t *testing.T) {
	needsNoIPVS(t)
	l := newLAN(t)
	t.Cleanup(l.clearByHand)
	for _, n := range []string{"1", "2"} {
		l.serve(n)
		l.types(n, "ip addr del 10.79.0.2"+n+"/24 dev eth0; ip route add default via "+insideVIP)
	}
	l.types("d", "echo 1 > /proc/sys/net/ipv4/ip_forward; ip addr add "+vip+"/24 dev eth0; ip addr add "+insideVIP+"/24 dev eth0")

	if got := l.types("d", "ipvsadm -C; ipvsadm -Ln"); !strings.HasPrefix(got, "IP Virtual Server version") || strings.Contains(got, vip) {
		t.Errorf("nothing is listed as\n%s", got)
	}
	if len(l.started("d")) > 0 {
		t.Error("a listing has started a director")
	}
	if got, err := l.typed("d", "ipvsadm -a -t "+vip+":80 -r 10.80.0.21:80 -m"); err == nil || !strings.Contains(got, "Service not defined") {
		t.Errorf("a server of no service: %v\n%s", err, got)
	}
	l.types("d", "ipvsadm -A -t "+vip+":80 -s rr")
	l.types("d", "ipvsadm -a -t "+vip+":80 -r 10.80.0.21:80 -m")
	l.types("d", "ipvsadm -a -t "+vip+":80 -r 10.80.0.22:80 -m")
	want := "TCP  " + vip + ":80 rr\n  -> 10.80.0.21:80                Masq    1      0          0         \n  -> 10.80.0.22:80                Masq    1      0          0         \n"
	if got := l.types("d", "ipvsadm -Ln"); !strings.HasSuffix(got, want) {
		t.Errorf("ipvsadm -Ln:\n%s", got)
	}
	if seen := l.curl(10); seen["1"] != 5 || seen["2"] != 5 {
		t.Errorf("ten requests went to %v", seen)
	}
	l.types("d", "ipvsadm -d -t "+vip+":80 -r 10.80.0.21:80")
	if seen := l.curl(4); !only(seen, "2") {
		t.Errorf("after -d: %v", seen)
	}
	l.types("d", "ipvsadm -a -t "+vip+":80 -r 10.80.0.21:80 -m -w 3; ipvsadm -E -t "+vip+":80 -s wrr")
	if seen := l.curl(8); seen["1"] != 6 || seen["2"] != 2 {
		t.Errorf("by weights 3 and 1: %v", seen)
	}

	t.Run("the director's process ends", func(t *testing.T) {
		before := l.types("d", "ipvsadm -Sn")
		whole := l.downloads(2)
		for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
			l.end(l.started("d"), s)
			if seen := l.curl(8); seen["1"] != 6 || seen["2"] != 2 {
				t.Errorf("without it (%v): %v", s, seen)
			}
			if got := l.types("d", "ipvsadm -Sn"); got != before {
				t.Errorf("then (%v) its services are\n%snot\n%s", s, got, before)
			}
		}
		if n := whole(); n != 2 {
			t.Errorf("%d of 2 downloads came through", n)
		}
	})
	t.Run("save and restore", func(t *testing.T) {
		l.types("d", "ipvsadm -Sn > "+l.dir+"/rules; ipvsadm -C")
		if seen := l.curlWithin(1, asking); seen["nobody"] != 1 {
			t.Errorf("after -C: %v", seen)
		}
		l.types("d", "ipvsadm -R < "+l.dir+"/rules")
		if seen := l.curl(8); seen["1"] != 6 || seen["2"] != 2 {
			t.Errorf("after -R: %v", seen)
		}
	})
	t.Run("a configuration takes its place", func(t *testing.T) {
		whole := l.downloads(2)
		d := l.director("d", virtual("NAT", "rr", "", real("10.80.0.21 80", ""), real("10.80.0.22 80", "")))
		if pids := l.started("d"); len(pids) > 0 {
			t.Errorf("directors without a configuration still run: %v", pids)
		}
		if seen := l.curl(4); seen["1"] != 2 || seen["2"] != 2 {
			t.Errorf("the configuration's rr: %v", seen)
		}
		if n := whole(); n != 2 {
			t.Errorf("%d of 2 downloads came through", n)
		}
		d.stop()
		if got := l.types("d", "ipvsadm -Ln"); strings.Contains(got, vip) || len(l.started("d")) > 0 {
			t.Errorf("the configuration has ended, and there is\n%s", got)
		}
	})
}

// TestByHandDR is LVS-DR as the write-ups do it: the address on lo and ARP kept
// quiet on the real servers.
func TestByHandDR(t *testing.T) {
	needsNoIPVS(t)
	l := newLAN(t)
	t.Cleanup(l.clearByHand)
	for _, n := range []string{"1", "2"} {
		l.serve(n)
		l.types(n, `echo 1 > /proc/sys/net/ipv4/conf/lo/arp_ignore
			echo 2 > /proc/sys/net/ipv4/conf/lo/arp_announce
			echo 1 > /proc/sys/net/ipv4/conf/all/arp_ignore
			echo 2 > /proc/sys/net/ipv4/conf/all/arp_announce
			ip addr add `+vip+`/32 dev lo`)
	}
	got := l.types("d", `ip addr add `+vip+`/32 dev eth0
		ipvsadm -C
		ipvsadm -A -t `+vip+`:80 -s rr
		ipvsadm -a -t `+vip+`:80 -r 10.79.0.21:80 -g
		ipvsadm -a -t `+vip+`:80 -r 10.79.0.22:80 -g
		ipvsadm -Ln`)
	for _, want := range []string{"TCP  " + vip + ":80 rr\n", "-> 10.79.0.21:80                Route   1 ", "-> 10.79.0.22:80                Route   1 "} {
		if !strings.Contains(got, want) {
			t.Errorf("ipvsadm -Ln has no %q:\n%s", want, got)
		}
	}
	if seen := l.curl(10); seen["1"] != 5 || seen["2"] != 5 {
		t.Errorf("ten requests went to %v", seen)
	}
	// Nothing checks by hand: a server that is stopped keeps its turns.
	l.silence("1")
	if seen := l.curl(4); seen["2"] != 2 || seen["nobody"] != 2 {
		t.Errorf("with one stopped: %v", seen)
	}
	l.serve("1")
	if seen := l.curl(4); seen["1"] != 2 || seen["2"] != 2 {
		t.Errorf("with both again: %v", seen)
	}
	l.types("d", "ipvsadm -C")
	if seen := l.curlWithin(1, asking); seen["nobody"] != 1 {
		t.Errorf("after -C: %v", seen)
	}
	l.end(l.started("d"), syscall.SIGTERM)
	if got := l.types("d", "ipvsadm -Ln"); strings.Contains(got, vip) || len(l.started("d")) > 0 {
		t.Errorf("after all of it there is\n%s", got)
	}
}

// writtenUp is the keepalived.conf of the write-ups, with shorter times.
func writtenUp(state string, priority int) string {
	return fmt.Sprintf(`! Configuration File for keepalived
global_defs {
   notification_email {
         root@localhost
   }
   notification_email_from keepalived@localhost
   smtp_server 127.0.0.1
   smtp_connect_timeout 30
   router_id LVS_DEVEL
}

vrrp_instance VI_1 {
    state %s
    interface eth0
    virtual_router_id 51
    priority %d
    advert_int 1
    authentication {
        auth_type PASS
        auth_pass 1111
    }
    virtual_ipaddress {
        %s
    }
}

virtual_server %s 80 {
    delay_loop 1
    lb_algo rr
    lb_kind DR
    nat_mask 255.255.255.0
    protocol TCP

    real_server 10.79.0.21 80 {
        weight 1
        TCP_CHECK {
            connect_timeout 3
            nb_get_retry 1
            delay_before_retry 1
            connect_port 80
        }
    }
    real_server 10.79.0.22 80 {
        weight 1
        TCP_CHECK {
            connect_timeout 3
            nb_get_retry 1
            delay_before_retry 1
            connect_port 80
        }
    }
}
`, state, priority, vip, vip)
}

// TestWrittenUp is the pair of directors that the write-ups end with: LVS-DR
// inside keepalived.conf, run by keepalived's name.
func TestWrittenUp(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	l := newLAN(t)
	l.direct()
	l.serve("1")
	l.serve("2")
	d := l.keepalived("d", writtenUp("MASTER", 150))
	e := l.keepalived("e", writtenUp("BACKUP", 100))
	l.eventually("the master", func() bool { return l.holds("d", vip) && !l.holds("e", vip) })
	l.eventually("both are checked", func() bool { return d.connected() == 2 })
	if seen := l.curl(10); seen["1"] != 5 || seen["2"] != 5 {
		t.Errorf("ten requests went to %v", seen)
	}
	l.silence("1")
	l.eventually("server 1 leaves", func() bool { return only(l.curlWithin(4, asking), "2") })
	if got := l.types("d", "ipvsadm -Ln"); strings.Contains(got, "10.79.0.21") || !strings.Contains(got, "-> 10.79.0.22:80                Route   1") {
		t.Errorf("ipvsadm -Ln:\n%s", got)
	}
	l.serve("1")
	l.eventually("server 1 comes back", func() bool { return only(l.curlWithin(4, asking), "1", "2") })

	d.stop()
	if seen := l.curl(4); !only(seen, "1", "2") {
		t.Errorf("the backup, when the master has stopped: %v", seen)
	}
	if got := l.types("e", "ip addr show eth0"); !strings.Contains(got, vip) {
		t.Errorf("ip addr show eth0:\n%s", got)
	}
	e.stop()
	if seen := l.curlWithin(2, asking); seen["nobody"] != 2 {
		t.Errorf("with both stopped: %v", seen)
	}
}

// TestRealServer is `evenkeel realserver` on both ends: from a director it is
// heard who takes clients away, and by whom.
func TestRealServer(t *testing.T) {
	l := newLAN(t)
	l.serve("1")
	l.serve("2")
	for _, a := range []string{vip + "/24", "fd79::100/64"} {
		l.ip("d", "addr add "+a+" dev eth0")
	}
	l.director("d", virtual("DR", "rr", "", real("10.79.0.21 80", ""), real("10.79.0.22 80", "")))
	ask := func() string {
		text, _ := l.typed("d", "evenkeel realserver check -from-director eth0 "+vip+" fd79::100; echo all well")
		return text
	}
	l.realserver("2", "up", vip)
	if got := ask(); !strings.Contains(got, "ok      nobody on eth0 answers for these addresses\nall well") {
		t.Errorf("with one real server that is up:\n%s", got)
	}
	l.ip("1", "addr add "+vip+"/32 dev lo") // and ARP is forgotten
	if got := ask(); !strings.Contains(got, "MISSING 10.79.0.21 (") || !strings.Contains(got, "answers for "+vip+" on eth0: clients go to it past the director (there: evenkeel realserver up "+vip+")") || strings.Contains(got, "10.79.0.22") || strings.Contains(got, "all well") {
		t.Errorf("with one that answers ARP:\n%s", got)
	}
	if got := l.realserver("1", "check", vip); !strings.Contains(got, "MISSING arp_ignore is 0 on eth0") || !strings.Contains(got, "exit status 1") {
		t.Errorf("there:\n%s", got)
	}
	l.realserver("1", "up", vip)
	if got := ask(); !strings.Contains(got, "all well") {
		t.Errorf("after up:\n%s", got)
	}
	if got := l.realserver("1", "check"); strings.Contains(got, "MISSING") || strings.Contains(got, "exit status") {
		t.Errorf("there, after up:\n%s", got)
	}
	if seen := l.count(4); seen["1"] != 2 || seen["2"] != 2 {
		t.Errorf("requests went to %v", seen)
	}
	// The address stays where it was put by hand; what up did is undone.
	if got := l.realserver("1", "down"); !strings.Contains(got, "net.ipv4.conf.all.arp_ignore is 0 again") {
		t.Errorf("down:\n%s", got)
	}
	if got := ask(); !strings.Contains(got, "MISSING 10.79.0.21 (") {
		t.Errorf("after down:\n%s", got)
	}
}
