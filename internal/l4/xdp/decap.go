package xdp

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
)

// Decapsulator is a real server's end of TUN: a program on its interfaces that
// takes the outer header off packets to its virtual addresses.
type Decapsulator struct {
	objects decapObjects
	links   []*attachment
	pinned  bool
}

// DecapOptions are how to open a Decapsulator.
type DecapOptions struct {
	Interfaces []string // none: every Ethernet interface
	Mode       Mode     // Auto, TCX or Clsact
	Pin        string   // as in Options: it works on without this process
}

// OpenDecapsulator attaches the program. It knows no addresses before Set,
// except those that it left in Pin earlier.
func OpenDecapsulator(o DecapOptions) (*Decapsulator, error) {
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("memory limit for maps: %w", err)
	}
	spec, err := loadDecap()
	if err != nil {
		return nil, err
	}
	options := ebpf.CollectionOptions{}
	if o.Pin == "" {
		for _, m := range spec.Maps {
			m.Pinning = ebpf.PinNone
		}
	} else {
		options.Maps.PinPath = filepath.Join(o.Pin, "maps")
		if err := keepDirectory(o.Pin); err != nil {
			return nil, err
		}
	}
	d := &Decapsulator{pinned: o.Pin != ""}
	if err := spec.LoadAndAssign(&d.objects, &options); err != nil {
		return nil, fmt.Errorf("load the decapsulation: %w", err)
	}
	names, err := interfaces(o.Interfaces)
	if err != nil {
		d.Close()
		return nil, err
	}
	on := attacher{mode: o.Mode, pin: o.Pin, prog: d.objects.Decapsulate}
	for _, name := range names {
		a, err := on.attachTo(name)
		if err != nil {
			d.Close()
			return nil, fmt.Errorf("attach to %s: %w", name, err)
		}
		d.links = append(d.links, a)
	}
	return d, nil
}

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
		if err := d.objects.VirtualAddresses.Delete(&k); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
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

// Close ends it, unless it is pinned.
func (d *Decapsulator) Close() error {
	var errs []error
	for _, a := range d.links {
		errs = append(errs, a.close(d.pinned))
	}
	return errors.Join(append(errs, d.objects.Close())...)
}
