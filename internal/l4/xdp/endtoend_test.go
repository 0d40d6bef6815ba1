package xdp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"

	"evenkeel/internal/l4"
)

// conversation is how the servers of these tests talk TCP: the client sends
// "N\n" and N bytes; the server answers its name, a newline and the same bytes.
func serveTCP(l net.Listener, name string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			var n int
			if _, err := fmt.Fscanf(c, "%d\n", &n); err != nil {
				return
			}
			data := make([]byte, n)
			if _, err := io.ReadFull(c, data); err != nil {
				return
			}
			fmt.Fprintln(c, name)
			c.Write(data)
			io.Copy(io.Discard, c)
		}()
	}
}

func serveUDP(c net.PacketConn, name string) {
	buffer := make([]byte, 65536)
	for {
		n, from, err := c.ReadFrom(buffer)
		if err != nil {
			return
		}
		c.WriteTo(append([]byte(name+"\n"), buffer[:n]...), from)
	}
}

// servers starts both servers on port 80, answering from the address that was
// asked.
func (l *lan) servers(addresses func(n int) []string) {
	for n := 1; n <= 2; n++ {
		name := fmt.Sprintf("s%d", n)
		l.in(name, func() {
			for _, a := range addresses(n) {
				tcp, err := net.Listen("tcp", net.JoinHostPort(a, "80"))
				// The kernel makes a new IPv6 address usable a little later.
				for end := time.Now().Add(patience); errors.Is(err, syscall.EADDRNOTAVAIL) && time.Now().Before(end); {
					time.Sleep(10 * time.Millisecond)
					tcp, err = net.Listen("tcp", net.JoinHostPort(a, "80"))
				}
				if err != nil {
					l.t.Fatal(err)
				}
				udp, err := net.ListenPacket("udp", net.JoinHostPort(a, "80"))
				if err != nil {
					l.t.Fatal(err)
				}
				l.t.Cleanup(func() { tcp.Close(); udp.Close() })
				go serveTCP(tcp, name)
				go serveUDP(udp, name)
			}
		})
	}
}

// patience is how long a test waits for what has to happen.
const patience = 30 * time.Second

// dial opens a connection from the client.
func (l *lan) dial(network, address string) (c net.Conn, err error) {
	l.in("c", func() {
		c, err = net.DialTimeout(network, address, patience)
	})
	return c, err
}

// ask talks with whoever answers at an address and gives its name.
func (l *lan) ask(network, address string, size int) (string, error) {
	c, err := l.dial(network, address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	return talk(c, network, size)
}

func talk(c net.Conn, network string, size int) (string, error) {
	c.SetDeadline(time.Now().Add(patience))
	data := bytes.Repeat([]byte("keel"), size/4)
	if network == "udp" {
		if _, err := c.Write(data); err != nil {
			return "", err
		}
		buffer := make([]byte, 65536)
		n, err := c.Read(buffer)
		if err != nil {
			return "", err
		}
		name, rest, _ := strings.Cut(string(buffer[:n]), "\n")
		if rest != string(data) {
			return name, fmt.Errorf("%d bytes came back of %d", len(rest), len(data))
		}
		return name, nil
	}
	var sending sync.WaitGroup
	sending.Add(1)
	go func() {
		defer sending.Done()
		fmt.Fprintf(c, "%d\n", len(data))
		c.Write(data)
	}()
	defer sending.Wait()
	answer := make([]byte, 3+len(data))
	if _, err := io.ReadFull(c, answer); err != nil {
		return "", err
	}
	if !bytes.Equal(answer[3:], data) {
		return string(answer[:2]), fmt.Errorf("other bytes came back")
	}
	return string(answer[:2]), nil
}

// director opens a plane in the director's namespace.
func (l *lan) director(o Options) *Plane {
	l.t.Helper()
	var p *Plane
	var err error
	l.in("d", func() { p, err = Open(o) })
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { p.Close() })
	return p
}

func (l *lan) set(p *Plane, c l4.Config) {
	l.t.Helper()
	l.in("d", func() {
		if err := p.Set(c); err != nil {
			l.t.Fatal(err)
		}
	})
}

// vip is the virtual address of a family.
func vip(v6 bool) string {
	if v6 {
		return vip6
	}
	return vip4
}

// both is a service of the two servers.
func both(method l4.Method, protocol l4.Protocol, v6 bool) l4.Service {
	s := l4.Service{Key: l4.Key{Addr: netip.MustParseAddr(vip(v6)), Protocol: protocol, Port: 80}, Scheduler: "rr"}
	for n := 1; n <= 2; n++ {
		s.Servers = append(s.Servers, l4.Server{Addr: netip.MustParseAddr(serverIP(n, v6)), Port: 80, Weight: 1, Method: method})
	}
	return s
}

func everything(method l4.Method) l4.Config {
	var c l4.Config
	for _, v6 := range []bool{false, true} {
		c.Services = append(c.Services, both(method, l4.TCP, v6), both(method, l4.UDP, v6))
	}
	return c
}

// eachKind runs a function for TCP and UDP over IPv4 and IPv6.
func eachKind(t *testing.T, f func(t *testing.T, network string, v6 bool)) {
	for _, v6 := range []bool{false, true} {
		for _, network := range []string{"tcp", "udp"} {
			name := network + "4"
			if v6 {
				name = network + "6"
			}
			t.Run(name, func(t *testing.T) { f(t, network, v6) })
		}
	}
}

// turns talks n times and counts who answered.
func (l *lan) turns(t *testing.T, network, address string, n, size int) map[string]int {
	t.Helper()
	count := make(map[string]int)
	for range n {
		name, err := l.ask(network, address, size)
		if err != nil {
			t.Fatalf("%s %s: %v", network, address, err)
		}
		count[name]++
	}
	return count
}

// through holds a method to what every method must do.
func through(t *testing.T, l *lan, p *Plane) {
	eachKind(t, func(t *testing.T, network string, v6 bool) {
		address := net.JoinHostPort(vip(v6), "80")
		if got := l.turns(t, network, address, 6, 400); got["s1"] != 3 || got["s2"] != 3 {
			t.Errorf("round robin of 6: %v", got)
		}
		if network == "tcp" {
			l.turns(t, network, address, 2, 1<<20)
		}
		if network == "udp" {
			l.turns(t, network, address, 2, 4000) // in fragments
		}
	})
	s, err := p.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Drops) != 0 {
		t.Errorf("drops: %v", s.Drops)
	}
	if t.Failed() {
		t.Logf("%+v", s)
	}
}

func TestNAT(t *testing.T) {
	l := newLAN(t, "nat")
	l.throughDirector()
	l.servers(func(n int) []string { return []string{serverIP(n, false), serverIP(n, true)} })
	p := l.director(Options{})
	l.set(p, everything(l4.NAT))
	through(t, l, p)
	s, _ := p.Stats()
	if c := s.Services[0].Counters; c.PacketsOut == 0 || c.BytesOut < 2<<20 || c.BytesIn < 2<<20 || c.Connections != 8 {
		t.Errorf("counters: %+v", c)
	}
}

func TestDR(t *testing.T) {
	l := newLAN(t, "dr")
	l.direct()
	l.servers(func(n int) []string { return []string{vip4, vip6} })
	p := l.director(Options{})
	l.set(p, everything(l4.DR))
	through(t, l, p)
}

// decapsulate has both servers take TUN's outer headers off.
func (l *lan) decapsulate(t *testing.T) {
	for _, s := range []string{"s1", "s2"} {
		var d *Decapsulator
		var err error
		l.in(s, func() { d, err = OpenDecapsulator(DecapOptions{}) })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		if err := d.Set(netip.MustParseAddr(vip4), netip.MustParseAddr(vip6)); err != nil {
			t.Fatal(err)
		}
	}
}

// tunnels is a LAN whose servers unwrap, and its director.
func tunnels(t *testing.T, name string) (*lan, *Plane) {
	l := newLAN(t, name)
	l.direct()
	l.decapsulate(t)
	l.servers(func(n int) []string { return []string{vip4, vip6} })
	p := l.director(Options{})
	return l, p
}

func TestTUN(t *testing.T) {
	l, p := tunnels(t, "tun")
	l.set(p, everything(l4.TUN))
	eachKind(t, func(t *testing.T, network string, v6 bool) {
		address := net.JoinHostPort(vip(v6), "80")
		if got := l.turns(t, network, address, 6, 400); got["s1"] != 3 || got["s2"] != 3 {
			t.Errorf("round robin of 6: %v", got)
		}
		if network == "tcp" {
			// Full segments do not fit with the outer header: they are cut shorter.
			l.turns(t, network, address, 2, 1<<20)
		}
	})
}

// Linux before 6.3 cannot unwrap these.
func TestTunnelsOfTheOtherFamily(t *testing.T) {
	l, p := tunnels(t, "tux")
	crossed := everything(l4.TUN)
	for i := range crossed.Services {
		v6 := crossed.Services[i].Addr.Is4()
		for n := range crossed.Services[i].Servers {
			crossed.Services[i].Servers[n].Addr = netip.MustParseAddr(serverIP(n+1, v6))
		}
	}
	l.set(p, crossed)
	eachKind(t, func(t *testing.T, network string, v6 bool) {
		if got := l.turns(t, network, net.JoinHostPort(vip(v6), "80"), 4, 400); got["s1"] != 2 || got["s2"] != 2 {
			t.Errorf("in a tunnel of the other family: %v", got)
		}
	})
	if t.Failed() {
		s, _ := p.Stats()
		t.Logf("%+v", s)
	}
}

func TestFullNAT(t *testing.T) {
	l := newLAN(t, "fn")
	l.servers(func(n int) []string { return []string{serverIP(n, false), serverIP(n, true)} })
	l.address("d", "10.77.0.200/32", "fd77::200/128")
	p := l.director(Options{})
	c := everything(l4.FULLNAT)
	c.Pool = []netip.Addr{netip.MustParseAddr("10.77.0.200"), netip.MustParseAddr("fd77::200")}
	l.set(p, c)
	through(t, l, p)
}

func TestWeightsDrainAndRemoval(t *testing.T) {
	l := newLAN(t, "dra")
	l.throughDirector()
	l.servers(func(n int) []string { return []string{serverIP(n, false)} })
	p := l.director(Options{})
	s := both(l4.NAT, l4.TCP, false)
	s.Scheduler = "wrr"
	s.Servers[0].Weight = 3
	l.set(p, l4.Config{Services: []l4.Service{s}})
	address := vip4 + ":80"
	if got := l.turns(t, "tcp", address, 8, 8); got["s1"] != 6 || got["s2"] != 2 {
		t.Errorf("weights 3 and 1: %v", got)
	}
	c, err := l.dial("tcp", address)
	for err == nil {
		// A connection that stays, to s1.
		if name, err := talk(c, "tcp", 8); err != nil {
			t.Fatal(err)
		} else if name == "s1" {
			break
		}
		c.Close()
		c, err = l.dial("tcp", address)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s.Servers[0].Weight = 0
	l.set(p, l4.Config{Services: []l4.Service{s}})
	if got := l.turns(t, "tcp", address, 4, 8); got["s2"] != 4 {
		t.Errorf("new connections while s1 drains: %v", got)
	}
	if _, err := c.Write([]byte("more")); err != nil {
		t.Error(err)
	}
	if !acknowledged(l, c, patience) {
		t.Error("the draining server's connection does not go on")
	}
	s.Servers = s.Servers[1:]
	l.set(p, l4.Config{Services: []l4.Service{s}})
	c.Write([]byte("lost"))
	if acknowledged(l, c, 2*time.Second) {
		t.Error("a removed server still gets packets")
	}
	back := both(l4.NAT, l4.TCP, false)
	l.set(p, l4.Config{Services: []l4.Service{back}})
	if !acknowledged(l, c, patience) {
		t.Error("a connection does not go on when its server is back")
	}
}

// acknowledged is whether the client's unacknowledged bytes get through within
// some retransmissions. They come at times that double.
func acknowledged(l *lan, c net.Conn, within time.Duration) bool {
	local := c.LocalAddr().(*net.TCPAddr).Port
	for end := time.Now().Add(within); time.Now().Before(end); {
		out := l.run("ip", "netns", "exec", l.prefix+"c", "ss", "-tnH", "sport", "=", fmt.Sprintf(":%d", local))
		if f := strings.Fields(out); len(f) > 2 && f[2] == "0" {
			return true
		}
		time.Sleep(100 * time.Millisecond)
	}
	return false
}

// A new process takes pinned programs and maps over: packets pass all the
// time, and connections go on.
func TestTakeOver(t *testing.T) {
	l := newLAN(t, "tak")
	l.throughDirector()
	l.servers(func(n int) []string { return []string{serverIP(n, false), serverIP(n, true)} })
	pin := t.TempDir() + "/bpf"
	t.Cleanup(func() {
		l.in("d", func() {
			if err := Remove(pin); err != nil {
				t.Error(err)
			}
		})
	})
	first := l.director(Options{Pin: pin})
	config := everything(l4.NAT)
	config.Services[0].Port, config.Services[0].PortLast = 80, 90
	l.set(first, config)
	c, err := l.dial("tcp", vip4+":80")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	stop := make(chan struct{})
	var lost, sent int
	var pinging sync.WaitGroup
	udp, err := l.dial("udp", vip4+":80")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	pinging.Add(1)
	go func() {
		defer pinging.Done()
		for {
			select {
			case <-stop:
				return
			default:
			}
			sent++
			if _, err := talk(udp, "udp", 16); err != nil {
				lost++
			}
		}
	}()
	last := first
	for range 5 {
		next := l.director(Options{Pin: pin})
		last.Close()
		last = next
		l.set(next, config)
	}
	last.Close()
	time.Sleep(50 * time.Millisecond) // nobody is there, and packets pass
	l.in("d", func() {                // one that cannot go on from it says so, and is not in the way
		if _, err := Open(Options{Pin: pin, MaxFlows: 64}); !errors.Is(err, ErrLeft) {
			t.Errorf("with other limits: %v", err)
		}
	})
	last = l.director(Options{Pin: pin})
	close(stop)
	pinging.Wait()
	if lost > 0 || sent < 10 {
		t.Errorf("%d of %d packets lost", lost, sent)
	}
	if name, err := talk(c, "tcp", 1<<20); err != nil {
		t.Errorf("a connection from before: %s, %v", name, err)
	}
	l.set(last, config)
	s, err := last.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Services[0].Connections; got != 1 {
		t.Errorf("%d connections counted, want 1: counters do not outlive the process", got)
	}
	if got := s.Services[0].Servers[0].Active + s.Services[0].Servers[1].Active; got != 1 {
		t.Errorf("%d active connections, want 1", got)
	}
}

func TestClsact(t *testing.T) {
	l := newLAN(t, "cls")
	l.throughDirector()
	l.servers(func(n int) []string { return []string{serverIP(n, false)} })
	p := l.director(Options{Mode: Clsact})
	l.set(p, l4.Config{Services: []l4.Service{both(l4.NAT, l4.TCP, false)}})
	if got := l.turns(t, "tcp", vip4+":80", 4, 1<<16); got["s1"] != 2 {
		t.Errorf("round robin: %v", got)
	}
	p.Close()
	l.in("d", func() {
		if out := l.run("tc", "filter", "show", "dev", "eth0", "ingress"); strings.Contains(out, "bpf") {
			t.Errorf("a filter is left: %s", out)
		}
	})
}

// XDP on virtual cables needs senders that complete their checksums and, for
// what goes back out, a program at the cable's other end.
func TestXDP(t *testing.T) {
	l := newLAN(t, "xdp")
	l.throughDirector()
	l.servers(func(n int) []string { return []string{serverIP(n, false), serverIP(n, true)} })
	for _, n := range []string{"c", "s1", "s2", "d"} {
		l.in(n, func() { withoutChecksums(t, "eth0") })
	}
	l.in("w", func() {
		pass := xdpPass(t)
		port, err := net.InterfaceByName("pd")
		if err != nil {
			t.Fatal(err)
		}
		a, err := link.AttachXDP(link.XDPOptions{Interface: port.Index, Program: pass, Flags: link.XDPDriverMode})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { a.Close() })
	})
	p := l.director(Options{Mode: Native})
	l.set(p, everything(l4.NAT))
	for _, a := range []string{vip4, vip6} {
		for range 2 { // both servers become known neighbours
			if _, err := l.ask("tcp", net.JoinHostPort(a, "80"), 8); err != nil {
				t.Fatal(err)
			}
		}
	}
	waitUntil(t, patience, func() bool { return p.hops.known() })
	p.detach(func(a *attachment) bool { return a.kind != "xdp" }) // from here on it is XDP alone
	through(t, l, p)
}
