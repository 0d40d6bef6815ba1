package netconf_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"evenkeel/internal/netconf"
)

// read gives what happened to links, or to addresses other than the kernel's own.
func read(t *testing.T, h *netconf.Host) []netconf.Change {
	t.Helper()
	w := &world{host: h}
	return w.changes(t)
}

func has(all []netconf.Change, kind netconf.ChangeKind, name string) bool {
	return slices.ContainsFunc(all, func(c netconf.Change) bool { return c.Kind == kind && c.Name == name })
}

// await reads until something has happened to a link: the kernel tells of
// carriers when it finds the time.
func await(t *testing.T, h *netconf.Host, kind netconf.ChangeKind, link string) (all []netconf.Change, ok bool) {
	t.Helper()
	fd, next := h.Watch()
	for {
		changes, err := next()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, changes...)
		if has(all, kind, link) {
			return all, true
		}
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, _ := unix.Poll(poll, 5000); n == 0 {
			return all, false
		}
	}
}

func TestLinkChanges(t *testing.T) {
	n := newNamespace(t)
	h := open(t)
	for _, c := range []struct {
		name string
		ip   string
		kind netconf.ChangeKind
		link string
	}{
		{"the other end goes down", "link set eth1 down", netconf.LinkNotRunning, "eth0"},
		{"and up", "link set eth1 up", netconf.LinkRunning, "eth0"},
		{"MTU", "link set eth0 mtu 1400", netconf.LinkChanged, "eth0"},
		{"MAC", "link set eth0 address 02:00:00:00:00:77", netconf.LinkChanged, "eth0"},
		{"a bridge", "link add br0 type bridge", netconf.LinkNew, "br0"},
		{"into the bridge", "link set eth1 master br0", netconf.LinkChanged, "eth1"},
		{"down, before it is renamed", "link set eth1 down", netconf.LinkDown, "eth1"},
		{"another name", "link set eth1 name lan1", netconf.LinkRenamed, "lan1"},
	} {
		n.ip(t, c.ip)
		if all, ok := await(t, h, c.kind, c.link); !ok {
			t.Errorf("%s: %+v", c.name, all)
		}
	}
	if h.Links().ByName("eth1") != nil || h.Links().ByName("lan1") == nil {
		t.Error("the picture has the old name")
	}
	// What a bridge says of a port that leaves it is not the end of the link.
	n.ip(t, "link set lan1 nomaster")
	if all := read(t, h); has(all, netconf.LinkGone, "lan1") || h.Links().ByName("lan1") == nil {
		t.Errorf("%+v", all)
	}
	n.ip(t, "addr add fe80::7/64 dev eth0 nodad")
	n.ip(t, "addr add 10.9.0.2/24 dev eth0")
	n.ip(t, "addr del 10.9.0.1/24 dev eth0")
	n.ip(t, "addr add 10.9.0.3/24 dev eth0")
	read(t, h)
	eth0 := h.Links().ByName("eth0")
	if got := eth0.PrimaryIPv4(); got != addr("10.9.0.3") {
		t.Errorf("primary address %v", got) // .2 went with .1, in whose subnet it came second
	}
	if eth0.Kind != "veth" || eth0.MTU != 1400 || eth0.MAC != [6]byte{2, 0, 0, 0, 0, 0x77} {
		t.Errorf("%+v", eth0)
	}
}

// After lost notifications everything is read again and compared.
func TestLostNotifications(t *testing.T) {
	n := newNamespace(t)
	h := open(t)
	if _, err := h.Set("A", addresses("eth0", 0, "10.9.0.100/32", "10.9.0.101/32")); err != nil {
		t.Fatal(err)
	}
	n.ip(t, "addr add 10.9.3.3/32 dev eth1")
	n.ip(t, "link add gone0 type bridge")
	read(t, h)
	if err := netconf.ShrinkNotifications(h); err != nil {
		t.Fatal(err)
	}
	var noise []string
	for i := range 60 {
		noise = append(noise, fmt.Sprintf("10.8.%d.1/32", i))
	}
	if _, err := h.Set("noise", addresses("eth0", 0, noise...)); err != nil {
		t.Fatal(err)
	}
	n.ip(t, "addr del 10.9.0.100/32 dev eth0")
	n.ip(t, "addr del 10.9.3.3/32 dev eth1")
	n.ip(t, "link add new0 type bridge")
	n.ip(t, "link del gone0")
	n.ip(t, "addr add 10.9.0.200/32 dev eth0 label eth0:x")

	all := read(t, h)
	for _, want := range []string{"10 eth0 10.9.0.100/32 A", "10 eth1 10.9.3.3/32 ", "9 eth0 10.9.0.200/32 ", "9 eth0 10.8.59.1/32 noise"} {
		if !slices.ContainsFunc(all, func(c netconf.Change) bool {
			return fmt.Sprintf("%d %s %v %s", c.Kind, c.Name, c.Prefix, c.Owner) == want
		}) {
			t.Errorf("no %s", want)
		}
	}
	if !has(all, netconf.LinkNew, "new0") || !has(all, netconf.LinkGone, "gone0") {
		t.Errorf("%+v", all)
	}
	eth0 := h.Links().ByName("eth0")
	if eth0.Address(addr("10.9.0.100")) != nil || eth0.Address(addr("10.9.0.101")) == nil || eth0.Address(addr("10.9.0.200")).Label != "eth0:x" {
		t.Errorf("%+v", eth0.Addresses)
	}
}

// A renewal is no news: it does not even wake whoever waits for changes.
func TestRenewalsAreSilent(t *testing.T) {
	newNamespace(t)
	h := open(t)
	if _, err := h.Set("A", addresses("eth0", time.Hour, "10.9.0.100/24", "10.9.0.101/24")); err != nil {
		t.Fatal(err)
	}
	read(t, h)
	if err := h.Renew(); err != nil {
		t.Fatal(err)
	}
	fd, _ := h.Watch()
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if n, _ := unix.Poll(poll, 0); n != 0 {
		t.Errorf("%+v", read(t, h))
	}
}

// What the kernel takes at the end of a lease is a loss that is told.
func TestLeaseEnds(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the kernel's clock")
	}
	newNamespace(t)
	h := open(t)
	if _, err := h.Set("A", addresses("eth0", time.Second, "10.9.0.100/24")); err != nil {
		t.Fatal(err)
	}
	fd, _ := h.Watch()
	for end, all := time.Now().Add(30*time.Second), read(t, h); ; all = read(t, h) {
		if i := slices.IndexFunc(all, func(c netconf.Change) bool { return c.Kind == netconf.AddressRemoved }); i >= 0 {
			if all[i].Owner != "A" || all[i].Prefix.String() != "10.9.0.100/24" {
				t.Errorf("%+v", all)
			}
			break
		}
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if left := time.Until(end); left <= 0 {
			t.Fatal("the address is still there after 30 s")
		} else if _, err := unix.Poll(poll, int(left/time.Millisecond)); err != nil && err != unix.EINTR {
			t.Fatal(err)
		}
	}
	if err := h.Renew(); err == nil || !strings.Contains(err.Error(), "A") {
		t.Errorf("renewed all the same: %v", err)
	}
}

// Only the kernel is believed: another process may send to the socket as well.
func TestForgedNotification(t *testing.T) {
	newNamespace(t)
	h := open(t)
	fd, _ := h.Watch()
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	forger, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(forger)
	eth0 := h.Links().ByName("eth0")
	gone := make([]byte, unix.SizeofNlMsghdr+unix.SizeofIfInfomsg+12)
	order := binary.NativeEndian
	order.PutUint32(gone, uint32(len(gone)))
	order.PutUint16(gone[4:], unix.RTM_DELLINK)
	order.PutUint32(gone[20:], uint32(eth0.Index))
	order.PutUint16(gone[32:], 9) // IFLA_IFNAME
	order.PutUint16(gone[34:], unix.IFLA_IFNAME)
	copy(gone[36:], "eth0")
	if err := unix.Sendto(forger, gone, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: name.(*unix.SockaddrNetlink).Pid}); err != nil {
		t.Fatal(err)
	}
	if all := read(t, h); len(all) != 0 || h.Links().ByName("eth0") == nil {
		t.Errorf("%+v", all)
	}
}
