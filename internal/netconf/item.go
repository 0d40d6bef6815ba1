package netconf

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// class is what kind of thing of the kernel's an item is.
type class uint8

const (
	classAddress class = iota + 1
	classRoute
	classRule
)

func (s class) String() string { return [...]string{"", "address", "route", "rule"}[s] }

// identity is what the kernel tells two things apart by.
type identity struct {
	class         class
	family        uint8
	index         int          // address: its link
	to, from      netip.Prefix // address: itself, peer
	table, metric uint32
	tos           uint8
	rule          ruleIdentity
}

// state is whose a thing is.
type state uint8

const (
	absent  state = iota // we want it; it is not there
	ours                 // there, and to be removed when nobody wants it
	lost                 // somebody took it away, and it is not to come back
	foreign              // there, and was before us
)

// item is a thing that at least one owner wants.
type item struct {
	// Set once.
	id     identity
	text   string // in ip's words
	device string // of an address
	add    []byte // RTM_NEW…, complete
	remove []byte // RTM_DEL…, complete
	fixed  int    // bytes of add in which a change needs removal first
	lease  time.Duration
	once   bool // it is not put back
	// preferred is for how long from added on; 0: the request says it.
	preferred time.Duration

	owners  []string
	state   state
	renewed time.Duration // when the lease last began
	added   time.Duration
}

// age writes into the request for how long the address is still preferred.
func (i *item) age(now time.Duration) {
	if i.preferred == 0 {
		return
	}
	left := i.preferred
	if i.state == ours {
		left = max(0, i.added+i.preferred-now)
	}
	lifetimes := i.add[len(i.add)-cacheInfoLength:]
	native.PutUint32(lifetimes, min(seconds(left), native.Uint32(lifetimes[4:])))
}

// cacheInfoLength is of struct ifa_cacheinfo, the last attribute of an address.
const cacheInfoLength = 16

func (i *item) wantedBy(owner string) bool { return slices.Contains(i.owners, owner) }

// sameAs says whether the kernel can turn one into the other in place.
func (i *item) sameAs(j *item) bool {
	return i.fixed == j.fixed && string(i.add[16:max(i.fixed, 16)]) == string(j.add[16:max(j.fixed, 16)])
}

// words joins the parts of a description that are there.
func words(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " ")
}

// optional is "name value", or nothing without a value.
func optional(name, value string) string {
	if value == "" {
		return ""
	}
	return name + " " + value
}
