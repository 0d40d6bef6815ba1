package e2e

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"evenkeel/test/loopback"
	"evenkeel/test/subject"
)

// patience bounds every wait for something that must happen. It says nothing
// about how long it should take.
const patience = 30 * time.Second

// director is a running program with a configuration.
type director struct {
	t      *testing.T
	prog   program
	dir    string
	cfg    string // path
	socket string // of the runtime API
	logs   *logSink
	cmd    *exec.Cmd
	stderr *subject.Output
	exited chan struct{} // closed when the process has ended
	files  []*os.File
	env    []string
	args   []string
}

// preamble begins every configuration. A scenario that waits for a time-out sets
// its own: as long as a busy machine may take for what has to come before it. The size in the log format makes HAProxy
// wait with the line until the end of the response.
const preamble = `global
    stats socket %s level admin
    log %s format raw local0
    nbthread 2
defaults
    mode http
    log global
    log-format "%%f %%ST %%tsc ;%%B"
    retries 0
    timeout client 20s
    timeout server 20s
    timeout connect 20s
`

// option changes how a director is started.
type option func(*director)

// withArgs puts arguments in front of -f.
func withArgs(args ...string) option { return func(d *director) { d.args = args } }

// withFiles gives the process files as descriptors 3, 4, …
func withFiles(f ...*os.File) option { return func(d *director) { d.files = f } }

func withEnv(env ...string) option { return func(d *director) { d.env = env } }

// prepare makes a director that does not run yet.
func prepare(t *testing.T, p program, cfg string, options ...option) *director {
	t.Helper()
	dir, err := os.MkdirTemp("", "ek")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &director{t: t, prog: p, dir: dir, cfg: filepath.Join(dir, "haproxy.cfg"), socket: filepath.Join(dir, "admin.sock"), args: []string{"-db"}}
	d.logs = newLogSink(t)
	for _, o := range options {
		o(d)
	}
	d.write(cfg)
	return d
}

// write replaces the configuration file.
func (d *director) write(cfg string) {
	d.t.Helper()
	text := fmt.Sprintf(preamble, d.socket, d.logs.addr) + cfg
	if err := os.WriteFile(d.cfg, []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

// start runs a program with a configuration until the test ends.
func start(t *testing.T, p program, cfg string, options ...option) *director {
	t.Helper()
	d := prepare(t, p, cfg, options...)
	d.run()
	d.awaitReady()
	return d
}

// run starts the process once more.
func (d *director) run(args ...string) {
	t := d.t
	t.Helper()
	d.stderr = &subject.Output{}
	d.cmd = exec.Command(d.prog.path, append(append(append([]string(nil), d.args...), "-f", d.cfg), args...)...)
	d.cmd.Stdout, d.cmd.Stderr = d.stderr, d.stderr
	d.cmd.ExtraFiles = d.files
	d.cmd.Env = append(os.Environ(), d.env...)
	// Its own process group lets the cleanup reach workers that outlived it.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	d.cmd.WaitDelay = time.Second
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd, exited, stderr := d.cmd, make(chan struct{}), d.stderr
	d.exited = exited
	go func() { cmd.Wait(); close(exited) }()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-exited
		if t.Failed() {
			t.Logf("%s said:\n%s", d.prog.name, stderr.String())
		}
		if s := stderr.String(); strings.Contains(s, "panic:") || strings.Contains(s, "fatal error:") || strings.Contains(s, "DATA RACE") {
			t.Errorf("%s crashed:\n%s", d.prog.name, s)
		}
	})
}

// awaitReady waits until the runtime API answers: the listeners are open then.
func (d *director) awaitReady() {
	d.t.Helper()
	d.until("the runtime API answers", func() bool {
		select {
		case <-d.exited:
			d.t.Fatalf("%s ended: %s", d.prog.name, d.stderr.String())
		default:
		}
		out, err := d.tryCtl("show info")
		return err == nil && strings.Contains(out, "Pid:")
	})
}

// tryCtl sends a line to the runtime API.
func (d *director) tryCtl(line string) (string, error) {
	c, err := net.Dial("unix", d.socket)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	return string(b), err
}

func (d *director) ctl(line string) string {
	d.t.Helper()
	out, err := d.tryCtl(line)
	if err != nil {
		d.t.Fatalf("%s: %q: %v", d.prog.name, line, err)
	}
	return out
}

// info is one line of show info.
func (d *director) info(name string) int {
	d.t.Helper()
	for _, l := range strings.Split(d.ctl("show info"), "\n") {
		if v, ok := strings.CutPrefix(l, name+": "); ok {
			n, err := strconv.Atoi(strings.TrimSpace(v))
			if err != nil {
				d.t.Fatal(err)
			}
			return n
		}
	}
	d.t.Fatalf("show info has no %s", name)
	return 0
}

// stat is one cell of show stat.
func (d *director) stat(proxy, name, column string) string {
	lines := strings.Split(d.ctl("show stat"), "\n")
	at := -1
	for i, c := range strings.Split(strings.TrimPrefix(lines[0], "# "), ",") {
		if c == column {
			at = i
		}
	}
	for _, l := range lines[1:] {
		cells := strings.Split(l, ",")
		if len(cells) > at && at >= 0 && cells[0] == proxy && cells[1] == name {
			return cells[at]
		}
	}
	d.t.Fatalf("show stat has no %s of %s/%s", column, proxy, name)
	return ""
}

// until polls for a state that no event announces.
func (d *director) until(what string, ok func() bool) { until(d.t, what, ok) }

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for pause := time.Millisecond; !ok(); pause = min(2*pause, 50*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain for %v: %s", patience, what)
		}
		time.Sleep(pause)
	}
}

func (d *director) signal(s syscall.Signal) {
	d.t.Helper()
	if err := d.cmd.Process.Signal(s); err != nil {
		d.t.Fatal(err)
	}
}

// awaitExit waits for the process to end by itself.
func (d *director) awaitExit() {
	d.t.Helper()
	select {
	case <-d.exited:
	case <-time.After(patience):
		d.t.Fatalf("%s does not end", d.prog.name)
	}
}

// freePort gives n free ports in a row and returns the first.
func freePort(t *testing.T, n int) int {
	t.Helper()
	return loopback.Ports(t, n)
}

// freeAddr is a loopback address that nothing listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	return loopback.Address(t)
}
