package netconf

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Set makes the host agree with what owner wants. It does as much as it can:
// an error says what could not be done, one line a thing, each with owner,
// thing and device; the rest has been done.
func (h *Host) Set(owner string, c Config) (Result, error) {
	return h.SetAll([]Want{{owner, c}})
}

// Remove takes away what owner has here.
func (h *Host) Remove(owner string) error {
	_, err := h.Set(owner, Config{})
	return err
}

// SetAll is Set for several owners in one go: a sync group's addresses come in
// one batch, and what moves from one owner to another stays where it is.
func (h *Host) SetAll(wants []Want) (Result, error) {
	t := &transaction{host: h}
	for i := range wants {
		t.fail(h.makeLinks(wants[i].Owner, wants[i].Config.Links, &t.result)...)
		t.fail(h.writeSysctls(wants[i].Owner, &wants[i].Config)...)
	}
	t.plan(wants)
	restore := h.keepSecondaries(t.steps)
	t.run()
	restore()
	for i := range wants {
		t.fail(h.restoreSysctls(wants[i].Owner)...)
		t.fail(h.dropLinks(wants[i].Owner, wants[i].Config.Links, &t.result)...)
	}
	return t.result, errors.Join(t.errs...)
}

// action is what a step of a transaction does.
type action uint8

const (
	toAdd     action = iota + 1 // it is not ours yet: refused when it is there
	toReplace                   // it is ours: renewed, or put back
	toClean                     // take it away to add it in another form
	toRemove                    // for good
)

type step struct {
	item   *item
	owner  string
	action action
}

// transaction is one run of SetAll.
type transaction struct {
	host   *Host
	steps  []step
	result Result
	errs   []error
}

func (t *transaction) fail(errs ...error) { t.errs = append(t.errs, errs...) }

func (t *transaction) note(owner, format string, args ...any) {
	t.result.Notes = append(t.result.Notes, Note{owner, fmt.Sprintf(format, args...)})
}

// plan works out the steps. What comes is before what goes, so that a change
// leaves no gap; what goes does so in the reverse order of its coming, so that
// an IPv4 subnet's primary address is its last to go.
func (t *transaction) plan(wants []Want) {
	h := t.host
	c := &compiler{names: h.names, index: remembered(h.index)}
	compiled := make([][]*item, len(wants))
	var orphans []step
	for i := range wants {
		items, errs := c.all(wants[i].Owner, &wants[i].Config)
		t.fail(errs...)
		compiled[i] = items
		orphans = append(orphans, h.disown(wants[i].Owner)...)
	}
	for i := range wants {
		for _, it := range compiled[i] {
			t.claim(wants[i].Owner, it)
		}
	}
	slices.SortStableFunc(t.steps, func(a, b step) int { return int(a.item.id.class) - int(b.item.id.class) })
	slices.Reverse(orphans)
	slices.SortStableFunc(orphans, func(a, b step) int { return int(b.item.id.class) - int(a.item.id.class) })
	for _, o := range orphans {
		if it := o.item; len(it.owners) > 0 || h.items[it.id] != it {
			continue // claimed again, or listed twice
		}
		delete(h.items, o.item.id)
		if o.item.state == ours {
			t.steps = append(t.steps, o)
		}
	}
}

// remembered asks once for each device.
func remembered(index func(string) (int, error)) func(string) (int, error) {
	type answer struct {
		index int
		err   error
	}
	known := map[string]answer{}
	return func(device string) (int, error) {
		a, ok := known[device]
		if !ok {
			a.index, a.err = index(device)
			known[device] = a
		}
		return a.index, a.err
	}
}

// disown takes the owner's name from everything that it has, and gives the
// removal of what nobody wants any more.
func (h *Host) disown(owner string) (orphans []step) {
	for _, it := range h.owned[owner] {
		it.owners = slices.DeleteFunc(it.owners, func(o string) bool { return o == owner })
		if len(it.owners) == 0 {
			orphans = append(orphans, step{it, owner, toRemove})
		}
	}
	delete(h.owned, owner)
	return orphans
}

// claim makes the owner one of the item's.
func (t *transaction) claim(owner string, wanted *item) {
	h := t.host
	it := h.items[wanted.id]
	switch {
	case it == nil:
		it = wanted
		h.items[it.id] = it
	case it.wantedBy(owner):
		if !it.sameAs(wanted) {
			t.fail(failure(owner, wanted.text, fmt.Errorf("wanted twice, the other time as %s", it.text)))
		}
		return
	case len(it.owners) > 0 && !it.sameAs(wanted):
		t.fail(failure(owner, wanted.text, fmt.Errorf("wanted otherwise by %s: %s", it.owners[0], it.text)))
		return
	default:
		if it.state == ours && !it.sameAs(wanted) {
			t.steps = append(t.steps, step{&item{id: it.id, text: it.text, remove: it.remove}, owner, toClean})
			it.state = absent
		}
		if it.state == lost && !it.sameAs(wanted) {
			it.state = absent // another one, in a way
		}
		it.text, it.device, it.add, it.remove, it.fixed, it.lease = wanted.text, wanted.device, wanted.add, wanted.remove, wanted.fixed, wanted.lease
		it.once, it.preferred = wanted.once, wanted.preferred
	}
	shared := len(it.owners) > 0
	it.owners = append(it.owners, owner)
	h.owned[owner] = append(h.owned[owner], it)
	if shared && slices.ContainsFunc(t.steps, func(s step) bool { return s.item == it }) {
		return
	}
	if it.once && (it.state == ours && it.lease == 0 || it.state == lost) {
		return // if it is not there any more, it is not to be
	}
	how := toAdd
	if it.state == ours {
		how = toReplace
	}
	t.steps = append(t.steps, step{it, owner, how})
}

// Flags of the requests.
var requestFlags = [...]uint16{
	toAdd:     unix.NLM_F_CREATE | unix.NLM_F_EXCL,
	toReplace: unix.NLM_F_CREATE | unix.NLM_F_REPLACE,
	toClean:   0,
	toRemove:  0,
}

func (s *step) flags() uint16 {
	if s.item.id.class == classRule && s.action == toReplace {
		return requestFlags[toAdd] // the kernel replaces no rules; an equal one is there or not
	}
	return requestFlags[s.action]
}

func (s *step) message() []byte {
	if s.action == toClean || s.action == toRemove {
		return s.item.remove
	}
	return s.item.add
}

// run carries the steps out, and settles what others had there before.
func (t *transaction) run() {
	contested := t.send(t.steps)
	if len(contested) == 0 {
		return
	}
	if again := t.settle(contested); len(again) > 0 {
		for _, s := range t.send(again) {
			t.fail(failure(s.owner, s.item.text, unix.EEXIST))
		}
	}
}

// send carries out steps in one batch and gives those whose thing was there.
func (t *transaction) send(steps []step) (contested []step) {
	h := t.host
	if len(steps) == 0 {
		return nil
	}
	h.batch.reset()
	now := h.now()
	for i := range steps {
		steps[i].item.age(now)
		h.batch.add(steps[i].message(), steps[i].flags())
	}
	if err := h.requests.do(&h.batch); err != nil {
		t.fail(err)
		for _, s := range steps {
			t.stay(s)
		}
		return nil
	}
	for i, s := range steps {
		o, failed := h.batch.failed[i]
		switch {
		case !failed:
			t.succeed(s, now)
		case s.action == toReplace && o.errno == unix.EEXIST: // of a rule
		case s.action == toAdd && o.errno == unix.EEXIST:
			contested = append(contested, s)
		case (s.action == toRemove || s.action == toClean) && gone(o.errno):
		default:
			if s.action != toRemove {
				s.item.state = absent
			}
			t.stay(s)
			t.fail(failure(s.owner, s.text(), explain(s, o)))
		}
	}
	return contested
}

func (t *transaction) succeed(s step, now time.Duration) {
	switch s.action {
	case toAdd:
		t.result.Added++
		s.item.state, s.item.added = ours, now
	case toRemove:
		t.result.Removed++
	}
	s.item.renewed = now
}

// stay keeps what could not be removed with its owner, whose next Set tries
// again.
func (t *transaction) stay(s step) {
	h := t.host
	if s.action != toRemove || h.items[s.item.id] != nil {
		return
	}
	h.items[s.item.id] = s.item
	s.item.owners = []string{s.owner}
	h.owned[s.owner] = append(h.owned[s.owner], s.item)
}

func (s *step) text() string {
	if s.action == toRemove {
		return "removing " + s.item.text
	}
	return s.item.text
}

// gone says that what was to be removed is not there.
func gone(e unix.Errno) bool {
	return e == unix.EADDRNOTAVAIL || e == unix.ENODEV || e == unix.ESRCH || e == unix.ENOENT || e == unix.ENXIO
}

// explain adds the kernel's words, or ours where it has none.
func explain(s step, o outcome) error {
	switch {
	case o.text != "":
		return fmt.Errorf("%s (%w)", o.text, o.errno)
	case o.errno == unix.ENODEV:
		return fmt.Errorf("the device is gone: %w", o.errno)
	case o.errno == unix.EACCES && s.item.id.family == unix.AF_INET6 && s.item.id.class == classAddress:
		return fmt.Errorf("IPv6 is switched off there (net/ipv6/conf/%s/disable_ipv6): %w", s.item.device, o.errno)
	case o.errno == unix.EPERM:
		return fmt.Errorf("this needs CAP_NET_ADMIN: %w", o.errno)
	case o.errno == unix.ENETUNREACH || o.errno == unix.EHOSTUNREACH:
		return fmt.Errorf("the gateway is not on a network of this host (onlink would do without): %w", o.errno)
	case o.errno == unix.ENETDOWN:
		return fmt.Errorf("the device is down: %w", o.errno)
	}
	return o.errno
}

// keepSecondaries sees to it that the removal of a subnet's first IPv4 address
// does not take others of the subnet with it, as it does by the kernel's
// default. It gives the way back.
func (h *Host) keepSecondaries(steps []step) (restore func()) {
	var changed []string
	seen := map[string]bool{}
	for i := range steps {
		it := steps[i].item
		if it.device == "" || it.id.family != unix.AF_INET || it.id.to.Bits() == 32 || steps[i].action != toRemove || seen[it.device] {
			continue
		}
		seen[it.device] = true
		if h.readSysctl("net/ipv4/conf/all/promote_secondaries") == "1" {
			break
		}
		name := "net/ipv4/conf/" + it.device + "/promote_secondaries"
		if h.readSysctl(name) == "0" && h.writeSysctl(name, "1") == nil {
			changed = append(changed, name)
		}
	}
	return func() {
		for _, name := range changed {
			_ = h.writeSysctl(name, "0") // the device may have gone
		}
	}
}

func (h *Host) sysctlPath(name string) string {
	return filepath.Join(h.proc, strings.TrimPrefix(name, "/"))
}
