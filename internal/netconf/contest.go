package netconf

import (
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// settle looks at things that were there before we added them: what is marked
// as ours is of an earlier run and taken over; what is not stays as it is. It
// gives what has to be tried again.
func (t *transaction) settle(contested []step) (again []step) {
	present, err := t.host.present(contested)
	if err != nil {
		t.fail(err)
		return nil
	}
	for _, s := range contested {
		found, ok := present[s.item.id]
		switch {
		case !ok: // gone again meanwhile
			again = append(again, s)
		case found.protocol == Mark:
			t.takeOver(s, found, &again)
		case s.item.id.class == classRoute && !sameRoute(s.item.add, found.body):
			s.item.state = foreign
			t.fail(failure(s.owner, s.item.text, fmt.Errorf("another route of the same destination, table and metric is there already, and not ours: %w", unix.EEXIST)))
		default:
			s.item.state = foreign
			t.note(s.owner, "%s is there already and not ours: left as it is%s", s.item.text, found.condition())
		}
	}
	return again
}

func (t *transaction) takeOver(s step, found existing, again *[]step) {
	if s.item.id.class == classRule {
		s.item.state = ours // equal to what is wanted, by its identity
		return
	}
	if s.item.id.class == classAddress && !sameAddress(s.item, &found.address) {
		*again = append(*again, step{s.item, s.owner, toClean}, s)
		return
	}
	s.item.state, s.item.added = ours, t.host.now()
	*again = append(*again, step{s.item, s.owner, toReplace})
}

// existing is a thing that is on the host.
type existing struct {
	protocol uint8
	body     []byte // routes and rules
	address  AddressState
}

// condition says what is remarkable about an address that stays as it is.
func (e *existing) condition() string {
	switch {
	case !e.address.Prefix.IsValid():
		return ""
	case e.address.Tentative():
		return " (it cannot be used: duplicate address detection)"
	case e.address.Valid == Forever:
		return " (permanent: it stays when this node leaves or dies)"
	}
	return fmt.Sprintf(" (for another %d s)", e.address.Valid/time.Second)
}

// present finds on the host what the steps are about.
func (h *Host) present(steps []step) (map[identity]existing, error) {
	found := map[identity]existing{}
	wanted := func(s class) bool {
		return slices.ContainsFunc(steps, func(c step) bool { return c.item.id.class == s })
	}
	if wanted(classAddress) {
		all, err := h.requests.addresses()
		if err != nil {
			return nil, err
		}
		for _, a := range all {
			found[addressIdentity(a.index, a.Prefix, a.Peer)] = existing{protocol: a.Protocol, address: a.AddressState}
		}
	}
	for _, list := range []struct {
		class        class
		request, new uint16
		header       int
		identify     func([]byte) (identity, uint8)
	}{
		{classRoute, unix.RTM_GETROUTE, unix.RTM_NEWROUTE, unix.SizeofRtMsg, routeIdentity},
		{classRule, unix.RTM_GETRULE, unix.RTM_NEWRULE, ruleHeader, identifyRule},
	} {
		if !wanted(list.class) {
			continue
		}
		err := h.requests.dumpWhole(list.request, make([]byte, list.header), func() {}, func(kind uint16, body []byte) {
			if kind != list.new {
				return
			}
			id, protocol := list.identify(body)
			if _, double := found[id]; !double {
				found[id] = existing{protocol: protocol, body: slices.Clone(body)}
			}
		})
		if err != nil {
			return nil, fmt.Errorf("reading %ss: %w", list.class, err)
		}
	}
	return found, nil
}

// sameAddress says whether an address is in the form that is wanted, but for
// its lifetime.
func sameAddress(it *item, there *AddressState) bool {
	_, want, _ := parseAddress(it.add[unix.NLMSG_HDRLEN:])
	if it.id.family == unix.AF_INET6 {
		return want.Prefix == there.Prefix && want.Peer == there.Peer
	}
	if want.Label == "" {
		want.Label = it.device
	}
	return want.Label == there.Label && want.Broadcast == there.Broadcast && want.Scope == there.Scope
}

// sameRoute says whether a route of the kernel's listing goes where the wanted
// one does.
func sameRoute(add, there []byte) bool {
	const kindAt = 7 // rtm_type
	want := add[unix.NLMSG_HDRLEN:]
	if want[kindAt] != there[kindAt] {
		return false
	}
	several := false // not compared: the kernel tells more of them than we said
	paths := func(body []byte) (p [4]string) {
		for kind, value := range attributes(body[unix.SizeofRtMsg:]) {
			switch kind {
			case unix.RTA_GATEWAY:
				p[0] = string(value)
			case unix.RTA_VIA:
				p[1] = string(value)
			case unix.RTA_OIF:
				p[2] = string(value)
			case unix.RTA_PREFSRC:
				p[3] = string(value)
			case unix.RTA_MULTIPATH:
				several = true
			}
		}
		return p
	}
	a, b := paths(want), paths(there)
	if a[2] == "" {
		b[2] = "" // any device
	}
	return a == b && !several
}

// Adopt takes over what is on the host and in c, left by an earlier run, as if
// owner had set it. Nothing is changed: Set or Remove do that. It gives the
// number of things taken over. Links and sysctls are not looked at: Set knows a
// virtual router's link by its MAC.
func (h *Host) Adopt(owner string, c Config, trust Trust) (int, error) {
	compiler := &compiler{names: h.names, index: remembered(h.index)}
	// What is on a device that is not there cannot have been left on it.
	items, _ := compiler.all(owner, &c)
	var steps []step
	for _, it := range items {
		steps = append(steps, step{it, owner, toAdd})
	}
	present, err := h.present(steps)
	if err != nil {
		return 0, err
	}
	n, now := 0, h.now()
	for _, it := range items {
		found, ok := present[it.id]
		ok = ok && (trust == Known || found.protocol == Mark || found.address.Prefix.IsValid() && found.address.Valid != Forever)
		if !ok || h.items[it.id] != nil && h.items[it.id].state == ours {
			continue
		}
		if known := h.items[it.id]; known != nil {
			known.state = ours // somebody wants it already, and took it for another's
			n++
			continue
		}
		it.state, it.owners, it.renewed, it.added = ours, []string{owner}, now, now
		if left := found.address.Valid; it.lease > 0 && left >= 0 {
			it.renewed = now - max(it.lease-left, 0)
		}
		h.items[it.id] = it
		h.owned[owner] = append(h.owned[owner], it)
		n++
	}
	return n, nil
}
