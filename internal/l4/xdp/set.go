package xdp

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"evenkeel/internal/l4"
)

const blockSlots = 16

// Set makes the director forward what the configuration says.
func (p *Plane) Set(c l4.Config) error {
	if err := c.Validate(p.Features()); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("the plane is closed")
	}
	p.blocks.settle()
	p.hops.forget()
	if err := p.writeSettings(c); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	wanted := make(map[l4.Key]bool, len(c.Services))
	order := make([]*service, 0, len(c.Services))
	for i := range c.Services {
		want := c.Services[i]
		k := want.Key.Canonical()
		wanted[k] = true
		s, err := p.setService(k, want, &c)
		if err != nil {
			return fmt.Errorf("%v: %w", k, err)
		}
		order = append(order, s)
	}
	for _, k := range slices.Collect(maps.Keys(p.services)) {
		if !wanted[k] {
			if err := p.removeService(p.services[k]); err != nil {
				return fmt.Errorf("%v: remove: %w", k, err)
			}
		}
	}
	p.order = order
	if !p.told || !slices.Equal(c.XDP, p.config.XDP) {
		p.watch.kick()
	}
	p.config, p.told = c, true
	p.mark(&c)
	p.collect()
	return nil
}

// setService makes one service as wanted. Servers are written before the
// service points to them, and taken away after it no longer does.
func (p *Plane) setService(k l4.Key, want l4.Service, c *l4.Config) (*service, error) {
	s := p.services[k]
	if s == nil {
		id, err := p.serials.take()
		if err != nil {
			return nil, err
		}
		s = &service{key: k, id: id, servers: make(map[l4.ServerKey]*server)}
		if err := p.maps.ServiceStates.Put(id, &directorServiceState{}); err != nil {
			return nil, err
		}
		if err := p.maps.Ledgers.Put(id, ledgerOf(k)); err != nil {
			return nil, err
		}
		p.services[k] = s
	}
	was := s.turns()
	order := make([]*server, 0, len(want.Servers))
	keep := make(map[l4.ServerKey]bool, len(want.Servers))
	for _, w := range want.Servers {
		r, err := p.setServer(s, w, c)
		if err != nil {
			return nil, fmt.Errorf("server %v: %w", w.Key(), err)
		}
		order = append(order, r)
		keep[w.Key()] = true
	}
	if err := p.writeService(s, want, order, was, c); err != nil {
		return nil, err
	}
	for _, r := range slices.Collect(maps.Values(s.servers)) {
		if !keep[r.key] {
			if err := p.removeServer(s, r); err != nil {
				return nil, err
			}
		}
	}
	s.order = order
	s.want = want
	return s, nil
}

// setServer writes one server. One that was removed and still has connections
// gets them back.
func (p *Plane) setServer(s *service, w l4.Server, c *l4.Config) (*server, error) {
	k := w.Key()
	r := s.servers[k]
	if r == nil {
		g := goneKey{s.key, k}
		if old := p.gone[g]; old != nil && l4.Method(old.dest.Method) == w.Method {
			delete(p.gone, g)
			r = old
		} else {
			id, err := p.places.take()
			if err != nil {
				return nil, err
			}
			r = &server{key: k, id: id}
			if err := p.clear(id); err != nil {
				return nil, err
			}
		}
		s.servers[k] = r
	} else if r.want.Method != w.Method && l4.Method(r.dest.Method) != l4.Local {
		// Flows of one method cannot go on by another.
		if err := p.removeServer(s, r); err != nil {
			return nil, err
		}
		return p.setServer(s, w, c)
	}
	r.want = w
	d := directorDest{
		Addr: words(k.Addr), Port: wire(w.Port), Family: uint8(l4.FamilyOf(k.Addr)), Method: uint8(w.Method),
		Flags: destAvailable, Service: s.id, Weight: uint32(w.Weight),
		Upper: uint32(w.Upper), Lower: uint32(w.Lower), Mark: s.key.FwMark,
	}
	p.route(r, &d, c)
	if l4.Method(d.Method) == l4.Local && l4.Method(r.dest.Method) != l4.Local && w.Port != 0 && w.Port != s.key.Port && s.key.FwMark == 0 {
		p.opts.Log.Warn("the server is this host, where packets keep their address and port: let it listen there", "service", s.key, "server", k)
	}
	return r, p.writeDest(r, d)
}

// route finds where a server's packets leave. A server that cannot be reached
// now is tried again every second.
func (p *Plane) route(r *server, d *directorDest, c *l4.Config) {
	found, err := p.hops.find(r.key.Addr, tunnelSource(c, l4.FamilyOf(r.key.Addr)))
	if err != nil {
		p.opts.Log.Debug("server", "address", r.key.Addr, "error", err)
		return
	}
	if found.local {
		d.Method = uint8(l4.Local)
		return
	}
	if r.hop == nil || r.hop.key != found.hopKey {
		h, err := p.hops.use(found.hopKey)
		if err != nil {
			p.opts.Log.Error("next hop", "server", r.key.Addr, "error", err)
			return
		}
		p.hops.leave(r.hop)
		r.hop = h
	}
	d.Hop = r.hop.id
}

// reroute follows changes of the host's routes.
func (p *Plane) reroute() {
	p.hops.forget()
	for _, s := range p.order {
		for _, r := range s.order {
			if r.want.Method == l4.Local {
				continue
			}
			d := r.dest
			d.Method = uint8(r.want.Method)
			p.route(r, &d, &p.config)
			if err := p.writeDest(r, d); err != nil {
				p.opts.Log.Error("server", "address", r.key, "error", err)
			}
		}
	}
}

func (p *Plane) writeDest(r *server, d directorDest) error {
	if d == r.dest {
		return nil
	}
	if err := p.maps.Dests.Put(r.id, &d); err != nil {
		return err
	}
	r.dest = d
	return nil
}

// clear sets a place's counters and connection counts to nothing.
func (p *Plane) clear(id uint32) error {
	if err := p.maps.DestStates.Put(id, &directorDestState{}); err != nil {
		return err
	}
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return err
	}
	return p.maps.DestCounters.Put(id, make([]directorCounters, cpus))
}

// writeService writes the lists of a service and then the service itself, in
// one step for packets under way.
func (p *Plane) writeService(s *service, want l4.Service, order []*server, was turns, c *l4.Config) error {
	scheduler := want.SchedulerName()
	lists := [2][]uint32{}
	for _, i := range l4.Order(want.Servers) {
		lists[0] = append(lists[0], order[i].id)
	}
	for _, i := range l4.Table(scheduler, want.Servers) {
		lists[1] = append(lists[1], order[i].id)
	}
	spans := [2]span{s.members, s.table}
	told := false // packets may have been told of the new lists
	defer func() {
		if !told {
			p.giveBack(s, spans)
		}
	}()
	for i := range lists {
		if slices.Equal(lists[i], s.lists[i]) {
			continue
		}
		at, err := p.writeList(lists[i])
		if err != nil {
			return err
		}
		spans[i] = at
	}
	record := directorService{
		Id: s.id, Members: spans[0].first, MemberCount: uint32(len(lists[0])),
		Table: spans[1].first, TableSize: uint32(len(lists[1])),
		SynLimit: uint32(want.SYNLimit), Mark: s.key.FwMark,
		Scheduler: schedulerNumbers[scheduler], Flags: serviceFlags(&want, c),
		Family: uint8(s.key.AddressFamily()),
	}
	if want.Persistence > 0 {
		record.Persistence = ticks(want.Persistence)
		record.StickyBits = uint8(s.key.AddressFamily().Bits())
		if want.PersistenceMask > 0 {
			record.StickyBits = uint8(want.PersistenceMask)
		}
	}
	var err error
	if record.Turn, err = p.nextTurn(s, was, turnsOf(scheduler, lists, order)); err != nil {
		return err
	}
	told = true
	if record != s.record {
		if err := p.putService(s.key, &record); err != nil {
			return err
		}
	}
	old := [2]span{s.members, s.table}
	s.record, s.lists, s.members, s.table = record, lists, spans[0], spans[1]
	p.giveBack(s, old)
	return nil
}

// giveBack gives those of two lists back that a service does not have.
func (p *Plane) giveBack(s *service, lists [2]span) {
	if lists[0] != s.members {
		p.blocks.give(lists[0])
	}
	if lists[1] != s.table {
		p.blocks.give(lists[1])
	}
}

func (p *Plane) writeList(list []uint32) (span, error) {
	at, err := p.blocks.take(uint32((len(list) + blockSlots - 1) / blockSlots))
	if err != nil {
		return span{}, err
	}
	for i := range at.count {
		var b directorBlock
		copy(b.Dest[:], list[i*blockSlots:])
		if err := p.maps.Blocks.Put(at.first+i, &b); err != nil {
			p.blocks.give(at)
			return span{}, err
		}
	}
	return at, nil
}

// serviceFlags are a service's switches for the programs.
func serviceFlags(s *l4.Service, c *l4.Config) (f uint8) {
	if s.Flags&l4.HashFallback != 0 {
		f |= serviceHashFallback
	}
	if s.Flags&l4.HashPort != 0 {
		f |= serviceHashPort
	}
	if s.OnePacket {
		f |= serviceOnePacket
	}
	if s.FwMark == 0 && (s.Port == 0 || s.PortLast > s.Port) {
		f |= serviceAnyPort
	}
	scheduler, _ := l4.SchedulerByName(s.Scheduler)
	direct := !slices.ContainsFunc(s.Servers, func(r l4.Server) bool { return r.Method != l4.DR && r.Method != l4.TUN })
	if c.SloppyTCP || (scheduler.Hash && direct && s.Persistence == 0) {
		f |= serviceSloppy
	}
	return f
}

// putService writes a service under every key that finds it.
func (p *Plane) putService(k l4.Key, record *directorService) error {
	plain, ranged := mapKeys(k)
	if plain != nil {
		return p.maps.Services.Put(plain, record)
	}
	for i := range ranged {
		// The kernel's allocator for these maps refills itself by interrupt,
		// and may be behind.
		err := p.maps.Ranges.Put(&ranged[i], record)
		for n := 0; errors.Is(err, unix.ENOMEM) && n < 50; n++ {
			time.Sleep(2 * time.Millisecond)
			err = p.maps.Ranges.Put(&ranged[i], record)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// mapKeys is where a service stands: in services, or in ranges.
func mapKeys(k l4.Key) (*directorServiceKey, []directorRangeKey) {
	if k.FwMark != 0 {
		return &directorServiceKey{Addr: [4]uint32{k.FwMark}, Family: uint8(k.AddressFamily())}, nil
	}
	family, first, last := uint8(l4.FamilyOf(k.Addr)), k.Port, max(k.Port, k.PortLast)
	if k.Port == 0 {
		last = 65535
	} else if first == last {
		return &directorServiceKey{Addr: words(k.Addr), Port: wire(k.Port), Protocol: uint8(k.Protocol), Family: family}, nil
	}
	var list []directorRangeKey
	for _, x := range prefixes(first, last) {
		list = append(list, directorRangeKey{
			Prefix: uint32(8*(16+1+1) + x.bits), Addr: words(k.Addr),
			Protocol: uint8(k.Protocol), Family: family, Port: wire(x.port),
		})
	}
	return nil, list
}

// unlessAbsent is an error of removing an entry of a map. One that is not there was
// never made, or was removed by somebody who did not come further.
func unlessAbsent(err error) error {
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil
	}
	return err
}

func (p *Plane) removeService(s *service) error {
	plain, ranged := mapKeys(s.key)
	if plain != nil {
		if err := unlessAbsent(p.maps.Services.Delete(plain)); err != nil {
			return err
		}
	}
	for i := range ranged {
		if err := unlessAbsent(p.maps.Ranges.Delete(&ranged[i])); err != nil {
			return err
		}
	}
	for _, r := range slices.Collect(maps.Values(s.servers)) {
		if err := p.removeServer(s, r); err != nil {
			return err
		}
	}
	p.blocks.give(s.members)
	p.blocks.give(s.table)
	if remembersDestinations(s.record.Scheduler) {
		err := p.forgetDestinations(func(k *directorCachedKey, _ *directorCached) bool { return k.Service == s.id })
		if err != nil {
			return err
		}
	}
	if err := p.maps.Ledgers.Put(s.id, &directorLedger{}); err != nil {
		return err
	}
	p.serials.free(s.id)
	p.retired.Add(s.retired)
	delete(p.services, s.key)
	return nil
}

// removeServer stops packets to a server. Its place is kept as long as
// connections point to it.
func (p *Plane) removeServer(s *service, r *server) error {
	d := r.dest
	d.Flags &^= destAvailable
	d.Weight = 0
	if err := p.writeDest(r, d); err != nil {
		return err
	}
	delete(s.servers, r.key)
	counted, err := p.counters(r.id)
	if err != nil {
		return err
	}
	s.retired.Add(minus(counted, r.base))
	r.base = counted
	g := goneKey{s.key, r.key}
	if old := p.gone[g]; old != nil {
		// Removed twice meanwhile, by another method: the key gets a number.
		for g.server.Port++; p.gone[g] != nil; g.server.Port++ {
		}
	}
	p.gone[g] = r
	return nil
}

// collect gives the places back of removed servers whose last connection has
// gone.
func (p *Plane) collect() {
	var freed []uint32
	for k, r := range p.gone {
		var n directorDestState
		if err := p.maps.DestStates.Lookup(r.id, &n); err != nil || n.Active|n.Inactive|n.Persistent != 0 {
			continue
		}
		if err := p.maps.Dests.Put(r.id, &directorDest{}); err != nil {
			continue
		}
		p.hops.leave(r.hop)
		p.places.free(r.id)
		delete(p.gone, k)
		freed = append(freed, r.id)
	}
	p.forgetServers(freed)
}

func ledgerOf(k l4.Key) *directorLedger {
	return &directorLedger{
		Addr: words(k.Addr), Port: k.Port, PortLast: k.PortLast, Protocol: uint8(k.Protocol),
		Family: uint8(k.AddressFamily()), Used: 1, Mark: k.FwMark,
	}
}
