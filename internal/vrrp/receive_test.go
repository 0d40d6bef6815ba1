package vrrp

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	wire "evenkeel/internal/wire/vrrp"
)

func TestDiscarded(t *testing.T) {
	v2 := basic()
	v2.Version, v2.Auth = 2, wire.AuthAH
	unicast := basic()
	unicast.Peers = []Peer{{Addr: lower}, {Addr: higher, MinTTL: 60, MaxTTL: 64}}
	two := basic()
	two.Addresses = []netip.Addr{vip, vip2}
	strict := two
	strict.StrictAddresses = true
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
		{"more addresses", basic(), func(r *Received) { r.Advert.Addresses = two.Addresses }, "note: the configuration of 10.9.0.4 is another one than ours: it has 2 addresses, we have 1",
			func(c *Counters) uint64 { return c.AddressListErrors }},
		{"some other addresses", two, func(r *Received) { r.Advert.Addresses = []netip.Addr{vip, vip} }, "note: the configuration of 10.9.0.4 is another one than ours: 10.9.0.101 is not among its addresses",
			func(c *Counters) uint64 { return c.AddressListErrors }},
		{"some other addresses, strictly", strict, func(r *Received) { r.Advert.Addresses = []netip.Addr{vip, vip} }, "note: discarded an advertisement of 10.9.0.4: 10.9.0.101 is not among its addresses",
			func(c *Counters) uint64 { return c.AddressListErrors }},
		{"addresses of another cluster", basic(), func(r *Received) { r.Advert.Addresses = []netip.Addr{vip2} }, "note: discarded an advertisement of 10.9.0.4: 10.9.0.100 is not among its addresses",
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
		if good := !strings.Contains(test.want, "discarded"); good != (r.base == r.now) {
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
