package netconf

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// compiler turns what owners say into what the kernel is told.
type compiler struct {
	names *names
	index func(device string) (int, error)
}

// attributeProtocol is IFA_PROTO, since Linux 5.18; older kernels pass it over.
const attributeProtocol = 11

const infinite = 0xffffffff // seconds of a lifetime

var addressOptions = map[string]uint32{
	"home":           unix.IFA_F_HOMEADDRESS,
	"mngtmpaddr":     unix.IFA_F_MANAGETEMPADDR,
	"noprefixroute":  unix.IFA_F_NOPREFIXROUTE,
	"autojoin":       unix.IFA_F_MCAUTOJOIN,
	"nodad":          unix.IFA_F_NODAD,
	"optimistic":     unix.IFA_F_OPTIMISTIC,
	"-nodad":         0,
	"-home":          0,
	"-mngtmpaddr":    0,
	"-noprefixroute": 0,
	"-autojoin":      0,
}

// String is the address in ip-address's words.
func (a Address) String() string {
	peer, valid := "", ""
	if a.Peer.IsValid() {
		peer = a.Peer.String()
	}
	if a.ValidLifetime > 0 {
		valid = fmt.Sprintf("%ds", seconds(a.ValidLifetime))
	}
	preferred := ""
	switch {
	case a.deprecated():
		preferred = "preferred_lft 0"
	case a.Preferred > 0:
		preferred = fmt.Sprintf("preferred_lft %ds", seconds(a.Preferred))
	}
	return words("address", a.Prefix.String(), optional("peer", peer), optional("dev", a.Device), optional("brd", a.Broadcast),
		optional("scope", a.Scope), optional("label", a.Label), words(a.Options...), optional("valid_lft", valid), preferred)
}

func (a *Address) deprecated() bool {
	if a.Deprecated != nil {
		return *a.Deprecated
	}
	return a.Prefix.Addr().Is6() && a.Prefix.Bits() == 128
}

// seconds is a lifetime as the kernel counts it. The largest finite one is about
// 68 years: the kernel calculates with signed clock ticks.
func seconds(d time.Duration) uint32 {
	return uint32(min((d+time.Second-1)/time.Second, 1<<31-1))
}

// identity is by which the kernel finds the address: IPv6 knows an address once
// on a link, IPv4 once for each prefix length and peer.
func addressIdentity(index int, prefix netip.Prefix, peer netip.Addr) identity {
	id := identity{class: classAddress, family: familyOf(prefix.Addr()), index: index, to: prefix}
	switch {
	case prefix.Addr().Is6():
		id.to = netip.PrefixFrom(prefix.Addr(), 128)
	case peer.IsValid() && peer != prefix.Addr():
		id.from = netip.PrefixFrom(peer, prefix.Bits())
	}
	return id
}

func (c *compiler) address(a *Address) (*item, error) {
	flags, err := a.check()
	if err != nil {
		return nil, err
	}
	scope := uint32(unix.RT_SCOPE_UNIVERSE)
	if addr := a.Prefix.Addr(); addr.Is4() && addr.IsLoopback() {
		scope = unix.RT_SCOPE_HOST
	}
	if a.Scope != "" {
		if scope, err = number("scope", a.Scope, c.names.scopes, 255); err != nil {
			return nil, err
		}
	}
	broadcast, err := a.broadcast()
	if err != nil {
		return nil, err
	}
	index, err := c.index(a.Device)
	if err != nil {
		return nil, err
	}
	local, peer, bits := a.Prefix.Addr(), a.Prefix.Addr(), a.Prefix.Bits()
	if a.Peer.IsValid() {
		peer, bits = a.Peer.Addr(), a.Peer.Bits()
	}
	header := []byte{familyOf(local), byte(bits), 0, byte(scope), 0, 0, 0, 0}
	native.PutUint32(header[4:], uint32(index))

	add := newMessage(unix.RTM_NEWADDR, header)
	add.address(unix.IFA_LOCAL, local)
	add.address(unix.IFA_ADDRESS, peer)
	if broadcast.IsValid() {
		add.address(unix.IFA_BROADCAST, broadcast)
	}
	if a.Label != "" {
		add.text(unix.IFA_LABEL, a.Label)
	}
	add.uint32(unix.IFA_FLAGS, flags)
	add.byte(attributeProtocol, Mark)
	fixed := len(add)
	valid, preferred := uint32(infinite), uint32(infinite)
	if a.ValidLifetime > 0 {
		valid = seconds(a.ValidLifetime)
		preferred = valid
	}
	if a.deprecated() {
		preferred = 0
	}
	lifetimes := make([]byte, cacheInfoLength)
	native.PutUint32(lifetimes, preferred)
	native.PutUint32(lifetimes[4:], valid)
	add.attr(unix.IFA_CACHEINFO, lifetimes)

	remove := newMessage(unix.RTM_DELADDR, header)
	remove.address(unix.IFA_LOCAL, local)
	remove.address(unix.IFA_ADDRESS, peer)

	it := &item{id: addressIdentity(index, netip.PrefixFrom(local, bits), peer), text: a.String(), device: a.Device,
		add: add.done(), remove: remove.done(), fixed: fixed, once: a.Once}
	if !a.deprecated() {
		it.preferred = a.Preferred
	}
	if a.ValidLifetime > 0 {
		it.lease = time.Duration(valid) * time.Second
	}
	return it, nil
}

// check refuses what the kernel would refuse or, worse, take for something else.
func (a *Address) check() (flags uint32, err error) {
	addr := a.Prefix.Addr()
	switch {
	case !a.Prefix.IsValid():
		return 0, errors.New("no address with a prefix length")
	case addr.Is4In6():
		return 0, errors.New("an IPv4 address in IPv6 form: write it as IPv4")
	case addr.IsUnspecified() || addr.IsMulticast():
		return 0, errors.New("not an address that a host can have")
	case a.Device == "":
		return 0, errors.New("no device")
	case a.Peer.IsValid() && a.Peer.Addr().Is4() != addr.Is4():
		return 0, fmt.Errorf("the peer %v is of the other family", a.Peer.Addr())
	case addr.Is6() && a.Label != "":
		return 0, errors.New("IPv6 addresses have no label")
	case addr.Is6() && a.Broadcast != "":
		return 0, errors.New("IPv6 addresses have no broadcast address")
	case len(a.Label) >= unix.IFNAMSIZ:
		return 0, fmt.Errorf("the label %q is longer than %d characters", a.Label, unix.IFNAMSIZ-1)
	case a.ValidLifetime < 0 || a.Preferred < 0:
		return 0, errors.New("a lifetime below zero")
	}
	if addr.Is6() && !slices.Contains(a.Options, "-nodad") {
		flags |= unix.IFA_F_NODAD
	}
	for _, o := range a.Options {
		f, ok := addressOptions[o]
		if !ok {
			return 0, fmt.Errorf("unknown option %q", o)
		}
		if addr.Is4() && f&(unix.IFA_F_HOMEADDRESS|unix.IFA_F_MANAGETEMPADDR|unix.IFA_F_NODAD|unix.IFA_F_OPTIMISTIC) != 0 {
			return 0, fmt.Errorf("the option %s is for IPv6 only", o)
		}
		flags |= f
	}
	return flags, nil
}

func (a *Address) broadcast() (netip.Addr, error) {
	switch a.Broadcast {
	case "":
		return netip.Addr{}, nil
	case "+", "-":
		if a.Prefix.Bits() > 30 {
			return netip.Addr{}, fmt.Errorf("a /%d has no broadcast address: write one instead of brd %s", a.Prefix.Bits(), a.Broadcast)
		}
		b := a.Prefix.Masked().Addr().As4()
		if a.Broadcast == "+" {
			hosts := ^uint32(0) >> a.Prefix.Bits()
			for i := range b {
				b[i] |= byte(hosts >> (24 - 8*i))
			}
		}
		return netip.AddrFrom4(b), nil
	}
	b, err := netip.ParseAddr(a.Broadcast)
	if err != nil || !b.Is4() {
		return netip.Addr{}, fmt.Errorf("the broadcast address %q is neither +, - nor an IPv4 address", a.Broadcast)
	}
	return b, nil
}
