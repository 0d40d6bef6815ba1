package pool

import (
	"net/netip"

	"evenkeel/internal/model"
)

// Endpoint is where a server is reached.
type Endpoint struct {
	Network string         // "tcp", "unix", "abns", "fd"; "" while a name is unresolved
	Addr    netip.AddrPort // of tcp; with PortMapped the port is an offset to the client's
	// PortMapped: connect to the client's destination port + Offset.
	PortMapped bool
	Offset     int
	Path       string // of unix and abns
	FD         int
	Host       string // the name or literal that the configuration gave
}

// For is the address to connect to for a client that came to dst.
func (e *Endpoint) For(dst netip.AddrPort) netip.AddrPort {
	if !e.PortMapped {
		return e.Addr
	}
	return netip.AddrPortFrom(e.Addr.Addr(), uint16(int(dst.Port())+e.Offset))
}

// Server is one server of a backend.
type Server struct {
	// Set once.
	Name    string
	ID      int
	Backend *Backend
	Model   *model.Server
	// Checked and Agented: a health or an agent check is configured and the
	// server is not disabled from them for good.
	Checked, Agented bool

	serverState
}

// Oper is a server's operational state, numbered as in srv_op_state.
type Oper uint8

const (
	Stopped  Oper = iota // down
	Starting             // warming up (slowstart)
	Running
	Stopping // up but for persistence only (disable-on-404, agent)
)

// Admin is a set of administrative states, numbered as in srv_admin_state.
type Admin uint8

const (
	AdminForcedMaint    Admin = 1 << iota // by a command or the agent
	AdminInheritedMaint                   // the tracked server is in maintenance
	AdminConfigMaint                      // `disabled` in the configuration
	AdminForcedDrain
	AdminInheritedDrain
	AdminResolveMaint // its name does not resolve
	AdminHostMaint    // `set server fqdn`

	// AdminMaint are the flags that take a server out. AdminConfigMaint only
	// tells where AdminForcedMaint came from, and outlives it.
	AdminMaint = AdminForcedMaint | AdminInheritedMaint | AdminResolveMaint | AdminHostMaint
	AdminDrain = AdminForcedDrain | AdminInheritedDrain
)

// Addr is where to connect now.
func (s *Server) Addr() Endpoint {
	s.Backend.mu.Lock()
	defer s.Backend.mu.Unlock()
	return s.endpoint
}

// State is the operational and administrative state.
func (s *Server) State() (Oper, Admin) {
	s.Backend.mu.Lock()
	defer s.Backend.mu.Unlock()
	return s.oper, s.admin
}

// Up says whether the server is not down (HAProxy's srv_is_up / srv_currently
// usable: not stopped, not in maintenance).
func (s *Server) Up() bool {
	s.Backend.mu.Lock()
	defer s.Backend.mu.Unlock()
	return s.oper != Stopped
}

// Usable says whether load balancing may choose the server.
func (s *Server) Usable() bool {
	s.Backend.mu.Lock()
	defer s.Backend.mu.Unlock()
	return s.usable()
}

// CookieValue is the value of the server's persistence cookie, "" for none.
func (s *Server) CookieValue() string {
	if s.Backend.dynamicCookie {
		s.Backend.mu.Lock()
		defer s.Backend.mu.Unlock()
	}
	return s.cookie
}

func (s *Server) String() string { return s.Backend.Name + "/" + s.Name }
