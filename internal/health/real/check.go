package real

import (
	"time"

	"evenkeel/internal/health/checks"
	"evenkeel/internal/model"
)

// check is the state of one checker of one real server. It has no clock: done
// says how long to wait.
type check struct {
	spec  *model.RealCheck
	parts int

	up      bool
	ran     bool
	retries int
	// part is what the next run looks at. Once one has failed and the checker
	// is down, that one is looked at until it is good, then all others.
	part   int
	good   int // parts in a row that were good since the last fault
	weight *int
	text   string // of the last result
	local  bool   // the last result was a fault of this machine
}

// newCheck makes a checker that is taken for good until it has run, or with
// alpha for bad. Its first failure counts at once, without retries.
func newCheck(spec *model.RealCheck, parts int, up bool) *check {
	c := &check{spec: spec, parts: max(1, parts), up: up}
	c.retries = c.retry()
	return c
}

// retry is how many failures in a row do not count. What is watched and not
// asked has none: it is looked at once for each change, and looking again would
// find the same.
func (c *check) retry() int {
	if c.spec.Kind == model.CheckerBFD || c.spec.Kind == model.CheckerFILE {
		return 0
	}
	return c.spec.Retry
}

// verdict is what a result means.
type verdict struct {
	changed bool // up has
	// delay is how long to wait for the next run, from the end of this one; for
	// MISC_CHECK from its start.
	delay     time.Duration
	fromStart bool
	retry     bool // the failure does not count yet
	local     bool // the check could not be made, for the first time in a row
}

// done takes a result.
func (c *check) done(r checks.RealResult) (v verdict) {
	v.delay, v.fromStart = c.spec.Interval, c.spec.Kind == model.CheckerMISC
	c.text = r.Text
	v.local, c.local = r.Local && !c.local, r.Local
	if r.Local {
		return v // it says nothing about the server
	}
	if r.Weight != nil {
		c.weight = r.Weight
	}
	if r.OK {
		c.succeeded(&v)
	} else {
		c.failed(&v)
	}
	return v
}

func (c *check) succeeded(v *verdict) {
	c.part = (c.part + 1) % c.parts
	c.good++
	c.retries = 0
	if !c.ran {
		c.retries = c.retry()
	}
	if c.good < c.parts && (!c.up || !c.ran) {
		// Not all parts have been seen good: the way up is done without delays
		// where fast_recovery says so.
		if h := c.spec.HTTP; h != nil && h.FastRecovery {
			v.delay = 0
		}
		return
	}
	v.changed = !c.up
	c.up, c.ran = true, true
	c.retries = 0
	c.good = min(c.good, c.parts)
}

func (c *check) failed(v *verdict) {
	c.good = 0
	switch {
	case (c.up || !c.ran) && c.retries >= c.retry():
		v.changed = c.up
		c.up, c.retries = false, 0
	case c.up:
		c.retries++
		v.retry = true
		v.delay = c.spec.DelayBeforeRetry
	}
	if c.parts > 1 && !c.up {
		v.delay = max(v.delay, c.spec.DelayBeforeRetry)
	}
	c.ran = true
}
