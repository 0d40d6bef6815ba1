package probe

import (
	"bytes"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"evenkeel/internal/lab/record"
)

// A prober that is held up between two looks at the clock does not move what
// it saw.
func TestDifference(t *testing.T) {
	const day = 500 * time.Hour
	for _, c := range []struct {
		name string
		held []int // looks at the clock before which it sleeps for 60 ms
		off  time.Duration
	}{
		{"not held up", nil, time.Microsecond},
		{"before the time of day", []int{1}, time.Microsecond},
		{"after the time of day", []int{2}, time.Microsecond},
		{"several times", []int{1, 4, 8}, time.Microsecond},
		{"always", []int{1, 2, 4, 5, 7, 8, 10, 11, 13, 14, 16, 17, 19, 20, 22, 23}, 61 * time.Millisecond},
	} {
		now, looks := time.Hour, 0
		got := difference(func(id int32) time.Duration {
			for _, n := range c.held {
				if n == looks {
					now += 60 * time.Millisecond
				}
			}
			looks++
			now += time.Microsecond
			if id == unix.CLOCK_REALTIME {
				return now + day
			}
			return now
		})
		if off := got - day; max(off, -off) > c.off {
			t.Errorf("%s: %v off", c.name, off)
		}
		if looks > 24 {
			t.Errorf("%s: %d looks", c.name, looks)
		}
	}
}

// The load notes when it did not run.
func TestLoadSleeps(t *testing.T) {
	w := &writer{}
	for _, at := range []time.Duration{0, 20, 41, 60, 100, 161, 180} {
		w.looked(time.Second + at*time.Millisecond)
	}
	want := record.Append(nil, record.Record{At: 1161 * time.Millisecond, Kind: record.Slept, Took: 41 * time.Millisecond})
	if !bytes.Equal(w.buffer, want) {
		t.Errorf("got %q, want %q", w.buffer, want)
	}
}

// A request whose patience ended while the load slept is not known to be lost.
func TestSleptOverTheEnd(t *testing.T) {
	for _, c := range []struct {
		name  string
		after time.Duration
		err   error
		want  bool
	}{
		{"in time", 100 * time.Millisecond, nil, true},
		{"an answer that was looked at late", 3 * time.Second, nil, true},
		{"refused", 100 * time.Millisecond, unix.ECONNREFUSED, true},
		{"reset, and noticed late", 3 * time.Second, unix.ECONNRESET, true},
		{"late", 1010 * time.Millisecond, os.ErrDeadlineExceeded, true},
		{"late, and asleep then", 1300 * time.Millisecond, os.ErrDeadlineExceeded, false},
		{"no connection, and asleep then", 2 * time.Second, &net.OpError{Err: os.ErrDeadlineExceeded}, false},
	} {
		if got := (Load{Timeout: time.Second}).known(c.after, c.err); got != c.want {
			t.Errorf("%s: known %v", c.name, got)
		}
	}
}
