package forwarding

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"evenkeel/test/subject"
)

// program is the evenkeel under test.
var program string

func TestMain(m *testing.M) {
	if spec := os.Getenv(refuseVariable); spec != "" {
		fmt.Fprintln(os.Stderr, refuse(spec))
		os.Exit(1)
	}
	os.Exit(subject.Run(m, subject.How{}, func(path string) {
		program = path
		removeStale()
	}))
}

// The addresses: clients and the outside of directors are in one network, real
// servers and the inside in another, and a client of its own behind the
// directors in a third. All are on one Ethernet.
const (
	vip       = "10.79.0.100"
	insideVIP = "10.80.0.1" // the servers' gateway with NAT
)

var nodes = map[string][]string{
	"c": {"10.79.0.2/24", "10.81.0.2/24", "fd79::2/64", "fd81::2/64"},
	"d": {"10.79.0.11/24", "10.80.0.11/24", "10.81.0.11/24", "fd79::11/64", "fd80::11/64", "fd81::11/64"},
	"e": {"10.79.0.12/24", "10.80.0.12/24", "fd79::12/64", "fd80::12/64"},
	"1": {"10.79.0.21/24", "10.80.0.21/24", "fd79::21/64", "fd80::21/64"},
	"2": {"10.79.0.22/24", "10.80.0.22/24", "fd79::22/64", "fd80::22/64"},
	"3": {"10.79.0.23/24", "10.80.0.23/24", "fd79::23/64", "fd80::23/64"},
}

// lan is the namespaces of one test.
type lan struct {
	t      *testing.T
	dir    string
	prefix string
	mu     sync.Mutex
	nginx  map[string]*exec.Cmd
}

func newLAN(t *testing.T) *lan {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	for _, need := range []string{"ip", "nginx"} {
		if _, err := exec.LookPath(need); err != nil {
			t.Skipf("%s is not installed", need)
		}
	}
	l := &lan{t: t, dir: t.TempDir(), prefix: fmt.Sprintf("ekR%d-%d-", os.Getpid(), lans.Add(1)), nginx: map[string]*exec.Cmd{}}
	if err := os.Chmod(l.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(l.prefix) })
	l.run("ip", "netns", "add", l.prefix+"w")
	l.ip("w", "link add br0 type bridge forward_delay 0 mcast_snooping 0")
	l.ip("w", "link set br0 up")
	for n, addresses := range nodes {
		l.run("ip", "netns", "add", l.prefix+n)
		l.ip(n, "link set lo up")
		l.ip("w", fmt.Sprintf("link add name p%s type veth peer name eth0 netns %s%s", n, l.prefix, n))
		l.ip("w", fmt.Sprintf("link set p%s master br0 up", n))
		l.sysctl(n, "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.eth0.rp_filter=0", "net.ipv6.conf.eth0.accept_dad=0")
		l.ip(n, "link set eth0 up")
		for _, a := range addresses {
			l.ip(n, "addr add "+a+" dev eth0")
		}
	}
	l.sysctl("d", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.eth0.send_redirects=0")
	l.sysctl("e", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.eth0.send_redirects=0")
	return l
}

// lans counts them, for names: some are there at once.
var lans atomic.Int32

// namespaces are those whose name begins so.
func namespaces(prefix string) (list []string) {
	all, _ := filepath.Glob("/run/netns/" + prefix + "*")
	for _, file := range all {
		list = append(list, filepath.Base(file))
	}
	return list
}

// remove takes away the namespaces whose name begins so, with whatever still runs
// in them and what directors that were killed have left of them.
func remove(prefix string) {
	for _, name := range namespaces(prefix) {
		left := filepath.Join("/run/evenkeel", "forwarding-"+cookie(name))
		pids, _ := exec.Command("ip", "netns", "pids", name).Output()
		for _, word := range strings.Fields(string(pids)) {
			if pid, err := strconv.Atoi(word); err == nil && pid > 1 && pid != os.Getpid() {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		_ = unix.Unmount(filepath.Join(left, "bpf"), unix.MNT_DETACH)
		_ = os.RemoveAll(left)
		_ = exec.Command("ip", "netns", "del", name).Run()
	}
}

// removeStale takes away what test runs that were killed have left.
func removeStale() {
	for _, name := range namespaces("ekR") {
		pid := 0
		if n, _ := fmt.Sscanf(name, "ekR%d-", &pid); n == 1 && (pid == os.Getpid() || syscall.Kill(pid, 0) == syscall.ESRCH) {
			remove(name)
		}
	}
}

// cookie is the kernel's name of a network namespace, which directors there use
// for theirs.
func cookie(name string) string {
	text := "unknown"
	inNamespace(name, func() {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return
		}
		defer unix.Close(fd)
		if n, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE); err == nil {
			text = fmt.Sprint(n)
		}
	})
	return text
}

// direct prepares the real servers for DR as people do by hand.
func (l *lan) direct() {
	for _, n := range []string{"1", "2", "3"} {
		l.sysctl(n, "net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2", "net.ipv4.conf.lo.arp_ignore=1", "net.ipv4.conf.lo.arp_announce=2")
		l.ip(n, "addr add "+vip+"/32 dev lo")
	}
}

// behind prepares the real servers for NAT: their way out is the director.
func (l *lan) behind(gateway string) {
	for _, n := range []string{"1", "2", "3"} {
		l.ip(n, "addr del 10.79.0.2"+n+"/24 dev eth0")
		l.ip(n, "route add default via "+gateway)
	}
}

func (l *lan) run(name string, args ...string) string {
	l.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		l.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (l *lan) ip(n, command string) {
	l.t.Helper()
	l.run("ip", append([]string{"-n", l.prefix + n}, strings.Fields(command)...)...)
}

func (l *lan) sysctl(n string, settings ...string) {
	l.t.Helper()
	l.run("ip", append([]string{"netns", "exec", l.prefix + n, "sysctl", "-qw"}, settings...)...)
}

// in makes a command that runs in a network namespace, with this host's file
// systems.
func (l *lan) in(n string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--net=/run/netns/" + l.prefix + n}, args...)...)
}

// realserver runs `evenkeel realserver` on a real server, with a state file of
// this test. It does so by ip-netns, whose file systems end with the command:
// what outlives it must not be in one.
func (l *lan) realserver(n string, args ...string) string {
	l.t.Helper()
	args = append([]string{"netns", "exec", l.prefix + n, program, "realserver", args[0], "-state", filepath.Join(l.dir, "realserver"+n)}, args[1:]...)
	return said(exec.Command("ip", args...))
}

// said runs a command for a bounded time. What it prints is followed by what
// went wrong.
func said(cmd *exec.Cmd) string {
	out := &subject.Output{}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, out, time.Second
	if err := cmd.Start(); err != nil {
		return err.Error()
	}
	hung := time.AfterFunc(patience/2, func() { _ = cmd.Process.Kill() })
	defer hung.Stop()
	if err := cmd.Wait(); err != nil {
		return fmt.Sprintf("%s%v", out, err)
	}
	return out.String()
}

// bigSize is what /big has: more than sockets and queues hold.
const bigSize = 4 << 20

// streamModule is nginx's, for UDP.
const streamModule = "/usr/lib/nginx/modules/ngx_stream_module.so"

// datagramSize is what an answer by UDP fills up to, more or less.
const datagramSize = 1000

// stream is a service by UDP on the ports: an answer has the server's name, the
// client's address and what came.
func stream(n string, ports ...string) string {
	if _, err := os.Stat(streamModule); err != nil {
		return ""
	}
	text := "load_module " + streamModule + ";\nstream {\n"
	for _, p := range ports {
		text += fmt.Sprintf("  server { listen %[1]s udp; listen [::]:%[1]s udp; return \"%[2]s $remote_addr $bytes_received %[3]s\"; }\n",
			p, n, strings.Repeat("x", datagramSize))
	}
	return text + "}\n"
}

// serve starts nginx on a real server; it answers / with its name and the
// client's address, on ports 80, 81 and 8080. /put/NAME keeps what it is sent.
func (l *lan) serve(n string) {
	l.t.Helper()
	dir := filepath.Join(l.dir, "nginx"+n)
	if err := os.MkdirAll(dir+"/html/put", 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/html/big", bytes.Repeat([]byte("0123456789abcde\n"), bigSize/16), 0o644); err != nil {
		l.t.Fatal(err)
	}
	temp := ""
	for _, x := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temp += fmt.Sprintf("%s_temp_path %s/%s;\n", x, dir, x)
	}
	text := fmt.Sprintf(`%[4]sdaemon off; worker_processes 1; pid %[1]s/pid; error_log %[1]s/error.log; user root;
events { worker_connections 1024; }
http { access_log off; sendfile on; keepalive_timeout 600; send_timeout 600; client_max_body_size 8m; %[2]s
  server { listen 80; listen 81; listen 8080; listen [::]:80; listen [::]:81; listen [::]:8080; root %[1]s/html;
    location = / { return 200 "%[3]s $remote_addr\n"; } location = /big { limit_rate 2m; } location = /whole { alias %[1]s/html/big; }
    location /put/ { dav_methods PUT; } } }
`, dir, temp, n, stream(n, "80", "81", "8080"))
	if err := os.WriteFile(dir+"/nginx.conf", []byte(text), 0o644); err != nil {
		l.t.Fatal(err)
	}
	cmd := l.in(n, "nginx", "-c", dir+"/nginx.conf")
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.nginx[n] = cmd
	l.t.Cleanup(func() { l.silence(n) })
	l.eventually("nginx "+n, func() bool { _, err := os.Stat(dir + "/pid"); return err == nil })
}

// silence stops nginx on a real server, with what it was sending.
func (l *lan) silence(n string) {
	cmd := l.nginx[n]
	if cmd == nil {
		return
	}
	delete(l.nginx, n)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait()
	_ = os.Remove(filepath.Join(l.dir, "nginx"+n, "pid"))
}

// patience bounds whatever a test waits for, and asking one small request of
// those that may find nobody: one that hangs must not use the patience up.
const (
	patience = 60 * time.Second
	asking   = 3 * time.Second
)

func (l *lan) eventually(what string, f func() bool) {
	l.t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// inside runs f on a thread in a node's namespace. Sockets that f opens stay
// there.
func (l *lan) inside(n string, f func()) {
	if err := inNamespace(l.prefix+n, f); err != nil {
		l.t.Error(err)
	}
}

func inNamespace(name string, f func()) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the thread is not used again: it ends here
		var ns *os.File
		if ns, err = os.Open("/run/netns/" + name); err != nil {
			return
		}
		defer ns.Close()
		if err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err == nil {
			f()
		}
	}()
	<-done
	return err
}

// dial connects from the client.
func (l *lan) dial(addr string, within time.Duration) (net.Conn, error) {
	return l.dialFrom("tcp", "", addr, within)
}

// dialFrom connects from one of the client's addresses; "": whichever the kernel
// takes.
func (l *lan) dialFrom(network, from, addr string, within time.Duration) (c net.Conn, err error) {
	d := net.Dialer{Timeout: within}
	switch source := net.ParseIP(from); {
	case source == nil:
	case network == "udp":
		d.LocalAddr = &net.UDPAddr{IP: source}
	default:
		d.LocalAddr = &net.TCPAddr{IP: source}
	}
	l.inside("c", func() { c, err = d.Dial(network, addr) })
	if c == nil && err == nil {
		err = io.ErrClosedPipe
	}
	return c, err
}

// get asks for a path over a new connection. It takes no longer than within.
func (l *lan) get(addr, path string, within time.Duration) (string, error) {
	end := time.Now().Add(within)
	c, err := l.dial(addr, within)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(end)
	return ask(c, path)
}

// ask sends one request over a connection and reads the whole answer.
func ask(c net.Conn, path string) (string, error) {
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
		return "", err
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if r.StatusCode != http.StatusOK && err == nil {
		err = fmt.Errorf("status %d", r.StatusCode)
	}
	return strings.TrimSpace(string(b)), err
}

// count counts which server answers n requests, each of which is expected to find
// one.
func (l *lan) count(n int) map[string]int { l.t.Helper(); return l.ask(n, patience) }

// who is count where nobody may be there.
func (l *lan) who(n int) map[string]int { l.t.Helper(); return l.ask(n, asking) }

func (l *lan) ask(n int, within time.Duration) map[string]int {
	l.t.Helper()
	seen := map[string]int{}
	for range n {
		text, err := l.get(vip+":80", "/", within)
		if err != nil {
			text = "nobody"
		}
		name, _, _ := strings.Cut(text, " ")
		seen[name]++
	}
	return seen
}

// downloads fetches /big over n connections at once, and says when all are over
// how many were whole.
func (l *lan) downloads(n int) (whole func() int) {
	l.t.Helper()
	results := make(chan bool, n)
	for range n {
		c, err := l.dial(vip+":80", patience)
		if err != nil {
			l.t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(2 * patience))
		go func() {
			defer c.Close()
			text, err := ask(c, "/big")
			results <- err == nil && len(text) == bigSize-1
		}()
	}
	return func() (good int) {
		for range n {
			if <-results {
				good++
			}
		}
		return good
	}
}

// director is a running evenkeel.
type director struct {
	*lan
	node    string
	file    string
	program string // a copy of its own, which can be exchanged
	argv    []string
	cmd     *exec.Cmd
	log     *subject.Output
}

// director runs evenkeel with a configuration in a node's namespace.
func (l *lan) director(n, text string) *director {
	l.t.Helper()
	return l.start(n, text, func(d *director) []string { return []string{d.program, "run", d.file} })
}

// keepalived runs it by keepalived's name, in the foreground.
func (l *lan) keepalived(n, text string) *director {
	l.t.Helper()
	bin := l.names()
	return l.start(n, text, func(d *director) []string {
		return []string{filepath.Join(bin, "keepalived"), "-n", "-l", "-D", "-p", filepath.Join(l.dir, n+".pid"), "-f", d.file}
	})
}

func (l *lan) start(n, text string, argv func(d *director) []string) *director {
	l.t.Helper()
	d := &director{lan: l, node: n, file: filepath.Join(l.dir, n+".conf"), log: &subject.Output{}}
	d.write(text)
	d.program = filepath.Join(l.dir, "evenkeel-"+n)
	d.install()
	d.argv = argv(d)
	d.begin()
	l.t.Cleanup(func() {
		if l.t.Failed() && d.cmd != nil {
			l.t.Logf("director %s has\n%s", n, d.ctl("services"))
		}
		d.stop()
		if l.t.Failed() {
			l.t.Logf("director %s said:\n%s", n, d.log)
		}
	})
	l.eventually("director "+n, d.serves)
	return d
}

func (d *director) begin() {
	d.t.Helper()
	d.cmd = d.in(d.node, d.argv...)
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
}

// restart begins anew after the processes were killed.
func (d *director) restart() {
	d.t.Helper()
	d.begin()
	d.eventually("director "+d.node+" again", d.serves)
}

func (d *director) serves() bool { return strings.Contains(d.ctl("services"), "virtual_server") }

// install puts a new copy of the program into its place, as a package manager
// does.
func (d *director) install() {
	d.t.Helper()
	b, err := os.ReadFile(program)
	if err == nil {
		err = os.WriteFile(d.program+".new", b, 0o755)
	}
	if err == nil {
		err = os.Rename(d.program+".new", d.program)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *director) write(text string) {
	if err := os.WriteFile(d.file, []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

func (d *director) stop() {
	if d.cmd == nil {
		return
	}
	cmd := d.cmd
	_ = cmd.Process.Signal(syscall.SIGTERM)
	hung := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait()
	if !hung.Stop() {
		d.t.Errorf("director %s did not end within %v of SIGTERM", d.node, patience)
	}
	d.cmd = nil
}

func (d *director) command(args ...string) string {
	return said(d.in(d.node, append([]string{program}, args...)...))
}

func (d *director) ctl(words ...string) string {
	return d.command(append([]string{"ctl", "-p", strconv.Itoa(d.cmd.Process.Pid)}, words...)...)
}

// services is what the director tells of them, with single spaces.
func (d *director) services() string { return strings.Join(strings.Fields(d.ctl("services")), " ") }

// connected counts the checks that have found their server well, and have looked.
func (d *director) connected() int { return strings.Count(d.ctl("services", "json"), "connected to") }

func (d *director) reload(text string) {
	d.t.Helper()
	d.write(text)
	if out := d.command("reload", "-p", strconv.Itoa(d.cmd.Process.Pid)); !strings.Contains(out, "Loading success") {
		d.t.Fatalf("reload: %s", out)
	}
}

// failover is the process that forwards: the keeper's child; 0: there is none, or
// one takes another's place just now.
func (d *director) failover() (pid int) {
	for line := range strings.Lines(d.command("status", "-p", strconv.Itoa(d.cmd.Process.Pid))) {
		if words := strings.Fields(line); len(words) > 1 && words[1] == "failover" {
			if pid != 0 {
				return 0
			}
			pid, _ = strconv.Atoi(words[0])
		}
	}
	return pid
}

// another waits until there is one process that forwards, and not this one.
func (d *director) another(old int) (pid int) {
	d.t.Helper()
	d.eventually("another process forwards", func() bool {
		pid = d.failover()
		return pid != 0 && pid != old && d.serves()
	})
	return pid
}

// holds says whether the node has an address.
func (l *lan) holds(n, address string) bool {
	return strings.Contains(l.run("ip", "-n", l.prefix+n, "-o", "addr", "show", "dev", "eth0"), " "+address+"/")
}

// only says whether exactly these servers answer, and none of them not at all.
func only(seen map[string]int, names ...string) bool {
	for name, n := range seen {
		if n > 0 && !slices.Contains(names, name) {
			return false
		}
	}
	return len(seen) == len(names)
}
