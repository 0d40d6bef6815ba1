package real

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"evenkeel/internal/health/checks"
	"evenkeel/internal/model"
)

// Options are what a Runner needs from outside.
type Options struct {
	// Event is told what happens, one event at a time and in order, from
	// goroutines of the runner. While it runs no further event comes; it may call
	// Status and Destinations.
	Event func(Event)
	// Random gives numbers in [0,1) for the spread at the start; nil: math/rand.
	Random func() float64
}

// Runner runs the checkers of a configuration: a goroutine each. Its methods
// may be called from any goroutine.
type Runner struct {
	// Set once.
	opt Options

	wg sync.WaitGroup // goroutines of checkers

	mu       sync.Mutex // guards what follows and the state machines
	closed   bool
	services []*running
	held     func(netip.Prefix) bool // addresses of this host; nil: all
	events   []Event                 // not told yet
	telling  bool                    // somebody tells events
	idle     *sync.Cond              // telling became false
}

// running is a service with its goroutines.
type running struct {
	service
	key       string
	addresses []netip.Prefix
	suspended bool
	targets   map[*server][]*task
}

// task is one checker at work.
type task struct {
	spec    *model.RealCheck
	checker checks.RealChecker
	state   *check
	server  *server
	in      *running
	cancel  context.CancelFunc
	kick    chan struct{} // one token: run now
}

// Open makes a runner that checks nothing yet.
func Open(o Options) *Runner {
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Event == nil {
		o.Event = func(Event) {}
	}
	r := &Runner{opt: o}
	r.idle = sync.NewCond(&r.mu)
	return r
}

var errClosed = errors.New("the checks have ended")

// Set makes this the configuration. Servers and checkers that are as before
// keep state and rhythm; a checker that asks something new begins with what is
// known of its server, and its first result counts.
func (r *Runner) Set(p *Plan) error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return errClosed
	}
	old := map[string]*running{}
	for _, v := range r.services {
		old[v.key] = v
	}
	var list []*running
	for _, s := range p.services {
		v := old[s.key]
		delete(old, s.key)
		if v == nil {
			// keepalived assumes a quorum until it has looked.
			v = &running{key: s.key, targets: map[*server][]*task{}}
			v.quorum = true
		}
		list = append(list, v)
		r.adopt(v, s, p.announce)
	}
	for _, v := range r.services {
		if old[v.key] == nil {
			continue
		}
		for _, s := range v.servers {
			r.drop(v, s)
		}
	}
	r.services = list
	r.suspend()
	r.mu.Unlock()
	r.tell()
	return nil
}

// adopt makes v what s wants.
func (r *Runner) adopt(v *running, s *plannedService, announce bool) {
	v.spec, v.name, v.addresses = s.spec, s.key, s.addresses
	old := map[string]*server{}
	for _, x := range v.servers {
		old[address(x.spec)] = x
	}
	v.servers = nil
	for _, planned := range s.servers {
		x, known := old[planned.key]
		if !known {
			x = &server{}
		}
		delete(old, planned.key)
		v.servers = append(v.servers, x)
		r.equip(v, x, planned, known)
		if announce && !known && x.alive {
			v.announce(x)
		}
	}
	for _, x := range old {
		r.drop(v, x)
	}
	// Only now are all servers there to be counted.
	r.events = append(r.events, v.pending...)
	v.pending = v.pending[:0]
	r.events = append(r.events, v.judge()...)
}

// equip gives a server its checkers.
func (r *Runner) equip(v *running, x *server, planned *plannedServer, known bool) {
	x.spec = planned.spec
	before := v.targets[x]
	var tasks []*task
	var fresh []*task
	x.checks = nil
	for _, c := range planned.checkers {
		t, same := take(&before, c.spec)
		switch {
		case t != nil && same: // goes on; only its place in the file may differ
			t.spec, t.state.spec = c.spec, c.spec
		case t != nil: // the same question at another rhythm
			t.cancel()
			state := t.state
			state.spec = c.spec
			state.retries = min(state.retries, c.spec.Retry)
			t = &task{spec: c.spec, checker: c.checker, state: state}
			fresh = append(fresh, t)
		default:
			up := !c.spec.Alpha
			if known {
				up = x.alive
			}
			parts := 1
			if p, ok := c.checker.(checks.Parted); ok {
				parts = p.Parts()
			}
			t = &task{spec: c.spec, checker: c.checker, state: newCheck(c.spec, parts, up)}
			fresh = append(fresh, t)
		}
		t.server, t.in = x, v
		tasks = append(tasks, t)
		x.checks = append(x.checks, t.state)
	}
	for _, t := range before {
		t.cancel()
	}
	v.targets[x] = tasks
	if !known {
		x.alive, x.weight = x.healthy(), x.effective()
	}
	for _, t := range fresh {
		// What others watch is known at once.
		if _, ok := t.checker.(checks.Watching); ok {
			t.state.done(t.checker.Run(context.Background(), checks.RealTarget{}))
			v.settle(x, t.state)
		}
		r.start(t)
	}
	v.settle(x, nil)
}

// take removes the task that asks what spec asks from a list, preferring one
// that is the same in all.
func take(list *[]*task, spec *model.RealCheck) (t *task, same bool) {
	for _, timing := range []bool{true, false} {
		for i, t := range *list {
			if asks(t.spec, spec, timing) {
				*list = append((*list)[:i:i], (*list)[i+1:]...)
				return t, timing
			}
		}
	}
	return nil, false
}

// drop ends the checks of a server that is gone.
func (r *Runner) drop(v *running, x *server) {
	for _, t := range v.targets[x] {
		t.cancel()
	}
	delete(v.targets, x)
	r.events = append(r.events, v.remove(x)...)
}

// start begins a task.
func (r *Runner) start(t *task) {
	var ctx context.Context
	ctx, t.cancel = context.WithCancel(context.Background())
	t.kick = make(chan struct{}, 1)
	delay := time.Duration(float64(t.spec.Warmup) * r.opt.Random())
	if _, ok := t.checker.(checks.Watching); ok {
		r.wg.Go(func() { r.watch(ctx, t) })
		return
	}
	r.wg.Go(func() { r.repeat(ctx, t, delay) })
}

// watch runs a checker when it is told to.
func (r *Runner) watch(ctx context.Context, t *task) {
	for {
		select {
		case <-t.kick:
			r.once(ctx, t)
		case <-ctx.Done():
			return
		}
	}
}

// repeat runs a checker at its rhythm.
func (r *Runner) repeat(ctx context.Context, t *task, delay time.Duration) {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-t.kick:
		case <-ctx.Done():
			return
		}
		timer.Reset(r.once(ctx, t))
	}
}

// minDelay keeps a checker from spinning where every time is 0.
const minDelay = time.Millisecond

// once runs a checker and takes its result; delay is how long until the next.
func (r *Runner) once(ctx context.Context, t *task) (delay time.Duration) {
	r.mu.Lock()
	target := checks.RealTarget{Part: t.state.part, VirtualHost: t.server.spec.VirtualHost}
	target.Server = netip.AddrPortFrom(t.server.spec.Addr, t.server.spec.Port)
	if target.VirtualHost == "" {
		target.VirtualHost = t.in.spec.VirtualHost
	}
	idle := t.in.suspended
	pause := t.spec.Interval
	r.mu.Unlock()
	if idle {
		return max(pause, minDelay) // and a kick when it is over
	}
	start := time.Now()
	res := t.checker.Run(ctx, target)
	r.mu.Lock()
	if ctx.Err() != nil {
		r.mu.Unlock()
		return minDelay
	}
	v, events := t.in.result(t.server, t.state, res)
	r.events = append(r.events, events...)
	r.mu.Unlock()
	r.tell()
	if v.fromStart {
		v.delay -= time.Since(start)
	}
	return max(v.delay, minDelay)
}

// tell gives the events that wait, one goroutine at a time.
func (r *Runner) tell() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.telling {
		return
	}
	r.telling = true
	for len(r.events) > 0 {
		list := r.events
		r.events = nil
		r.mu.Unlock()
		for _, e := range list {
			r.opt.Event(e)
		}
		r.mu.Lock()
	}
	r.telling = false
	r.idle.Broadcast()
}

// Changed says that a BFD session or a tracked file is other than it was: the
// checkers that watch it look again. Kind is CheckerBFD or CheckerFILE.
func (r *Runner) Changed(kind model.RealCheckKind, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range r.services {
		for _, list := range v.targets {
			for _, t := range list {
				if w, ok := t.checker.(checks.Watching); ok && w.Watches() == (checks.Watched{Kind: kind, Name: name}) {
					t.poke()
				}
			}
		}
	}
}

func (t *task) poke() {
	select {
	case t.kick <- struct{}{}:
	default:
	}
}

// Held gives the function that says which addresses this host has, for
// ha_suspend: a service none of whose addresses are here is not checked. It is
// asked now and at each Set, so Held is called again when addresses have come
// or gone. nil means that all are here.
func (r *Runner) Held(held func(netip.Prefix) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = held
	r.suspend()
}

// suspend stops or resumes the checks of services by where their addresses
// are. A service that has only marks is always checked.
func (r *Runner) suspend() {
	for _, v := range r.services {
		away := v.spec.HASuspend && r.held != nil && len(v.addresses) > 0
		for _, p := range v.addresses {
			away = away && !r.held(p)
		}
		if v.suspended && !away {
			for _, list := range v.targets {
				for _, t := range list {
					t.poke()
				}
			}
		}
		v.suspended = away
	}
}

// Close ends all checks, tells the events of omega, and waits for that or for
// ctx.
func (r *Runner) Close(ctx context.Context) error {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		for _, v := range r.services {
			for _, list := range v.targets {
				for _, t := range list {
					t.cancel()
				}
			}
			r.events = append(r.events, v.stop()...)
		}
	}
	r.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.tell()
		r.wg.Wait()
		r.mu.Lock()
		for r.telling {
			r.idle.Wait()
		}
		r.mu.Unlock()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
