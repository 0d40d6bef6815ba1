package failover

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/alert"
	"evenkeel/internal/dialect/keepalived"
	"evenkeel/internal/failover/loop"
	"evenkeel/internal/failover/transport"
	"evenkeel/internal/keeper/lease"
	"evenkeel/internal/model"
	"evenkeel/internal/netconf"
	"evenkeel/internal/netconf/fake"
	"evenkeel/internal/vrrp"
	wire "evenkeel/internal/wire/vrrp"
)

// bench is a plane in a world of fakes, whose clock the test turns.
type bench struct {
	t      *testing.T
	now    time.Duration
	asleep time.Duration
	host   *fake.Host
	frames fake.Announcer
	hub    *alert.Hub
	page   *fakePage
	plane  *plane
	next   time.Duration
	rounds int

	sent   []sentPacket
	queued []sentPacket
	joined []transport.Membership
	vrids  transport.VRIDs
}

type sentPacket struct {
	at       time.Duration
	token    int
	header   wire.Header
	payload  []byte
	advert   wire.Advert
	holdings bool // the first address was on the host at that moment
}

// fakePage is a page in memory.
type fakePage struct {
	beats  []time.Duration // promises
	will   lease.Will
	wills  int
	state  []byte
	worker lease.WorkerState
	since  time.Duration
	down   []string // nil: not known
}

func (p *fakePage) Beat(_, d time.Duration) error { p.beats = append(p.beats, d); return nil }
func (p *fakePage) Rest() error                   { return nil }
func (p *fakePage) WriteWill(w lease.Will) error  { p.will = w; p.wills++; return nil }
func (p *fakePage) WriteState(b []byte) error     { p.state = slices.Clone(b); return nil }
func (p *fakePage) Worker() (lease.WorkerState, time.Duration) {
	return p.worker, p.since
}

func (p *fakePage) Down() ([]string, bool) { return p.down, p.down != nil }

// The bench is the packets of its plane.

func (b *bench) Need(family, protocol uint8) error   { return nil }
func (b *bench) Accept(v transport.VRIDs) error      { b.vrids = v; return nil }
func (b *bench) Join(m transport.Membership) error   { b.joined = append(b.joined, m); return nil }
func (b *bench) Memberships() []transport.Membership { return slices.Clone(b.joined) }
func (b *bench) Leave(m transport.Membership) {
	b.joined = slices.DeleteFunc(b.joined, func(x transport.Membership) bool { return x == m })
}

func (b *bench) Queue(token, iface int, h *wire.Header, payload []byte) {
	b.queued = append(b.queued, sentPacket{at: b.now, token: token, header: *h, payload: slices.Clone(payload)})
}

func (b *bench) Flush(transport.Failed) {
	for _, p := range b.queued {
		for _, i := range b.plane.instances {
			if i.token == p.token {
				if err := wire.Parse(&p.advert, p.payload, &p.header, i.machine.Expect()); err != nil {
					b.t.Errorf("%s sent a packet that does not parse: %v", i.name(), err)
				}
				p.holdings = b.host.Has("eth0", i.setup.config.Addresses[0].String())
			}
		}
		b.sent = append(b.sent, p)
	}
	b.queued = nil
}

func parse(t *testing.T, text string) *plan {
	t.Helper()
	c, d := keepalived.Parse([]keepalived.File{{Name: "keepalived.conf", Data: []byte(text)}}, keepalived.Options{})
	if d.HasErrors() {
		t.Fatal(d)
	}
	p, d := prepare(c, &Options{})
	if d.HasErrors() {
		t.Fatal(d)
	}
	return p
}

func newBench(t *testing.T, text string) *bench {
	t.Helper()
	b := &bench{t: t, now: 1000 * time.Second, host: fake.New(fake.Ethernet(2, "eth0", "192.0.2.1/24")), hub: alert.New(alert.Options{}), page: &fakePage{}}
	b.host.Now = func() time.Duration { return b.now }
	_, read := b.host.Watch()
	t.Cleanup(func() { b.host.Close() })
	b.plane = newPlane(world{host: b.host, frames: &b.frames, packets: b, page: b.page, events: b.hub,
		wall: func() time.Time { return time.Unix(0, 0).Add(b.now) }, clock: func() time.Duration { return b.now },
		boottime: func() time.Duration { return b.now + b.asleep },
		changes:  func() []netconf.Change { c, _ := read(); return c }},
		about{scheduling: func() string { return "test" }, rounds: func() uint64 { return 0 }, traffic: func() transport.Stats { return transport.Stats{} }})
	b.load(text, nil)
	return b
}

// load switches to a configuration in a round of its own.
func (b *bench) load(text string, from *saved) {
	b.t.Helper()
	p := parse(b.t, text)
	b.round(func() { b.plane.load(p, from) })
}

// round is one of the loop, at the present time.
func (b *bench) round(f func()) {
	b.plane.Wake(b.now)
	if f != nil {
		f()
	}
	b.next = b.plane.Round(b.now)
	b.rounds++
}

// run lets time pass for d, with rounds when they are due.
func (b *bench) run(d time.Duration) {
	end := b.now + d
	for b.next <= end {
		b.now = max(b.now, b.next)
		b.round(nil)
	}
	b.now = end
}

// hear gives the plane an advertisement of a peer.
func (b *bench) hear(i *instance, source string, priority uint8) {
	pk := b.packet(i, source, priority)
	b.plane.receive(&pk)
}

func (b *bench) packet(i *instance, source string, priority uint8) transport.Packet {
	c := i.machine.Config()
	h := wire.Header{Source: netip.MustParseAddr(source), Destination: multicastGroup(i.setup.model), Protocol: wire.ProtocolVRRP, TTL: 255}
	a := &wire.Advert{Version: c.Version, VRID: c.VRID, Priority: priority, Interval: c.Interval, Addresses: c.Addresses, Auth: c.Auth, Sequence: 1}
	return transport.Packet{Interface: 2, Header: h, Multicast: true, Payload: wire.Append(nil, a, &h, &c.Key)}
}

func (b *bench) of(i *instance) (all []sentPacket) {
	for _, p := range b.sent {
		if p.token == i.token {
			all = append(all, p)
		}
	}
	return all
}

func manyText(n int, interval string) string {
	var s strings.Builder
	for k := 1; k <= n; k++ {
		s.WriteString(strings.ReplaceAll(instanceText(fmt.Sprintf("V%d", k), k, 150, fmt.Sprintf("10.0.%d.1/32", k)), "advert_int 0.1", "advert_int "+interval))
	}
	return s.String()
}

func TestAdvertWaitsForTheAddress(t *testing.T) {
	b := newBench(t, manyText(1, "1"))
	b.run(5 * time.Second)
	if len(b.sent) == 0 {
		t.Fatal("nothing was sent")
	}
	for _, p := range b.sent {
		if !p.holdings {
			t.Errorf("an advertisement left at %v without the address", p.at)
		}
	}
	if frames := b.frames.Frames(); len(frames) == 0 {
		t.Error("no gratuitous ARP")
	}
}

// TestAlignment: advertisements of many instances with different phases fall
// together after a while, and none is ever late.
func TestAlignment(t *testing.T) {
	const n, interval = 40, time.Second
	b := newBench(t, manyText(n, "1"))
	// Different phases: each is ordered to be master at its own time.
	for k, i := range b.plane.instances {
		b.run(time.Duration(k) * 7 * time.Millisecond)
		b.round(func() { b.plane.step(i, vrrp.TakeOver{}) })
	}
	b.run(5 * time.Second)
	b.rounds, b.sent = 0, nil
	b.run(3 * interval)
	apart := b.rounds
	b.run(150 * interval)
	b.rounds = 0
	b.run(3 * interval)
	if apart < 2*b.rounds || b.rounds > 20 {
		t.Errorf("%d rounds in three intervals, %d at first", b.rounds, apart)
	}
	for _, i := range b.plane.instances {
		all := b.of(i)
		for k := 1; k < len(all); k++ {
			if gap := all[k].at - all[k-1].at; gap > interval {
				t.Fatalf("%s: %v between advertisements at %v", i.name(), gap, all[k].at)
			} else if gap < interval*97/100 {
				t.Fatalf("%s: only %v between advertisements at %v", i.name(), gap, all[k].at)
			}
		}
	}
}

// TestReloadIsNotLate: when one of 50 instances changes, the others send at the
// very moments at which they would have sent.
func TestReloadIsNotLate(t *testing.T) {
	text := manyText(50, "1")
	still, reloaded := newBench(t, text), newBench(t, text)
	still.run(200500 * time.Millisecond)
	reloaded.run(200500 * time.Millisecond)
	still.sent, reloaded.sent = nil, nil
	changed := strings.Replace(text, "virtual_router_id 7\n priority 150", "virtual_router_id 7\n priority 140", 1)
	reloaded.load("# one more line\n"+changed, nil)
	if got := len(reloaded.of(reloaded.plane.byName["V7"])); got != 1 {
		t.Errorf("the changed one told its peers %d times", got)
	}
	still.run(10 * time.Second)
	reloaded.run(10 * time.Second)
	for k, i := range still.plane.instances {
		if k+1 == 7 {
			continue
		}
		j := reloaded.plane.instances[k]
		want, got := still.of(i), reloaded.of(j)
		if len(want) != len(got) || len(got) < 9 {
			t.Fatalf("%s sent %d advertisements, %d without a reload", j.name(), len(got), len(want))
		}
		for n := range want {
			if want[n].at != got[n].at {
				t.Fatalf("%s: at %v instead of %v", j.name(), got[n].at, want[n].at)
			}
		}
	}
}

// TestLeavingListens: a master on its way out hears its successor whatever
// happens meanwhile, also when another instance has gone already.
func TestLeavingListens(t *testing.T) {
	text := manyText(2, "1")
	for name, leave := range map[string]func(b *bench){
		"end":    func(b *bench) { b.plane.halt(true, func() {}) },
		"reload": func(b *bench) { b.plane.load(parse(t, manyText(1, "1")), nil) },
	} {
		b := newBench(t, text)
		b.run(5 * time.Second)
		other, i := b.plane.instances[0], b.plane.instances[1]
		b.round(func() {
			b.hear(other, "192.0.2.9", 200)
			leave(b)
		})
		b.run(50 * time.Millisecond)
		b.round(func() { b.plane.linksBad = true })
		b.round(nil)
		if !b.host.Has("eth0", "10.0.2.1") {
			t.Fatalf("%s: the address went at once", name)
		}
		if len(b.joined) == 0 || !b.vrids.Has(i.setup.config.VRID) {
			t.Fatalf("%s: a master that leaves listens to %v, %v", name, b.joined, b.vrids)
		}
		b.round(func() { b.hear(i, "192.0.2.9", 100) })
		b.run(20 * time.Millisecond)
		b.round(nil)
		if b.host.Has("eth0", "10.0.2.1") {
			t.Errorf("%s: the address is still there 20 ms after the successor was heard", name)
		}
		b.round(nil)
		if b.vrids.Has(i.setup.config.VRID) {
			t.Errorf("%s: it still listens for an instance that has left", name)
		}
	}
}

// TestFrozenWithSuccessor: a peer that took over while this process did not run
// is found before anything is sent.
func TestFrozenWithSuccessor(t *testing.T) {
	b := newBench(t, manyText(1, "0.1"))
	b.run(2 * time.Second)
	i := b.plane.instances[0]
	if !b.host.Has("eth0", "10.0.1.1") {
		t.Fatal("not master")
	}
	b.sent = nil
	b.now += time.Second
	b.plane.Wake(b.now)
	b.hear(i, "192.0.2.9", 100)
	if b.host.Has("eth0", "10.0.1.1") || len(b.sent) > 0 || i.machine.State() != vrrp.Backup {
		t.Errorf("state %v, sent %v", i.machine.State(), b.sent)
	}
	b.next = b.plane.Round(b.now)
	if len(b.sent) > 0 {
		t.Errorf("it sent %v", b.sent)
	}
	// The one that is heard has a lower priority: after its down interval it is
	// preempted as usual.
	b.run(time.Second)
	if !b.host.Has("eth0", "10.0.1.1") {
		t.Error("no new election")
	}
}

func TestFrozenWithoutSuccessor(t *testing.T) {
	b := newBench(t, manyText(1, "0.1"))
	b.run(2 * time.Second)
	b.sent = nil
	b.now += 370 * time.Millisecond
	b.round(nil)
	if i := b.plane.instances[0]; i.machine.State() != vrrp.Master || len(b.sent) != 1 {
		t.Errorf("nobody has taken over, but: state %v, %d sent", i.machine.State(), len(b.sent))
	}
}

// TestFrozenBeyondTheLease: the kernel has taken the addresses away meanwhile.
func TestFrozenBeyondTheLease(t *testing.T) {
	for name, sleep := range map[string]func(b *bench){
		"the process": func(b *bench) { b.now += 10 * time.Second },
		"the host":    func(b *bench) { b.asleep += 10 * time.Second },
	} {
		b := newBench(t, manyText(1, "0.1"))
		b.run(2 * time.Second)
		b.sent = nil
		sleep(b)
		b.round(nil)
		if i := b.plane.instances[0]; i.machine.State() != vrrp.Backup || len(b.sent) != 0 {
			t.Errorf("%s: state %v, %d sent", name, i.machine.State(), len(b.sent))
		}
	}
}

func TestAddressesThatAreKeptHaveNoLease(t *testing.T) {
	b := newBench(t, manyText(1, "0.1"))
	p := parse(t, manyText(1, "0.1"))
	for _, i := range p.instances {
		i.lease = 0
	}
	b.round(func() { b.plane.load(p, nil) })
	b.run(2 * time.Second)
	if l := b.host.Lease("eth0", "10.0.1.1/32"); l >= 0 || !b.host.Has("eth0", "10.0.1.1") {
		t.Fatalf("lease of %v", l)
	}
	if n := b.plane.renewals.done; n != 0 {
		t.Errorf("%d renewals", n)
	}
	if p, _ := prepare(&model.Config{Failover: p.model}, &Options{KeepAddresses: true}); p.instances[0].lease != 0 {
		t.Error("a lease although addresses are kept")
	}
}

func TestLeaseIsRenewedInTime(t *testing.T) {
	b := newBench(t, manyText(3, "0.1"))
	b.run(time.Second)
	if l := b.host.Lease("eth0", "10.0.1.1/32"); l > time.Second || l <= 0 {
		t.Fatalf("lease of %v", l)
	}
	b.host.Lines()
	for range 200 {
		b.run(100 * time.Millisecond)
		if !b.host.Has("eth0", "10.0.2.1") {
			t.Fatalf("the lease ended at %v", b.now)
		}
	}
	if n := b.plane.renewals; n.done < 30 || n.done > 60 || n.failed != 0 {
		t.Errorf("in 20 s: %+v", n)
	}
}

func TestWill(t *testing.T) {
	b := newBench(t, manyText(2, "0.1"))
	b.round(nil)
	if w := b.page.will; !w.Empty() || len(w.Alive) != 0 {
		t.Errorf("the will of a backup: %+v", w)
	}
	b.run(time.Second)
	w := b.page.will
	if len(w.Alive) != 2 || len(w.Leave) != 2 || len(w.Remove) == 0 || w.Every != 100*time.Millisecond || w.Patience != standInPatience || w.Wait <= 0 {
		t.Fatalf("the will of a master: %+v", w)
	}
	i := b.plane.instances[0]
	var a wire.Advert
	for _, c := range []struct {
		d        lease.Datagram
		priority uint8
	}{{w.Alive[0], 150}, {w.Leave[0], 0}} {
		h := wire.Header{Source: c.d.Source, Destination: c.d.Destination, Protocol: uint8(c.d.Protocol), TTL: uint8(c.d.TTL)}
		if err := wire.Parse(&a, c.d.Payload, &h, i.machine.Expect()); err != nil || a.Priority != c.priority || c.d.Interface != 2 || c.d.TTL != 255 {
			t.Errorf("%+v: %+v %v", c.d, a, err)
		}
	}
	// Somebody else does what it says, and nothing of ours is left.
	b.host.Obey(w.Remove)
	if b.host.Has("eth0", "10.0.1.1") || b.host.Has("eth0", "10.0.2.1") || !b.host.Has("eth0", "192.0.2.1") {
		t.Error("the removal of the will is not that of our addresses")
	}
	// Nothing is written while nothing changes.
	b.run(time.Second)
	wills := b.page.wills
	b.run(10 * time.Second)
	if b.page.wills != wills {
		t.Errorf("written %d times in between", b.page.wills-wills)
	}
}

// TestWillOfAH: what the keeper would send is always fresh for a receiver that
// has seen everything before.
func TestWillOfAH(t *testing.T) {
	b := newBench(t, `vrrp_instance V {
 interface eth0
 virtual_router_id 1
 priority 150
 advert_int 1
 authentication {
  auth_type AH
  auth_pass secret
 }
 virtual_ipaddress {
  10.0.1.1/32
 }
}
`)
	i := b.plane.instances[0]
	sequence := func(d lease.Datagram) uint32 {
		var a wire.Advert
		h := wire.Header{Source: d.Source, Destination: d.Destination, Protocol: uint8(d.Protocol), TTL: uint8(d.TTL)}
		if err := wire.Parse(&a, d.Payload, &h, i.machine.Expect()); err != nil {
			t.Fatal(err)
		}
		return a.Sequence
	}
	b.run(10 * time.Second)
	for range 30 {
		b.run(100 * time.Second)
		last := b.sent[len(b.sent)-1].advert.Sequence
		w := b.page.will
		if alive, leave := sequence(w.Alive[0]), sequence(w.Leave[0]); alive <= last || leave <= alive {
			t.Fatalf("sent %d, alive %d, leave %d", last, alive, leave)
		}
		s := new(saved)
		if err := json.Unmarshal(b.page.state, s); err != nil {
			t.Fatal(err)
		}
		if got := s.Instances[0].Sequence; got <= sequence(w.Leave[0]) {
			t.Fatalf("a new process would go on from %d", got)
		}
	}
}

func TestBeats(t *testing.T) {
	for _, c := range []struct {
		interval string
		want     time.Duration
	}{{"1", 1900 * time.Millisecond}, {"0.01", 20 * time.Millisecond}} {
		b := newBench(t, manyText(1, c.interval))
		if got := b.page.beats[len(b.page.beats)-1]; got != idleBeat {
			t.Errorf("a backup promises to be back in %v", got)
		}
		b.run(5 * time.Second)
		if got := b.page.beats[len(b.page.beats)-1]; got != c.want {
			t.Errorf("interval %s: a master promises to be back in %v", c.interval, got)
		}
	}
}

func TestPacedAnnouncements(t *testing.T) {
	b := newBench(t, "global_defs {\n vrrp_garp_interval 0.02\n}\n"+
		instanceText("V", 1, 150, "10.0.1.1/32\n 10.0.1.2/32", "garp_master_repeat 3"))
	b.run(400 * time.Millisecond)
	if got := len(b.frames.Frames()); got == 0 || got == 6 {
		t.Fatalf("%d frames at first", got)
	}
	rounds := 0
	for b.plane.announce.at() != loop.Never {
		b.run(20 * time.Millisecond)
		if got := len(b.frames.Frames()); got > 1 {
			t.Fatalf("%d frames within 20 ms", got)
		}
		if rounds++; rounds > 20 {
			t.Fatal("it never ends")
		}
	}
}

// TestGracefulStop: the addresses stay until the peers' skew time is over, and
// then everything is gone.
func TestGracefulStop(t *testing.T) {
	b := newBench(t, manyText(2, "0.1"))
	b.run(2 * time.Second)
	b.sent = nil
	done := false
	b.round(func() { b.plane.halt(true, func() { done = true }) })
	if len(b.sent) != 2 || b.sent[0].payload[2] != 0 {
		t.Fatalf("sent: %+v", b.sent)
	}
	if !b.host.Has("eth0", "10.0.1.1") || done {
		t.Fatal("the address went at once")
	}
	b.run(200 * time.Millisecond)
	if b.host.Has("eth0", "10.0.1.1") || b.host.Has("eth0", "10.0.2.1") || !done {
		t.Errorf("done %v", done)
	}
	if !b.page.will.Empty() || len(b.page.state) != 0 {
		t.Errorf("left behind: %+v %q", b.page.will, b.page.state)
	}
}

func TestAbruptStop(t *testing.T) {
	b := newBench(t, manyText(2, "0.1"))
	b.run(2 * time.Second)
	done := false
	b.round(func() { b.plane.halt(false, func() { done = true }) })
	if !done || b.host.Has("eth0", "10.0.1.1") {
		t.Errorf("done %v", done)
	}
}
