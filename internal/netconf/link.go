package netconf

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// link is one that owners want.
type link struct {
	wanted Link
	index  int
	owners []string
	ours   bool // made by us, or by an earlier run
}

// A linkKind is a type of link that goes on top of another.
type linkKind struct {
	modes map[string]uint32
	data  func(m *message, mode uint32) // IFLA_INFO_DATA
}

var linkKinds = map[string]linkKind{
	Macvlan: {
		modes: map[string]uint32{"": 1, "private": 1, "vepa": 2, "bridge": 4, "passthru": 8},
		data:  func(m *message, mode uint32) { m.uint32(unix.IFLA_MACVLAN_MODE, mode) },
	},
	IPvlan: {
		// The mode in the low half, flags of L2 in the high one.
		modes: map[string]uint32{"": 0, "l2": 0, "l3": 1, "l3s": 2, "bridge": 0, "private": ipvlanPrivate << 16, "vepa": ipvlanVEPA << 16},
		data: func(m *message, mode uint32) {
			m.attr(unix.IFLA_IPVLAN_MODE, native.AppendUint16(nil, uint16(mode)))
			if flags := uint16(mode >> 16); flags != 0 {
				m.attr(unix.IFLA_IPVLAN_FLAGS, native.AppendUint16(nil, flags))
			}
		},
	},
}

// IPVLAN_F_PRIVATE and IPVLAN_F_VEPA.
const (
	ipvlanPrivate = 1
	ipvlanVEPA    = 2
)

// String is the link in ip-link's words.
func (l Link) String() string {
	mac := ""
	if l.Kind == Macvlan {
		mac = macText(l.MAC)
	}
	return words("link", l.Name, optional("link", l.Base), optional("address", mac), optional("type", l.Kind), optional("mode", l.Mode))
}

func macText(m [6]byte) string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

func (l *Link) check() error {
	kind, ok := linkKinds[l.Kind]
	if !ok {
		return fmt.Errorf("the type %q is neither %s nor %s", l.Kind, Macvlan, IPvlan)
	}
	if _, ok := kind.modes[l.Mode]; !ok {
		return fmt.Errorf("%s has no mode %q", l.Kind, l.Mode)
	}
	for _, name := range []string{l.Name, l.Base} {
		if _, err := unix.NewIfreq(name); err != nil || name == "" {
			return fmt.Errorf("%q cannot be the name of a device", name)
		}
	}
	switch {
	case l.Name == l.Base:
		return errors.New("on top of itself")
	case l.Kind == Macvlan && (l.MAC[0]&1 != 0 || l.MAC == [6]byte{}):
		return fmt.Errorf("%s cannot be a station's address", macText(l.MAC))
	case l.Family != 4 && l.Family != 6:
		return errors.New("for neither IPv4 nor IPv6")
	case l.LinkLocal.IsValid() && !(l.LinkLocal.Is6() && l.LinkLocal.IsLinkLocalUnicast()):
		return fmt.Errorf("%v is not an IPv6 link-local address", l.LinkLocal)
	}
	return nil
}

// virtualRouter says that a MAC is of RFC 9568 7.3: nobody else makes links
// with it, so one that is there is of an earlier run.
func virtualRouter(mac [6]byte) bool {
	return mac[0] == 0 && mac[1] == 0 && mac[2] == 0x5e && mac[3] == 0 && (mac[4] == 1 || mac[4] == 2)
}

// makeLinks makes what is not there yet.
func (h *Host) makeLinks(owner string, links []Link, r *Result) (errs []error) {
	for i := range links {
		l := &links[i]
		err := l.check()
		if err == nil {
			err = h.makeLink(owner, l, r)
		}
		if err != nil {
			errs = append(errs, failure(owner, l.String(), err))
		}
	}
	return errs
}

func (h *Host) makeLink(owner string, l *Link, r *Result) error {
	base, err := h.describe(l.Base)
	if err != nil {
		return err
	}
	known := h.links[l.Name]
	if known != nil && known.wanted != *l && slices.ContainsFunc(known.owners, func(o string) bool { return o != owner }) {
		return fmt.Errorf("wanted otherwise by %s: %s", known.owners[0], known.wanted)
	}
	there, err := h.describe(l.Name)
	switch {
	case err != nil: // it is not there
		known = nil
	case there.Kind == l.Kind && there.Base == base.Index && (l.Kind != Macvlan || there.MAC == l.MAC):
		if known == nil {
			known = &link{ours: virtualRouter(there.MAC)}
		}
	case (known != nil && known.ours) || (there.Kind == Macvlan && virtualRouter(there.MAC)):
		if err := h.deleteLink(there.Index); err != nil {
			return fmt.Errorf("taking the former link of this name away: %w", err)
		}
		known = nil
	default:
		return fmt.Errorf("there is another link of this name that is not ours (%s %s)", there.Kind, macText(there.MAC))
	}
	if known == nil {
		if err := h.createLink(l, base.Index); err != nil {
			return err
		}
		r.Added++
		known = &link{ours: true}
	}
	known.wanted = *l
	if !slices.Contains(known.owners, owner) {
		known.owners = append(known.owners, owner)
	}
	h.links[l.Name] = known
	if known.index, err = h.index(l.Name); err != nil {
		return err
	}
	return h.prepareLink(known, base)
}

func (h *Host) createLink(l *Link, base int) error {
	kind := linkKinds[l.Kind]
	m := newMessage(unix.RTM_NEWLINK, make([]byte, unix.SizeofIfInfomsg))
	m.uint32(unix.IFLA_LINK, uint32(base))
	m.text(unix.IFLA_IFNAME, l.Name)
	if l.Kind == Macvlan {
		m.attr(unix.IFLA_ADDRESS, l.MAC[:])
	}
	info := m.nest(unix.IFLA_LINKINFO)
	m.text(unix.IFLA_INFO_KIND, l.Kind)
	data := m.nest(unix.IFLA_INFO_DATA)
	kind.data(&m, kind.modes[l.Mode])
	m.close(data)
	m.close(info)
	err := h.one(m.done(), unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("this kernel has no %s: %w", l.Kind, err)
	}
	return err
}

// prepareLink sets the link up and brings it up. Saying it again does no harm.
func (h *Host) prepareLink(l *link, base *LinkState) error {
	for _, s := range linkSysctls(&l.wanted) {
		if err := h.writeSysctl(s.Name, s.Value); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	header := make([]byte, unix.SizeofIfInfomsg)
	native.PutUint32(header[4:], uint32(l.index))
	if l.wanted.Family == 6 || l.wanted.KeepIPv6 {
		// RFC 9568 7.4: no link-local address made from the virtual router's MAC
		m := newMessage(unix.RTM_NEWLINK, header)
		families := m.nest(unix.IFLA_AF_SPEC)
		six := m.nest(unix.AF_INET6)
		m.byte(unix.IFLA_INET6_ADDR_GEN_MODE, addressGenerationNone)
		m.close(six)
		m.close(families)
		if err := h.one(m.done(), 0); err != nil {
			return fmt.Errorf("switching off link-local addresses of the kernel's: %w", err)
		}
	}
	if l.wanted.Family == 6 {
		if err := h.linkLocal(l, base); err != nil {
			return err
		}
	}
	native.PutUint32(header[8:], unix.IFF_UP)
	native.PutUint32(header[12:], unix.IFF_UP)
	if err := h.one(newMessage(unix.RTM_NEWLINK, header).done(), 0); err != nil {
		return fmt.Errorf("bringing it up: %w", err)
	}
	return nil
}

// linkLocal gives an IPv6 link the address from which it advertises: deprecated,
// so that nothing else uses it.
func (h *Host) linkLocal(l *link, base *LinkState) error {
	addr := l.wanted.LinkLocal
	if !addr.IsValid() {
		if state := h.monitor.snapshot.ByIndex(base.Index); state != nil {
			addr = state.LinkLocal()
		}
	}
	if !addr.IsValid() {
		addr = interfaceIdentifier(base.MAC)
	}
	deprecated := true
	c := &compiler{names: h.names, index: func(string) (int, error) { return l.index, nil }}
	it, err := c.address(&Address{Prefix: netip.PrefixFrom(addr, 64), Device: l.wanted.Name, Deprecated: &deprecated})
	if err != nil {
		return err
	}
	// It is the link's own and not an address that moves: without our mark.
	for at := unix.NLMSG_HDRLEN + unix.SizeofIfAddrmsg; at < len(it.add); at += (int(native.Uint16(it.add[at:])) + 3) &^ 3 {
		if native.Uint16(it.add[at+2:]) == attributeProtocol {
			it.add[at+4] = 0
		}
	}
	if err := h.one(it.add, requestFlags[toReplace]); err != nil {
		return fmt.Errorf("%s: %w", it.text, err)
	}
	return nil
}

// interfaceIdentifier is the link-local address that goes with a MAC (RFC 4291
// appendix A).
func interfaceIdentifier(m [6]byte) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: m[0] ^ 2, 9: m[1], 10: m[2], 11: 0xff, 12: 0xfe, 13: m[3], 14: m[4], 15: m[5]})
}

// dropLinks takes away what the owner does not want any more.
func (h *Host) dropLinks(owner string, keep []Link, r *Result) (errs []error) {
	for name, l := range h.links {
		if slices.ContainsFunc(keep, func(k Link) bool { return k.Name == name }) {
			continue
		}
		before := len(l.owners)
		l.owners = slices.DeleteFunc(l.owners, func(o string) bool { return o == owner })
		if before == 0 || len(l.owners) > 0 || before == len(l.owners) {
			continue
		}
		delete(h.links, name)
		if !l.ours {
			continue
		}
		// By the index that it had: another link of the name is not ours.
		if err := h.deleteLink(l.index); err != nil && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, failure(owner, l.wanted.String(), err))
			continue
		}
		r.Removed++
	}
	return errs
}

func (h *Host) deleteLink(index int) error {
	header := make([]byte, unix.SizeofIfInfomsg)
	native.PutUint32(header[4:], uint32(index))
	return h.one(newMessage(unix.RTM_DELLINK, header).done(), 0)
}

// describe asks the kernel about a link.
func (h *Host) describe(name string) (*LinkState, error) {
	index, err := h.index(name)
	if err != nil {
		return nil, err
	}
	header := make([]byte, unix.SizeofIfInfomsg)
	native.PutUint32(header[4:], uint32(index))
	var found *LinkState
	err = h.requests.get(newMessage(unix.RTM_GETLINK, header).done(), func(kind uint16, body []byte) {
		if l, ok := parseLink(body); kind == unix.RTM_NEWLINK && ok {
			found = &l
		}
	})
	if err == nil && found == nil {
		err = fmt.Errorf("there is no device %s", name)
	}
	return found, err
}

// one sends a single request.
func (h *Host) one(m []byte, flags uint16) error {
	h.batch.reset()
	h.batch.add(m, flags)
	if err := h.requests.do(&h.batch); err != nil {
		return err
	}
	if o, failed := h.batch.failed[0]; failed {
		if o.text != "" {
			return fmt.Errorf("%s (%w)", o.text, o.errno)
		}
		return o.errno
	}
	return nil
}

// addressGenerationNone is IN6_ADDR_GEN_MODE_NONE.
const addressGenerationNone = 1
