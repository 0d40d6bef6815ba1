package vrrp

// Append appends what follows the IP header for a: the advertisement, with the
// authentication header in front for AuthAH (and h.Protocol ProtocolAH). The
// values of a are the caller's affair: see Check.
func Append(dst []byte, a *Advert, h *Header, key *Key) []byte {
	return dst
}

// AppendIPv4 appends an IPv4 header without options for a payload of the given
// length, with its checksum, for sockets that want it (IP_HDRINCL).
func AppendIPv4(dst []byte, h *Header, payload int) []byte {
	return dst
}

// Check says whether an advertisement with these values can be encoded.
func Check(a *Advert) error { return nil }
