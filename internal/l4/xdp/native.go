package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
)

// loadNative loads the XDP program onto the maps of the tc program.
func loadNative(m *directorMaps, options ebpf.CollectionOptions) (*driverObjects, error) {
	spec, err := loadDriver()
	if err != nil {
		return nil, err
	}
	options.MapReplacements = map[string]*ebpf.Map{
		directorMapBlocks: m.Blocks, directorMapCacheds: m.Cacheds, directorMapDestCounters: m.DestCounters, directorMapDestStates: m.DestStates,
		directorMapDests: m.Dests, directorMapDrops: m.Drops, directorMapFlows4: m.Flows4, directorMapFlows6: m.Flows6,
		directorMapFragments: m.Fragments, directorMapHops: m.Hops, directorMapLearnedHops: m.LearnedHops,
		directorMapLedgers: m.Ledgers, directorMapRanges: m.Ranges, directorMapRing4s: m.Ring4s, directorMapRing6s: m.Ring6s,
		directorMapScratches: m.Scratches, directorMapServiceStates: m.ServiceStates, directorMapServices: m.Services,
		directorMapSettings: m.Settings, directorMapSweepers: m.Sweepers,
	}
	for name := range options.MapReplacements {
		if s := spec.Maps[name]; s == nil {
			delete(options.MapReplacements, name)
		} else {
			s.MaxEntries = options.MapReplacements[name].MaxEntries()
			s.Pinning = ebpf.PinNone
		}
	}
	if options.Maps.PinPath == "" {
		spec.Maps[driverMapXdpPorts].Pinning = ebpf.PinNone
	}
	var objects driverObjects
	if err := spec.LoadAndAssign(&objects, &options); err != nil {
		return nil, fmt.Errorf("load the director for XDP: %w", err)
	}
	return &objects, nil
}

// attachNative puts XDP before tc. What XDP leaves alone for want of a known
// neighbour, tc sends.
func (p *Plane) attachNative(l netlink.Link) (*attachment, error) {
	if err := p.port(l); err != nil {
		return nil, err
	}
	on := attacher{pin: p.opts.Pin, prog: p.fast.DirectorXdp}
	return on.keepLink(l, "xdp", func() (link.Link, error) {
		made, err := link.AttachXDP(link.XDPOptions{Interface: l.Attrs().Index, Program: p.fast.DirectorXdp, Flags: link.XDPDriverMode})
		if err != nil {
			return nil, fmt.Errorf("XDP in the driver (mode tcx works on every interface): %w", err)
		}
		return made, nil
	})
}

// port tells the program an interface's hardware address.
func (p *Plane) port(l netlink.Link) error {
	mac := l.Attrs().HardwareAddr
	if len(mac) != 6 {
		return errors.New("it is no Ethernet interface")
	}
	var b [8]byte
	copy(b[:], mac)
	record := driverPort{Mac: [2]uint32{binary.NativeEndian.Uint32(b[:]), binary.NativeEndian.Uint32(b[4:])}}
	return p.fast.XdpPorts.Put(uint32(l.Attrs().Index), &record)
}

// renewPort follows a change of an interface's hardware address.
func (p *Plane) renewPort(l netlink.Link) {
	if p.fast == nil {
		return
	}
	if err := p.port(l); err != nil {
		p.opts.Log.Error("XDP", "interface", l.Attrs().Name, "error", err)
	}
}

func (p *Plane) forgetPort(a *attachment) {
	if p.fast != nil && a.kind == "xdp" {
		_ = p.fast.XdpPorts.Delete(uint32(a.index)) // it may have none
	}
}
