package forwarding

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// roomy makes a socket's buffer so large that it loses nothing.
func roomy(conn *net.UDPConn) {
	if raw, err := conn.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20) })
	}
}

// echo sends back what comes to an address of a real server.
func (l *lan) echo(n, address string) {
	l.t.Helper()
	var conn *net.UDPConn
	var err error
	l.inside(n, func() {
		var at *net.UDPAddr
		if at, err = net.ResolveUDPAddr("udp", address); err == nil {
			conn, err = net.ListenUDP("udp", at)
		}
	})
	if err != nil {
		l.t.Fatal(err)
	}
	roomy(conn)
	l.t.Cleanup(func() { conn.Close() })
	go func() {
		var b [2048]byte
		for {
			n, from, err := conn.ReadFromUDPAddrPort(b[:])
			if err != nil {
				return
			}
			_, _ = conn.WriteToUDPAddrPort(b[:n], from)
		}
	}()
}

// counted is one UDP flow with a number in every datagram: one that is lost on
// the way there or back is missed.
type counted struct {
	name string
	conn *net.UDPConn
	stop chan struct{}
	sent chan uint64 // how many, when it has stopped

	mu  sync.Mutex
	got map[uint64]int
}

// every is how often a flow sends.
const every = time.Millisecond

func (l *lan) counted(name, from, addr string) *counted {
	l.t.Helper()
	c, err := l.dialFrom("udp", from, addr, asking)
	if err != nil {
		l.t.Fatal(err)
	}
	f := &counted{name: name, conn: c.(*net.UDPConn), stop: make(chan struct{}), sent: make(chan uint64, 1), got: map[uint64]int{}}
	roomy(f.conn)
	l.t.Cleanup(func() { f.conn.Close() })
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for n := uint64(0); ; n++ {
			var b [64]byte
			binary.BigEndian.PutUint64(b[:], n)
			if _, err := f.conn.Write(b[:]); err != nil {
				n-- // refused by this host's own kernel: nothing has been sent
			}
			select {
			case <-f.stop:
				f.sent <- n + 1
				return
			case <-tick.C:
			}
		}
	}()
	go func() {
		var b [2048]byte
		for {
			n, err := f.conn.Read(b[:])
			if err != nil {
				if n == 0 && isClosed(err) {
					return
				}
				continue // an ICMP error says nothing about the next datagram
			}
			f.mu.Lock()
			f.got[binary.BigEndian.Uint64(b[:])]++
			f.mu.Unlock()
		}
	}()
	return f
}

func isClosed(err error) bool {
	e, ok := err.(*net.OpError)
	return ok && e.Err == net.ErrClosed
}

// lost ends the flow and says what has not come back.
func (f *counted) lost(l *lan) (sent uint64, lost []uint64) {
	close(f.stop)
	sent = <-f.sent
	missing := func() (list []uint64) {
		f.mu.Lock()
		defer f.mu.Unlock()
		for n := range sent {
			if f.got[n] == 0 {
				list = append(list, n)
			}
		}
		return list
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if lost = missing(); len(lost) == 0 {
			break
		}
	}
	return sent, lost
}

// fresh begins a new flow for every datagram, each from a port of its own, and
// counts those that are not answered.
type fresh struct {
	stop   chan struct{}
	result chan [2]int // asked, lost
}

func (l *lan) fresh(from, addr string, firstPort int) *fresh {
	f := &fresh{stop: make(chan struct{}), result: make(chan [2]int, 1)}
	to, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		l.t.Fatal(err)
	}
	go l.inside("c", func() {
		var asked, lost int
		defer func() { f.result <- [2]int{asked, lost} }()
		for port := firstPort; ; port++ {
			select {
			case <-f.stop:
				return
			case <-time.After(2 * every):
			}
			conn, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from), Port: port}, to)
			if err != nil {
				continue // somebody has that port
			}
			asked++
			_ = conn.SetDeadline(time.Now().Add(patience / 3))
			if _, err := datagram(conn, []byte("x")); err != nil {
				lost++
			}
			conn.Close()
		}
	})
	return f
}

// surviving is a configuration with a service by NAT and one by DR, whose third
// server comes and goes.
func surviving(third bool, weight int) string {
	text := ""
	for _, s := range []struct{ vip, method, network, port string }{{"10.79.0.101", "NAT", "10.80", "8080"}, {"10.79.0.102", "DR", "10.79", "80"}} {
		text += fmt.Sprintf("virtual_server %s 80 {\n  delay_loop 0.5\n  lb_algo wrr\n  lb_kind %s\n  protocol UDP\n", s.vip, s.method)
		for n := 21; n < 23 || n < 24 && third; n++ {
			text += fmt.Sprintf("  real_server %s.0.%d %s {\n    weight %d\n    UDP_CHECK {\n      payload 68\n      require_reply\n      connect_timeout 10\n      retry 3\n    }\n  }\n", s.network, n, s.port, weight)
		}
		text += "}\n"
	}
	return text
}

// TestNothingLost: datagrams by NAT and DR, in a flow each and in new flows, while
// evenkeel is reloaded 20 times, exchanged, and killed in every way. What outlives
// the processes forwards: not one is lost.
func TestNothingLost(t *testing.T) {
	l := newLAN(t)
	for _, n := range []string{"1", "2", "3"} {
		l.sysctl(n, "net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2")
		l.ip(n, "addr add 10.79.0.102/32 dev lo")
		l.ip(n, "route add default via "+insideVIP)
		l.echo(n, "10.80.0.2"+n+":8080")
		l.echo(n, "10.79.0.102:80")
		l.echo(n, "10.79.0.2"+n+":80") // for the checks
	}
	for _, a := range []string{"10.79.0.101/24", "10.79.0.102/24", insideVIP + "/24"} {
		l.ip("d", "addr add "+a+" dev eth0")
	}
	d := l.director("d", surviving(false, 1))

	var flows []*counted
	for i, from := range []string{"10.81.0.2", "10.79.0.2"} {
		to := fmt.Sprintf("10.79.0.10%d:80", i+1)
		method := []string{"NAT", "DR"}[i]
		// Once back and forth first: neighbours are not known yet.
		for range 3 {
			c, err := l.dialFrom("udp", from, to, patience)
			if err == nil {
				_ = c.SetDeadline(time.Now().Add(patience))
				if _, err = datagram(c, []byte("x")); err != nil {
					t.Fatalf("%s: %v", method, err)
				}
				c.Close()
			}
		}
		flows = append(flows, l.counted(method, from, to))
	}
	anew := []*fresh{l.fresh("10.81.0.2", "10.79.0.101:80", 20000), l.fresh("10.79.0.2", "10.79.0.102:80", 40000)}

	// so far says which event a loss belongs to.
	soFar := func(event string) {
		t.Helper()
		time.Sleep(20 * every) // what is under way now belongs to this event
		for _, f := range flows {
			f.mu.Lock()
			t.Logf("%s: %s has %d datagrams back", event, f.name, len(f.got))
			f.mu.Unlock()
		}
	}
	for i := range 20 {
		d.reload(surviving(i%2 == 0, 1+i%3))
	}
	soFar("20 reloads")
	pid := d.another(0)
	for range 2 {
		d.install()
		d.reload(surviving(true, 1))
		pid = d.another(pid)
	}
	soFar("2 upgrades")
	for range 2 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		pid = d.another(pid)
	}
	soFar("the process that forwards killed twice")
	for _, all := range []bool{false, true} {
		child := d.another(0)
		if all {
			_ = syscall.Kill(d.cmd.Process.Pid, syscall.SIGSTOP) // so that it starts no other
			_ = syscall.Kill(child, syscall.SIGKILL)
		}
		_ = d.cmd.Process.Kill()
		_ = d.cmd.Wait()
		l.eventually("its processes end", func() bool { return syscall.Kill(child, 0) != nil })
		time.Sleep(100 * every) // nobody runs
		d.restart()
		soFar(map[bool]string{false: "the keeper killed", true: "all killed at once"}[all])
	}

	for _, f := range flows {
		if sent, lost := f.lost(l); len(lost) > 0 || sent < 100 {
			t.Errorf("%s: %d of %d datagrams of a flow are lost: %v", f.name, len(lost), sent, lost[:min(len(lost), 20)])
		} else {
			t.Logf("%s: %d datagrams, none lost", f.name, sent)
		}
	}
	for i, f := range anew {
		close(f.stop)
		if r := <-f.result; r[1] > 0 || r[0] < 100 {
			t.Errorf("%s: %d of %d new flows are not answered", flows[i].name, r[1], r[0])
		} else {
			t.Logf("%s: %d new flows, all answered", flows[i].name, r[0])
		}
	}
}
