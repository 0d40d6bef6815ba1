package worker

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// Numbers of <linux/prctl.h> and <linux/capability.h>.
const (
	prSetDumpable     = 4
	prSetKeepCaps     = 8
	prSetNoNewPrivs   = 38
	capNetAdmin       = 12
	capNetRaw         = 13
	capabilityVersion = 0x20080522
)

// ApplyLimits sets RLIMIT_NOFILE. It returns what could not be had as a
// warning, because a service with fewer descriptors is better than none.
func ApplyLimits(noFile int) (warning string) {
	if noFile <= 0 {
		return ""
	}
	var have syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &have); err != nil {
		return fmt.Sprintf("cannot read the limit of open files: %v", err)
	}
	want := syscall.Rlimit{Cur: uint64(noFile), Max: max(have.Max, uint64(noFile))}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want); err == nil {
		return ""
	}
	want.Cur, want.Max = min(uint64(noFile), have.Max), have.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want); err != nil {
		return fmt.Sprintf("cannot set the limit of open files: %v", err)
	}
	return fmt.Sprintf("Cannot raise FD limit to %d, limit is %d.", noFile, want.Cur)
}

// Apply gives up what p does not keep, on all threads, for good. The order
// is the only one that works: the directory while root, the groups before
// the user, the capabilities last.
func (p Privileges) Apply() error {
	if p.Chroot != "" {
		if err := syscall.Chroot(p.Chroot); err != nil {
			return fmt.Errorf("Cannot chroot(%s): %w", p.Chroot, err)
		}
		if err := os.Chdir("/"); err != nil {
			return fmt.Errorf("Cannot chdir to the new root: %w", err)
		}
	}
	keep := p.keptCapabilities()
	dropsRoot := p.UID != nil && *p.UID != 0 && os.Geteuid() == 0
	if dropsRoot && keep != 0 {
		if err := allThreads(syscall.SYS_PRCTL, prSetKeepCaps, 1, 0); err != nil {
			return fmt.Errorf("Cannot keep capabilities over the change of user: %w", err)
		}
	}
	if err := p.changeUser(); err != nil {
		return err
	}
	if dropsRoot {
		if err := setCapabilities(keep); err != nil {
			return fmt.Errorf("Cannot set capabilities: %w", err)
		}
	}
	if err := allThreads(syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0); err != nil {
		return fmt.Errorf("Cannot set no_new_privs: %w", err)
	}
	if p.Dumpable {
		if err := allThreads(syscall.SYS_PRCTL, prSetDumpable, 1, 0); err != nil {
			return fmt.Errorf("Cannot make the process dumpable: %w", err)
		}
	}
	return nil
}

func (p Privileges) keptCapabilities() uint32 {
	var keep uint32
	if p.KeepNetAdmin {
		keep |= 1 << capNetAdmin
	}
	if p.KeepNetRaw {
		keep |= 1 << capNetRaw
	}
	return keep
}

// changeUser does what is asked even when nothing changes, except that who
// is not root and asks for what it already is needs no rights.
func (p Privileges) changeUser() error {
	root := os.Geteuid() == 0
	if root && (p.UID != nil || p.GID != nil) {
		if err := syscall.Setgroups(p.Groups); err != nil {
			return fmt.Errorf("Cannot set supplementary groups: %w", err)
		}
	}
	if p.GID != nil && (root || *p.GID != os.Getegid()) {
		if err := syscall.Setgid(*p.GID); err != nil {
			return fmt.Errorf("Cannot set gid %d: %w", *p.GID, err)
		}
	}
	if p.UID != nil && (root || *p.UID != os.Geteuid()) {
		if err := syscall.Setuid(*p.UID); err != nil {
			return fmt.Errorf("Cannot set uid %d: %w", *p.UID, err)
		}
	}
	return nil
}

func setCapabilities(keep uint32) error {
	header := struct {
		version uint32
		pid     int32
	}{version: capabilityVersion}
	var data [2]struct{ effective, permitted, inheritable uint32 }
	data[0].effective, data[0].permitted = keep, keep
	return allThreads(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data)), 0)
}

// allThreads makes one call on every thread of the process: Linux keeps
// these attributes by thread. A binary built with cgo cannot, and makes it on
// this thread alone: changing the user, which the C library does on all,
// takes the capabilities from the others.
func allThreads(call, a, b, c uintptr) error {
	_, _, e := syscall.AllThreadsSyscall(call, a, b, c)
	if e == syscall.ENOTSUP {
		_, _, e = syscall.RawSyscall(call, a, b, c)
	}
	if e != 0 {
		return e
	}
	return nil
}
