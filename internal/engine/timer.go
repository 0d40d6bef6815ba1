package engine

import "math/bits"

// TimerFunc is what owns a Timer: one object can tell its timers apart by t.
type TimerFunc interface{ OnTimer(t *Timer) }

// Timer is embedded by value; its zero value is ready. Moving it later costs
// one store: it stays where it is queued and is queued again when that place
// comes up. It belongs to the loop that armed it.
type Timer struct {
	next, prev *Timer
	owner      TimerFunc
	at         int64 // deadline in the unit of Loop.Now; 0: not armed
	tick       int64 // where it is queued
	slot       int32 // list it is on, plus one; 0: on none
}

// Armed tells whether the timer will fire.
func (t *Timer) Armed() bool { return t.at != 0 }

// Deadline is the time given to Arm, 0 when not armed.
func (t *Timer) Deadline() int64 { return t.at }

const (
	tickNanos   = 1e6
	wheelBits   = 6
	wheelSlots  = 1 << wheelBits
	wheelLevels = 7 // 2^42 ms: 139 years
	maxTick     = 1<<(wheelBits*wheelLevels) - 1

	listDue    = wheelLevels * wheelSlots // armed for a time that is over
	listFiring = listDue + 1              // being fired now
	listCount  = listFiring + 1
)

// wheel is a hierarchical timing wheel. It has no clock: advance is told the
// time. A timer sits on the level of the highest digit (base 64) in which its
// tick differs from cur, so the lowest occupied level holds the earliest one.
type wheel struct {
	cur      int64 // every tick up to this one was fired
	occupied [wheelLevels]uint64
	lists    [listCount]*Timer
}

func ceilTick(at int64) int64 {
	if at > maxTick*tickNanos {
		return maxTick
	}
	return (at + tickNanos - 1) / tickNanos
}

func (w *wheel) arm(t *Timer, owner TimerFunc, at int64) {
	if at <= 0 {
		at = 1
	}
	t.owner = owner
	t.at = at
	tick := ceilTick(at)
	if t.slot != 0 {
		if tick >= t.tick {
			return
		}
		w.unlink(t)
	}
	w.insert(t, tick)
}

func (w *wheel) disarm(t *Timer) {
	t.at = 0
	t.owner = nil
	if t.slot != 0 {
		w.unlink(t)
	}
}

func (w *wheel) insert(t *Timer, tick int64) {
	t.tick = tick
	if tick <= w.cur {
		w.link(t, listDue)
		return
	}
	level := (63 - bits.LeadingZeros64(uint64(w.cur^tick)|1)) / wheelBits
	index := int(tick>>(level*wheelBits)) & (wheelSlots - 1)
	w.occupied[level] |= 1 << index
	w.link(t, level*wheelSlots+index)
}

func (w *wheel) link(t *Timer, list int) {
	head := w.lists[list]
	t.next = head
	t.prev = nil
	if head != nil {
		head.prev = t
	}
	w.lists[list] = t
	t.slot = int32(list + 1)
}

func (w *wheel) unlink(t *Timer) {
	list := int(t.slot - 1)
	if t.next != nil {
		t.next.prev = t.prev
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		w.lists[list] = t.next
		if t.next == nil && list < listDue {
			w.occupied[list>>wheelBits] &^= 1 << (list & (wheelSlots - 1))
		}
	}
	t.next, t.prev, t.slot = nil, nil, 0
}

// nextTick is the tick at which advance has something to do: a timer's own, or
// the start of the slot that holds it. -1: never.
func (w *wheel) nextTick() int64 {
	if w.lists[listDue] != nil {
		return w.cur
	}
	for level := range wheelLevels {
		if o := w.occupied[level]; o != 0 {
			shift := level * wheelBits
			base := w.cur >> (shift + wheelBits) << (shift + wheelBits)
			return base | int64(bits.TrailingZeros64(o))<<shift
		}
	}
	return -1
}

// advance fires what is due at now (nanoseconds). A timer that an owner arms
// for a time already over fires at the next advance, never in this one, so no
// owner can hold the loop.
func (w *wheel) advance(now int64) {
	nowTick := now / tickNanos
	if nowTick <= w.cur && w.lists[listDue] == nil {
		return
	}
	if w.lists[listDue] != nil {
		w.take(listDue)
		w.fire(nowTick)
	}
	for {
		next := w.nextWheelTick()
		if next < 0 || next > nowTick {
			break
		}
		w.cur = next
		for level := range wheelLevels {
			shift := level * wheelBits
			if next&(1<<shift-1) != 0 {
				break
			}
			index := int(next>>shift) & (wheelSlots - 1)
			if w.occupied[level]&(1<<index) != 0 {
				w.occupied[level] &^= 1 << index
				w.take(level*wheelSlots + index)
			}
		}
		w.fire(nowTick)
	}
	if nowTick > w.cur {
		w.cur = nowTick
	}
}

func (w *wheel) nextWheelTick() int64 {
	due := w.lists[listDue]
	w.lists[listDue] = nil
	next := w.nextTick()
	w.lists[listDue] = due
	return next
}

// take moves a whole list to the firing one.
func (w *wheel) take(list int) {
	t := w.lists[list]
	w.lists[list] = nil
	for t != nil {
		next := t.next
		w.link(t, listFiring)
		t = next
	}
}

// fire runs the owners of the firing list; those that were moved later, or are
// only passing through on their way to a finer level, are queued again.
func (w *wheel) fire(nowTick int64) {
	for {
		t := w.lists[listFiring]
		if t == nil {
			return
		}
		w.unlink(t)
		if tick := ceilTick(t.at); tick > nowTick {
			w.insert(t, tick)
			continue
		}
		owner := t.owner
		t.at = 0
		t.owner = nil
		owner.OnTimer(t)
	}
}
