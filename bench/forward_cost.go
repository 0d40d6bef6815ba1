package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"evenkeel/internal/l4"
	"evenkeel/internal/l4/xdp"
)

// packetCost is what the director's programs cost by themselves: the kernel
// runs them on packets in memory (BPF_PROG_TEST_RUN), and what it costs to do
// so with a program that only makes the packets is taken off.
type packetCost struct{}

// costCase is one line of the table.
type costCase struct {
	name     string
	mode     xdp.Mode
	method   l4.Method
	protocol l4.Protocol
	clients  int
	new      bool // what is measured is each client's first packet
	limit    float64
}

// againFor is how long clients get packets over and over.
const againFor = time.Second / 2

const million = 1 << 20 // a million clients, and a few

var costCases = []costCase{
	{"DR, tcx, TCP, 10,000 flows", xdp.TCX, l4.DR, l4.TCP, 10000, false, 90},
	{"DR, tcx, UDP, 10,000 flows", xdp.TCX, l4.DR, l4.UDP, 10000, false, 0},
	{"DR, XDP, TCP, 10,000 flows", xdp.Native, l4.DR, l4.TCP, 10000, false, 0},
	{"NAT, tcx, TCP, 10,000 flows", xdp.TCX, l4.NAT, l4.TCP, 10000, false, 130},
	{"NAT, tcx, UDP, 10,000 flows", xdp.TCX, l4.NAT, l4.UDP, 10000, false, 0},
	{"NAT, XDP, TCP, 10,000 flows", xdp.Native, l4.NAT, l4.TCP, 10000, false, 0},
	{"DR, tcx, UDP, every packet a new flow", xdp.TCX, l4.DR, l4.UDP, million, true, 0},
	{"DR, tcx, UDP, a million flows", xdp.TCX, l4.DR, l4.UDP, million, false, 0},
	{"NAT, tcx, UDP, every packet a new flow", xdp.TCX, l4.NAT, l4.UDP, million, true, 0},
	{"NAT, tcx, UDP, a million flows", xdp.TCX, l4.NAT, l4.UDP, million, false, 0},
}

func (packetCost) run(ctx context.Context, b *bench, r *result) error {
	if os.Getuid() != 0 {
		r.Notes = append(r.Notes, "left out: programs in the kernel need root")
		return nil
	}
	w, err := newWire()
	if err != nil {
		return err
	}
	defer w.close()
	t := table{Title: r.Title, Header: []string{"", "ns a packet", "of the harness", "MiB of the kernel's for all tables", "limit"}}
	for _, c := range costCases {
		var net, harness []float64
		var memory uint64
		rounds := b.rounds
		if c.clients > 100000 {
			rounds = min(3, rounds) // a million connections a round
		}
		for range rounds {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			var one costTurn
			err := w.director.do(func() (err error) {
				one, err = w.cost(ctx, c, againFor)
				return err
			})
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			net, harness, memory = append(net, one.cost), append(harness, one.harness), one.memory
		}
		n := spreadOf(net)
		progress("%s: %s: %.0f ns (%.0f-%.0f)", r.Name, c.name, n.Median, n.Low, n.High)
		row := []string{c.name, fmt.Sprintf("%.0f (%.0f-%.0f)", n.Median, n.Low, n.High), fmt.Sprintf("%.0f", spreadOf(harness).Median), fmt.Sprintf("%.0f", float64(memory)/(1<<20)), ""}
		if c.limit > 0 {
			l := atMost("ns a packet: "+c.name, n.Median, c.limit)
			r.Limits = append(r.Limits, l)
			row[4] = fmt.Sprintf("%.0f", c.limit)
			if !l.kept() {
				row[4] += " **not kept**"
			}
		}
		t.Rows = append(t.Rows, row)
	}
	r.Tables = append(r.Tables, t)
	return nil
}

type costTurn struct {
	cost, harness float64 // ns a packet
	memory        uint64  // bytes of all maps
}

// cost opens a director with room for the flows, and measures one case.
func (w *wire) cost(ctx context.Context, c costCase, lasts time.Duration) (one costTurn, err error) {
	flows := uint32(0) // as it comes
	if c.clients > 100000 {
		flows = uint32(c.clients)
		if c.method == l4.NAT {
			flows *= 2
		}
	}
	p, err := xdp.Open(xdp.Options{Interfaces: []string{w.name}, Mode: c.mode, MaxFlows: flows})
	if err != nil {
		return one, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if err := p.Set(forwardService(c.protocol, c.method)); err != nil {
		return one, err
	}
	prog, err := w.attached(c.mode)
	if err != nil {
		return one, err
	}
	defer prog.Close()
	if one.memory, err = tables(prog); err != nil {
		return one, err
	}
	run, err := newRunner(w, prog, c.protocol == l4.TCP)
	if err != nil {
		return one, err
	}
	defer run.close()
	first, later := byte(0), byte(0)
	if c.protocol == l4.TCP {
		first, later = tcpSYN, tcpACK
	}
	with, err := run.all(ctx, run.director, w.mac, first, c.clients)
	if err != nil {
		return one, err
	}
	without, err := run.all(ctx, run.harness, w.mac, later, c.clients)
	if err != nil {
		return one, err
	}
	if !c.new {
		if with, without, err = run.again(ctx, w.mac, later, c.clients, lasts); err != nil {
			return one, err
		}
	}
	one.cost, one.harness = with-without, without
	s, err := p.Stats()
	if err != nil {
		return one, err
	}
	if s.PacketsIn < uint64(c.clients) || s.Connections < uint64(c.clients) {
		return one, fmt.Errorf("the director saw %d packets in %d connections of %d clients", s.PacketsIn, s.Connections, c.clients)
	}
	return one, noDrops(s)
}

// attached is the director's program on the interface.
func (w *wire) attached(mode xdp.Mode) (*ebpf.Program, error) {
	if mode == xdp.Native {
		l, err := netlink.LinkByIndex(w.index)
		if err != nil {
			return nil, err
		}
		x := l.Attrs().Xdp
		if x == nil || x.ProgId == 0 {
			return nil, errors.New("there is no XDP program on the interface")
		}
		return ebpf.NewProgramFromID(ebpf.ProgramID(x.ProgId))
	}
	q, err := link.QueryPrograms(link.QueryOptions{Target: w.index, Attach: ebpf.AttachTCXIngress})
	if err != nil {
		return nil, err
	}
	if len(q.Programs) != 1 {
		return nil, fmt.Errorf("there are %d tcx programs on the interface", len(q.Programs))
	}
	return ebpf.NewProgramFromID(q.Programs[0].ID)
}

// tables is what a program's maps take of the kernel's memory.
func tables(p *ebpf.Program) (uint64, error) {
	info, err := p.Info()
	if err != nil {
		return 0, err
	}
	ids, _ := info.MapIDs()
	var sum uint64
	for _, id := range ids {
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			return 0, err
		}
		i, err := m.Info()
		m.Close()
		if err != nil {
			return 0, err
		}
		n, _ := i.Memlock() // of an empty trie it is 0
		sum += n
	}
	return sum, nil
}

// runner runs the director on packets of one client after the other, and the
// making of them alone.
type runner struct {
	state             *ebpf.Map
	table             *ebpf.Map
	director, harness *ebpf.Program
	context           []uint32 // where packets came in: the beginning of struct __sk_buff or xdp_md
	verdict           uint32   // the director's, when it forwards
}

func newRunner(w *wire, director *ebpf.Program, tcp bool) (r *runner, err error) {
	kind := director.Type()
	r = &runner{context: []uint32{10: uint32(w.index)}, verdict: 7 /* TC_ACT_REDIRECT */}
	pass := int32(0)
	if kind == ebpf.XDP {
		r.context, r.verdict, pass = []uint32{1: frameLength, 3: uint32(w.index), 5: 0}, 3 /* XDP_TX */, 2
	}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if r.state, err = newState(); err != nil {
		return r, err
	}
	if r.table, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1}); err != nil {
		return r, err
	}
	l4Sum := newTemplate(w.mac, addressOf(forwardVIP), map[bool]byte{true: tcpACK}[tcp], 1).l4
	if r.director, err = loadProgram(kind, append(frames(kind, r.state, l4Sum), thenCall(r.table)...)); err != nil {
		return r, err
	}
	if r.harness, err = loadProgram(kind, append(frames(kind, r.state, l4Sum), thenReturn(pass)...)); err != nil {
		return r, err
	}
	return r, r.table.Put(uint32(0), director)
}

func (r *runner) close() {
	for _, c := range []interface{ Close() error }{r.director, r.harness, r.table, r.state} {
		c.Close()
	}
}

// again gives all clients packets, over and over, and the same to the program
// that only makes them. Each time is long: to begin with XDP takes the kernel
// tens of milliseconds, in which caches go cold.
func (r *runner) again(ctx context.Context, to net.HardwareAddr, flags byte, clients int, lasts time.Duration) (with, without float64, err error) {
	t := newTemplate(to, addressOf(forwardVIP), flags, clients)
	if err := t.set(r.state); err != nil {
		return 0, 0, err
	}
	times := clients * max(1, 200000/clients)
	var w, h []float64
	for until := time.Now().Add(lasts); len(w) < 3 || time.Now().Before(until); {
		if ctx.Err() != nil {
			return 0, 0, ctx.Err()
		}
		verdict, one, err := r.part(r.director, t.frame[:frameLength], times)
		if err != nil {
			return 0, 0, err
		}
		if verdict != r.verdict {
			return 0, 0, fmt.Errorf("the director's verdict is %d", verdict)
		}
		_, other, err := r.part(r.harness, t.frame[:frameLength], times)
		if err != nil {
			return 0, 0, err
		}
		w, h = append(w, float64(one)), append(h, float64(other))
	}
	return spreadOf(w).Median, spreadOf(h).Median, nil
}

// all gives every client a packet, and says how many ns one took.
func (r *runner) all(ctx context.Context, p *ebpf.Program, to net.HardwareAddr, flags byte, clients int) (float64, error) {
	t := newTemplate(to, addressOf(forwardVIP), flags, clients)
	if err := t.set(r.state); err != nil {
		return 0, err
	}
	// Parts that are short enough to be seldom interrupted by a signal: then
	// one is run once more.
	const part = 5000
	var sum time.Duration
	parts := 0
	for before := uint64(0); ; parts++ {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		verdict, took, err := r.part(p, t.frame[:frameLength], min(part, clients))
		if err != nil {
			return 0, err
		}
		if p == r.director && verdict != r.verdict {
			return 0, fmt.Errorf("the director's verdict is %d", verdict)
		}
		sum += took
		now, err := made(r.state)
		if err != nil {
			return 0, err
		}
		if now <= before { // began again
			return float64(sum) / float64(parts+1), nil
		}
		before = now
	}
}

// part runs a program some times; took is the time of one.
func (r *runner) part(p *ebpf.Program, frame []byte, repeat int) (verdict uint32, took time.Duration, err error) {
	for {
		a := testRun{program: uint32(p.FD()), dataSize: uint32(len(frame)), data: unsafe.Pointer(&frame[0]),
			repeat: uint32(repeat), contextSize: uint32(len(r.context) * 4), context: unsafe.Pointer(&r.context[0])}
		err := a.do()
		if err == unix.EINTR {
			continue
		}
		runtime.KeepAlive(p)
		return a.verdict, time.Duration(a.took), err
	}
}
