package probe

import (
	"encoding/binary"
	"net/netip"
	"time"

	"evenkeel/internal/lab/record"
)

const (
	etherHeader = 14
	etherIPv4   = 0x0800
	etherARP    = 0x0806

	arpLength  = 28 // of Ethernet and IPv4 (RFC 826)
	arpRequest = 1
	arpReply   = 2

	protocolVRRP = 112
)

// arpQuestion is the frame that asks who has an address. Its sender address
// is 0.0.0.0 (an ARP probe, RFC 5227 2.1.1), so that nobody learns from it.
func arpQuestion(from record.MAC, target netip.Addr) []byte {
	b := make([]byte, etherHeader+arpLength)
	for i := range 6 {
		b[i] = 0xff
	}
	copy(b[6:], from[:])
	binary.BigEndian.PutUint16(b[12:], etherARP)
	a := b[etherHeader:]
	binary.BigEndian.PutUint16(a[0:], 1) // Ethernet
	binary.BigEndian.PutUint16(a[2:], etherIPv4)
	a[4], a[5] = 6, 4
	binary.BigEndian.PutUint16(a[6:], arpRequest)
	copy(a[8:], from[:])
	ip := target.As4()
	copy(a[24:], ip[:])
	return b
}

// sight is what a frame tells.
type sight struct {
	kind     record.Kind // Owner, Announce or Advert
	address  netip.Addr
	mac      record.MAC
	version  byte
	vrid     byte
	six      bool // the advertisement is of IPv6
	priority byte
	interval time.Duration
}

// look reads a frame that came by at the port with that MAC address.
func look(frame []byte, own record.MAC) (s sight, ok bool) {
	if len(frame) < etherHeader || record.MAC(frame[6:12]) == own {
		return s, false
	}
	body := frame[etherHeader:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case etherARP:
		return lookARP(body)
	case etherIPv4:
		s, ok = lookVRRP(body)
		s.mac = record.MAC(frame[6:12])
		return s, ok
	case etherIPv6:
		s, ok = lookIPv6(body, own)
		if s.mac == (record.MAC{}) {
			s.mac = record.MAC(frame[6:12])
		}
		return s, ok
	}
	return s, false
}

func lookARP(b []byte) (s sight, ok bool) {
	if len(b) < arpLength || binary.BigEndian.Uint16(b) != 1 || binary.BigEndian.Uint16(b[2:]) != etherIPv4 || b[4] != 6 || b[5] != 4 {
		return s, false
	}
	sender, target := netip.AddrFrom4([4]byte(b[14:18])), netip.AddrFrom4([4]byte(b[24:28]))
	s.address, s.mac = sender, record.MAC(b[8:14])
	switch operation := binary.BigEndian.Uint16(b[6:]); {
	case sender == target && !sender.IsUnspecified():
		s.kind = record.Announce
	case operation == arpReply && target.IsUnspecified():
		s.kind = record.Owner
	default:
		return s, false
	}
	return s, true
}

// lookVRRP reads an advertisement of IPv4. Authenticated ones (AH) are not
// looked into.
func lookVRRP(b []byte) (s sight, ok bool) {
	if len(b) < 20 || b[0]>>4 != 4 || b[9] != protocolVRRP {
		return s, false
	}
	length := int(b[0]&15) * 4
	if length < 20 || len(b) < length+8 {
		return s, false
	}
	s, ok = lookAdvert(b[length:])
	s.address = netip.AddrFrom4([4]byte(b[12:16]))
	return s, ok
}

const (
	icmpEchoReply   = 0
	icmpEchoRequest = 8
	icmpHeader      = 8
	echoLength      = icmpHeader + 8
)

// echoQuestion fills b with an echo request; the kernel completes one of IPv6. The window goes whole into the
// data, since a sequence number has 16 bits only.
func echoQuestion(b *[echoLength]byte, id uint16, vip int, six bool, window uint32) {
	*b = [echoLength]byte{icmpEchoRequest}
	if six {
		b[0] = icmp6EchoRequest
	}
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[6:], uint16(window))
	binary.BigEndian.PutUint32(b[8:], uint32(vip))
	binary.BigEndian.PutUint32(b[12:], window)
	if !six {
		binary.BigEndian.PutUint16(b[2:], checksum(b[:]))
	}
}

// echoAnswer reads a packet from a raw socket, with its IPv4 header.
func echoAnswer(b []byte, id uint16) (vip int, window uint32, ok bool) {
	if len(b) < 20 {
		return 0, 0, false
	}
	length := int(b[0]&15) * 4
	if length < 20 || len(b) < length+echoLength {
		return 0, 0, false
	}
	return echoBody(b[length:], icmpEchoReply, id)
}

// echoAnswer6 reads one from a raw IPv6 socket, which comes without a header.
func echoAnswer6(b []byte, id uint16) (vip int, window uint32, ok bool) {
	return echoBody(b, icmp6EchoReply, id)
}

func echoBody(b []byte, kind byte, id uint16) (vip int, window uint32, ok bool) {
	if len(b) < echoLength || b[0] != kind || binary.BigEndian.Uint16(b[4:]) != id {
		return 0, 0, false
	}
	return int(binary.BigEndian.Uint32(b[8:])), binary.BigEndian.Uint32(b[12:]), true
}

// checksum is RFC 1071's, of an even number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
