package l4

import (
	"net/netip"
	"time"
)

// Plane forwards packets. Its methods can be called from several goroutines.
type Plane interface {
	// Set makes the plane forward what the configuration says, as a
	// difference to what it does: services and servers that stay keep their
	// connections, counters and turns. Saying the same again changes nothing.
	// A configuration that is not valid, or asks for more than Features
	// offers, changes nothing either and is refused whole (see Validate).
	Set(Config) error

	// Stats is what was done so far.
	Stats() (Snapshot, error)

	// Features is what the plane can do here.
	Features() Features

	// Close lets go of the plane. Whether forwarding goes on after it is said
	// by the plane's own options.
	Close() error
}

// Features is what a plane can do on this host. A nil list means all.
type Features struct {
	Name       string // "ebpf", "ipvs", "fake"
	Methods    []Method
	Schedulers []string
	Protocols  []Protocol
	Tunnels    []TunnelType
	PortRanges bool
	AnyPort    bool // Port 0 also without persistence
	FwMarks    bool
	SYNLimit   bool
	XDP        bool     // Config.XDP
	SyncKey    bool     // what directors tell each other can be encrypted
	Engines    []string // persistence engines beside ""; nil: none
}

// Flow is one remembered connection.
type Flow struct {
	Protocol Protocol
	Client   netip.AddrPort
	Virtual  netip.AddrPort
	Server   netip.AddrPort
	FwMark   uint32         // of the service, when it is one of a mark
	Local    netip.AddrPort // FULLNAT: the source that the server sees
	State    string         // as ipvsadm prints it: ESTABLISHED, FIN_WAIT, UDP, NONE for a persistence template, ...
	Template bool           // remembers where a persistent client goes
	Expires  time.Duration  // from now, unless a packet comes

	// Of a template that a persistence engine made: its name and what it
	// remembers clients by.
	PersistenceName, PersistenceData string
}

// FlowLister is a plane that can tell which connections it remembers
// (ipvsadm -L -c). It stops when yield returns false.
type FlowLister interface {
	Flows(yield func(Flow) bool) error
}

// Zeroer is a plane whose counters can be set back (ipvsadm -Z). Without a key
// it is those of all services.
type Zeroer interface {
	Zero(...Key) error
}

// Forgetter is a plane that can end what it remembers of clients for the sake
// of persistence: those of one server are then scheduled anew. Connections go
// on.
type Forgetter interface {
	Forget(Key, ServerKey) error
}
