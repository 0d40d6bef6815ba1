package pool

import (
	"net/netip"
	"sync"
	"time"

	"evenkeel/internal/model"
)

// Options are what a backend needs from outside. Every function may be nil.
type Options struct {
	// Resolve turns a server's host name into an address. Literals never
	// reach it.
	Resolve func(host string) (netip.Addr, error)
	// Now is the monotonic clock in nanoseconds; Wall the wall clock.
	Now  func() int64
	Wall func() time.Time
	// Event gets what HAProxy would log; level is the syslog severity
	// (1 alert … 5 notice, 6 info). Called with no lock held.
	Event func(level int, text string)
	// CloseSessions asks for the sessions on s to be ended (on-marked-down
	// shutdown-sessions); CloseBackupSessions for those on b's backup servers
	// (on-marked-up shutdown-backup-sessions). Called with no lock held.
	CloseSessions       func(s *Server)
	CloseBackupSessions func(b *Backend)
	// StateChanged is called with no lock held after the address, weight or
	// state of a server changed (a dashboard, agents, idle pools).
	StateChanged func(s *Server)
	// SpareMaint starts without `disabled` being honoured: used by tests and
	// hand-over.
	PID int
}

// Severity levels of events.
const (
	LevelAlert   = 1
	LevelWarning = 4
	LevelNotice  = 5
	LevelInfo    = 6
)

// Backend is the serving half of a proxy at run time.
type Backend struct {
	// Set once.
	Name    string
	ID      int
	Model   *model.Proxy
	Servers []*Server // in configuration order

	opt           Options
	dynamicCookie bool

	mu           sync.Mutex
	backendState // guarded by mu
}
