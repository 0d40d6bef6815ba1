package main

import (
	"context"
	"time"
)

// trickle is what most machines do most of the time: little. Programs that
// are cheap when busy may be dear to wake up.
type trickle struct{}

// 64 connections that think so long ask 200 times a second.
const trickleThink = 320 * time.Millisecond

func (trickle) run(ctx context.Context, b *bench, r *result) error {
	var proxies [2]*proxy
	for i := range proxies {
		p, err := b.startProxy(i, r.Name, proxyConfig{threads: 1}, b.cpu(proxyCPU))
		if err != nil {
			return err
		}
		proxies[i] = p
		defer b.procs.end(p.process)
	}
	for round := range min(b.rounds, 5) {
		for _, i := range turnOrder(round) {
			p := proxies[i]
			m := b.meter(p)
			l, err := b.startLoad(p, "-busy", "0", "-think", trickleThink.String())
			if err != nil {
				return err
			}
			if err := pause(ctx, max(8*time.Second, time.Duration(b.seconds*float64(time.Second)))); err != nil {
				return err
			}
			c, err := l.stop()
			if err != nil {
				return err
			}
			used, others := m.read(l.used())
			n := float64(max(c.Requests, 1))
			one := sample{CPU: micros(used.total()) / n, User: micros(used.User) / n, PerSecond: c.PerSecond, P50: c.P50, P99: c.P99,
				RSS: treeKiB(p.pid(), "VmRSS"), Requests: c.Requests, Errors: c.lost(), Others: others}
			r.Samples[i] = append(r.Samples[i], one)
			progress("%s %d: %s: %.0f µs a request", r.Name, round+1, p.program.Name, one.CPU)
		}
	}
	return nil
}
