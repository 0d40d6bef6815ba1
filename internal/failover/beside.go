package failover

import (
	"maps"
	"net/netip"
	"sync"

	"evenkeel/internal/alert"
	"evenkeel/internal/bfd"
	"evenkeel/internal/netconf"
	"evenkeel/internal/track"
)

// Beside is what another part of the same process is told: packet forwarding
// follows sessions, files and addresses that are watched here. No function may
// block; those that are nil are not called.
type Beside struct {
	// First is called once, before this node takes part: not in a process that
	// goes on for another one. It may block; an error ends the start.
	First   func() error
	Session func(name string) // a BFD session is other than it was
	File    func(name string) // a tracked file is
	// Addresses are all of this host, told whenever they have changed. The map
	// is not changed any more.
	Addresses func(all map[netip.Addr]bool)
	// Holders are the instances that have, or are just getting, their addresses
	// on this host, told whenever they are others. The map is not changed any
	// more.
	Holders func(instances map[string]bool)
	// Ended is called once, when everything has been handed over and before the
	// last events are delivered. It may block.
	Ended func()
}

// watched is what is known of sessions and files outside of the loop.
type watched struct {
	mu       sync.Mutex
	sessions *bfd.Runner
	files    map[string]int64
}

// Post hands an event to where the configuration sends events.
func (s *Service) Post(e alert.Event) { s.hub.Post(e) }

// BFD says whether a session is up, and whether there is one of that name.
func (s *Service) BFD(name string) (up, known bool) {
	s.watched.mu.Lock()
	r := s.watched.sessions
	s.watched.mu.Unlock()
	if r == nil {
		return false, false
	}
	return r.Up(name)
}

// File gives the number in a tracked file, and whether it has been read.
func (s *Service) File(name string) (value int64, known bool) {
	s.watched.mu.Lock()
	defer s.watched.mu.Unlock()
	value, known = s.watched.files[name]
	return value, known
}

// reported passes on what the trackers found.
func (s *Service) reported(r track.Report) {
	if r.Kind == track.KindFile && !r.Advisory {
		s.watched.mu.Lock()
		if s.watched.files == nil {
			s.watched.files = map[string]int64{}
		}
		s.watched.files[r.Name] = r.Value
		s.watched.mu.Unlock()
		if tell := s.options.Beside.File; tell != nil {
			tell(r.Name)
		}
	}
	s.loop.Post(func() { s.plane.reported(r) })
}

// sessionChanged passes on what became of a session.
func (s *Service) sessionChanged(c bfd.Change) {
	if tell := s.options.Beside.Session; tell != nil {
		tell(c.Name)
	}
	s.loop.Post(func() { s.plane.bfdChanged(c) })
}

// tellAddresses tells which addresses the host has, when they are others.
func (p *plane) tellAddresses(snapshot *netconf.Snapshot) {
	if p.about.addresses == nil {
		return
	}
	all := map[netip.Addr]bool{}
	for l := range snapshot.All() {
		for i := range l.Addresses {
			all[l.Addresses[i].Prefix.Addr()] = true
		}
	}
	if p.told == nil || !maps.Equal(all, p.told) {
		p.told = all
		p.about.addresses(all)
	}
}

// tellHolders tells which instances have their addresses here, when they are
// others.
func (p *plane) tellHolders() {
	if p.about.holders == nil {
		return
	}
	all := map[string]bool{}
	p.each(func(i *instance) {
		if i.holds {
			all[i.name()] = true
		}
	})
	if p.holders == nil || !maps.Equal(all, p.holders) {
		p.holders = all
		p.about.holders(all)
	}
}
