package realserver

import (
	"fmt"
	"net/netip"
	"os"
	"strings"

	"evenkeel/internal/netconf"
)

// Finding is one thing that check looked at.
type Finding struct {
	OK   bool
	Hint bool   // it works without, too
	Text string // what is, and what that means
	Cure string // what would help
}

// String is the finding on a line, with what would help on the next.
func (f Finding) String() string {
	mark := "ok     "
	switch {
	case f.Hint && !f.OK:
		mark = "note   "
	case !f.OK:
		mark = "MISSING"
	}
	s := mark + " " + f.Text
	if f.Cure != "" && !f.OK {
		s += "\n        " + f.Cure
	}
	return s
}

// Check looks at everything that a real server needs for these addresses (none:
// those that Up was asked for). Nothing is changed.
func (h *Host) Check(w Wanted) ([]Finding, error) {
	s, err := h.load()
	if err != nil {
		return nil, err
	}
	if len(w.VIPs) == 0 {
		w.VIPs = s.VIPs
		w.Tunnel = w.Tunnel || s.Tunnel != ""
	}
	if err := check(w.VIPs); err != nil {
		return nil, err
	}
	var list []Finding
	four := false
	for _, vip := range w.VIPs {
		four = four || vip.Is4()
		list = append(list, h.checkAddress(vip)...)
	}
	if four {
		list = append(list, h.checkARP()...)
	}
	if w.Tunnel {
		list = append(list, h.checkTunnel(w.VIPs)...)
	}
	for _, vip := range w.VIPs {
		if !h.unitWants(vip.String()) {
			list = append(list, Finding{Hint: true, Text: fmt.Sprintf("no unit puts %v up after a reboot", vip), Cure: up(w) + " -persist"})
		}
	}
	if len(list) > 0 && !h.systemd() && h.unitWants(w.VIPs[0].String()) {
		list = append(list, Finding{Hint: true, Text: "systemd does not run here, so that its unit does nothing after a reboot",
			Cure: "have whatever starts this host run: " + up(w)})
	}
	return list, nil
}

// systemd says whether it runs this host.
func (h *Host) systemd() bool {
	_, err := os.Stat(h.options.Systemd)
	return err == nil
}

// answering finds the device on which this host answers neighbours for an
// address, whatever the settings are; "": none.
func (h *Host) answering(vip netip.Addr) (name string, prefix netip.Prefix) {
	for l := range h.net.Links().All() {
		if a := l.Address(vip); a != nil && l.Name != device && !l.NoARP {
			return l.Name, a.Prefix
		}
	}
	return "", netip.Prefix{}
}

// quiet finds a device besides lo that has an address and no neighbours, such as
// a dummy or tunl0; "": none.
func (h *Host) quiet(vip netip.Addr) string {
	for l := range h.net.Links().All() {
		if l.Address(vip) != nil && l.Name != device && l.NoARP && l.Up {
			return l.Name
		}
	}
	return ""
}

func up(w Wanted) string {
	s := "evenkeel realserver up"
	if w.Tunnel {
		s += " -tunnel"
	}
	return s + " " + strings.ReplaceAll(join(w.VIPs), ",", "")
}

// checkAddress is about where an address is.
func (h *Host) checkAddress(vip netip.Addr) []Finding {
	var list []Finding
	on := false
	for l := range h.net.Links().All() {
		a := l.Address(vip)
		if a == nil {
			continue
		}
		switch {
		case l.Name != device && l.NoARP:
			on = on || l.Up
			list = append(list, Finding{OK: l.Up, Text: fmt.Sprintf("%v is on %s, which has no neighbours", vip, l.Name), Cure: "ip link set " + l.Name + " up"})
		case l.Name != device:
			list = append(list, Finding{Text: fmt.Sprintf("%v is on %s, where this host answers for it beside the director", vip, l.Name),
				Cure: fmt.Sprintf("if it is the virtual address: ip address del %v dev %s; if it is this host's own, name the director's", a.Prefix, l.Name)})
		case a.Prefix.Bits() != vip.BitLen():
			on = true
			list = append(list, Finding{Text: fmt.Sprintf("%v is on %s with a prefix of /%d: the whole network is taken for this host's own", vip, device, a.Prefix.Bits()),
				Cure: fmt.Sprintf("ip address del %v dev %s, then evenkeel realserver up %v", a.Prefix, device, vip)})
		case a.Tentative():
			on = true
			list = append(list, Finding{Text: fmt.Sprintf("%v is on %s but cannot be used: duplicate address detection holds it", vip, device),
				Cure: fmt.Sprintf("ip address del %v dev %s, then evenkeel realserver up %v", a.Prefix, device, vip)})
		default:
			on = true
			list = append(list, Finding{OK: true, Text: fmt.Sprintf("%v is on %s", vip, device)})
		}
	}
	if !on {
		list = append(list, Finding{Text: fmt.Sprintf("%v is not on %s: this host drops packets to it", vip, device), Cure: fmt.Sprintf("evenkeel realserver up %v", vip)})
	}
	if l := h.net.Links().ByName(device); l != nil && !l.Up {
		list = append(list, Finding{Text: device + " is down", Cure: "ip link set lo up"})
	}
	return list
}

// checkARP looks at what counts for each interface: the larger of its own
// setting and that of all.
func (h *Host) checkARP() []Finding {
	var list []Finding
	for _, c := range sysctls()[:2] {
		short := c.name[strings.LastIndexByte(c.name, '/')+1:]
		all, _ := h.read("net/ipv4/conf/all/" + short)
		wrong := false
		for l := range h.net.Links().All() {
			if !answersARP(l) {
				continue
			}
			own, ok := h.read("net/ipv4/conf/" + l.Name + "/" + short)
			if v := max(own, all); ok && !c.enough(v) {
				wrong = true
				list = append(list, Finding{Text: fmt.Sprintf("%s is %d on %s: %s", short, v, l.Name, c.why),
					Cure: fmt.Sprintf("sysctl -w net.ipv4.conf.all.%s=%d", short, c.value)})
			}
		}
		if !wrong {
			list = append(list, Finding{OK: true, Text: fmt.Sprintf("%s is as it has to be (%d for all)", short, all)})
		}
	}
	return list
}

func answersARP(l *netconf.LinkState) bool {
	return l.Name != device && l.Up && !l.NoARP && l.MAC != [6]byte{}
}

// checkTunnel is content with any that works.
func (h *Host) checkTunnel(vips []netip.Addr) []Finding {
	text := "tunnelled packets are not unwrapped"
	for _, u := range h.options.Tunnels {
		err := u.Works(vips)
		if err == nil {
			return []Finding{{OK: true, Text: fmt.Sprintf("tunnelled packets are unwrapped (%s)", u.Name())}}
		}
		text += fmt.Sprintf("; %s: %v", u.Name(), err)
	}
	return []Finding{{Text: text, Cure: up(Wanted{VIPs: vips, Tunnel: true})}}
}
