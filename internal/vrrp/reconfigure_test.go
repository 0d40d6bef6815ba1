package vrrp

import (
	"net/netip"
	"testing"
	"time"

	wire "evenkeel/internal/wire/vrrp"
)

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
