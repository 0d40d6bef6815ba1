package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// loadResult is what a load tool counted in one turn.
type loadResult struct {
	Requests  int64
	PerSecond float64
	P50, P99  time.Duration
	Errors    int64 // socket errors, time-outs and statuses that are not 2xx or 3xx
	Detail    string
}

// parseWrk reads the report of `wrk --latency`.
func parseWrk(out string) (loadResult, error) {
	var r loadResult
	var err error
	seen := false
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		switch {
		case len(f) >= 2 && f[0] == "50%":
			r.P50, err = parseUnit(f[1])
		case len(f) >= 2 && f[0] == "99%":
			r.P99, err = parseUnit(f[1])
		case len(f) >= 3 && f[1] == "requests" && f[2] == "in":
			seen = true
			r.Requests, err = strconv.ParseInt(f[0], 10, 64)
		case len(f) == 2 && f[0] == "Requests/sec:":
			r.PerSecond, err = strconv.ParseFloat(f[1], 64)
		case strings.HasPrefix(strings.TrimSpace(line), "Socket errors:"):
			// Socket errors: connect 0, read 126, write 0, timeout 0
			for _, part := range strings.Split(line[strings.IndexByte(line, ':')+1:], ",") {
				g := strings.Fields(part)
				if len(g) != 2 {
					return r, fmt.Errorf("wrk: socket errors as %q", line)
				}
				n, nerr := strconv.ParseInt(g[1], 10, 64)
				r.Errors, err = r.Errors+n, errors.Join(err, nerr)
			}
			r.Detail = strings.TrimSpace(line)
		case strings.HasPrefix(strings.TrimSpace(line), "Non-2xx or 3xx responses:"):
			var n int64
			n, err = strconv.ParseInt(f[len(f)-1], 10, 64)
			r.Errors += n
			r.Detail += " " + strings.TrimSpace(line)
		}
		if err != nil {
			return r, fmt.Errorf("wrk: %q: %w", strings.TrimSpace(line), err)
		}
	}
	if !seen {
		return r, fmt.Errorf("wrk: no report in %q", out)
	}
	return r, nil
}

// parseUnit reads wrk's 812.00us, 1.50ms, 2.01s, 1.20m.
func parseUnit(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("duration %q", s)
	}
	return d, nil
}

// parseAb reads ab's report. Requests that never got an answer are in Failed
// only: ab leaves out those it gave up with.
func parseAb(out string) (loadResult, error) {
	var r loadResult
	seen := false
	for line := range strings.Lines(out) {
		name, rest, ok := strings.Cut(line, ":")
		f := strings.Fields(rest)
		if p := strings.Fields(line); len(p) >= 2 && (p[0] == "50%" || p[0] == "99%") {
			ms, err := strconv.ParseFloat(p[1], 64)
			if err != nil {
				return r, fmt.Errorf("ab: %q: %w", line, err)
			}
			if d := time.Duration(ms * float64(time.Millisecond)); p[0] == "50%" {
				r.P50 = d
			} else {
				r.P99 = d
			}
			continue
		}
		if !ok || len(f) == 0 {
			continue
		}
		var err error
		switch name {
		case "Complete requests":
			seen = true
			r.Requests, err = strconv.ParseInt(f[0], 10, 64)
		case "Failed requests", "Write errors", "Non-2xx responses":
			var n int64
			n, err = strconv.ParseInt(f[0], 10, 64)
			r.Errors += n
		case "Requests per second":
			r.PerSecond, err = strconv.ParseFloat(f[0], 64)
		}
		if err != nil {
			return r, fmt.Errorf("ab: %q: %w", line, err)
		}
		if t := strings.TrimSpace(line); strings.HasPrefix(t, "(Connect:") {
			r.Detail = t
		}
	}
	if !seen {
		return r, fmt.Errorf("ab: no report in %q", tail(out, 300))
	}
	return r, nil
}

// procStat is what is used of /proc/PID/stat.
type procStat struct {
	Pid, Parent int
	State       byte
	// Own clock ticks, and those of children that were waited for.
	User, System, ChildUser, ChildSystem int64
}

// parseStat reads /proc/PID/stat. The name (second field) may hold anything,
// spaces and parentheses too.
func parseStat(b []byte) (procStat, error) {
	var s procStat
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || end < open {
		return s, fmt.Errorf("stat: no name in %q", b)
	}
	f := strings.Fields(string(b[end+1:]))
	if len(f) < 15 || len(f[0]) != 1 {
		return s, fmt.Errorf("stat: %d fields in %q", len(f), b)
	}
	var err error
	s.State = f[0][0]
	number := func(text string) int64 {
		n, nerr := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		err = errors.Join(err, nerr)
		return n
	}
	s.Pid = int(number(string(b[:open])))
	s.Parent = int(number(f[1]))
	s.User, s.System = number(f[11]), number(f[12])
	s.ChildUser, s.ChildSystem = number(f[13]), number(f[14])
	return s, err
}

// parseStatusKiB takes one field (VmRSS, VmHWM) out of /proc/PID/status.
func parseStatusKiB(b []byte, field string) (int64, bool) {
	for line := range strings.Lines(string(b)) {
		name, rest, ok := strings.Cut(line, ":")
		if !ok || name != field {
			continue
		}
		f := strings.Fields(rest)
		if len(f) != 2 || f[1] != "kB" {
			return 0, false
		}
		n, err := strconv.ParseInt(f[0], 10, 64)
		return n, err == nil
	}
	return 0, false
}

// parseBusy gives the machine's busy clock ticks out of /proc/stat: all but
// idle, waiting for disks, and what the host took.
func parseBusy(b []byte) (busy int64, err error) {
	line, _, _ := strings.Cut(string(b), "\n")
	f := strings.Fields(line)
	if len(f) < 8 || f[0] != "cpu" {
		return 0, fmt.Errorf("/proc/stat: %q", line)
	}
	for i, text := range f[1:8] { // user nice system idle iowait irq softirq
		n, nerr := strconv.ParseInt(text, 10, 64)
		if nerr != nil {
			return 0, nerr
		}
		if i != 3 && i != 4 {
			busy += n
		}
	}
	return busy, nil
}

func tail(s string, n int) string {
	s = strings.TrimSpace(s)
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// parseSchedstat reads /proc/PID/schedstat: ns on a CPU, ns of waiting, turns.
func parseSchedstat(b []byte) (int64, error) {
	f := strings.Fields(string(b))
	if len(f) < 3 {
		return 0, fmt.Errorf("schedstat as %q", b)
	}
	return strconv.ParseInt(f[0], 10, 64)
}
