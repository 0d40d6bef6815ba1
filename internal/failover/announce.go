package failover

import (
	"time"

	"evenkeel/internal/failover/loop"
	"evenkeel/internal/netconf"
	"evenkeel/internal/wire/neighbor"
)

// announcer sends gratuitous ARPs and neighbour advertisements, at once or with
// pauses between those of one interface.
type announcer struct {
	batch []netconf.Frame // leave at the end of the round
	paced []paced
	next  map[paceKey]time.Duration // when the next paced frame may leave
	bytes []byte
}

// paced is a frame that waits for its turn.
type paced struct {
	frame netconf.Frame
	pause time.Duration
	key   paceKey
	owner *instance
}

// at is when the next paced frame is due.
func (a *announcer) at() time.Duration {
	next := loop.Never
	for n := range a.paced {
		next = min(next, a.next[a.paced[n].key])
	}
	return next
}

// announceAddresses tells the neighbours where an instance's addresses are,
// repeat times each.
func (p *plane) announceAddresses(i *instance, repeat int) {
	p.announceOn(i, repeat, func(string) bool { return true })
	if i.setup.model.GARPExtra > 0 {
		p.extraAt = p.now // it counts from here
	}
}

// announceOn does so for the devices that are wanted.
func (p *plane) announceOn(i *instance, repeat int, wanted func(device string) bool) {
	snapshot := p.host.Links()
	routers := map[string]bool{}
	for n := range i.setup.hosts.Addresses {
		a := &i.setup.hosts.Addresses[n]
		link := snapshot.ByName(a.Device)
		if link == nil || !link.Up || link.MAC == [6]byte{} || !wanted(a.Device) {
			continue
		}
		family := 4
		var m neighbor.Message
		if addr := a.Prefix.Addr(); addr.Is4() {
			m = neighbor.GratuitousRequest(link.MAC, addr)
		} else {
			family = 6
			router, known := routers[a.Device]
			if !known {
				router = p.host.Forwarding(6, a.Device)
				routers[a.Device] = router
			}
			m = neighbor.Unsolicited(link.MAC, addr, router)
		}
		pause, key := p.garpPause(i, a.Device, family)
		frame := netconf.Frame{Index: link.Index, Bytes: neighbor.Append(make([]byte, 0, neighbor.MaxFrame), &m)}
		i.announced += uint64(repeat)
		for range repeat {
			if pause > 0 {
				p.announce.paced = append(p.announce.paced, paced{frame: frame, pause: pause, key: key, owner: i})
			} else {
				p.announce.batch = append(p.announce.batch, frame)
			}
		}
	}
}

// announceDue sends what is to leave now.
func (p *plane) announceDue() {
	a := &p.announce
	kept := a.paced[:0]
	for n := range a.paced {
		x := &a.paced[n]
		switch at := a.next[x.key]; {
		case !x.owner.holds: // not ours any more
		case at > p.now:
			kept = append(kept, *x)
		default:
			a.next[x.key] = p.now + x.pause
			a.batch = append(a.batch, x.frame)
		}
	}
	clear(a.paced[len(kept):])
	a.paced = kept
	if len(a.batch) == 0 {
		return
	}
	if _, err := p.frames.Send(a.batch); err != nil {
		p.complain(nil, "announce", "gratuitous ARP: "+err.Error())
	}
	clear(a.batch)
	a.batch = a.batch[:0]
}

// reannounce is for a link whose MAC may have changed.
func (p *plane) reannounce(index int) {
	for _, i := range p.instances {
		if !i.holds || !i.set {
			continue
		}
		for n := range i.setup.hosts.Addresses {
			if l := p.host.Links().ByName(i.setup.hosts.Addresses[n].Device); l != nil && l.Index == index {
				p.announceAddresses(i, 1)
				break
			}
		}
	}
}
