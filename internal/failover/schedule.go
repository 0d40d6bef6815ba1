package failover

import (
	"time"
)

// pace of a plan: how quickly this process has to react decides how it is
// scheduled.
const (
	// relaxed is an interval from which on a millisecond does not matter: a
	// real-time priority would only cost, since each wake-up then interrupts
	// what runs on the other processor too.
	relaxed = time.Second
	// gathering is how long advertisements of others are left in the socket, for
	// more to come: a router sends those of its instances one after the other.
	gathering = 4 * time.Millisecond
	// defaultRealtime is the lowest priority above everything that is not
	// real-time.
	defaultRealtime = 1
	// relaxedNice is before everything else that is not real-time.
	relaxedNice = -20
)

// scheduling is what a plan wants of the kernel's scheduler.
type scheduling struct {
	realtime int // 0: none
	nice     int
	gather   time.Duration
}

// scheduling works that out. What the configuration asks for (vrrp_rt_priority,
// vrrp_priority) has precedence.
func (p *plan) scheduling() scheduling {
	var s scheduling
	fast := false
	for _, i := range p.instances {
		fast = fast || i.config.Interval < relaxed
	}
	if !fast {
		s.gather = gathering
	}
	m := p.model
	switch {
	case m.NoRealtime:
	case m.RTPriority > 0:
		s.realtime = m.RTPriority
	case m.Nice != nil:
		s.nice = *m.Nice
	case fast:
		s.realtime = defaultRealtime
	default:
		s.nice = relaxedNice
	}
	return s
}

// hurried is for the hand-over at the end. It takes about a second, and each
// millisecond in which the successor is not heard, or the addresses are not
// taken away, is one with two owners.
func (p *plan) hurried() scheduling {
	s := p.scheduling()
	s.gather = 0
	if m := p.model; s.realtime == 0 && !m.NoRealtime && m.Nice == nil {
		s = scheduling{realtime: defaultRealtime}
	}
	return s
}

// schedule asks for it, in the loop. What cannot be had status tells: the
// process does its work all the same.
func (s *Service) schedule(want scheduling) {
	s.loop.Gather(want.gather)
	if s.scheduled != nil && s.scheduled.realtime == want.realtime && s.scheduled.nice == want.nice {
		return
	}
	s.scheduled = &want
	if want.realtime > 0 {
		_ = s.loop.Realtime(want.realtime)
	} else {
		_ = s.loop.Nice(want.nice)
	}
}
