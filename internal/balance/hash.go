package balance

import (
	"net/netip"

	"evenkeel/internal/keyhash"
)

// Function is a hash-type function.
type Function uint8

const (
	SDBM Function = iota
	DJB2
	WT6
	CRC32
	None // the key is a number
)

// ParseFunction knows the names of hash-type; "" is sdbm.
func ParseFunction(name string) (Function, bool) {
	switch name {
	case "", "sdbm":
		return SDBM, true
	case "djb2":
		return DJB2, true
	case "wt6":
		return WT6, true
	case "crc32":
		return CRC32, true
	case "none":
		return None, true
	}
	return 0, false
}

// Hash of a key; with avalanche, mixed once more.
func Hash(f Function, mix bool, key []byte) uint32 {
	var h uint32
	switch f {
	case SDBM:
		h = keyhash.SDBM(key)
	case DJB2:
		h = keyhash.DJB2(key)
	case WT6:
		h = keyhash.WT6(key)
	case CRC32:
		h = keyhash.CRC32(key)
	case None:
		h = number(key)
	}
	if mix {
		h = keyhash.Avalanche(h)
	}
	return h
}

// number reads a decimal number with an optional sign, up to the first other
// character, saturating as the C original does.
func number(key []byte) uint32 {
	negative := false
	if len(key) > 0 && (key[0] == '-' || key[0] == '+') {
		negative = key[0] == '-'
		key = key[1:]
	}
	var v int64
	for _, c := range key {
		if c < '0' || c > '9' {
			break
		}
		d := int64(c - '0')
		if v > (1<<63-1-d)/10 {
			if negative {
				return 0 // the low half of the smallest 64-bit number
			}
			return 0xffffffff
		}
		v = v*10 + d
	}
	if negative {
		v = -v
	}
	return uint32(v)
}

// SourceHash is what `balance source` hashes: the address's 32-bit words
// folded together, whatever the hash function.
func SourceHash(a netip.Addr, mix bool) uint32 {
	var h uint32
	if a = a.Unmap(); a.Is4() {
		b := a.As4()
		h = word(b[:])
	} else {
		b := a.As16()
		for i := 0; i < 16; i += 4 {
			h ^= word(b[i:])
		}
	}
	if mix {
		h = keyhash.Avalanche(h)
	}
	return h
}

func word(b []byte) uint32 {
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}
