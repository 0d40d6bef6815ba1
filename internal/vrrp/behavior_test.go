package vrrp

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	wire "evenkeel/internal/wire/vrrp"
)

const takes = "add, advert 100, announce 5 became master, "

func TestSkew(t *testing.T) {
	tests := []struct {
		version, priority uint8
		interval, want    time.Duration
	}{
		{2, 100, 2 * second, second * 156 / 256},
		{2, 255, second, second / 256},
		{2, 1, second, second * 255 / 256},
		{3, 100, second, second * 156 / 256},
		{3, 150, 30 * ms, 30 * ms * 106 / 256},
		{3, 254, 10 * ms, 10 * ms * 2 / 256},
	}
	for _, test := range tests {
		if got := skew(test.version, test.priority, test.interval); got != test.want {
			t.Errorf("version %d, priority %d, %v: %v, want %v", test.version, test.priority, test.interval, got, test.want)
		}
	}
	if a, b := skew(3, 100, 10*ms), skew(3, 101, 10*ms); a <= b {
		t.Error("at 10 ms neighbours in priority wait equally long")
	}
}

func TestDownTimerAdverts(t *testing.T) {
	c := basic()
	c.DownTimerAdverts = 7
	r := newRig(t, c)
	r.quiet(Start{})
	r.due(7*second + second*156/256)
}

func TestVersion2KeepsItsInterval(t *testing.T) {
	c := basic()
	c.Version, c.Interval = 2, 2*second
	r := newRig(t, c)
	r.quiet(Start{})
	r.due(6*second + second*156/256)
	r.at(second)
	a := advert(&c, lower, 200)
	a.Advert.Interval = second
	r.do(a, "note: discarded an advertisement of 10.9.0.4: its interval is 1000 ms, ours 2000 ms, and version 2 needs the same on all routers")
	r.due(6*second + second*156/256)
	if r.counters.IntervalErrors != 1 {
		t.Error("not counted")
	}
}

func TestVersion3LearnsTheInterval(t *testing.T) {
	r := newRig(t, basic())
	r.quiet(Start{})
	r.at(second)
	a := advert(&r.config, lower, 200)
	a.Advert.Interval = 100 * ms
	r.do(a, "")
	r.due(second + 300*ms + 100*ms*156/256)
	if i := r.Info(); i.MasterInterval != 100*ms || i.Master != lower || i.MasterPriority != 200 {
		t.Errorf("%+v", i)
	}
	a.Advert.Priority = 0
	r.do(a, "")
	r.due(second + 100*ms*156/256)
	r.next(takes + "BACKUP>MASTER (the master gave up (priority 0))")
	r.due(second + 100*ms*156/256 + second) // our own interval as a master
}

func TestRepeatedReleaseDoesNotPutOff(t *testing.T) {
	r := newRig(t, basic())
	r.quiet(Start{})
	r.at(second)
	r.hear(lower, 200, "")
	r.hear(lower, 0, "")
	r.at(second + 300*ms)
	r.hear(lower, 0, "")
	r.due(second + second*156/256)
	// A lower one that speaks meanwhile changes nothing either.
	r.hear(higher, 50, "")
	r.due(second + second*156/256)
	// A higher one does.
	r.hear(higher, 120, "")
	r.due(second + 300*ms + 3*second + second*156/256)
}

func TestReleaseNeverLengthensTheWait(t *testing.T) {
	r := newRig(t, basic())
	r.quiet(Start{})
	r.at(3*second + 500*ms)
	r.hear(lower, 0, "")
	r.due(3*second + second*156/256)
}

func TestOwner(t *testing.T) {
	c := basic()
	c.Priority, c.StartMaster, c.Preempt = 255, true, false
	r := newRig(t, c)
	r.do(Start{}, "remove, add, advert 255, announce 5 became master, INIT>MASTER (owns the addresses (priority 255))")
	r.do(SetPriority{30, "w"}, "")
	r.at(2 * second)
	r.hear(lower, 254, "note: two masters: 10.9.0.4 also advertises, with priority 254, note: 10.9.0.4 advertises with a lower priority (254), advert 255")
	r.hear(lower, 255, "note: 10.9.0.4 also says that it owns the addresses (priority 255): only one router can, "+
		"note: two masters: 10.9.0.4 also advertises, with priority 255, note: 10.9.0.4 advertises with a lower priority (255), advert 255")
	r.do(FaultSet{Why: "script chk failed"}, "advert 0, MASTER>FAULT (fault: script chk failed)")
	r.do(Recovered{}, "add, advert 255, announce 5 became master, FAULT>MASTER (owns the addresses (priority 255))")

	c.StartupDelay = 2 * second
	r = newRig(t, c)
	r.do(Start{}, "remove, INIT>BACKUP (started)")
	r.due(2 * second)
	r.hear(lower, 120, "")
	r.next("add, advert 255, announce 5 became master, BACKUP>MASTER (owns the addresses (priority 255))")

	c.StartMaster, c.StartupDelay = false, 0
	r = newRig(t, c)
	r.do(Start{}, "remove, INIT>BACKUP (started)")
	r.at(second)
	r.hear(lower, 254, "") // an owner preempts in spite of nopreempt
	r.due(3*second + second/256)
}

func TestStartupDelay(t *testing.T) {
	c := basic()
	c.StartupDelay = 5 * second
	r := newRig(t, c)
	r.quiet(Start{})
	r.due(5*second + 3*second + second*156/256)
	r.at(second)
	r.hear(lower, 0, "")
	r.due(5 * second) // never before the delay is over
	r.next(takes + "BACKUP>MASTER (the master gave up (priority 0))")
}

func TestPreempt(t *testing.T) {
	r := newRig(t, basic())
	r.quiet(Start{})
	for i := range 3 {
		r.at(time.Duration(i+1) * second)
		r.hear(lower, 90, "")
	}
	r.due(3*second + second*156/256)
	if i := r.Info(); i.Master != lower || i.MasterPriority != 90 {
		t.Errorf("the present master is unknown: %+v", i)
	}
	r.next(takes + "BACKUP>MASTER (the master has a lower priority)")
}

func TestNoPreempt(t *testing.T) {
	c := basic()
	c.Preempt = false
	r := newRig(t, c)
	r.quiet(Start{})
	r.at(second)
	r.hear(lower, 90, "")
	r.due(second + 3*second + second*156/256)

	c.StartMaster = true // overrules it
	r = newRig(t, c)
	r.quiet(Start{})
	r.at(second)
	r.hear(lower, 90, "")
	r.due(3*second + second*156/256)
}

func TestPreemptDelay(t *testing.T) {
	c := basic()
	c.PreemptDelay = 2500 * ms
	r := newRig(t, c)
	r.quiet(Start{})
	down := 3*second + second*156/256
	for i := 1; i <= 6; i++ {
		r.at(time.Duration(i) * second)
		r.hear(lower, 90, "")
	}
	// Tolerated at 1, 2 and 3 s, as the delay ran until 3.5 s.
	r.due(3*second + down)
	r.next(takes + "BACKUP>MASTER (the master has a lower priority)")

	// A better master in between starts it anew, and a vanished one is
	// replaced without it.
	r = newRig(t, c)
	r.quiet(Start{})
	r.at(second)
	r.hear(lower, 90, "")
	r.at(2 * second)
	r.hear(higher, 150, "")
	r.at(4 * second)
	r.hear(lower, 90, "")
	r.due(4*second + down)
	r.hear(lower, 0, "")
	r.due(4*second + second*156/256)
}

func TestPromptElection(t *testing.T) {
	c := basic()
	c.PromptElection = true
	start := func(c Config) *rig {
		r := newRig(t, c)
		r.quiet(Start{})
		r.at(second)
		r.hear(lower, 150, "")
		r.at(2 * second)
		return r
	}
	demoted := 2*second + second*156/256
	normal := second + 3*second + second*156/256

	r := start(c)
	r.hear(lower, 90, "")
	r.due(demoted)
	r.at(2*second + 100*ms)
	r.hear(lower, 90, "") // does not put it off
	r.due(demoted)
	r.next(takes + "BACKUP>MASTER (the master has a lower priority)")

	r = start(c)
	r.hear(higher, 90, "") // somebody else
	r.due(normal)

	r = start(c)
	r.quiet(SetPriority{200, "w"})
	r.hear(lower, 150, "") // we rose, it did not fall
	r.due(second + 3*second + second*56/256)

	c.PreemptDelay = second
	r = start(c)
	r.hear(lower, 90, "")
	r.due(2*second + 3*second + second*156/256)

	c.PreemptDelay, c.Preempt = 0, false
	r = start(c)
	r.hear(lower, 90, "")
	r.due(2*second + 3*second + second*156/256)

	c.Preempt, c.PromptElection = true, false
	r = start(c)
	r.hear(lower, 90, "")
	r.due(normal)
}

func TestPriorityWhileBackup(t *testing.T) {
	r := newRig(t, basic())
	r.quiet(Start{})
	r.at(second)
	r.hear(lower, 150, "")
	r.at(2 * second)
	r.do(SetPriority{200, "100 + 100 script x succeeded = 200"}, "note: effective priority 200, was 100")
	r.due(second + 3*second + second*56/256)
	r.hear(lower, 150, "")
	r.next("add, advert 200, announce 5 became master, BACKUP>MASTER (the master has a lower priority)")
	if i := r.Info(); i.PriorityWhy != "100 + 100 script x succeeded = 200" || i.Effective != 200 || i.Configured != 100 {
		t.Errorf("%+v", i)
	}
}

func TestPriorityBounds(t *testing.T) {
	r := newRig(t, basic())
	r.quiet(SetPriority{255, ""})
	if r.Info().Effective != 254 {
		t.Error("tracking made an owner")
	}
	r.quiet(SetPriority{0, ""})
	if r.Info().Effective != 1 {
		t.Error("tracking made a priority of 0")
	}
}

func TestAnnouncements(t *testing.T) {
	c := basic()
	c.Interval = 200 * ms
	c.Announce = Announcements{Repeat: 2, Delay: second, Refresh: 2 * second, RefreshRepeat: 3, LowerPrioRepeat: 4, LowerPrioDelay: 500 * ms}
	r := newRig(t, c)
	r.quiet(Start{})
	r.now, _ = r.Deadline()
	r.do(Timer{}, "add, advert 100, announce 2 became master, BACKUP>MASTER (no advertisement within the down interval)")
	begun, adverts := r.now, 0
	var got []string
	for r.now < begun+4500*ms {
		r.now, _ = r.Deadline()
		for _, a := range r.Step(r.now, Timer{}) {
			if a.Kind == SendAdvert {
				adverts++
				continue
			}
			got = append(got, (r.now-begun).String()+" "+words([]Action{a}))
		}
	}
	want := "1s announce 2 became master, again; 2s announce 3 refresh; 4s announce 3 refresh"
	if s := strings.Join(got, "; "); s != want {
		t.Errorf("%s, want %s", s, want)
	}
	if adverts != 23 {
		t.Errorf("%d advertisements", adverts)
	}
	r.now += 50 * ms
	heard := r.now
	r.hear(lower, 50, "note: two masters: 10.9.0.4 also advertises, with priority 50, note: 10.9.0.4 advertises with a lower priority (50), advert 100, announce 4 heard a lower master")
	if at, _ := r.Deadline(); at != heard+200*ms {
		t.Error("the advertisement did not begin the interval anew")
	}
	r.next("advert 100")
	r.next("advert 100")
	r.next("announce 4 heard a lower master, again")
	if r.now != heard+500*ms {
		t.Errorf("again after %v", r.now-heard)
	}
	r.next("advert 100")
	// Nothing of it is left over for a later life.
	r.hear(lower, 50, "note: two masters: 10.9.0.4 also advertises, with priority 50, note: 10.9.0.4 advertises with a lower priority (50), advert 100, announce 4 heard a lower master")
	r.hear(lower, 200, "remove, MASTER>BACKUP (a master of higher priority)")
	r.next("add, advert 100, announce 2 became master, BACKUP>MASTER (no advertisement within the down interval)")
	r.next("advert 100")
	r.next("advert 100")
	r.next("advert 100")
}

func TestNoAnnouncements(t *testing.T) {
	c := basic()
	c.Announce = Announcements{Delay: second, LowerPrioDelay: second}
	r := newRig(t, c)
	r.quiet(Start{})
	r.next("add, advert 100, BACKUP>MASTER (no advertisement within the down interval)")
	r.now += 1500 * ms
	r.do(Timer{}, "advert 100")
	r.hear(lower, 50, "note: two masters: 10.9.0.4 also advertises, with priority 50, note: 10.9.0.4 advertises with a lower priority (50), advert 100")
	r.next("advert 100")
}

func TestAdvertSwitches(t *testing.T) {
	c := basic()
	c.LowerPrioNoAdvert, c.HigherPrioSendAdvert = true, true
	c.Announce.LowerPrioRepeat = 1
	r := asMaster(t, c)
	before, _ := r.Deadline()
	r.hear(lower, 50, "note: two masters: 10.9.0.4 also advertises, with priority 50, note: 10.9.0.4 advertises with a lower priority (50), announce 1 heard a lower master")
	if at, _ := r.Deadline(); at != before {
		t.Error("the schedule changed")
	}
	r.hear(lower, 150, "advert 100, remove, MASTER>BACKUP (a master of higher priority)")
}

func TestScheduleDoesNotDrift(t *testing.T) {
	r := asMaster(t, basic())
	first, _ := r.Deadline()
	for i := range 5 {
		r.now = first + time.Duration(i)*second + 3*ms // always a little late
		r.do(Timer{}, "advert 100")
	}
	if at, _ := r.Deadline(); at != first+5*second {
		t.Errorf("drifted by %v", at-first-5*second)
	}
	r.now += 2500 * ms
	r.do(Timer{}, "advert 100") // once, not three times
	if at, _ := r.Deadline(); at != r.now+second {
		t.Errorf("next in %v", at-r.now)
	}
}

func TestDuplicateMasterWhileTakingOver(t *testing.T) {
	r := newRig(t, basic())
	r.quiet(Start{})
	r.now, _ = r.Deadline()
	r.quiet(Timer{})
	r.now += 100 * ms
	r.hear(lower, 90, "note: 10.9.0.4 advertises with a lower priority (90), advert 100")
	r.now += second
	r.hear(lower, 90, "note: two masters: 10.9.0.4 also advertises, with priority 90, note: 10.9.0.4 advertises with a lower priority (90), advert 100")
	if r.counters.DuplicateMaster != 1 {
		t.Error(r.counters.DuplicateMaster)
	}
}

func TestGracefulStop(t *testing.T) {
	r := asMaster(t, basic())
	begun := r.now
	r.do(Stop{}, "advert 0, MASTER>STOPPED (stopped)")
	if r.Done() || !r.Info().Leaving || !r.Info().HoldsAddresses {
		t.Error("done at once")
	}
	r.now += 600 * ms
	r.hear(lower, 90, "")
	r.next("remove")
	if !r.Done() || r.now != begun+610*ms {
		t.Errorf("done %v after %v", r.Done(), r.now-begun)
	}
	if r.counters.PriorityZeroSent != 1 || r.counters.ReleasedMaster != 1 {
		t.Errorf("%+v", r.counters)
	}

	// With nobody there it ends within an interval and 100 ms.
	for _, version := range []uint8{2, 3} {
		c := basic()
		c.Version = version
		r = asMaster(t, c)
		begun = r.now
		r.quiet(Stop{})
		r.next("remove")
		if took := r.now - begun; took > second+100*ms || took < skew(version, 1, second) {
			t.Errorf("version %d: gone after %v", version, took)
		}
	}
}

func TestLeaveWait(t *testing.T) {
	r := asMaster(t, basic())
	if w := r.LeaveWait(); w != second*255/256+leaveMargin {
		t.Errorf("unknown successor: %v", w)
	}
	r.hear(lower, 90, "note: two masters: 10.9.0.4 also advertises, with priority 90, note: 10.9.0.4 advertises with a lower priority (90), advert 100")
	if w := r.LeaveWait(); w != second*166/256+leaveMargin {
		t.Errorf("known successor: %v", w)
	}
	if r.Info().Successor != 90 {
		t.Error("the successor is not remembered")
	}
}

func TestResume(t *testing.T) {
	for _, test := range []struct {
		silent time.Duration
		fault  bool
		want   string
	}{
		{2900 * ms, false, "add, advert 100"},
		{3 * second, false, "add, advert 100"},
		{3004 * ms, false, "remove, INIT>BACKUP (started)"},
		{100 * ms, true, "remove, INIT>FAULT (fault: eth0 is down)"},
	} {
		r := newRig(t, basic())
		if test.fault {
			r.quiet(FaultSet{Why: "eth0 is down", LinkDown: true})
		}
		r.do(Start{Resume: &Resume{LastAdvert: r.now - test.silent, Since: 5 * second, Sequence: 41, Successor: 90}}, test.want)
		if r.state == Master {
			if i := r.Info(); i.Sequence != 42 || i.Since != 5*second || i.Successor != 90 || i.LastSent != r.now {
				t.Errorf("%+v", i)
			}
			r.due(second)
		}
	}
}

func TestOverslept(t *testing.T) {
	r := asMaster(t, basic())
	if r.Overslept(r.now + 3*second) {
		t.Error("peers still wait")
	}
	r.now += 3*second + second/256
	if !r.Overslept(r.now) {
		t.Fatal("peers have taken over")
	}
	r.do(Frozen{}, "remove, MASTER>BACKUP (this node was frozen longer than its peers wait)")
	if r.Overslept(r.now + time.Hour) {
		t.Error("a backup cannot oversleep")
	}
}

func TestDrill(t *testing.T) {
	r := newRig(t, basic())
	r.quiet(Start{})
	r.at(second)
	r.hear(lower, 150, "")
	r.do(TakeOver{}, "add, advert 254, announce 5 became master, BACKUP>MASTER (ordered)")
	if i := r.Info(); !i.Drill || i.Effective != 254 {
		t.Errorf("%+v", i)
	}
	r.do(SetPriority{120, "w"}, "") // hidden by the drill
	r.next("advert 254")
	r.do(Clear{}, "note: effective priority 120, was 254, advert 120")
	r.hear(lower, 150, "remove, MASTER>BACKUP (a master of higher priority)")

	r.do(TakeOver{}, "add, advert 254, announce 5 became master, BACKUP>MASTER (ordered)")
	r.do(GiveUp{}, "advert 0, MASTER>BACKUP (ordered)")
	if i := r.Info(); i.Drill || i.Effective != 120 || !i.Leaving {
		t.Errorf("%+v", i)
	}
	r.now += 400 * ms
	r.hear(lower, 150, "")
	r.next("remove")

	r.do(TakeOver{}, "add, advert 254, announce 5 became master, BACKUP>MASTER (ordered)")
	r.hear(lower, 255, "remove, MASTER>BACKUP (a master of higher priority)")
	if r.Info().Drill {
		t.Error("the drill outlived its defeat")
	}
}

func TestDiscarded(t *testing.T) {
	v2 := basic()
	v2.Version, v2.Auth = 2, wire.AuthAH
	unicast := basic()
	unicast.Peers = []Peer{{Addr: lower}, {Addr: higher, MinTTL: 60, MaxTTL: 64}}
	two := basic()
	two.Addresses = []netip.Addr{vip, vip2}
	tests := []struct {
		name  string
		c     Config
		edit  func(r *Received)
		want  string
		count func(c *Counters) uint64
	}{
		{"good", basic(), func(r *Received) {}, "", func(c *Counters) uint64 { return c.AdvertsReceived }},
		{"own", basic(), func(r *Received) { r.Header.Source = self }, "note: discarded an advertisement with our own source address 10.9.0.5: it came back, or somebody else has the address",
			func(c *Counters) uint64 { return c.OwnSource }},
		{"TTL", basic(), func(r *Received) { r.Header.TTL = 254 }, "note: discarded an advertisement of 10.9.0.4: its TTL is 254, not 255; it came through a router",
			func(c *Counters) uint64 { return c.TTLErrors }},
		{"codec", basic(), func(r *Received) { r.Err = wire.ErrAuthData }, "note: discarded an advertisement of 10.9.0.4: VRRP advertisement: wrong authentication data",
			func(c *Counters) uint64 { return c.PacketErrors[wire.ErrAuthData] }},
		{"codec's other error", basic(), func(r *Received) { r.Err = errors.New("x") }, "note: discarded an advertisement of 10.9.0.4: VRRP advertisement: error",
			func(c *Counters) uint64 { return c.PacketErrors[0] }},
		{"unicast to a multicast instance", basic(), func(r *Received) { r.Header.Destination = self }, "note: discarded an advertisement of 10.9.0.4, which is no peer of this instance",
			func(c *Counters) uint64 { return c.UnknownPeers }},
		{"a peer with any TTL", unicast, func(r *Received) { r.Header.Destination, r.Header.TTL = self, 3 }, "", func(c *Counters) uint64 { return c.AdvertsReceived }},
		{"no peer", unicast, func(r *Received) {
			r.Header.Destination, r.Header.Source = self, netip.MustParseAddr("10.9.0.77")
		}, "note: discarded an advertisement of 10.9.0.77, which is no peer of this instance", func(c *Counters) uint64 { return c.UnknownPeers }},
		{"multicast of a peer", unicast, func(r *Received) {}, "note: discarded an advertisement of 10.9.0.4, which is no peer of this instance",
			func(c *Counters) uint64 { return c.UnknownPeers }},
		{"a peer's TTL, low", unicast, func(r *Received) { r.Header.Destination, r.Header.Source, r.Header.TTL = self, higher, 59 },
			"note: discarded an advertisement of 10.9.0.6: its TTL is 59, not 60; it came through a router", func(c *Counters) uint64 { return c.TTLErrors }},
		{"a peer's TTL, high", unicast, func(r *Received) { r.Header.Destination, r.Header.Source, r.Header.TTL = self, higher, 65 },
			"note: discarded an advertisement of 10.9.0.6: its TTL is 65, not 64; it came through a router", func(c *Counters) uint64 { return c.TTLErrors }},
		{"a peer's TTL, good", unicast, func(r *Received) { r.Header.Destination, r.Header.Source, r.Header.TTL = self, higher, 64 }, "", func(c *Counters) uint64 { return c.AdvertsReceived }},
		{"AH", v2, func(r *Received) { r.Advert.Sequence = 1 }, "", func(c *Counters) uint64 { return c.AdvertsReceived }},
		{"AH, used", v2, func(r *Received) { r.Advert.Sequence = 0 }, "note: discarded an advertisement of 10.9.0.4: AH sequence number 0 was used before, the next is 1",
			func(c *Counters) uint64 { return c.Replay }},
		{"more addresses", basic(), func(r *Received) { r.Advert.Addresses = two.Addresses }, "note: discarded an advertisement of 10.9.0.4: it has 2 addresses, we have 1",
			func(c *Counters) uint64 { return c.AddressListErrors }},
		{"other addresses", two, func(r *Received) { r.Advert.Addresses = []netip.Addr{vip, vip} }, "note: discarded an advertisement of 10.9.0.4: 10.9.0.101 is not among its addresses",
			func(c *Counters) uint64 { return c.AddressListErrors }},
		{"another order", two, func(r *Received) { r.Advert.Addresses = []netip.Addr{vip2, vip} }, "", func(c *Counters) uint64 { return c.AdvertsReceived }},
	}
	for _, test := range tests {
		r := newRig(t, test.c)
		r.quiet(Start{})
		r.at(second)
		ev := advert(&test.c, lower, 200)
		test.edit(ev)
		if got := words(r.Step(r.now, ev)); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.name, got, test.want)
		}
		if n := test.count(&r.counters); n != 1 {
			t.Errorf("%s: counted %d", test.name, n)
		}
		if good := test.want == ""; good != (r.base == r.now) {
			t.Errorf("%s: timer begun anew: %v", test.name, !good)
		}
	}
}

func TestSkipCheckAddresses(t *testing.T) {
	c := basic()
	c.SkipCheckAddresses = true
	r := newRig(t, c)
	r.quiet(Start{})
	r.hear(lower, 200, "")
	other := advert(&c, lower, 200)
	other.Advert.Addresses = []netip.Addr{vip2}
	r.do(other, "")
	other.Header.Source = higher // not seen before
	r.do(other, "note: discarded an advertisement of 10.9.0.6: 10.9.0.100 is not among its addresses")
	other.Header.Source = lower // not the one before any more
	r.do(other, "note: discarded an advertisement of 10.9.0.4: 10.9.0.100 is not among its addresses")
}

func TestZonesAreNotCompared(t *testing.T) {
	c := basic()
	c.Family = 6
	c.Source = netip.MustParseAddr("fe80::5%eth0")
	c.Addresses = []netip.Addr{netip.MustParseAddr("fe80::100")}
	c.Peers = []Peer{{Addr: netip.MustParseAddr("fe80::4%eth0")}}
	r := newRig(t, c)
	r.quiet(Start{})
	ev := advert(&c, netip.MustParseAddr("fe80::5"), 200)
	ev.Header.Destination = netip.MustParseAddr("fe80::5")
	r.quiet(ev)
	if r.counters.OwnSource != 1 {
		t.Error("did not know itself")
	}
	ev.Header.Source = netip.MustParseAddr("fe80::4%7")
	r.do(ev, "")
	if r.counters.AdvertsReceived != 1 {
		t.Error("did not know its peer")
	}
}

func TestSequence(t *testing.T) {
	c := basic()
	c.Version, c.Auth = 2, wire.AuthAH
	r := newRig(t, c)
	r.quiet(Start{})
	ev := advert(&c, lower, 0)
	ev.Advert.Sequence = 70
	r.quiet(ev)
	r.now, _ = r.Deadline()
	for _, a := range r.Step(r.now, Timer{}) {
		if a.Kind == SendAdvert {
			if a.Sequence != 71 {
				t.Errorf("went on with %d", a.Sequence)
			}
			if got := r.Advert(a.Priority, a.Sequence); got.Sequence != 71 || got.Priority != 100 || got.Auth != wire.AuthAH || got.VRID != 51 || got.Interval != second {
				t.Errorf("%+v", got)
			}
		}
	}
}

// TestSequenceInStep: two masters of a sequence number that each has just sent.
func TestSequenceInStep(t *testing.T) {
	c := basic()
	c.Version, c.Auth = 2, wire.AuthAH
	r := asMaster(t, c)
	ev := advert(&c, higher, 100)
	ev.Advert.Sequence = r.sequence - 1
	r.do(ev, "note: discarded an advertisement of 10.9.0.6: AH sequence number 1 was used before, the next is 3")
	ev.Advert.Sequence = r.sequence
	r.do(ev, "remove, MASTER>BACKUP (a master of the same priority and a higher address)")
	r.do(ev, "note: discarded an advertisement of 10.9.0.6: AH sequence number 2 was used before, the next is 3")
}

func TestChecksumForm(t *testing.T) {
	c := basic()
	c.Peers = []Peer{{Addr: lower}}
	hear := func(r *rig, form wire.Checksum) wire.Checksum {
		ev := advert(&r.config, lower, 200)
		ev.Header.Destination = self
		ev.Advert.Checksum = form
		r.quiet(ev)
		return r.Advert(100, 1).Checksum
	}
	r := newRig(t, c)
	r.quiet(Start{})
	if hear(r, wire.ChecksumGroup) != wire.ChecksumGroup || hear(r, wire.ChecksumPseudo) != wire.ChecksumPseudo {
		t.Error("a peer is not answered in its form")
	}
	c.ChecksumFixed = true
	r = newRig(t, c)
	r.quiet(Start{})
	if hear(r, wire.ChecksumGroup) != wire.ChecksumPseudo {
		t.Error("fixed, and yet changed")
	}
	c.Peers = nil
	r = newRig(t, c)
	r.quiet(Start{})
	ev := advert(&c, lower, 200)
	ev.Advert.Checksum = wire.ChecksumPlain
	r.quiet(ev)
	if r.Advert(100, 1).Checksum != wire.ChecksumPseudo {
		t.Error("one sender changed what a whole group is sent")
	}
}

func TestReconfigureInPlace(t *testing.T) {
	r := asMaster(t, basic())
	r.quiet(SetPriority{60, "100 - 40 script x failed = 60"})
	c := r.config
	c.Priority = 150
	r.do(Reconfigure{c}, "advert 110, note: effective priority 110, was 60")
	c.Announce.Refresh = 30 * second
	r.do(Reconfigure{c}, "")
	if r.refreshAt != r.now+30*second {
		t.Error("no refresh")
	}
	c.Auth, c.Version = wire.AuthNone, 3
	c.Addresses = nil
	r.do(Reconfigure{c}, "add, advert 110, announce 5 became master")
	if !r.Expect().AllowEmpty {
		t.Error("advertisements like ours are refused")
	}
	c.Peers = []Peer{{Addr: lower}}
	r.do(Reconfigure{c}, "")

	// A backup goes on with the master's interval.
	r = newRig(t, basic())
	r.quiet(Start{})
	r.at(second)
	r.hear(lower, 200, "")
	c = r.config
	c.Interval = 100 * ms
	r.at(2 * second)
	r.do(Reconfigure{c}, "")
	r.due(2*second + 3*second + second*156/256)
}

func TestReconfigureRestarts(t *testing.T) {
	for _, edit := range []func(c *Config){
		func(c *Config) { c.VRID = 9 },
		func(c *Config) { c.Version = 2 },
		func(c *Config) { c.Family, c.Addresses = 6, []netip.Addr{netip.MustParseAddr("fd00::1")} },
	} {
		r := asMaster(t, basic())
		c := r.config
		edit(&c)
		actions := r.Step(r.now, Reconfigure{c})
		if got := words(actions); got != "advert 0 of VRID 51, remove, MASTER>BACKUP (reconfigured)" {
			t.Error(got)
		}
		if p := actions[0].Previous; p.Config.VRID != 51 || p.Advert.Version != 3 || p.Advert.Priority != 0 || p.Advert.Addresses[0] != vip {
			t.Errorf("%+v", p)
		}
		if e := r.Expect(); e.VRID != c.VRID || e.Version != c.Version {
			t.Errorf("%+v", e)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	r := asMaster(t, basic())
	if n := testing.AllocsPerRun(100, func() {
		r.now, _ = r.Deadline()
		if a := r.Step(r.now, Timer{}); len(a) != 1 || r.Advert(a[0].Priority, a[0].Sequence) == nil {
			t.Fatal(words(a))
		}
	}); n != 0 {
		t.Errorf("a sent advertisement: %v allocations", n)
	}
	r = newRig(t, basic())
	r.quiet(Start{})
	ev := advert(&r.config, lower, 200)
	if n := testing.AllocsPerRun(100, func() {
		r.now += second
		if a := r.Step(r.now, ev); len(a) != 0 {
			t.Fatal(words(a))
		}
	}); n != 0 {
		t.Errorf("a received advertisement: %v allocations", n)
	}
	ev.Err = wire.ErrChecksum
	if n := testing.AllocsPerRun(100, func() {
		if a := r.Step(r.now, ev); len(a) != 1 {
			t.Fatal(words(a))
		}
	}); n != 0 {
		t.Errorf("a refused one: %v allocations", n)
	}
	c := basic()
	c.Announce = Announcements{}
	g := NewGroup("G", New(c), New(c))
	g.Step(r.now, 0, Start{})
	g.Step(r.now, 1, Start{})
	r.now += 4 * second
	g.Step(r.now, 0, Timer{})
	g.Step(r.now, 1, Timer{})
	if n := testing.AllocsPerRun(100, func() {
		r.now += second
		if a := g.Step(r.now, 1, Timer{}); len(a) != 1 {
			t.Fatal(len(a))
		}
	}); n != 0 {
		t.Errorf("a group's advertisement: %v allocations", n)
	}
}

func TestTexts(t *testing.T) {
	for k := range NoticeKind(NoticeKinds) {
		a := Action{Kind: Note, Notice: k, Peer: lower}
		if a.Text() == "" {
			t.Errorf("notice %d says nothing", k)
		}
	}
	for c := CauseStart; c <= CauseStop; c++ {
		if c.String() == "" || c.String() == "unknown" {
			t.Errorf("cause %d says nothing", c)
		}
	}
	for r := AnnounceMaster; r <= AnnounceLowerPriorityAgain; r++ {
		if r.String() == "" || r.String() == "unknown" {
			t.Errorf("reason %d says nothing", r)
		}
	}
	if State(9).String() != "UNKNOWN" || Cause(99).String() != "unknown" || AnnounceReason(9).String() != "unknown" || (&Action{}).Text() != "" {
		t.Error("values out of range")
	}
}

func TestRefreshAfterASleep(t *testing.T) {
	c := basic()
	c.Announce = Announcements{Refresh: 2 * second}
	r := asMaster(t, c)
	r.now += 7 * second
	r.do(Timer{}, "advert 100, announce 1 refresh")
	if r.refreshAt <= r.now || r.refreshAt > r.now+2*second {
		t.Errorf("next refresh in %v", r.refreshAt-r.now)
	}
}

func TestReconfigureAnnouncements(t *testing.T) {
	c := basic()
	c.Announce.LowerPrioRepeat, c.Announce.LowerPrioDelay = 1, 3*second
	r := newRig(t, c)
	r.quiet(Start{})
	r.now, _ = r.Deadline()
	r.quiet(Timer{})
	r.quiet(advert(&c, lower, 50))
	c.Announce.Delay, c.Announce.LowerPrioRepeat = 0, 0
	r.do(Reconfigure{c}, "")
	for range 8 {
		r.next("advert 100")
	}
}

func TestReconfigurePreemptDelay(t *testing.T) {
	c := basic()
	c.PreemptDelay = 100 * second
	r := newRig(t, c)
	r.quiet(Start{})
	r.at(second)
	r.hear(lower, 90, "")
	c.PreemptDelay = 2 * second
	r.do(Reconfigure{c}, "")
	for i := 2; i <= 5; i++ {
		r.at(time.Duration(i) * second)
		r.hear(lower, 90, "")
	}
	r.due(3*second + 3*second + second*156/256)
}

func TestReconfigureWhileWaiting(t *testing.T) {
	// Peers that are reconfigured later are not understood until then.
	c := basic()
	c.Version, c.Interval = 2, second
	r := newRig(t, c)
	r.quiet(Start{})
	r.at(second)
	r.hear(lower, 200, "")
	r.at(3 * second)
	c.Auth = wire.AuthPass
	r.do(Reconfigure{c}, "")
	r.due(3*second + 3*second + second*156/256)
	if e := r.Expect(); e.Auth != wire.AuthPass || r.Config().Auth != wire.AuthPass {
		t.Errorf("%+v", e)
	}
	c.Interval = 2 * second
	r.do(Reconfigure{c}, "")
	r.due(3*second + 6*second + second*156/256)
}

func TestStopAndStartAgain(t *testing.T) {
	r := asMaster(t, basic())
	r.quiet(Stop{})
	r.do(Start{}, "remove, STOPPED>BACKUP (started)")
	r.hear(lower, 200, "")
	if i := r.Info(); i.Leaving || i.HoldsAddresses || i.Master != lower {
		t.Errorf("%+v", i)
	}
}
