package bfd

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	wire "evenkeel/internal/wire/bfd"
)

// Change is a session that went from one state to another.
type Change struct {
	Name             string
	From, To         State
	Up               bool // To == Up
	Diagnostic       wire.Diagnostic
	RemoteDiagnostic wire.Diagnostic
	Why              string
	At               time.Time
}

// Options are what a Runner needs from outside.
type Options struct {
	// Changed is told of every change, in order, from the runner's own
	// goroutine: it must not block, and may call no method of the Runner but Up.
	Changed func(Change)
	// Notice gets a line for people about a session ("" for packets that belong
	// to none): packets refused, sending that fails. At most one a session,
	// kind and minute. May be nil.
	Notice func(session, text string)
	// Thread is called first on the locked thread that runs the sessions, for
	// its scheduling priority. May be nil.
	Thread func()
}

// noticeEvery is how often one kind of notice about one session is given.
const noticeEvery = time.Minute

// burst bounds the packets that are read from a socket before timers are
// looked at again. It is far above what arrives in a scheduling delay.
const burst = 1024

// errClosed is what a closed runner answers.
var errClosed = errors.New("the BFD runner is closed")

// Runner runs sessions. Its methods may be called from any goroutine.
//
// One goroutine on a thread of its own owns all sockets and machines. It reads
// what has arrived before it looks at timers, so that a process that was held
// up does not take its own delay for the neighbor's silence.
type Runner struct {
	// Set once.
	opt   Options
	epoch time.Time
	wake  int           // eventfd
	done  chan struct{} // closed by the loop when it ends

	mu     sync.Mutex
	orders []func() // guarded by mu; run by the loop
	closed bool     // guarded by mu: no more orders
	up     map[string]bool

	// Owned by the loop.
	sessions  []*session // in the order of Set, then those that leave
	byDiscr   map[uint32]*session
	due       deadlines
	listeners []*listener
	noticed   map[notice]time.Duration
	closing   bool
	ended     bool // a session has ended: its listener may be too many
	polled    []unix.PollFd
	buf, oob  []byte
}

type notice struct{ session, kind string }

// session is one neighbor.
type session struct {
	cfg      Config
	machine  *Machine
	fd       int // sends
	to       unix.Sockaddr
	neighbor netip.Addr // with the number of its zone
	leaving  bool
	at       int // its place in the heap of deadlines
	packet   []byte
}

// Open makes a runner without sessions and starts its goroutine.
func Open(o Options) (*Runner, error) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	r := &Runner{
		opt: o, epoch: time.Now(), wake: wake, done: make(chan struct{}),
		up: map[string]bool{}, byDiscr: map[uint32]*session{}, noticed: map[notice]time.Duration{},
		buf: make([]byte, 512), oob: make([]byte, 256),
	}
	go r.loop()
	return r, nil
}

func (r *Runner) now() time.Duration { return time.Since(r.epoch) }

// order runs f in the loop and waits for it.
func (r *Runner) order(f func()) error {
	ran := make(chan struct{})
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return errClosed
	}
	r.orders = append(r.orders, func() { f(); close(ran) })
	r.knock()
	r.mu.Unlock()
	select {
	case <-ran:
		return nil
	case <-r.done:
		return errClosed
	}
}

// knock wakes the loop. With mu held: the loop closes the descriptor under it.
func (r *Runner) knock() { unix.Write(r.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

// Set makes these the sessions: those that are new start, those that are gone
// leave as administratively down, those whose neighbor, source and port are
// the same keep their state and negotiate changed timers. It fails, with
// nothing changed, when a session is impossible or a socket cannot be had.
func (r *Runner) Set(sessions []Config) error {
	wanted := make([]Config, len(sessions))
	names, places := map[string]bool{}, map[place]string{}
	for i, c := range sessions {
		c = c.withDefaults()
		if err := c.check(); err != nil {
			return err
		}
		if names[c.Name] {
			return fmt.Errorf("BFD session %s: there are two of this name", c.Name)
		}
		if other := places[c.place()]; other != "" {
			return fmt.Errorf("BFD sessions %s and %s have the same neighbor %s", other, c.Name, c.Neighbor)
		}
		names[c.Name], places[c.place()] = true, c.Name
		wanted[i] = c
	}
	var err error
	if e := r.order(func() { err = r.set(wanted) }); e != nil {
		return e
	}
	return err
}

// Status is a snapshot of all sessions, in the order of Set. Since and
// LastHeard count from the same moment as now, which is the present.
func (r *Runner) Status() (all []Info, now time.Duration) {
	r.order(func() {
		now = r.now()
		for _, s := range r.sessions {
			if !s.leaving {
				all = append(all, s.machine.Info())
			}
		}
	})
	return all, now
}

// Up says whether the named session is up; known is false when there is none.
func (r *Runner) Up(name string) (up, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	up, known = r.up[name]
	return up, known
}

// Close tells all neighbors that the sessions are administratively down, and
// ends the goroutine and the sockets. It waits for that, or for ctx. Changed is
// told of the sessions' end.
func (r *Runner) Close(ctx context.Context) error {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		r.orders = append(r.orders, func() {
			r.closing = true
			for _, s := range slices.Clone(r.sessions) {
				r.leave(s)
			}
		})
		r.knock()
	}
	r.mu.Unlock()
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// loop owns everything.
func (r *Runner) loop() {
	// Never unlocked: the thread, whose priority may have been changed, ends
	// with the goroutine.
	runtime.LockOSThread()
	if r.opt.Thread != nil {
		r.opt.Thread()
	}
	defer r.end()
	for !r.closing || len(r.sessions) > 0 {
		r.wait()
		if r.polled[0].Revents != 0 {
			for _, f := range r.taken() {
				f()
			}
		}
		for _, l := range r.listeners {
			if l.ready {
				r.drain(l)
			}
		}
		r.timers()
		if r.ended {
			r.ended = false
			r.prune()
		}
	}
}

// timers runs what is due. Before a neighbor's silence counts, all that has
// arrived until then is read: being held up anywhere does no harm.
func (r *Runner) timers() {
	now, drained := r.now(), false
	for len(r.due) > 0 && r.due[0].machine.Deadline() <= now {
		s := r.due[0]
		if s.machine.expires <= now && !drained {
			drained = true
			for _, l := range r.listeners {
				r.drain(l)
			}
			continue
		}
		r.do(s, s.machine.Timer(now))
	}
}

func (r *Runner) end() {
	for _, l := range r.listeners {
		unix.Close(l.fd)
	}
	r.mu.Lock()
	r.closed = true
	unix.Close(r.wake)
	r.mu.Unlock()
	close(r.done)
}

// wait sleeps until a packet, an order or a deadline.
func (r *Runner) wait() {
	r.polled = append(r.polled[:0], unix.PollFd{Fd: int32(r.wake), Events: unix.POLLIN})
	for _, l := range r.listeners {
		r.polled = append(r.polled, unix.PollFd{Fd: int32(l.fd), Events: unix.POLLIN})
	}
	var limit *unix.Timespec
	if len(r.due) > 0 {
		if d := r.due[0].machine.Deadline(); d != never {
			t := unix.NsecToTimespec(int64(max(d-r.now(), 0)))
			limit = &t
		}
	}
	// An error other than an interruption cannot happen to descriptors that
	// are ours; either way the loop goes on by its clock.
	unix.Ppoll(r.polled, limit, nil)
	for i, l := range r.listeners {
		l.ready = r.polled[i+1].Revents != 0
	}
}

// taken gives the orders that came.
func (r *Runner) taken() []func() {
	var counter [8]byte
	unix.Read(r.wake, counter[:])
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.orders
	r.orders = nil
	return list
}

// set makes the sessions those of list.
func (r *Runner) set(list []Config) error {
	old := map[place]*session{}
	for _, s := range r.sessions {
		if !s.leaving {
			old[s.cfg.place()] = s
		}
	}
	// What can fail comes first.
	added := map[place]*session{}
	var opened []*listener
	fail := func(err error) error {
		for _, s := range added {
			unix.Close(s.fd)
		}
		for _, l := range opened {
			unix.Close(l.fd)
			r.listeners = slices.DeleteFunc(r.listeners, func(x *listener) bool { return x == l })
		}
		return err
	}
	for _, c := range list {
		l, err := r.listen(&c)
		if err != nil {
			return fail(fmt.Errorf("BFD session %s: %w", c.Name, err))
		}
		if l != nil {
			opened = append(opened, l)
		}
		s := old[c.place()]
		if s != nil && s.cfg.TTL == c.TTL {
			continue
		}
		fd, to, neighbor, err := dial(&c)
		if err != nil {
			return fail(fmt.Errorf("BFD session %s: %w", c.Name, err))
		}
		added[c.place()] = &session{cfg: c, fd: fd, to: to, neighbor: neighbor}
	}
	kept := map[*session]bool{}
	order := make([]*session, 0, len(list))
	for _, c := range list {
		s, fresh := old[c.place()], added[c.place()]
		switch {
		case s == nil:
			s = fresh
			s.machine = New(c, r.discriminator(), rand.Float64)
			r.byDiscr[s.machine.Info().Discriminator] = s
			heap.Push(&r.due, s)
			r.do(s, s.machine.Start(r.now()))
		default:
			if fresh != nil { // the same session, another TTL
				unix.Close(s.fd)
				s.fd = fresh.fd
			}
			s.cfg = c
			r.do(s, s.machine.Reconfigure(r.now(), c))
		}
		kept[s] = true
		order = append(order, s)
	}
	for _, s := range slices.Clone(r.sessions) {
		if !kept[s] && !s.leaving {
			r.leave(s)
		}
	}
	for _, s := range r.sessions { // what takes leave still
		if !kept[s] {
			order = append(order, s)
		}
	}
	r.sessions = order
	r.publish()
	return nil
}

// publish renews what Up reads.
func (r *Runner) publish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.up)
	for _, s := range r.sessions {
		if !s.leaving {
			r.up[s.cfg.Name] = s.machine.Info().State == Up
		}
	}
}

// discriminator is unique and not 0.
func (r *Runner) discriminator() uint32 {
	for {
		if d := rand.Uint32(); d != 0 && r.byDiscr[d] == nil {
			return d
		}
	}
}

func (r *Runner) leave(s *session) {
	if !s.leaving {
		s.leaving = true
		r.do(s, s.machine.Stop(r.now()))
	}
}

// do carries out what a machine asks for.
func (r *Runner) do(s *session, actions []Action) {
	for i := range actions {
		switch a := &actions[i]; a.Kind {
		case Send:
			r.send(s, &a.Control)
		case Changed:
			r.mu.Lock()
			r.up[s.cfg.Name] = a.To == Up
			r.mu.Unlock()
			if r.opt.Changed != nil {
				info := s.machine.Info()
				r.opt.Changed(Change{Name: s.cfg.Name, From: a.From, To: a.To, Up: a.To == Up, Diagnostic: info.Diagnostic,
					RemoteDiagnostic: info.RemoteDiagnostic, Why: a.Why, At: time.Now()})
			}
		case Ended:
			unix.Close(s.fd)
			delete(r.byDiscr, s.machine.Info().Discriminator)
			heap.Remove(&r.due, s.at)
			r.sessions = slices.DeleteFunc(r.sessions, func(x *session) bool { return x == s })
			r.ended = true
			return
		}
	}
	heap.Fix(&r.due, s.at)
}

// tell gives a notice, unless there was one of its kind lately.
func (r *Runner) tell(session, kind, format string, args ...any) {
	if r.opt.Notice == nil {
		return
	}
	k, now := notice{session, kind}, r.now()
	if last, ok := r.noticed[k]; ok && now-last < noticeEvery {
		return
	}
	r.noticed[k] = now
	r.opt.Notice(session, fmt.Sprintf(format, args...))
}

// deadlines is a heap of sessions by when they want their timer.
type deadlines []*session

func (d deadlines) Len() int { return len(d) }
func (d deadlines) Less(i, j int) bool {
	return d[i].machine.Deadline() < d[j].machine.Deadline()
}
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].at, d[j].at = i, j
}
func (d *deadlines) Push(x any) {
	s := x.(*session)
	s.at = len(*d)
	*d = append(*d, s)
}
func (d *deadlines) Pop() any {
	last := len(*d) - 1
	s := (*d)[last]
	*d = (*d)[:last]
	return s
}
