package track

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"evenkeel/internal/command"
)

// fakeProgram ends when its time is over, or by a signal that it heeds.
type fakeProgram struct {
	life  time.Duration // 0: for ever
	code  int
	heeds syscall.Signal // 0: none

	killed chan struct{}
	once   sync.Once
	log    *[]string
	born   time.Time
}

func (p *fakeProgram) Wait() command.Exit {
	var over <-chan time.Time
	if p.life > 0 {
		over = time.After(p.life)
	}
	select {
	case <-over:
		return command.Exit{Code: p.code}
	case <-p.killed:
		return command.Exit{Code: -1, Signal: p.heeds}
	}
}

func (p *fakeProgram) Kill(s syscall.Signal) {
	*p.log = append(*p.log, s.String()+" after "+time.Since(p.born).String())
	if s == p.heeds {
		p.once.Do(func() { close(p.killed) })
	}
}

// stage runs one script in a bubble, each run being what makeRun gives.
func stage(s Script, makeRun func(run int) *fakeProgram) (r *scriptRunner, log, kills *[]string) {
	log, kills = &[]string{}, &[]string{}
	base := time.Now()
	note := func(text string) { *log = append(*log, time.Since(base).String()+" "+text) }
	run := 0
	start := func(Script, bool) (program, error) {
		run++
		note("run")
		p := makeRun(run)
		if p == nil {
			return nil, errors.New("broken")
		}
		p.killed, p.log, p.born = make(chan struct{}), kills, time.Now()
		return p, nil
	}
	r = newScriptRunner(s, false, nil, start, func(r Report) {
		if !r.Advisory {
			note(r.State.String())
		}
	})
	go r.loop()
	return r, log, kills
}

// finish ends a runner, and lets the programs of the test end too.
func finish(r *scriptRunner) {
	r.end()
	<-r.done
	time.Sleep(2 * time.Hour)
}

func TestScriptInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Script{Name: "chk", Interval: 2 * time.Second, Rise: 1, Fall: 2}
		r, log, _ := stage(s, func(run int) *fakeProgram {
			return &fakeProgram{life: 100 * time.Millisecond, code: run / 3} // the first two succeed
		})
		second := phase("chk", s.Interval)
		time.Sleep(second + 3*s.Interval - time.Millisecond)
		finish(r)
		at := func(d time.Duration, text string) string { return d.String() + " " + text }
		want := []string{
			at(0, "run"), at(100*time.Millisecond, "up"), at(second, "run"), at(second+s.Interval, "run"),
			at(second+2*s.Interval, "run"), at(second+2*s.Interval+100*time.Millisecond, "down"),
		}
		if strings.Join(*log, "\n") != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(*log, "\n"), strings.Join(want, "\n"))
		}
		if second < s.Interval/2 || second > s.Interval {
			t.Errorf("the second run is after %v", second)
		}
	})
}

func TestScriptTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Script{Name: "slow", Interval: 10 * time.Second, Timeout: time.Second}
		r, log, kills := stage(s, func(int) *fakeProgram { return &fakeProgram{heeds: syscall.SIGTERM} })
		time.Sleep(3 * time.Second)
		finish(r)
		// The failure counts when the time is over, not when the script is dead.
		if got := strings.Join(*log, ", "); got != "0s run, 1s down" {
			t.Error(got)
		}
		if got := strings.Join(*kills, ", "); got != "terminated after 1s" {
			t.Error(got)
		}
	})
}

func TestScriptThatCannotBeKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Script{Name: "stuck", Interval: 5 * time.Second, Timeout: time.Second, Fall: 3}
		r, log, kills := stage(s, func(run int) *fakeProgram {
			if run == 1 {
				return &fakeProgram{life: time.Millisecond}
			}
			return &fakeProgram{life: time.Hour}
		})
		second := phase("stuck", s.Interval)
		time.Sleep(time.Minute)
		st := r.snapshot()
		finish(r)
		// One failure at the timeout, and one each interval that it hangs: it
		// must not stay up because it never comes to three runs.
		want := "0s run, 1ms up, " + second.String() + " run, " + (second + time.Second + 2*s.Interval).String() + " down"
		if got := strings.Join(*log, ", "); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if got := strings.Join((*kills)[:2], ", "); got != "terminated after 1s, killed after 3s" {
			t.Error(got)
		}
		if st.Runs != 1 || st.Text != "does not end, although it was killed" {
			t.Errorf("%+v", st)
		}
	})
}

func TestScriptsDoNotOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Script{Name: "long", Interval: time.Second, Timeout: 10 * time.Second}
		r, log, _ := stage(s, func(int) *fakeProgram { return &fakeProgram{life: 2500 * time.Millisecond} })
		second := phase("long", s.Interval)
		time.Sleep(second + 5*time.Second)
		st := r.snapshot()
		finish(r)
		want := "0s run, 2.5s up, " + (second + 2*time.Second).String() + " run, " + (second + 5*time.Second).String() + " run"
		if got := strings.Join(*log, ", "); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if st.Missed != 4 {
			t.Errorf("%d runs were left out", st.Missed)
		}
	})
}

func TestScriptThatCannotStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var texts []string
		r := newScriptRunner(Script{Name: "x", Interval: time.Second, Fall: 2}, false, nil,
			func(Script, bool) (program, error) { return nil, errors.New("no such file") },
			func(r Report) { texts = append(texts, r.Text) })
		go r.loop()
		time.Sleep(10 * time.Second)
		finish(r)
		if len(texts) != 1 || texts[0] != "script x cannot be run: no such file" || r.snapshot().State != Down {
			t.Errorf("%q, %+v", texts, r.snapshot())
		}
	})
}

func TestScriptReloadKeepsState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []string
		var running, most, starts atomic.Int32
		tr := New(Options{Post: func(r Report) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, r.Name+" "+r.State.String())
		}})
		tr.start = func(s Script, _ bool) (program, error) {
			starts.Add(1)
			if n := running.Add(1); n > most.Load() {
				most.Store(n)
			}
			p := &fakeProgram{life: 100 * time.Millisecond, heeds: syscall.SIGKILL, killed: make(chan struct{}), log: &[]string{}, born: time.Now()}
			return countedProgram{p, &running}, nil
		}
		s := Script{Name: "a", Command: command.Command{Argv: []string{"/bin/true"}}, Interval: time.Second}
		if errs := tr.Set(Config{Scripts: []Script{s}}); len(errs) > 0 {
			t.Fatal(errs)
		}
		time.Sleep(10*time.Second + 50*time.Millisecond)
		before := starts.Load()
		tr.Set(Config{Scripts: []Script{s}}) // the same: nothing starts anew
		synctest.Wait()
		if starts.Load() != before {
			t.Error("an unchanged script was started anew by a reload")
		}
		s.Rise = 3
		tr.Set(Config{Scripts: []Script{s}}) // changed, perhaps in the middle of a run
		time.Sleep(10 * time.Second)
		if most.Load() != 1 {
			t.Errorf("%d runs at once", most.Load())
		}
		if st := tr.Status(); len(st) != 1 || st[0].State != Up {
			t.Errorf("%+v", st)
		}
		tr.Set(Config{})
		tr.Close()
		if strings.Join(got, ", ") != "a up" {
			t.Errorf("reports: %q", got)
		}
		if n := starts.Load(); n < 18 {
			t.Errorf("%d starts", n)
		}
	})
}

type countedProgram struct {
	*fakeProgram
	running *atomic.Int32
}

func (p countedProgram) Wait() command.Exit {
	defer p.running.Add(-1)
	return p.fakeProgram.Wait()
}

// sharedDir is a directory that other users may look into.
func sharedDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ekf")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	return dir
}

// TestRealScripts runs scripts for real, as another user when it can.
func TestRealScripts(t *testing.T) {
	dir := sharedDir(t)
	who, want := (*command.Identity)(nil), strconv.Itoa(os.Geteuid())
	if os.Geteuid() == 0 {
		id, err := command.Lookup("nobody", "")
		if err != nil {
			t.Fatal(err)
		}
		who, want = id, strconv.Itoa(int(id.UID))
	}
	good := filepath.Join(dir, "good")
	os.WriteFile(good, []byte("#!/bin/sh\n[ $(id -u) = "+want+" ] && [ \"$1\" = 'two words' ]\n"), 0o755)
	reports := make(chan Report, 100)
	tr := New(Options{Post: func(r Report) { reports <- r }})
	defer tr.Close()
	errs := tr.Set(Config{Scripts: []Script{
		{Name: "good", Command: command.Command{Argv: []string{good, "two words"}, User: who}, Interval: time.Minute},
		{Name: "bad", Command: command.Command{Argv: []string{good, "other"}, User: who}, Interval: time.Minute},
		{Name: "hangs", Command: command.Command{Argv: []string{"sleep", "1000"}, User: who}, Interval: time.Minute, Timeout: 50 * time.Millisecond},
		{Name: "missing", Command: command.Command{Argv: []string{"/nonexistent/x"}}, Interval: time.Minute},
	}})
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), "script missing: /nonexistent/x") {
		t.Errorf("errors: %v", errs)
	}
	texts := map[string]string{}
	for range 4 {
		select {
		case r := <-reports:
			texts[r.Name] = r.State.String() + ": " + r.Text
		case <-time.After(20 * time.Second):
			t.Fatalf("only %v", texts)
		}
	}
	for name, want := range map[string]string{
		"good": "up: script good succeeded", "bad": "down: script bad failed: exit status 1",
		"hangs": "down: script hangs timed out after 50ms", "missing": "down: script missing cannot be run: /nonexistent/x: no such file or directory (the file, or the interpreter in its first line)",
	} {
		if texts[name] != want {
			t.Errorf("%s: %q, want %q", name, texts[name], want)
		}
	}
}

func TestUnsafeScriptIsDown(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("nothing is unsafe unless it runs as root")
	}
	dir := sharedDir(t)
	mark := filepath.Join(dir, "mark")
	path := filepath.Join(dir, "check")
	os.WriteFile(path, []byte("#!/bin/sh\n: > "+mark+"\n"), 0o755)
	os.Chmod(path, 0o777)
	reports := make(chan Report, 100)
	tr := New(Options{Post: func(r Report) { reports <- r }})
	defer tr.Close()
	s := Script{Name: "c", Command: command.Command{Argv: []string{path}}, Interval: time.Minute}
	if errs := tr.Set(Config{Scripts: []Script{s}, Secure: true}); len(errs) != 1 || !strings.Contains(errs[0].Error(), "chmod o-w") {
		t.Errorf("%v", errs)
	}
	if r := next(t, reports, "c"); r.State != Down {
		t.Errorf("%+v", r)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("it was run")
	}
	tr.Set(Config{Scripts: []Script{s}})
	if r := next(t, reports, "c"); r.State != Up {
		t.Errorf("without script security: %+v", r)
	}
}

func TestCloseKillsScripts(t *testing.T) {
	dir := sharedDir(t)
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "check")
	os.WriteFile(path, []byte("#!/bin/sh\ntrap '' TERM\nexec 9>"+fifo+"\necho up >&9\nwhile :; do sleep 100; done\n"), 0o755)
	tr := New(Options{Post: func(Report) {}})
	tr.Set(Config{Scripts: []Script{{Name: "c", Command: command.Command{Argv: []string{path}}, Interval: time.Hour}}})
	f, err := os.Open(fifo) // waits until the script has it open
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	buf := make([]byte, 8)
	if n, err := f.Read(buf); err != nil || string(buf[:n]) != "up\n" {
		t.Fatalf("%q %v", buf[:n], err)
	}
	tr.Close()
	// The end of the pipe is seen when the script and its sleep are dead.
	f.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := f.Read(buf); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the script lives: %d %v", n, err)
	}
}
