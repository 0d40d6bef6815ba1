package failover

import (
	"time"

	"evenkeel/internal/failover/loop"
	"evenkeel/internal/model"
)

// settling is an interface whose changes count only when they last
// (interface_up_down_delays).
type settling struct {
	up bool          // as it counts
	at time.Duration // when the other state will count; loop.Never: it is not in the other
}

// counts says whether an interface counts as up, that is up or not at present.
func (p *plane) counts(name string, up bool) bool {
	var delay *model.InterfaceDelay
	for n := range p.plan.model.InterfaceDelays {
		if d := &p.plan.model.InterfaceDelays[n]; d.Name == name {
			delay = d
		}
	}
	if delay == nil {
		delete(p.settlings, name)
		return up
	}
	s := p.settlings[name]
	if s == nil {
		s = &settling{up: up, at: loop.Never}
		p.settlings[name] = s
	}
	switch {
	case s.up == up:
		s.at = loop.Never
	case s.at == loop.Never:
		s.at = p.now + delay.Down
		if up {
			s.at = p.now + delay.Up
		}
	}
	if p.now >= s.at {
		s.up, s.at = up, loop.Never
	}
	return s.up
}

// settleAt is when the next interface has settled.
func (p *plane) settleAt() time.Duration {
	at := loop.Never
	for _, s := range p.settlings {
		at = min(at, s.at)
	}
	return at
}
