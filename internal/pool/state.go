package pool

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"evenkeel/internal/balance"
	"evenkeel/internal/model"
)

// The server state machine. Every method here is called with the topology
// held, takes the mutex of its own backend, and never looks at a clock or
// calls out: what is to be done outside is collected in effects, which the
// caller runs once all locks are free.

// effects are what a change of state causes outside of the state.
type effects struct {
	events  []event
	woken   chain
	close   []*Server  // on-marked-down shutdown-sessions
	backups []*Backend // on-marked-up shutdown-backup-sessions
	changed []*Server
	kicks   []func()
}

type event struct {
	b     *Backend
	level int
	text  string
}

func (fx *effects) event(b *Backend, level int, format string, args ...any) {
	if b.opt.Event != nil {
		fx.events = append(fx.events, event{b, level, fmt.Sprintf(format, args...)})
	}
}

func (fx *effects) run() {
	fx.woken.wake()
	for _, s := range fx.close {
		if f := s.Backend.opt.CloseSessions; f != nil {
			f(s)
		}
	}
	for _, b := range fx.backups {
		if f := b.opt.CloseBackupSessions; f != nil {
			f(b)
		}
	}
	for _, e := range fx.events {
		e.b.opt.Event(e.level, e.text)
	}
	for _, s := range fx.changed {
		if f := s.Backend.opt.StateChanged; f != nil {
			f(s)
		}
	}
	for _, f := range fx.kicks {
		f()
	}
}

// who is how a server is named at the start of an event.
func (s *Server) who() string {
	if s.Model.Backup {
		return "Backup Server " + s.String()
	}
	return "Server " + s.String()
}

// via names the tracked server, when that is where a change came from.
func (s *Server) via(forced bool) string {
	if forced || s.track == nil {
		return ""
	}
	return " via " + s.track.String()
}

// left is the tail of the events that tell what a change did to the load.
func (s *Server) left(moved int) string {
	b := s.Backend
	active, backup := b.table.Active(), b.table.Backup()
	on := ""
	if backup > 0 && active == 0 {
		on = " Running on backup."
	}
	if s.oper == Stopped {
		return fmt.Sprintf(". %d active and %d backup servers left.%s %d sessions active, %d requeued, %d remaining in queue.",
			active, backup, on, s.node.Served, moved, s.queue.len())
	}
	return fmt.Sprintf(". %d active and %d backup servers online.%s %d sessions requeued, %d total in queue.",
		active, backup, on, moved, s.queue.len())
}

// before is what a change of state is measured against.
type beforeChange struct {
	oper     Oper
	stopping bool // was no longer taking new traffic: its end is no alarm
	servers  int
}

func (s *Server) remember() beforeChange {
	t := s.Backend.table
	return beforeChange{
		oper:     s.oper,
		stopping: s.oper == Stopping || s.admin&AdminDrain != 0,
		servers:  t.Active() + t.Backup(),
	}
}

// settle tells the load balancing about the server's state and weight.
func (s *Server) settle(now int64) {
	b := s.Backend
	part := balance.Scale
	if s.oper == Starting {
		elapsed, slow := now-s.lastChange, int64(s.Model.SlowStart)
		if elapsed < 0 || elapsed >= slow {
			s.oper = Running
		} else if b.table.Dynamic() {
			part = int(balance.Scale*elapsed/slow) + 1
		}
	}
	s.eweight = b.table.Effective(s.uweight, part)
	w := s.eweight
	if !s.usable() {
		w = 0
	}
	b.table.Set(&s.node, w)
	b.listDynamic()
	s.setLimit(now)
}

// listDynamic finds the servers whose limits have to be worked out before
// each choice, and those that warm up.
func (b *Backend) listDynamic() {
	b.dynamic, b.warming = b.dynamic[:0], 0
	for _, s := range b.Servers {
		if s.dynamicLimit() {
			b.dynamic = append(b.dynamic, s)
		}
		if s.oper == Starting {
			b.warming++
		}
	}
}

// account keeps the books of a change and tells when it was the backend's
// last server.
func (s *Server) account(was beforeChange, changedAt, now int64, fx *effects) {
	b := s.Backend
	if was.oper != s.oper {
		switch {
		case was.oper == Stopped:
			s.downTime += max(0, now-changedAt)
		case s.oper == Stopped:
			s.downs++
		}
	}
	fx.changed = append(fx.changed, s)
	servers := b.table.Active() + b.table.Backup()
	switch {
	case was.servers > 0 && servers == 0:
		b.lastChange = now
		b.downs++
		fx.event(b, LevelEmerg, "%s %s has no server available!", b.kind(), b.Name)
	case was.servers == 0 && servers > 0:
		b.downTime += max(0, now-b.lastChange)
		b.lastChange = now
	}
}

func (b *Backend) kind() string {
	if b.Model.Kind == model.KindListen {
		return "proxy"
	}
	return "backend"
}

// warm advances servers in slowstart and gives the slots they gained away.
func (b *Backend) warm(now int64) (woken chain) {
	b.warmAt = 0
	for _, s := range b.Servers {
		if s.oper != Starting {
			continue
		}
		s.settle(now)
		if s.oper == Starting {
			b.warmNext(s, now)
		}
		if b.waiting > 0 {
			woken.join(b.dequeue(s, now))
		}
	}
	return woken
}

func (b *Backend) warmNext(s *Server, now int64) {
	at := now + max(int64(time.Second), int64(s.Model.SlowStart)/20)
	if b.warmAt == 0 || at < b.warmAt {
		b.warmAt = at
	}
}

// Tick advances slowstart; the result is when to call it again (0: nothing
// warms up). Traffic does it too, so that only a backend with waiters and no
// other traffic depends on it.
func (b *Backend) Tick(now int64) (next int64) {
	b.mu.Lock()
	var woken chain
	if b.warming > 0 && now >= b.warmAt {
		woken = b.warm(now)
	}
	if b.warming > 0 {
		next = b.warmAt
	}
	b.mu.Unlock()
	woken.wake()
	return next
}

// stop marks s down unless it is in maintenance.
func (s *Server) stop(cause string, now int64, fx *effects) {
	b := s.Backend
	b.mu.Lock()
	if s.admin&AdminMaint != 0 || s.oper == Stopped {
		b.mu.Unlock()
		return
	}
	was, at := s.remember(), s.lastChange
	s.oper, s.lastChange = Stopped, now
	s.settle(now)
	s.endSessions(fx)
	moved := b.redistribute(s, fx)
	level := LevelAlert
	if was.stopping {
		level = LevelNotice
	}
	fx.event(b, level, "%s is DOWN%s%s%s", s.who(), cause, s.via(false), s.left(moved))
	s.account(was, at, now, fx)
	b.mu.Unlock()
	for _, t := range s.trackers {
		t.stop("", now, fx)
	}
}

func (s *Server) endSessions(fx *effects) {
	if s.Model.OnMarkedDown == "shutdown-sessions" {
		fx.close = append(fx.close, s)
	}
}

// start marks s up, through slowstart if it has one.
func (s *Server) start(cause string, now int64, fx *effects) {
	b := s.Backend
	b.mu.Lock()
	if s.admin&AdminMaint != 0 || s.oper == Running || s.oper == Starting {
		b.mu.Unlock()
		return
	}
	was, at := s.remember(), s.lastChange
	s.begin(now)
	moved := s.open(now, fx)
	fx.event(b, LevelNotice, "%s is UP%s%s%s", s.who(), cause, s.via(false), s.left(moved))
	s.account(was, at, now, fx)
	b.mu.Unlock()
	for _, t := range s.trackers {
		t.start("", now, fx)
	}
}

// begin is the change to Starting or Running.
func (s *Server) begin(now int64) {
	s.oper, s.lastChange = Running, now
	if s.Model.SlowStart > 0 {
		s.oper = Starting
		s.Backend.warmNext(s, now)
	}
}

// open makes use of a server that came up; it returns how many waiters it
// took.
func (s *Server) open(now int64, fx *effects) (moved int) {
	b := s.Backend
	s.settle(now)
	if s.Model.OnMarkedUp == "shutdown-backup-sessions" && !s.Model.Backup && s.eweight > 0 {
		fx.backups = append(fx.backups, b)
	}
	if b.waiting == 0 {
		return 0
	}
	return fx.woken.join(b.dequeue(s, now))
}

// wind marks s as stopping: only persistent traffic reaches it.
func (s *Server) wind(cause string, now int64, fx *effects) {
	b := s.Backend
	b.mu.Lock()
	if s.admin&AdminMaint != 0 || s.oper == Stopping {
		b.mu.Unlock()
		return
	}
	was, at := s.remember(), s.lastChange
	s.oper, s.lastChange = Stopping, now
	s.settle(now)
	moved := b.redistribute(s, fx)
	fx.event(b, LevelNotice, "%s is stopping%s%s%s", s.who(), cause, s.via(false), s.left(moved))
	s.account(was, at, now, fx)
	b.mu.Unlock()
	for _, t := range s.trackers {
		t.wind("", now, fx)
	}
}

// inherited is the flag that a tracking server gets for one of its tracked
// server's.
func inherited(flag Admin) Admin {
	if flag&AdminMaint != 0 {
		return AdminInheritedMaint
	}
	return AdminInheritedDrain
}

func family(flag Admin) Admin {
	if flag&AdminMaint != 0 {
		return AdminMaint
	}
	return AdminDrain
}

// setAdmin sets one administrative flag, and the inherited one on trackers.
func (s *Server) setAdmin(flag Admin, cause string, now int64, fx *effects) {
	b := s.Backend
	b.mu.Lock()
	if s.admin&flag != 0 {
		b.mu.Unlock()
		return
	}
	if cause != "" {
		cause = " (" + cause + ")"
	}
	was, at, old := s.remember(), s.lastChange, s.admin
	s.admin |= flag
	switch {
	case old&AdminMaint == 0 && s.admin&AdminMaint != 0:
		s.enterMaint(was, cause, now, fx)
	case s.admin&AdminMaint == 0 && old&AdminDrain == 0:
		s.settle(now)
		moved := b.redistribute(s, fx)
		fx.event(b, LevelNotice, "%s enters drain state%s%s%s", s.who(), cause,
			s.via(s.admin&AdminForcedDrain != 0), s.left(moved))
	}
	s.account(was, at, now, fx)
	already := old&family(flag) != 0
	b.mu.Unlock()
	if already {
		return
	}
	for _, t := range s.trackers {
		t.setAdmin(inherited(flag), "", now, fx)
	}
}

func (s *Server) enterMaint(was beforeChange, cause string, now int64, fx *effects) {
	b := s.Backend
	forced := s.admin&AdminForcedMaint != 0
	if s.check.enabled {
		s.check.paused = true
		s.check.health = 0
	}
	if was.oper == Stopped {
		s.settle(now)
		fx.event(b, LevelNotice, "%s was DOWN and now enters maintenance%s%s.", s.who(), cause, s.via(forced))
		return
	}
	s.check.health = 0
	s.oper, s.lastChange = Stopped, now
	s.settle(now)
	s.endSessions(fx)
	moved := b.redistribute(s, fx)
	level := LevelAlert
	if was.stopping {
		level = LevelNotice
	}
	fx.event(b, level, "%s is going DOWN for maintenance%s%s%s", s.who(), cause, s.via(forced), s.left(moved))
}

// clearAdmin clears one administrative flag, and the inherited one on
// trackers.
func (s *Server) clearAdmin(flag Admin, now int64, fx *effects) {
	b := s.Backend
	tracked := Running
	if s.track != nil {
		tracked, _ = s.track.State()
	}
	b.mu.Lock()
	if s.admin&flag == 0 {
		b.mu.Unlock()
		return
	}
	was, at, old := s.remember(), s.lastChange, s.admin
	s.admin &^= flag
	switch {
	case old&AdminMaint != 0 && s.admin&AdminMaint == 0:
		s.leaveMaint(old, tracked, now, fx)
	case s.admin&AdminMaint != 0:
		s.stayInMaint(old, fx)
	}
	if s.admin&AdminMaint == 0 && old&AdminDrain != 0 {
		s.leaveDrain(now, fx)
	}
	s.account(was, at, now, fx)
	still := s.admin&family(flag) != 0
	b.mu.Unlock()
	if still {
		return
	}
	for _, t := range s.trackers {
		t.clearAdmin(inherited(flag), now, fx)
	}
}

func (s *Server) leaveMaint(old Admin, tracked Oper, now int64, fx *effects) {
	b := s.Backend
	if s.check.enabled {
		s.check.paused = false
		s.check.health = s.check.rise // up, but the first failure takes it down
	}
	if tracked != Stopped &&
		(!s.agent.enabled || s.agent.health >= s.agent.rise) &&
		(!s.check.enabled || s.check.health >= s.check.rise) {
		if tracked == Stopping {
			s.oper, s.lastChange = Stopping, now
		} else {
			s.begin(now)
		}
	}
	state, mode := "UP", "READY"
	if s.oper == Stopped {
		state = "DOWN"
	}
	if s.admin&AdminDrain != 0 {
		mode = "DRAIN"
	}
	gone := old &^ s.admin
	switch {
	case gone&AdminForcedMaint != 0:
		fx.event(b, LevelNotice, "%s is %s/%s (leaving forced maintenance).", s.who(), state, mode)
	case gone&AdminResolveMaint != 0:
		fx.event(b, LevelNotice, "%s ('%s') is %s/%s (resolves again).", s.who(), s.endpoint.Host, state, mode)
	case gone&AdminInheritedMaint != 0:
		fx.event(b, LevelNotice, "%s is %s/%s (leaving maintenance).", s.who(), state, mode)
	}
	s.open(now, fx)
	if s.kick != nil {
		fx.kicks = append(fx.kicks, s.kick)
	}
}

func (s *Server) stayInMaint(old Admin, fx *effects) {
	gone := old &^ s.admin
	switch {
	case gone&AdminForcedMaint != 0:
		fx.event(s.Backend, LevelNotice, "%s is leaving forced maintenance but remains in maintenance%s.", s.who(), s.via(false))
	case gone&AdminResolveMaint != 0:
		fx.event(s.Backend, LevelNotice, "%s ('%s') resolves again but remains in maintenance%s.", s.who(), s.endpoint.Host, s.via(false))
	case gone&AdminInheritedMaint != 0:
		fx.event(s.Backend, LevelNotice, "%s remains in forced maintenance.", s.who())
	}
}

func (s *Server) leaveDrain(now int64, fx *effects) {
	b := s.Backend
	if s.admin&AdminDrain != 0 {
		if s.admin&AdminForcedDrain != 0 {
			fx.event(b, LevelNotice, "%s remains in forced drain mode.", s.who())
		} else {
			fx.event(b, LevelNotice, "%s remains in drain mode%s.", s.who(), s.via(false))
		}
		return
	}
	state := "UP"
	if s.oper == Stopped {
		state = "DOWN"
	}
	fx.event(b, LevelNotice, "%s is %s (leaving forced drain).", s.who(), state)
	s.open(now, fx)
}

// quoted is a check's information as it stands in events: what is not plain
// text is written as <XX>.
func quoted(info string) string {
	if !slices.ContainsFunc([]byte(info), special) {
		return info
	}
	var sb strings.Builder
	for _, c := range []byte(info) {
		if special(c) {
			fmt.Fprintf(&sb, "<%02X>", c)
		} else {
			sb.WriteByte(c)
		}
	}
	return sb.String()
}

func special(c byte) bool {
	return c < 0x20 || c >= 0x7f || c == '<' || c == '>' || c == '"'
}
