package vrrp

import (
	"net/netip"
	"time"

	wire "evenkeel/internal/wire/vrrp"
)

// Config is one instance. It is not changed after New or Reconfigure got it.
type Config struct {
	Name    string
	Version uint8 // 2 or 3
	Family  uint8 // 4 or 6
	VRID    uint8
	// Priority is the configured one, 1 to 254, or 255 for an address owner.
	Priority uint8
	// Interval between advertisements: whole seconds in version 2, whole
	// centiseconds in version 3.
	Interval time.Duration

	// StartMaster is "state MASTER". It matters for an owner, which then is
	// master at once, and for the first transition's name; others wait for the
	// down interval in BACKUP like everybody.
	StartMaster bool
	Preempt     bool
	// PreemptDelay is how much longer than the down interval a lower priority
	// master is tolerated.
	PreemptDelay time.Duration
	// StartupDelay is added to the first down interval after Start.
	StartupDelay time.Duration
	// StrictAddresses discards advertisements whose list of addresses is another
	// one than ours, even if they share some.
	StrictAddresses bool
	// PromptElection: when the present master lowers its own priority below
	// ours, take over after the skew time instead of waiting out the down
	// interval. The RFCs wait; the result is the same.
	PromptElection bool

	// Addresses are those that are advertised, in order.
	Addresses []netip.Addr
	// SkipCheckAddresses trusts the address list of a master that was checked
	// once (vrrp_skip_check_adv_addr).
	SkipCheckAddresses bool
	// Accept: answer for the addresses although not their owner. The machine
	// only carries it to the runner.
	Accept bool
	Auth   wire.AuthType
	Key    wire.Key

	// Source is the address that adverts are sent from; it breaks ties.
	Source netip.Addr
	// Peers make the instance unicast. Advertisements of others are discarded.
	Peers []Peer

	HigherPrioSendAdvert bool
	LowerPrioNoAdvert    bool
	// DownTimerAdverts is how many intervals a master may be silent; 0: 3.
	DownTimerAdverts int
	// Checksum is the form sent in version 3 over IPv4 (old_unicast_checksum:
	// wire.ChecksumGroup). All forms are accepted. A unicast instance goes over
	// to the form that its peers use, unless ChecksumFixed.
	Checksum      wire.Checksum
	ChecksumFixed bool

	Announce Announcements
}

// Peer is a unicast peer. TTL bounds of 0 are not looked at.
type Peer struct {
	Addr           netip.Addr
	MinTTL, MaxTTL uint8
}

// Announcements is the schedule of gratuitous ARPs and unsolicited neighbour
// advertisements.
type Announcements struct {
	// Repeat is how many are sent for each address on becoming master, and once
	// more after Delay (0: no second time).
	Repeat int
	Delay  time.Duration
	// Refresh is the time between those that a master repeats (0: never).
	Refresh       time.Duration
	RefreshRepeat int
	// After an advertisement of lower priority: so many at once, and again
	// after the delay. 0: none.
	LowerPrioRepeat int
	LowerPrioDelay  time.Duration
}

// Unicast reports whether the instance talks to listed peers only.
func (c *Config) Unicast() bool { return len(c.Peers) > 0 }

// Owner reports whether the instance owns its addresses (priority 255).
func (c *Config) Owner() bool { return c.Priority == wire.PriorityOwner }
