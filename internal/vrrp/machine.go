package vrrp

import (
	"net/netip"
	"time"

	wire "evenkeel/internal/wire/vrrp"
)

// Machine is one instance. It belongs to one goroutine.
type Machine struct {
	config  Config
	expect  wire.Expect
	advert  wire.Advert // what Advert returns
	actions []Action    // used again by each step
	grouped bool        // a sync group decides when it becomes master

	state  State
	since  time.Duration
	cause  Cause
	detail string

	effective uint8 // without a drill
	why       string
	drill     bool
	fault     bool
	faultWhy  string

	holds      bool          // the addresses are ours
	leaveUntil time.Duration // when they go although priority 0 is sent; never

	// BACKUP: the down timer runs from base.
	base      time.Duration
	wait      waiting
	notBefore time.Duration // the startup delay
	// accepted is the master that was last acknowledged: of our priority or
	// higher, or tolerated.
	accepted       netip.Addr
	preemptAt      time.Duration // until when a lower one is tolerated; never: none was seen
	lowerHeard     time.Duration // a lower one was heard and not acknowledged; never
	wants          bool          // the timer ran out, and the sync group is asked
	wantsCause     Cause
	masterInterval time.Duration

	// MASTER
	nextAdvert    time.Duration
	announceAgain time.Duration
	lowerAgain    time.Duration
	refreshAt     time.Duration

	master         netip.Addr
	masterPriority uint8
	checked        netip.Addr // its address list was compared
	checksum       wire.Checksum
	sequence       uint32 // AH's: the last that was sent or heard
	sequenceFrom   netip.Addr
	successor      uint8
	lastHeard      time.Duration
	lastSent       time.Duration
	counters       Counters
}

// waiting is what the down timer of a backup waits for.
type waiting uint8

const (
	waitDown     waiting = iota // the whole down interval
	waitReleased                // skew time, after priority 0
	waitDemoted                 // skew time, after the master lowered its priority
	waitStart                   // nothing but the startup delay: an owner
)

// New makes a machine in INIT; it does nothing before Start.
func New(c Config) *Machine {
	m := &Machine{actions: make([]Action, 0, 8)}
	m.configure(c)
	m.effective = c.Priority
	m.forget()
	return m
}

// configure takes a configuration; what follows from it is the caller's.
func (m *Machine) configure(c Config) {
	m.config = c
	m.config.Source = c.Source.WithZone("")
	m.checksum = c.Checksum
	m.checked = netip.Addr{}
	m.expect = wire.Expect{Version: c.Version, VRID: c.VRID, Auth: c.Auth, Key: c.Key, AllowEmpty: len(c.Addresses) == 0}
	m.advert = wire.Advert{Version: c.Version, VRID: c.VRID, Interval: c.Interval, Addresses: c.Addresses, Auth: c.Auth}
}

// forget is the situation of a machine that has heard nothing.
func (m *Machine) forget() {
	m.leaveUntil = never
	m.listen()
	m.master, m.masterPriority, m.successor = netip.Addr{}, 0, 0
	m.masterInterval = m.config.Interval
}

// idle drops what only a master has scheduled.
func (m *Machine) idle() {
	m.nextAdvert, m.announceAgain, m.lowerAgain, m.refreshAt = never, never, never, never
}

// listen drops what only a backup remembers.
func (m *Machine) listen() {
	m.accepted = netip.Addr{}
	m.preemptAt, m.lowerHeard = never, never
	m.wants = false
	m.wait = waitDown
}

// Step takes an event and returns what is to be done, in order. The slice is
// valid until the next step.
func (m *Machine) Step(now time.Duration, ev Event) []Action {
	m.actions = m.actions[:0]
	switch ev := ev.(type) {
	case Timer:
		m.timer(now)
	case *Received:
		m.received(now, ev)
	case Start:
		m.start(now, ev.Resume)
	case SetPriority:
		m.setPriority(now, ev)
	case FaultSet:
		m.setFault(now, ev)
	case Recovered:
		m.recovered(now)
	case Stop:
		m.stop(now, true)
	case Abandon:
		m.stop(now, false)
	case SetSource:
		m.setSource(ev.Source)
	case Reconfigure:
		m.reconfigure(now, ev.Config)
	case TakeOver:
		m.takeOver(now)
	case GiveUp:
		m.giveUp(now)
	case Clear:
		m.clear(now)
	case Frozen:
		m.frozen(now)
	case follow:
		m.follow(now, ev)
	}
	return m.actions
}

func (m *Machine) start(now time.Duration, resume *Resume) {
	if m.state != Init && m.state != Stopped {
		return
	}
	m.forget()
	if resume != nil {
		m.sequence = max(m.sequence, resume.Sequence)
		m.successor = resume.Successor
		if !m.fault && now-resume.LastAdvert < m.DownInterval() {
			m.resume(now, resume)
			return
		}
	}
	m.drop()
	switch {
	case m.fault:
		m.enter(now, Fault, CauseFault, m.faultWhy)
	case m.config.Owner() && m.config.StartMaster && m.config.StartupDelay == 0:
		m.becomeMaster(now, CauseOwner, "")
	default:
		m.notBefore = now + m.config.StartupDelay
		m.base = m.notBefore
		if m.config.Owner() && m.config.StartMaster {
			m.wait = waitStart
		}
		m.enter(now, Backup, CauseStart, "")
	}
}

func (m *Machine) timer(now time.Duration) {
	if now >= m.leaveUntil {
		m.drop()
	}
	switch m.state {
	case Backup:
		if now >= m.downAt() {
			m.expired(now)
		}
	case Master:
		m.masterTimer(now)
	}
}

// Deadline is when Step wants a Timer, if it wants one. A backup and a master
// always do.
func (m *Machine) Deadline() (time.Duration, bool) {
	at := m.leaveUntil
	switch m.state {
	case Backup:
		at = min(at, m.downAt())
	case Master:
		at = min(at, m.nextAdvert, m.announceAgain, m.lowerAgain, m.refreshAt)
	}
	return at, at != never
}

// setSource takes over another address. Zones are left out of comparisons: the
// interface is the runner's affair.
func (m *Machine) setSource(source netip.Addr) {
	m.config.Source = source.WithZone("")
	if m.state == Master {
		m.master = m.config.Source
	}
}

// enter changes the state and says so.
func (m *Machine) enter(now time.Duration, to State, cause Cause, detail string) {
	from := m.state
	m.state, m.since, m.cause, m.detail = to, now, cause, detail
	if from == to {
		return // started over
	}
	m.act(Action{Kind: Transition, From: from, To: to, Cause: cause, Detail: detail})
}

func (m *Machine) act(a Action) { m.actions = append(m.actions, a) }

// send asks for an advertisement.
func (m *Machine) send(now time.Duration, priority uint8) {
	m.sequence++
	m.sequenceFrom = netip.Addr{}
	m.lastSent = now
	m.counters.AdvertsSent++
	if priority == wire.PriorityRelease {
		m.counters.PriorityZeroSent++
	}
	m.act(Action{Kind: SendAdvert, Priority: priority, Sequence: m.sequence})
}

// priority is the one to advertise and to compare with.
func (m *Machine) priority() uint8 {
	if m.drill && m.effective < drillPriority {
		return drillPriority
	}
	return m.effective
}
