package failover

import (
	"encoding/json"
	"time"

	"evenkeel/internal/keeper/lease"
	"evenkeel/internal/vrrp"
	wire "evenkeel/internal/wire/vrrp"
)

// standInPatience is how long the keeper advertises in our place: enough to
// start this process twice.
const standInPatience = 2 * time.Second

// sequenceMargin is how many sequence numbers of the authentication header the
// will is ahead of what was sent, so that the peers do not take its
// advertisements for repeated ones.
const sequenceMargin = 1000

// saved is the state that a failover process started after this one goes on
// from. Times are of CLOCK_MONOTONIC.
type saved struct {
	Written   time.Duration
	Retired   bool // this process has ended in order, without giving its addresses up
	Instances []savedInstance
}

// savedInstance is one instance; it is the same one in a new process if its
// name and identity are.
type savedInstance struct {
	Name       string
	Interface  string
	Family     uint8
	VRID       uint8
	Version    uint8
	State      string
	Since      time.Time
	Priority   uint8
	LastAdvert time.Duration
	Sequence   uint32 `json:",omitempty"`
	Successor  uint8  `json:",omitempty"` // priority of the peer that was heard last
	Operator   string `json:",omitempty"` // a fault by hand
	History    []savedTransition
}

type savedTransition struct {
	At             time.Time
	From, To, Text string
}

// writeLease tells the keeper what there is now, when it has changed.
func (p *plane) writeLease() {
	if p.page == nil || !p.willBad && !p.stateBad {
		return
	}
	if p.willBad {
		p.sequence = 0
		if err := p.page.WriteWill(p.will()); err != nil {
			p.complain(nil, "will", err.Error())
		}
	}
	p.writeState(false)
	p.willBad, p.stateBad = false, false
}

func (p *plane) writeState(retired bool) {
	b, err := json.Marshal(p.state(retired))
	if err == nil {
		err = p.page.WriteState(b)
	}
	if err != nil {
		p.complain(nil, "state", err.Error())
	}
}

// will is what the keeper does if this process dies now.
func (p *plane) will() lease.Will {
	w := lease.Will{Patience: standInPatience}
	p.each(func(i *instance) {
		if !i.holds {
			return
		}
		w.Wait = max(w.Wait, i.machine.LeaveWait())
		w.Remove = append(w.Remove, p.host.RemovalRequests(i.owner)...)
		if !i.source.IsValid() {
			return
		}
		info := i.machine.Info()
		priority := i.lastAdvert
		if priority == 0 {
			priority = info.Effective
		}
		if i.advertising() && i.told == "" {
			interval := i.interval()
			if w.Every == 0 || interval < w.Every {
				w.Every = interval
			}
			w.Alive = append(w.Alive, i.datagrams(priority, info.Sequence+sequenceMargin)...)
		}
		w.Leave = append(w.Leave, i.datagrams(wire.PriorityRelease, info.Sequence+sequenceMargin+1)...)
	})
	return w
}

// datagrams are the advertisements of i as the keeper is to send them. It has
// no say in IPv4's identification, which AH covers: the kernel's is 0 for a
// packet that may not be fragmented.
func (i *instance) datagrams(priority uint8, sequence uint32) []lease.Datagram {
	var all []lease.Datagram
	i.eachDatagram(func(iface int, h *wire.Header) {
		all = append(all, lease.Datagram{
			Protocol: int(h.Protocol), Interface: iface, Source: h.Source, Destination: h.Destination, TTL: int(h.TTL),
			Payload: wire.Append(nil, i.machine.Advert(priority, sequence), h, &i.setup.config.Key),
			Every:   i.interval(),
		})
	})
	return all
}

// state is what a new process is to know.
func (p *plane) state(retired bool) *saved {
	s := &saved{Written: p.now, Retired: retired}
	for _, i := range p.instances {
		info := i.machine.Info()
		m := i.setup.model
		x := savedInstance{Name: m.Name, Interface: m.Interface, Family: uint8(m.Family), VRID: m.VRID, Version: uint8(m.Version),
			State: info.State.String(), Since: i.wallSince, Priority: info.Effective, LastAdvert: i.lastSent,
			Successor: info.Successor, Operator: i.faults[faultOperator].text}
		if i.setup.config.Auth == wire.AuthAH {
			x.Sequence = info.Sequence + 2*sequenceMargin
			if retired {
				x.Sequence = info.Sequence + 1
			}
		}
		for _, t := range i.history {
			x.History = append(x.History, savedTransition{t.at, t.from, t.to, t.why})
		}
		s.Instances = append(s.Instances, x)
	}
	return s
}

// find gives what an earlier process left of an instance. Nil: nothing.
func (s *saved) find(i *instance) *savedInstance {
	if s == nil {
		return nil
	}
	m := i.setup.model
	for n := range s.Instances {
		x := &s.Instances[n]
		if x.Name == m.Name && x.Interface == m.Interface && x.Family == uint8(m.Family) && x.VRID == m.VRID && x.Version == uint8(m.Version) {
			return x
		}
	}
	return nil
}

// resumption is what the machine gets of it. When the process before died, the
// keeper has advertised in its place until now, or there would be no state.
func (s *saved) resumption(x *savedInstance, now time.Duration, wall time.Time) *vrrp.Resume {
	if x == nil || x.State != vrrp.Master.String() {
		return nil
	}
	r := &vrrp.Resume{LastAdvert: now, Since: now - max(0, wall.Sub(x.Since)), Sequence: x.Sequence, Successor: x.Successor}
	if s.Retired {
		r.LastAdvert = x.LastAdvert
	}
	return r
}

// present says whether all addresses of an instance are on the host.
func (p *plane) present(i *instance) bool {
	snapshot := p.host.Links()
	for n := range i.setup.hosts.Addresses {
		a := &i.setup.hosts.Addresses[n]
		if a.Once {
			continue // it may have been taken away
		}
		l := snapshot.ByName(a.Device)
		if l == nil || l.Address(a.Prefix.Addr()) == nil {
			return false
		}
	}
	return true
}

// restoreHistory takes over what the process before told of an instance.
func (i *instance) restoreHistory(x *savedInstance) {
	i.wallSince = x.Since
	for _, t := range x.History {
		i.history = append(i.history, transition{at: t.At, from: t.From, to: t.To, why: t.Text})
	}
}
