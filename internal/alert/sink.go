package alert

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Back-off between two attempts of a sink that says nothing else.
const (
	firstPause = 500 * time.Millisecond
	lastPause  = time.Minute
)

// permanent is an error that a second attempt would meet again.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// sink is a spec at work: a queue, and a goroutine that empties it.
type sink struct {
	// Set once.
	key    string
	spec   Spec
	traits traits
	limit  int // of the queue
	out    output
	hub    *Hub
	before *sink // who hands its queue over; nil: nobody

	ctx    context.Context // ends when there is no more patience
	cancel context.CancelFunc
	wake   chan struct{} // holds one token: there may be something to do
	ending chan struct{} // closed by finish and handOver
	done   chan struct{} // closed by run

	// Owned by run until done is closed.
	pending []*Event // taken from the queue, not delivered yet

	// Guarded by mu.
	mu       sync.Mutex
	queue    []*Event
	limiter  limiter
	stats    SinkStats
	isEnding bool
	handing  bool // leave what is left to another sink
}

func newSink(spec Spec, limit int, h *Hub) *sink {
	s := &sink{key: spec.Key(), spec: spec, traits: spec.traits(), limit: limit, hub: h,
		wake: make(chan struct{}, 1), ending: make(chan struct{}), done: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	t := &s.traits
	if t.batch <= 0 {
		t.batch = 1
	}
	if t.firstPause <= 0 {
		t.firstPause = firstPause
	}
	if t.lastPause <= 0 {
		t.lastPause = lastPause
	}
	s.limiter = newLimiter(t.limit)
	s.stats.Key = s.key
	return s
}

// offer queues an event, or counts it when there were too many of its like.
func (s *sink) offer(e *Event) {
	now := time.Now()
	s.mu.Lock()
	s.push(s.limiter.due(now, false)...)
	if s.limiter.admit(now, e) {
		s.push(e)
	} else {
		s.stats.Suppressed++
	}
	s.mu.Unlock()
	s.nudge()
}

// push appends to the queue. When it is full the oldest go: for what an event
// tells, the newest state of affairs counts. Called with mu.
func (s *sink) push(list ...*Event) {
	s.queue = append(s.queue, list...)
	if over := len(s.queue) - s.limit; over > 0 {
		s.stats.Dropped += uint64(over)
		clear(s.queue[:over])
		s.queue = s.queue[over:]
	}
}

func (s *sink) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// finish lets run end once everything is delivered.
func (s *sink) finish() { s.end(false) }

// handOver lets run end after what it is just doing, without another attempt.
func (s *sink) handOver() { s.end(true) }

func (s *sink) end(handing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handing = s.handing || handing
	if !s.isEnding {
		s.isEnding = true
		close(s.ending)
	}
}

// cancelAfter ends all patience after d, unless run ends before.
func (s *sink) cancelAfter(d time.Duration) {
	go func() {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			s.cancel()
		case <-s.done:
		}
	}()
}

func (s *sink) snapshot() SinkStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Queued = len(s.queue)
	return st
}

// inherit waits for the sink before this one and takes what it left.
func (s *sink) inherit() {
	b := s.before
	if b == nil {
		return
	}
	s.before = nil
	select {
	case <-b.done:
	case <-s.ctx.Done():
		b.cancel()
		return
	}
	b.mu.Lock()
	left := append(b.pending, b.queue...)
	stats := b.stats
	b.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	newer := s.queue
	s.queue = nil
	s.push(append(left, newer...)...)
	s.stats.Sent += stats.Sent
	s.stats.Dropped += stats.Dropped
	s.stats.Suppressed += stats.Suppressed
	s.stats.Retries += stats.Retries
}

// run delivers until it is told to end.
func (s *sink) run() {
	defer close(s.done)
	defer s.cancel()
	s.inherit()
	defer s.out.close()
	if b, ok := s.out.(interface{ begin() }); ok {
		b.begin()
	}
	pause := s.traits.firstPause
	for s.fill() {
		ctx, cancel := s.ctx, context.CancelFunc(func() {})
		if s.traits.timeout > 0 {
			ctx, cancel = context.WithTimeout(s.ctx, s.traits.timeout)
		}
		n, err := s.out.send(ctx, s.pending)
		cancel()
		if s.settle(n, err) {
			pause = s.traits.firstPause
			continue
		}
		if !s.sleep(pause) {
			return
		}
		pause = min(2*pause, s.traits.lastPause)
	}
}

// fill waits for something to deliver and puts it into pending. It gives false
// when run is to end.
func (s *sink) fill() bool {
	for {
		now := time.Now()
		s.mu.Lock()
		s.push(s.limiter.due(now, s.isEnding)...)
		if n := min(s.traits.batch-len(s.pending), len(s.queue)); n > 0 && !s.handing {
			s.pending = append(s.pending, s.queue[:n]...)
			clear(s.queue[:n])
			s.queue = s.queue[n:]
			if len(s.queue) == 0 {
				s.queue = nil // let the array go
			}
		}
		due, hasDue := s.limiter.deadline()
		ending, handing := s.isEnding, s.handing
		s.mu.Unlock()
		switch {
		case s.ctx.Err() != nil || handing:
			return false
		case len(s.pending) > 0:
			return true
		case ending:
			return false
		}
		var timer *time.Timer
		var expired <-chan time.Time
		if hasDue {
			timer = time.NewTimer(due.Sub(now))
			expired = timer.C
		}
		select {
		case <-s.wake:
		case <-s.ending:
		case <-s.ctx.Done():
		case <-expired:
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

// settle books what send did. It gives false when the rest needs another
// attempt later.
func (s *sink) settle(n int, err error) bool {
	s.mu.Lock()
	n = min(n, len(s.pending))
	s.stats.Sent += uint64(n)
	s.pending = s.pending[n:]
	var lost permanent
	dropped := 0
	if err != nil && len(s.pending) > 0 {
		old := time.Since(s.pending[0].At) > s.traits.giveUp && s.traits.giveUp > 0
		if errors.As(err, &lost) || old {
			s.pending = s.pending[1:]
			s.stats.Dropped++
			dropped++
		} else {
			s.stats.Retries++
		}
	}
	if len(s.pending) == 0 {
		s.pending = nil
	}
	before := s.stats.Trouble
	retry := err != nil && dropped == 0 && len(s.pending) > 0
	s.stats.Trouble = ""
	if err != nil {
		s.stats.Trouble = err.Error()
	}
	now := s.stats.Trouble
	s.mu.Unlock()
	switch {
	case now != "" && before == "" && !s.quiet(err):
		what := "delivery failed, it is tried again"
		if dropped > 0 {
			what = "an event could not be delivered"
		}
		s.hub.tell(s.key, Warning, fmt.Sprintf("%s: %s", what, now))
	case now == "" && before != "":
		s.hub.tell(s.key, Info, "delivers again")
	}
	return !retry
}

// quiet says that an error is the end of our own patience.
func (s *sink) quiet(err error) bool {
	return s.ctx.Err() != nil && errors.Is(err, context.Canceled)
}

// sleep gives false when run is to end instead.
func (s *sink) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	ending := s.ending
	for {
		select {
		case <-t.C:
			return true
		case <-s.ctx.Done():
			return false
		case <-ending:
			s.mu.Lock()
			handing := s.handing
			s.mu.Unlock()
			if handing {
				return false
			}
			ending = nil // deliver what can be delivered, until ctx ends
		}
	}
}
