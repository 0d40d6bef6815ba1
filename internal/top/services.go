package top

import (
	"fmt"
	"strings"
)

// services is the section of packet forwarding; nil where there is none.
func (m *Model) services() *section {
	f := m.now.Forward
	if f == nil || len(f.Virtual) == 0 && len(f.ByHand) == 0 && f.Trouble == "" {
		return nil
	}
	s := &section{title: "services", empty: f.Trouble, columns: []column{
		{title: "SERVICE/SERVER", least: 20},
		{title: "STATE"},
		{title: "METHOD", drop: 5},
		{title: "WGT", right: true, drop: 4},
		{title: "ACTIVE", right: true},
		{title: "INACT", right: true, drop: 3},
		{title: "NEW/S", right: true},
		{title: "B/S-IN", right: true, drop: 1},
		{title: "B/S-OUT", right: true, drop: 1},
		{title: "CHECK", least: 14, drop: 6},
	}}
	backend := f.Backend
	if backend == "" {
		backend = "NOBODY"
	}
	s.summary = fmt.Sprintf("by %s, %s connections, %s new/s, %sB/s in, %sB/s out", backend, count(f.Flows),
		count(f.Rate.Connections), scaled(float64(f.Rate.BytesIn)), scaled(float64(f.Rate.BytesOut)))
	if f.Trouble != "" && len(f.Virtual)+len(f.ByHand) > 0 {
		s.remarks = append(s.remarks, text(noteMark+f.Trouble, Bad))
	}
	for _, line := range f.Advice {
		s.remarks = append(s.remarks, text(noteMark+line, Doubt))
	}
	if f.Note != "" {
		s.remarks = append(s.remarks, text(" "+f.Note, Faint))
	}
	if p := f.Pair; p != nil {
		s.remarks = append(s.remarks, text(" "+p.line(), Plain))
		if p.Trouble != "" {
			s.remarks = append(s.remarks, text(noteMark+p.Trouble, Bad))
		}
	}
	for i := range f.Virtual {
		s.groups = append(s.groups, f.Virtual[i].group(false))
	}
	for i := range f.ByHand {
		s.groups = append(s.groups, f.ByHand[i].group(true))
	}
	return s
}

// line is how a pair of directors does.
func (p *Pair) line() string {
	role := "listens"
	if p.Tells {
		role = "tells"
	}
	if p.By == "kernel" {
		return fmt.Sprintf("pair on %s, by the kernel: this director %s", p.Interface, role)
	}
	line := fmt.Sprintf("pair on %s: this director %s, takes %s/s", p.Interface, role, scaled(p.TookRate))
	if p.Tells {
		line = fmt.Sprintf("pair on %s: this director %s %s/s with a lag of %d ms, takes %s/s", p.Interface, role, scaled(p.ToldRate), p.LagMS, scaled(p.TookRate))
	}
	var peers []string
	for _, x := range p.Peers {
		peers = append(peers, x.Address)
	}
	if len(peers) == 0 {
		return line + ", nobody is heard"
	}
	return line + ", hears " + strings.Join(peers, ", ")
}

func (v *Virtual) group(byHand bool) group {
	var g group
	state, style, note := v.state(byHand)
	if v.Changed != "" {
		note = strings.TrimPrefix(note+"; "+v.Changed, "; ")
	}
	var active, inactive int
	for i := range v.Servers {
		g.members = append(g.members, v.Servers[i].entry())
		active += v.Servers[i].Active
		inactive += v.Servers[i].Inactive
	}
	g.head = entry{bad: style == Bad, note: note, sort: sortable{name: v.Name, state: rank(style), load: float64(active),
		rate: float64(v.Rate.Connections), traffic: float64(v.Rate.BytesIn + v.Rate.BytesOut)},
		cells: []cell{{v.Name, Strong}, {state, style}, {v.Scheduler, Plain}, {"", Plain}, {count(active), Plain}, {count(inactive), Plain},
			{count(v.Rate.Connections), Plain}, {scaled(float64(v.Rate.BytesIn)), Plain}, {scaled(float64(v.Rate.BytesOut)), Plain}, {note, style}}}
	return g
}

// state is a service in a word or two, and what more there is to say.
func (v *Virtual) state(byHand bool) (word string, style Style, note string) {
	up := 0
	for i := range v.Servers {
		if r := &v.Servers[i]; r.Up && !r.Sorry {
			up++
		}
	}
	quorum := fmt.Sprintf("weight %d of %d", v.Weight, v.Needed)
	switch {
	case byHand:
		return "by hand", Doubt, v.where()
	case v.Suspended:
		return "suspended", Doubt, away
	case v.Sorry:
		return "SORRY", Bad, "no quorum, " + quorum + ": the sorry server answers"
	case !v.Quorum:
		return "NO QUORUM", Bad, quorum
	}
	return fmt.Sprintf("%d up", up), Good, v.where()
}

const away = "its address is not here"

// where says so when nobody who asks the network for the service comes here.
func (v *Virtual) where() string {
	if v.Away {
		return away
	}
	return ""
}

// rank orders styles of state, the worst first.
func rank(s Style) int {
	switch s {
	case Bad:
		return 0
	case Doubt:
		return 1
	}
	return 2
}

func (r *Server) entry() entry {
	state, style := r.state()
	weight := "-"
	if r.In {
		weight = fmt.Sprint(r.Weight)
	}
	checks := r.checks()
	checkStyle := Faint
	if style == Bad {
		checkStyle = Bad
	}
	return entry{bad: style == Bad, note: checks, sort: sortable{name: r.Name, state: rank(style), load: float64(r.Active),
		rate: float64(r.Rate.Connections), traffic: float64(r.Rate.BytesIn + r.Rate.BytesOut)},
		cells: []cell{{"  " + r.Name, Plain}, {state, style}, {r.Method, Plain}, {weight, Plain}, {count(r.Active), Plain}, {count(r.Inactive), Plain},
			{count(r.Rate.Connections), Plain}, {scaled(float64(r.Rate.BytesIn)), Plain}, {scaled(float64(r.Rate.BytesOut)), Plain}, {checks, checkStyle}}}
}

// state is a server in one word.
func (r *Server) state() (string, Style) {
	switch {
	case r.Leaving:
		return "leaving", Doubt
	case r.Sorry && r.In && r.Weight > 0:
		return "sorry", Doubt
	case r.Sorry:
		return "(sorry)", Faint
	case !r.Up:
		return "DOWN", Bad
	case r.Full:
		return "full", Doubt
	case !r.In:
		return "out", Doubt
	case r.Weight == 0:
		return "drain", Doubt
	}
	return "up", Good
}

// checks is what the checkers found: that of a failure, or of all.
func (r *Server) checks() string {
	var bad, good []string
	for _, c := range r.Checks {
		text := c.Kind + ": " + c.Text
		if c.Text == "" {
			text = c.Kind + ": not yet checked"
		}
		if c.Up {
			good = append(good, text)
		} else {
			bad = append(bad, text)
		}
	}
	if len(bad) > 0 {
		return strings.Join(bad, "; ")
	}
	return strings.Join(good, "; ")
}
