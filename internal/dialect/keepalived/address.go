package keepalived

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"evenkeel/internal/model"
)

// addressKind is which list an address stands in.
type addressKind uint8

const (
	addressVirtual addressKind = iota
	addressExcluded
	addressStatic
)

// prefix reads ADDRESS[/LENGTH]. A length that cannot be is the whole address,
// as in keepalived; an address that cannot be is an error, since the other
// nodes would advertise one more.
func (p *parser) prefix(n *node, i int) (netip.Prefix, bool) {
	s, length, slash := strings.Cut(n.arg(i), "/")
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		cure := "write ADDRESS/LENGTH, such as 192.0.2.10/24"
		if r := smartQuote(s); r != "" {
			cure = "write plain quotes, or none"
		}
		p.errorf(n.pos(i), cure, "'%s' is not an IP address", s)
		return netip.Prefix{}, false
	}
	a = a.Unmap()
	if !slash {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	bits, err := strconv.Atoi(length)
	if err == nil && bits >= 0 && bits <= a.BitLen() {
		return netip.PrefixFrom(a, bits), true
	}
	cure := "write a number from 0 to " + itoa(a.BitLen())
	if mask, err := netip.ParseAddr(length); err == nil && maskBits(mask) >= 0 {
		cure = "write /" + itoa(maskBits(mask))
	} else if digits := plain(length); digits != "" {
		cure = "is a blank missing behind /" + digits + "?"
	}
	p.warnf(n.pos(i), cure, "'/%s' is not the length of a prefix: /%d is used", length, a.BitLen())
	return netip.PrefixFrom(a, a.BitLen()), true
}

// maskBits is the length of a netmask, or -1.
func maskBits(mask netip.Addr) int {
	bits, ended := 0, false
	for _, b := range mask.AsSlice() {
		for i := 7; i >= 0; i-- {
			switch {
			case b>>i&1 == 0:
				ended = true
			case ended:
				return -1
			default:
				bits++
			}
		}
	}
	return bits
}

// ipAddress reads one line of virtual_ipaddress, virtual_ipaddress_excluded or
// static_ipaddress.
func (p *parser) ipAddress(n *node, kind addressKind) *model.IPAddress {
	a := &model.IPAddress{Pos: n.pos(0)}
	var ok bool
	if a.Prefix, ok = p.prefix(n, 0); !ok {
		return nil
	}
	for i := 1; i < len(n.words); i++ {
		option, known := addressOptions[n.arg(i)]
		if !known {
			if n.arg(i-1) == n.arg(0) || i == 1 {
				if _, err := netip.ParsePrefix(n.arg(i)); err == nil || looksLikeAddress(n.arg(i)) {
					p.warnf(n.pos(i), "write each address on a line of its own", "'%s' is a second address on one line, which is not read", n.arg(i))
					continue
				}
			}
			p.warnf(n.pos(i), closest(n.arg(i), keys(addressOptions)), "unknown word '%s' behind an address: it is not used", n.arg(i))
			continue
		}
		if option.kinds&(1<<kind) == 0 {
			p.warnf(n.pos(i), "", "'%s' has no meaning here: it is not used", n.arg(i))
			i += option.values
			continue
		}
		if i+option.values >= len(n.words) {
			p.warnf(n.pos(len(n.words)), "", "'%s' lacks its value: it is not used", n.arg(i))
			break
		}
		if !option.read(p, a, n, i) {
			return nil
		}
		i += option.values
	}
	p.checkAddress(a, n)
	return a
}

func looksLikeAddress(s string) bool {
	s, _, _ = strings.Cut(s, "/")
	_, err := netip.ParseAddr(s)
	return err == nil
}

// checkAddress judges what the words of one address demand of each other.
func (p *parser) checkAddress(a *model.IPAddress, n *node) {
	if a.Prefix.Addr().Is6() {
		if a.Scope != "" {
			p.warnf(n.pos(0), "take it out", "an IPv6 address has no scope of its own: 'scope' is not used")
			a.Scope = ""
		}
		if a.Label != "" {
			p.warnf(n.pos(0), "take it out", "an IPv6 address cannot have a label: 'label' is not used")
			a.Label = ""
		}
	}
	if a.Peer.IsValid() && a.Broadcast != "" {
		p.warnf(n.pos(0), "take one of them out", "an address has a peer or a broadcast address: 'brd' is not used")
		a.Broadcast = ""
	}
	if (a.Broadcast == "+" || a.Broadcast == "-") && a.Prefix.Bits() > a.Prefix.Addr().BitLen()-2 {
		p.warnf(n.pos(0), "give the length of the network: ADDRESS/LENGTH", "a prefix of /%d has no broadcast address: 'brd' is not used", a.Prefix.Bits())
		a.Broadcast = ""
	}
	if a.NoTrack && a.TrackGroup != "" {
		p.warnf(n.pos(0), "take one of them out", "'no_track' and 'track_group' exclude each other: the address is not tracked")
		a.TrackGroup = ""
	}
}

// addressOption is one word behind an address.
type addressOption struct {
	values int   // words that follow it
	kinds  uint8 // bits of addressKind
	read   func(p *parser, a *model.IPAddress, n *node, i int) bool
}

const (
	anyAddress     = 1<<addressVirtual | 1<<addressExcluded | 1<<addressStatic
	virtualAddress = 1<<addressVirtual | 1<<addressExcluded
	staticAddress  = 1 << addressStatic
)

func addressFlag(name string) addressOption {
	return addressOption{0, anyAddress, func(_ *parser, a *model.IPAddress, _ *node, _ int) bool {
		if !slices.Contains(a.Options, name) {
			a.Options = append(a.Options, name)
		}
		return true
	}}
}

var addressOptions map[string]addressOption

func init() {
	broadcast := addressOption{1, anyAddress, readBroadcast}
	addressOptions = map[string]addressOption{
		"brd": broadcast, "broadcast": broadcast,
		"dev": {1, anyAddress, func(p *parser, a *model.IPAddress, n *node, i int) bool {
			if a.Device != "" {
				p.warnf(n.pos(i), "take one of them out", "an address has one 'dev': the first is used")
				return true
			}
			name, ok := p.interfaceName(n, i+1)
			a.Device = name
			return ok
		}},
		"label": {1, anyAddress, func(p *parser, a *model.IPAddress, n *node, i int) bool {
			if a.Label = n.arg(i + 1); len(a.Label) > 15 {
				p.errorf(n.pos(i+1), "choose a shorter one, such as eth0:1", "the label '%s' has more than 15 characters", a.Label)
				return false
			}
			return true
		}},
		"scope": {1, anyAddress, func(p *parser, a *model.IPAddress, n *node, i int) bool {
			s := n.arg(i + 1)
			if v, err := strconv.ParseUint(s, 0, 8); err != nil && !slices.Contains(scopes, s) {
				p.warnf(n.pos(i+1), "write global, site, link, host or nowhere", "'%s' is not a scope: it is not used", s)
				return true
			} else if err == nil {
				s = strconv.FormatUint(v, 10)
			}
			a.Scope = s
			return true
		}},
		"peer": {1, anyAddress, readPeer},
		"home": addressFlag("home"), "-nodad": addressFlag("nodad"), "nodad": addressFlag("nodad"),
		"mngtmpaddr": addressFlag("mngtmpaddr"), "noprefixroute": addressFlag("noprefixroute"), "autojoin": addressFlag("autojoin"),
		"use_vmac": {0, virtualAddress, func(_ *parser, a *model.IPAddress, _ *node, _ int) bool {
			a.UseVMAC = true
			return true
		}},
		"no_track": {0, virtualAddress, func(_ *parser, a *model.IPAddress, _ *node, _ int) bool {
			a.NoTrack = true
			return true
		}},
		"track_group": {1, staticAddress, func(_ *parser, a *model.IPAddress, n *node, i int) bool {
			a.TrackGroup = n.arg(i + 1)
			return true
		}},
		"preferred_lft": {1, anyAddress, readPreferred},
	}
}

var scopes = []string{"global", "site", "link", "host", "nowhere"}

func readBroadcast(p *parser, a *model.IPAddress, n *node, i int) bool {
	s := n.arg(i + 1)
	if a.Prefix.Addr().Is6() {
		p.errorf(n.pos(i), "take it out", "an IPv6 address has no broadcast address")
		return false
	}
	if b, err := netip.ParseAddr(s); s != "+" && s != "-" && (err != nil || !b.Is4()) {
		p.errorf(n.pos(i+1), "write an IPv4 address, '+' or '-'", "'%s' is not a broadcast address", s)
		return false
	}
	a.Broadcast = s
	return true
}

func readPeer(p *parser, a *model.IPAddress, n *node, i int) bool {
	peer, ok := p.prefix(n, i+1)
	if !ok {
		return false
	}
	switch {
	case a.Peer.IsValid():
		p.warnf(n.pos(i), "take one of them out", "an address has one peer: the first is used")
	case peer.Addr().Is4() != a.Prefix.Addr().Is4():
		p.warnf(n.pos(i+1), "", "the peer '%s' is of the other family: it is not used", peer.Addr())
	default:
		if a.Prefix.Bits() != a.Prefix.Addr().BitLen() {
			p.warnf(n.pos(0), "put the length behind the peer", "an address that has a peer has no length of its own: it is not used")
			a.Prefix = netip.PrefixFrom(a.Prefix.Addr(), a.Prefix.Addr().BitLen())
		}
		a.Peer = peer
	}
	return true
}

func readPreferred(p *parser, a *model.IPAddress, n *node, i int) bool {
	s := n.arg(i + 1)
	v, err := strconv.ParseUint(s, 10, 32)
	switch {
	case s == "forever" || s == "infinity":
		no := false
		a.Deprecated = &no
	case err != nil:
		p.warnf(n.pos(i+1), "write a number of seconds, or forever", "'%s' is not a time: it is not used", s)
	default:
		old := v == 0
		a.Deprecated = &old
		a.Preferred = time.Duration(v) * time.Second
	}
	return true
}

func keys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// staticAddresses reads static_ipaddress.
func staticAddresses(p *parser, n *node) {
	for _, line := range n.body {
		if !p.value(line) {
			continue
		}
		if a := p.ipAddress(line, addressStatic); a != nil {
			p.f.StaticAddresses = append(p.f.StaticAddresses, a)
		}
	}
}

// value checks that a line of a list is one: no block of its own.
func (p *parser) value(n *node) bool {
	if n.block {
		p.errorf(n.open, "is a '}' missing before it?", "a block inside %s, which holds plain lines", n.parent.title())
		return false
	}
	return len(n.words) > 0
}

// words is all words of a list block.
func (p *parser) words(n *node) []word {
	var out []word
	for _, line := range n.body {
		if p.value(line) {
			out = append(out, line.words...)
		}
	}
	return out
}
