package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"
)

// reloads puts a steady load on a program and changes its processes under it.
type reloads struct{}

const (
	reloadTimes   = 20
	takeoverTimes = 5
	killTimes     = 10
	reloadConns   = 64
)

// killEvery is longer than the second after which the keeper takes a worker's
// death for an accident, and not for one more turn of a loop of crashes that
// it has to slow down.
const killEvery = 1200 * time.Millisecond

// change is one way to replace what carries the traffic.
type change struct {
	name   string
	times  int
	every  time.Duration // after the end of the one before
	args   []string      // of the program
	only   int           // the one program that has it; -1: both
	change func(ctx context.Context, b *bench, p *proxy) (time.Duration, error)
	kills  bool
}

var changes = []change{
	{name: "reloads (SIGUSR2)", times: reloadTimes, every: 300 * time.Millisecond, args: []string{"-W", "-db"}, only: -1, change: reload},
	{name: "take-overs (-x -sf)", times: takeoverTimes, every: 300 * time.Millisecond, args: []string{"-db"}, only: -1, change: takeover},
	{name: "kill -9 of the worker", times: killTimes, every: killEvery, args: []string{"-W", "-db"}, only: peerEvenkeel, change: killWorker, kills: true},
}

func (reloads) run(ctx context.Context, b *bench, r *result) error {
	for _, closing := range []bool{false, true} {
		mode := "keep-alive"
		if closing {
			mode = "a connection per request"
		}
		for k, c := range changes {
			cells := [2][4]string{}
			for i := range b.peers {
				if c.only >= 0 && c.only != i {
					cells[i] = [4]string{"-", "-", "-", "-"}
					continue
				}
				n, took, err := c.load(ctx, b, i, fmt.Sprintf("r%d%t", k, closing), closing)
				if err != nil {
					return fmt.Errorf("%s, %s, %s: %w", b.peers[i].Name, c.name, mode, err)
				}
				t := spreadOf(took)
				cells[i] = [4]string{fmt.Sprintf("%d, %.0f/s", n.Requests, n.PerSecond), fmt.Sprintf("%d / %d / %d / %d", n.Refused, n.Failed, n.Cut, n.Hushed),
					fmt.Sprintf("%.0f", n.LongestGap), fmt.Sprintf("%.0f (%.0f-%.0f)", t.Median, t.Low, t.High)}
				if len(n.What) > 0 {
					r.Notes = append(r.Notes, fmt.Sprintf("%s, %d %s, %s: %v", b.peers[i].Name, c.times, c.name, mode, n.What))
				}
				progress("%s: %s: %d %s, %s: %+v", r.Name, b.peers[i].Name, c.times, c.name, mode, n)
				if i == peerEvenkeel {
					r.Limits = append(r.Limits, c.limits(n, mode)...)
				}
			}
			what := fmt.Sprintf("%d %s, %s", c.times, c.name, mode)
			for j, text := range []string{what + ": requests", "refused / failed / cut / closed unannounced", "longest silence, ms", "ms until it is over"} {
				r.Rows = append(r.Rows, row{What: text, HAProxy: cells[0][j], Evenkeel: cells[1][j]})
			}
		}
	}
	return nil
}

func (c change) limits(n loadCounts, mode string) []limit {
	name := c.name + ", " + mode + ": "
	if !c.kills {
		return []limit{atMost(name+"lost", float64(n.lost()), 0)}
	}
	return []limit{atMost(name+"refused", float64(n.Refused), 0),
		atMost(name+"requests lost, against those in flight", float64(n.Failed+n.Cut), float64(c.times*reloadConns))}
}

// load runs the program under load and changes it so many times.
func (c change) load(ctx context.Context, b *bench, which int, name string, closing bool) (loadCounts, []float64, error) {
	config := proxyConfig{threads: 1}
	args := []string{"-conns", fmt.Sprint(reloadConns)}
	if closing {
		args = append(args, "-close")
	}
	p, err := b.startProxy(which, name, config, -1, c.args...)
	if err != nil {
		return loadCounts{}, nil, err
	}
	defer func() { b.procs.end(p.process) }()
	l, err := b.startLoad(p, args...)
	if err != nil {
		return loadCounts{}, nil, err
	}
	defer b.procs.end(l.process)
	var took []float64
	for n := range c.times {
		if err := pause(ctx, c.every); err != nil {
			return loadCounts{}, nil, err
		}
		d, err := c.change(ctx, b, p)
		if err != nil {
			return loadCounts{}, nil, fmt.Errorf("number %d: %w: %s", n+1, err, tail(p.logText(), 400))
		}
		took = append(took, float64(d.Microseconds())/1000)
	}
	if err := pause(ctx, 500*time.Millisecond); err != nil {
		return loadCounts{}, nil, err
	}
	counts, err := l.stop()
	return counts, took, err
}

// until polls; the time it took is that of the first true.
func until(ctx context.Context, limit time.Duration, f func() bool) (time.Duration, error) {
	began := time.Now()
	for !f() {
		if time.Since(began) > limit {
			return limit, fmt.Errorf("nothing after %v", limit)
		}
		if err := pause(ctx, 2*time.Millisecond); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

// drainLimit is how long an old worker may take with nothing but short
// requests.
const drainLimit = 15 * time.Second

func reload(ctx context.Context, b *bench, p *proxy) (time.Duration, error) {
	old := descendants(p.pid())
	syscall.Kill(p.pid(), syscall.SIGUSR2)
	fresh := 0
	took, err := until(ctx, 5*time.Second, func() bool {
		for _, pid := range descendants(p.pid()) {
			if !slices.Contains(old, pid) {
				fresh = pid
			}
		}
		return fresh != 0 || p.ended()
	})
	if err != nil || p.ended() {
		return 0, fmt.Errorf("no new worker: %w", err)
	}
	// The old one is told only when the new one serves: its end says that the
	// reload is over.
	drained, err := until(ctx, drainLimit, func() bool { return !anyAlive(old) || p.ended() })
	if err != nil {
		return 0, fmt.Errorf("the old worker stays: %w", err)
	}
	if readable, err := readStat(fresh); err != nil || readable.State == 'Z' {
		return 0, fmt.Errorf("the new worker %d has ended", fresh)
	}
	return took + drained, nil
}

func takeover(ctx context.Context, b *bench, p *proxy) (time.Duration, error) {
	old := p.process
	if err := b.launch(p, -1, "-db", "-x", p.socket, "-sf", fmt.Sprint(old.pid())); err != nil {
		return 0, err
	}
	took, err := until(ctx, drainLimit, old.ended)
	b.procs.end(old)
	if err == nil && p.ended() {
		err = fmt.Errorf("the new process has ended: %v", p.err)
	}
	return took, err
}

func killWorker(ctx context.Context, b *bench, p *proxy) (time.Duration, error) {
	pid := p.worker()
	if pid == p.pid() {
		return 0, fmt.Errorf("no worker")
	}
	syscall.Kill(pid, syscall.SIGKILL)
	return until(ctx, 5*time.Second, func() bool {
		if w := p.worker(); w == p.pid() || w == pid {
			return false
		}
		_, err := fetch("http://"+local(p.port)+"/1k", nil)
		return err == nil
	})
}

func anyAlive(pids []int) bool {
	return slices.ContainsFunc(pids, func(pid int) bool {
		s, err := readStat(pid)
		return err == nil && !strings.ContainsRune("ZX", rune(s.State))
	})
}
