package failover

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"

	"evenkeel/internal/failover/transport"
	"evenkeel/internal/netconf"
	"evenkeel/internal/vrrp"
	wire "evenkeel/internal/wire/vrrp"
)

// changed is told what happened to links and addresses of the host.
func (p *plane) changed(changes []netconf.Change) {
	for n := range changes {
		c := &changes[n]
		switch c.Kind {
		case netconf.AddressRemoved:
			if c.Owner != "" {
				p.stolen(c)
			}
		case netconf.AddressChanged:
			continue
		case netconf.LinkChanged:
			p.reannounce(c.Index)
		case netconf.LinkNew, netconf.LinkUp, netconf.LinkRunning, netconf.LinkRenamed:
			p.statics.bad = true // the kernel took routes away with the link
		case netconf.RouteRemoved:
			p.routeRemoved()
			continue
		case netconf.LinkGone:
			// Its memberships have gone with it.
			for _, m := range p.packets.Memberships() {
				if m.Interface == c.Index {
					p.packets.Leave(m)
				}
			}
		}
		p.linksBad = true
	}
}

// relink finds the interfaces and source addresses of all instances again, and
// what is wrong with them.
func (p *plane) relink() {
	p.linksBad = false
	snapshot := p.host.Links()
	for _, i := range p.instances {
		p.findLinks(i, snapshot)
	}
	p.join()
	p.demux.build(p.instances, p.leaving)
	p.retrackInterfaces(snapshot)
	p.judgeStatics(snapshot)
	p.tellAddresses(snapshot)
	p.willBad, p.stateBad = true, true
}

// findLinks brings one instance up to date with the host's links.
func (p *plane) findLinks(i *instance, snapshot *netconf.Snapshot) {
	m := i.setup.model
	base := snapshot.ByName(m.Interface)
	leave := base
	if m.Interface == "" && m.VRF != "" {
		// A packet of the VRF's device is routed by the VRF's table.
		leave = snapshot.ByName(m.VRF)
	}
	for n := range i.setup.more {
		if l := &i.setup.more[n]; snapshot.ByName(l.Name) == nil && snapshot.ByName(l.Base) != nil {
			p.wantLinks(i)
			break
		}
	}
	if l := i.setup.link; l != nil {
		if leave = snapshot.ByName(l.Name); leave == nil && base != nil && base.Up {
			p.wantLinks(i) // it was taken away, or its base is back
			leave = snapshot.ByName(l.Name)
		}
	}
	i.base, i.leave = 0, 0
	if base != nil {
		i.base = base.Index
	}
	if leave != nil {
		i.leave = leave.Index
	}
	if m.VMACXmitBase {
		i.leave = i.base
	}
	p.setFault(i, faultLink, p.linkFault(i, base, leave))
	if i.bouncing {
		return // it goes on with the source that it had
	}
	source := p.findSource(i, snapshot, base)
	if !source.IsValid() {
		if i.faults[faultLink].text == "" {
			p.setFault(i, faultSource, fault{text: fmt.Sprintf("%s has no IPv%d address to send from", m.Interface, m.Family)})
		}
		return
	}
	if source != i.source {
		i.source = source
		if i.machine.Config().Source != source {
			p.step(i, vrrp.SetSource{Source: source})
		}
		p.willBad = true
	}
	p.setFault(i, faultSource, fault{})
}

// linkFault says what is wrong with an instance's interfaces.
func (p *plane) linkFault(i *instance, base, leave *netconf.LinkState) fault {
	m := i.setup.model
	up := base != nil && base.Up && base.Running
	i.bouncing = false
	if m.Interface != "" && p.counts(m.Interface, up) != up {
		i.bouncing = !up
		if up {
			return fault{text: "interface " + m.Interface + " has not been up for long enough", linkDown: true}
		}
		return fault{}
	}
	switch {
	case m.Interface == "" && m.VRF != "" && leave == nil:
		return fault{text: "vrf " + m.VRF + " does not exist", linkDown: true}
	case m.UnicastFaultNoPeer && len(m.UnicastPeers) == 0:
		return fault{text: "there is no unicast_peer"}
	case m.Interface == "" || m.DontTrackPrimary && base != nil:
		return fault{}
	case base == nil:
		return fault{text: "interface " + m.Interface + " does not exist", linkDown: true}
	case !base.Up:
		return fault{text: "interface " + m.Interface + " is down", linkDown: true}
	case !base.Running:
		return fault{text: "interface " + m.Interface + " has no carrier", linkDown: true}
	case leave == nil:
		return fault{text: "interface " + i.setup.link.Name + " for the virtual MAC does not exist"}
	}
	return fault{}
}

// findSource is the address that an instance sends from.
func (p *plane) findSource(i *instance, snapshot *netconf.Snapshot, base *netconf.LinkState) netip.Addr {
	m := i.setup.model
	own := m.MulticastSource
	if len(i.setup.config.Peers) > 0 && m.UnicastSource.IsValid() {
		own = m.UnicastSource
	}
	if m.IPVLAN && m.IPVLANAddr.IsValid() && !own.IsValid() {
		return m.IPVLANAddr.Addr()
	}
	if own.IsValid() {
		if m.TrackSrcIP {
			for l := range snapshot.All() {
				if a := l.Address(own); a != nil && !a.Tentative() {
					return own
				}
			}
			return netip.Addr{}
		}
		return own
	}
	if base == nil {
		return netip.Addr{}
	}
	if m.Family == 6 {
		return base.LinkLocal()
	}
	if a := base.PrimaryIPv4(); a.IsValid() {
		return a
	}
	// The owner of an address may have no other one.
	if m.Priority == wire.PriorityOwner && len(m.Addresses) > 0 && base.Address(m.Addresses[0].Prefix.Addr()) != nil {
		return m.Addresses[0].Prefix.Addr()
	}
	return netip.Addr{}
}

// join makes the interfaces listen to the groups that are in use, and ends what
// is not any more.
func (p *plane) join() {
	wanted := map[transport.Membership]bool{}
	var ids transport.VRIDs
	for _, i := range p.instances {
		c := &i.setup.config
		ids.Add(c.VRID)
		p.setFault(i, faultSocket, p.needSockets(c))
		if len(c.Peers) > 0 {
			continue
		}
		// The kernel hands what comes from a virtual MAC that is here too to the
		// interface with that MAC, and everything else to its base.
		for _, index := range []int{i.base, i.leave} {
			m := transport.Membership{Interface: index, Group: multicastGroup(i.setup.model)}
			if index == 0 || wanted[m] {
				continue
			}
			wanted[m] = true
			if err := p.packets.Join(m); err != nil {
				p.complain(i, "join", err.Error())
			}
		}
	}
	// Those on their way out wait for a successor's first advertisement.
	for _, i := range p.leaving {
		ids.Add(i.setup.config.VRID)
		for _, index := range []int{i.base, i.leave} {
			wanted[transport.Membership{Interface: index, Group: multicastGroup(i.setup.model)}] = true
		}
	}
	for _, m := range p.packets.Memberships() {
		if !wanted[m] {
			p.packets.Leave(m)
		}
	}
	if err := p.packets.Accept(ids); err != nil {
		p.complain(nil, "filter", err.Error())
	}
}

func (p *plane) needSockets(c *vrrp.Config) fault {
	protocol := uint8(wire.ProtocolVRRP)
	if c.Auth == wire.AuthAH {
		protocol = wire.ProtocolAH
	}
	if err := p.packets.Need(c.Family, protocol); err != nil {
		return fault{text: err.Error()}
	}
	return fault{}
}

// demux finds the instance that a packet is for.
type demux struct {
	byLink  map[demuxKey]*instance
	unicast map[demuxKey][]*instance // interface 0: packets to a host come in anywhere
}

type demuxKey struct {
	iface        int
	family, vrid uint8
}

func (d *demux) build(lists ...[]*instance) {
	d.byLink, d.unicast = map[demuxKey]*instance{}, map[demuxKey][]*instance{}
	for _, i := range slices.Concat(lists...) {
		c := &i.setup.config
		k := demuxKey{i.base, c.Family, c.VRID}
		if len(c.Peers) > 0 {
			k.iface = 0
			d.unicast[k] = append(d.unicast[k], i)
			continue
		}
		for _, k.iface = range []int{i.base, i.leave} {
			if d.byLink[k] == nil && k.iface != 0 {
				d.byLink[k] = i
			}
		}
	}
}

// find gives the instance for a packet; nil: nobody's.
func (d *demux) find(pk *transport.Packet, vrid uint8) *instance {
	k := demuxKey{pk.Interface, 4, vrid}
	if pk.Header.Source.Is6() {
		k.family = 6
	}
	if i := d.byLink[k]; i != nil {
		return i
	}
	k.iface = 0
	candidates := d.unicast[k]
	for _, i := range candidates {
		if i.source == pk.Header.Destination {
			return i
		}
	}
	return nil
}

// receive takes a packet of the network.
func (p *plane) receive(pk *transport.Packet) {
	_, vrid, ok := wire.Peek(pk.Payload, pk.Header.Protocol)
	if !ok {
		return
	}
	i := p.demux.find(pk, vrid)
	if i == nil || !i.started {
		return
	}
	if i.setup.link != nil && i.setup.config.Auth == wire.AuthAH {
		// It may come in by both interfaces, and the second would be a replay.
		if bytes.Equal(i.heard, pk.Payload) {
			return
		}
		i.heard = append(i.heard[:0], pk.Payload...)
	}
	r := &p.received
	r.Header = pk.Header
	r.Err = wire.Parse(&r.Advert, pk.Payload, &r.Header, i.machine.Expect())
	if i.doubt > 0 && r.Err == nil && r.Header.Source != i.source && r.Advert.Priority != wire.PriorityRelease {
		p.frozen(i)
		p.settle()
	}
	p.step(i, r)
}
