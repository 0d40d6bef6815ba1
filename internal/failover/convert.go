package failover

import (
	"fmt"
	"net/netip"
	"strings"

	"evenkeel/internal/model"
	"evenkeel/internal/netconf"
	"evenkeel/internal/vrrp"
	wire "evenkeel/internal/wire/vrrp"
)

// machineConfig is what the state machine needs to know of an instance.
func machineConfig(m *model.VRRPInstance, f *model.Failover) vrrp.Config {
	c := vrrp.Config{
		Name: m.Name, Version: uint8(m.Version), Family: uint8(m.Family), VRID: m.VRID,
		Priority: uint8(m.Priority), Interval: m.AdvertInt,
		StartMaster: m.Master, Preempt: !m.NoPreempt, PreemptDelay: m.PreemptDelay,
		StartupDelay:    max(m.StartupDelay, f.StartupDelay),
		StrictAddresses: m.Strict, PromptElection: !m.Strict,
		SkipCheckAddresses: m.SkipCheckAdvAddr, Accept: m.Accept, Key: wire.Key(m.Auth.Password),
		HigherPrioSendAdvert: m.HigherPrioSendAdvert, LowerPrioNoAdvert: m.LowerPrioNoAdvert,
		DownTimerAdverts: m.DownTimerAdverts, ChecksumFixed: m.ChecksumCompatNever,
		Announce: vrrp.Announcements{
			Repeat: m.GARPMasterRepeat, Delay: m.GARPMasterDelay,
			Refresh: m.GARPMasterRefresh, RefreshRepeat: m.GARPMasterRefreshRepeat,
			LowerPrioRepeat: m.GARPLowerPrioRepeat, LowerPrioDelay: m.GARPLowerPrioDelay,
		},
	}
	if m.ChecksumOld {
		c.Checksum = wire.ChecksumGroup
	}
	switch m.Auth.Type {
	case "PASS":
		c.Auth = wire.AuthPass
	case "AH":
		c.Auth = wire.AuthAH
	}
	for _, a := range m.Addresses {
		c.Addresses = append(c.Addresses, a.Prefix.Addr())
	}
	for _, x := range m.UnicastPeers {
		c.Peers = append(c.Peers, vrrp.Peer{Addr: x.Addr, MinTTL: uint8(x.MinTTL), MaxTTL: uint8(x.MaxTTL)})
	}
	return c
}

// vmacLink is the interface with the virtual router's MAC, or nil. prefix is
// what generated names begin with.
func vmacLink(m *model.VRRPInstance, prefix string) *netconf.Link {
	if prefix == "" {
		prefix = "vrrp"
	}
	name := fmt.Sprintf("%s.%d", prefix, m.VRID)
	if m.Family == 6 {
		name = fmt.Sprintf("%s6.%d", prefix, m.VRID)
	}
	l := &netconf.Link{Name: name, Base: m.Interface, Kind: netconf.Macvlan, Family: m.Family}
	for _, list := range [][]*model.IPAddress{m.Addresses, m.AddressesExcluded} {
		for _, a := range list {
			l.KeepIPv6 = l.KeepIPv6 || m.Family == 4 && a.Prefix.Addr().Is6()
		}
	}
	switch {
	case m.VMAC:
		l.MAC = netconf.VirtualRouterMAC(m.Family, m.VRID)
		if mac, ok := parseMAC(m.VMACAddr); ok {
			l.MAC = mac
		}
		if m.VMACName != "" {
			l.Name = m.VMACName
		}
	case m.IPVLAN:
		l.Kind = netconf.IPvlan
		if l.Mode = m.IPVLANMode; l.Mode == "" {
			l.Mode = "bridge"
		}
		if m.IPVLANName != "" {
			l.Name = m.IPVLANName
		}
	default:
		return nil
	}
	return l
}

func parseMAC(s string) (mac [6]byte, ok bool) {
	n, err := fmt.Sscanf(strings.ToLower(s), "%02x:%02x:%02x:%02x:%02x:%02x", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5])
	return mac, err == nil && n == 6
}

// hostConfig is what a master has on the host, with the lifetimes left out.
// device is where addresses go that name none, or the instance's interface;
// more are interfaces of single addresses.
func hostConfig(m *model.VRRPInstance, device string, more []netconf.Link) netconf.Config {
	var c netconf.Config
	for _, list := range [][]*model.IPAddress{m.Addresses, m.AddressesExcluded} {
		for _, a := range list {
			x := address(a)
			if own := addressLink(m, a, more); own != nil {
				x.Device = own.Name
			} else if x.Device == "" || x.Device == m.Interface {
				x.Device = device
			}
			c.Addresses = append(c.Addresses, x)
		}
	}
	for _, r := range m.Routes {
		x := route(r)
		if x.Device == m.Interface {
			x.Device = device
		}
		c.Routes = append(c.Routes, x)
	}
	for _, r := range m.Rules {
		c.Rules = append(c.Rules, rule(r))
	}
	return c
}

func address(a *model.IPAddress) netconf.Address {
	return netconf.Address{Prefix: a.Prefix, Device: a.Device, Broadcast: a.Broadcast, Label: a.Label,
		Scope: a.Scope, Peer: a.Peer, Options: a.Options, Deprecated: a.Deprecated,
		Preferred: a.Preferred, Once: a.NoTrack}
}

func route(r *model.IPRoute) netconf.Route {
	x := netconf.Route{Family: r.Family, Type: r.Type, Dst: r.Dst, Src: r.Src, From: r.From, Gateway: r.Gateway,
		Device: r.Device, Table: r.Table, Metric: r.Metric, Scope: r.Scope, Protocol: r.Protocol, TOS: r.TOS,
		OnLink: r.OnLink, Options: r.Options, Once: r.NoTrack}
	for _, h := range r.NextHops {
		x.NextHops = append(x.NextHops, netconf.NextHop{Gateway: h.Gateway, Device: h.Device, Weight: h.Weight, OnLink: h.OnLink})
	}
	return x
}

func rule(r *model.IPRule) netconf.Rule {
	return netconf.Rule{Family: r.Family, From: r.From, To: r.To, Not: r.Not, TOS: r.TOS, FwMark: r.FwMark,
		FwMask: r.FwMask, IIF: r.IIF, OIF: r.OIF, Table: r.Table, Priority: r.Priority, Action: r.Action, Goto: r.Goto,
		UIDRange: r.UIDRange, SuppressLen: r.SuppressLen, IPProto: r.IPProto, SrcPort: r.SrcPort, DstPort: r.DstPort,
		Protocol: r.Protocol, Realms: r.Realms, TunnelID: r.TunnelID, SuppressGroup: r.SuppressGroup, Once: r.NoTrack}
}

// group is where advertisements go by multicast.
func multicastGroup(m *model.VRRPInstance) netip.Addr {
	if m.MulticastGroup.IsValid() {
		return m.MulticastGroup
	}
	if m.Family == 6 {
		return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0x12})
	}
	return netip.AddrFrom4([4]byte{224, 0, 0, 18})
}
