package top

import (
	"fmt"
	"strings"
)

// addresses is the section of VRRP instances; nil where there is nothing of
// the kind.
func (m *Model) addresses() *section {
	a := m.now.Addresses
	if a == nil || len(a.Instances) == 0 {
		return nil
	}
	s := &section{title: "addresses", columns: []column{
		{title: "INSTANCE", least: 12},
		{title: "STATE"},
		{title: "PRIO", right: true},
		{title: "SINCE", right: true},
		{title: "VRID", right: true, drop: 3},
		{title: "IFACE", drop: 4},
		{title: "ADDRESS", least: 15},
		{title: "MASTER", drop: 2},
		{title: "WHY", least: 24, drop: 1},
	}}
	states := map[string]int{}
	now := m.clock()
	for n := range a.Instances {
		i := &a.Instances[n]
		states[i.State]++
		why, bad := i.reason()
		e := entry{bad: bad, note: why, sort: sortable{name: i.Name, state: i.rank()}, cells: []cell{
			{i.Name, Strong}, {i.stateWord(), i.style()}, {i.priority(), i.priorityStyle()}, {age(now.Sub(i.Since)), Plain},
			{fmt.Sprint(i.VRID), Plain}, {i.Interface, Plain}, {i.address(), i.addressStyle()}, {i.master(), Plain}, {why, Plain},
		}}
		e.more = i.details()
		s.groups = append(s.groups, group{head: e})
	}
	var words []string
	for _, state := range []string{"MASTER", "BACKUP", "FAULT", "INIT", "STOPPED"} {
		if states[state] > 0 {
			words = append(words, fmt.Sprintf("%d %s", states[state], strings.ToLower(state)))
		}
	}
	s.summary = strings.Join(words, ", ")
	return s
}

// reason is why an instance is what it is, in a line, and whether somebody
// should know.
func (i *Instance) reason() (string, bool) {
	switch {
	case len(i.Faults) > 0:
		return strings.Join(i.Faults, "; "), true
	case i.State == "FAULT":
		return i.Why, true
	case i.missing() > 0:
		return fmt.Sprintf("%d of its addresses are not on the host: %s", i.missing(), i.LastError), true
	case i.Priority != i.Configured && i.PriorityWhy != "":
		return i.PriorityWhy, true
	}
	return i.Why, false
}

func (i *Instance) rank() int {
	switch {
	case i.State == "FAULT":
		return 0
	case i.missing() > 0 || i.Priority != i.Configured:
		return 1
	case i.State == "MASTER":
		return 3
	case i.State == "BACKUP":
		return 4
	}
	return 2
}

// missing counts addresses that it should have and has not.
func (i *Instance) missing() (n int) {
	for _, a := range i.Addresses {
		if i.Holds && !a.Set {
			n++
		}
	}
	return n
}

func (i *Instance) stateWord() string {
	s := i.State
	if i.Drill {
		s += " drill"
	}
	if i.Leaving {
		s += " leaving"
	}
	return s
}

func (i *Instance) style() Style {
	switch i.State {
	case "MASTER":
		return Good
	case "FAULT":
		return Bad
	case "BACKUP":
		return Plain
	}
	return Doubt
}

func (i *Instance) priority() string {
	if i.Priority != i.Configured {
		return fmt.Sprintf("%d/%d", i.Priority, i.Configured)
	}
	return fmt.Sprint(i.Priority)
}

func (i *Instance) priorityStyle() Style {
	if i.Priority != i.Configured {
		return Doubt
	}
	return Plain
}

func (i *Instance) address() string {
	switch len(i.Addresses) {
	case 0:
		return "-"
	case 1:
		return i.Addresses[0].Prefix
	}
	return fmt.Sprintf("%s +%d", i.Addresses[0].Prefix, len(i.Addresses)-1)
}

func (i *Instance) addressStyle() Style {
	switch {
	case i.missing() > 0:
		return Bad
	case i.Holds:
		return Strong
	}
	return Faint
}

func (i *Instance) master() string {
	switch {
	case i.MasterHere:
		return "this node"
	case i.Master == "":
		return "-"
	}
	return i.Master
}

// shownTransitions and shownAddresses bound the lines below an instance.
const (
	shownTransitions = 3
	shownAddresses   = 8
)

// details are the lines below an instance that has room.
func (i *Instance) details() (out []Line) {
	add := func(format string, args ...any) { out = append(out, text("    "+fmt.Sprintf(format, args...), Faint)) }
	if i.PriorityWhy != "" {
		add("priority %s", i.PriorityWhy)
	}
	if len(i.Addresses) > 1 {
		for n, a := range i.Addresses {
			if n == shownAddresses {
				add("and %d more", len(i.Addresses)-n)
				break
			}
			if i.Holds && !a.Set {
				add("%s (missing)", a.Prefix)
			} else {
				add("%s", a.Prefix)
			}
		}
	}
	for n := len(i.History) - 1; n >= max(0, len(i.History)-shownTransitions); n-- {
		h := i.History[n]
		add("%s %s -> %s (%s)", h.At.Local().Format("Jan _2 15:04:05"), h.From, h.To, h.Why)
	}
	if i.LastError != "" {
		add("last error: %s", i.LastError)
	}
	return out
}
