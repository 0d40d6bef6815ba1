package accesslog

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
)

// sample lets through a fixed part of each run of size lines.
type sample struct {
	pass []bool // by place in the run, from 0
	next atomic.Uint32
}

// newSample reads "1,3-5" and the size of a run.
func newSample(ranges string, size int) (*sample, error) {
	if size <= 0 || size > 1<<20 {
		return nil, fmt.Errorf("sample size %d is not between 1 and 1048576", size)
	}
	s := &sample{pass: make([]bool, size)}
	for _, part := range strings.Split(ranges, ",") {
		low, high, isRange := strings.Cut(part, "-")
		a, err := strconv.Atoi(low)
		b := a
		if err == nil && isRange {
			b, err = strconv.Atoi(high)
		}
		if err != nil || a < 1 || b < a || b > size {
			return nil, fmt.Errorf("sample range %q is not N or LOW-HIGH within 1 and %d", part, size)
		}
		for i := a - 1; i < b; i++ {
			s.pass[i] = true
		}
	}
	return s, nil
}

// take counts one line and says whether it is to be sent.
func (s *sample) take() bool {
	n := uint32(len(s.pass))
	for {
		i := s.next.Load()
		j := i + 1
		if j == n {
			j = 0
		}
		if s.next.CompareAndSwap(i, j) {
			return s.pass[i]
		}
	}
}
