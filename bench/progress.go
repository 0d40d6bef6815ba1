package main

import (
	"fmt"
	"os"
	"regexp"
	"time"
)

func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}

// schedule knows how long a run takes, as well as one can.
type schedule struct {
	settings
	todo  []scenario
	began time.Time
	due   float64 // seconds that the scenarios behind us were thought to take
}

func newSchedule(s settings, only *regexp.Regexp, now time.Time) *schedule {
	p := &schedule{settings: s, began: now}
	for _, sc := range scenarios {
		if only.MatchString(sc.name) {
			p.todo = append(p.todo, sc)
		}
	}
	return p
}

// line tells where the run is when the i-th scenario begins. What is behind
// says how much slower this machine is than was thought.
func (p *schedule) line(i int, now time.Time) string {
	left := 0.0
	for _, sc := range p.todo[i:] {
		left += sc.lasts(p.settings)
	}
	gone := now.Sub(p.began)
	if p.due > 0 {
		left *= gone.Seconds() / p.due
	}
	p.due += p.todo[i].lasts(p.settings)
	text := fmt.Sprintf("%d/%d %s: %s (", i+1, len(p.todo), p.todo[i].name, p.todo[i].title)
	if i > 0 {
		text += short(gone) + " gone, "
	}
	return text + "about " + short(time.Duration(left*float64(time.Second))) + " left)"
}

func short(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return fmt.Sprintf("%.0f min", d.Minutes())
}

// rounds is how long so many turns a round take, with what comes between
// them, in seconds.
func rounds(turns, most int, seconds float64) func(settings) float64 {
	return func(s settings) float64 {
		n, each := s.rounds, seconds
		if most > 0 {
			n = min(n, most)
		}
		if each == 0 {
			each = s.seconds
		}
		return float64(n*turns)*(each+0.2) + 3
	}
}
