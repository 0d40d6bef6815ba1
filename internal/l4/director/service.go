package director

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"evenkeel/internal/alert"
	"evenkeel/internal/health/checks"
	"evenkeel/internal/health/real"
	"evenkeel/internal/l4"
	"evenkeel/internal/l4/flowsync"
	"evenkeel/internal/model"
)

// Options are set once.
type Options struct {
	// Backends are the ways to forward, the preferred one first.
	Backends []Backend
	// Post gets what happens, for people and scripts; nil: nobody.
	Post func(alert.Event)
	// BFD and File tell of sessions and tracked files for the checkers that
	// watch them; nil: there are none. Whoever calls Changed has made them new.
	BFD  func(name string) (up, known bool)
	File func(name string) (value int64, known bool)
	// StateFile keeps what the next process resumes from; "": nothing does.
	StateFile string
	// Sync begins to tell other directors of connections (lvs_sync_daemon); nil:
	// nobody does.
	Sync func(s flowsync.Settings, t flowsync.Table, notice func(trouble bool, text string)) Teller
	// KeepServices leaves services where they are on a stop (keepalived -I).
	KeepServices bool
}

// Service is the control side of packet forwarding. Its methods may be called
// from any goroutine, one of Configure, Start, Apply, Stop and Retire at a
// time.
type Service struct {
	opt Options

	prepared *prepared // by Configure

	// From Start on.
	runner *real.Runner
	cancel context.CancelFunc
	ended  chan struct{} // closed when the loop is over

	mu      sync.Mutex // guards what follows, and is held while the plane is set
	running bool
	plan    *plan
	manual  manual
	used    choice       // backend of plane
	plane   l4.Plane     // nil: nothing has been forwarded yet
	trouble string       // why the plane is not as wanted; "": it is
	unsaved bool         // plan or manual are not in the file
	down    []downServer // those in the file
	leaving leaving
	pair    pairing

	queue queue
}

// prepared is a configuration that can be switched to.
type prepared struct {
	plan   *plan
	checks *real.Plan
	choice choice
}

// queue is what waits for the loop.
type queue struct {
	mu      sync.Mutex
	events  []real.Event
	changed []checks.Watched
	held    func(netip.Prefix) bool
	masters map[string]bool // nil: as they were
	moved   bool            // held is new
	kick    chan struct{}   // one token: there is something
}

// New makes a service that forwards nothing yet.
func New(o Options) *Service {
	if o.Post == nil {
		o.Post = func(alert.Event) {}
	}
	s := &Service{opt: o, ended: make(chan struct{})}
	s.queue.kick = make(chan struct{}, 1)
	return s
}

// Configure checks a configuration and prepares it, for Start or Apply. Nothing
// changes before those, and nothing at all when there are errors.
func (s *Service) Configure(c *model.Config) model.Diagnostics {
	f := c.Failover
	if f == nil {
		f = &model.Failover{}
	}
	f, d := runnable(f)
	p, more := compile(f)
	d = append(d, more...)
	next := &prepared{plan: p}
	if len(p.virtuals) > 0 {
		d = append(d, s.fit(next)...)
	}
	d = append(d, p.readKeys()...)
	d = append(d, p.validateCommands()...)
	next.checks, more = real.Compile(f, s.env(f))
	if d = append(d, more...); !d.HasErrors() {
		s.prepared = next
	}
	return d
}

// fit says what the plane that is used, or would be, cannot do.
func (s *Service) fit(next *prepared) (d model.Diagnostics) {
	f := next.plan.model
	s.mu.Lock()
	plane, used, running := s.plane, s.used, s.running
	s.mu.Unlock()
	var features l4.Features
	switch {
	case plane != nil:
		if want := f.LVS.Backend; want != "" && want != used.Name {
			d.Warnf(f.Pos, "lvs_backend %s is used from the next start on: until then %s forwards", want, used.Name)
		}
		next.choice, features = used, plane.Features()
	default:
		c, err := choose(f.LVS.Backend, s.opt.Backends)
		if err != nil {
			d.Errorf(f.Pos, "%v", err)
			return d
		}
		next.choice, features = c, c.Features()
		switch {
		case c.note != "":
			d.Warnf(f.Pos, "%s", c.note)
		case len(c.missing) > 0 && running:
			d.Errorf(f.Pos, "packets cannot be forwarded here. %s", lacking(s.opt.Backends))
		case len(c.missing) > 0:
			d.Warnf(f.Pos, "packets cannot be forwarded here. %s", lacking(s.opt.Backends))
		}
	}
	d = append(d, next.plan.advise(next.choice.Advice)...)
	d = append(d, next.plan.encrypts(features, others(s.opt.Backends, features.Name))...)
	d = append(d, next.plan.marks(next.choice.Backend)...)
	if len(f.LVS.XDP) > 0 && !features.XDP {
		d.Errorf(f.LVS.XDPPos, "lvs_xdp is about our own programs, and %s forwards here: take the line out, or write 'lvs_backend ebpf'", features.Name)
	}
	return append(d, next.plan.validate(features, others(s.opt.Backends, features.Name))...)
}

// env is what the checkers of a configuration may look at.
func (s *Service) env(f *model.Failover) *checks.RealEnv {
	e := &checks.RealEnv{ScriptUser: f.ScriptUser, Secure: f.ScriptCheck}
	sessions := map[string]bool{}
	for _, b := range f.BFD {
		sessions[b.Name] = true
	}
	files := map[string]*model.TrackFile{}
	for _, x := range f.Files {
		files[x.Name] = x
	}
	if s.opt.BFD != nil {
		e.BFD = func(name string) (bool, bool) {
			up, known := s.opt.BFD(name)
			return up, known || sessions[name]
		}
	}
	if s.opt.File != nil {
		e.File = func(name string) (checks.TrackedFile, bool) {
			x := files[name]
			if x == nil {
				return checks.TrackedFile{}, false
			}
			value, _ := s.opt.File(name)
			return checks.TrackedFile{Value: value, Weight: x.Weight, Reverse: x.Reverse}, true
		}
	}
	return e
}

// Start begins to serve what Configure prepared, from what a process before
// this one left.
func (s *Service) Start() error {
	if s.prepared == nil {
		return errors.New("nothing was configured")
	}
	from, err := readSaved(s.opt.StateFile)
	if err != nil {
		s.warn("state", fmt.Sprintf("the state of the process before cannot be read, so it begins anew: %v", err))
	}
	next := s.prepared
	if resumed := from.resumed(next.plan.model); resumed != next.plan.model {
		compiled, d := real.Compile(resumed, s.env(resumed))
		if !d.HasErrors() {
			next.checks = compiled
		}
	}
	s.runner = real.Open(real.Options{Event: s.happened})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan, s.manual, s.unsaved = next.plan, from.keep(next.plan), true
	if next.plan.model.LVS.Flush {
		s.manual.Services = nil
	}
	if len(s.plan.virtuals) > 0 || len(s.manual.Services) > 0 {
		if err := s.open(); err != nil {
			return s.abandon(err)
		}
		if err := s.adopt(&from); err != nil {
			return s.abandon(err)
		}
	}
	s.takeHeld()
	if err := s.runner.Set(next.checks); err != nil {
		return s.abandon(err)
	}
	s.disown(&from)
	s.leaving.reloaded(s.plan)
	if err := s.set(); err != nil {
		return s.abandon(err)
	}
	s.pairUp()
	s.running = true
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	go s.loop(ctx)
	s.wake() // the state is written down there
	return nil
}

// abandon undoes a start that failed; what was forwarded before goes on.
func (s *Service) abandon(err error) error {
	ctx, cancel := context.WithTimeout(context.Background(), lastWords)
	defer cancel()
	_ = s.runner.Close(ctx)
	s.alone(true)
	if s.plane != nil {
		_ = s.plane.Close()
		s.plane = nil
	}
	return fmt.Errorf("packet forwarding: %w", err)
}

// open opens the plane that the configuration asks for.
func (s *Service) open() error {
	c, err := choose(s.plan.model.LVS.Backend, s.opt.Backends)
	if err != nil {
		return err
	}
	if len(c.missing) > 0 {
		return fmt.Errorf("it does not work here. %s", lacking(s.opt.Backends))
	}
	p, err := c.Open(s.plan.model.LVS.Flush)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	s.plane, s.used = p, c
	_, s.leaving.forgets = p.(l4.Forgetter)
	s.opt.Post(alert.Event{Kind: "forwarding", Severity: alert.Info, Plane: "l4", Text: "packets are forwarded by " + c.Name})
	return nil
}

// adopt keeps services that the plane has and nobody here knows of, as
// keepalived does; lvs_flush ends them.
func (s *Service) adopt(from *saved) error {
	if s.plan.model.LVS.Flush {
		return nil
	}
	snapshot, err := s.plane.Stats()
	if err != nil {
		return err
	}
	ours := make(map[l4.Key]bool, len(from.Owned))
	for _, k := range from.Owned {
		ours[k] = true
	}
	for i := range snapshot.Services {
		k := snapshot.Services[i].Key.Canonical()
		if v := s.plan.owner[k]; v != nil {
			s.leaving.found(&snapshot.Services[i], func(r l4.ServerKey) bool { return from.bad(v.name, r) })
		}
		if s.plan.owner[k] == nil && !ours[k] && s.manual.find(k) < 0 {
			s.manual = s.manual.found(&snapshot.Services[i])
		}
	}
	return nil
}

// disown has the plane take over services of the process before that nobody
// wants any more, so that the next Set removes them: a plane which leaves alone
// what it has not set would keep them.
func (s *Service) disown(from *saved) {
	var stale []l4.Service
	for _, k := range from.Owned {
		if s.plan.owner[k] == nil && s.manual.find(k) < 0 {
			stale = append(stale, l4.Service{Key: k, Scheduler: "rr", Persistence: time.Minute})
		}
	}
	if len(stale) == 0 || s.plane == nil {
		return
	}
	c := s.configFor(s.wants())
	c.Services = append(c.Services, stale...)
	if err := s.plane.Set(c); err != nil {
		s.warn("plane", "services of an earlier configuration may be left: "+err.Error())
	}
}

// Apply switches to what Configure prepared last. Services that have not
// changed notice nothing; changes by hand to those of the configuration end.
func (s *Service) Apply() {
	s.mu.Lock()
	if !s.running {
		s.mu.Unlock()
		return
	}
	next := s.prepared
	s.plan, s.manual, s.unsaved = next.plan, s.manual.reloaded(next.plan), true
	s.takeHeld()
	err := s.runner.Set(next.checks)
	s.leaving.reloaded(s.plan)
	if err == nil {
		err = s.set()
	}
	s.report(err)
	s.pairUp()
	s.mu.Unlock()
	s.wake() // for the events, and for another try
}

// Changed says that a BFD session or a tracked file is other than it was. Kind
// is CheckerBFD or CheckerFILE. It does not wait.
func (s *Service) Changed(kind model.RealCheckKind, name string) {
	s.queue.mu.Lock()
	s.queue.changed = append(s.queue.changed, checks.Watched{Kind: kind, Name: name})
	s.queue.mu.Unlock()
	s.wake()
}

// Held gives the function that says which addresses this host has now, for
// ha_suspend. It does not wait, and is called again when they have changed.
func (s *Service) Held(held func(netip.Prefix) bool) {
	s.queue.mu.Lock()
	s.queue.held, s.queue.moved = held, true
	s.queue.mu.Unlock()
	s.wake()
}

// Stop ends everything: services of the configuration are removed, with
// lvs_flush_on_stop also those that were added by hand.
func (s *Service) Stop() {
	if !s.halt(true) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.running = false }()
	if s.opt.KeepServices {
		s.leave()
		return
	}
	left := s.manual.reloaded(s.plan)
	if s.plan.model.LVS.FlushOnStop == "all" {
		left.Services = nil
	}
	if s.plane != nil {
		s.end(left)
	}
	s.write(&saved{Manual: left})
}

// end takes the services of the configuration away, and closes the plane.
func (s *Service) end(left manual) {
	s.alone(false)
	err := s.plane.Set(s.plan.config(left.apply(nil)))
	err = errors.Join(err, s.plane.Close())
	if len(left.Services) == 0 && s.used.Remove != nil {
		err = errors.Join(err, s.used.Remove())
	}
	if s.plan.model.LVS.FlushOnStop == "all" && s.used.Flush != nil {
		err = errors.Join(err, s.used.Flush())
	}
	if err != nil {
		s.warn("plane", fmt.Sprintf("virtual services are not all removed: %v", err))
	}
	s.plane = nil
}

// Retire writes the state down and ends, with services as they are: another
// process goes on.
func (s *Service) Retire() {
	if !s.halt(false) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leave()
	s.running = false
}

// leave closes the plane, which goes on by itself.
func (s *Service) leave() {
	s.alone(true)
	if s.plane != nil {
		if err := s.plane.Close(); err != nil {
			s.warn("plane", err.Error())
		}
		s.plane = nil
	}
}

// lastWords bounds how long checks may take to end.
const lastWords = 3 * time.Second

// halt ends loop and checks; it says whether there were any. Without last what
// the end of the checks would tell is not told.
func (s *Service) halt(last bool) bool {
	s.mu.Lock()
	running := s.running
	s.mu.Unlock()
	if !running {
		return false
	}
	s.cancel()
	<-s.ended
	ctx, cancel := context.WithTimeout(context.Background(), lastWords)
	defer cancel()
	s.mu.Lock()
	s.save() // before the checks end, which says that all servers are down
	s.mu.Unlock()
	if last {
		s.post(s.drain())
	}
	_ = s.runner.Close(ctx)
	if events := s.drain(); last {
		s.post(events)
	}
	return true
}
