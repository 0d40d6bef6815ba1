package worker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"evenkeel/internal/keeper/ipc"
	"evenkeel/internal/keeper/socket"
	"evenkeel/internal/model"
)

// Options are how Run behaves around a service.
type Options struct {
	// Report prints diagnostics in the form of the program that the user
	// called; nil: one plain line each.
	Report func(w io.Writer, d model.Diagnostics)
	Stderr io.Writer
	Quiet  bool // warnings are not printed
	// FailOnWarning makes any warning an error (-dW).
	FailOnWarning bool
	// SaveEvery is how often the state is kept for a crash; 0: a second.
	SaveEvery time.Duration
}

// Run takes a service from its configuration to its end, and returns the
// exit status of the process.
func Run(ctl Control, svc Service, o Options) int {
	r := &runner{ctl: ctl, svc: svc, o: o}
	if r.o.Stderr == nil {
		r.o.Stderr = io.Discard
	}
	if r.o.SaveEvery == 0 {
		r.o.SaveEvery = time.Second
	}
	defer ctl.Close()
	if err := r.start(); err != nil {
		if errors.Is(err, ErrElsewhere) {
			return 0
		}
		if !errors.Is(err, errReported) {
			var d model.Diagnostics
			d.Errorf(model.Pos{}, "%v", err)
			r.report(d)
		}
		return 1
	}
	return r.serve()
}

// leaseGrace is how long a worker without a keeper goes on taking connections
// on a node that holds addresses, which are being handed over meanwhile.
const leaseGrace = 2 * time.Second

// errReported says that the user has read the reason already.
var errReported = errors.New("reported")

type runner struct {
	ctl      Control
	svc      Service
	o        Options
	settings Settings

	incoming sync.WaitGroup // goroutines that take connections of other workers

	mu       sync.Mutex
	next     *Peer // leads to the newest worker; guarded by mu
	draining bool  // guarded by mu
}

func (r *runner) report(d model.Diagnostics) {
	if len(d) == 0 {
		return
	}
	var b bytes.Buffer
	if r.o.Report != nil {
		r.o.Report(&b, d)
	} else {
		for _, x := range d {
			fmt.Fprintln(&b, x)
		}
	}
	if !r.o.Quiet || d.HasErrors() {
		_, _ = r.o.Stderr.Write(b.Bytes())
	}
	r.ctl.Log(b.String())
}

func (r *runner) start() error {
	boot := r.ctl.Boot()
	files := NewFiles()
	if boot.Recovery {
		var err error
		if files, err = FilesFrom(boot.Blob); err != nil {
			return fmt.Errorf("the last good configuration: %w", err)
		}
	}
	settings, diagnostics := r.svc.Build(Input{Files: files, Recovery: boot.Recovery, Master: boot.Master})
	r.settings = settings
	if r.o.FailOnWarning && !boot.Recovery {
		for _, d := range diagnostics {
			if d.Severity == model.Warning && !diagnostics.HasErrors() {
				diagnostics.Errorf(model.Pos{}, "Some warnings were found and 'zero-warning' is set. Aborting.")
			}
		}
	}
	if diagnostics.HasErrors() {
		r.report(diagnostics)
		return errReported
	}
	// Before anything is printed: the start may go on in another process.
	if err := r.ctl.Configure(settings); err != nil {
		return err
	}
	if !boot.Recovery {
		r.report(diagnostics)
	}
	if err := r.svc.Open(r.ctl.Listen); err != nil {
		return err
	}
	if warning := ApplyLimits(settings.Privileges.NoFile); warning != "" && !boot.Recovery {
		var d model.Diagnostics
		d.Warnf(model.Pos{}, "%s", warning)
		r.report(d)
	}
	// Asked for late, so that it is fresh, but before rights are given up:
	// afterwards nothing may fail that the user could have been told.
	state, err := r.ctl.PreviousState()
	if err != nil {
		return fmt.Errorf("the state of the worker before: %w", err)
	}
	if err := settings.Privileges.Apply(); err != nil {
		return err
	}
	var down func([]string) error
	if boot.Lease {
		down = r.ctl.ReportDown
	}
	if err := r.svc.Start(Handover{State: state, Save: func() error { return r.ctl.SaveState(r.svc.State()) }, Down: down}); err != nil {
		return err
	}
	return r.ctl.Ready(files.Snapshot())
}

func (r *runner) serve() int {
	stopSaving := make(chan struct{})
	var saving sync.WaitGroup
	saving.Go(func() { r.saveStates(stopSaving) })
	defer saving.Wait()
	defer close(stopSaving)

	events := r.ctl.Events()
	var drained <-chan struct{}
	var hardStop, grace <-chan time.Time
	for {
		select {
		case ev, ok := <-events:
			if !ok {
				// The keeper is gone, and with it whoever could start another
				// worker. Clients are served out; no new ones are taken, because
				// nobody could ever reload or stop this process.
				events = nil
				if drained == nil {
					ev.Kind = EventDrain
				}
				if r.ctl.Boot().Lease {
					r.settings.Grace = max(r.settings.Grace, leaseGrace)
					r.leave()
				}
			}
			switch ev.Kind {
			case EventStop:
				r.svc.Stop()
				return 0
			case EventDrain:
				first := r.setNext(ev.Peer)
				if !first {
					break
				}
				if r.settings.HardStopAfter > 0 {
					hardStop = time.After(r.settings.HardStopAfter + r.settings.Grace)
				}
				if r.settings.Grace > 0 && ev.Peer == nil {
					grace = time.After(r.settings.Grace)
					break
				}
				drained = r.drain()
			default:
				r.handle(ev)
			}
		case <-grace:
			grace = nil
			drained = r.drain()
		case <-drained:
			return 0
		case <-hardStop:
			r.svc.Stop()
			return 0
		}
	}
}

func (r *runner) handle(ev Event) {
	switch ev.Kind {
	case EventLeave:
		r.leave()
	case EventPause:
		r.svc.Pause()
	case EventResume:
		r.svc.Resume()
	case EventState:
		go func() { ev.Reply(r.svc.State()) }()
	case EventPeer:
		r.incoming.Go(func() { r.take(ev.Peer) })
	case EventRuntime:
		if s, ok := r.svc.(RuntimeService); ok {
			s.Runtime(ev.FD)
		} else {
			ipc.CloseAll([]int{ev.FD})
		}
	}
}

func (r *runner) leave() {
	if l, ok := r.svc.(Leaver); ok {
		l.Leave()
	}
}

// setNext makes peer the way to the newest worker and says whether this is
// the first wish to drain.
func (r *runner) setNext(peer *Peer) (first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next != nil {
		// The worker in between reads what is under way, then the end.
		r.next.Close()
	}
	r.next = peer
	first = !r.draining
	r.draining = true
	return first
}

// drain gives a channel that is closed when this worker has nothing left,
// neither of its own nor in passing.
func (r *runner) drain() <-chan struct{} {
	r.mu.Lock()
	hasNext := r.next != nil
	r.mu.Unlock()
	give := r.give
	if !hasNext {
		give = nil
	}
	r.svc.Drain(give)
	done := make(chan struct{})
	go func() {
		<-r.svc.Drained()
		r.incoming.Wait()
		close(done)
	}()
	return done
}

var errNobody = errors.New("there is no next worker")

func (r *runner) give(fd int, meta []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == nil {
		return errNobody
	}
	return r.next.Give(fd, meta)
}

// take accepts connections of another worker until it has no more. While
// this worker drains itself they go straight on to the next.
func (r *runner) take(p *Peer) {
	defer p.Close()
	for {
		fd, meta, err := p.Take()
		if err != nil {
			return
		}
		r.mu.Lock()
		passing := r.draining
		r.mu.Unlock()
		if passing {
			if r.give(fd, meta) != nil {
				// An idle connection may be closed at any time; there is
				// nobody left who could serve its next request.
				ipc.CloseAll([]int{fd})
			}
			continue
		}
		r.svc.Adopt(fd, meta)
	}
}

func (r *runner) saveStates(stop <-chan struct{}) {
	tick := time.NewTicker(r.o.SaveEvery)
	defer tick.Stop()
	var last []byte
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		state := r.svc.State()
		if bytes.Equal(state, last) {
			continue
		}
		if r.ctl.SaveState(state) == nil {
			last = state
		}
	}
}

// Exported is a listening socket as `_getsocks` offers it.
type Exported = socket.Exported
