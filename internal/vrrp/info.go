package vrrp

import (
	"net/netip"
	"time"

	wire "evenkeel/internal/wire/vrrp"
)

// State returns what the instance is.
func (m *Machine) State() State { return m.state }

// Config returns the present configuration, not to be changed.
func (m *Machine) Config() *Config { return &m.config }

// Expect is what wire.Parse is to demand of packets for this instance. It is
// valid until the next Reconfigure.
func (m *Machine) Expect() *wire.Expect { return &m.expect }

// Advert is what a SendAdvert action sends. It is valid until the next call.
func (m *Machine) Advert(priority uint8, sequence uint32) *wire.Advert {
	m.advert.Priority, m.advert.Sequence, m.advert.Checksum = priority, sequence, m.checksum
	return &m.advert
}

// DownInterval is how long peers of this configuration wait at least before
// they take over from us.
func (m *Machine) DownInterval() time.Duration {
	return m.config.down(wire.PriorityOwner, m.config.Interval)
}

// LeaveWait is how long somebody who cannot hear the peers keeps the addresses
// after priority 0: the skew time of the peer that was last heard, or else of
// the slowest.
func (m *Machine) LeaveWait() time.Duration {
	priority := m.successor
	if priority == 0 {
		priority = slowestPriority
	}
	return skew(m.config.Version, priority, m.config.Interval) + leaveMargin
}

// Info is what status shows of an instance.
type Info struct {
	State State
	Since time.Duration // when the state was entered
	Cause Cause
	// Detail is the fault, or the member of the sync group that went first.
	Detail string

	Configured, Effective uint8
	// PriorityWhy explains Effective, "" when it is the configured one.
	PriorityWhy string
	Drill       bool // TakeOver is in force

	// HoldsAddresses: the addresses are ours, also while Leaving.
	HoldsAddresses bool
	// Leaving: priority 0 is sent, and the addresses stay for a moment.
	Leaving bool

	// Master is the present master, ourselves included; invalid when unknown.
	Master         netip.Addr
	MasterPriority uint8
	MasterInterval time.Duration // learnt in version 3
	LastHeard      time.Duration // the last good advertisement, 0: none
	LastSent       time.Duration // 0: none
	Sequence       uint32
	Successor      uint8 // priority of the last heard peer, for Resume

	Deadline    time.Duration
	HasDeadline bool
	Counters    Counters
}

// Counters are what keepalived's data dump counts, and more.
type Counters struct {
	AdvertsReceived, AdvertsSent           uint64
	BecameMaster, ReleasedMaster           uint64
	PriorityZeroReceived, PriorityZeroSent uint64
	// PacketErrors are by wire.Error.
	PacketErrors                    [wire.ErrorKinds + 1]uint64
	TTLErrors, IntervalErrors       uint64
	AddressListErrors               uint64
	UnknownPeers, OwnSource, Replay uint64
	DuplicateMaster                 uint64
}

// Info returns the present situation.
func (m *Machine) Info() Info {
	at, ok := m.Deadline()
	return Info{
		State: m.state, Since: m.since, Cause: m.cause, Detail: m.detail,
		Configured: m.config.Priority, Effective: m.priority(), PriorityWhy: m.why, Drill: m.drill,
		HoldsAddresses: m.holds, Leaving: m.leaveUntil != never,
		Master: m.master, MasterPriority: m.masterPriority, MasterInterval: m.masterInterval,
		LastHeard: m.lastHeard, LastSent: m.lastSent, Sequence: m.sequence, Successor: m.successor,
		Deadline: at, HasDeadline: ok, Counters: m.counters,
	}
}
