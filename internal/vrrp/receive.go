package vrrp

import (
	"net/netip"
	"slices"
	"time"

	wire "evenkeel/internal/wire/vrrp"
)

// received judges a packet and hands what is good to the state.
func (m *Machine) received(now time.Duration, r *Received) {
	if m.state == Init || m.state == Stopped && m.leaveUntil == never {
		return
	}
	if !m.acceptable(r) {
		return
	}
	a, source := &r.Advert, r.Header.Source.WithZone("")
	m.counters.AdvertsReceived++
	m.lastHeard = now
	if a.Auth == wire.AuthAH {
		m.sequence, m.sequenceFrom = a.Sequence, source
	}
	if m.config.Unicast() && !m.config.ChecksumFixed {
		if m.checksum = a.Checksum; a.Checksum == wire.ChecksumPseudo {
			m.checksum = m.config.Checksum
		}
	}
	if a.Priority == wire.PriorityRelease {
		m.counters.PriorityZeroReceived++
	} else {
		m.successor = a.Priority
		m.succeeded(now)
	}
	switch m.state {
	case Backup:
		m.backupHeard(now, a, source)
	case Master:
		m.masterHeard(now, a, source)
	case Fault, Stopped:
		m.master, m.masterPriority = source, a.Priority
		if a.Priority == wire.PriorityRelease {
			m.master = netip.Addr{}
		}
	}
}

// acceptable makes the checks of RFC 3768 7.1 and RFC 9568 7.1 that are not the
// codec's, and keepalived's.
func (m *Machine) acceptable(r *Received) bool {
	a, h := &r.Advert, &r.Header
	if h.Source.WithZone("") == m.config.Source {
		m.counters.OwnSource++
		m.note(Action{Notice: NoticeOwnSource, Peer: h.Source})
		return false
	}
	if !m.fromPeer(h) {
		return false
	}
	if r.Err != nil {
		kind, _ := r.Err.(wire.Error)
		m.counters.PacketErrors[int(kind)%len(m.counters.PacketErrors)]++
		m.note(Action{Notice: NoticeBadPacket, Peer: h.Source, Priority: a.Priority, Got: int64(kind)})
		return false
	}
	if m.config.Version == 2 && a.Interval != m.config.Interval {
		m.counters.IntervalErrors++
		m.note(Action{Notice: NoticeInterval, Peer: h.Source, Got: a.Interval.Milliseconds(), Want: m.config.Interval.Milliseconds()})
		return false
	}
	if a.Auth == wire.AuthAH && m.replayed(a.Sequence, h.Source) {
		m.counters.Replay++
		m.note(Action{Notice: NoticeReplay, Peer: h.Source, Got: int64(a.Sequence), Want: int64(m.sequence) + 1})
		return false
	}
	return m.sameAddresses(a, h.Source.WithZone(""))
}

// replayed judges AH's sequence number. Routers share one sequence (keepalived):
// whoever sends goes on where the last one was. Masters that began at the same
// moment send the same numbers in step; if each refused the others' they would
// never agree, so a master takes its own number once from each.
func (m *Machine) replayed(sequence uint32, source netip.Addr) bool {
	return sequence < m.sequence || sequence == m.sequence && (m.state != Master || source == m.sequenceFrom)
}

// fromPeer: multicast has to come with the TTL of a neighbour, unicast from a
// peer, and the two are not mixed.
func (m *Machine) fromPeer(h *wire.Header) bool {
	multicast := h.Destination.IsMulticast()
	least, most := uint8(255), uint8(255)
	if m.config.Unicast() {
		source := h.Source.WithZone("")
		i := slices.IndexFunc(m.config.Peers, func(p Peer) bool { return p.Addr.WithZone("") == source })
		if i < 0 || multicast {
			m.counters.UnknownPeers++
			m.note(Action{Notice: NoticeUnknownPeer, Peer: h.Source})
			return false
		}
		least, most = m.config.Peers[i].MinTTL, m.config.Peers[i].MaxTTL
		if most == 0 {
			most = 255
		}
	} else if !multicast {
		m.counters.UnknownPeers++
		m.note(Action{Notice: NoticeUnknownPeer, Peer: h.Source})
		return false
	}
	if h.TTL < least || h.TTL > most {
		m.counters.TTLErrors++
		want := least
		if h.TTL > most {
			want = most
		}
		m.note(Action{Notice: NoticeTTL, Peer: h.Source, Got: int64(h.TTL), Want: int64(want)})
		return false
	}
	return true
}

// sameAddresses compares the advertised addresses with ours, in any order. A
// list that shares some of ours is that of a peer whose configuration was
// changed before ours, or after: to discard it, as RFC 3768 section 7.1 asks,
// would make two masters until both files agree again. RFC 9568 section 7.1
// leaves it open.
func (m *Machine) sameAddresses(a *wire.Advert, source netip.Addr) bool {
	if m.config.SkipCheckAddresses && source == m.checked {
		return true
	}
	ours := m.config.Addresses
	n := Action{Notice: NoticeAddresses, Peer: source, Priority: a.Priority, Got: int64(len(a.Addresses)), Want: int64(len(ours))}
	same, shared := len(a.Addresses) == len(ours), true
	if !slices.Equal(a.Addresses, ours) {
		shared = false
		for _, address := range ours {
			if slices.Contains(a.Addresses, address) {
				shared = true
			} else if same {
				same, n.Address = false, address
			}
		}
	}
	if same {
		m.checked = source
		return true
	}
	n.Accepted = shared && !m.config.StrictAddresses
	m.counters.AddressListErrors++
	m.note(n)
	m.checked = netip.Addr{}
	return n.Accepted
}
