package vrrp

import (
	"fmt"
	"strings"
	"testing"
	"time"

	wire "evenkeel/internal/wire/vrrp"
)

// groupRig is a sync group of machines A, B, C with a clock.
type groupRig struct {
	t *testing.T
	*Group
	machines []*Machine
	now      time.Duration
}

func newGroupRig(t *testing.T, n int) *groupRig {
	r := &groupRig{t: t, now: 1000 * second}
	for i := range n {
		c := basic()
		c.Name, c.VRID = string(rune('A'+i)), uint8(51+i)
		c.Announce = Announcements{}
		r.machines = append(r.machines, New(c))
	}
	r.Group = NewGroup("G", r.machines...)
	return r
}

func (r *groupRig) do(i int, ev Event, want string) {
	r.t.Helper()
	if got := r.words(i, ev); got != want {
		r.t.Errorf("at %v, %T of %c:\n got %s\nwant %s", r.now-1000*second, ev, 'A'+i, got, want)
	}
}

func (r *groupRig) words(i int, ev Event) string {
	var out []string
	for _, a := range r.Step(r.now, i, ev) {
		out = append(out, fmt.Sprintf("%c %s", 'A'+a.Member, words([]Action{a.Action})))
	}
	return strings.Join(out, ", ")
}

func (r *groupRig) hear(i int, priority uint8, want string) {
	r.t.Helper()
	r.do(i, advert(&r.machines[i].config, lower, priority), want)
}

func (r *groupRig) started() *groupRig {
	for i := range r.machines {
		r.words(i, Start{})
	}
	return r
}

// leading brings the group to MASTER.
func (r *groupRig) leading() *groupRig {
	r.started()
	r.now += 4 * second
	for i := range r.machines {
		r.words(i, Timer{})
	}
	for i, m := range r.machines {
		if m.state != Master {
			r.t.Fatalf("%c is %v", 'A'+i, m.state)
		}
	}
	r.now += 2 * second
	return r
}

func (r *groupRig) states() string {
	var s []string
	for _, m := range r.machines {
		s = append(s, m.state.String())
	}
	return strings.Join(s, " ")
}

func TestGroupWaitsForAll(t *testing.T) {
	r := newGroupRig(t, 3).started()
	if r.State() != Backup {
		t.Error(r.State())
	}
	down := 3*second + second*156/256
	r.now += second
	r.hear(2, 200, "") // C hears a master for longer
	r.now += down - second
	r.do(0, Timer{}, "")
	r.do(1, Timer{}, "")
	for i := range 2 {
		if at, ok := r.machines[i].Deadline(); !ok || at <= r.now {
			t.Errorf("%c: deadline in %v, %v", 'A'+i, at-r.now, ok)
		}
	}
	r.now += second
	r.hear(1, 200, "") // B hears one again, so it does not want any more
	r.do(2, Timer{}, "")
	if r.states() != "BACKUP BACKUP BACKUP" {
		t.Error(r.states())
	}
	r.now += down
	r.do(1, Timer{}, "B add, B advert 100, B BACKUP>MASTER (no advertisement within the down interval), "+
		"A add, A advert 100, A BACKUP>MASTER (no advertisement within the down interval), "+
		"C add, C advert 100, C BACKUP>MASTER (no advertisement within the down interval)")
	if r.State() != Master {
		t.Error(r.State())
	}
}

func TestGroupFallsTogether(t *testing.T) {
	r := newGroupRig(t, 3).leading()
	r.hear(1, 200, "B remove, B MASTER>BACKUP (a master of higher priority), "+
		"A advert 0, A MASTER>BACKUP (the sync group: B), C advert 0, C MASTER>BACKUP (the sync group: B)")
	if r.State() != Backup {
		t.Error(r.State())
	}
	r.now += 50 * ms
	r.hear(0, 200, "")
	r.now += successorGrace
	r.do(0, Timer{}, "A remove")
}

func TestGroupFault(t *testing.T) {
	r := newGroupRig(t, 3).leading()
	r.do(0, FaultSet{Why: "eth0 is down", LinkDown: true}, "A advert 0, A remove, A MASTER>FAULT (fault: eth0 is down), "+
		"B advert 0, B MASTER>FAULT (fault: sync group G: A: eth0 is down), "+
		"C advert 0, C MASTER>FAULT (fault: sync group G: A: eth0 is down)")
	if r.State() != Fault {
		t.Error(r.State())
	}
	r.now += 2 * second
	r.do(1, Timer{}, "B remove")
	r.do(2, Timer{}, "C remove")
	r.do(1, FaultSet{Why: "script chk failed"}, "")
	r.do(0, Recovered{}, "")
	if d := r.machines[0].Info().Detail; d != "sync group G: B: script chk failed" {
		t.Errorf("A does not say what it waits for, but %q", d)
	}
	r.do(1, Recovered{}, "A FAULT>BACKUP (the fault is over), B FAULT>BACKUP (the fault is over), C FAULT>BACKUP (the fault is over)")
}

func TestGroupFaultBeforeStart(t *testing.T) {
	r := newGroupRig(t, 2)
	r.do(0, FaultSet{Why: "eth0 is down"}, "")
	r.do(0, Start{}, "A remove, A INIT>FAULT (fault: eth0 is down)")
	r.do(1, Start{}, "B remove, B INIT>FAULT (fault: sync group G: A: eth0 is down)")
	if r.State() != Fault {
		t.Error(r.State())
	}
}

func TestGroupDrill(t *testing.T) {
	r := newGroupRig(t, 2).started()
	r.do(1, TakeOver{}, "A add, A advert 254, A BACKUP>MASTER (ordered), B add, B advert 254, B BACKUP>MASTER (ordered)")
	r.do(1, Clear{}, "A note: effective priority 100, was 254, A advert 100, B note: effective priority 100, was 254, B advert 100")
	r.do(1, GiveUp{}, "A advert 0, A MASTER>BACKUP (ordered), B advert 0, B MASTER>BACKUP (ordered)")
	r.do(0, TakeOver{}, "A add, A advert 254, A BACKUP>MASTER (ordered), B add, B advert 254, B BACKUP>MASTER (ordered)")
	r.do(0, Frozen{}, "A remove, A MASTER>BACKUP (this node was frozen longer than its peers wait), "+
		"B remove, B MASTER>BACKUP (this node was frozen longer than its peers wait)")
}

func TestGroupResume(t *testing.T) {
	r := newGroupRig(t, 2)
	resume := Start{Resume: &Resume{LastAdvert: r.now - second}}
	r.do(0, resume, "A add, A advert 100")
	if r.State() != Init {
		t.Error(r.State())
	}
	r.do(1, resume, "B add, B advert 100")

	// What of the group was not kept follows what was.
	r = newGroupRig(t, 2)
	r.do(0, resume, "A add, A advert 100")
	r.do(1, Start{}, "B remove, B INIT>BACKUP (started), B add, B advert 100, B BACKUP>MASTER (the sync group: G)")
}

func TestGroupStop(t *testing.T) {
	r := newGroupRig(t, 2).leading()
	r.do(0, Stop{}, "A advert 0, A MASTER>STOPPED (stopped)")
	r.do(1, Stop{}, "B advert 0, B MASTER>STOPPED (stopped)")
	if r.State() != Stopped {
		t.Error(r.State())
	}

	// A member that has stopped does not keep the others waiting.
	r = newGroupRig(t, 2).started()
	r.do(0, Stop{}, "A BACKUP>STOPPED (stopped)")
	r.now += 4 * second
	r.do(1, Timer{}, "B add, B advert 100, B BACKUP>MASTER (no advertisement within the down interval)")
}

func TestGroupRelease(t *testing.T) {
	r := newGroupRig(t, 2).started()
	r.Release()
	r.now += 4 * second
	if got := words(r.machines[0].Step(r.now, Timer{})); got != "add, advert 100, BACKUP>MASTER (no advertisement within the down interval)" {
		t.Error(got)
	}
}

func TestGroupReleasedMaster(t *testing.T) {
	r := newGroupRig(t, 2).started()
	r.now += second
	for i := range r.machines {
		r.hear(i, 200, "")
		r.hear(i, wire.PriorityRelease, "")
	}
	r.now += second * 156 / 256
	r.do(0, Timer{}, "")
	r.do(1, Timer{}, "B add, B advert 100, B BACKUP>MASTER (the master gave up (priority 0)), "+
		"A add, A advert 100, A BACKUP>MASTER (the master gave up (priority 0))")
}
