package failover

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"evenkeel/internal/command"
	"evenkeel/internal/model"
	wire "evenkeel/internal/wire/vrrp"
)

// firewall is the table of nftables that drops packets to addresses of
// instances without accept mode (RFC 9568 6.4.3). The addresses are in it
// whoever is master: only a host that has one gets packets for it as its input.
type firewall struct {
	table string // "": there is nothing to drop
	text  string // for nft -f
}

const (
	nftProgram  = "nft"
	nftTable    = "evenkeel"
	nftPriority = -1
	nftTimeout  = 5 * time.Second
)

// silent are the instances whose addresses do not answer.
func silent(f *model.Failover) (all []*model.VRRPInstance) {
	for _, m := range f.Instances {
		if !m.Accept && m.Priority != wire.PriorityOwner && len(m.Addresses)+len(m.AddressesExcluded) > 0 {
			all = append(all, m)
		}
	}
	return all
}

// checkFirewall finds out before anything is changed that packets could not be
// dropped.
func checkFirewall(f *model.Failover, d *model.Diagnostics) {
	all := silent(f)
	if len(all) == 0 {
		return
	}
	if _, _, err := (command.Command{Argv: []string{nftProgram}}).Resolve(); err != nil {
		for _, m := range all {
			d.Errorf(m.Pos, "vrrp_instance %s: packets to its addresses are to be dropped (no_accept, vrrp_strict), which takes the program nft: install nftables, or write 'accept' (with version 3) and no vrrp_strict", m.Name)
		}
	}
}

// newFirewall writes the table down. The neighbours still have to find the
// addresses, so IPv6's neighbour discovery passes; ARP is no packet to an
// address.
func newFirewall(f *model.Failover) firewall {
	var four, six, local []string
	for _, m := range silent(f) {
		for _, list := range [][]*model.IPAddress{m.Addresses, m.AddressesExcluded} {
			for _, a := range list {
				switch addr := a.Prefix.Addr(); {
				case addr.Is4():
					four = append(four, addr.String())
				case addr.IsLinkLocalUnicast():
					local = append(local, fmt.Sprintf("%s . %q", addr, deviceOf(m, f, a)))
				default:
					six = append(six, addr.String())
				}
			}
		}
	}
	if len(four)+len(six)+len(local) == 0 {
		return firewall{}
	}
	table, priority, counter := nftTable, nftPriority, ""
	if f.Firewall.Table != "" {
		table = f.Firewall.Table
	}
	if f.Firewall.Priority != nil {
		priority = *f.Firewall.Priority
	}
	if f.Firewall.Counters {
		counter = "counter "
	}
	var b strings.Builder
	// The first line makes the second one possible; all of them are one change.
	fmt.Fprintf(&b, "add table inet %s\ndelete table inet %s\ntable inet %s {\n", table, table, table)
	set := func(name, kind string, elements []string) {
		if len(elements) > 0 {
			fmt.Fprintf(&b, " set %s {\n  type %s\n  elements = { %s }\n }\n", name, kind, strings.Join(elements, ", "))
		}
	}
	set("vips4", "ipv4_addr", four)
	set("vips6", "ipv6_addr", six)
	set("vips6local", "ipv6_addr . ifname", local)
	fmt.Fprintf(&b, " chain in {\n  type filter hook input priority %d; policy accept;\n", priority)
	if len(four) > 0 {
		fmt.Fprintf(&b, "  ip daddr @vips4 %sdrop\n", counter)
	}
	if len(six)+len(local) > 0 {
		b.WriteString("  icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n")
	}
	if len(six) > 0 {
		fmt.Fprintf(&b, "  ip6 daddr @vips6 %sdrop\n", counter)
	}
	if len(local) > 0 {
		fmt.Fprintf(&b, "  ip6 daddr . iifname @vips6local %sdrop\n", counter)
	}
	b.WriteString(" }\n}\n")
	return firewall{table: table, text: b.String()}
}

// left is the table of a process before this one, which may be there.
func left(f *model.Failover) firewall {
	w := firewall{table: nftTable, text: "?"}
	if f.Firewall.Table != "" {
		w.table = f.Firewall.Table
	}
	if _, _, err := (command.Command{Argv: []string{nftProgram}}).Resolve(); err != nil {
		w = firewall{} // then there is none
	}
	return w
}

// deviceOf is the interface that an address of an instance is on.
func deviceOf(m *model.VRRPInstance, f *model.Failover, a *model.IPAddress) string {
	device := m.Interface
	if l := vmacLink(m, f.VMACPrefix); l != nil {
		device = l.Name
	}
	for _, x := range hostConfig(m, device, addressLinks(m, f, device)).Addresses {
		if x.Prefix == a.Prefix {
			return x.Device
		}
	}
	return device
}

// change makes the host's table the one of next. It blocks until nft is done.
func (w firewall) change(next firewall) error {
	if w.text == next.text {
		return nil
	}
	text := next.text
	if w.table != "" && w.table != next.table {
		text = fmt.Sprintf("add table inet %s\ndelete table inet %s\n%s", w.table, w.table, text)
	}
	f, err := os.CreateTemp("", "evenkeel-nft-*")
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	if err := runProgram(command.Command{Argv: []string{nftProgram, "-f", f.Name()}}, nftTimeout, false); err != nil {
		return fmt.Errorf("nftables: packets to addresses without accept mode are not dropped: %w", err)
	}
	return nil
}
