package l4

import (
	"net/netip"
	"time"
)

// Sync is one connection, or persistence template, as a pair of directors
// tells each other of it.
type Sync struct {
	Protocol Protocol
	Client   netip.AddrPort // of a template: the client's network, port 0
	Virtual  netip.AddrPort // as the client sees it; of a template by mark: no address
	Server   ServerKey      // as the configuration has it
	Local    netip.AddrPort // FULLNAT's source, else none
	Service  Key
	State    uint8 // number of the state, as IPVS counts them
	Template bool
	Kind     uint8         // of a template: what it goes by
	Bits     uint8         // of a template, or of the one that the connection keeps: length of the network
	Timeout  time.Duration // without packets; of others than templates it is each director's own
	Idle     time.Duration // since its last packet
}

// Syncer is a plane whose connections can be taken over by another director's.
type Syncer interface {
	// Changed gives what is new, has changed its state, or, with all, has had
	// packets since a mark; the mark of the first call is 0, that of the next is
	// what this one returns. It stops when yield returns false.
	Changed(since uint32, all bool, yield func(Sync) bool) (next uint32, err error)

	// Insert puts connections in, and brings those up to date that are there.
	// It returns how many it took: what has no service or server here is left
	// out.
	Insert(...Sync) (int, error)
}

// Noter is a Syncer that notes what changes, so that it need not be looked for
// among all that there is.
type Noter interface {
	Syncer

	// Watch begins to note changes, and ends it. Nothing is noted at first.
	Watch(on bool) error

	// Noted gives what is new or has changed its state since it was called last;
	// what changed often comes once. All that changed before the mark that it
	// returns has come then. Where more has changed than could be noted, missed is
	// set, nothing comes, and what was noted until then is forgotten: Changed
	// has it, from the last mark on.
	Noted(yield func(Sync) bool) (mark uint32, missed bool, err error)
}
