package engine

import (
	"fmt"
	"math"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// Options of a loop. The zero value is good.
type Options struct {
	ID       int
	BufSize  int   // size of GetBuffer's buffers; 16384
	Events   int   // events taken in one poll; 256
	PipeSize int   // size of splice pipes; 0: the kernel's (64 KiB)
	CPUs     []int // pin the loop's thread to these; nil: not pinned

	// MaxHandshakes bounds the TLS handshakes that run at once, and so their
	// memory (about 30 KiB each); more wait for their turn. 0: no bound.
	MaxHandshakes int

	// NoReuse keeps closed Conn structs from being used again and makes any
	// use of one panic: for finding use after Close in tests.
	NoReuse bool
}

const (
	chunkBits = 7
	chunkSize = 1 << chunkBits

	// The epoll data of a listener has this bit in its index.
	indexListener = 1 << 30
	indexWakeup   = math.MaxInt32

	// Generations of the run-queue run in one round, so that handlers that
	// Wake each other for ever cannot keep the loop from polling.
	wakeRounds = 16
)

// Stats are counters of rare things, and of how much there is.
type Stats struct {
	Conns        int    // open now
	Accepted     uint64 // by the listeners of this loop
	AcceptPauses uint64 // listeners paused for lack of descriptors or memory
	AcceptErrors uint64 // connections that were gone before accept took them
	Handshakes   uint64 // TLS handshakes started
}

// Loop is one event loop. See the package comment for who may call what.
type Loop struct {
	// Set once.
	id      int
	noReuse bool
	epfd    int32
	wakefd  int32
	cpus    []int
	pipeCap int

	maxHandshakes int

	// Owned by the loop.
	now       int64
	wallAt    int64
	wall      time.Time
	wheel     wheel
	events    []syscall.EpollEvent
	chunks    []*[chunkSize]Conn
	freeConns []*Conn
	closed    []*Conn // closed in this round: free after it
	register  []connRef
	runQueue  []connRef
	running   []connRef
	listeners []*Listener
	buffers   bufferPool
	trimTimer Timer
	pipes     []*Pipe
	endRound  func()
	rate      eventRate
	addr      syscall.RawSockaddrAny
	addrLen   uint32
	iov       [2]syscall.Iovec
	msg       syscall.Msghdr
	ev        syscall.EpollEvent
	scratch   []byte // one TLS record's plaintext
	taken     []func()
	takenFDs  []handedFD
	shaking   int // TLS handshakes running
	hsQueue   []connRef
	fat       []*tlsState // sessions with a big input buffer
	fatTimer  Timer

	// For everybody.
	stop         atomic.Bool
	sleeping     atomic.Bool // the loop is in, or about to enter, a sleep
	posted       atomic.Bool // there is something in posts or handed
	conns        atomic.Int64
	accepted     atomic.Uint64
	acceptPauses atomic.Uint64
	acceptErrors atomic.Uint64
	handshakes   atomic.Uint64

	mu     sync.Mutex
	posts  []func()   // guarded by mu
	handed []handedFD // guarded by mu
	over   bool       // guarded by mu: Run has returned
}

// connRef names a connection that may be gone when it is looked at.
type connRef struct {
	c   *Conn
	gen uint32
}

// HandedHandler takes a descriptor that another loop accepted.
type HandedHandler interface {
	OnHanded(l *Loop, fd int, src netip.AddrPort)
}

type handedFD struct {
	h   HandedHandler
	src netip.AddrPort
	fd  int
}

// base is where every loop's Now begins, so that their times compare.
var base = time.Now().Add(-time.Millisecond)

// New makes a loop. It does nothing before Run, but Adopt, Dial, Listen, Arm
// and Post may be called before.
func New(o Options) (*Loop, error) {
	if o.BufSize <= 0 {
		o.BufSize = 16384
	}
	if o.Events <= 0 {
		o.Events = 256
	}
	ep, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	wake, _, errno := syscall.RawSyscall(syscall.SYS_EVENTFD2, 0, efdNonblock|efdCloexec, 0)
	if errno != 0 {
		syscall.Close(ep)
		return nil, fmt.Errorf("eventfd: %w", errno)
	}
	l := &Loop{
		id: o.ID, noReuse: o.NoReuse, cpus: o.CPUs, pipeCap: o.PipeSize, maxHandshakes: o.MaxHandshakes,
		epfd: int32(ep), wakefd: int32(wake),
		events: make([]syscall.EpollEvent, o.Events),
	}
	l.buffers.init(o.BufSize)
	// Edge-triggered: every write to it is an edge, so nobody ever reads it.
	l.ev = syscall.EpollEvent{Events: syscall.EPOLLIN | epollET, Fd: indexWakeup}
	if errno := sysEpollCtl(l.epfd, syscall.EPOLL_CTL_ADD, l.wakefd, &l.ev); errno != 0 {
		l.closeFDs()
		return nil, fmt.Errorf("epoll_ctl of the eventfd: %w", errno)
	}
	l.tick()
	l.wheel.cur = l.now / tickNanos
	return l, nil
}

// ID is Options.ID.
func (l *Loop) ID() int { return l.id }

// Now is the monotonic time in nanoseconds as of this wake-up. All loops of a
// process count from the same moment.
func (l *Loop) Now() int64 { return l.now }

// Wall is the same moment on the wall clock.
func (l *Loop) Wall() time.Time { return l.wall.Add(time.Duration(l.now - l.wallAt)) }

// Conns is the number of open connections; for any goroutine.
func (l *Loop) Conns() int { return int(l.conns.Load()) }

// Stats are for any goroutine.
func (l *Loop) Stats() Stats {
	return Stats{
		Conns:        l.Conns(),
		Accepted:     l.accepted.Load(),
		AcceptPauses: l.acceptPauses.Load(),
		AcceptErrors: l.acceptErrors.Load(),
		Handshakes:   l.handshakes.Load(),
	}
}

// SetEndRound has f run at the end of every round, before the loop may sleep.
func (l *Loop) SetEndRound(f func()) { l.endRound = f }

// Arm sets or moves a timer. owner.OnTimer runs not before at (Now's unit) and
// at most about a millisecond late. Moving later is one store.
func (l *Loop) Arm(t *Timer, owner TimerFunc, at int64) { l.wheel.arm(t, owner, at) }

// Disarm forgets a timer; it may be armed again.
func (l *Loop) Disarm(t *Timer) {
	if t.at != 0 || t.slot != 0 {
		l.wheel.disarm(t)
	}
}

// Post has f run on the loop, in order of posting. After Run has returned it
// does nothing.
func (l *Loop) Post(f func()) {
	l.mu.Lock()
	if l.over {
		l.mu.Unlock()
		return
	}
	l.posts = append(l.posts, f)
	l.posted.Store(true)
	l.mu.Unlock()
	l.wakeUp()
}

// Hand gives an accepted descriptor to this loop from any other one: h.OnHanded
// runs here. It allocates nothing. A loop that is over closes the descriptor.
func (l *Loop) Hand(fd int, src netip.AddrPort, h HandedHandler) {
	l.mu.Lock()
	if l.over {
		l.mu.Unlock()
		sysClose(int32(fd))
		return
	}
	l.handed = append(l.handed, handedFD{h: h, src: src, fd: fd})
	l.posted.Store(true)
	l.mu.Unlock()
	l.wakeUp()
}

// Stop makes Run return after its current round; for any goroutine.
func (l *Loop) Stop() {
	l.stop.Store(true)
	l.wakeUp()
}

var wakeCount uint64 = 1

// wakeUp writes to the eventfd only for a loop that may not look by itself.
func (l *Loop) wakeUp() {
	if l.sleeping.Load() && l.sleeping.CompareAndSwap(true, false) {
		l.mu.Lock() // or finish could close the descriptor under the write
		if !l.over {
			syscall.RawSyscall(syscall.SYS_WRITE, uintptr(l.wakefd), uintptr(unsafe.Pointer(&wakeCount)), 8)
		}
		l.mu.Unlock()
	}
}

// Run serves until Stop. It locks the goroutine to its thread. What is open when
// it returns is closed, without calling handlers.
func (l *Loop) Run() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer l.finish()
	if err := l.pin(); err != nil {
		return err
	}
	batchScheduling()
	for !l.stop.Load() {
		n, err := l.poll()
		if err != nil {
			return fmt.Errorf("epoll_wait: %w", err)
		}
		l.tick()
		for i := range l.events[:n] {
			l.dispatch(&l.events[i])
		}
		if l.posted.Load() {
			l.runPosted()
		}
		l.wheel.advance(l.now)
		l.runWoken()
		if l.endRound != nil {
			l.endRound()
		}
		l.finishRound()
	}
	return nil
}

// tick reads the clock. The wall clock is read again now and then, because it
// may be stepped.
func (l *Loop) tick() {
	l.now = int64(time.Since(base))
	if l.now-l.wallAt > 100e6 || l.wallAt == 0 {
		l.wall = time.Now().Round(0)
		l.wallAt = l.now
	}
}

// napMillis is how long a loop sleeps without telling the Go scheduler. A busy
// loop is woken within it nearly always, and what an ordinary blocking call
// costs each time (the scheduler takes the processor away, wakes another
// thread with it, and gives it back) is never paid. The collector does not
// wait for it: its signal ends the call.
const napMillis = 2

// poll takes events, or sleeps until there are some: first shortly and raw,
// then in a call that lets the scheduler go on without this thread.
func (l *Loop) poll() (int, error) {
	l.sleeping.Store(true)
	ms := l.timeout()
	if l.posted.Load() || l.stop.Load() {
		ms = 0
	}
	nap := napMillis
	if ms >= 0 && ms < nap {
		nap = ms
	}
	var n int
	var e syscall.Errno
	if l.rate.busy && nap > 0 {
		if n, e = sysEpollNap(l.epfd, l.events, 0); n == 0 && e == 0 {
			sysSleep(gatherNanos)
		}
	}
	if n == 0 && e == 0 {
		n, e = sysEpollNap(l.epfd, l.events, nap)
	}
	if n == 0 && e == 0 && nap != ms && !l.posted.Load() && !l.stop.Load() {
		if ms > 0 {
			ms -= nap
		}
		n, e = sysEpollSleep(l.epfd, l.events, ms)
	}
	l.sleeping.Store(false)
	l.rate.add(l.now, n)
	if e != 0 && e != syscall.EINTR {
		return 0, e
	}
	return n, nil
}

// Waking up costs as much as a third of a small request. A loop to which
// events come faster than busyEvents in rateWindow therefore gathers them for
// gatherNanos when it has run dry, as network cards moderate their interrupts.
// One client that waits for each answer does not reach that rate, so its
// answers are never delayed.
const (
	rateWindow  = int64(1e6)
	busyEvents  = 48
	gatherNanos = 80e3
)

// eventRate tells from the events of one window whether the next is busy.
type eventRate struct {
	start int64
	count int
	busy  bool
}

func (r *eventRate) add(now int64, n int) {
	r.count += n
	if elapsed := now - r.start; elapsed >= rateWindow {
		r.busy = int64(r.count)*rateWindow >= busyEvents*elapsed
		r.start, r.count = now, 0
	}
}

// timeout is how long the loop may sleep, in milliseconds; -1: for ever.
func (l *Loop) timeout() int {
	if len(l.runQueue) > 0 {
		return 0
	}
	next := l.wheel.nextTick()
	if next < 0 {
		return -1
	}
	wait := next*tickNanos - int64(time.Since(base))
	if wait <= 0 {
		return 0
	}
	return int(min((wait+tickNanos-1)/tickNanos, math.MaxInt32))
}

func (l *Loop) runPosted() {
	l.mu.Lock()
	l.taken, l.posts = l.posts, l.taken[:0]
	l.takenFDs, l.handed = l.handed, l.takenFDs[:0]
	l.posted.Store(false)
	l.mu.Unlock()
	for i, f := range l.taken {
		l.taken[i] = nil
		f()
	}
	for i := range l.takenFDs {
		h := l.takenFDs[i]
		l.takenFDs[i] = handedFD{}
		h.h.OnHanded(l, h.fd, h.src)
	}
}

// runWoken runs the handlers that Wake queued, and those that they wake.
func (l *Loop) runWoken() {
	for range wakeRounds {
		if len(l.runQueue) == 0 {
			return
		}
		l.running, l.runQueue = l.runQueue, l.running[:0]
		for _, r := range l.running {
			c := r.c
			if c.gen != r.gen || c.flags&flagQueued == 0 {
				continue
			}
			c.flags &^= flagQueued
			c.call()
		}
	}
}

// finishRound registers what is new and lets what was closed be used again.
func (l *Loop) finishRound() {
	if len(l.register) > 0 {
		// A failed registration wakes its connection, which the next round runs.
		for _, r := range l.register {
			if r.c.gen == r.gen {
				r.c.registerNow()
			}
		}
		l.register = l.register[:0]
	}
	if len(l.closed) > 0 {
		if !l.noReuse {
			l.freeConns = append(l.freeConns, l.closed...)
		}
		clear(l.closed)
		l.closed = l.closed[:0]
	}
}

// dispatch runs one event. An event of something closed since it was taken
// carries an old generation.
func (l *Loop) dispatch(ev *syscall.EpollEvent) {
	index := uint32(ev.Fd)
	if index&indexListener == 0 {
		c := &l.chunks[index>>chunkBits][index&(chunkSize-1)]
		if c.gen == uint32(ev.Pad) {
			c.onEvent(ev.Events)
		}
		return
	}
	if index == indexWakeup {
		return
	}
	ln := l.listeners[index&^indexListener]
	if ln != nil && ln.gen == uint32(ev.Pad) {
		ln.accept()
	}
}

// newConn gives a zeroed connection.
func (l *Loop) newConn(fd int, h Handler, flags uint32) *Conn {
	if len(l.freeConns) == 0 {
		l.growConns()
	}
	n := len(l.freeConns) - 1
	c := l.freeConns[n]
	l.freeConns = l.freeConns[:n]
	c.fd = int32(fd)
	c.handler = h
	c.flags = flags
	c.errno = 0
	l.conns.Store(l.conns.Load() + 1)
	l.register = append(l.register, connRef{c, c.gen})
	return c
}

func (l *Loop) growConns() {
	chunk := new([chunkSize]Conn)
	first := len(l.chunks) << chunkBits
	l.chunks = append(l.chunks, chunk)
	for i := chunkSize - 1; i >= 0; i-- {
		c := &chunk[i]
		c.loop = l
		c.index = uint32(first + i)
		c.flags = flagClosed
		l.freeConns = append(l.freeConns, c)
	}
}

// finish closes everything after the last round.
func (l *Loop) finish() {
	l.mu.Lock()
	l.over = true
	handed := l.handed
	l.posts, l.handed = nil, nil
	l.mu.Unlock()
	for i := range handed {
		sysClose(int32(handed[i].fd))
	}
	for _, chunk := range l.chunks {
		for i := range chunk {
			if c := &chunk[i]; c.fd > 0 {
				c.abort()
			}
		}
	}
	for _, ln := range l.listeners {
		if ln != nil {
			ln.Close()
		}
	}
	for _, p := range l.pipes {
		p.close()
	}
	l.pipes = nil
	l.closeFDs()
}

func (l *Loop) closeFDs() {
	sysClose(l.epfd)
	sysClose(l.wakefd)
}

// pin ties the loop's thread to Options.CPUs.
func (l *Loop) pin() error {
	if len(l.cpus) == 0 {
		return nil
	}
	var set [128]uint64
	for _, cpu := range l.cpus {
		if cpu < 0 || cpu >= 64*len(set) {
			return fmt.Errorf("cannot pin a loop to CPU %d: no such CPU", cpu)
		}
		set[cpu/64] |= 1 << (cpu % 64)
	}
	_, _, e := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, unsafe.Sizeof(set), uintptr(unsafe.Pointer(&set)))
	if e != 0 {
		return fmt.Errorf("cannot pin a loop to CPUs %v: %w", l.cpus, e)
	}
	return nil
}

// Monotonic is the present moment on the clock of Loop.Now, for goroutines
// that are no loop.
func Monotonic() int64 { return int64(time.Since(base)) }
