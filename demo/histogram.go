package main

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Each power of two of microseconds is cut into subBuckets parts, so a value
// read back is at most 1/subBuckets too large.
const (
	subBits    = 4
	subBuckets = 1 << subBits
	bucketsAll = 40 * subBuckets
)

// histogram counts durations. Any goroutine may add; counts copies.
type histogram struct {
	count [bucketsAll]atomic.Uint64
}

// counts is a histogram at one moment.
type counts [bucketsAll]uint64

func bucketOf(d time.Duration) int {
	us := uint64(max(d, 0) / time.Microsecond)
	if us < subBuckets {
		return int(us)
	}
	exp := bits.Len64(us) - subBits - 1
	return min((exp+1)*subBuckets+int(us>>exp)-subBuckets, bucketsAll-1)
}

// bucketEnd is the longest duration that bucket i counts.
func bucketEnd(i int) time.Duration {
	if i < subBuckets {
		return time.Duration(i+1) * time.Microsecond
	}
	exp := i/subBuckets - 1
	return time.Duration((uint64(i%subBuckets)+subBuckets+1)<<exp) * time.Microsecond
}

func (h *histogram) add(d time.Duration) { h.count[bucketOf(d)].Add(1) }

func (h *histogram) counts() (c counts) {
	for i := range h.count {
		c[i] = h.count[i].Load()
	}
	return c
}

// since gives what was added after old.
func (c counts) since(old counts) counts {
	for i := range c {
		c[i] -= old[i]
	}
	return c
}

func (c counts) total() (n uint64) {
	for _, v := range c {
		n += v
	}
	return n
}

// quantile gives the duration that the share q of all stayed below; 0 when
// nothing was counted.
func (c counts) quantile(q float64) time.Duration {
	total := c.total()
	if total == 0 {
		return 0
	}
	rank := max(uint64(q*float64(total)+0.5), 1)
	var seen uint64
	for i, v := range c {
		if seen += v; seen >= rank {
			return bucketEnd(i)
		}
	}
	return bucketEnd(bucketsAll - 1)
}
