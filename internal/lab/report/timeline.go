package report

import (
	"fmt"
	"html"
	"html/template"
	"slices"
	"strings"
	"time"

	"evenkeel/internal/lab"
)

// Measures of a timeline, in pixels.
const (
	timeWidth = 1060.0
	timeLeft  = 150.0
	timeRight = 20.0
	timeTop   = 34.0
	laneStep  = 24.0
	laneSize  = 16.0
)

// worst is the run that a drill is judged by: the longest outage, then the
// longest time with two owners.
func worst(d lab.Drill) (lab.Run, int, bool) {
	best := -1
	for i, r := range d.Runs {
		if r.Error != "" || len(r.Timeline) == 0 {
			continue
		}
		if best < 0 || slices.Compare(weight(r), weight(d.Runs[best])) > 0 {
			best = i
		}
	}
	if best < 0 {
		return lab.Run{}, 0, false
	}
	return d.Runs[best], best + 1, true
}

func weight(r lab.Run) []time.Duration {
	return []time.Duration{r.Failure.Outage, r.Failure.Duplicate, time.Duration(r.Failure.Lost)}
}

// drawTimeline draws a drill's worst run on a scale of that length, which is
// the same for all kinds of software.
func drawTimeline(d lab.Drill, r *lab.Results, length time.Duration) (timeline, bool) {
	one, number, ok := worst(d)
	if !ok {
		return timeline{}, false
	}
	caption := Line(one, Palette{})
	if len(d.Runs) > 1 {
		caption = fmt.Sprintf("run %d: %s", number, caption)
	}
	return timeline{Software: label(d), Caption: caption, Notes: append(notes(d), doubts(d.Summary().Blind)...), SVG: template.HTML(draw(one, r.Layout.Directors, length))}, true
}

// lane is one director's line for one address.
type lane struct {
	address, node string
	index         int // of the director
	held          []lab.Stretch
}

// lanes makes a line for every director and every address that somebody has.
func lanes(r lab.Run, directors []lab.Spot) (list []lane) {
	for _, t := range r.Timeline {
		for i, d := range directors {
			l := lane{address: t.Address, node: d.Name, index: i}
			for _, o := range t.Owners {
				if o.Node == d.Name {
					l.held = append(l.held, o.Stretch)
				}
			}
			list = append(list, l)
		}
	}
	return list
}

// canvas turns times into places.
type canvas struct {
	strings.Builder
	from, to time.Duration
	height   float64
}

func (c *canvas) x(at time.Duration) float64 {
	at = min(max(at, c.from), c.to)
	return timeLeft + (timeWidth-timeLeft-timeRight)*float64(at-c.from)/float64(c.to-c.from)
}

// width is never so small that nothing is seen.
func (c *canvas) width(s lab.Stretch) float64 { return max(c.x(s.To)-c.x(s.From), 1.5) }

func draw(r lab.Run, directors []lab.Spot, length time.Duration) string {
	list := lanes(r, directors)
	c := &canvas{from: -300 * time.Millisecond, to: length}
	bottom := timeTop + laneStep*float64(len(list))
	c.height = bottom + 22 + 34
	fmt.Fprintf(c, `<svg viewBox="0 0 %g %g" width="100%%" role="img" aria-label="timeline">`, timeWidth, c.height)
	c.axis(bottom + 22)
	for i, l := range list {
		y := timeTop + laneStep*float64(i)
		fmt.Fprintf(c, `<text x="0" y="%g"><tspan class="small">%s </tspan>%s</text>`, y+12.5, html.EscapeString(l.address), html.EscapeString(l.node))
		fmt.Fprintf(c, `<rect class="lane" x="%g" y="%g" width="%g" height="%g" rx="3"/>`, timeLeft, y, timeWidth-timeLeft-timeRight, laneSize)
		for _, s := range l.held {
			if s.To > c.from {
				fmt.Fprintf(c, `<rect class="n%d" x="%.1f" y="%g" width="%.1f" height="%g" rx="2"><title>%s has %s from %s to %s</title></rect>`, l.index%4, c.x(s.From), y, c.width(s), laneSize,
					html.EscapeString(l.node), html.EscapeString(l.address), signed(s.From), signed(s.To))
			}
		}
	}
	for n, t := range r.Timeline {
		top := timeTop + laneStep*float64(n*len(directors)) - 4
		size := laneStep*float64(len(directors)) - 1
		for _, gap := range t.Gaps {
			fmt.Fprintf(c, `<rect class="outage" x="%.1f" y="%g" width="%.1f" height="%g"><title>no answer for %s</title></rect>`, c.x(gap.From), top, c.width(gap), size, Short(gap.To-gap.From))
			fmt.Fprintf(c, `<path class="outageline" d="M%.1f %gh%.1f"/>`, c.x(gap.From), top+size, c.width(gap))
		}
		for _, s := range overlaps(t.Owners) {
			fmt.Fprintf(c, `<rect class="double" x="%.1f" y="%g" width="%.1f" height="%g"><title>two owners for %s</title></rect>`, c.x(s.From), top, c.width(s), size, Short(s.To-s.From))
			fmt.Fprintf(c, `<path class="doubleline" d="M%.1f %gh%.1f"/>`, c.x(s.From), top+size, c.width(s))
		}
	}
	c.unseen(r.Unseen, bottom)
	fmt.Fprintf(c, `<text class="small" x="0" y="%g">requests lost</text>`, bottom+13)
	c.ticks(r.LostAt, bottom+4)
	for i, e := range r.Events {
		x, anchor := c.x(e.At), "start"
		if x > timeWidth*0.8 {
			anchor = "end"
		}
		fmt.Fprintf(c, `<path class="event" d="M%.1f %gV%g"/><text class="small" x="%.1f" y="%d" text-anchor="%s">%s</text>`, x, timeTop-12, bottom+20, x+3, 11+i%2*9, anchor, html.EscapeString(e.Text))
	}
	c.WriteString(`</svg>`)
	return c.String()
}

// ticks draws moments; those on the same place are drawn once.
func (c *canvas) ticks(at []time.Duration, y float64) {
	last := -1.0
	var path strings.Builder
	for _, t := range at {
		if x := c.x(t); t >= c.from && x-last >= 1 {
			fmt.Fprintf(&path, "M%.0f %gv12", x, y)
			last = x
		}
	}
	if path.Len() > 0 {
		fmt.Fprintf(c, `<path class="lost" d="%s"/>`, path.String())
	}
}

// unseen draws when nobody looked; pieces too narrow to be told apart are one.
func (c *canvas) unseen(list []lab.Stretch, bottom float64) {
	var path strings.Builder
	last := -1.0
	for _, s := range list {
		if s.To <= c.from || s.From >= c.to || c.x(s.To)-last < 1 {
			continue
		}
		fmt.Fprintf(&path, "M%.1f %gh%.1fv%gh-%.1fz", c.x(s.From), timeTop-4, c.width(s), bottom-timeTop+4, c.width(s))
		last = c.x(s.To)
	}
	if path.Len() > 0 {
		fmt.Fprintf(c, `<path class="unseen" d="%s"><title>the prober did not run</title></path>`, path.String())
	}
}

// axis draws a scale with a handful of round numbers.
func (c *canvas) axis(y float64) {
	step := 100 * time.Millisecond
	for _, s := range []time.Duration{200, 500, 1000, 2000, 5000, 10000, 20000, 60000} {
		if (c.to-c.from)/step > 12 {
			step = s * time.Millisecond
		}
	}
	for at := time.Duration(0); at <= c.to; at += step {
		fmt.Fprintf(c, `<path class="axis" d="M%.1f %gV%g"/><text class="small" x="%.1f" y="%g" text-anchor="middle">%s</text>`, c.x(at), timeTop-4, y, c.x(at), y+15, Short(at))
	}
}

func signed(d time.Duration) string {
	if d < 0 {
		return "before"
	}
	return Short(d)
}

// overlaps finds when different nodes had an address at once.
func overlaps(owners []lab.Owner) (list []lab.Stretch) {
	for i, a := range owners {
		for _, b := range owners[i+1:] {
			if s := (lab.Stretch{From: max(a.From, b.From), To: min(a.To, b.To)}); a.Node != b.Node && s.To > s.From {
				list = append(list, s)
			}
		}
	}
	return list
}
