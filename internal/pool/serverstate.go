package pool

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"evenkeel/internal/balance"
	"evenkeel/internal/model"
)

// serverState is what the backend's mutex guards of a server.
type serverState struct {
	node    balance.Node
	queue   queue
	maxConn int
	minConn int

	endpoint    Endpoint
	addrChanged bool // by a command, so a reload keeps it
	cookie      string

	oper             Oper
	admin            Admin
	iweight, uweight int // configured and user's weight
	eweight          int // effective; the table has 0 while the server is not usable
	check, agent     checkState
	errors           int // consecutive, seen by observe
	lastChange       int64
	downTime         int64
	downs            int64

	counts counts

	// Set by Link.
	track    *Server
	trackers []*Server

	kick func()
}

// checkState is the counters of one kind of check of a server.
type checkState struct {
	configured, enabled, paused, running bool
	fast                                 bool // fastinter until the next result
	rise, fall, health                   int
	status                               CheckStatus
	result                               int // 0 unknown, 1 neutral, 2 failed, 3 passed, 4 conditional
	code                                 int
	duration                             time.Duration // -1: none
	info                                 string
	failed                               int64
}

func (c *checkState) top() int { return c.rise + c.fall - 1 }

func newServer(b *Backend, m *model.Server, index int, now int64) *Server {
	s := &Server{Name: m.Name, ID: m.ID, Backend: b, Model: m}
	if s.ID == 0 {
		s.ID = index + 1
	}
	s.Checked, s.Agented = m.Check.Enabled, m.Agent.Enabled
	s.iweight = 1
	if m.Weight != nil {
		s.iweight = *m.Weight
	}
	s.uweight = s.iweight
	s.maxConn, s.minConn = m.MaxConn, m.MinConn
	if s.minConn > s.maxConn {
		s.maxConn = s.minConn
	}
	if s.minConn == 0 {
		s.minConn = s.maxConn
	}
	s.cookie = m.Cookie
	s.node = balance.Node{ID: s.ID, Backup: m.Backup}
	s.oper = Running
	s.lastChange = now
	s.counts.lastSession = -1
	rise, fall := m.Check.Rise, m.Check.Fall
	if rise == 0 {
		rise = 2
	}
	if fall == 0 {
		fall = 3
	}
	s.check = checkState{
		configured: s.Checked, enabled: s.Checked, rise: rise, fall: fall,
		health: rise, status: CheckInit, duration: -1,
	}
	s.agent = checkState{
		configured: s.Agented, enabled: s.Agented, rise: 1, fall: 1,
		health: 1, status: CheckInit, duration: -1,
	}
	if m.Disabled {
		s.admin = AdminConfigMaint | AdminForcedMaint
		s.oper = Stopped
		s.check.paused, s.check.health = true, 0
	}
	return s
}

// resolve fills the endpoint from the configuration.
func (s *Server) resolve() error {
	a := s.Model.Addr
	e := Endpoint{Network: "tcp", Host: a.Host, PortMapped: a.PortMapped, Path: a.Path, FD: a.FD}
	switch a.Network {
	case "unix", "abns", "fd":
		e.Network = a.Network
		s.endpoint = e
		return nil
	}
	if a.PortMapped {
		e.Offset = a.Port
	}
	port := uint16(a.Port)
	ip, err := netip.ParseAddr(a.Host)
	switch {
	case err == nil:
	case a.Host == "" || a.Host == "*":
		ip = netip.IPv4Unspecified()
	case s.Backend.opt.Resolve == nil:
		e.Network = ""
	default:
		if ip, err = s.Backend.opt.Resolve(a.Host); err != nil {
			if ip, err = s.initialAddr(err); err != nil {
				return err
			}
			if !ip.IsValid() {
				e.Network = ""
			}
		}
	}
	if e.Network != "" {
		e.Addr = netip.AddrPortFrom(ip.Unmap(), port)
	}
	s.endpoint = e
	if s.Backend.dynamicCookie && s.cookie == "" {
		s.cookie = dynamicCookie(s.Backend.Model.Backend.DynamicCookieKey, e.Addr)
	}
	return nil
}

// initialAddr is what init-addr has for a server whose name does not resolve:
// a literal address, or "none" for a start in maintenance.
func (s *Server) initialAddr(cause error) (netip.Addr, error) {
	for method := range strings.SplitSeq(s.Model.InitAddr, ",") {
		if method == "none" {
			s.admin |= AdminResolveMaint
			s.oper = Stopped
			s.check.paused, s.check.health = s.check.enabled, 0
			return netip.Addr{}, nil
		}
		if ip, err := netip.ParseAddr(method); err == nil {
			return ip, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("server %s: could not resolve address %q: %w", s, s.Model.Addr.Host, cause)
}

// usable says whether load balancing may choose s.
func (s *Server) usable() bool {
	return (s.oper == Running || s.oper == Starting) &&
		s.admin&(AdminMaint|AdminDrain) == 0 && s.eweight > 0
}

// setLimit works out how many slots s has now and tells the table's node.
func (s *Server) setLimit(now int64) {
	limit := s.maxConn
	if limit == 0 {
		s.node.Limit = 0
		return
	}
	b := s.Backend
	if s.minConn != s.maxConn && b.conns < b.fullConn {
		limit = max(s.minConn, b.conns*s.maxConn/b.fullConn)
	}
	if slow := int64(s.Model.SlowStart); s.oper == Starting && now < s.lastChange+slow && now >= s.lastChange {
		// HAProxy counts whole seconds here; so coarse a step starves servers
		// whose slowstart is short.
		limit = max(1, limit*int(100*(now-s.lastChange)/slow)/100)
	}
	s.node.Limit = limit
}

// dynamicLimit says whether setLimit's outcome depends on load or time.
func (s *Server) dynamicLimit() bool {
	return s.maxConn > 0 && (s.minConn != s.maxConn || s.oper == Starting)
}

// full says whether another connection has to wait for a slot.
func (s *Server) full() bool {
	return s.node.Limit > 0 && (s.queue.len() > 0 || s.node.Served >= s.node.Limit)
}

// Conns is the server's number of taken slots (srv_conn).
func (s *Server) Conns() int {
	s.Backend.mu.Lock()
	defer s.Backend.mu.Unlock()
	return s.node.Served
}

// Queue is the number of waiters in the server's own queue (srv_queue).
func (s *Server) Queue() int {
	s.Backend.mu.Lock()
	defer s.Backend.mu.Unlock()
	return s.queue.len()
}

// Rate is the server's sessions of the last second (srv_sess_rate).
func (s *Server) Rate(now int64) int {
	s.Backend.mu.Lock()
	defer s.Backend.mu.Unlock()
	return s.counts.rate.Rate(s.Backend.clock(now))
}

// Weight is the present effective weight in users' units.
func (s *Server) Weight() int {
	s.Backend.mu.Lock()
	defer s.Backend.mu.Unlock()
	return s.Backend.table.User(s.eweight)
}

// Weights are the configured and the user's weight.
func (s *Server) Weights() (initial, user int) {
	s.Backend.mu.Lock()
	defer s.Backend.mu.Unlock()
	return s.iweight, s.uweight
}
