package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
	"unsafe"
)

// palette is the few colours that are used; all empty without colour.
type palette struct{ bold, dim, green, red, yellow, blue, off string }

func colours(on bool) palette {
	if !on {
		return palette{}
	}
	return palette{"\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[36m", "\x1b[0m"}
}

// terminalSize gives columns and rows; ok is false when f is no terminal.
func terminalSize(f *os.File) (columns, rows int, ok bool) {
	var size struct{ rows, columns, x, y uint16 }
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
	if errno != 0 || os.Getenv("TERM") == "dumb" {
		return 0, 0, false
	}
	if size.columns == 0 || size.rows == 0 {
		return 80, 24, true
	}
	return int(size.columns), int(size.rows), true
}

// screen redraws the state of the show on a terminal. One goroutine uses it.
type screen struct {
	out    *os.File
	c      palette
	s      *show
	trail  *trail
	opened bool
}

func (v *screen) open() { io.WriteString(v.out, "\x1b[?1049h\x1b[?25l\x1b[2J") }

func (v *screen) close() { io.WriteString(v.out, "\x1b[?25h\x1b[?1049l") }

// draw writes one frame, cut to the size of the terminal.
func (v *screen) draw() {
	columns, rows, ok := terminalSize(v.out)
	if !ok {
		return
	}
	var b strings.Builder
	b.WriteString("\x1b[H")
	lines := v.lines(columns)
	if len(lines) > rows {
		// The newest steps stand at the end, under the figures.
		head := min(13, rows)
		lines = append(lines[:head:head], lines[len(lines)-(rows-head):]...)
	}
	for i, line := range lines {
		b.WriteString(clip(line, columns))
		b.WriteString(v.c.off + "\x1b[K")
		if i+1 < len(lines) {
			b.WriteString("\r\n")
		}
	}
	b.WriteString("\x1b[J")
	io.WriteString(v.out, b.String())
}

func (v *screen) lines(columns int) []string {
	s, c := v.s, v.c
	s.mu.Lock()
	results := append([]result(nil), s.results...)
	servers, worker, killed := s.servers, s.workerID, s.killedAt
	s.mu.Unlock()
	now := v.trail.last()
	lines := []string{
		"",
		fmt.Sprintf("  %sevenkeel%s  %sone director, four origins, %d clients · director %d, worker %d · %s%s",
			c.bold, c.off, c.dim, s.load.keep+s.load.fresh, s.director.cmd.Process.Pid, worker, clock(time.Since(s.started)), c.off),
		"",
		fmt.Sprintf("  %s%-10s %-12s %9s %12s%s", c.dim, "origin", "state", "now", "answers", c.off),
	}
	width := max(min(columns-56, 40), 8)
	for i, o := range s.origins {
		state := servers[o.name].status
		share := 0.0
		if now.requests > 0 {
			share = now.byOrigin[i] / now.requests
		}
		colour := v.stateColour(state)
		lines = append(lines, fmt.Sprintf("  %s%-10s %s%-12s%s %7.0f/s %12s  %s%s%s", c.bold, o.name, c.off+colour, "● "+state, c.off,
			now.byOrigin[i], thousands(s.load.ok[i].Load()), colour, bar(share, width), c.off))
	}
	all := s.load.latency.counts()
	lost := c.green + "0" + c.off
	if n := s.lost(); n > 0 {
		lost = fmt.Sprintf("%s%d%s", c.red, n, c.off)
	}
	apart := ""
	if killed {
		apart = fmt.Sprintf("   %sdied with the killed worker: requests in flight: %d, idle connections: %d%s", c.dim, s.load.killed.Load(), s.load.cutKill.Load(), c.off)
	}
	lines = append(lines, "",
		fmt.Sprintf("  %-10s %s%8.0f/s%s  %s%s%s", "requests", c.bold, now.requests, c.off, c.blue, spark(v.trail.rates(), max(columns-26, 10)), c.off),
		fmt.Sprintf("  %-10s p99 now %s · p50 %s, p99 %s, slowest %s", "latency", short(now.p99), short(all.quantile(0.5)), short(all.quantile(0.99)), short(all.quantile(1))),
		fmt.Sprintf("  %-10s %s of %s%s", "lost", lost, thousands(s.load.total()+s.lost()), apart),
		"")
	for _, r := range results {
		lines = append(lines, v.stepLine(r))
	}
	for _, f := range s.load.failures()[:min(len(s.load.failures()), 3)] {
		lines = append(lines, "    "+c.red+f+c.off)
	}
	if s.round > 1 {
		lines = append(lines, "", fmt.Sprintf("  %sround %d · Ctrl-C ends%s", c.dim, s.round, c.off))
	} else {
		lines = append(lines, "", fmt.Sprintf("  %sCtrl-C ends%s", c.dim, c.off))
	}
	return lines
}

func (v *screen) stateColour(state string) string {
	switch {
	case strings.HasPrefix(state, "UP"):
		return v.c.green
	case strings.HasPrefix(state, "MAINT"):
		return v.c.yellow
	}
	return v.c.red
}

func (v *screen) stepLine(r result) string {
	c := v.c
	mark := c.blue + "▸"
	switch {
	case r.failed:
		mark = c.red + "✗"
	case r.done && r.lost > 0:
		mark = c.red + "✗"
	case r.done:
		mark = c.green + "✓"
	}
	return fmt.Sprintf("  %s%s %-28s %s%s%s", mark, c.off, r.name, c.dim, r.text, c.off)
}

// clip cuts a line to the terminal's width; escape sequences take no room.
func clip(line string, columns int) string {
	used := 0
	for i := 0; i < len(line); {
		if line[i] == '\x1b' {
			if end := strings.IndexByte(line[i:], 'm'); end >= 0 {
				i += end + 1
				continue
			}
		}
		_, size := utf8.DecodeRuneInString(line[i:])
		if used++; used > columns {
			return line[:i]
		}
		i += size
	}
	return line
}
