package maglev

import (
	"fmt"
	"math/rand"
	"net/netip"
	"slices"
	"testing"
)

func members(n int) []Member {
	list := make([]Member, n)
	for i := range list {
		list[i] = Member{Addr: netip.MustParseAddr(fmt.Sprintf("10.0.%d.%d", i/250, i%250+1)), Port: 80, Weight: 1}
	}
	return list
}

// byName is a table of addresses instead of indices.
func byName(list []Member, table []int) []string {
	names := make([]string, len(table))
	for i, n := range table {
		if n != None {
			names[i] = list[n].Addr.String()
		}
	}
	return names
}

func TestTheOrderOfMembersDoesNotMatter(t *testing.T) {
	list := members(9)
	list[3].Weight = 5
	want := byName(list, Table(list, Size))
	for range 20 {
		rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		if got := byName(list, Table(list, Size)); !slices.Equal(got, want) {
			t.Fatal("another table from the same members in another order")
		}
	}
}

func TestSharesFollowWeights(t *testing.T) {
	for _, weights := range [][]int{{1, 1}, {1, 2, 3}, {100, 300}, {1, 1, 1, 1, 1, 1, 1}, {7, 0, 3}, {65535, 1}} {
		list := members(len(weights))
		total := 0
		for i, w := range weights {
			list[i].Weight = w
			total += w
		}
		count := make([]int, len(weights))
		for _, n := range Table(list, Size) {
			count[n]++
		}
		for i, w := range weights {
			want := float64(w) / float64(total) * Size
			// IPVS cuts weights to 6 bits, and every weight gets something.
			if got := float64(count[i]); w == 0 && got != 0 || got < want*0.95-2 || got > want*1.05+Size/50 {
				t.Errorf("weights %v: member %d has %v places, want about %.0f", weights, i, got, want)
			}
		}
	}
}

func TestFewPlacesMove(t *testing.T) {
	list := members(10)
	before := byName(list, Table(list, Size))
	after := byName(list[:9], Table(list[:9], Size))
	gone := list[9].Addr.String()
	moved := 0
	for i := range before {
		if before[i] != gone && before[i] != after[i] {
			moved++
		}
	}
	if moved > Size/10 {
		t.Errorf("%d of %d places moved between members that stayed", moved, Size)
	}
	if slices.Contains(after, gone) {
		t.Error("a member that left still has places")
	}
}

func TestNoMembers(t *testing.T) {
	for _, list := range [][]Member{nil, {{Addr: netip.MustParseAddr("10.0.0.1"), Weight: 0}}} {
		for _, n := range Table(list, 251) {
			if n != None {
				t.Fatalf("%v: place of %d", list, n)
			}
		}
	}
}

// The reference values were computed with a plain SipHash-1-3 over the four
// bytes of the number, least significant first.
func TestSip13IsSipHash(t *testing.T) {
	for _, value := range []uint32{0, 1, 0x0a000001, 0xffffffff} {
		if got, want := Sip13(value, key1), reference(value, key1); got != want {
			t.Errorf("%#x: %#x, want %#x", value, got, want)
		}
	}
}

// reference is SipHash-c-d as its paper writes it, for any input.
func reference(value uint32, key uint64) uint32 {
	in := []byte{byte(value), byte(value >> 8), byte(value >> 16), byte(value >> 24)}
	v := [4]uint64{key ^ 0x736f6d6570736575, key ^ 0x646f72616e646f6d, key ^ 0x6c7967656e657261, key ^ 0x7465646279746573}
	rotate := func(x uint64, n int) uint64 { return x<<n | x>>(64-n) }
	round := func() {
		v[0] += v[1]
		v[2] += v[3]
		v[1] = rotate(v[1], 13)
		v[3] = rotate(v[3], 16)
		v[1] ^= v[0]
		v[3] ^= v[2]
		v[0] = rotate(v[0], 32)
		v[2] += v[1]
		v[0] += v[3]
		v[1] = rotate(v[1], 17)
		v[3] = rotate(v[3], 21)
		v[1] ^= v[2]
		v[3] ^= v[0]
		v[2] = rotate(v[2], 32)
	}
	var last [8]byte
	copy(last[:], in)
	last[7] = byte(len(in))
	var m uint64
	for i, b := range last {
		m |= uint64(b) << (8 * i)
	}
	v[3] ^= m
	round()
	v[0] ^= m
	v[2] ^= 0xff
	for range 3 {
		round()
	}
	return uint32(v[0] ^ v[1] ^ v[2] ^ v[3])
}
