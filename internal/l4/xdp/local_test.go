package xdp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"evenkeel/internal/l4"
)

// askHere talks from the director itself with whoever answers at an address.
// from is the address that the socket has, "" as the kernel chooses.
func (l *lan) askHere(network, address, from string, size int) (string, error) {
	var c net.Conn
	var err error
	l.in("d", func() {
		d := net.Dialer{Timeout: patience}
		if from != "" {
			d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
		}
		c, err = d.Dial(network, address)
	})
	if err != nil {
		return "", err
	}
	defer c.Close()
	return talk(c, network, size)
}

// here holds a method to what it must do for processes on the director.
func here(t *testing.T, l *lan, p *Plane) {
	t.Helper()
	eachKind(t, func(t *testing.T, network string, v6 bool) {
		address := net.JoinHostPort(vip(v6), "80")
		sizes := []int{400, 400, 400, 400}
		if network == "tcp" {
			sizes = append(sizes, 1<<20, 1<<20)
		}
		count := make(map[string]int)
		for _, size := range sizes {
			name, err := l.askHere(network, address, "", size)
			if err != nil {
				t.Fatalf("%d bytes: %v", size, err)
			}
			count[name]++
		}
		if count["s1"] != count["s2"] {
			t.Errorf("round robin: %v", count)
		}
		if network == "tcp" {
			own := map[bool]string{false: directorIP4, true: directorIP6}[v6]
			if _, err := l.askHere(network, address, own, 400); err != nil {
				t.Errorf("from %s: %v", own, err)
			}
		}
	})
	s, err := p.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if c := s.Services[0].Counters; c.PacketsIn == 0 || c.PacketsOut == 0 || c.BytesIn < 2<<20 || c.BytesOut < 2<<20 {
		t.Errorf("both ways pass the director: %+v", c)
	}
	if len(s.Drops) != 0 {
		t.Errorf("drops: %v", s.Drops)
	}
	if err := p.Flows(func(f l4.Flow) bool {
		if f.State == "SYN_RECV" {
			t.Errorf("a connection is not followed: %+v", f)
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
}

func TestClientsOnTheDirector(t *testing.T) {
	for _, c := range []struct {
		method l4.Method
		mode   Mode
	}{{l4.NAT, Auto}, {l4.DR, Clsact}, {l4.TUN, Auto}, {l4.FULLNAT, Auto}} {
		t.Run(c.method.String(), func(t *testing.T) {
			l := newLAN(t, "loc"+strings.ToLower(c.method.String()[:2]))
			addresses := func(n int) []string { return []string{serverIP(n, false), serverIP(n, true)} }
			switch c.method {
			case l4.NAT:
				l.throughDirector()
			case l4.FULLNAT:
				l.address("d", "10.77.0.200/32", "fd77::200/128")
			default:
				l.direct()
				addresses = func(int) []string { return []string{vip4, vip6} }
			}
			if c.method == l4.TUN {
				l.decapsulate(t)
			}
			l.servers(addresses)
			p := l.director(Options{Mode: c.mode})
			config := everything(c.method)
			if c.method == l4.FULLNAT {
				config.Pool = []netip.Addr{netip.MustParseAddr("10.77.0.200"), netip.MustParseAddr("fd77::200")}
			}
			l.set(p, config)
			here(t, l, p)
			// Other clients are served as ever.
			if got := l.turns(t, "tcp", vip4+":80", 4, 400); got["s1"] != 2 {
				t.Errorf("clients elsewhere: %v", got)
			}
			if _, err := p.Changed(0, true, func(s l4.Sync) bool {
				if s.Client.Addr() == netip.MustParseAddr(vip4) {
					t.Errorf("told to the other director: %+v", s)
				}
				return true
			}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A server on the director itself and one elsewhere take turns for clients
// here and elsewhere.
func TestServersOnTheDirector(t *testing.T) {
	l := newLAN(t, "own")
	l.direct()
	l.servers(func(int) []string { return []string{vip4, vip6} })
	l.in("d", func() {
		for _, a := range []string{vip4, vip6} {
			tcp, err := net.Listen("tcp", net.JoinHostPort(a, "80"))
			if err != nil {
				t.Fatal(err)
			}
			udp, err := net.ListenPacket("udp", net.JoinHostPort(a, "80"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { tcp.Close(); udp.Close() })
			go serveTCP(tcp, "d0")
			go serveUDP(udp, "d0")
		}
	})
	p := l.director(Options{})
	config := everything(l4.DR)
	for i := range config.Services {
		own := map[bool]string{false: directorIP4, true: directorIP6}[config.Services[i].Addr.Is6()]
		config.Services[i].Servers[1] = l4.Server{Addr: netip.MustParseAddr(own), Port: 80, Weight: 1, Method: l4.DR}
	}
	// Any port: answers of the server here must not be taken for new flows.
	anyPort := config.Services[1]
	anyPort.Port = 0
	anyPort.Servers = append([]l4.Server(nil), anyPort.Servers...)
	for i := range anyPort.Servers {
		anyPort.Servers[i].Port = 0
	}
	config.Services[1] = anyPort
	l.set(p, config)
	eachKind(t, func(t *testing.T, network string, v6 bool) {
		address := net.JoinHostPort(vip(v6), "80")
		count := make(map[string]int)
		for i := range 8 {
			var name string
			var err error
			if i%4 < 2 {
				name, err = l.askHere(network, address, "", 400)
			} else {
				name, err = l.ask(network, address, 400)
			}
			if err != nil {
				t.Fatalf("%d: %v", i, err)
			}
			count[name]++
		}
		if count["s1"] != 4 || count["d0"] != 4 {
			t.Errorf("turns: %v", count)
		}
	})
}

// Where there is no server a process here is told so at once, and what is none
// of the director's is left alone.
func TestNoServerForClientsOnTheDirector(t *testing.T) {
	l := newLAN(t, "non")
	path := "/proc/sys/net/ipv4/conf/lo/accept_local"
	read := func() (s string) {
		l.in("d", func() {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			s = strings.TrimSpace(string(b))
		})
		return s
	}
	before := read()
	p := l.director(Options{})
	if during := read(); before != "0" || during != "1" {
		t.Errorf("accept_local was %s, is %s", before, during)
	}
	c := everything(l4.NAT)
	for i := range c.Services {
		c.Services[i].Servers = nil
	}
	l.set(p, c)
	for _, a := range []string{vip4, vip6} {
		if _, err := l.askHere("tcp", net.JoinHostPort(a, "80"), "", 8); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: %v", a, err)
		}
	}
	l.in("d", func() {
		for _, a := range []string{vip4 + ":81", "127.0.0.1:80", "[::1]:80"} {
			listener, err := net.Listen("tcp", a)
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go serveTCP(listener, "d0")
			if name, err := l.askHere("tcp", a, "", 1<<16); name != "d0" || err != nil {
				t.Errorf("%s: %s, %v", a, name, err)
			}
		}
	})
	p.Close()
	if after := read(); after != "0" {
		t.Errorf("accept_local is %s after the end", after)
	}
}

// The port that a process has is taken on the address that servers see: it
// gets another one there.
func TestPortsOfClientsOnTheDirector(t *testing.T) {
	l := newLAN(t, "prt")
	l.direct()
	l.servers(func(int) []string { return []string{vip4, vip6} })
	p := l.director(Options{})
	l.set(p, everything(l4.DR))
	for _, a := range []struct{ own, vip string }{{directorIP4, vip4}, {directorIP6, vip6}} {
		var open []net.Conn
		for _, from := range []string{a.own, a.vip} {
			l.in("d", func() {
				d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from), Port: 4444}}
				c, err := d.Dial("tcp", net.JoinHostPort(a.vip, "80"))
				if err != nil {
					t.Fatal(err)
				}
				open = append(open, c)
			})
		}
		for i, c := range open {
			if name, err := talk(c, "tcp", 4000); err != nil {
				t.Errorf("connection %d of %s: %v", i, a.vip, err)
			} else if want := fmt.Sprintf("s%d", 2-i); name != want {
				t.Errorf("connection %d of %s went to %s, not %s", i, a.vip, name, want)
			}
			c.Close()
		}
	}
}
