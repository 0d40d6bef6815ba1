package vrrp

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Layout of an advertisement: version and type, VRID, priority, count; then in
// version 2 authentication type and seconds, in version 3 twelve bits of
// centiseconds; checksum; addresses; in version 2 eight bytes of authentication
// data.
const (
	v2Fixed   = 8
	v2AuthLen = 8
	typeAdv   = 1
)

// Parse reads payload, what follows the IP header, into a. The error is always
// an Error; a then holds what was read before it. With ProtocolAH in h the
// payload begins with the authentication header.
//
// The checks are those of RFC 3768 7.1 and RFC 9568 7.1, except TTL, source and
// interval, which are for the state machine. Bytes after the advertisement are
// an error.
func Parse(a *Advert, payload []byte, h *Header, expect *Expect) error {
	*a = Advert{Addresses: a.Addresses[:0]}
	if h.Protocol == ProtocolAH {
		if !h.Source.Is4() {
			return ErrAuthType
		}
		inner, err := stripAH(a, payload, h, expect)
		if err != nil {
			return err
		}
		payload = inner
	}
	if len(payload) < v2Fixed {
		return ErrLength
	}
	a.Version, a.VRID, a.Priority = payload[0]>>4, payload[1], payload[2]
	if a.Version != expect.Version || a.Version == 2 && !h.Source.Is4() || a.Version == 3 && h.Protocol == ProtocolAH {
		return ErrVersion
	}
	if payload[0]&0xf != typeAdv {
		return ErrType
	}
	if a.VRID != expect.VRID {
		return ErrVRID
	}
	if a.Version == 2 {
		return parseV2(a, payload, h, expect)
	}
	return parseV3(a, payload, h, expect)
}

func parseV2(a *Advert, p []byte, h *Header, expect *Expect) error {
	count := int(p[3])
	if len(p) != v2Fixed+4*count+v2AuthLen {
		return ErrLength
	}
	a.Auth = AuthType(p[4])
	a.Interval = time.Duration(p[5]) * UnitV2
	if fold(sum(0, p)) != 0xffff {
		return ErrChecksum
	}
	if count == 0 && !expect.AllowEmpty {
		return ErrCount
	}
	if a.Auth > AuthAH || (a.Auth == AuthAH) != (h.Protocol == ProtocolAH) {
		return ErrAuthType
	}
	if !expect.AnyAuth {
		if a.Auth != expect.Auth {
			return ErrAuthType
		}
		if a.Auth == AuthPass && !equal(expect.Key[:], p[len(p)-v2AuthLen:]) {
			return ErrAuthData
		}
	}
	if a.Interval == 0 {
		return ErrInterval
	}
	readAddresses(a, p[v2Fixed:v2Fixed+4*count], 4)
	return nil
}

func parseV3(a *Advert, p []byte, h *Header, expect *Expect) error {
	size := 16
	if h.Source.Is4() {
		size = 4
	}
	count := int(p[3])
	if len(p) != v2Fixed+size*count {
		return ErrLength
	}
	a.Interval = time.Duration(binary.BigEndian.Uint16(p[4:])&0xfff) * UnitV3
	acc := sum(0, p)
	switch {
	case fold(acc+pseudo(h, h.Destination, len(p))) == 0xffff:
	case size == 4 && fold(acc) == 0xffff:
		a.Checksum = ChecksumPlain
	case size == 4 && fold(acc+pseudo(h, groupV4, len(p))) == 0xffff:
		a.Checksum = ChecksumGroup
	default:
		return ErrChecksum
	}
	if count == 0 && !expect.AllowEmpty {
		return ErrCount
	}
	if a.Interval == 0 {
		return ErrInterval
	}
	readAddresses(a, p[v2Fixed:], size)
	return nil
}

func readAddresses(a *Advert, p []byte, size int) {
	for ; len(p) >= size; p = p[size:] {
		if size == 4 {
			a.Addresses = append(a.Addresses, netip.AddrFrom4([4]byte(p)))
		} else {
			a.Addresses = append(a.Addresses, netip.AddrFrom16([16]byte(p)))
		}
	}
}

// Peek returns version and VRID of a payload that may be an advertisement, so
// that its receiver can be found. It checks nothing else.
func Peek(payload []byte, protocol uint8) (version, vrid uint8, ok bool) {
	if protocol == ProtocolAH {
		if len(payload) < ahLen || payload[0] != ProtocolVRRP || payload[1] != ahWords {
			return 0, 0, false
		}
		payload = payload[ahLen:]
	}
	if len(payload) < 2 {
		return 0, 0, false
	}
	return payload[0] >> 4, payload[1], true
}
