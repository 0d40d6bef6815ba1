package director

import (
	"fmt"
	"slices"

	"evenkeel/internal/l4"
)

// Edit is one change by hand, as ipvsadm makes it. Client and process may be
// of different versions: fields are only ever added.
type Edit struct {
	Do       Action
	Service  l4.Service  `json:",omitzero"` // AddService, EditService: with settings; else its key
	Server   l4.Server   `json:",omitzero"`
	Timeouts l4.Timeouts `json:",omitzero"`
}

// Action is what an Edit does.
type Action string

// The actions.
const (
	AddService    Action = "add-service"
	EditService   Action = "edit-service"
	DeleteService Action = "delete-service"
	AddServer     Action = "add-server"
	EditServer    Action = "edit-server"
	DeleteServer  Action = "delete-server"
	Clear         Action = "clear"    // all services
	Zero          Action = "zero"     // the counters of Service, or of all where it has no key
	SetTimeouts   Action = "timeouts" // those that are not 0
)

var actions = []Action{AddService, EditService, DeleteService, AddServer, EditServer, DeleteServer, Clear, Zero, SetTimeouts}

// Code is the kind of an error of an Edit, for those who word it themselves.
type Code string

// The codes.
const (
	ServiceExists Code = "service-exists"
	NoService     Code = "no-service"
	ServerExists  Code = "server-exists"
	NoServer      Code = "no-server"
	Invalid       Code = "invalid"  // it is not valid, or not for this plane
	Refused       Code = "refused"  // the plane did not take it
	NoPlane       Code = "no-plane" // there is nothing to forward with
)

// EditError is why an Edit was not made. Then nothing has changed.
type EditError struct {
	Code Code
	Text string
}

// Error is the text.
func (e *EditError) Error() string { return e.Text }

func refuse(c Code, format string, args ...any) error {
	return &EditError{c, fmt.Sprintf(format, args...)}
}

// manual is what was changed by hand: services beside those of the
// configuration, and differences to those of the configuration. It is a value:
// edit makes another one.
type manual struct {
	Services []manualService `json:",omitempty"`
	Timeouts l4.Timeouts     `json:",omitzero"`
}

// manualService is about one key.
type manualService struct {
	Key      l4.Key
	Deleted  bool        `json:",omitempty"` // the configuration's is not wanted
	Whole    bool        `json:",omitempty"` // Settings and Servers are all there is: it was added by hand
	Settings *l4.Service `json:",omitempty"` // without servers; nil: the configuration's
	Servers  []manualServer
}

// manualServer is about one server.
type manualServer struct {
	Server  l4.Server
	Added   bool `json:",omitempty"` // it is wanted whatever the checks say
	Deleted bool `json:",omitempty"`
}

func (m *manual) find(k l4.Key) int {
	return slices.IndexFunc(m.Services, func(s manualService) bool { return s.Key == k })
}

func (s *manualService) find(k l4.ServerKey) int {
	return slices.IndexFunc(s.Servers, func(r manualServer) bool { return r.Server.Key() == k })
}

// clone copies what edit changes.
func (m manual) clone() manual {
	m.Services = slices.Clone(m.Services)
	for i := range m.Services {
		m.Services[i].Servers = slices.Clone(m.Services[i].Servers)
	}
	return m
}

// apply puts the changes on top of what the configuration asks for.
func (m *manual) apply(list []service) []service {
	if len(m.Services) == 0 {
		return list
	}
	out := make([]service, 0, len(list)+len(m.Services))
	about := make(map[l4.Key]*manualService, len(m.Services))
	for i := range m.Services {
		about[m.Services[i].Key] = &m.Services[i]
	}
	seen := make(map[l4.Key]bool, len(m.Services))
	for _, s := range list {
		x := about[s.Key]
		if x == nil {
			out = append(out, s)
			continue
		}
		seen[x.Key] = true
		if !x.Deleted || x.Whole {
			out = append(out, x.over(s))
		}
	}
	for i := range m.Services {
		if x := &m.Services[i]; x.Whole && !seen[x.Key] {
			out = append(out, x.over(service{}))
		}
	}
	return out
}

// over is a service with the changes to it.
func (x *manualService) over(s service) service {
	if x.Whole {
		s = service{}
	}
	if x.Settings != nil {
		s.Service = *x.Settings
		s.Service.Servers = nil
	}
	s.Key = x.Key
	changed := make([]wanted, 0, len(s.servers)+len(x.Servers))
	known := make(map[l4.ServerKey]bool, len(s.servers))
	for _, r := range s.servers {
		known[r.Key()] = true
		i := x.find(r.Key())
		switch {
		case i < 0:
		case x.Servers[i].Deleted:
			continue
		case x.Servers[i].Added && r.aside: // whoever added it wants it
			r = wanted{Server: x.Servers[i].Server}
		default:
			r.Server = x.Servers[i].Server
			if r.down {
				r.Weight = 0
			}
		}
		changed = append(changed, r)
	}
	for _, r := range x.Servers {
		if r.Added && !known[r.Server.Key()] {
			changed = append(changed, wanted{Server: r.Server})
		}
	}
	s.servers = changed
	return s
}
