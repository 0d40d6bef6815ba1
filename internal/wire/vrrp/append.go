package vrrp

import (
	"encoding/binary"
	"fmt"
)

// Append appends what follows the IP header for a: the advertisement, with the
// authentication header in front for AuthAH (and h.Protocol ProtocolAH). The
// values of a are the caller's affair: see Check. For AH, h has to be the header
// that the packet is sent with, its ID included; other authentications and
// version 2 look at nothing in h.
func Append(dst []byte, a *Advert, h *Header, key *Key) []byte {
	start := len(dst)
	ah := a.Version == 2 && a.Auth == AuthAH
	if ah {
		dst = append(dst, make([]byte, ahLen)...)
	}
	message := len(dst)
	dst = append(dst, a.Version<<4|typeAdv, a.VRID, a.Priority, uint8(len(a.Addresses)))
	if a.Version == 2 {
		dst = append(dst, uint8(a.Auth), uint8(a.Interval/UnitV2))
	} else {
		dst = binary.BigEndian.AppendUint16(dst, uint16(a.Interval/UnitV3)&0xfff)
	}
	dst = append(dst, 0, 0)
	for _, address := range a.Addresses {
		if a.Version == 2 || h.Source.Is4() {
			b := address.As4()
			dst = append(dst, b[:]...)
		} else {
			b := address.As16()
			dst = append(dst, b[:]...)
		}
	}
	var acc uint32
	if a.Version == 2 {
		data := Key{}
		if a.Auth == AuthPass {
			data = *key
		}
		dst = append(dst, data[:]...)
	} else if !h.Source.Is4() || a.Checksum == ChecksumPseudo {
		acc = pseudo(h, h.Destination, len(dst)-message)
	} else if a.Checksum == ChecksumGroup {
		acc = pseudo(h, groupV4, len(dst)-message)
	}
	binary.BigEndian.PutUint16(dst[message+6:], ^fold(sum(acc, dst[message:])))
	if ah {
		putAH(dst[start:], a, h, key)
	}
	return dst
}

// Size is the length of what Append appends for so many addresses of a family
// (4 or 6).
func Size(version, family uint8, auth AuthType, addresses int) int {
	if version == 2 {
		n := v2Fixed + 4*addresses + v2AuthLen
		if auth == AuthAH {
			n += ahLen
		}
		return n
	}
	if family == 4 {
		return v2Fixed + 4*addresses
	}
	return v2Fixed + 16*addresses
}

// Check says whether an advertisement with these values can be encoded for a
// family (4 or 6), and what would be right.
func Check(a *Advert, family uint8) error {
	unit, most := UnitV3, MaxIntervalV3
	switch {
	case a.Version == 2 && family == 4:
		unit, most = UnitV2, MaxIntervalV2
	case a.Version == 2:
		return fmt.Errorf("VRRP version 2 has no IPv6: version 3 has")
	case a.Version != 3:
		return fmt.Errorf("VRRP has no version %d: 2 and 3 exist", a.Version)
	case a.Auth != AuthNone:
		return fmt.Errorf("VRRP version 3 has no authentication: version 2 has")
	}
	if a.VRID == 0 {
		return fmt.Errorf("virtual router 0: 1 to 255 exist")
	}
	if a.Auth > AuthAH {
		return fmt.Errorf("VRRP version 2 has no authentication type %d: 0, 1 (PASS) and 2 (AH) exist", a.Auth)
	}
	if a.Interval < unit || a.Interval > most || a.Interval%unit != 0 {
		return fmt.Errorf("an interval of %v: version %d has multiples of %v up to %v", a.Interval, a.Version, unit, most)
	}
	if len(a.Addresses) > MaxAddresses {
		return fmt.Errorf("%d addresses: an advertisement holds %d", len(a.Addresses), MaxAddresses)
	}
	for _, address := range a.Addresses {
		if !address.IsValid() || address.Is4() != (family == 4) {
			return fmt.Errorf("address %v in an advertisement over IPv%d", address, family)
		}
	}
	return nil
}
