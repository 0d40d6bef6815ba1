package vrrp

import (
	"crypto/md5"
	"encoding/binary"
)

// The authentication header (RFC 2402) of an advertisement:
//
//	next header 1, length 1 (in words, minus 2), reserved 2, SPI 4, sequence 4, ICV 12
//
// keepalived sends the IPv4 source as SPI. The integrity check value is
// HMAC-MD5-96 (RFC 2403) over the IP header, the authentication header with a
// zero ICV, and the advertisement.
const (
	ahLen      = 24
	ahWords    = ahLen/4 - 2
	ahICV      = 12
	ahICVLen   = 12
	hmacBlock  = 64
	ipv4Len    = 20
	v2MaxLen   = v2Fixed + 4*MaxAddresses + v2AuthLen
	ahMaxInput = hmacBlock + ipv4Len + ahLen + v2MaxLen
)

// icv computes the check value of payload, which begins with the authentication
// header. withTTL leaves the TTL in the IP header: RFC 2402 zeroes it as mutable,
// keepalived does so for unicast, but covers the 255 of multicast.
func icv(payload []byte, h *Header, key *Key, withTTL bool) [md5.Size]byte {
	var input [ahMaxInput]byte
	n := hmacBlock
	n = len(appendIPv4(input[:n], h, len(payload)))
	ip := input[hmacBlock:n]
	ip[1] = 0             // TOS
	ip[6], ip[7] = 0, 0   // flags and fragment offset
	ip[10], ip[11] = 0, 0 // header checksum
	if !withTTL {
		ip[8] = 0
	}
	n += copy(input[n:], payload)
	clear(input[hmacBlock+ipv4Len+ahICV : hmacBlock+ipv4Len+ahLen])

	for i := range hmacBlock {
		input[i] = 0x36
	}
	for i, b := range key {
		input[i] ^= b
	}
	inner := md5.Sum(input[:n])
	for i := range hmacBlock {
		input[i] ^= 0x36 ^ 0x5c
	}
	n = hmacBlock + copy(input[hmacBlock:], inner[:])
	return md5.Sum(input[:n])
}

// stripAH checks the authentication header and returns what it protects.
func stripAH(a *Advert, payload []byte, h *Header, expect *Expect) ([]byte, error) {
	if len(payload) < ahLen {
		return nil, ErrLength
	}
	if payload[0] != ProtocolVRRP || payload[1] != ahWords {
		return nil, ErrAuthType
	}
	a.Sequence = binary.BigEndian.Uint32(payload[8:])
	if expect.AnyAuth {
		return payload[ahLen:], nil
	}
	if expect.Auth != AuthAH {
		return nil, ErrAuthType
	}
	if len(payload) > ahLen+v2MaxLen {
		return nil, ErrLength
	}
	multicast := h.Destination.IsMulticast()
	right := icv(payload, h, &expect.Key, multicast)
	if !equal(right[:ahICVLen], payload[ahICV:ahLen]) {
		right = icv(payload, h, &expect.Key, false)
		if !equal(right[:ahICVLen], payload[ahICV:ahLen]) {
			return nil, ErrAuthData
		}
	}
	return payload[ahLen:], nil
}

// putAH completes the authentication header that payload begins with.
func putAH(payload []byte, a *Advert, h *Header, key *Key) {
	payload[0] = ProtocolVRRP
	payload[1] = ahWords
	source := h.Source.As4()
	copy(payload[4:], source[:])
	binary.BigEndian.PutUint32(payload[8:], a.Sequence)
	check := icv(payload, h, key, h.Destination.IsMulticast())
	copy(payload[ahICV:ahLen], check[:ahICVLen])
}

// equal compares secrets in a time that does not depend on where they differ.
func equal(a, b []byte) bool {
	var d byte
	for i := range a {
		d |= a[i] ^ b[i]
	}
	return d == 0
}
