package netconf_test

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"evenkeel/internal/netconf"
	"evenkeel/internal/netconf/fake"
)

// host is what the failover process uses.
type host interface {
	Check(owner string, c netconf.Config) error
	Set(owner string, c netconf.Config) (netconf.Result, error)
	SetAll(wants []netconf.Want) (netconf.Result, error)
	Remove(owner string) error
	Renew(owners ...string) error
	Adopt(owner string, c netconf.Config, t netconf.Trust) (int, error)
	RemovalRequests(owner string) [][]byte
	Links() *netconf.Snapshot
	Forwarding(family int, device string) bool
	Watch() (fd int, read func() ([]netconf.Change, error))
	Close() error
}

// world is a host with eth0 (10.9.0.1/24) and eth1, and the other hands on it.
type world struct {
	host
	clock *time.Duration
	has   func(device, prefix string) bool
	// lease is how long an address has from now, in whole seconds; -1: for ever.
	lease   func(device, prefix string) int
	admin   func(device, prefix string)         // adds an address for ever
	take    func(device, prefix string)         // takes an address away
	left    func(device, prefix string)         // leaves an address as a former run does
	obey    func(requests [][]byte)             // as another process
	down    func(device string, up bool)        // administratively
	forward func()                              // lets the host forward IPv6
	create  func(device string) (remove func()) // a new link
}

func TestContract(t *testing.T) {
	for _, c := range contract {
		t.Run("fake/"+c.name, func(t *testing.T) { c.run(t, fakeWorld(t)) })
		t.Run("kernel/"+c.name, func(t *testing.T) { c.run(t, kernelWorld(t)) })
	}
}

func fakeWorld(t *testing.T) *world {
	h := fake.New(fake.Ethernet(1, "eth0", "10.9.0.1/24"), fake.Ethernet(2, "eth1"))
	w := &world{host: h, clock: new(time.Duration)}
	h.Now = func() time.Duration { return *w.clock }
	t.Cleanup(func() { h.Close() })
	w.has = func(device, prefix string) bool {
		l := h.Links().ByName(device)
		return l != nil && slices.ContainsFunc(l.Addresses, func(a netconf.AddressState) bool { return a.Prefix.String() == prefix })
	}
	w.lease = func(device, prefix string) int {
		if l := h.Lease(device, prefix); l != netconf.Forever {
			return int(l / time.Second)
		}
		return -1
	}
	w.admin, w.take, w.left, w.obey = h.AddAddress, h.RemoveAddress, h.LeaveAddress, h.Obey
	w.forward = func() { h.Forwards = func(family int, _ string) bool { return family == 6 } }
	w.down = func(device string, up bool) { h.SetLink(device, up, up) }
	w.create = func(device string) func() {
		h.AddLink(fake.Ethernet(7, device))
		return func() { h.RemoveLink(device) }
	}
	return w
}

func kernelWorld(t *testing.T) *world {
	n := newNamespace(t)
	w := &world{clock: new(time.Duration)}
	open := func() *netconf.Host {
		h, err := netconf.Open(netconf.Options{Now: func() time.Duration { return *w.clock }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		return h
	}
	w.host = open()
	w.has = func(device, prefix string) bool { _, ok := n.addresses(t, device)[prefix]; return ok }
	w.lease = func(device, prefix string) int {
		a, ok := n.addresses(t, device)[prefix]
		if !ok {
			t.Fatalf("%s has no %s", device, prefix)
		}
		if a.ValidLifetime == forever {
			return -1
		}
		return int(a.ValidLifetime)
	}
	w.admin = func(device, prefix string) { n.ip(t, "addr add "+prefix+" dev "+device) }
	w.take = func(device, prefix string) { n.ip(t, "addr del "+prefix+" dev "+device) }
	w.left = func(device, prefix string) {
		former := open()
		defer former.Close()
		if _, err := former.Set("former", addresses(device, 0, prefix)); err != nil {
			t.Fatal(err)
		}
	}
	w.obey = func(requests [][]byte) { sendAll(t, requests) }
	w.forward = func() {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0); err != nil {
			t.Fatal(err)
		}
	}
	w.down = func(device string, up bool) {
		n.ip(t, "link set "+device+" "+map[bool]string{true: "up", false: "down"}[up])
	}
	w.create = func(device string) func() {
		n.ip(t, "link add "+device+" type bridge")
		n.ip(t, "link set "+device+" up")
		return func() { n.ip(t, "link del "+device) }
	}
	return w
}

// sendAll is what the keeper does with a will: it sends the bytes as they are.
func sendAll(t *testing.T, requests [][]byte) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, r := range requests {
		if err := unix.Sendto(fd, r, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			t.Fatal(err)
		}
	}
	var answer [4096]byte
	if n, _, err := unix.Recvfrom(fd, answer[:], unix.MSG_DONTWAIT); err == nil {
		t.Fatalf("the kernel refused: % x", answer[:n])
	}
}

func addresses(device string, valid time.Duration, prefixes ...string) (c netconf.Config) {
	for _, p := range prefixes {
		c.Addresses = append(c.Addresses, netconf.Address{Prefix: netip.MustParsePrefix(p), Device: device, ValidLifetime: valid})
	}
	return c
}

// set demands that all goes well, and gives the result.
func (w *world) set(t *testing.T, owner string, c netconf.Config) netconf.Result {
	t.Helper()
	r, err := w.Set(owner, c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// changes reads what happened, but for what the kernel does by itself to IPv6.
func (w *world) changes(t *testing.T) []netconf.Change {
	t.Helper()
	_, read := w.Watch()
	all, err := read()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(slices.Clone(all), func(c netconf.Change) bool {
		return c.Prefix.IsValid() && c.Prefix.Addr().IsLinkLocalUnicast() || c.Kind == netconf.LinkChanged
	})
}

func (w *world) expect(t *testing.T, device string, prefixes map[string]bool) {
	t.Helper()
	for p, want := range prefixes {
		if got := w.has(device, p); got != want {
			t.Errorf("%s has %s: %v, should be %v", device, p, got, want)
		}
	}
}

var contract = []struct {
	name string
	run  func(t *testing.T, w *world)
}{
	{"adds, repeats, changes, removes", func(t *testing.T, w *world) {
		if r := w.set(t, "A", addresses("eth0", 0, "10.9.0.100/24", "2001:db8::100/64")); r.Added != 2 || r.Removed != 0 {
			t.Errorf("%+v", r)
		}
		if r := w.set(t, "A", addresses("eth0", 0, "10.9.0.100/24", "2001:db8::100/64")); r.Added != 0 || r.Removed != 0 {
			t.Errorf("the same again: %+v", r)
		}
		w.expect(t, "eth0", map[string]bool{"10.9.0.100/24": true, "2001:db8::100/64": true})
		if r := w.set(t, "A", addresses("eth0", 0, "10.9.0.101/24")); r.Added != 1 || r.Removed != 2 {
			t.Errorf("changed: %+v", r)
		}
		w.expect(t, "eth0", map[string]bool{"10.9.0.100/24": false, "2001:db8::100/64": false, "10.9.0.101/24": true})
		if err := w.Remove("A"); err != nil {
			t.Error(err)
		}
		w.expect(t, "eth0", map[string]bool{"10.9.0.101/24": false, "10.9.0.1/24": true})
	}},
	{"what was removed is put back", func(t *testing.T, w *world) {
		c := addresses("eth0", 0, "10.9.0.100/32", "2001:db8::100/64")
		w.set(t, "A", c)
		w.changes(t)
		w.take("eth0", "10.9.0.100/32")
		w.take("eth0", "2001:db8::100/64")
		lost := 0
		for _, c := range w.changes(t) {
			if c.Kind == netconf.AddressAdded {
				continue // of IPv6, which the kernel tells later
			}
			if lost++; c.Kind != netconf.AddressRemoved || c.Owner != "A" || c.Name != "eth0" {
				t.Errorf("%+v", c)
			}
		}
		if lost != 2 {
			t.Errorf("%d losses", lost)
		}
		w.set(t, "A", c)
		w.expect(t, "eth0", map[string]bool{"10.9.0.100/32": true, "2001:db8::100/64": true})
	}},
	{"what is wanted once is not put back, until it is wanted anew", func(t *testing.T, w *world) {
		c := addresses("eth0", time.Minute, "10.9.0.100/32", "10.9.0.101/32", "2001:db8::100/64")
		c.Addresses[0].Once, c.Addresses[2].Once = true, true
		w.set(t, "A", c)
		w.changes(t)
		w.take("eth0", "10.9.0.100/32")
		w.take("eth0", "2001:db8::100/64")
		for _, c := range w.changes(t) {
			if c.Kind == netconf.AddressRemoved && c.Owner != "" {
				t.Errorf("a loss for somebody: %+v", c)
			}
		}
		w.set(t, "A", c)
		if err := w.Renew("A"); err != nil {
			t.Error(err)
		}
		w.expect(t, "eth0", map[string]bool{"10.9.0.100/32": false, "10.9.0.101/32": true, "2001:db8::100/64": false})
		if err := w.Remove("A"); err != nil {
			t.Error(err)
		}
		w.set(t, "A", c)
		w.expect(t, "eth0", map[string]bool{"10.9.0.100/32": true, "10.9.0.101/32": true, "2001:db8::100/64": true})
	}},
	{"our own removals are nobody's loss", func(t *testing.T, w *world) {
		w.set(t, "A", addresses("eth0", 0, "10.9.0.100/32"))
		w.changes(t)
		w.set(t, "A", netconf.Config{})
		all := w.changes(t)
		if len(all) != 1 || all[0].Kind != netconf.AddressRemoved || all[0].Owner != "" {
			t.Errorf("%+v", all)
		}
	}},
	{"what was there stays, for ever and after us", func(t *testing.T, w *world) {
		w.admin("eth0", "10.9.0.100/24")
		w.admin("eth0", "2001:db8::100/64")
		r := w.set(t, "A", addresses("eth0", time.Minute, "10.9.0.100/24", "2001:db8::100/64", "10.9.0.101/24"))
		if r.Added != 1 || len(r.Notes) != 2 || r.Notes[0].Owner != "A" || !strings.Contains(r.Notes[0].Text, "10.9.0.100/24 dev eth0") || !strings.Contains(r.Notes[0].Text, "permanent") {
			t.Errorf("%+v", r)
		}
		if err := w.Renew(); err != nil {
			t.Error(err)
		}
		if l := w.lease("eth0", "10.9.0.100/24"); l != -1 {
			t.Errorf("the administrator's address got a lifetime of %d s", l)
		}
		if n := len(w.RemovalRequests("A")); n != 1 {
			t.Errorf("%d requests", n)
		}
		if err := w.Remove("A"); err != nil {
			t.Error(err)
		}
		w.expect(t, "eth0", map[string]bool{"10.9.0.100/24": true, "2001:db8::100/64": true, "10.9.0.101/24": false})
	}},
	{"it becomes ours when the administrator takes it away", func(t *testing.T, w *world) {
		w.admin("eth0", "10.9.0.100/24")
		c := addresses("eth0", 0, "10.9.0.100/24")
		w.set(t, "A", c)
		w.changes(t)
		w.take("eth0", "10.9.0.100/24")
		if all := w.changes(t); len(all) != 1 || all[0].Owner != "A" {
			t.Errorf("%+v", all)
		}
		if r := w.set(t, "A", c); r.Added != 1 {
			t.Errorf("%+v", r)
		}
		_ = w.Remove("A")
		w.expect(t, "eth0", map[string]bool{"10.9.0.100/24": false})
	}},
	{"what an earlier run left is taken over and goes with us", func(t *testing.T, w *world) {
		w.left("eth0", "10.9.0.100/24")
		w.left("eth0", "10.9.0.101/24")
		w.admin("eth0", "10.9.0.102/24")
		c := addresses("eth0", time.Minute, "10.9.0.100/24", "10.9.0.101/24", "10.9.0.102/24")
		if n, err := w.Adopt("A", c, netconf.Marked); n != 2 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		w.expect(t, "eth0", map[string]bool{"10.9.0.100/24": true})
		w.set(t, "A", addresses("eth0", time.Minute, "10.9.0.100/24", "10.9.0.102/24"))
		w.expect(t, "eth0", map[string]bool{"10.9.0.100/24": true, "10.9.0.101/24": false, "10.9.0.102/24": true})
		_ = w.Remove("A")
		w.expect(t, "eth0", map[string]bool{"10.9.0.100/24": false, "10.9.0.102/24": true})
	}},
	{"without Adopt too, by its mark", func(t *testing.T, w *world) {
		w.left("eth0", "10.9.0.100/24")
		if r := w.set(t, "A", addresses("eth0", time.Minute, "10.9.0.100/24")); len(r.Notes) != 0 {
			t.Errorf("%+v", r)
		}
		if l := w.lease("eth0", "10.9.0.100/24"); l < 30 || l > 60 {
			t.Errorf("lease %d s", l)
		}
		_ = w.Remove("A")
		w.expect(t, "eth0", map[string]bool{"10.9.0.100/24": false})
	}},
	{"what the caller knows to be ours is taken over unmarked", func(t *testing.T, w *world) {
		w.admin("eth0", "10.9.0.100/24")
		if n, err := w.Adopt("A", addresses("eth0", 0, "10.9.0.100/24", "10.9.0.200/24"), netconf.Known); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		_ = w.Remove("A")
		w.expect(t, "eth0", map[string]bool{"10.9.0.100/24": false})
	}},
	{"a lease is whole seconds and renewed", func(t *testing.T, w *world) {
		w.set(t, "A", addresses("eth0", 59500*time.Millisecond, "10.9.0.100/24", "2001:db8::100/64"))
		for _, p := range []string{"10.9.0.100/24", "2001:db8::100/64"} {
			if l := w.lease("eth0", p); l < 30 || l > 60 {
				t.Errorf("%s: lease %d s", p, l)
			}
		}
		*w.clock += 50 * time.Second
		if err := w.Renew("A"); err != nil {
			t.Error(err)
		}
		*w.clock += 50 * time.Second
		if err := w.Renew(); err != nil {
			t.Error(err)
		}
		w.expect(t, "eth0", map[string]bool{"10.9.0.100/24": true, "2001:db8::100/64": true})
	}},
	{"a lease that ran out is not renewed", func(t *testing.T, w *world) {
		w.set(t, "A", addresses("eth0", 20*time.Second, "10.9.0.100/24"))
		w.set(t, "B", addresses("eth0", 90*time.Second, "10.9.0.101/24"))
		w.take("eth0", "10.9.0.100/24") // as the kernel does at the end
		*w.clock += 20 * time.Second
		err := w.Renew()
		var expired *netconf.ExpiredError
		if !errors.As(err, &expired) || !slices.Equal(expired.Owners, []string{"A"}) {
			t.Errorf("%v", err)
		}
		w.expect(t, "eth0", map[string]bool{"10.9.0.100/24": false, "10.9.0.101/24": true})
	}},
	{"another process removes by the requests", func(t *testing.T, w *world) {
		w.set(t, "A", addresses("eth0", 0, "10.9.0.100/24", "192.0.2.1/24", "192.0.2.2/24", "2001:db8::100/64"))
		w.set(t, "B", addresses("eth0", 0, "10.9.0.101/24", "192.0.2.1/24"))
		w.obey(w.RemovalRequests("A"))
		w.expect(t, "eth0", map[string]bool{"10.9.0.1/24": true, "10.9.0.100/24": false, "2001:db8::100/64": false,
			"192.0.2.2/24": false, "10.9.0.101/24": true, "192.0.2.1/24": true})
		if got := w.RemovalRequests("nobody"); got != nil {
			t.Errorf("%q", got)
		}
	}},
	{"two owners of one address", func(t *testing.T, w *world) {
		w.set(t, "A", addresses("eth0", 0, "10.9.0.100/24"))
		if r := w.set(t, "B", addresses("eth0", 0, "10.9.0.100/24")); r.Added != 0 {
			t.Errorf("%+v", r)
		}
		_ = w.Remove("A")
		w.expect(t, "eth0", map[string]bool{"10.9.0.100/24": true})
		_ = w.Remove("B")
		w.expect(t, "eth0", map[string]bool{"10.9.0.100/24": false})
	}},
	{"an address moves between owners without a gap", func(t *testing.T, w *world) {
		w.set(t, "A", addresses("eth0", 0, "10.9.0.100/24"))
		w.changes(t)
		r, err := w.SetAll([]netconf.Want{{Owner: "A"}, {Owner: "B", Config: addresses("eth0", 0, "10.9.0.100/24")}})
		if err != nil || r.Added != 0 || r.Removed != 0 {
			t.Errorf("%+v, %v", r, err)
		}
		if all := w.changes(t); len(all) != 0 {
			t.Errorf("%+v", all)
		}
		_ = w.Remove("A")
		w.expect(t, "eth0", map[string]bool{"10.9.0.100/24": true})
	}},
	{"the rest is done where one thing fails", func(t *testing.T, w *world) {
		c := addresses("eth0", 0, "10.9.0.100/24", "2001:db8::100/64")
		c.Addresses = append(c.Addresses, addresses("eth7", 0, "10.9.0.101/24").Addresses...)
		c.Addresses[1].Label = "eth0:6" // IPv6 has none
		_, err := w.Set("A", c)
		if err == nil {
			t.Fatal("no error")
		}
		for _, part := range []string{"A: address 10.9.0.101/24 dev eth7: there is no device eth7", "A: address 2001:db8::100/64 dev eth0 label eth0:6: IPv6 addresses have no label"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q is not in %q", part, err)
			}
		}
		w.expect(t, "eth0", map[string]bool{"10.9.0.100/24": true})
		if err := w.Check("A", c); err == nil || strings.Contains(err.Error(), "eth7") {
			t.Errorf("Check: %v", err)
		}
	}},
	{"links come, go down, up and away", func(t *testing.T, w *world) {
		w.changes(t)
		remove := w.create("new0")
		if all := w.changes(t); len(all) == 0 || all[0].Kind != netconf.LinkNew || all[0].Name != "new0" {
			t.Errorf("%+v", all)
		}
		l := w.Links().ByName("new0")
		if l == nil || w.Links().ByIndex(l.Index) != l {
			t.Fatalf("%+v", l)
		}
		w.set(t, "A", addresses("new0", 0, "10.9.7.1/24"))
		w.down("eth1", false)
		all := w.changes(t)
		if !slices.ContainsFunc(all, func(c netconf.Change) bool { return c.Kind == netconf.LinkDown && c.Name == "eth1" }) ||
			!slices.ContainsFunc(all, func(c netconf.Change) bool { return c.Kind == netconf.LinkNotRunning && c.Name == "eth1" }) {
			t.Errorf("%+v", all)
		}
		if l := w.Links().ByName("eth1"); l.Up || l.Running {
			t.Errorf("%+v", l)
		}
		w.down("eth1", true)
		if all := w.changes(t); !slices.ContainsFunc(all, func(c netconf.Change) bool { return c.Kind == netconf.LinkUp && c.Name == "eth1" }) {
			t.Errorf("%+v", all)
		}
		remove()
		if all := w.changes(t); !slices.ContainsFunc(all, func(c netconf.Change) bool { return c.Kind == netconf.LinkGone && c.Name == "new0" }) {
			t.Errorf("%+v", all)
		}
		if w.Links().ByName("new0") != nil {
			t.Error("still in the picture")
		}
		if err := w.Remove("A"); err != nil {
			t.Errorf("removal from a link that is gone: %v", err)
		}
	}},
	{"an address follows its device's second life", func(t *testing.T, w *world) {
		c := addresses("new0", 0, "10.9.7.1/24")
		w.create("new0")
		w.set(t, "A", c)
		w.changes(t)
		// gone and there again before anybody read of it
		w.take("new0", "10.9.7.1/24")
		w.set(t, "A", c)
		w.expect(t, "new0", map[string]bool{"10.9.7.1/24": true})
	}},
	{"the watch descriptor is readable when something happens", func(t *testing.T, w *world) {
		fd, _ := w.Watch()
		w.changes(t)
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, _ := unix.Poll(poll, 0); n != 0 {
			t.Error("readable with nothing to read")
		}
		w.admin("eth0", "10.9.0.7/24")
		if n, _ := unix.Poll(poll, 2000); n != 1 {
			t.Error("not readable")
		}
		if all := w.changes(t); len(all) != 1 || all[0].Kind != netconf.AddressAdded || all[0].Prefix.String() != "10.9.0.7/24" || all[0].Owner != "" {
			t.Errorf("%+v", all)
		}
	}},
	{"a host does not forward until it is told to", func(t *testing.T, w *world) {
		if w.Forwarding(6, "eth0") || w.Forwarding(4, "no-such-device") {
			t.Error("it does")
		}
		w.forward()
		if !w.Forwarding(6, "eth0") {
			t.Error("it does not")
		}
	}},
	{"the primary address is the link's own", func(t *testing.T, w *world) {
		w.set(t, "A", addresses("eth1", 0, "10.9.1.100/24"))
		w.changes(t)
		if a := w.Links().ByName("eth1").PrimaryIPv4(); a.IsValid() {
			t.Errorf("an address of ours became primary: %v", a)
		}
		if a := w.Links().ByName("eth0").PrimaryIPv4(); a.String() != "10.9.0.1" {
			t.Errorf("%v", a)
		}
	}},
}
