package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"evenkeel/internal/lab"
	"evenkeel/internal/lab/report"
)

// lines tells of drills in plain lines, coloured on a terminal.
type lines struct {
	out     io.Writer
	c       report.Palette
	started time.Time
}

// newLines writes to standard error where standard output is for a program.
func newLines(asJSON bool) *lines {
	f := os.Stdout
	if asJSON {
		f = os.Stderr
	}
	return &lines{out: f, c: report.Colours(coloured(f)), started: time.Now()}
}

func (l *lines) stamp() string {
	d := time.Since(l.started)
	return fmt.Sprintf("%s%3d:%04.1f%s", l.c.Dim, int(d.Minutes()), d.Seconds()-60*float64(int(d.Minutes())), l.c.Off)
}

func (l *lines) Began(software lab.Software, drill string, repetition, of int) {
	fmt.Fprintf(l.out, "%s  %s%s%s on %s, %d of %d\n", l.stamp(), l.c.Bold, drill, l.c.Off, software, repetition, of)
}

func (l *lines) Happened(text string) {
	fmt.Fprintf(l.out, "%s    %s%s%s\n", l.stamp(), l.c.Dim, text, l.c.Off)
}

func (l *lines) Ended(_ lab.Software, _ string, r lab.Run) {
	fmt.Fprintf(l.out, "%s    %s\n", l.stamp(), report.Line(r, l.c))
}

// labFor finds the cluster to work on, and how it is left afterwards.
func labFor(ctx context.Context, place lab.Place, name, file string, plan lab.Plan, say func(string)) (*lab.Cluster, func() error, error) {
	if file == "" {
		name, err := place.Choose(name)
		if err != nil {
			return nil, nil, err
		}
		c, err := lab.Open(place, name, executable())
		if err != nil {
			return nil, nil, err
		}
		return c, func() error { c.Leave(); return nil }, nil
	}
	software := lab.Evenkeel
	if len(plan.Software) > 0 {
		software = plan.Software[0]
	}
	c, err := lab.Up(ctx, lab.Options{Place: place, File: file, Program: executable(), Software: software, Nodes: plan.Nodes, Say: say})
	if err != nil {
		return nil, nil, err
	}
	return c, c.Down, nil
}
