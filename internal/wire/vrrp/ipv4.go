package vrrp

import (
	"encoding/binary"
	"net/netip"
)

// SplitIPv4 takes an IPv4 packet apart, as a raw socket delivers it. Options
// are skipped, and what follows the total length is cut off.
func SplitIPv4(packet []byte) (h Header, payload []byte, ok bool) {
	if len(packet) < ipv4Len || packet[0]>>4 != 4 {
		return Header{}, nil, false
	}
	header := int(packet[0]&0xf) * 4
	total := int(binary.BigEndian.Uint16(packet[2:]))
	if header < ipv4Len || total < header || total > len(packet) {
		return Header{}, nil, false
	}
	return Header{
		TOS:         packet[1],
		ID:          binary.BigEndian.Uint16(packet[4:]),
		Flags:       binary.BigEndian.Uint16(packet[6:]),
		TTL:         packet[8],
		Protocol:    packet[9],
		Source:      netip.AddrFrom4([4]byte(packet[12:])),
		Destination: netip.AddrFrom4([4]byte(packet[16:])),
	}, packet[header:total], true
}

// AppendIPv4 appends an IPv4 header without options for a payload of the given
// length, with its checksum, for sockets that want it (IP_HDRINCL).
func AppendIPv4(dst []byte, h *Header, payload int) []byte {
	start := len(dst)
	dst = appendIPv4(dst, h, payload)
	ip := dst[start:]
	binary.BigEndian.PutUint16(ip[10:], ^fold(sum(0, ip)))
	return dst
}

// appendIPv4 leaves the checksum zero.
func appendIPv4(dst []byte, h *Header, payload int) []byte {
	source, destination := h.Source.As4(), h.Destination.As4()
	dst = append(dst, 0x45, h.TOS)
	dst = binary.BigEndian.AppendUint16(dst, uint16(ipv4Len+payload))
	dst = binary.BigEndian.AppendUint16(dst, h.ID)
	dst = binary.BigEndian.AppendUint16(dst, h.Flags)
	dst = append(dst, h.TTL, h.Protocol, 0, 0)
	dst = append(dst, source[:]...)
	return append(dst, destination[:]...)
}
