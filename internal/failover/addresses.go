package failover

import (
	"errors"
	"fmt"
	"time"

	"evenkeel/internal/failover/loop"
	"evenkeel/internal/netconf"
	"evenkeel/internal/vrrp"
)

// hold notes that an instance's addresses are, or are not, to be on the host.
func (p *plane) hold(i *instance, holds bool) {
	if i.holds == holds && i.set == holds && !i.pending {
		return
	}
	i.holds = holds
	i.pending = true
	p.pending++
	p.willBad, p.stateBad = true, true
}

// wants is what the host gets for a master.
func (i *instance) wants() netconf.Want {
	c := i.setup.hosts
	c.Addresses = append([]netconf.Address(nil), c.Addresses...)
	for n := range c.Addresses {
		c.Addresses[n].ValidLifetime = i.setup.lease
	}
	return netconf.Want{Owner: i.owner, Config: c}
}

// applyAddresses carries out what hold noted, in one batch, and says whether
// there was anything. Advertisements that waited for it are queued.
func (p *plane) applyAddresses() bool {
	if p.pending == 0 {
		return false
	}
	p.pending = 0
	var add []*instance
	var wants []netconf.Want
	p.each(func(i *instance) {
		if !i.pending {
			return
		}
		i.pending = false
		if i.holds {
			add = append(add, i)
			wants = append(wants, i.wants())
		} else {
			i.set = false
			if err := p.host.Remove(i.owner); err != nil {
				p.complain(i, "remove", err.Error())
			}
		}
	})
	if len(wants) > 0 {
		result, err := p.host.SetAll(wants)
		if err != nil {
			p.complain(nil, "address", err.Error())
		}
		for _, n := range result.Notes {
			p.complain(p.ownerOf(n.Owner), "note "+n.Text, n.Text)
		}
	}
	for _, i := range add {
		i.set = true
		for _, a := range i.late {
			p.sendAdvert(i, a.priority, a.sequence)
		}
		i.late = i.late[:0]
	}
	p.scheduleRenewal()
	p.tellHolders()
	return true
}

// each visits all instances, also those that are on their way out.
func (p *plane) each(f func(i *instance)) {
	for _, i := range p.instances {
		f(i)
	}
	for _, i := range p.leaving {
		f(i)
	}
}

func (p *plane) ownerOf(owner string) *instance {
	var found *instance
	p.each(func(i *instance) {
		if i.owner == owner {
			found = i
		}
	})
	return found
}

// scheduleRenewal sets when leases are renewed: when half of the shortest has
// passed.
func (p *plane) scheduleRenewal() {
	shortest := loop.Never
	p.each(func(i *instance) {
		if i.holds && i.setup.lease > 0 {
			shortest = min(shortest, i.setup.lease)
		}
	})
	if shortest == loop.Never {
		p.renewAt = loop.Never
		return
	}
	p.renewAt = min(p.renewAt, p.now+shortest/2)
}

// renewDue renews all leases when it is time.
func (p *plane) renewDue() {
	if p.now < p.renewAt {
		return
	}
	p.renewAt = loop.Never
	var owners []string
	p.each(func(i *instance) {
		if i.holds {
			owners = append(owners, i.owner)
		}
	})
	if len(owners) == 0 {
		return
	}
	err := p.host.Renew(owners...)
	p.renewals.done++
	if err != nil {
		p.renewals.failed++
		var expired *netconf.ExpiredError
		if errors.As(err, &expired) {
			for _, owner := range expired.Owners {
				if i := p.ownerOf(owner); i != nil {
					i.doubt = i.setup.lease
					p.frozen(i)
				}
			}
			p.settle()
		} else {
			p.complain(nil, "renew", err.Error())
		}
	}
	p.scheduleRenewal()
}

// restorePause is the shortest time between two returns of an address that
// somebody else removes.
const restorePause = 50 * time.Millisecond

// stolen puts an address back that somebody removed under our feet.
func (p *plane) stolen(c *netconf.Change) {
	i := p.ownerOf(c.Owner)
	if i == nil || !i.holds || !i.set {
		if isStatic(c.Owner) {
			p.statics.bad = true
		}
		return
	}
	p.complain(i, "stolen", fmt.Sprintf("somebody removed %v: it is put back", c.Prefix))
	i.robbed = true
	p.restoreAt = min(p.restoreAt, max(p.now, i.restore+restorePause))
}

// routeRemoved is told that a route or rule with our mark has gone. Whose it was
// is not said, and it may be one that was removed in order: those that are to be
// there are set again.
func (p *plane) routeRemoved() {
	p.statics.bad = true
	for _, i := range p.instances {
		if i.holds && i.set && !i.pending && len(i.setup.hosts.Routes)+len(i.setup.hosts.Rules) > 0 {
			i.robbed = true
			p.restoreAt = min(p.restoreAt, max(p.now, i.restore+restorePause))
		}
	}
}

// restoreDue puts back what was taken away.
func (p *plane) restoreDue() {
	if p.now < p.restoreAt {
		return
	}
	p.restoreAt = loop.Never
	for _, i := range p.instances {
		if !i.robbed {
			continue
		}
		i.robbed = false
		if i.holds && i.machine.State() == vrrp.Master {
			i.restore = p.now
			i.pending = true
			p.pending++
			p.announceAddresses(i, 1)
		}
	}
}

// wantLinks makes the interfaces with a virtual MAC and the settings, which are
// there as long as the instance is, whoever is master.
func (p *plane) wantLinks(i *instance) {
	if !i.setup.hasLinks() {
		return
	}
	if _, err := p.host.SetAll([]netconf.Want{{Owner: i.linkOwner(), Config: i.setup.linkConfig()}}); err != nil {
		p.complain(i, "link", err.Error())
	}
}

func (i *instance) linkOwner() string { return i.owner + " link" }
