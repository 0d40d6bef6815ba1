package real

import (
	"fmt"
	"net/netip"

	"evenkeel/internal/health/checks"
	"evenkeel/internal/model"
)

// maxWeight is the largest weight that the kernel's packet forwarding takes.
const maxWeight = 65535

// server is the state of one real server.
type server struct {
	spec   *model.RealServer
	checks []*check
	alive  bool
	weight int // the last that was told
}

// healthy says that no checker is down.
func (s *server) healthy() bool {
	for _, c := range s.checks {
		if !c.up {
			return false
		}
	}
	return true
}

// effective is the configured weight with what the checkers say: MISC_CHECK
// what it should be, as a difference, and FILE_CHECK what to add.
func (s *server) effective() int {
	sum := int64(s.spec.Weight)
	for _, c := range s.checks {
		switch {
		case c.weight == nil:
		case c.spec.Kind == model.CheckerFILE:
			sum += int64(*c.weight)
		default:
			sum += int64(*c.weight) - int64(s.spec.Weight)
		}
	}
	return int(min(max(sum, 0), maxWeight))
}

// service is the state of a virtual server. It is pure: results go in, events
// come out.
type service struct {
	spec    *model.VirtualServer
	name    string
	servers []*server
	quorum  bool
	pending []Event // of servers, not told yet
}

// EventKind says what an Event is.
type EventKind uint8

// What happens to virtual servers.
const (
	// ServerUp and ServerDown: all checkers are good, or one is not.
	ServerUp EventKind = iota
	ServerDown
	// ServerWeight: the weight is another.
	ServerWeight
	// QuorumGained and QuorumLost: the weight of the servers that are up.
	QuorumGained
	QuorumLost
	// CheckFailed: a failure that does not count yet, or a checker that fails
	// while another keeps the server down. For the log.
	CheckFailed
	// CheckRecovered: a checker is good again, but another is not.
	CheckRecovered
)

var kindNames = [...]string{"server up", "server down", "server weight", "quorum gained", "quorum lost", "check failed", "check recovered"}

// String names the kind.
func (k EventKind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("EventKind(%d)", uint8(k))
}

// Event is something that happened, in words and as data.
type Event struct {
	Kind    EventKind
	Service string // as Name gives it
	Virtual *model.VirtualServer
	Real    *model.RealServer // nil for quorums
	Weight  int               // the server's; for quorums the sum
	Check   model.RealCheckKind
	// Notify is the script that the configuration wants run; nil: none.
	Notify *model.Command
	// Mail says that smtp_alert wants a mail; nil: the global default.
	Mail *bool
	// Stopping: not a failure but our own end, or that of the configuration.
	Stopping bool
	// Log: the configuration wants failures logged that do not count.
	Log  bool
	Text string
}

// Name is how a virtual server is called in messages.
func Name(v *model.VirtualServer) string {
	switch {
	case v.Group != "":
		return "group " + v.Group + "/" + protocol(v) + family(v)
	case v.FwMark != 0:
		return fmt.Sprintf("fwmark %d", v.FwMark) + family(v)
	}
	return netip.AddrPortFrom(v.Addr, v.Port).String() + "/" + protocol(v)
}

// family tells the two services apart that a group or a mark may have.
func family(v *model.VirtualServer) string {
	if v.Family == 6 {
		return "/IPv6"
	}
	return ""
}

func protocol(v *model.VirtualServer) string {
	if v.Protocol == "" {
		return "TCP"
	}
	return v.Protocol
}

func address(s *model.RealServer) string { return netip.AddrPortFrom(s.Addr, s.Port).String() }

// result takes the result of checker c of server s.
func (v *service) result(s *server, c *check, r checks.RealResult) (w verdict, events []Event) {
	w = c.done(r)
	told := v.settle(s, c)
	switch {
	case w.local:
		events = append(events, v.event(CheckFailed, s, c, fmt.Sprintf("the check of %s could not be made: %s", v.who(s), r.Text)))
	case w.retry:
		events = append(events, v.event(CheckFailed, s, c, fmt.Sprintf("%s: %s (retry %d of %d follows)", v.who(s), r.Text, c.retries, c.spec.Retry)))
	case !w.changed || told:
	case c.up:
		events = append(events, v.event(CheckRecovered, s, c, fmt.Sprintf("%s, which is down still: %s", v.who(s), r.Text)))
	default:
		events = append(events, v.event(CheckFailed, s, c, fmt.Sprintf("%s, which is down already: %s", v.who(s), r.Text)))
	}
	events = append(events, v.pending...)
	v.pending = v.pending[:0]
	return w, append(events, v.judge()...)
}

// who names a server in its service.
func (v *service) who(s *server) string { return "real server " + address(s.spec) + " of " + v.name }

func (v *service) event(k EventKind, s *server, c *check, text string) Event {
	e := Event{Kind: k, Service: v.name, Virtual: v.spec, Text: text, Mail: v.spec.MailAlert}
	if s != nil {
		e.Real, e.Weight = s.spec, s.effective()
		if s.spec.MailAlert != nil {
			e.Mail = s.spec.MailAlert
		}
	}
	if c != nil {
		e.Check, e.Log = c.spec.Kind, c.spec.Log
	}
	return e
}

// settle brings a server to what its checkers say; c is the one that has just
// been heard, nil when the configuration changed. It says whether the server
// went up or down. The quorum is judge's.
func (v *service) settle(s *server, c *check) bool {
	why := "its checkers have changed"
	if c != nil {
		why = c.text
	}
	weight := s.effective()
	switch alive := s.healthy(); {
	case alive != s.alive:
		s.alive, s.weight = alive, weight
		e := v.event(ServerDown, s, c, fmt.Sprintf("%s is down: %s", v.who(s), why))
		e.Notify = s.spec.NotifyDown
		if alive {
			e.Kind, e.Text, e.Notify = ServerUp, fmt.Sprintf("%s is up: %s", v.who(s), why), s.spec.NotifyUp
		}
		v.pending = append(v.pending, e)
		return true
	case weight != s.weight:
		if c == nil {
			why = "the configuration has changed"
		}
		v.pending = append(v.pending, v.event(ServerWeight, s, c, fmt.Sprintf("%s has weight %d instead of %d: %s", v.who(s), weight, s.weight, why)))
		s.weight = weight
	}
	return false
}

// sum is the weight of the servers that are up.
func (v *service) sum() (n int) {
	for _, s := range v.servers {
		if s.alive {
			n += s.effective()
		}
	}
	return n
}

// needed is the weight that brings the quorum back, or that keeps it.
func (v *service) needed() int {
	quorum, slack := max(v.spec.Quorum, 1), v.spec.Hysteresis
	if v.quorum {
		return max(quorum-slack, 1)
	}
	return quorum + slack
}

// judge decides about the quorum: it is gained at quorum + hysteresis and lost
// below quorum - hysteresis, or with nothing left.
func (v *service) judge() []Event {
	sum, needed := v.sum(), v.needed()
	switch {
	case !v.quorum && sum >= needed:
		v.quorum = true
		e := v.event(QuorumGained, nil, nil, fmt.Sprintf("%s has its quorum: weight %d of servers that are up, %d needed", v.name, sum, needed))
		e.Weight, e.Notify = sum, v.spec.QuorumUp
		return []Event{e}
	case v.quorum && sum < needed:
		v.quorum = false
		e := v.event(QuorumLost, nil, nil, fmt.Sprintf("%s has lost its quorum: weight %d of servers that are up, %d needed", v.name, sum, needed))
		if v.spec.Sorry != nil {
			e.Text += "; its sorry server " + address(v.spec.Sorry) + " takes over"
		}
		e.Weight, e.Notify = sum, v.spec.QuorumDown
		return []Event{e}
	}
	return nil
}

// announce tells of a new server that is taken for up.
func (v *service) announce(s *server) {
	e := v.event(ServerUp, s, nil, v.who(s)+" is up until a check says otherwise")
	e.Notify = s.spec.NotifyUp
	v.pending = append(v.pending, e)
}

// remove is a server that leaves the configuration.
func (v *service) remove(s *server) []Event {
	if !s.alive {
		return nil
	}
	s.alive = false
	e := v.event(ServerDown, s, nil, v.who(s)+" is taken out of the configuration")
	e.Notify, e.Stopping = s.spec.NotifyDown, true
	return []Event{e}
}

// stop is our own end: with omega servers and quorum go down in order.
func (v *service) stop() (events []Event) {
	if !v.spec.Omega {
		return nil
	}
	for _, s := range v.servers {
		if s.alive {
			s.alive = false
			e := v.event(ServerDown, s, nil, v.who(s)+" is given up: checks end")
			e.Notify, e.Stopping = s.spec.NotifyDown, true
			events = append(events, e)
		}
	}
	if v.quorum {
		v.quorum = false
		e := v.event(QuorumLost, nil, nil, v.name+" is given up: checks end")
		e.Notify, e.Stopping = v.spec.QuorumDown, true
		events = append(events, e)
	}
	return events
}

// Destination is one entry that packet forwarding should have for a service.
type Destination struct {
	Real   *model.RealServer
	Weight int // 0: no new connections
	Sorry  bool
	// Aside: it is well, and another one has its place now. It gets nothing new;
	// connections that it has may go on.
	Aside bool
}

// destinations is who packets go to: the servers that are up; without quorum
// the sorry server, if there is one, in their place. inhibit_on_failure keeps
// a server in the list, with weight 0. Who steps aside is in it too.
func (v *service) destinations() (list []Destination) {
	sorry := v.spec.Sorry
	replaced := !v.quorum && sorry != nil
	for _, s := range v.servers {
		inhibit := v.spec.Inhibit
		if s.spec.Inhibit != nil {
			inhibit = *s.spec.Inhibit
		}
		switch {
		case s.alive && !replaced:
			list = append(list, Destination{Real: s.spec, Weight: s.effective()})
		case inhibit:
			list = append(list, Destination{Real: s.spec})
		case s.alive:
			list = append(list, Destination{Real: s.spec, Aside: true})
		}
	}
	switch {
	case replaced:
		weight := sorry.Weight
		if weight == 0 {
			weight = 1
		}
		list = append(list, Destination{Real: sorry, Weight: weight, Sorry: true})
	case sorry != nil && v.spec.SorryInhibit:
		list = append(list, Destination{Real: sorry, Sorry: true})
	case sorry != nil:
		list = append(list, Destination{Real: sorry, Sorry: true, Aside: true})
	}
	return list
}
