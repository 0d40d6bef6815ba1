package process

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestParseStat(t *testing.T) {
	rest := " S 7 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2 3"
	for _, c := range []struct {
		line string
		want Process
		bad  bool
	}{
		{"12 (nginx)" + rest, Process{PID: 12, Parent: 7, Command: "nginx", Start: 987654}, false},
		{"12 (a) b (c))" + rest, Process{PID: 12, Parent: 7, Command: "a) b (c)", Start: 987654}, false},
		{"12 (gone) Z 7 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 5 1", Process{PID: 12, Parent: 7, Command: "gone", Start: 5, Zombie: true}, false},
		{"12 (short) S 7", Process{}, true},
		{"12 nothing", Process{}, true},
		{"", Process{}, true},
		{"x (a)" + rest, Process{}, true},
	} {
		got, err := parseStat([]byte(c.line))
		if (err != nil) != c.bad {
			t.Errorf("%q: error %v", c.line, err)
		}
		if err == nil && (got.PID != c.want.PID || got.Parent != c.want.Parent || got.Command != c.want.Command || got.Start != c.want.Start || got.Zombie != c.want.Zombie) {
			t.Errorf("%q:\n got %+v\nwant %+v", c.line, got, c.want)
		}
	}
}

// proc is a row for tests.
func proc(pid, parent int, args ...string) Process {
	p := Process{PID: pid, Parent: parent, Args: args, Start: uint64(pid)}
	if len(args) > 0 {
		p.Command = executable(p)
	}
	return p
}

func pids(t Table) (list []int) {
	for _, p := range t {
		list = append(list, p.PID)
	}
	slices.Sort(list)
	return list
}

func TestAssign(t *testing.T) {
	none := func(Process) Role { return "" }
	zombie := proc(33, 30, "keepalived")
	zombie.Zombie = true
	failover := proc(62, 60, "/run/lab/bin/evenkeel", "run", "x.cfg")
	for _, c := range []struct {
		name string
		all  Table
		tell func(Process) Role
		want map[Role][]int
	}{
		{"keepalived and haproxy", Table{
			proc(1, 0, "init"), proc(10, 1, "/x/evenkeel", "lab", "init"),
			proc(30, 10, "/usr/sbin/keepalived", "-n"), proc(31, 30, "/usr/sbin/keepalived", "-n"), zombie,
			proc(35, 31, "/bin/sh", "/run/lab/etc/check.sh"),
			proc(40, 10, "haproxy", "-W"), proc(41, 40, "haproxy", "-W"), proc(42, 40, "haproxy", "-W"),
			proc(50, 1, "keepalived"), // another node's
		}, none, map[Role][]int{Keeper: {30}, Failover: {31}, ProxyKeeper: {40}, Worker: {41, 42}, Other: {35}}},
		{"evenkeel, told by its environment", Table{
			proc(10, 1, "/x/evenkeel", "lab", "init"), proc(60, 10, "/run/lab/bin/evenkeel", "run", "x.cfg"),
			proc(61, 60, "/run/lab/bin/evenkeel", "run", "x.cfg"), failover,
		}, func(p Process) Role {
			if p.PID == failover.PID {
				return Failover
			}
			return ""
		}, map[Role][]int{Keeper: {60}, Worker: {61}, Failover: {62}}},
		{"nothing runs", Table{proc(10, 1, "/x/evenkeel", "lab", "init")}, none, map[Role][]int{}},
	} {
		got := Assign(c.all, 10, c.tell)
		for _, role := range []Role{Keeper, Failover, Checker, Worker, ProxyKeeper, Other} {
			if g := pids(got[role]); !slices.Equal(g, c.want[role]) {
				t.Errorf("%s: %s: got %v, want %v", c.name, role, g, c.want[role])
			}
		}
	}
}

// A table with a circle, as a reused number could make it look.
func TestBelowEnds(t *testing.T) {
	if got := (Table{proc(2, 3), proc(3, 2)}).Below(2); len(got) != 1 {
		t.Errorf("got %v", got)
	}
}

func TestHandle(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p, err := Look(cmd.Process.Pid)
	if err != nil || p.Parent != os.Getpid() || !p.Running() {
		t.Fatalf("%+v, %v", p, err)
	}
	if err := (Process{PID: p.PID, Start: p.Start + 1}).Signal(unix.SIGKILL); err != nil {
		t.Error(err)
	}
	h, err := Open(p.PID, p.Start)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if h.Ended(0) {
		t.Fatal("a signal for a process of another start time has hit it")
	}
	find := func() (Table, error) {
		now, err := Look(p.PID)
		if err != nil {
			return nil, nil
		}
		return Table{now}, nil
	}
	if err := End(find, 5*time.Second); err != nil {
		t.Error(err)
	}
	if !h.Ended(0) || p.Running() {
		t.Error("it still runs")
	}
	cmd.Wait()
	if err := h.Signal(unix.SIGTERM); err != nil {
		t.Errorf("signal after the end: %v", err)
	}
}
