package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The whole way: up, what a user sees, drills with keepalived on the nodes, down.
func TestUpDrillDown(t *testing.T) {
	p := newPlace(t)
	topology := slower(t, "v3-50ms")
	out := p.must("up", "-software", "keepalived", topology)
	if !strings.Contains(out, "amber has 10.77.0.10") {
		t.Errorf("up said:\n%s", out)
	}
	page, err := exec.Command("ip", "netns", "exec", p.prefix+"v3fast-client", "curl", "-s", "-m", "30", "http://10.77.0.10/").CombinedOutput()
	if got := strings.TrimSpace(string(page)); err != nil || (got != "cedar" && got != "dune") {
		t.Errorf("the client got %q, %v", got, err)
	}
	if _, err := p.lab("up", "-software", "keepalived", topology); err == nil || !strings.Contains(err.Error(), "up already") {
		t.Errorf("a second up: %v", err)
	}
	html := filepath.Join(t.TempDir(), "page.html")
	names := []string{"stop", "kill-all", "freeze-all", "carrier-loss", "host-failure", "reload"}
	p.drill(names, 2, judgeKeepalived, "-software", "keepalived", "-o", html)
	for _, want := range []string{"two owners", "kill-all"} {
		if !strings.Contains(p.table, want) {
			t.Errorf("no %q in the table:\n%s", want, p.table)
		}
	}
	if b, err := os.ReadFile(html); err != nil || !strings.Contains(string(b), "</svg>") || !strings.HasSuffix(strings.TrimSpace(string(b)), "</html>") {
		t.Errorf("the page: %v, %d bytes", err, len(b))
	}
	p.must("down", "v3fast")
	p.clean()
	if _, err := p.lab("down", "v3fast"); err == nil {
		t.Error("a second down found something")
	}
}

// judgeKeepalived is what must be true of keepalived under these failures,
// however fast this machine is.
func judgeKeepalived(d drill, r attempt) (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	f := r.Failure
	if d.Software != "keepalived" || r.Victim != "amber" {
		say("victim %s of %s", r.Victim, d.Software)
	}
	moves := d.Name == "stop" || d.Name == "carrier-loss" || d.Name == "host-failure"
	if f.moved("10.77.0.10") != moves || !moves && len(f.Moves) > 0 {
		say("moves %v", f.Moves)
	}
	// The addresses of what died or froze stay on the node: two owners until somebody repairs it.
	stays := d.Name == "kill-all" || d.Name == "freeze-all"
	if f.Still != stays || stays && f.Duplicate == 0 {
		say("two owners for %s, still %v", f.Duplicate, f.Still)
	}
	if d.Name == "carrier-loss" || d.Name == "host-failure" {
		// The backup waits for three intervals; nobody answers meanwhile.
		if f.Takeover <= 0 || f.Outage == 0 && !r.starved() {
			say("outage %s, takeover %s", f.Outage, f.Takeover)
		}
	}
	if d.Name == "reload" && f.Outage >= interval {
		say("outage %s", f.Outage)
	}
	if f.Open {
		say("nobody has the address")
	}
	return wrong
}

// The lab's own process is killed in the middle of a drill; down finds all.
func TestKilled(t *testing.T) {
	p := newPlace(t)
	cmd := p.command("drill", "-software", "keepalived", "-topology", example("v3-50ms"), "freeze-all", "silent-isolation")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.until("keepalived on both nodes", func() bool { return running(p, "keepalived") >= 4 })
	cmd.Process.Kill()
	cmd.Wait()
	if len(p.traces()) == 0 {
		t.Error("nothing is left, so this test shows nothing")
	}
	p.must("down")
	p.clean()
	// And a new one is not disturbed by what a killed one leaves. One that was
	// whole before it was killed is none of that kind: then it is tried again.
	up := []string{"-software", "keepalived", slower(t, "v3-50ms")}
	for tries := 5; ; tries-- {
		cmd = p.command("up", up...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		p.until("a first namespace", p.begun)
		cmd.Process.Kill()
		cmd.Wait()
		_, err := p.lab("up", up...)
		if err == nil {
			break
		}
		if tries == 1 || !strings.Contains(err.Error(), "is up already") {
			t.Fatal(err)
		}
		p.must("down", "v3fast")
	}
	p.must("down", "v3fast")
	p.clean()
}

// running counts the lab's processes of a program.
func running(p *place, name string) (n int) {
	for _, trace := range p.traces() {
		if strings.Contains(trace, "/usr/sbin/"+name) {
			n++
		}
	}
	return n
}

// Ctrl-C ends a drill, a cluster that stays, and one that is being made.
func TestInterrupted(t *testing.T) {
	p := newPlace(t)
	for _, c := range []struct {
		name string
		args []string
		when func() bool
	}{
		{"drill", []string{"drill", "-software", "keepalived", "-topology", example("v3-50ms"), "freeze-all"}, func() bool { return running(p, "keepalived") >= 4 }},
		{"up -stay", []string{"up", "-stay", "-software", "keepalived", example("v3-50ms")}, func() bool { return running(p, "keepalived") >= 4 }},
		{"up at its beginning", []string{"up", "-software", "keepalived", example("v3-50ms")}, p.begun},
	} {
		cmd := p.command(c.args[0], c.args[1:]...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		p.until(c.name, c.when)
		cmd.Process.Signal(syscall.SIGINT)
		cmd.Wait()
		if found := p.traces(); len(found) > 0 {
			t.Errorf("%s: left behind:\n%s", c.name, strings.Join(found, "\n"))
			p.lab("down")
		}
	}
}

// A process that somebody has put into a node goes with it, and one outside
// that only looks alike does not.
func TestDownEndsOnlyItsOwn(t *testing.T) {
	p := newPlace(t)
	p.must("up", "-software", "keepalived", slower(t, "v3-50ms"))
	guest := exec.Command("ip", "netns", "exec", p.prefix+"v3fast-amber", "sleep", "600")
	other := exec.Command("sleep", "600")
	other.Env = append(os.Environ(), "EVENKEEL_LAB="+p.prefix+"v3fast2")
	for _, cmd := range []*exec.Cmd{guest, other} {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	}
	ended := make(chan error, 1)
	go func() { ended <- guest.Wait() }()
	p.until("the guest in the namespace", func() bool {
		node, err := os.Stat("/run/netns/" + p.prefix + "v3fast-amber")
		if err != nil {
			return false
		}
		in, err := os.Stat("/proc/" + strconv.Itoa(guest.Process.Pid) + "/ns/net")
		return err == nil && os.SameFile(node, in)
	})
	p.must("down", "v3fast")
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Error("a process in a node's namespace outlives the lab")
	}
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("a process that is not the lab's was ended: %v", err)
	}
	other.Process.Kill()
	other.Wait()
	p.clean()
}

// Faults of users are answered with what to do.
func TestMessages(t *testing.T) {
	p := newPlace(t)
	broken := filepath.Join(t.TempDir(), "lab.conf")
	if err := os.WriteFile(broken, []byte("lab x\nnetwork a 10.0.0.0/24\ndirektor b 10.0.0.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"up", broken}, broken + `:3:1: there is no "direktor" here; a line begins with one of lab, network, client, director`},
		{[]string{"up", "-software", "apache", example("pair")}, `directors cannot run "apache"; they run one of evenkeel, keepalived`},
		{[]string{"up", "-software", "cherry=keepalived", example("pair")}, `no director of pair is called "cherry"`},
		{[]string{"up", "-software", "keepalived,keepalived", example("pair")}, "for one director NAME=keepalived"},
		{[]string{"drill", "-topology", example("pair"), "-victim", "cherry"}, `no director of pair is called "cherry"`},
		{[]string{"up"}, "which TOPOLOGY?"},
		{[]string{"drill"}, "no lab is up; make one with `evenkeel lab up TOPOLOGY`"},
		{[]string{"drill", "-topology", example("v3-50ms"), "-software", "keepalived", "kill-everybody"}, `there is no drill "kill-everybody"; there are stop, kill-failover`},
		{[]string{"down", "nothing"}, "there is no lab nothing"},
	} {
		if _, err := p.lab(c.args[0], c.args[1:]...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("lab %s:\n got %v\nwant %s", strings.Join(c.args, " "), err, c.want)
		}
	}
	p.clean()
}

// Addresses of both families are watched, asked for, and move together.
func TestBothFamilies(t *testing.T) {
	p := newPlace(t)
	judge := func(d drill, r attempt) (wrong []string) {
		say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
		f := r.Failure
		if r.Victim != "amber" || d.Software == "evenkeel" && r.Note != "" {
			say("victim %s, %s", r.Victim, r.Note)
		}
		if d.Name == "kill-all" && d.Software == "keepalived" {
			if !f.Still {
				say("its addresses stay on the node, so there are two owners: %+v", f)
			}
			return wrong
		}
		if len(f.Moves) != 2 || !f.moved("10.77.0.10") || !f.moved("fd77::10") {
			say("moves %v", f.Moves)
		}
		if f.Still || f.Open {
			say("still two owners %v, nobody %v", f.Still, f.Open)
		}
		if (d.Name == "link-down" || d.Name == "host-failure") && (f.Takeover <= 0 || f.Outage == 0 && !r.starved()) {
			say("outage %s, takeover %s; the backup waits for three intervals", f.Outage, f.Takeover)
		}
		return wrong
	}
	p.drill([]string{"stop", "link-down", "host-failure", "kill-all"}, 1, judge, "-topology", slower(t, "ipv6"), "-software", "evenkeel", "-with", "keepalived")
	p.clean()
}

// One director runs evenkeel and the other keepalived, in both roles.
func TestMixed(t *testing.T) {
	p := newPlace(t)
	topology := slower(t, "v3-50ms")
	for _, c := range []struct{ set, victim, software string }{
		{"birch=keepalived", "amber", "evenkeel"}, {"keepalived,birch=evenkeel", "amber", "keepalived"}, {"amber=keepalived", "birch", "evenkeel"},
	} {
		names := []string{"stop", "carrier-loss"}
		if c.victim == "amber" {
			names = append(names, "reload-change", "upgrade")
		}
		judge := func(d drill, r attempt) (wrong []string) {
			say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
			f := r.Failure
			if d.Software != c.software || r.Victim != c.victim || f.Still || f.Open {
				say("%s of %s: %+v", d.Software, r.Victim, f)
			}
			if r.Note != "" && c.software == "evenkeel" {
				// Not of keepalived: when it yields it tells nobody, and clients may keep its hardware address.
				say("%s", r.Note)
			}
			moves := c.victim == "amber" && (d.Name == "stop" || d.Name == "carrier-loss")
			if f.moved("10.77.0.10") != moves || !moves && len(f.Moves) > 0 {
				say("moves %v", f.Moves)
			}
			return wrong
		}
		t.Log(c.set)
		p.drill(names, 1, judge, "-topology", topology, "-software", c.set, "-victim", c.victim)
	}
	p.clean()
}
