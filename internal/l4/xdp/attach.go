package xdp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The names and priorities tell our clsact filters from others'. A host that is
// director and real server unwraps first.
const (
	filterName     = "evenkeel"
	filterPriority = 49000
	decapName      = "evenkeel-decap"
	decapPriority  = 48990
)

// egressKind ends the kinds of attachments to what goes out.
const egressKind = "-egress"

// attachment is a program on one interface: a link, or a clsact filter.
type attachment struct {
	name   string
	index  int
	kind   string // tcx, tcx-egress, xdp, clsact, clsact-egress
	link   link.Link
	path   string // where the link is pinned
	filter *netlink.BpfFilter
	handle *netlink.Handle // of the namespace that filter is in
}

// attach puts the director on the interfaces that there are now. On those where
// an earlier process left it, the program is exchanged: no packet passes
// without one.
func (p *Plane) attach() error {
	if err := p.maps.Entries.Put(uint32(0), p.prog); err != nil {
		return fmt.Errorf("the way from one program to the other: %w", err)
	}
	links, err := interfaces(p.opts.Interfaces)
	if err != nil {
		return err
	}
	for _, l := range links {
		if err := p.attachTo(l); err != nil {
			return fmt.Errorf("attach to %s: %w", l.Attrs().Name, err)
		}
	}
	return p.attachLoopback()
}

// attachTo puts the director on one interface.
func (p *Plane) attachTo(l netlink.Link) error {
	on := attacher{mode: p.opts.Mode, pin: p.opts.Pin, prog: p.prog}
	a, err := on.attachTo(l)
	if err != nil {
		return err
	}
	p.note(a)
	if p.opts.Mode != Native {
		return nil
	}
	if a, err = p.attachNative(l); err != nil {
		return err
	}
	p.note(a)
	return nil
}

func (p *Plane) note(a *attachment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.attached = append(p.attached, a)
}

// interfaces are those that are named, or all of Ethernet.
func interfaces(names []string) (list []netlink.Link, err error) {
	if len(names) > 0 {
		for _, name := range names {
			l, err := netlink.LinkByName(name)
			if err != nil {
				return nil, fmt.Errorf("interface %s: %w", name, err)
			}
			list = append(list, l)
		}
		return list, nil
	}
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("interfaces: %w", err)
	}
	if list = wanted(nil, links); len(list) == 0 {
		return nil, errors.New("this host has no Ethernet interface")
	}
	return list, nil
}

// wanted are the interfaces that the director goes on, of all that there are.
func wanted(names []string, links []netlink.Link) (list []netlink.Link) {
	kinds := make(map[int]string, len(links))
	for _, l := range links {
		kinds[l.Attrs().Index] = l.Type()
	}
	for _, l := range links {
		a := l.Attrs()
		if len(names) > 0 {
			if slices.Contains(names, a.Name) {
				list = append(list, l)
			}
			continue
		}
		// A bridge's or bond's ports hand their packets to it. A VRF has no
		// packets of its own.
		if a.EncapType != "ether" || l.Type() == "vrf" || a.MasterIndex != 0 && kinds[a.MasterIndex] != "vrf" {
			continue
		}
		list = append(list, l)
	}
	return list
}

// attacher is how to put one program on interfaces.
type attacher struct {
	mode   Mode
	pin    string
	prog   *ebpf.Program
	egress bool

	// Of clsact filters; zero: the director's.
	filter   string
	priority uint16
}

func (p *attacher) attachTo(l netlink.Link) (*attachment, error) {
	mode := p.mode
	if mode == Auto || mode == Native || mode == TCX {
		a, err := p.attachTCX(l)
		if err == nil || mode == TCX || !errors.Is(err, ebpf.ErrNotSupported) {
			return a, err
		}
		mode = Clsact
	}
	if mode == Clsact {
		return p.attachClsact(l)
	}
	return nil, fmt.Errorf("there is no mode %q", mode)
}

func (p *attacher) attachTCX(l netlink.Link) (*attachment, error) {
	kind, hook := "tcx", ebpf.AttachTCXIngress
	if p.egress {
		kind, hook = "tcx"+egressKind, ebpf.AttachTCXEgress
	}
	return p.keepLink(l, kind, func() (link.Link, error) {
		return link.AttachTCX(link.TCXOptions{Interface: l.Attrs().Index, Program: p.prog, Attach: hook})
	})
}

// keepLink takes a pinned link over, or makes one and pins it where that is
// wanted.
func (p *attacher) keepLink(l netlink.Link, kind string, make func() (link.Link, error)) (*attachment, error) {
	a := &attachment{name: l.Attrs().Name, index: l.Attrs().Index, kind: kind}
	path := ""
	if p.pin != "" {
		path = linkPath(p.pin, kind, l.Attrs().Index)
		old, err := link.LoadPinnedLink(path, nil)
		if err == nil {
			if err = old.Update(p.prog); err == nil {
				a.link, a.path = old, path
				return a, nil
			}
			// Its interface is gone, and another has the number now.
			old.Close()
			os.Remove(path)
		} else if !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	made, err := make()
	if err != nil {
		return nil, err
	}
	a.link = made
	if path != "" {
		if err := made.Pin(path); err != nil {
			made.Close()
			return nil, err
		}
		a.path = path
	}
	return a, nil
}

// linkPath is where the link of an interface is pinned.
func linkPath(pin, kind string, index int) string {
	return filepath.Join(pin, "links", kind+"-"+strconv.Itoa(index))
}

func (p *attacher) attachClsact(l netlink.Link) (*attachment, error) {
	qdisc := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: l.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	if err := handle.QdiscAdd(qdisc); err != nil && !errors.Is(err, os.ErrExist) {
		handle.Close()
		return nil, fmt.Errorf("qdisc clsact: %w", err)
	}
	name, priority := p.filter, p.priority
	if priority == 0 {
		name, priority = filterName, filterPriority
	}
	kind, parent := "clsact", uint32(netlink.HANDLE_MIN_INGRESS)
	if p.egress {
		kind, parent = "clsact"+egressKind, netlink.HANDLE_MIN_EGRESS
	}
	filter := &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: l.Attrs().Index, Parent: parent, Handle: 1,
			Protocol: unix.ETH_P_ALL, Priority: priority,
		},
		Fd: p.prog.FD(), Name: name, DirectAction: true,
	}
	if err := handle.FilterReplace(filter); err != nil {
		handle.Close()
		return nil, fmt.Errorf("filter: %w", err)
	}
	return &attachment{name: l.Attrs().Name, index: l.Attrs().Index, kind: kind, filter: filter, handle: handle}, nil
}

// gone is what is left to do when the interface is no more, or no place for the
// program any more.
func (a *attachment) gone() {
	if a.path != "" {
		os.Remove(a.path)
	}
	_ = a.close(false) // with the interface it went by itself
}

// close detaches, unless it is kept.
func (a *attachment) close(keep bool) error {
	if a.link != nil {
		return a.link.Close()
	}
	defer a.handle.Close()
	if keep {
		return nil
	}
	if err := a.handle.FilterDel(a.filter); err != nil && !errors.Is(err, unix.ENODEV) && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s: remove the filter: %w", a.name, err)
	}
	return nil
}

// detachAll unpins the links in a directory, and removes filters of ours that
// are on this host's interfaces.
func detachAll(directory string) error {
	var errs []error
	if err := os.RemoveAll(directory); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(append(errs, removeFilters(filterPriority))...)
}

// removeFilters takes filters of ours off every interface.
func removeFilters(priority uint16) error {
	links, err := netlink.LinkList()
	if err != nil {
		return err
	}
	var errs []error
	for _, l := range links {
		for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
			if f := findFilter(l, parent, priority); f != nil {
				errs = append(errs, netlink.FilterDel(f))
			}
		}
	}
	return errors.Join(errs...)
}

// findFilter is the filter of ours on an interface; nil: it has none.
func findFilter(l netlink.Link, parent uint32, priority uint16) *netlink.BpfFilter {
	filters, err := netlink.FilterList(l, parent)
	if err != nil {
		return nil
	}
	for _, f := range filters {
		if b, ok := f.(*netlink.BpfFilter); ok && b.Priority == priority {
			return b
		}
	}
	return nil
}
