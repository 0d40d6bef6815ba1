package engine

import (
	"crypto/tls"
	"net/netip"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
)

// pinger sends size bytes, waits for as many, and begins again.
type pinger struct {
	data      []byte
	sent, got int
	left      *atomic.Int64
	done      chan bool
	in        []byte
}

func (p *pinger) OnConn(c *Conn) {
	if c.Handshaking() {
		return
	}
	if err := c.HandshakeErr(); err != nil {
		panic(err)
	}
	for {
		for p.sent < len(p.data) {
			n, err := c.Write(p.data[p.sent:])
			p.sent += n
			if err == ErrAgain {
				return
			}
			if err != nil {
				panic(err)
			}
		}
		for p.got < len(p.data) {
			n, err := c.Read(p.in)
			p.got += n
			if err == ErrAgain {
				return
			}
			if err != nil {
				panic(err)
			}
		}
		if p.left.Add(-1) < 0 {
			c.Close()
			p.done <- true
			return
		}
		p.sent, p.got = 0, 0
	}
}

// threadCPU is what the loop's thread has used, in nanoseconds.
func threadCPU(t testing.TB, l *Loop) (ns int64) {
	on(t, l, func() {
		var r syscall.Rusage
		syscall.Getrusage(1, &r) // RUSAGE_THREAD
		ns = r.Utime.Nano() + r.Stime.Nano()
	})
	return ns
}

func benchEcho(b *testing.B, conns, size int, server, client *tls.Config) {
	sl := startLoop(b, Options{})
	cl := startLoop(b, Options{ID: 1})
	fd, addr := listen(b, "tcp", "127.0.0.1:0")
	on(b, sl, func() {
		_, err := sl.Listen(fd, acceptFunc(func(ln *Listener, fd int, src netip.AddrPort) {
			c, _ := sl.Adopt(fd, &echo{l: sl})
			c.SetNoDelay(true)
			if server != nil {
				c.StartTLSServer(server)
			}
		}), 0)
		if err != nil {
			b.Error(err)
		}
	})
	run := func(n int) {
		var left atomic.Int64
		left.Store(int64(n))
		done := make(chan bool, conns)
		on(b, cl, func() {
			for range conns {
				p := &pinger{data: make([]byte, size), in: make([]byte, 65536), left: &left, done: done}
				c, err := cl.Dial(&Dialer{Addr: netip.MustParseAddrPort(addr.String()), NoDelay: true}, p)
				if err != nil {
					b.Error(err)
					return
				}
				if client != nil {
					c.StartTLSClient(client)
				} else {
					p.OnConn(c)
				}
			}
		})
		for range conns {
			<-done
		}
	}
	run(conns * 10)
	b.ReportAllocs()
	var m0, m1 runtime.MemStats
	runtime.ReadMemStats(&m0)
	cpu := threadCPU(b, sl)
	b.ResetTimer()
	run(b.N)
	b.StopTimer()
	cpu = threadCPU(b, sl) - cpu
	runtime.ReadMemStats(&m1)
	b.ReportMetric(float64(cpu)/float64(b.N)/1000, "server-cpu-µs/op")
}

func BenchmarkEcho1K(b *testing.B)       { benchEcho(b, 64, 1024, nil, nil) }
func BenchmarkEcho1KSingle(b *testing.B) { benchEcho(b, 1, 1024, nil, nil) }
func BenchmarkEcho64K(b *testing.B)      { benchEcho(b, 64, 65536, nil, nil) }

func benchTLS(b *testing.B, size int) {
	server, client := tlsConfigs(b)
	PrepareTLS(client)
	benchEcho(b, 64, size, server, client)
}

func BenchmarkTLSEcho1K(b *testing.B)  { benchTLS(b, 1024) }
func BenchmarkTLSEcho64K(b *testing.B) { benchTLS(b, 65536) }
