package vrrp

import (
	"net/netip"
	"time"

	wire "evenkeel/internal/wire/vrrp"
)

// Machine is one instance. It belongs to one goroutine.
type Machine struct {
	config Config
}

// New makes a machine in INIT; it does nothing before Start.
func New(c Config) *Machine { return &Machine{config: c} }

// Step takes an event and returns what is to be done, in order. The slice is
// valid until the next step.
func (m *Machine) Step(now time.Duration, ev Event) []Action { return nil }

// Deadline is when Step wants a Timer, if it wants one.
func (m *Machine) Deadline() (time.Duration, bool) { return 0, false }

// State returns what the instance is.
func (m *Machine) State() State { return Init }

// Config returns the present configuration, not to be changed.
func (m *Machine) Config() *Config { return &m.config }

// Expect is what wire.Parse is to demand of packets for this instance.
func (m *Machine) Expect() *wire.Expect { return nil }

// Advert is what a SendAdvert action sends. It is valid until the next call.
func (m *Machine) Advert(priority uint8, sequence uint32) *wire.Advert { return nil }

// DownInterval is how long peers of this configuration wait at least before
// they take over from us: no lease may be longer than it should.
func (m *Machine) DownInterval() time.Duration { return 0 }

// LeaveWait is how long the addresses are to be kept after a last advertisement
// of priority 0 when nobody is heard: the slowest peer's skew time.
func (m *Machine) LeaveWait() time.Duration { return 0 }

// Info returns the present situation.
func (m *Machine) Info() Info { return Info{} }

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
	LastSent       time.Duration
	Sequence       uint32
	Successor      uint8 // priority of the last heard peer, for Resume

	Deadline    time.Duration
	HasDeadline bool
	Counters    Counters
}

// Counters are what keepalived's data dump counts.
type Counters struct {
	AdvertsReceived, AdvertsSent            uint64
	BecameMaster, ReleasedMaster            uint64
	PriorityZeroReceived, PriorityZeroSent  uint64
	PacketErrors                            [wire.ErrorKinds + 1]uint64 // by wire.Error
	TTLErrors, IntervalErrors               uint64
	AddressListErrors, UnknownPeers, Replay uint64
	OwnSource, DuplicateMaster              uint64
}
