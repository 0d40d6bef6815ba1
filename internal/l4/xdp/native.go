package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
)

// xdpKind is the kind of XDP's attachments.
const xdpKind = "xdp"

// loadNative loads the XDP program onto the maps of the tc program.
func loadNative(m *directorMaps, flows uint32, options ebpf.CollectionOptions) (*driverObjects, error) {
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
		directorMapSettings: m.Settings, directorMapSweepers: m.Sweepers, directorMapTellings: m.Tellings, directorMapChanges: m.Changes,
		directorMapFast4s: m.Fast4s, directorMapFastLines: m.FastLines,
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
	if err := sizeFast(spec, flows); err != nil {
		return nil, err
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
	return on.keepLink(l, xdpKind, func() (link.Link, error) {
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
	if p.fast == nil || !p.hasXDP(l.Attrs().Index) {
		return
	}
	if err := p.port(l); err != nil {
		p.opts.Log.Error("XDP", "interface", l.Attrs().Name, "error", err)
	}
}

func (p *Plane) forgetPort(a *attachment) {
	if p.fast != nil && a.kind == xdpKind {
		_ = p.fast.XdpPorts.Delete(uint32(a.index)) // it may have none
	}
}

// refusal is why an interface that is to have XDP has none. It has been said.
type refusal int

const (
	byDriver  refusal = iota + 1
	byAbsence         // it is tried when it comes
	byVLANs           // it is tried when that is over
)

// followXDP has the program in the drivers of the interfaces that the
// configuration names, and only there. tc is on all of them: an interface that
// cannot have it forwards all the same, and that is said once.
func (p *Plane) followXDP(links, all []netlink.Link) {
	p.mu.Lock()
	names, told := p.config.XDP, p.told
	p.mu.Unlock()
	if p.opts.Mode == Native || !told {
		return
	}
	for _, l := range links {
		name := l.Attrs().Name
		if !slices.Contains(names, name) {
			p.leaveXDP(l.Attrs().Index)
			delete(p.refused, name)
			continue
		}
		hidden := hidesVLANs(l, all)
		switch {
		case hidden != nil:
			p.leaveXDP(l.Attrs().Index)
			if p.refused[name] != byVLANs {
				p.refused[name] = byVLANs
				p.opts.Log.Warn("lvs_xdp: this interface forwards by tc", "interface", name, "error", hidden)
			}
		case p.hasXDP(l.Attrs().Index) || p.refused[name] == byDriver:
		default:
			delete(p.refused, name)
			if err := p.startXDP(l); err != nil {
				p.refused[name] = byDriver
				p.opts.Log.Warn("lvs_xdp: this interface forwards by tc", "interface", name, "error", err)
			}
		}
	}
	for _, name := range names {
		here := slices.ContainsFunc(links, func(l netlink.Link) bool { return l.Attrs().Name == name })
		if !here && p.refused[name] != byAbsence {
			p.refused[name] = byAbsence
			p.opts.Log.Warn("lvs_xdp: there is no such interface, or it is the port of a bridge or bond", "interface", name)
		}
	}
}

func (p *Plane) startXDP(l netlink.Link) error {
	if p.fast == nil {
		fast, err := loadNative(&p.maps, p.opts.MaxFlows, p.loading)
		if err != nil {
			return err
		}
		p.fast = fast
		if err := p.forgetPorts(); err != nil {
			return err
		}
	}
	a, err := p.attachNative(l)
	if err != nil {
		_ = p.fast.XdpPorts.Delete(uint32(l.Attrs().Index))
		return err
	}
	p.note(a)
	p.opts.Log.Info("XDP", "interface", a.name)
	return nil
}

// leaveXDP takes the program out of a driver, also one that an earlier process
// left there.
func (p *Plane) leaveXDP(index int) {
	p.detach(func(a *attachment) bool { return a.index == index && a.kind == xdpKind })
	if p.opts.Pin != "" {
		_ = os.Remove(linkPath(p.opts.Pin, xdpKind, index)) // there is none as a rule
	}
}

func (p *Plane) hasXDP(index int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.attached, func(a *attachment) bool { return a.index == index && a.kind == xdpKind })
}

// forgetPorts removes what an earlier process left of interfaces that have no
// program any more: nothing may be sent out of those.
func (p *Plane) forgetPorts() error {
	var index uint32
	var record driverPort
	var gone []uint32
	for all := p.fast.XdpPorts.Iterate(); all.Next(&index, &record); {
		if _, err := os.Stat(linkPath(p.opts.Pin, xdpKind, int(index))); err != nil {
			gone = append(gone, index)
		}
	}
	for _, index := range gone {
		if err := p.fast.XdpPorts.Delete(index); err != nil {
			return fmt.Errorf("XDP's interfaces: %w", err)
		}
	}
	return nil
}
