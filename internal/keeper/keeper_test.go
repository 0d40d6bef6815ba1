package keeper

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"evenkeel/internal/keeper/holder"
	"evenkeel/internal/keeper/socket"
	"evenkeel/internal/keeper/worker"
	"evenkeel/internal/model"
	"evenkeel/test/loopback"
)

// The test binary is also the program under test: as a keeper when roleVar
// says so, as a worker when a keeper started it.
const roleVar = "EVENKEEL_TEST_KEEPER"

func TestMain(m *testing.M) {
	switch {
	case worker.IsWorker():
		c, err := worker.Connect()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(worker.Run(c, newEcho(os.Args[1]), worker.Options{Stderr: os.Stderr}))
	case holder.IsFailover():
		link, err := holder.Connect()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(holder.Run(link, &fakeHolder{config: os.Args[1]}, holder.Options{Stderr: os.Stderr}))
	case os.Getenv(roleVar) != "":
		os.Exit(Run(testKeeper(os.Args[1:])))
	}
	os.Exit(m.Run())
}

// testKeeper reads: CONFIG [-W] [-D] [-p FILE] [-S PATH] [-sf|-st PID] [-x PATH].
func testKeeper(args []string) Options {
	o := Options{Path: "/proc/self/exe", Args: os.Args, Version: "test", DiesBySignal: true, Notify: true}
	for i := 1; i < len(args); i++ {
		next := func() string { i++; return args[i] }
		switch args[i] {
		case "-W":
			o.Master = true
		case "-D":
			o.Daemon = true
		case "-p":
			o.Pidfile = next()
		case "-S":
			o.MasterCLI = &socket.Spec{Path: next(), Mode: 0o600}
		case "-st", "-sf":
			o.OldNow = args[i] == "-st"
			pid, _ := strconv.Atoi(next())
			o.OldPids = []int{pid}
		case "-x":
			o.OldSocket = next()
		case "-failover":
			o.Failover = true
		case "-noworker":
			o.NoWorker = true
		}
	}
	return o
}

// echo is a worker that answers each line with "NAME PID GENERATION LINE".
// Its configuration is lines: name N, listen ADDR, path P, uid N, chroot D,
// daemon, slow (drains when told by a line "finish").
type echo struct {
	file     string
	name     string
	specs    []socket.Spec
	settings worker.Settings

	mu       sync.Mutex
	fds      []int
	listens  []net.Listener
	conns    map[net.Conn]bool // true: a line is under way
	give     func(int, []byte) error
	draining bool
	drained  chan struct{}
	once     sync.Once
	state    []byte
	left     bool

	accepting sync.WaitGroup
	save      func() error
}

func newEcho(file string) *echo {
	return &echo{file: file, conns: map[net.Conn]bool{}, drained: make(chan struct{})}
}

func (e *echo) Build(in worker.Input) (s worker.Settings, d model.Diagnostics) {
	text, err := in.Files.ReadFile(e.file)
	if err != nil {
		d.Errorf(model.Pos{}, "%v", err)
		return s, d
	}
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		word, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, _ := strconv.Atoi(value)
		switch word {
		case "name":
			e.name = value
		case "listen":
			e.specs = append(e.specs, socket.Spec{Addr: netip.MustParseAddrPort(value)})
		case "path":
			e.specs = append(e.specs, socket.Spec{Path: value})
		case "uid":
			s.Privileges.UID, s.Privileges.GID = &n, &n
		case "chroot":
			s.Privileges.Chroot = value
		case "nofile":
			s.Privileges.NoFile = n
		case "daemon":
			s.Daemon = true
		case "hard-stop":
			s.HardStopAfter = time.Duration(n) * time.Millisecond
		case "mark", "unmovable", "hurry": // the failover process's
		default:
			d.Errorf(model.Pos{File: e.file, Line: i + 1, Col: 1}, "unknown keyword '%s'", word)
		}
	}
	return s, d
}

func (e *echo) Open(listen func(socket.Spec) (int, error)) error {
	for _, s := range e.specs {
		fd, err := listen(s)
		if err != nil {
			return err
		}
		e.fds = append(e.fds, fd)
	}
	return nil
}

func (e *echo) Start(h worker.Handover) error {
	e.state, e.save = h.State, h.Save
	for _, fd := range e.fds {
		f := os.NewFile(uintptr(fd), "listener")
		l, err := net.FileListener(f)
		f.Close()
		if err != nil {
			return err
		}
		if u, ok := l.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
		}
		e.listens = append(e.listens, l)
		e.accepting.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				e.serve(c)
			}
		})
	}
	return nil
}

// serve reads lines; between them the connection is idle.
func (e *echo) serve(c net.Conn) {
	e.mu.Lock()
	e.conns[c] = false
	e.mu.Unlock()
	go func() {
		defer e.forget(c)
		in := bufio.NewReader(c)
		for {
			line, err := in.ReadString('\n')
			if errors.Is(err, os.ErrDeadlineExceeded) && line == "" {
				e.pass(c) // a drain interrupts whoever is idle
				return
			}
			if err != nil {
				return
			}
			line = strings.TrimSpace(line)
			if line == "wait" {
				// A request that lasts until its second line.
				e.mu.Lock()
				e.conns[c] = true
				e.mu.Unlock()
				fmt.Fprintf(c, "waiting %d\n", os.Getpid())
				if line, err = in.ReadString('\n'); err != nil {
					return
				}
				line = strings.TrimSpace(line)
			}
			if line == "set" {
				e.mu.Lock()
				e.state = []byte("state-of-" + e.name)
				e.mu.Unlock()
				_ = e.save()
			}
			e.mu.Lock()
			state := string(e.state)
			if e.left {
				line += " leaving"
			}
			e.mu.Unlock()
			fmt.Fprintf(c, "%s %d %d %q %s\n", e.name, os.Getpid(), os.Getuid(), state, line)
			e.mu.Lock()
			e.conns[c] = false
			leaving := e.draining
			e.mu.Unlock()
			if leaving && e.pass(c) {
				return
			}
		}
	}()
}

func (e *echo) forget(c net.Conn) {
	c.Close()
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.conns, c)
	if e.draining && len(e.conns) == 0 {
		e.once.Do(func() { close(e.drained) })
	}
}

// pass gives an idle connection to the next worker.
func (e *echo) pass(c net.Conn) bool {
	e.mu.Lock()
	give := e.give
	e.mu.Unlock()
	if give == nil {
		return true
	}
	f, err := c.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		return true
	}
	defer f.Close()
	fd, err := socket.Dup(int(f.Fd()))
	_ = syscall.SetNonblock(fd, true)
	if err == nil && give(fd, []byte(e.name)) != nil {
		syscall.Close(fd)
	}
	return true
}

func (e *echo) Adopt(fd int, meta []byte) {
	f := os.NewFile(uintptr(fd), "adopted")
	c, err := net.FileConn(f)
	f.Close()
	if err == nil {
		e.serve(c)
	}
}

func (e *echo) State() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state
}

func (e *echo) Leave() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.left = true
}

func (e *echo) Pause()  {}
func (e *echo) Resume() {}

func (e *echo) Drain(give func(int, []byte) error) {
	for _, l := range e.listens {
		l.Close()
	}
	e.accepting.Wait() // who was accepted last is served, too
	e.mu.Lock()
	e.give, e.draining = give, true
	var idle []net.Conn
	for c, busy := range e.conns {
		if !busy {
			idle = append(idle, c)
		}
	}
	if len(e.conns) == 0 {
		e.once.Do(func() { close(e.drained) })
	}
	e.mu.Unlock()
	for _, c := range idle {
		_ = c.SetReadDeadline(time.Unix(1, 0))
	}
}

func (e *echo) Drained() <-chan struct{} { return e.drained }
func (e *echo) Stop()                    {}

func (e *echo) Runtime(fd int) {
	f := os.NewFile(uintptr(fd), "runtime")
	c, err := net.FileConn(f)
	f.Close()
	if err != nil {
		return
	}
	go func() {
		defer c.Close()
		line, _ := bufio.NewReader(c).ReadString('\n')
		fmt.Fprintf(c, "%s answers %s", e.name, line)
	}()
}

// daemon is a keeper under test.
type daemon struct {
	mark   string // of its advertisements
	t      *testing.T
	cmd    *exec.Cmd
	config string
	addr   string
	exited chan struct{}
	out    *os.File // a file, because a pipe would be held open by workers
}

func (d *daemon) output() string {
	text, _ := os.ReadFile(d.out.Name())
	return string(text)
}

const patience = 20 * time.Second

// start runs a keeper and waits until its worker serves.
func start(t *testing.T, config string, args ...string) *daemon {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return startCommand(t, config, exec.Command(exe, append([]string{config}, args...)...))
}

// startCommand is start by any command.
func startCommand(t *testing.T, config string, cmd *exec.Cmd) *daemon {
	t.Helper()
	d := launchCommand(t, config, cmd)
	d.await("a first worker", func() bool {
		text, err := Status(d.cmd.Process.Pid)
		return d.alive() && err == nil && strings.Contains(text, " worker ")
	})
	return d
}

func launch(t *testing.T, config string, args ...string) *daemon {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return launchCommand(t, config, exec.Command(exe, append([]string{config}, args...)...))
}

func launchCommand(t *testing.T, config string, cmd *exec.Cmd) *daemon {
	t.Helper()
	var err error
	d := &daemon{t: t, cmd: cmd, config: config, exited: make(chan struct{})}
	if text, err := os.ReadFile(config); err == nil {
		for _, l := range strings.Split(string(text), "\n") {
			if a, ok := strings.CutPrefix(l, "listen "); ok {
				d.addr = a
			}
		}
	}
	// A race detector would hold every process for a second at its end.
	d.cmd.Env = append(os.Environ(), roleVar+"=1", "GORACE=atexit_sleep_ms=0")
	if d.out, err = os.CreateTemp(t.TempDir(), "output"); err != nil {
		t.Fatal(err)
	}
	defer d.out.Close()
	d.cmd.Stdout, d.cmd.Stderr = d.out, d.out
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = d.cmd.Wait(); close(d.exited) }()
	t.Cleanup(func() {
		_ = d.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-d.exited:
		case <-time.After(patience):
			_ = d.cmd.Process.Kill()
			t.Errorf("the keeper does not stop\n%s", d.output())
		}
		if t.Failed() {
			t.Logf("keeper said:\n%s", d.output())
		}
	})
	return d
}

// await polls a condition; how long it takes is no matter.
func (d *daemon) await(what string, ok func() bool) {
	d.t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			d.t.Fatalf("%s never came\n%s", what, d.output())
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// alive fails the test when the keeper has ended.
func (d *daemon) alive() bool {
	select {
	case <-d.exited:
		d.t.Fatalf("the keeper ended: %v\n%s", d.cmd.ProcessState, d.output())
	default:
	}
	return true
}

// ask opens a connection for one line; "" when that fails.
func (d *daemon) ask(line string) string {
	c, err := net.DialTimeout("tcp", d.addr, time.Second)
	if err != nil {
		return ""
	}
	defer c.Close()
	return exchange(c, line)
}

func exchange(c net.Conn, line string) string {
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintln(c, line); err != nil {
		return ""
	}
	answer, _ := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(answer)
}

func (d *daemon) workerPid() int {
	f := strings.Fields(d.ask("pid"))
	if len(f) < 2 {
		return 0
	}
	pid, _ := strconv.Atoi(f[1])
	return pid
}

func (d *daemon) rewrite(text string) {
	d.t.Helper()
	if err := os.WriteFile(d.config, []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

func writeConfig(t *testing.T, lines ...string) (path, addr string) {
	t.Helper()
	// Where any user can read it: workers give up root.
	dir := t.TempDir()
	addr = loopback.Address(t)
	path = filepath.Join(dir, "echo.cfg")
	text := strings.Join(append([]string{"name one", "listen " + addr}, lines...), "\n")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path, addr
}

// pressure connects again and again and counts what is refused.
type pressure struct {
	stop   chan struct{}
	wg     sync.WaitGroup
	mu     sync.Mutex
	errors []error
	served int
}

func press(addr string) *pressure {
	p := &pressure{stop: make(chan struct{})}
	for range 4 {
		p.wg.Go(func() {
			for {
				select {
				case <-p.stop:
					return
				default:
				}
				c, err := net.DialTimeout("tcp", addr, patience)
				if err == nil {
					if answer := exchange(c, "x"); answer == "" {
						err = errors.New("no answer")
					}
					c.Close()
				}
				p.mu.Lock()
				p.served++
				if err != nil {
					p.errors = append(p.errors, err)
				}
				p.mu.Unlock()
			}
		})
	}
	return p
}

func (p *pressure) end() (served int, failures []error) {
	close(p.stop)
	p.wg.Wait()
	return p.served, p.errors
}

func refused(failures []error) (n int) {
	for _, err := range failures {
		if errors.Is(err, syscall.ECONNREFUSED) {
			n++
		}
	}
	return n
}

func readAll(t *testing.T, path, line string) string {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	fmt.Fprintln(c, line)
	b, _ := io.ReadAll(c)
	return string(b)
}
