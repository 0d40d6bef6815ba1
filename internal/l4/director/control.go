package director

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"evenkeel/internal/l4"
)

// verb is what a person or ipvsadm can order.
type verb struct {
	words string
	args  string
	help  string
	run   func(s *Service, args string) string
}

// verbs is the table of all of them.
func verbs() []verb {
	return []verb{
		{"services", "", "virtual services, their servers, checks and rates", func(s *Service, _ string) string { return s.View().Text() }},
		{"services json", "", "the same for programs", func(s *Service, _ string) string { return s.View().JSON() }},
		{"services snapshot", "", "what the data plane has and counts, as JSON (ipvsadm -L)", func(s *Service, _ string) string { return encode(s.List()) }},
		{"services flows", "", "the connections that it remembers, as JSON (ipvsadm -L -c)", func(s *Service, _ string) string { return encode(s.Flows()) }},
		{"services edit", "JSON", "a change by hand (ipvsadm -A, -E, -D, -a, -e, -d, -C, -Z, --set)", editLine},
		{"services help", "", "this list", func(*Service, string) string { return help() }},
	}
}

func help() string {
	var b strings.Builder
	for _, v := range verbs() {
		fmt.Fprintf(&b, "%-18s %s\n", strings.TrimSpace(v.words+" "+v.args), v.help)
	}
	return b.String()
}

// Help lists the commands, a line each.
func Help() string { return help() }

// Control carries out one line that begins with "services" and returns what to
// print.
func (s *Service) Control(line string) string {
	words := strings.Fields(line)
	all := verbs()
	for _, n := range []int{2, 1} {
		if len(words) < n {
			continue
		}
		name := strings.Join(words[:n], " ")
		k := slices.IndexFunc(all, func(v verb) bool { return v.words == name })
		if k < 0 {
			continue
		}
		rest := line
		for _, w := range words[:n] {
			_, rest, _ = strings.Cut(rest, w)
		}
		if rest = strings.TrimSpace(rest); all[k].args == "" && rest != "" {
			break
		}
		return all[k].run(s, rest)
	}
	return fmt.Sprintf("unknown command '%s'; there are:\n\n%s", line, help())
}

// Reply is the answer to an Edit, on one line of JSON.
type Reply struct {
	Error string `json:",omitempty"`
	Code  Code   `json:",omitempty"`
	// Advice is what the host lacks for what was added.
	Advice []string `json:",omitempty"`
}

// Listing is the answer to "services snapshot".
type Listing struct {
	l4.Snapshot
	Backend  string
	Features l4.Features
	Timeouts l4.Timeouts
	Error    string `json:",omitempty"`
}

// FlowListing is the answer to "services flows".
type FlowListing struct {
	Flows []l4.Flow
	Error string `json:",omitempty"`
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("{\"Error\":%q}\n", err.Error())
	}
	return string(b) + "\n"
}

func editLine(s *Service, args string) string {
	var e Edit
	err := json.Unmarshal([]byte(args), &e)
	if err != nil {
		err = refuse(Invalid, "the change is not understood: %v", err)
	} else {
		err = s.Edit(e)
	}
	var r Reply
	if err != nil {
		r.Error, r.Code = err.Error(), Refused
		if x := (*EditError)(nil); errors.As(err, &x) {
			r.Code = x.Code
		}
	} else {
		r.Advice = s.lacksFor(e)
	}
	return encode(r)
}

// Edit makes one change by hand. It is in effect when Edit returns.
func (s *Service) Edit(e Edit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running {
		return refuse(NoPlane, "the process does not forward packets")
	}
	if e.Do == Zero {
		return s.zero(e.Service.Key)
	}
	current := s.wants()
	next, err := s.manual.edit(e, current, func(k l4.Key) bool { return s.plan.owner[k] != nil })
	if err != nil {
		return err
	}
	was := s.manual
	s.manual = next
	if err := s.try(); err != nil {
		s.manual = was
		return err
	}
	s.unsaved = true
	s.wake() // it is written down there
	return nil
}

// try puts a change into effect, or says why it cannot be. Then the plane is as
// it was.
func (s *Service) try() error {
	list := s.wants()
	if s.plane == nil {
		if len(list) == 0 {
			return nil
		}
		if err := s.open(); err != nil {
			return refuse(NoPlane, "%v", err)
		}
	}
	c := s.configFor(list)
	if err := c.Validate(s.plane.Features()); err != nil {
		return refuse(Invalid, "%v", err)
	}
	if err := s.put(list); err != nil {
		s.wake() // back to what was before
		return refuse(Refused, "%v", err)
	}
	return nil
}

func (s *Service) zero(k l4.Key) error {
	z, ok := s.plane.(l4.Zeroer)
	if !ok && s.plane != nil {
		return refuse(Refused, "counters of this data plane cannot be set back")
	}
	var keys []l4.Key
	if k != (l4.Key{}) {
		k = k.Canonical()
		if !slices.ContainsFunc(s.wants(), func(x service) bool { return x.Key == k }) {
			return refuse(NoService, "%v: there is no such service", k)
		}
		keys = []l4.Key{k}
	}
	if z == nil {
		return nil // nothing is counted
	}
	if err := z.Zero(keys...); err != nil {
		return refuse(Refused, "%v", err)
	}
	return nil
}

// List is what the data plane has and counts.
func (s *Service) List() (l Listing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.Backend = s.used.name()
	if s.plan != nil {
		l.Timeouts = s.manual.timeouts(s.plan.globals.Timeouts).WithDefaults()
	}
	if s.plane == nil {
		return l
	}
	l.Features = s.plane.Features()
	snapshot, err := s.plane.Stats()
	if err != nil {
		l.Error = err.Error()
	}
	l.Snapshot = snapshot
	return l
}

// Flows are the connections that the data plane remembers.
func (s *Service) Flows() (l FlowListing) {
	s.mu.Lock()
	plane := s.plane
	s.mu.Unlock()
	if plane == nil {
		return l
	}
	f, ok := plane.(l4.FlowLister)
	if !ok {
		l.Error = "this data plane cannot list its connections"
		return l
	}
	if err := f.Flows(func(x l4.Flow) bool { l.Flows = append(l.Flows, x); return true }); err != nil {
		l.Error = err.Error()
	}
	return l
}

func (c *choice) name() string {
	if c.Backend == nil {
		return ""
	}
	return c.Name
}
