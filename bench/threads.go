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
	order := [4][2]int{{0, 1}, {0, 2}, {1, 2}, {1, 1}} // program, threads
	for _, o := range order {
		if _, err := s.turn(ctx, &free, proxies[o[0]][o[1]], 1); err != nil { // pools filled, heap grown
			return err
		}
	}
	rounds := threadRounds * b.rounds
	for round := range rounds {
		for k := range order {
			// The two turns that are compared are neighbours, and the one
			// before is the one after in the next round.
			o := order[k]
			if round%2 == 1 {
				o = order[len(order)-1-k]
			}
			i, n := o[0], o[1]
			one, err := s.turn(ctx, &free, proxies[i][n], threadSeconds)
			if err != nil {
				return err
			}
			cpu[i][n] = append(cpu[i][n], one.CPU)
			rate[i][n] = append(rate[i][n], one.PerSecond)
		}
		progress("%s %d/%d: gain from a second thread: haproxy %.2f, evenkeel %.2f", r.Name, round+1, rounds,
			rate[0][2][round]/rate[0][1][round], rate[1][2][round]/rate[1][1][round])
	}
	var gains, costs [2][]float64
	for i := range gains {
		gains[i], costs[i] = quotients(rate[i][2], rate[i][1]), quotients(cpu[i][2], cpu[i][1])
	}
	add := func(what, verb string, v [2][]float64) {
		text := func(v []float64) string {
			low, high := quartiles(v)
			return fmt.Sprintf(verb+" ("+verb+"-"+verb+")", spreadOf(v).Median, low, high)
		}
		r.Rows = append(r.Rows, row{What: what, HAProxy: text(v[0]), Evenkeel: text(v[1])})
	}
	add("one thread: requests/s", "%.0f", [2][]float64{rate[0][1], rate[1][1]})
	add("two threads: requests/s", "%.0f", [2][]float64{rate[0][2], rate[1][2]})
	add("gain in requests/s", "%.2f", gains)
	add("one thread: CPU µs/request", "%.1f", [2][]float64{cpu[0][1], cpu[1][1]})
	add("two threads: CPU µs/request", "%.1f", [2][]float64{cpu[0][2], cpu[1][2]})
	add("growth of CPU time a request", "%.2f", costs)
	r.Limits = append(r.Limits, atMost("HAProxy's gain from a second thread against evenkeel's (with a twentieth for noise)", spreadOf(quotients(gains[0], gains[1])).Median, 1.05))
	return nil
}

// The scheduler puts threads, the load tool and nginx on CPUs as it likes, and
// for as long as a turn lasts: many short turns see more of its moods than few
// long ones. In parentheses are quartiles, not the extremes.
const (
	threadRounds  = 3 // times the rounds of other scenarios
	threadSeconds = 1
)

func quotients(a, b []float64) []float64 {
	var v []float64
	for i := range min(len(a), len(b)) {
		if b[i] > 0 {
			v = append(v, a[i]/b[i])
		}
	}
	return v
}
