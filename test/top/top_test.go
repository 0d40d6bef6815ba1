package top

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"evenkeel/test/loopback"
	"evenkeel/test/subject"
)

// program is evenkeel.
var program string

func TestMain(m *testing.M) {
	os.Exit(subject.Run(m, subject.How{}, func(path string) { program = path }))
}

// node is a proxy that runs.
type node struct {
	t      *testing.T
	dir    string
	socket string
	front  string
	cmd    *exec.Cmd
}

// startNode runs a proxy with one server that answers and one that does not.
func startNode(t *testing.T) *node {
	t.Helper()
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") }))
	t.Cleanup(origin.Close)
	n := &node{t: t, dir: t.TempDir(), front: loopback.Address(t)}
	n.socket = filepath.Join(n.dir, "s")
	config := fmt.Sprintf(`global
    stats socket %s mode 600 level admin
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    timeout check 20s
frontend shop
    bind %s
    default_backend web
backend web
    server alive %s check inter 5s
    server gone %s check inter 200 fall 1
`, n.socket, n.front, strings.TrimPrefix(origin.URL, "http://"), loopback.Address(t))
	if err := os.WriteFile(filepath.Join(n.dir, "haproxy.cfg"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	n.start()
	t.Cleanup(n.stop)
	return n
}

func (n *node) start() {
	n.t.Helper()
	n.cmd = exec.Command(program, "run", filepath.Join(n.dir, "haproxy.cfg"))
	var log bytes.Buffer
	n.cmd.Stderr = &log
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("unix", n.socket)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(end) {
			n.stop()
			n.t.Fatalf("it does not serve: %v\n%s", err, log.String())
		}
	}
}

// stop ends the node, which takes its socket away with it.
func (n *node) stop() {
	if n.cmd == nil {
		return
	}
	_ = n.cmd.Process.Signal(os.Interrupt)
	gone := make(chan struct{})
	cmd := n.cmd
	go func() {
		_ = cmd.Wait()
		close(gone)
	}()
	select {
	case <-gone:
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		<-gone
		n.t.Error("the node did not stop")
	}
	n.cmd = nil
}

func (n *node) get() {
	n.t.Helper()
	r, err := http.Get("http://" + n.front + "/")
	if err != nil {
		n.t.Fatal(err)
	}
	r.Body.Close()
}

func TestLive(t *testing.T) {
	n := startNode(t)
	x := openTerminal(t, 80, 24)
	x.start(nil, "top", "-d", "0.2", "-p", fmt.Sprint(n.cmd.Process.Pid))
	x.see("PROXY")
	x.see("alive")
	x.see(fmt.Sprintf("pid %d", n.cmd.Process.Pid))
	x.see("DOWN")
	x.press("4")
	if out, err := exec.Command(program, "ctl", "-s", n.socket, "disable server web/alive").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	x.see("web/alive UP -> MAINT")
	if out, err := exec.Command(program, "ctl", "-s", n.socket, "enable server web/alive").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	x.see("web/alive MAINT -> UP")
	for range 3 {
		n.get()
	}
	x.press("1")
	x.see("this node has no VRRP instances")
	x.press("3")
	x.see("shop (listener)")
	x.press("s")
	x.see("sorted by name")
	x.press("/gone\r")
	x.see("filter: gone")
	x.miss("alive")
	x.press("\x1b") // Escape alone
	x.see("alive")
	x.press("?")
	x.see("KEYS")
	x.press("?")
	x.miss("KEYS")
	x.press("p")
	x.see("PAUSED")
	x.press("p")
	x.miss("PAUSED")
	x.press("d7\r")
	x.see("every 7s")
	x.press("\x1b[B\x1b[6~\x1b[A\x1b[Z0") // down, page down, up, back tab, all
	x.see("shop (listener)")
	x.press("\x1a4") // Ctrl-Z, which nobody is there to continue from: it goes on
	x.see("EVENTS")
	x.press("q")
	x.end(0)
	if !coloured(x.written()) {
		t.Error("no colour on a terminal that has them")
	}
}

// graphics is what sets colours and the like, with its numbers.
var graphics = regexp.MustCompile("\x1b\\[([0-9;:]*)m")

// coloured says whether a colour of the foreground was set.
func coloured(written string) bool {
	for _, m := range graphics.FindAllStringSubmatch(written, -1) {
		for n := range strings.FieldsFuncSeq(m[1], func(r rune) bool { return r == ';' || r == ':' }) {
			if len(n) == 2 && (n[0] == '3' || n[0] == '9') && n != "39" {
				return true
			}
		}
	}
	return false
}

func TestSizes(t *testing.T) {
	n := startNode(t)
	x := openTerminal(t, 80, 24)
	x.start(nil, "top", "-d", "0.1", "-s", n.socket)
	x.see("shop (listener)")
	for _, size := range [][2]int{{40, 10}, {1, 1}, {300, 5}, {2, 60}, {7, 3}, {0, 0}, {80, 24}} {
		x.resize(size[0], size[1])
		if size[0] == 0 || size[0] == 80 {
			continue
		}
		x.until(fmt.Sprintf("a screen of %v", size), func(string) bool {
			columns, rows := x.screenSize()
			return columns > 0 && columns <= size[0] && rows <= size[1]
		})
	}
	x.see("shop (listener)")
	x.see("q quit")
	x.press("\x03") // Ctrl-C
	x.end(0)
}

func (x *terminal) screenSize() (int, int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.screen.size()
}

// Ctrl-Z gives the terminal to the shell, and fg takes it back: then keys work
// as before, which they would not had the shell set it up last.
func TestStopAndContinue(t *testing.T) {
	n := startNode(t)
	x := openTerminal(t, 80, 24)
	x.run(exec.Command("bash", "--norc", "--noprofile", "-i"), "PS1=ready> ")
	x.see("ready>")
	x.press(fmt.Sprintf("%s top -d 0.1 -s %s\r", program, n.socket))
	x.see("shop (listener)")
	for range 5 {
		x.press("\x1a")
		x.see("Stopped")
		x.press("fg\r")
		x.miss("Stopped")
		x.press("4")
		x.see("the latest first")
		x.press("0")
		x.see("shop (listener)")
	}
	x.press("q")
	x.see("ready>")
	x.press("exit 0\r")
	x.end(0)
}

// The node ends and comes back while somebody looks.
func TestNodeComesBack(t *testing.T) {
	n := startNode(t)
	x := openTerminal(t, 80, 24)
	x.start([]string{"NO_COLOR=1"}, "top", "-d", "0.1", "-s", n.socket)
	x.see("shop (listener)")
	n.stop()
	x.see("NO ANSWER")
	x.see("shop (listener)") // the last that was seen
	n.start()
	x.miss("NO ANSWER")
	x.press("4")
	x.see("the node answers again")
	x.see("another worker serves")
	if err := x.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	x.end(0)
	if coloured(x.written()) {
		t.Error("a colour in spite of NO_COLOR")
	}
}

func TestPlain(t *testing.T) {
	n := startNode(t)
	for _, args := range [][]string{{"--once"}, {"-n", "2", "-d", "0.1"}} {
		out, err := exec.Command(program, append([]string{"top", "-s", n.socket}, args...)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(out), "shop (listener)") || bytes.ContainsRune(out, 0x1b) {
			t.Errorf("%v: %q", args, out)
		}
		want := 1
		if len(args) > 1 {
			want = 2
		}
		if got := bytes.Count(out, []byte("evenkeel top")); got != want {
			t.Errorf("%v: %d snapshots, not %d", args, got, want)
		}
	}
	// A terminal that cannot be drawn on gets the same.
	x := openTerminal(t, 80, 24)
	x.start([]string{"TERM=dumb"}, "top", "-d", "0.1", "-s", n.socket)
	x.see("shop (listener)")
	x.press("\x03")
	<-x.ended
	x.cmd = nil
	if strings.Contains(x.written(), "\x1b") {
		t.Errorf("escape codes on a dumb terminal: %q", x.written())
	}
	for name, args := range map[string][]string{
		"no such file or directory": {"top", "--once", "-s", filepath.Join(n.dir, "nobody")},
		"-d: \"x\" is not a number": {"top", "-d", "x"},
		"usage: evenkeel top":       {"top", "more"},
	} {
		out, err := exec.Command(program, args...).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), name) {
			t.Errorf("%v: %v %s", args, err, out)
		}
	}
}
