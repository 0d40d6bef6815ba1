package pool

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"evenkeel/internal/model"
)

// clock is a monotonic clock that tests move.
type clock struct{ now int64 }

func (c *clock) Now() int64           { return c.now }
func (c *clock) step(d time.Duration) { c.now += int64(d) }
func newClock() *clock                { return &clock{now: int64(time.Hour)} }

// recorder keeps events.
type recorder struct {
	mu   sync.Mutex
	text []string
}

func (r *recorder) event(level int, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text = append(r.text, fmt.Sprintf("%d %s", level, text))
}

func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.text
	r.text = nil
	return t
}

func weight(n int) *int { return &n }

// servers makes n servers s1 … sn, changed by f.
func servers(n int, f func(i int, s *model.Server)) []*model.Server {
	var out []*model.Server
	for i := 1; i <= n; i++ {
		s := &model.Server{Name: fmt.Sprintf("s%d", i), ID: i,
			Addr: model.ServerAddr{Network: "tcp4", Host: "127.0.0.1", Port: 8000 + i}}
		if f != nil {
			f(i, s)
		}
		out = append(out, s)
	}
	return out
}

func newTest(t testing.TB, p *model.Proxy, o Options) *Backend {
	t.Helper()
	if p.Name == "" {
		p.Name, p.ID = "b", 2
	}
	p.Kind = model.KindBackend
	b, err := New(p, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := Link([]*Backend{b}); err != nil {
		t.Fatal(err)
	}
	return b
}

func simple(t testing.TB, algo string, n int, f func(i int, s *model.Server)) (*Backend, *clock, *recorder) {
	t.Helper()
	c, r := newClock(), &recorder{}
	p := &model.Proxy{Backend: model.Backend{Balance: model.Balance{Algorithm: algo}, Servers: servers(n, f)}}
	return newTest(t, p, Options{Now: c.Now, Event: r.event}), c, r
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprintf("%v", got), fmt.Sprintf("%v", want); g != w {
		t.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}

func lines(t *testing.T, got []string, want ...string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		g, w := "(nothing)", "(nothing)"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("event %d:\n got %s\nwant %s", i, g, w)
		}
	}
}

var _ = netip.Addr{}
