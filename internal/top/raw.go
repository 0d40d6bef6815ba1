package top

import (
	"context"
	"time"
)

// Raw is what a node answered, undecoded. What it does not run is empty.
type Raw struct {
	At        time.Time
	PID       int    // of the keeper; 0: unknown, as over a socket
	Processes string // the keeper's table of processes
	Status    []byte // JSON: addresses and packet forwarding
	Events    []byte // JSON: the latest events
	Stat      []byte // CSV: show stat
	Info      []byte // lines: show info
	// Troubles are parts that should have answered and did not, in words.
	Troubles []string
}

// Source asks a node. An error means that nobody answers.
type Source interface {
	Fetch(ctx context.Context) (*Raw, error)
}
