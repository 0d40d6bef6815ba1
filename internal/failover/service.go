package failover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"evenkeel/internal/alert"
	"evenkeel/internal/bfd"
	"evenkeel/internal/failover/loop"
	"evenkeel/internal/failover/transport"
	"evenkeel/internal/keeper/lease"
	"evenkeel/internal/metrics"
	"evenkeel/internal/model"
	"evenkeel/internal/netconf"
	"evenkeel/internal/track"
)

// Options are set once.
type Options struct {
	Version string
	// Stderr gets messages of the process itself; nil: nobody.
	Stderr io.Writer
	// Sinks get events besides those of the configuration: syslog or the
	// console, as the command line wants it.
	Sinks []alert.Spec
	// Registry gets the metrics; nil: nobody counts.
	Registry *metrics.Registry
	// KeepAddresses: addresses have no lifetime, and Retire leaves them for good
	// (keepalived -V).
	KeepAddresses bool
	// WithProxy: the same keeper runs a proxy, so that by default its health
	// is every instance's.
	WithProxy bool
	// DumpDir is where "dump data" and "dump stats" write keepalived.data and
	// keepalived.stats; "": /tmp.
	DumpDir string
	// Beside is what other parts of the process are told.
	Beside Beside
}

// Service is the failover process. Its methods may be called from any
// goroutine, one of Configure, Start, Apply, Stop and Retire at a time.
type Service struct {
	options Options
	hub     *alert.Hub

	prepared *plan // by Configure
	running  bool

	// From Start on.
	loop    *loop.Loop
	ended   chan struct{} // closed when the loop is over
	plane   *plane        // the loop's
	host    *netconf.Host
	arp     *netconf.Announcer
	packets *transport.Transport
	page    *lease.Page
	tracker *track.Tracker
	runner  *bfd.Runner
	once    sync.Once // of the end
	watched watched
	wall    firewall // that is on the host
	// scheduled is what was asked for last; the loop's.
	scheduled *scheduling
}

// New makes a service that does nothing yet.
func New(o Options) *Service {
	if o.Stderr == nil {
		o.Stderr = io.Discard
	}
	if o.DumpDir == "" {
		o.DumpDir = "/tmp"
	}
	return &Service{options: o, hub: alert.New(alert.Options{}), ended: make(chan struct{})}
}

// Configure checks a configuration and prepares it, for Start or Apply. Nothing
// changes before those, and nothing at all when there are errors.
func (s *Service) Configure(c *model.Config) model.Diagnostics {
	p, d := prepare(c, &s.options)
	for _, i := range p.instances {
		if err := netconf.Check(i.model.Name, i.hosts, nil); err != nil {
			d.Errorf(i.model.Pos, "%v", err)
		}
	}
	for n := range p.statics {
		if err := netconf.Check(staticOwner, p.statics[n].config, nil); err != nil {
			d.Errorf(p.model.Pos, "%v", err)
		}
	}
	if !d.HasErrors() {
		s.prepared = p
	}
	return d
}

// Start begins to serve what Configure prepared. page is shared with the
// keeper (nil: there is no keeper), state what a failover process before this
// one wrote there.
func (s *Service) Start(p *lease.Page, state []byte) error {
	if s.prepared == nil {
		return errors.New("nothing was configured")
	}
	s.page = p
	if err := s.hub.Set(s.prepared.alert); err != nil {
		fmt.Fprintf(s.options.Stderr, "failover: %v\n", err)
	}
	if len(state) == 0 { // otherwise this process replaces another one
		s.hostScript("startup_script", s.prepared.model.Startup, s.prepared.model.StartupTimeout)
	}
	if err := s.open(); err != nil {
		s.shut()
		return fmt.Errorf("failover: %w", err)
	}
	if first := s.options.Beside.First; first != nil && len(state) == 0 {
		if err := first(); err != nil {
			s.shut()
			return err
		}
	}
	var from *saved
	if len(state) > 0 {
		from = new(saved)
		if json.Unmarshal(state, from) != nil {
			from = nil
		}
	}
	s.running = true
	go s.run()
	if from != nil {
		s.wall = left(s.prepared.model)
	}
	s.protect()
	s.do(func() { s.plane.load(s.prepared, from) })
	s.follow()
	s.collect()
	return nil
}

// open makes everything that can fail.
func (s *Service) open() (err error) {
	if s.loop, err = loop.New(); err != nil {
		return err
	}
	if s.host, err = netconf.Open(netconf.Options{}); err != nil {
		return err
	}
	if s.arp, err = netconf.OpenAnnouncer(); err != nil {
		return err
	}
	s.packets = transport.Open(func(fd int) error {
		return s.loop.WatchPatiently(fd, func() { s.packets.Receive(fd, s.plane.receive) })
	})
	s.tracker = track.New(track.Options{Post: s.reported})
	w := world{host: s.host, frames: s.arp, packets: s.packets, events: s.hub, trackers: s.tracker,
		wall: time.Now, clock: s.loop.Clock().Now, boottime: loop.Boottime}
	if s.page != nil {
		w.page = s.page
	}
	fd, read := s.host.Watch()
	w.changes = func() []netconf.Change { return s.readLinks(read) }
	s.plane = newPlane(w, about{version: s.options.Version, dumps: s.options.DumpDir, scheduling: s.loop.Priority, rounds: s.loop.Rounds,
		traffic: func() transport.Stats { return s.packets.Stats }, addresses: s.options.Beside.Addresses, holders: s.options.Beside.Holders})
	if err := s.loop.Watch(fd, func() { s.plane.changed(s.readLinks(read)) }); err != nil {
		return err
	}
	if s.page == nil {
		return nil
	}
	if err := s.loop.Watch(s.page.WorkerEvent(), func() {
		var b [8]byte
		_, _ = unix.Read(s.page.WorkerEvent(), b[:])
		s.plane.proxyChanged()
	}); err != nil {
		return err
	}
	return s.watchKeeper()
}

func (s *Service) readLinks(read func() ([]netconf.Change, error)) []netconf.Change {
	changes, err := read()
	if err != nil {
		s.plane.complain(nil, "links", err.Error())
	}
	return changes
}

// watchKeeper gives the addresses up while the keeper is frozen: nobody would
// start anything again that dies.
func (s *Service) watchKeeper() error {
	fd := s.page.KeeperSilence()
	return s.loop.Watch(fd, func() {
		s.loop.Unwatch(fd) // it stays readable until the keeper beats again
		s.plane.keeperSilent(true)
		time.AfterFunc(keeperPause, s.lookForKeeper)
	})
}

// keeperPause is how often a silent keeper is looked for.
const keeperPause = 500 * time.Millisecond

func (s *Service) lookForKeeper() {
	var fds = []unix.PollFd{{Fd: int32(s.page.KeeperSilence()), Events: unix.POLLIN}}
	if n, _ := unix.Poll(fds, 0); n > 0 {
		time.AfterFunc(keeperPause, s.lookForKeeper)
		return
	}
	s.loop.Post(func() {
		s.plane.keeperSilent(false)
		if err := s.watchKeeper(); err != nil {
			s.plane.complain(nil, "keeper", err.Error())
		}
	})
}

// run is the loop's goroutine.
func (s *Service) run() {
	// The runtime lends a thread one of so many processors. With more of them
	// than there are goroutines with something to do, the loop never waits for
	// one that a thread holds which is not running.
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), lentProcessors))
	s.schedule(s.prepared.scheduling())
	if err := s.loop.Run(s.plane); err != nil {
		fmt.Fprintf(s.options.Stderr, "failover: %v\n", err)
	}
	close(s.ended)
}

const lentProcessors = 6

// follow lets trackers and sessions watch what the plan that runs wants.
func (s *Service) follow() {
	for _, err := range s.tracker.Set(s.prepared.track) {
		s.say("track", err)
	}
	if len(s.prepared.bfd) > 0 && s.runner == nil {
		r, err := bfd.Open(bfd.Options{
			Changed: s.sessionChanged,
			Notice:  func(name, text string) { s.say("bfd "+name, errors.New(text)) },
		})
		if err != nil {
			s.say("bfd", err)
			return
		}
		s.runner = r
		s.watched.mu.Lock()
		s.watched.sessions = r
		s.watched.mu.Unlock()
		s.loop.Post(func() { s.plane.sessions = r })
	}
	if s.runner != nil {
		if err := s.runner.Set(s.prepared.bfd); err != nil {
			s.say("bfd", err)
		}
	}
}

// say tells about trouble beside the loop.
func (s *Service) say(kind string, err error) {
	s.loop.Post(func() { s.plane.complain(nil, kind, err.Error()) })
}

// Apply switches to what Configure prepared last. Instances that have not
// changed notice nothing.
func (s *Service) Apply() {
	if !s.running {
		return
	}
	next := s.prepared
	if err := s.hub.Set(next.alert); err != nil {
		s.say("alert", err)
	}
	s.protect()
	s.do(func() {
		s.schedule(next.scheduling())
		s.plane.load(next, nil)
		s.plane.repeatStates()
	})
	s.follow()
}

// protect makes the firewall the one that was prepared, before addresses come
// that need it.
func (s *Service) protect() {
	next := newFirewall(s.prepared.model)
	if err := s.wall.change(next); err != nil {
		s.say("nftables", err)
		return
	}
	s.wall = next
}

// do runs f in the loop and waits for it; false: the loop is over.
func (s *Service) do(f func()) bool {
	done := make(chan struct{})
	if !s.loop.Post(func() { f(); close(done) }) {
		return false
	}
	select {
	case <-done:
		return true
	case <-s.ended:
		return false
	}
}

// Stop ends everything and then calls done, once. Graceful: instances that are
// master say so with priority 0, and keep their addresses until a peer has
// taken over or would have. Otherwise addresses are removed at once.
func (s *Service) Stop(graceful bool, done func()) {
	finish := func() {
		ran := s.running
		s.close()
		if ran {
			if err := s.wall.change(firewall{}); err != nil {
				fmt.Fprintf(s.options.Stderr, "failover: %v\n", err)
			}
			s.hostScript("shutdown_script", s.prepared.model.Shutdown, s.prepared.model.ShutdownTimeout)
		}
		if done != nil {
			done()
		}
	}
	if !s.running {
		s.once.Do(finish)
		return
	}
	s.loop.Post(func() {
		s.plane.halt(graceful, s.loop.Stop)
		if graceful {
			s.plane.settle() // priority 0 leaves before anything else
			s.schedule(s.prepared.hurried())
		}
	})
	go func() {
		<-s.ended
		s.once.Do(finish)
	}()
}

// Retire writes the state down and ends, with the addresses where they are:
// another process goes on.
func (s *Service) Retire() {
	if !s.running {
		return
	}
	s.loop.Post(func() {
		s.plane.retire()
		s.loop.Stop()
	})
	<-s.ended
	s.once.Do(s.close)
}

// Leave ends for good, with the addresses, and the packet filter before them,
// where they are.
func (s *Service) Leave() {
	ran := s.running
	s.Retire()
	if ran {
		s.hostScript("shutdown_script", s.prepared.model.Shutdown, s.prepared.model.ShutdownTimeout)
	}
}

// lastWords is how long the last events may take to be delivered.
const lastWords = 3 * time.Second

// close ends what runs beside the loop, which is over.
func (s *Service) close() {
	if s.options.Beside.Ended != nil {
		s.options.Beside.Ended()
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastWords)
	defer cancel()
	if s.runner != nil {
		_ = s.runner.Close(ctx)
	}
	s.shut()
	s.hub.Close(ctx)
	s.running = false
}

func (s *Service) shut() {
	if s.tracker != nil {
		s.tracker.Close()
	}
	if s.packets != nil {
		s.packets.Close()
	}
	if s.arp != nil {
		_ = s.arp.Close()
	}
	if s.host != nil {
		_ = s.host.Close()
	}
}

// Control carries out one line of "evenkeel ctl" and returns what to print.
func (s *Service) Control(line string) string {
	answer := "the failover process does not serve\n"
	if s.running {
		s.do(func() { answer = s.plane.control(line) })
	}
	return answer
}
