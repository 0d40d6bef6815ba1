package loop

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// priority gives the process's threads a real-time priority or a niceness. The goroutine of
// the loop may run on any of them, and a thread of normal priority that is held
// up while it has something that the loop needs (a lock of the runtime) holds
// the loop up too. So all threads get it, with SCHED_RESET_ON_FORK: neither new
// threads nor scripts inherit it. New threads get it when the loop first runs
// on one, or at the next sweep.
type priority struct {
	level   int          // real-time; 0: none
	nice    int          // without a real-time priority
	threads map[int]bool // those that have it
	last    int          // the thread of the last round
	sweep   time.Time
	said    string
}

const sweepInterval = 10 * time.Second

func newPriority() *priority {
	return &priority{threads: map[int]bool{}, said: "normal"}
}

func (p *priority) String() string { return p.said }

func (p *priority) want(level, nice int) error {
	p.level, p.nice = level, nice
	clear(p.threads)
	p.last = 0
	if level == 0 {
		p.said = "normal"
		if nice != 0 {
			defer hoard()()
		}
		err := p.all()
		switch {
		case err != nil:
			p.nice = 0
			p.said = "normal: " + err.Error()
		case nice != 0:
			p.said = fmt.Sprintf("nice %d", nice)
		}
		return err
	}
	// The kernel kills a real-time thread that does not block for longer than
	// RLIMIT_RTTIME. Rounds are short, but a thread also runs other goroutines.
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_RTTIME, &limit) == nil && limit.Cur != unix.RLIM_INFINITY {
		if err := unix.Setrlimit(unix.RLIMIT_RTTIME, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}); err != nil {
			p.level = 0
			p.said = fmt.Sprintf("normal: a real-time process would be killed after %d us without a pause (RLIMIT_RTTIME)", limit.Cur)
			return fmt.Errorf("no real-time priority: RLIMIT_RTTIME is %d us and may not be raised: %w", limit.Cur, err)
		}
	}
	release := hoard()
	defer release()
	if err := p.all(); err != nil {
		p.level = 0
		p.said = "normal: " + err.Error()
		return err
	}
	p.said = fmt.Sprintf("SCHED_RR %d", level)
	return nil
}

// hoarded is how many threads exist from the start: more than this process has
// ever been seen to use at once.
const hoarded = 12

// hoard makes the runtime create threads, which it keeps when they are released:
// one that it made later would have a normal priority at first, and could stop
// the world for as long as it does not run.
func hoard() (release func()) {
	var there sync.WaitGroup
	done := make(chan struct{})
	for range hoarded {
		there.Add(1)
		go func() {
			runtime.LockOSThread()
			there.Done()
			<-done
			runtime.UnlockOSThread()
		}()
	}
	there.Wait()
	return func() { close(done) }
}

// all sets every thread.
func (p *priority) all() error {
	p.sweep = time.Now()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("threads of this process: %w", err)
	}
	now := make(map[int]bool, len(tasks))
	for _, t := range tasks {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		if !p.threads[id] {
			if err := p.set(id); err != nil && err != unix.ESRCH {
				return fmt.Errorf("priority: %w", err)
			}
		}
		now[id] = true
	}
	p.threads = now
	return nil
}

const resetOnFork = 1 // SCHED_FLAG_RESET_ON_FORK of sched(7)

func (p *priority) set(id int) error {
	a := unix.SchedAttr{Policy: unix.SCHED_NORMAL, Flags: resetOnFork, Nice: int32(p.nice)}
	if p.level > 0 {
		a.Policy, a.Priority, a.Nice = unix.SCHED_RR, uint32(p.level), 0
	}
	a.Size = uint32(unsafe.Sizeof(a))
	_, _, e := unix.RawSyscall(unix.SYS_SCHED_SETATTR, uintptr(id), uintptr(unsafe.Pointer(&a)), 0)
	if e != 0 {
		return e
	}
	return nil
}

// check runs in every round.
func (p *priority) check() {
	if p.level == 0 && p.nice == 0 {
		return
	}
	id, _, _ := unix.RawSyscall(unix.SYS_GETTID, 0, 0, 0)
	if int(id) == p.last {
		return
	}
	p.last = int(id)
	if !p.threads[p.last] {
		_ = p.set(p.last)
		p.threads[p.last] = true
	}
	if time.Since(p.sweep) > sweepInterval {
		_ = p.all()
	}
}
