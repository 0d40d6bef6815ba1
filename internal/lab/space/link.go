package space

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Up sets an interface of the namespace up; Down sets it down.
func Up(space, name string) error { return set(space, name, "up", netlink.LinkSetUp) }

// Down is the interface switched off by its own node.
func Down(space, name string) error { return set(space, name, "down", netlink.LinkSetDown) }

func set(space, name, what string, f func(netlink.Link) error) error {
	return In(space, func() error {
		l, err := netlink.LinkByName(name)
		if err == nil {
			err = f(l)
		}
		if err != nil {
			return fmt.Errorf("%s: %s %s: %w", space, name, what, err)
		}
		return nil
	})
}

// Bridge makes a bridge that forwards at once and floods multicast, as a
// plain switch does.
func Bridge(space, name string) error {
	return In(space, func() error {
		snooping := false
		b := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}, MulticastSnooping: &snooping}
		if err := netlink.LinkAdd(b); err != nil {
			return fmt.Errorf("%s: bridge %s: %w", space, name, err)
		}
		return netlink.LinkSetUp(b)
	})
}

// Cable is a veth pair between a bridge and a node.
type Cable struct {
	Switch string // the bridge's namespace
	Bridge string
	Port   string // the end at the bridge
	Node   string // the node's namespace
	Name   string // the end at the node
	MAC    net.HardwareAddr
	// Addresses may be none.
	Addresses []netip.Prefix
}

// Plug lays the cable and sets both ends up.
func Plug(c Cable) error {
	err := In(c.Switch, func() error {
		node, err := os.Open(Path(c.Node))
		if err != nil {
			return err
		}
		defer node.Close()
		attrs := netlink.NewLinkAttrs()
		attrs.Name = c.Port
		pair := &netlink.Veth{LinkAttrs: attrs, PeerName: c.Name, PeerHardwareAddr: c.MAC, PeerNamespace: netlink.NsFd(int(node.Fd()))}
		if err := netlink.LinkAdd(pair); err != nil {
			return err
		}
		bridge, err := netlink.LinkByName(c.Bridge)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetMaster(pair, bridge); err != nil {
			return err
		}
		return netlink.LinkSetUp(pair)
	})
	if err != nil {
		return fmt.Errorf("cable from %s to %s: %w", c.Bridge, c.Node, err)
	}
	return In(c.Node, func() error {
		for _, name := range []string{"lo", c.Name} {
			l, err := netlink.LinkByName(name)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", c.Node, name, err)
			}
			if err := netlink.LinkSetUp(l); err != nil {
				return fmt.Errorf("%s: %s: %w", c.Node, name, err)
			}
		}
		return address(c.Node, c.Name, c.Addresses)
	})
}

// Address gives an interface its addresses, where it does not have them: IPv6
// ones go when it is set down.
func Address(space, name string, addresses []netip.Prefix) error {
	return In(space, func() error { return address(space, name, addresses) })
}

func address(space, name string, addresses []netip.Prefix) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", space, name, err)
	}
	for _, a := range addresses {
		if err := netlink.AddrAdd(l, addr(a)); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("%s: %s: address %s: %w", space, name, a, err)
		}
	}
	return nil
}

func addr(p netip.Prefix) *netlink.Addr {
	a := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}

// Settle lets a namespace keep hands off: IPv6 is on, with no duplicate address detection and
// no router advertisements, so that addresses are usable at once.
func Settle(space string) error {
	return In(space, func() error {
		for _, key := range []string{"net/ipv6/conf/all/disable_ipv6", "net/ipv6/conf/default/disable_ipv6", "net/ipv6/conf/default/accept_dad", "net/ipv6/conf/all/accept_dad", "net/ipv6/conf/default/accept_ra"} {
			// /proc/sys/net shows the namespace of the thread; without IPv6 there is nothing to set.
			err := os.WriteFile("/proc/sys/"+key, []byte("0"), 0)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
		return nil
	})
}

// Isolate keeps a port of a bridge from talking to other isolated ports; it
// still reaches those that are not.
func Isolate(space, port string, on bool) error {
	return set(space, port, "isolation", func(l netlink.Link) error { return netlink.LinkSetIsolated(l, on) })
}

// Port states (linux/if_bridge.h).
const (
	stateDisabled   = 0
	stateForwarding = 3
)

// Swallow makes a port drop every packet in both directions while its link
// stays up, or ends that.
func Swallow(space, port string, on bool) error {
	return set(space, port, "port state", func(l netlink.Link) error {
		state := byte(stateForwarding)
		if on {
			state = stateDisabled
		}
		request := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
		message := nl.NewIfInfomsg(unix.AF_BRIDGE)
		message.Index = int32(l.Attrs().Index)
		request.AddData(message)
		info := nl.NewRtAttr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
		info.AddRtAttr(nl.IFLA_BRPORT_STATE, []byte{state})
		request.AddData(info)
		_, err := request.Execute(unix.NETLINK_ROUTE, 0)
		return err
	})
}

// Unplug removes an interface, and with it the other end of its cable. One
// that is gone is no error.
func Unplug(space, name string) error {
	return In(space, func() error {
		l, err := netlink.LinkByName(name)
		if errors.As(err, new(netlink.LinkNotFoundError)) {
			return nil
		}
		if err == nil {
			err = netlink.LinkDel(l)
		}
		// The kernel may be about to remove it itself, with its other end's namespace.
		if err != nil && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("%s: %s: %w", space, name, err)
		}
		return nil
	})
}
