package pool

import (
	"fmt"
	"time"
)

// CheckStatus is the outcome of one health check, as `show stat` names it.
type CheckStatus uint8

const (
	CheckUnknown         CheckStatus = iota // UNK
	CheckInit                               // INI
	CheckNeutral                            // CHECKED: nothing changes (an agent that says only a weight)
	CheckHana                               // HANA: live traffic failed
	CheckSockErr                            // SOCKERR
	CheckL4OK                               // L4OK
	CheckL4Timeout                          // L4TOUT
	CheckL4Con                              // L4CON
	CheckL6OK                               // L6OK
	CheckL6Timeout                          // L6TOUT
	CheckL6Response                         // L6RSP
	CheckL7Timeout                          // L7TOUT
	CheckL7Response                         // L7RSP
	CheckL7OK                               // L7OK
	CheckL7OKConditional                    // L7OKC: disable-on-404
	CheckL7Status                           // L7STS
	CheckProcErr                            // PROCERR
	CheckProcTimeout                        // PROCTOUT
	CheckProcOK                             // PROCOK
	checkStatusCount
)

// Results of a check, numbered as in srv_check_result.
const (
	resultUnknown = iota
	resultNeutral
	resultFailed
	resultPassed
	resultConditional
)

var checkStatuses = [checkStatusCount]struct {
	name, text string
	number     int // in state files
	result     int
}{
	CheckUnknown:         {"UNK", "Unknown", 0, resultUnknown},
	CheckInit:            {"INI", "Initializing", 1, resultUnknown},
	CheckNeutral:         {"CHECKED", "No status change", 3, resultNeutral},
	CheckHana:            {"HANA", "Health analyze", 4, resultFailed},
	CheckSockErr:         {"SOCKERR", "Socket error", 5, resultFailed},
	CheckL4OK:            {"L4OK", "Layer4 check passed", 6, resultPassed},
	CheckL4Timeout:       {"L4TOUT", "Layer4 timeout", 7, resultFailed},
	CheckL4Con:           {"L4CON", "Layer4 connection problem", 8, resultFailed},
	CheckL6OK:            {"L6OK", "Layer6 check passed", 9, resultPassed},
	CheckL6Timeout:       {"L6TOUT", "Layer6 timeout", 10, resultFailed},
	CheckL6Response:      {"L6RSP", "Layer6 invalid response", 11, resultFailed},
	CheckL7Timeout:       {"L7TOUT", "Layer7 timeout", 12, resultFailed},
	CheckL7Response:      {"L7RSP", "Layer7 invalid response", 13, resultFailed},
	CheckL7OK:            {"L7OK", "Layer7 check passed", 15, resultPassed},
	CheckL7OKConditional: {"L7OKC", "Layer7 check conditionally passed", 16, resultConditional},
	CheckL7Status:        {"L7STS", "Layer7 wrong status", 17, resultFailed},
	CheckProcErr:         {"PROCERR", "External check error", 18, resultFailed},
	CheckProcTimeout:     {"PROCTOUT", "External check timeout", 19, resultFailed},
	CheckProcOK:          {"PROCOK", "External check passed", 20, resultPassed},
}

// String is the short name of show stat.
func (c CheckStatus) String() string { return checkStatuses[c].name }

// Text is the long name of events.
func (c CheckStatus) Text() string { return checkStatuses[c].text }

// Passed says whether the check went well (also conditionally).
func (c CheckStatus) Passed() bool { return checkStatuses[c].result >= resultPassed }

// hasCode says whether events tell the code of such a result.
func (c CheckStatus) hasCode() bool { return c >= CheckL7OK }

// ParseCheckStatus finds a status by its short name.
func ParseCheckStatus(name string) (CheckStatus, bool) {
	for i, s := range checkStatuses {
		if s.name == name {
			return CheckStatus(i), true
		}
	}
	return 0, false
}

// CheckReport is the end of one health check.
type CheckReport struct {
	Now      int64 // monotonic nanoseconds; 0: Options.Now is asked
	Status   CheckStatus
	Code     int           // HTTP or protocol status, 0: none
	Info     string        // what HAProxy logs as info: "…"
	Duration time.Duration // of the check
}

// AgentReport is the end of one agent check. An agent line may hold several
// words; what it did not say is empty or nil.
type AgentReport struct {
	Now int64
	// Status is of the exchange: CheckL7OK when a line was read, else what
	// failed. What the line says decides about the server.
	Status   CheckStatus
	Info     string
	Duration time.Duration
	Weight   string // "75%", "" for none
	MaxConn  *int
	Admin    string // "", "ready", "drain", "maint"
	Oper     string // "", "up", "down", "failed", "stopped"
	Reason   string // the text after # of a down word
}

// describe is the reason that an event gives for a check's outcome.
func (c *checkState) describe() string {
	s := ", reason: " + c.status.Text()
	if c.status.hasCode() {
		s += fmt.Sprintf(", code: %d", c.code)
	}
	if c.info != "" {
		s += `, info: "` + quoted(c.info) + `"`
	}
	if c.duration >= 0 {
		s += fmt.Sprintf(", check duration: %dms", c.duration.Milliseconds())
	}
	return s
}

// record takes up one result; agent failures other than a word from the agent
// change nothing. It says whether the result is worth a line in the log.
func (c *checkState) record(status CheckStatus, code int, info string, d time.Duration, agent bool) (news bool) {
	news = status != c.status
	c.status, c.code, c.info, c.duration = status, code, info, d
	if r := checkStatuses[status].result; r != resultUnknown {
		c.result = r
	}
	switch c.result {
	case resultNeutral:
		return false
	case resultFailed:
		if (!agent || status.hasCode()) && c.health > 0 {
			news = true
			c.failed++
			if c.health--; c.health < c.rise {
				c.health = 0
			}
		}
	case resultPassed, resultConditional:
		if c.health < c.top() {
			news = true
			if c.health++; c.health >= c.rise {
				c.health = c.top()
			}
		}
	}
	return news
}

// logCheck is the line of option log-health-checks.
func (s *Server) logCheck(c *checkState, what string, fx *effects) {
	b := s.Backend
	if !b.Model.Options.LogHealthChecks {
		return
	}
	verdict, backup := "failed", ""
	switch c.result {
	case resultPassed:
		verdict = "succeeded"
	case resultConditional:
		verdict = "conditionally succeeded"
	}
	if s.Model.Backup {
		backup = "backup "
	}
	n, of, state := c.health, c.rise, "DOWN"
	if c.health >= c.rise {
		n, of, state = c.health-c.rise+1, c.fall, "UP"
		if s.uweight == 0 {
			state = "DRAIN"
		}
	}
	fx.event(b, LevelNotice, "%s check for %sserver %s %s%s, status: %d/%d %s.",
		what, backup, s, verdict, c.describe(), n, of, state)
}

// cause is the reason given with a change of state, unless log-health-checks
// told it already.
func (s *Server) cause(c *checkState) string {
	if s.track != nil || s.Backend.Model.Options.LogHealthChecks {
		return ""
	}
	return c.describe()
}

// CheckStarted notes that a health check is under way (show stat marks it).
func (s *Server) CheckStarted() {
	s.Backend.mu.Lock()
	s.check.running = true
	s.Backend.mu.Unlock()
}

// CheckDone reports a health check. A conditional pass must be reported only
// when `http-check disable-on-404` is set.
func (s *Server) CheckDone(r CheckReport) {
	b := s.Backend
	now := b.clock(r.Now)
	var fx effects
	b.topology.Lock()
	b.mu.Lock()
	c := &s.check
	c.running, c.fast = false, false
	if !c.enabled || c.paused {
		// It was disabled while the check was under way: the result is late.
		b.mu.Unlock()
		b.topology.Unlock()
		return
	}
	if c.record(r.Status, r.Code, r.Info, r.Duration, false) {
		s.logCheck(c, "Health", &fx)
	}
	if r.Status.Passed() {
		s.errors = 0
	}
	result, cause := c.result, s.cause(c)
	down, ready := c.health <= 0, s.healthy()
	b.mu.Unlock()
	switch {
	case result == resultFailed && down:
		s.stop(cause, now, &fx)
	case result == resultPassed && ready:
		s.start(cause, now, &fx)
	case result == resultConditional && ready:
		s.wind(cause, now, &fx)
	}
	b.topology.Unlock()
	fx.run()
}

// healthy says whether no check holds the server down.
func (s *Server) healthy() bool {
	return (!s.check.enabled || s.check.health >= s.check.rise) &&
		(!s.agent.enabled || s.agent.health >= s.agent.rise)
}

// AgentDone reports an agent check.
func (s *Server) AgentDone(r AgentReport) {
	b := s.Backend
	now := b.clock(r.Now)
	b.mu.Lock()
	on := s.agent.enabled
	b.mu.Unlock()
	if !on {
		return
	}
	if r.Weight != "" {
		// A bad weight is the agent's mistake; the rest still counts.
		_ = s.SetWeight(r.Weight)
	}
	if r.MaxConn != nil {
		_ = s.SetMaxConn(*r.MaxConn)
	}
	if r.Admin != "" {
		_ = s.SetAdmin(r.Admin)
	}
	status, info := r.Status, r.Info
	if status == CheckL7OK {
		switch r.Oper {
		case "":
			status = CheckNeutral
		case "up":
		default:
			status, info = CheckL7Status, r.Oper
			if r.Reason != "" {
				info = r.Oper + " (" + r.Reason + ")"
			}
		}
	}
	var fx effects
	b.topology.Lock()
	b.mu.Lock()
	c := &s.agent
	if c.record(status, 0, info, r.Duration, true) {
		s.logCheck(c, "Agent", &fx)
	}
	cause := s.cause(c)
	down, ready := c.health <= 0, s.healthy() && s.oper != Stopping
	b.mu.Unlock()
	switch {
	case status == CheckL7Status && down:
		s.stop(cause, now, &fx)
	case status == CheckL7OK && ready:
		s.start(cause, now, &fx)
	}
	b.topology.Unlock()
	fx.run()
}

// CheckInterval is the time until the next health check in the present state:
// inter, fastinter or downinter.
func (s *Server) CheckInterval() time.Duration {
	s.Backend.mu.Lock()
	defer s.Backend.mu.Unlock()
	m, c := &s.Model.Check, &s.check
	inter := m.Inter
	if inter == 0 {
		inter = 2 * time.Second
	}
	switch {
	case c.health >= c.top() && !c.fast:
		return inter
	case s.oper == Stopped && c.health == 0:
		if m.DownInter > 0 {
			return m.DownInter
		}
	case m.FastInter > 0:
		return m.FastInter
	}
	return inter
}

// AgentInterval is the time between two agent checks.
func (s *Server) AgentInterval() time.Duration {
	if d := s.Model.Agent.Inter; d > 0 {
		return d
	}
	return 2 * time.Second
}

// SetCheckKick registers what makes the checker run now (on-error, the end of
// maintenance). f is called with no lock held.
func (s *Server) SetCheckKick(f func()) {
	s.Backend.mu.Lock()
	defer s.Backend.mu.Unlock()
	s.kick = f
}

// CheckEnabled says whether health checks should run now: configured, not
// switched off by a command, not paused by maintenance.
func (s *Server) CheckEnabled() bool {
	s.Backend.mu.Lock()
	defer s.Backend.mu.Unlock()
	return s.check.enabled && !s.check.paused
}

// AgentEnabled is CheckEnabled for agent checks (maintenance does not pause
// them: an agent may end it).
func (s *Server) AgentEnabled() bool {
	s.Backend.mu.Lock()
	defer s.Backend.mu.Unlock()
	return s.agent.enabled
}

// hanaTexts and what each means for observe layer4 and layer7: 0 nothing,
// 1 an error, 2 all is well.
var hana = [...]struct {
	text   string
	l4, l7 uint8
}{
	HanaNone:            {"Unknown", 0, 0},
	HanaL4OK:            {"L4 successful connection", 2, 0},
	HanaL4Err:           {"L4 unsuccessful connection", 1, 1},
	HanaHTTPOK:          {"Correct http response", 0, 2},
	HanaHTTPStatus:      {"Wrong http response", 0, 1},
	HanaHTTPHeader:      {"Invalid http response (headers)", 0, 1},
	HanaHTTPResponse:    {"Invalid http response", 0, 1},
	HanaHTTPReadError:   {"Read error (http)", 0, 1},
	HanaHTTPReadTimeout: {"Read timeout (http)", 0, 1},
	HanaHTTPBrokenPipe:  {"Close from server (http)", 0, 1},
}

// Observe reports what live traffic says, when no Finish carries it.
func (s *Server) Observe(h Hana) {
	if h == HanaNone || s.Model.Observe == "" {
		return
	}
	b := s.Backend
	b.mu.Lock()
	reached := s.observe(h)
	b.mu.Unlock()
	if reached {
		s.unhealthy(h, b.opt.Now())
	}
}

// observe counts consecutive errors; true: unhealthy has to be called.
func (s *Server) observe(h Hana) bool {
	var verdict uint8
	switch s.Model.Observe {
	case "layer4":
		verdict = hana[h].l4
	case "layer7":
		verdict = hana[h].l7
	}
	if verdict == 0 || !s.check.configured {
		return false
	}
	if verdict == 2 {
		s.errors = 0
		return false
	}
	s.errors++
	limit := s.Model.ErrorLimit
	if limit <= 0 {
		limit = 10
	}
	return s.errors >= limit
}

// unhealthy does what on-error says after too many errors of live traffic.
func (s *Server) unhealthy(h Hana, now int64) {
	b := s.Backend
	var fx effects
	b.topology.Lock()
	b.mu.Lock()
	c := &s.check
	info := fmt.Sprintf("Detected %d consecutive errors, last one was: %s", s.errors, hana[h].text)
	s.errors = 0
	c.fast = true
	s.counts.hana++
	fail := true
	switch s.Model.OnError {
	case "fastinter":
		fail = false
	case "sudden-death":
		// The next failure, this one, is fatal.
		if c.health > c.rise {
			c.health = c.rise + 1
		}
	case "mark-down":
		c.health = c.rise
	}
	down := false
	if fail && c.enabled && !c.paused {
		if c.record(CheckHana, 0, info, -1, false) {
			s.logCheck(c, "Health", &fx)
		}
		down = c.health <= 0
	}
	cause := s.cause(c)
	if s.Model.Check.FastInter > 0 && s.kick != nil {
		fx.kicks = append(fx.kicks, s.kick)
	}
	b.mu.Unlock()
	if down {
		s.stop(cause, now, &fx)
	}
	b.topology.Unlock()
	fx.run()
}
