package flowsync

import (
	"net/netip"
	"slices"
	"time"
)

const (
	maxPeers   = 16               // senders that are remembered
	peerSilent = 10 * time.Second // then a sender counts as gone
	askAgain   = 2 * time.Second  // between requests to one sender
)

// peer is another director, as it is heard. peers is pure: the time is given
// to it.
type peer struct {
	sender   uint64
	address  netip.Addr
	active   bool
	sequence uint32 // of the last datagram
	since    uint32 // from this one on none was lost
	flows    uint32
	lag      uint32
	lost     uint64 // datagrams that never came
	late     uint64 // that came behind later ones, and were left out
	received uint64 // connections
	heard    time.Duration
	asked    time.Duration // for everything; 0: never
	owes     bool          // it is to be asked
	rate     meter
}

type peers []*peer

// hear notes a datagram. take is false where what it tells is older than what
// was told since, or its sender is one too many; ask is true when the sender
// should be asked to tell everything: something was lost, or it is new.
func (l *peers) hear(now time.Duration, from netip.Addr, h *header) (p *peer, take, ask bool) {
	for _, x := range *l {
		if x.sender == h.sender {
			p = x
		}
	}
	// A director that begins anew draws another number.
	*l = slices.DeleteFunc(*l, func(x *peer) bool { return x != p && x.address == from && now-x.heard > askAgain })
	if p == nil {
		l.forget(now)
		if len(*l) >= maxPeers {
			return nil, false, false
		}
		p = &peer{sender: h.sender, sequence: h.sequence - 1, since: h.sequence}
		*l = append(*l, p)
	}
	gap := int32(h.sequence - p.sequence)
	if gap <= 0 && now-p.heard < peerSilent {
		p.late++
		return p, false, false
	}
	lost := gap > 1 && gap < 1<<30
	if lost {
		p.lost += uint64(gap - 1)
	}
	if gap != 1 {
		p.since = h.sequence
	}
	begins := h.active && !p.active
	p.sequence, p.address, p.heard = h.sequence, from, now
	p.active, p.flows, p.lag = h.active, h.flows, h.lag
	p.owes = p.active && (p.owes || lost || begins)
	if p.owes && (p.asked == 0 || now-p.asked >= askAgain) {
		p.asked, p.owes = now, false
		return p, true, true
	}
	return p, true, false
}

// heardSince says whether every datagram from this one on has come.
func (p *peer) heardSince(sequence uint32) bool { return int32(sequence-p.since) >= 0 }

// forget drops who has not been heard for long.
func (l *peers) forget(now time.Duration) {
	*l = slices.DeleteFunc(*l, func(p *peer) bool { return now-p.heard > peerSilent })
}

// meter turns a counter into a rate per second.
type meter struct {
	last uint64
	now  float64
}

// sample is called with the counter once a second.
func (m *meter) sample(n uint64) {
	const share = 0.3 // of the newest second
	m.now += share * (float64(n-m.last) - m.now)
	m.last = n
}

// pace spreads work: so many a second, and some at once.
type pace struct {
	rate, burst float64
	tokens      float64
	at          time.Duration
}

// nap is the shortest pause: many small ones would cost more than they save.
const nap = 10 * time.Millisecond

// take asks for one; the answer is how long to wait before it.
func (p *pace) take(now time.Duration) time.Duration {
	p.tokens = min(p.burst, p.tokens+p.rate*(now-p.at).Seconds())
	p.at = now
	p.tokens--
	wait := time.Duration(-p.tokens / p.rate * float64(time.Second))
	if wait < nap {
		return 0
	}
	return wait
}

// spare says whether there is one to be had at once, and takes it.
func (p *pace) spare(now time.Duration) bool {
	p.tokens = min(p.burst, p.tokens+p.rate*(now-p.at).Seconds())
	p.at = now
	if p.tokens < 1 {
		return false
	}
	p.tokens--
	return true
}
