package failover

import (
	"fmt"
	"reflect"

	"evenkeel/internal/failover/loop"
	"evenkeel/internal/netconf"
	"evenkeel/internal/vrrp"
)

// load switches to a plan. Instances that are in both are kept, and told what
// has changed for them; others leave in order, or begin. from is what a process
// before this one left, nil otherwise.
func (p *plane) load(next *plan, from *saved) {
	p.plan = next
	p.ungroup(next)
	fresh, kept := p.sort(next)
	p.loadStatics(next.statics)
	for _, i := range fresh {
		p.wantLinks(i)
	}
	p.changed(p.changes()) // the links that were made are there
	p.regroup(next)
	p.relink()
	if p.page != nil {
		p.proxyChanged()
	}
	for _, i := range kept {
		p.retrack(i)
	}
	for _, i := range fresh {
		p.retrack(i)
		p.begin(i, from)
	}
	p.willBad, p.stateBad = true, true
}

// sort takes leave of the instances that are not in the plan, makes those that
// are new, and reconfigures the others.
func (p *plane) sort(next *plan) (fresh, kept []*instance) {
	old := p.byName
	p.byName = make(map[string]*instance, len(next.instances))
	p.instances = make([]*instance, 0, len(next.instances))
	for _, s := range next.instances {
		i := old[s.model.Name]
		if i != nil && i.setup.identity() == s.identity() && reflect.DeepEqual(i.setup.link, s.link) {
			delete(old, s.model.Name)
			p.reconfigure(i, s)
			kept = append(kept, i)
		} else {
			i = p.newInstance(s)
			fresh = append(fresh, i)
		}
		p.byName[s.model.Name] = i
		p.instances = append(p.instances, i)
	}
	for _, i := range old {
		p.leaving = append(p.leaving, i)
		i.doomed = next.byName(i.name()) == nil
		p.step(i, vrrp.Stop{})
	}
	return fresh, kept
}

func (p *plan) byName(name string) *setup {
	for _, s := range p.instances {
		if s.model.Name == name {
			return s
		}
	}
	return nil
}

// identity is what an instance has to keep to be the same one for its peers.
func (s *setup) identity() string {
	m := s.model
	return fmt.Sprintf("%s %d %d %d %v", m.Interface, m.Family, m.Version, m.VRID, len(m.UnicastPeers) > 0)
}

func (p *plane) newInstance(s *setup) *instance {
	p.serial++
	i := &instance{setup: s, machine: vrrp.New(s.config), owner: fmt.Sprintf("%s#%d", s.model.Name, p.serial), token: p.serial,
		place: -1, due: loop.Never, effect: s.config.Priority, wallSince: p.wall()}
	i.pace = &pace{members: []*instance{i}}
	return i
}

// reconfigure gives an instance its new configuration. One that has not changed
// is not touched.
func (p *plane) reconfigure(i *instance, s *setup) {
	was := i.setup
	i.setup = s
	if !reflect.DeepEqual(was.config, s.config) {
		c := s.config
		c.Source = i.source
		i.effect, i.why = c.Priority, "" // retrack tells the machine again
		p.step(i, vrrp.Reconfigure{Config: c})
		p.willBad = true
	}
	if !reflect.DeepEqual(was.linkConfig(), s.linkConfig()) {
		p.wantLinks(i)
		if !s.hasLinks() {
			if err := p.host.Remove(i.linkOwner()); err != nil {
				p.complain(i, "link", err.Error())
			}
		}
	}
	if i.holds && !(reflect.DeepEqual(was.hosts, s.hosts) && was.lease == s.lease) {
		i.pending = true
		p.pending++
		p.announceAddresses(i, 1)
		p.willBad = true
	}
}

// ungroup unties the members of groups that are not the same in a new plan.
func (p *plane) ungroup(next *plan) {
	var kept []*group
	for _, g := range p.groups {
		if s := next.group(g.setup.model.Name); s != nil && reflect.DeepEqual(s.members, g.setup.members) && p.stays(g, next) {
			g.setup = s
			kept = append(kept, g)
		} else {
			g.release()
		}
	}
	p.groups = kept
}

// stays says whether all members of a group go on as they are.
func (p *plane) stays(g *group, next *plan) bool {
	for _, i := range g.members {
		s := next.byName(i.name())
		if s == nil || s.identity() != i.setup.identity() || !reflect.DeepEqual(s.link, i.setup.link) {
			return false
		}
	}
	return true
}

func (p *plan) group(name string) *groupSetup {
	for _, g := range p.groups {
		if g.model.Name == name {
			return g
		}
	}
	return nil
}

// regroup ties the members of groups that are new. If some were master and
// others were not, they start from the same state.
func (p *plane) regroup(next *plan) {
	have := map[string]bool{}
	for _, g := range p.groups {
		have[g.setup.model.Name] = true
	}
	for _, s := range next.groups {
		if have[s.model.Name] {
			continue
		}
		var members []*instance
		masters := 0
		for _, name := range s.members {
			if i := p.byName[name]; i != nil && i.group == nil {
				members = append(members, i)
				if i.advertising() {
					masters++
				}
			}
		}
		if len(members) == 0 {
			continue
		}
		g := newGroup(s, members)
		p.groups = append(p.groups, g)
		if masters > 0 && masters < len(members) {
			p.step(members[0], vrrp.GiveUp{})
		}
		for _, i := range members {
			p.reschedule(i)
		}
	}
}

// begin starts an instance. What an earlier run left on the host is taken over:
// kept if the instance is still master, and removed otherwise.
func (p *plane) begin(i *instance, from *saved) {
	i.started = true
	x := from.find(i)
	resume := from.resumption(x, p.now, p.wall())
	if x != nil {
		i.restoreHistory(x)
		if x.Operator != "" {
			p.setFault(i, faultOperator, fault{text: x.Operator})
		}
	}
	if resume != nil && !p.present(i) {
		resume = nil // somebody has removed them: peers may be master
	}
	if n := p.adopt(i); n > 0 {
		i.set = true
	}
	p.step(i, vrrp.Start{Resume: resume})
	if i.advertising() {
		i.set = true // the addresses are there: nothing has to wait for them
	}
}

// adopt takes over addresses of an earlier run. What is the host's own main
// address is left alone, unless the owner of its addresses says otherwise.
func (p *plane) adopt(i *instance) int {
	c := i.setup.hosts
	c.Addresses = nil
	snapshot := p.host.Links()
	for _, a := range i.setup.hosts.Addresses {
		l := snapshot.ByName(a.Device)
		if l == nil {
			continue
		}
		x := l.Address(a.Prefix.Addr())
		if x == nil || x.Protocol != netconf.Mark && x.Valid == netconf.Forever && l.PrimaryIPv4() == a.Prefix.Addr() {
			continue
		}
		c.Addresses = append(c.Addresses, a)
	}
	n := 0
	// Addresses may be of another program; routes and rules have to be marked.
	for _, part := range []struct {
		config netconf.Config
		trust  netconf.Trust
	}{{netconf.Config{Addresses: c.Addresses}, netconf.Known}, {netconf.Config{Routes: c.Routes, Rules: c.Rules}, netconf.Marked}} {
		adopted, err := p.host.Adopt(i.owner, part.config, part.trust)
		if err != nil {
			p.complain(i, "adopt", err.Error())
		}
		n += adopted
	}
	return n
}

// halt ends all instances, and calls done when the last one has left.
func (p *plane) halt(graceful bool, done func()) {
	p.stopping = done
	p.proxyAt = loop.Never
	for _, i := range p.instances {
		if graceful {
			p.step(i, vrrp.Stop{})
		} else {
			p.step(i, vrrp.Abandon{})
		}
	}
	if !graceful {
		for _, i := range p.leaving {
			p.step(i, vrrp.Abandon{})
		}
	}
	p.leaving = append(p.leaving, p.instances...)
	p.instances, p.byName = nil, map[string]*instance{}
}

// bury takes leave of instances that are done.
func (p *plane) bury() {
	kept := p.leaving[:0]
	for _, i := range p.leaving {
		if !i.machine.Done() || i.pending {
			kept = append(kept, i)
			continue
		}
		p.heap.set(i, loop.Never)
		if i.setup.hasLinks() {
			if err := p.host.Remove(i.linkOwner()); err != nil {
				p.complain(i, "link", err.Error())
			}
		}
		p.linksBad = true
		p.willBad, p.stateBad = true, true
	}
	clear(p.leaving[len(kept):])
	p.leaving = kept
}

// finishStopping is the end.
func (p *plane) finishStopping() {
	if len(p.leaving) > 0 {
		p.bury()
	}
	if p.stopping == nil || len(p.leaving) > 0 {
		return
	}
	done := p.stopping
	p.stopping = nil
	for n := range p.statics.sets {
		p.dropStatics(p.statics.sets[n].owner())
	}
	p.willBad, p.stateBad = true, true
	p.writeLease()
	if p.page != nil {
		_ = p.page.WriteState(nil)
		_ = p.page.Rest()
	}
	done()
}

// retire writes the state down for a process that takes over from this one. An
// advertisement is sent, so that it has a whole interval to begin.
func (p *plane) retire() {
	for _, i := range p.instances {
		if i.advertising() {
			p.sendAdvert(i, i.lastAdvert, i.machine.Info().Sequence+1)
		}
	}
	p.settle()
	_ = p.host.Renew()
	if p.page != nil {
		p.writeState(true)
		_ = p.page.Rest()
	}
}
