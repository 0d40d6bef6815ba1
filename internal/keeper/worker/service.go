package worker

import (
	"time"

	"evenkeel/internal/keeper/socket"
	"evenkeel/internal/model"
)

// Service is what carries the traffic. Run calls its methods in the order
// below, one at a time, except Adopt, which comes from its own goroutine.
type Service interface {
	// Build reads the configuration (through in.Files, so that it can be read
	// again after a crash) and builds everything that can fail. It opens no
	// listening socket. It still has all privileges of the start.
	Build(in Input) (Settings, model.Diagnostics)

	// Open asks for every listening socket. It still has all privileges.
	Open(listen func(socket.Spec) (fd int, err error)) error

	// Start begins to serve and returns. It runs with the final privileges.
	Start(h Handover) error

	// Adopt takes an idle client connection of the worker before this one;
	// meta is what that worker gave to Drain's give. The service owns fd.
	Adopt(fd int, meta []byte)

	// State is what the worker after this one is told: server states,
	// counters. It is called while serving, from its own goroutine.
	State() []byte

	// Pause stops accepting and Resume begins again; the sockets stay open.
	Pause()
	Resume()

	// Drain stops accepting, closes the listeners and lets what is under way
	// finish; it returns at once. give passes an idle connection to the next
	// worker and then owns fd (on an error the caller still does); it is nil
	// when nobody comes after. give may be called from any goroutine and does
	// not block.
	Drain(give func(fd int, meta []byte) error)

	// Drained is closed when nothing is under way any more after Drain.
	Drained() <-chan struct{}

	// Stop ends everything now.
	Stop()
}

// Input is what Build starts from.
type Input struct {
	Files    *Files
	Recovery bool // a worker died; Files answers from the last good text
	Master   bool // some process watches over this one (HAPROXY_MWORKER)
}

// Handover is what Start gets from the worker before.
type Handover struct {
	State []byte // nil at the first start
	// Save keeps the present State for the case that this worker dies. That
	// is done every second anyway; a change by hand (set server … state) is
	// worth a call, which may come from any goroutine.
	Save func() error
	// Down tells which backends have no server that could be used, when that
	// changes; nil: nobody wants to know.
	Down func(backends []string) error
}

// RuntimeService is a Service with a runtime API. Runtime takes one client
// of it at level admin: fd is a connected stream that the service owns. The
// keeper's own command line and `evenkeel ctl` come this way.
type RuntimeService interface {
	Service
	Runtime(fd int)
}

// Settings are what a configuration asks of processes.
type Settings struct {
	Daemon        bool
	MasterWorker  bool
	Pidfile       string
	HardStopAfter time.Duration // 0: drain for as long as it takes
	Grace         time.Duration // keep accepting this long before a drain

	Privileges Privileges
}

// Privileges is what a worker limits itself to once its sockets are open.
type Privileges struct {
	Chroot   string
	UID, GID *int
	Groups   []int // supplementary
	NoFile   int   // RLIMIT_NOFILE wanted, 0: leave it
	// KeepNetRaw and KeepNetAdmin keep that capability though the user is
	// changed (transparent source addresses, marks).
	KeepNetRaw, KeepNetAdmin bool
	Dumpable                 bool // set-dumpable
}

// Leaver is a Service that can be told that the addresses which its clients
// use are about to move to another node. It still takes connections, and ends
// each as soon as its client will not mind.
type Leaver interface{ Leave() }
