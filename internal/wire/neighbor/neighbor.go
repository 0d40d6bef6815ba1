package neighbor

import (
	"errors"
	"net/netip"
)

// HardwareAddr is an Ethernet address.
type HardwareAddr [6]byte

// Broadcast is every station.
var Broadcast = HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// MaxFrame is the length of the longest frame that Append makes.
const MaxFrame = 86

// Kind is what a message does.
type Kind uint8

const (
	Request       Kind = iota + 1 // ARP: who has Target?
	Reply                         // ARP: Sender is at SenderMAC
	Solicitation                  // IPv6: who has Target?
	Advertisement                 // IPv6: Target is at TargetMAC
)

func (k Kind) String() string {
	switch k {
	case Request:
		return "ARP request"
	case Reply:
		return "ARP reply"
	case Solicitation:
		return "neighbour solicitation"
	case Advertisement:
		return "neighbour advertisement"
	}
	return "no message"
}

// Message is one frame.
type Message struct {
	Kind                Kind
	Source, Destination HardwareAddr // of the Ethernet header

	// ARP: the sender's protocol address (0.0.0.0 for a probe). IPv6: the
	// packet's source (:: for a probe).
	Sender netip.Addr
	// SenderMAC is of ARP, or the source link-layer address option of a
	// solicitation; zero: the option is not there.
	SenderMAC HardwareAddr
	Target    netip.Addr
	// TargetMAC is of ARP, or the target link-layer address option of an
	// advertisement; zero: the option is not there.
	TargetMAC HardwareAddr

	To netip.Addr // IPv6: the packet's destination

	// Of an advertisement (RFC 4861 4.4).
	Router, Solicited, Override bool
}

// GratuitousRequest is the announcement by which a virtual router tells all
// stations that addr is at mac now, as a request (RFC 5227 3). The target's
// hardware address, to which RFC 826 gives no meaning, is broadcast as
// keepalived has it.
func GratuitousRequest(mac HardwareAddr, addr netip.Addr) Message {
	return Message{Kind: Request, Source: mac, Destination: Broadcast,
		Sender: addr, SenderMAC: mac, Target: addr, TargetMAC: Broadcast}
}

// GratuitousReply is the same as a reply, for switches and hosts that learn
// from replies only.
func GratuitousReply(mac HardwareAddr, addr netip.Addr) Message {
	m := GratuitousRequest(mac, addr)
	m.Kind = Reply
	return m
}

// Unsolicited is the neighbour advertisement to all nodes, override set, by
// which a virtual router tells that addr is at mac now (RFC 4861 7.2.6). router
// says whether this host forwards IPv6: nodes drop a default router that
// advertises itself without (RFC 4861 7.2.5).
func Unsolicited(mac HardwareAddr, addr netip.Addr, router bool) Message {
	return Message{Kind: Advertisement, Source: mac, Destination: HardwareAddr{0x33, 0x33, 0, 0, 0, 1},
		Sender: addr, To: allNodes, Target: addr, TargetMAC: mac, Router: router, Override: true}
}

// Probe asks who has addr without claiming any address: an ARP probe (RFC 5227
// 2.1.1) or a solicitation as of duplicate address detection (RFC 4862 5.4.2).
// Every owner answers.
func Probe(mac HardwareAddr, addr netip.Addr) Message {
	if addr.Is4() {
		return Message{Kind: Request, Source: mac, Destination: Broadcast,
			Sender: netip.IPv4Unspecified(), SenderMAC: mac, Target: addr}
	}
	m := Message{Kind: Solicitation, Source: mac, Sender: netip.IPv6Unspecified(), Target: addr}
	m.To, m.Destination = solicitedNode(addr)
	return m
}

var allNodes = netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 1})

// solicitedNode is the multicast group that an owner of addr listens to (RFC
// 4291 2.7.1), and the group on the Ethernet (RFC 2464 7).
func solicitedNode(addr netip.Addr) (netip.Addr, HardwareAddr) {
	a := addr.As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: a[13], 14: a[14], 15: a[15]}),
		HardwareAddr{0x33, 0x33, 0xff, a[13], a[14], a[15]}
}

// Claims says whether the message tells that somebody has an address, and which
// and where: what detects two owners of one address.
func (m *Message) Claims() (addr netip.Addr, at HardwareAddr, ok bool) {
	switch m.Kind {
	case Request, Reply:
		return m.Sender, m.SenderMAC, !m.Sender.IsUnspecified()
	case Advertisement:
		at = m.TargetMAC
		if at == (HardwareAddr{}) {
			at = m.Source // RFC 4861 4.4: left out where the asker knows it
		}
		return m.Target, at, true
	case Solicitation:
		return m.Sender, m.Source, !m.Sender.IsUnspecified()
	}
	return netip.Addr{}, HardwareAddr{}, false
}

// Errors of Parse, to be told apart with errors.Is.
var (
	ErrOther    = errors.New("neither ARP nor neighbour discovery")
	ErrShort    = errors.New("frame is cut short")
	ErrFormat   = errors.New("ARP that is not of IPv4 over Ethernet")
	ErrHopLimit = errors.New("neighbour discovery from another link (hop limit is not 255)")
	ErrChecksum = errors.New("wrong ICMPv6 checksum")
	ErrTarget   = errors.New("neighbour discovery for a multicast address")
	ErrOption   = errors.New("neighbour discovery with a malformed option")
)

// Append adds the frame to dst. The addresses' families have to be those of the
// kind.
func Append(dst []byte, m *Message) []byte {
	dst = append(dst, m.Destination[:]...)
	dst = append(dst, m.Source[:]...)
	switch m.Kind {
	case Request, Reply:
		return appendARP(dst, m)
	case Solicitation, Advertisement:
		return appendDiscovery(dst, m)
	}
	return dst
}

const (
	etherHeader = 14
	etherARP    = 0x0806
	etherIPv6   = 0x86dd
)

// Parse reads a frame. The error is one of the package's. Padding behind the
// message is allowed, as Ethernet needs it for short frames.
func Parse(frame []byte) (Message, error) {
	if len(frame) < etherHeader {
		return Message{}, ErrShort
	}
	m := Message{Destination: HardwareAddr(frame[:6]), Source: HardwareAddr(frame[6:12])}
	var err error
	switch uint16(frame[12])<<8 | uint16(frame[13]) {
	case etherARP:
		err = m.parseARP(frame[etherHeader:])
	case etherIPv6:
		err = m.parseDiscovery(frame[etherHeader:])
	default:
		err = ErrOther
	}
	if err != nil {
		return Message{}, err
	}
	return m, nil
}
