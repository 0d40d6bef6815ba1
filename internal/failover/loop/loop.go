package loop

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Never is the deadline of who waits for nothing.
const Never = time.Duration(1<<63 - 1)

// Handler is what runs in the loop. Times are of CLOCK_MONOTONIC.
type Handler interface {
	// Wake runs once at the start of a round, before anything is handled.
	Wake(now time.Duration)
	// Round runs once after everything that woke the loop up has been handled,
	// and returns when it wants to run at the latest: Never, if only events
	// matter.
	Round(now time.Duration) time.Duration
}

// Loop waits and calls. Its methods belong to the goroutine of Run, except Post
// and Stop.
type Loop struct {
	epoll, timer, wake int // descriptors, set once
	file               *os.File
	conn               syscall.RawConn
	clock              Clock
	events             []unix.EpollEvent
	count              int // of events, by ready
	watched            map[int]func()
	patient            map[int]bool
	gather             time.Duration
	armed              time.Duration
	fired              bool // the timer is readable until it is set again
	now                time.Duration
	priority           *priority
	ready              func(fd uintptr) bool
	rounds             uint64

	stop    atomic.Bool
	pending atomic.Bool

	mu     sync.Mutex
	posted []func() // by mu
	over   bool     // by mu: Run has returned
	spare  []func() // the loop's
}

// New makes a loop.
func New() (*Loop, error) {
	l := &Loop{epoll: -1, timer: -1, wake: -1, armed: Never, watched: map[int]func(){}, patient: map[int]bool{},
		events: make([]unix.EpollEvent, 64), clock: NewClock(), priority: newPriority()}
	if err := l.open(); err != nil {
		l.close()
		return nil, fmt.Errorf("event loop: %w", err)
	}
	l.now = l.clock.Now()
	return l, nil
}

func (l *Loop) open() (err error) {
	if l.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return err
	}
	if l.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return err
	}
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	// The runtime polls only what is non-blocking.
	if err := unix.SetNonblock(l.epoll, true); err != nil {
		return err
	}
	l.file = os.NewFile(uintptr(l.epoll), "failover loop")
	if l.conn, err = l.file.SyscallConn(); err != nil {
		return err
	}
	if err := l.file.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("the runtime does not poll an epoll descriptor: %w", err)
	}
	l.ready = func(fd uintptr) bool {
		l.count = pollNow(fd, l.events)
		return l.count != 0 || l.pending.Load()
	}
	if err := l.Watch(l.timer, func() {}); err != nil {
		return err
	}
	return l.Watch(l.wake, l.drainWake)
}

func (l *Loop) close() {
	if l.file != nil {
		l.file.Close()
	} else if l.epoll >= 0 {
		unix.Close(l.epoll)
	}
	for _, fd := range []int{l.timer, l.wake} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// Watch calls f in every round in which fd has something to read.
func (l *Loop) Watch(fd int, f func()) error {
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
		return fmt.Errorf("watch descriptor %d: %w", fd, err)
	}
	l.watched[fd] = f
	return nil
}

// Unwatch ends a Watch; before fd is closed.
func (l *Loop) Unwatch(fd int) {
	if l.watched[fd] != nil {
		delete(l.watched, fd)
		delete(l.patient, fd)
		_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, fd, nil)
	}
}

// Post runs f in the loop; from any goroutine. False: the loop is over, and f
// will not run.
func (l *Loop) Post(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return false
	}
	l.posted = append(l.posted, f)
	if !l.pending.Swap(true) {
		l.signal()
	}
	return true
}

// Stop makes Run return after its round; from any goroutine.
func (l *Loop) Stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stop.Store(true)
	if !l.over {
		l.signal()
	}
}

var one = [8]byte{1}

func (l *Loop) signal() {
	_, _, _ = unix.RawSyscall(unix.SYS_WRITE, uintptr(l.wake), uintptr(unsafe.Pointer(&one)), 8)
}

func (l *Loop) drainWake() {
	var b [8]byte
	_, _, _ = unix.RawSyscall(unix.SYS_READ, uintptr(l.wake), uintptr(unsafe.Pointer(&b)), 8)
}

// Now is the time of this round; the loop's goroutine only.
func (l *Loop) Now() time.Duration { return l.now }

// Clock is what the loop takes its time from.
func (l *Loop) Clock() Clock { return l.clock }

// Rounds counts how often the loop woke up.
func (l *Loop) Rounds() uint64 { return l.rounds }

// Priority says in words what scheduling the loop's threads have.
func (l *Loop) Priority() string { return l.priority.String() }

// Realtime asks for a real-time priority for the threads that the loop runs
// on; 0 gives it up. It reports what could not be had.
func (l *Loop) Realtime(priority int) error { return l.priority.want(priority, 0) }

// Nice gives the loop's threads a niceness instead, -20 to 19.
func (l *Loop) Nice(n int) error { return l.priority.want(0, n) }

// Gather lets a round that begins with something on a patient descriptor, and
// nothing else, wait for so long first: what arrives meanwhile costs no round of
// its own. Deadlines are kept. 0: no round waits.
func (l *Loop) Gather(d time.Duration) { l.gather = d }

// WatchPatiently is Watch for a descriptor on which Gather may wait for more.
func (l *Loop) WatchPatiently(fd int, f func()) error {
	if err := l.Watch(fd, f); err != nil {
		return err
	}
	l.patient[fd] = true
	return nil
}

// wait is what Gather says, as long as nothing else is due.
func (l *Loop) wait() {
	if l.gather == 0 {
		return
	}
	for i := range l.events[:l.count] {
		if !l.patient[int(l.events[i].Fd)] {
			return
		}
	}
	if l.count == 0 || l.pending.Load() {
		return
	}
	until := min(l.clock.Now()+l.gather, l.armed)
	for {
		d := until - l.clock.Now()
		if d <= 0 {
			return
		}
		// It is short, and keeps the processor that the runtime has lent: giving
		// it back and asking for it again would cost more than the round saved.
		// The runtime's signals interrupt it.
		ts := unix.NsecToTimespec(int64(d))
		if _, _, e := unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0); e != 0 && e != unix.EINTR {
			return
		}
	}
}

// Run serves until Stop and gives the loop's descriptors back.
func (l *Loop) Run(h Handler) error {
	defer l.finish()
	deadline := Never
	for !l.stop.Load() {
		l.arm(deadline)
		if err := l.conn.Read(l.ready); err != nil {
			return fmt.Errorf("event loop: %w", err)
		}
		if l.count < 0 {
			return fmt.Errorf("event loop: epoll_wait: %w", syscall.Errno(-l.count))
		}
		l.wait()
		l.rounds++
		l.priority.check()
		l.now = l.clock.Now()
		for i := range l.events[:l.count] {
			if int(l.events[i].Fd) == l.timer {
				// The timer's clock is the better one.
				l.now = max(l.now, l.armed)
				l.fired = true
			}
		}
		h.Wake(l.now)
		for i := range l.events[:l.count] {
			fd := int(l.events[i].Fd)
			if f := l.watched[fd]; f != nil {
				f()
			}
		}
		if l.pending.Load() {
			l.runPosted()
		}
		deadline = h.Round(l.now)
	}
	return nil
}

func (l *Loop) runPosted() {
	l.mu.Lock()
	l.posted, l.spare = l.spare[:0], l.posted
	l.pending.Store(false)
	l.mu.Unlock()
	for i, f := range l.spare {
		l.spare[i] = nil
		f()
	}
}

func (l *Loop) finish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.posted = nil
	l.close()
}

// arm sets the timer. A timer that has fired is not readable any more once it
// is set again, so it never has to be read.
func (l *Loop) arm(deadline time.Duration) {
	if deadline == l.armed && !l.fired {
		return
	}
	l.armed, l.fired = deadline, false
	var spec unix.ItimerSpec
	if deadline != Never {
		spec.Value = unix.NsecToTimespec(int64(max(deadline, 1)))
	}
	_, _, _ = unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(l.timer), unix.TFD_TIMER_ABSTIME, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
}

// pollNow takes what is ready, without waiting and without telling the
// scheduler. Negative: an errno.
func pollNow(fd uintptr, events []unix.EpollEvent) int {
	for {
		n, _, e := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, fd, uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 8)
		switch {
		case e == 0:
			return int(n)
		case !errors.Is(e, unix.EINTR):
			return -int(e)
		}
	}
}
