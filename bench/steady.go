package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"reflect"
	"runtime"
	"strings"
	"time"
)

const cpuLimit = "CPU time a request against HAProxy's"
const p99Limit = "p99 latency against HAProxy's (with a tenth for noise)"

// scenario is one entry of the table in scenarios.go.
type scenario struct {
	name, title string
	run         func(ctx context.Context, b *bench, r *result) error
	lasts       func(settings) float64 // seconds, about
}

// steady is a scenario with an even load from wrk.
type steady struct {
	config  proxyConfig
	tls     bool
	path    string
	headers []string // of the load: "Name: value"
	conns   int
	limit   float64
}

func insecure() *tls.Config { return &tls.Config{InsecureSkipVerify: true} } // own certificate, made a moment ago

func (s steady) url(p *proxy, path string) string {
	scheme := "http"
	if s.tls {
		scheme = "https"
	}
	return scheme + "://" + local(p.port) + path
}

func (s steady) run(ctx context.Context, b *bench, r *result) error {
	s.config.threads = 1
	if s.tls {
		pem, err := b.certificate()
		if err != nil {
			return err
		}
		s.config.bind = "ssl crt " + pem + " ssl-min-ver TLSv1.3"
	}
	var proxies [2]*proxy
	for i := range proxies {
		p, err := b.startProxy(i, r.Name, s.config, b.cpu(proxyCPU))
		if err != nil {
			return err
		}
		proxies[i] = p
		defer b.procs.end(p.process)
	}
	if err := s.agree(proxies, r); err != nil {
		return err
	}
	for _, p := range proxies { // pools filled, heap grown, caches warm
		if _, err := s.turn(ctx, b, p, max(0.5, b.seconds/4)); err != nil {
			return err
		}
	}
	for round := range b.rounds {
		for _, i := range turnOrder(round) {
			one, err := s.turn(ctx, b, proxies[i], b.seconds)
			if err != nil {
				return err
			}
			r.Samples[i] = append(r.Samples[i], one)
		}
		h, e := r.Samples[0][round], r.Samples[1][round]
		progress("%s %d/%d: haproxy %.2f µs, evenkeel %.2f µs, ratio %.3f (others %.0f%%)", r.Name, round+1, b.rounds, h.CPU, e.CPU, e.CPU/h.CPU, 100*max(h.Others, e.Others))
	}
	if s.limit > 0 {
		r.Limits = append(r.Limits, atMost(cpuLimit, spreadOf(r.ratios(cpuOf)).Median, s.limit),
			atMost(p99Limit, spreadOf(r.ratios(p99Of)).Median, 1.1), atMost("errors of evenkeel", sum(r.column(peerEvenkeel, errorsOf)), 0))
	}
	for i, name := range []string{"haproxy", "evenkeel"} {
		for _, x := range r.Samples[i] {
			if x.Errors > 0 {
				r.Notes = append(r.Notes, name+": "+x.Detail)
			}
		}
	}
	return b.profileTurn(ctx, s, proxies[peerEvenkeel], r)
}

// turnOrder changes who is second, so that it is not always the same.
func turnOrder(round int) []int {
	if round%2 == 1 {
		return []int{peerEvenkeel, peerHAProxy}
	}
	return []int{peerHAProxy, peerEvenkeel}
}

// turn loads one program for a while.
func (s steady) turn(ctx context.Context, b *bench, p *proxy, seconds float64) (sample, error) {
	wrk, err := findTool("wrk")
	if err != nil {
		return sample{}, err
	}
	// wrk counts in whole seconds.
	args := []string{"-t1", fmt.Sprintf("-c%d", s.conns), "-d", fmt.Sprintf("%.0f", max(1, math.Round(seconds))), "--latency", "--timeout", "10s"}
	for _, h := range s.headers {
		args = append(args, "-H", h)
	}
	m := b.meter(p)
	out, load, err := b.procs.run(ctx, exec.Command(wrk, append(args, s.url(p, s.path))...), b.cpu(loadCPU))
	used, others := m.read(load)
	if err != nil {
		return sample{}, err
	}
	if p.ended() {
		return sample{}, fmt.Errorf("%s has ended: %w: %s", p.program.Name, p.err, tail(p.logText(), 2000))
	}
	l, err := parseWrk(out)
	if err != nil {
		return sample{}, err
	}
	if l.Requests == 0 {
		return sample{}, fmt.Errorf("%s: no request was served: %s", p.program.Name, tail(out, 500))
	}
	return sample{CPU: micros(used.total()) / float64(l.Requests), User: micros(used.User) / float64(l.Requests), PerSecond: l.PerSecond, P50: micros(l.P50), P99: micros(l.P99),
		RSS: treeKiB(p.pid(), "VmRSS"), Requests: l.Requests, Errors: l.Errors, Detail: l.Detail, Others: others}, nil
}

// meter measures one turn.
type meter struct {
	b           *bench
	proxy       *proxy
	began       time.Time
	busy        time.Duration
	cpu, origin cpuTime
}

func (b *bench) meter(p *proxy) meter {
	return meter{b, p, time.Now(), machineBusy(), treeCPU(p.pid()), treeCPU(b.origin.pid())}
}

// read gives what the proxy used, and the share of the machine that neither
// it, nor the origin, nor the load tool (which used load) had.
func (m meter) read(load time.Duration) (used cpuTime, others float64) {
	took, busy := time.Since(m.began), machineBusy()-m.busy
	used = treeCPU(m.proxy.pid()).since(m.cpu)
	origin := treeCPU(m.b.origin.pid()).since(m.origin)
	rest := busy - used.total() - origin.total() - load
	return used, max(0, rest.Seconds()/(took.Seconds()*float64(runtime.NumCPU())))
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// agree makes sure that both programs do the work: the same answer to the
// client, the same request at the origin.
func (s steady) agree(proxies [2]*proxy, r *result) error {
	for _, path := range []string{s.path, "/echo" + s.path} {
		var got [2]answer
		for i, p := range proxies {
			a, err := fetch(s.url(p, path), s.headers)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", p.program.Name, path, err)
			}
			// The programs listen on ports of their own.
			a.Body = strings.ReplaceAll(a.Body, fmt.Sprint(p.port), "PORT")
			for name, values := range a.Header {
				for k := range values {
					values[k] = strings.ReplaceAll(values[k], fmt.Sprint(p.port), "PORT")
				}
				a.Header[name] = values
			}
			a.Header.Del("Content-Length")
			if a.Status != 200 {
				return fmt.Errorf("%s: %s: status %d", p.program.Name, path, a.Status)
			}
			got[i] = a
		}
		if !reflect.DeepEqual(got[0], got[1]) {
			return errors.New("the programs do not agree about " + path + ":\n" + fmt.Sprintf("haproxy  %+v\nevenkeel %+v", shortened(got[0]), shortened(got[1])))
		}
	}
	return nil
}

func shortened(a answer) answer {
	if len(a.Body) > 1000 {
		a.Body = a.Body[:1000]
	}
	return a
}
