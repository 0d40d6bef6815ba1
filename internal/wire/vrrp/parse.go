package vrrp

// Parse reads payload, what follows the IP header, into a. The error is always
// an Error; a then holds what was read before it. With ProtocolAH in h the
// payload begins with the authentication header.
func Parse(a *Advert, payload []byte, h *Header, expect *Expect) error {
	return ErrLength
}

// Peek returns version and VRID of a payload that may be an advertisement, so
// that its receiver can be found. It checks nothing else.
func Peek(payload []byte, protocol uint8) (version, vrid uint8, ok bool) {
	return 0, 0, false
}

// SplitIPv4 takes an IPv4 packet apart, as a raw socket delivers it.
func SplitIPv4(packet []byte) (h Header, payload []byte, ok bool) {
	return Header{}, nil, false
}
