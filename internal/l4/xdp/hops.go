package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// hopKey is a neighbour that packets leave to. source is the outer address
// that tunnels use.
type hopKey struct {
	ifindex int
	gateway netip.Addr
	source  netip.Addr
}

// hop is an entry of the hops map.
type hop struct {
	key    hopKey
	id     uint32
	users  int
	record directorHop
}

// hops keeps the hardware addresses of next hops in the map, as the host's
// neighbour tables have them, and has the host find out what it does not know.
type hops struct {
	table   *ebpf.Map
	handle  *netlink.Handle
	log     *slog.Logger
	changed chan struct{} // closed by nobody; a neighbour has changed
	lost    chan struct{} // closed by nobody; changes of neighbours are no longer heard of
	ended   chan struct{} // closed by close, and by renew, which makes another; owned by follow

	mu     sync.Mutex
	byKey  map[hopKey]*hop
	places *numbers
	found  map[netip.Addr]found // asked for since the last forget
}

// found is what the host's routes said of an address.
type found struct {
	route
	err error
}

func openHops(table *ebpf.Map, log *slog.Logger) (*hops, error) {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("routes and neighbours: %w", err)
	}
	h := &hops{
		table: table, handle: handle, log: log,
		changed: make(chan struct{}, 1), lost: make(chan struct{}, 1),
		byKey: make(map[hopKey]*hop), found: make(map[netip.Addr]found), places: newNumbers(table.MaxEntries()),
	}
	if err := h.subscribe(); err != nil {
		handle.Close()
		return nil, err
	}
	return h, nil
}

func (h *hops) subscribe() error {
	updates := make(chan netlink.NeighUpdate, 64)
	h.ended = make(chan struct{})
	if err := netlink.NeighSubscribe(updates, h.ended); err != nil {
		return fmt.Errorf("changes of neighbours: %w", err)
	}
	go h.listen(updates)
	return nil
}

// renew subscribes again. The kernel ends a subscription when there was more
// to tell than its socket held, and the socket stays open.
func (h *hops) renew() error {
	close(h.ended)
	return h.subscribe()
}

// listen ends when the subscription does. Of most neighbours no server is one.
func (h *hops) listen(updates <-chan netlink.NeighUpdate) {
	for u := range updates {
		if a, ok := netip.AddrFromSlice(u.IP); ok && h.uses(u.LinkIndex, a.Unmap()) {
			signal(h.changed)
		}
	}
	signal(h.changed)
	signal(h.lost)
}

// signal leaves one token; there may be one already.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// uses is whether packets leave to a neighbour.
func (h *hops) uses(ifindex int, a netip.Addr) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for k := range h.byKey {
		if k.ifindex == ifindex && k.gateway == a {
			return true
		}
	}
	return false
}

func (h *hops) close() {
	close(h.ended)
	h.handle.Close()
}

// route is where packets to an address leave.
type route struct {
	hopKey
	local bool // it is an address of this host
}

var errNoRoute = errors.New("no route")

// forget has find ask again.
func (h *hops) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.found)
}

// find asks the host's routes, once for each address between two forgets. A
// source that is given replaces the route's.
func (h *hops) find(to netip.Addr, source netip.Addr) (route, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f, ok := h.found[to]
	if !ok {
		f.route, f.err = h.ask(to)
		h.found[to] = f
	}
	if source.IsValid() {
		f.route.source = source
	}
	return f.route, f.err
}

func (h *hops) ask(to netip.Addr) (route, error) {
	routes, err := h.handle.RouteGet(to.AsSlice())
	if err != nil || len(routes) == 0 {
		return route{}, fmt.Errorf("%v: %w (%v)", to, errNoRoute, err)
	}
	r := routes[0]
	found := route{hopKey: hopKey{ifindex: r.LinkIndex, gateway: to}, local: r.Type == unix.RTN_LOCAL}
	if gw, ok := netip.AddrFromSlice(r.Gw); ok {
		found.gateway = gw.Unmap()
	} else if via, ok := r.Via.(*netlink.Via); ok {
		if gw, ok := netip.AddrFromSlice(via.Addr); ok {
			found.gateway = gw.Unmap()
		}
	}
	if src, ok := netip.AddrFromSlice(r.Src); ok {
		found.source = src.Unmap()
	}
	return found, nil
}

// use gives the entry for a neighbour and counts one more user of it.
func (h *hops) use(k hopKey) (*hop, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.byKey[k]
	if e == nil {
		id, err := h.places.take()
		if err != nil {
			return nil, err
		}
		e = &hop{key: k, id: id}
		h.byKey[k] = e
		if err := h.update(e, h.neighbors(k.ifindex)); err != nil {
			return nil, err
		}
		if e.record.Flags&hopMAC == 0 {
			h.warm(k)
		}
	}
	e.users++
	return e, nil
}

// leave counts one user less. The entry goes with the last one.
func (h *hops) leave(e *hop) {
	if e == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.users--; e.users == 0 {
		delete(h.byKey, e.key)
		h.places.free(e.id)
	}
}

// refresh brings the map up to date with the neighbour tables, and has the
// host look for what is missing, or with warm also for what it has not heard
// of lately.
func (h *hops) refresh(warm bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := make(map[int]map[netip.Addr]netlink.Neigh)
	for k, e := range h.byKey {
		list, ok := known[k.ifindex]
		if !ok {
			list = h.neighbors(k.ifindex)
			known[k.ifindex] = list
		}
		if err := h.update(e, list); err != nil {
			h.log.Error("next hop", "gateway", k.gateway, "error", err)
		}
		n, ok := list[k.gateway]
		if !ok || e.record.Flags&hopMAC == 0 || (warm && n.State&netlink.NUD_STALE != 0) {
			h.warm(k)
		}
	}
}

const usableStates = netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY | netlink.NUD_PROBE | netlink.NUD_PERMANENT

// neighbors are those of one interface with their states.
func (h *hops) neighbors(ifindex int) map[netip.Addr]netlink.Neigh {
	list, err := h.handle.NeighList(ifindex, unix.AF_UNSPEC)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) { // what such a list lacks is in the next one
		h.log.Error("neighbours", "interface", ifindex, "error", err)
	}
	known := make(map[netip.Addr]netlink.Neigh, len(list))
	for _, n := range list {
		if a, ok := netip.AddrFromSlice(n.IP); ok {
			known[a.Unmap()] = n
		}
	}
	return known
}

// update writes an entry to the map when it has changed.
func (h *hops) update(e *hop, neighbors map[netip.Addr]netlink.Neigh) error {
	link, err := h.handle.LinkByIndex(e.key.ifindex)
	if err != nil {
		return fmt.Errorf("interface %d: %w", e.key.ifindex, err)
	}
	r := directorHop{Ifindex: uint32(e.key.ifindex), Mtu: uint32(link.Attrs().MTU), Flags: hopGateway, Gateway: words(e.key.gateway)}
	if e.key.gateway.Is6() {
		r.Flags |= hopGateway6
	}
	if e.key.source.Is4() {
		r.Source4 = words(e.key.source)[0]
	} else if e.key.source.IsValid() {
		r.Source6 = words(e.key.source)
	}
	n, ok := neighbors[e.key.gateway]
	if ok && n.State&usableStates != 0 && len(n.HardwareAddr) == 6 && len(link.Attrs().HardwareAddr) == 6 {
		r.Flags |= hopMAC
		r.Mac = macs(n.HardwareAddr, link.Attrs().HardwareAddr)
	}
	if r == e.record {
		return nil
	}
	if err := h.table.Put(e.id, &r); err != nil {
		return err
	}
	e.record = r
	return nil
}

// macs is the beginning of an Ethernet header.
func macs(to, from net.HardwareAddr) (w [3]uint32) {
	var b [12]byte
	copy(b[:6], to)
	copy(b[6:], from)
	for i := range w {
		w[i] = binary.NativeEndian.Uint32(b[4*i:])
	}
	return w
}

// warm has the host ask for a neighbour, as if it had a packet for it.
func (h *hops) warm(k hopKey) {
	err := h.handle.NeighSet(&netlink.Neigh{LinkIndex: k.ifindex, IP: k.gateway.AsSlice(), Flags: netlink.NTF_USE})
	if err != nil {
		h.log.Debug("ask for a neighbour", "gateway", k.gateway, "error", err)
	}
}
