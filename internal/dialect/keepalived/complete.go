package keepalived

import (
	"net/netip"
	"time"

	"evenkeel/internal/model"
)

// complete fills in defaults and judges what one line demands of another, once
// everything is read.
func (p *parser) complete() {
	g := &p.global
	if g.version == 0 {
		g.version = 2
	}
	for _, i := range p.instances {
		p.completeInstance(i)
		p.f.Instances = append(p.f.Instances, i.VRRPInstance)
	}
	if g.strictNode != nil {
		p.sayStrict()
	}
	p.completeGroups()
	p.completeTracks()
	p.checkDuplicates()
	p.completeFIFOs()
	p.completeLVS()
	p.hideSecrets()
}

// completeInstance is one instance: family and version first, since the rest
// depends on them.
func (p *parser) completeInstance(i *instanceDraft) {
	i.Master = i.state == "MASTER"
	i.Strict = p.global.strict
	if i.strict != nil {
		i.Strict = *i.strict
	}
	p.settleFamily(i)
	p.settleVersion(i)
	p.settlePlace(i)
	p.settleAddresses(i)
	p.settlePeers(i)
	p.settleAuth(i)
	p.settleInterval(i)
	p.settleDefaults(i)
	p.settleElection(i)
	p.settleVMAC(i)
	if i.Strict {
		p.enforceStrict(i)
	}
}

// settleFamily: the first virtual address decides; without one, what else
// there is.
func (p *parser) settleFamily(i *instanceDraft) {
	switch {
	case len(i.Addresses) > 0:
		i.Family = family(i.Addresses[0].Prefix.Addr())
	case i.native6:
		i.Family = 6
	case len(i.UnicastPeers) > 0:
		i.Family = family(i.UnicastPeers[0].Addr)
	case i.UnicastSource.IsValid():
		i.Family = family(i.UnicastSource)
	case i.MulticastSource.IsValid():
		i.Family = family(i.MulticastSource)
	default:
		i.Family = 4
	}
	if i.native6 && i.Family == 4 {
		p.warnf(i.Pos, "take native_ipv6 out", "%s has IPv4 addresses: native_ipv6 is not used", i.describe())
	}
	var keep []*model.IPAddress
	for _, a := range i.Addresses {
		if family(a.Prefix.Addr()) == i.Family {
			keep = append(keep, a)
			continue
		}
		p.warnf(a.Pos, "write it in virtual_ipaddress_excluded, which is where it is put here; keepalived leaves it out",
			"%s is not an IPv%d address like the first one: an instance advertises one family", a.Prefix.Addr(), i.Family)
		i.AddressesExcluded = append(i.AddressesExcluded, a)
	}
	i.Addresses = keep
}

func (p *parser) settleVersion(i *instanceDraft) {
	i.Version = i.version
	if i.Version == 0 {
		if i.Version = p.global.version; i.Family == 6 {
			i.Version = 3
		}
	}
	if i.Family == 6 && i.Version == 2 {
		p.warnf(i.Pos, "write 'version 3'", "%s has IPv6 addresses, which VRRP version 2 does not know: version 3 is used", i.describe())
		i.Version = 3
	}
}

// settlePlace: where the instance runs, and its number there.
func (p *parser) settlePlace(i *instanceDraft) {
	if !i.vridGiven {
		p.errorf(i.Pos, "write 'virtual_router_id NUMBER', from 1 to 255, the same on all nodes of this instance", "%s has no virtual_router_id", i.describe())
	}
	unicast := len(i.UnicastPeers) > 0
	switch {
	case i.Interface == "" && !unicast:
		p.errorf(i.Pos, "write 'interface NAME'", "%s has no interface", i.describe())
	case i.Interface == "" && !i.UnicastSource.IsValid():
		p.errorf(i.Pos, "write 'interface NAME' or 'unicast_src_ip ADDRESS'", "%s has neither an interface nor an address to send from", i.describe())
	case i.Interface == "" && (i.VMAC || i.IPVLAN):
		p.warnf(i.Pos, "write 'interface NAME'", "%s has no interface: use_vmac and use_ipvlan are not used", i.describe())
		i.VMAC, i.IPVLAN = false, false
	}
	if i.VRF != "" && i.Interface != "" {
		p.warnf(i.Pos, "take one of them out", "%s has an interface: 'vrf' is not used", i.describe())
		i.VRF = ""
	}
}

// advertised is how many addresses fit into a packet on an Ethernet.
var advertised = map[int]int{4: 255, 6: 90}

func (p *parser) settleAddresses(i *instanceDraft) {
	if limit := advertised[i.Family]; len(i.Addresses) > limit {
		p.warnf(i.Addresses[limit].Pos, "write them in virtual_ipaddress_excluded", "%s has %d addresses and an advertisement holds %d: those from here on are not advertised",
			i.describe(), len(i.Addresses), limit)
		i.AddressesExcluded = append(i.AddressesExcluded, i.Addresses[limit:]...)
		i.Addresses = i.Addresses[:limit:limit]
	}
	if len(i.Addresses) == 0 {
		cure := "write virtual_ipaddress { ADDRESS/LENGTH }"
		if i.vips != nil && len(i.vips.body) > 0 {
			return // every one of them has been reported
		}
		if i.Strict {
			p.errorf(i.Pos, cure, "%s has no virtual_ipaddress, which vrrp_strict demands", i.describe())
		} else {
			p.warnf(i.Pos, cure, "%s has no virtual_ipaddress: nothing is advertised", i.describe())
		}
		return
	}
	if first := i.Addresses[0]; i.Family == 6 && !first.Prefix.Addr().IsLinkLocalUnicast() {
		report, must := p.warnf, "should"
		if i.Strict {
			report, must = p.errorf, "must, with vrrp_strict,"
		}
		report(first.Pos, "write an fe80:: address before it, the same on all nodes", "the first IPv6 address of %s %s be a link-local one (RFC 5798)", i.describe(), must)
	}
}

func (p *parser) settlePeers(i *instanceDraft) {
	var keep []model.UnicastPeer
	for _, peer := range i.UnicastPeers {
		if family(peer.Addr) != i.Family {
			p.errorf(peer.Pos, "", "the peer %s is not an IPv%d address like the first virtual address", peer.Addr, i.Family)
			continue
		}
		keep = append(keep, peer)
	}
	i.UnicastPeers = keep
	for _, source := range []*netip.Addr{&i.UnicastSource, &i.MulticastSource} {
		if source.IsValid() && family(*source) != i.Family {
			p.errorf(i.Pos, "", "the source address %s of %s is not an IPv%d address like its first virtual address", *source, i.describe(), i.Family)
		}
	}
	if len(keep) == 0 {
		i.CheckUnicastSrc = false
		if i.unicast != nil && !i.UnicastFaultNoPeer {
			p.warnf(i.unicast.pos(0), "list the other nodes in unicast_peer { ADDRESS }, or take the line out",
				"%s has '%s' and no unicast_peer: it sends multicast", i.describe(), i.unicast.name())
		}
		p.settleMulticast(i)
		return
	}
	if i.MulticastGroup.IsValid() {
		p.warnf(i.Pos, "take mcast_dst_ip out", "%s has unicast_peer: mcast_dst_ip is not used", i.describe())
		i.MulticastGroup = netip.Addr{}
	}
	if p.global.checkSrc {
		i.CheckUnicastSrc = true
	}
	for _, peer := range keep {
		if peer.Addr == i.UnicastSource {
			p.errorf(peer.Pos, "list the other nodes only", "the peer %s is this node's own unicast_src_ip", peer.Addr)
		}
	}
}

func (p *parser) settleMulticast(i *instanceDraft) {
	if i.MulticastGroup.IsValid() && family(i.MulticastGroup) != i.Family {
		p.warnf(i.Pos, "", "mcast_dst_ip of %s is not an IPv%d address: it is not used", i.describe(), i.Family)
		i.MulticastGroup = netip.Addr{}
	}
	if i.MulticastGroup.IsValid() {
		return
	}
	group, otherwise := p.global.group4, netip.AddrFrom4([4]byte{224, 0, 0, 18})
	if i.Family == 6 {
		group, otherwise = p.global.group6, netip.MustParseAddr("ff02::12")
	}
	if !group.IsValid() {
		group = otherwise
	}
	i.MulticastGroup = group
}

func (p *parser) settleAuth(i *instanceDraft) {
	a := &i.Auth
	if i.authNode == nil {
		return
	}
	drop := ""
	switch {
	case i.Version == 3:
		drop = "VRRP version 3 has no authentication"
	case a.Type == "" && a.Password != [8]byte{}:
		drop = "there is a password and no 'auth_type PASS'"
	case a.Type == "":
		drop = "it says neither how nor with what"
	case a.Password == [8]byte{}:
		drop = "it has no password"
	case a.Type == "AH" && i.Family == 6:
		drop = "AH is for IPv4"
	}
	if drop != "" {
		p.warnf(a.Pos, "take the block out, on all nodes alike, or complete it", "authentication of %s is not used: %s", i.describe(), drop)
		i.Auth = model.VRRPAuth{}
		return
	}
	if a.Type == "AH" && i.Master {
		p.warnf(a.Pos, "write 'state BACKUP'", "%s begins as BACKUP: with AH it has to hear the others' sequence numbers first", i.describe())
		i.Master = false
	}
}

// settleInterval: version 2 has whole seconds, version 3 hundredths.
func (p *parser) settleInterval(i *instanceDraft) {
	unit, longest := time.Second, 255*time.Second
	if i.Version == 3 {
		unit, longest = 10*time.Millisecond, 40950*time.Millisecond
	}
	if i.advert == nil {
		return
	}
	d := (i.AdvertInt + unit/2) / unit * unit
	d = min(max(d, unit), longest)
	if d == i.AdvertInt {
		return
	}
	cure := "write 'advert_int " + inSeconds(d) + "'"
	switch {
	case i.Version == 2:
		cure += ", or 'version 3' on all nodes, which has fractions of a second"
		p.warnf(i.advert.pos(1), cure, "VRRP version 2 advertises at whole seconds: %s is used in place of %s", inSeconds(d), inSeconds(i.AdvertInt))
	case i.AdvertInt > longest:
		p.warnf(i.advert.pos(1), cure, "VRRP version 3 advertises at most %s seconds apart: that is used in place of %s", inSeconds(d), inSeconds(i.AdvertInt))
	default:
		p.warnf(i.advert.pos(1), cure, "VRRP version 3 counts in hundredths of a second: %s is used in place of %s", inSeconds(d), inSeconds(i.AdvertInt))
	}
	i.AdvertInt = d
}

// first is the first value that was given.
func first[T any](otherwise T, given ...*T) T {
	for _, v := range given {
		if v != nil {
			return *v
		}
	}
	return otherwise
}

// settleDefaults takes from global_defs what the instance does not say.
func (p *parser) settleDefaults(i *instanceDraft) {
	g := &p.global
	repeats, delay := 5, 5*time.Second
	if g.minGARP {
		repeats, delay = 1, 0
	}
	i.GARPMasterDelay = first(delay, i.garpDelay, g.garpDelay)
	i.GARPMasterRepeat = first(repeats, i.garpRepeat, g.garpRepeat)
	i.GARPMasterRefresh = first(0, i.garpRefresh, g.garpRefresh)
	i.GARPMasterRefreshRepeat = first(1, i.garpRefreshRepeat, g.garpRefreshRepeat)
	i.GARPLowerPrioDelay = first(i.GARPMasterDelay, i.garpLowerDelay, g.garpLowerDelay)
	i.GARPLowerPrioRepeat = first(i.GARPMasterRepeat, i.garpLowerRepeat, g.garpLowerRepeat)
	i.GARPInterval = first(0, g.garpInterval)
	i.NAInterval = first(0, g.naInterval)
	i.GARPExtra = first(0, i.garpExtra, g.garpExtra)
	i.GARPExtraAll = i.GARPExtra > 0 && (i.garpExtraAll || i.garpExtra == nil && g.garpExtraAll)
	for _, group := range p.f.GARPGroups {
		for _, name := range group.Interfaces {
			if name == i.Interface {
				i.GARPInterval = first(i.GARPInterval, group.GARPInterval)
				i.NAInterval = first(i.NAInterval, group.NAInterval)
			}
		}
	}
	i.DownTimerAdverts = first(3, i.downTimer, g.downTimer)
	i.SkipCheckAdvAddr = first(g.skipCheck, i.skipCheck)
	i.LowerPrioNoAdvert = first(i.Strict, i.lowerNo, g.lowerNo)
	// Unlike keepalived: the winner of a split network hears of the loser by this
	// one advertisement, and announces its addresses again.
	i.HigherPrioSendAdvert = first(true, i.higherSend, g.higherSend)
	i.Accept = first(!i.Strict || i.Priority == 255, i.accept)
	i.StartupDelay = p.f.StartupDelay
	i.Notify.PriorityChanges = first(g.priorityChanges, i.priorityChanges)
}

// settleElection: what excludes preempting, and priority 255.
func (p *parser) settleElection(i *instanceDraft) {
	if i.Priority == 255 && (i.NoPreempt || !i.Master && !i.Strict) {
		what := "begins as BACKUP"
		if i.NoPreempt {
			what = "does not preempt"
		}
		p.warnf(i.Pos, "write 'priority 254', unless the addresses are this host's own, whatever happens",
			"%s has priority 255, which says that the addresses are this host's own, and %s", i.describe(), what)
	}
	switch {
	case !i.NoPreempt:
	case i.Priority == 255:
		i.NoPreempt = false
	case i.Master:
		p.warnf(i.preempt.pos(0), "write 'state BACKUP', on this node too", "nopreempt does not go with 'state MASTER': it is not used")
		i.NoPreempt = false
	}
	switch {
	case i.PreemptDelay == 0:
	case i.NoPreempt:
		p.warnf(i.Pos, "take one of them out", "preempt_delay does not go with nopreempt in %s: it is not used", i.describe())
		i.PreemptDelay = 0
	case i.Master:
		p.warnf(i.Pos, "write 'state BACKUP', on this node too", "preempt_delay does not go with 'state MASTER' in %s: it is not used", i.describe())
		i.PreemptDelay = 0
	}
}

func (p *parser) settleVMAC(i *instanceDraft) {
	if i.VMAC && i.IPVLAN {
		p.errorf(i.Pos, "take one of them out", "%s has use_vmac and use_ipvlan", i.describe())
	}
	if i.IPVLAN && i.Family == 4 && !i.IPVLANAddr.IsValid() && !i.UnicastSource.IsValid() && !i.MulticastSource.IsValid() {
		p.errorf(i.Pos, "write 'use_ipvlan NAME ADDRESS'", "%s has use_ipvlan without an address of its own to send from: it would always be in fault", i.describe())
	}
	if i.VMAC && len(i.UnicastPeers) > 0 && !i.VMACXmitBase {
		p.warnf(i.Pos, "write vmac_xmit_base", "%s sends to its peers from the interface below use_vmac: the virtual address is every node's", i.describe())
		i.VMACXmitBase = true
	}
	if i.VMACXmitBase && !i.VMAC && !i.IPVLAN {
		p.warnf(i.Pos, "write use_vmac, or take it out", "%s has vmac_xmit_base and no use_vmac: it is not used", i.describe())
		i.VMACXmitBase = false
	}
	if i.VMACName != "" {
		for _, x := range p.instances {
			if x != i && x.VMACName == i.VMACName && x.Pos.Line < i.Pos.Line {
				p.errorf(i.Pos, "choose another name", "%s and instance '%s' both want the interface '%s'", i.describe(), x.Name, i.VMACName)
			}
		}
	}
}

// hideSecrets marks the messages about lines that hold a password.
func (p *parser) hideSecrets() {
	for k := range p.diags {
		pos := p.diags[k].Pos
		if p.source.secrets[model.Pos{File: pos.File, Line: pos.Line}] {
			p.diags[k].Secret = true
		}
	}
}
