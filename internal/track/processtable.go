package track

import (
	"fmt"
	"strings"
	"time"
)

// maxComm is how many bytes of a name the kernel keeps (TASK_COMM_LEN less
// the zero).
const maxComm = 15

// ProcessInfo is what is known of a process. Argv is nil when nobody asks for
// it, and for kernel threads.
type ProcessInfo struct {
	PID  int
	Comm string
	Argv []string
}

// Matches says whether a process is one that p means.
func (p *Process) Matches(i ProcessInfo) bool {
	if len(p.Argv) == 0 {
		return false
	}
	if !p.commandLine() {
		return i.Comm == p.Argv[0][:min(len(p.Argv[0]), maxComm)]
	}
	if len(i.Argv) == 0 || i.Argv[0] != p.Argv[0] {
		return false
	}
	want, have := p.Argv[1:], i.Argv[1:]
	switch p.ParamMatch {
	case ParamsDefault:
		if len(want) == 0 {
			return true
		}
		fallthrough
	case ParamsExact:
		return len(want) == len(have) && samePrefix(want, have)
	case ParamsPartial:
		return len(want) <= len(have) && samePrefix(want, have) && (len(want) > 0 || len(have) == 0)
	default:
		if len(want) == 0 || len(want) > len(have) {
			return len(want) == len(have)
		}
		last := len(want) - 1
		return samePrefix(want[:last], have) && strings.HasPrefix(have[last], want[last])
	}
}

func samePrefix(want, have []string) bool {
	for i, w := range want {
		if have[i] != w {
			return false
		}
	}
	return true
}

// commandLine says whether p looks at the command line and not at the name.
func (p *Process) commandLine() bool {
	return p.FullCommand || len(p.Argv) > 1 || p.ParamMatch != ParamsDefault
}

// good says whether n processes are as it should be.
func (p *Process) good(n int) bool {
	quorum := p.Quorum
	if p.QuorumMax != nil {
		if n > *p.QuorumMax {
			return false
		}
		quorum = min(quorum, *p.QuorumMax) // a maximum of none means that none must run
	}
	return n >= quorum
}

// processWatch is one Process and those that match it.
type processWatch struct {
	Process
	pids     map[int]struct{}
	state    State
	waiting  bool // for the other state, until due
	due      time.Duration
	lastText string
}

// ProcessTable knows which processes match. It is pure: events and times come
// in, reports go out. Times count from any one base.
type ProcessTable struct {
	watches []*processWatch
}

// Set replaces what is watched, keeping the state of names that were there.
// A Scan has to follow.
func (t *ProcessTable) Set(list []Process) {
	old := map[string]*processWatch{}
	for _, w := range t.watches {
		old[w.Name] = w
	}
	t.watches = nil
	for _, p := range list {
		w := &processWatch{Process: p, pids: map[int]struct{}{}}
		if o := old[p.Name]; o != nil {
			w.state, w.lastText = o.state, o.lastText
		}
		t.watches = append(t.watches, w)
	}
}

// CommandLines says whether any watch needs ProcessInfo.Argv.
func (t *ProcessTable) CommandLines() bool {
	for _, w := range t.watches {
		if w.commandLine() {
			return true
		}
	}
	return false
}

// Scan takes a list of all processes as the truth.
func (t *ProcessTable) Scan(now time.Duration, all []ProcessInfo) []Report {
	var out []Report
	for _, w := range t.watches {
		before := len(w.pids)
		clear(w.pids)
		for _, i := range all {
			if w.Matches(i) {
				w.pids[i.PID] = struct{}{}
			}
		}
		out = w.judge(now, w.delay(before), out)
	}
	return out
}

// Fork is a new process, which is what its parent is until it says otherwise.
func (t *ProcessTable) Fork(now time.Duration, parent, child int) []Report {
	var out []Report
	for _, w := range t.watches {
		if _, ok := w.pids[parent]; ok {
			w.pids[child] = struct{}{}
			out = w.judge(now, w.ForkDelay, out)
		}
	}
	return out
}

// Became is a process that has a new program or name.
func (t *ProcessTable) Became(now time.Duration, i ProcessInfo) []Report {
	var out []Report
	for _, w := range t.watches {
		before := len(w.pids)
		if w.Matches(i) {
			w.pids[i.PID] = struct{}{}
		} else {
			delete(w.pids, i.PID)
		}
		if len(w.pids) != before {
			out = w.judge(now, w.delay(before), out)
		}
	}
	return out
}

// Exit is a process that ended.
func (t *ProcessTable) Exit(now time.Duration, pid int) []Report {
	var out []Report
	for _, w := range t.watches {
		if _, ok := w.pids[pid]; ok {
			delete(w.pids, pid)
			out = w.judge(now, w.ExitDelay, out)
		}
	}
	return out
}

// Timer reports what was due by now.
func (t *ProcessTable) Timer(now time.Duration) []Report {
	var out []Report
	for _, w := range t.watches {
		if w.waiting && now >= w.due {
			out = w.change(out)
		}
	}
	return out
}

// Deadline is when Timer wants to be called.
func (t *ProcessTable) Deadline() (at time.Duration, ok bool) {
	for _, w := range t.watches {
		if w.waiting && (!ok || w.due < at) {
			at, ok = w.due, true
		}
	}
	return at, ok
}

// delay is what applies after a change from so many to those there are.
func (w *processWatch) delay(before int) time.Duration {
	if len(w.pids) > before {
		return w.ForkDelay
	}
	return w.ExitDelay
}

// judge looks whether the state still fits.
func (w *processWatch) judge(now, delay time.Duration, out []Report) []Report {
	fits := w.good(len(w.pids)) == (w.state == Up)
	switch {
	case w.state == Pending:
		return w.change(out)
	case fits:
		w.waiting = false
	case delay <= 0:
		return w.change(out)
	case !w.waiting:
		w.waiting, w.due = true, now+delay
	}
	return out
}

// change goes to the state that fits.
func (w *processWatch) change(out []Report) []Report {
	w.waiting = false
	n := len(w.pids)
	w.state = Down
	if w.good(n) {
		w.state = Up
	}
	w.lastText = fmt.Sprintf("%d running, %s wanted", n, w.wanted())
	return append(out, Report{Kind: KindProcess, Name: w.Name, State: w.state,
		Text: fmt.Sprintf("process %s is %s: %s", w.Name, w.state, w.lastText)})
}

func (p *Process) wanted() string {
	switch {
	case p.QuorumMax == nil:
		return fmt.Sprintf("at least %d", p.Quorum)
	case *p.QuorumMax == 0:
		return "none"
	case *p.QuorumMax <= p.Quorum:
		return fmt.Sprintf("%d", *p.QuorumMax)
	}
	return fmt.Sprintf("%d to %d", p.Quorum, *p.QuorumMax)
}
