package netconf

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Options of Open. The zero value is what a director wants.
type Options struct {
	// Timeout bounds each wait for the kernel. 0: 1 s.
	Timeout time.Duration
	// Now is the clock by which a lease is old. Nil: CLOCK_MONOTONIC.
	Now func() time.Duration
	// Proc is where sysctls are. "": /proc/sys.
	Proc string
	// Names is where iproute2 keeps rt_tables and so on; the directories are
	// read in order. Nil: /usr/share/iproute2, /usr/lib/iproute2, /etc/iproute2.
	Names []string
}

// Want is what an owner wants, for SetAll.
type Want struct {
	Owner  string
	Config Config
}

// Note says what was done otherwise than asked, and why.
type Note struct {
	Owner string
	Text  string
}

// Result is what Set found and did.
type Result struct {
	Added   int // things that were not there before
	Removed int
	Notes   []Note
}

// Trust is how much Adopt believes.
type Trust uint8

const (
	// Marked takes over what shows that we made it: an address with our
	// protocol number or with a lifetime, a route or rule of our protocol.
	Marked Trust = iota
	// Known takes over everything that is in the configuration: the caller
	// knows, for instance from the state of the run before, that it is ours.
	Known
)

// Host is the host's network as this program changes and sees it. It belongs to
// one goroutine. Its sockets are of the network namespace in which Open was
// called; sysctls are those of the calling thread's.
type Host struct {
	// Set once.
	now   func() time.Duration
	proc  string
	names *names

	requests *socket
	renewals *socket // of its own, so that the monitor can tell renewals from changes
	monitor  *monitor

	// What is wanted.
	items   map[identity]*item
	owned   map[string][]*item // in the order of the owner's configuration
	links   map[string]*link
	sysctls map[string]*setting

	batch  batch   // reused
	usable []place // where addresses of ours have come; reused
}

// Open reads the host's links and addresses.
func Open(o Options) (*Host, error) {
	if o.Timeout <= 0 {
		o.Timeout = time.Second
	}
	if o.Now == nil {
		o.Now = monotonic
	}
	if o.Proc == "" {
		o.Proc = "/proc/sys"
	}
	if o.Names == nil {
		o.Names = []string{"/usr/share/iproute2", "/usr/lib/iproute2", "/etc/iproute2"}
	}
	h := &Host{now: o.Now, proc: o.Proc, names: loadNames(o.Names),
		items: map[identity]*item{}, owned: map[string][]*item{}, links: map[string]*link{}, sysctls: map[string]*setting{}}
	var err error
	if h.requests, err = openSocket(o.Timeout); err != nil {
		return nil, err
	}
	if h.renewals, err = openSocket(o.Timeout); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	if h.monitor, err = openMonitor(h.renewals.port); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	if err := h.monitor.reread(h.requests); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	h.monitor.changes = h.monitor.changes[:0]
	return h, nil
}

func monotonic() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // fails for unknown clocks only
	return time.Duration(t.Nano())
}

// Close gives the sockets back. Nothing on the host changes.
func (h *Host) Close() error {
	var errs []error
	for _, s := range []*socket{h.requests, h.renewals} {
		if s != nil {
			errs = append(errs, unix.Close(s.fd))
		}
	}
	if h.monitor != nil {
		errs = append(errs, unix.Close(h.monitor.fd))
	}
	h.requests, h.renewals, h.monitor = nil, nil, nil
	return errors.Join(errs...)
}

// index asks the kernel, for the picture may be older than the request.
func (h *Host) index(device string) (int, error) {
	request, err := unix.NewIfreq(device)
	if err != nil {
		return 0, fmt.Errorf("%q cannot be the name of a device", device)
	}
	if err := unix.IoctlIfreq(h.requests.fd, unix.SIOCGIFINDEX, request); err != nil {
		if errors.Is(err, unix.ENODEV) {
			return 0, fmt.Errorf("there is no device %s", device)
		}
		return 0, fmt.Errorf("device %s: %w", device, err)
	}
	return int(request.Uint32()), nil
}

// Check says what is wrong with a configuration by itself, with nothing changed:
// unknown names, values that the kernel would refuse. Devices need not exist.
func (h *Host) Check(owner string, c Config) error {
	return check(owner, c, h.names)
}

// Check is Host.Check where there is no Host. directories are as in Options.Names.
func Check(owner string, c Config, directories []string) error {
	return check(owner, c, loadNames(directories))
}

func check(owner string, c Config, n *names) error {
	anywhere := &compiler{names: n, index: func(string) (int, error) { return 1, nil }}
	_, errs := anywhere.all(owner, &c)
	for i := range c.Links {
		if err := c.Links[i].check(); err != nil {
			errs = append(errs, failure(owner, c.Links[i].String(), err))
		}
	}
	for _, s := range c.Sysctls {
		if _, err := s.path(""); err != nil {
			errs = append(errs, failure(owner, s.String(), err))
		}
	}
	return errors.Join(errs...)
}

// failure is how every error of a thing reads.
func failure(owner, thing string, err error) error {
	return fmt.Errorf("%s: %s: %w", owner, thing, err)
}

// all compiles the addresses, routes and rules, in this order. The devices'
// existence counts: what is on a device that is not there is an error.
func (c *compiler) all(owner string, config *Config) (items []*item, errs []error) {
	keep := func(it *item, text string, err error) {
		if err != nil {
			errs = append(errs, failure(owner, text, err))
			return
		}
		items = append(items, it)
	}
	for i := range config.Addresses {
		a := &config.Addresses[i]
		it, err := c.address(a)
		keep(it, a.String(), err)
	}
	for i := range config.Routes {
		r := &config.Routes[i]
		it, err := c.route(r)
		keep(it, r.String(), err)
	}
	for i := range config.Rules {
		r := &config.Rules[i]
		it, err := c.rule(r)
		keep(it, r.String(), err)
	}
	return items, errs
}

// Links is the picture of the host as of the last read of Watch.
func (h *Host) Links() *Snapshot { return &h.monitor.snapshot }

// Watch gives a descriptor that becomes readable when links or addresses
// change, and the function that then reads them. It never blocks, and reads
// until there is nothing more (so the descriptor may be polled edge-triggered).
// The slice is valid until the next call. If the kernel dropped notifications,
// everything is read again and compared, so no change is lost, but an address
// that went and came back in between is no change.
func (h *Host) Watch() (fd int, read func() ([]Change, error)) {
	return h.monitor.fd, h.readChanges
}
