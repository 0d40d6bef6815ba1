package loop

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pipe is a pair of descriptors, closed with the test.
func pipe(t *testing.T) (in, out int) {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(p[0]); unix.Close(p[1]) })
	return p[1], p[0]
}

// first runs a loop until its first round in which something was read from a
// pipe, into which a second byte is put some time after the first. It gives how
// many came in that round and when it was.
func first(t *testing.T, patient bool, gather, deadline time.Duration) (bytes int, after time.Duration) {
	t.Helper()
	l := newLoop(t)
	in, out := pipe(t)
	watch := l.Watch
	if patient {
		watch = l.WatchPatiently
	}
	if err := watch(out, func() {
		var b [64]byte
		n, _ := unix.Read(out, b[:])
		bytes += n
	}); err != nil {
		t.Fatal(err)
	}
	l.Gather(gather)
	began := l.clock.Now()
	unix.Write(in, []byte{1})
	time.AfterFunc(20*time.Millisecond, func() { unix.Write(in, []byte{1}) })
	run(t, l, func(now time.Duration) time.Duration {
		if bytes > 0 {
			after = l.clock.Now() - began
			l.Stop()
		}
		if deadline == Never {
			return Never
		}
		return began + deadline
	})
	return bytes, after
}

func TestGather(t *testing.T) {
	if n, _ := first(t, true, 2*time.Second, Never); n != 2 {
		t.Errorf("%d of two packets in one round", n)
	}
	if n, after := first(t, true, 0, Never); n != 1 && after < 20*time.Millisecond {
		t.Errorf("%d packets without gathering", n)
	}
	// What is not patient is not held up, nor is a deadline.
	if n, after := first(t, false, 10*time.Second, Never); after > 9*time.Second {
		t.Errorf("%d after %v", n, after)
	}
}

// TestGatherKeepsDeadlines: the round is at the deadline at the latest.
func TestGatherKeepsDeadlines(t *testing.T) {
	l := newLoop(t)
	in, out := pipe(t)
	read := 0
	if err := l.WatchPatiently(out, func() {
		var b [64]byte
		unix.Read(out, b[:])
		read++
	}); err != nil {
		t.Fatal(err)
	}
	l.Gather(10 * time.Second)
	began := l.clock.Now()
	var after time.Duration
	l.Post(func() {})
	run(t, l, func(now time.Duration) time.Duration {
		if read > 0 {
			after = now - began
			l.Stop()
		} else {
			unix.Write(in, []byte{1})
		}
		return began + 100*time.Millisecond
	})
	if after < 90*time.Millisecond || after > 9*time.Second {
		t.Errorf("the round was %v after the start, with a deadline of 100ms", after)
	}
}

// TestNice: all threads get it, and what they start does not.
func TestNice(t *testing.T) {
	l := newLoop(t)
	defer l.Nice(0)
	if err := l.Nice(5); err != nil {
		t.Fatal(err)
	}
	n, err := unix.Getpriority(unix.PRIO_PROCESS, unix.Gettid())
	if got := 20 - n; err != nil || got != 5 {
		t.Errorf("nice %d, %v", got, err)
	}
	if got := l.Priority(); got != "nice 5" {
		t.Errorf("it says %q", got)
	}
}
