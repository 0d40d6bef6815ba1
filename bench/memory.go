package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"time"
)

// loadRun is the load client as a process.
type loadRun struct {
	*process
	b   *bench
	out string
}

func (b *bench) startLoad(p *proxy, args ...string) (*loadRun, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(b.dir, "load-*.json")
	if err != nil {
		return nil, err
	}
	f.Close()
	cmd := exec.Command(self, append([]string{loadCommand, "-addr", local(p.port)}, args...)...)
	l := &loadRun{b: b, out: f.Name()}
	l.process, err = b.procs.start(cmd, l.out, b.cpu(loadCPU))
	return l, err
}

// stop ends the load and gives what it counted.
func (l *loadRun) stop() (loadCounts, error) {
	l.cmd.Process.Signal(os.Interrupt)
	select {
	case <-l.done:
	case <-time.After(15 * time.Second):
	}
	l.b.procs.end(l.process)
	return l.counts()
}

func (l *loadRun) counts() (loadCounts, error) {
	var c loadCounts
	text, err := os.ReadFile(l.out)
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		err = fmt.Errorf("load client: %w: %s", err, tail(string(text), 500))
	}
	return c, err
}

// used is the CPU time of a load client that has ended.
func (l *loadRun) used() time.Duration {
	if state := l.cmd.ProcessState; state != nil {
		return state.UserTime() + state.SystemTime()
	}
	return 0
}

// pause that Ctrl-C ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

const idleConnections = 5000

// idle opens many connections, each with one request, and looks how much the
// program grew.
type idle struct{}

func (s idle) run(ctx context.Context, b *bench, r *result) error {
	var grown, rest [2][]float64
	for range min(b.rounds, 3) {
		for i := range b.peers {
			before, after, err := s.turn(ctx, b, r, i)
			if err != nil {
				return err
			}
			rest[i] = append(rest[i], float64(before)/1024)
			grown[i] = append(grown[i], float64(after-before)/idleConnections)
			progress("%s: %s grew by %.2f KiB a connection", r.Name, b.peers[i].Name, float64(after-before)/idleConnections)
		}
	}
	h, e := spreadOf(grown[0]), spreadOf(grown[1])
	r.Rows = append(r.Rows, row{What: "KiB of resident memory for each idle connection",
		HAProxy: fmt.Sprintf("%.2f (%.2f-%.2f)", h.Median, h.Low, h.High), Evenkeel: fmt.Sprintf("%.2f (%.2f-%.2f)", e.Median, e.Low, e.High)},
		row{What: "resident before, MiB (evenkeel: keeper and worker)", HAProxy: fmt.Sprintf("%.1f", spreadOf(rest[0]).Median), Evenkeel: fmt.Sprintf("%.1f", spreadOf(rest[1]).Median)})
	r.Limits = append(r.Limits, atMost("memory of an idle connection against HAProxy's", e.Median/h.Median, 1))
	return nil
}

func (s idle) turn(ctx context.Context, b *bench, r *result, which int) (before, after int64, err error) {
	p, err := b.startProxy(which, r.Name, proxyConfig{threads: 1}, b.cpu(proxyCPU))
	if err != nil {
		return 0, 0, err
	}
	defer b.procs.end(p.process)
	warm, err := b.startLoad(p, "-conns", "16", "-busy", "16")
	if err != nil {
		return 0, 0, err
	}
	if err := pause(ctx, time.Second); err != nil {
		return 0, 0, err
	}
	if _, err := warm.stop(); err != nil {
		return 0, 0, err
	}
	if err := pause(ctx, time.Second); err != nil {
		return 0, 0, err
	}
	before = treeKiB(p.pid(), "VmRSS")
	holding, err := b.startLoad(p, "-idle", "-conns", strconv.Itoa(idleConnections))
	if err != nil {
		return 0, 0, err
	}
	defer b.procs.end(holding.process)
	for range 600 { // until all are open
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return 0, 0, err
		}
		if info, err := os.Stat(holding.out); err == nil && info.Size() > 0 || holding.ended() {
			break
		}
	}
	c, err := holding.counts()
	if err != nil {
		return 0, 0, err
	}
	if c.Requests != idleConnections {
		return 0, 0, fmt.Errorf("%s: only %d of %d connections were served: %v", p.program.Name, c.Requests, idleConnections, c.What)
	}
	if err := pause(ctx, 2*time.Second); err != nil {
		return 0, 0, err
	}
	return before, treeKiB(p.pid(), "VmRSS"), nil
}

const (
	crowdConnections = 9000
	crowdRequests    = 60000
)

// crowd is `ab -c 9000 -n 60000`: a connection per request, thousands at once.
type crowd struct{}

func (s crowd) run(ctx context.Context, b *bench, r *result) error {
	var proxies [2]*proxy
	for i := range proxies {
		p, err := b.startProxy(i, r.Name, proxyConfig{threads: 1}, b.cpu(proxyCPU))
		if err != nil {
			return err
		}
		proxies[i] = p
		defer b.procs.end(p.process)
	}
	for round := range max(3, min(b.rounds, 5)) {
		for _, i := range turnOrder(round) {
			p := proxies[i]
			one, err := s.turn(ctx, b, p)
			if err != nil {
				return err
			}
			r.Samples[i] = append(r.Samples[i], one)
			progress("%s %d: %s: %d failed, peak %d MiB, %.2f µs a request %s", r.Name, round+1, p.program.Name, one.Errors, one.RSS/1024, one.CPU, one.Detail)
		}
	}
	peak := r.column(peerEvenkeel, rssOf)
	r.Limits = append(r.Limits, atMost("failed requests of evenkeel", sum(r.column(peerEvenkeel, errorsOf)), 0),
		atMost("evenkeel's peak memory, last run against the first", peak[len(peak)-1]/peak[0], 1.15))
	return nil
}

func (s crowd) turn(ctx context.Context, b *bench, p *proxy) (sample, error) {
	ab, err := findTool("ab")
	if err != nil {
		return sample{}, err
	}
	var peak atomic.Int64
	sampling, sampled := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(sampled)
		for {
			peak.Store(max(peak.Load(), treeKiB(p.pid(), "VmRSS")))
			select {
			case <-sampling:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	m := b.meter(p)
	out, load, err := b.procs.run(ctx, exec.Command(ab, "-q", "-r", "-s", "30", "-c", strconv.Itoa(crowdConnections), "-n", strconv.Itoa(crowdRequests),
		"http://"+local(p.port)+"/1k"), b.cpu(loadCPU))
	close(sampling)
	<-sampled
	used, others := m.read(load)
	if err != nil {
		return sample{}, err
	}
	if p.ended() {
		return sample{}, fmt.Errorf("%s has ended: %w: %s", p.program.Name, p.err, tail(p.logText(), 2000))
	}
	l, err := parseAb(out)
	if err != nil {
		return sample{}, err
	}
	return sample{CPU: micros(used.total()) / crowdRequests, User: micros(used.User) / crowdRequests, PerSecond: l.PerSecond, P50: micros(l.P50), P99: micros(l.P99),
		RSS: peak.Load(), Requests: l.Requests, Errors: l.Errors, Detail: l.Detail, Others: others}, nil
}
