package main

import (
	"context"
	"fmt"
)

// threads compares one thread with two. Nothing is pinned: on a machine with
// two CPUs the load tool and nginx share them with the proxy, so that the
// rules are made heavy enough to leave the proxy the bottleneck.
type threads struct{}

func (threads) run(ctx context.Context, b *bench, r *result) error {
	var heavy []string
	for range 5 {
		heavy = append(heavy, headerRules[1:]...)
	}
	s := steady{path: "/1k", conns: 64, headers: browserHeaders}
	free := *b
	free.pin = false
	var cpu, rate [2][3][]float64 // program, threads
	var proxies [2][3]*proxy
	for i := range b.peers {
		for n := 1; n <= 2; n++ {
			free.shift = 2 * n // each has a port of its own
			p, err := free.startProxy(i, fmt.Sprintf("%s-%d", r.Name, n), proxyConfig{threads: n, frontend: append([]string{headerRules[0]}, heavy...)}, -1)
			if err != nil {
				return err
			}
			defer b.procs.end(p.process)
			proxies[i][n] = p
		}
	}
	for round := range b.rounds {
		for i := range b.peers {
			for n := 1; n <= 2; n++ {
				one, err := s.turn(ctx, &free, proxies[i][n], b.seconds)
				if err != nil {
					return err
				}
				cpu[i][n] = append(cpu[i][n], one.CPU)
				rate[i][n] = append(rate[i][n], one.PerSecond)
			}
			progress("%s %d/%d: %s: one thread %.1f µs, %.0f/s; two %.1f µs, %.0f/s", r.Name, round+1, b.rounds, b.peers[i].Name,
				cpu[i][1][round], rate[i][1][round], cpu[i][2][round], rate[i][2][round])
		}
	}
	figures := func(v [2][3][]float64, n int) [2]float64 {
		return [2]float64{spreadOf(v[0][n]).Median, spreadOf(v[1][n]).Median}
	}
	add := func(what, verb string, v [2]float64) {
		r.Rows = append(r.Rows, row{What: what, HAProxy: fmt.Sprintf(verb, v[0]), Evenkeel: fmt.Sprintf(verb, v[1])})
	}
	gains, costs := [2]float64{}, [2]float64{}
	for i := range gains {
		gains[i] = spreadOf(quotients(rate[i][2], rate[i][1])).Median
		costs[i] = spreadOf(quotients(cpu[i][2], cpu[i][1])).Median
	}
	add("one thread: requests/s", "%.0f", figures(rate, 1))
	add("two threads: requests/s", "%.0f", figures(rate, 2))
	add("gain in requests/s", "%.2f", gains)
	add("one thread: CPU µs/request", "%.1f", figures(cpu, 1))
	add("two threads: CPU µs/request", "%.1f", figures(cpu, 2))
	add("growth of CPU time a request", "%.2f", costs)
	r.Limits = append(r.Limits, limit{"HAProxy's gain from a second thread against evenkeel's (with a twentieth for noise)", gains[0] / gains[1], 1.05})
	return nil
}

func quotients(a, b []float64) []float64 {
	var v []float64
	for i := range min(len(a), len(b)) {
		if b[i] > 0 {
			v = append(v, a[i]/b[i])
		}
	}
	return v
}
