package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// viewer shows the running demo. step is called by the script, tick and end
// by whoever watches.
type viewer interface {
	step(r result)
	tick()
	end()
}

// screenView is a screen that is opened at the first frame.
type screenView struct{ screen }

func (v *screenView) step(result) {}

func (v *screenView) tick() {
	if !v.opened {
		v.opened = true
		v.open()
	}
	v.draw()
}

func (v *screenView) end() {
	if v.opened {
		v.close()
	}
}

// lines shows the demo where there is no terminal: a line a step, and one
// every few seconds.
type lines struct {
	out   io.Writer
	s     *show
	trail *trail
	told  time.Time
}

// lineInterval is how often a line of figures is printed.
const lineInterval = 5 * time.Second

func (l *lines) step(r result) {
	fmt.Fprintf(l.out, "%s  %-28s %s (%s requests, p99 %s, lost %d)\n", clock(time.Since(l.s.started)), r.name, r.text,
		thousands(r.requests), short(r.p99), r.lost)
}

func (l *lines) tick() {
	now := time.Now()
	if l.told.IsZero() {
		l.told = now
		fmt.Fprintf(l.out, "%s  %d origins, a director on %s, %d clients on kept connections, %d with a new one for each request\n",
			clock(0), len(l.s.origins), l.s.load.addr, l.s.load.keep, l.s.load.fresh)
		fmt.Fprintf(l.out, "%s  %-28s %s\n", clock(0), l.s.results[0].name, l.s.results[0].text)
		return
	}
	if now.Sub(l.told) < lineInterval {
		return
	}
	l.told = now
	m := l.trail.last()
	var by []string
	for i, o := range l.s.origins {
		by = append(by, fmt.Sprintf("%s %.0f", o.name, m.byOrigin[i]))
	}
	fmt.Fprintf(l.out, "%s    %.0f requests/s (%s), p99 %s, lost %d\n", clock(now.Sub(l.s.started)), m.requests, strings.Join(by, ", "), short(m.p99), l.s.lost())
}

func (l *lines) end() {}

// summary is what remains on the terminal afterwards.
func (s *show) summary(out io.Writer, c palette) {
	l := s.load
	fmt.Fprintf(out, "\n%s%-28s %9s %10s %9s %6s%s\n", c.bold, "what happened", "took", "requests", "p99", "lost", c.off)
	for _, r := range s.results {
		if !r.done {
			continue
		}
		p99 := "-"
		if r.requests > 0 {
			p99 = short(r.p99)
		}
		fmt.Fprintf(out, "%-28s %9s %10s %9s %6d  %s%s%s\n", r.name, short(r.took), thousands(r.requests), p99, r.lost, c.dim, r.text, c.off)
	}
	fmt.Fprintf(out, "\n%s%-28s %10s %10s%s\n", c.bold, "origin", "answers", "checks", c.off)
	for i, o := range s.origins {
		fmt.Fprintf(out, "%-28s %10s %10s\n", o.name, thousands(l.ok[i].Load()), thousands(o.checks.Load()))
	}
	all := l.latency.counts()
	seconds := time.Since(l.started).Seconds()
	fmt.Fprintf(out, "\n%s complete answers in %.1f s (%.0f/s): %s on kept connections, %s on connections of their own\n",
		thousands(l.total()), seconds, float64(l.total())/seconds, thousands(l.byKeep.Load()), thousands(l.byNew.Load()))
	fmt.Fprintf(out, "latency: p50 %s, p99 %s, p99.9 %s, slowest %s (an origin takes %s)\n", short(all.quantile(0.5)), short(all.quantile(0.99)),
		short(all.quantile(0.999)), short(all.quantile(1)), short(serviceTime))
	if s.killedAt {
		fmt.Fprintf(out, "died with the worker at kill -9, counted apart: requests in flight: %d, idle connections: %d\n", l.killed.Load(), l.cutKill.Load())
	}
	if n := s.lost(); n > 0 {
		fmt.Fprintf(out, "%s%slost: %d requests, and %d kept connections closed between requests%s\n", c.bold, c.red, l.lost.Load(), l.cut.Load(), c.off)
		for _, f := range l.failures() {
			fmt.Fprintln(out, "  "+f)
		}
		return
	}
	fmt.Fprintf(out, "%s%slost: nothing%s\n", c.bold, c.green, c.off)
}
