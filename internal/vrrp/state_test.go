package vrrp

import (
	"net/netip"
	"testing"

	wire "evenkeel/internal/wire/vrrp"
)

// What one life of a state leaves behind must not show in the next.

func TestRecoveredStartsAfresh(t *testing.T) {
	c := basic()
	c.PromptElection = true
	r := newRig(t, c)
	r.quiet(Start{})
	r.at(second)
	fast := advert(&c, lower, 150)
	fast.Advert.Interval = 100 * ms
	r.quiet(fast)
	r.hear(lower, 0, "") // waits for the skew time only
	r.quiet(FaultSet{Why: "x"})
	r.at(2 * second)
	r.quiet(Recovered{})
	r.due(2*second + 3*second + second*156/256)

	// What we took for the master before a fault is not compared with what it
	// says after.
	r.quiet(advert(&c, lower, 150))
	r.quiet(FaultSet{Why: "x"})
	r.at(4 * second)
	r.quiet(Recovered{})
	r.at(5 * second)
	r.hear(lower, 90, "")
	r.due(4*second + 3*second + second*156/256)
}

func TestReleaseWithAnotherInterval(t *testing.T) {
	r := newRig(t, basic())
	r.quiet(Start{})
	r.at(second)
	r.hear(lower, 200, "")
	zero := advert(&r.config, lower, 0)
	zero.Advert.Interval = 500 * ms
	r.quiet(zero)
	r.due(second + 500*ms*156/256)
	if r.Info().Master.IsValid() {
		t.Error("who has given up is still the master")
	}
}

func TestPreemptDelayAfterRelease(t *testing.T) {
	c := basic()
	c.PreemptDelay = 2 * second
	r := newRig(t, c)
	r.quiet(Start{})
	r.at(second)
	r.hear(lower, 90, "")
	r.hear(lower, 0, "")
	r.at(3*second + 100*ms)
	r.hear(lower, 80, "") // another one's turn: the delay begins anew
	r.due(3*second + 100*ms + 3*second + second*156/256)
}

func TestCauseForgetsALowerMaster(t *testing.T) {
	r := newRig(t, basic())
	r.quiet(Start{})
	r.at(second)
	r.hear(lower, 90, "")
	r.hear(higher, 150, "")
	r.next(takes + "BACKUP>MASTER (no advertisement within the down interval)")
}

func TestMasterUnknownAfterLeaving(t *testing.T) {
	r := asMaster(t, basic())
	if i := r.Info(); i.Master != self || i.MasterPriority != 100 {
		t.Errorf("%+v", i)
	}
	r.quiet(GiveUp{})
	if i := r.Info(); i.Master.IsValid() || i.MasterPriority != 0 {
		t.Errorf("%+v", i)
	}
}

func TestDrillEnds(t *testing.T) {
	for _, ev := range []Event{Stop{}, FaultSet{Why: "x"}, GiveUp{}, Clear{}, Frozen{}, follow{to: Backup}} {
		r := asMaster(t, basic())
		r.quiet(TakeOver{})
		r.quiet(ev)
		if i := r.Info(); i.Drill || i.Effective != 100 {
			t.Errorf("%T: the drill goes on with priority %d", ev, i.Effective)
		}
	}
}

func TestStartForgets(t *testing.T) {
	r := newRig(t, basic())
	r.quiet(Start{})
	r.at(second)
	r.hear(lower, 200, "")
	r.hear(lower, 0, "")
	r.hear(higher, 200, "")
	r.quiet(Stop{})
	r.quiet(Start{})
	if i := r.Info(); i.Master.IsValid() || i.MasterPriority != 0 || i.Successor != 0 {
		t.Errorf("%+v", i)
	}
	r.due(second + 3*second + second*156/256)
}

func TestSetSource(t *testing.T) {
	r := asMaster(t, basic())
	r.quiet(SetSource{netip.MustParseAddr("10.9.0.7")})
	if r.Info().Master.String() != "10.9.0.7" {
		t.Error("the master's address is the old one")
	}
	r.hear(higher, 100, "note: two masters: 10.9.0.6 also advertises, with priority 100, note: 10.9.0.6 advertises with a lower priority (100), advert 100")
	r = newRig(t, basic())
	r.quiet(SetSource{netip.MustParseAddr("fe80::7%eth0")})
	if r.config.Source.Zone() != "" {
		t.Error("the zone stayed")
	}
	if r.Info().Master.IsValid() {
		t.Error("an instance in INIT is no master")
	}
}

func TestConfiguredChecksum(t *testing.T) {
	c := basic()
	c.Checksum = wire.ChecksumGroup
	if New(c).Advert(1, 1).Checksum != wire.ChecksumGroup {
		t.Error("not as configured")
	}
}

func TestReconfigureChecksAddressesAnew(t *testing.T) {
	c := basic()
	c.SkipCheckAddresses = true
	r := newRig(t, c)
	r.quiet(Start{})
	r.hear(lower, 200, "")
	old := advert(&c, lower, 200)
	c.Addresses = []netip.Addr{vip2}
	r.quiet(Reconfigure{c})
	r.do(old, "note: discarded an advertisement of 10.9.0.4: 10.9.0.101 is not among its addresses")
}

func TestCounters(t *testing.T) {
	r := newRig(t, basic())
	r.quiet(Start{})
	r.next(takes + "BACKUP>MASTER (no advertisement within the down interval)")
	r.next("advert 100")
	r.hear(lower, 200, "remove, MASTER>BACKUP (a master of higher priority)")
	r.hear(lower, 0, "")
	r.next(takes + "BACKUP>MASTER (the master gave up (priority 0))")
	r.quiet(FaultSet{Why: "x"})
	r.quiet(Recovered{})
	r.quiet(TakeOver{})
	r.quiet(GiveUp{})
	r.quiet(TakeOver{})
	r.quiet(Stop{})
	want := Counters{AdvertsSent: 8, AdvertsReceived: 2, BecameMaster: 4, ReleasedMaster: 4, PriorityZeroReceived: 1, PriorityZeroSent: 3}
	if r.counters != want {
		t.Errorf("%+v, want %+v", r.counters, want)
	}
	if i := r.Info(); i.Counters != want || i.LastHeard == 0 || i.LastSent == 0 || i.HasDeadline != true {
		t.Errorf("%+v", i)
	}
}

func TestBackupAgainStartsAfresh(t *testing.T) {
	down := 3*second + second*156/256
	r := newRig(t, basic())
	r.quiet(Start{})
	r.at(second)
	fast := advert(&r.config, lower, 200)
	fast.Advert.Interval = 100 * ms
	r.quiet(fast)
	fast.Advert.Priority = 0
	r.quiet(fast)
	r.next(takes + "BACKUP>MASTER (the master gave up (priority 0))")
	if i := r.Info(); i.MasterInterval != second || i.Master != self || i.MasterPriority != 100 {
		t.Errorf("as master: %+v", i)
	}
	r.quiet(SetPriority{Effective: 120})
	if i := r.Info(); i.MasterPriority != 120 {
		t.Errorf("with another priority: %+v", i)
	}
	r.quiet(SetPriority{Effective: 100})
	r.at(3 * second)
	r.quiet(Frozen{})
	r.due(3*second + down)

	// Also of what a startup delay left.
	c := basic()
	c.StartupDelay = 100 * second
	r = newRig(t, c)
	r.quiet(Start{})
	r.quiet(TakeOver{})
	r.at(second)
	r.quiet(Frozen{})
	r.due(second + down)
}

func TestBeatenKnowsTheMaster(t *testing.T) {
	r := asMaster(t, basic())
	fast := advert(&r.config, higher, 200)
	fast.Advert.Interval = 100 * ms
	r.quiet(fast)
	if i := r.Info(); i.Master != higher || i.MasterPriority != 200 || i.MasterInterval != 100*ms {
		t.Errorf("%+v", i)
	}
}

func TestFaultKnowsTheMaster(t *testing.T) {
	r := asMaster(t, basic())
	r.quiet(FaultSet{Why: "x"})
	r.hear(higher, 90, "")
	if i := r.Info(); i.Master != higher || i.MasterPriority != 90 {
		t.Errorf("%+v", i)
	}
	r.hear(higher, 0, "")
	if i := r.Info(); i.Master.IsValid() || i.MasterPriority != 0 {
		t.Errorf("%+v", i)
	}
}

func TestReconfiguredSource(t *testing.T) {
	r := asMaster(t, basic())
	c := r.config
	c.Source = higher
	r.quiet(Reconfigure{c})
	if r.Info().Master != higher {
		t.Error("the master's address is the old one")
	}
}

func TestOldChecksumIsKept(t *testing.T) {
	c := basic()
	c.Peers, c.Checksum = []Peer{{Addr: lower}}, wire.ChecksumGroup
	r := newRig(t, c)
	r.quiet(Start{})
	ev := advert(&c, lower, 200)
	ev.Header.Destination = self
	r.quiet(ev)
	if r.Advert(1, 1).Checksum != wire.ChecksumGroup {
		t.Error("a new peer turned old_unicast_checksum off")
	}
}

func TestRefreshTurnedOff(t *testing.T) {
	c := basic()
	c.Announce = Announcements{Refresh: 2 * second}
	r := asMaster(t, c)
	c.Announce.Refresh = 0
	r.quiet(Reconfigure{c})
	for range 4 {
		r.next("advert 100")
	}
}

func TestRestartIsCounted(t *testing.T) {
	r := asMaster(t, basic())
	c := r.config
	c.VRID = 9
	r.quiet(Reconfigure{c})
	if r.counters.ReleasedMaster != 1 || r.counters.PriorityZeroSent != 1 {
		t.Errorf("%+v", r.counters)
	}
}
