package engine

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
)

// testCert is a self-signed ECDSA certificate for "localhost".
func testCert(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "localhost"},
		DNSNames:     []string{"localhost"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(crand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

func tlsConfigs(t testing.TB) (server, client *tls.Config) {
	cert, pool := testCert(t)
	server = &tls.Config{Certificates: []tls.Certificate{cert}}
	PrepareTLS(server)
	return server, &tls.Config{RootCAs: pool, ServerName: "localhost"}
}

func TestTLSServerEcho(t *testing.T) {
	server, client := tlsConfigs(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, size := range []int{0, 1, 16384, 1 << 20} {
			for _, full := range []bool{true, false} {
				l := startLoop(t, Options{NoReuse: true})
				fd, peer := tcpPair(t)
				errs := make(chan error, 1)
				server, client := server.Clone(), client.Clone()
				server.DynamicRecordSizingDisabled = full
				client.MaxVersion = version
				on(t, l, func() {
					c, _ := l.Adopt(fd, &echo{l: l, errs: errs})
					c.StartTLSServer(server)
					if !c.Handshaking() || c.TLS() != nil || c.Readable() || c.Writable() {
						t.Error("not handshaking")
					}
					if _, err := c.Write([]byte("x")); err != ErrAgain {
						t.Error(err)
					}
					if _, err := c.Read(make([]byte, 1)); err != ErrAgain {
						t.Error(err)
					}
				})
				tc := tls.Client(peer, client)
				if err := tc.Handshake(); err != nil {
					t.Fatal(err)
				}
				exchange(t, tc, noise(size))
				if err := wait(t, errs); err != nil {
					t.Error(err)
				}
				until(t, l, func() bool { return l.Conns() == 0 && l.shaking == 0 })
			}
		}
	}
}

// loader sends data after its handshake, reads it back and tells how that went.
type loader struct {
	data, got []byte
	sent      int
	done      chan error
	state     *tls.ConnectionState
	clean     bool
}

func (p *loader) OnConn(c *Conn) {
	err := p.run(c)
	if err == ErrAgain {
		return
	}
	c.Close()
	p.done <- err
}

func (p *loader) run(c *Conn) error {
	if err := c.ConnectErr(); err != nil {
		return err
	}
	if c.Handshaking() {
		return ErrAgain
	}
	if err := c.HandshakeErr(); err != nil {
		return err
	}
	p.state = c.TLS()
	for p.sent < len(p.data) {
		n, err := c.Write(p.data[p.sent:])
		p.sent += n
		if err == ErrAgain {
			break
		}
		if err != nil {
			return err
		}
	}
	if p.sent == len(p.data) {
		if err := c.ShutdownWrite(); err != nil {
			return err
		}
	}
	buf := make([]byte, 30000)
	for {
		n, err := c.Read(buf)
		p.got = append(p.got, buf[:n]...)
		if err == io.EOF {
			p.clean = !c.Truncated()
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func TestTLSClientAndServerInTheLoop(t *testing.T) {
	server, client := tlsConfigs(t)
	client.ClientSessionCache = tls.NewLRUClientSessionCache(10)
	for _, size := range []int{0, 10, 70000, 1 << 20} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			l := startLoop(t, Options{NoReuse: true})
			fd, addr := listen(t, "tcp", "127.0.0.1:0")
			p := &loader{data: noise(size), done: make(chan error, 1)}
			cfg := client.Clone()
			cfg.MaxVersion = version
			on(t, l, func() {
				l.Listen(fd, acceptFunc(func(ln *Listener, fd int, src netip.AddrPort) {
					c, _ := l.Adopt(fd, &echo{l: l})
					c.StartTLSServer(server)
				}), 0)
				c, err := l.Dial(&Dialer{Addr: netip.MustParseAddrPort(addr.String())}, p)
				if err != nil {
					t.Fatal(err)
				}
				c.StartTLSClient(cfg)
			})
			if err := wait(t, p.done); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(p.got, p.data) || !p.clean {
				t.Errorf("sent %d, got %d, clean end: %v", size, len(p.got), p.clean)
			}
			if p.state.Version != version || len(p.state.PeerCertificates) != 1 {
				t.Errorf("%+v", p.state)
			}
			until(t, l, func() bool { return l.Conns() == 0 })
		}
	}
}

func TestTLSWritevSharesARecord(t *testing.T) {
	server, client := tlsConfigs(t)
	l := startLoop(t, Options{})
	for _, c := range []struct{ a, b, n int }{
		{100, 1024, 1124}, {0, 10, 10}, {10, 0, 10}, {1000, 30000, 31000},
		{20000, 10, 20000}, {10, 100000, maxPlain}, {100000, 0, maxPlain},
	} {
		fd, peer := tcpPair(t)
		data := noise(c.a + c.b)
		on(t, l, func() {
			conn, _ := l.Adopt(fd, handlerFunc(func(conn *Conn) {
				if conn.Handshaking() {
					return
				}
				n, err := conn.Writev(data[:c.a], data[c.a:])
				if err != nil || n != c.n {
					t.Errorf("%+v: wrote %d, %v", c, n, err)
				}
				conn.Close()
			}))
			conn.StartTLSServer(server)
		})
		got, err := io.ReadAll(tls.Client(peer, client))
		if err != nil || !bytes.Equal(got, data[:c.n]) {
			t.Errorf("%+v: read %d, %v", c, len(got), err)
		}
	}
}

// What was written before Close arrives, even if the peer reads it much later.
func TestTLSCloseSendsWhatIsPending(t *testing.T) {
	server, client := tlsConfigs(t)
	l := startLoop(t, Options{NoReuse: true})
	fd, peer := tcpPair(t)
	wrote := make(chan int, 1)
	on(t, l, func() {
		c, _ := l.Adopt(fd, handlerFunc(func(c *Conn) {
			if c.Handshaking() {
				return
			}
			total, data := 0, noise(100000)
			for {
				n, err := c.Write(data)
				if err == ErrAgain {
					break
				}
				if err != nil {
					t.Error(err)
					break
				}
				total += n
			}
			if c.Writable() || c.Pending() == 0 {
				t.Error("blocked, but writable or nothing pending")
			}
			c.Close()
			c.Close()
			if _, err := c.FD(), c.Closed(); !err {
				t.Error("not closed")
			}
			wrote <- total
		}))
		c.StartTLSServer(server)
	})
	tc := tls.Client(peer, client)
	if err := tc.Handshake(); err != nil {
		t.Fatal(err)
	}
	total := wait(t, wrote)
	on(t, l, func() {
		if l.Conns() != 1 {
			t.Error("the connection did not stay for its output")
		}
	})
	got, err := io.ReadAll(tc) // nil only with close_notify
	if err != nil || len(got) != total {
		t.Errorf("wrote %d, read %d: %v", total, len(got), err)
	}
	until(t, l, func() bool { return l.Conns() == 0 })
}

func TestTLSLingerEnds(t *testing.T) {
	server, client := tlsConfigs(t)
	l := startLoop(t, Options{})
	fd, peer := tcpPair(t)
	closed := make(chan *tlsState, 1)
	on(t, l, func() {
		c, _ := l.Adopt(fd, handlerFunc(func(c *Conn) {
			if c.Handshaking() {
				return
			}
			for {
				if _, err := c.Write(make([]byte, 65536)); err != nil {
					break
				}
			}
			s := c.tls
			c.Close()
			closed <- s
		}))
		c.StartTLSServer(server)
	})
	if err := tls.Client(peer, client).Handshake(); err != nil {
		t.Fatal(err)
	}
	s := wait(t, closed)
	on(t, l, func() {
		if !s.timer.Armed() {
			t.Fatal("lingers for ever")
		}
		l.wheel.advance(s.timer.Deadline() + ms)
		if l.Conns() != 0 {
			t.Error("still there after lingerFor")
		}
	})
}

func TestTLSEndWithoutCloseNotify(t *testing.T) {
	server, client := tlsConfigs(t)
	for _, clean := range []bool{true, false} {
		l := startLoop(t, Options{})
		fd, peer := tcpPair(t)
		truncated := make(chan bool, 1)
		on(t, l, func() {
			c, _ := l.Adopt(fd, handlerFunc(func(c *Conn) {
				for {
					_, err := c.Read(make([]byte, 100))
					if err == ErrAgain {
						return
					}
					if err != nil {
						if err != io.EOF {
							t.Error(err)
						}
						truncated <- c.Truncated()
						c.Close()
						return
					}
				}
			}))
			c.StartTLSServer(server)
		})
		tc := tls.Client(peer, client)
		tc.Write([]byte("hello"))
		if clean {
			tc.CloseWrite()
		}
		peer.CloseWrite()
		if wait(t, truncated) == clean {
			t.Error("clean:", clean)
		}
	}
}

func TestHandshakeErrors(t *testing.T) {
	server, client := tlsConfigs(t)
	for _, c := range []struct {
		name string
		do   func(peer *net.TCPConn)
		want string
	}{
		{"closes at once", func(p *net.TCPConn) { p.Close() }, "the peer closed the connection"},
		{"closes in the middle", func(p *net.TCPConn) { p.Write([]byte{22, 3, 1, 0, 100, 1}); p.Close() }, "the peer closed the connection"},
		{"resets", func(p *net.TCPConn) { p.Write([]byte{22}); p.SetLinger(0); p.Close() }, "connection reset by peer"},
		{"speaks HTTP", func(p *net.TCPConn) { p.Write([]byte("GET / HTTP/1.1\r\n\r\n")) }, "does not speak TLS"},
		{"old version", func(p *net.TCPConn) {
			cfg := client.Clone()
			cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
			tls.Client(p, cfg).Handshake()
		}, "unsupported versions"},
		{"refuses the certificate", func(p *net.TCPConn) {
			tls.Client(p, &tls.Config{ServerName: "other"}).Handshake()
		}, "bad certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := startLoop(t, Options{NoReuse: true})
			fd, peer := tcpPair(t)
			errs := make(chan error, 1)
			on(t, l, func() {
				conn, _ := l.Adopt(fd, handlerFunc(func(conn *Conn) {
					if conn.Handshaking() {
						return
					}
					err := conn.HandshakeErr()
					if _, werr := conn.Write([]byte("x")); werr != err || !conn.Failed() || conn.TLS() != nil {
						t.Error("a failed session takes data:", werr)
					}
					if _, rerr := conn.Read(make([]byte, 1)); rerr != err {
						t.Error(rerr)
					}
					conn.Close()
					errs <- err
				}))
				conn.StartTLSServer(server)
			})
			c.do(peer)
			err := wait(t, errs)
			var he *HandshakeError
			if !errors.As(err, &he) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
			on(t, l, func() {
				if l.shaking != 0 || l.Conns() != 0 {
					t.Error("left over:", l.shaking, l.Conns())
				}
			})
		})
	}
}

// A client handshake on a dial that fails tells of the dial and ends.
func TestTLSClientOnARefusedDial(t *testing.T) {
	_, client := tlsConfigs(t)
	free, _ := net.Listen("tcp", "127.0.0.1:0")
	addr := netip.MustParseAddrPort(free.Addr().String())
	free.Close()
	l := startLoop(t, Options{})
	errs := make(chan error, 1)
	on(t, l, func() {
		c, err := l.Dial(&Dialer{Addr: addr}, handlerFunc(func(c *Conn) {
			err := c.ConnectErr()
			if err == nil {
				err = c.HandshakeErr()
			}
			if err != nil {
				c.Close()
				errs <- err
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
		c.StartTLSClient(client)
	})
	if err := wait(t, errs); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
	until(t, l, func() bool { return l.shaking == 0 })
}

// Close in the middle of a handshake ends its goroutine, whatever it waits for.
func TestCloseDuringHandshake(t *testing.T) {
	server, client := tlsConfigs(t)
	l := startLoop(t, Options{})
	fd, peer := tcpPair(t)
	var c *Conn
	on(t, l, func() {
		c, _ = l.Adopt(fd, handlerFunc(func(*Conn) { t.Error("told after Close") }))
		c.StartTLSServer(server)
	})
	on(t, l, func() {
		if l.shaking != 0 {
			t.Error("a silent client has a goroutine")
		}
	})
	peer.Write([]byte{22, 3})
	until(t, l, func() bool { return l.shaking == 1 })
	on(t, l, func() { c.Close() })
	until(t, l, func() bool { return l.shaking == 0 })

	// A client whose server says nothing, and reads nothing.
	fd, _ = tcpPair(t)
	on(t, l, func() {
		c, _ = l.Adopt(fd, handlerFunc(func(*Conn) { t.Error("told after Close") }))
		c.StartTLSClient(client)
	})
	on(t, l, func() { c.Reset() })
	until(t, l, func() bool { return l.shaking == 0 && l.Conns() == 0 })
}

// slowConn passes on what crypto/tls writes byte by byte.
type slowConn struct{ net.Conn }

func (s slowConn) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := s.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

func TestTLSByteByByte(t *testing.T) {
	server, client := tlsConfigs(t)
	l := startLoop(t, Options{})
	fd, peer := tcpPair(t)
	on(t, l, func() {
		c, _ := l.Adopt(fd, &echo{l: l})
		c.StartTLSServer(server)
	})
	exchange(t, tls.Client(slowConn{peer}, client), noise(3000))
}

func TestTLSPrefix(t *testing.T) {
	server, client := tlsConfigs(t)
	l := startLoop(t, Options{})
	fd, peer := tcpPair(t)
	on(t, l, func() {
		started := false
		e := &echo{l: l}
		_, err := l.Adopt(fd, handlerFunc(func(c *Conn) {
			if started {
				e.OnConn(c)
				return
			}
			started = true
			var first [3]byte
			n, err := c.Read(first[:])
			if err != nil {
				t.Error(err)
			}
			c.StartTLSServerPrefix(server, first[:n])
		}))
		if err != nil {
			t.Error(err)
		}
	})
	exchange(t, tls.Client(peer, client), noise(1000))
}

// StartTLS after a plain-text exchange, with the hello already in the socket.
func TestTLSAfterPlainText(t *testing.T) {
	server, client := tlsConfigs(t)
	l := startLoop(t, Options{})
	fd, peer := tcpPair(t)
	on(t, l, func() {
		started := false
		e := &echo{l: l}
		l.Adopt(fd, handlerFunc(func(c *Conn) {
			if started {
				e.OnConn(c)
				return
			}
			var line [6]byte
			n, err := c.Read(line[:])
			if err != nil || string(line[:n]) != "PROXY\n" {
				t.Errorf("%q %v", line[:n], err)
			}
			started = true
			c.StartTLSServer(server)
		}))
	})
	tc := tls.Client(&prefixed{Conn: peer, first: []byte("PROXY\n")}, client)
	exchange(t, tc, noise(1000))
}

// prefixed writes first in one piece with the first write.
type prefixed struct {
	net.Conn
	first []byte
}

func (p *prefixed) Write(b []byte) (int, error) {
	if len(p.first) == 0 {
		return p.Conn.Write(b)
	}
	all := append(p.first, b...)
	p.first = nil
	n, err := p.Conn.Write(all)
	return min(n, len(b)), err
}

func TestMaxHandshakes(t *testing.T) {
	server, client := tlsConfigs(t)
	l := startLoop(t, Options{MaxHandshakes: 1})
	var conns [3]*Conn
	var peers [3]*net.TCPConn
	done := make(chan int, 3)
	for i := range conns {
		var fd int
		fd, peers[i] = tcpPair(t)
		on(t, l, func() {
			conns[i], _ = l.Adopt(fd, handlerFunc(func(c *Conn) {
				if !c.Handshaking() && c.HandshakeErr() == nil {
					done <- i
				}
			}))
			conns[i].StartTLSServer(server)
		})
	}
	peers[0].Write([]byte{22}) // takes the only place and keeps it
	until(t, l, func() bool { return l.shaking == 1 })
	for i := 1; i < 3; i++ {
		go tls.Client(peers[i], client).Handshake()
	}
	until(t, l, func() bool { return len(l.hsQueue) == 2 && l.shaking == 1 })
	on(t, l, func() { conns[0].Close() })
	if a, b := wait(t, done), wait(t, done); a+b != 3 {
		t.Error(a, b)
	}
}

// A dial that is made, or refused, while its handshake waits for its turn.
func TestMaxHandshakesOfDials(t *testing.T) {
	server, client := tlsConfigs(t)
	l := startLoop(t, Options{MaxHandshakes: 1})
	fd, peer := tcpPair(t)
	var first *Conn
	on(t, l, func() {
		first, _ = l.Adopt(fd, nil)
		first.StartTLSServer(server)
	})
	peer.Write([]byte{22})
	until(t, l, func() bool { return l.shaking == 1 })

	ln, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		if c, err := ln.Accept(); err == nil {
			io.Copy(c, c)
			c.Close()
		}
	}()
	free, _ := net.Listen("tcp", "127.0.0.1:0")
	refused := netip.MustParseAddrPort(free.Addr().String())
	free.Close()
	p := &loader{data: noise(1000), done: make(chan error, 1)}
	q := &loader{done: make(chan error, 1)}
	var c *Conn
	on(t, l, func() {
		c, _ = l.Dial(&Dialer{Addr: netip.MustParseAddrPort(ln.Addr().String())}, p)
		c.StartTLSClient(client)
		d, _ := l.Dial(&Dialer{Addr: refused}, q)
		d.StartTLSClient(client)
	})
	if err := wait(t, q.done); err != syscall.ECONNREFUSED {
		t.Error(err)
	}
	until(t, l, func() bool { return c.Connected() })
	on(t, l, func() {
		if l.shaking != 1 || c.tls.phase != tlsWaiting {
			t.Error("did not wait")
		}
		first.Close()
	})
	if err := wait(t, p.done); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(p.got, p.data) {
		t.Error("got", len(p.got))
	}
}

func TestTLSIdleGivesItsInputBufferBack(t *testing.T) {
	if rawInputOffset == 0 {
		t.Skip("this crypto/tls has no rawInput")
	}
	server, client := tlsConfigs(t)
	l := startLoop(t, Options{})
	fd, peer := tcpPair(t)
	var c *Conn
	on(t, l, func() {
		c, _ = l.Adopt(fd, &echo{l: l})
		c.StartTLSServer(server)
	})
	tc := tls.Client(peer, client)
	data := noise(100000)
	buf := make([]byte, len(data))
	trip := func() {
		go tc.Write(data)
		if _, err := io.ReadFull(tc, buf); err != nil || !bytes.Equal(buf, data) {
			t.Fatal(err)
		}
	}
	trip()
	on(t, l, func() {
		if c.tls.rawInput().Cap() < 16384 || !l.fatTimer.Armed() {
			t.Error("nothing to give back?")
		}
		l.now += 3e9
		l.wheel.advance(l.now)
		if n := c.tls.rawInput().Cap(); n != 0 {
			t.Error("an idle session holds", n)
		}
		if c.tls.out != nil || c.tls.over != nil {
			t.Error("an idle session holds output buffers")
		}
	})
	trip()
}

// A peer that makes crypto/tls answer, and does not read, must not fill memory.
func TestTLSRepliesAreBounded(t *testing.T) {
	server, client := tlsConfigs(t)
	l := startLoop(t, Options{})
	fd, peer := tcpPair(t)
	var c *Conn
	on(t, l, func() {
		c, _ = l.Adopt(fd, nil)
		c.StartTLSServer(server)
	})
	tls.Client(peer, client).Handshake()
	until(t, l, func() bool { return !c.Handshaking() })
	on(t, l, func() {
		c.flags &^= flagWritable // the socket takes nothing
		reply := make([]byte, 100)
		for range (recordBufferSize + maxReplies) / 100 {
			c.tls.writeSocket(reply)
		}
		if _, err := c.Read(reply); err != ErrAgain {
			t.Error("too early:", err)
		}
		c.tls.more = true
		c.tls.writeSocket(reply)
		c.tls.writeSocket(reply)
		if _, err := c.Read(reply); err != errFlood || !c.Failed() {
			t.Error(err)
		}
		c.Close()
		if l.Conns() != 0 {
			t.Error("a failed session lingers")
		}
	})
}
