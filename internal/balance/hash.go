package balance

import (
	"hash/crc32"
	"net/netip"
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
		for _, c := range key {
			h = uint32(c) + h<<6 + h<<16 - h
		}
	case DJB2:
		h = 5381
		for _, c := range key {
			h = h*33 + uint32(c)
		}
	case WT6:
		h = wt6(key)
	case CRC32:
		h = crc32.ChecksumIEEE(key)
	case None:
		h = number(key)
	}
	if mix {
		h = avalanche(h)
	}
	return h
}

func wt6(key []byte) uint32 {
	a, b := uint32(0xa53c965a), uint32(0x5ca6953a)
	s, r := uint32(6), uint32(18)
	for _, c := range key {
		a = ^(a ^ uint32(c))
		b = ^(b + uint32(c))
		a, b = b<<s|b>>(32-s), a<<r|a>>(32-r)
		m := (a>>16 ^ b) & 0xffff
		s, r = m&31, m>>11
	}
	return a ^ b
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

// avalanche is Bob Jenkins' 32-bit integer mix, spread over the circle with a
// large odd factor: every bit of the input changes half of the output.
func avalanche(a uint32) uint32 {
	a += 0x7ed55d16 + a<<12
	a = a ^ 0xc761c23c ^ a>>19
	a += 0x165667b1 + a<<5
	a = (a + 0xd3a2646c) ^ a<<9
	a += 0xfd7046c5 + a<<3
	a = a ^ 0xb55a4f09 ^ a>>16
	return a * 3221225473
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
		h = avalanche(h)
	}
	return h
}

func word(b []byte) uint32 {
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}
