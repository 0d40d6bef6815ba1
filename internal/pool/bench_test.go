package pool

import (
	"testing"

	"evenkeel/internal/model"
)

func benchmark(b *testing.B, algo string, n int, change func(*model.Proxy)) {
	p := &model.Proxy{Name: "b", Backend: model.Backend{
		Balance: model.Balance{Algorithm: algo}, Servers: servers(n, nil)}}
	if change != nil {
		change(p)
	}
	be := newTest(b, p, Options{})
	key := []byte("/some/path/to/an/object.html")
	res := Result{Status: 200, BytesIn: 300, BytesOut: 1300, Tr: 1, Tt: 2, Session: true}
	w := &Waiter{Wake: func(*Server) {}}
	b.ReportAllocs()
	now := int64(1e12)
	for b.Loop() {
		now += 1000
		ch := Choice{Now: now, Key: key, HasKey: true}
		s, _, err := be.Pick(&ch, w)
		if err != nil {
			b.Fatal(err)
		}
		res.Now = now
		s.Finish(&res)
	}
}

// Each is one Pick and one Finish: what a request costs.
func BenchmarkRoundRobin2(b *testing.B)  { benchmark(b, "roundrobin", 2, nil) }
func BenchmarkRoundRobin20(b *testing.B) { benchmark(b, "roundrobin", 20, nil) }
func BenchmarkStaticRR(b *testing.B)     { benchmark(b, "static-rr", 10, nil) }
func BenchmarkLeastConn20(b *testing.B)  { benchmark(b, "leastconn", 20, nil) }
func BenchmarkFirst(b *testing.B)        { benchmark(b, "first", 10, nil) }
func BenchmarkURIMap(b *testing.B)       { benchmark(b, "uri", 10, nil) }
func BenchmarkURIConsistent(b *testing.B) {
	benchmark(b, "uri", 10, func(p *model.Proxy) { p.Backend.HashType.Consistent = true })
}
func BenchmarkRandom(b *testing.B) { benchmark(b, "random", 10, nil) }
func BenchmarkMaxConn(b *testing.B) {
	benchmark(b, "roundrobin", 10, func(p *model.Proxy) {
		for _, s := range p.Backend.Servers {
			s.MaxConn = 100
		}
	})
}

// Two loops on one backend, as with nbthread 2.
func BenchmarkContended(b *testing.B) {
	p := &model.Proxy{Name: "b", Backend: model.Backend{Servers: servers(4, nil)}}
	be := newTest(b, p, Options{})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		res := Result{Now: 1e12, Status: 200, Session: true}
		for pb.Next() {
			s, _, err := be.Pick(&Choice{Now: 1e12}, nil)
			if err != nil {
				b.Error(err)
				return
			}
			s.Finish(&res)
		}
	})
}
