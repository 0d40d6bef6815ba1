package pool

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"evenkeel/internal/balance"
	"evenkeel/internal/model"
)

// Times are averages over the last transactions, or maxima, in milliseconds.
type Times struct{ Queue, Connect, Response, Total int }

// Counters are what the rows of servers and backends have in common.
type Counters struct {
	QueueCur, QueueMax, QueueLimit               int   // QueueLimit: maxqueue of a server, 0: none
	SessCur, SessMax, SessTotal                  int64 // scur smax stot
	ConnTotal, ConnectTotal, ReuseTotal          int64 // attempts to use a server; of these new and reused connections
	BytesIn, BytesOut                            int64
	DeniedReq, DeniedResp                        int64
	ErrReq, ErrConn, ErrResp                     int64
	InternalErrors, FailedRewrites               int64 // eint wrew
	Retries, Redispatches                        int64
	CliAborts, SrvAborts                         int64
	LBTotal                                      int64
	HTTP                                         [6]int64 // hrsp: 0 other, 1 … 5 by hundreds
	Requests                                     int64    // req_tot
	CacheLookups, CacheHits                      int64
	CompIn, CompOut, CompBypassed, CompResponses int64
	RateCur, RateMax                             int
	ReqRate, ReqRateMax, ConnRate, ConnRateMax   int
	LastSession                                  int64 // seconds ago, -1: none
	Avg, Max                                     Times
	FailedChecks, FailedHana, Downs              int64 // chkfail hanafail chkdown
	LastChange, Downtime                         int64 // seconds
	// Connections to a server: in use, idle (in all, safe to share, not
	// safe), and how many are estimated to be needed.
	UsedConns, IdleConns, SafeIdle, UnsafeIdle, NeededConns int
}

// Snapshot is one backend at one moment.
type Snapshot struct {
	Name, Mode, Algo, Cookie string // Cookie: the name of the persistence cookie
	ID, PID                  int
	Counters
	Status         string // UP or DOWN
	SessLimit      int    // slim: fullconn
	Weight         int    // of the servers in use
	UserWeight     int
	Active, Backup int // usable servers
	Servers        []ServerSnapshot
}

// ServerSnapshot is one server at one moment.
type ServerSnapshot struct {
	Name string
	ID   int
	Counters
	Status           string // UP, "DOWN 1/2", "MAINT (via b/s)", "no check" …
	Oper             Oper
	Admin            Admin
	SessLimit        int // maxconn; 0: none
	Limit            int // slots at present; 0: no limit
	MinConn          int
	Weight           int // effective, in users' units
	UserWeight       int
	InitialWeight    int
	Active, IsBackup bool   // which sort of server: one of them is true
	Throttle         int    // percent while warming up, -1: not
	Tracked          string // backend/server
	Cookie           string
	Addr             string // address:port, as in show stat
	Endpoint         Endpoint
	Checked, Agented bool // configured
	Check, Agent     CheckSnapshot
	PoolMaxConn      int // idle connections kept at most, -1: no limit
	Slowstart        time.Duration
	OnMarkedDown     string
}

// IdleCounts are the connections to a server that wait for reuse.
type IdleCounts struct{ Idle, Safe, Unsafe, Needed int }

// CheckSnapshot is the state of a server's health or agent check.
type CheckSnapshot struct {
	Enabled            bool
	Paused             bool
	Running            bool
	Code               CheckStatus
	Status             string        // short name, "* " before it while a check runs
	Desc               string        // long name
	HTTPCode           int           // check_code
	HasCode            bool          // check_code is to be shown
	Duration           time.Duration // -1: none
	Info               string        // last_chk
	Rise, Fall, Health int
	Result             int // 0 unknown, 1 neutral, 2 failed, 3 passed, 4 conditional
	State              int // bits of srv_check_state, srv_agent_state
}

func (c *checkState) snapshot(agent bool) CheckSnapshot {
	out := CheckSnapshot{
		Enabled: c.enabled, Paused: c.paused, Running: c.running,
		Code: c.status, Status: c.status.String(), Desc: c.status.Text(),
		HTTPCode: c.code, HasCode: c.status.hasCode(), Duration: c.duration, Info: c.info,
		Rise: c.rise, Fall: c.fall, Health: c.health, Result: c.result,
	}
	if c.running {
		out.Status = "* " + out.Status
	}
	for i, on := range [...]bool{c.running, c.configured, c.enabled, c.paused, agent && c.configured} {
		if on {
			out.State |= 1 << i
		}
	}
	return out
}

// root is what the status of a tracking server is read from.
type root struct {
	check, agent checkState
	oper         Oper
}

func (s *Server) root() root {
	ref := s
	for ref.track != nil {
		ref = ref.track
	}
	ref.Backend.mu.Lock()
	defer ref.Backend.mu.Unlock()
	return root{ref.check, ref.agent, ref.oper}
}

// Snapshot is the backend's and its servers' rows of show stat and show
// servers state. now is the loop's clock, 0: Options.Now.
func (b *Backend) Snapshot(now int64) Snapshot {
	now = b.clock(now)
	// Tracked servers may be in other backends: look at them first, so that
	// never two mutexes are held.
	roots := make([]root, len(b.Servers))
	for i, s := range b.Servers {
		if s.track != nil {
			roots[i] = s.root()
		}
	}
	idle := make([]IdleCounts, len(b.Servers))
	if b.opt.Idle != nil {
		for i, s := range b.Servers {
			idle[i] = b.opt.Idle(s)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.Model
	out := Snapshot{
		Name: b.Name, ID: b.ID, PID: max(b.opt.PID, 1), Algo: b.algo.name, Mode: "tcp",
		Counters: b.counts.snapshot(now), Status: "UP", SessLimit: b.fullConn,
		Weight: b.table.User(b.table.Total()), Active: b.table.Active(), Backup: b.table.Backup(),
	}
	if m.Mode == model.ModeHTTP {
		out.Mode = "http"
	}
	if m.Backend.Cookie != nil {
		out.Cookie = m.Backend.Cookie.Name
	}
	out.QueueCur, out.QueueMax, out.SessCur = b.queue.len(), b.queue.most, int64(b.conns)
	out.LastChange = (now - b.lastChange) / second
	out.Downs, out.Downtime = b.downs, b.downTime/second
	if len(b.Servers) > 0 && b.table.Total() == 0 {
		out.Status = "DOWN"
		out.Downtime = (b.downTime + now - b.lastChange) / second
	}
	out.Servers = make([]ServerSnapshot, len(b.Servers))
	for i, s := range b.Servers {
		r := roots[i]
		if s.track == nil {
			r = root{s.check, s.agent, s.oper}
		}
		out.Servers[i] = s.snapshot(now, r)
		k := &out.Servers[i].Counters
		k.IdleConns, k.SafeIdle, k.UnsafeIdle, k.NeededConns = idle[i].Idle, idle[i].Safe, idle[i].Unsafe, idle[i].Needed
		if b.table.InUse(&s.node) {
			out.UserWeight += s.uweight
		}
	}
	return out
}

func (s *Server) snapshot(now int64, r root) ServerSnapshot {
	b := s.Backend
	counters := s.counts.snapshot(now)
	counters.Requests = s.counts.answers // a request counts once it is answered
	out := ServerSnapshot{
		Name: s.Name, ID: s.ID, Counters: counters,
		Status: s.status(r), Oper: s.oper, Admin: s.admin,
		SessLimit: s.maxConn, Limit: s.node.Limit, MinConn: s.minConn,
		Weight: b.table.User(s.eweight), UserWeight: s.uweight, InitialWeight: s.iweight,
		Active: !s.Model.Backup, IsBackup: s.Model.Backup, Throttle: -1, Cookie: s.cookie,
		Endpoint: s.endpoint, Addr: s.endpoint.text(),
		Checked: s.Checked, Agented: s.Agented,
		Check: s.check.snapshot(false), Agent: s.agent.snapshot(true),
		PoolMaxConn: -1, Slowstart: s.Model.SlowStart, OnMarkedDown: s.Model.OnMarkedDown,
	}
	if s.Model.PoolMaxConn != nil {
		out.PoolMaxConn = *s.Model.PoolMaxConn
	}
	out.QueueLimit, out.UsedConns = s.Model.MaxQueue, s.node.Served
	out.FailedChecks, out.FailedHana = s.check.failed, s.counts.hana
	if s.track != nil {
		out.Tracked = s.track.String()
	}
	out.QueueCur, out.QueueMax, out.SessCur = s.queue.len(), s.queue.most, int64(s.node.Served)
	out.LastChange = (now - s.lastChange) / second
	out.Downs, out.Downtime = s.downs, s.downTime/second
	if s.oper == Stopped {
		out.Downtime = (s.downTime + now - s.lastChange) / second
	}
	if s.oper == Starting && s.uweight > 0 && now < s.lastChange+int64(s.Model.SlowStart) {
		out.Throttle = (100*s.eweight + balance.Scale - 1) / (balance.Scale * s.uweight)
	}
	return out
}

func (e *Endpoint) text() string {
	switch {
	case e.Network == "unix":
		return "unix"
	case e.Network == "abns":
		return "abns"
	case e.Network == "tcp" && e.PortMapped:
		return net.JoinHostPort(e.Addr.Addr().String(), fmt.Sprintf("%+d", e.Offset))
	case e.Network == "tcp":
		return net.JoinHostPort(e.Addr.Addr().String(), strconv.Itoa(int(e.Addr.Port())))
	}
	return ""
}

// status is the word that show stat has for the server's state.
func (s *Server) status(r root) string {
	switch {
	case s.admin&AdminResolveMaint != 0:
		return "MAINT (resolution)"
	case s.admin&AdminInheritedMaint != 0 && s.track != nil:
		return "MAINT (via " + s.track.String() + ")"
	case s.admin&AdminMaint != 0:
		return "MAINT"
	}
	word, counted := "UP", r.check.enabled && r.check.health < r.check.top()
	switch s.oper {
	case Stopped:
		counted = false
		word = "DOWN"
		switch {
		case r.agent.enabled && r.agent.health == 0:
			return "DOWN (agent)"
		case r.check.enabled && r.check.health == 0:
		case r.check.enabled || r.agent.enabled:
			counted = true
		}
	case Stopping:
		word = "NOLB"
	default:
		if s.admin&AdminDrain != 0 {
			word = "DRAIN"
			if r.agent.enabled {
				return "DRAIN (agent)"
			}
		} else if !r.check.enabled {
			return "no check"
		}
	}
	if !counted {
		return word
	}
	if r.oper == Stopped {
		return fmt.Sprintf("%s %d/%d", word, r.check.health, r.check.rise)
	}
	return fmt.Sprintf("%s %d/%d", word, r.check.health-r.check.rise+1, r.check.fall)
}

func (c *counts) snapshot(now int64) Counters {
	out := Counters{
		SessMax: c.most, SessTotal: c.total, LBTotal: c.balanced,
		BytesIn: c.in, BytesOut: c.out, DeniedReq: c.deniedReq, DeniedResp: c.deniedResp,
		ErrConn: c.errConn, ErrResp: c.errResp, Retries: c.retries, Redispatches: c.redispatches,
		InternalErrors: c.errInternal, FailedRewrites: c.rewrites,
		CliAborts: c.cliAborts, SrvAborts: c.srvAborts, HTTP: c.http, Requests: c.requests,
		ConnTotal: c.connects + c.reuses, ConnectTotal: c.connects, ReuseTotal: c.reuses, CacheLookups: c.cacheLookups, CacheHits: c.cacheHits,
		CompIn: c.compIn, CompOut: c.compOut, CompBypassed: c.compSkipped, CompResponses: c.compressed,
		RateCur: c.rate.Rate(now), RateMax: int(c.rateMost),
		ReqRate: c.reqRate.Rate(now), ReqRateMax: int(c.reqRateMost),
		ConnRate: c.connRate.Rate(now), ConnRateMax: int(c.connRateMost),
		LastSession: -1,
		Avg: Times{c.queueT.mean(c.requests), c.connectT.mean(c.requests),
			c.responseT.mean(c.requests), c.totalT.mean(c.requests)},
		Max: Times{c.queueT.most, c.connectT.most, c.responseT.most, c.totalT.most},
	}
	if c.lastSession >= 0 {
		out.LastSession = (now - c.lastSession) / second
	}
	return out
}
