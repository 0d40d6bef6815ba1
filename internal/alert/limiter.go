package alert

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// limiter applies a Limit. It is pure: time comes in as an argument.
type limiter struct {
	limit   Limit
	each    map[likeness]*window
	overall window
	check   time.Time // no window ends before; zero: there is none
	held    int       // in all windows
}

// likeness is what makes events the same for a limit.
type likeness struct{ plane, kind, name string }

// window counts events since a moment.
type window struct {
	start  time.Time
	passed int
	held   int
	last   *Event   // the last one held
	worst  Severity // of those held
}

// maxLikenesses bounds memory: what comes beyond shares one window.
const maxLikenesses = 1024

func newLimiter(l Limit) limiter {
	return limiter{limit: l, each: map[likeness]*window{}}
}

// admit says whether an event may pass, and counts it.
func (l *limiter) admit(now time.Time, e *Event) bool {
	if l.limit.Window <= 0 {
		return true
	}
	if l.limit.Each > 0 {
		k := likeness{e.Plane, e.Kind, e.Name}
		if l.each[k] == nil && len(l.each) >= maxLikenesses {
			k = likeness{}
		}
		w := l.each[k]
		if w == nil {
			w = &window{start: now}
			l.each[k] = w
			l.opened(now)
		}
		if !w.take(l.limit.Each, e) {
			l.held++
			return false
		}
	}
	if l.limit.Overall > 0 {
		if l.overall.start.IsZero() {
			l.overall.start = now
			l.opened(now)
		}
		if !l.overall.take(l.limit.Overall, e) {
			l.held++
			return false
		}
	}
	return true
}

// opened notes a window that starts. All are equally long, so the one that was
// first is over first.
func (l *limiter) opened(start time.Time) {
	if end := start.Add(l.limit.Window); l.check.IsZero() || end.Before(l.check) {
		l.check = end
	}
}

func (w *window) take(n int, e *Event) bool {
	if w.passed < n {
		w.passed++
		return true
	}
	if w.held == 0 || e.Severity < w.worst {
		w.worst = e.Severity
	}
	w.held++
	w.last = e
	return false
}

// due closes the windows that are over, or all when force is set, and gives an
// event for each that held something back.
func (l *limiter) due(now time.Time, force bool) []*Event {
	if l.check.IsZero() || !force && now.Before(l.check) {
		return nil
	}
	l.check = time.Time{}
	var list []*Event
	shut := func(w *window) bool {
		if !force && now.Sub(w.start) < l.limit.Window {
			l.opened(w.start)
			return false
		}
		if w.held > 0 {
			l.held -= w.held
			list = append(list, w.summary(now))
		}
		return true
	}
	for k, w := range l.each {
		if shut(w) {
			delete(l.each, k)
		}
	}
	if !l.overall.start.IsZero() && shut(&l.overall) {
		l.overall = window{}
	}
	slices.SortFunc(list, func(a, b *Event) int { return cmp.Compare(a.Text, b.Text) })
	return list
}

// deadline is when due may have something to say.
func (l *limiter) deadline() (at time.Time, ok bool) {
	return l.check, l.held > 0
}

func (w *window) summary(now time.Time) *Event {
	return &Event{
		Kind: "suppressed", Severity: w.worst, Plane: w.last.Plane, Name: w.last.Name, At: now,
		Text: fmt.Sprintf("%d suppressed in %s, the last: %s", w.held, now.Sub(w.start).Round(time.Second), w.last.Text),
	}
}
