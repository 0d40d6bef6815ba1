package xdp

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

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
// it for each thing and by loading the very programs. It changes nothing.
func Probe() Report {
	var r Report
	if os.Getuid() != 0 {
		r.add("privileges", os.ErrPermission, "everything", "run as root, or with CAP_BPF and CAP_NET_ADMIN")
	}
	_ = rlimit.RemoveMemlock() // where it is needed and fails, loading fails below
	const kernel = "a kernel from 5.17 on (Debian 12 has 6.1)"
	for _, m := range []ebpf.MapType{ebpf.Hash, ebpf.Array, ebpf.PerCPUArray, ebpf.LRUHash, ebpf.LPMTrie, ebpf.Queue} {
		r.add("map type "+m.String(), features.HaveMapType(m), "everything", kernel)
	}
	r.add("programs under tc", features.HaveProgramType(ebpf.SchedCLS), "everything", "a kernel with CONFIG_NET_CLS_ACT and CONFIG_BPF_SYSCALL")
	for _, h := range []struct {
		call  asm.BuiltinFunc
		needs string
	}{
		{asm.FnLoop, "schedulers that compare servers"}, {asm.FnTimerInit, "connections that time out"},
		{asm.FnKtimeGetCoarseNs, "everything"}, {asm.FnFibLookup, "NAT"}, {asm.FnRedirect, "everything"},
		{asm.FnRedirectNeigh, "servers whose hardware address is not known yet"}, {asm.FnSkbAdjustRoom, "TUN"},
		{asm.FnL4CsumReplace, "NAT"}, {asm.FnSkbChangeTail, "ICMP errors"},
	} {
		r.add("helper "+h.call.String(), features.HaveProgramHelper(ebpf.SchedCLS, h.call), h.needs, kernel)
	}
	r.loads()
	r.attaching()
	if r.Pins = strings.Contains(filesystems(), "\tbpf\n"); !r.Pins {
		r.add("bpf file system", errors.New("not in /proc/filesystems"), "forwarding that outlives the process", "a kernel with CONFIG_BPF_SYSCALL")
	}
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward"); err == nil && strings.TrimSpace(string(b)) != "1" {
		r.add("net.ipv4.ip_forward", errors.New("it is 0"), "answers through NAT and FULLNAT", "sysctl -w net.ipv4.ip_forward=1")
	}
	return r
}

func filesystems() string {
	b, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return ""
	}
	return string(b)
}

// add notes one thing. err nil means that it is there.
func (r *Report) add(name string, err error, needs, cure string) {
	r.Findings = append(r.Findings, Finding{Name: name, OK: err == nil, Needs: needs, Cure: cure, Err: err})
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
	r.add("the director's programs", err, "everything", "see the missing things above; the kernel's IPVS (lvs_backend ipvs) may work instead")
}

// attaching tries the ways to attach, in a network namespace that nobody else
// sees.
func (r *Report) attaching() {
	r.add("XDP", features.HaveProgramType(ebpf.XDP), "mode xdp", "mode tcx or clsact")
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
	r.add("tcx", tcx, "mode tcx: programs that are exchanged without a gap", "a kernel from 6.6 on, or mode clsact")
	r.add("clsact", clsact, "mode clsact", "a kernel with CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF, or mode tcx")
	if tcx == nil {
		r.Modes = append(r.Modes, TCX)
	}
	if clsact == nil {
		r.Modes = append(r.Modes, Clsact)
	}
	if len(r.Modes) == 0 {
		r.Works = false
	} else if features.HaveProgramType(ebpf.XDP) == nil && r.Works {
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
		fmt.Fprintf(&b, "missing: %s (%v), needed for %s: %s\n", f.Name, f.Err, f.Needs, f.Cure)
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
