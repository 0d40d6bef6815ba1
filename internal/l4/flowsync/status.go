package flowsync

import (
	"net/netip"
	"time"
)

// Status is a daemon as it is now.
type Status struct {
	Settings Settings
	Active   bool          // it tells of this director's connections
	Trouble  string        // why it does not work; "": it does
	Lag      time.Duration // how old a change can be that has not been told
	Interval time.Duration // between two looks at the table

	// Counters. Told, Took and Unknown are connections, the others datagrams.
	Told, Sent, Failed      uint64
	Took, Received, Unknown uint64 // Unknown: of services or servers that are not here
	Bad, Foreign            uint64 // not well-formed; of another ID
	Refreshes               uint64 // everything was told again
	Missed                  uint64 // there was more than could be noted, and the whole table was looked through
	ToldRate, TookRate      float64

	Encrypted bool     // there is a key
	Advice    []string // what to do about those that were not listened to of late
	// Datagrams that were not listened to: without a key, with a key where there
	// is none here, with another key, that were there before.
	Unsigned, Keyless, Forged, Replayed uint64

	Peers []Peer
}

// Peer is another director that is heard.
type Peer struct {
	Address  netip.Addr
	Active   bool          // it tells of its connections
	Flows    int           // in its table
	Lag      time.Duration // as it says
	Heard    time.Duration // ago
	Received uint64        // connections
	Rate     float64
	Lost     uint64 // datagrams that did not come
	Late     uint64 // that came too late
}

// Status is a snapshot.
func (d *Daemon) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := &d.count
	s := Status{Settings: d.settings, Active: d.active, Trouble: d.trouble,
		Told: c.told, Sent: c.sent, Failed: c.failed, Refreshes: c.refreshes, Took: c.took, Received: c.received, Unknown: c.unknown,
		Bad: c.bad, Foreign: c.foreign, Missed: c.missed, ToldRate: d.told.now, TookRate: d.took.now}
	r := &d.refused
	s.Encrypted, s.Advice = d.vault != nil, r.advice(d.now())
	s.Unsigned, s.Keyless, s.Forged, s.Replayed = r[unsigned].count, r[keyless].count, r[stranger].count, r[heardTwice].count
	if d.active {
		s.Lag, s.Interval = c.lag, c.interval
	}
	now := d.now()
	for _, p := range d.peers {
		s.Peers = append(s.Peers, Peer{Address: p.address, Active: p.active, Flows: int(p.flows), Lag: time.Duration(p.lag) * time.Millisecond,
			Heard: now - p.heard, Received: p.received, Rate: p.rate.now, Lost: p.lost, Late: p.late})
	}
	return s
}
