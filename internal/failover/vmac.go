package failover

import (
	"fmt"
	"hash/fnv"

	"evenkeel/internal/model"
	"evenkeel/internal/netconf"
)

// hasLinks says whether an instance has something on the host as long as it
// exists.
func (s *setup) hasLinks() bool { return s.link != nil || len(s.more) > 0 || len(s.sysctls) > 0 }

// linkConfig is that.
func (s *setup) linkConfig() netconf.Config {
	c := netconf.Config{Sysctls: s.sysctls}
	if s.link != nil {
		c.Links = append(c.Links, *s.link)
		if s.model.IPVLANAddr.IsValid() && s.link.Kind == netconf.IPvlan {
			c.Addresses = append(c.Addresses, netconf.Address{Prefix: s.model.IPVLANAddr, Device: s.link.Name})
		}
	}
	c.Links = append(c.Links, s.more...)
	return c
}

// wantsLink says whether an address goes on an interface of its own with the
// virtual MAC, and on top of which one: it does when it says so, or, with
// use_vmac_addr, when the instance's interface is not the right one for it.
func wantsLink(m *model.VRRPInstance, a *model.IPAddress) (base string, family int, ok bool) {
	base, family = a.Device, 4
	if a.Prefix.Addr().Is6() {
		family = 6
	}
	if base == "" {
		base = m.Interface
	}
	if base == m.Interface && family == m.Family && m.VMAC || base == "" {
		return base, family, false // the instance's own link is that already
	}
	other := base != m.Interface || family != m.Family
	return base, family, a.UseVMAC || m.VMACPerAddress && other
}

// addressLinks are the interfaces that single addresses of an instance need.
func addressLinks(m *model.VRRPInstance, f *model.Failover, device string) (links []netconf.Link) {
	taken := map[string]bool{device: true}
	for _, list := range [][]*model.IPAddress{m.Addresses, m.AddressesExcluded} {
		for _, a := range list {
			base, family, ok := wantsLink(m, a)
			if !ok || findLink(links, base, family) != nil {
				continue
			}
			l := netconf.Link{Name: addressLinkName(m, f, base, family), Base: base, Kind: netconf.Macvlan, Family: family,
				MAC: netconf.VirtualRouterMAC(family, m.VRID)}
			if taken[l.Name] {
				continue
			}
			taken[l.Name] = true
			links = append(links, l)
		}
	}
	return links
}

// addressLink is the one of an address; nil: it goes where the instance is.
func addressLink(m *model.VRRPInstance, a *model.IPAddress, links []netconf.Link) *netconf.Link {
	base, family, ok := wantsLink(m, a)
	if !ok {
		return nil
	}
	return findLink(links, base, family)
}

func findLink(links []netconf.Link, base string, family int) *netconf.Link {
	for n := range links {
		if links[n].Base == base && links[n].Family == family {
			return &links[n]
		}
	}
	return nil
}

// longestName is the kernel's bound on the name of an interface (IFNAMSIZ less
// its end).
const longestName = 15

// addressLinkName is vrrp.VRID.INTERFACE, which is shortened if need be.
func addressLinkName(m *model.VRRPInstance, f *model.Failover, base string, family int) string {
	prefix := "vrrp"
	for _, p := range []string{f.VMACPrefix, f.VMACAddrPrefix} {
		if p != "" {
			prefix = p
		}
	}
	if family == 6 {
		prefix += "6"
	}
	name := fmt.Sprintf("%s.%d.%s", prefix, m.VRID, base)
	if len(name) <= longestName {
		return name
	}
	h := fnv.New32a()
	h.Write([]byte(name))
	name = fmt.Sprintf("%s.%d.%06x", prefix, m.VRID, h.Sum32()&0xffffff)
	return name[:min(len(name), longestName)]
}
