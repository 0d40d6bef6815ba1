package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"evenkeel/internal/l4/realserver"
	"evenkeel/internal/l4/xdp"
)

// realserverState is where state is kept. A real server in a network namespace
// of its own, as in a lab, has a place of its own.
func realserverState() string {
	own, _ := os.Readlink("/proc/thread-self/ns/net")
	first, err := os.Readlink("/proc/1/ns/net")
	if own == first && err == nil || err != nil && firstNamespace() {
		return realserver.DefaultState
	}
	suffix := "-" + strings.Trim(strings.TrimPrefix(own, "net:"), "[]")
	return strings.TrimSuffix(realserver.DefaultState, ".json") + suffix + ".json"
}

// firstNamespace says whether the network namespace is the one that the kernel
// began with: its cookie is the first that was given out. Kernels before 5.14
// have none, and there it is taken to be.
func firstNamespace() bool {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return true
	}
	defer unix.Close(fd)
	n, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	return err != nil || n == 1
}

func realserverCommands() []command {
	return []command{
		{"up", "[-tunnel] [-persist] ADDRESS...", "take packets to these virtual addresses from a director (DR, TUN)", realserverUp},
		{"down", "[-keep-unit]", "undo what up did, and nothing else", realserverDown},
		{"check", "[-tunnel] [ADDRESS...]", "say what is missing on this real server", realserverCheck},
		{"check", "-from-director DEVICE ADDRESS...", "ask on a device whether a real server answers for the addresses", realserverCheck},
	}
}

func realserverCommand(args []string) int {
	all := realserverCommands()
	if len(args) > 0 {
		if i := slices.IndexFunc(all, func(c command) bool { return c.name == args[0] }); i >= 0 {
			return all[i].run(args[1:])
		}
	}
	if len(args) > 0 && !slices.Contains([]string{"-h", "--help", "help"}, args[0]) {
		fmt.Fprintf(os.Stderr, "evenkeel realserver: there is no command %q\n\n", args[0])
	}
	fmt.Fprintf(os.Stderr, "The real server's side of DR and TUN (as root).\n\nusage:\n")
	for _, c := range all {
		fmt.Fprintf(os.Stderr, "  evenkeel realserver %-42s %s\n", c.name+" "+c.args, c.help)
	}
	return 1
}

// bpfTunnel unwraps with our own program.
type bpfTunnel struct{}

func (bpfTunnel) Name() string { return "eBPF" }

func (bpfTunnel) Available([]netip.Addr) error { return nil }

// Up leaves the program attached.
func (bpfTunnel) Up(vips []netip.Addr) (bool, error) {
	d, err := xdp.OpenDecapsulator(xdp.DecapOptions{Addresses: vips, Keep: true})
	if err != nil {
		return false, err
	}
	return true, d.Close()
}

// Down takes it off.
func (bpfTunnel) Down() error { return xdp.RemoveDecapsulator() }

// Works looks for what Up left.
func (bpfTunnel) Works(vips []netip.Addr) error { return xdp.Decapsulates(vips) }

// realserverTunnels prefers a kernel device where somebody has set one up.
func realserverTunnels() []realserver.Unwrapper {
	return []realserver.Unwrapper{realserver.KernelTunnel{}, bpfTunnel{}}
}

type realserverFlags struct {
	*flag.FlagSet
	wanted realserver.Wanted
	state  string
}

func newRealserverFlags(name string) *realserverFlags {
	f := &realserverFlags{FlagSet: flag.NewFlagSet("evenkeel realserver "+name, flag.ContinueOnError)}
	f.StringVar(&f.state, "state", realserverState(), "`file` in which up writes down what down has to undo")
	return f
}

// parse reads flags, which may stand behind addresses too.
func (f *realserverFlags) parse(args []string) error {
	for {
		if err := f.Parse(args); err != nil {
			return err
		}
		args = f.Args()
		if len(args) == 0 {
			return nil
		}
		a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimSuffix(args[0], "/32"), "/128"))
		if err != nil {
			if p, e := netip.ParsePrefix(args[0]); e == nil {
				return fmt.Errorf("%q is a network: a virtual address stands alone (%v)", args[0], p.Addr())
			}
			return fmt.Errorf("%q is no address", args[0])
		}
		f.wanted.VIPs = append(f.wanted.VIPs, a)
		args = args[1:]
	}
}

func (f *realserverFlags) open() (*realserver.Host, error) {
	return realserver.Open(realserver.Options{State: f.state, Program: executable(), Tunnels: realserverTunnels()})
}

func realserverUp(args []string) int {
	f := newRealserverFlags("up")
	f.BoolVar(&f.wanted.Tunnel, "tunnel", false, "packets come through a tunnel (TUN): unwrap them")
	f.BoolVar(&f.wanted.Persist, "persist", false, "do it again after a reboot (systemd unit)")
	return realserverDo(f, args, func(h *realserver.Host) ([]string, error) {
		done, err := h.Up(f.wanted)
		if err != nil {
			return done, err
		}
		left, err := f.missing()
		return append(done, left...), err
	})
}

// missing is what up could not do.
func (f *realserverFlags) missing() (list []string, err error) {
	h, err := f.open() // what is there now
	if err != nil {
		return nil, err
	}
	defer h.Close()
	findings, err := h.Check(f.wanted)
	for _, x := range findings {
		if !x.OK && !x.Hint {
			list = append(list, x.String())
		}
	}
	if err == nil && len(list) > 0 {
		err = errors.New("that is still missing")
	}
	return list, err
}

func realserverDown(args []string) int {
	f := newRealserverFlags("down")
	keep := f.Bool("keep-unit", false, "leave the systemd unit in place")
	return realserverDo(f, args, func(h *realserver.Host) ([]string, error) { return h.Down(*keep) })
}

func realserverDo(f *realserverFlags, args []string, do func(*realserver.Host) ([]string, error)) int {
	if err := f.parse(args); err != nil {
		return failed("realserver", err)
	}
	h, err := f.open()
	if err != nil {
		return failed("realserver", err)
	}
	defer h.Close()
	done, err := do(h)
	for _, line := range done {
		fmt.Println(line)
	}
	if err == nil && len(done) == 0 {
		fmt.Println("nothing to do")
	}
	return failed("realserver", err)
}

func realserverCheck(args []string) int {
	f := newRealserverFlags("check")
	f.BoolVar(&f.wanted.Tunnel, "tunnel", false, "packets come through a tunnel (TUN)")
	device := f.String("from-director", "", "ask on this `device`, from a director, instead of looking at this host")
	wait := f.Duration("wait", 900*time.Millisecond, "`time` for answers, with -from-director")
	if err := f.parse(args); err != nil {
		return failed("realserver", err)
	}
	if *device != "" {
		return realserverAsk(*device, f.wanted.VIPs, *wait)
	}
	h, err := f.open()
	if err != nil {
		return failed("realserver", err)
	}
	defer h.Close()
	list, err := h.Check(f.wanted)
	code := failed("realserver", err)
	for _, finding := range list {
		fmt.Println(finding)
		if !finding.OK && !finding.Hint {
			code = 1
		}
	}
	return code
}

func realserverAsk(device string, vips []netip.Addr, wait time.Duration) int {
	answers, err := realserver.Ask(device, vips, wait)
	if err != nil {
		var no *net.OpError
		if errors.As(err, &no) {
			err = fmt.Errorf("%s: %w", device, err)
		}
		return failed("realserver", err)
	}
	for _, a := range answers {
		fmt.Println("MISSING", a)
	}
	if len(answers) > 0 {
		return 1
	}
	fmt.Printf("ok      nobody on %s answers for these addresses\n", device)
	return 0
}
