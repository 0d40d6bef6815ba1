package track

import (
	"fmt"
	"hash/fnv"
	"sync"
	"syscall"
	"time"

	"evenkeel/internal/command"
)

const (
	// killGrace is between SIGTERM and SIGKILL of a script that took too long.
	killGrace = 2 * time.Second
	// closeGrace is the same for a script that is no longer wanted.
	closeGrace = 200 * time.Millisecond
)

// program is a run of a script.
type program interface {
	Wait() command.Exit
	Kill(syscall.Signal)
}

// scriptRunner runs one script at its interval.
type scriptRunner struct {
	// Set once.
	wanted Script // as it was given, to be compared at a reload
	script Script // with its defaults
	secure bool
	start  func(Script, bool) (program, error)
	post   func(Report)
	before *scriptRunner // whose last run must have ended before our first; nil: none
	stop   chan struct{} // closed by end
	done   chan struct{} // closed by loop

	// Guarded by mu.
	mu     sync.Mutex
	ended  bool // nothing is reported any more
	state  ScriptState
	status Status
}

func startProgram(s Script, secure bool) (program, error) {
	p, err := command.Start(s.Command, command.Options{Secure: secure, DieWithParent: true})
	if err != nil {
		return nil, err // a nil *Process is not a nil program
	}
	return p, nil
}

// newScriptRunner goes on with the state of before, if there is one.
func newScriptRunner(s Script, secure bool, before *scriptRunner, start func(Script, bool) (program, error), post func(Report)) *scriptRunner {
	wanted := s
	if s.Interval <= 0 {
		s.Interval = time.Second
	}
	if s.Timeout <= 0 {
		s.Timeout = s.Interval
	}
	r := &scriptRunner{wanted: wanted, script: s, secure: secure, start: start, post: post, before: before,
		stop: make(chan struct{}), done: make(chan struct{}), state: NewScriptState(s.Rise, s.Fall, s.InitFail)}
	r.status = Status{Kind: KindScript, Name: s.Name, State: r.state.State, Since: time.Now(), Text: "has not run yet"}
	if before != nil {
		before.mu.Lock()
		r.state.State, r.state.run, r.status = before.state.State, before.state.run, before.status
		before.mu.Unlock()
	}
	return r
}

// loop runs the script until end. The first run is at once. The second follows
// after a part of the interval that depends on the name, so that hundreds of
// scripts do not all start in the same moment ever after.
func (r *scriptRunner) loop() {
	defer close(r.done)
	if r.before != nil {
		<-r.before.done
		r.before = nil
	}
	next := time.Now()
	gap := phase(r.script.Name, r.script.Interval)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.stop:
			return
		case <-timer.C:
		}
		if !r.once() {
			return
		}
		next = next.Add(gap)
		gap = r.script.Interval
		now := time.Now()
		for next.Before(now) {
			next = next.Add(gap)
			r.mu.Lock()
			r.status.Missed++
			r.mu.Unlock()
		}
		timer.Reset(next.Sub(now))
	}
}

// phase is between half of the interval and the whole.
func phase(name string, interval time.Duration) time.Duration {
	h := fnv.New32a()
	h.Write([]byte(name))
	return interval/2 + time.Duration(float64(interval/2)*float64(h.Sum32())/(1<<32))
}

// once runs the script once, to its end. It gives false when it was told to
// stop.
func (r *scriptRunner) once() bool {
	p, err := r.start(r.script, r.secure)
	if err != nil {
		r.result(false, fmt.Sprintf("cannot be run: %v", err))
		return true
	}
	exit := make(chan command.Exit, 1)
	go func() { exit <- p.Wait() }()
	timer := time.NewTimer(r.script.Timeout)
	defer timer.Stop()
	select {
	case e := <-exit:
		r.ran()
		if e.OK() {
			r.result(true, "succeeded")
		} else {
			r.result(false, "failed: "+e.String())
		}
		return true
	case <-r.stop:
		endProgram(p, exit)
		return false
	case <-timer.C:
	}
	r.result(false, fmt.Sprintf("timed out after %v", r.script.Timeout))
	p.Kill(syscall.SIGTERM)
	kill := time.NewTimer(killGrace)
	defer kill.Stop()
	// Even SIGKILL does not end what waits for a dead disk. As long as it
	// hangs every interval counts as a failure.
	hangs := time.NewTicker(r.script.Interval)
	defer hangs.Stop()
	for {
		select {
		case <-exit:
			r.ran()
			return true
		case <-r.stop:
			endProgram(p, exit)
			return false
		case <-kill.C:
			p.Kill(syscall.SIGKILL)
		case <-hangs.C:
			r.result(false, "does not end, although it was killed")
		}
	}
}

// endProgram ends a run that nobody waits for. What cannot be killed is left.
func endProgram(p program, exit <-chan command.Exit) {
	p.Kill(syscall.SIGTERM)
	for range 2 {
		t := time.NewTimer(closeGrace)
		select {
		case <-exit:
			t.Stop()
			return
		case <-t.C:
			p.Kill(syscall.SIGKILL)
		}
	}
}

func (r *scriptRunner) ran() {
	r.mu.Lock()
	r.status.Runs++
	r.mu.Unlock()
}

// result counts one result and reports what changed.
func (r *scriptRunner) result(ok bool, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	before := r.status.Text
	r.status.Text = text
	rep := Report{Kind: KindScript, Name: r.script.Name, Text: fmt.Sprintf("script %s %s", r.script.Name, text)}
	switch {
	case r.state.Result(ok):
		r.status.State, r.status.Since = r.state.State, time.Now()
	case !ok && text != before:
		rep.Advisory = true // a failure that does not count yet, or for another reason
	default:
		return
	}
	rep.State = r.state.State
	r.post(rep)
}

func (r *scriptRunner) snapshot() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

// end makes loop end. Nothing is reported once it has returned.
func (r *scriptRunner) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		r.ended = true
		close(r.stop)
	}
}
