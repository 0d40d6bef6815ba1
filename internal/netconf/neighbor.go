package netconf

import (
	"slices"

	"golang.org/x/sys/unix"
)

// neighborHeader is the length of struct ndmsg.
const neighborHeader = 12

// place is the addresses of a family on a link.
type place struct {
	family uint8
	index  int
}

// askAnew has the kernel forget the neighbors that it has asked for in vain, on
// links where an address of ours has just become usable. While a link had no
// carrier its questions went nowhere, and with the next one it waits for its
// timer: what this host answers to a client would lie in a queue for up to a
// second (net.*.neigh.*.retrans_time_ms). A new entry is asked for at once. It
// has to be after the kernel's notice: before an IPv6 address has its local
// route, which comes a little later than the answer to the request, answers of
// neighbors to it are dropped.
func (h *Host) askAnew(places []place) {
	h.batch.reset()
	for i, p := range places {
		if slices.Contains(places[:i], p) {
			continue
		}
		for _, m := range h.unresolved(p.family, p.index) {
			h.batch.add(m, 0)
		}
	}
	if len(h.batch.starts) > 0 {
		_ = h.requests.do(&h.batch) // an entry that is gone or resolved meanwhile is as good
	}
}

// unresolved gives the removals of a link's neighbors without an answer. What
// cannot be read is not removed: the kernel's timer does it later.
func (h *Host) unresolved(family uint8, index int) (removals [][]byte) {
	header := make([]byte, neighborHeader)
	header[0] = family
	request := message(header)
	request.uint32(unix.NDA_IFINDEX, uint32(index))
	_ = h.requests.dumpWhole(unix.RTM_GETNEIGH, request, func() { removals = nil }, func(kind uint16, body []byte) {
		const stateAt = 8 // ndm_state
		if kind != unix.RTM_NEWNEIGH || len(body) < neighborHeader || int(native.Uint32(body[4:])) != index ||
			native.Uint16(body[stateAt:])&unix.NUD_INCOMPLETE == 0 {
			return
		}
		for attribute, value := range attributes(body[neighborHeader:]) {
			if attribute == unix.NDA_DST {
				m := newMessage(unix.RTM_DELNEIGH, body[:neighborHeader])
				m.address(unix.NDA_DST, asAddr(value))
				removals = append(removals, m.done())
			}
		}
	})
	return removals
}
