package netconf

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// ExpiredError names owners that Renew did not renew because it came too late.
type ExpiredError struct{ Owners []string }

func (e *ExpiredError) Error() string {
	return "lease ran out before it was renewed: " + strings.Join(e.Owners, ", ")
}

// Renew gives the addresses of the owners (none: of all) their whole lifetime
// again, in one batch. An owner whose addresses may have run out already is
// left alone and named in an *ExpiredError: another router may have them now.
func (h *Host) Renew(owners ...string) error {
	var expired []string
	now := h.now()
	h.batch.reset()
	renew := func(owner string) {
		items := h.owned[owner]
		for _, it := range items {
			if it.lease > 0 && it.state == ours && now-it.renewed >= it.lease {
				expired = append(expired, owner)
				return
			}
		}
		for _, it := range items {
			if it.lease > 0 && it.state == ours {
				it.age(now)
				h.batch.add(it.add, requestFlags[toReplace])
			}
		}
	}
	for _, owner := range owners {
		renew(owner)
	}
	if len(owners) == 0 {
		for owner := range h.owned {
			renew(owner)
		}
	}
	err := h.sendRenewals()
	if len(expired) > 0 {
		slices.Sort(expired)
		err = errors.Join(err, &ExpiredError{expired})
	}
	return err
}

// sendRenewals sends the batch. The lease counts from before: it may have begun
// at any moment since.
func (h *Host) sendRenewals() error {
	if len(h.batch.starts) == 0 {
		return nil
	}
	now := h.now()
	if err := h.renewals.do(&h.batch); err != nil {
		return fmt.Errorf("renewing addresses: %w", err)
	}
	var errs []error
	for i, start := range h.batch.starts {
		index, a, _ := parseAddress(h.batch.bytes[start+unix.NLMSG_HDRLEN : h.batch.end(i)])
		it := h.items[addressIdentity(index, a.Prefix, a.Peer)]
		if it == nil {
			continue
		}
		if o, failed := h.batch.failed[i]; failed {
			errs = append(errs, failure(strings.Join(it.owners, ", "), it.text, explain(step{item: it}, o)))
			continue
		}
		it.renewed = now
	}
	return errors.Join(errs...)
}

// RemovalRequests are netlink datagrams, each to be sent as it is on a
// NETLINK_ROUTE socket, that take away owner's addresses, routes and rules: for
// another process that does it when this one cannot any more. Links and sysctls
// stay. What other owners want as well is not in them, nor what was on the host
// before us. The kernel answers only
// where something fails.
func (h *Host) RemovalRequests(owner string) [][]byte {
	items := slices.Clone(h.owned[owner])
	slices.Reverse(items)
	slices.SortStableFunc(items, func(a, b *item) int { return int(b.id.class) - int(a.id.class) })
	var all [][]byte
	put := func(m []byte) {
		if len(all) == 0 || len(all[len(all)-1])+len(m) > chunk/2 {
			all = append(all, nil)
		}
		last := &all[len(all)-1]
		*last = append(*last, m...)
		for len(*last)%4 != 0 {
			*last = append(*last, 0)
		}
	}
	var promoting []int
	for _, it := range items {
		if it.state != ours || len(it.owners) > 1 {
			continue
		}
		if it.id.class == classAddress && it.id.family == unix.AF_INET && it.id.to.Bits() < 32 && !slices.Contains(promoting, it.id.index) {
			promoting = append(promoting, it.id.index)
			put(promoteSecondaries(it.id.index))
		}
		put(it.remove)
	}
	return all
}

// promoteSecondaries is the request that has a subnet's other IPv4 addresses
// stay when its first one goes. Whoever sends it has no way back: the setting
// stays, which is what systemd makes the default.
func promoteSecondaries(index int) []byte {
	const inetConf, devconfPromoteSecondaries = 1, 20 // IFLA_INET_CONF, IPV4_DEVCONF_PROMOTE_SECONDARIES
	header := make([]byte, unix.SizeofIfInfomsg)
	native.PutUint32(header[4:], uint32(index))
	m := newMessage(unix.RTM_NEWLINK, header)
	families := m.nest(unix.IFLA_AF_SPEC)
	four := m.nest(unix.AF_INET)
	conf := m.nest(inetConf)
	m.uint32(devconfPromoteSecondaries, 1)
	m.close(conf)
	m.close(four)
	m.close(families)
	return m.done()
}
