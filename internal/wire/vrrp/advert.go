package vrrp

import (
	"net/netip"
	"time"
)

// IP protocol numbers of packets that carry advertisements.
const (
	ProtocolVRRP = 112
	ProtocolAH   = 51 // RFC 4302; its next header is ProtocolVRRP
)

// Priorities with a meaning of their own (RFC 9568 5.2.4).
const (
	PriorityRelease = 0   // the master gives up
	PriorityOwner   = 255 // the addresses are the router's own
)

// MaxAddresses is how many addresses one advertisement can hold.
const MaxAddresses = 255

// Interval bounds of the two versions (RFC 3768 5.3.7, RFC 9568 5.2.7).
const (
	MaxIntervalV2 = 255 * time.Second
	MaxIntervalV3 = 4095 * 10 * time.Millisecond
	UnitV2        = time.Second
	UnitV3        = 10 * time.Millisecond
)

// AuthType is the authentication of version 2 (RFC 2338 5.3.6).
type AuthType uint8

const (
	AuthNone AuthType = 0
	AuthPass AuthType = 1
	AuthAH   AuthType = 2
)

func (t AuthType) String() string {
	switch t {
	case AuthNone:
		return "none"
	case AuthPass:
		return "PASS"
	case AuthAH:
		return "AH"
	}
	return "unknown"
}

// Checksum says over what a version 3 advertisement over IPv4 was summed.
type Checksum uint8

const (
	// ChecksumPseudo includes the pseudo-header (RFC 9568 5.2.8). It is what
	// keepalived 2.2.7 sends, and always used over IPv6.
	ChecksumPseudo Checksum = iota
	// ChecksumPlain is over the advertisement alone.
	ChecksumPlain
	// ChecksumGroup includes a pseudo-header with 224.0.0.18 in place of a
	// unicast destination: keepalived before 1.3.7, and later with
	// old_unicast_checksum.
	ChecksumGroup
)

// Key is the shared secret of version 2: PASS and AH use eight bytes, padded
// with zeros.
type Key [8]byte

// Advert is one advertisement.
type Advert struct {
	Version  uint8 // 2 or 3
	VRID     uint8
	Priority uint8
	// Interval is a multiple of UnitV2 or UnitV3.
	Interval time.Duration
	// Addresses are the virtual addresses in the order of the packet. Parse
	// appends to Addresses[:0], so an Advert that is used again allocates
	// nothing.
	Addresses []netip.Addr

	// Auth is the authentication type (version 2).
	Auth AuthType
	// Sequence is AH's sequence number.
	Sequence uint32
	// Checksum is the form that Parse found and Append is to write (version 3
	// over IPv4).
	Checksum Checksum
}

// Header is what the IP header has to do with an advertisement: Source and
// Destination are part of the version 3 checksum; AH covers those, ID and
// Protocol.
type Header struct {
	Source, Destination netip.Addr
	// Protocol is ProtocolVRRP or ProtocolAH.
	Protocol uint8
	// TTL is the hop limit. It is covered by nothing and parsed by nobody; it
	// stands here for those who judge it.
	TTL uint8
	// TOS is the type of service or traffic class.
	TOS uint8
	// ID is IPv4's identification, which AH covers.
	ID uint16
	// Flags is IPv4's flags and fragment offset, which AH does not cover.
	Flags uint16
}

// Expect is what the receiver of a packet is configured for; Parse refuses
// what does not fit.
type Expect struct {
	Version uint8
	VRID    uint8
	Auth    AuthType
	Key     Key
	// AllowEmpty accepts advertisements without addresses, which keepalived
	// sends for an instance that has excluded addresses only.
	AllowEmpty bool
	// AnyAuth skips the authentication: for those who only watch.
	AnyAuth bool
}
