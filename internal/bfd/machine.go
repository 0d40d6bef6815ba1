package bfd

import (
	"time"

	wire "evenkeel/internal/wire/bfd"
)

// State is a session's state.
type State = wire.State

// The states of a session.
const (
	AdminDown = wire.AdminDown
	Down      = wire.Down
	Init      = wire.Init
	Up        = wire.Up
)

// ActionKind says what an Action is.
type ActionKind uint8

// What a machine asks for.
const (
	// Send: send Control to the neighbor.
	Send ActionKind = iota
	// Changed: the state went From From To To.
	Changed
	// Ended: nothing more will come after Stop.
	Ended
)

// Action is one thing for the runner to do.
type Action struct {
	Kind     ActionKind
	Control  wire.Control // Send
	From, To State        // Changed
	Why      string       // Changed
}

// Info is what is known of a session.
type Info struct {
	Name              string
	State             State
	Since             time.Duration // on the clock of the caller
	Why               string        // it is in this state
	Diagnostic        wire.Diagnostic
	RemoteState       State
	RemoteDiagnostic  wire.Diagnostic
	Discriminator     uint32
	RemoteDiscr       uint32
	TxInterval        time.Duration // in use, before jitter
	DetectionTime     time.Duration // 0: nothing was heard yet
	LastHeard         time.Duration
	Sent, Received    uint64
	Flaps             uint64 // times it left Up
	Discarded         uint64 // packets that were refused
	LastDiscardReason string
}

// Machine is one session. It is not safe for concurrent use. Times are
// durations on any one monotonic clock. A slice of actions is valid until the
// next call.
type Machine struct {
	// Set once.
	random func() float64

	cfg  Config
	info Info

	remoteMinRx, remoteMinTx time.Duration
	remoteMult               uint8
	remoteDemand             bool

	desiredMinTx  time.Duration // what we announce
	requiredMinRx time.Duration
	txHold        time.Duration // an old interval that counts until the poll ends
	rxHold        time.Duration
	polling       bool
	pollAgain     bool // parameters changed while polling

	nextTx  time.Duration // never: no periodic packets
	lastTx  time.Duration
	expires time.Duration // never: not armed
	goodbye int           // packets that Stop still owes

	actions []Action
}
