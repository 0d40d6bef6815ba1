package failover

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"evenkeel/internal/failover/loop"
	"evenkeel/internal/vrrp"
	wire "evenkeel/internal/wire/vrrp"
)

// instance is one VRRP instance as it runs. All fields belong to the loop.
type instance struct {
	setup   *setup
	machine *vrrp.Machine
	group   *group // nil: none
	member  int    // in group
	owner   string // its name for the host's network
	token   int    // its name for the transport

	// The timer.
	due   time.Duration
	place int // in the heap; -1: not there
	pace  *pace

	// The network as it is now.
	base, leave int // index of the interface that receives, and of that which sends; 0: not there
	source      netip.Addr
	started     bool
	doubt       time.Duration // how long this process did not run, while it may matter
	heard       []byte        // the last packet, where it may come twice

	// What keeps it from working, by kind.
	faults [faultKinds]fault
	told   string // the faults as the machine knows them
	effect uint8  // priority as the machine knows it
	why    string

	// Addresses.
	holds   bool // they are to be on the host
	set     bool // they are
	pending bool // holds and set differ, or the configuration does
	late    []lateAdvert
	restore time.Duration // when an address was put back last
	extraAt time.Duration // when garp_extra_if wants its frames; 0: not set

	lastSent    time.Duration
	lastAdvert  uint8 // priority of it
	missed      uint64
	announced   uint64
	sendErrors  uint64
	lastError   string
	history     []transition
	transitions [5]uint64 // by vrrp.State
	wallSince   time.Time
	doomed      bool // not in the configuration any more
	robbed      bool // somebody removed an address
	bouncing    bool // its interface is down, which does not count yet
}

// lateAdvert is an advertisement that waits until the addresses are there.
type lateAdvert struct {
	priority uint8
	sequence uint32
}

// transition is one line of an instance's history, in words: it may be of a
// process before this one.
type transition struct {
	at            time.Time
	from, to, why string
}

const historyLength = 16

// faultKind is a reason for an instance to be in fault.
type faultKind uint8

const (
	faultLink faultKind = iota
	faultSource
	faultTracked
	faultOperator
	faultSocket
	faultKeeper
	faultStatic
	faultKinds
)

type fault struct {
	text     string // "": none
	linkDown bool
}

// events that need no memory.
var timerEvent vrrp.Event = vrrp.Timer{}

func (i *instance) name() string            { return i.setup.model.Name }
func (i *instance) interval() time.Duration { return i.machine.Config().Interval }
func (i *instance) advertising() bool       { return i.machine.State() == vrrp.Master }
func (i *instance) leaving() bool           { return i.machine.State() == vrrp.Stopped }

// step gives an event to an instance, through its group if it has one, and does
// what is wanted.
func (p *plane) step(i *instance, e vrrp.Event) {
	now := p.now + i.pace.ahead
	if i.group == nil {
		for n, actions := 0, i.machine.Step(now, e); n < len(actions); n++ {
			p.act(i, &actions[n])
		}
		p.reschedule(i)
		return
	}
	g := i.group
	actions := g.machine.Step(now, i.member, e)
	for n := range actions {
		p.act(g.members[actions[n].Member], &actions[n].Action)
	}
	for n := range actions {
		p.reschedule(g.members[actions[n].Member])
	}
	p.reschedule(i)
	p.observe(g)
}

func (p *plane) reschedule(i *instance) {
	due := loop.Never
	if at, ok := i.machine.Deadline(); ok {
		due = at - i.pace.ahead
	}
	if due != i.due {
		p.heap.set(i, due)
	}
}

// act does what a machine asks for. It steps no machine: the actions are read
// while it runs.
func (p *plane) act(i *instance, a *vrrp.Action) {
	switch a.Kind {
	case vrrp.SendAdvert:
		if i.holds && !i.set && a.Priority != wire.PriorityRelease {
			// The master before lets go of the addresses when it hears this:
			// they have to be here first.
			i.late = append(i.late, lateAdvert{a.Priority, a.Sequence})
			return
		}
		p.sendAdvert(i, a.Priority, a.Sequence)
	case vrrp.AddAddresses:
		p.hold(i, true)
	case vrrp.RemoveAddresses:
		p.hold(i, false)
	case vrrp.Announce:
		p.announceAddresses(i, a.Repeat)
	case vrrp.Transition:
		p.transition(i, a)
	case vrrp.Note:
		p.note(i, a)
	}
}

// sendAdvert queues an advertisement to the group, or to every peer.
func (p *plane) sendAdvert(i *instance, priority uint8, sequence uint32) {
	if i.source.IsValid() && (i.leave != 0 || len(i.setup.config.Peers) > 0) {
		i.eachDatagram(func(iface int, h *wire.Header) {
			if h.Protocol == wire.ProtocolAH {
				h.ID = identification(sequence)
			}
			advert := i.machine.Advert(priority, sequence)
			p.payload = wire.Append(p.payload[:0], advert, h, &i.setup.config.Key)
			p.packets.Queue(i.token, iface, h, p.payload)
		})
	}
	if i.lastSent != 0 && priority != 0 && i.lastAdvert != 0 && p.now-i.lastSent > i.interval()*3/2 {
		i.missed++
	}
	i.lastSent = p.now
	if i.lastAdvert != priority {
		i.lastAdvert = priority
		p.willBad = true
	}
	if i.setup.config.Auth == wire.AuthAH {
		if p.sequence++; p.sequence >= sequenceMargin/2 {
			p.willBad = true
		}
	}
}

// eachDatagram gives the headers with which an advertisement of i leaves.
func (i *instance) eachDatagram(f func(iface int, h *wire.Header)) {
	c := &i.setup.config
	h := wire.Header{Source: i.source, Protocol: wire.ProtocolVRRP, TOS: trafficClass, TTL: defaultTTL}
	if c.Auth == wire.AuthAH {
		h.Protocol = wire.ProtocolAH
	}
	m := i.setup.model
	if len(c.Peers) == 0 {
		h.Destination = multicastGroup(m)
		if m.MulticastTTL > 0 {
			h.TTL = uint8(m.MulticastTTL)
		}
		f(i.leave, &h)
		return
	}
	if m.UnicastTTL > 0 {
		h.TTL = uint8(m.UnicastTTL)
	}
	for _, peer := range c.Peers {
		h.Destination = peer.Addr
		f(i.leave, &h)
	}
}

// identification is IPv4's for a packet with an authentication header, which
// covers it: the kernel would replace a 0.
func identification(sequence uint32) uint16 { return uint16(sequence)%0xffff + 1 }

const (
	trafficClass = 0xc0 // CS6
	defaultTTL   = 255
)

// sendFailed is told of packets that the kernel refused.
func (p *plane) sendFailed(token int, err error) {
	for _, list := range [][]*instance{p.instances, p.leaving} {
		for _, i := range list {
			if i.token == token {
				i.sendErrors++
				i.lastError = err.Error()
				p.complain(i, "send", fmt.Sprintf("advertisement not sent: %v", err))
			}
		}
	}
}

// setFault sets or ends one reason for a fault. The machine, or the group, is
// told when the sum of all reasons changes.
func (p *plane) setFault(i *instance, kind faultKind, f fault) {
	if i.faults[kind] == f {
		return
	}
	i.faults[kind] = f
	p.tellFaults(i)
}

func (p *plane) tellFaults(i *instance) {
	var texts []string
	linkDown := false
	for _, f := range i.faults {
		if f.text != "" {
			texts = append(texts, f.text)
			linkDown = linkDown || f.linkDown
		}
	}
	text := strings.Join(texts, "; ")
	if text == i.told || i.leaving() {
		return
	}
	was := i.told
	i.told = text
	p.stateBad = true
	switch {
	case text != "":
		p.step(i, vrrp.FaultSet{Why: text, LinkDown: linkDown})
	case was != "":
		p.step(i, vrrp.Recovered{})
	}
}

// frozen is for an instance whose process did not run for so long that a peer
// has taken over.
func (p *plane) frozen(i *instance) {
	p.lateness.frozen++
	p.post(eventFrozen(i, i.doubt))
	i.doubt = 0
	p.step(i, vrrp.Frozen{})
}
