package netconf

import (
	"time"
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
}

// Open reads the host's links and addresses.
func Open(o Options) (*Host, error) { return nil, errNotYet }

// Close gives the sockets back. Nothing on the host changes.
func (h *Host) Close() error { return errNotYet }

// Check says what is wrong with a configuration by itself, with nothing changed:
// unknown names, values that the kernel would refuse. Devices need not exist.
func (h *Host) Check(owner string, c Config) error { return errNotYet }

// Set makes the host agree with what owner wants. It does as much as it can:
// an error says what could not be done, one line a thing, each with owner,
// thing and device; the rest has been done.
func (h *Host) Set(owner string, c Config) (Result, error) {
	return h.SetAll([]Want{{owner, c}})
}

// SetAll is Set for several owners in one go: a sync group's addresses come in
// one batch, and what moves from one owner to another stays where it is.
func (h *Host) SetAll(wants []Want) (Result, error) { return Result{}, errNotYet }

// Remove takes away what owner has here.
func (h *Host) Remove(owner string) error {
	_, err := h.Set(owner, Config{})
	return err
}

// Renew gives the addresses of the owners (none: of all) their whole lifetime
// again, in one batch. An owner whose addresses may have run out already is
// left alone and named in an *ExpiredError: another router may have them now.
func (h *Host) Renew(owners ...string) error { return errNotYet }

// ExpiredError names owners that Renew did not renew because it came too late.
type ExpiredError struct{ Owners []string }

func (e *ExpiredError) Error() string { return "lease expired before it was renewed" }

// Adopt takes over what is on the host and in c, left by an earlier run, as if
// owner had set it. Nothing is changed: Set or Remove do that. It gives the
// number of things taken over.
func (h *Host) Adopt(owner string, c Config, t Trust) (int, error) { return 0, errNotYet }

// RemovalRequests are netlink datagrams, each to be sent as it is on a
// NETLINK_ROUTE socket, that take away owner's addresses, routes and rules: for
// another process that does it when this one cannot any more. Links and sysctls
// stay. What other owners want as well is not in them.
func (h *Host) RemovalRequests(owner string) [][]byte { return nil }

// Links is the picture of the host as of the last read of Watch or Refresh.
func (h *Host) Links() *Snapshot { return nil }

// Watch gives a descriptor that becomes readable when links or addresses
// change, and the function that then reads them. It never blocks, and reads
// until there is nothing more (so the descriptor may be polled edge-triggered).
// The slice is valid until the next call. If the kernel dropped notifications,
// everything is read again and compared, so no change is lost, but an address
// that went and came back in between is no change.
func (h *Host) Watch() (fd int, read func() ([]Change, error)) { return -1, nil }
