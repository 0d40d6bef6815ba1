package pool

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"evenkeel/internal/model"
)

func TestQueueOrder(t *testing.T) {
	b, c, _ := simple(t, "roundrobin", 1, func(i int, s *model.Server) { s.MaxConn = 1 })
	s, _, err := b.Pick(&Choice{}, nil)
	must(t, err)
	var order []string
	add := func(name string, class, offset int) *Waiter {
		w := &Waiter{Class: class, Offset: offset}
		w.Wake = func(*Server) { order = append(order, name) }
		_, queued, err := b.Pick(&Choice{}, w)
		if !queued || err != nil {
			t.Fatal(name, queued, err)
		}
		c.step(1e6)
		return w
	}
	ws := []*Waiter{
		add("third", 0, 0), add("fourth", 0, 0), add("last", 10, -500), add("first", -5, 100),
		add("second", 0, -100), add("fifth", 0, 50), add("gone", 0, 0),
	}
	if !b.Cancel(ws[6]) || b.Cancel(ws[6]) {
		t.Error("Cancel must say true once")
	}
	same(t, "queue", b.Queue(), 6)
	for range 6 {
		s.Release(true)
	}
	s.Release(true)
	same(t, "order", order, "[first second third fourth fifth last]")
	same(t, "positions", []int{ws[3].BeQueue(), ws[4].BeQueue(), ws[0].BeQueue(), ws[2].BeQueue()}, "[1 2 3 6]")
	same(t, "left", []int{b.Queue(), s.Conns()}, "[0 0]")
}

// A slot goes to whoever of the server's and the backend's queue was first.
func TestTwoQueues(t *testing.T) {
	b, c, _ := simple(t, "roundrobin", 2, func(i int, s *model.Server) { s.MaxConn, s.MaxQueue = 1, 2 })
	s1 := b.Servers[0]
	for range 2 {
		_, _, err := b.Pick(&Choice{}, nil)
		must(t, err)
	}
	var order []string
	wait := func(name string, s *Server) error {
		w := &Waiter{Wake: func(got *Server) { order = append(order, name+"@"+got.Name) }}
		c.step(1e6)
		if s == nil {
			_, _, err := b.Pick(&Choice{}, w)
			return err
		}
		_, _, err := b.PickServer(s, w)
		return err
	}
	must(t, wait("a", s1))
	must(t, wait("b", nil))
	must(t, wait("c", s1))
	must(t, wait("d", nil))
	same(t, "maxqueue", wait("e", s1), ErrQueueFull)
	b.Servers[1].Release(true)
	for range 4 {
		s1.Release(true)
	}
	same(t, "order", order, "[b@s2 a@s1 c@s1 d@s1]")
}

func TestRedistribution(t *testing.T) {
	for _, test := range []struct {
		redispatch, persist bool
		woken               int
	}{{true, false, 2}, {false, false, 0}, {true, true, 0}} {
		p := &model.Proxy{Backend: model.Backend{Servers: servers(2, func(i int, s *model.Server) { s.MaxConn, s.Check.Enabled = 1, true })}}
		if test.redispatch {
			p.Options.Redispatch = -1
		}
		p.Options.Persist = test.persist
		r := &recorder{}
		b := newTest(t, p, Options{Event: r.event})
		s1 := b.Servers[0]
		must2(b.PickServer(s1, nil))
		woken := 0
		for i := range 3 {
			w := &Waiter{Wake: func(s *Server) {
				if s != nil {
					t.Error("a slot of a server that is down was given")
				}
				woken++
			}}
			ch := Choice{Counted: true, Force: i == 2}
			_, queued, err := b.PickServerFor(s1, &ch, w)
			if !queued || err != nil {
				t.Fatal(queued, err)
			}
		}
		s1.CheckDone(refused)
		same(t, "redistributed", woken, test.woken)
		same(t, "waiting", b.Queue(), 3-test.woken)
	}
}

func must2(_ *Server, _ bool, err error) {
	if err != nil {
		panic(err)
	}
}

// When the last server goes, those who wait for any server must learn it, also
// when the server's last connections end only later.
func TestNobodyWaitsForever(t *testing.T) {
	for _, busy := range []bool{false, true} {
		b, _, _ := simple(t, "leastconn", 1, func(i int, s *model.Server) { s.MaxConn, s.Check.Enabled = 1, true })
		s := b.Servers[0]
		must2(b.Pick(&Choice{}, nil))
		woken := 0
		_, queued, _ := b.Pick(&Choice{}, &Waiter{Wake: func(s *Server) { woken++ }})
		if !queued {
			t.Fatal("not queued")
		}
		if !busy {
			s.maxConn, s.node.Limit = 0, 0 // so that Release does not grant
			b.mu.Lock()
			s.drop()
			b.mu.Unlock()
		}
		s.CheckDone(refused)
		if busy {
			same(t, "woken before", woken, 0)
			s.Release(true)
		}
		same(t, "woken", woken, 1)
		_, _, err := b.Pick(&Choice{}, nil)
		same(t, "then", err, ErrNoServer)
	}
}

func TestDynamicLimit(t *testing.T) {
	p := &model.Proxy{Backend: model.Backend{FullConn: 10, Servers: servers(1, func(i int, s *model.Server) { s.MinConn, s.MaxConn = 2, 8 })}}
	b := newTest(t, p, Options{})
	var limits []int
	for i := range 12 {
		ch := Choice{}
		b.Pick(&ch, &Waiter{Wake: func(*Server) {}})
		if i%2 == 0 {
			limits = append(limits, b.Snapshot(0).Servers[0].Limit)
		}
	}
	same(t, "limits", limits, "[2 2 4 5 7 8]")
}

func TestMaxConnRaised(t *testing.T) {
	b, _, _ := simple(t, "roundrobin", 1, func(i int, s *model.Server) { s.MaxConn = 1 })
	must2(b.Pick(&Choice{}, nil))
	woken := 0
	for range 5 {
		b.Pick(&Choice{}, &Waiter{Wake: func(*Server) { woken++ }})
	}
	must(t, b.Servers[0].SetMaxConn(4))
	same(t, "woken", woken, 3)
	must(t, b.Servers[0].SetMaxConn(0))
	same(t, "woken", woken, 5)
}

// Many goroutines fight for few slots while servers go up and down: no slot is
// given twice or lost, every waiter is woken exactly once or cancelled.
func TestQueueRace(t *testing.T) {
	for _, algo := range []string{"roundrobin", "leastconn", "first", "random", "source", "static-rr"} {
		t.Run(algo, func(t *testing.T) { queueRace(t, algo) })
	}
}

func queueRace(t *testing.T, algo string) {
	const workers, each, slots = 32, 150, 3
	p := &model.Proxy{Name: "b", Backend: model.Backend{Balance: model.Balance{Algorithm: algo},
		Servers: servers(4, func(i int, s *model.Server) { s.MaxConn, s.Check.Enabled = slots, true })}}
	p.Options.Redispatch = -1
	b := newTest(t, p, Options{})
	var held [4]atomic.Int32
	var served, cancelled, refusals atomic.Int64
	use := func(s *Server, rng *rand.Rand) {
		if n := held[s.node.Index].Add(1); n > slots {
			t.Errorf("%s serves %d at a time", s, n)
		}
		for range rng.IntN(3) {
			runtime.Gosched()
		}
		held[s.node.Index].Add(-1)
		served.Add(1)
		if rng.IntN(2) == 0 {
			s.Finish(&Result{Status: 200, Session: true})
		} else {
			s.Release(true)
			b.End(&Result{Session: true})
		}
	}
	work := func(seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 1))
		got := make(chan *Server, 1)
		w := &Waiter{Wake: func(s *Server) { got <- s }}
		for range each {
			ch := Choice{}
		again:
			w.Class = rng.IntN(3) - 1
			s, queued, err := b.Pick(&ch, w)
			switch {
			case err != nil:
				refusals.Add(1)
				b.End(&Result{Session: true, Err: ErrQueue})
				continue
			case queued && rng.IntN(8) == 0 && b.Cancel(w):
				cancelled.Add(1)
				b.End(&Result{Session: true, Err: ErrClientAbort})
				continue
			case queued:
				if s = <-got; s == nil {
					goto again
				}
			}
			use(s, rng)
		}
		select {
		case <-got:
			t.Error("woken twice")
		default:
		}
	}
	done := make(chan struct{})
	var chaos, group sync.WaitGroup
	chaos.Go(func() {
		rng := rand.New(rand.NewPCG(9, 9))
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			s := b.Servers[rng.IntN(4)]
			switch rng.IntN(6) {
			case 0:
				s.CheckDone(refused)
			case 1, 2:
				_ = s.SetHealth("up")
			case 3:
				_ = s.SetAdmin([]string{"ready", "drain", "maint"}[rng.IntN(3)])
			case 4:
				_ = s.SetWeight([]string{"0%", "100%"}[rng.IntN(2)])
			case 5:
				b.Snapshot(0)
			}
			runtime.Gosched()
		}
	})
	for i := range workers {
		group.Go(func() { work(uint64(i)) })
	}
	// Waiters may have to wait until a server is up: keep one coming back.
	ended := make(chan struct{})
	go func() { group.Wait(); close(ended) }()
	<-ended
	close(done)
	chaos.Wait()
	if n := served.Load() + cancelled.Load() + refusals.Load(); n != workers*each {
		t.Errorf("%d transactions ended, want %d", n, workers*each)
	}
	if b.Queue() != 0 || b.Conns() != 0 || b.served != 0 {
		t.Errorf("left over: %d waiting, %d sessions, %d slots", b.Queue(), b.Conns(), b.served)
	}
	for _, s := range b.Servers {
		if s.Conns() != 0 {
			t.Errorf("%s keeps %d slots", s, s.Conns())
		}
	}
}

func TestReleaseTwice(t *testing.T) {
	b, _, _ := simple(t, "roundrobin", 1, nil)
	s, _, _ := b.Pick(&Choice{}, nil)
	s.Release(true)
	defer func() {
		if recover() == nil {
			t.Error("a slot could be given back twice")
		}
		b.Usable() // the mutex is free
	}()
	s.Release(true)
}
