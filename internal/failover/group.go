package failover

import (
	"time"

	"evenkeel/internal/failover/loop"
	"evenkeel/internal/vrrp"
)

// group is a sync group as it runs.
type group struct {
	setup   *groupSetup
	machine *vrrp.Group
	members []*instance // in the order of the machine's
	pace    pace
	state   vrrp.State
}

// pace is the time of one machine, or of those of a group, which share it. It is
// ahead of the clock by as much as their advertisements have been moved together
// with those of others.
type pace struct {
	ahead   time.Duration
	members []*instance
	touched bool // one of them was due in this round
}

// newGroup ties instances together.
func newGroup(s *groupSetup, members []*instance) *group {
	g := &group{setup: s, members: members}
	machines := make([]*vrrp.Machine, len(members))
	for n, i := range members {
		machines[n] = i.machine
		g.pace.ahead = max(g.pace.ahead, i.pace.ahead)
	}
	for n, i := range members {
		i.group, i.member, i.pace = g, n, &g.pace
	}
	g.pace.members = members
	g.machine = vrrp.NewGroup(s.model.Name, machines...)
	return g
}

// release unties the members, which go on alone.
func (g *group) release() {
	g.machine.Release()
	for _, i := range g.members {
		i.group = nil
		i.pace = &pace{ahead: g.pace.ahead, members: []*instance{i}}
	}
}

// observe tells when the group as a whole has changed its state.
func (p *plane) observe(g *group) {
	if s := g.machine.State(); s != g.state {
		g.state = s
		p.postGroup(g)
	}
}

// advance moves a pace forward, so that its members are due earlier.
func (p *plane) advance(c *pace, by time.Duration) {
	if by <= 0 {
		return
	}
	c.ahead += by
	for _, i := range c.members {
		if i.due != loop.Never {
			p.heap.set(i, i.due-by)
		}
	}
}

// slack is how much earlier than due advertisements of a pace may leave.
func (c *pace) slack() time.Duration {
	slack := alignSlack(c.members[0].interval())
	for _, i := range c.members[1:] {
		slack = min(slack, alignSlack(i.interval()))
	}
	return slack
}

// align moves the advertisements of masters a little earlier each time, until
// those of all instances with the same interval fall together: then one wake-up
// does for all of them. None is ever late.
func (p *plane) align(c *pace) {
	if len(p.instances) == len(c.members) && c.ahead == 0 {
		return // there are no others
	}
	first := c.members[0]
	for _, i := range c.members {
		if !i.advertising() || i.due == loop.Never {
			return
		}
		if i.due < first.due {
			first = i
		}
	}
	step := min(first.due%first.interval(), c.slack())
	if first.due-step > p.now {
		p.advance(c, step)
	}
}

// alignSlack is how much earlier than due an advertisement may leave.
func alignSlack(interval time.Duration) time.Duration {
	if interval < minAligned {
		return 0
	}
	return interval / 100
}

// minAligned is the shortest interval worth aligning.
const minAligned = 20 * time.Millisecond
