package bfd

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	wire "evenkeel/internal/wire/bfd"
)

// patience is how long a test waits for what has to happen.
const patience = 30 * time.Second

// steady is a multiplier that makes a session outlive what a busy host keeps its
// speakers from doing: at 20 ms, two seconds of silence.
const steady = 100

// run runs a command that must succeed.
func run(t *testing.T, argv ...string) {
	t.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
}

// cable is two network namespaces with a link between them: 10.99.0.1 and
// fd99::1 on v0, 10.99.0.2 and fd99::2 on v1.
type cable struct{ names [2]string }

// cables counts them, for names: tests run side by side.
var cables atomic.Int32

func newCable(t *testing.T) *cable {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	c := &cable{}
	n := cables.Add(1)
	for i := range c.names {
		c.names[i] = fmt.Sprintf("ekE%d-%d%c", os.Getpid(), n, 'a'+i)
		_ = exec.Command("ip", "netns", "del", c.names[i]).Run() // of a run that was killed
		run(t, "ip", "netns", "add", c.names[i])
		t.Cleanup(func() { exec.Command("ip", "netns", "del", c.names[i]).Run() })
	}
	run(t, "ip", "link", "add", "v0", "netns", c.names[0], "type", "veth", "peer", "name", "v1", "netns", c.names[1])
	for i, n := range c.names {
		dev := fmt.Sprintf("v%d", i)
		run(t, "ip", "-n", n, "addr", "add", fmt.Sprintf("10.99.0.%d/24", i+1), "dev", dev)
		run(t, "ip", "-n", n, "addr", "add", fmt.Sprintf("fd99::%d/64", i+1), "dev", dev, "nodad")
		run(t, "ip", "-n", n, "link", "set", dev, "up")
	}
	return c
}

// inside gives a function that moves its thread into a namespace.
func (c *cable) inside(t *testing.T, i int) func() {
	fd, err := unix.Open("/run/netns/"+c.names[i], unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return func() {
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			t.Error(err)
		}
	}
}

// watcher collects changes and notices.
type watcher struct {
	t       *testing.T
	runner  *Runner
	changes chan Change

	mu      sync.Mutex
	notices []string
}

func (c *cable) open(t *testing.T, i int) *watcher {
	t.Helper()
	w := &watcher{t: t, changes: make(chan Change, 1000)}
	var err error
	w.runner, err = Open(Options{
		Changed: func(x Change) { w.changes <- x },
		Notice: func(s, text string) {
			w.mu.Lock()
			w.notices = append(w.notices, s+": "+text)
			w.mu.Unlock()
		},
		Thread: c.inside(t, i),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.close() })
	return w
}

func (w *watcher) close() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.runner.Close(ctx); err != nil {
		w.t.Error(err)
	}
}

func (w *watcher) set(c ...Config) {
	w.t.Helper()
	if err := w.runner.Set(c); err != nil {
		w.t.Fatal(err)
	}
}

// until waits for a session to reach a state.
func (w *watcher) until(s State) Change {
	w.t.Helper()
	return w.untilIt(s, func(Change) bool { return true })
}

// untilIt waits for a change to a state that is the one that is meant.
func (w *watcher) untilIt(s State, meant func(Change) bool) Change {
	w.t.Helper()
	for late := time.After(patience); ; {
		select {
		case c := <-w.changes:
			if c.To == s && meant(c) {
				return c
			}
		case <-late:
			info, now := w.runner.Status()
			w.t.Fatalf("never %v: %+v at %v\n%s", s, info, now, strings.Join(w.noted(), "\n"))
		}
	}
}

// both waits for two sessions to be in a state.
func (w *watcher) both(s State) {
	w.t.Helper()
	seen := map[string]bool{}
	w.untilIt(s, func(c Change) bool { seen[c.Name] = true; return len(seen) == 2 })
}

// silent says how long nothing had been heard when the session was found silent,
// by the runner's own clock.
func (w *watcher) silent(name string) time.Duration {
	all, _ := w.runner.Status()
	for _, x := range all {
		if x.Name == name {
			return x.Since - x.LastHeard
		}
	}
	w.t.Errorf("there is no session %s", name)
	return 0
}

func (w *watcher) noted() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.notices...)
}

// eventually waits for what another goroutine or process brings about.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func pair() (a, b Config) {
	a, b = one("to-b"), one("to-a")
	a.Neighbor, b.Neighbor = netip.MustParseAddr("10.99.0.2"), netip.MustParseAddr("10.99.0.1")
	return a, b
}

func TestRunners(t *testing.T) {
	t.Parallel()
	c := newCable(t)
	x, y := c.open(t, 0), c.open(t, 1)
	a, b := pair()
	a.Multiplier, b.Multiplier = steady, steady
	a6, b6 := a, b
	a6.Name, a6.Neighbor, a6.Source = "six", netip.MustParseAddr("fd99::2"), netip.MustParseAddr("fd99::1")
	b6.Name, b6.Neighbor = "six", netip.MustParseAddr("fd99::1")
	x.set(a, a6)
	y.set(b, b6)
	for _, w := range []*watcher{x, y} {
		w.both(Up)
	}
	if up, known := x.runner.Up("six"); !up || !known {
		t.Error("six is not up for Up")
	}
	if _, known := x.runner.Up("seven"); known {
		t.Error("there is a seven")
	}
	// A reload that changes one session and leaves the other does not touch
	// either state.
	a.MinTx, a.Multiplier, a6.Name = 15*time.Millisecond, steady+1, "renamed"
	x.set(a6, a)
	eventually(t, "the neighbor sees the new multiplier", func() bool {
		all, _ := y.runner.Status()
		return all[0].DetectionTime == (steady+1)*20*time.Millisecond
	})
	if all, now := x.runner.Status(); len(all) != 2 || all[0].Name != "renamed" || all[0].State != Up || all[0].Flaps+all[1].Flaps != 0 || all[0].Since > now {
		t.Errorf("%+v at %v", all, now)
	}
	// The link goes: each side finds out by itself, not before its detection
	// time is over.
	run(t, "ip", "-n", c.names[0], "link", "set", "v0", "down")
	for range 2 {
		got := x.until(Down)
		if silence := x.silent(got.Name); got.Diagnostic != wire.DetectionTimeExpired || got.Up || got.From != Up || silence < steady*20*time.Millisecond {
			t.Errorf("%+v after %v", got, silence)
		}
	}
	y.both(Down)
	run(t, "ip", "-n", c.names[0], "link", "set", "v0", "up")
	// The IPv6 address went with the link.
	run(t, "ip", "-n", c.names[0], "addr", "replace", "fd99::1/64", "dev", "v0", "nodad")
	for _, w := range []*watcher{x, y} {
		w.both(Up)
	}
	// One session is taken out: its neighbor is told.
	x.set(a6)
	if got := y.until(Down); got.Name != "to-a" || got.RemoteDiagnostic != wire.AdministrativelyDown {
		t.Errorf("%+v", got)
	}
	x.close()
	if got := y.until(Down); got.Name != "six" || got.Why != "the neighbor is administratively down" {
		t.Errorf("%+v", got)
	}
	if err := x.runner.Set(nil); err == nil {
		t.Error("a closed runner takes sessions")
	}
	if all, _ := x.runner.Status(); len(all) != 0 {
		t.Errorf("a closed runner has %+v", all)
	}
}

// A runner that is held up reads what came meanwhile before it takes its own
// delay for silence.
func TestHeldUp(t *testing.T) {
	t.Parallel()
	c := newCable(t)
	y := c.open(t, 1)
	held := make(chan struct{})
	w := &watcher{t: t, changes: make(chan Change, 1000)}
	var err error
	w.runner, err = Open(Options{Thread: c.inside(t, 0), Changed: func(x Change) {
		w.changes <- x
		if x.Name == "six" && x.From == Up {
			<-held
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	a, b := pair()
	// The neighbor waits for 5 s, and is waited for for 2.
	a.Multiplier, b.Multiplier = 255, steady
	const detection = steady * 20 * time.Millisecond
	a6, b6 := a, b
	a6.Name, a6.Neighbor = "six", netip.MustParseAddr("fd99::2")
	b6.Name, b6.Neighbor = "six", netip.MustParseAddr("fd99::1")
	w.set(a, a6)
	y.set(b, b6)
	w.both(Up)
	sent := func() uint64 {
		all, _ := y.runner.Status()
		return all[0].Sent
	}
	before := sent()
	y.set(b)
	w.untilIt(Down, func(c Change) bool { return c.Name == "six" })
	since := time.Now()
	// Longer than it would wait, and more than that takes, in the socket.
	eventually(t, "the neighbor goes on sending", func() bool {
		return sent() > before+steady+50 && time.Since(since) > detection+detection/4
	})
	close(held)
	if all, _ := w.runner.Status(); all[0].State != Up || all[0].Flaps != 0 {
		t.Errorf("%+v", all[0])
	}
}

// Two speakers on a host: the second says why it cannot, and keeps what it has.
func TestPortInUse(t *testing.T) {
	c := newCable(t)
	x, y := c.open(t, 0), c.open(t, 0)
	a, _ := pair()
	x.set(a)
	other := a
	other.Name, other.Port = "multihop", MultihopPort
	y.set(other)
	if err := y.runner.Set([]Config{other, a}); err == nil || !strings.Contains(err.Error(), "BFD session to-b: UDP port 3784 is in use; another program speaks BFD here") {
		t.Error(err)
	}
	if all, _ := y.runner.Status(); len(all) != 1 || all[0].Name != "multihop" {
		t.Errorf("%+v", all)
	}
	x.set() // the port is free when its last session has gone
	eventually(t, "the port is free", func() bool { return y.runner.Set([]Config{other, a}) == nil })
}

// A packet that has been forwarded is refused by a single-hop session, and
// taken where max_hops allows it; so is one from somebody else.
func TestHops(t *testing.T) {
	t.Parallel()
	c := newCable(t)
	x, y := c.open(t, 0), c.open(t, 1)
	a, b := pair()
	b.TTL = 254
	x.set(a)
	y.set(b)
	eventually(t, "a notice about the TTL", func() bool {
		return strings.Contains(strings.Join(x.noted(), "\n"), "its TTL 254 is below 255")
	})
	if all, _ := x.runner.Status(); all[0].State != Down || all[0].Discarded == 0 || all[0].LastDiscardReason != "TTL 254 is below 255" {
		t.Errorf("%+v", all[0])
	}
	a.MaxHops = 1
	x.set(a)
	x.until(Up)
	b.TTL = 253 // a change of the TTL alone
	y.set(b)
	eventually(t, "it is not heard", func() bool {
		all, _ := x.runner.Status()
		return all[0].State == Down && all[0].LastDiscardReason == "TTL 253 is below 254"
	})
	// A stranger.
	a.Neighbor = netip.MustParseAddr("10.99.0.3")
	x.set(a)
	eventually(t, "a notice about a stranger", func() bool {
		return strings.Contains(strings.Join(x.noted(), "\n"), "from 10.99.0.2, which is no session's neighbor")
	})
}

func TestSetRefuses(t *testing.T) {
	r, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(t.Context()) })
	a, b := pair()
	same, six, multi, hops, ttl := b, b, b, b, b
	same.Neighbor = a.Neighbor
	six.Source = netip.MustParseAddr("::1")
	multi.Multiplier = 256
	hops.MaxHops = 256
	ttl.TTL = 256
	local := b
	local.Neighbor = netip.MustParseAddr("fe80::1")
	for _, x := range []struct {
		list []Config
		want string
	}{
		{[]Config{a, same}, "BFD sessions to-b and to-a have the same neighbor 10.99.0.2"},
		{[]Config{a, a}, "BFD session to-b: there are two of this name"},
		{[]Config{six}, "BFD session to-a: source ::1 and neighbor 10.99.0.1 are of different families"},
		{[]Config{multi}, "BFD session to-a: multiplier 256 is not in 1 to 255"},
		{[]Config{hops}, "BFD session to-a: max_hops 256 is not in 0 to 255"},
		{[]Config{ttl}, "BFD session to-a: TTL 256 is not in 1 to 255"},
		{[]Config{{Name: "x"}}, "BFD session x: no neighbor address"},
		{[]Config{{Name: "x", Neighbor: netip.MustParseAddr("224.0.0.1")}}, "BFD session x: 224.0.0.1 is no neighbor's address"},
		{[]Config{a, local}, "BFD session to-a: fe80::1 is a link-local address: write it with its interface, as in fe80::1%eth0"},
	} {
		if err := r.Set(x.list); err == nil || err.Error() != x.want {
			t.Errorf("%v, want %s", err, x.want)
		}
		if all, _ := r.Status(); len(all) != 0 {
			t.Fatalf("after %s there are %+v", x.want, all)
		}
	}
}

// daemon is a keepalived with one BFD session to 10.99.0.1, which its VRRP
// instance tracks.
type daemon struct {
	cmd  *exec.Cmd
	log  string
	wait chan struct{}
}

func (c *cable) keepalived(t *testing.T, net, words string) *daemon {
	t.Helper()
	path, err := exec.LookPath("keepalived")
	if err != nil {
		t.Skip("no keepalived here")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "keepalived.conf")
	text := `
bfd_instance peer {
  neighbor_ip ` + net + `1
  source_ip ` + net + `2
  min_rx 20
  min_tx 30
  multiplier ` + fmt.Sprint(steady) + `
  ` + words + `
}
vrrp_instance V {
  interface v1
  virtual_router_id 9
  advert_int 1
  virtual_ipaddress {
    10.99.0.100/24
  }
  track_bfd {
    peer
  }
}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &daemon{log: filepath.Join(dir, "log"), wait: make(chan struct{})}
	out, err := os.Create(d.log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	d.cmd = exec.Command("ip", "netns", "exec", c.names[1], path, "-n", "-l", "-D", "-f", file,
		"-p", dir+"/p", "-r", dir+"/r", "-c", dir+"/c", "-b", dir+"/b")
	d.cmd.Stdout, d.cmd.Stderr = out, out
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.cmd.Wait(); close(d.wait) }()
	t.Cleanup(func() {
		d.signal(syscall.SIGCONT)
		d.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-d.wait:
		case <-time.After(patience):
		}
		d.signal(syscall.SIGKILL)
		if t.Failed() {
			b, _ := os.ReadFile(d.log)
			t.Logf("%s", b)
		}
	})
	return d
}

// signal reaches all of its processes.
func (d *daemon) signal(s syscall.Signal) { syscall.Kill(-d.cmd.Process.Pid, s) }

// says waits for a line in the log, for the n-th time.
func (d *daemon) says(t *testing.T, line string, n int) {
	t.Helper()
	eventually(t, "keepalived says "+line, func() bool {
		b, _ := os.ReadFile(d.log)
		return bytes.Count(b, []byte(line)) >= n
	})
}

func TestKeepalived(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		net, words string
		passive    bool
		ttl        int
	}{
		"active": {"10.99.0.", "", false, 0}, "keepalived passive": {"10.99.0.", "passive", false, 0}, "passive": {"10.99.0.", "", true, 0},
		// Over IPv6 keepalived's hop limit is 64 unless it is told otherwise.
		"IPv6": {"fd99::", "", false, 0}, "IPv6 as RFC 5881": {"fd99::", "hoplimit 255", false, 255},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCable(t)
			w := c.open(t, 0)
			a, _ := pair()
			a.Passive, a.TTL, a.Multiplier = x.passive, x.ttl, steady
			a.Neighbor = netip.MustParseAddr(x.net + "2")
			w.set(a)
			d := c.keepalived(t, x.net, x.words)
			w.until(Up)
			d.says(t, "(peer) Entering Up state", 1)
			// Both have left the interval of a second behind: of our 10 ms and
			// their 20, of their 30 and our 20.
			eventually(t, "timers are negotiated", func() bool {
				all, _ := w.runner.Status()
				return all[0].TxInterval == 20*time.Millisecond && all[0].DetectionTime == steady*30*time.Millisecond
			})
			d.says(t, "Detection time is 2000000 us", 1)

			// Frozen, it is down; and back.
			d.signal(syscall.SIGSTOP)
			got := w.until(Down)
			if silence := w.silent(got.Name); got.Diagnostic != wire.DetectionTimeExpired || silence < steady*30*time.Millisecond {
				t.Errorf("%+v after %v", got, silence)
			}
			d.signal(syscall.SIGCONT)
			w.until(Up)
			d.says(t, "(peer) Entering Up state", 2)

			// We say goodbye: it does not wait for its detection time.
			w.close()
			d.says(t, "Entering Down state (Local diagnostic - Neighbor Signaled Session Down, Remote diagnostic - Administratively Down)", 1)
			d.says(t, "Received BFD event: instance peer is in state Down", 1)
		})
	}
}

// We vanish without a word, and keepalived finds out by itself; it stops
// orderly, and we find out.
func TestKeepalivedLoses(t *testing.T) {
	t.Parallel()
	c := newCable(t)
	w := c.open(t, 0)
	a, _ := pair()
	a.Multiplier = steady
	w.set(a)
	d := c.keepalived(t, "10.99.0.", "")
	w.until(Up)
	d.says(t, "(peer) Entering Up state", 1)
	run(t, "ip", "-n", c.names[1], "link", "set", "v1", "down")
	w.until(Down)
	d.says(t, "Expired after", 1)
	run(t, "ip", "-n", c.names[1], "link", "set", "v1", "up")
	w.until(Up)
	d.cmd.Process.Signal(syscall.SIGTERM)
	if got := w.until(Down); got.From != Up {
		t.Errorf("%+v", got)
	}
}
