package failover

import (
	"slices"
	"time"

	"evenkeel/internal/bfd"
	"evenkeel/internal/failover/loop"
	"evenkeel/internal/keeper/lease"
	"evenkeel/internal/netconf"
	"evenkeel/internal/track"
	"evenkeel/internal/vrrp"
)

// status is what is known of a tracked thing.
type status struct {
	known bool
	up    bool
	value int
}

// proxyGrace is how long the proxy may be down before that counts: it is
// started again at once after a crash, and that is no reason to move.
const proxyGrace = 500 * time.Millisecond

var kindOf = map[track.Kind]trackKind{track.KindScript: trackScript, track.KindProcess: trackProcess, track.KindFile: trackFile}

// reported is told of scripts, processes and files.
func (p *plane) reported(r track.Report) {
	p.postTracked(r)
	if !r.Advisory {
		p.set(kindOf[r.Kind], r.Name, status{known: r.State != track.Pending, up: r.State == track.Up, value: int(r.Value)})
	}
}

// bfdChanged is told of BFD sessions.
func (p *plane) bfdChanged(c bfd.Change) {
	p.postBFD(c)
	p.set(trackBFD, c.Name, status{known: true, up: c.Up})
}

// set notes the status of a thing, for everybody who tracks it.
func (p *plane) set(kind trackKind, name string, s status) {
	of := p.tracked[kind]
	if of == nil {
		of = map[string]status{}
		p.tracked[kind] = of
	}
	if of[name] == s {
		return
	}
	of[name] = s
	for _, i := range p.instances {
		for n := range i.setup.tracked {
			if t := &i.setup.tracked[n]; t.kind == kind && t.name == name {
				p.retrack(i)
				break
			}
		}
	}
}

// retrackInterfaces brings the tracked interfaces up to date.
func (p *plane) retrackInterfaces(snapshot *netconf.Snapshot) {
	for _, i := range p.instances {
		for n := range i.setup.tracked {
			if t := &i.setup.tracked[n]; t.kind == trackInterface {
				l := snapshot.ByName(t.name)
				p.set(trackInterface, t.name, status{known: true, up: p.counts(t.name, l != nil && l.Up && l.Running)})
			}
		}
	}
}

// retrack works an instance's priority out again.
func (p *plane) retrack(i *instance) {
	var all []vrrp.Tracked
	for n := range i.setup.tracked {
		t := &i.setup.tracked[n]
		s := p.tracked[t.kind][t.name]
		if !s.known {
			continue // until the first result it is neither good nor bad
		}
		all = append(all, vrrp.Tracked{Kind: trackNames[t.kind], Name: t.name, Weight: t.weight, Reverse: t.reverse,
			Up: s.up, File: t.kind == trackFile, Value: s.value})
	}
	effective, why, trouble := vrrp.Effective(i.setup.config.Priority, all)
	if effective != i.effect || why != i.why {
		i.effect, i.why = effective, why
		p.stateBad = true
		p.step(i, vrrp.SetPriority{Effective: effective, Why: why})
	}
	p.setFault(i, faultTracked, fault{text: trouble})
}

// proxyChanged reads from the page whether the proxy serves.
func (p *plane) proxyChanged() {
	state, since := p.page.Worker()
	p.proxyAt = loop.Never
	switch {
	case state != lease.WorkerDown:
		p.set(trackProxy, "", status{known: state == lease.WorkerServing, up: true})
	case p.tracked[trackProxy][""] == (status{}):
		// At the start there is nothing to be patient with: a node whose proxy
		// does not serve is no master yet.
		p.set(trackProxy, "", status{known: true})
	default:
		p.proxyAt = max(since+proxyGrace, p.now)
	}
	p.backendsChanged()
}

// backendsChanged works out anew which tracked backends serve: the proxy does,
// and it has not said that it has no server for them.
func (p *plane) backendsChanged() {
	whole := p.tracked[trackProxy][""]
	down, known := p.page.Down()
	for _, i := range p.instances {
		for n := range i.setup.tracked {
			if t := &i.setup.tracked[n]; t.kind == trackProxy && t.name != "" {
				p.set(trackProxy, t.name, status{known: whole.known && (known || !whole.up), up: whole.up && !slices.Contains(down, t.name)})
			}
		}
	}
}

// proxyTimer ends the patience with a proxy that is down.
func (p *plane) proxyTimer() {
	if p.now >= p.proxyAt {
		p.proxyAt = loop.Never
		p.set(trackProxy, "", status{known: true})
		p.backendsChanged()
	}
}
