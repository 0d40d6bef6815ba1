package xdp

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Finding is one thing that the director wants of the host.
type Finding struct {
	Name  string
	OK    bool
	Extra bool   // it works without, too
	Needs string // what does not work without it
	Cure  string // what to do about it
	Err   error  // what the kernel said
}

// Report is what Probe found.
type Report struct {
	Findings []Finding
	Works    bool   // the director can forward here
	Modes    []Mode // the ways in which it can be attached
	Pins     bool   // forwarding can go on without the process
}

// Probe finds out what this kernel has of what the director needs, by asking
// it for each thing and by loading the very programs. It changes nothing. Where
// it may not ask, or there is nobody to be asked, that is the only finding.
func Probe() Report {
	var r Report
	_ = rlimit.RemoveMemlock() // where it is needed and fails, loading fails below
	if !r.privileged() || !r.answers() {
		return r
	}
	for _, m := range []ebpf.MapType{ebpf.Hash, ebpf.Array, ebpf.PerCPUArray, ebpf.LRUHash, ebpf.LPMTrie, ebpf.Queue} {
		r.need("maps of type "+m.String(), features.HaveMapType(m), kernel)
	}
	r.need("programs under tc", features.HaveProgramType(ebpf.SchedCLS), "it takes a kernel with CONFIG_NET_CLS_ACT")
	for _, h := range []struct {
		name string
		call asm.BuiltinFunc
	}{
		{"bpf_loop", asm.FnLoop}, {"bpf_timer_init", asm.FnTimerInit}, {"bpf_ktime_get_coarse_ns", asm.FnKtimeGetCoarseNs},
		{"bpf_fib_lookup", asm.FnFibLookup}, {"bpf_redirect", asm.FnRedirect}, {"bpf_redirect_neigh", asm.FnRedirectNeigh},
		{"bpf_skb_adjust_room", asm.FnSkbAdjustRoom}, {"bpf_l4_csum_replace", asm.FnL4CsumReplace}, {"bpf_skb_change_tail", asm.FnSkbChangeTail},
	} {
		r.need("helper "+h.name, features.HaveProgramHelper(ebpf.SchedCLS, h.call), kernel)
	}
	r.loads()
	r.attaching()
	r.Pins = strings.Contains(filesystems(), "\tbpf\n")
	if !r.Pins {
		r.extra("bpf file system", errors.New("not in /proc/filesystems"), "forwarding that outlives the process", "it takes a kernel with CONFIG_BPF_SYSCALL")
	}
	return r
}

const kernel = "it takes a kernel from 5.17 on (Debian 12 has 6.1)"

// capabilities that forwarding takes. CAP_SYS_ADMIN, which has CAP_BPF in it, is
// for the file system that outlives the process.
var capabilities = []struct {
	name string
	bit  int
}{{"CAP_NET_ADMIN", unix.CAP_NET_ADMIN}, {"CAP_SYS_ADMIN", unix.CAP_SYS_ADMIN}}

// privileged notes what this process may not.
func (r *Report) privileged() bool {
	b, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return true // it will be seen below
	}
	missing := lackedCapabilities(string(b))
	if len(missing) == 0 {
		return true
	}
	r.need("privileges", fmt.Errorf("without %s", strings.Join(missing, ", ")), "run as root; in a container or a systemd unit, grant these capabilities")
	return false
}

// lackedCapabilities reads a process's status.
func lackedCapabilities(status string) (missing []string) {
	_, rest, ok := strings.Cut(status, "\nCapEff:")
	if !ok {
		return nil
	}
	line, _, _ := strings.Cut(rest, "\n")
	effective, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	if err != nil {
		return nil
	}
	for _, c := range capabilities {
		if effective&(1<<c.bit) == 0 {
			missing = append(missing, c.name)
		}
	}
	return missing
}

// answers notes that there is no bpf system call, or that it is refused to who
// has every privilege.
func (r *Report) answers() bool {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	switch {
	case err == nil:
		m.Close()
		return true
	case errors.Is(err, unix.ENOSYS):
		r.need("bpf system call", errors.New("this kernel has none"), kernel+" with CONFIG_BPF_SYSCALL")
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		r.need("bpf system call", errors.New("refused in spite of root's privileges"), "a container's seccomp profile or the kernel's lockdown does that: permit bpf")
	default:
		r.need("maps for programs", cause(err), kernel)
	}
	return false
}

// cause is the kernel's part of an error of package ebpf.
func cause(err error) error {
	var number syscall.Errno
	switch {
	case errors.Is(err, ebpf.ErrNotSupported):
		return errors.New("this kernel does not have it")
	case errors.As(err, &number):
		return number
	}
	return err
}

func filesystems() string {
	b, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return ""
	}
	return string(b)
}

// need notes something without which nothing works; err nil: it is there.
func (r *Report) need(name string, err error, cure string) {
	r.Findings = append(r.Findings, Finding{Name: name, OK: err == nil, Needs: "everything", Cure: cure, Err: err})
}

// extra notes something without which the rest works.
func (r *Report) extra(name string, err error, needs, cure string) {
	r.Findings = append(r.Findings, Finding{Name: name, OK: err == nil, Extra: true, Needs: needs, Cure: cure, Err: err})
}

// loads has the kernel judge the programs themselves.
func (r *Report) loads() {
	spec, err := loadDirector()
	if err == nil {
		size(spec, Options{MaxFlows: 64, MaxServers: 64})
		for _, m := range spec.Maps {
			m.Pinning = ebpf.PinNone
		}
		var c *ebpf.Collection
		if c, err = ebpf.NewCollection(spec); err == nil {
			c.Close()
			r.Works = true
		}
	}
	if err != nil && len(r.Missing()) > 0 {
		return // that is why
	}
	r.need("the director's programs", err, kernel)
}

// attaching tries the ways to attach, in a network namespace that nobody else
// sees.
func (r *Report) attaching() {
	xdp := features.HaveProgramType(ebpf.XDP)
	r.extra("XDP", xdp, "mode xdp", "mode tcx or clsact")
	done := make(chan struct{})
	var tcx, clsact error
	go func() {
		defer close(done)
		runtime.LockOSThread() // the thread ends with its namespace
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			tcx, clsact = err, err
			return
		}
		tcx, clsact = tryAttaching()
	}()
	<-done
	const cureOfClsact = "a kernel with CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF (modules sch_ingress, cls_bpf)"
	if tcx != nil && clsact != nil {
		r.need("a place for programs on interfaces", fmt.Errorf("tcx: %w; clsact: %w", cause(tcx), cause(clsact)), "it takes a kernel from 6.6 on, or "+cureOfClsact)
		r.Works = false
		return
	}
	r.extra("tcx", tcx, "mode tcx: programs that are exchanged without a gap", "it takes a kernel from 6.6 on, or mode clsact")
	r.extra("clsact", clsact, "mode clsact", "it takes "+cureOfClsact+", or mode tcx")
	if tcx == nil {
		r.Modes = append(r.Modes, TCX)
	}
	if clsact == nil {
		r.Modes = append(r.Modes, Clsact)
	}
	if xdp == nil && r.Works {
		r.Modes = append(r.Modes, Native)
	}
}

func tryAttaching() (tcx, clsact error) {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "Dual MIT/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		return err, err
	}
	defer program.Close()
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err, err
	}
	a, tcx := link.AttachTCX(link.TCXOptions{Interface: lo.Attrs().Index, Program: program, Attach: ebpf.AttachTCXIngress})
	if tcx == nil {
		a.Close()
	}
	on := attacher{mode: Clsact, prog: program}
	b, clsact := on.attachClsact(lo)
	if clsact == nil {
		clsact = b.close(false)
	}
	return tcx, clsact
}

// Reasons are why the director does not work here, each with what would help;
// none: it works.
func (r Report) Reasons() (list []string) {
	if r.Works {
		return nil
	}
	type same struct{ err, cure string }
	var order []same
	names := map[same][]string{}
	for _, f := range r.Missing() {
		if f.Extra {
			continue
		}
		k := same{cause(f.Err).Error(), f.Cure}
		if names[k] == nil {
			order = append(order, k)
		}
		names[k] = append(names[k], f.Name)
	}
	for _, k := range order {
		list = append(list, fmt.Sprintf("%s: %s; %s", strings.Join(names[k], ", "), k.err, k.cure))
	}
	return list
}

// Missing are the findings that are not there.
func (r Report) Missing() (list []Finding) {
	for _, f := range r.Findings {
		if !f.OK {
			list = append(list, f)
		}
	}
	return list
}

// String is the report for people: what is missing, and what works.
func (r Report) String() string {
	var b strings.Builder
	for _, f := range r.Missing() {
		fmt.Fprintf(&b, "missing: %s (%v), needed for %s: %s\n", f.Name, cause(f.Err), f.Needs, f.Cure)
	}
	if !r.Works {
		b.WriteString("the eBPF data plane does not work here\n")
		return b.String()
	}
	fmt.Fprintf(&b, "the eBPF data plane works, attached by")
	for i, m := range r.Modes {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, " %s", m)
	}
	b.WriteByte('\n')
	return b.String()
}
