package conformance

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// scenario is one configuration and what is done to it.
type scenario struct {
	name string
	// config is what stands below the common global and defaults sections; see
	// director.words for the {names} in it.
	config   string
	global   string            // more lines of the global section
	defaults string            // more lines of the defaults section
	bare     bool              // config is everything
	files    map[string]string // in {dir}
	args     []string          // more arguments
	steps    []step
}

// step is one thing done to a director, and seen of it.
type step struct {
	data string        // sent to a frontend
	fe   int           // which, from 1; 0 is 1
	wait time.Duration // for an answer; 0: long enough for any
	cli  string        // a command of the runtime API, instead of data
	do   func(*director) string
	// logs to wait for before the step is over. HAProxy's lines are always
	// awaited.
	logs int
	// differs says why evenkeel does not do what HAProxy does.
	differs string
	name    string
}

const patience = 10 * time.Second

// seen is what a step showed of one director.
type seen struct {
	answer, fate string
	logs         []string
}

func (x seen) String() string {
	s := x.answer
	if x.fate != "" {
		s += "\n[" + x.fate + "]"
	}
	for _, l := range x.logs {
		s += "\nlog: " + l
	}
	return s
}

const commonGlobal = `global
 nbthread 1
 log {log} local0
 stats socket "fd@${cli}" level admin
`

const commonDefaults = `defaults
 mode http
 log global
 option httplog
 timeout client 2s
 timeout server 2s
 timeout connect 1s
 timeout http-keep-alive 3s
 default-server pool-purge-delay 5s
`

func (sc *scenario) text() string {
	if sc.bare {
		return sc.config
	}
	return commonGlobal + sc.global + commonDefaults + sc.defaults + sc.config
}

// paces: a scenario that differs is run again, for the machine may have been
// too busy for its clocks. Then all of them go slower by such a factor: the
// time-outs of the configuration, the pauses of clients and servers, and the
// waits for log lines. What is a difference of the programs is one at any pace.
var paces = []time.Duration{1, 4, 12}

// again lets one scenario at a time be repeated, so that the more of them a
// machine was too busy for, the less is asked of it.
var again sync.Mutex

// runAll runs the scenarios beside each other.
func runAll(t *testing.T, list []scenario) {
	needPeer(t)
	t.Parallel()
	for _, sc := range list {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			diffs := sc.compare(t, paces[0])
			if len(diffs) == 0 {
				return
			}
			again.Lock()
			defer again.Unlock()
			for _, pace := range paces[1:] {
				t.Logf("again, %d times slower, after\n%s", pace, strings.Join(diffs, ""))
				if diffs = sc.compare(t, pace); len(diffs) == 0 {
					return
				}
			}
			for _, d := range diffs {
				t.Error(d)
			}
		})
	}
}

// compare runs the scenario on both and lists the differences.
func (sc *scenario) compare(t *testing.T, pace time.Duration) []string {
	pair := [2]*director{newSlowDirector(t, peer, pace), newSlowDirector(t, ours, pace)}
	for i, d := range pair {
		d.who = i
		for name, text := range sc.files {
			d.file(name, text)
		}
		d.start(slower(sc.text(), pace), sc.args...)
		defer d.stop()
	}
	var diffs []string
	for i := range sc.steps {
		s := &sc.steps[i]
		got := s.both(pair)
		if pair[0].hasExited() || pair[1].hasExited() {
			return append(diffs, fmt.Sprintf("step %d: %s\nHAProxy (ended: %t) says: %s\nevenkeel (ended: %t) says: %s\n",
				i+1, s.title(), pair[0].hasExited(), pair[0].stderr, pair[1].hasExited(), pair[1].stderr))
		}
		if got[0].String() == got[1].String() {
			continue
		}
		if s.differs != "" {
			t.Logf("%s: differs: %s", s.title(), s.differs)
			continue
		}
		text := fmt.Sprintf("step %d: %s\n", i+1, s.title())
		diffs = append(diffs, text+difference(got[0], got[1]))
	}
	return diffs
}

func (d *director) hasExited() bool {
	select {
	case <-d.exited:
		return true
	default:
		return false
	}
}

func (s *step) title() string {
	text := s.name + s.cli + s.data
	if len(text) > 160 {
		text = text[:160] + "…"
	}
	return fmt.Sprintf("%q", text)
}

// both does the step to both directors at a time.
func (s *step) both(pair [2]*director) [2]seen {
	var got [2]seen
	var wg sync.WaitGroup
	var v verge
	for i, d := range pair {
		wg.Add(1)
		go func() {
			defer wg.Done()
			got[i].answer, got[i].fate = s.act(d, &v)
		}()
	}
	wg.Wait()
	logs := s.logs // steps are shared by scenarios that run beside each other
	limit := 150 * time.Millisecond
	switch {
	case logs > 0:
		limit = 8 * time.Second
	case s.cli != "":
		limit = 40 * time.Millisecond // lines come before the answer
	}
	// Then whoever has told less is waited for.
	pace := pair[0].pace
	var lines [2][]string
	lines[0] = pair[0].log.take(logs, limit*pace, quiet*pace)
	lines[1] = pair[1].log.take(len(lines[0]), 4*time.Second*pace, quiet*pace)
	for _, i := range []int{0, 1} {
		if missing := len(lines[1-i]) - len(lines[i]); missing > 0 {
			lines[i] = append(lines[i], pair[i].log.take(missing, 4*time.Second*pace, quiet*pace)...)
		}
	}
	for i, d := range pair {
		got[i].logs = d.normalLogs(lines[i])
	}
	return got
}

// quiet is how long no line has to come after those that were awaited.
const quiet = 60 * time.Millisecond

func (d *director) normalLogs(lines []string) []string {
	var out []string
	for _, l := range lines {
		out = append(out, d.logLine(l))
	}
	return out
}

func (s *step) act(d *director, v *verge) (answer, fate string) {
	switch {
	case s.do != nil:
		return d.response(s.do(d)), ""
	case s.cli != "":
		return d.cliText(d.ask(s.cli)), ""
	}
	c, err := net.Dial("tcp", d.fes[max(s.fe, 1)-1])
	if err != nil {
		return "cannot connect: " + err.Error(), ""
	}
	wait := s.wait
	if wait == 0 {
		wait = patience
	}
	answer, fate = d.exchange(c, s.data, wait, v)
	return d.response(answer), fate
}

// cliText makes an answer of the runtime API comparable.
func (d *director) cliText(s string) string {
	s = d.names.Replace(s)
	if strings.Contains(s, "# be_id") {
		s = withoutTimes(s)
	}
	return s
}

// difference shows the parts of two results that are not the same.
func difference(a, b seen) string {
	var out strings.Builder
	show := func(what, x, y string) {
		if x != y {
			fmt.Fprintf(&out, "  %s HA %s\n  %s EK %s\n", what, indent(x), what, indent(y))
		}
	}
	show("answer", a.answer, b.answer)
	show("fate", a.fate, b.fate)
	show("logs", strings.Join(a.logs, "\n"), strings.Join(b.logs, "\n"))
	return out.String()
}

func indent(s string) string {
	if len(s) > 3000 {
		s = s[:3000] + "…"
	}
	return strings.ReplaceAll(fmt.Sprintf("%q", s), `\n`, "\n            ")
}

// get is a plain request.
func get(path string) step { return step{data: getText(path)} }

func getText(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: a.com\r\n\r\n" }

// gets are plain requests, a connection each.
func gets(paths string) []step {
	var out []step
	for _, p := range strings.Fields(paths) {
		out = append(out, get(p))
	}
	return out
}

func raw(data string) step { return step{data: data} }

// with adds header lines, separated by "|", to a request for path.
func with(path, lines string) step {
	return raw("GET " + path + " HTTP/1.1\r\nHost: a.com\r\n" + strings.ReplaceAll(lines, "|", "\r\n") + "\r\n\r\n")
}

func cli(command string) step { return step{cli: command} }

// brief waits only so long for an answer that does not come, or not in full.
func (s step) brief(d time.Duration) step {
	s.wait = d
	return s
}

// lines says how many lines are logged, where they may take a while.
func (s step) lines(n int) step {
	s.logs = n
	return s
}

// not says why evenkeel does not do what HAProxy does.
func (s step) not(reason string) step {
	s.differs = reason
	return s
}

func join(lists ...[]step) []step {
	var out []step
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

func steps(list ...step) []step { return list }
