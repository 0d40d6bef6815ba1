package fake

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"evenkeel/internal/netconf"
)

// This file is the other side: what the kernel, an administrator or another
// program does to the host.

// Fail has everything whose text contains part refused with err; nil: not any
// more.
func (h *Host) Fail(part string, err error) {
	if err == nil {
		delete(h.failures, part)
		return
	}
	h.failures[part] = err
}

// Obey does what RemovalRequests asked for, as another process would.
func (h *Host) Obey(requests [][]byte) {
	for _, r := range requests {
		for key := range strings.SplitSeq(string(r), "\n") {
			if t := h.things[key]; t != nil && t.state == ours {
				h.lose(t)
			}
		}
	}
}

// AddLink makes a link appear.
func (h *Host) AddLink(l netconf.LinkState) {
	h.links[l.Name] = &l
	h.picture()
	h.notify(netconf.Change{Kind: netconf.LinkNew, Index: l.Index, Name: l.Name})
}

// RemoveLink makes a link go, with its addresses.
func (h *Host) RemoveLink(name string) {
	l := h.links[name]
	delete(h.links, name)
	h.picture()
	for _, t := range h.things {
		if t.device == name && t.state == ours {
			t.state = absent
		}
	}
	h.notify(netconf.Change{Kind: netconf.LinkGone, Index: l.Index, Name: name})
}

// SetLink changes whether a link is up and running.
func (h *Host) SetLink(name string, up, running bool) {
	l := h.links[name]
	if l.Up != up {
		l.Up = up
		h.notify(netconf.Change{Kind: pick(up, netconf.LinkUp, netconf.LinkDown), Index: l.Index, Name: name})
	}
	if running = running && up; l.Running != running {
		l.Running = running
		h.notify(netconf.Change{Kind: pick(running, netconf.LinkRunning, netconf.LinkNotRunning), Index: l.Index, Name: name})
	}
}

func pick(yes bool, a, b netconf.ChangeKind) netconf.ChangeKind {
	if yes {
		return a
	}
	return b
}

// AddAddress is an administrator's.
func (h *Host) AddAddress(device, prefix string) { h.there(device, prefix, foreign) }

// LeaveAddress is an earlier run's: on the host, with our mark.
func (h *Host) LeaveAddress(device, prefix string) { h.there(device, prefix, left) }

func (h *Host) there(device, prefix string, s state) {
	p := netip.MustParsePrefix(prefix)
	t := &thing{text: "address " + prefix + " dev " + device, prefix: p, device: device, state: s}
	h.things[addressKey(device, p, netip.Addr{})] = t
	h.give(t)
}

// RemoveAddress takes an address away, whosever it is.
func (h *Host) RemoveAddress(device, prefix string) {
	if t := h.things[addressKey(device, netip.MustParsePrefix(prefix), netip.Addr{})]; t != nil {
		h.lose(t)
	}
}

// lose is a removal that owners did not ask for.
func (h *Host) lose(t *thing) {
	h.take(t)
	if t.once && t.state == ours {
		t.state = taken
		return
	}
	if len(t.owners) > 0 && len(h.changes) > 0 {
		h.changes[len(h.changes)-1].Owner = t.owners[0]
	}
	if t.state != ours {
		t.state = absent
	}
}

// lost says that an address of ours is not on its link any more.
func (h *Host) lost(t *thing) bool {
	l := h.links[t.device]
	return t.prefix.IsValid() && (l == nil || position(l, t) < 0)
}

// give puts an address on its link.
func (h *Host) give(t *thing) {
	l := h.links[t.device]
	if l == nil || !t.prefix.IsValid() {
		return
	}
	a := netconf.AddressState{Prefix: t.prefix, Peer: t.peer, Label: t.device, Valid: netconf.Forever, Preferred: netconf.Forever}
	if t.state == ours || t.state == left {
		a.Protocol = netconf.Mark
	}
	if t.lease > 0 {
		a.Valid, a.Preferred = t.lease, t.lease
	}
	if i := position(l, t); i >= 0 {
		l.Addresses[i] = a
		return
	}
	l.Addresses = append(l.Addresses, a)
	h.notify(netconf.Change{Kind: netconf.AddressAdded, Index: l.Index, Name: l.Name, Prefix: t.prefix})
}

func position(l *netconf.LinkState, t *thing) int {
	return slices.IndexFunc(l.Addresses, func(a netconf.AddressState) bool { return a.Prefix == t.prefix && a.Peer == t.peer })
}

func (h *Host) take(t *thing) {
	l := h.links[t.device]
	if l == nil {
		return
	}
	if i := position(l, t); i >= 0 {
		l.Addresses = slices.Delete(l.Addresses, i, i+1)
		h.notify(netconf.Change{Kind: netconf.AddressRemoved, Index: l.Index, Name: l.Name, Prefix: t.prefix})
	}
}

// expire takes away what nobody renewed in time.
func (h *Host) expire() {
	now := h.Now()
	for _, t := range h.things {
		if t.lease > 0 && t.state == ours && now-t.renewed >= t.lease {
			l := h.links[t.device]
			if l != nil && position(l, t) >= 0 {
				h.take(t)
				h.changes[len(h.changes)-1].Owner = t.owners[0]
			}
		}
	}
}

// Has says whether a link has an address now.
func (h *Host) Has(device string, addr string) bool {
	h.expire()
	l := h.links[device]
	return l != nil && l.Address(netip.MustParseAddr(addr)) != nil
}

// Lease is for how long an address stays without another renewal; Forever.
func (h *Host) Lease(device, prefix string) time.Duration {
	t := h.things[addressKey(device, netip.MustParsePrefix(prefix), netip.Addr{})]
	if t == nil || t.lease == 0 {
		return netconf.Forever
	}
	return t.lease - (h.Now() - t.renewed)
}

// Links is netconf.Host's.
func (h *Host) Links() *netconf.Snapshot {
	h.expire()
	return h.snapshot
}

// Watch is netconf.Host's; its descriptor is an eventfd.
func (h *Host) Watch() (fd int, read func() ([]netconf.Change, error)) {
	if h.event < 0 {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			return -1, func() ([]netconf.Change, error) { return nil, err }
		}
		h.event = fd
	}
	return h.event, func() ([]netconf.Change, error) {
		h.expire()
		var count [8]byte
		_, _ = unix.Read(h.event, count[:]) // EAGAIN: nothing had happened
		changes := h.changes
		h.changes = nil
		return changes, nil
	}
}

func (h *Host) notify(c netconf.Change) {
	h.changes = append(h.changes, c)
	if h.event >= 0 {
		_, _ = unix.Write(h.event, []byte{1, 0, 0, 0, 0, 0, 0, 1}) // one in either byte order
	}
}
