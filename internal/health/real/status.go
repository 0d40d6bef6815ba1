package real

import "evenkeel/internal/model"

// Status is one virtual server as it is now.
type Status struct {
	Name         string
	Virtual      *model.VirtualServer
	Quorum       bool
	Weight       int // of the servers that are up
	Needed       int // of it, to keep the quorum or to get it back
	Suspended    bool
	Servers      []ServerStatus
	Destinations []Destination
}

// ServerStatus is one real server.
type ServerStatus struct {
	Real   *model.RealServer
	Up     bool
	Weight int
	Checks []CheckStatus
}

// CheckStatus is one checker.
type CheckStatus struct {
	Kind    model.RealCheckKind
	Up, Ran bool
	Retries int
	Text    string // of the last result
}

// Status is a snapshot of all virtual servers, in the order of the
// configuration.
func (r *Runner) Status() []Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Status, 0, len(r.services))
	for _, v := range r.services {
		s := Status{Name: v.name, Virtual: v.spec, Quorum: v.quorum, Weight: v.sum(), Needed: v.needed(), Suspended: v.suspended, Destinations: v.destinations()}
		for _, x := range v.servers {
			y := ServerStatus{Real: x.spec, Up: x.alive, Weight: x.effective()}
			for _, c := range x.checks {
				y.Checks = append(y.Checks, CheckStatus{c.spec.Kind, c.up, c.ran, c.retries, c.text})
			}
			s.Servers = append(s.Servers, y)
		}
		list = append(list, s)
	}
	return list
}

// Destinations is who packets of the named virtual server should go to; nil
// when there is none of that name.
func (r *Runner) Destinations(name string) []Destination {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range r.services {
		if v.name == name {
			return v.destinations()
		}
	}
	return nil
}
