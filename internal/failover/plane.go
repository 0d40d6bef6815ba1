package failover

import (
	"net/netip"
	"time"

	"evenkeel/internal/alert"
	"evenkeel/internal/bfd"
	"evenkeel/internal/failover/loop"
	"evenkeel/internal/failover/transport"
	"evenkeel/internal/keeper/lease"
	"evenkeel/internal/netconf"
	"evenkeel/internal/track"
	"evenkeel/internal/vrrp"
	wire "evenkeel/internal/wire/vrrp"
)

// What the plane needs of the world. The real ones are netconf.Host,
// netconf.Announcer, transport.Transport, lease.Page and alert.Hub.
type (
	// host changes and shows the host's network.
	host interface {
		Links() *netconf.Snapshot
		SetAll(wants []netconf.Want) (netconf.Result, error)
		Remove(owner string) error
		Renew(owners ...string) error
		RemovalRequests(owner string) [][]byte
		Adopt(owner string, c netconf.Config, t netconf.Trust) (int, error)
		Forwarding(family int, device string) bool
	}
	// frames sends gratuitous ARP and neighbour advertisements.
	frames interface {
		Send(frames []netconf.Frame) (int, error)
	}
	// packets sends and receives VRRP.
	packets interface {
		Need(family, protocol uint8) error
		Accept(v transport.VRIDs) error
		Join(m transport.Membership) error
		Leave(m transport.Membership)
		Memberships() []transport.Membership
		Queue(token, iface int, h *wire.Header, payload []byte)
		Flush(failed transport.Failed)
	}
	// page is shared with the keeper.
	page interface {
		Beat(now, d time.Duration) error
		Rest() error
		WriteWill(w lease.Will) error
		WriteState(state []byte) error
		Worker() (lease.WorkerState, time.Duration)
		Down() (backends []string, known bool)
	}
	// events tells people and programs.
	events interface {
		Post(e alert.Event)
		Recent() []alert.Event
		Stats() []alert.SinkStats
	}
	// trackers watches scripts, processes and files.
	trackers interface {
		Set(c track.Config) []error
		Status() []track.Status
	}
	// sessions watches neighbors with BFD.
	sessions interface {
		Set(sessions []bfd.Config) error
		Status() ([]bfd.Info, time.Duration)
	}
)

// world is everything outside of the plane; page, trackers and sessions may be
// nil.
type world struct {
	host     host
	frames   frames
	packets  packets
	page     page
	events   events
	trackers trackers
	sessions sessions
	changes  func() []netconf.Change // what has happened on the host since it was last asked
	wall     func() time.Time        // for people only
	clock    func() time.Duration    // CLOCK_MONOTONIC, as times are given in
	boottime func() time.Duration
}

// plane is everything that the loop owns: all instances and what is due when.
// It opens nothing and waits for nothing: the world and the time are given to
// it.
type plane struct {
	world
	about     about
	plan      *plan
	now       time.Duration
	serial    int // of owners, so that each has a name of its own
	instances []*instance
	leaving   []*instance // were removed from the configuration, and are not done yet
	groups    []*group
	statics   statics
	settlings map[string]*settling // by interface
	byName    map[string]*instance
	heap      deadlines
	demux     demux
	paces     []*pace
	doubts    int // instances with a doubt
	pending   int // instances whose addresses are to be changed
	received  vrrp.Received
	tracked   map[trackKind]map[string]status
	proxyDown time.Duration // when it went down, 0: it serves
	proxyAt   time.Duration // when that counts
	announce  announcer
	renewAt   time.Duration
	restoreAt time.Duration
	extraAt   time.Duration       // when garp_extra_if is due for somebody
	expected  time.Duration       // when this process wanted to run again
	asleep    time.Duration       // CLOCK_BOOTTIME less CLOCK_MONOTONIC
	stopping  func()              // called when the last instance has left
	linksBad  bool                // links have changed in this round
	told      map[netip.Addr]bool // addresses of the host, as about.addresses knows them
	holders   map[string]bool     // instances, as about.holders knows them
	willBad   bool                // will and state are not what they should be
	stateBad  bool
	sequence  uint32 // adverts with AH since the will was written
	payload   []byte
	failed    transport.Failed
	lateness  lateness
	notices   notices
	renewals  counts
}

// about is what status says of the process.
type about struct {
	version    string
	started    time.Time
	dumps      string        // directory
	scheduling func() string // of the loop
	rounds     func() uint64
	traffic    func() transport.Stats
	addresses  func(map[netip.Addr]bool) // is told all of the host's; nil: nobody is
	holders    func(map[string]bool)     // is told who has its addresses here; nil: nobody is
	frozen     bool                      // the keeper is
}

// counts are of renewals of addresses.
type counts struct{ done, failed uint64 }

// lateness is how much later than wanted the loop ran.
type lateness struct {
	worst, recent time.Duration // recent: since it was last asked for
	frozen        uint64
}

func newPlane(w world, a about) *plane {
	a.started = w.wall()
	p := &plane{world: w, about: a, plan: &plan{}, byName: map[string]*instance{}, expected: loop.Never, renewAt: loop.Never, restoreAt: loop.Never,
		proxyAt: loop.Never, tracked: map[trackKind]map[string]status{}, announce: announcer{next: map[paceKey]time.Duration{}},
		settlings: map[string]*settling{}, statics: statics{at: loop.Never}, extraAt: loop.Never}
	p.failed = p.sendFailed
	p.asleep = w.boottime() - w.clock()
	return p
}

// Wake implements loop.Handler: it runs before everything else of a round.
func (p *plane) Wake(now time.Duration) {
	p.now = now
	late := max(0, now-p.expected)
	if p.expected == loop.Never {
		late = 0
	}
	// A host that was suspended does not see it on CLOCK_MONOTONIC.
	if asleep := p.boottime() - now; asleep > p.asleep+time.Millisecond {
		late += asleep - p.asleep
		p.asleep = asleep
	}
	p.lateness.worst = max(p.lateness.worst, late)
	p.lateness.recent = max(p.lateness.recent, late)
	if late > frozenFloor {
		p.checkFrozen(late)
	}
}

// frozenFloor is less than any interval: being later than that is worth a look.
const frozenFloor = 5 * time.Millisecond

// checkFrozen finds instances whose peers may have taken over while this
// process did not run. If one did, its advertisements wait in the socket, and
// are read before anything else happens: see receive. If there is none, nobody
// did, and giving up would only make a gap.
func (p *plane) checkFrozen(late time.Duration) {
	for _, i := range p.instances {
		if !i.holds || i.leaving() {
			continue
		}
		if late < i.machine.DownInterval() && !i.machine.Overslept(p.now+i.pace.ahead) {
			continue
		}
		i.doubt = late
		p.doubts++
		if i.setup.lease > 0 && late >= i.setup.lease/2 {
			// It was to be renewed when half of it was over: the kernel may have
			// taken the addresses away.
			p.frozen(i)
		}
	}
	p.settle()
}

// trust ends all doubts: nobody has been heard.
func (p *plane) trust() {
	if p.doubts == 0 {
		return
	}
	p.doubts = 0
	for _, i := range p.instances {
		i.doubt = 0
	}
}

// Round implements loop.Handler.
func (p *plane) Round(now time.Duration) time.Duration {
	p.now = now
	p.trust()
	p.timers()
	p.proxyTimer()
	if p.linksBad || p.now >= p.settleAt() {
		p.relink()
	}
	p.staticsDue()
	p.restoreDue()
	p.settle()
	p.extraDue()
	p.announceDue()
	p.renewDue()
	p.writeLease()
	p.finishStopping()
	next := p.deadline()
	p.beat()
	p.expected = next
	return next
}

// settle carries out what was decided: first what others wait for, then what
// takes time.
func (p *plane) settle() {
	p.packets.Flush(p.failed)
	if p.applyAddresses() {
		p.packets.Flush(p.failed)
	}
}

// timers steps the instances whose time has come.
func (p *plane) timers() {
	touched := p.paces[:0]
	for {
		i := p.heap.first()
		if i == nil {
			break
		}
		if early := i.due - p.now; early > 0 {
			if !i.advertising() || early > i.pace.slack() {
				break
			}
			p.advance(i.pace, early)
		}
		p.step(i, timerEvent)
		if !i.pace.touched {
			i.pace.touched = true
			touched = append(touched, i.pace)
		}
	}
	for _, c := range touched {
		c.touched = false
		p.align(c)
	}
	p.paces = touched
}

// deadline is when something is due next.
func (p *plane) deadline() time.Duration {
	next := min(p.renewAt, p.proxyAt, p.restoreAt, p.announce.at(), p.settleAt(), p.statics.at, p.extraAt)
	if i := p.heap.first(); i != nil {
		next = min(next, i.due)
	}
	if p.page != nil {
		next = min(next, p.now+idleBeat/2)
	}
	return next
}

// Beats: the promise to the keeper when nobody would miss us, and the shortest
// one otherwise.
const (
	idleBeat    = 10 * time.Second
	shortBeat   = 20 * time.Millisecond
	beatPercent = 190 // of the interval: renewed every round, and noticed before the peers do
)

// beat promises the keeper to be back before the peers get impatient.
func (p *plane) beat() {
	if p.page == nil || p.stopping != nil && len(p.instances) == 0 {
		return
	}
	d := idleBeat
	for _, i := range p.instances {
		if i.holds && i.advertising() {
			d = min(d, max(shortBeat, i.interval()*beatPercent/100))
		}
	}
	_ = p.page.Beat(p.now, d)
}
