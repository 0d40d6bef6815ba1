package lease

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"
)

// Will is what the keeper does for a failover process that has died or is
// frozen: it sends Alive at once and then every Every, until a new failover
// process has taken over or Patience is over. If it is over, it sends Leave,
// waits Wait while this node still answers, and then removes the addresses
// with the netlink requests Remove.
type Will struct {
	Every    time.Duration // shortest interval among Alive; 0: there is none
	Patience time.Duration // how long to stand in; 0: leave at once
	Wait     time.Duration
	Alive    []Datagram // advertisements of the instances that are master here
	Leave    []Datagram // the same with priority 0
	Remove   [][]byte   // RTM_DELADDR and so on, ready to be sent
}

// Empty says that there is nothing to do: no instance is master.
func (w *Will) Empty() bool { return len(w.Leave) == 0 && len(w.Remove) == 0 }

// Datagram is one packet, from behind the IP header on.
type Datagram struct {
	Protocol    int // of IP: 112, or 51 for an authentication header
	Interface   int // index
	Source      netip.Addr
	Destination netip.Addr
	TTL         int
	Payload     []byte
	Every       time.Duration // how often this one is due, of those in Alive
}

// WriteWill replaces the will.
func (p *Page) WriteWill(w Will) error {
	b, err := json.Marshal(w)
	if err != nil {
		return fmt.Errorf("lease: will: %w", err)
	}
	return p.write(0, &p.head().will, b)
}

// ReadWill is the will that was written last, and whether there is one.
func (p *Page) ReadWill() (Will, bool) {
	var w Will
	b := p.read(0, &p.head().will)
	if b == nil || json.Unmarshal(b, &w) != nil {
		return Will{}, false
	}
	return w, true
}
