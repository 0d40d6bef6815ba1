package vrrp

import (
	"math"
	"time"
)

// never is the time of what is not scheduled.
const never = time.Duration(math.MaxInt64)

const (
	// defaultDownAdverts is how many intervals a master may be silent.
	defaultDownAdverts = 3
	// slowestPriority is what a peer that was never heard is taken to have.
	slowestPriority = 1
	// leaveMargin is what a peer needs between the end of its skew time and
	// answering for the addresses.
	leaveMargin = 10 * time.Millisecond
	// unheardMargin is the same when nobody was heard: the machine itself waits
	// longer, because the first advertisement of a successor ends the wait.
	unheardMargin = 50 * time.Millisecond
	// successorGrace is how long the addresses stay after a successor's first
	// advertisement: until its gratuitous ARPs are where they are needed.
	successorGrace = 10 * time.Millisecond
)

// skew is how much longer a backup of this priority waits. Version 2 counts
// parts of a second whatever the interval (RFC 3768 6.1), version 3 parts of the
// master's interval (RFC 9568 6.1). The RFC's centiseconds are not rounded to:
// at intervals of a few of them all backups would wait equally long.
func skew(version, priority uint8, interval time.Duration) time.Duration {
	if version == 2 {
		interval = time.Second
	}
	return interval * time.Duration(256-int(priority)) / 256
}

func (c *Config) downAdverts() time.Duration {
	if c.DownTimerAdverts > 0 {
		return time.Duration(c.DownTimerAdverts)
	}
	return defaultDownAdverts
}

// down is how long a backup of the effective priority waits for a master with
// the interval.
func (c *Config) down(priority uint8, interval time.Duration) time.Duration {
	return c.downAdverts()*interval + skew(c.Version, priority, interval)
}

// preempts: state MASTER overrules nopreempt (keepalived), and an owner always
// takes its addresses (RFC 9568 6.1).
func (c *Config) preempts() bool { return c.Preempt || c.StartMaster || c.Owner() }

func (c *Config) preemptDelay() time.Duration {
	if c.StartMaster || c.Owner() {
		return 0
	}
	return c.PreemptDelay
}
