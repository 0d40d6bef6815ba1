package examples

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"evenkeel/test/loopback"
	"evenkeel/test/subject"
)

// program is the binary under test, built once.
var program string

func TestMain(m *testing.M) {
	os.Exit(subject.Run(m, subject.How{}, func(path string) { program = path }))
}

// patience bounds every wait for something that another process does.
const patience = 40 * time.Second

// site is one example, rewritten for loopback.
type site struct {
	t      *testing.T
	dir    string            // the copy
	config string            // of it
	bind   map[string]string // port in the file -> 127.0.0.1:port
	server map[string]string // address in the file -> 127.0.0.1:port
	socket string
	env    []string

	mu     sync.Mutex
	stderr bytes.Buffer
}

// rootOnly are lines that a user who is not root, or a test, cannot obey.
var rootOnly = regexp.MustCompile(`(?m)^\s*(chroot|user|group|uid|gid|daemon|pidfile)\b *[^ \n]*\n`)

var (
	bindLine   = regexp.MustCompile(`(?m)^(\s*bind\s+)(?:\*|0\.0\.0\.0)?:(\d+)`)
	bind6Line  = regexp.MustCompile(`(?m)^\s*bind :::\d+ v6only\n`)
	listenLine = regexp.MustCompile(`(?m)^(listen\s+\S+\s+)0\.0\.0\.0:(\d+)`)
	serverLine = regexp.MustCompile(`(?m)^(\s*server\s+\S+\s+)(\d[\d.]+:\d+)`)
	socketLine = regexp.MustCompile(`(?m)^(\s*stats socket\s+)/\S+`)
	baseLine   = regexp.MustCompile(`(?m)^(\s*(?:crt|ca)-base\s+)\S+`)
)

// open copies the example and rewrites its addresses.
func open(t *testing.T, name string) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), bind: map[string]string{}, server: map[string]string{}}
	if err := os.CopyFS(s.dir, os.DirFS(filepath.Join("..", "..", "examples", name))); err != nil {
		t.Fatal(err)
	}
	s.config = filepath.Join(s.dir, "haproxy.cfg")
	s.socket = filepath.Join(s.dir, "admin.sock")
	text := s.read()
	text = rootOnly.ReplaceAllString(text, "")
	text = bind6Line.ReplaceAllString(text, "")
	rewrite := func(re *regexp.Regexp, known map[string]string) {
		text = re.ReplaceAllStringFunc(text, func(line string) string {
			m := re.FindStringSubmatch(line)
			if known[m[2]] == "" {
				known[m[2]] = loopback.Address(t)
			}
			return m[1] + known[m[2]]
		})
	}
	rewrite(bindLine, s.bind)
	rewrite(listenLine, s.bind)
	rewrite(serverLine, s.server)
	text = socketLine.ReplaceAllString(text, "${1}"+s.socket)
	text = baseLine.ReplaceAllString(text, "${1}"+s.dir)
	if err := os.WriteFile(s.config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) read() string {
	b, err := os.ReadFile(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// check asks a program for its verdict.
func (s *site) check(path string, args ...string) (string, error) {
	cmd := exec.Command(path, append(args, "-c", "-f", s.config)...)
	cmd.Env = append(os.Environ(), s.env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// start runs the program until the test ends, and waits until it listens
// everywhere.
func (s *site) start() {
	s.t.Helper()
	cmd := exec.Command(program, "haproxy", "-W", "-db", "-f", s.config)
	cmd.Env = append(os.Environ(), s.env...)
	cmd.Stdout, cmd.Stderr = &writer{s}, &writer{s}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() { defer close(gone); cmd.Wait() }()
	s.t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-gone:
		case <-time.After(patience):
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-gone
			s.t.Errorf("SIGTERM did not end it")
		}
		if s.t.Failed() {
			s.mu.Lock()
			s.t.Logf("it said:\n%s", s.stderr.String())
			s.mu.Unlock()
		}
	})
	for _, addr := range s.bind {
		s.eventually("it listens on "+addr, func() bool {
			select {
			case <-gone:
				s.t.Fatal("it ended")
			default:
			}
			c, err := net.Dial("tcp", addr)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
}

// writer collects what the program says.
type writer struct{ s *site }

func (w *writer) Write(p []byte) (int, error) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return w.s.stderr.Write(p)
}

// eventually asks again and again until ok.
func (s *site) eventually(what string, ok func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			s.t.Fatalf("within %s it was never true that %s", patience, what)
		case <-tick.C:
		}
	}
}

// peer finds HAProxy. Where the tests have to be complete it has to be there.
func peer(t *testing.T) string {
	for _, path := range []string{"haproxy", "/usr/sbin/haproxy"} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("haproxy is not installed")
	}
	return ""
}

// status finds the state of a server by the runtime API.
func (s *site) status(proxy, server string) string {
	c, err := net.Dial("unix", s.socket)
	if err != nil {
		return ""
	}
	defer c.Close()
	fmt.Fprintln(c, "show stat")
	var b bytes.Buffer
	b.ReadFrom(c)
	header := strings.Split(strings.SplitN(b.String(), "\n", 2)[0], ",")
	for line := range strings.Lines(b.String()) {
		cells := strings.Split(line, ",")
		if cells[0] != proxy || len(cells) < 2 || cells[1] != server {
			continue
		}
		for i, name := range header {
			if name == "status" && i < len(cells) {
				return cells[i]
			}
		}
	}
	return ""
}
