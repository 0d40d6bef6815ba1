package xdp

import (
	"fmt"

	"evenkeel/internal/l4"
)

// adopt takes over what an earlier process left in the maps. The services and
// servers stay as they are until Set says what is wanted now.
func (p *Plane) adopt() error {
	byID := make(map[uint32]*service)
	for id := range p.maps.Ledgers.MaxEntries() {
		var l directorLedger
		if err := p.maps.Ledgers.Lookup(id, &l); err != nil {
			return fmt.Errorf("adopt services: %w", err)
		}
		if l.Used == 0 {
			continue
		}
		k := l4.Key{FwMark: l.Mark, Family: l4.Family(l.Family)}
		if l.Mark == 0 {
			k = l4.Key{Addr: address(l.Addr, l4.Family(l.Family)), Protocol: l4.Protocol(l.Protocol), Port: l.Port, PortLast: l.PortLast}
		}
		s := &service{key: k, id: id, servers: make(map[l4.ServerKey]*server)}
		p.serials.mark(id)
		p.services[k] = s
		byID[id] = s
		if err := p.adoptRecord(s); err != nil {
			return err
		}
	}
	if len(byID) == 0 {
		return p.writeSettings(l4.Config{})
	}
	var s directorConfiguration
	if err := p.maps.Settings.Lookup(uint32(0), &s); err != nil {
		return fmt.Errorf("adopt settings: %w", err)
	}
	p.marked = s.Flags&setMarks != 0
	return p.adoptServers(byID)
}

// adoptRecord reads what a service's packets find.
func (p *Plane) adoptRecord(s *service) error {
	plain, ranged := mapKeys(s.key)
	var err error
	if plain != nil {
		err = p.maps.Services.Lookup(plain, &s.record)
	} else {
		err = p.maps.Ranges.Lookup(&ranged[0], &s.record)
	}
	if err != nil {
		return nil // the process ended before it wrote it
	}
	blocks := func(n uint32) uint32 { return (n + blockSlots - 1) / blockSlots }
	s.members = span{s.record.Members, blocks(s.record.MemberCount)}
	s.table = span{s.record.Table, blocks(s.record.TableSize)}
	p.blocks.mark(s.members)
	p.blocks.mark(s.table)
	for i, list := range []span{s.members, s.table} {
		n := [2]uint32{s.record.MemberCount, s.record.TableSize}[i]
		for b := range list.count {
			var block directorBlock
			if err := p.maps.Blocks.Lookup(list.first+b, &block); err != nil {
				return err
			}
			s.lists[i] = append(s.lists[i], block.Dest[:min(blockSlots, n-b*blockSlots)]...)
		}
	}
	return nil
}

func (p *Plane) adoptServers(byID map[uint32]*service) error {
	for id := uint32(1); id < p.maps.Dests.MaxEntries(); id++ {
		var d directorDest
		if err := p.maps.Dests.Lookup(id, &d); err != nil {
			return fmt.Errorf("adopt servers: %w", err)
		}
		if d.Service == 0 {
			continue
		}
		r := &server{id: id, dest: d, key: l4.ServerKey{Addr: address(d.Addr, l4.Family(d.Family)), Port: wire(d.Port)}}
		r.want = l4.Server{Addr: r.key.Addr, Port: r.key.Port, Weight: int(d.Weight), Method: l4.Method(d.Method), Upper: int(d.Upper), Lower: int(d.Lower)}
		p.places.mark(id)
		if err := p.adoptHop(r); err != nil {
			return err
		}
		s := byID[d.Service]
		if s != nil && d.Flags&destAvailable != 0 {
			s.servers[r.key] = r
			continue
		}
		k := goneKey{server: r.key}
		if s != nil {
			k.service = s.key
		}
		for p.gone[k] != nil {
			k.server.Port++
		}
		p.gone[k] = r
	}
	return nil
}

// adoptHop keeps the next hop that a server has.
func (p *Plane) adoptHop(r *server) error {
	if r.dest.Hop == 0 {
		return nil
	}
	var h directorHop
	if err := p.maps.Hops.Lookup(r.dest.Hop, &h); err != nil {
		return fmt.Errorf("adopt next hops: %w", err)
	}
	r.hop = p.hops.adopt(r.dest.Hop, h)
	return nil
}

// adopt notes an entry that is in the map already.
func (h *hops) adopt(id uint32, record directorHop) *hop {
	h.mu.Lock()
	defer h.mu.Unlock()
	family := l4.IPv4
	if record.Flags&hopGateway6 != 0 {
		family = l4.IPv6
	}
	k := hopKey{ifindex: int(record.Ifindex), gateway: address(record.Gateway, family)}
	if record.Source4 != 0 {
		k.source = address([4]uint32{record.Source4}, l4.IPv4)
	} else if record.Source6 != [4]uint32{} {
		k.source = address(record.Source6, l4.IPv6)
	}
	e := h.byKey[k]
	if e == nil {
		e = &hop{key: k, id: id, record: record}
		h.byKey[k] = e
	}
	h.places.mark(id)
	e.users++
	return e
}
