package vrrp

import "time"

// Group is a sync group: its members are master, backup or in fault together.
// It takes the place of its members' Step.
//
// As in keepalived a group becomes master when the down timers of all members
// have run out, and backup as soon as one of them hears a better master. A fault
// of one is a fault of all.
type Group struct {
	Name    string
	members []member
	out     []GroupAction
	queue   []groupEvent
}

type member struct {
	machine *Machine
	broken  bool // has a fault of its own
	why     string
}

type groupEvent struct {
	member int
	event  Event
}

// GroupAction is an action of a member.
type GroupAction struct {
	Member int
	Action Action
}

// NewGroup ties machines that are in INIT.
func NewGroup(name string, members ...*Machine) *Group {
	g := &Group{Name: name, members: make([]member, len(members))}
	for i, m := range members {
		m.grouped = true
		g.members[i].machine = m
	}
	return g
}

// Release unties the members: they go on alone.
func (g *Group) Release() {
	for i := range g.members {
		g.members[i].machine.grouped = false
	}
	g.members = nil
}

// Step takes an event of a member and returns what is to be done for all of
// them, in order. The slice is valid until the next step. Drills and Frozen
// concern all members, whichever they are given to.
func (g *Group) Step(now time.Duration, i int, ev Event) []GroupAction {
	g.out, g.queue = g.out[:0], g.queue[:0]
	switch ev := ev.(type) {
	case TakeOver, GiveUp, Clear, Frozen:
		for j := range g.members {
			g.run(now, j, ev)
		}
	case FaultSet:
		g.broke(now, i, ev)
	case Recovered:
		g.mended(now, i)
	default:
		g.run(now, i, ev)
	}
	// Each round changes states towards the one that started it: a bound only
	// keeps a mistake from becoming a hang.
	for n := 0; n < len(g.queue) && n < 4*len(g.members); n++ {
		g.run(now, g.queue[n].member, g.queue[n].event)
	}
	return g.out
}

// run steps one member and queues what follows for the others.
func (g *Group) run(now time.Duration, i int, ev Event) {
	m := g.members[i].machine
	before := m.state
	for _, a := range m.Step(now, ev) {
		g.out = append(g.out, GroupAction{i, a})
	}
	switch {
	case m.state == Master && before != Master:
		g.order(i, Master)
	case m.state == Backup && before == Master:
		g.order(i, Backup)
	case m.state == Backup && before == Init && g.leading():
		// The others were resumed.
		g.queue = append(g.queue, groupEvent{i, follow{to: Master, name: g.Name}})
	case m.wants && g.ready():
		g.queue = append(g.queue, groupEvent{i, follow{to: Master}})
	}
}

// order makes the others follow a member.
func (g *Group) order(leader int, to State) {
	for j := range g.members {
		if s := g.members[j].machine.state; j != leader && s != to && (s == Master || s == Backup) {
			g.queue = append(g.queue, groupEvent{j, follow{to: to, name: g.members[leader].machine.config.Name}})
		}
	}
}

// ready reports whether every member that runs wants to be master.
func (g *Group) ready() bool {
	for j := range g.members {
		m := g.members[j].machine
		switch {
		case m.state == Backup && m.wants, m.state == Master, m.state == Stopped:
		default:
			return false
		}
	}
	return true
}

// leading reports whether a member is master.
func (g *Group) leading() bool {
	for j := range g.members {
		if g.members[j].machine.state == Master {
			return true
		}
	}
	return false
}

func (g *Group) broke(now time.Duration, i int, ev FaultSet) {
	g.members[i].broken, g.members[i].why = true, ev.Why
	g.run(now, i, ev)
	for j := range g.members {
		if j != i && !g.members[j].machine.fault {
			g.run(now, j, FaultSet{Why: g.words(i)})
		}
	}
}

func (g *Group) mended(now time.Duration, i int) {
	g.members[i].broken, g.members[i].why = false, ""
	for j := range g.members {
		if g.members[j].broken {
			g.run(now, i, FaultSet{Why: g.words(j)})
			return
		}
	}
	for j := range g.members {
		g.run(now, j, Recovered{})
	}
}

// words is why the others are in fault.
func (g *Group) words(i int) string {
	return "sync group " + g.Name + ": " + g.members[i].machine.config.Name + ": " + g.members[i].why
}

// State is the group's: MASTER, FAULT or STOPPED when all members are, INIT
// before all are started, otherwise BACKUP.
func (g *Group) State() State {
	var count [len(stateNames)]int
	for j := range g.members {
		count[g.members[j].machine.state]++
	}
	for _, s := range []State{Master, Fault, Stopped} {
		if count[s] == len(g.members) {
			return s
		}
	}
	if count[Init] > 0 {
		return Init
	}
	return Backup
}
