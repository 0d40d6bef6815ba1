package vrrp

import (
	"net/netip"
	"time"

	wire "evenkeel/internal/wire/vrrp"
)

// downAt is when a backup takes over unless it hears something.
func (m *Machine) downAt() time.Duration {
	at := m.base
	switch m.wait {
	case waitDown:
		at += m.config.down(m.priority(), m.masterInterval)
	case waitReleased, waitDemoted:
		at += skew(m.config.Version, m.priority(), m.masterInterval)
	case waitStart:
	}
	return max(at, m.notBefore)
}

// becomeBackup waits a whole down interval from now. What is to happen to the
// addresses is the caller's.
func (m *Machine) becomeBackup(now time.Duration, cause Cause, detail string) {
	if m.state == Master {
		m.counters.ReleasedMaster++
	}
	m.base = now
	m.masterInterval = m.config.Interval
	if m.master == m.config.Source {
		m.master, m.masterPriority = netip.Addr{}, 0
	}
	m.enter(now, Backup, cause, detail)
}

// expired: nobody we acknowledge has been heard for long enough.
func (m *Machine) expired(now time.Duration) {
	cause := CauseTimeout
	switch {
	case m.wait == waitStart:
		cause = CauseOwner
	case m.wait == waitReleased:
		cause = CauseReleased
	case m.lowerHeard != never:
		cause = CausePreempt
	}
	if m.grouped {
		// The group goes on when every member's timer has run out; until then
		// this one runs again.
		m.wants, m.wantsCause = true, cause
		m.wait, m.base = waitDown, now
		return
	}
	m.becomeMaster(now, cause, "")
}

// backupHeard is RFC 9568 6.4.2, with keepalived's preemption delay.
func (m *Machine) backupHeard(now time.Duration, a *wire.Advert, source netip.Addr) {
	if a.Priority == wire.PriorityRelease {
		m.learn(a)
		m.preemptAt = never
		if m.wait != waitReleased { // a repeated one does not put it off
			m.hasten(now, waitReleased)
		}
		m.master, m.masterPriority = netip.Addr{}, 0
		return
	}
	switch {
	case a.Priority >= m.priority():
		m.preemptAt = never
		m.acknowledge(now, a, source)
	case !m.config.preempts():
		m.acknowledge(now, a, source)
	case m.tolerated(now):
		m.acknowledge(now, a, source)
	default:
		// A lower one is not acknowledged, so the timer runs on.
		demoted := source == m.accepted && source == m.master && a.Priority < m.masterPriority
		if demoted && m.config.PromptElection && m.wait == waitDown && m.config.preemptDelay() == 0 {
			m.hasten(now, waitDemoted)
		}
		m.lowerHeard = now
		m.master, m.masterPriority = source, a.Priority
	}
}

// acknowledge accepts a master.
func (m *Machine) acknowledge(now time.Duration, a *wire.Advert, source netip.Addr) {
	m.learn(a)
	m.accepted = source
	m.master, m.masterPriority = source, a.Priority
	m.wait, m.base = waitDown, now
	m.lowerHeard = never
	m.wants = false
}

// tolerated: preempt_delay runs from the first advertisement of a lower master.
func (m *Machine) tolerated(now time.Duration) bool {
	if m.preemptAt == never {
		m.preemptAt = now + m.config.preemptDelay()
	}
	return now < m.preemptAt
}

// hasten shortens the wait to the skew time from now; it never makes it longer.
func (m *Machine) hasten(now time.Duration, to waiting) {
	before, wait, base := m.downAt(), m.wait, m.base
	m.wait, m.base = to, now
	if m.downAt() > before {
		m.wait, m.base = wait, base
	}
}

// learn takes over the master's interval (version 3).
func (m *Machine) learn(a *wire.Advert) {
	if m.config.Version == 3 {
		m.masterInterval = a.Interval
	}
}
