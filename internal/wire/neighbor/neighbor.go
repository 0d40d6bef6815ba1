package neighbor

import "net/netip"

// HardwareAddr is an Ethernet address.
type HardwareAddr [6]byte

// Broadcast is every station.
var Broadcast = HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Kind is what a message does.
type Kind uint8

const (
	Request       Kind = iota + 1 // ARP: who has Target?
	Reply                         // ARP: Sender is at SenderMAC
	Solicitation                  // IPv6: who has Target?
	Advertisement                 // IPv6: Target is at TargetMAC
)

// Message is one frame.
type Message struct {
	Kind                Kind
	Source, Destination HardwareAddr // of the Ethernet header

	// ARP: the sender's protocol address (zero for a probe). IPv6: the
	// packet's source (unspecified for a probe).
	Sender    netip.Addr
	SenderMAC HardwareAddr // ARP; a solicitation's source link-layer address option
	Target    netip.Addr
	TargetMAC HardwareAddr // ARP; an advertisement's target link-layer address option

	To netip.Addr // IPv6: the packet's destination

	// Of an advertisement (RFC 4861 4.4).
	Router, Solicited, Override bool
}

// GratuitousRequest is the announcement of RFC 5227 section 3, by which a
// virtual router tells all stations that addr is at mac now.
func GratuitousRequest(mac HardwareAddr, addr netip.Addr) Message { return Message{} }

// GratuitousReply is the same as a reply.
func GratuitousReply(mac HardwareAddr, addr netip.Addr) Message { return Message{} }

// Unsolicited is the neighbour advertisement to all nodes, override set, by
// which a virtual router tells that addr is at mac now (RFC 4861 7.2.6). router
// says whether this host forwards IPv6.
func Unsolicited(mac HardwareAddr, addr netip.Addr, router bool) Message { return Message{} }

// Probe asks who has addr without claiming any address of its own: an ARP probe
// (RFC 5227 2.1.1) or a solicitation as of duplicate address detection (RFC
// 4862 5.4.2). Every owner answers.
func Probe(mac HardwareAddr, addr netip.Addr) Message { return Message{} }

// Claims says whether the message tells that somebody has an address, and which
// and where.
func (m *Message) Claims() (addr netip.Addr, at HardwareAddr, ok bool) { return }

// Append adds the frame to dst.
func Append(dst []byte, m *Message) []byte { return dst }

// Parse reads a frame. The error says what is wrong with it; frames of other
// protocols are ErrOther.
func Parse(frame []byte) (Message, error) { return Message{}, nil }
