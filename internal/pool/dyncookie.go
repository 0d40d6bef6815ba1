package pool

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
)

// dynamicCookie is the value of a `cookie … dynamic`: a hash of the secret key
// and the server's address and port, so that all directors agree on it.
func dynamicCookie(key string, a netip.AddrPort) string {
	if key == "" || !a.IsValid() {
		return ""
	}
	data := append([]byte(key), a.Addr().AsSlice()...)
	data = binary.BigEndian.AppendUint32(data, uint32(a.Port()))
	return fmt.Sprintf("%016x", xxh64(data))
}

const (
	prime1 uint64 = 11400714785074694791
	prime2 uint64 = 14029467366897019727
	prime3 uint64 = 1609587929392839161
	prime4 uint64 = 9650029242287828579
	prime5 uint64 = 2870177450012600261
)

// xxh64 is the XXH64 hash with seed 0 (xxHash specification, section 2).
func xxh64(p []byte) uint64 {
	n := uint64(len(p))
	var h uint64
	if len(p) < 32 {
		h = prime5
	} else {
		p1, p2 := prime1, prime2
		v := [4]uint64{p1 + p2, p2, 0, -p1}
		for len(p) >= 32 {
			for i := range v {
				v[i] = xxhRound(v[i], binary.LittleEndian.Uint64(p[8*i:]))
			}
			p = p[32:]
		}
		h = bits.RotateLeft64(v[0], 1) + bits.RotateLeft64(v[1], 7) +
			bits.RotateLeft64(v[2], 12) + bits.RotateLeft64(v[3], 18)
		for _, x := range v {
			h = (h^xxhRound(0, x))*prime1 + prime4
		}
	}
	h += n
	for ; len(p) >= 8; p = p[8:] {
		h ^= xxhRound(0, binary.LittleEndian.Uint64(p))
		h = bits.RotateLeft64(h, 27)*prime1 + prime4
	}
	if len(p) >= 4 {
		h ^= uint64(binary.LittleEndian.Uint32(p)) * prime1
		h = bits.RotateLeft64(h, 23)*prime2 + prime3
		p = p[4:]
	}
	for _, c := range p {
		h ^= uint64(c) * prime5
		h = bits.RotateLeft64(h, 11) * prime1
	}
	h ^= h >> 33
	h *= prime2
	h ^= h >> 29
	h *= prime3
	return h ^ h>>32
}

func xxhRound(acc, x uint64) uint64 {
	return bits.RotateLeft64(acc+x*prime2, 31) * prime1
}
