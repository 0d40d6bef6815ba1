package forwarding

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// marking is how users mark what comes to a virtual address: both ports of a site,
// by iptables.
func (l *lan) marking(number int, addresses ...string) {
	l.t.Helper()
	for _, a := range addresses {
		program := "iptables"
		if strings.Contains(a, ":") {
			program = "ip6tables"
		}
		for _, protocol := range []string{"tcp", "udp"} {
			l.run("nsenter", "--net=/run/netns/"+l.prefix+"d", program, "-w", "-t", "mangle", "-A", "PREROUTING", "-d", a,
				"-p", protocol, "-m", "multiport", "--dports", "80,81", "-j", "MARK", "--set-mark", fmt.Sprint(number))
		}
	}
}

// byMark are virtual servers of one mark, for IPv4 and IPv6, with one answer for
// both ports.
func byMark(number int, method, network string) (text string) {
	for _, family := range []struct{ name, prefix string }{{"inet", "10." + network + ".0."}, {"inet6", "fd" + network + "::"}} {
		text += fmt.Sprintf("virtual_server fwmark %d {\n  delay_loop 0.5\n  warmup 0\n  ip_family %s\n  lb_algo rr\n  lb_kind %s\n  persistence_timeout 600\n", number, family.name, method)
		for _, last := range []string{"21", "22"} {
			text += fmt.Sprintf("  real_server %s%s {\n    TCP_CHECK {\n      connect_port 80\n      connect_timeout 10\n      retry 3\n    }\n  }\n", family.prefix, last)
		}
		text += "}\n"
	}
	return text
}

// site asks as one client for all that a site has, and says which servers have
// answered.
func (l *lan) site(from, address string, within time.Duration) map[string]int {
	seen := map[string]int{}
	for _, network := range []string{"tcp", "udp"} {
		for _, port := range []string{"80", "81"} {
			name := "nobody"
			if conn, err := l.dialFrom(network, from, net.JoinHostPort(address, port), within); err == nil {
				_ = conn.SetDeadline(time.Now().Add(within))
				text := ""
				if network == "tcp" {
					text, err = ask(conn, "/")
				} else {
					text, err = datagram(conn, []byte("x"))
				}
				conn.Close()
				if words := strings.Fields(text); err == nil && len(words) > 1 && words[1] == from {
					name = words[0]
				}
			}
			seen[name]++
		}
	}
	return seen
}

// whole says which one server has answered everything; "" when it was not one.
func whole(seen map[string]int) string {
	for name, n := range seen {
		if n == 4 && name != "nobody" {
			return name
		}
	}
	return ""
}

// TestMarksOfIptables: the addresses are the director's own, iptables marks what
// comes to two ports of them, and the services are those of the marks: a client
// has one server for both ports. That goes on when all processes are killed, and
// nothing is left of it after the end.
func TestMarksOfIptables(t *testing.T) {
	for _, need := range []string{"iptables", "ip6tables", "nft"} {
		if _, err := exec.LookPath(need); err != nil {
			t.Skipf("%s is not installed", need)
		}
	}
	if _, err := os.Stat(streamModule); err != nil {
		t.Skip("nginx has no stream module (libnginx-mod-stream), for UDP")
	}
	l := newLAN(t)
	l.sysctl("d", "net.ipv6.conf.all.forwarding=1")
	for _, a := range []string{insideVIP + "/24", "fd80::1/64", "10.79.0.101/24", "fd79::101/64", "10.79.0.102/24", "fd79::102/64"} {
		l.ip("d", "addr add "+a+" dev eth0")
	}
	for _, n := range []string{"1", "2"} {
		l.serve(n)
		l.ip(n, "route add default via "+insideVIP)
		l.ip(n, "-6 route add default via fd80::1")
		l.sysctl(n, "net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2")
		l.ip(n, "addr add 10.79.0.102/32 dev lo")
		l.ip(n, "addr add fd79::102/128 dev lo")
	}
	// Of many clients: by NAT in a network behind the director, by DR beside it.
	type way struct{ method, from, to, prefix string }
	ways := []way{{"NAT", "10.81.0.", "10.79.0.101", "/24"}, {"NAT", "fd81::", "fd79::101", "/64"}, {"DR", "10.79.0.", "10.79.0.102", "/24"}, {"DR", "fd79::", "fd79::102", "/64"}}
	for _, w := range ways {
		for last := 31; last <= 35; last++ {
			l.ip("c", fmt.Sprintf("addr add %s%d%s dev eth0", w.from, last, w.prefix))
		}
	}
	l.marking(1, "10.79.0.101", "fd79::101")
	l.marking(2, "10.79.0.102", "fd79::102")
	rules := func() string {
		return l.run("nsenter", "--net=/run/netns/"+l.prefix+"d", "nft", "list", "tables")
	}
	before := rules()
	d := l.director("d", byMark(1, "NAT", "80")+byMark(2, "DR", "79"))
	if strings.Contains(d.log.String(), "marks of nftables") {
		t.Fatalf("marks are not seen here:\n%s", d.log)
	}
	l.eventually("all servers are up", func() bool { return strings.Count(d.services(), " up ") >= 8 })

	server := map[string]string{}
	clients := func(first, last int) {
		t.Helper()
		for _, w := range ways {
			took := map[string]int{}
			for n := first; n <= last; n++ {
				from := w.from + fmt.Sprint(n)
				seen := l.site(from, w.to, patience)
				name := whole(seen)
				if was := server[from+w.to]; name == "" || was != "" && was != name {
					t.Errorf("%s: %s is answered by %v, before by %q", w.method, from, seen, was)
				}
				server[from+w.to] = name
				took[name]++
			}
			if n := last - first + 1; n > 1 && (took["1"] != n/2 || took["2"] != n/2) {
				t.Errorf("%s to %s: servers of %d clients by turns: %v", w.method, w.to, n, took)
			}
		}
	}
	clients(31, 32)
	for _, w := range ways {
		for _, network := range []string{"tcp", "udp"} {
			c := cell{w.method, network, strings.Contains(w.to, ":"), w.to[len(w.to)-3:]}
			t.Run(c.name(), func(t *testing.T) {
				if network == "tcp" {
					l.megabytes(t, c)
				} else {
					l.datagrams(t, c)
				}
			})
		}
	}
	t.Run("ipvsadm", func(t *testing.T) { l.marksByHand(t, d) })

	t.Run("killed", func(t *testing.T) {
		child := d.another(0)
		_ = syscall.Kill(d.cmd.Process.Pid, syscall.SIGSTOP) // so that it starts no other
		_ = syscall.Kill(child, syscall.SIGKILL)
		_ = d.cmd.Process.Kill()
		_ = d.cmd.Wait()
		l.eventually("its processes end", func() bool { return syscall.Kill(child, 0) != nil })
		clients(31, 32)
		clients(33, 34)
		// What takes packets to the programs is what the next process puts back.
		for _, family := range []string{"ip", "ip6"} {
			l.run("nsenter", "--net=/run/netns/"+l.prefix+"d", "nft", "delete", "table", family, "evenkeel_marks")
		}
		for _, w := range ways {
			if seen := l.site(w.from+"35", w.to, asking); seen["nobody"] != 4 { // who has been nowhere yet
				t.Errorf("without tables %s is answered by %v", w.to, seen)
			}
		}
		d.restart()
		l.eventually("the tables are put back", func() bool { return strings.Count(rules(), "evenkeel_marks") == 2 })
		clients(33, 34)
	})
	d.stop()
	if got := rules(); got != before {
		t.Errorf("tables are left:\n%s", got)
	}
	if seen := l.site("10.81.0.31", "10.79.0.101", asking); seen["nobody"] != 4 {
		t.Errorf("without a director %v answered", seen)
	}
}

// marksByHand: counters of marks, and a service of one more, in ipvsadm's words.
func (l *lan) marksByHand(t *testing.T, d *director) {
	admin := filepath.Join(l.dir, "ipvsadm")
	if err := os.Symlink(program, admin); err != nil {
		t.Fatal(err)
	}
	do := func(args ...string) string { return said(l.in("d", append([]string{admin}, args...)...)) }
	// Name, connections, packets in and out, bytes in and out.
	list := do("-Ln", "--stats", "--exact")
	for _, want := range []struct {
		words []string
		out   bool // answers come by here, too
	}{{[]string{"FWM", "1"}, true}, {[]string{"FWM", "1", "IPv6"}, true}, {[]string{"FWM", "2"}, false}, {[]string{"FWM", "2", "IPv6"}, false}} {
		found := false
		for line := range strings.Lines(list) {
			words := strings.Fields(line)
			if len(words) != len(want.words)+5 || strings.Join(words[:len(want.words)], " ") != strings.Join(want.words, " ") {
				continue
			}
			var n [5]int
			for i, w := range words[len(want.words):] {
				_, _ = fmt.Sscan(w, &n[i])
			}
			// Two clients with four each, and those of the large ones; 4 MB each way.
			found = n[0] >= 8 && n[3] > bigSize && (n[4] > bigSize) == want.out
		}
		if !found {
			t.Errorf("counters of %v:\n%s", want.words, list)
		}
	}
	l.ip("d", "addr add 10.79.0.103/24 dev eth0")
	l.marking(3, "10.79.0.103")
	for _, command := range []string{"-A -f 3 -s rr -p 600", "-a -f 3 -r 10.80.0.21:0 -m", "-a -f 3 -r 10.80.0.22:0 -m"} {
		if got := do(strings.Fields(command)...); got != "" {
			t.Errorf("%s: %s", command, got)
		}
	}
	seen := map[string]int{}
	for _, from := range []string{"10.81.0.31", "10.81.0.32"} {
		seen[whole(l.site(from, "10.79.0.103", patience))]++
	}
	if seen["1"] != 1 || seen["2"] != 1 {
		t.Errorf("by hand, servers of two clients: %v", seen)
	}
	if got := do("-D", "-f", "3"); got != "" {
		t.Errorf("-D: %s", got)
	}
	if seen := l.site("10.81.0.34", "10.79.0.103", asking); seen["nobody"] != 4 {
		t.Errorf("of a service that was removed %v answered", seen)
	}
	if t.Failed() {
		t.Log(d.services())
	}
}
