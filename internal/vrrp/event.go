package vrrp

import (
	"net/netip"
	"time"

	wire "evenkeel/internal/wire/vrrp"
)

// Event is what happened to an instance.
type Event interface{ event() }

// Start begins. With Resume a machine that was master when its process ended
// stays master, if its peers cannot have noticed yet.
type Start struct{ Resume *Resume }

// Resume is what a restarted process remembers of an instance whose addresses
// are still on the host.
type Resume struct {
	LastAdvert time.Duration // when the last advertisement was sent
	Since      time.Duration // since when it is master
	Sequence   uint32        // AH's, of that advertisement
	// Successor is the priority of the last heard peer, 0 when unknown.
	Successor uint8
}

// Timer says that the deadline is due. Early or superfluous ones do no harm.
type Timer struct{}

// Received is a packet for the instance: Advert and Header filled in by
// wire.Parse and Err its result. It is passed by pointer and may be used again
// after the step.
type Received struct {
	Advert wire.Advert
	Header wire.Header
	Err    error
}

// SetPriority is a new effective priority (Priority computes it). Why is for
// people: "150 - 60 script chk_nginx failed = 90".
type SetPriority struct {
	Effective uint8
	Why       string
}

// FaultSet: something that the instance needs is gone. LinkDown: nothing can be
// sent, so there is no point in answering on until a peer takes over.
type FaultSet struct {
	Why      string
	LinkDown bool
}

// Recovered: nothing is wrong any more.
type Recovered struct{}

// Stop is the graceful end: priority 0, and the addresses stay until a peer has
// them or the slowest peer would. The machine is STOPPED, and Info().Leaving is
// true until RemoveAddresses came.
type Stop struct{}

// Abandon is the end without grace: the addresses go now.
type Abandon struct{}

// SetSource is a new source address.
type SetSource struct{ Source netip.Addr }

// Reconfigure is a new configuration. Changes that peers can live with happen
// in place; another VRID, version or family starts over.
type Reconfigure struct{ Config Config }

// TakeOver is a drill: be master now, with priority 254, until GiveUp, Clear, a
// fault or a master of higher priority ends it.
type TakeOver struct{}

// GiveUp is a drill: be backup once. It ends a TakeOver.
type GiveUp struct{}

// Clear ends a TakeOver; the priority is the effective one again.
type Clear struct{}

// Frozen: the process did not run for longer than peers wait, see
// Machine.Overslept. A master is backup now, its addresses go at once, and it
// waits a whole down interval.
type Frozen struct{}

// follow is an order of the sync group: to Master or Backup.
type follow struct {
	to   State
	name string // of the member that went first
}

func (Start) event()       {}
func (Timer) event()       {}
func (*Received) event()   {}
func (SetPriority) event() {}
func (FaultSet) event()    {}
func (Recovered) event()   {}
func (Stop) event()        {}
func (Abandon) event()     {}
func (SetSource) event()   {}
func (Reconfigure) event() {}
func (TakeOver) event()    {}
func (GiveUp) event()      {}
func (Clear) event()       {}
func (Frozen) event()      {}
func (follow) event()      {}
