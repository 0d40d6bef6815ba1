package vrrp

// Group is a sync group: its members are master, backup or in fault together.
// Faults of members go to the group, which orders them for all.
type Group struct {
	Name    string
	members []member
	faults  int
	orders  []Order
}

type member struct {
	name   string
	state  State
	fault  string
	broken bool
}

// Order is an event for a member.
type Order struct {
	Member int
	Event  Event
}

// NewGroup makes a group of members that are numbered as they are listed.
func NewGroup(name string, members ...string) *Group {
	g := &Group{Name: name, members: make([]member, len(members))}
	for i, n := range members {
		g.members[i].name = n
	}
	return g
}

// Observe is told every Transition of a member and returns what the others are
// to do. The slice is valid until the next call.
func (g *Group) Observe(i int, transition Action) []Order { return nil }

// Fault says that something a member needs is gone, in place of FaultSet to the
// member.
func (g *Group) Fault(i int, fault FaultSet) []Order { return nil }

// Recovered says that nothing is wrong with a member any more.
func (g *Group) Recovered(i int) []Order { return nil }

// State is the group's: MASTER or FAULT when all members are, otherwise BACKUP.
func (g *Group) State() State { return Init }
