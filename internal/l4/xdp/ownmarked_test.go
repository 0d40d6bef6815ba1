package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"evenkeel/internal/l4"
	"evenkeel/internal/l4/marks"
)

// nft runs it on a host of the wire.
func (l *lan) nft(n string, commands ...string) string {
	l.t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		l.t.Skip("no nft")
	}
	return l.run("ip", "netns", "exec", l.prefix+n, "nft", strings.Join(commands, "; "))
}

// markHere marks packets to the virtual addresses' port 80, as users do.
func (l *lan) markHere(hook string) {
	l.t.Helper()
	kind := map[string]string{"prerouting": "filter", "output": "route"}[hook]
	l.nft("d", "add table inet user",
		fmt.Sprintf("add chain inet user %s { type %s hook %s priority mangle; }", hook, kind, hook),
		fmt.Sprintf("add rule inet user %s ip daddr %s meta l4proto { tcp, udp } th dport 80 meta mark set 7", hook, vip4),
		fmt.Sprintf("add rule inet user %s ip6 daddr %s meta l4proto { tcp, udp } th dport 80 meta mark set 7", hook, vip6))
}

// byMark are services of one mark in place of those of addresses.
func byMark(method l4.Method) (c l4.Config) {
	for _, v6 := range []bool{false, true} {
		s := both(method, l4.TCP, v6)
		s.Key = l4.Key{FwMark: 7, Family: s.Key.AddressFamily()}
		c.Services = append(c.Services, s)
	}
	return c
}

// prepare has the servers of a method ready, and says what a configuration of it
// needs besides.
func (l *lan) prepare(t *testing.T, method l4.Method, c *l4.Config) {
	t.Helper()
	addresses := func(n int) []string { return []string{serverIP(n, false), serverIP(n, true)} }
	switch method {
	case l4.NAT:
		l.throughDirector()
	case l4.FULLNAT:
		l.address("d", "10.77.0.200/32", "fd77::200/128")
		c.Pool = []netip.Addr{netip.MustParseAddr("10.77.0.200"), netip.MustParseAddr("fd77::200")}
	default:
		l.direct()
		addresses = func(int) []string { return []string{vip4, vip6} }
	}
	if method == l4.TUN {
		l.decapsulate(t)
	}
	l.servers(addresses)
}

// The virtual addresses are the director's own, and netfilter marks what comes
// to them: with a firewall that follows connections, and without.
func TestMarksOnTheHostsOwnAddresses(t *testing.T) {
	for _, c := range []struct {
		method l4.Method
		mode   Mode
		strict bool // a firewall that lets nothing through, reverse paths filtered
	}{{l4.NAT, Auto, true}, {l4.DR, Clsact, false}, {l4.DR, Auto, true}, {l4.TUN, Auto, false}, {l4.FULLNAT, Clsact, true}} {
		t.Run(fmt.Sprint(c.method, c.mode, c.strict), func(t *testing.T) {
			l := newLAN(t, "own")
			config := byMark(c.method)
			l.prepare(t, c.method, &config)
			l.markHere("prerouting")
			if c.strict {
				l.sysctl("d", "net.ipv4.conf.all.rp_filter", "1")
				l.sysctl("d", "net.ipv4.conf.eth0.rp_filter", "1")
				l.nft("d", "add chain inet user input { type filter hook input priority filter; policy drop; }", "add chain inet user forward { type filter hook forward priority filter; policy drop; }",
					"add rule inet user input ct state established,related accept", "add rule inet user input ip6 nexthdr icmpv6 accept",
					"add chain inet user out { type filter hook output priority filter; policy drop; }", "add rule inet user out oif lo accept",
					"add rule inet user out ct state established,related accept", "add rule inet user out ip6 nexthdr icmpv6 accept",
					"add rule inet user out oif eth0 ip daddr 10.77.0.0/24 accept")
			}
			p := l.director(Options{Mode: c.mode})
			l.set(p, config)
			want := uint64(16) // eight of each protocol, two of them large
			if c.method != l4.TUN {
				through(t, l, p)
			} else { // fragments do not fit with the outer header
				want = 8
				eachKind(t, func(t *testing.T, network string, v6 bool) {
					size := map[string]int{"tcp": 1 << 20, "udp": 400}[network]
					if got := l.turns(t, network, net.JoinHostPort(vip(v6), "80"), 4, size); got["s1"] != 2 || got["s2"] != 2 {
						t.Errorf("turns: %v", got)
					}
				})
			}
			st, err := p.Stats()
			if err != nil {
				t.Fatal(err)
			}
			for i := range st.Services {
				if got := st.Services[i].Counters; got.Connections != want || got.BytesIn < 2<<20 {
					t.Errorf("service %d: %+v", i, got)
				}
			}
			// Only what begins a connection comes by netfilter: with fragments that
			// is one packet or several.
			if got := l.nft("d", "list chain ip evenkeel_marks copy"); !strings.Contains(got, "dup to 127.0.0.1") || strings.Contains(got, "packets 0 ") {
				t.Errorf("copies: %s", got)
			}
			l.set(p, l4.Config{})
			if got := l.nft("d", "list ruleset"); strings.Contains(got, "evenkeel") {
				t.Errorf("left:\n%s", got)
			}
		})
	}
}

// Processes on the director are clients too, whether their packets are marked
// where they come in, as everybody's, or where they go out.
func TestMarksOfClientsOnTheDirector(t *testing.T) {
	for _, hook := range []string{"prerouting", "output"} {
		for _, method := range []l4.Method{l4.NAT, l4.DR} {
			t.Run(hook+" "+method.String(), func(t *testing.T) {
				l := newLAN(t, "own")
				config := byMark(method)
				l.prepare(t, method, &config)
				l.markHere(hook)
				p := l.director(Options{})
				l.set(p, config)
				here(t, l, p)
			})
		}
	}
}

// What has the mark and is none of the director's comes to the host's stack.
func TestMarkedPacketsOfTheHostItself(t *testing.T) {
	l := newLAN(t, "own")
	config := byMark(l4.NAT)
	l.prepare(t, l4.NAT, &config)
	l.nft("d", "add table inet user", "add chain inet user prerouting { type filter hook prerouting priority mangle; }",
		"add rule inet user prerouting ip daddr "+vip4+" meta mark set 7", "add rule inet user prerouting ip6 daddr "+vip6+" meta mark set 7")
	own := map[bool]string{false: directorIP4, true: directorIP6}
	for i, v6 := range []bool{false, true} {
		config.Services[i].Servers = []l4.Server{{Addr: netip.MustParseAddr(own[v6]), Weight: 1, Method: l4.DR}}
	}
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
	l.set(p, config)
	eachKind(t, func(t *testing.T, network string, v6 bool) {
		// The server is the director itself.
		size := 4000
		if network == "tcp" {
			size = 1 << 20
		}
		if got, err := l.ask(network, net.JoinHostPort(vip(v6), "80"), size); got != "d0" || err != nil {
			t.Errorf("a client: %s, %v", got, err)
		}
		if got, err := l.askHere(network, net.JoinHostPort(vip(v6), "80"), "", size); got != "d0" || err != nil {
			t.Errorf("a client here: %s, %v", got, err)
		}
	})
	// Neither TCP nor UDP.
	l.echo(t, "ip4:icmp", vip4, 8, 0)
	l.echo(t, "ip6:ipv6-icmp", vip6, 128, 129)
	// No server: who asks is told, wherever it is.
	config = byMark(l4.NAT)
	for i := range config.Services {
		config.Services[i].Servers = nil
	}
	l.set(p, config)
	for _, a := range []string{vip4, vip6} {
		if _, err := l.dial("tcp", net.JoinHostPort(a, "80")); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a client of no server: %v", err)
		}
		if _, err := l.askHere("tcp", net.JoinHostPort(a, "80"), "", 8); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a client here of no server: %v", err)
		}
	}
}

// echo asks a virtual address for an echo until one comes.
func (l *lan) echo(t *testing.T, network, address string, request, reply byte) {
	t.Helper()
	var c net.Conn
	var err error
	l.in("c", func() { c, err = net.Dial(network, address) })
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := []byte{request, 0, 0, 0, 0x12, 0x34, 0, 1, 'k', 'e', 'e', 'l'}
	if request == 8 { // the kernel sums up for IPv6
		binary.BigEndian.PutUint16(b[2:], sum16(b, 0))
	}
	answer := make([]byte, 1500)
	waitFor(t, "an echo of "+address, func() bool {
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(time.Second))
		n, err := c.Read(answer)
		return err == nil && n >= len(b) && answer[n-len(b)] == reply // behind an IPv4 header
	})
}

// The tables are put back when somebody flushes all rules, outlive the process,
// and go with what the process had pinned.
func TestTablesOfMarksAreKept(t *testing.T) {
	l := newLAN(t, "own")
	config := byMark(l4.NAT)
	l.prepare(t, l4.NAT, &config)
	l.markHere("prerouting")
	o := Options{Pin: filepath.Join(t.TempDir(), "bpf")}
	p := l.director(o)
	t.Cleanup(func() { p.Close(); l.in("d", func() { Remove(o.Pin) }) })
	l.set(p, config)
	has := func() bool {
		got := l.nft("d", "list ruleset")
		return strings.Contains(got, "table ip evenkeel_marks") && strings.Contains(got, "table ip6 evenkeel_marks") && strings.Contains(got, "0x00000007")
	}
	if !has() {
		t.Fatal("no tables")
	}
	l.nft("d", "flush ruleset")
	waitFor(t, "the tables are put back", has)
	l.markHere("prerouting")
	if got := l.turns(t, "tcp", vip4+":80", 4, 400); got["s1"] != 2 {
		t.Errorf("after a flush: %v", got)
	}
	p.Close()
	if !has() {
		t.Error("without a process there are no tables")
	}
	if got := l.turns(t, "tcp", vip4+":80", 4, 400); got["s1"] != 2 {
		t.Errorf("without a process: %v", got)
	}
	p = l.director(o)
	l.nft("d", "delete table ip evenkeel_marks")
	time.Sleep(5 * settleMarks) // nothing is told to the new process yet: it must not act
	if got := l.nft("d", "list ruleset"); !strings.Contains(got, "table ip6 evenkeel_marks") {
		t.Errorf("a process that was told nothing has changed\n%s", got)
	}
	l.set(p, config)
	if !has() {
		t.Error("the next process has not put them back")
	}
	p.Close()
	l.in("d", func() {
		if err := Remove(o.Pin); err != nil {
			t.Error(err)
		}
	})
	if got := l.nft("d", "list ruleset"); strings.Contains(got, "evenkeel") || !strings.Contains(got, "user") {
		t.Errorf("left:\n%s", got)
	}
}

// unwilling is a kernel whose nftables cannot do it.
type unwilling struct{ able atomic.Bool }

func (u *unwilling) Set(marks.Config) error {
	if u.able.Load() {
		return nil
	}
	return marks.Missing{"load the module x"}
}

func (u *unwilling) Keep() error            { return u.Set(marks.Config{}) }
func (*unwilling) Changed() <-chan struct{} { return nil }
func (*unwilling) Close() error             { return nil }

// Where netfilter cannot, the rest is forwarded, and status says why.
func TestMarksThatAreNotSeen(t *testing.T) {
	u := &unwilling{}
	b := newBench(t, Options{openHandover: func() (handover, error) { return u, nil }})
	b.set(byMark(l4.NAT))
	st, err := b.Stats()
	if err != nil || !strings.Contains(st.Trouble, "load the module x") {
		t.Errorf("%q, %v", st.Trouble, err)
	}
	u.able.Store(true)
	waitFor(t, "it is tried again", func() bool { st, err := b.Stats(); return err == nil && st.Trouble == "" })
}
