package lab

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// results is what these tests read of a drill's JSON.
type results struct {
	Drills []struct {
		Name, Software string
		Runs           []struct {
			Victim, Error, Note string
			Failure             struct {
				Outage, Duplicate, Takeover time.Duration
				Still, Open                 bool
				Moves                       []struct{ Address, From, To string }
				Answered, Lost              int
			}
			Back *struct{ Answered int }
		}
	}
}

// The whole way: up, what a user sees, drills with keepalived on the nodes, down.
func TestUpDrillDown(t *testing.T) {
	p := newPlace(t)
	out := p.must("up", "-software", "keepalived", example("v3-50ms"))
	if !strings.Contains(out, "amber has 10.77.0.10") {
		t.Errorf("up said:\n%s", out)
	}
	page, err := exec.Command("ip", "netns", "exec", p.prefix+"v3fast-client", "curl", "-s", "-m", "5", "http://10.77.0.10/").CombinedOutput()
	if got := strings.TrimSpace(string(page)); err != nil || (got != "cedar" && got != "dune") {
		t.Errorf("the client got %q, %v", got, err)
	}
	if _, err := p.lab("up", "-software", "keepalived", example("v3-50ms")); err == nil || !strings.Contains(err.Error(), "up already") {
		t.Errorf("a second up: %v", err)
	}
	file := filepath.Join(t.TempDir(), "results.json")
	html := filepath.Join(t.TempDir(), "page.html")
	table := p.must("drill", "-software", "keepalived", "-repeat", "2", "-save", file, "-o", html, "stop", "kill-all", "freeze-all", "carrier-loss", "host-failure", "reload")
	if !strings.Contains(table, "two owners") || !strings.Contains(table, "kill-all") {
		t.Errorf("the table:\n%s", table)
	}
	judge(t, file)
	if b, err := os.ReadFile(html); err != nil || !strings.Contains(string(b), "</svg>") || !strings.HasSuffix(strings.TrimSpace(string(b)), "</html>") {
		t.Errorf("the page: %v, %d bytes", err, len(b))
	}
	p.must("down", "v3fast")
	p.clean()
	if _, err := p.lab("down", "v3fast"); err == nil {
		t.Error("a second down found something")
	}
}

// judge checks what must be true of keepalived under these failures, however
// fast this machine is.
func judge(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r results
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	moves := map[string]bool{"stop": true, "carrier-loss": true, "host-failure": true}
	if len(r.Drills) != 6 {
		t.Fatalf("%d drills", len(r.Drills))
	}
	for _, d := range r.Drills {
		if len(d.Runs) != 2 || d.Software != "keepalived" {
			t.Errorf("%s: %d runs of %s", d.Name, len(d.Runs), d.Software)
		}
		for i, run := range d.Runs {
			f := run.Failure
			if run.Error != "" || run.Victim != "amber" {
				t.Errorf("%s %d: victim %s, error %q", d.Name, i, run.Victim, run.Error)
				continue
			}
			if run.Note != "" {
				t.Logf("%s %d: %s", d.Name, i, run.Note) // how keepalived comes to rest is its matter
			}
			if f.Answered == 0 {
				t.Errorf("%s %d: no request was answered", d.Name, i)
			}
			if moved := len(f.Moves) == 1 && f.Moves[0].From == "amber" && f.Moves[0].To == "birch"; moved != moves[d.Name] {
				t.Errorf("%s %d: moves %v", d.Name, i, f.Moves)
			}
			switch d.Name {
			case "kill-all", "freeze-all":
				// Its addresses stay on the node: two owners until somebody repairs it.
				if !f.Still || f.Duplicate == 0 {
					t.Errorf("%s %d: two owners for %s, still %v", d.Name, i, f.Duplicate, f.Still)
				}
			case "carrier-loss", "host-failure":
				if f.Outage < 100*time.Millisecond || f.Lost == 0 {
					t.Errorf("%s %d: outage %s, %d lost; the backup waits for three intervals", d.Name, i, f.Outage, f.Lost)
				}
			case "reload":
				if f.Outage > 50*time.Millisecond || f.Still {
					t.Errorf("%s %d: outage %s, still two %v", d.Name, i, f.Outage, f.Still)
				}
			}
		}
	}
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
	// And a new one is not disturbed by what a killed one leaves.
	cmd = p.command("up", "-software", "keepalived", example("v3-50ms"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.until("a first namespace", func() bool { return len(p.traces()) > 3 })
	cmd.Process.Kill()
	cmd.Wait()
	p.must("up", "-software", "keepalived", example("v3-50ms"))
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
		{"up at its beginning", []string{"up", "-software", "keepalived", example("v3-50ms")}, func() bool { return len(p.traces()) > 2 }},
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
	p.must("up", "-software", "keepalived", example("v3-50ms"))
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
	case <-time.After(10 * time.Second):
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

// drilled runs drills on a cluster of their own and gives what they found.
func (p *place) drilled(args ...string) results {
	p.t.Helper()
	file := filepath.Join(p.t.TempDir(), "results.json")
	p.must("drill", append([]string{"-repeat", "1", "-save", file}, args...)...)
	b, err := os.ReadFile(file)
	if err != nil {
		p.t.Fatal(err)
	}
	var r results
	if err := json.Unmarshal(b, &r); err != nil {
		p.t.Fatal(err)
	}
	return r
}

// Addresses of both families are watched, asked for, and move together.
func TestBothFamilies(t *testing.T) {
	p := newPlace(t)
	r := p.drilled("-topology", example("ipv6"), "-with", "keepalived", "stop", "link-down", "host-failure", "kill-all")
	if len(r.Drills) != 8 {
		t.Fatalf("%d drills", len(r.Drills))
	}
	for _, d := range r.Drills {
		run := d.Runs[0]
		name := d.Name + " of " + d.Software
		if run.Error != "" || run.Note != "" || run.Victim != "amber" || run.Failure.Answered == 0 {
			t.Errorf("%s: %+v", name, run)
			continue
		}
		if d.Name == "kill-all" && d.Software == "keepalived" {
			if !run.Failure.Still {
				t.Errorf("%s: its addresses stay on the node, so there are two owners: %+v", name, run.Failure)
			}
			continue
		}
		moved := map[string]bool{}
		for _, m := range run.Failure.Moves {
			moved[m.Address] = m.From == "amber" && m.To == "birch"
		}
		if len(moved) != 2 || !moved["10.77.0.10"] || !moved["fd77::10"] {
			t.Errorf("%s: moves %v", name, run.Failure.Moves)
		}
		if run.Failure.Still || run.Failure.Open {
			t.Errorf("%s: %+v", name, run.Failure)
		}
		if (d.Name == "link-down" || d.Name == "host-failure") && (run.Failure.Outage < 100*time.Millisecond || run.Failure.Lost == 0) {
			t.Errorf("%s: outage %s, %d lost; the backup waits for three intervals", name, run.Failure.Outage, run.Failure.Lost)
		}
	}
	p.clean()
}

// One director runs evenkeel and the other keepalived, in both roles.
func TestMixed(t *testing.T) {
	p := newPlace(t)
	for _, c := range []struct{ set, victim, software string }{
		{"birch=keepalived", "amber", "evenkeel"}, {"keepalived,birch=evenkeel", "amber", "keepalived"}, {"amber=keepalived", "birch", "evenkeel"},
	} {
		drills := []string{"stop", "carrier-loss"}
		if c.victim == "amber" {
			drills = append(drills, "reload-change", "upgrade")
		}
		r := p.drilled(append([]string{"-topology", example("v3-50ms"), "-software", c.set, "-victim", c.victim}, drills...)...)
		if len(r.Drills) != len(drills) {
			t.Fatalf("%s: %d drills", c.set, len(r.Drills))
		}
		for _, d := range r.Drills {
			run := d.Runs[0]
			f := run.Failure
			if c.software == "keepalived" && run.Note != "" {
				// When it yields it tells nobody, and clients may keep its hardware address.
				t.Logf("%s, %s of keepalived: %s", c.set, d.Name, run.Note)
				run.Note = ""
			}
			if d.Software != c.software || run.Victim != c.victim || run.Error != "" || run.Note != "" || f.Answered == 0 || f.Still || f.Open {
				t.Errorf("%s, %s: %s fails: %+v", c.set, d.Name, d.Software, run)
				continue
			}
			moves := c.victim == "amber" && (d.Name == "stop" || d.Name == "carrier-loss")
			if moved := len(f.Moves) == 1 && f.Moves[0].From == "amber" && f.Moves[0].To == "birch"; moved != moves {
				t.Errorf("%s, %s of %s: moves %v", c.set, d.Name, c.victim, f.Moves)
			}
		}
	}
	p.clean()
}
