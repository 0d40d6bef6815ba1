package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// origins by index: the order in which they were made.
const originCount = 4

// tally is what the clients saw. All of it only grows.
type tally struct {
	ok      [originCount]atomic.Int64 // complete answers, by origin
	byKeep  atomic.Int64              // on kept connections
	byNew   atomic.Int64              // on connections of their own
	lost    atomic.Int64              // requests without a complete and correct answer
	killed  atomic.Int64              // those of them that were on a worker that was killed
	cut     atomic.Int64              // kept connections closed between two requests
	cutKill atomic.Int64              // those of them that were on a worker that was killed
	refused atomic.Int64              // connections that could not be opened; they are lost requests too
	latency histogram

	// lastBy is when the last answer of an origin came, in Unix nanoseconds.
	lastBy [originCount]atomic.Int64
	// died is when a worker was killed on purpose, in Unix nanoseconds; 0
	// outside that step.
	died atomic.Int64

	mu      sync.Mutex
	reasons map[string]int // of what was lost
	samples []string       // the first of them, with their time
}

// total is how many complete answers there were.
func (t *tally) total() (n int64) {
	for i := range t.ok {
		n += t.ok[i].Load()
	}
	return n
}

// load is a set of clients that ask until their context ends.
type load struct {
	tally
	addr    string
	index   map[string]int // origin name to index
	keep    int            // clients that keep their connection
	fresh   int            // clients that open one for each request
	pause   time.Duration  // after an answer, for those that keep
	started time.Time

	done sync.WaitGroup
}

// run starts the clients. Wait for done after ending ctx.
func (l *load) run(ctx context.Context) {
	l.started = time.Now()
	l.reasons = map[string]int{}
	for i := range l.keep + l.fresh {
		c := &client{addr: l.addr, keep: i < l.keep}
		pause := l.pause
		if !c.keep {
			pause *= 2
		}
		l.done.Go(func() { l.ask(ctx, c, pause, i) })
	}
}

// ask is one client's life.
func (l *load) ask(ctx context.Context, c *client, pause time.Duration, number int) {
	defer c.hangUp()
	path := fmt.Sprintf("/client/%d", number)
	timer := time.NewTimer(rand.N(pause))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		opened := c.opened
		if c.idleCut() {
			l.countCut(opened)
		}
		start := time.Now()
		a, err := c.do(path)
		took := time.Since(start)
		if err != nil {
			l.countLost(c.opened, time.Now(), err)
		} else {
			l.countAnswer(a, c.keep, start.Add(took), took)
		}
		// Uneven pauses keep clients that were held up together from asking
		// together ever after.
		timer.Reset(pause/2 + rand.N(pause))
	}
}

func (l *load) countAnswer(a answer, keep bool, at time.Time, took time.Duration) {
	i, known := l.index[a.origin]
	if !known {
		l.countLost(time.Time{}, at, fmt.Errorf("an origin named %q", a.origin))
		return
	}
	l.ok[i].Add(1)
	l.lastBy[i].Store(at.UnixNano())
	if keep {
		l.byKeep.Add(1)
	} else {
		l.byNew.Add(1)
	}
	l.latency.add(took)
}

// onKilled says whether a connection of that age was on the worker that was
// killed: it was open at that moment. Connections opened later have no excuse.
func (l *load) onKilled(opened time.Time) bool {
	died := l.died.Load()
	return died != 0 && opened.UnixNano() < died
}

func (l *load) countCut(opened time.Time) {
	if l.onKilled(opened) {
		l.cutKill.Add(1)
		return
	}
	l.cut.Add(1)
	l.note(time.Now(), errCut.Error())
}

func (l *load) countLost(opened, at time.Time, err error) {
	if l.onKilled(opened) {
		l.killed.Add(1)
		return
	}
	l.lost.Add(1)
	if errors.Is(err, errRefused) {
		l.refused.Add(1)
	}
	l.note(at, err.Error())
}

func (l *load) note(at time.Time, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reasons[reason]++
	if len(l.samples) < 20 {
		l.samples = append(l.samples, fmt.Sprintf("%8s  %s", at.Sub(l.started).Round(time.Millisecond), reason))
	}
}

// failures gives the samples so far.
func (l *load) failures() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.samples...)
}
