package director

import (
	"fmt"
	"net/netip"
	"slices"

	"evenkeel/internal/health/real"
	"evenkeel/internal/l4"
	"evenkeel/internal/l4/flowsync"
	"evenkeel/internal/model"
)

// plan is a configuration made ready. It is not changed once it is made.
type plan struct {
	model    *model.Failover
	virtuals []*virtual
	owner    map[l4.Key]*virtual
	globals  l4.Config // without services
	keys     flowsync.Keys
}

// virtual is one virtual_server: one service, or as many as its group has
// members.
type virtual struct {
	spec     *model.VirtualServer
	name     string // as package real calls it
	keys     []l4.Key
	settings l4.Service // without key and servers
}

// maxGroup bounds the services of one group: a slip in a range of IPv6
// addresses would make more than any plane takes.
const maxGroup = 1 << 16

// compile makes a plan. The diagnostics tell what cannot be forwarded at all;
// what a certain plane cannot do is validate's affair.
func compile(f *model.Failover) (*plan, model.Diagnostics) {
	var d model.Diagnostics
	p := &plan{model: f, owner: map[l4.Key]*virtual{}}
	p.globals.Timeouts = l4.Timeouts{TCP: f.LVS.TimeoutTCP, TCPFin: f.LVS.TimeoutTCPFin, UDP: f.LVS.TimeoutUDP}
	p.globals.Pool, p.globals.XDP = f.LVS.Pool, f.LVS.XDP
	p.globals.ExpireNoDestination, p.globals.ExpireQuiescent, p.globals.SloppyTCP = f.LVS.ExpireNodest, f.LVS.ExpireQuiet, f.LVS.SloppyTCP
	groups := map[string]*model.VirtualServerGroup{}
	for _, g := range f.ServerGroups {
		groups[g.Name] = g
	}
	names := map[string]bool{}
	for _, s := range f.VirtualServers {
		v := &virtual{spec: s, name: real.Name(s), settings: settings(s)}
		if names[v.name] {
			continue // package real tells of it
		}
		names[v.name] = true
		for _, k := range keys(s, groups[s.Group], &d) {
			if first := p.owner[k]; first != nil {
				d.Warnf(s.Pos, "%v is a service of virtual_server %s (%v) already: that one is used", k, first.name, first.spec.Pos)
				continue
			}
			p.owner[k] = v
			v.keys = append(v.keys, k)
		}
		p.virtuals = append(p.virtuals, v)
	}
	return p, d
}

// settings is everything of a service but what it answers on and its servers.
func settings(s *model.VirtualServer) l4.Service {
	return l4.Service{Scheduler: s.Scheduler, Flags: flags(s.SchedFlags), Persistence: s.Persistence, PersistenceMask: s.PersistenceMask,
		PersistenceName: s.PersistenceEngine, OnePacket: s.OnePacket, SYNLimit: s.SYNLimit}
}

var flagWords = map[string]l4.Flags{"flag-1": l4.FlagSchedule1, "flag-2": l4.FlagSchedule2, "flag-3": l4.FlagSchedule3,
	"sh-fallback": l4.HashFallback, "mh-fallback": l4.HashFallback, "sh-port": l4.HashPort, "mh-port": l4.HashPort}

func flags(words []string) (f l4.Flags) {
	for _, w := range words {
		f |= flagWords[w]
	}
	return f
}

var protocols = map[string]l4.Protocol{"": l4.TCP, "TCP": l4.TCP, "UDP": l4.UDP, "SCTP": l4.SCTP}

// keys lists what a virtual server answers on.
func keys(s *model.VirtualServer, g *model.VirtualServerGroup, d *model.Diagnostics) (list []l4.Key) {
	protocol := protocols[s.Protocol]
	switch {
	case s.FwMark != 0:
		return []l4.Key{l4.Key{FwMark: s.FwMark, Family: l4.Family(s.Family)}.Canonical()}
	case s.Group == "":
		return []l4.Key{l4.Key{Addr: s.Addr, Protocol: protocol, Port: s.Port}.Canonical()}
	case g == nil:
		d.Errorf(s.Pos, "there is no virtual_server_group '%s'", s.Group)
		return nil
	}
	for _, m := range g.Members {
		if m.FwMark != 0 {
			family := m.Family
			if family == 0 {
				family = s.Family
			}
			list = append(list, l4.Key{FwMark: m.FwMark, Family: l4.Family(family)}.Canonical())
			continue
		}
		last := m.Last
		if !last.IsValid() {
			last = m.First
		}
		for a := m.First; a.IsValid() && a.Compare(last) <= 0; a = a.Next() {
			if len(list) == maxGroup {
				d.Errorf(m.Pos, "virtual_server_group %s has more than %d services: write smaller ranges, or use port ranges", g.Name, maxGroup)
				return nil
			}
			list = append(list, l4.Key{Addr: a, Protocol: protocol, Port: m.Port, PortLast: m.PortLast}.Canonical())
		}
	}
	return list
}

var methods = map[string]l4.Method{"": l4.NAT, "NAT": l4.NAT, "DR": l4.DR, "TUN": l4.TUN, "FULLNAT": l4.FULLNAT}

var tunnels = map[string]l4.TunnelType{"": l4.IPIP, "ipip": l4.IPIP, "gue": l4.GUE, "gre": l4.GRE}

// server is what a service with this key has for a real server. It is false
// where the two cannot go together: a group of both families has servers for
// each.
func (v *virtual) server(k l4.Key, r *model.RealServer, weight int) (l4.Server, bool) {
	s := l4.Server{Addr: r.Addr.Unmap(), Port: r.Port, Weight: min(weight, l4.MaxWeight), Upper: r.UpperConns, Lower: r.LowerConns}
	method, tunnel := r.Method, r.Tunnel
	if method == "" {
		method, tunnel = v.spec.Method, v.spec.Tunnel
	}
	s.Method = methods[method]
	switch {
	case s.Method == l4.TUN:
		s.Tunnel = tunnelOf(tunnel)
	case l4.FamilyOf(s.Addr) != k.AddressFamily():
		return s, false
	}
	if k.FwMark == 0 {
		switch {
		case s.Method == l4.DR || s.Method == l4.TUN:
			// Only rewriting changes ports.
			s.Port = k.Port
			if k.PortLast != 0 {
				s.Port = 0
			}
		case s.Port == 0 && k.PortLast == 0:
			s.Port = k.Port // of a group
		}
	}
	return s, true
}

func tunnelOf(t model.Tunnel) l4.Tunnel {
	x := l4.Tunnel{Type: tunnels[t.Type], Port: t.Port}
	switch {
	case t.RemCsum:
		x.Checksum = l4.TunnelRemoteChecksum
	case t.Csum:
		x.Checksum = l4.TunnelWithChecksum
	}
	return x
}

// wanted is one server with what the checks say of it.
type wanted struct {
	l4.Server
	down bool // it is there with weight 0, whatever was set by hand
	// aside: it is well, and not wanted. It stays while it has connections: see
	// leaving.
	aside bool
}

// servers is what a service of v has, given where package real says packets
// should go.
func (v *virtual) servers(k l4.Key, to []real.Destination) (list []wanted) {
	for _, d := range to {
		s, ok := v.server(k, d.Real, d.Weight)
		if !ok {
			continue
		}
		x := wanted{Server: s, down: d.Aside || d.Weight == 0 && (d.Sorry || d.Real.Weight != 0), aside: d.Aside}
		switch i := find(list, s.Key()); {
		case i < 0:
			list = append(list, x)
		case list[i].aside: // the sorry server is also one of the others
			list[i] = x
		}
	}
	return list
}

func find(list []wanted, k l4.ServerKey) int {
	return slices.IndexFunc(list, func(x wanted) bool { return x.Key() == k })
}

// has says whether the configuration has a server for a service of v.
func (v *virtual) has(k l4.Key, server l4.ServerKey) bool {
	is := func(r *model.RealServer) bool {
		s, ok := v.server(k, r, 0)
		return ok && s.Key() == server
	}
	return slices.ContainsFunc(v.spec.Real, is) || v.spec.Sorry != nil && is(v.spec.Sorry)
}

// service is the whole of one service.
type service struct {
	l4.Service // without servers
	servers    []wanted
}

// services is what the configuration and its checks ask for. A virtual server
// that package real does not know yet has no servers.
func (p *plan) services(to map[string][]real.Destination) (list []service) {
	for _, v := range p.virtuals {
		for _, k := range v.keys {
			s := service{Service: v.settings}
			s.Key = k
			s.servers = v.servers(k, to[v.name])
			list = append(list, s)
		}
	}
	return list
}

// config puts services together for a plane.
func (p *plan) config(list []service) l4.Config {
	c := p.globals
	c.Services = make([]l4.Service, len(list))
	for i, s := range list {
		c.Services[i] = s.Service
		c.Services[i].Servers = make([]l4.Server, len(s.servers))
		for n := range s.servers {
			c.Services[i].Servers[n] = s.servers[n].Server
		}
	}
	return c
}

// title is how a virtual server is called in messages that carry its line.
func title(v *model.VirtualServer) string { return "virtual_server " + real.Name(v) }

// endpoint is how keepalived writes an address with its port.
func endpoint(a netip.Addr, protocol string, port uint16) string {
	if protocol == "" {
		protocol = "TCP"
	}
	return fmt.Sprintf("[%v]:%s:%d", a, lower(protocol), port)
}
