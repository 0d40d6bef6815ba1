package vrrp

import "time"

// leave sends priority 0 and keeps answering until a peer has the addresses, or
// the slowest peer would.
func (m *Machine) leave(now time.Duration) {
	if m.state != Master {
		return
	}
	m.send(now, 0)
	m.leaveUntil = now + skew(m.config.Version, slowestPriority, m.config.Interval) + unheardMargin
}

// succeeded: somebody else is master, so the addresses can go soon.
func (m *Machine) succeeded(now time.Duration) {
	if m.leaveUntil != never {
		m.leaveUntil = min(m.leaveUntil, now+successorGrace)
	}
}

// drop gives the addresses up now. It says so also when they are not held,
// where stale ones of an earlier run may be.
func (m *Machine) drop() {
	m.holds = false
	m.leaveUntil = never
	m.act(Action{Kind: RemoveAddresses})
}

func (m *Machine) stop(now time.Duration, graceful bool) {
	m.leave(now)
	if m.holds && !graceful {
		m.drop()
	}
	if m.state == Master {
		m.counters.ReleasedMaster++
	}
	m.drill = false
	m.enter(now, Stopped, CauseStop, "")
}

func (m *Machine) setFault(now time.Duration, ev FaultSet) {
	m.fault, m.faultWhy = true, ev.Why
	switch m.state {
	case Master:
		m.leave(now)
		m.counters.ReleasedMaster++
	case Fault:
		m.detail = ev.Why
	}
	if ev.LinkDown && m.holds {
		m.drop()
	}
	if m.state != Master && m.state != Backup {
		return
	}
	m.drill = false
	m.listen()
	m.enter(now, Fault, CauseFault, ev.Why)
}

func (m *Machine) recovered(now time.Duration) {
	m.fault, m.faultWhy = false, ""
	if m.state != Fault {
		return
	}
	if m.config.Owner() && m.config.StartMaster {
		m.becomeMaster(now, CauseOwner, "")
		return
	}
	m.becomeBackup(now, CauseRecovered, "")
}

// frozen: a peer has taken over meanwhile, so nothing is announced and nobody
// is asked.
func (m *Machine) frozen(now time.Duration) {
	if m.holds {
		m.drop()
	}
	switch m.state {
	case Master:
		m.drill = false
		m.becomeBackup(now, CauseFrozen, "")
	case Backup:
		// What was sent meanwhile may be lost.
		m.wait, m.base, m.wants = waitDown, now, false
	}
}

// Overslept reports whether a master has not advertised for so long that its
// peers may have taken over: time for Frozen, before anything else is stepped.
func (m *Machine) Overslept(now time.Duration) bool {
	return m.state == Master && now-m.lastSent >= m.DownInterval()
}

// Done reports whether a stopped machine has nothing left to do.
func (m *Machine) Done() bool { return m.state == Stopped && !m.holds }
