package realserver

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("network namespaces need root, and CI has it")
		}
		t.Skip("network namespaces need root")
	}
}

var segments atomic.Int32

// segment is an Ethernet of hosts, each a network namespace with eth0.
type segment struct {
	t      *testing.T
	prefix string
}

// newSegment makes hosts; host n has 10.8.0.n and 2001:db8:8::n.
func newSegment(t *testing.T, hosts ...string) *segment {
	t.Helper()
	needRoot(t)
	s := &segment{t, fmt.Sprintf("ekI%d-%d", os.Getpid(), segments.Add(1))}
	s.make("bridge")
	s.run("ip", "-n", s.name("bridge"), "link", "add", "br0", "type", "bridge")
	s.run("ip", "-n", s.name("bridge"), "link", "set", "br0", "up")
	for i, h := range hosts {
		s.make(h)
		s.ip(h, "link add eth0 type veth peer name "+h+" netns "+s.name("bridge"))
		s.run("ip", "-n", s.name("bridge"), "link", "set", "dev", h, "up", "master", "br0")
		s.ip(h, fmt.Sprintf("addr add 10.8.0.%d/24 dev eth0", i+1))
		s.ip(h, fmt.Sprintf("addr add 2001:db8:8::%d/64 dev eth0 nodad", i+1))
		s.ip(h, "link set eth0 up")
	}
	return s
}

func (s *segment) name(host string) string { return s.prefix + host }

func (s *segment) make(host string) {
	s.t.Helper()
	_ = exec.Command("ip", "netns", "del", s.name(host)).Run() // of a run that was killed
	s.run("ip", "netns", "add", s.name(host))
	s.t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", s.name(host)).Run() })
	s.ip(host, "link set lo up")
}

func (s *segment) run(argv ...string) string {
	s.t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return string(out)
}

func (s *segment) ip(host, arguments string) string {
	s.t.Helper()
	return s.run(append([]string{"ip", "-n", s.name(host)}, strings.Fields(arguments)...)...)
}

// in does something on a host, on a thread that ends with it.
func (s *segment) in(host string, do func() error) {
	s.t.Helper()
	if err := s.try(host, do); err != nil {
		s.t.Fatalf("on %s: %v", host, err)
	}
}

func (s *segment) try(host string, do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		fd, err := unix.Open("/run/netns/"+s.name(host), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			unix.Close(fd)
		}
		if err == nil {
			err = do()
		}
		done <- err
	}()
	return <-done
}

// look is all that Up changes, as text.
func (s *segment) look(host string) string {
	s.t.Helper()
	text := s.ip(host, "-o addr show dev lo")
	s.in(host, func() error {
		for _, c := range sysctls() {
			b, err := os.ReadFile("/proc/sys/" + c.name)
			if err != nil {
				return err
			}
			text += c.name + " " + string(b)
		}
		return nil
	})
	return text
}
