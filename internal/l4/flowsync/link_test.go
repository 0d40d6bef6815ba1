package flowsync

import (
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// alone gives the test a network namespace of its own with two interfaces that
// are connected, ekQ0 and ekQ1.
func alone(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("ip is not installed")
	}
	runtime.LockOSThread() // the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("no network namespace: %v", err)
	}
	for _, line := range []string{
		"ip link set lo up", "ip link add ekQ0 type veth peer name ekQ1", "sysctl -qw net.ipv6.conf.ekQ0.accept_dad=0", "sysctl -qw net.ipv6.conf.ekQ1.accept_dad=0",
		"sysctl -qw net.ipv4.conf.all.rp_filter=0", "sysctl -qw net.ipv4.conf.ekQ1.rp_filter=0", "sysctl -qw net.ipv4.conf.ekQ1.accept_local=1",
		"ip addr add 192.0.2.1/24 dev ekQ0", "ip addr add 192.0.2.2/24 dev ekQ1", "ip link set ekQ0 up", "ip link set ekQ1 up"} {
		words := strings.Fields(line)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
}

// TestLink: what goes out of one interface comes in on the other, for groups of
// both families, and nothing comes that is for another group or port.
func TestLink(t *testing.T) {
	alone(t)
	for _, group := range []string{"224.0.0.81", "ff02::1:81"} {
		s := Settings{Interface: "ekQ0", Group: netip.MustParseAddr(group), TTL: 1}.withDefaults()
		a, err := openLink(&s)
		if err != nil {
			t.Fatalf("%s: %v", group, err)
		}
		other := s
		other.Interface = "ekQ1"
		b, err := openLink(&other)
		if err != nil {
			t.Fatalf("%s: %v", group, err)
		}
		strange := s
		strange.Port++
		c, err := openLink(&strange)
		if err != nil {
			t.Fatalf("%s: %v", group, err)
		}
		if err := a.check(); err != nil {
			t.Error(err)
		}
		got := make(chan string, 1000)
		go func() {
			buffer := make([]byte, 100)
			for {
				n, from, err := b.read(buffer)
				if err != nil {
					close(got)
					return
				}
				if !from.IsValid() || from.Zone() != "" {
					t.Errorf("it comes from %v", from)
				}
				got <- string(buffer[:n])
			}
		}()
		text := ""
		for end := time.Now().Add(20 * time.Second); text == "" && time.Now().Before(end); {
			// An interface that is just up takes a moment.
			_ = c.write([]byte("strange"))
			_ = a.write([]byte("hello"))
			select {
			case text = <-got:
			case <-time.After(50 * time.Millisecond):
			}
		}
		if text != "hello" {
			t.Errorf("%s: %q came", group, text)
		}
		b.hush()
		for text := range got {
			if text != "hello" {
				t.Errorf("%s: %q came", group, text)
			}
		}
		for _, l := range []medium{a, b, c} {
			l.close()
		}
	}
	missing := Settings{Interface: "ekQ9"}.withDefaults()
	if _, err := openLink(&missing); err == nil || err.Error() != "there is no interface ekQ9" {
		t.Error(err)
	}
	small := Settings{Interface: "ekQ0", MaxLen: 20}.withDefaults()
	if _, err := openLink(&small); err == nil || !strings.Contains(err.Error(), "has no room") {
		t.Error(err)
	}
	s := Settings{Interface: "ekQ0"}.withDefaults()
	l, err := openLink(&s)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	if l.room() != 1472 {
		t.Errorf("%d bytes of room", l.room())
	}
	if out, err := exec.Command("ip", "link", "del", "ekQ0").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := l.check(); err == nil || !strings.Contains(err.Error(), "has gone") {
		t.Error(err)
	}
}
