package proxyproto

import (
	"bytes"
	"net/netip"
	"strconv"
)

// maxV1 is the longest line of version 1, its CRLF included (2.1).
const maxV1 = 107

func parseV1(buf []byte, h *Header) (int, error) {
	const prefix = "PROXY "
	if k := min(len(buf), len(prefix)); string(buf[:k]) != prefix[:k] {
		return 0, bad("no signature")
	}
	window := buf[:min(len(buf), maxV1)]
	end := bytes.IndexByte(window, '\n')
	if end < 0 {
		if len(buf) >= maxV1 {
			return 0, bad("version 1 line too long")
		}
		return 0, ErrMore
	}
	if end < len(prefix) || buf[end-1] != '\r' {
		return 0, bad("version 1 line without CRLF")
	}
	h.Version = 1
	proto, rest, more := bytes.Cut(buf[len(prefix):end-1], []byte(" "))
	switch string(proto) {
	case "UNKNOWN":
		return end + 1, nil // the rest of the line does not count
	case "TCP4":
		h.Family = FamilyIPv4
	case "TCP6":
		h.Family = FamilyIPv6
	default:
		return 0, bad("unknown protocol in a version 1 line")
	}
	h.Transport = TransportStream
	var word [4][]byte
	for i := range word {
		if !more {
			return 0, bad("version 1 line with too few words")
		}
		word[i], rest, more = bytes.Cut(rest, []byte(" "))
	}
	src, ok1 := v1Addr(word[0], h.Family)
	dst, ok2 := v1Addr(word[1], h.Family)
	sport, ok3 := v1Port(word[2])
	dport, ok4 := v1Port(word[3])
	if more || !ok1 || !ok2 || !ok3 || !ok4 {
		return 0, bad("invalid address or port in a version 1 line")
	}
	h.Src, h.Dst = netip.AddrPortFrom(src, sport), netip.AddrPortFrom(dst, dport)
	return end + 1, nil
}

func v1Addr(b []byte, f Family) (netip.Addr, bool) {
	a, err := netip.ParseAddr(string(b))
	if err != nil || a.Zone() != "" || a.Is4() != (f == FamilyIPv4) {
		return netip.Addr{}, false
	}
	return a, true
}

// v1Port takes 0 to 65535 without leading zeros.
func v1Port(b []byte) (uint16, bool) {
	if len(b) == 0 || len(b) > 5 || b[0] == '0' && len(b) > 1 {
		return 0, false
	}
	n := 0
	for _, c := range b {
		if c-'0' > 9 {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return uint16(n), n <= 65535
}

// AppendV1 appends a version 1 line. What it cannot say, datagrams, UNIX sockets
// and LOCAL, is UNKNOWN. Addresses of different families are both written as IPv6.
func AppendV1(dst []byte, h *Header) []byte {
	src, to, family := h.addresses()
	if family != FamilyIPv4 && family != FamilyIPv6 || h.Transport == TransportDatagram {
		return append(dst, "PROXY UNKNOWN\r\n"...)
	}
	if family == FamilyIPv4 {
		dst = append(dst, "PROXY TCP4 "...)
	} else {
		dst = append(dst, "PROXY TCP6 "...)
	}
	dst = src.Addr().AppendTo(dst)
	dst = append(dst, ' ')
	dst = to.Addr().AppendTo(dst)
	dst = append(dst, ' ')
	dst = strconv.AppendUint(dst, uint64(src.Port()), 10)
	dst = append(dst, ' ')
	dst = strconv.AppendUint(dst, uint64(to.Port()), 10)
	return append(dst, '\r', '\n')
}

// addresses gives what a builder writes: of one family, without zones. Family
// may be left FamilyUnspec by a caller that has set Src and Dst.
func (h *Header) addresses() (src, dst netip.AddrPort, f Family) {
	if h.Local {
		return src, dst, FamilyUnspec
	}
	if h.Family == FamilyUnix {
		return src, dst, FamilyUnix
	}
	s, d := h.Src.Addr().Unmap().WithZone(""), h.Dst.Addr().Unmap().WithZone("")
	switch {
	case !s.IsValid() || !d.IsValid():
		return src, dst, FamilyUnspec
	case s.Is4() && d.Is4() && h.Family != FamilyIPv6:
		f = FamilyIPv4
	default:
		f = FamilyIPv6
		s, d = netip.AddrFrom16(s.As16()), netip.AddrFrom16(d.As16())
	}
	return netip.AddrPortFrom(s, h.Src.Port()), netip.AddrPortFrom(d, h.Dst.Port()), f
}
