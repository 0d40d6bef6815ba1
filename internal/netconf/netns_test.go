package netconf_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// needRoot skips where namespaces cannot be made; in CI that would be a failure
// of the machine, not of the test.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("network namespaces need root, and CI has it")
		}
		t.Skip("network namespaces need root")
	}
}

var namespaces atomic.Int32

// namespace is a network namespace of the test's own. The goroutine that made
// it is in it, on a thread of its own that ends with the test.
type namespace struct{ name string }

// newNamespace makes a namespace with a pair of devices, eth0 with 10.9.0.1/24
// and its other end eth1, both up, and moves the test into it.
func newNamespace(t testing.TB) *namespace {
	t.Helper()
	needRoot(t)
	n := &namespace{fmt.Sprintf("ekB%d-%d", os.Getpid(), namespaces.Add(1))}
	_ = exec.Command("ip", "netns", "del", n.name).Run() // of a run that was killed
	run(t, "ip", "netns", "add", n.name)
	t.Cleanup(func() { run(t, "ip", "netns", "del", n.name) })
	n.ip(t, "link add eth0 type veth peer name eth1")
	for _, d := range []string{"lo", "eth0", "eth1"} {
		n.ip(t, "link set "+d+" up")
	}
	n.ip(t, "addr add 10.9.0.1/24 dev eth0")

	n.enter(t)
	return n
}

// enter moves the calling goroutine into the namespace, on a thread that is
// never unlocked: it ends with the goroutine.
func (n *namespace) enter(t testing.TB) {
	t.Helper()
	runtime.LockOSThread()
	fd, err := unix.Open("/run/netns/"+n.name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
}

// run is t.Run in the namespace: a subtest is a goroutine of its own, which
// would otherwise act on the host.
func (n *namespace) run(t *testing.T, name string, test func(t *testing.T)) {
	t.Run(name, func(t *testing.T) {
		n.enter(t)
		test(t)
	})
}

func run(t testing.TB, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return string(out)
}

func (n *namespace) ip(t testing.TB, arguments string) string {
	t.Helper()
	return run(t, append([]string{"ip", "-n", n.name}, strings.Fields(arguments)...)...)
}

// ipAddress is one address in the words of ip -j address.
type ipAddress struct {
	Family            string
	Local             string
	Address           string // peer
	PrefixLen         int
	Broadcast         string
	Scope             string
	Label             string
	Secondary         bool
	Deprecated        bool
	NoDAD             bool
	NoPrefixRoute     bool
	ManageTempAddr    bool `json:"mngtmpaddr"`
	Home              bool
	Dynamic           bool
	ValidLifetime     uint32 `json:"valid_life_time"`
	PreferredLifetime uint32 `json:"preferred_life_time"`
}

const forever = 0xffffffff

// addresses lists what ip says of a device, without the kernel's own.
func (n *namespace) addresses(t testing.TB, device string) map[string]ipAddress {
	t.Helper()
	var links []struct {
		Info []ipAddress `json:"addr_info"`
	}
	decode(t, n.ip(t, "-j addr show dev "+device), &links)
	found := map[string]ipAddress{}
	for _, l := range links {
		for _, a := range l.Info {
			if a.Local != "" {
				found[fmt.Sprintf("%s/%d", a.Local, a.PrefixLen)] = a
			}
		}
	}
	return found
}

func decode(t testing.TB, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}
