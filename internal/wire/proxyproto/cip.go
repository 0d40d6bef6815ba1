package proxyproto

import (
	"encoding/binary"
	"net/netip"
)

// ParseCIP reads a NetScaler client IP insertion header: a magic number that
// both sides agreed on, lengths, and the client's IP and TCP headers. Since
// NetScaler 10.5 two more fields stand before those (type 1 and a length); the
// IP header's version tells the older form.
func ParseCIP(buf []byte, magic uint32) (h Header, n int, err error) {
	var want [4]byte
	binary.BigEndian.PutUint32(want[:], magic)
	if k := min(len(buf), 4); string(buf[:k]) != string(want[:k]) {
		return h, 0, bad("wrong NetScaler magic number")
	}
	if len(buf) < 12 {
		return h, 0, ErrMore
	}
	at, size := 8, uint64(binary.BigEndian.Uint32(buf[4:]))
	if v := buf[8] >> 4; v != 4 && v != 6 {
		if binary.BigEndian.Uint16(buf[8:]) != 1 {
			return h, 0, bad("unknown NetScaler header type")
		}
		at, size = 12, uint64(binary.BigEndian.Uint16(buf[10:]))
	}
	if size > maxV2 {
		return h, 0, bad("NetScaler header too long")
	}
	n = at + int(size)
	if len(buf) < n {
		return h, 0, ErrMore
	}
	if err = cipAddresses(buf[at:n], &h); err != nil {
		return Header{}, 0, err
	}
	return h, n, nil
}

func cipAddresses(b []byte, h *Header) error {
	if len(b) < 20 {
		return bad("NetScaler header without an IP header")
	}
	var src, dst netip.Addr
	var proto byte
	var tcp []byte
	switch b[0] >> 4 {
	case 4:
		ihl := int(b[0]&15) * 4
		if ihl < 20 || len(b) < ihl+20 {
			return bad("NetScaler header with a torn IPv4 header")
		}
		h.Family, proto, tcp = FamilyIPv4, b[9], b[ihl:]
		src, dst = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	case 6:
		if len(b) < 40+20 {
			return bad("NetScaler header with a torn IPv6 header")
		}
		h.Family, proto, tcp = FamilyIPv6, b[6], b[40:]
		src, dst = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
	default:
		return bad("NetScaler header with an unknown IP version")
	}
	if proto != 6 {
		return bad("NetScaler header of something else than TCP")
	}
	h.Transport = TransportStream
	h.Src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(tcp))
	h.Dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(tcp[2:]))
	return nil
}
