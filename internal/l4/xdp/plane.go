package xdp

import (
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"

	"evenkeel/internal/l4"
	"evenkeel/internal/l4/marks"
)

// Mode is how the director is attached to interfaces.
type Mode string

// The modes.
const (
	Auto   Mode = ""       // tcx where the kernel has it (6.6), else clsact
	TCX    Mode = "tcx"    // tc, by a link
	Clsact Mode = "clsact" // tc, by a qdisc and a filter
	Native Mode = "xdp"    // XDP in the interface's driver, for physical ones, and tc behind it
)

// Options are how to open a plane.
type Options struct {
	// Interfaces are where clients' packets and servers' answers come in. None:
	// every Ethernet interface that there is or comes. What processes on this
	// host send to its own addresses is seen on the loopback in any case.
	Interfaces []string
	Mode       Mode

	// Pin is a directory on a bpf file system (mounted there if it is none)
	// that keeps maps and links: forwarding goes on when the process ends, and
	// the next one that says the same directory goes on from there. "" keeps
	// nothing.
	Pin string

	// MaxFlows is how many flows of each address family are remembered, 262144
	// if it is 0. NAT takes two for a connection. One takes at most 160 bytes (IPv4) or
	// 240 (IPv6), all of it from the beginning. The short ways of busy IPv4 flows
	// take 64 bytes for each besides, and of each CPU 2 MiB at most.
	MaxFlows   uint32
	MaxServers uint32 // of all services together, also while removed ones have connections; 16383

	PoolPorts [2]uint16 // FULLNAT's source ports, first and last; 1024 to 65535

	Log *slog.Logger // nil: nothing is logged

	openHandover func() (handover, error) // nil: marks.Open
}

// What a flow takes of memory, with its place in the ring.
const (
	bytesOfFlow4 = 160
	bytesOfFlow6 = 240
)

func (o Options) withDefaults() Options {
	if o.MaxFlows == 0 {
		o.MaxFlows = 1 << 18
	}
	if o.MaxServers == 0 {
		o.MaxServers = 1 << 14
	}
	if o.PoolPorts == [2]uint16{} {
		o.PoolPorts = [2]uint16{1024, 65535}
	}
	if o.openHandover == nil {
		o.openHandover = func() (handover, error) { return marks.Open() }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Plane is the director. Its methods can be called from several goroutines.
type Plane struct {
	// Set once.
	opts   Options
	maps   directorMaps
	prog   *ebpf.Program
	ctl    *ebpf.Program // the control program
	local  *ebpf.Program // the loopback's
	marks  *ebpf.Program // of interfaces' egress, where there are services of marks
	hops   *hops
	watch  *watcher
	stop   chan struct{}
	ended  sync.WaitGroup
	rooms  sync.Pool // of *room
	noting noting

	handover handover // of packets with netfilter's marks

	// Owned by Open, and then by follow.
	loading ebpf.CollectionOptions // for XDP's program
	fast    *driverObjects         // XDP's; nil: no interface has wanted it
	refused map[string]refusal     // of interfaces whose XDP is not to be had

	mu       sync.Mutex
	attached []*attachment
	marked   bool   // there are services of marks
	unmarked string // why netfilter's are not seen on packets to this host's addresses; "": they are
	loose    bool   // this process had the loopback accept local sources
	closed   bool
	told     bool // config is what Set was given, not what was found
	config   l4.Config
	services map[l4.Key]*service
	order    []*service
	gone     map[goneKey]*server // removed, but with connections
	serials  *numbers            // of services
	places   *numbers            // of servers
	blocks   *spans
	retired  l4.Counters // of services that are no more
	total    rate
}

// service is one service that is forwarded.
type service struct {
	key     l4.Key
	id      uint32
	want    l4.Service
	record  directorService
	members span
	table   span
	lists   [2][]uint32 // what is in them
	servers map[l4.ServerKey]*server
	order   []*server
	retired l4.Counters // of servers that are no more
	rate    rate
	turnAt  uint32 // how many turns of rr and wrr there had been when their table was made
}

// server is one server of one service.
type server struct {
	key  l4.ServerKey
	id   uint32
	want l4.Server
	dest directorDest
	hop  *hop
	base l4.Counters
	rate rate
}

type goneKey struct {
	service l4.Key
	server  l4.ServerKey
}

// ErrLeft says that what an earlier process left in Options.Pin cannot be gone on
// from; Remove makes room for a beginning.
var ErrLeft = errors.New("what was forwarded before cannot be taken over")

// Open loads the director and attaches it. With nothing set yet it forwards
// nothing, unless an earlier process left its state in Options.Pin: then it
// goes on as that one left it.
func Open(o Options) (*Plane, error) {
	o = o.withDefaults()
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("memory limit for maps: %w", err)
	}
	spec, err := loadDirector()
	if err != nil {
		return nil, err
	}
	if err := size(spec, o); err != nil {
		return nil, err
	}
	if err := o.keep(); err != nil {
		return nil, err
	}
	options := ebpf.CollectionOptions{}
	if o.Pin == "" {
		for _, m := range spec.Maps {
			m.Pinning = ebpf.PinNone
		}
	} else {
		options.Maps.PinPath = filepath.Join(o.Pin, "maps")
	}
	var objects directorObjects
	if err := spec.LoadAndAssign(&objects, &options); err != nil {
		if o.Pin != "" && errors.Is(err, ebpf.ErrMapIncompatible) {
			return nil, fmt.Errorf("%w: what is pinned in %s was made by another version or with other limits: %w", ErrLeft, o.Pin, err)
		}
		return nil, fmt.Errorf("load the director (evenkeel check says what this kernel misses): %w", err)
	}
	p := &Plane{
		opts: o, maps: objects.directorMaps, prog: objects.Director, ctl: objects.Control, local: objects.DirectorLocal, marks: objects.DirectorMarked,
		stop:     make(chan struct{}),
		services: make(map[l4.Key]*service), gone: make(map[goneKey]*server),
		serials: newNumbers(objects.Services.MaxEntries()), places: newNumbers(objects.Dests.MaxEntries()),
		blocks: newSpans(objects.Blocks.MaxEntries()),
	}
	p.loading, p.refused = options, make(map[string]refusal)
	if o.Mode == Native {
		if p.fast, err = loadNative(&p.maps, o.MaxFlows, options); err != nil {
			objects.Close()
			return nil, err
		}
	}
	if p.hops, err = openHops(p.maps.Hops, o.Log); err != nil {
		objects.Close()
		return nil, err
	}
	if err = p.adopt(); err != nil {
		err = fmt.Errorf("%w: %w", ErrLeft, err)
	} else if err = startSweepers(p.ctl); err == nil {
		p.watch, err = openWatcher()
	}
	if err == nil {
		p.handover, err = o.openHandover()
	}
	if err == nil {
		err = p.attach()
	}
	if err != nil {
		p.release()
		return nil, err
	}
	p.ended.Add(2)
	go p.tend()
	go p.follow()
	return p, nil
}

// size puts the options' limits into the maps.
func size(spec *ebpf.CollectionSpec, o Options) error {
	for _, name := range []string{directorMapFlows4, directorMapFlows6} {
		spec.Maps[name].MaxEntries = o.MaxFlows
	}
	for _, name := range []string{directorMapRing4s, directorMapRing6s} {
		// Entries of flows that ended early stay until the sweeper finds them.
		spec.Maps[name].MaxEntries = o.MaxFlows + o.MaxFlows/4
	}
	// A change takes 24 bytes or 48, and not all flows change at once: then they
	// are all looked at.
	spec.Maps[directorMapChanges].MaxEntries = min(1<<20, max(uint32(os.Getpagesize()), 4<<bits.Len32(o.MaxFlows-1)))
	for _, name := range []string{directorMapDests, directorMapDestStates, directorMapDestCounters, directorMapHops} {
		spec.Maps[name].MaxEntries = o.MaxServers
	}
	return sizeFast(spec, o.MaxFlows)
}

// tend keeps next hops warm, rates current, and forgets removed servers that
// have no connections left.
func (p *Plane) tend() {
	defer p.ended.Done()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	settled := time.NewTimer(settleMarks)
	defer settled.Stop()
	for n := 0; ; {
		select {
		case <-p.stop:
			return
		case <-p.hops.changed:
			p.hops.refresh(false)
		case <-p.handover.Changed():
			settled.Reset(settleMarks)
		case <-settled.C:
			p.keepMarks()
		case <-second.C:
			p.everySecond(n)
			n++
		}
	}
}

// everySecond is called with the number of seconds since the plane was opened.
func (p *Plane) everySecond(n int) {
	p.hops.refresh(n%5 == 0)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reroute()
	if n%rateEvery == 0 {
		p.sample()
	}
	p.collect()
	if n%expireEvery == 0 {
		p.expireDestinations()
	}
	if n%retryMarks == 0 && p.unmarked != "" {
		p.noteMarks(p.handover.Keep())
	}
}

// Features is what this plane can do.
func (p *Plane) Features() l4.Features { return Features() }

// Features is what a plane of this package can do where Probe finds nothing
// missing.
func Features() l4.Features {
	return l4.Features{
		Name:       "ebpf",
		Methods:    []l4.Method{l4.NAT, l4.DR, l4.TUN, l4.FULLNAT, l4.Local},
		Schedulers: []string{"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "mh", "sed", "nq", "fo", "ovf", "twos"},
		Protocols:  []l4.Protocol{l4.TCP, l4.UDP},
		Tunnels:    []l4.TunnelType{l4.IPIP},
		PortRanges: true, AnyPort: true, FwMarks: true, SYNLimit: true, XDP: true, SyncKey: true,
	}
}

// Close ends what this process does for the plane. Forwarding ends with it,
// unless Options.Pin keeps it.
func (p *Plane) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	p.mu.Unlock()
	close(p.stop)
	p.ended.Wait()
	return p.release()
}

// release closes everything that is open.
func (p *Plane) release() error {
	var errs []error
	for _, a := range p.attached {
		errs = append(errs, a.close(p.opts.Pin != ""))
	}
	if p.handover != nil {
		if p.opts.Pin == "" {
			errs = append(errs, p.handover.Set(marks.Config{}))
		}
		errs = append(errs, p.handover.Close())
	}
	if p.watch != nil {
		p.watch.close()
	}
	errs = append(errs, p.Watch(false))
	p.hops.close()
	if p.fast != nil {
		errs = append(errs, p.fast.Close())
	}
	return errors.Join(append(errs, p.prog.Close(), p.ctl.Close(), p.local.Close(), p.marks.Close(), p.maps.Close())...)
}

// Remove ends what a plane left behind under a directory: it detaches the
// programs and forgets flows and counters. The plane must be closed.
func Remove(pin string) error {
	if err := errors.Join(marks.Remove(), detachAll(filepath.Join(pin, "links"))); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(pin, "maps")); err != nil {
		return err
	}
	return releaseDirectory(pin)
}

// writeSettings tells the programs what counts for all services.
func (p *Plane) writeSettings(c l4.Config) error {
	t := c.Timeouts.WithDefaults()
	s := directorConfiguration{PoolPortFirst: p.opts.PoolPorts[0], PoolPortLast: p.opts.PoolPorts[1]}
	for state, d := range stateTimeouts(t) {
		s.Timeout[state] = ticks(d)
	}
	if c.ExpireNoDestination {
		s.Flags |= setExpireNoDest
	}
	if c.ExpireQuiescent {
		s.Flags |= setExpireQuiescent
	}
	for i := range c.Services {
		k := &c.Services[i].Key
		if k.FwMark != 0 {
			s.Flags |= setMarks
		} else if k.Port == 0 || k.PortLast > k.Port {
			s.Flags |= setRanges
		}
	}
	for _, a := range c.Pool {
		if a = a.Unmap(); a.Is4() && s.Pool4Count < uint32(len(s.Pool4)) {
			s.Pool4[s.Pool4Count] = words(a)[0]
			s.Pool4Count++
		} else if a.Is6() && s.Pool6Count < uint32(len(s.Pool6)) {
			s.Pool6[s.Pool6Count] = words(a)
			s.Pool6Count++
		}
	}
	return p.maps.Settings.Put(uint32(0), &s)
}

// tunnelSource is the outer source address that the configuration wants.
func tunnelSource(c *l4.Config, f l4.Family) netip.Addr {
	if f == l4.IPv6 {
		return c.TunnelSource6
	}
	return c.TunnelSource4
}
