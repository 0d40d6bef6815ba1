package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience is how long one step may wait for what it wants to see.
const patience = 10 * time.Second

// reloads is how often the director reads its file again in a round.
const reloads = 10

// step is one line of the demo's script.
type step struct {
	name string
	run  func(ctx context.Context, r *result) error
}

// result is what a step showed. Its owner is the script; others read copies.
type result struct {
	name   string
	text   string // what there is to say, such as how long it took
	done   bool
	failed bool

	took     time.Duration
	requests int64
	p99      time.Duration
	lost     int64
	killed   int64
}

// show is the running demo.
type show struct {
	director *director
	origins  []*origin
	load     *load
	pace     time.Duration // between events, so that people can follow
	started  time.Time

	mu       sync.Mutex
	results  []result
	servers  map[string]row
	workerID int
	round    int
	killedAt bool // a worker was killed on purpose at least once
}

// say replaces the text of a result that the screen shows.
func (s *show) say(r *result, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.text = fmt.Sprintf(format, args...)
}

// steps is one round of the script. The first round begins with the start.
func (s *show) steps(first bool) []step {
	var all []step
	if first {
		all = append(all, step{"load on four origins", s.even})
	}
	birch, cedar := s.origins[1], s.origins[2]
	return append(all,
		step{"origin " + birch.name + " dies", func(ctx context.Context, r *result) error { return s.kill(ctx, r, birch) }},
		step{"origin " + birch.name + " comes back", func(ctx context.Context, r *result) error { return s.revive(ctx, r, birch) }},
		step{"origin " + cedar.name + " to maintenance", func(ctx context.Context, r *result) error { return s.rest(ctx, r, cedar) }},
		step{"origin " + cedar.name + " enabled again", func(ctx context.Context, r *result) error { return s.enable(ctx, r, cedar) }},
		step{fmt.Sprintf("%d reloads", reloads), s.reload},
		step{"kill -9 of the worker", s.crash},
	)
}

// play runs steps one after the other.
func (s *show) play(ctx context.Context, steps []step, each func(result)) error {
	for _, st := range steps {
		s.mu.Lock()
		s.results = append(s.results, result{name: st.name})
		r := &s.results[len(s.results)-1]
		s.mu.Unlock()
		t := &s.load.tally
		start, requests, lost, killed, latency := time.Now(), t.total(), s.lost(), t.killed.Load(), t.latency.counts()
		err := st.run(ctx, r)
		s.mu.Lock()
		r.done, r.failed = true, err != nil
		r.took, r.requests = time.Since(start), t.total()-requests
		r.lost, r.killed = s.lost()-lost, t.killed.Load()-killed
		r.p99 = t.latency.counts().since(latency).quantile(0.99)
		switch {
		case ctx.Err() != nil:
			r.text, r.failed = "stopped", false
		case err != nil:
			r.text = err.Error()
		}
		finished := *r
		s.mu.Unlock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		each(finished)
		if err != nil {
			return fmt.Errorf("%s: %w", st.name, err)
		}
	}
	return nil
}

// lost is everything that must not have happened.
func (s *show) lost() int64 { return s.load.lost.Load() + s.load.cut.Load() }

func (s *show) wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.director.gone:
		return fmt.Errorf("the director ended: %v", s.director.err)
	case <-time.After(d):
		return nil
	}
}

// until polls with the patience of a step.
func (s *show) until(ctx context.Context, start time.Time, what string, done func() bool) (time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("%s not seen within %s", what, patience))
	defer cancel()
	return s.director.poll(ctx, start, done)
}

// status says whether a server's status begins with a word.
func (s *show) status(name, word string) func() bool {
	return func() bool {
		rows, err := s.director.servers()
		return err == nil && strings.HasPrefix(rows[name].status, word)
	}
}

// idle sees that an origin gets nothing for a while, and says how many
// requests reached it nevertheless.
func (s *show) idle(ctx context.Context, o *origin) (int64, error) {
	before := o.handled.Load()
	err := s.wait(ctx, s.pace)
	return o.handled.Load() - before, err
}

// served polls until an origin has answered a client after since.
func (s *show) served(ctx context.Context, o *origin, since time.Time) (time.Duration, error) {
	last := &s.load.lastBy[s.load.index[o.name]]
	return s.until(ctx, since, "an answer of "+o.name, func() bool { return last.Load() > since.UnixNano() })
}

func (s *show) even(ctx context.Context, r *result) error {
	s.say(r, "each should get a quarter")
	if err := s.wait(ctx, 2*s.pace); err != nil {
		return err
	}
	least, most := s.load.ok[0].Load(), s.load.ok[0].Load()
	for i := range s.load.ok {
		n := s.load.ok[i].Load()
		least, most = min(least, n), max(most, n)
	}
	s.say(r, "the busiest origin answered %s, the least busy %s", thousands(most), thousands(least))
	return nil
}

func (s *show) kill(ctx context.Context, r *result, o *origin) error {
	before, err := s.director.servers()
	if err != nil {
		return err
	}
	start := time.Now()
	n := o.kill()
	took, err := s.until(ctx, start, o.name+" DOWN", s.status(o.name, "DOWN"))
	if err != nil {
		return err
	}
	s.say(r, "DOWN after %s", short(took))
	if err := s.wait(ctx, s.pace); err != nil {
		return err
	}
	after, err := s.director.servers()
	if err != nil {
		return err
	}
	again := after[poolName].retries - before[poolName].retries
	s.say(r, "DOWN after %s; %d of its connections reset, %d attempts repeated elsewhere", short(took), n, again)
	return nil
}

func (s *show) revive(ctx context.Context, r *result, o *origin) error {
	start := time.Now()
	if err := o.start(); err != nil {
		return err
	}
	up, err := s.until(ctx, start, o.name+" UP", s.status(o.name, "UP"))
	if err != nil {
		return err
	}
	answer, err := s.served(ctx, o, start)
	if err != nil {
		return err
	}
	s.say(r, "UP after %s (two good checks), first answer after %s", short(up), short(answer))
	return s.wait(ctx, s.pace)
}

func (s *show) rest(ctx context.Context, r *result, o *origin) error {
	start := time.Now()
	if err := s.director.order("disable server origins/" + o.name); err != nil {
		return err
	}
	took := time.Since(start)
	s.say(r, "MAINT after %s", short(took))
	// What it works on at this moment it may finish.
	if err := s.wait(ctx, 100*time.Millisecond); err != nil {
		return err
	}
	stray, err := s.idle(ctx, o)
	if err != nil {
		return err
	}
	if stray > 0 {
		return fmt.Errorf("%s still got %d requests", o.name, stray)
	}
	s.say(r, "MAINT after %s, then not one request", short(took))
	return nil
}

func (s *show) enable(ctx context.Context, r *result, o *origin) error {
	start := time.Now()
	if err := s.director.order("enable server origins/" + o.name); err != nil {
		return err
	}
	took, err := s.served(ctx, o, start)
	if err != nil {
		return err
	}
	s.say(r, "first answer after %s", short(took))
	return s.wait(ctx, s.pace)
}

func (s *show) reload(ctx context.Context, r *result) error {
	var times []time.Duration
	var old []int
	for i := range reloads {
		before, err := s.director.worker()
		if err != nil {
			return err
		}
		old = append(old, before)
		start := time.Now()
		if err := s.director.signal(syscall.SIGUSR2); err != nil {
			return err
		}
		took, err := s.until(ctx, start, "a new worker", func() bool {
			pid, err := s.director.worker()
			return err == nil && pid != before
		})
		if err != nil {
			return err
		}
		times = append(times, took)
		s.say(r, "%s%s  new worker after %s", strings.Repeat("●", i+1), strings.Repeat("○", reloads-i-1), short(took))
		if err := s.wait(ctx, s.pace/3); err != nil {
			return err
		}
	}
	_, err := s.until(ctx, time.Now(), "the end of the old workers", func() bool { return !slices.ContainsFunc(old, alive) })
	if err != nil {
		return err
	}
	slices.Sort(times)
	s.say(r, "new worker in charge after %s (slowest %s), all old ones gone",
		short(times[len(times)/2]), short(times[len(times)-1]))
	return nil
}

// crash kills the worker. What it had under way is lost, and counted apart:
// every request on a connection that was open at that moment. Connections
// made afterwards have to work.
func (s *show) crash(ctx context.Context, r *result) error {
	pid, err := s.director.worker()
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.killedAt = true
	s.mu.Unlock()
	refused, killed := s.load.refused.Load(), s.load.killed.Load()
	start := time.Now()
	s.load.died.Store(start.UnixNano())
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return err
	}
	took, err := s.until(ctx, start, "a new worker", func() bool {
		now, err := s.director.worker()
		return err == nil && now != pid
	})
	if err != nil {
		return err
	}
	s.say(r, "back after %s", short(took))
	if err := s.wait(ctx, s.pace); err != nil {
		return err
	}
	s.say(r, "back after %s; requests in flight: %d, connections refused: %d", short(took),
		s.load.killed.Load()-killed, s.load.refused.Load()-refused)
	return nil
}
