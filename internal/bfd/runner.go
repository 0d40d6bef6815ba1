package bfd

import (
	"context"
	"errors"
	"time"

	wire "evenkeel/internal/wire/bfd"
)

// Change is a session that went from one state to another.
type Change struct {
	Name             string
	From, To         State
	Up               bool // To == Up
	Diagnostic       wire.Diagnostic
	RemoteDiagnostic wire.Diagnostic
	Why              string
	At               time.Time
}

// Options are what a Runner needs from outside.
type Options struct {
	// Changed is told of every change, in order, from the runner's own
	// goroutine: it must not block, and may call no method of the Runner.
	Changed func(Change)
	// Notice gets a line for people about a session: packets refused, sending
	// that fails. At most one a session, kind and minute. May be nil.
	Notice func(session, text string)
	// Thread is called first on the locked thread that runs the sessions, for
	// its scheduling priority. May be nil.
	Thread func()
}

// Runner runs sessions. Its methods may be called from any goroutine.
type Runner struct {
}

// Open makes a runner without sessions and starts its goroutine.
func Open(o Options) (*Runner, error) { return nil, errors.New("not built yet") }

// Set makes these the sessions: those that are new start, those that are gone
// leave as administratively down, those whose neighbor, source and port are
// the same keep their state and negotiate changed timers. It fails, with
// nothing changed, when a session is impossible or a socket cannot be had.
func (r *Runner) Set(sessions []Config) error { return nil }

// Status is a snapshot of all sessions, in the order of Set. Since and
// LastHeard are in the past by the wall clock: see Info.
func (r *Runner) Status() []Info { return nil }

// Up says whether the named session is up; known is false when there is none.
func (r *Runner) Up(name string) (up, known bool) { return false, false }

// Close tells all neighbors that the sessions are administratively down, and
// ends the goroutine and the sockets. It waits for that, or for ctx.
func (r *Runner) Close(ctx context.Context) error { return nil }
