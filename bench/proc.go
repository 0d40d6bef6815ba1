package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// ticksPerSecond is USER_HZ: 100 on every Linux that Go runs on.
const ticksPerSecond = 100

// process is a program started here.
type process struct {
	cmd  *exec.Cmd
	log  string        // file with its standard output and error
	done chan struct{} // closed by the goroutine that waits for it
	err  error         // after done
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// processes starts programs from one thread, which stays for the life of the
// run: Linux delivers Pdeathsig when the starting thread ends, and the child
// inherits that thread's CPUs.
type processes struct {
	starts chan func()

	mu  sync.Mutex
	all []*process
}

func newProcesses() *processes {
	ps := &processes{starts: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for f := range ps.starts {
			f()
		}
	}()
	return ps
}

// start runs cmd in a process group of its own; cpu < 0 leaves it free.
func (ps *processes) start(cmd *exec.Cmd, log string, cpu int) (*process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if log != "" {
		f, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		cmd.Stdout, cmd.Stderr = f, f
	}
	p := &process{cmd: cmd, log: log, done: make(chan struct{})}
	started := make(chan error)
	ps.starts <- func() {
		if cpu >= 0 {
			old, err := affinity()
			if err == nil && old.has(cpu) {
				setAffinity(only(cpu))
				defer setAffinity(old)
			}
		}
		started <- cmd.Start()
	}
	if err := <-started; err != nil {
		return nil, err
	}
	ps.mu.Lock()
	ps.all = append(ps.all, p)
	ps.mu.Unlock()
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// end asks, then kills, what is left of the process and its group.
func (ps *processes) end(p *process) {
	tree := append(descendants(p.pid()), p.pid())
	if !p.ended() {
		p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(2 * time.Second):
		}
	}
	syscall.Kill(-p.pid(), syscall.SIGKILL)
	for _, pid := range tree {
		if s, err := readStat(pid); err == nil && s.State != 'Z' && (pid == p.pid() || groupOf(pid) == p.pid()) {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	<-p.done
	ps.mu.Lock()
	for i, q := range ps.all {
		if q == p {
			ps.all = append(ps.all[:i], ps.all[i+1:]...)
			break
		}
	}
	ps.mu.Unlock()
}

func (ps *processes) endAll() {
	for {
		ps.mu.Lock()
		if len(ps.all) == 0 {
			ps.mu.Unlock()
			return
		}
		p := ps.all[len(ps.all)-1]
		ps.mu.Unlock()
		ps.end(p)
	}
}

func groupOf(pid int) int {
	g, err := syscall.Getpgid(pid)
	if err != nil {
		return -1
	}
	return g
}

// run is start, and wait for the end. What the program wrote is returned.
func (ps *processes) run(ctx context.Context, cmd *exec.Cmd, cpu int) (out string, used time.Duration, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return "", 0, err
	}
	defer r.Close()
	cmd.Stdout, cmd.Stderr = w, w
	p, err := ps.start(cmd, "", cpu)
	w.Close()
	if err != nil {
		return "", 0, err
	}
	text := make(chan string, 1)
	go func() {
		var all []byte
		buf := make([]byte, 32<<10)
		for {
			n, err := r.Read(buf)
			all = append(all, buf[:n]...)
			if err != nil {
				text <- string(all)
				return
			}
		}
	}()
	select {
	case <-p.done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	ps.end(p)
	out = <-text
	if err == nil {
		err = p.err
	}
	if state := p.cmd.ProcessState; state != nil {
		used = state.UserTime() + state.SystemTime()
	}
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, tail(out, 400))
	}
	return out, used, err
}

func readStat(pid int) (procStat, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return procStat{}, err
	}
	return parseStat(b)
}

// descendants of a process, nearest first.
func descendants(pid int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]int{}
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if s, err := readStat(n); err == nil && s.State != 'Z' {
			children[s.Parent] = append(children[s.Parent], n)
		}
	}
	var all []int
	for queue := []int{pid}; len(queue) > 0; queue = queue[1:] {
		all = append(all, children[queue[0]]...)
		queue = append(queue, children[queue[0]]...)
	}
	return all
}

// cpuTime of processes: their own code, and the kernel for them.
type cpuTime struct{ User, System time.Duration }

func (t cpuTime) total() time.Duration { return t.User + t.System }

func (t cpuTime) since(u cpuTime) cpuTime { return cpuTime{t.User - u.User, t.System - u.System} }

// treeCPU is the time that a process and its descendants have used, with the
// children that they waited for.
func treeCPU(pid int) cpuTime {
	const tick = time.Second / ticksPerSecond
	var t cpuTime
	for _, n := range append(descendants(pid), pid) {
		if s, err := readStat(n); err == nil {
			t.User += time.Duration(s.User+s.ChildUser) * tick
			t.System += time.Duration(s.System+s.ChildSystem) * tick
		}
	}
	return t
}

// treeKiB adds up a field of /proc/PID/status over a process and its descendants.
func treeKiB(pid int, field string) int64 {
	var sum int64
	for _, n := range append(descendants(pid), pid) {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(n) + "/status")
		if err != nil {
			continue
		}
		kib, _ := parseStatusKiB(b, field)
		sum += kib
	}
	return sum
}

func machineBusy() time.Duration {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	n, _ := parseBusy(b)
	return time.Duration(n) * (time.Second / ticksPerSecond)
}

type cpuSet [16]uint64

func only(cpu int) cpuSet {
	var s cpuSet
	s[cpu/64] = 1 << (cpu % 64)
	return s
}

func (s *cpuSet) has(cpu int) bool { return s[cpu/64]&(1<<(cpu%64)) != 0 }

func affinity() (cpuSet, error) {
	var s cpuSet
	_, _, e := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, 0, unsafe.Sizeof(s), uintptr(unsafe.Pointer(&s)))
	if e != 0 {
		return s, e
	}
	return s, nil
}

func setAffinity(s cpuSet) {
	syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, unsafe.Sizeof(s), uintptr(unsafe.Pointer(&s)))
}

const (
	firstPort = 24000
	lastPort  = 24999
	portBlock = 20
)

// freePorts finds a block that nobody listens in. Its first port is kept
// open, and so keeps the block: two runs may go on at once.
func freePorts() (base int, lock net.Listener, err error) {
next:
	for base := firstPort; base+portBlock-1 <= lastPort; base += portBlock {
		lock, err := net.Listen("tcp", local(base))
		if err != nil {
			continue
		}
		for p := base + 1; p < base+portBlock; p++ {
			l, err := net.Listen("tcp", local(p))
			if err != nil {
				lock.Close()
				continue next
			}
			l.Close()
		}
		return base, lock, nil
	}
	return 0, nil, errors.New("no free ports from 24000 to 24999")
}

func local(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// listening waits until something accepts at the port, or the process ends.
func listening(p *process, port int) error {
	until := time.Now().Add(10 * time.Second)
	for {
		c, err := net.DialTimeout("tcp", local(port), time.Second)
		if err == nil {
			c.Close()
			return nil
		}
		if p.ended() || time.Now().After(until) {
			text, _ := os.ReadFile(p.log)
			return fmt.Errorf("%s does not listen on port %d: %s", p.cmd.Path, port, tail(string(text), 2000))
		}
		time.Sleep(10 * time.Millisecond)
	}
}
