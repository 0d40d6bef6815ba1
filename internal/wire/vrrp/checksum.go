package vrrp

import (
	"encoding/binary"
	"net/netip"
)

// groupV4 is the multicast group of VRRP over IPv4 (RFC 9568 5.1.1.2).
var groupV4 = netip.AddrFrom4([4]byte{224, 0, 0, 18})

// sum adds b to a one's complement sum that is folded at the end (RFC 1071).
func sum(acc uint32, b []byte) uint32 {
	for len(b) >= 2 {
		acc += uint32(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		acc += uint32(b[0]) << 8
	}
	return acc
}

// fold brings a sum to 16 bits. 0xffff is what a message with a right checksum
// gives.
func fold(acc uint32) uint16 {
	for acc>>16 != 0 {
		acc = acc&0xffff + acc>>16
	}
	return uint16(acc)
}

// pseudo is the sum of the pseudo-header (RFC 9568 5.2.8: RFC 8200 8.1 for IPv6,
// and its counterpart for IPv4).
func pseudo(h *Header, destination netip.Addr, length int) uint32 {
	var acc uint32
	if h.Source.Is4() {
		source, destination := h.Source.As4(), destination.As4()
		acc = sum(sum(acc, source[:]), destination[:])
	} else {
		source, destination := h.Source.As16(), destination.As16()
		acc = sum(sum(acc, source[:]), destination[:])
	}
	return acc + ProtocolVRRP + uint32(length)
}
