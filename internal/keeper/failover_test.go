package keeper

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"evenkeel/internal/keeper/lease"
	"evenkeel/internal/keeper/worker"
	"evenkeel/internal/model"
)

// testProtocol is an IP protocol for experiments (RFC 3692): the fake's
// advertisements.
const testProtocol = 253

// fakeHolder is a failover process without VRRP. It writes what it is told
// into CONFIG.journal. Its configuration is lines of the same file: unmovable
// (does not build), mark TEXT (sent in its will), hurry (it is stood in for only
// for a moment). With a file CONFIG.broken it
// builds nothing.
type fakeHolder struct {
	config string
	mark   string
	hurry  bool
	page   *lease.Page
}

func (h *fakeHolder) note(format string, args ...any) {
	f, err := os.OpenFile(h.config+".journal", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return
	}
	defer f.Close()
	fmt.Fprintf(f, format+"\n", args...)
}

func (h *fakeHolder) Prepare(files *worker.Files) (d model.Diagnostics) {
	text, _ := files.ReadFile(h.config)
	if _, err := os.Stat(h.config + ".broken"); err == nil {
		d.Errorf(model.Pos{}, "this process cannot start")
	}
	for i, l := range strings.Split(string(text), "\n") {
		if l == "unmovable" {
			d.Errorf(model.Pos{File: h.config, Line: i + 1, Col: 1}, "this address cannot move")
		}
		if m, ok := strings.CutPrefix(l, "mark "); ok {
			h.mark = m
		}
		if l == "hurry" {
			h.hurry = true
		}
	}
	if !d.HasErrors() {
		h.note("prepared %d", os.Getpid())
	}
	return d
}

func (h *fakeHolder) Start(page *lease.Page, state []byte) error {
	h.page = page
	h.note("start %d after %q", os.Getpid(), state)
	if err := page.WriteState([]byte("master " + strconv.Itoa(os.Getpid()))); err != nil {
		return err
	}
	local := netip.MustParseAddr("127.0.0.1")
	say := func(text string) []lease.Datagram {
		return []lease.Datagram{{Protocol: testProtocol, Interface: 1, Source: local, Destination: local, TTL: 255, Payload: []byte(h.mark + text),
			Every: 200 * time.Millisecond}}
	}
	// The peers of so long an interval wait also when this machine is busy.
	stands := patience // as long as the start of another process takes
	if h.hurry {
		stands = 700 * time.Millisecond
	}
	if err := page.WriteWill(lease.Will{Every: 2 * time.Second, Patience: stands, Wait: time.Millisecond,
		Alive: say("alive"), Leave: say("leave")}); err != nil {
		return err
	}
	go func() {
		for {
			_ = page.Beat(lease.Now(), 400*time.Millisecond)
			time.Sleep(50 * time.Millisecond)
		}
	}()
	return nil
}

func (h *fakeHolder) Apply() { h.note("apply") }

func (h *fakeHolder) Retire() { h.note("retire %d", os.Getpid()) }

func (h *fakeHolder) Release(why string) {
	var answer string
	for _, l := range strings.Split(readString(h.config), "\n") {
		if addr, ok := strings.CutPrefix(l, "listen "); ok {
			// The word that the addresses move comes at about the same time.
			for end := time.Now().Add(patience); !strings.HasSuffix(answer, "leaving") && time.Now().Before(end); {
				c, err := net.DialTimeout("tcp", addr, patience)
				if err != nil {
					break
				}
				answer = exchange(c, "still-there")
				c.Close()
			}
		}
	}
	state, _ := h.page.Worker()
	h.note("release %s, worker %d answers %q", why, state, answer)
}

func (h *fakeHolder) Control(line string) string {
	state, _ := h.page.Worker()
	return fmt.Sprintf("%d %s worker=%d", os.Getpid(), line, state)
}

func readString(name string) string {
	b, _ := os.ReadFile(name)
	return string(b)
}

func (d *daemon) journal() string { return readString(d.config + ".journal") }

// breakHolders lets failover processes that start now fail, or not any more.
func (d *daemon) breakHolders(yes bool) {
	d.t.Helper()
	err := error(nil)
	if yes {
		err = os.WriteFile(d.config+".broken", nil, 0o644)
	} else {
		err = os.Remove(d.config + ".broken")
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *daemon) awaitNote(text string) {
	d.t.Helper()
	d.await("the note "+strconv.Quote(text)+" in\n"+d.journal(), func() bool { return strings.Contains(d.journal(), text) })
}

// holderPid is the failover process that serves; 0: none.
func (d *daemon) holderPid() int {
	text, err := Control(d.cmd.Process.Pid, "pid")
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.Fields(text)[0])
	return pid
}

// holder waits for the failover process.
func (d *daemon) holder() (pid int) {
	d.t.Helper()
	d.await("a failover process", func() bool { pid = d.holderPid(); return pid != 0 })
	return pid
}

// send sends a signal to one process: to nobody where there is none, and not to
// the group of these tests.
func (d *daemon) send(pid int, s syscall.Signal) {
	d.t.Helper()
	if pid <= 1 {
		d.t.Fatalf("%v to process %d", s, pid)
	}
	if err := syscall.Kill(pid, s); err != nil {
		d.t.Fatal(err)
	}
}

func startHolding(t *testing.T, lines []string, args ...string) *daemon {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("raw sockets need root")
	}
	mark := strconv.FormatInt(time.Now().UnixNano(), 36)
	config, _ := writeConfig(t, append([]string{"mark " + mark}, lines...)...)
	d := launch(t, config, append([]string{"-W", "-failover"}, args...)...)
	d.mark = mark
	d.await("a failover process", func() bool { return d.alive() && d.holderPid() != 0 })
	return d
}

// ear hears the fake's advertisements.
type ear struct {
	t     *testing.T
	fd    int
	mark  string
	heard []string
}

func (d *daemon) listen() *ear {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, testProtocol)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { unix.Close(fd) })
	return &ear{t: d.t, fd: fd, mark: d.mark}
}

func (e *ear) all() []string {
	b := make([]byte, 2048)
	for {
		n, _, err := unix.Recvfrom(e.fd, b, 0)
		if err != nil {
			return e.heard
		}
		if n < 20 {
			continue
		}
		if text, ok := strings.CutPrefix(string(b[20:n]), e.mark); ok {
			e.heard = append(e.heard, text)
		}
	}
}

func TestKilledHolderIsStoodInFor(t *testing.T) {
	d := startHolding(t, nil)
	e := d.listen()
	first := d.holder()
	d.send(first, syscall.SIGKILL)
	d.await("another failover process", func() bool { p := d.holderPid(); return p != 0 && p != first })
	d.awaitNote(fmt.Sprintf("after \"master %d\"", first))
	if heard := e.all(); !slices.Contains(heard, "alive") || slices.Contains(heard, "leave") {
		t.Errorf("the peers heard %q", heard)
	}
}

// What has been written to the disk since counts from the next reload on.
func TestKilledHolderKeepsItsConfiguration(t *testing.T) {
	d := startHolding(t, nil)
	kill := func() {
		t.Helper()
		first := d.holder()
		d.send(first, syscall.SIGKILL)
		d.await("another failover process", func() bool { p := d.holderPid(); return p != 0 && p != first })
	}
	good := readString(d.config)
	d.rewrite(good + "\nunmovable")
	kill()
	kill() // from what the one before was built from
	d.rewrite(good + "\nmark other")
	for range 2 { // the first is over when the second is answered
		if text, err := Reload(d.cmd.Process.Pid); err != nil {
			t.Fatal(err, text)
		}
	}
	d.rewrite(good + "\nunmovable")
	kill()
	e := d.listen()
	e.mark = "other"
	d.send(d.holder(), syscall.SIGKILL)
	d.await("the mark of the reload", func() bool { return slices.Contains(e.all(), "alive") })
}

func TestFrozenHolderIsReplaced(t *testing.T) {
	d := startHolding(t, nil)
	e := d.listen()
	first := d.holder()
	d.send(first, syscall.SIGSTOP)
	d.await("another failover process", func() bool { p := d.holderPid(); return p != 0 && p != first })
	if heard := e.all(); !slices.Contains(heard, "alive") {
		t.Errorf("the peers heard %q", heard)
	}
	if !strings.Contains(d.output(), "is frozen: killed") {
		t.Errorf("nothing was said:\n%s", d.output())
	}
}

// A process that was only late is stood in for meanwhile, and goes on. A busy
// machine can be too slow to wake it in time, so it has some tries.
func TestLateHolderGoesOn(t *testing.T) {
	d := startHolding(t, nil)
	for try := range 25 {
		e := d.listen()
		first := d.holder()
		d.send(first, syscall.SIGSTOP)
		d.await("the stand-in", func() bool { return slices.Contains(e.all(), "alive") })
		_ = syscall.Kill(first, syscall.SIGCONT)
		end := time.Now().Add(2 * frozenPatience)
		d.await("the end of the keeper's patience", func() bool { return time.Now().After(end) })
		if d.holderPid() == first {
			return
		}
		t.Logf("try %d: it was killed", try+1)
	}
	t.Errorf("it is killed however soon it goes on:\n%s", d.output())
}

func TestAddressesAreHandedOverWhenNoHolderStarts(t *testing.T) {
	d := startHolding(t, []string{"hurry"})
	e := d.listen()
	d.breakHolders(true)
	d.send(d.holder(), syscall.SIGKILL)
	d.await("the word that we leave", func() bool { return slices.Contains(e.all(), "leave") })
	heard := e.all()
	if i := slices.Index(heard, "leave"); i == 0 || slices.Contains(heard[i:], "alive") {
		t.Errorf("the peers heard %q", heard)
	}
	d.breakHolders(false)
	d.awaitNote("after \"\"")
	d.await("a failover process that is new to it", func() bool { return d.holderPid() != 0 && strings.Count(d.journal(), "after \"\"") >= 2 })
}

// A stop while the keeper stands in does the whole will before it ends.
func TestStopWhileStoodInFor(t *testing.T) {
	d := startHolding(t, nil, "-noworker")
	e := d.listen()
	d.breakHolders(true)
	d.send(d.holder(), syscall.SIGKILL)
	d.await("the stand-in", func() bool { return slices.Contains(e.all(), "alive") })
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-d.exited:
	case <-time.After(patience):
		t.Fatalf("it does not end\n%s", d.output())
	}
	if heard := e.all(); heard[len(heard)-1] != "leave" {
		t.Errorf("the peers heard %q", heard)
	}
}

func TestStopHandsOverFirst(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGUSR1} {
		t.Run(sig.String(), func(t *testing.T) {
			d := startHolding(t, nil)
			d.await("a worker", func() bool { return d.workerPid() != 0 })
			if err := d.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			select {
			case <-d.exited:
			case <-time.After(patience):
				t.Fatalf("it does not end\n%s", d.output())
			}
			if j := d.journal(); !strings.Contains(j, "release stopped, worker 1 answers \"one ") || !strings.Contains(j, " leaving\"") {
				t.Errorf("the worker did not serve while the addresses were handed over:\n%s", j)
			}
		})
	}
}

func TestKeepersDeathHandsOver(t *testing.T) {
	d := startHolding(t, nil)
	d.await("a worker", func() bool { return d.workerPid() != 0 })
	if err := d.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	d.awaitNote("release the keeper has died, worker 1 answers \"one ")
}

func TestReloadPreparesThenApplies(t *testing.T) {
	d := startHolding(t, nil)
	pid, holder := d.workerPid(), d.holderPid()
	d.rewrite(readString(d.config) + "\nunmovable")
	if _, err := Reload(d.cmd.Process.Pid); err == nil {
		t.Fatal("a bad configuration was loaded")
	}
	if d.workerPid() != pid || strings.Contains(d.journal(), "apply") || !strings.Contains(d.output(), "this address cannot move") {
		t.Errorf("something changed, or nothing was said:\n%s\n%s", d.journal(), d.output())
	}
	d.rewrite(strings.ReplaceAll(readString(d.config), "\nunmovable", ""))
	if text, err := Reload(d.cmd.Process.Pid); err != nil {
		t.Fatal(err, text)
	}
	d.awaitNote("apply")
	d.await("another worker", func() bool { n := d.workerPid(); return n != 0 && n != pid })
	if d.holderPid() != holder {
		t.Error("the failover process was restarted")
	}
}

func TestHolderSeesTheWorker(t *testing.T) {
	d := startHolding(t, nil)
	seen := func(state lease.WorkerState) func() bool {
		return func() bool {
			text, err := Control(d.cmd.Process.Pid, "x")
			return err == nil && strings.Contains(text, fmt.Sprintf("worker=%d", state))
		}
	}
	d.await("that it serves", seen(lease.WorkerServing))
	d.rewrite("nonsense")
	// So many deaths that the next start waits.
	for range quickFree + 4 {
		if pid := d.workerPid(); pid != 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if seen(lease.WorkerDown)() {
			break
		}
	}
	d.await("that it serves again", seen(lease.WorkerServing))
}

func TestHolderAlone(t *testing.T) {
	d := startHolding(t, nil, "-noworker", "-p", t.TempDir()+"/pid")
	text, err := Status(d.cmd.Process.Pid)
	if err != nil || strings.Contains(text, " worker ") || !strings.Contains(text, " failover ") {
		t.Errorf("%v\n%s", err, text)
	}
	if text, err := Reload(d.cmd.Process.Pid); err != nil {
		t.Error(err, text)
	}
	d.awaitNote("apply")
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.exited:
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
	d.awaitNote("release stopped")
}

func TestBadStartEnds(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("raw sockets need root")
	}
	config, _ := writeConfig(t, "unmovable")
	d := launch(t, config, "-W", "-failover")
	select {
	case <-d.exited:
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
	if d.cmd.ProcessState.ExitCode() != 1 || !strings.Contains(d.output(), "this address cannot move") {
		t.Errorf("%v\n%s", d.cmd.ProcessState, d.output())
	}
}

func TestFresh(t *testing.T) {
	w := lease.Will{Every: time.Second}
	for silence, want := range map[time.Duration]bool{0: true, 2 * time.Second: true, 2600 * time.Millisecond: false, time.Hour: false} {
		if got := fresh(w, silence); got != want {
			t.Errorf("after %v: %v", silence, got)
		}
	}
	if fresh(lease.Will{}, 0) {
		t.Error("a will without advertisements holds nothing")
	}
	var c chance
	if !c.allow(1) || c.allow(1) || !c.allow(2) {
		t.Error("there is one more chance a silence")
	}
}

func TestLeaveGoesOnAfterAnError(t *testing.T) {
	s := newStandIn(lease.Will{Leave: make([]lease.Datagram, 2), Remove: [][]byte{{1}}})
	sent, removed := 0, 0
	broken := errors.New("broken")
	err := s.leave(func(lease.Datagram) error { sent++; return broken }, func(m [][]byte) error { removed += len(m); return nil })
	if sent != 2 || removed != 1 || !errors.Is(err, broken) {
		t.Errorf("sent %d, removed %d: %v", sent, removed, err)
	}
}
