package l4

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// MaxWeight is the largest weight of a server.
const MaxWeight = 65535

// MaxPersistence is the longest persistence, which is IPVS's.
const MaxPersistence = 31 * 24 * time.Hour

// Validate says everything that is wrong with a configuration in general and
// for a plane with these features. Each error names the service, the server
// and what would be right.
func (c Config) Validate(f Features) error {
	var errs []error
	seen := make(map[Key]bool, len(c.Services))
	for i := range c.Services {
		s := &c.Services[i]
		k := s.Key.Canonical()
		if seen[k] {
			errs = append(errs, fmt.Errorf("%v: the service is there twice", k))
		}
		seen[k] = true
		for _, err := range s.check(c, f) {
			errs = append(errs, fmt.Errorf("%v: %w", k, err))
		}
	}
	errs = append(errs, overlaps(c.Services)...)
	for _, a := range c.Pool {
		if !usable(a) {
			errs = append(errs, fmt.Errorf("pool address %v: want a unicast address", a))
		}
	}
	if a := c.TunnelSource4; a.IsValid() && (!a.Is4() || !usable(a)) {
		errs = append(errs, fmt.Errorf("tunnel source %v: want a unicast IPv4 address", a))
	}
	if a := c.TunnelSource6; a.IsValid() && (!a.Is6() || !usable(a)) {
		errs = append(errs, fmt.Errorf("tunnel source %v: want a unicast IPv6 address", a))
	}
	for _, t := range []struct {
		name string
		d    time.Duration
	}{{"tcp", c.Timeouts.TCP}, {"tcpfin", c.Timeouts.TCPFin}, {"udp", c.Timeouts.UDP}} {
		if t.d < 0 || (t.d > 0 && t.d < time.Second) || t.d > MaxPersistence {
			errs = append(errs, fmt.Errorf("timeout %s of %v: want between 1s and %v", t.name, t.d, MaxPersistence))
		}
	}
	return errors.Join(errs...)
}

// check is what is wrong with one service.
func (s *Service) check(c Config, f Features) []error {
	errs := s.checkKey(f)
	if _, ok := SchedulerByName(s.Scheduler); !ok {
		errs = append(errs, fmt.Errorf("no scheduler %q: there are %s", s.Scheduler, schedulerNames()))
	} else if name := s.SchedulerName(); f.Schedulers != nil && !slices.Contains(f.Schedulers, name) {
		errs = append(errs, fmt.Errorf("scheduler %s: %s has only %s", name, f.Name, strings.Join(f.Schedulers, ", ")))
	}
	if s.Persistence < 0 || s.Persistence > MaxPersistence {
		errs = append(errs, fmt.Errorf("persistence of %v: want between 1s and %v", s.Persistence, MaxPersistence))
	}
	if bits := s.AddressFamily().Bits(); s.PersistenceMask < 0 || s.PersistenceMask > bits {
		errs = append(errs, fmt.Errorf("persistence granularity /%d: want a prefix length up to %d", s.PersistenceMask, bits))
	}
	if s.PersistenceName != "" && !slices.Contains(f.Engines, s.PersistenceName) {
		errs = append(errs, fmt.Errorf("persistence engine %q: %s has none of that name", s.PersistenceName, f.Name))
	}
	if s.OnePacket && s.FwMark == 0 && s.Protocol != UDP {
		errs = append(errs, fmt.Errorf("one-packet scheduling: only UDP has it, the service is %v", s.Protocol))
	}
	if s.SYNLimit < 0 {
		errs = append(errs, fmt.Errorf("SYN limit %d: want connections a second, or 0 for none", s.SYNLimit))
	} else if s.SYNLimit > 0 && !f.SYNLimit {
		errs = append(errs, fmt.Errorf("SYN limit: %s has none", f.Name))
	}
	seen := make(map[ServerKey]bool, len(s.Servers))
	for _, r := range s.Servers {
		if seen[r.Key()] {
			errs = append(errs, fmt.Errorf("server %v is there twice", r.Key()))
		}
		seen[r.Key()] = true
		for _, err := range r.check(s, c, f) {
			errs = append(errs, fmt.Errorf("server %v: %w", r.Key(), err))
		}
	}
	return errs
}

// checkKey is what is wrong with a service's key.
func (s *Service) checkKey(f Features) []error {
	var errs []error
	if s.FwMark != 0 {
		if !f.FwMarks {
			errs = append(errs, fmt.Errorf("firewall marks: %s has none", f.Name))
		}
		if s.Family != 0 && s.Family != IPv4 && s.Family != IPv6 {
			errs = append(errs, fmt.Errorf("family %d: want 4 or 6", s.Family))
		}
		if s.Addr.IsValid() || s.Port != 0 || s.PortLast != 0 {
			errs = append(errs, errors.New("a service has either a firewall mark or an address and a port"))
		}
		return errs
	}
	if !usable(s.Addr) {
		errs = append(errs, fmt.Errorf("address %v: want a unicast address", s.Addr))
	}
	if s.Family != 0 && s.Family != FamilyOf(s.Addr) {
		errs = append(errs, fmt.Errorf("family %d does not fit the address %v", s.Family, s.Addr))
	}
	if s.Protocol != TCP && s.Protocol != UDP && s.Protocol != SCTP {
		errs = append(errs, fmt.Errorf("%v: want TCP, UDP or SCTP", s.Protocol))
	} else if f.Protocols != nil && !slices.Contains(f.Protocols, s.Protocol) {
		errs = append(errs, fmt.Errorf("%v: %s does not forward it", s.Protocol, f.Name))
	}
	switch {
	case s.PortLast != 0 && (s.Port == 0 || s.PortLast < s.Port):
		errs = append(errs, fmt.Errorf("ports %d to %d: want the smaller first, and not 0", s.Port, s.PortLast))
	case s.PortLast > s.Port && !f.PortRanges:
		errs = append(errs, fmt.Errorf("port ranges: %s has none", f.Name))
	}
	if s.Port == 0 && s.PortLast == 0 && s.Persistence == 0 && !f.AnyPort {
		errs = append(errs, errors.New("port 0 (any) needs persistence: say persistence_timeout, or a port"))
	}
	return errs
}

// check is what is wrong with a server of a service.
func (r *Server) check(s *Service, c Config, f Features) []error {
	var errs []error
	loopback := r.Addr.Unmap().IsLoopback() // the director itself, as in keepalived's sorry_server 127.0.0.1 80
	if !loopback && !usable(r.Addr) {
		errs = append(errs, fmt.Errorf("address %v: want a unicast address", r.Addr))
	}
	if r.Method == FULLNAT && s.OnePacket {
		errs = append(errs, errors.New("one-packet scheduling remembers nothing, and FULLNAT has to remember its source: take method NAT, or leave one-packet out"))
	}
	if f.Methods != nil && !slices.Contains(f.Methods, r.Method) {
		errs = append(errs, fmt.Errorf("method %v: %s does not have it", r.Method, f.Name))
	}
	if r.Method != TUN && FamilyOf(r.Addr.Unmap()) != s.AddressFamily() {
		errs = append(errs, fmt.Errorf("an address of another family than the service's needs method TUN, not %v", r.Method))
	}
	if other := r.Port != 0 && s.FwMark == 0 && (r.Port != s.Port || s.PortLast > s.Port); other && (r.Method == DR || r.Method == TUN) {
		errs = append(errs, fmt.Errorf("port %d: %v does not change ports, so it is the service's (%d)", r.Port, r.Method, s.Port))
	} else if other && loopback {
		errs = append(errs, fmt.Errorf("port %d: the director itself answers at the virtual address and port, so it is the service's (%d)", r.Port, s.Port))
	}
	if r.Weight < 0 || r.Weight > MaxWeight {
		errs = append(errs, fmt.Errorf("weight %d: want 0 to %d", r.Weight, MaxWeight))
	}
	if r.Upper < 0 || r.Lower < 0 || (r.Lower > 0 && r.Lower > r.Upper) {
		errs = append(errs, fmt.Errorf("thresholds upper %d and lower %d: want lower not above upper", r.Upper, r.Lower))
	}
	if r.Method == TUN {
		if f.Tunnels != nil && !slices.Contains(f.Tunnels, r.Tunnel.Type) {
			errs = append(errs, fmt.Errorf("tunnel %v: %s does not have it", r.Tunnel.Type, f.Name))
		}
		if r.Tunnel.Type == GUE && r.Tunnel.Port == 0 {
			errs = append(errs, errors.New("tunnel gue needs a port"))
		}
	}
	if r.Method == FULLNAT && !slices.ContainsFunc(c.Pool, func(a netip.Addr) bool { return FamilyOf(a.Unmap()) == FamilyOf(r.Addr.Unmap()) }) {
		errs = append(errs, errors.New("method FULLNAT needs a pool of source addresses of the server's family"))
	}
	return errs
}

// overlaps finds port ranges of one address that share ports, which leaves it
// open whose a packet is.
func overlaps(services []Service) []error {
	var errs []error
	type place struct {
		addr     netip.Addr
		protocol Protocol
	}
	ranges := make(map[place][]Key)
	for i := range services {
		k := services[i].Key.Canonical()
		if k.FwMark != 0 || k.PortLast <= k.Port {
			continue
		}
		p := place{k.Addr, k.Protocol}
		for _, o := range ranges[p] {
			if k != o && k.Port <= o.PortLast && o.Port <= k.PortLast {
				errs = append(errs, fmt.Errorf("%v: shares ports with %v", k, o))
			}
		}
		ranges[p] = append(ranges[p], k)
	}
	return errs
}

// usable tells whether packets can go to an address.
func usable(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// Bits is how long an address of the family is.
func (f Family) Bits() int {
	if f == IPv6 {
		return 128
	}
	return 32
}

// SchedulerName is the service's scheduler, also when it says none.
func (s *Service) SchedulerName() string {
	if s.Scheduler == "" {
		return DefaultScheduler
	}
	return s.Scheduler
}

func schedulerNames() string {
	names := make([]string, len(Schedulers))
	for i, s := range Schedulers {
		names[i] = s.Name
	}
	return strings.Join(names, ", ")
}
