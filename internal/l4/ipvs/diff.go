package ipvs

import (
	"slices"

	"evenkeel/internal/l4"
)

// step is one change of the kernel's table.
type step struct {
	kind    stepKind
	key     l4.Key
	service l4.Service   // addService, editService
	server  l4.Server    // addServer, editServer
	remove  l4.ServerKey // deleteServer
}

type stepKind uint8

const (
	deleteService stepKind = iota
	addService
	editService
	deleteServer
	addServer
	editServer
)

// normal is a service as the kernel would give it back: its key in the one
// form, its scheduler named, seconds whole, and each server with the port that
// the kernel keeps for it.
func normal(s l4.Service) l4.Service {
	s.Key = s.Key.Canonical()
	s.Scheduler = s.SchedulerName()
	s.Flags &= 7
	s.Persistence = wholeSeconds(s.Persistence)
	if s.PersistenceMask == s.AddressFamily().Bits() {
		s.PersistenceMask = 0
	}
	s.SYNLimit = 0
	servers := make([]l4.Server, len(s.Servers))
	for i, r := range s.Servers {
		servers[i] = normalServer(s.Key, r)
	}
	s.Servers = servers
	return s
}

func normalServer(k l4.Key, r l4.Server) l4.Server {
	r.Addr = r.Key().Addr
	if r.Port == 0 {
		r.Port = k.Port // 0 for any port and for marks: the kernel keeps the client's
	}
	if r.Method != l4.TUN {
		r.Tunnel = l4.Tunnel{}
	}
	return r
}

// difference is what to do so that the table has what is wanted. Of what it
// has, that which is not wanted is removed only where it is ours. Services that
// are the same are not touched, and a server is never removed only to be added
// again, so nothing that stays loses connections, counters or turns.
func difference(have []l4.ServiceStats, want []l4.Service, ours map[l4.Key]bool) []step {
	var steps []step
	table := make(map[l4.Key]*l4.ServiceStats, len(have))
	for i := range have {
		table[have[i].Key.Canonical()] = &have[i]
	}
	wanted := make(map[l4.Key]bool, len(want))
	for i := range want {
		wanted[want[i].Key.Canonical()] = true
	}
	for i := range have {
		if k := have[i].Key.Canonical(); !wanted[k] && ours[k] {
			steps = append(steps, step{kind: deleteService, key: k})
		}
	}
	for _, w := range want {
		w = normal(w)
		h := table[w.Key]
		if h == nil {
			steps = append(steps, step{kind: addService, key: w.Key, service: w})
			for _, r := range w.Servers {
				steps = append(steps, step{kind: addServer, key: w.Key, server: r})
			}
			continue
		}
		if !sameService(h.Service, w) {
			steps = append(steps, step{kind: editService, key: w.Key, service: w})
		}
		steps = append(steps, serverDifference(h, w)...)
	}
	return steps
}

// serverDifference adds before it removes, so that a service whose servers are
// all replaced is at no time without one.
func serverDifference(h *l4.ServiceStats, w l4.Service) []step {
	var steps []step
	for _, r := range w.Servers {
		i := slices.IndexFunc(h.Servers, func(x l4.ServerStats) bool { return x.Key() == r.Key() })
		switch {
		case i < 0:
			steps = append(steps, step{kind: addServer, key: w.Key, server: r})
		case h.Servers[i].Server != r:
			steps = append(steps, step{kind: editServer, key: w.Key, server: r})
		}
	}
	for i := range h.Servers {
		k := h.Servers[i].Key()
		if !slices.ContainsFunc(w.Servers, func(r l4.Server) bool { return r.Key() == k }) {
			steps = append(steps, step{kind: deleteServer, key: w.Key, remove: k})
		}
	}
	return steps
}

// sameService compares what services say of themselves.
func sameService(h, w l4.Service) bool {
	h.Key = h.Key.Canonical()
	h.SYNLimit, w.SYNLimit = 0, 0
	h.Servers, w.Servers = nil, nil
	return h.Key == w.Key && h.Scheduler == w.Scheduler && h.Flags == w.Flags && h.Persistence == w.Persistence &&
		h.PersistenceMask == w.PersistenceMask && h.PersistenceName == w.PersistenceName && h.OnePacket == w.OnePacket
}
