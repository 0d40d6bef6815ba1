package flowsync

import (
	"context"
	"time"

	"evenkeel/internal/l4"
)

// course is how far changes have been told.
type course struct {
	mark  uint32        // the table's: what changed before it has been told
	since time.Duration // when that was
	notes bool          // the table notes what changes
	whole bool          // a walk has been through the table since it does
}

// follow tells what changes while this director is active.
func (d *Daemon) follow(ctx context.Context) {
	var c course
	active := false
	limit := pace{rate: changeRate, burst: changeRate / 20}
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		last := false
		select {
		case <-ctx.Done():
			last = true
		case <-d.wake:
		case <-pause.C:
		}
		d.mu.Lock()
		now := d.active
		d.mu.Unlock()
		interval := longest
		switch {
		case !active && now && !last:
			c = d.start()
			interval = soon
		case active: // also for the last time
			start := d.now()
			var waited time.Duration
			walked := d.look(&c, start, func(s l4.Sync) bool {
				wait := limit.take(d.now())
				waited += wait
				return d.tell(ctx, &s, wait, last)
			})
			least, most := soon, late
			if walked {
				least, most = shortest, longest
			}
			interval = min(max(least, leisure*(d.now()-start-waited)), most)
			d.mu.Lock()
			d.count.interval = interval
			d.mu.Unlock()
		}
		if c.notes && (last || !now) {
			_ = d.table.Watch(false)
			c.notes = false
		}
		if last {
			return
		}
		active = now
		pause.Reset(interval)
	}
}

// start begins to follow. What is there already is the refresh's affair.
func (d *Daemon) start() (c course) {
	c.since = d.now()
	c.mark, _ = d.table.Changed(0, false, func(l4.Sync) bool { return false })
	// Without notes there is the walk.
	c.notes = d.table.Watch != nil && d.table.Watch(true) == nil
	return c
}

// look tells what has changed: what the table has noted, or, where it does not
// note or has missed some, what a walk through all of it finds.
func (d *Daemon) look(c *course, start time.Duration, yield func(l4.Sync) bool) (walked bool) {
	mark, missed, err := c.mark, true, error(nil)
	// Noting began after the first mark: only a walk has what was between.
	if c.notes && c.whole {
		mark, missed, err = d.table.Noted(yield)
		if missed || err != nil {
			d.mu.Lock()
			d.count.missed++
			d.mu.Unlock()
		}
	}
	if missed || err != nil {
		walked = true
		mark, err = d.table.Changed(c.mark, false, yield)
	}
	d.flush()
	if err == nil {
		d.mu.Lock()
		d.count.lag = d.now() - c.since
		d.mu.Unlock()
		c.mark, c.since, c.whole = mark, start, true
	}
	return walked
}

// refresh tells everything, from time to time and when somebody asks.
func (d *Daemon) refresh(ctx context.Context) {
	limit := pace{rate: refreshRate, burst: refreshRate / 20}
	var before time.Duration // when the last round began
	look := time.NewTicker(refreshLook)
	defer look.Stop()
	for {
		asked := false
		select {
		case <-ctx.Done():
			return
		case <-d.asked:
			asked = true
		case <-look.C:
		}
		start, every := d.now(), d.every()
		if !asked && !due(every, before, start) {
			continue
		}
		whole := asked || due(refreshEvery, before, start)
		d.mu.Lock()
		active := d.active && d.link != nil
		if active && whole {
			d.count.refreshes++
		}
		first := d.out.sequence + 1
		d.mu.Unlock()
		if !active {
			continue
		}
		_, _ = d.table.Changed(0, true, func(s l4.Sync) bool {
			if !whole && !due(period(s.Timeout, every), before, start) {
				return ctx.Err() == nil
			}
			return d.tell(ctx, &s, limit.take(d.now()), false)
		})
		d.flush()
		if whole {
			d.send(&header{kind: kindHello, whole: true, target: uint64(first)})
		}
		if !asked {
			before = start
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(refreshLeast):
		}
	}
}

// often is how many times a connection is told again before those who do not
// hear of it forget it.
const often = 2

// every is how long it is between two rounds of the refresh: the others shall
// not forget what goes on, however short a time they remember it.
func (d *Daemon) every() time.Duration {
	if d.table.Shortest == nil {
		return refreshEvery
	}
	return period(d.table.Shortest(), refreshLeast)
}

// refreshLook is how often it is looked whether a round is due: a reload may
// have changed for how long connections are remembered.
const refreshLook = time.Second

// period is how often something is told again that is remembered so long
// without.
func period(timeout, least time.Duration) time.Duration {
	if timeout <= 0 {
		return refreshEvery
	}
	return min(max(least, timeout/often), refreshEvery)
}

// due says whether a multiple of the period lies between the last round and
// this one.
func due(period, before, now time.Duration) bool { return now/period > before/period }
