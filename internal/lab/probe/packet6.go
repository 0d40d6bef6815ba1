package probe

import (
	"encoding/binary"
	"net/netip"
	"time"

	"evenkeel/internal/lab/record"
)

const (
	etherIPv6 = 0x86dd

	ipv6Header    = 40
	protocolICMP6 = 58

	neighborSolicitation  = 135 // RFC 4861 4.3
	neighborAdvertisement = 136 // RFC 4861 4.4
	neighborLength        = 24  // of both, without options
	flagSolicited         = 0x40

	optionSourceLink = 1
	optionTargetLink = 2

	icmp6EchoRequest = 128
	icmp6EchoReply   = 129
)

// linkLocal is the address that the kernel gives an interface with that MAC
// (RFC 4291 appendix A).
func linkLocal(m record.MAC) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
}

// neighborQuestion is the frame that asks who has an IPv6 address. It comes
// from the link-local address of the prober's port, so that the answer comes
// there alone and the owner learns nothing else. (An unspecified sender would
// be answered to everybody, and correct the client's neighbour table.)
func neighborQuestion(from record.MAC, target netip.Addr) []byte {
	b := make([]byte, etherHeader+ipv6Header+neighborLength+8)
	to := target.As16()
	copy(b, []byte{0x33, 0x33, 0xff, to[13], to[14], to[15]})
	copy(b[6:], from[:])
	binary.BigEndian.PutUint16(b[12:], etherIPv6)
	ip, body := b[etherHeader:][:ipv6Header], b[etherHeader+ipv6Header:]
	ip[0] = 6 << 4
	binary.BigEndian.PutUint16(ip[4:], uint16(len(body)))
	ip[6], ip[7] = protocolICMP6, 255
	source := linkLocal(from).As16()
	copy(ip[8:], source[:])
	group := [16]byte{0xff, 2, 11: 1, 0xff, to[13], to[14], to[15]} // RFC 4291 2.7.1
	copy(ip[24:], group[:])
	body[0] = neighborSolicitation
	copy(body[8:], to[:])
	body[24], body[25] = optionSourceLink, 1
	copy(body[26:], from[:])
	binary.BigEndian.PutUint16(body[2:], checksum6(ip, body))
	return b
}

// checksum6 is of an ICMPv6 message, with the pseudo-header (RFC 8200 8.1).
func checksum6(ip, body []byte) uint16 {
	pseudo := make([]byte, 40, 40+len(body))
	copy(pseudo, ip[8:40])
	binary.BigEndian.PutUint32(pseudo[32:], uint32(len(body)))
	pseudo[39] = protocolICMP6
	return checksum(append(pseudo, body...))
}

// lookIPv6 reads neighbour advertisements and those of VRRP, of packets
// without extension headers: nobody sends others.
func lookIPv6(b []byte, own record.MAC) (s sight, ok bool) {
	if len(b) < ipv6Header || b[0]>>4 != 6 {
		return s, false
	}
	body := b[ipv6Header:]
	body = body[:min(len(body), int(binary.BigEndian.Uint16(b[4:])))]
	switch b[6] {
	case protocolICMP6:
		return lookNeighbor(b, body, own)
	case protocolVRRP:
		s, ok = lookAdvert(body)
		s.address, s.six = netip.AddrFrom16([16]byte(b[8:24])), true
		return s, ok && s.version == 3
	}
	return s, false
}

// lookNeighbor takes an answer to this port for an owner, and an unsolicited
// advertisement for an announcement.
func lookNeighbor(ip, body []byte, own record.MAC) (s sight, ok bool) {
	if len(body) < neighborLength || body[0] != neighborAdvertisement || ip[7] != 255 {
		return s, false
	}
	s.address = netip.AddrFrom16([16]byte(body[8:24]))
	to := netip.AddrFrom16([16]byte(ip[24:40]))
	switch solicited := body[4]&flagSolicited != 0; {
	case solicited && to == linkLocal(own):
		s.kind = record.Owner
	case !solicited && to.IsMulticast():
		s.kind = record.Announce
	default:
		return s, false
	}
	for options := body[neighborLength:]; len(options) >= 8; {
		length := int(options[1]) * 8
		if length == 0 || length > len(options) {
			break
		}
		if options[0] == optionTargetLink {
			s.mac = record.MAC(options[2:8])
		}
		options = options[length:]
	}
	return s, true
}

// lookAdvert reads as much of an advertisement as is shown: RFC 3768 5.1,
// RFC 9568 5.1.
func lookAdvert(v []byte) (s sight, ok bool) {
	if len(v) < 8 || v[0]&15 != 1 {
		return s, false
	}
	s = sight{kind: record.Advert, version: v[0] >> 4, vrid: v[1], priority: v[2]}
	switch s.version {
	case 2:
		s.interval = time.Duration(v[5]) * time.Second
	case 3:
		s.interval = time.Duration(binary.BigEndian.Uint16(v[4:])&0xfff) * 10 * time.Millisecond
	default:
		return s, false
	}
	return s, true
}
