package director

import (
	"encoding/json"
	"fmt"
	"strings"

	"evenkeel/internal/health/real"
	"evenkeel/internal/l4"
)

// View is everything as it is now, for status. Its JSON form is an interface:
// fields are added, never renamed.
type View struct {
	Backend string            `json:"backend"`           // "": nothing is forwarded
	Note    string            `json:"note,omitempty"`    // why it is not the preferred one
	Trouble string            `json:"trouble,omitempty"` // why the plane is not as wanted
	Advice  []string          `json:"advice,omitempty"`  // what the host lacks for what is forwarded
	Virtual []VirtualView     `json:"virtual_servers"`   // of the configuration
	ByHand  []ServiceView     `json:"by_hand,omitempty"` // services that nobody configured
	Total   Traffic           `json:"total"`
	Rate    Traffic           `json:"rate"` // per second
	Flows   int               `json:"flows"`
	Drops   map[string]uint64 `json:"drops,omitempty"`
	Pair    *PairView         `json:"pair,omitempty"` // lvs_sync_daemon
}

// Traffic is counters, or their rates.
type Traffic struct {
	Connections uint64 `json:"connections"`
	PacketsIn   uint64 `json:"packets_in"`
	PacketsOut  uint64 `json:"packets_out"`
	BytesIn     uint64 `json:"bytes_in"`
	BytesOut    uint64 `json:"bytes_out"`
}

func (t *Traffic) add(o Traffic) {
	t.Connections += o.Connections
	t.PacketsIn += o.PacketsIn
	t.PacketsOut += o.PacketsOut
	t.BytesIn += o.BytesIn
	t.BytesOut += o.BytesOut
}

// VirtualView is one virtual_server.
type VirtualView struct {
	Name      string        `json:"name"`
	Scheduler string        `json:"scheduler"`
	Quorum    bool          `json:"quorum"`
	Needed    int           `json:"needed"`              // the weight that keeps the quorum, or brings it back
	Weight    int           `json:"weight"`              // of the servers that are up
	Suspended bool          `json:"suspended,omitempty"` // ha_suspend: its address is not here
	Away      bool          `json:"away,omitempty"`      // this host does not have its address
	Sorry     bool          `json:"sorry,omitempty"`     // the sorry server answers
	Changed   string        `json:"changed,omitempty"`   // by hand, in words
	Services  []ServiceView `json:"services"`            // one, or those of its group; without servers
	Servers   []ServerView  `json:"servers"`
}

// ServiceView is one service of the data plane.
type ServiceView struct {
	Name      string       `json:"name"`
	Scheduler string       `json:"scheduler"`
	Total     Traffic      `json:"total"`
	Rate      Traffic      `json:"rate"`
	Away      bool         `json:"away,omitempty"` // this host does not have its address
	Servers   []ServerView `json:"servers,omitempty"`
}

// ServerView is one real server, with the counters of all services of its
// virtual server.
type ServerView struct {
	Name     string      `json:"name"`
	Method   string      `json:"method"`
	Up       bool        `json:"up"`
	Sorry    bool        `json:"sorry,omitempty"`
	Leaving  bool        `json:"leaving,omitempty"` // not wanted any more: it is there until its connections have ended
	Removed  bool        `json:"removed,omitempty"` // the configuration does not have it any more
	Weight   int         `json:"weight"`            // in the plane; 0: gets no new connections
	In       bool        `json:"in"`                // the plane has it
	Total    Traffic     `json:"total"`
	Rate     Traffic     `json:"rate"`
	Active   int         `json:"active"`
	Inactive int         `json:"inactive"`
	Persist  int         `json:"persistent"`
	Full     bool        `json:"full,omitempty"` // above its threshold
	Checks   []CheckView `json:"checks,omitempty"`
}

// CheckView is one checker.
type CheckView struct {
	Kind string `json:"kind"`
	Up   bool   `json:"up"`
	Ran  bool   `json:"ran"`
	Text string `json:"text"` // of the last result
}

// View is a snapshot for status.
func (s *Service) View() *View {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := &View{Trouble: s.trouble, Virtual: []VirtualView{}}
	if s.plan == nil || s.runner == nil {
		return v
	}
	var snapshot l4.Snapshot
	if s.plane != nil {
		v.Backend, v.Note = s.used.name(), s.used.note
		var err error
		if snapshot, err = s.plane.Stats(); err != nil && v.Trouble == "" {
			v.Trouble = "counters: " + err.Error()
		}
	}
	if v.Trouble == "" {
		v.Trouble = snapshot.Trouble
	}
	v.Advice = s.lacks(snapshot.Services)
	v.Total, v.Rate, v.Flows, v.Drops = Traffic(snapshot.Counters), Traffic(snapshot.Rates), snapshot.Flows, snapshot.Drops
	services := make(map[l4.Key]*l4.ServiceStats, len(snapshot.Services))
	for i := range snapshot.Services {
		services[snapshot.Services[i].Key.Canonical()] = &snapshot.Services[i]
	}
	checked := map[string]*real.Status{}
	list := s.runner.Status()
	for i := range list {
		checked[list[i].Name] = &list[i]
	}
	v.Pair = s.viewPair()
	for _, x := range s.plan.virtuals {
		v.Virtual = append(v.Virtual, s.viewVirtual(x, checked[x.name], services))
	}
	for i := range snapshot.Services {
		if x := &snapshot.Services[i]; s.plan.owner[x.Key.Canonical()] == nil {
			y := viewByHand(x)
			y.Away = s.away([]l4.Key{x.Key})
			v.ByHand = append(v.ByHand, y)
		}
	}
	return v
}

func (s *Service) viewVirtual(x *virtual, c *real.Status, services map[l4.Key]*l4.ServiceStats) VirtualView {
	w := VirtualView{Name: x.name, Scheduler: x.spec.Scheduler, Needed: max(x.spec.Quorum, 1), Away: s.away(x.keys)}
	var stats []*l4.ServiceStats
	for _, k := range x.keys {
		if t := services[k]; t != nil {
			stats = append(stats, t)
			w.Services = append(w.Services, viewService(t))
		}
		if i := s.manual.find(k); i >= 0 {
			w.Changed = "changed by hand until the next reload"
			if m := &s.manual.Services[i]; m.Deleted && !m.Whole {
				w.Changed = "removed by hand until the next reload"
			}
		}
	}
	if c == nil {
		return w
	}
	w.Quorum, w.Weight, w.Suspended, w.Needed = c.Quorum, c.Weight, c.Suspended, c.Needed
	for i := range c.Servers {
		r := &c.Servers[i]
		y := ServerView{Up: r.Up}
		for _, k := range r.Checks {
			y.Checks = append(y.Checks, CheckView{string(k.Kind), k.Up, k.Ran, k.Text})
		}
		s.sum(&y, x, real.Destination{Real: r.Real, Weight: r.Weight}, stats)
		w.Servers = append(w.Servers, y)
	}
	if sorry := x.spec.Sorry; sorry != nil {
		y := ServerView{Sorry: true, Up: true}
		s.sum(&y, x, real.Destination{Real: sorry}, stats)
		w.Sorry = y.In && y.Weight > 0
		w.Servers = append(w.Servers, y)
	}
	s.viewLeaving(x, &w, stats)
	return w
}

// viewLeaving notes who leaves, and adds those that the configuration does not
// have any more.
func (s *Service) viewLeaving(x *virtual, w *VirtualView, stats []*l4.ServiceStats) {
	removed := map[l4.ServerKey]int{}
	for _, t := range stats {
		k := t.Key.Canonical()
		for i := range t.Servers {
			r := &t.Servers[i]
			leaves, gone := s.leaving.is(k, r.Key())
			if !leaves || !gone {
				continue
			}
			n, known := removed[r.Key()]
			if !known {
				n = len(w.Servers)
				removed[r.Key()] = n
				w.Servers = append(w.Servers, ServerView{Name: r.Key().String(), Method: r.Method.String(), Up: true, In: true, Leaving: true, Removed: true})
			}
			w.Servers[n].count(r)
		}
	}
}

// sum adds up what a server has in all services of its virtual server.
func (s *Service) sum(y *ServerView, x *virtual, d real.Destination, stats []*l4.ServiceStats) {
	y.Name = serverName(d.Real)
	for _, t := range stats {
		k := t.Key.Canonical()
		server, ok := x.server(k, d.Real, d.Weight)
		if !ok {
			continue
		}
		y.Method = server.Method.String()
		for i := range t.Servers {
			r := &t.Servers[i]
			if r.Key() != server.Key() {
				continue
			}
			leaves, _ := s.leaving.is(k, r.Key())
			y.Leaving = y.Leaving || leaves
			y.In, y.Weight, y.Full = true, r.Weight, y.Full || r.Overloaded
			y.count(r)
		}
	}
}

// count adds what one service has of a server.
func (y *ServerView) count(r *l4.ServerStats) {
	y.Total.add(Traffic(r.Counters))
	y.Rate.add(Traffic(r.Rates))
	y.Active += r.Active
	y.Inactive += r.Inactive
	y.Persist += r.Persistent
}

func viewService(t *l4.ServiceStats) ServiceView {
	return ServiceView{Name: t.Key.String(), Scheduler: t.SchedulerName(), Total: Traffic(t.Counters), Rate: Traffic(t.Rates)}
}

func viewByHand(t *l4.ServiceStats) ServiceView {
	v := viewService(t)
	for i := range t.Servers {
		r := &t.Servers[i]
		y := ServerView{Name: r.Key().String(), Method: r.Method.String(), Up: true, Weight: r.Weight, In: true, Full: r.Overloaded}
		y.count(r)
		v.Servers = append(v.Servers, y)
	}
	return v
}

// JSON is the view for programs.
func (v *View) JSON() string {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Sprintf("%q\n", err.Error())
	}
	return string(b) + "\n"
}

// Text is the view for people.
func (v *View) Text() string {
	var b strings.Builder
	if len(v.Virtual) == 0 && len(v.ByHand) == 0 {
		b.WriteString("(no virtual_server is configured)\n")
	} else {
		backend := v.Backend
		if backend == "" {
			backend = "NOBODY"
		}
		fmt.Fprintf(&b, "forwarding by %s, %d connections, %d/s new\n  in %d packets/s, %s; out %d packets/s, %s\n", backend, v.Flows,
			v.Rate.Connections, v.Rate.PacketsIn, bits(v.Rate.BytesIn), v.Rate.PacketsOut, bits(v.Rate.BytesOut))
	}
	for _, line := range append([]string{v.Note, v.Trouble}, v.Advice...) {
		if line != "" {
			fmt.Fprintf(&b, "  ! %s\n", line)
		}
	}
	if v.Pair != nil {
		v.Pair.text(&b)
	}
	for i := range v.Virtual {
		v.Virtual[i].text(&b)
	}
	for i := range v.ByHand {
		v.ByHand[i].text(&b)
	}
	return b.String()
}

// away is said of a service whose address this host does not have: another
// director has it, or somebody has forgotten to add it.
const away = "; the address is not on this host"

// maxKeys bounds the services of a group that status lists.
const maxKeys = 8

func (w *VirtualView) text(b *strings.Builder) {
	fmt.Fprintf(b, "\nvirtual_server %s  %s", w.Name, w.Scheduler)
	switch {
	case w.Suspended:
		b.WriteString("  suspended: its address is not here")
	case w.Sorry:
		fmt.Fprintf(b, "  NO QUORUM: weight %d of %d, the sorry server answers", w.Weight, w.Needed)
	case !w.Quorum:
		fmt.Fprintf(b, "  NO QUORUM: weight %d of %d", w.Weight, w.Needed)
	default:
		fmt.Fprintf(b, "  quorum: weight %d of %d", w.Weight, w.Needed)
	}
	if w.Away && !w.Suspended {
		b.WriteString(away)
	}
	if w.Changed != "" {
		fmt.Fprintf(b, "  (%s)", w.Changed)
	}
	b.WriteString("\n")
	for i := range w.Services {
		if len(w.Services) == 1 {
			break
		}
		if i == maxKeys {
			fmt.Fprintf(b, "  … and %d more\n", len(w.Services)-maxKeys)
			break
		}
		x := &w.Services[i]
		fmt.Fprintf(b, "  %s  %d connections, %d/s new\n", x.Name, x.Total.Connections, x.Rate.Connections)
	}
	servers(b, w.Servers)
}

// servers is a table of them, numbers to the right, in 80 columns where names
// are not long. What a failed check found has a line of its own.
func servers(b *strings.Builder, list []ServerView) {
	if len(list) == 0 {
		return
	}
	const words = 3 // columns that begin at the left
	rows := [][]string{{"SERVER", "STATE", "METHOD", "WGT", "ACTIVE", "INACT", "NEW/S", "IN", "OUT", "TOTAL"}}
	for i := range list {
		r := &list[i]
		weight := "-"
		if r.In {
			weight = fmt.Sprint(r.Weight)
		}
		rows = append(rows, []string{r.Name, r.state(), r.Method, weight, fmt.Sprint(r.Active), fmt.Sprint(r.Inactive),
			fmt.Sprint(r.Rate.Connections), bits(r.Rate.BytesIn), bits(r.Rate.BytesOut), fmt.Sprint(r.Total.Connections)})
	}
	wide := make([]int, len(rows[0]))
	for _, row := range rows {
		for k, word := range row {
			wide[k] = max(wide[k], len(word))
		}
	}
	for i, row := range rows {
		b.WriteString(" ")
		for k, word := range row {
			if k < words {
				fmt.Fprintf(b, " %-*s", wide[k], word)
			} else {
				fmt.Fprintf(b, " %*s", wide[k], word)
			}
		}
		b.WriteString("\n")
		if i > 0 {
			if text := list[i-1].failures(); text != "" {
				fmt.Fprintf(b, "    ! %s\n", text)
			}
		}
	}
}

// state is a server in one word.
func (r *ServerView) state() string {
	switch {
	case r.Leaving:
		return "leaving"
	case r.Sorry && r.In && r.Weight > 0:
		return "sorry"
	case r.Sorry:
		return "(sorry)"
	case !r.Up:
		return "DOWN"
	case r.Full:
		return "full"
	case !r.In:
		return "out"
	case r.Weight == 0:
		return "drain"
	}
	return "up"
}

// failures is what the checkers found wrong.
func (r *ServerView) failures() string {
	var bad []string
	for _, c := range r.Checks {
		switch {
		case c.Up:
		case c.Text == "":
			bad = append(bad, c.Kind+": not yet checked")
		default:
			bad = append(bad, c.Kind+": "+c.Text)
		}
	}
	return strings.Join(bad, "; ")
}

func (w *ServiceView) text(b *strings.Builder) {
	fmt.Fprintf(b, "\n%s  %s  added by hand", w.Name, w.Scheduler)
	if w.Away {
		b.WriteString(away)
	}
	b.WriteString("\n")
	servers(b, w.Servers)
}

// bits is a rate of bytes in bits per second.
func bits(bytes uint64) string {
	v := float64(bytes) * 8
	for _, unit := range []string{"", "k", "M", "G"} {
		if v < 1000 || unit == "G" {
			if unit == "" {
				return fmt.Sprintf("%.0fb/s", v)
			}
			return fmt.Sprintf("%.1f%sb/s", v, unit)
		}
		v /= 1000
	}
	return ""
}
