package alert

import (
	"context"
	"fmt"
	"sync"
	"time"

	"evenkeel/internal/command"
)

// Scripts runs the notify scripts that events carry.
type Scripts struct {
	Secure bool // refuse what others than root can change, see command.Verify
	// Patience is how long the next script of one instance or group waits for
	// the one before, so that "master" is not overtaken by "backup"; 0: 5 s.
	// A script that takes longer goes on beside the next. None is ever killed.
	Patience time.Duration
}

// Key implements Spec.
func (s Scripts) Key() string { return "notify scripts" }

// Wants implements Spec.
func (s Scripts) Wants(e *Event) bool { return e.Notify != nil && e.Notify.Hooks != nil }

// Every state has to reach its script: there is no limit.
func (s Scripts) traits() traits { return traits{local: true, batch: 64} }

func (s Scripts) open(tell func(Severity, string)) (output, error) {
	if s.Patience <= 0 {
		s.Patience = 5 * time.Second
	}
	return &scriptsOutput{tell: tell, patience: s.Patience, lanes: map[lane]*laneQueue{}, hurry: make(chan struct{}),
		start: func(c command.Command) (waiter, error) {
			p, err := command.Start(c, command.Options{Secure: s.Secure})
			if err != nil {
				return nil, err // a nil *Process is not a nil waiter
			}
			return p, nil
		}}, nil
}

// lane is whose scripts run one after the other.
type lane struct{ object, name string }

// maxLane is how many commands wait for one instance: one that flaps faster
// than its script runs is better served with the newest.
const maxLane = 100

// laneQueue is what a lane's goroutine has yet to start.
type laneQueue struct{ todo []command.Command }

// waiter is a program that runs.
type waiter interface{ Wait() command.Exit }

type scriptsOutput struct {
	// Set once.
	tell     func(Severity, string)
	patience time.Duration
	start    func(command.Command) (waiter, error)
	hurry    chan struct{} // closed by close: no more waiting
	running  sync.WaitGroup

	// Guarded by mu.
	mu    sync.Mutex
	lanes map[lane]*laneQueue
}

// send only gives the commands to their lanes.
func (o *scriptsOutput) send(_ context.Context, batch []*Event) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range batch {
		list := e.Notify.Commands()
		if len(list) == 0 {
			continue
		}
		k := lane{e.Notify.Object, e.Notify.Name}
		if q := o.lanes[k]; q != nil {
			q.todo = append(q.todo, list...)
			if over := len(q.todo) - maxLane; over > 0 {
				q.todo = q.todo[over:]
				o.tell(Error, fmt.Sprintf("the notify scripts of %s are too slow: the oldest that waited is not run", k.name))
			}
			continue
		}
		q := &laneQueue{todo: list}
		o.lanes[k] = q
		o.running.Add(1)
		go o.serve(k, q)
	}
	return len(batch), nil
}

// serve starts what is queued in one lane, until nothing is left.
func (o *scriptsOutput) serve(k lane, q *laneQueue) {
	defer o.running.Done()
	for {
		o.mu.Lock()
		if len(q.todo) == 0 {
			delete(o.lanes, k)
			o.mu.Unlock()
			return
		}
		c := q.todo[0]
		q.todo = q.todo[1:]
		o.mu.Unlock()
		o.run(k, c)
	}
}

func (o *scriptsOutput) run(k lane, c command.Command) {
	p, err := o.start(c)
	if err != nil {
		o.tell(Error, fmt.Sprintf("the notify script of %s cannot be started: %v", k.name, err))
		return
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if e := p.Wait(); !e.OK() {
			o.tell(Warning, fmt.Sprintf("the notify script of %s failed: %s: %s", k.name, c, e))
		}
	}()
	t := time.NewTimer(o.patience)
	defer t.Stop()
	select {
	case <-ended:
	case <-t.C:
	case <-o.hurry:
	}
}

// close starts what is queued, in order, without waiting for any to end.
func (o *scriptsOutput) close() {
	close(o.hurry)
	o.running.Wait()
}
