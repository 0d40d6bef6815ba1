package failover

import (
	"time"

	"evenkeel/internal/failover/loop"
	"evenkeel/internal/model"
)

// garpPace is what a garp_group says of an interface.
type garpPace struct {
	name     string // of all that share the limit
	garp, na *time.Duration
}

// garpPaces are the garp_groups by interface.
func garpPaces(groups []*model.GARPGroup) map[string]garpPace {
	all := map[string]garpPace{}
	for _, g := range groups {
		for _, name := range g.Interfaces {
			x := garpPace{name: name, garp: g.GARPInterval, na: g.NAInterval}
			if g.Shared {
				x.name = g.Interfaces[0]
			}
			all[name] = x
		}
	}
	return all
}

// paceKey is what a limit applies to: an interface or several, and gratuitous
// ARPs or neighbour advertisements.
type paceKey struct {
	name   string
	family int
}

// garpPause is the time after a frame on a device of i before the next one, and
// which frames share it.
func (p *plane) garpPause(i *instance, device string, family int) (time.Duration, paceKey) {
	base := i.setup.baseOf(device)
	key, pause := paceKey{base, family}, i.setup.model.GARPInterval
	if family == 6 {
		pause = i.setup.model.NAInterval
	}
	x, ok := p.plan.garp[base]
	if !ok {
		return pause, key
	}
	key.name = x.name
	own := x.garp
	if family == 6 {
		own = x.na
	}
	if own != nil {
		pause = *own
	}
	return pause, key
}

// baseOf is the interface below a device with a virtual MAC, or the device.
func (s *setup) baseOf(device string) string {
	if s.link != nil && s.link.Name == device {
		return s.link.Base
	}
	for n := range s.more {
		if s.more[n].Name == device {
			return s.more[n].Base
		}
	}
	return device
}

// extraDue sends the frames that keep the switches' tables where no
// advertisements leave (garp_extra_if).
func (p *plane) extraDue() {
	if p.now < p.extraAt {
		return
	}
	next := loop.Never
	for _, i := range p.instances {
		every := i.setup.model.GARPExtra
		switch {
		case every == 0 || !i.holds || !i.set:
			i.extraAt = 0
			continue
		case i.extraAt == 0: // the announcements of a new master are fresh
			i.extraAt = p.now + every
		case p.now >= i.extraAt:
			i.extraAt = p.now + every
			p.announceOn(i, 1, i.setup.needsExtra)
		}
		next = min(next, i.extraAt)
	}
	p.extraAt = next
}

// needsExtra says whether a device is one that garp_extra_if is about: not the
// one that advertisements leave by, and with a virtual MAC unless all are meant.
func (s *setup) needsExtra(device string) bool {
	sending := s.device()
	if s.model.VMACXmitBase {
		sending = s.model.Interface
	}
	return device != sending && (s.model.GARPExtraAll || s.baseOf(device) != device)
}
