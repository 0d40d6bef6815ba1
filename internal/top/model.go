package top

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// keptEvents bounds what is remembered of what happened while looking.
const keptEvents = 200

// Model is what has been seen of a node: its latest snapshot, what changed
// since the one before, and for how long nobody has answered.
type Model struct {
	now   *Snapshot
	rates map[rowKey]rates
	seen  []Event   // what happened, also what the node does not tell: restarts, servers of the proxy
	heard time.Time // of the latest event that the node told

	lost      string // why nobody answers now; "": somebody does
	lostSince time.Time
}

// rates are per second, between two snapshots.
type rates struct{ total, in, out float64 }

// rowKey names a line of show stat over restarts.
type rowKey struct {
	kind        int
	proxy, name string
}

func (r *Row) key() rowKey { return rowKey{r.Kind, r.Proxy, r.Name} }

// Observe takes the next snapshot.
func (m *Model) Observe(s *Snapshot) {
	before := m.now
	if m.lost != "" {
		m.note(s.At, "warning", "the node answers again, after "+age(s.At.Sub(m.lostSince)))
		m.lost = ""
	}
	m.now = s
	m.hear(s.Events)
	m.rates = map[rowKey]rates{}
	if before == nil {
		return
	}
	m.restarts(before, s)
	if s.Proxy == nil || before.Proxy == nil || s.PID != before.PID {
		return
	}
	old := make(map[rowKey]*Row, len(before.Proxy.Rows))
	for i := range before.Proxy.Rows {
		old[before.Proxy.Rows[i].key()] = &before.Proxy.Rows[i]
	}
	seconds := s.At.Sub(before.At).Seconds()
	for i := range s.Proxy.Rows {
		r := &s.Proxy.Rows[i]
		o := old[r.key()]
		if o == nil {
			continue
		}
		m.changed(s.At, o, r)
		// Counters begin anew with another worker, or when somebody clears them.
		if s.Proxy.PID == before.Proxy.PID && seconds > 0 && r.Total >= o.Total && r.BytesIn >= o.BytesIn && r.BytesOut >= o.BytesOut {
			m.rates[r.key()] = rates{float64(r.Total-o.Total) / seconds, float64(r.BytesIn-o.BytesIn) / seconds, float64(r.BytesOut-o.BytesOut) / seconds}
		}
	}
}

// Lost takes note that nobody answered.
func (m *Model) Lost(at time.Time, err error) {
	if m.lost == "" {
		m.lostSince = at
		m.note(at, "warning", "no answer: "+clean(err.Error()))
	}
	m.lost = clean(err.Error())
}

// hear takes over what the node tells and has not told before. It is kept here
// because a process that follows another one knows nothing of that one's.
func (m *Model) hear(events []Event) {
	told := len(m.seen)
	for _, e := range events {
		if e.At.Before(m.heard) || slices.ContainsFunc(m.seen[:told], func(x Event) bool { return x.At.Equal(e.At) && x.Text == e.Text }) {
			continue
		}
		m.heard = e.At
		m.seen = append(m.seen, e)
	}
	m.forget()
}

func (m *Model) note(at time.Time, severity, text string) {
	m.seen = append(m.seen, Event{at, severity, text})
	m.forget()
}

func (m *Model) forget() {
	if len(m.seen) > keptEvents {
		m.seen = slices.Delete(m.seen, 0, len(m.seen)-keptEvents)
	}
}

// restarts notes which processes are others than before.
func (m *Model) restarts(before, s *Snapshot) {
	if before.PID != s.PID && s.PID != 0 {
		m.note(s.At, "warning", fmt.Sprintf("the node was started again: process %d, before it %d", s.PID, before.PID))
		return
	}
	if b, p := before.Proxy, s.Proxy; b != nil && p != nil && b.PID != p.PID && p.PID != 0 {
		m.note(s.At, "info", fmt.Sprintf("another worker serves (reload, upgrade or crash): process %d, before it %d", p.PID, b.PID))
	}
	if b, f := before.process("failover"), s.process("failover"); b != 0 && f != 0 && b != f {
		m.note(s.At, "info", fmt.Sprintf("another failover process runs: %d, before it %d", f, b))
	}
	for _, c := range []struct {
		was, is bool
		what    string
	}{{before.Proxy != nil, s.Proxy != nil, "proxy"}, {before.Addresses != nil, s.Addresses != nil, "failover process"}} {
		switch {
		case c.was && !c.is:
			m.note(s.At, "warning", "the "+c.what+" does not answer")
		case c.is && !c.was:
			m.note(s.At, "info", "the "+c.what+" answers")
		}
	}
}

func (s *Snapshot) process(kind string) int {
	for _, p := range s.Processes {
		if p.Kind == kind {
			return p.PID
		}
	}
	return 0
}

// changed notes a server, backend or frontend whose state is another one.
func (m *Model) changed(at time.Time, o, r *Row) {
	was, is := word(o.Status), word(r.Status)
	if was == is || r.Kind == Listener {
		return
	}
	text := r.Proxy
	if r.Kind == ProxyServer {
		text += "/" + r.Name
	}
	text += " " + was + " -> " + is
	if why := r.why(); why != "" && r.Kind == ProxyServer {
		text += " (" + why + ")"
	}
	severity := "info"
	if health(r.Status) == Bad {
		severity = "warning"
	}
	m.note(at, severity, text)
}

// why is what the last check found, in words.
func (r *Row) why() string {
	if r.CheckText == "" {
		return r.CheckMeaning
	}
	return strings.TrimPrefix(r.CheckMeaning+": "+r.CheckText, ": ")
}

// word is the state without what follows it: "UP" of "UP 1/3".
func word(status string) string {
	w, _, _ := strings.Cut(status, " ")
	return w
}

// health is what a status of show stat means.
func health(status string) Style {
	switch w := word(status); {
	case strings.HasPrefix(w, "UP"), w == "OPEN":
		return Good
	case strings.HasPrefix(w, "DOWN"), w == "FULL":
		return Bad
	case w == "no": // no check
		return Plain
	}
	return Doubt // DRAIN, MAINT, NOLB, STOP …
}

// events are all that happened lately, the oldest first.
func (m *Model) events() []Event {
	all := slices.Clone(m.seen)
	slices.SortStableFunc(all, func(a, b Event) int { return a.At.Compare(b.At) })
	return all
}

// total is how many requests (sessions in TCP mode) a row has in a second.
func (m *Model) total(r *Row) float64 {
	if x, ok := m.rates[r.key()]; ok {
		return x.total
	}
	return float64(r.Rate)
}

// clock is the node's own time where it tells it.
func (m *Model) clock() time.Time {
	if a := m.now.Addresses; a != nil && !a.Now.IsZero() {
		return a.Now
	}
	return m.now.At
}
