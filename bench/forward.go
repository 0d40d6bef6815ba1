package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"evenkeel/internal/l4"
	"evenkeel/internal/l4/xdp"
)

// forward compares ways of forwarding packets: small UDP packets of many
// clients come in by one interface of a director, and leave by the same one to
// a real server. Each way has its turn on the same wire.
type forward struct{}

const forwardClients = 10000

// way is one way of forwarding.
type way struct {
	name string
	// to is where packets are sent: the virtual address, or the server where
	// nobody translates.
	to string
	// open begins it. It runs on the director's thread.
	open func(w *wire) (end func() error, err error)
}

var forwardWays = []way{
	{"plain ip_forward", forwardServer, openNothing},
	{"nft DNAT", forwardVIP, openNft},
	{"evenkeel, tcx, NAT", forwardVIP, openPlane(xdp.TCX, l4.NAT)},
	{"evenkeel, tcx, DR", forwardVIP, openPlane(xdp.TCX, l4.DR)},
	{"evenkeel, XDP, NAT", forwardVIP, openPlane(xdp.Native, l4.NAT)},
	{"evenkeel, XDP, DR", forwardVIP, openPlane(xdp.Native, l4.DR)},
	{"(a tcx program that only redirects)", forwardVIP, openFloor(ebpf.SchedCLS)},
	{"(an XDP program that only sends back)", forwardVIP, openFloor(ebpf.XDP)},
}

// What others are compared with, by place in forwardWays.
const (
	wayNft   = 1
	wayTCXDR = 3
	wayXDPDR = 5
)

func openNothing(*wire) (func() error, error) { return func() error { return nil }, nil }

const nftRules = "add table ip bench; " +
	"add chain ip bench in { type nat hook prerouting priority dstnat; }; " +
	"add rule ip bench in ip daddr " + forwardVIP + " udp dport 80 dnat to " + forwardServer

func openNft(*wire) (func() error, error) {
	return func() error { return runHere("nft", "delete table ip bench") }, runHere("nft", nftRules)
}

// openPlane opens the data plane as `evenkeel run` does.
func openPlane(mode xdp.Mode, method l4.Method) func(w *wire) (func() error, error) {
	return func(w *wire) (func() error, error) {
		p, err := xdp.Open(xdp.Options{Interfaces: []string{w.name}, Mode: mode})
		if err != nil {
			return nil, err
		}
		if err := p.Set(forwardService(l4.UDP, method)); err != nil {
			return nil, errors.Join(err, p.Close())
		}
		return func() error {
			s, err := p.Stats()
			if err == nil {
				err = noDrops(s)
			}
			return errors.Join(err, p.Close())
		}, nil
	}
}

func forwardService(protocol l4.Protocol, method l4.Method) l4.Config {
	return l4.Config{Services: []l4.Service{{
		Key: l4.Key{Addr: addressOf(forwardVIP), Protocol: protocol, Port: 80}, Scheduler: "rr",
		Servers: []l4.Server{{Addr: addressOf(forwardServer), Port: 80, Weight: 1, Method: method}},
	}}}
}

func noDrops(s l4.Snapshot) error {
	for why, n := range s.Drops {
		if n > 0 {
			return fmt.Errorf("the director dropped %d packets: %s", n, why)
		}
	}
	return nil
}

func openFloor(kind ebpf.ProgramType) func(w *wire) (func() error, error) {
	return func(w *wire) (func() error, error) {
		p, err := floorProgram(kind, w.mac, w.index)
		if err != nil {
			return nil, err
		}
		var l link.Link
		if kind == ebpf.XDP {
			l, err = link.AttachXDP(link.XDPOptions{Program: p, Interface: w.index, Flags: link.XDPDriverMode})
		} else {
			l, err = link.AttachTCX(link.TCXOptions{Program: p, Interface: w.index, Attach: ebpf.AttachTCXIngress})
		}
		if err != nil {
			p.Close()
			return nil, err
		}
		return func() error { return errors.Join(l.Close(), p.Close()) }, nil
	}
}

func (forward) run(ctx context.Context, b *bench, r *result) error {
	if os.Getuid() != 0 {
		r.Notes = append(r.Notes, "left out: network namespaces and programs in the kernel need root")
		return nil
	}
	w, err := newWire()
	if err != nil {
		return err
	}
	defer w.close()
	if runtime.NumCPU() < 2 {
		r.Notes = append(r.Notes, "one CPU makes the packets and forwards them: packets per second say nothing")
	}
	rate, cost, busy := make([][]float64, len(forwardWays)), make([][]float64, len(forwardWays)), make([][]float64, len(forwardWays))
	for round := range b.rounds {
		for k := range forwardWays {
			i := k
			if round%2 == 1 {
				i = len(forwardWays) - 1 - k
			}
			one, err := w.turn(ctx, forwardWays[i], max(0.3, b.seconds/2))
			if err != nil {
				return fmt.Errorf("%s: %w", forwardWays[i].name, err)
			}
			rate[i], cost[i], busy[i] = append(rate[i], one.perSecond), append(cost[i], one.cost), append(busy[i], one.busy)
		}
		progress("%s %d/%d: nft DNAT %.0f ns, tcx DR %.0f ns, XDP DR %.0f ns of CPU a packet", r.Name, round+1, b.rounds,
			cost[wayNft][round], cost[wayTCXDR][round], cost[wayXDPDR][round])
	}
	t := table{
		Title:  fmt.Sprintf("forwarding UDP packets of %d bytes from %d clients on one CPU", frameLength, forwardClients),
		Header: []string{"", "ns of CPU a packet", "against nft DNAT", "M packets/s", "against nft DNAT", "of the CPU"},
	}
	for i, x := range forwardWays {
		c, p := spreadOf(cost[i]), spreadOf(rate[i])
		t.Rows = append(t.Rows, []string{x.name, fmt.Sprintf("%.0f (%.0f-%.0f)", c.Median, c.Low, c.High),
			fmt.Sprintf("%.2f ×", spreadOf(quotients(cost[wayNft], cost[i])).Median),
			fmt.Sprintf("%.2f (%.2f-%.2f)", p.Median/1e6, p.Low/1e6, p.High/1e6),
			fmt.Sprintf("%.2f ×", spreadOf(quotients(rate[i], rate[wayNft])).Median), fmt.Sprintf("%.0f %%", 100*spreadOf(busy[i]).Median)})
	}
	r.Tables = append(r.Tables, t)
	if had := spreadOf(busy[wayNft]).Median; had < 0.8 {
		r.Notes = append(r.Notes, fmt.Sprintf("something else ran on the machine, and nft DNAT's thread had %.0f %% of its CPU: packets per second say little, and caches were cold each time a thread had its turn", 100*had))
	}
	gain := func(i int) float64 { return spreadOf(quotients(cost[wayNft], cost[i])).Median }
	r.Limits = append(r.Limits,
		atLeast("packets a CPU second, tcx DR against nft DNAT", gain(wayTCXDR), 1.2),
		atLeast("packets a CPU second, XDP DR against nft DNAT", gain(wayXDPDR), 2.2))
	return nil
}

// forwardTurn is what one turn of one way found.
type forwardTurn struct {
	perSecond float64
	cost      float64 // ns of CPU time a packet
	busy      float64 // share of the time that forwarding had a CPU
}

// warmUp is how long packets come before it counts: every client has sent its
// first one, and what is remembered about it is there.
const warmUp = 250 * time.Millisecond

// A turn in which fewer packets came says nothing. On a machine that does
// something else they may need time.
const (
	enough   = 1000
	patience = 20 * time.Second
)

func (w *wire) turn(ctx context.Context, x way, seconds float64) (one forwardTurn, err error) {
	var end func() error
	err = w.director.do(func() error {
		var err error
		end, err = x.open(w)
		return err
	})
	if err != nil {
		return one, err
	}
	defer func() { err = errors.Join(err, w.director.do(end)) }()
	t := newTemplate(w.mac, addressOf(x.to), 0, forwardClients)
	g, err := w.newGenerator(t)
	if err != nil {
		return one, err
	}
	defer func() { err = errors.Join(err, g.stop()) }()
	if err := pause(ctx, warmUp); err != nil {
		return one, err
	}
	from, err := w.read()
	if err != nil {
		return one, err
	}
	to := from
	for lasts := time.Duration(seconds * float64(time.Second)); to.packets-from.packets < enough; {
		if err := pause(ctx, lasts); err != nil {
			return one, err
		}
		if to, err = w.read(); err != nil {
			return one, err
		}
		if g.ended() || to.at.Sub(from.at) > lasts+patience {
			return one, fmt.Errorf("only %d packets came through", to.packets-from.packets)
		}
	}
	packets, took, cpu := float64(to.packets-from.packets), to.at.Sub(from.at), float64(to.cpu-from.cpu)
	return forwardTurn{perSecond: packets / took.Seconds(), cost: cpu / packets, busy: cpu / float64(took)}, nil
}

// reading is what the meters showed at a time.
type reading struct {
	at           time.Time
	packets, cpu int64
}

func (w *wire) read() (r reading, err error) {
	r.at = time.Now()
	if r.cpu, err = w.forwarderTime(); err != nil {
		return r, err
	}
	r.packets, err = w.arrived()
	return r, err
}

// generator sends packets as fast as it can from one CPU: a program makes
// them in the kernel, and has each go out by the far end's interface. That is
// one system call, which takes as long as it is let.
type generator struct {
	program *ebpf.Program
	thread  int // in the system call
	stopped atomic.Bool
	done    chan struct{} // closed by the thread
	err     error         // after done
}

func (w *wire) newGenerator(t template) (*generator, error) {
	g := &generator{done: make(chan struct{})}
	ready := make(chan error)
	go w.far.do(func() error {
		err := g.prepare(w, t)
		ready <- err
		if err == nil {
			g.send(t.frame[:frameLength])
		}
		return err
	})
	return g, <-ready
}

func (g *generator) prepare(w *wire, t template) (err error) {
	if err := t.set(w.generatorState); err != nil {
		return err
	}
	var set unix.CPUSet
	set.Set(generatorCPU)
	if err := unix.SchedSetaffinity(0, &set); err != nil { // of this thread, which does nothing else
		return err
	}
	g.thread = unix.Gettid()
	g.program, err = loadProgram(ebpf.XDP, append(frames(ebpf.XDP, w.generatorState, t.l4), thenRedirect(w.farIndex)...))
	return err
}

func (g *generator) send(frame []byte) {
	defer close(g.done)
	for !g.stopped.Load() {
		a := testRun{program: uint32(g.program.FD()), dataSize: uint32(len(frame)), data: unsafe.Pointer(&frame[0]),
			repeat: math.MaxInt32, flags: testLiveFrames}
		if err := a.do(); err != nil && err != unix.EINTR {
			g.err = fmt.Errorf("make packets (BPF_F_TEST_XDP_LIVE_FRAMES, Linux 5.18): %w", err)
			return
		}
	}
}

func (g *generator) ended() bool {
	select {
	case <-g.done:
		return true
	default:
		return false
	}
}

// stop interrupts the system call, by a signal that means nothing to Go.
func (g *generator) stop() error {
	g.stopped.Store(true)
	for !g.ended() {
		unix.Tgkill(os.Getpid(), g.thread, unix.SIGURG)
		select {
		case <-g.done:
		case <-time.After(10 * time.Millisecond): // it was not yet in the call
		}
	}
	return errors.Join(g.err, g.program.Close())
}
