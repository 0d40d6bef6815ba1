package pool

// FreqCounter counts events over the last second the way HAProxy's freq_ctr
// does: the current second plus the share of the previous one that is still
// inside the window. Its owner guards it.
type FreqCounter struct {
	second     int64 // nanoseconds at which the current second began
	curr, prev uint32
}

const second = int64(1e9)

// Add counts n events at now (monotonic nanoseconds).
func (f *FreqCounter) Add(now int64, n uint32) {
	f.rotate(now)
	f.curr += n
}

func (f *FreqCounter) rotate(now int64) {
	elapsed := now - f.second
	if elapsed < second {
		return
	}
	f.prev = 0
	if elapsed < 2*second {
		f.prev = f.curr
	}
	f.curr = 0
	f.second = now - elapsed%second
}

// Rate is the number of events in the last second.
func (f *FreqCounter) Rate(now int64) int {
	f.rotate(now)
	// Loops' clocks differ a little: now may be before the current second.
	left := second - max(0, now-f.second)
	return int(int64(f.curr) + int64(f.prev)*left/second)
}

// Peak is the rate of the fullest whole second known now: what the *_max
// fields follow.
func (f *FreqCounter) Peak(now int64) int {
	f.rotate(now)
	return int(max(f.curr, f.prev))
}
