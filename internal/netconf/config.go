package netconf

import (
	"net/netip"
	"time"
)

// Config is everything that one owner wants on the host. What it wanted before
// and does not want any more goes away. The order of work is links, sysctls,
// addresses, routes, rules; removal goes the other way.
type Config struct {
	Links     []Link
	Sysctls   []Sysctl
	Addresses []Address
	Routes    []Route
	Rules     []Rule
}

// Address is one address of a device, in ip-address's words.
type Address struct {
	Prefix    netip.Prefix // the address itself and its prefix length
	Device    string
	Broadcast string       // "": none; "+" or "-": host bits one or zero; or an address
	Label     string       // IPv4 only, at most 15 characters
	Scope     string       // name or number; "": global (host for 127.0.0.0/8); of no effect for IPv6
	Peer      netip.Prefix // the other end of a point-to-point address
	// Options are flags: home, mngtmpaddr, noprefixroute, autojoin, nodad and
	// -nodad. IPv6 addresses have no duplicate address detection unless they
	// say -nodad: another router that has just died may still be heard.
	Options []string
	// Deprecated asks for preferred_lft 0: the address is never chosen as a
	// source. Nil: so for an IPv6 /128, as keepalived does it.
	Deprecated *bool
	// Preferred is how long the address is one that the host chooses as a source,
	// from its coming on and in whole seconds. 0: as long as it is there.
	Preferred time.Duration
	// Once: an address that somebody else takes away stays away until its owner
	// has given it up and wants it anew.
	Once bool
	// ValidLifetime is how long the address stays without Renew, in whole
	// seconds (a fraction counts as one more). 0: for ever.
	ValidLifetime time.Duration
}

// Route is one route, in ip-route's words.
type Route struct {
	Family   int          // 4 or 6; 0: from the addresses
	Type     string       // "": unicast
	Dst      netip.Prefix // the default route: /0, or invalid
	Src      netip.Addr   // the source address that the host prefers
	From     netip.Prefix // source-specific routing, IPv6 only
	Gateway  netip.Addr   // may be of the other family (RTA_VIA)
	Device   string
	Table    string // name or number; "": main
	Metric   *uint32
	Scope    string // "": what ip-route would choose
	Protocol string // "": keepalived, so that the route is known as ours
	TOS      *uint8
	OnLink   bool
	// Options are metrics: mtu, advmss, rtt, rttvar, reordering, window, cwnd,
	// initcwnd, initrwnd, ssthresh, hoplimit, rto_min, quickack, congctl,
	// features, fastopen_no_cookie, and realms, pref, expires. "lock N" fixes a metric.
	Options  map[string]string
	NextHops []NextHop
	Once     bool // as of an Address
}

// NextHop is one path of a multipath route.
type NextHop struct {
	Gateway netip.Addr
	Device  string
	Weight  int // 1 to 256; 0: 1
	OnLink  bool
}

// Rule is one routing rule, in ip-rule's words.
type Rule struct {
	Family      int
	From, To    netip.Prefix
	Not         bool
	TOS         *uint8
	FwMark      *uint32
	FwMask      *uint32
	IIF, OIF    string
	Table       string
	Priority    *uint32 // nil: the kernel's choice
	Action      string  // "", blackhole, prohibit, unreachable, goto, nop, l3mdev
	Goto        *uint32
	UIDRange    string // "N" or "N-M"
	SuppressLen *int
	// SuppressGroup is a number or name of a group of devices (ip link … group).
	SuppressGroup string
	Realms        string // TO or FROM/TO, numbers or names; IPv4 only
	TunnelID      string // a number
	IPProto       string // name or number
	SrcPort       string // "N" or "N-M"
	DstPort       string
	Protocol      string // "": keepalived
	Once          bool   // as of an Address
}

// Kinds of Link.
const (
	Macvlan = "macvlan"
	IPvlan  = "ipvlan"
)

// Link is a link on top of another one: the virtual MAC of a virtual router.
type Link struct {
	Name string
	Base string
	Kind string // Macvlan or IPvlan
	// Mode is private, vepa, bridge or passthru; for ipvlan l2, l3 or l3s, or
	// l2 with bridge, private or vepa.
	// "": private; l2.
	Mode string
	// MAC of a macvlan. See VirtualRouterMAC.
	MAC [6]byte
	// Family is what the link is for: 4 sets up ARP so that neither link
	// answers for the other, and switches IPv6 off unless KeepIPv6; 6 stops the
	// kernel from making a link-local address from the MAC (RFC 9568 7.4).
	Family   int
	KeepIPv6 bool
	// LinkLocal is the address from which an IPv6 link advertises. Invalid:
	// that of Base.
	LinkLocal netip.Addr
}

// VirtualRouterMAC is the address of RFC 9568 7.3 for a family (4 or 6).
func VirtualRouterMAC(family int, vrid uint8) [6]byte {
	m := [6]byte{0, 0, 0x5e, 0, 1, vrid}
	if family == 6 {
		m[4] = 2
	}
	return m
}

// Sysctl is one kernel setting. Its former value comes back when no owner wants
// it any more, unless somebody else has changed it since.
type Sysctl struct {
	Name  string // net/ipv4/conf/eth0.5/rp_filter; with dots where no part has one
	Value string
}
