package proxyproto

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

const signature = "\r\n\r\n\x00\r\nQUIT\n"

const (
	headLen   = 16
	inet4Len  = 12
	inet6Len  = 36
	unixLen   = 216
	unixPath  = 108
	maxUnique = 128 // 2.2.5
	// maxV2 bounds what a peer can make us keep; a header must fit the first
	// packets of a connection (2.2), and a buffer here.
	maxV2 = 8192
)

// Types of TLVs.
const (
	TypeALPN       = 0x01
	TypeAuthority  = 0x02
	TypeCRC32C     = 0x03
	TypeNoop       = 0x04
	TypeUniqueID   = 0x05
	TypeSSL        = 0x20
	TypeSSLVersion = 0x21
	TypeSSLCN      = 0x22
	TypeSSLCipher  = 0x23
	TypeSSLSigAlg  = 0x24
	TypeSSLKeyAlg  = 0x25
	TypeNetNS      = 0x30
)

func parseV2(buf []byte, h *Header) (int, error) {
	if k := min(len(buf), len(signature)); string(buf[:k]) != signature[:k] {
		return 0, bad("no signature")
	}
	if len(buf) > 12 {
		if buf[12]>>4 != 2 {
			return 0, bad("unknown version")
		}
		if buf[12]&15 > 1 {
			return 0, bad("unknown command")
		}
	}
	if len(buf) < headLen {
		return 0, ErrMore
	}
	size := int(binary.BigEndian.Uint16(buf[14:]))
	n := headLen + size
	if n > maxV2 {
		return 0, bad("version 2 header too long")
	}
	if len(buf) < n {
		return 0, ErrMore
	}
	h.Version = 2
	h.Local = buf[12]&15 == 0
	body := buf[headLen:n:n]
	addrLen, err := v2Addresses(buf[13], body, h)
	if err != nil {
		return 0, err
	}
	// A LOCAL header's content does not count (2.2), whatever it is.
	if !h.Local {
		if err := parseTLVs(buf[:n], body[addrLen:], h); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func v2Addresses(famProto byte, b []byte, h *Header) (int, error) {
	if h.Local {
		return 0, nil
	}
	family, transport := famProto>>4, famProto&15
	if family > 3 || transport > 2 {
		return 0, bad("unknown address family or transport")
	}
	if family == 0 || transport == 0 {
		// UNSPEC: addresses are unknown, TLVs may follow.
		return min(len(b), [...]int{0, inet4Len, inet6Len, unixLen}[family]), nil
	}
	h.Family, h.Transport = Family(family), Transport(transport)
	need := [...]int{0, inet4Len, inet6Len, unixLen}[family]
	if len(b) < need {
		return 0, bad("version 2 header too short for its addresses")
	}
	switch h.Family {
	case FamilyIPv4:
		h.Src = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b)), binary.BigEndian.Uint16(b[8:]))
		h.Dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:])), binary.BigEndian.Uint16(b[10:]))
	case FamilyIPv6:
		h.Src = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b)), binary.BigEndian.Uint16(b[32:]))
		h.Dst = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[16:])), binary.BigEndian.Uint16(b[34:]))
	case FamilyUnix:
		h.SrcPath, h.DstPath = untilNUL(b[:unixPath]), untilNUL(b[unixPath:unixLen])
	}
	return need, nil
}

func untilNUL(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

// nextTLV takes one TLV off b.
func nextTLV(b []byte) (typ byte, val, rest []byte, ok bool) {
	if len(b) < 3 {
		return 0, nil, nil, false
	}
	n := 3 + int(binary.BigEndian.Uint16(b[1:]))
	if n > len(b) {
		return 0, nil, nil, false
	}
	return b[0], b[3:n:n], b[n:], true
}

func parseTLVs(whole, b []byte, h *Header) error {
	for len(b) > 0 {
		typ, val, rest, ok := nextTLV(b)
		if !ok {
			return bad("torn TLV")
		}
		switch typ {
		case TypeNoop:
		case TypeALPN:
			h.ALPN = val
		case TypeAuthority:
			h.Authority = val
		case TypeNetNS:
			h.NetNS = val
		case TypeUniqueID:
			if len(val) > maxUnique {
				return bad("unique ID too long")
			}
			h.UniqueID = val
		case TypeSSL:
			if err := parseSSL(val, h); err != nil {
				return err
			}
		case TypeCRC32C:
			if len(val) != 4 || h.CRC32C {
				return bad("invalid CRC32C TLV")
			}
			at := len(whole) - len(rest) - 4
			if checksum(whole, at) != binary.BigEndian.Uint32(val) {
				return bad("wrong CRC32C")
			}
			h.CRC32C = true
		default:
			h.Extra = append(h.Extra, TLV{typ, val})
		}
		b = rest
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var zeros [4]byte

// checksum is the CRC32C of a header with zeros for the four bytes at at.
func checksum(whole []byte, at int) uint32 {
	sum := crc32.Update(0, castagnoli, whole[:at])
	sum = crc32.Update(sum, castagnoli, zeros[:])
	return crc32.Update(sum, castagnoli, whole[at+4:])
}

func parseSSL(b []byte, h *Header) error {
	if len(b) < 5 || h.SSL != nil {
		return bad("invalid SSL TLV")
	}
	s := &SSL{Client: b[0]}
	s.Verified = binary.BigEndian.Uint32(b[1:]) == 0
	for b = b[5:]; len(b) > 0; {
		typ, val, rest, ok := nextTLV(b)
		if !ok {
			return bad("torn TLV inside the SSL TLV")
		}
		switch typ {
		case TypeSSLVersion:
			s.Version = val
		case TypeSSLCN:
			s.CN = val
		case TypeSSLCipher:
			s.Cipher = val
		case TypeSSLSigAlg:
			s.SigAlg = val
		case TypeSSLKeyAlg:
			s.KeyAlg = val
		}
		b = rest
	}
	h.SSL = s
	return nil
}

// AppendV2 appends a version 2 header with every TLV that h holds: a caller
// fills those which proxy-v2-options names. A LOCAL header is 16 bytes and no
// more, and stands for unknown addresses, too: HAProxy resets connections that
// start with a PROXY command of an unspecified family. TLVs that would make the
// header too long are left out.
func AppendV2(dst []byte, h *Header) []byte {
	start := len(dst)
	dst = append(dst, signature...)
	src, to, family := h.addresses()
	if family == FamilyUnspec {
		return append(dst, 0x20, 0, 0, 0)
	}
	dst = append(dst, 0x21, byte(family)<<4|byte(max(h.Transport, TransportStream)), 0, 0)
	switch family {
	case FamilyIPv4, FamilyIPv6:
		dst = append(dst, src.Addr().AsSlice()...)
		dst = append(dst, to.Addr().AsSlice()...)
		dst = binary.BigEndian.AppendUint16(dst, src.Port())
		dst = binary.BigEndian.AppendUint16(dst, to.Port())
	case FamilyUnix:
		var b [unixLen]byte
		copy(b[:unixPath], h.SrcPath)
		copy(b[unixPath:], h.DstPath)
		dst = append(dst, b[:]...)
	}
	crc := -1
	if h.CRC32C {
		dst = append(dst, TypeCRC32C, 0, 4, 0, 0, 0, 0)
		crc = len(dst) - 4
	}
	room := start + maxV2
	dst = appendTLV(dst, room, TypeALPN, h.ALPN)
	dst = appendTLV(dst, room, TypeAuthority, h.Authority)
	if len(h.UniqueID) <= maxUnique {
		dst = appendTLV(dst, room, TypeUniqueID, h.UniqueID)
	}
	dst = appendTLV(dst, room, TypeNetNS, h.NetNS)
	if h.SSL != nil {
		dst = h.SSL.append(dst, room)
	}
	for _, t := range h.Extra {
		dst = appendTLV(dst, room, t.Type, t.Value)
	}
	binary.BigEndian.PutUint16(dst[start+14:], uint16(len(dst)-start-headLen))
	if crc >= 0 {
		binary.BigEndian.PutUint32(dst[crc:], checksum(dst[start:], crc-start))
	}
	return dst
}

func appendTLV(dst []byte, room int, typ byte, val []byte) []byte {
	if val == nil || len(dst)+3+len(val) > room {
		return dst
	}
	dst = append(dst, typ)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(val)))
	return append(dst, val...)
}

func (s *SSL) append(dst []byte, room int) []byte {
	if len(dst)+8 > room {
		return dst
	}
	at := len(dst)
	verify := uint32(1)
	if s.Verified {
		verify = 0
	}
	dst = append(dst, TypeSSL, 0, 0, s.Client)
	dst = binary.BigEndian.AppendUint32(dst, verify)
	dst = appendTLV(dst, room, TypeSSLVersion, s.Version)
	dst = appendTLV(dst, room, TypeSSLCN, s.CN)
	dst = appendTLV(dst, room, TypeSSLCipher, s.Cipher)
	dst = appendTLV(dst, room, TypeSSLSigAlg, s.SigAlg)
	dst = appendTLV(dst, room, TypeSSLKeyAlg, s.KeyAlg)
	binary.BigEndian.PutUint16(dst[at+1:], uint16(len(dst)-at-3))
	return dst
}
