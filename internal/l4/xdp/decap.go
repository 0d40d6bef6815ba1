package xdp

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"github.com/vishvananda/netlink"
)

// Decapsulator is a real server's end of TUN: a program on its interfaces that
// takes the outer header off packets to its virtual addresses.
type Decapsulator struct {
	objects decapObjects
	links   []*attachment
	keep    bool
}

// DecapOptions are how to open a Decapsulator.
type DecapOptions struct {
	Interfaces []string     // none: every Ethernet interface
	Mode       Mode         // Auto, TCX or Clsact
	Addresses  []netip.Addr // as Set, before the first packet comes

	// Keep has it work on without this process, and needs no file system for
	// that: the filters of clsact hold the program, and the program its
	// addresses. One that was kept before is exchanged without a gap.
	Keep bool
}

// OpenDecapsulator attaches the program.
func OpenDecapsulator(o DecapOptions) (*Decapsulator, error) {
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("memory limit for maps: %w", err)
	}
	spec, err := loadDecap()
	if err != nil {
		return nil, err
	}
	for _, m := range spec.Maps {
		m.Pinning = ebpf.PinNone
	}
	if o.Keep {
		o.Mode = Clsact
	}
	d := &Decapsulator{keep: o.Keep}
	if err := spec.LoadAndAssign(&d.objects, nil); err != nil {
		return nil, fmt.Errorf("load the decapsulation: %w", err)
	}
	if err := d.open(o); err != nil {
		d.keep = false
		d.Close()
		return nil, err
	}
	return d, nil
}

func (d *Decapsulator) open(o DecapOptions) error {
	if err := d.Set(o.Addresses...); err != nil {
		return err
	}
	links, err := interfaces(o.Interfaces)
	if err != nil {
		return err
	}
	on := attacher{mode: o.Mode, prog: d.objects.Decapsulate, filter: decapName, priority: decapPriority}
	for _, l := range links {
		a, err := on.attachTo(l)
		if err != nil {
			return fmt.Errorf("attach to %s: %w", l.Attrs().Name, err)
		}
		d.links = append(d.links, a)
	}
	return nil
}

// Decapsulates looks for what was kept: nil says that packets to these addresses
// are unwrapped on every Ethernet interface of this host.
func Decapsulates(addresses []netip.Addr) error {
	links, err := interfaces(nil)
	if err != nil {
		return err
	}
	for _, l := range links {
		name := l.Attrs().Name
		f := findFilter(l, netlink.HANDLE_MIN_INGRESS, decapPriority)
		if f == nil {
			return fmt.Errorf("the program is not attached to %s", name)
		}
		if err := keptAddresses(ebpf.ProgramID(f.Id), addresses); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// keptAddresses looks whether a program's map has the addresses.
func keptAddresses(id ebpf.ProgramID, addresses []netip.Addr) error {
	program, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return fmt.Errorf("the program cannot be looked at: %w", err)
	}
	defer program.Close()
	info, err := program.Info()
	if err != nil {
		return err
	}
	maps, _ := info.MapIDs()
	for _, id := range maps {
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			return err
		}
		if m.Type() != ebpf.Hash {
			m.Close()
			continue
		}
		defer m.Close()
		for _, a := range addresses {
			var one uint32
			if err := m.Lookup(&decapInnerKey{Addr: words(a)}, &one); err != nil {
				return fmt.Errorf("the program is there, but not for %v", a)
			}
		}
		return nil
	}
	return errors.New("the program that is attached there is another one")
}

// RemoveDecapsulator takes away what was kept.
func RemoveDecapsulator() error { return removeFilters(decapPriority) }

// Set says which virtual addresses packets are unwrapped for.
func (d *Decapsulator) Set(addresses ...netip.Addr) error {
	want := make(map[[4]uint32]bool)
	for _, a := range addresses {
		want[words(a)] = true
		if err := d.objects.VirtualAddresses.Put(&decapInnerKey{Addr: words(a)}, uint32(1)); err != nil {
			return fmt.Errorf("%v: %w", a, err)
		}
	}
	var old []decapInnerKey
	var k decapInnerKey
	var v uint32
	it := d.objects.VirtualAddresses.Iterate()
	for it.Next(&k, &v) {
		if !want[k.Addr] {
			old = append(old, k)
		}
	}
	if err := it.Err(); err != nil {
		return err
	}
	for _, k := range old {
		if err := unlessAbsent(d.objects.VirtualAddresses.Delete(&k)); err != nil {
			return err
		}
	}
	return nil
}

// DecapStats counts what was unwrapped, and what was not as it was for none of
// the addresses.
type DecapStats struct{ Packets, Bytes, Refused uint64 }

// Stats is what was done so far.
func (d *Decapsulator) Stats() (DecapStats, error) {
	var each []decapDecapCounters
	if err := d.objects.DecapCounts.Lookup(uint32(0), &each); err != nil {
		return DecapStats{}, err
	}
	var s DecapStats
	for _, c := range each {
		s.Packets += c.Packets
		s.Bytes += c.Bytes
		s.Refused += c.Refused
	}
	return s, nil
}

// Close ends it, unless it is kept.
func (d *Decapsulator) Close() error {
	var errs []error
	for _, a := range d.links {
		errs = append(errs, a.close(d.keep))
	}
	return errors.Join(append(errs, d.objects.Close())...)
}
