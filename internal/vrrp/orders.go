package vrrp

import (
	"time"

	wire "evenkeel/internal/wire/vrrp"
)

// drillPriority is what an ordered master advertises: above everybody but an
// owner.
const drillPriority = 254

func (m *Machine) setPriority(now time.Duration, ev SetPriority) {
	before := m.priority()
	m.effective, m.why = bound(m.config.Priority, int(ev.Effective)), ev.Why
	m.reprioritized(now, before)
}

// bound limits an effective priority: an owner's is fixed, and nobody else
// becomes one.
func bound(configured uint8, effective int) uint8 {
	if configured == wire.PriorityOwner {
		return wire.PriorityOwner
	}
	return uint8(min(max(effective, 1), wire.PriorityOwner-1))
}

// reprioritized tells peers at once, so that an election need not wait for the
// next interval. A backup's timer follows by itself.
func (m *Machine) reprioritized(now time.Duration, before uint8) {
	if m.priority() == before {
		return
	}
	m.note(Action{Notice: NoticePriority, Got: int64(m.priority()), Want: int64(before)})
	if m.state == Master {
		m.advertise(now)
	}
}

func (m *Machine) takeOver(now time.Duration) {
	if m.state != Master && m.state != Backup {
		return
	}
	before := m.priority()
	m.drill = true
	if m.state == Master {
		m.reprioritized(now, before)
		return
	}
	m.becomeMaster(now, CauseDrill, "")
}

func (m *Machine) giveUp(now time.Duration) {
	m.drill = false
	if m.state != Master {
		return
	}
	m.leave(now)
	m.becomeBackup(now, CauseDrill, "")
}

func (m *Machine) clear(now time.Duration) {
	before := m.priority()
	m.drill = false
	m.reprioritized(now, before)
}

// follow: peers whose instances are grouped as ours are change together; others
// need priority 0 to notice.
func (m *Machine) follow(now time.Duration, ev follow) {
	switch {
	case ev.to == Master && m.state == Backup:
		if m.wants {
			m.becomeMaster(now, m.wantsCause, "")
			return
		}
		m.becomeMaster(now, CauseGroup, ev.name)
	case ev.to == Backup && m.state == Master:
		m.leave(now)
		m.drill = false
		m.becomeBackup(now, CauseGroup, ev.name)
	}
}
