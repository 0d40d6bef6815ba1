package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// profileTurn records one more turn, whose figures are thrown away.
func (b *bench) profileTurn(ctx context.Context, s steady, p *proxy, r *result) error {
	if b.profile == "" {
		return nil
	}
	perf, err := findTool("perf")
	if err != nil {
		r.Notes = append(r.Notes, "no profile: "+err.Error())
		return nil
	}
	file := b.profile
	if b.only == "" || strings.ContainsAny(b.only, "|.*[(") { // several scenarios
		file += "." + r.Name
	}
	record := exec.Command(perf, "record", "-g", "-F", "999", "-o", file, "-p", fmt.Sprint(p.worker()))
	recorder, err := b.procs.start(record, b.file("perf.log"), -1)
	if err != nil {
		return err
	}
	time.Sleep(200 * time.Millisecond) // perf attaches
	_, err = s.turn(ctx, b, p, max(2, b.seconds))
	b.procs.end(recorder)
	if err != nil {
		return err
	}
	top, err := exec.Command(perf, "report", "-i", file, "--no-children", "-g", "none", "--stdio", "-F", "overhead,symbol", "--percent-limit", "0.8").Output()
	if err != nil {
		r.Notes = append(r.Notes, "perf report: "+err.Error())
		return nil
	}
	n := 0
	for line := range strings.Lines(string(top)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' && n < 40 {
			r.Notes = append(r.Notes, line)
			n++
		}
	}
	r.Notes = append(r.Notes, "profile: perf report -i "+file)
	return nil
}
