package director

import (
	"time"

	"evenkeel/internal/l4"
)

// drainCheck is how often servers that leave are asked for their connections.
const drainCheck = time.Second

// leaving is who stays in the plane without being wanted any more, for the sake
// of the connections that it has: a sorry server that steps aside, servers that
// a sorry server replaces although they are well, and servers that a reload has
// taken out. A server whose check fails does not stay. It is pure.
type leaving struct {
	has     map[l4.Key][]wanted // what the plane was last told
	removed map[l4.Key][]wanted // taken out by a reload
	drained map[place]bool      // has no connections any more
	forgets bool                // the plane can end persistence to one server
}

// place is one server of one service.
type place struct {
	service l4.Key
	server  l4.ServerKey
}

// stay decides who of those that step aside is there, and adds those that were
// taken out.
func (l *leaving) stay(list []service) []service {
	for i := range list {
		s := &list[i]
		k := s.Key
		// A client that is remembered would have every new connection there, too.
		persistent := s.Persistence > 0 && !l.forgets
		kept := s.servers[:0:0]
		for _, r := range s.servers {
			if r.aside {
				if persistent || l.drained[place{k, r.Key()}] || find(l.has[k], r.Key()) < 0 {
					continue
				}
			}
			kept = append(kept, r)
		}
		for _, r := range l.removed[k] {
			if !persistent && !l.drained[place{k, r.Key()}] && find(kept, r.Key()) < 0 {
				kept = append(kept, r)
			}
		}
		s.servers = kept
	}
	return list
}

// told is what the plane does now. It returns who has begun to leave services
// that remember clients.
func (l *leaving) told(list []service) (begun []place) {
	now := make(map[l4.Key][]wanted, len(list))
	for i := range list {
		s := &list[i]
		now[s.Key] = s.servers
		for _, r := range s.servers {
			was := find(l.has[s.Key], r.Key())
			if r.aside && s.Persistence > 0 && (was < 0 || !l.has[s.Key][was].aside) {
				begun = append(begun, place{s.Key, r.Key()})
			}
		}
	}
	l.has = now
	for k, gone := range l.removed {
		var left []wanted
		for _, r := range gone {
			if i := find(now[k], r.Key()); i >= 0 && now[k][i].aside {
				left = append(left, r)
			}
		}
		if l.removed[k] = left; len(left) == 0 {
			delete(l.removed, k)
		}
	}
	clear(l.drained)
	return begun
}

// reloaded finds who is taken out by a configuration.
func (l *leaving) reloaded(p *plan) {
	removed := map[l4.Key][]wanted{}
	for k, list := range l.has {
		v := p.owner[k]
		if v == nil {
			continue // the service ends
		}
		for _, r := range list {
			if (r.aside || !r.down) && !v.has(k, r.Key()) {
				r.Weight, r.down, r.aside = 0, true, true
				removed[k] = append(removed[k], r)
			}
		}
	}
	l.removed = removed
}

// found is what a plane has that a process before this one has set; down says
// who of them was bad.
func (l *leaving) found(s *l4.ServiceStats, down func(l4.ServerKey) bool) {
	k := s.Key.Canonical()
	var list []wanted
	for i := range s.Servers {
		r := s.Servers[i].Server
		list = append(list, wanted{Server: r, down: down(r.Key())})
	}
	if l.has == nil {
		l.has = map[l4.Key][]wanted{}
	}
	l.has[k] = list
}

// waiting says whether anybody is to be asked for connections.
func (l *leaving) waiting() bool {
	for _, list := range l.has {
		for i := range list {
			if list[i].aside {
				return true
			}
		}
	}
	return false
}

// count looks who has no connections any more. It says whether there is one.
func (l *leaving) count(snapshot *l4.Snapshot) (any bool) {
	for i := range snapshot.Services {
		s := &snapshot.Services[i]
		k := s.Key.Canonical()
		for n := range s.Servers {
			r := &s.Servers[n]
			x := find(l.has[k], r.Key())
			if x < 0 || !l.has[k][x].aside || r.Active+r.Inactive > 0 {
				continue
			}
			if l.drained == nil {
				l.drained = map[place]bool{}
			}
			l.drained[place{k, r.Key()}] = true
			any = true
		}
	}
	return any
}

// is says whether a server of a service leaves, and whether the configuration
// has it no more.
func (l *leaving) is(k l4.Key, server l4.ServerKey) (leaves, removed bool) {
	i := find(l.has[k], server)
	return i >= 0 && l.has[k][i].aside, find(l.removed[k], server) >= 0
}

// places are those of all who leave.
func (l *leaving) places() map[place]bool {
	all := map[place]bool{}
	for k, list := range l.has {
		for i := range list {
			if list[i].aside {
				all[place{k, list[i].Key()}] = true
			}
		}
	}
	return all
}
