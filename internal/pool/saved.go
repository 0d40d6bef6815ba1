package pool

import "time"

// SavedBackend is what a reload hands over; it can be encoded by gob and json.
type SavedBackend struct {
	Name                  string
	SinceChange, Downtime time.Duration
	Servers               []SavedServer
}

// SavedServer is one server's part of it. What the configuration says is
// stored beside what it became, because a changed configuration wins.
type SavedServer struct {
	Name                     string
	Oper                     Oper
	Admin                    Admin
	ConfigWeight, UserWeight int
	ConfigMaxConn, MaxConn   int
	Moved                    bool // the address was changed by a command
	Endpoint                 Endpoint
	SinceChange, Downtime    time.Duration
	Downs                    int64
	Check, Agent             SavedCheck
}

// SavedCheck is the state of one kind of check.
type SavedCheck struct {
	Disabled    bool // by a command
	Status      CheckStatus
	Result      int
	Health, Top int // Top: rise + fall - 1 at the time
	Code        int
	Info        string
	Duration    time.Duration
	Failed      int64
}

func (c *checkState) save() SavedCheck {
	return SavedCheck{
		Disabled: c.configured && !c.enabled, Status: c.status, Result: c.result,
		Health: c.health, Top: c.top(), Code: c.code, Info: c.info, Duration: c.duration, Failed: c.failed,
	}
}

func (c *checkState) load(st *SavedCheck) {
	if !c.configured {
		return
	}
	c.enabled = !st.Disabled
	c.status, c.result, c.code = st.Status, st.Result, st.Code
	c.info, c.duration, c.failed = st.Info, st.Duration, st.Failed
	c.health = min(st.Health, c.top())
	if st.Health == st.Top {
		c.health = c.top()
	}
}

// Save is the state of the backend for a reload.
func (b *Backend) Save(now int64) SavedBackend {
	now = b.clock(now)
	b.mu.Lock()
	defer b.mu.Unlock()
	out := SavedBackend{
		Name: b.Name, SinceChange: time.Duration(now - b.lastChange), Downtime: time.Duration(b.downTime),
		Servers: make([]SavedServer, len(b.Servers)),
	}
	for i, s := range b.Servers {
		out.Servers[i] = SavedServer{
			Name: s.Name, Oper: s.oper, Admin: s.admin,
			ConfigWeight: s.iweight, UserWeight: s.uweight,
			ConfigMaxConn: s.Model.MaxConn, MaxConn: s.maxConn,
			Moved: s.addrChanged, Endpoint: s.endpoint,
			SinceChange: time.Duration(now - s.lastChange), Downtime: time.Duration(s.downTime), Downs: s.downs,
			Check: s.check.save(), Agent: s.agent.save(),
		}
	}
	return out
}

// Load takes up what Save gave, server by server under their names. It belongs
// between Link and traffic; nothing of it is an event.
func (b *Backend) Load(st *SavedBackend, now int64) {
	now = b.clock(now)
	b.topology.Lock()
	defer b.topology.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range st.Servers {
		if s := b.byName[st.Servers[i].Name]; s != nil {
			s.load(&st.Servers[i], now)
		}
	}
	b.lastChange, b.downTime = now-int64(st.SinceChange), int64(st.Downtime)
}

func (s *Server) load(st *SavedServer, now int64) {
	if st.ConfigWeight == s.iweight && (s.Backend.table.Dynamic() || st.UserWeight == 0) {
		s.uweight = st.UserWeight
	}
	if st.ConfigMaxConn == s.Model.MaxConn && st.MaxConn != s.maxConn {
		if s.minConn == s.maxConn {
			s.minConn = st.MaxConn
		}
		s.maxConn = st.MaxConn
	}
	if st.Moved && st.Endpoint.Host == s.endpoint.Host {
		s.endpoint, s.addrChanged = st.Endpoint, true
	}
	s.admin = mergeAdmin(s.admin, st.Admin, s.track != nil)
	s.check.load(&st.Check)
	s.agent.load(&st.Agent)
	s.loadOper(st.Oper, now, int64(st.SinceChange))
	s.downTime, s.downs = int64(st.Downtime), st.Downs
	s.settle(now)
}

// mergeAdmin joins the flags that the configuration gives with those before:
// commands survive, a server that is newly disabled (or no longer) follows its
// configuration, and inherited flags are kept only while there is one to
// inherit from.
func mergeAdmin(config, before Admin, tracking bool) Admin {
	forced := (AdminForcedMaint | AdminForcedDrain) & before
	was, is := before&AdminConfigMaint != 0, config&AdminConfigMaint != 0
	switch {
	case is && !was:
		forced |= AdminForcedMaint
	case was && !is:
		forced &^= AdminForcedMaint
	}
	out := forced | config&AdminConfigMaint | before&AdminResolveMaint
	if tracking {
		out |= before & (AdminInheritedMaint | AdminInheritedDrain)
	}
	return out
}

// loadOper sets the operational state that fits the flags and checks.
func (s *Server) loadOper(was Oper, now, since int64) {
	s.lastChange = now - since
	s.check.paused = s.admin&AdminMaint != 0 && (s.check.configured || s.Model.Disabled)
	switch {
	case s.admin&AdminMaint != 0:
		s.oper = Stopped
		s.check.health = 0
	case was == Stopped && !s.Checked && !s.Agented && s.track == nil:
		// Nobody would ever bring it back up.
		s.oper, s.lastChange = Running, now
	default:
		s.oper = was
		if was == Starting {
			s.Backend.warmNext(s, now)
		}
		if was != Stopped && s.check.enabled && s.check.health < s.check.rise {
			s.check.health = s.check.rise
		}
	}
}
