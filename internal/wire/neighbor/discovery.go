package neighbor

import (
	"encoding/binary"
	"net/netip"
)

const (
	ipv6Header  = 40
	nextICMPv6  = 58
	hopLimit    = 255 // RFC 4861 7.1: what comes from the link itself
	messageSize = 24  // ICMPv6 header, flags, target
	optionSize  = 8   // a link-layer address option of Ethernet

	typeSolicitation  = 135
	typeAdvertisement = 136

	optionSource = 1
	optionTarget = 2

	flagRouter    = 0x80
	flagSolicited = 0x40
	flagOverride  = 0x20
)

func appendDiscovery(dst []byte, m *Message) []byte {
	kind, flags := byte(typeSolicitation), byte(0)
	option, mac := byte(optionSource), m.SenderMAC
	if m.Kind == Advertisement {
		kind, option, mac = typeAdvertisement, optionTarget, m.TargetMAC
		flags = bit(m.Router, flagRouter) | bit(m.Solicited, flagSolicited) | bit(m.Override, flagOverride)
	}
	length := uint16(messageSize)
	if mac != (HardwareAddr{}) {
		length += optionSize
	}
	from, to, target := m.Sender.As16(), m.To.As16(), m.Target.As16()

	dst = binary.BigEndian.AppendUint16(dst, etherIPv6)
	start := len(dst)
	dst = append(dst, 6<<4, 0, 0, 0, byte(length>>8), byte(length), nextICMPv6, hopLimit)
	dst = append(dst, from[:]...)
	dst = append(dst, to[:]...)
	dst = append(dst, kind, 0, 0, 0, flags, 0, 0, 0)
	dst = append(dst, target[:]...)
	if length > messageSize {
		dst = append(dst, option, optionSize/8)
		dst = append(dst, mac[:]...)
	}
	packet := dst[start:]
	binary.BigEndian.PutUint16(packet[ipv6Header+2:], ^checksum(packet))
	return dst
}

func bit(set bool, b byte) byte {
	if set {
		return b
	}
	return 0
}

// checksum is the ones' complement sum of the message and the pseudo-header
// (RFC 8200 8.1) of an IPv6 packet without extension headers: all ones for a
// packet that is right as it is.
func checksum(packet []byte) uint16 {
	sum := uint32(nextICMPv6) + uint32(len(packet)-ipv6Header)
	p := packet[8:] // both addresses, and then the message
	for ; len(p) >= 2; p = p[2:] {
		sum += uint32(p[0])<<8 | uint32(p[1])
	}
	if len(p) == 1 {
		sum += uint32(p[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// parseDiscovery validates as RFC 4861 7.1 asks.
func (m *Message) parseDiscovery(p []byte) error {
	if len(p) < ipv6Header {
		return ErrShort
	}
	if p[0]>>4 != 6 || p[6] != nextICMPv6 {
		return ErrOther
	}
	length := int(binary.BigEndian.Uint16(p[4:]))
	if length > len(p)-ipv6Header || length == 0 {
		return ErrShort
	}
	p = p[:ipv6Header+length]
	body := p[ipv6Header:]
	option := byte(optionSource)
	switch body[0] {
	case typeSolicitation:
		m.Kind = Solicitation
	case typeAdvertisement:
		m.Kind, option = Advertisement, optionTarget
	default:
		return ErrOther
	}
	switch {
	case len(body) < messageSize:
		return ErrShort
	case p[7] != hopLimit:
		return ErrHopLimit
	case body[1] != 0:
		return ErrOther // a code that is not defined
	case checksum(p) != 0xffff:
		return ErrChecksum
	case body[8] == 0xff:
		return ErrTarget
	}
	m.Sender, m.To = netip.AddrFrom16([16]byte(p[8:24])), netip.AddrFrom16([16]byte(p[24:40]))
	m.Target = netip.AddrFrom16([16]byte(body[8:24]))
	mac, err := linkLayerOption(body[messageSize:], option)
	if err != nil {
		return err
	}
	if m.Kind == Solicitation {
		m.SenderMAC = mac
		return nil
	}
	m.TargetMAC = mac
	m.Router, m.Solicited, m.Override = body[4]&flagRouter != 0, body[4]&flagSolicited != 0, body[4]&flagOverride != 0
	return nil
}

// linkLayerOption finds an Ethernet address among options; others are passed
// over (RFC 4861 4.6). The last one counts.
func linkLayerOption(options []byte, want byte) (mac HardwareAddr, err error) {
	for len(options) > 0 {
		if len(options) < 2 || options[1] == 0 || int(options[1])*8 > len(options) {
			return mac, ErrOption
		}
		if options[0] == want && options[1] == optionSize/8 {
			mac = HardwareAddr(options[2:optionSize])
		}
		options = options[int(options[1])*8:]
	}
	return mac, nil
}
