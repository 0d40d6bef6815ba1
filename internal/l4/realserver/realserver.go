package realserver

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"evenkeel/internal/netconf"
)

// owner is whom netconf does this for.
const owner = "realserver"

// device has the virtual addresses: one that no neighbour is behind.
const device = "lo"

// DefaultState is where what was changed is written down.
const DefaultState = "/var/lib/evenkeel/realserver.json"

// Unwrapper takes the outer header off tunnelled packets to virtual addresses,
// and goes on without the process.
type Unwrapper interface {
	Name() string
	// Available says why it cannot be had for these addresses; nil: it can.
	Available(vips []netip.Addr) error
	// Up is for these addresses and no others. changed is false when it was so
	// before, without us.
	Up(vips []netip.Addr) (changed bool, err error)
	Down() error
	Works(vips []netip.Addr) error // nil: packets are unwrapped
}

// Options of Host.
type Options struct {
	State   string // file; "": DefaultState
	Proc    string // "": /proc/sys
	Units   string // directory of systemd's units; "": /etc/systemd/system
	Systemd string // is there where systemd runs; "": /run/systemd/system
	BootID  string // of this boot; "": the kernel's
	Program string // path of this program, for the unit

	// Tunnels can unwrap packets of TUN, the best first.
	Tunnels []Unwrapper
}

func (o Options) withDefaults() Options {
	set := func(to *string, value string) {
		if *to == "" {
			*to = value
		}
	}
	set(&o.State, DefaultState)
	set(&o.Proc, "/proc/sys")
	set(&o.Units, "/etc/systemd/system")
	set(&o.Systemd, "/run/systemd/system")
	if o.BootID == "" {
		b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
		o.BootID = strings.TrimSpace(string(b))
	}
	return o
}

// Host is a real server. It belongs to one goroutine, on a thread of the
// network namespace that is meant.
type Host struct {
	options Options
	net     *netconf.Host
}

// Open reads the host's addresses.
func Open(o Options) (*Host, error) {
	o = o.withDefaults()
	n, err := netconf.Open(netconf.Options{Proc: o.Proc})
	if err != nil {
		return nil, err
	}
	return &Host{options: o, net: n}, nil
}

// Close changes nothing on the host.
func (h *Host) Close() error { return h.net.Close() }

// Wanted is what up is asked for.
type Wanted struct {
	VIPs    []netip.Addr
	Tunnel  bool // packets come through a tunnel (TUN)
	Persist bool // do it again after a reboot
}

// sysctl is one setting that keeps this host from answering ARP for addresses
// that are not the asked interface's.
type sysctl struct {
	name  string
	value int
	// enough says that a value does what is needed, too.
	enough func(int) bool
	why    string
}

func sysctls() []sysctl {
	var list []sysctl
	for _, scope := range []string{"all", device} {
		list = append(list,
			sysctl{"net/ipv4/conf/" + scope + "/arp_ignore", 1, func(v int) bool { return v >= 1 },
				"this host answers ARP for the virtual address, and clients go past the director"},
			sysctl{"net/ipv4/conf/" + scope + "/arp_announce", 2, func(v int) bool { return v >= 2 },
				"this host asks for neighbours in the virtual address's name, and they take it for its owner"})
	}
	return list
}

// read is a sysctl's number; false where the kernel has it not.
func (h *Host) read(name string) (int, bool) {
	b, err := os.ReadFile(filepath.Join(h.options.Proc, name))
	if err != nil {
		return 0, false
	}
	v, err := strconv.Atoi(strings.TrimSpace(string(b)))
	return v, err == nil
}

func address(vip netip.Addr) netconf.Address {
	a := netconf.Address{Prefix: netip.PrefixFrom(vip, vip.BitLen()), Device: device}
	if vip.Is4() {
		a.Scope = "host" // never the source of what this host begins
	}
	return a
}

// Up does what is not done yet, and writes down what it is about to do before
// it does it: whatever stops it, Down undoes all.
func (h *Host) Up(w Wanted) (done []string, err error) {
	if err := check(w.VIPs); err != nil {
		return nil, err
	}
	s, err := h.load()
	if err != nil {
		return nil, err
	}
	var config netconf.Config
	for _, vip := range w.VIPs {
		on, prefix := h.answering(vip)
		if on != "" && !slices.Contains(s.VIPs, vip) {
			return nil, fmt.Errorf("%v is on %s, where this host answers for it: if it is this host's own address, name the director's; if it is the virtual one, take it off there first: ip address del %v dev %s",
				vip, on, prefix, on)
		}
		if h.net.Links().ByName(device).Address(vip) != nil || h.quiet(vip) != "" {
			continue
		}
		config.Addresses = append(config.Addresses, address(vip))
		s.Addresses = addUnique(s.Addresses, vip)
		done = append(done, fmt.Sprintf("%v is on %s", vip, device))
	}
	if slices.ContainsFunc(w.VIPs, netip.Addr.Is4) {
		for _, c := range sysctls() {
			v, ok := h.read(c.name)
			if ok && c.enough(v) {
				continue
			}
			value := strconv.Itoa(c.value)
			config.Sysctls = append(config.Sysctls, netconf.Sysctl{Name: c.name, Value: value})
			s.remember(c.name, strconv.Itoa(v), value)
			done = append(done, fmt.Sprintf("%s is %s (was %d)", strings.ReplaceAll(c.name, "/", "."), value, v))
		}
	}
	s.VIPs = w.VIPs
	var tunnel Unwrapper
	if w.Tunnel {
		if tunnel, err = h.tunnel(s, w.VIPs); err != nil {
			return nil, err
		}
	}
	s.Unit = s.Unit || w.Persist
	if err := h.save(s); err != nil {
		return nil, err
	}
	// ARP has to be quiet before the address is there: netconf sets sysctls
	// first.
	if len(config.Addresses)+len(config.Sysctls) > 0 {
		if _, err := h.net.Set(owner, config); err != nil {
			return nil, err
		}
	}
	extra, err := h.finishUp(s, w, tunnel)
	return append(done, extra...), err
}

// tunnel is what unwraps packets: what did so before, or the best there is.
func (h *Host) tunnel(s *state, vips []netip.Addr) (Unwrapper, error) {
	if u := h.named(s.Tunnel); u != nil {
		return u, nil
	}
	why := []error{errors.New("tunnelled packets cannot be unwrapped here")}
	for _, u := range h.options.Tunnels {
		err := u.Available(vips)
		if err == nil {
			return u, nil
		}
		why = append(why, fmt.Errorf("%s: %w", u.Name(), err))
	}
	return nil, errors.Join(why...)
}

func (h *Host) named(name string) Unwrapper {
	for _, u := range h.options.Tunnels {
		if name != "" && u.Name() == name {
			return u
		}
	}
	return nil
}

// finishUp is about addresses that are no longer asked for, the tunnel and the
// unit.
func (h *Host) finishUp(s *state, w Wanted, tunnel Unwrapper) (done []string, err error) {
	var gone []netip.Addr
	for _, a := range s.Addresses {
		if !slices.Contains(w.VIPs, a) {
			gone = append(gone, a)
		}
	}
	if len(gone) > 0 {
		if err := h.removeAddresses(gone); err != nil {
			return nil, err
		}
		s.Addresses = slices.DeleteFunc(s.Addresses, func(a netip.Addr) bool { return slices.Contains(gone, a) })
		done = append(done, fmt.Sprintf("%s no longer on %s", join(gone), device))
	}
	old := h.named(s.Tunnel)
	switch {
	case tunnel != nil:
		if s.Tunnel == "" {
			// So that Down knows of it if this is where we are stopped.
			s.Tunnel = tunnel.Name()
			if err := h.save(s); err != nil {
				return done, err
			}
		}
		changed, err := tunnel.Up(w.VIPs)
		if err != nil {
			return done, fmt.Errorf("unwrapping tunnelled packets: %s: %w", tunnel.Name(), err)
		}
		if !changed && old == nil {
			s.Tunnel = ""
		}
		done = append(done, fmt.Sprintf("tunnelled packets to %s are unwrapped (%s)", join(w.VIPs), tunnel.Name()))
	case old != nil:
		if err := old.Down(); err != nil {
			return done, fmt.Errorf("unwrapping tunnelled packets: %s: %w", old.Name(), err)
		}
		s.Tunnel = ""
		done = append(done, "tunnelled packets are no longer unwrapped")
	}
	if w.Persist {
		changed, err := h.writeUnit(w)
		if err != nil {
			return done, err
		}
		switch {
		case changed && h.systemd():
			done = append(done, fmt.Sprintf("%s does this after a reboot", unitName))
		case changed:
			done = append(done, fmt.Sprintf("%s is written; systemd does not run here, and whatever starts this host has to run the command instead", unitName))
		}
	}
	return done, h.save(s)
}

// Down undoes what Up did: addresses that it added, sysctls that still have its
// values, the tunnel's end, and the unit unless keepUnit.
func (h *Host) Down(keepUnit bool) (done []string, err error) {
	s, err := h.load()
	if err != nil {
		return nil, err
	}
	var errs []error
	if len(s.Addresses) > 0 {
		errs = append(errs, h.removeAddresses(s.Addresses))
		done = append(done, fmt.Sprintf("%s no longer on %s", join(s.Addresses), device))
	}
	if u := h.named(s.Tunnel); u != nil {
		errs = append(errs, u.Down())
		done = append(done, "tunnelled packets are no longer unwrapped")
	}
	// The addresses are gone before ARP is answered freely again.
	for _, old := range slices.Backward(s.Sysctls) {
		v, ok := h.read(old.Name)
		if !ok || strconv.Itoa(v) != old.Set || old.Set == old.Former {
			continue // somebody else has changed it since
		}
		if err := os.WriteFile(filepath.Join(h.options.Proc, old.Name), []byte(old.Former+"\n"), 0); err != nil {
			errs = append(errs, fmt.Errorf("sysctl %s: %w", old.Name, err))
			continue
		}
		done = append(done, fmt.Sprintf("%s is %s again", strings.ReplaceAll(old.Name, "/", "."), old.Former))
	}
	if s.Unit && !keepUnit {
		errs = append(errs, h.removeUnit())
		done = append(done, unitName+" is gone")
	}
	if err := errors.Join(errs...); err != nil {
		return done, err // the state stays, so that it can be tried again
	}
	left := &state{}
	if keepUnit {
		left.Unit = s.Unit
	}
	return done, h.save(left)
}

// removeAddresses takes away those that are there. It speaks to the kernel by
// itself: what Set was told in this process is not in its way.
func (h *Host) removeAddresses(list []netip.Addr) error {
	n, err := netconf.Open(netconf.Options{Proc: h.options.Proc})
	if err != nil {
		return err
	}
	defer n.Close()
	var config netconf.Config
	for _, a := range list {
		config.Addresses = append(config.Addresses, address(a))
	}
	if _, err := n.Adopt(owner, config, netconf.Known); err != nil {
		return err
	}
	return n.Remove(owner)
}

func check(vips []netip.Addr) error {
	if len(vips) == 0 {
		return errors.New("which virtual addresses?")
	}
	for _, a := range vips {
		if !a.IsValid() || a.Zone() != "" || a.Is4In6() || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a.IsLinkLocalUnicast() {
			return fmt.Errorf("%v cannot be a virtual address: want a unicast address that clients ask for", a)
		}
	}
	return nil
}

func addUnique(list []netip.Addr, a netip.Addr) []netip.Addr {
	if slices.Contains(list, a) {
		return list
	}
	return append(list, a)
}

func join(list []netip.Addr) string {
	words := make([]string, len(list))
	for i, a := range list {
		words[i] = a.String()
	}
	return strings.Join(words, ", ")
}
