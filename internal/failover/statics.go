package failover

import (
	"reflect"
	"strings"
	"time"

	"evenkeel/internal/failover/loop"
	"evenkeel/internal/model"
	"evenkeel/internal/netconf"
)

// staticOwner is the owner of what is on the host whoever is master.
const staticOwner = "static"

// staticSet is the static things of one track_group, or those that nobody
// follows.
type staticSet struct {
	group   string   // "": nobody follows them
	members []string // instances that are in fault when something is missing
	config  netconf.Config
	devices []string // that they need
}

func (s *staticSet) owner() string {
	if s.group == "" {
		return staticOwner
	}
	return staticOwner + " " + s.group
}

func isStatic(owner string) bool {
	return owner == staticOwner || strings.HasPrefix(owner, staticOwner+" ")
}

// staticSets sorts the static addresses, routes and rules by who follows them.
func staticSets(f *model.Failover) []staticSet {
	sets := []staticSet{{}}
	for _, g := range f.TrackGroups {
		sets = append(sets, staticSet{group: g.Name, members: g.Instances})
	}
	of := func(group string) *staticSet {
		for n := range sets {
			if sets[n].group == group {
				return &sets[n]
			}
		}
		return &sets[0]
	}
	need := func(s *staticSet, names ...string) {
		for _, name := range names {
			if name != "" {
				s.devices = append(s.devices, name)
			}
		}
	}
	for _, a := range f.StaticAddresses {
		x := address(a)
		if x.Device == "" {
			x.Device = f.DefaultInterface
		}
		s := of(a.TrackGroup)
		s.config.Addresses = append(s.config.Addresses, x)
		need(s, x.Device)
	}
	for _, r := range f.StaticRoutes {
		s := of(r.TrackGroup)
		s.config.Routes = append(s.config.Routes, route(r))
		need(s, r.Device)
		for _, h := range r.NextHops {
			need(s, h.Device)
		}
	}
	for _, r := range f.StaticRules {
		s := of(r.TrackGroup)
		s.config.Rules = append(s.config.Rules, rule(r))
		need(s, r.IIF, r.OIF)
	}
	return sets
}

// statics is how the static things are.
type statics struct {
	sets   []staticSet
	broken map[string]string // what is wrong, by group
	bad    bool              // something may be missing
	at     time.Duration     // when what is wrong is tried again; loop.Never: nothing is
}

// staticPause is how long after a failure static things are tried again; a
// change of a link is a reason to do so at once.
const staticPause = time.Second

// loadStatics switches to the static things of a plan.
func (p *plane) loadStatics(next []staticSet) {
	if reflect.DeepEqual(p.statics.sets, next) {
		return
	}
	gone := p.statics.sets
	p.statics.sets = next
	p.setStatics()
	for n := range gone {
		if !p.hasStatics(gone[n].owner()) {
			p.dropStatics(gone[n].owner())
		}
	}
}

func (p *plane) hasStatics(owner string) bool {
	for n := range p.statics.sets {
		if p.statics.sets[n].owner() == owner {
			return true
		}
	}
	return false
}

func (p *plane) dropStatics(owner string) {
	if err := p.host.Remove(owner); err != nil {
		p.complain(nil, "static", err.Error())
	}
}

// setStatics puts the static addresses, routes and rules on the host, or what is
// missing of them.
func (p *plane) setStatics() {
	x := &p.statics
	x.bad, x.at, x.broken = false, loop.Never, map[string]string{}
	for n := range x.sets {
		s := &x.sets[n]
		_, err := p.host.SetAll([]netconf.Want{{Owner: s.owner(), Config: s.config}})
		if err == nil {
			continue
		}
		p.complain(nil, s.owner(), err.Error())
		x.broken[s.group], _, _ = strings.Cut(err.Error(), "\n")
		x.at = p.now + staticPause
	}
}

// staticsDue repairs static things when something may be missing.
func (p *plane) staticsDue() {
	if !p.statics.bad && p.now < p.statics.at {
		return
	}
	p.setStatics()
	p.judgeStatics(p.host.Links())
}

// judgeStatics tells the instances of track groups what they miss.
func (p *plane) judgeStatics(snapshot *netconf.Snapshot) {
	missing := map[string]string{} // by instance
	for n := range p.statics.sets {
		s := &p.statics.sets[n]
		text := p.statics.broken[s.group]
		for _, name := range s.devices {
			if l := snapshot.ByName(name); text == "" && !(l != nil && l.Up && l.Running) {
				text = "interface " + name + " is down"
			}
		}
		if text == "" || s.group == "" {
			continue
		}
		for _, name := range s.members {
			if missing[name] == "" {
				missing[name] = "track_group " + s.group + ": " + text
			}
		}
	}
	for _, i := range p.instances {
		p.setFault(i, faultStatic, fault{text: missing[i.name()]})
	}
}
