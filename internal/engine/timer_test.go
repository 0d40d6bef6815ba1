package engine

import (
	"math/rand/v2"
	"testing"
)

const ms = int64(tickNanos)

// firing records when its timers fired.
type firing struct {
	w   *wheel
	now *int64
	log []int64
	do  func(t *Timer)
}

func (f *firing) OnTimer(t *Timer) {
	f.log = append(f.log, *f.now)
	if f.do != nil {
		f.do(t)
	}
}

func TestTimerFiresAtItsTime(t *testing.T) {
	for _, c := range []struct {
		name      string
		start, at int64
		fires     int64 // first time, stepping 1 ms around it, that fires
	}{
		{"the next tick", 0, 1, 1 * ms},
		{"exactly on a tick", 0, 5 * ms, 5 * ms},
		{"rounded up", 0, 5*ms + 1, 6 * ms},
		{"end of level 0", 0, 63 * ms, 63 * ms},
		{"level 1", 0, 64 * ms, 64 * ms},
		{"across a block", 60 * ms, 70 * ms, 70 * ms},
		{"level 2", 17 * ms, 5000 * ms, 5000 * ms},
		{"level 3", 1, 300000 * ms, 300000 * ms},
		{"a day", 12345 * ms, 86400000 * ms, 86400000 * ms},
		{"in the past", 100 * ms, 50 * ms, 100 * ms},
		{"now", 100 * ms, 100 * ms, 100 * ms},
	} {
		t.Run(c.name, func(t *testing.T) {
			var w wheel
			now := c.start
			w.advance(now)
			f := &firing{w: &w, now: &now}
			var tm Timer
			w.arm(&tm, f, c.at)
			if !tm.Armed() || tm.Deadline() != c.at {
				t.Fatal("not armed", tm.Deadline())
			}
			if now < c.fires-ms {
				now = c.fires - ms
				w.advance(now)
				if len(f.log) != 0 {
					t.Fatal("fired early")
				}
			}
			now = c.fires
			w.advance(now)
			if len(f.log) != 1 || tm.Armed() {
				t.Fatal("did not fire", f.log, tm.Armed())
			}
			w.advance(now + 1e15)
			if len(f.log) != 1 {
				t.Fatal("fired twice")
			}
		})
	}
}

// Random timers under random operations keep the promise: never early, never
// later than the first advance at or after the tick, never when disarmed; and
// nextTick never lies beyond the earliest.
func TestWheelAgainstAModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var w wheel
		now := rnd.Int64N(1e15)
		w.cur = now / ms
		timers := make([]Timer, 40)
		want := make([]int64, len(timers))
		fired := make(map[*Timer]bool)
		owner := timerFunc(func(tm *Timer) { fired[tm] = true })
		span := []int64{10 * ms, 100 * ms, 5000 * ms, 1e12, 1e15}
		for range 2000 {
			i := rnd.IntN(len(timers))
			switch rnd.IntN(4) {
			case 0:
				w.disarm(&timers[i])
				want[i] = 0
			default:
				at := now + rnd.Int64N(span[rnd.IntN(len(span))]) - 2*ms
				w.arm(&timers[i], owner, at)
				want[i] = at
			}
			earliest := int64(-1)
			for _, at := range want {
				if at != 0 && (earliest < 0 || at < earliest) {
					earliest = at
				}
			}
			next := w.nextTick()
			if earliest >= 0 && (next < 0 || next > max(ceilTick(earliest), w.cur)) {
				t.Fatal("would sleep too long", next, ceilTick(earliest))
			}
			if rnd.IntN(3) == 0 {
				continue
			}
			now += rnd.Int64N(span[rnd.IntN(3)])
			clear(fired)
			w.advance(now)
			for i := range timers {
				due := want[i] != 0 && ceilTick(want[i]) <= now/ms
				if fired[&timers[i]] != due {
					t.Fatalf("timer for %d at %d: fired %v", want[i], now, fired[&timers[i]])
				}
				if due {
					want[i] = 0
				}
			}
		}
	}
}

func TestTimerMovedLaterIsNotQueuedAgain(t *testing.T) {
	var w wheel
	now := int64(0)
	f := &firing{w: &w, now: &now}
	var tm Timer
	w.arm(&tm, f, 10*ms)
	slot, tick := tm.slot, tm.tick
	w.arm(&tm, f, 500*ms)
	if tm.slot != slot || tm.tick != tick {
		t.Fatal("moving later must only store the deadline")
	}
	for now = 0; now < 500*ms; now += ms {
		w.advance(now)
	}
	if len(f.log) != 0 {
		t.Fatal("fired early", f.log)
	}
	w.advance(now)
	if len(f.log) != 1 {
		t.Fatal("did not fire")
	}
}

func TestTimerOwnersMayChangeTimers(t *testing.T) {
	var w wheel
	now := int64(0)
	var a, b, c Timer
	quiet := &firing{w: &w, now: &now}
	again := &firing{w: &w, now: &now}
	again.do = func(tm *Timer) { w.arm(tm, again, now) } // for ever in the past
	killer := timerFunc(func(*Timer) { w.disarm(&a); w.disarm(&b) })
	w.arm(&c, killer, 5*ms) // the first armed of a tick fires first
	w.arm(&a, quiet, 5*ms)
	w.arm(&b, quiet, 5*ms)
	now = 5 * ms
	w.advance(now)
	if len(quiet.log) != 0 {
		t.Fatal("a timer disarmed by another of its tick fired")
	}
	w.arm(&a, again, 6*ms)
	for now = 6 * ms; now < 9*ms; now += ms {
		before := len(again.log)
		w.advance(now)
		w.advance(now)
		if got := len(again.log) - before; got < 1 || got > 3 {
			t.Fatal("an owner that arms for now must run once an advance, ran", got)
		}
	}
}

func BenchmarkTimerMoveLater(b *testing.B) {
	var w wheel
	f := timerFunc(func(*Timer) {})
	var tm Timer
	for i := range b.N {
		w.arm(&tm, f, int64(i)+30000*ms)
	}
}

func BenchmarkTimerArmDisarm(b *testing.B) {
	var w wheel
	f := timerFunc(func(*Timer) {})
	var others [64]Timer
	for i := range others {
		w.arm(&others[i], f, 30000*ms)
	}
	var tm Timer
	for range b.N {
		w.arm(&tm, f, 30000*ms)
		w.disarm(&tm)
	}
}
