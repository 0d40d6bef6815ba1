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
// stay. What other owners want as well is not in them. The kernel answers only
// where something fails.
func (h *Host) RemovalRequests(owner string) [][]byte {
	items := slices.Clone(h.owned[owner])
	slices.Reverse(items)
	slices.SortStableFunc(items, func(a, b *item) int { return int(b.id.class) - int(a.id.class) })
	var all [][]byte
	for _, it := range items {
		if it.state != ours || len(it.owners) > 1 {
			continue
		}
		if len(all) == 0 || len(all[len(all)-1])+len(it.remove) > chunk/2 {
			all = append(all, nil)
		}
		last := &all[len(all)-1]
		*last = append(*last, it.remove...)
		for len(*last)%4 != 0 {
			*last = append(*last, 0)
		}
	}
	return all
}
