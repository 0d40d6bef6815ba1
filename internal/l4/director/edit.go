package director

import (
	"slices"

	"evenkeel/internal/l4"
)

// edit makes one change by hand. current is what is wanted now, owned says
// which keys are the configuration's. Zero is not for here: it changes nothing
// that is wanted.
func (m manual) edit(e Edit, current []service, owned func(l4.Key) bool) (manual, error) {
	if !slices.Contains(actions, e.Do) {
		return m, refuse(Invalid, "unknown action %q", string(e.Do))
	}
	m = m.clone()
	k := e.Service.Key.Canonical()
	i := slices.IndexFunc(current, func(s service) bool { return s.Key.Canonical() == k })
	switch e.Do {
	case SetTimeouts:
		m.setTimeouts(e.Timeouts)
		return m, nil
	case Clear:
		m.Services = nil
		for _, s := range current {
			if owned(s.Key) {
				m.Services = append(m.Services, manualService{Key: s.Key, Deleted: true})
			}
		}
		return m, nil
	case AddService:
		if i >= 0 {
			return m, refuse(ServiceExists, "%v: the service exists already", k)
		}
		x := m.about(k)
		*x = manualService{Key: k, Whole: true, Settings: bareService(e.Service)}
		return m, nil
	}
	if i < 0 {
		return m, refuse(NoService, "%v: there is no such service", k)
	}
	switch e.Do {
	case EditService:
		m.about(k).Settings = bareService(e.Service)
		return m, nil
	case DeleteService:
		if owned(k) {
			*m.about(k) = manualService{Key: k, Deleted: true}
		} else {
			m.Services = slices.DeleteFunc(m.Services, func(s manualService) bool { return s.Key == k })
		}
		return m, nil
	}
	return m.editServer(e, &current[i])
}

// editServer changes a server of a service that is there.
func (m manual) editServer(e Edit, s *service) (manual, error) {
	k := e.Server.Key()
	there := slices.ContainsFunc(s.servers, func(r wanted) bool { return r.Key() == k && !(r.aside && e.Do == AddServer) })
	switch {
	case e.Do == AddServer && there:
		return m, refuse(ServerExists, "%v: the server %v exists already", s.Key, k)
	case (e.Do == EditServer || e.Do == DeleteServer) && !there:
		return m, refuse(NoServer, "%v: there is no server %v", s.Key, k)
	}
	x := m.about(s.Key)
	n := x.find(k)
	added := e.Do == AddServer || n >= 0 && x.Servers[n].Added
	if n >= 0 {
		// Where it stands is kept, as in IPVS, unless it is added anew.
		if e.Do == EditServer {
			x.Servers[n].Server = e.Server
			return m, nil
		}
		x.Servers = slices.Delete(x.Servers, n, n+1)
	}
	if e.Do != DeleteServer || !x.Whole {
		x.Servers = append(x.Servers, manualServer{Server: e.Server, Added: added && e.Do != DeleteServer, Deleted: e.Do == DeleteServer})
	}
	return m, nil
}

// about is what is changed about a key; nothing yet, where it is new.
func (m *manual) about(k l4.Key) *manualService {
	i := m.find(k)
	if i < 0 {
		i = len(m.Services)
		m.Services = append(m.Services, manualService{Key: k})
	}
	return &m.Services[i]
}

func bareService(s l4.Service) *l4.Service {
	s.Key = s.Key.Canonical()
	s.Servers = nil
	return &s
}

func (m *manual) setTimeouts(t l4.Timeouts) {
	if t.TCP != 0 {
		m.Timeouts.TCP = t.TCP
	}
	if t.TCPFin != 0 {
		m.Timeouts.TCPFin = t.TCPFin
	}
	if t.UDP != 0 {
		m.Timeouts.UDP = t.UDP
	}
}

// timeouts are those that count: a person's, then the configuration's.
func (m *manual) timeouts(configured l4.Timeouts) l4.Timeouts {
	x := manual{Timeouts: configured}
	x.setTimeouts(m.Timeouts)
	return x.Timeouts
}

// reloaded is what is left of the changes when a configuration is read: services
// that are not its own. What it owns is as it says again.
func (m manual) reloaded(p *plan) manual {
	m = m.clone()
	m.Services = slices.DeleteFunc(m.Services, func(s manualService) bool { return !s.Whole || p.owner[s.Key] != nil })
	t := p.globals.Timeouts
	if t.TCP != 0 {
		m.Timeouts.TCP = 0
	}
	if t.TCPFin != 0 {
		m.Timeouts.TCPFin = 0
	}
	if t.UDP != 0 {
		m.Timeouts.UDP = 0
	}
	return m
}

// found adds services that a plane has and nobody here knows: somebody made
// them before this process began.
func (m manual) found(s *l4.ServiceStats) manual {
	m = m.clone()
	k := s.Key.Canonical()
	x := manualService{Key: k, Whole: true, Settings: bareService(s.Service)}
	for _, r := range s.Servers {
		x.Servers = append(x.Servers, manualServer{Server: r.Server, Added: true})
	}
	m.Services = append(m.Services, x)
	return m
}
