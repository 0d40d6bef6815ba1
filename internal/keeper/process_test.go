package keeper

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"evenkeel/test/loopback"
)

func TestKilledWorkerComesBackOnTheSameSockets(t *testing.T) {
	config, addr := writeConfig(t)
	d := start(t, config, "-W")
	if got := d.ask("set"); !strings.Contains(got, "state-of-one") {
		t.Fatalf("set: %q", got)
	}
	// What is on the disk now must not matter to a crash.
	d.rewrite("this is no configuration")
	p := press(addr)
	for range 3 {
		pid := d.workerPid()
		killed := time.Now()
		d.send(pid, syscall.SIGKILL)
		d.await("another worker", func() bool { n := d.workerPid(); return n != 0 && n != pid })
		t.Logf("served again after %v", time.Since(killed))
	}
	served, failures := p.end()
	if n := refused(failures); n > 0 {
		t.Errorf("%d of %d connections were refused", n, served)
	}
	if got := d.ask("state"); !strings.Contains(got, "state-of-one") {
		t.Errorf("the state did not survive: %q", got)
	}
}

func TestReloadServesEverybody(t *testing.T) {
	config, addr := writeConfig(t)
	d := start(t, config, "-W")
	d.ask("set")
	idle, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if got := exchange(idle, "hello"); !strings.HasPrefix(got, "one ") {
		t.Fatalf("first answer %q", got)
	}
	busy, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	exchange(busy, "wait")
	first := d.workerPid()

	p := press(addr)
	for i := range 5 {
		pid := d.workerPid()
		d.rewrite(fmt.Sprintf("name n%d\nlisten %s", i, addr))
		if err := d.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		d.await("the reload", func() bool { n := d.workerPid(); return n != 0 && n != pid })
		// The old worker may answer until it hears that it has to drain; an
		// answer there must always be.
		d.await("the idle connection in the new worker", func() bool {
			got := exchange(idle, "again")
			if got == "" {
				t.Fatalf("the idle connection was cut by reload %d", i)
			}
			return strings.HasPrefix(got, fmt.Sprintf("n%d ", i))
		})
	}
	served, failures := p.end()
	if len(failures) > 0 {
		t.Errorf("%d of %d failed, the first: %v", len(failures), served, failures[0])
	}
	// The request that began before all reloads ends in its own worker, and
	// its connection is then passed to the newest.
	if got := exchange(busy, "done"); !strings.HasPrefix(got, "one "+strconv.Itoa(first)) {
		t.Errorf("the request under way was answered %q", got)
	}
	d.await("the last old worker's end", func() bool { return syscall.Kill(first, 0) != nil })
	if got := exchange(busy, "then"); !strings.HasPrefix(got, "n4 ") {
		t.Errorf("its connection was then answered %q", got)
	}
	if got := d.ask("state"); !strings.Contains(got, "state-of-one") {
		t.Errorf("the state was not handed over: %q", got)
	}
}

func TestBadReloadChangesNothing(t *testing.T) {
	config, _ := writeConfig(t)
	d := start(t, config, "-W")
	pid := d.workerPid()
	d.rewrite("nonsense here")
	_ = d.cmd.Process.Signal(syscall.SIGHUP)
	d.await("the reason", func() bool {
		return strings.Contains(d.output(), "unknown keyword 'nonsense'") && strings.Contains(d.output(), "Loading failure!")
	})
	if got := d.workerPid(); got != pid {
		t.Errorf("worker %d serves instead of %d", got, pid)
	}
}

func TestReloadClosesWhatIsNotWantedAnyMore(t *testing.T) {
	config, addr := writeConfig(t)
	second := loopback.Address(t)
	path := filepath.Join(t.TempDir(), "s")
	d := start(t, config, "-W")
	d.rewrite("name two\nlisten " + second + "\npath " + path)
	if _, err := Reload(d.cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	d.await("the end of the first address", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	d.addr = second
	if got := d.ask("x"); !strings.HasPrefix(got, "two ") {
		t.Errorf("the second address answers %q", got)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	d.rewrite("name three\nlisten " + second)
	if _, err := Reload(d.cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the file of a closed unix socket stays")
	}
}

func TestTakeOver(t *testing.T) {
	for _, option := range []string{"-sf", "-st"} {
		t.Run(option, func(t *testing.T) {
			config, addr := writeConfig(t)
			old := start(t, config)
			old.ask("set")
			idle, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer idle.Close()
			exchange(idle, "hello")
			p := press(addr)
			next := filepath.Join(t.TempDir(), "next.cfg")
			if err := os.WriteFile(next, []byte("name next\nlisten "+addr), 0o644); err != nil {
				t.Fatal(err)
			}
			d := launch(t, next, option, strconv.Itoa(old.cmd.Process.Pid))
			select {
			case <-old.exited:
			case <-time.After(patience):
				t.Fatalf("the old process stays\n%s", old.output())
			}
			d.await("the new one", func() bool { return strings.HasPrefix(d.ask("x"), "next ") })
			served, failures := p.end()
			if n := refused(failures); n > 0 {
				t.Errorf("%d of %d were refused", n, served)
			}
			if option == "-st" {
				return
			}
			if len(failures) > 0 {
				t.Errorf("%d of %d failed, the first: %v", len(failures), served, failures[0])
			}
			if got := exchange(idle, "again"); !strings.HasPrefix(got, "next ") {
				t.Errorf("the idle connection was answered %q", got)
			}
			if got := d.ask("x"); !strings.Contains(got, "state-of-one") {
				t.Errorf("the state was not taken over: %q", got)
			}
		})
	}
}

func TestFailedStart(t *testing.T) {
	config, addr := writeConfig(t, "whatever")
	d := launch(t, config)
	<-d.exited
	if code := d.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit status %d", code)
	}
	if !strings.Contains(d.output(), "unknown keyword 'whatever'") {
		t.Errorf("said %q", d.output())
	}
	// An address that cannot be had says so.
	d = launch(t, func() string {
		path := filepath.Join(t.TempDir(), "x")
		_ = os.WriteFile(path, []byte("name one\nlisten 192.0.2.1:1"), 0o644)
		return path
	}())
	<-d.exited
	if !strings.Contains(d.output(), "cannot bind socket 192.0.2.1:1") || d.cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("status %d, said %q", d.cmd.ProcessState.ExitCode(), d.output())
	}
	_ = addr
}

func TestSignalsEnd(t *testing.T) {
	for _, c := range []struct {
		name   string
		signal syscall.Signal
		args   []string
		status int // -1: by that signal
	}{
		{"term alone", syscall.SIGTERM, nil, -1},
		{"int alone", syscall.SIGINT, nil, -1},
		{"term master", syscall.SIGTERM, []string{"-W"}, 0},
		{"soft alone", syscall.SIGUSR1, nil, 0},
		{"soft master", syscall.SIGUSR1, []string{"-W"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, _ := writeConfig(t)
			d := start(t, config, c.args...)
			_ = d.cmd.Process.Signal(c.signal)
			select {
			case <-d.exited:
			case <-time.After(patience):
				t.Fatal("it goes on")
			}
			ws := d.cmd.ProcessState.Sys().(syscall.WaitStatus)
			// Where SIGINT is ignored already in these tests, nobody dies by it.
			if c.status < 0 && signal.Ignored(c.signal) {
				c.status = 128 + int(c.signal)
			}
			if c.status < 0 && (!ws.Signaled() || ws.Signal() != c.signal) || c.status >= 0 && ws.ExitStatus() != c.status {
				t.Errorf("ended with %v", d.cmd.ProcessState)
			}
		})
	}
}

// A shell starts what it runs in the background with SIGINT ignored. It ends by
// that signal all the same, with the status that a shell would give it.
func TestInterruptOfABackgroundJob(t *testing.T) {
	config, _ := writeConfig(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	shell := exec.Command("sh", "-c", `trap "" INT; exec "$@"`, "sh", exe, config)
	d := startCommand(t, config, shell)
	_ = d.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-d.exited:
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
	if got := d.cmd.ProcessState.ExitCode(); got != 128+int(syscall.SIGINT) {
		t.Errorf("ended with %v", d.cmd.ProcessState)
	}
}

func TestSoftStopWaitsForRequests(t *testing.T) {
	config, addr := writeConfig(t)
	d := start(t, config)
	busy, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	exchange(busy, "wait")
	_ = d.cmd.Process.Signal(syscall.SIGUSR1)
	d.await("closed listeners", func() bool { return d.ask("x") == "" })
	if got := exchange(busy, "end"); !strings.HasPrefix(got, "one ") {
		t.Errorf("the request under way was answered %q", got)
	}
	<-d.exited
}

func TestHardStop(t *testing.T) {
	config, addr := writeConfig(t, "hard-stop 50")
	d := start(t, config)
	busy, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	exchange(busy, "wait")
	_ = d.cmd.Process.Signal(syscall.SIGUSR1)
	select {
	case <-d.exited:
	case <-time.After(patience):
		t.Fatal("hard-stop-after bounds nothing")
	}
}

func TestDaemon(t *testing.T) {
	for _, how := range []string{"option", "directive"} {
		t.Run(how, func(t *testing.T) {
			pidfile := filepath.Join(t.TempDir(), "pid")
			var lines, args []string
			if how == "option" {
				args = []string{"-D", "-p", pidfile}
			} else {
				lines, args = []string{"daemon"}, []string{"-p", pidfile}
			}
			if os.Geteuid() == 0 {
				// A root without /dev must not matter to a daemon.
				lines = append(lines, "chroot "+t.TempDir())
			}
			config, _ := writeConfig(t, lines...)
			d := launch(t, config, args...)
			<-d.exited
			if code := d.cmd.ProcessState.ExitCode(); code != 0 {
				t.Fatalf("exit status %d: %s", code, d.output())
			}
			// Ready means ready: no waiting here.
			if got := d.ask("x"); !strings.HasPrefix(got, "one ") {
				t.Errorf("not served when the foreground process ended: %q", got)
			}
			text, err := os.ReadFile(pidfile)
			if err != nil {
				t.Fatal(err)
			}
			pid, _ := strconv.Atoi(string(bytes.TrimSpace(text)))
			defer syscall.Kill(pid, syscall.SIGKILL)
			if pid == d.cmd.Process.Pid || syscall.Kill(pid, 0) != nil {
				t.Fatalf("pid file says %d", pid)
			}
			if out, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/2", pid)); out != "/dev/null" {
				t.Errorf("its stderr is %s", out)
			}
			d.await("a worker without a terminal", func() bool {
				out, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/2", d.workerPid()))
				return out == "/dev/null"
			})
			_ = syscall.Kill(pid, syscall.SIGTERM)
			d.await("its end", func() bool { return d.ask("x") == "" })
		})
	}
	t.Run("bad", func(t *testing.T) {
		config, _ := writeConfig(t, "oops")
		d := launch(t, config, "-D")
		<-d.exited
		if d.cmd.ProcessState.ExitCode() != 1 || !strings.Contains(d.output(), "unknown keyword 'oops'") {
			t.Errorf("status %d, said %q", d.cmd.ProcessState.ExitCode(), d.output())
		}
	})
}

func TestPrivilegesAreGivenUp(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root has something to give up")
	}
	root := t.TempDir()
	config, _ := writeConfig(t, "uid 65534", "nofile 5000", "chroot "+root)
	d := start(t, config, "-W")
	for range 2 { // the first start, and a reload from inside
		pid := d.workerPid()
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"Uid:\t65534\t65534\t65534\t65534", "Gid:\t65534\t65534\t65534\t65534", "Groups:\t \n",
			"CapPrm:\t0000000000000000", "CapEff:\t0000000000000000"} {
			if !strings.Contains(string(status), want) {
				t.Errorf("no %q in\n%s", want, status)
			}
		}
		if !builtWithCgo && !strings.Contains(string(status), "NoNewPrivs:\t1") {
			t.Error("no_new_privs is not set")
		}
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		for _, f := range tasks {
			text, err := os.ReadFile(f)
			if err == nil && !strings.Contains(string(text), "Uid:\t65534\t65534\t65534\t65534") {
				t.Errorf("%s is still another user", f)
			}
		}
		limits, _ := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
		if !strings.Contains(strings.Join(strings.Fields(string(limits)), " "), "Max open files 5000 ") {
			t.Errorf("limits:\n%s", limits)
		}
		if at, _ := os.Readlink(fmt.Sprintf("/proc/%d/root", pid)); at != root {
			t.Errorf("its root is %q", at)
		}
		if _, err := Reload(d.cmd.Process.Pid); err != nil {
			t.Fatal(err)
		}
		d.await("the new worker", func() bool { n := d.workerPid(); return n != 0 && n != pid })
	}
}

func TestMasterCommandLine(t *testing.T) {
	config, _ := writeConfig(t)
	path := filepath.Join(t.TempDir(), "m")
	d := start(t, config, "-W", "-S", path)
	pid := d.workerPid()
	if got := readAll(t, path, "show proc"); !strings.Contains(got, fmt.Sprintf("\n%-15d worker ", pid)) {
		t.Errorf("show proc: %s", got)
	}
	if got := readAll(t, path, "@1 show info"); got != "one answers show info\n" {
		t.Errorf("@1: %q", got)
	}
	if got := readAll(t, path, "@!1 show info"); !strings.HasPrefix(got, "Can't find the target PID") {
		t.Errorf("@!1: %q", got)
	}
	if got := readAll(t, path, "reload"); !strings.HasPrefix(got, "Success=1\n") {
		t.Errorf("reload: %q", got)
	}
	// The old worker may still take what it had woken up for.
	d.await("the new worker", func() bool { n := d.workerPid(); return n != 0 && n != pid })
	d.rewrite("bad")
	if got := readAll(t, path, "reload"); !strings.HasPrefix(got, "Success=0\n") || !strings.Contains(got, "unknown keyword 'bad'") {
		t.Errorf("bad reload: %q", got)
	}
	if got, err := DialRuntime(d.cmd.Process.Pid); err != nil {
		t.Error(err)
	} else {
		if answer := exchange(got, "help"); answer != "one answers help" {
			t.Errorf("through the door: %q", answer)
		}
		got.Close()
	}
}

func TestWorkerOutlivesItsKeeperOnlyToDrain(t *testing.T) {
	config, addr := writeConfig(t)
	d := start(t, config)
	pid := d.workerPid()
	busy, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	exchange(busy, "wait")
	_ = d.cmd.Process.Kill()
	<-d.exited
	if got := exchange(busy, "end"); !strings.HasPrefix(got, "one ") {
		t.Errorf("answered %q", got)
	}
	d.await("the worker's end", func() bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(b), ") Z ")
	})
}

func TestSystemdIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	config, _ := writeConfig(t)
	d := start(t, config, "-W")
	read := func() string {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		b := make([]byte, 4096)
		n, _ := c.Read(b)
		return string(b[:n])
	}
	if got := read(); !strings.HasPrefix(got, "READY=1\nMAINPID="+strconv.Itoa(d.cmd.Process.Pid)) {
		t.Errorf("first %q", got)
	}
	_ = d.cmd.Process.Signal(syscall.SIGUSR2)
	if got := read(); !strings.HasPrefix(got, "RELOADING=1\n") || !strings.Contains(got, "MONOTONIC_USEC=") {
		t.Errorf("then %q", got)
	}
	if got := read(); !strings.HasPrefix(got, "READY=1\n") {
		t.Errorf("then %q", got)
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	if got := read(); !strings.HasPrefix(got, "STOPPING=1") {
		t.Errorf("at last %q", got)
	}
}

func TestBackoff(t *testing.T) {
	for n, want := range map[int]time.Duration{
		0: 0, quickFree: 0, quickFree + 1: 100 * time.Millisecond, quickFree + 2: 200 * time.Millisecond,
		quickFree + 6: 3200 * time.Millisecond, quickFree + 7: 5 * time.Second, 1000: 5 * time.Second,
	} {
		if got := backoff(n); got != want {
			t.Errorf("after %d quick deaths: %v, want %v", n, got, want)
		}
	}
}
