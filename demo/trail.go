package main

import (
	"sync"
	"time"
)

// moment is what happened in one short interval, as rates a second.
type moment struct {
	requests float64
	byOrigin [originCount]float64
	p99      time.Duration
}

// trail is the last minutes, moment by moment.
type trail struct {
	mu      sync.Mutex
	moments []moment

	at      time.Time
	ok      [originCount]int64
	latency counts
}

// trailLength is how many moments are kept.
const trailLength = 240

// add takes a sample of what the clients counted since the last one.
func (t *trail) add(l *load, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	seconds := now.Sub(t.at).Seconds()
	latency := l.latency.counts()
	m := moment{p99: latency.since(t.latency).quantile(0.99)}
	for i := range l.ok {
		n := l.ok[i].Load()
		m.byOrigin[i] = float64(n-t.ok[i]) / seconds
		m.requests += m.byOrigin[i]
		t.ok[i] = n
	}
	first := t.at.IsZero()
	t.at, t.latency = now, latency
	if first {
		return
	}
	t.moments = append(t.moments, m)
	t.moments = t.moments[max(len(t.moments)-trailLength, 0):]
}

func (t *trail) last() moment {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.moments) == 0 {
		return moment{}
	}
	return t.moments[len(t.moments)-1]
}

func (t *trail) rates() []float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	rates := make([]float64, len(t.moments))
	for i, m := range t.moments {
		rates[i] = m.requests
	}
	return rates
}
