package forwarding

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// refuseVariable has this test program refuse a system call to the program that
// its arguments name: the call's number, the first argument that it is refused
// for (-1: any), and the error's number.
const refuseVariable = "EVENKEEL_TEST_REFUSE"

// refuse becomes the other program. It returns only with an error.
func refuse(spec string) error {
	var number, argument, e int
	if _, err := fmt.Sscan(spec, &number, &argument, &e); err != nil {
		return err
	}
	const nr, first = 0, 16 // places in struct seccomp_data
	load := func(at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
	}
	equal := func(k int, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(k), Jf: no}
	}
	answer := func(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }
	filter := []unix.SockFilter{load(nr), equal(number, 1)}
	if argument >= 0 {
		filter = []unix.SockFilter{load(nr), equal(number, 3), load(first), equal(argument, 1)}
	}
	filter = append(filter, answer(unix.SECCOMP_RET_ERRNO|uint32(e)), answer(unix.SECCOMP_RET_ALLOW))
	runtime.LockOSThread()
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		return err
	}
	os.Unsetenv(refuseVariable)
	return syscall.Exec(os.Args[1], os.Args[1:], os.Environ())
}

// refusing makes a command line that runs a program to which a call is refused.
func refusing(call, argument int, e syscall.Errno, argv ...string) []string {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return append([]string{"env", fmt.Sprintf("%s=%d %d %d", refuseVariable, call, argument, int(e)), self}, argv...)
}

// Commands of bpf(2).
const linkCreate = 28

// TestCheckSaysWhatIsMissing: on a host that lacks something, check says what,
// once, and what would help; a director there says the same.
func TestCheckSaysWhatIsMissing(t *testing.T) {
	needsNoIPVS(t)
	l := newLAN(t)
	file := filepath.Join(l.dir, "lvs.conf")
	for _, c := range []struct {
		name   string
		method string
		argv   []string
		has    []string
		not    []string
	}{
		{"nothing", "DR", nil, []string{"valid"}, []string{"warning", "missing"}},
		{"privileges", "DR", []string{"setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"},
			[]string{"packets cannot be forwarded here. ebpf: privileges: without CAP_NET_ADMIN; run as root", "ipvs: the kernel (", "lvs.conf:1:1"}, []string{"maps", "helper"}},
		{"no bpf", "DR", refusing(unix.SYS_BPF, -1, syscall.ENOSYS),
			[]string{"ebpf: bpf system call: this kernel has none; it takes a kernel from 5.17 on (Debian 12 has 6.1) with CONFIG_BPF_SYSCALL. ipvs: "}, []string{"helper", "privileges"}},
		{"bpf refused", "DR", refusing(unix.SYS_BPF, -1, syscall.EPERM),
			[]string{"ebpf: bpf system call: refused in spite of root's privileges; a container's seccomp profile or the kernel's lockdown does that: permit bpf"}, []string{"helper", "MEMLOCK"}},
		{"no tcx", "DR", refusing(unix.SYS_BPF, linkCreate, syscall.EINVAL), []string{"valid"}, []string{"warning", "missing"}},
		{"no forwarding", "NAT", nil, []string{"net.ipv4.ip_forward is 0, so that the answers of NAT find no way back: sysctl -w net.ipv4.ip_forward=1"}, []string{"ipv6"}},
		{"no forwarding of IPv6", "IPv6", nil, []string{"net.ipv6.conf.all.forwarding is 0, so that the answers of NAT find no way back: sysctl -w net.ipv6.conf.all.forwarding=1"}, []string{"ip_forward"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := virtual(c.method, "rr", "", real("10.79.0.21 80", ""))
			if c.method == "IPv6" {
				text = strings.NewReplacer(vip, "fd79::101", "10.79.0.21", "fd80::21", "IPv6", "NAT").Replace(text)
			}
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			l.sysctl("d", "net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0")
			got := said(l.in("d", append(c.argv, program, "check", file)...))
			for _, want := range c.has {
				if !strings.Contains(got, want) {
					t.Errorf("there is no %q in\n%s", want, got)
				}
			}
			for _, never := range c.not {
				if strings.Contains(got, never) {
					t.Errorf("there is %q in\n%s", never, got)
				}
			}
		})
	}
}

// TestLesserHosts: where tcx or the file system that outlives a process cannot be
// had, packets are forwarded all the same.
func TestLesserHosts(t *testing.T) {
	if _, err := exec.LookPath("env"); err != nil {
		t.Skip("env is not installed")
	}
	l := newLAN(t)
	l.direct()
	l.serve("1")
	l.ip("d", "addr add "+vip+"/24 dev eth0")
	text := virtual("DR", "wlc", "", real("10.79.0.21 80", ""))
	for _, c := range []struct {
		name string
		argv []string
		log  string
	}{
		{"no tcx", refusing(unix.SYS_BPF, linkCreate, syscall.EINVAL), ""},
		{"no file system", refusing(unix.SYS_MOUNT, -1, syscall.EPERM), "packets are forwarded only as long as this process runs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := l.start("d", text, func(d *director) []string { return append(c.argv, d.program, "run", d.file) })
			defer d.stop()
			if seen := l.count(3); !only(seen, "1") {
				t.Errorf("requests went to %v", seen)
			}
			if !strings.Contains(d.log.String(), c.log) {
				t.Errorf("it has not said %q:\n%s", c.log, d.log)
			}
			d.reload(text)
			if seen := l.count(3); !only(seen, "1") {
				t.Errorf("after a reload requests went to %v", seen)
			}
		})
	}
}
