package pool

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"evenkeel/internal/balance"
	"evenkeel/internal/model"
)

// Options are what a backend needs from outside. Every function may be nil.
type Options struct {
	// Resolve turns a server's host name into an address. Literals never
	// reach it.
	Resolve func(host string) (netip.Addr, error)
	// Now is the monotonic clock in nanoseconds; Wall the wall clock.
	Now  func() int64
	Wall func() time.Time
	// Event gets what HAProxy would log; level is the syslog severity
	// (0 emergency … 6 info). Called with no lock held.
	Event func(level int, text string)
	// CloseSessions asks for the sessions on s to be ended (on-marked-down
	// shutdown-sessions); CloseBackupSessions for those on b's backup servers
	// (on-marked-up shutdown-backup-sessions). Called with no lock held.
	CloseSessions       func(s *Server)
	CloseBackupSessions func(b *Backend)
	// StateChanged is called with no lock held after the address, weight or
	// state of a server changed (a dashboard, agents, idle pools).
	StateChanged func(s *Server)
	// Idle counts the idle connections to s for show stat. Called with no lock
	// held.
	Idle func(s *Server) IdleCounts
	PID  int
}

// Severity levels of events.
const (
	LevelEmerg   = 0
	LevelAlert   = 1
	LevelWarning = 4
	LevelNotice  = 5
	LevelInfo    = 6
)

// Backend is the serving half of a proxy at run time.
type Backend struct {
	// Set once.
	Name    string
	ID      int
	Model   *model.Proxy
	Servers []*Server // in configuration order

	opt           Options
	dynamicCookie bool
	algo          algo
	fullConn      int
	redispatch    bool // option redispatch
	persist       bool // option persist
	preferLast    bool
	byName        map[string]*Server

	// topology is shared by all backends that Link saw together. It is held
	// during every change of state, so that those of servers that track each
	// other follow one another; always taken before mu, never on the way of
	// a request.
	topology *sync.Mutex

	mu           sync.Mutex
	backendState // guarded by mu
}

// backendState is what a backend's mutex guards, beside its servers'.
type backendState struct {
	table   *balance.Table
	queue   queue
	waiting int // in the backend's and its servers' queues
	served  int // taken slots
	conns   int // sessions
	// dynamic are the servers whose limit of slots depends on the load
	// (minconn) or on time (slowstart).
	dynamic []*Server
	warming int   // servers in slowstart
	warmAt  int64 // when to advance them

	lastChange int64
	downTime   int64 // nanoseconds, closed intervals
	downs      int64
	counts     counts
}

// algo is the balance line, resolved.
type algo struct {
	name     string
	kind     balance.Kind
	hashed   bool // needs a key, or the source
	source   bool
	lazy     bool // does not look at the key when one server is left
	random   bool
	draws    int
	rr       bool // a queue on the backend means that all servers are full
	function balance.Function
	mix      bool
}

// New makes the run-time backend of p, all of whose servers start as the
// configuration says. Link must be called before traffic when any server
// tracks another.
func New(p *model.Proxy, o Options) (*Backend, error) {
	if o.Now == nil {
		start := time.Now()
		o.Now = func() int64 { return int64(time.Since(start)) + int64(time.Hour) }
	}
	if o.Wall == nil {
		o.Wall = time.Now
	}
	m := &p.Backend
	b := &Backend{
		Name: p.Name, ID: p.ID, Model: p, opt: o,
		fullConn:   m.FullConn,
		redispatch: p.Options.Redispatch != 0,
		persist:    p.Options.Persist,
		preferLast: p.Options.PreferLastServer,
		byName:     make(map[string]*Server, len(m.Servers)),
		topology:   new(sync.Mutex),
	}
	b.dynamicCookie = m.Cookie != nil && m.Cookie.Dynamic
	var err error
	if b.algo, err = resolveAlgo(m); err != nil {
		return nil, fmt.Errorf("backend %s: %w", p.Name, err)
	}
	now := o.Now()
	b.lastChange = now
	b.counts.lastSession = -1
	nodes := make([]*balance.Node, len(m.Servers))
	weights := make([]int, len(m.Servers))
	for i, ms := range m.Servers {
		s := newServer(b, ms, i, now)
		if b.byName[s.Name] != nil {
			return nil, fmt.Errorf("backend %s: two servers are named %s", p.Name, s.Name)
		}
		b.byName[s.Name] = s
		b.Servers = append(b.Servers, s)
		nodes[i], weights[i] = &s.node, s.iweight
		if err := s.resolve(); err != nil {
			return nil, err
		}
	}
	b.table = balance.New(nodes, balance.Options{
		Kind: b.algo.kind, AllBackups: p.Options.AllBackups,
		BalanceFactor: m.HashBalanceFactor, AlwaysHash: b.algo.name == "url_param", Weights: weights,
	})
	for i, s := range b.Servers {
		s.eweight = b.table.Effective(s.uweight, balance.Scale)
		if weights[i] = s.eweight; !s.usable() {
			weights[i] = 0
		}
		s.setLimit(now)
	}
	b.table.Start(weights)
	b.listDynamic()
	return b, nil
}

func resolveAlgo(m *model.Backend) (algo, error) {
	a := algo{name: m.Balance.Algorithm, draws: max(m.Balance.Draws, 1), mix: m.HashType.Avalanche}
	if m.Balance.Draws == 0 {
		a.draws = 2
	}
	if m.HashType.Consistent && m.HashType.Function == "" {
		// `hash-type consistent` alone implies avalanche; with a function it
		// has to be asked for.
		a.mix = true
	}
	var ok bool
	if a.function, ok = balance.ParseFunction(m.HashType.Function); !ok {
		return a, fmt.Errorf("unknown hash function %q", m.HashType.Function)
	}
	switch a.name {
	case "", "roundrobin":
		a.name, a.kind, a.rr = "roundrobin", balance.RoundRobin, true
	case "static-rr":
		a.kind, a.rr = balance.StaticMap, true
	case "leastconn":
		a.kind = balance.LeastConn
	case "first":
		a.kind, a.rr = balance.First, true
	case "random":
		a.kind, a.random = balance.Consistent, true
	case "source", "uri", "url_param", "hdr", "rdp-cookie", "hash":
		a.hashed, a.source = true, a.name == "source"
		a.lazy = a.name != "url_param" && a.name != "rdp-cookie"
		a.kind = balance.StaticMap
		if m.HashType.Consistent {
			a.kind = balance.Consistent
		}
	default:
		return a, fmt.Errorf("unknown balance algorithm %q", a.name)
	}
	return a, nil
}

// Link resolves `track` between the servers of all backends, and makes their
// changes of state follow one another. Call it once with every backend of a
// configuration, before traffic.
func Link(backends []*Backend) error {
	byName := make(map[string]*Backend, len(backends))
	topology := new(sync.Mutex)
	for _, b := range backends {
		byName[b.Name], b.topology = b, topology
	}
	for _, b := range backends {
		for _, s := range b.Servers {
			if s.Model.Track == "" {
				continue
			}
			target, name := b, s.Model.Track
			if i := strings.LastIndexByte(name, '/'); i >= 0 {
				target, name = byName[name[:i]], name[i+1:]
			}
			if target == nil || target.byName[name] == nil {
				return fmt.Errorf("server %s: unable to find %q for tracking", s, s.Model.Track)
			}
			s.track = target.byName[name]
			s.track.trackers = append(s.track.trackers, s)
		}
	}
	for _, b := range backends {
		for _, s := range b.Servers {
			steps := 0
			for t := s.track; t != nil; t = t.track {
				if steps++; t == s || steps > 1000 {
					return fmt.Errorf("server %s: tracking goes in a circle", s)
				}
			}
		}
	}
	// What is in maintenance from the start takes its trackers along.
	var fx effects
	topology.Lock()
	for _, b := range backends {
		for _, s := range b.Servers {
			if s.track == nil && s.admin&AdminMaint != 0 {
				for _, t := range s.trackers {
					t.setAdmin(AdminInheritedMaint, "", b.opt.Now(), &fx)
				}
			}
		}
	}
	topology.Unlock()
	fx.events = nil // starting: nothing is news
	fx.run()
	return nil
}

// Server finds a server by name, or "#id".
func (b *Backend) Server(name string) *Server {
	if s := b.byName[name]; s != nil {
		return s
	}
	if id, err := strconv.Atoi(strings.TrimPrefix(name, "#")); err == nil && strings.HasPrefix(name, "#") {
		for _, s := range b.Servers {
			if s.ID == id {
				return s
			}
		}
	}
	return nil
}

// Usable is the number of servers that load balancing may use (nbsrv).
func (b *Backend) Usable() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.table.Active() > 0 {
		return b.table.Active()
	}
	return b.table.Backup()
}

// Conns is the number of sessions on the backend (be_conn).
func (b *Backend) Conns() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.conns
}

// Queue is how many wait in the backend's and its servers' queues (queue).
func (b *Backend) Queue() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting
}

// Slots is the number of free connection slots and queue places of the usable
// servers (connslots); -1: a server without a limit is among them.
func (b *Backend) Slots() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, s := range b.Servers {
		if s.oper != Running && s.oper != Starting || s.admin&(AdminMaint|AdminDrain) != 0 {
			continue
		}
		if s.maxConn == 0 || s.Model.MaxQueue == 0 {
			return -1
		}
		n += s.maxConn - s.node.Served + s.Model.MaxQueue - s.queue.len()
	}
	return n
}

// Rate is the sessions of the last second (be_sess_rate).
func (b *Backend) Rate(now int64) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.counts.rate.Rate(b.clock(now))
}

func (b *Backend) clock(now int64) int64 {
	if now == 0 {
		return b.opt.Now()
	}
	return now
}
