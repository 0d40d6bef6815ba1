package vrrp

import (
	"encoding/binary"
	"net/netip"
)

// groupV4 is the multicast group of VRRP over IPv4 (RFC 9568 5.1.1.2).
var groupV4 = netip.AddrFrom4([4]byte{224, 0, 0, 18})

// sum adds b, of even length, to a one's complement sum that is folded at the
// end (RFC 1071).
func sum(acc uint32, b []byte) uint32 {
	for len(b) >= 2 {
		acc += uint32(binary.BigEndian.Uint16(b))
		b = b[2:]
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
// and its counterpart for IPv4). The prefix of a mapped IPv4 address adds 0xffff,
// which is 0 in one's complement, so that one form does for both.
func pseudo(h *Header, destination netip.Addr, length int) uint32 {
	from, to := h.Source.As16(), destination.As16()
	return sum(sum(0, from[:]), to[:]) + ProtocolVRRP + uint32(length)
}
