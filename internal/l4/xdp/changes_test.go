package xdp

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"evenkeel/internal/l4"
)

// noted is what has changed since it was asked last, as client ports and
// states.
func (b *bench) noted() (list [][2]uint16, missed bool) {
	b.t.Helper()
	_, missed, err := b.Noted(func(s l4.Sync) bool {
		port := s.Client.Port()
		if s.Template {
			port = 0
		}
		list = append(list, [2]uint16{port, uint16(s.State)})
		return true
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return list, missed
}

func (b *bench) wantNoted(what string, want ...[2]uint16) {
	b.t.Helper()
	if got, missed := b.noted(); missed || !slices.Equal(got, want) {
		b.t.Errorf("%s: %v are noted, missed %v, want %v", what, got, missed, want)
	}
}

// TestNoted: what begins and what changes its state is noted, once, and not what
// is only being opened, nor packets.
func TestNoted(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		b := newBench(t, Options{MaxFlows: 4096})
		c := one(l4.NAT, v6)
		c.Services[0].Persistence = time.Minute
		b.set(c)
		tcp := func(flags uint8) {
			b.run(packet{v6: v6, flags: flags}.frame())
		}
		if list, missed := b.noted(); len(list) > 0 || !missed {
			t.Errorf("nobody notes: %v, missed %v", list, missed)
		}
		tcp(flagSYN)
		tcp(flagACK)
		if n := b.changesWritten(); n != 0 {
			t.Errorf("%d bytes are noted where nobody wants to know", n)
		}
		for _, on := range []bool{true, true, false, true} { // again begins with nothing
			if err := b.Watch(on); err != nil {
				t.Fatal(err)
			}
		}
		b.wantNoted("at first")
		tcp(flagACK)
		tcp(flagACK)
		b.wantNoted("packets")
		tcp(flagFIN | flagACK)
		b.wantNoted("a state", [2]uint16{40000, 7})
		answer := packet{v6: v6, client: netip.MustParseAddr(fixtureServer(1, v6)), server: packet{v6: v6}.withDefaults().client, sport: 80, dport: 40000, flags: flagFIN | flagACK}
		b.run(answer.frame())
		b.wantNoted("by an answer", [2]uint16{40000, 5})
		tcp(flagSYN)
		b.wantNoted("being opened")
		tcp(flagACK)
		tcp(flagRST)
		b.wantNoted("both at once", [2]uint16{40000, 6})
		b.run(packet{v6: v6, protocol: l4.UDP, sport: 50000}.frame())
		b.run(packet{v6: v6, protocol: l4.UDP, sport: 50001}.frame())
		b.wantNoted("datagrams", [2]uint16{50000, stateUDP}, [2]uint16{50001, stateUDP})
		b.run(packet{v6: v6, client: clientNumber(9, v6)}.frame())
		b.wantNoted("whom persistence remembers", [2]uint16{0, stateTemplate})
		if err := b.Watch(false); err != nil {
			t.Fatal(err)
		}
		tcp(flagSYN)
		tcp(flagACK)
		if list, missed := b.noted(); len(list) > 0 || !missed {
			t.Errorf("nobody notes any more: %v, missed %v", list, missed)
		}
	}
}

// changesWritten is how many bytes the programs have noted that nobody has read.
func (b *bench) changesWritten() int {
	b.t.Helper()
	r, err := ringbuf.NewReader(b.maps.Changes)
	if err != nil {
		b.t.Fatal(err)
	}
	defer r.Close()
	return r.AvailableBytes()
}

// TestNotedTooMany: what finds no room is counted, and is found by looking at
// all from the last mark on.
func TestNotedTooMany(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 1024})
	b.set(one(l4.DR, false))
	mark, err := b.Changed(0, false, func(l4.Sync) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Watch(true); err != nil {
		t.Fatal(err)
	}
	const many = 600 // 14400 bytes, 4096 are there
	want := map[uint16]bool{}
	for i := range uint16(many) {
		b.run(packet{protocol: l4.UDP, sport: 1000 + i}.frame())
		want[1000+i] = true
	}
	if list, missed := b.noted(); !missed || len(list) > 0 {
		t.Fatalf("%d are noted, missed %v", len(list), missed)
	}
	got := map[uint16]bool{}
	if _, err := b.Changed(mark, false, func(s l4.Sync) bool { got[s.Client.Port()] = true; return true }); err != nil || len(got) != len(want) {
		t.Errorf("%d of %d are found, %v", len(got), len(want), err)
	}
	b.wantNoted("when all have been looked at")
	b.run(packet{protocol: l4.UDP, sport: 5}.frame())
	b.wantNoted("and then", [2]uint16{5, stateUDP})
}

// told is everything that this director could tell.
func (b *bench) told() (list []l4.Sync) {
	b.t.Helper()
	if _, err := b.Changed(0, true, func(s l4.Sync) bool { list = append(list, s); return true }); err != nil {
		b.t.Fatal(err)
	}
	return list
}

func (b *bench) take(list ...l4.Sync) {
	b.t.Helper()
	if n, err := b.Insert(list...); n != len(list) || err != nil {
		b.t.Fatalf("took %d of %d, %v", n, len(list), err)
	}
}

// TestToldAgain: a connection that is told again, as each is once a minute, is
// as good as it was.
func TestToldAgain(t *testing.T) {
	for _, method := range []l4.Method{l4.NAT, l4.FULLNAT} {
		for _, v6 := range []bool{false, true} {
			b := newBench(t, Options{MaxFlows: 1024})
			b.set(one(method, v6))
			p := packet{v6: v6}.withDefaults()
			b.run(p.frame())
			p.flags = flagACK
			_, want := b.run(p.frame())
			told := b.told()
			answer := packet{v6: v6, client: netip.MustParseAddr(fixtureServer(1, v6)), sport: 80, dport: 40000, server: p.client, flags: flagACK}
			if method == l4.FULLNAT {
				answer.server, answer.dport = told[0].Local.Addr(), told[0].Local.Port()
			}
			b.forget()
			b.set(one(method, v6))
			for range 4 {
				b.take(told...)
			}
			if v, out := b.run(p.frame()); v != tcRedirect || string(out) != string(want) {
				t.Errorf("method %v, %s: verdict %d\n got  %x\n want %x", method, family(v6), v, out, want)
			}
			if v, _ := b.run(answer.frame()); v != tcRedirect {
				t.Errorf("method %v, %s: the answer's verdict is %d", method, family(v6), v)
			}
		}
	}
}

// TestToldOther: a connection on the ports of one that has ended goes to its own
// server, and so does a client that persistence sends elsewhere.
func TestToldOther(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		b := newBench(t, Options{MaxFlows: 1024})
		c := one(l4.NAT, v6)
		s := &c.Services[0]
		s.Persistence = time.Minute
		s.Servers = append(s.Servers, l4.Server{Addr: netip.MustParseAddr(fixtureServer(2, v6)), Port: 80, Weight: 1, Method: l4.NAT})
		b.set(c)
		p := packet{v6: v6}.withDefaults()
		b.run(p.frame())
		p.flags = flagACK
		b.run(p.frame())
		old := b.told()
		if len(old) != 2 {
			t.Fatalf("%d are told", len(old))
		}
		b.forget()
		b.set(c)
		other := slices.Clone(old)
		for i := range other {
			old[i].Idle = time.Second
			other[i].Idle = 0
			if other[i].Server = s.Servers[0].Key(); old[i].Server == other[i].Server {
				other[i].Server = s.Servers[1].Key()
			}
		}
		b.take(old...)
		b.take(other...)
		if got := b.told(); len(got) != 2 || got[0].Server != other[0].Server || got[1].Server != other[1].Server {
			t.Errorf("%s: %+v", family(v6), got)
		}
		st, err := b.Stats()
		if err != nil {
			t.Fatal(err)
		}
		for i := range st.Services[0].Servers {
			r := &st.Services[0].Servers[i]
			want := uint32(0)
			if r.Key() == other[0].Server {
				want = 1
			}
			if uint32(r.Active) != want || uint32(r.Persistent) != want {
				t.Errorf("%s: %v has %d connections and %d clients, want %d", family(v6), r.Key(), r.Active, r.Persistent, want)
			}
		}
		answers := 0
		for _, e := range b.entries() {
			if e.flow.Flags&flowReverse != 0 {
				answers++
			}
		}
		if answers != 1 {
			t.Errorf("%s: %d entries of answers", family(v6), answers)
		}
	}
}

// TestToldTemplate: who is remembered stays so while the other director says
// that it does, and no longer.
func TestToldTemplate(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 1024})
	s := farm("rr", 1)
	s.Persistence = time.Minute
	b.set(l4.Config{Services: []l4.Service{s}})
	b.connect(1)
	var held l4.Sync
	for _, x := range b.told() {
		if x.Template {
			held = x
		}
	}
	b.forget()
	b.set(l4.Config{Services: []l4.Service{s}})
	idle := func(want time.Duration) {
		t.Helper()
		for _, x := range b.told() {
			if d := x.Idle - want; d < -time.Second || d > 15*time.Second { // the machine may be slow
				t.Errorf("it was seen %v ago, want %v", x.Idle, want)
			}
		}
	}
	for _, d := range []time.Duration{50 * time.Second, 20 * time.Second} {
		held.Idle = d
		b.take(held)
		idle(d)
	}
	held.Idle = 50 * time.Second
	b.take(held)
	idle(20 * time.Second)
}

// TestToldLate: of two tellings the later one counts, though the first was
// quicker on its way.
func TestToldLate(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 64})
	b.set(l4.Config{Services: []l4.Service{farm("rr", 1)}})
	b.connect(1)
	b.send(1, flagACK)
	told := b.told()[0]
	b.forget()
	b.set(l4.Config{Services: []l4.Service{farm("rr", 1)}})
	told.Idle = 0
	b.take(told)
	told.State, told.Idle = 4, time.Second
	b.take(told)
	if got := b.told()[0]; got.State != 4 {
		t.Errorf("state %d", got.State)
	}
	b.send(1, flagACK) // now it is known here
	told.State, told.Idle = 1, time.Minute
	b.take(told)
	if got := b.told()[0]; got.State != 4 {
		t.Errorf("state %d after what was told behind its own packets", got.State)
	}
}

// BenchmarkChanges is what it takes to find one change among very many
// connections: by a walk and as it was noted.
func BenchmarkChanges(b *testing.B) {
	const many = 100000
	d := newBench(b, Options{MaxFlows: 1 << 18})
	d.set(one(l4.NAT, false))
	for i := range many {
		d.run(packet{protocol: l4.UDP, client: clientNumber(i&0xffff, false), sport: uint16(1000 + i>>16)}.frame())
	}
	if err := d.Watch(true); err != nil {
		b.Fatal(err)
	}
	frame := packet{}.frame()
	d.run(frame)
	var walks, notes time.Duration
	n := 0
	for b.Loop() {
		// A connection that is opened again and again: it is there for both.
		mark := now() + 1
		for now() < mark {
			time.Sleep(time.Millisecond)
		}
		d.run(packet{flags: flagFIN | flagACK}.frame())
		d.run(packet{flags: flagSYN}.frame())
		d.run(packet{flags: flagACK}.frame())
		found := [2]int{}
		start := time.Now()
		if _, _, err := d.Noted(func(l4.Sync) bool { found[0]++; return true }); err != nil {
			b.Fatal(err)
		}
		middle := time.Now()
		if _, err := d.Changed(mark, false, func(l4.Sync) bool { found[1]++; return true }); err != nil {
			b.Fatal(err)
		}
		notes, walks = notes+middle.Sub(start), walks+time.Since(middle)
		n++
		if found != [2]int{1, 1} {
			b.Fatalf("found %v", found)
		}
	}
	b.ReportMetric(float64(walks.Microseconds())/float64(n), "µs/walk")
	b.ReportMetric(float64(notes.Microseconds())/float64(n), "µs/noted")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkNoting is what a new flow costs where nobody wants to know of it, and
// where somebody does.
func BenchmarkNoting(b *testing.B) {
	d := newBench(b, Options{MaxFlows: 1 << 18})
	d.set(one(l4.NAT, false))
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		b.Skip(err)
	}
	defer stats.Close()
	spent := func() (time.Duration, uint64) {
		s, err := d.prog.Stats()
		if err != nil {
			b.Fatal(err)
		}
		return s.Runtime, s.RunCount
	}
	var total [2]time.Duration
	var runs [2]uint64
	next := 0
	for b.Loop() {
		for on := range 2 {
			if err := d.Watch(on == 1); err != nil {
				b.Fatal(err)
			}
			time0, runs0 := spent()
			for range 1000 {
				next++
				d.run(packet{protocol: l4.UDP, client: clientNumber(next&0xffff, false), sport: uint16(1000 + next>>16)}.frame())
			}
			time1, runs1 := spent()
			total[on], runs[on] = total[on]+time1-time0, runs[on]+runs1-runs0
		}
		if next > 100000 {
			d.forget()
			d.set(one(l4.NAT, false))
			next = 0
		}
	}
	b.ReportMetric(float64(total[0])/float64(runs[0]), "ns/unnoted")
	b.ReportMetric(float64(total[1])/float64(runs[1]), "ns/noted")
	b.ReportMetric(0, "ns/op")
}
