package worker

import (
	"errors"

	"evenkeel/internal/keeper/socket"
)

// Control is the worker's line to its keeper. Run uses it; a service needs
// only what Run passes on.
type Control interface {
	// Boot says why this worker was started.
	Boot() Boot
	// Configure tells the keeper the settings. ErrElsewhere means that the
	// keeper starts over in the background: exit without a word.
	Configure(s Settings) error
	// Listen gives a descriptor that the caller owns.
	Listen(spec socket.Spec) (fd int, err error)
	// PreviousState is the state of the worker before this one.
	PreviousState() ([]byte, error)
	// Ready ends the start: from now on the worker serves, the one before
	// drains, and blob is the last good configuration.
	Ready(blob []byte) error
	// SaveState keeps a state for the case that this worker dies.
	SaveState(state []byte) error
	// ReportDown tells which backends have no server that could be used.
	ReportDown(backends []string) error
	// Log keeps messages for the keeper's command line (show startup-logs).
	Log(text string)
	// Events is closed when the keeper is gone.
	Events() <-chan Event
	Close() error
}

// ErrElsewhere is what Configure answers when the keeper moves to the
// background and starts another worker from there.
var ErrElsewhere = errors.New("the start goes on in the background")

// Boot is why and with what a worker was started.
type Boot struct {
	Generation int    // 1 for the first worker of this keeper
	Recovery   bool   // the worker before died
	Blob       []byte `json:"-"` // last good configuration, only in recovery
	Master     bool   // master-worker mode
	Lease      bool   // this node holds addresses that move
}

// EventKind is what the keeper wants of a worker.
type EventKind int

const (
	EventDrain   EventKind = iota + 1 // Peer, if any, leads to the next worker
	EventStop                         // now
	EventLeave                        // the addresses are about to move to another node
	EventPause                        // stop accepting
	EventResume                       // accept again
	EventPeer                         // connections of another worker arrive on Peer
	EventState                        // answer with Reply
	EventRuntime                      // FD is a client of the runtime API
)

// Event is one wish of the keeper.
type Event struct {
	Kind  EventKind
	Peer  *Peer
	Reply func(state []byte)
	FD    int
}
