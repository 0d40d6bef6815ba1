package netconf

import (
	"iter"
	"net/netip"
	"time"
)

// Forever is the lifetime of an address that has none.
const Forever time.Duration = -1

// Snapshot is the picture of the host's links. It belongs to the Host: what is
// in it may change with the next read of Watch or call of Set.
type Snapshot struct {
	byIndex map[int]*LinkState
	byName  map[string]*LinkState
}

// ByName finds a link; nil: there is none.
func (s *Snapshot) ByName(name string) *LinkState { return s.byName[name] }

// ByIndex finds a link; nil: there is none.
func (s *Snapshot) ByIndex(index int) *LinkState { return s.byIndex[index] }

// All goes through the links in no particular order.
func (s *Snapshot) All() iter.Seq[*LinkState] {
	return func(yield func(*LinkState) bool) {
		for _, l := range s.byIndex {
			if !yield(l) {
				return
			}
		}
	}
}

// LinkState is a link as the kernel described it last.
type LinkState struct {
	Index   int
	Name    string
	Kind    string // "" for hardware, else veth, macvlan, bridge, …
	Base    int    // the link below this one, or the other end of a veth; 0: none in this namespace
	Up      bool   // administratively up (IFF_UP)
	Running bool   // and able to carry traffic (IFF_RUNNING, IFF_LOWER_UP)
	NoARP   bool   // neighbours are not asked for there, and not answered (IFF_NOARP)
	MTU     int
	MAC     [6]byte
	Master  int // bridge or bond that it belongs to

	// Addresses in the kernel's order.
	Addresses []AddressState
}

// AddressState is an address as the kernel described it last.
type AddressState struct {
	Prefix    netip.Prefix
	Peer      netip.Addr // invalid: not point-to-point
	Broadcast netip.Addr
	Label     string
	Scope     uint8
	Flags     uint32        // IFA_F_…
	Protocol  uint8         // IFA_PROTO: Mark for ours
	Valid     time.Duration // as of the message; Forever
	Preferred time.Duration
}

// PrimaryIPv4 is the address that packets of this host carry by default on the
// link: its first one that is not secondary and not one of ours. Invalid: none.
func (l *LinkState) PrimaryIPv4() netip.Addr {
	for i := range l.Addresses {
		if a := &l.Addresses[i]; a.Prefix.Addr().Is4() && !a.Secondary() && a.Protocol != Mark {
			return a.Prefix.Addr()
		}
	}
	return netip.Addr{}
}

// LinkLocal is the first usable IPv6 link-local address. Invalid: none.
func (l *LinkState) LinkLocal() netip.Addr {
	for i := range l.Addresses {
		if a := &l.Addresses[i]; a.Prefix.Addr().Is6() && a.Prefix.Addr().IsLinkLocalUnicast() && !a.Tentative() && a.Protocol != Mark {
			return a.Prefix.Addr()
		}
	}
	return netip.Addr{}
}

// Address finds an address whatever its prefix length; nil: the link has it not.
func (l *LinkState) Address(a netip.Addr) *AddressState {
	for i := range l.Addresses {
		if l.Addresses[i].Prefix.Addr() == a {
			return &l.Addresses[i]
		}
	}
	return nil
}

// ChangeKind is what happened to a link or an address.
type ChangeKind uint8

const (
	LinkNew        ChangeKind = iota + 1
	LinkGone                  // its addresses went with it
	LinkRenamed               // OldName has the former name
	LinkUp                    // administratively
	LinkDown                  //
	LinkRunning               // carrier is there, traffic can flow
	LinkNotRunning            //
	LinkChanged               // MTU, MAC or master
	AddressAdded              // or usable now, after duplicate address detection
	AddressRemoved            //
	AddressChanged            // flags such as deprecated; not a mere renewal
	RouteRemoved              // or a rule: one with our Mark, by whomever; nothing else is said
)

// Change is one difference between two readings of the host.
type Change struct {
	Kind    ChangeKind
	Index   int
	Name    string
	OldName string
	Prefix  netip.Prefix // of an address
	// Owner is who wants the address, "" nobody: AddressRemoved with an Owner
	// is an address that somebody took away under our feet.
	Owner string
}

// The IFA_F_ flags that the package looks at.
const (
	flagSecondary  = 0x01 // of IPv4; for IPv6 a temporary address
	flagNoDAD      = 0x02
	flagDADFailed  = 0x08
	flagHome       = 0x10
	flagDeprecated = 0x20
	flagTentative  = 0x40
	flagPermanent  = 0x80
)

// Secondary says that another address of the link, in the same subnet, comes
// first (IPv4).
func (a *AddressState) Secondary() bool {
	return a.Prefix.Addr().Is4() && a.Flags&flagSecondary != 0
}

// Tentative says that the address cannot be used, for duplicate address
// detection goes on or has found another owner.
func (a *AddressState) Tentative() bool { return a.Flags&(flagTentative|flagDADFailed) != 0 }

// NewSnapshot is a picture of these links, for those who stand in for a Host.
func NewSnapshot(links ...*LinkState) *Snapshot {
	s := emptySnapshot()
	for _, l := range links {
		s.byIndex[l.Index], s.byName[l.Name] = l, l
	}
	return &s
}
