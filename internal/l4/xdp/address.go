package xdp

import (
	"encoding/binary"
	"net/netip"

	"evenkeel/internal/l4"
)

// words is an address as the maps have it: network order in memory, IPv4 in
// the first word.
func words(a netip.Addr) (w [4]uint32) {
	a = a.Unmap()
	if a.Is4() {
		b := a.As4()
		w[0] = binary.NativeEndian.Uint32(b[:])
		return w
	}
	if !a.IsValid() {
		return w
	}
	b := a.As16()
	for i := range w {
		w[i] = binary.NativeEndian.Uint32(b[4*i:])
	}
	return w
}

// address is the other way round.
func address(w [4]uint32, f l4.Family) netip.Addr {
	var b [16]byte
	for i, n := range w {
		binary.NativeEndian.PutUint32(b[4*i:], n)
	}
	if f == l4.IPv4 {
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.AddrFrom16(b)
}

// wire is a port as it lies in memory in network order; it is its own inverse.
func wire(port uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], port)
	return binary.NativeEndian.Uint16(b[:])
}

// prefixes are the fewest (port, length) pairs that cover a range of ports.
func prefixes(first, last uint16) (list []portPrefix) {
	for at, end := uint32(first), uint32(last)+1; at < end; {
		bits := 16
		for bits > 0 {
			size := uint32(1) << (16 - bits + 1)
			if at%size != 0 || at+size > end {
				break
			}
			bits--
		}
		list = append(list, portPrefix{uint16(at), bits})
		at += 1 << (16 - bits)
	}
	return list
}

type portPrefix struct {
	port uint16
	bits int
}
