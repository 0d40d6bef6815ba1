package failover

import (
	"bufio"
	"bytes"
	goflag "flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"evenkeel/internal/alert"
	"evenkeel/internal/dialect/keepalived"
	"evenkeel/internal/failover/report"
	"evenkeel/internal/keeper/lease"
)

// nodeVariable makes the test binary a node: it is started in a namespace with
// the path of a configuration.
const nodeVariable = "EVENKEEL_FAILOVER_TEST_NODE"

func TestMain(m *testing.M) {
	if path := os.Getenv(nodeVariable); path != "" {
		os.Exit(nodeMain(path))
	}
	goflag.Parse()
	given := false
	goflag.Visit(func(f *goflag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		// They wait for the protocol most of the time.
		_ = goflag.Set("test.parallel", fmt.Sprint(testsAtOnce))
	}
	os.Exit(m.Run())
}

const testsAtOnce = 8

// nodeMain is a failover process. Lines on its standard input are: reload,
// stop, retire, or what Control takes; each is answered, ending with a zero.
func nodeMain(path string) int {
	s := New(Options{Version: "test", Stderr: os.Stderr, Sinks: []alert.Spec{alert.Stream{Name: "stderr", To: os.Stderr}}})
	if err := configure(s, path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var page *lease.Page
	var state []byte
	if os.Getenv(nodeVariable+"_PAGE") != "" {
		p, err := lease.Inherit([lease.Descriptors]int{3, 4, 5, 6})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		for fd := 3; fd < 7; fd++ {
			syscall.CloseOnExec(fd)
		}
		page, state = p, p.ReadState()
	}
	if err := s.Start(page, state); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Print("ready\x00")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		answer := ""
		switch line := in.Text(); line {
		case "reload":
			if err := configure(s, path); err != nil {
				answer = err.Error()
			} else {
				s.Apply()
			}
		case "retire":
			s.Retire()
			fmt.Print("\x00")
			return 0
		case "stop":
			done := make(chan struct{})
			s.Stop(true, func() { close(done) })
			<-done
			fmt.Print("\x00")
			return 0
		default:
			answer = s.Control(line)
		}
		fmt.Print(answer + "\x00")
	}
	return 0
}

func configure(s *Service, path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	c, d := keepalived.Parse([]keepalived.File{{Name: path, Data: b}}, keepalived.Options{})
	if !d.HasErrors() {
		// Tests run beside each other.
		c.Failover.NoRealtime = os.Getenv(nodeVariable+"_REALTIME") == ""
		d = append(d, s.Configure(c)...)
	}
	if d.HasErrors() {
		return fmt.Errorf("%v", d)
	}
	return nil
}

// lab is a bridge with some nodes, each in a namespace of its own.
type lab struct {
	t     *testing.T
	name  string
	nodes []string // namespaces
}

// needRoot skips only where nothing could be tested.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs ip")
	}
}

var labNumber = func() func() int {
	var mu sync.Mutex
	n := 0
	return func() int { mu.Lock(); defer mu.Unlock(); n++; return n }
}()

// newLab makes nodes with eth0 192.0.2.N/24 and 2001:db8::N/64, N from 1.
func newLab(t *testing.T, nodes int) *lab {
	t.Helper()
	needRoot(t)
	removeStale()
	l := &lab{t: t, name: fmt.Sprintf("ekD%d-%d", os.Getpid(), labNumber())}
	t.Cleanup(l.remove)
	l.ip("netns add " + l.bridge())
	l.ip("-n " + l.bridge() + " link add br0 type bridge forward_delay 0 mcast_snooping 0")
	l.ip("-n " + l.bridge() + " link set br0 up")
	for n := 1; n <= nodes; n++ {
		ns := fmt.Sprintf("%s-%d", l.name, n)
		l.nodes = append(l.nodes, ns)
		l.ip("netns add " + ns)
		// Nobody else has the addresses that it makes: without detection they
		// are there at once.
		if out, err := exec.Command("ip", "netns", "exec", ns, "sh", "-c", "cd /proc/sys/net/ipv6/conf && echo 0 >default/accept_dad && echo 0 >all/accept_dad").CombinedOutput(); err != nil {
			t.Fatalf("accept_dad: %v %s", err, out)
		}
		l.ip(fmt.Sprintf("-n %s link add p%d type veth peer name eth0 netns %s", l.bridge(), n, ns))
		l.ip(fmt.Sprintf("-n %s link set p%d master br0 up", l.bridge(), n))
		l.ip("-n " + ns + " link set lo up")
		l.ip("-n " + ns + " link set eth0 up")
		l.ip(fmt.Sprintf("-n %s addr add 192.0.2.%d/24 dev eth0", ns, n))
		l.ip(fmt.Sprintf("-n %s addr add 2001:db8::%d/64 dev eth0 nodad", ns, n))
	}
	for n := range nodes {
		n := n
		l.eventually("a link-local address", func() bool {
			out := l.try("-n " + l.nodes[n] + " -6 addr show dev eth0 scope link")
			return strings.Contains(out, "fe80") && !strings.Contains(out, "tentative")
		})
	}
	return l
}

func (l *lab) bridge() string { return l.name + "-b" }

// removeStale removes namespaces of test runs that were killed.
func removeStale() {
	entries, _ := os.ReadDir("/run/netns")
	for _, e := range entries {
		var pid, lab int
		if n, _ := fmt.Sscanf(e.Name(), "ekD%d-%d-", &pid, &lab); n == 2 && syscall.Kill(pid, 0) == syscall.ESRCH {
			_ = exec.Command("ip", "netns", "del", e.Name()).Run()
		}
	}
}

func (l *lab) remove() {
	for _, ns := range append(l.nodes, l.bridge()) {
		_ = exec.Command("ip", "netns", "del", ns).Run()
	}
}

func (l *lab) ip(args string) string {
	l.t.Helper()
	out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		l.t.Fatalf("ip %s: %v\n%s", args, err, out)
	}
	return string(out)
}

func (l *lab) try(args string) string {
	out, _ := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
	return string(out)
}

// patience is for conditions that hold sooner or later, on any machine.
const patience = 30 * time.Second

// pause is between two looks at a node, each of which is a process.
const pause = 40 * time.Millisecond

func (l *lab) eventually(what string, f func() bool) {
	l.t.Helper()
	for deadline := time.Now().Add(patience); !f(); time.Sleep(pause) {
		if time.Now().After(deadline) {
			l.t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// has says whether a node has an address.
func (l *lab) has(node int, addr string) bool {
	return strings.Contains(l.try("-n "+l.nodes[node]+" addr show"), " "+addr+"/")
}

// only waits until one node has an address and the other ones do not.
func (l *lab) only(node int, addr string) {
	l.t.Helper()
	l.eventually(fmt.Sprintf("only node %d has %s", node+1, addr), func() bool {
		for n := range l.nodes {
			if l.has(n, addr) != (n == node) {
				return false
			}
		}
		return true
	})
}

// node is a failover process of ours in a namespace.
type node struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	path   string
	errors *logBuffer
	page   *lease.Page
}

// logBuffer keeps what a process writes, for failing tests.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// start runs a node with a configuration. A page is given to it, if there is one.
func (l *lab) start(n int, config string, page *lease.Page) *node {
	l.t.Helper()
	x := &node{t: l.t, path: l.t.TempDir() + "/keepalived.conf", errors: &logBuffer{}, page: page}
	x.write(config)
	x.run(l.nodes[n])
	return x
}

func (x *node) write(config string) {
	x.t.Helper()
	if err := os.WriteFile(x.path, []byte(config), 0o600); err != nil {
		x.t.Fatal(err)
	}
}

func (x *node) run(ns string) {
	x.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		x.t.Fatal(err)
	}
	x.cmd = exec.Command("ip", "netns", "exec", ns, exe)
	x.cmd.Env = append(os.Environ(), nodeVariable+"="+x.path)
	x.cmd.Stderr = x.errors
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if x.page != nil {
		x.cmd.Env = append(x.cmd.Env, nodeVariable+"_PAGE=1")
		for _, fd := range x.page.Files() {
			d, err := syscall.Dup(fd)
			if err != nil {
				x.t.Fatal(err)
			}
			f := os.NewFile(uintptr(d), "lease")
			defer f.Close()
			x.cmd.ExtraFiles = append(x.cmd.ExtraFiles, f)
		}
	}
	x.in, _ = x.cmd.StdinPipe()
	out, _ := x.cmd.StdoutPipe()
	x.out = bufio.NewReader(out)
	if err := x.cmd.Start(); err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() {
		x.kill()
		if x.t.Failed() {
			x.t.Logf("%s said:\n%s", ns, x.errors)
		}
	})
	if got := x.answer(); got != "ready" {
		x.t.Fatalf("%s did not start: %s\n%s", ns, got, x.errors)
	}
}

func (x *node) answer() string {
	s, err := x.out.ReadString(0)
	if err != nil {
		return "no answer: " + err.Error()
	}
	return strings.TrimSuffix(s, "\x00")
}

// control gives a line to a node and returns the answer.
func (x *node) control(line string) string {
	fmt.Fprintln(x.in, line)
	return x.answer()
}

func (x *node) kill() {
	if x.cmd.Process != nil {
		_ = x.cmd.Process.Kill()
		_ = x.cmd.Wait()
	}
}

// stop is a graceful end.
func (x *node) stop() {
	x.control("stop")
	_ = x.cmd.Wait()
}

// calm makes the instances of a text advertise so rarely that a busy host keeps
// nobody from doing so in time: for tests that count who became master.
func calm(text string) string {
	return strings.ReplaceAll(text, "advert_int 0.1\n", "advert_int 0.8\n")
}

// is waits until an instance has a state, for a reason that has these words.
func (x *node) is(name, state, why string) {
	x.t.Helper()
	var i *report.Instance
	for deadline := time.Now().Add(patience); ; time.Sleep(pause) {
		if i = x.instance(name); i.State == state && strings.Contains(i.Why, why) {
			return
		}
		if time.Now().After(deadline) {
			x.t.Fatalf("not within %v %s because of %q: %+v", patience, state, why, i)
		}
	}
}

// instanceText is a vrrp_instance with one address; more are lines of its block.
func instanceText(name string, vrid, priority int, address string, more ...string) string {
	return fmt.Sprintf("vrrp_instance %s {\n interface eth0\n virtual_router_id %d\n priority %d\n advert_int 0.1\n version 3\n"+
		" garp_master_delay 1\n %s\n virtual_ipaddress {\n %s\n }\n}\n", name, vrid, priority, strings.Join(more, "\n "), address)
}
