package xdp

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"evenkeel/internal/l4"
)

// batch is how many entries one system call reads.
const batch = 1024

// entry is an entry of a flow map, of either family.
type entry struct {
	key  directorKey6
	flow directorFlow6
	v6   bool
}

func (e *entry) family() l4.Family {
	if e.v6 {
		return l4.IPv6
	}
	return l4.IPv4
}

func wide4(k *directorKey4, f *directorFlow4) entry {
	return entry{
		key: directorKey6{Saddr: [4]uint32{k.Saddr}, Daddr: [4]uint32{k.Daddr}, Sport: k.Sport, Dport: k.Dport, Protocol: k.Protocol, Kind: k.Kind},
		flow: directorFlow6{
			State: f.State, Dest: f.Dest, Last: f.Last, Changed: f.Changed, Born: f.Born, NewSport: f.NewSport, NewDport: f.NewDport,
			Flags: f.Flags, StickyBits: f.StickyBits, StickyKind: f.StickyKind, Mark: f.Mark,
			HopTick: f.HopTick, NewSaddr: [4]uint32{f.NewSaddr}, NewDaddr: [4]uint32{f.NewDaddr},
		},
	}
}

// room is what batches are read into. A walk of an empty table, many times a
// second, shall leave no garbage.
type room struct {
	k4 [batch]directorKey4
	f4 [batch]directorFlow4
	k6 [batch]directorKey6
	f6 [batch]directorFlow6
}

// walk reads all flows. It stops when yield returns false.
func (p *Plane) walk(yield func(*entry) bool) error {
	return p.walkThrough(sieve{v4: true, v6: true}, yield)
}

// sieve leaves entries out before anything is done with them: of a large table
// little has changed since the last look.
type sieve struct {
	v4, v6  bool
	forward bool   // no entries of answers
	since   uint32 // what had packets (used), or changed, before that is left out; 0: nothing is
	used    bool
}

func (s *sieve) passes(flags uint8, changed, last uint32) bool {
	if s.used {
		changed = last
	}
	return (!s.forward || flags&flowReverse == 0) && (s.since == 0 || int32(changed-s.since) >= 0)
}

func (p *Plane) walkThrough(s sieve, yield func(*entry) bool) error {
	r, ok := p.rooms.Get().(*room)
	if !ok {
		r = new(room)
	}
	defer p.rooms.Put(r)
	if s.v4 {
		going, err := walkMap(p.maps.Flows4, r.k4[:], r.f4[:], func(i int) bool {
			f := &r.f4[i]
			if !s.passes(f.Flags, f.Changed, f.Last) {
				return true
			}
			e := wide4(&r.k4[i], f)
			return yield(&e)
		})
		if err != nil || !going {
			return err
		}
	}
	if !s.v6 {
		return nil
	}
	_, err := walkMap(p.maps.Flows6, r.k6[:], r.f6[:], func(i int) bool {
		f := &r.f6[i]
		if !s.passes(f.Flags, f.Changed, f.Last) {
			return true
		}
		return yield(&entry{key: r.k6[i], flow: *f, v6: true})
	})
	return err
}

// walkMap reads a map in batches, and tells whether it went to its end.
func walkMap[K, V any](m *ebpf.Map, keys []K, values []V, yield func(int) bool) (bool, error) {
	var cursor ebpf.MapBatchCursor
	for {
		n, err := m.BatchLookup(&cursor, keys, values, nil)
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			if errors.Is(err, unix.EINTR) {
				continue
			}
			return true, fmt.Errorf("flows: %w", err)
		}
		for i := range n {
			if !yield(i) {
				return false, nil
			}
		}
		if err != nil {
			return true, nil
		}
	}
}

// now is the programs' clock.
func now() uint32 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC_COARSE, &t); err != nil {
		panic(err) // there is no such kernel
	}
	return uint32(uint64(t.Nano()) >> tickShift)
}

// Flows tells of every connection that is remembered, and of every template.
func (p *Plane) Flows(yield func(l4.Flow) bool) error {
	p.mu.Lock()
	servers, limits := p.byPlace(), stateTimeouts(p.config.Timeouts.WithDefaults())
	p.mu.Unlock()
	clock := now()
	return p.walk(func(e *entry) bool {
		f := &e.flow
		r := servers[f.Dest]
		if f.Flags&flowReverse != 0 || r.server == nil || int(f.State) >= len(stateNames) {
			return true
		}
		limit := duration(f.HopTick)
		if int(f.State) < len(limits) {
			limit = limits[f.State]
		}
		shown := l4.Flow{
			Protocol: l4.Protocol(e.key.Protocol), State: stateNames[f.State], Template: e.key.Kind != 0, FwMark: f.Mark,
			Client:  netip.AddrPortFrom(address(e.key.Saddr, e.family()), wire(e.key.Sport)),
			Server:  netip.AddrPortFrom(r.server.key.Addr, r.server.key.Port),
			Expires: max(0, limit-duration(clock-f.Last)),
		}
		if e.key.Kind != kindMark {
			shown.Virtual = netip.AddrPortFrom(address(e.key.Daddr, e.family()), wire(e.key.Dport))
		}
		if r.server.key.Port == 0 && !shown.Template {
			shown.Server = netip.AddrPortFrom(r.server.key.Addr, shown.Virtual.Port())
		}
		if f.Flags&flowSource != 0 {
			shown.Local = netip.AddrPortFrom(address(f.NewSaddr, e.family()), wire(f.NewSport))
		}
		return yield(shown)
	})
}

type placed struct {
	service *service
	server  *server
}

// byPlace is who has which place.
func (p *Plane) byPlace() map[uint32]placed {
	all := make(map[uint32]placed)
	for _, s := range p.services {
		for _, r := range s.servers {
			all[r.id] = placed{s, r}
		}
	}
	for k, r := range p.gone {
		all[r.id] = placed{&service{key: k.service}, r}
	}
	return all
}

// Changed tells another director's process of connections; see l4.Syncer.
func (p *Plane) Changed(since uint32, all bool, yield func(l4.Sync) bool) (uint32, error) {
	p.mu.Lock()
	servers, limits := p.byPlace(), stateTimeouts(p.config.Timeouts.WithDefaults())
	p.mu.Unlock()
	// A table is walked through in a millisecond or more even when it is empty.
	// The walk takes time: what changed in its tick may come twice.
	sieve := sieve{forward: true, since: since, used: all}
	for _, r := range servers {
		six := r.service.key.AddressFamily() == l4.IPv6
		sieve.v4, sieve.v6 = sieve.v4 || !six, sieve.v6 || six
	}
	clock := now()
	err := p.walkThrough(sieve, func(e *entry) bool {
		return !e.told(servers) || yield(syncOf(e, servers[e.flow.Dest], clock, &limits))
	})
	return clock, err
}

func syncOf(e *entry, r placed, clock uint32, limits *[stateTemplate]time.Duration) l4.Sync {
	f := &e.flow
	s := l4.Sync{
		Protocol: l4.Protocol(e.key.Protocol), Service: r.service.key, Server: r.server.key, State: uint8(f.State),
		Client: netip.AddrPortFrom(address(e.key.Saddr, e.family()), wire(e.key.Sport)),
		Kind:   f.StickyKind, Bits: f.StickyBits, Idle: duration(uint32(max(0, int32(clock-f.Last)))),
	}
	if int(f.State) < len(limits) {
		s.Timeout = limits[f.State]
	}
	if e.key.Kind != kindMark {
		s.Virtual = netip.AddrPortFrom(address(e.key.Daddr, e.family()), wire(e.key.Dport))
	}
	if e.key.Kind != 0 {
		s.Template, s.Kind, s.Timeout = true, e.key.Kind, duration(f.HopTick)
	}
	if f.Flags&flowSource != 0 {
		s.Local = netip.AddrPortFrom(address(f.NewSaddr, e.family()), wire(f.NewSport))
	}
	return s
}

// Insert takes connections of another director over; see l4.Syncer.
func (p *Plane) Insert(list ...l4.Sync) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := 0
	var errs []error
	for i := range list {
		s := p.services[list[i].Service.Canonical()]
		if s == nil || s.servers[list[i].Server] == nil {
			continue
		}
		c := insertOrder(&list[i], s.servers[list[i].Server])
		if p.knowsBetter(c) {
			taken++
			continue
		}
		if err := order(p.ctl, c); err != nil {
			if errs = append(errs, err); len(errs) > 10 {
				break
			}
			continue
		}
		taken++
	}
	return taken, errors.Join(errs...)
}

// Forget ends the persistence templates of a server; see l4.Forgetter.
func (p *Plane) Forget(k l4.Key, server l4.ServerKey) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.services[k.Canonical()]
	if s == nil || s.servers[server] == nil {
		return fmt.Errorf("%v: there is no server %v", k, server)
	}
	id := s.servers[server].id
	var list []*directorCommand
	err := p.walk(func(e *entry) bool {
		if e.key.Kind != 0 && e.flow.Dest == id {
			list = append(list, &directorCommand{Order: orderEnd, Saddr: e.key.Saddr, Daddr: e.key.Daddr, Sport: e.key.Sport, Dport: e.key.Dport,
				Protocol: e.key.Protocol, Kind: e.key.Kind, Family: uint8(e.family())})
		}
		return true
	})
	for _, c := range list {
		err = errors.Join(err, order(p.ctl, c))
	}
	return err
}

// knowsBetter says whether this director has seen packets of a flow that the
// other one has not: what that one tells is the past. Of what was only told
// here before, the newer telling counts, however long each was on its way.
func (p *Plane) knowsBetter(c *directorCommand) bool {
	e := entry{v6: c.Family != uint8(l4.IPv4),
		key: directorKey6{Saddr: c.Saddr, Daddr: c.Daddr, Sport: c.Sport, Dport: c.Dport, Protocol: c.Protocol, Kind: c.Kind}}
	return p.lookup(&e) && e.flow.State != stateDead && e.flow.Flags&flowSynced == 0 && int32(e.flow.Last-(now()-c.Idle)) > 0
}

// insertOrder is the order that makes a flow.
func insertOrder(f *l4.Sync, r *server) *directorCommand {
	family := l4.FamilyOf(f.Client.Addr())
	c := &directorCommand{
		Order: orderInsert, Dest: r.id, State: uint32(f.State), Mark: f.Service.FwMark,
		Saddr: words(f.Client.Addr()), Daddr: words(f.Virtual.Addr()),
		Sport: wire(f.Client.Port()), Dport: wire(f.Virtual.Port()),
		Protocol: uint8(f.Protocol), Family: uint8(family), StickyBits: f.Bits, StickyKind: f.Kind,
		Timeout: ticks(f.Timeout), Idle: uint32(f.Idle >> tickShift),
	}
	if f.Template {
		c.Kind = f.Kind
		if f.Kind == kindMark {
			c.Daddr = [4]uint32{f.Service.FwMark}
		}
		return c
	}
	if f.Bits != 0 {
		c.Flags |= flowHeld
	}
	switch l4.Method(r.dest.Method) {
	case l4.NAT, l4.FULLNAT:
		c.Flags |= flowDestination
		c.NewDaddr = words(r.key.Addr)
		c.NewDport = wire(r.key.Port)
		if r.key.Port == 0 {
			c.NewDport = c.Dport
		}
		if f.Local.IsValid() {
			c.Flags |= flowSource
			c.NewSaddr, c.NewSport = words(f.Local.Addr()), wire(f.Local.Port())
		}
	default:
		c.Flags |= flowNoOutput
	}
	return c
}

// Remembered is how many connections and templates there are, without counting
// anything else.
func (p *Plane) Remembered() (int, error) { return p.remembered() }

// remembered is how many connections and templates there are.
func (p *Plane) remembered() (int, error) {
	n := 0
	for i := range uint32(2) {
		var s directorSweeper
		if err := p.maps.Sweepers.Lookup(i, &s); err != nil {
			return 0, fmt.Errorf("flows: %w", err)
		}
		n += int(s.Ringed)
	}
	return n, nil
}
