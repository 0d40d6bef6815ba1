package xdp

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { os.Exit(m.Run()) }

// needRoot skips where a test cannot work.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("loading programs needs root")
	}
}

// The wire of the end-to-end tests: a client, a director and two servers on
// one Ethernet. Clients and servers are in networks of their own; the director
// is in both. Servers have the way to clients that the method asks for.
const (
	clientIP4, clientIP6     = "10.78.0.2", "fd78::2"
	directorIP4, directorIP6 = "10.77.0.1", "fd77::1"
	gatewayIP4, gatewayIP6   = "10.78.0.1", "fd78::1"
	vip4, vip6               = "10.78.0.100", "fd78::100"
)

func serverIP(n int, v6 bool) string {
	if v6 {
		return fmt.Sprintf("fd77::1%d", n)
	}
	return fmt.Sprintf("10.77.0.1%d", n)
}

// lan is the namespaces of one test.
type lan struct {
	t      testing.TB
	prefix string
}

func newLAN(t testing.TB, name string) *lan {
	needRoot(t)
	// The number keeps runs beside each other apart.
	l := &lan{t: t, prefix: fmt.Sprintf("ekH%d%s", os.Getpid(), name)}
	all := []string{"w", "c", "d", "s1", "s2"}
	remove := func() {
		for _, n := range all {
			exec.Command("ip", "netns", "del", l.prefix+n).Run()
		}
	}
	remove()
	t.Cleanup(remove)
	for _, n := range all {
		l.run("ip", "netns", "add", l.prefix+n)
		l.ip(n, "link set lo up")
	}
	l.ip("w", "link add br0 type bridge")
	l.ip("w", "link set br0 up")
	for _, n := range all[1:] {
		l.ip("w", fmt.Sprintf("link add name p%s type veth peer name eth0 netns %s%s", n, l.prefix, n))
		l.ip("w", fmt.Sprintf("link set p%s master br0 up", n))
		l.sysctl(n, "net.ipv6.conf.eth0.accept_dad", "0")
		l.sysctl(n, "net.ipv4.conf.all.rp_filter", "0")
		l.sysctl(n, "net.ipv4.conf.eth0.rp_filter", "0")
		l.ip(n, "link set eth0 up")
	}
	l.address("c", clientIP4+"/24", clientIP6+"/64")
	l.address("d", gatewayIP4+"/24", gatewayIP6+"/64", directorIP4+"/24", directorIP6+"/64", vip4+"/32", vip6+"/128")
	for _, key := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"} {
		l.sysctl("d", key, "1")
	}
	l.ip("c", "route add default via "+gatewayIP4)
	l.ip("c", "-6 route add default via "+gatewayIP6)
	for n := 1; n <= 2; n++ {
		s := fmt.Sprintf("s%d", n)
		l.address(s, serverIP(n, false)+"/24", serverIP(n, true)+"/64")
	}
	return l
}

// throughDirector sends the servers' answers back through the director (NAT).
func (l *lan) throughDirector() {
	for _, s := range []string{"s1", "s2"} {
		l.ip(s, "route replace default via "+directorIP4)
		l.ip(s, "-6 route replace default via "+directorIP6)
	}
}

// direct lets the servers answer for the virtual addresses themselves.
func (l *lan) direct() {
	for _, s := range []string{"s1", "s2"} {
		l.ip(s, "route replace 10.78.0.0/24 dev eth0")
		l.ip(s, "-6 route replace fd78::/64 dev eth0")
		for _, scope := range []string{"all", "eth0"} {
			l.sysctl(s, "net.ipv4.conf."+scope+".arp_ignore", "1")
			l.sysctl(s, "net.ipv4.conf."+scope+".arp_announce", "2")
		}
		l.ip(s, "addr add "+vip4+"/32 dev lo")
		l.ip(s, "addr add "+vip6+"/128 dev lo nodad")
	}
}

func (l *lan) address(n string, list ...string) {
	for _, a := range list {
		nodad := ""
		if strings.Contains(a, ":") {
			nodad = " nodad"
		}
		l.ip(n, "addr add "+a+" dev eth0"+nodad)
	}
}

func (l *lan) ip(n, command string) {
	l.t.Helper()
	l.run("ip", append([]string{"-n", l.prefix + n}, strings.Fields(command)...)...)
}

func (l *lan) sysctl(n, key, value string) {
	l.t.Helper()
	l.run("ip", "netns", "exec", l.prefix+n, "sysctl", "-qw", key+"="+value)
}

func (l *lan) run(name string, args ...string) string {
	l.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		l.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// in runs a function in a namespace. Sockets that it opens stay there.
func (l *lan) in(n string, f func()) {
	l.t.Helper()
	inNamespace(l.t, l.prefix+n, f)
}

func inNamespace(t testing.TB, name string, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	other, err := os.Open("/run/netns/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := unix.Setns(int(other.Fd()), unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); err != nil {
			panic(err) // this thread must not go on
		}
	}()
	f()
}

// withoutChecksums has an interface's packets leave with whole checksums
// (ethtool -K NAME tx off).
func withoutChecksums(t testing.TB, name string) {
	t.Helper()
	ethtool(t, name, 0x17 /* ETHTOOL_STXCSUM */, 0)
}

// ethtool sets one value of an interface.
func ethtool(t testing.TB, name string, command, data uint32) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	value := struct{ command, data uint32 }{command, data}
	var request struct {
		name [16]byte
		data unsafe.Pointer
		rest [16]byte
	}
	copy(request.name[:], name)
	request.data = unsafe.Pointer(&value)
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); e != 0 {
		t.Fatalf("%s: %v", name, e)
	}
}

// xdpPass is an XDP program that lets everything through.
func xdpPass(t testing.TB) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, License: "Dual MIT/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// known is whether all next hops have hardware addresses.
func (h *hops) known() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.byKey {
		if e.record.Flags&hopMAC == 0 {
			return false
		}
	}
	return true
}
