package alert

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"evenkeel/internal/command"
)

func cmd(argv ...string) *command.Command { return &command.Command{Argv: argv} }

func TestCommands(t *testing.T) {
	h := &Hooks{Master: cmd("m", "x y"), Backup: cmd("b"), Fault: cmd("f"), Stop: cmd("s"), Deleted: cmd("d"),
		MasterRxLowerPriority: cmd("l"), All: cmd("all", "own")}
	for state, want := range map[string]string{
		"MASTER": "m 'x y'; all own INSTANCE 'VI 1' MASTER 150", "BACKUP": "b; all own INSTANCE 'VI 1' BACKUP 150",
		"FAULT": "f; all own INSTANCE 'VI 1' FAULT 150", "STOP": "s; all own INSTANCE 'VI 1' STOP 150",
		"DELETED": "d; all own INSTANCE 'VI 1' DELETED 150", "MASTER_RX_LOWER_PRI": "l",
		"MASTER_PRIORITY": "", "BACKUP_PRIORITY": "",
	} {
		n := Notify{Object: "INSTANCE", Name: "VI 1", State: state, Priority: 150, Hooks: h}
		var got []string
		for _, c := range n.Commands() {
			got = append(got, c.String())
		}
		if s := strings.Join(got, "; "); s != want {
			t.Errorf("%s: %s, want %s", state, s, want)
		}
	}
	if len(h.All.Argv) != 2 {
		t.Errorf("the configuration was changed: %q", h.All.Argv)
	}
	n := Notify{Object: "RS", Hooks: &Hooks{Run: []command.Command{*cmd("up", "1")}}}
	if c := n.Commands(); len(c) != 1 || c[0].String() != "up 1" {
		t.Errorf("%v", c)
	}
	if c := (&Notify{State: "MASTER"}).Commands(); c != nil {
		t.Errorf("%v", c)
	}
}

func FuzzLine(f *testing.F) {
	f.Add("INSTANCE", "VI_1", "MASTER", 150, "")
	f.Add("GROUP", "a\"b\nMASTER", "BACKUP\x00", -1, "")
	f.Add("RS", "", "", 0, "RS [10.0.0.1]:tcp:80 [10.0.0.9]:tcp:80 UP\nVS")
	f.Fuzz(func(t *testing.T, object, name, state string, priority int, line string) {
		n := Notify{Object: object, Name: name, State: state, Priority: priority, Line: line}
		got := string(n.AppendLine(nil))
		if strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "\n") {
			t.Errorf("%q is not one line", got)
		}
		if line != "" {
			return
		}
		if strings.Count(got, `"`) != 2 || !strings.HasSuffix(got, " "+strconv.Itoa(priority)+"\n") {
			t.Errorf("%q", got)
		}
	})
}

func TestLine(t *testing.T) {
	n := Notify{Object: "INSTANCE", Name: "VI 1", State: "MASTER", Priority: 150}
	if got := string(n.AppendLine([]byte("x"))); got != "xINSTANCE \"VI 1\" MASTER 150\n" {
		t.Errorf("%q", got)
	}
}

// notifyEvent is a change of state with scripts.
func notifyEvent(name, state string, h *Hooks) *Event {
	return &Event{Kind: "transition", Plane: "vrrp", Name: name, Text: state, Notify: &Notify{Object: "INSTANCE", Name: name, State: state, Priority: 100, Hooks: h}}
}

func TestScriptsRun(t *testing.T) {
	dir, err := os.MkdirTemp("", "ekf")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	os.Chmod(dir, 0o777)
	path := filepath.Join(dir, "notify")
	os.WriteFile(path, []byte("#!/bin/sh\n[ \"$4\" = MASTER ] && sleep 0.1\nid -u >>"+dir+"/out\nprintf '%s|' \"$@\" >>"+dir+"/out\n"), 0o755)
	c := &command.Command{Argv: []string{path, "fixed arg"}}
	uid := os.Geteuid()
	if uid == 0 {
		if c.User, err = command.Lookup("nobody", ""); err != nil {
			t.Fatal(err)
		}
		uid = int(c.User.UID)
	}
	h := New(Options{})
	h.Set(Config{Sinks: []Spec{Scripts{}}})
	hooks := &Hooks{All: c, Fault: cmd("/nonexistent/x"), Stop: cmd("false")}
	// The first takes longer: the second must not overtake it.
	for _, s := range []string{"MASTER", "BACKUP"} {
		h.Post(*notifyEvent("VI 1", s, hooks))
	}
	h.Post(*notifyEvent("VI 2", "FAULT", &Hooks{Fault: hooks.Fault}))
	h.Post(*notifyEvent("VI 2", "STOP", &Hooks{Stop: hooks.Stop}))
	want := fmt.Sprintf("%d\nfixed arg|INSTANCE|VI 1|MASTER|100|%d\nfixed arg|INSTANCE|VI 1|BACKUP|100|", uid, uid)
	var got []byte
	var told string
	for late := time.Now().Add(20 * time.Second); time.Now().Before(late); time.Sleep(5 * time.Millisecond) {
		got, _ = os.ReadFile(dir + "/out")
		told = ""
		for _, e := range h.Recent() {
			told += e.Text + "\n"
		}
		if string(got) == want && strings.Contains(told, "failed: false: exit status 1") {
			break
		}
	}
	if string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, w := range []string{"the notify script of VI 2 cannot be started: /nonexistent/x: no such file", "the notify script of VI 2 failed: false: exit status 1"} {
		if !strings.Contains(told, w) {
			t.Errorf("not told: %s; but: %s", w, told)
		}
	}
	closeNow(h, 10*time.Second)
}

// slow is a script that runs for a time.
type slow time.Duration

func (s slow) Wait() command.Exit {
	time.Sleep(time.Duration(s))
	return command.Exit{}
}

func TestScriptLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := time.Now()
		var mu sync.Mutex
		var log []string
		o := &scriptsOutput{tell: func(Severity, string) {}, patience: 5 * time.Second, lanes: map[lane]*laneQueue{}, hurry: make(chan struct{}),
			start: func(c command.Command) (waiter, error) {
				mu.Lock()
				defer mu.Unlock()
				log = append(log, time.Since(base).String()+" "+c.String())
				d, _ := time.ParseDuration(c.Argv[1])
				return slow(d), nil
			}}
		run := func(name, d string) *Event {
			return &Event{Notify: &Notify{Object: "INSTANCE", Name: name, Hooks: &Hooks{Run: []command.Command{*cmd(name, d)}}}}
		}
		o.send(context.Background(), []*Event{run("a", "2s"), run("a", "1h"), run("a", "1s"), run("b", "1s")})
		time.Sleep(time.Minute)
		synctest.Wait()
		mu.Lock()
		got := strings.Join(log, ", ")
		log = nil
		mu.Unlock()
		// a waits for its first, gives up on its second; b waits for nobody.
		if got != "0s a 2s, 0s b 1s, 2s a 1h, 7s a 1s" && got != "0s b 1s, 0s a 2s, 2s a 1h, 7s a 1s" {
			t.Error(got)
		}
		if len(o.lanes) != 0 {
			t.Errorf("%d lanes are left", len(o.lanes))
		}
		o.send(context.Background(), []*Event{run("c", "1h"), run("c", "2h"), run("c", "3h")})
		start := time.Now()
		o.close()
		if d := time.Since(start); d != 0 || strings.Join(log, ", ") != "1m0s c 1h, 1m0s c 2h, 1m0s c 3h" {
			t.Errorf("close after %v: %v", d, log)
		}
		time.Sleep(4 * time.Hour)
	})
}

func TestScriptLaneIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var log []string
		told := 0
		o := &scriptsOutput{tell: func(Severity, string) { told++ }, patience: time.Second, lanes: map[lane]*laneQueue{}, hurry: make(chan struct{}),
			start: func(c command.Command) (waiter, error) {
				mu.Lock()
				defer mu.Unlock()
				log = append(log, c.String())
				return slow(time.Minute), nil
			}}
		send := func(i int) {
			e := &Event{Notify: &Notify{Name: "a", Hooks: &Hooks{Run: []command.Command{*cmd(strconv.Itoa(i))}}}}
			o.send(context.Background(), []*Event{e})
		}
		send(0)
		synctest.Wait() // it runs, and the others wait
		for i := range maxLane + 20 {
			send(i + 1)
		}
		o.close()
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(log) != maxLane+1 || log[0] != "0" || log[1] != "21" || log[maxLane] != strconv.Itoa(maxLane+20) || told != 20 {
			t.Errorf("%d runs, told %d times: %v", len(log), told, log)
		}
	})
}

func fifoEvent(i int) *Event { return notifyEvent("VI_"+strconv.Itoa(i), "MASTER", nil) }

func TestFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	o, _ := open(t, FIFO{Path: path})
	st, err := os.Stat(path)
	if err != nil || st.Mode()&os.ModeNamedPipe == 0 || st.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", st, err)
	}
	// Written before anybody reads.
	if n, err := o.send(bounded(t), []*Event{fifoEvent(1), {Notify: &Notify{Object: "RS", Line: "RS a b UP"}}}); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	r, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b := bufio.NewReader(r)
	for _, want := range []string{"INSTANCE \"VI_1\" MASTER 100\n", "RS a b UP\n"} {
		if got, err := b.ReadString('\n'); got != want || err != nil {
			t.Errorf("%q %v, want %q", got, err, want)
		}
	}
	if n, err := o.send(bounded(t), []*Event{notifyEvent(strings.Repeat("x", 5000), "MASTER", nil)}); n != 0 || !errors.As(err, &permanent{}) {
		t.Errorf("a line that is too long: %d %v", n, err)
	}
	// Removed under our feet: it is made anew.
	os.Remove(path)
	if n, err := o.send(bounded(t), []*Event{fifoEvent(2)}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	r2, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r2.Close()
	if got, err := bufio.NewReader(r2).ReadString('\n'); got != "INSTANCE \"VI_2\" MASTER 100\n" {
		t.Errorf("%q %v", got, err)
	}
	plain := filepath.Join(t.TempDir(), "plain")
	os.WriteFile(plain, []byte("precious"), 0o600)
	if _, err := (FIFO{Path: plain}).open(nil); err == nil || !strings.Contains(err.Error(), "not a FIFO") {
		t.Errorf("%v", err)
	}
	link := plain + ".link"
	os.Symlink(path, link)
	if _, err := (FIFO{Path: link}).open(nil); err == nil {
		t.Error("a link was followed")
	}
}

func TestFIFOThatNobodyReads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	h := New(Options{})
	if err := h.Set(Config{Sinks: []Spec{FIFO{Path: path}}, Queue: 50}); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	const n = 6000 // more than a pipe holds
	for i := range n {
		h.Post(*fifoEvent(i))
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("Post took %v altogether", d)
	}
	r, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.SetReadDeadline(time.Now().Add(20 * time.Second))
	b := bufio.NewReader(r)
	last := -1
	for last < n-1 {
		line, err := b.ReadString('\n')
		if err != nil {
			t.Fatalf("after %d: %v", last, err)
		}
		var i int
		if _, err := fmt.Sscanf(line, "INSTANCE \"VI_%d\" MASTER 100\n", &i); err != nil || i <= last {
			t.Fatalf("%q after %d", line, last)
		}
		last = i
	}
	closeNow(h, 10*time.Second)
}

func TestFIFOReader(t *testing.T) {
	dir := t.TempDir()
	path, out := filepath.Join(dir, "fifo"), filepath.Join(dir, "out")
	script := filepath.Join(dir, "reader")
	// It ends after each line, and has to be started again.
	os.WriteFile(script, []byte("#!/bin/sh\nread line <\"$2\"\necho \"$1 $line\" >>"+out+"\n"), 0o755)
	h := New(Options{})
	if err := h.Set(Config{Sinks: []Spec{FIFO{Path: path, Reader: cmd(script, "arg")}}}); err != nil {
		t.Fatal(err)
	}
	wait := func(want string) {
		t.Helper()
		var got []byte
		for late := time.Now().Add(20 * time.Second); time.Now().Before(late); time.Sleep(5 * time.Millisecond) {
			if got, _ = os.ReadFile(out); string(got) == want {
				return
			}
		}
		t.Fatalf("%q, want %q", got, want)
	}
	h.Post(*fifoEvent(1))
	wait("arg INSTANCE \"VI_1\" MASTER 100\n")
	h.Post(*fifoEvent(2))
	wait("arg INSTANCE \"VI_1\" MASTER 100\narg INSTANCE \"VI_2\" MASTER 100\n")
	closeNow(h, 10*time.Second)
	told := ""
	for _, e := range h.Recent() {
		told += e.Text + "\n"
	}
	if !strings.Contains(told, "its program ended (exit status 0) and is started again") {
		t.Errorf("%s", told)
	}
}

func TestFIFOReaderIsEnded(t *testing.T) {
	dir := t.TempDir()
	script, mark := filepath.Join(dir, "reader"), filepath.Join(dir, "mark")
	if err := syscall.Mkfifo(mark, 0o600); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(script, []byte("#!/bin/sh\ntrap '' TERM\nexec 9>"+mark+"\necho up >&9\nwhile :; do sleep 100; done\n"), 0o755)
	h := New(Options{})
	if err := h.Set(Config{Sinks: []Spec{FIFO{Path: filepath.Join(dir, "fifo"), Reader: cmd(script)}}}); err != nil {
		t.Fatal(err)
	}
	m, err := os.Open(mark)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	b := bufio.NewReader(m)
	if s, err := b.ReadString('\n'); s != "up\n" {
		t.Fatal(s, err)
	}
	closeNow(h, 10*time.Second)
	m.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := b.ReadString('\n'); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the reader lives: %v", err)
	}
}
