package loop

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// handler records when it runs and asks for what the test says.
type handler func(now time.Duration) time.Duration

func (h handler) Wake(time.Duration) {}

func (h handler) Round(now time.Duration) time.Duration { return h(now) }

// run serves h until it calls Stop; a loop that never ends fails the test.
func run(t *testing.T, l *Loop, h handler) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- l.Run(h) }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the loop does not end")
	}
}

func newLoop(t *testing.T) *Loop {
	t.Helper()
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestTimersAreNeverEarly(t *testing.T) {
	l := newLoop(t)
	l.Post(func() {})
	var next time.Duration
	rounds, early := 0, 0
	run(t, l, func(now time.Duration) time.Duration {
		if next != 0 {
			rounds++
			if now < next {
				early++
			}
		}
		if rounds == 20 {
			l.Stop()
		}
		next = now + 700*time.Microsecond
		return next
	})
	if early != 0 {
		t.Fatalf("%d of %d rounds came before their time", early, rounds)
	}
}

func TestWaitsWithoutDeadline(t *testing.T) {
	l := newLoop(t)
	rounds := 0
	l.Post(func() {})
	time.AfterFunc(200*time.Millisecond, func() { l.Post(l.Stop) })
	run(t, l, func(now time.Duration) time.Duration {
		rounds++
		if rounds == 1 {
			return now // due at once, and then never again
		}
		return Never
	})
	// The first post, the timer, and the last post with its stop.
	if rounds > 5 {
		t.Fatalf("%d rounds, though nothing happened: the loop is busy", rounds)
	}
}

func TestPostFromManyGoroutines(t *testing.T) {
	l := newLoop(t)
	const goroutines, each = 8, 500
	seen := 0
	for range goroutines {
		go func() {
			for range each {
				l.Post(func() { seen++ })
			}
		}()
	}
	run(t, l, func(time.Duration) time.Duration {
		if seen == goroutines*each {
			l.Stop()
		}
		return Never
	})
	if l.Post(func() {}) {
		t.Error("a loop that is over took a post")
	}
	l.Stop() // harmless afterwards
}

func TestWatch(t *testing.T) {
	l := newLoop(t)
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	calls := 0
	if err := l.Watch(p[0], func() {
		calls++
		if calls == 3 { // not read before: still readable
			l.Unwatch(p[0])
			l.Post(l.Stop)
		}
	}); err != nil {
		t.Fatal(err)
	}
	unix.Write(p[1], []byte("x"))
	run(t, l, func(time.Duration) time.Duration { return Never })
	if calls != 3 {
		t.Fatalf("%d calls", calls)
	}
	if err := newLoop(t).Watch(-1, func() {}); err == nil {
		t.Error("a descriptor that is none was watched")
	}
}

func TestClockIsMonotonic(t *testing.T) {
	c := NewClock()
	var ts unix.Timespec
	for range 100 {
		a := c.Now()
		unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
		b := c.Now()
		if now := time.Duration(ts.Nano()); now < a-time.Millisecond || now > b+time.Millisecond {
			t.Fatalf("the kernel says %v, the clock %v to %v", now, a, b)
		}
	}
}

func TestRealtime(t *testing.T) {
	l := newLoop(t)
	err := l.Realtime(2)
	if err != nil {
		if l.Priority() == "SCHED_RR 2" {
			t.Fatalf("%v, but it is %s", err, l.Priority())
		}
		t.Skip(err)
	}
	defer l.Realtime(0)
	a, err := unix.SchedGetAttr(unix.Getpid(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if a.Policy != unix.SCHED_RR || a.Priority != 2 || a.Flags&resetOnFork == 0 {
		t.Fatalf("%+v", a)
	}
}
