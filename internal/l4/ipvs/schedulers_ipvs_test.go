//go:build ipvs

package ipvs

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/l4"
)

// scenario is one service, its servers, and how many packets come in which way.
type scenario struct {
	name    string
	flags   l4.Flags
	weights []int
	upper   int // of the first server
	play    func(r *recorder)
}

// recorder sends packets to the real IPVS and writes down what it did.
type recorder struct {
	t       *testing.T
	w       *wire
	client  *Client
	service l4.Service
	servers []l4.Server
	random  *rand.Rand
	port    uint16 // of the next client
	open    map[netip.AddrPort]netip.Addr
	order   []netip.AddrPort // of open, oldest first
	text    strings.Builder
}

func (r *recorder) line(format string, args ...any) { fmt.Fprintf(&r.text, format+"\n", args...) }

// patience is how long the answer of the kernel takes at most. Where no server
// is usable it is an ICMP message, or nothing.
const patience = 2 * time.Second

// syn opens a connection of a client.
func (r *recorder) syn(client netip.AddrPort) {
	to := netip.AddrPortFrom(r.service.Addr, r.service.Port)
	protocol := l4.TCP
	if r.service.Protocol == l4.UDP {
		protocol = l4.UDP
		r.w.send(udpPacket(client, to))
	} else {
		r.w.send(tcpPacket(client, to, flagSYN))
	}
	what := "syn"
	if protocol == l4.UDP {
		what = "udp"
	}
	for {
		p, ok := r.w.next(protocol, patience)
		if !ok || p.protocol == icmp && p.inner != nil && p.inner.from == client {
			r.line("%s %v none", what, client)
			return
		}
		if p.from == client {
			r.line("%s %v %v", what, client, p.to.Addr())
			r.open[client] = p.to.Addr()
			r.order = append(r.order, client)
			return
		}
	}
}

// fresh opens a connection of a client that was not there before.
func (r *recorder) fresh() {
	r.port++
	r.syn(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(r.random.IntN(256))}), r.port))
}

// pick is one of the open connections, taken out of the list.
func (r *recorder) pick() (netip.AddrPort, bool) {
	if len(r.order) == 0 {
		return netip.AddrPort{}, false
	}
	i := r.random.IntN(len(r.order))
	c := r.order[i]
	r.order = append(r.order[:i:i], r.order[i+1:]...)
	return c, true
}

func (r *recorder) drain() {
	for {
		if _, ok := r.w.next(l4.TCP, 2*time.Millisecond); !ok {
			return
		}
	}
}

// establish has the server answer and the client confirm.
func (r *recorder) establish(c netip.AddrPort) {
	vip, server := netip.AddrPortFrom(r.service.Addr, r.service.Port), netip.AddrPortFrom(r.open[c], r.service.Port)
	r.w.send(tcpPacket(server, c, flagSYN|flagACK))
	r.w.send(tcpPacket(c, vip, flagACK))
	r.drain()
	r.line("established %v", c)
}

// end has both sides close.
func (r *recorder) end(c netip.AddrPort) {
	vip, server := netip.AddrPortFrom(r.service.Addr, r.service.Port), netip.AddrPortFrom(r.open[c], r.service.Port)
	r.w.send(tcpPacket(c, vip, flagFIN|flagACK))
	r.w.send(tcpPacket(server, c, flagFIN|flagACK))
	r.w.send(tcpPacket(c, vip, flagACK))
	r.drain()
	r.line("fin %v", c)
}

func (r *recorder) reset(c netip.AddrPort) {
	r.w.send(tcpPacket(c, netip.AddrPortFrom(r.service.Addr, r.service.Port), flagRST))
	r.drain()
	r.line("rst %v", c)
}

func (r *recorder) weigh(i, weight int) {
	r.servers[i].Weight = weight
	if err := r.client.EditServer(r.service.Key, r.servers[i]); err != nil {
		r.t.Fatal(err)
	}
	r.line("weight %v %d", r.servers[i].Addr, weight)
}

func (r *recorder) add(i int) {
	if err := r.client.AddServer(r.service.Key, r.servers[i]); err != nil {
		r.t.Fatal(err)
	}
	r.line("server %v %d %d %d", r.servers[i].Addr, r.servers[i].Weight, r.servers[i].Upper, r.servers[i].Lower)
}

func (r *recorder) remove(i int) {
	if err := r.client.DeleteServer(r.service.Key, r.servers[i].Key()); err != nil {
		r.t.Fatal(err)
	}
	r.line("remove %v", r.servers[i].Addr)
}

// The ways in which packets come.

// arrivals are new connections and nothing else.
func arrivals(n int) func(*recorder) {
	return func(r *recorder) {
		for range n {
			r.fresh()
		}
	}
}

// life has connections open, get established, end and break.
func life(n int) func(*recorder) {
	return func(r *recorder) {
		var half, whole []netip.AddrPort
		for range n {
			switch k := r.random.IntN(8); {
			case k < 4:
				r.fresh()
				if c, ok := r.pick(); ok {
					half = append(half, c)
				}
			case k < 6 && len(half) > 0:
				r.establish(half[0])
				whole, half = append(whole, half[0]), half[1:]
			case k == 6 && len(whole) > 0:
				i := r.random.IntN(len(whole))
				r.end(whole[i])
				whole = append(whole[:i:i], whole[i+1:]...)
			case len(whole) > 1:
				i := r.random.IntN(len(whole))
				r.reset(whole[i])
				whole = append(whole[:i:i], whole[i+1:]...)
			}
		}
	}
}

// changes has weights change, and servers go and come back, between arrivals.
func changes(r *recorder) {
	arrivals(12)(r)
	r.weigh(0, 0)
	arrivals(12)(r)
	r.weigh(0, 5)
	r.weigh(2, 1)
	arrivals(12)(r)
	r.remove(1)
	arrivals(12)(r)
	for i := range r.servers {
		r.weigh2(i)
	}
	arrivals(3)(r)
}

// weigh2 is weight 0 for servers that are there.
func (r *recorder) weigh2(i int) {
	if i != 1 {
		r.weigh(i, 0)
	}
}

// clients has the same clients come again and again, with other ports.
func clients(n int) func(*recorder) {
	return func(r *recorder) {
		for i := range n {
			r.port++
			r.syn(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i * 7 % 80)}), r.port))
		}
	}
}

var plain = []scenario{
	{name: "equal", weights: []int{1, 1, 1}, play: arrivals(30)},
	{name: "weights", weights: []int{4, 3, 2}, play: arrivals(54)},
	{name: "far apart", weights: []int{1, 50, 10, 0}, play: arrivals(70)},
	{name: "changes", weights: []int{1, 2, 3, 3}, play: changes},
	{name: "life", weights: []int{1, 2, 3}, play: life(120)},
	{name: "threshold", weights: []int{3, 1}, upper: 5, play: arrivals(20)},
}

var hashing = []scenario{
	{name: "equal", weights: []int{1, 1, 1}, play: clients(120)},
	{name: "weights", weights: []int{1, 5, 2, 0}, play: clients(120)},
	{name: "ports", weights: []int{1, 2, 1}, flags: l4.HashPort, play: clients(80)},
	{name: "fallback", weights: []int{1, 2, 1}, flags: l4.HashFallback, play: func(r *recorder) { clients(40)(r); r.weigh(1, 0); clients(40)(r) }},
	{name: "changes", weights: []int{1, 2, 3, 3}, play: changes},
}

// TestSchedulers writes what each scheduler of the real IPVS chose into
// out/schedulers, one file a scheduler.
func TestSchedulers(t *testing.T) {
	w := newWire(t)
	c, err := Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := os.MkdirAll("out/schedulers", 0o755); err != nil {
		t.Fatal(err)
	}
	port, network := uint16(1024), 0
	for _, s := range l4.Schedulers {
		if s.Random {
			continue // nothing to compare with, connection by connection
		}
		list := plain
		if s.Hash {
			list = hashing
		}
		var text strings.Builder
		for _, sc := range list {
			if err := c.Flush(); err != nil {
				t.Fatal(err)
			}
			network++
			r := &recorder{t: t, w: w, client: c, random: rand.New(rand.NewPCG(uint64(len(sc.name)), 7)), port: port, open: map[netip.AddrPort]netip.Addr{}}
			r.service = l4.Service{Key: l4.Key{Addr: wireVIP, Protocol: l4.TCP, Port: 80}, Scheduler: s.Name, Flags: sc.flags}
			for i, weight := range sc.weights {
				// A network of its own: IPVS remembers removed servers, and how
				// many connections they had.
				x := l4.Server{Addr: netip.AddrFrom4([4]byte{10, byte(network), 0, byte(1 + i)}), Port: 80, Weight: weight, Method: l4.NAT}
				if i == 0 {
					x.Upper = sc.upper
				}
				r.servers = append(r.servers, x)
			}
			r.record(s.Name, sc)
			port = r.port
			text.WriteString(r.text.String())
		}
		if err := os.WriteFile(filepath.Join("out/schedulers", s.Name+".txt"), []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_ = c.Flush()
}

func (r *recorder) record(scheduler string, sc scenario) {
	r.line("scenario %s", sc.name)
	targets := 1
	if scheduler == "dh" {
		targets = 40 // its choices follow the destination
	}
	for n := range targets {
		if n > 0 {
			r.service.Addr = netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + n*5)})
		}
		if err := r.client.AddService(r.service); err != nil {
			r.t.Fatal(err)
		}
		r.line("service %v %s %d", netip.AddrPortFrom(r.service.Addr, r.service.Port), scheduler, sc.flags)
		for i := range r.servers {
			r.add(i)
		}
		if targets > 1 {
			r.fresh()
			r.fresh()
			if err := r.client.DeleteService(r.service.Key); err != nil {
				r.t.Fatal(err)
			}
			continue
		}
		sc.play(r)
	}
	r.line("")
}
