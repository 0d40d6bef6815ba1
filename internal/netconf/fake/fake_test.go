package fake_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/netconf"
	"evenkeel/internal/netconf/fake"
)

// What the recording looks like.
func TestRecording(t *testing.T) {
	now := time.Duration(0)
	h := fake.New(fake.Ethernet(2, "eth0", "10.0.0.1/24"))
	h.Now = func() time.Duration { return now }
	vip := func(device string, all ...string) (c netconf.Config) {
		for _, a := range all {
			c.Addresses = append(c.Addresses, netconf.Address{Prefix: netip.MustParsePrefix(a), Device: device, ValidLifetime: 3 * time.Second})
		}
		return c
	}
	set := func(owner string, c netconf.Config) {
		if _, err := h.Set(owner, c); err != nil {
			t.Error(err)
		}
	}
	set("A", netconf.Config{
		Links:     []netconf.Link{{Name: "vrrp.1", Base: "eth0", Kind: netconf.Macvlan, MAC: netconf.VirtualRouterMAC(4, 1), Family: 4}},
		Sysctls:   []netconf.Sysctl{{Name: "net.ipv4.ip_forward", Value: "1"}},
		Addresses: vip("eth0", "10.0.0.100/24", "10.0.0.1/24").Addresses,
		Routes:    []netconf.Route{{Dst: netip.MustParsePrefix("192.0.2.0/24"), Gateway: netip.MustParseAddr("10.0.0.9"), Table: "7"}},
		Rules:     []netconf.Rule{{From: netip.MustParsePrefix("10.0.0.100/32"), Table: "7"}},
	})
	set("B", vip("eth0", "2001:db8::1/128"))
	now += time.Second
	if err := h.Renew(); err != nil {
		t.Error(err)
	}
	h.RemoveAddress("eth0", "10.0.0.100/24")
	set("A", vip("eth0", "10.0.0.100/24"))
	h.Fail("10.0.0.102", errors.New("no room"))
	if _, err := h.Set("B", vip("eth0", "10.0.0.102/24")); err == nil || err.Error() != "B: address 10.0.0.102/24 dev eth0 valid_lft 3s: no room" {
		t.Error(err)
	}
	h.LeaveAddress("eth0", "10.0.0.103/24")
	if _, err := h.Adopt("C", vip("eth0", "10.0.0.103/24"), netconf.Marked); err != nil {
		t.Error(err)
	}
	if err := h.Remove("C"); err != nil {
		t.Error(err)
	}
	want := `A: + link vrrp.1 link eth0 address 00:00:5e:00:01:01 type macvlan
A: + sysctl net.ipv4.ip_forward = 1
A: + address 10.0.0.100/24 dev eth0 valid_lft 3s
A: address 10.0.0.1/24 dev eth0 valid_lft 3s is not ours
A: + route 192.0.2.0/24 via 10.0.0.9 table 7
A: + rule from 10.0.0.100/32 lookup 7
B: + address 2001:db8::1/128 dev eth0 valid_lft 3s preferred_lft 0
A: renewed
B: renewed
A: + address 10.0.0.100/24 dev eth0 valid_lft 3s again
- rule from 10.0.0.100/32 lookup 7
- route 192.0.2.0/24 via 10.0.0.9 table 7
- sysctl net.ipv4.ip_forward = 1
- link vrrp.1 link eth0 address 00:00:5e:00:01:01 type macvlan
- address 2001:db8::1/128 dev eth0 valid_lft 3s preferred_lft 0
C: adopted address 10.0.0.103/24 dev eth0 valid_lft 3s
- address 10.0.0.103/24 dev eth0 valid_lft 3s`
	if got := strings.Join(h.Lines(), "\n"); got != want {
		t.Errorf("recorded\n%s\nshould be\n%s", got, want)
	}
	if h.Lines() != nil {
		t.Error("told twice")
	}

	now += 4 * time.Second // the lease of A is over
	if h.Has("eth0", "10.0.0.100") || !h.Has("eth0", "10.0.0.1") {
		t.Error("the end of a lease")
	}
	_, read := h.Watch()
	all, err := read()
	if err != nil || !slices.ContainsFunc(all, func(c netconf.Change) bool {
		return c.Kind == netconf.AddressRemoved && c.Owner == "A" && c.Prefix.String() == "10.0.0.100/24"
	}) {
		t.Errorf("%+v, %v", all, err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

func TestAnnouncer(t *testing.T) {
	refusal := errors.New("link 3 is down")
	a := fake.Announcer{Refuse: func(f netconf.Frame) error {
		if f.Index == 3 {
			return refusal
		}
		return nil
	}}
	buffer := []byte("one")
	sent, err := a.Send([]netconf.Frame{{Index: 2, Bytes: buffer}, {Index: 3, Bytes: buffer}, {Index: 4, Bytes: buffer}})
	buffer[0] = 'x' // callers use their buffers again
	frames := a.Frames()
	if sent != 2 || err != refusal || len(frames) != 2 || string(frames[0].Bytes) != "one" || frames[1].Index != 4 {
		t.Errorf("%d, %v, %+v", sent, err, frames)
	}
	if s := a.Stats(); s.Sent != 2 || s.Refused != 1 {
		t.Errorf("%+v", s)
	}
}
