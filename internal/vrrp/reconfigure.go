package vrrp

import (
	"net/netip"
	"slices"
	"time"

	wire "evenkeel/internal/wire/vrrp"
)

// reconfigure changes in place what peers can live with.
func (m *Machine) reconfigure(now time.Duration, c Config) {
	old := m.config
	if c.VRID != old.VRID || c.Version != old.Version || c.Family != old.Family {
		m.restart(now, c)
		return
	}
	before, offset := m.priority(), int(m.effective)-int(old.Priority)
	m.configure(c)
	if c.Priority != old.Priority {
		// What is tracked counts on until the runner computes anew.
		m.effective = bound(c.Priority, int(c.Priority)+offset)
	}
	changed := c.Interval != old.Interval || c.Auth != old.Auth || c.Key != old.Key
	addresses := !slices.Equal(c.Addresses, old.Addresses)
	switch m.state {
	case Master:
		m.master = m.config.Source
		if addresses {
			m.act(Action{Kind: AddAddresses})
		}
		if changed || addresses || m.priority() != before {
			m.advertise(now)
		}
		if addresses && c.Announce.Repeat > 0 {
			m.act(Action{Kind: Announce, Repeat: c.Announce.Repeat, Reason: AnnounceMaster})
		}
		m.rescheduled(now, &old)
	case Backup:
		if changed || addresses {
			// The peers may not be reconfigured yet: until they are, we do not
			// understand them.
			m.wait, m.base, m.wants = waitDown, now, false
			if c.Version == 2 || !m.accepted.IsValid() {
				m.masterInterval = c.Interval
			}
		}
		if c.preemptDelay() != old.preemptDelay() {
			m.preemptAt = never
		}
	}
	if m.priority() != before {
		m.note(Action{Notice: NoticePriority, Got: int64(m.priority()), Want: int64(before)})
	}
}

// rescheduled fits the master's announcements to new settings.
func (m *Machine) rescheduled(now time.Duration, old *Config) {
	g, was := &m.config.Announce, &old.Announce
	if g.Refresh != was.Refresh {
		m.refreshAt = never
		if g.Refresh > 0 {
			m.refreshAt = now + g.Refresh
		}
	}
	if g.Repeat == 0 || g.Delay == 0 {
		m.announceAgain = never
	}
	if g.LowerPrioRepeat == 0 || g.LowerPrioDelay == 0 {
		m.lowerAgain = never
	}
}

// restart: another virtual router. The old one's peers are told.
func (m *Machine) restart(now time.Duration, c Config) {
	was := m.state
	if was == Master {
		m.send(now, wire.PriorityRelease)
		m.actions[len(m.actions)-1].Previous = &Previous{Advert: *m.Advert(wire.PriorityRelease, m.sequence), Config: m.config}
		m.counters.ReleasedMaster++
	}
	if m.holds {
		m.drop()
	}
	m.configure(c)
	m.effective, m.why, m.drill = c.Priority, "", false
	m.forget()
	m.sequence, m.sequenceFrom = 0, netip.Addr{}
	switch was {
	case Master, Backup:
		m.base = now
		m.enter(now, Backup, CauseRestart, "")
	}
}
