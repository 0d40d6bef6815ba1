package failover

import (
	"strings"
	"testing"
	"time"

	"evenkeel/internal/vrrp"
)

// TestNoTrack: an address with no_track that somebody takes away stays away
// until the instance becomes master anew, and nobody moves; others come back.
func TestNoTrack(t *testing.T) {
	text := "vrrp_instance V {\n interface eth0\n virtual_router_id 1\n priority 150\n advert_int 1\n" +
		" virtual_ipaddress {\n  10.0.1.1/32\n  10.0.1.2/32 no_track\n }\n}\n"
	b := newBench(t, text)
	b.run(5 * time.Second)
	i := b.plane.instances[0]
	b.host.RemoveAddress("eth0", "10.0.1.1/32")
	b.host.RemoveAddress("eth0", "10.0.1.2/32")
	b.links()
	b.run(10 * time.Second) // with renewals of the lease
	if !b.host.Has("eth0", "10.0.1.1") || b.host.Has("eth0", "10.0.1.2") || i.machine.State() != vrrp.Master {
		t.Errorf("tracked %v, untracked %v, %v", b.host.Has("eth0", "10.0.1.1"), b.host.Has("eth0", "10.0.1.2"), i.machine.State())
	}
	b.round(func() { b.plane.step(i, vrrp.GiveUp{}) })
	b.run(5 * time.Second)
	b.round(func() { b.plane.step(i, vrrp.TakeOver{}) })
	if !b.host.Has("eth0", "10.0.1.1") || !b.host.Has("eth0", "10.0.1.2") {
		t.Errorf("master anew: tracked %v, untracked %v", b.host.Has("eth0", "10.0.1.1"), b.host.Has("eth0", "10.0.1.2"))
	}
}

// TestNotifyDeleted: what is told of an instance that a reload takes away.
func TestNotifyDeleted(t *testing.T) {
	for line, want := range map[string]string{"": "FAULT", "notify_deleted": "DELETED", `notify_deleted "/bin/true x"`: "DELETED"} {
		b := newBench(t, manyText(1, "1")+strings.Replace(instanceText("W", 9, 100, "10.9.9.9/32"), "priority 100", "priority 100\n "+line, 1))
		b.run(5 * time.Second)
		b.load(manyText(1, "1"), nil)
		b.run(3 * time.Second)
		got := ""
		for _, e := range b.hub.Recent() {
			if e.Name == "W" && e.Notify != nil {
				got = e.Notify.State
			}
		}
		if got != want {
			t.Errorf("%q: %s is told, should be %s", line, got, want)
		}
	}
}
