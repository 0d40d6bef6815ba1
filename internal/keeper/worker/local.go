package worker

import (
	"fmt"
	"sync"

	"evenkeel/internal/keeper/socket"
)

// Local is a Control without a keeper: it opens the sockets itself. Its
// Request method takes the keeper's part.
type Local struct {
	mu     sync.Mutex
	boot   Boot
	events chan Event // closed by Close
	ready  chan struct{}
	done   bool
	isUp   bool
	blob   []byte
	state  []byte
}

// NewLocal gives a Control for tests and for one-process use. state is what
// PreviousState answers.
func NewLocal(boot Boot, state []byte) *Local {
	if boot.Generation == 0 {
		boot.Generation = 1
	}
	return &Local{boot: boot, state: state, events: make(chan Event, 16), ready: make(chan struct{})}
}

var _ Control = (*Local)(nil)

// Boot implements Control.
func (l *Local) Boot() Boot { return l.boot }

// Configure implements Control; there is no process to configure.
func (l *Local) Configure(Settings) error { return nil }

// Listen implements Control.
func (l *Local) Listen(spec socket.Spec) (int, error) {
	fd, publish, err := socket.Open(spec)
	if err == nil && publish != nil {
		err = publish()
	}
	return fd, err
}

// PreviousState implements Control.
func (l *Local) PreviousState() ([]byte, error) { return l.state, nil }

// Ready implements Control.
func (l *Local) Ready(blob []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isUp {
		return fmt.Errorf("a worker is ready once")
	}
	l.isUp = true
	l.blob = blob
	close(l.ready)
	return nil
}

// IsReady is closed when the worker has said that it is ready.
func (l *Local) IsReady() <-chan struct{} { return l.ready }

// Blob is what the worker gave with Ready.
func (l *Local) Blob() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.blob
}

// ReportDown implements Control; nobody follows this worker.
func (l *Local) ReportDown([]string) error { return nil }

// SaveState implements Control.
func (l *Local) SaveState(state []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = state
	return nil
}

// Log implements Control.
func (l *Local) Log(string) {}

// Events implements Control.
func (l *Local) Events() <-chan Event { return l.events }

// Request tells the worker something, as its keeper would.
func (l *Local) Request(ev Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.done {
		l.events <- ev
	}
}

// Close implements Control.
func (l *Local) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.done {
		l.done = true
		close(l.events)
	}
	return nil
}
