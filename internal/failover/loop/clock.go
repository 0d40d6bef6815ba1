package loop

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Clock reads CLOCK_MONOTONIC, which all processes of a host share, through the
// runtime's own clock: that is the same one with another zero, and costs no
// system call.
type Clock struct {
	base   time.Time
	offset time.Duration
}

// NewClock finds out where the zero is. The smallest of some differences is the
// one with the least between the two readings.
func NewClock() Clock {
	c := Clock{base: time.Now()}
	for i := range 5 {
		var ts unix.Timespec
		_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
		if d := time.Duration(ts.Nano()) - time.Since(c.base); i == 0 || d > c.offset {
			c.offset = d
		}
	}
	return c
}

// Now is the time on CLOCK_MONOTONIC.
func (c Clock) Now() time.Duration { return c.offset + time.Since(c.base) }

// Boottime is CLOCK_BOOTTIME: it goes on while the host is suspended. It is for
// every round of a loop: an ordinary system call would wake the runtime's
// monitor each time.
func Boottime() time.Duration {
	var ts unix.Timespec
	_, _, _ = unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&ts)), 0)
	return time.Duration(ts.Nano())
}
