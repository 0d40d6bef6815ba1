package vrrp

import (
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

func TestStopAndStartAgain(t *testing.T) {
	r := asMaster(t, basic())
	r.quiet(Stop{})
	r.do(Start{}, "remove, STOPPED>BACKUP (started)")
	r.hear(lower, 200, "")
	if i := r.Info(); i.Leaving || i.HoldsAddresses || i.Master != lower {
		t.Errorf("%+v", i)
	}
}
