package track

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestScriptState(t *testing.T) {
	for _, c := range []struct {
		name       string
		rise, fall int
		initFail   bool
		results    string // + and -
		states     string // after each: p, u, d
	}{
		{"the first success decides", 3, 3, false, "+", "u"},
		{"the first failure decides", 3, 3, false, "-", "d"},
		{"fall", 1, 3, false, "+--+---", "uuuuuud"},
		{"rise", 3, 1, false, "-++-+++", "ddddddu"},
		{"init_fail has to rise", 2, 2, true, "++--", "duud"},
		{"init_fail fails on", 2, 2, true, "-+-++", "ddddu"},
		{"nothing given", 0, 0, false, "+-+", "udu"},
	} {
		s := NewScriptState(c.rise, c.fall, c.initFail)
		var got strings.Builder
		for _, r := range c.results {
			before := s.State
			if changed := s.Result(r == '+'); changed != (s.State != before) {
				t.Errorf("%s: changed is %v from %v to %v", c.name, changed, before, s.State)
			}
			got.WriteByte("pud"[s.State])
		}
		if got.String() != c.states {
			t.Errorf("%s: %s, want %s", c.name, got.String(), c.states)
		}
	}
}

func TestEffect(t *testing.T) {
	for _, c := range []struct {
		weight  int
		reverse bool
		state   State
		delta   int
		fault   bool
	}{
		{0, false, Up, 0, false}, {0, false, Down, 0, true},
		{0, true, Up, 0, true}, {0, true, Down, 0, false},
		{10, false, Up, 10, false}, {10, false, Down, 0, false},
		{-10, false, Up, 0, false}, {-10, false, Down, -10, false},
		{10, true, Up, -10, false}, {10, true, Down, 0, false},
		{-10, true, Up, 0, false}, {-10, true, Down, 10, false},
		{400, false, Up, 253, false}, {-400, false, Down, -253, false},
		{0, false, Pending, 0, false}, {0, true, Pending, 0, false}, {10, false, Pending, 0, false}, {-10, true, Pending, 0, false},
	} {
		if d, f := Effect(c.weight, c.reverse, c.state); d != c.delta || f != c.fault {
			t.Errorf("weight %d reverse %v %v: %d %v, want %d %v", c.weight, c.reverse, c.state, d, f, c.delta, c.fault)
		}
	}
	for _, c := range []struct {
		weight  int
		reverse bool
		value   int64
		delta   int
		fault   bool
	}{
		{0, false, 0, 0, false}, {0, false, 7, 0, true}, {0, true, 0, 0, true}, {0, true, 7, 0, false},
		{1, false, -20, -20, false}, {2, false, 20, 40, false}, {1, false, -253, -253, false}, {1, false, -254, 0, true},
		{1, false, 5000, 253, false}, {1, true, 20, -20, false}, {-1, false, 300, 0, true},
		{2147483647, false, 2147483647, 253, false}, {2147483647, false, -2147483648, 0, true},
	} {
		if d, f := FileEffect(c.weight, c.reverse, c.value); d != c.delta || f != c.fault {
			t.Errorf("file: weight %d reverse %v value %d: %d %v, want %d %v", c.weight, c.reverse, c.value, d, f, c.delta, c.fault)
		}
	}
}

func TestMatches(t *testing.T) {
	run := func(argv ...string) ProcessInfo {
		return ProcessInfo{Comm: "nginx", Argv: argv}
	}
	for _, c := range []struct {
		name string
		p    Process
		i    ProcessInfo
		want bool
	}{
		{"name", Process{Argv: []string{"nginx"}}, run("nginx: master process"), true},
		{"other name", Process{Argv: []string{"ngin"}}, run("ngin"), false},
		{"long name", Process{Argv: []string{"a-name-of-twenty-bytes"}}, ProcessInfo{Comm: "a-name-of-twent"}, true},
		{"nothing asked", Process{}, ProcessInfo{}, false},
		{"full command", Process{Argv: []string{"/usr/sbin/nginx"}, FullCommand: true}, run("/usr/sbin/nginx", "-g", "x"), true},
		{"full command of a kernel thread", Process{Argv: []string{"nginx"}, FullCommand: true}, run(), false},
		{"parameters", Process{Argv: []string{"a", "b", "c"}}, run("a", "b", "c"), true},
		{"parameters, one more", Process{Argv: []string{"a", "b"}}, run("a", "b", "c"), false},
		{"exact none", Process{Argv: []string{"a"}, ParamMatch: ParamsExact}, run("a", "b"), false},
		{"partial", Process{Argv: []string{"a", "b"}, ParamMatch: ParamsPartial}, run("a", "b", "c"), true},
		{"partial, too few", Process{Argv: []string{"a", "b", "c"}, ParamMatch: ParamsPartial}, run("a", "b"), false},
		{"partial, not whole", Process{Argv: []string{"a", "b"}, ParamMatch: ParamsPartial}, run("a", "bc"), false},
		{"partial none", Process{Argv: []string{"a"}, ParamMatch: ParamsPartial}, run("a", "b"), false},
		{"partial none, right", Process{Argv: []string{"a"}, ParamMatch: ParamsPartial}, run("a"), true},
		{"initial", Process{Argv: []string{"a", "b", "c"}, ParamMatch: ParamsInitial}, run("a", "b", "cde", "f"), true},
		{"initial, first not whole", Process{Argv: []string{"a", "b", "c"}, ParamMatch: ParamsInitial}, run("a", "bb", "c"), false},
		{"initial, too few", Process{Argv: []string{"a", "b", "c"}, ParamMatch: ParamsInitial}, run("a", "b"), false},
		{"initial none", Process{Argv: []string{"a"}, ParamMatch: ParamsInitial}, run("a", "b"), false},
	} {
		if got := c.p.Matches(c.i); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// told is a list of reports in short.
func told(list []Report) string {
	var b strings.Builder
	for i, r := range list {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%s=%v", r.Name, r.State)
	}
	return b.String()
}

func expect(t *testing.T, what string, got []Report, want string) {
	t.Helper()
	if told(got) != want {
		t.Errorf("%s: %q, want %q", what, told(got), want)
	}
}

func TestProcessTableQuorum(t *testing.T) {
	one, none := 1, 0
	var table ProcessTable
	table.Set([]Process{
		{Name: "any", Argv: []string{"x"}, Quorum: 1},
		{Name: "two", Argv: []string{"x"}, Quorum: 2},
		{Name: "max", Argv: []string{"x"}, Quorum: 1, QuorumMax: &one},
		{Name: "no", Argv: []string{"x"}, Quorum: 1, QuorumMax: &none},
	})
	expect(t, "scan", table.Scan(0, []ProcessInfo{{PID: 9, Comm: "y"}}), "any=down two=down max=down no=up")
	expect(t, "the first", table.Became(1, ProcessInfo{PID: 9, Comm: "x"}), "any=up max=up no=down")
	expect(t, "again", table.Became(1, ProcessInfo{PID: 9, Comm: "x"}), "")
	expect(t, "its child", table.Fork(2, 9, 10), "two=up max=down")
	expect(t, "another's child", table.Fork(2, 77, 78), "")
	expect(t, "the child becomes another", table.Became(3, ProcessInfo{PID: 10, Comm: "sh"}), "two=down max=up")
	expect(t, "unknown", table.Exit(4, 78), "")
	expect(t, "the end", table.Exit(4, 9), "any=down max=down no=up")
	expect(t, "scan finds them", table.Scan(5, []ProcessInfo{{PID: 1, Comm: "x"}, {PID: 2, Comm: "x"}}), "any=up two=up no=down")
	table.Set([]Process{{Name: "two", Argv: []string{"x"}, Quorum: 2}, {Name: "new", Argv: []string{"z"}, Quorum: 1}})
	expect(t, "a reload keeps states", table.Scan(6, []ProcessInfo{{PID: 1, Comm: "x"}, {PID: 2, Comm: "x"}}), "new=down")
}

func TestProcessTableDelays(t *testing.T) {
	const s = time.Second
	var table ProcessTable
	table.Set([]Process{{Name: "p", Argv: []string{"x"}, Quorum: 1, ForkDelay: 2 * s, ExitDelay: 5 * s}})
	expect(t, "scan", table.Scan(0, nil), "p=down")
	expect(t, "came", table.Became(10*s, ProcessInfo{PID: 1, Comm: "x"}), "")
	if at, ok := table.Deadline(); !ok || at != 12*s {
		t.Errorf("deadline %v %v", at, ok)
	}
	expect(t, "too early", table.Timer(11*s), "")
	expect(t, "went again", table.Exit(11*s, 1), "")
	expect(t, "nothing is due", table.Timer(13*s), "")
	if at, ok := table.Deadline(); ok {
		t.Errorf("a deadline at %v that nobody needs", at)
	}
	table.Became(20*s, ProcessInfo{PID: 1, Comm: "x"})
	expect(t, "another does not start the wait anew", table.Fork(21*s, 1, 2), "")
	expect(t, "came for good", table.Timer(22*s), "p=up")
	expect(t, "one of two went", table.Exit(30*s, 1), "")
	expect(t, "both went", table.Exit(30*s, 2), "")
	expect(t, "not yet", table.Timer(34*s), "")
	expect(t, "restarted in time", table.Became(34*s, ProcessInfo{PID: 3, Comm: "x"}), "")
	expect(t, "still up", table.Timer(40*s), "")
	table.Exit(50*s, 3)
	expect(t, "gone for good", table.Timer(55*s), "p=down")
}

func TestFileState(t *testing.T) {
	f := FileState{Name: "f"}
	for _, c := range []struct {
		content  string
		missing  bool
		err      error
		value    int64
		report   bool
		advisory bool
	}{
		{"", true, nil, 0, true, false},
		{"", true, nil, 0, false, false},
		{"12\n", false, nil, 12, true, false},
		{" 12 ", false, nil, 12, false, false},
		{"", false, nil, 12, false, false}, // being written
		{"-3", false, nil, -3, true, false},
		{"rubbish", false, nil, -3, true, true},
		{"rubbish", false, nil, -3, false, true},
		{"", false, errors.New("denied"), -3, true, true},
		{"99999999999", false, nil, -3, true, true},
		{"", true, nil, 0, true, false},
	} {
		r, ok := f.Read([]byte(c.content), c.missing, c.err)
		if ok != c.report || r.Value != c.value || ok && r.Advisory != c.advisory {
			t.Errorf("%q missing %v err %v: %+v %v", c.content, c.missing, c.err, r, ok)
		}
	}
}

func FuzzParseValue(f *testing.F) {
	for _, s := range []string{"", "1", "-1\n", "+5", "0x10", "2147483648", " 3 3", "\x00", "9\x00\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := ParseValue(b)
		if err != nil {
			return
		}
		if n < -1<<31 || n > 1<<31-1 {
			t.Errorf("%q gave %d", b, n)
		}
		if again, err := ParseValue(fmt.Appendf(nil, "%d\n", n)); err != nil || again != n {
			t.Errorf("%q gave %d, and that gave %d, %v", b, n, again, err)
		}
	})
}

func FuzzConnector(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(connectorMessage(procFork, 5, 5, 6, 6))
	f.Add(append(connectorMessage(procExec, 7, 7), connectorMessage(procExit, 7, 7, 0, 17)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, e := range parseConnector(b) {
			if e.what != procNone && e.pid <= 0 {
				t.Errorf("%x gave %+v", b, e)
			}
		}
	})
}

func FuzzInotify(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(append([]byte{1, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0}, "abc\x00"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, n := range parseInotify(b) {
			if strings.ContainsRune(n.name, 0) || len(n.name) > len(b) {
				t.Errorf("%x gave %+v", b, n)
			}
		}
	})
}
