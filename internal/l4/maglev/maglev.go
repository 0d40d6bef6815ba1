package maglev

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
)

// Size is the places in a table that IPVS is built with by default: prime, as
// every size has to be.
const Size = 4093

// weightBits is to how many bits IPVS cuts weights down.
const weightBits = 6

// The two hash keys of IPVS.
const (
	key1 = 2654435761
	key2 = 2654446892
)

// None is a place that no member has: there are none with a weight.
const None = -1

// Member is who gets places.
type Member struct {
	Addr   netip.Addr
	Port   uint16
	Weight int // 0 and less: no places
}

// Table is a table of size places, each with a member's index. size has to be
// prime.
func Table(members []Member, size int) []int {
	table := make([]int, size)
	for i := range table {
		table[i] = None
	}
	order := make([]int, 0, len(members))
	for i, m := range members {
		if m.Weight > 0 {
			order = append(order, i)
		}
	}
	if len(order) == 0 {
		return table
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(members[a].Addr.Compare(members[b].Addr), cmp.Compare(members[a].Port, members[b].Port))
	})
	fill(table, preferences(members, order, size))
	return table
}

// preference is the order in which one member wants places: every skip-th from
// next on.
type preference struct {
	member, next, skip int
	turns              int // places it takes when it is its turn
}

func preferences(members []Member, order []int, size int) []preference {
	divisor, most := 0, 0
	for _, i := range order {
		divisor = gcd(members[i].Weight, divisor)
		most = max(most, members[i].Weight)
	}
	shift := max(0, bits.Len(uint(most/divisor))-weightBits)
	list := make([]preference, len(order))
	for n, i := range order {
		m := members[i]
		list[n] = preference{
			member: i,
			next:   int(hash(m.Addr, m.Port, key1) % uint32(size)),
			skip:   int(hash(m.Addr, m.Port, key2)%uint32(size-1)) + 1,
			turns:  max(1, (m.Weight/divisor)>>shift),
		}
	}
	return list
}

// fill lets the members take places in turn until there are none left.
func fill(table []int, list []preference) {
	left := len(table)
	for {
		for n := range list {
			p := &list[n]
			for range p.turns {
				for table[p.next] != None {
					p.next = (p.next + p.skip) % len(table)
				}
				table[p.next] = p.member
				left--
				if left == 0 {
					return
				}
			}
		}
	}
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// Place is where a client finds its member in a table of a size. port is 0
// where ports do not count.
func Place(client netip.Addr, port uint16, size int) int {
	return int(hash(client, port, key1) % uint32(size))
}

// Fold is an address as one number, in which IPv6 is folded.
func Fold(a netip.Addr) uint32 {
	a = a.Unmap()
	if a.Is4() {
		b := a.As4()
		return binary.BigEndian.Uint32(b[:])
	}
	b := a.As16()
	var n uint32
	for i := 0; i < len(b); i += 4 {
		n ^= binary.BigEndian.Uint32(b[i:])
	}
	return n
}

func hash(a netip.Addr, port uint16, key uint64) uint32 {
	return Sip13(Fold(a)+uint32(port), key)
}

// Sip13 is SipHash-1-3 of one 32-bit number under the key of 128 bits that is
// key twice, cut to 32 bits.
func Sip13(value uint32, key uint64) uint32 {
	v0, v1 := 0x736f6d6570736575^key, 0x646f72616e646f6d^key
	v2, v3 := 0x6c7967656e657261^key, 0x7465646279746573^key
	round := func() {
		v0 += v1
		v1 = bits.RotateLeft64(v1, 13) ^ v0
		v0 = bits.RotateLeft64(v0, 32)
		v2 += v3
		v3 = bits.RotateLeft64(v3, 16) ^ v2
		v0 += v3
		v3 = bits.RotateLeft64(v3, 21) ^ v0
		v2 += v1
		v1 = bits.RotateLeft64(v1, 17) ^ v2
		v2 = bits.RotateLeft64(v2, 32)
	}
	block := uint64(4)<<56 | uint64(value)
	v3 ^= block
	round()
	v0 ^= block
	v2 ^= 0xff
	round()
	round()
	round()
	return uint32(v0 ^ v1 ^ v2 ^ v3)
}
