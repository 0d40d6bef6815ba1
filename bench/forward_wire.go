package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// place is a network namespace without a name, and the thread that is in it:
// both are gone when the program is, however it ends.
type place struct {
	jobs chan func()
	net  *os.File // the namespace
}

// newPlace starts the thread. Its goroutine never lets go of it.
func newPlace() (*place, error) {
	p := &place{jobs: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := p.enter()
		ready <- err
		if err != nil {
			return
		}
		for f := range p.jobs {
			f()
		}
	}()
	return p, <-ready
}

// enter has a /sys of its own too: what it shows of interfaces is the
// namespace's in which it was mounted.
func (p *place) enter() error {
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("a network namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return fmt.Errorf("mount /sys: %w", err)
	}
	var err error
	p.net, err = os.Open("/proc/thread-self/ns/net")
	return err
}

// do runs f on the place's thread.
func (p *place) do(f func() error) error {
	done := make(chan error)
	p.jobs <- func() { done <- f() }
	return <-done
}

func (p *place) close() {
	if p != nil {
		close(p.jobs)
		p.net.Close()
	}
}

// The addresses of the wire. Clients are 198.18.0.0/16 and have no interface:
// their packets come from a program.
const (
	forwardVIP    = "10.99.0.100"
	forwardServer = "10.99.0.11"
)

var serverMAC = net.HardwareAddr{2, 0, 0, 0, 0, 0x11}

// wire is a director with one interface, and the far end of it, where packets
// are made and where forwarded ones are counted and end.
type wire struct {
	far, director  *place
	farName, name  string // of the two interfaces
	farIndex       int
	index          int
	mac            net.HardwareAddr
	counts         *ebpf.Map // per CPU: what came to the far end for the server
	sink           *ebpf.Program
	sinkLink       link.Link
	forwarder      []int // threads that forward: the interface's NAPI and the CPU's ksoftirqd
	closed         bool
	generatorState *ebpf.Map
}

// CPUs of the forwarding scenario.
const (
	generatorCPU = 0
	forwarderCPU = 1
)

func newWire() (*wire, error) {
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, err
	}
	// The name is looked for among the kernel's threads, which have no namespace.
	tag := strconv.FormatInt(int64(os.Getpid()), 36)
	w := &wire{name: "bd" + tag, farName: "bg" + tag}
	err := w.build()
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *wire) build() (err error) {
	if w.far, err = newPlace(); err != nil {
		return err
	}
	if w.director, err = newPlace(); err != nil {
		return err
	}
	if err := w.director.do(w.buildDirector); err != nil {
		return fmt.Errorf("director: %w", err)
	}
	if err := w.far.do(w.buildFar); err != nil {
		return fmt.Errorf("far end: %w", err)
	}
	return w.director.do(w.thread)
}

func (w *wire) buildDirector() error {
	pair := netlink.NewVeth(netlink.LinkAttrs{Name: w.name, NumTxQueues: 1, NumRxQueues: 1, MTU: 1500, TxQLen: -1})
	pair.PeerName, pair.PeerNumTxQueues, pair.PeerNumRxQueues = w.farName, 1, 1
	pair.PeerNamespace = netlink.NsFd(w.far.net.Fd())
	if err := netlink.LinkAdd(pair); err != nil {
		return err
	}
	l, err := netlink.LinkByName(w.name)
	if err != nil {
		return err
	}
	w.index, w.mac = l.Attrs().Index, l.Attrs().HardwareAddr
	for key, value := range map[string]string{
		"ipv4/ip_forward": "1", "ipv6/conf/all/disable_ipv6": "1",
		"ipv4/conf/all/rp_filter": "0", "ipv4/conf/" + w.name + "/rp_filter": "0",
		"ipv4/conf/all/send_redirects": "0", "ipv4/conf/" + w.name + "/send_redirects": "0",
	} {
		if err := os.WriteFile("/proc/sys/net/"+key, []byte(value), 0o644); err != nil {
			return err
		}
	}
	for _, command := range []string{
		"link set lo up",
		"link set " + w.name + " up",
		"addr add 10.99.0.1/24 dev " + w.name,
		"addr add " + forwardVIP + "/32 dev " + w.name,
		"neigh add " + forwardServer + " lladdr " + serverMAC.String() + " dev " + w.name + " nud permanent",
		"neigh add 10.99.0.2 lladdr 02:00:00:00:00:02 dev " + w.name + " nud permanent",
		"route add 198.18.0.0/15 via 10.99.0.2",
	} {
		if err := runHere("ip", strings.Fields(command)...); err != nil {
			return err
		}
	}
	// With GRO the interface takes packets in by NAPI, as a network card does.
	return offload(w.name, ethtoolSetGRO, 1)
}

func (w *wire) buildFar() error {
	for _, command := range []string{"link set lo up", "link set " + w.farName + " up"} {
		if err := runHere("ip", strings.Fields(command)...); err != nil {
			return err
		}
	}
	l, err := netlink.LinkByName(w.farName)
	if err != nil {
		return err
	}
	w.farIndex = l.Attrs().Index
	if w.counts, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 1}); err != nil {
		return err
	}
	if w.generatorState, err = newState(); err != nil {
		return err
	}
	if w.sink, err = sinkProgram(w.counts); err != nil {
		return err
	}
	w.sinkLink, err = link.AttachXDP(link.XDPOptions{Program: w.sink, Interface: w.farIndex, Flags: link.XDPDriverMode})
	return err
}

// thread has the director's NAPI run in a kernel thread on one CPU, which so
// does all of the forwarding and nothing else, and whose time is known to the
// nanosecond.
func (w *wire) thread() error {
	if err := os.WriteFile("/sys/class/net/"+w.name+"/threaded", []byte("1"), 0o644); err != nil {
		return fmt.Errorf("NAPI as a thread (Linux 5.12): %w", err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	cpu := forwarderCPU
	if runtime.NumCPU() < 2 {
		cpu = 0
	}
	napi := false
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		comm, _ := os.ReadFile("/proc/" + e.Name() + "/comm")
		name := strings.TrimSpace(string(comm))
		switch {
		case strings.HasPrefix(name, "napi/"+w.name+"-"):
			set := unix.CPUSet{}
			set.Set(cpu)
			if err := unix.SchedSetaffinity(pid, &set); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			w.forwarder = append(w.forwarder, pid)
			napi = true
		case name == "ksoftirqd/"+strconv.Itoa(cpu):
			w.forwarder = append(w.forwarder, pid)
		}
	}
	if !napi {
		return errors.New("the interface has no NAPI thread")
	}
	return nil
}

// forwarderTime is the CPU time of the forwarding threads so far, in ns.
func (w *wire) forwarderTime() (int64, error) {
	var sum int64
	for _, pid := range w.forwarder {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/schedstat")
		if err != nil {
			return 0, fmt.Errorf("CPU time of a kernel thread: %w", err)
		}
		n, err := parseSchedstat(b)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// arrived is how many packets for the server came to the far end.
func (w *wire) arrived() (int64, error) {
	var per []uint64
	if err := w.counts.Lookup(uint32(0), &per); err != nil {
		return 0, err
	}
	var sum uint64
	for _, n := range per {
		sum += n
	}
	return int64(sum), nil
}

func (w *wire) close() {
	if w.closed {
		return
	}
	w.closed = true
	if w.sinkLink != nil {
		w.sinkLink.Close()
	}
	if w.director != nil && w.index != 0 {
		w.director.do(func() error { // the namespace would take it too, some time later
			l, err := netlink.LinkByName(w.name)
			if err != nil {
				return err
			}
			return netlink.LinkDel(l)
		})
	}
	for _, c := range []interface{ Close() error }{w.sink, w.counts, w.generatorState} {
		c.Close() // of a nil program or map too
	}
	w.director.close()
	w.far.close()
}

func runHere(name string, args ...string) error {
	path, err := findTool(name)
	if err != nil {
		return err
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, tail(string(out), 400))
	}
	return nil
}

const ethtoolSetGRO = 0x2c

// offload is ethtool -K.
func offload(name string, command, value uint32) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	argument := struct{ command, data uint32 }{command, value}
	var request struct {
		name [16]byte
		data unsafe.Pointer
		rest [16]byte
	}
	copy(request.name[:], name)
	request.data = unsafe.Pointer(&argument)
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); e != 0 {
		return fmt.Errorf("ethtool %s %#x: %w", name, command, e)
	}
	return nil
}

func addressOf(s string) netip.Addr { return netip.MustParseAddr(s) }
