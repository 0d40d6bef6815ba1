package pool

import (
	"io"

	"evenkeel/internal/model"
)

// This file holds the exported methods that are not yet in their own files.

type waiterLinks struct{ srvPos, bePos int }
type queue struct{}
type backendState struct{}

// New makes the run-time backend of p. Link must be called before traffic
// when any server tracks another.
func New(p *model.Proxy, o Options) (*Backend, error) { panic("todo") }

// Link resolves `track` between the servers of all backends.
func Link(backends []*Backend) error { panic("todo") }

// Pick chooses a server and takes a slot on it. queued: every slot is taken
// and w waits; its Wake will be called. w nil: never queue, ErrQueueFull.
func (b *Backend) Pick(ch *Choice, w *Waiter) (srv *Server, queued bool, err error) { panic("todo") }

// PickServer takes a slot on s itself (use-server, a redispatch to the same
// server), or queues w at s.
func (b *Backend) PickServer(s *Server, w *Waiter) (srv *Server, queued bool, err error) {
	panic("todo")
}

// PickServerFor is PickServer with the choice's clock, Force and session
// count.
func (b *Backend) PickServerFor(s *Server, ch *Choice, w *Waiter) (srv *Server, queued bool, err error) {
	panic("todo")
}

// Cancel takes w out of its queue. false: it was woken (or is being woken) and
// Wake has been or will be called; the slot it got must be given back.
func (b *Backend) Cancel(w *Waiter) bool { panic("todo") }

// Release gives the slot back and wakes a waiter; !ok: the connection to the
// server failed (counts econ and observes a layer 4 error).
func (s *Server) Release(ok bool) { panic("todo") }

// Finish is Release(true) and the counting of a transaction under one lock.
func (s *Server) Finish(r *Result) { panic("todo") }

// Begin counts a session of the backend before any server is chosen (Pick
// does it itself when Choice.Counted is false). End ends it when no server
// was held at the end.
func (b *Backend) Begin(now int64) { panic("todo") }

// End counts the end of a transaction that held no server.
func (b *Backend) End(r *Result) { panic("todo") }

// Server finds a server by name, or "#id".
func (b *Backend) Server(name string) *Server { panic("todo") }

// ServerByCookie finds the server that a persistence cookie value names.
func (b *Backend) ServerByCookie(value []byte) *Server { panic("todo") }

// Usable is the number of servers that load balancing may use (nbsrv).
func (b *Backend) Usable() int { panic("todo") }

// Conns is the number of sessions on the backend (be_conn); Queue how many
// wait in the backend's and its servers' queues (queue); Slots the free slots
// (connslots); Rate the sessions of the last second (be_sess_rate).
func (b *Backend) Conns() int         { panic("todo") }
func (b *Backend) Queue() int         { panic("todo") }
func (b *Backend) Slots() int         { panic("todo") }
func (b *Backend) Rate(now int64) int { panic("todo") }

// Conns is the server's number of taken slots (srv_conn); Queue its waiters
// (srv_queue); Rate its sessions of the last second (srv_sess_rate).
func (s *Server) Conns() int         { panic("todo") }
func (s *Server) Queue() int         { panic("todo") }
func (s *Server) Rate(now int64) int { panic("todo") }

// Weight is the present effective weight as users see it, Weights the
// configured (initial) and the user's weight.
func (s *Server) Weight() int                  { panic("todo") }
func (s *Server) Weights() (initial, user int) { panic("todo") }

// Tick advances slowstart; the result is when to call it again (0: not
// needed). Pick does it too, so that a backend under traffic needs no timer.
func (b *Backend) Tick(now int64) (next int64) { panic("todo") }

// CheckDone reports a health check; AgentDone an agent check.
func (s *Server) CheckDone(r CheckReport) { panic("todo") }
func (s *Server) AgentDone(r AgentReport) { panic("todo") }

// Observe reports what live traffic says, when no Finish carries it.
func (s *Server) Observe(h Hana) { panic("todo") }

// SetAdmin is `set server state ready|drain|maint`.
func (s *Server) SetAdmin(state string) error { panic("todo") }

// Enable and Disable are `enable server` and `disable server`.
func (s *Server) Enable()  { panic("todo") }
func (s *Server) Disable() { panic("todo") }

// SetWeight takes "0".."256" or "0%".."N%".
func (s *Server) SetWeight(w string) error { panic("todo") }

// SetMaxConn is `set maxconn server`.
func (s *Server) SetMaxConn(n int) error { panic("todo") }

// SetAddr is `set server addr`: port "" keeps the port, "+N" and "-N" map.
// The message says what changed, as HAProxy prints it.
func (s *Server) SetAddr(addr, port, by string) (message string, err error) { panic("todo") }

// SetFQDN is `set server fqdn` (the name is resolved with Options.Resolve).
func (s *Server) SetFQDN(host string) error { panic("todo") }

// SetHealth is `set server health up|stopping|down`, SetAgent `agent up|down`.
func (s *Server) SetHealth(h string) error { panic("todo") }
func (s *Server) SetAgent(a string) error  { panic("todo") }

// SetCheckEnabled is enable|disable health; SetAgentEnabled enable|disable agent.
func (s *Server) SetCheckEnabled(on bool) { panic("todo") }
func (s *Server) SetAgentEnabled(on bool) { panic("todo") }

// CheckEnabled and AgentEnabled say whether checks should run now (they are
// paused by maintenance and by disable health|agent).
func (s *Server) CheckEnabled() bool { panic("todo") }
func (s *Server) AgentEnabled() bool { panic("todo") }

// Snapshot is the backend's and its servers' rows of show stat and show
// servers state.
func (b *Backend) Snapshot(now int64) Snapshot { panic("todo") }

// ClearCounters is `clear counters` (all) or only the maxima.
func (b *Backend) ClearCounters(all bool) { panic("todo") }

// Save is the state for a reload; Load takes it up by names (what the new
// configuration changed wins).
func (b *Backend) Save(now int64) SavedBackend      { panic("todo") }
func (b *Backend) Load(st *SavedBackend, now int64) { panic("todo") }

// LoadState reads HAProxy's server-state file (version 1).
func LoadState(r io.Reader, backends []*Backend, now int64) (warnings []string, err error) {
	panic("todo")
}

// WriteState writes `show servers state` for the backends (nil header: with
// the version line and the header).
func WriteState(w io.Writer, backends []*Backend, now int64) error { panic("todo") }
