package keyhash

import (
	"hash/crc32"
	"math/bits"
)

// Avalanche spreads a 32-bit hash over all of its bits, as HAProxy does with
// hashes that are to place something on a circle.
func Avalanche(a uint32) uint32 {
	a += 0x7ed55d16 + a<<12
	a = a ^ 0xc761c23c ^ a>>19
	a += 0x165667b1 + a<<5
	a = (a + 0xd3a2646c) ^ a<<9
	a += 0xfd7046c5 + a<<3
	a = a ^ 0xb55a4f09 ^ a>>16
	return a * 3221225473
}

// SDBM is the hash of the sdbm database library, the default of hash-type.
func SDBM(b []byte) uint32 { return SDBMFrom(0, b) }

// SDBMFrom goes on with a hash of what came before.
func SDBMFrom(h uint32, b []byte) uint32 {
	for _, c := range b {
		h = uint32(c) + h<<6 + h<<16 - h
	}
	return h
}

// DJB2 is Dan Bernstein's string hash.
func DJB2(b []byte) uint32 {
	h := uint32(5381)
	for _, c := range b {
		h = h*33 + uint32(c)
	}
	return h
}

// WT6 is HAProxy's own, found by trying.
func WT6(b []byte) uint32 {
	x, y := uint32(0xa53c965a), uint32(0x5ca6953a)
	s, r := uint32(6), uint32(18)
	for _, c := range b {
		x = ^(x ^ uint32(c))
		y = ^(y + uint32(c))
		x, y = y<<s|y>>(32-s), x<<r|x>>(32-r)
		m := (x>>16 ^ y) & 0xffff
		s, r = m&31, m>>11
	}
	return x ^ y
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CRC32 has the IEEE polynomial, CRC32C Castagnoli's.
func CRC32(b []byte) uint32  { return crc32.ChecksumIEEE(b) }
func CRC32C(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

func le32(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

func le64(b []byte) uint64 { return uint64(le32(b)) | uint64(le32(b[4:]))<<32 }

const (
	prime32x1 = 2654435761
	prime32x2 = 2246822519
	prime32x3 = 3266489917
	prime32x4 = 668265263
	prime32x5 = 374761393

	prime64x1 = 11400714785074694791
	prime64x2 = 14029467366897019727
	prime64x3 = 1609587929392839161
	prime64x4 = 9650029242287828579
	prime64x5 = 2870177450012600261
)

// XXH32 is xxHash, 32 bits.
func XXH32(b []byte, seed uint32) uint32 {
	n := uint32(len(b))
	h := seed + prime32x5
	if len(b) >= 16 {
		p1, p2 := uint32(prime32x1), uint32(prime32x2)
		v := [4]uint32{seed + p1 + p2, seed + p2, seed, seed - p1}
		for ; len(b) >= 16; b = b[16:] {
			for i := range v {
				v[i] = bits.RotateLeft32(v[i]+le32(b[4*i:])*prime32x2, 13) * prime32x1
			}
		}
		h = bits.RotateLeft32(v[0], 1) + bits.RotateLeft32(v[1], 7) + bits.RotateLeft32(v[2], 12) + bits.RotateLeft32(v[3], 18)
	}
	h += n
	for ; len(b) >= 4; b = b[4:] {
		h = bits.RotateLeft32(h+le32(b)*prime32x3, 17) * prime32x4
	}
	for _, c := range b {
		h = bits.RotateLeft32(h+uint32(c)*prime32x5, 11) * prime32x1
	}
	h = (h ^ h>>15) * prime32x2
	h = (h ^ h>>13) * prime32x3
	return h ^ h>>16
}

// XXH64 is xxHash, 64 bits.
func XXH64(b []byte, seed uint64) uint64 {
	n := uint64(len(b))
	h := seed + prime64x5
	if len(b) >= 32 {
		p1, p2 := uint64(prime64x1), uint64(prime64x2)
		v := [4]uint64{seed + p1 + p2, seed + p2, seed, seed - p1}
		for ; len(b) >= 32; b = b[32:] {
			for i := range v {
				v[i] = bits.RotateLeft64(v[i]+le64(b[8*i:])*prime64x2, 31) * prime64x1
			}
		}
		h = bits.RotateLeft64(v[0], 1) + bits.RotateLeft64(v[1], 7) + bits.RotateLeft64(v[2], 12) + bits.RotateLeft64(v[3], 18)
		for _, x := range v {
			h ^= bits.RotateLeft64(x*prime64x2, 31) * prime64x1
			h = h*prime64x1 + prime64x4
		}
	}
	h += n
	for ; len(b) >= 8; b = b[8:] {
		h ^= bits.RotateLeft64(le64(b)*prime64x2, 31) * prime64x1
		h = bits.RotateLeft64(h, 27)*prime64x1 + prime64x4
	}
	if len(b) >= 4 {
		h ^= uint64(le32(b)) * prime64x1
		h = bits.RotateLeft64(h, 23)*prime64x2 + prime64x3
		b = b[4:]
	}
	for _, c := range b {
		h ^= uint64(c) * prime64x5
		h = bits.RotateLeft64(h, 11) * prime64x1
	}
	h = (h ^ h>>33) * prime64x2
	h = (h ^ h>>29) * prime64x3
	return h ^ h>>32
}
