package vrrp

import (
	"net/netip"
	"time"

	wire "evenkeel/internal/wire/vrrp"
)

// becomeMaster: the addresses come before the advertisement on which an old
// master drops its own, so that somebody always answers.
func (m *Machine) becomeMaster(now time.Duration, cause Cause, detail string) {
	m.counters.BecameMaster++
	m.leaveUntil = never
	m.holds = true
	m.act(Action{Kind: AddAddresses})
	m.lead(now)
	g := &m.config.Announce
	if g.Repeat > 0 {
		m.act(Action{Kind: Announce, Repeat: g.Repeat, Reason: AnnounceMaster})
		if g.Delay > 0 {
			m.announceAgain = now + g.Delay
		}
	}
	m.enter(now, Master, cause, detail)
}

// resume goes on where the process before ended: no peer has noticed, so there
// is no transition and nothing is announced.
func (m *Machine) resume(now time.Duration, r *Resume) {
	m.state, m.since, m.cause = Master, r.Since, CauseStart
	m.holds = true
	m.act(Action{Kind: AddAddresses})
	m.lead(now)
}

// lead begins the master's schedule with an advertisement.
func (m *Machine) lead(now time.Duration) {
	m.listen()
	m.idle()
	m.master = m.config.Source
	m.masterInterval = m.config.Interval
	m.notBefore = 0
	m.advertise(now)
	if m.config.Announce.Refresh > 0 {
		m.refreshAt = now + m.config.Announce.Refresh
	}
}

// advertise sends now and begins the interval anew.
func (m *Machine) advertise(now time.Duration) {
	m.masterPriority = m.priority()
	m.send(now, m.priority())
	m.nextAdvert = now + m.config.Interval
}

func (m *Machine) masterTimer(now time.Duration) {
	if now >= m.nextAdvert {
		due := m.nextAdvert
		m.advertise(now)
		// A late step does not shift the schedule, unless it is a whole interval late.
		if next := due + m.config.Interval; next > now {
			m.nextAdvert = next
		}
	}
	g := &m.config.Announce
	if now >= m.announceAgain {
		m.announceAgain = never
		m.act(Action{Kind: Announce, Repeat: g.Repeat, Reason: AnnounceMasterAgain})
	}
	if now >= m.lowerAgain {
		m.lowerAgain = never
		m.act(Action{Kind: Announce, Repeat: g.LowerPrioRepeat, Reason: AnnounceLowerPriorityAgain})
	}
	if now >= m.refreshAt {
		m.refreshAt += g.Refresh
		if m.refreshAt <= now {
			m.refreshAt = now + g.Refresh
		}
		m.act(Action{Kind: Announce, Repeat: max(1, g.RefreshRepeat), Reason: AnnounceRefresh})
	}
}

// masterHeard is RFC 9568 6.4.3.
func (m *Machine) masterHeard(now time.Duration, a *wire.Advert, source netip.Addr) {
	if a.Priority == wire.PriorityRelease {
		m.advertise(now)
		return
	}
	if a.Priority == wire.PriorityOwner && m.config.Owner() {
		m.note(Action{Notice: NoticeOwnerConflict, Peer: source, Priority: a.Priority})
	}
	mine := m.priority()
	if a.Priority > mine || a.Priority == mine && source.Compare(m.config.Source) > 0 {
		if m.config.HigherPrioSendAdvert {
			m.send(now, mine)
		}
		cause := CauseHigherPriority
		if a.Priority == mine {
			cause = CauseHigherAddress
		}
		m.drill = false
		m.drop()
		m.becomeBackup(now, cause, "")
		m.acknowledge(now, a, source)
		return
	}
	// A higher one may just come back, and what a lower one sent while we took
	// over is no trouble. But this one should have heard us.
	if now-m.since >= m.config.Interval {
		m.counters.DuplicateMaster++
		m.note(Action{Notice: NoticeDuplicateMaster, Peer: source, Priority: a.Priority})
	}
	m.note(Action{Notice: NoticeLowerPriorityMaster, Peer: source, Priority: a.Priority})
	if !m.config.LowerPrioNoAdvert {
		m.advertise(now)
	}
	if g := &m.config.Announce; g.LowerPrioRepeat > 0 {
		m.act(Action{Kind: Announce, Repeat: g.LowerPrioRepeat, Reason: AnnounceLowerPriority})
		if g.LowerPrioDelay > 0 {
			m.lowerAgain = now + g.LowerPrioDelay
		}
	}
}
