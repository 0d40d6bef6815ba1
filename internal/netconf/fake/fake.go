package fake

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"evenkeel/internal/netconf"
)

// Host is a host in memory. It belongs to one goroutine.
type Host struct {
	// Now is the clock of leases; it may be set before use.
	Now func() time.Duration
	// Forwards says whether the host forwards; nil: it does not.
	Forwards func(family int, device string) bool

	links    map[string]*netconf.LinkState
	snapshot *netconf.Snapshot
	things   map[string]*thing   // by key
	owned    map[string][]string // keys, in the order of the configuration
	lines    []string
	failures map[string]error
	changes  []netconf.Change
	event    int // eventfd; -1: none was asked for
}

// thing is what is on the host or wanted there.
type thing struct {
	text    string
	prefix  netip.Prefix // of an address
	peer    netip.Addr
	device  string
	lease   time.Duration
	renewed time.Duration
	once    bool
	owners  []string
	state   state
}

type state uint8

const (
	absent state = iota
	ours
	foreign
	left  // by an earlier run, with our mark
	taken // by somebody, and it is not to come back
)

// New is a host with these links.
func New(links ...netconf.LinkState) *Host {
	h := &Host{links: map[string]*netconf.LinkState{}, things: map[string]*thing{}, owned: map[string][]string{},
		failures: map[string]error{}, event: -1, snapshot: netconf.NewSnapshot()}
	h.Now = func() time.Duration { return 0 }
	for _, l := range links {
		h.links[l.Name] = &l
		for _, a := range l.Addresses {
			h.things[addressKey(l.Name, a.Prefix, a.Peer)] = &thing{text: "address " + a.Prefix.String() + " dev " + l.Name,
				prefix: a.Prefix, peer: a.Peer, device: l.Name, state: foreign}
		}
	}
	h.picture()
	return h
}

// Ethernet is a link that is up.
func Ethernet(index int, name string, addresses ...string) netconf.LinkState {
	l := netconf.LinkState{Index: index, Name: name, Up: true, Running: true, MTU: 1500, MAC: [6]byte{2, 0, 0, 0, 0, byte(index)}}
	for _, a := range addresses {
		l.Addresses = append(l.Addresses, netconf.AddressState{Prefix: netip.MustParsePrefix(a), Label: name, Valid: netconf.Forever, Preferred: netconf.Forever})
	}
	return l
}

// picture makes the snapshot anew.
func (h *Host) picture() {
	*h.snapshot = *netconf.NewSnapshot(slices.Collect(maps.Values(h.links))...)
}

// Close gives the event descriptor back.
func (h *Host) Close() error {
	if h.event < 0 {
		return nil
	}
	fd := h.event
	h.event = -1
	return unix.Close(fd)
}

func (h *Host) record(format string, args ...any) {
	h.lines = append(h.lines, fmt.Sprintf(format, args...))
}

// Lines gives what was done since the last call, a line a thing.
func (h *Host) Lines() []string {
	lines := h.lines
	h.lines = nil
	return lines
}

// Forwarding is netconf.Host's.
func (h *Host) Forwarding(family int, device string) bool {
	return h.Forwards != nil && h.Forwards(family, device)
}

// Check is netconf's.
func (h *Host) Check(owner string, c netconf.Config) error { return netconf.Check(owner, c, nil) }

// wanted lists a configuration by key, without what Check refuses.
func wanted(owner string, c *netconf.Config) (keys []string, all map[string]*thing, errs []error) {
	all = map[string]*thing{}
	put := func(key string, t *thing, one netconf.Config) {
		if err := netconf.Check(owner, one, nil); err != nil {
			errs = append(errs, err)
			return
		}
		if _, double := all[key]; !double {
			keys = append(keys, key)
		}
		all[key] = t
	}
	for _, l := range c.Links {
		put("link "+l.Name, &thing{text: l.String()}, netconf.Config{Links: []netconf.Link{l}})
	}
	for _, s := range c.Sysctls {
		put("sysctl "+s.Name, &thing{text: s.String()}, netconf.Config{Sysctls: []netconf.Sysctl{s}})
	}
	for _, a := range c.Addresses {
		lease := (a.ValidLifetime + time.Second - 1) / time.Second * time.Second
		put(addressKey(a.Device, a.Prefix, a.Peer.Addr()), &thing{text: a.String(), prefix: a.Prefix, peer: a.Peer.Addr(), device: a.Device, lease: lease, once: a.Once},
			netconf.Config{Addresses: []netconf.Address{a}})
	}
	for _, r := range c.Routes {
		put(r.String(), &thing{text: r.String(), device: r.Device, once: r.Once}, netconf.Config{Routes: []netconf.Route{r}})
	}
	for _, r := range c.Rules {
		put(r.String(), &thing{text: r.String(), once: r.Once}, netconf.Config{Rules: []netconf.Rule{r}})
	}
	return keys, all, errs
}

func addressKey(device string, p netip.Prefix, peer netip.Addr) string {
	if p.Addr().Is6() {
		return "address " + p.Addr().String() + " " + device
	}
	return fmt.Sprintf("address %v %s %v", p, device, peer)
}

// Set is netconf.Host's.
func (h *Host) Set(owner string, c netconf.Config) (netconf.Result, error) {
	return h.SetAll([]netconf.Want{{Owner: owner, Config: c}})
}

// Remove is netconf.Host's.
func (h *Host) Remove(owner string) error {
	_, err := h.Set(owner, netconf.Config{})
	return err
}

// SetAll is netconf.Host's.
func (h *Host) SetAll(wants []netconf.Want) (netconf.Result, error) {
	h.expire()
	var r netconf.Result
	var errs []error
	var orphans []string
	type order struct {
		keys []string
		all  map[string]*thing
	}
	orders := make([]order, len(wants))
	for i, w := range wants {
		keys, all, wrong := wanted(w.Owner, &w.Config)
		errs = append(errs, wrong...)
		orders[i] = order{keys, all}
		for _, key := range h.owned[w.Owner] {
			t := h.things[key]
			t.owners = slices.DeleteFunc(t.owners, func(o string) bool { return o == w.Owner })
			orphans = append(orphans, key)
		}
		delete(h.owned, w.Owner)
	}
	for i, w := range wants {
		for _, key := range orders[i].keys {
			if err := h.claim(w.Owner, key, orders[i].all[key], &r); err != nil {
				errs = append(errs, fmt.Errorf("%s: %s: %w", w.Owner, orders[i].all[key].text, err))
			}
		}
	}
	slices.Reverse(orphans)
	for _, key := range orphans {
		t := h.things[key]
		if t == nil || len(t.owners) > 0 {
			continue
		}
		if t.state != foreign {
			delete(h.things, key)
		}
		if t.state == ours {
			h.take(t)
			h.record("- %s", t.text)
			r.Removed++
		}
	}
	return r, errors.Join(errs...)
}

func (h *Host) claim(owner, key string, want *thing, r *netconf.Result) error {
	if want.device != "" && h.links[want.device] == nil {
		return fmt.Errorf("there is no device %s", want.device)
	}
	t := h.things[key]
	if t == nil {
		t = want
		h.things[key] = t
	}
	if len(t.owners) > 0 && t.text != want.text {
		return fmt.Errorf("wanted otherwise by %s: %s", t.owners[0], t.text)
	}
	t.owners = append(t.owners, owner)
	h.owned[owner] = append(h.owned[owner], key)
	if err := h.failure(want.text); err != nil {
		t.state = absent
		return err
	}
	t.once = want.once
	switch {
	case t.state == taken && t.once && t.text == want.text:
		return nil
	case t.state == foreign:
		r.Notes = append(r.Notes, netconf.Note{Owner: owner, Text: want.text + " is there already and not ours: left as it is (permanent)"})
		h.record("%s: %s is not ours", owner, want.text)
		return nil
	case t.state == ours && t.text != want.text:
		h.take(t)
		h.record("- %s", t.text)
		h.record("%s: + %s", owner, want.text)
	case t.state != ours:
		h.record("%s: + %s", owner, want.text)
		r.Added++
	case h.lost(t):
		h.record("%s: + %s again", owner, want.text)
	}
	t.state, t.text, t.lease, t.renewed, t.prefix, t.peer = ours, want.text, want.lease, h.Now(), want.prefix, want.peer
	h.give(t)
	return nil
}

func (h *Host) failure(text string) error {
	for part, err := range h.failures {
		if strings.Contains(text, part) {
			return err
		}
	}
	return nil
}

// Renew is netconf.Host's.
func (h *Host) Renew(owners ...string) error {
	if len(owners) == 0 {
		owners = slices.Sorted(maps.Keys(h.owned))
	}
	now := h.Now()
	var expired []string
	var errs []error
next:
	for _, owner := range owners {
		var leased []*thing
		for _, key := range h.owned[owner] {
			t := h.things[key]
			if t.lease == 0 || t.state != ours {
				continue
			}
			if now-t.renewed >= t.lease {
				expired = append(expired, owner)
				continue next
			}
			leased = append(leased, t)
		}
		for _, t := range leased {
			if err := h.failure(t.text); err != nil {
				errs = append(errs, fmt.Errorf("%s: %s: %w", owner, t.text, err))
				continue
			}
			t.renewed = now
			h.give(t)
		}
		if len(leased) > 0 {
			h.record("%s: renewed", owner)
		}
	}
	if len(expired) > 0 {
		errs = append(errs, &netconf.ExpiredError{Owners: expired})
	}
	return errors.Join(errs...)
}

// Adopt is netconf.Host's.
func (h *Host) Adopt(owner string, c netconf.Config, trust netconf.Trust) (int, error) {
	h.expire()
	n := 0
	keys, all, _ := wanted(owner, &c)
	for _, key := range keys {
		t := h.things[key]
		if t == nil || t.state == ours || t.state == foreign && trust != netconf.Known {
			continue
		}
		t.state, t.lease, t.renewed = ours, all[key].lease, h.Now()
		t.text = all[key].text
		if len(t.owners) == 0 {
			t.owners = []string{owner}
			h.owned[owner] = append(h.owned[owner], key)
		}
		h.record("%s: adopted %s", owner, t.text)
		n++
	}
	return n, nil
}

// RemovalRequests gives one datagram with the text of what would go, a line a
// thing: see Obey.
func (h *Host) RemovalRequests(owner string) [][]byte {
	var lines []string
	for _, key := range slices.Backward(h.owned[owner]) {
		t := h.things[key]
		if t.state == ours && len(t.owners) == 1 && !strings.HasPrefix(key, "link ") && !strings.HasPrefix(key, "sysctl ") {
			lines = append(lines, key)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return [][]byte{[]byte(strings.Join(lines, "\n"))}
}
