package transport

import (
	"golang.org/x/sys/unix"

	wire "evenkeel/internal/wire/vrrp"
)

// VRIDs is a set of virtual router numbers.
type VRIDs [4]uint64

// Add puts one into the set.
func (v *VRIDs) Add(id uint8) { v[id>>6] |= 1 << (id & 63) }

// Has says whether one is in the set.
func (v *VRIDs) Has(id uint8) bool { return v[id>>6]>>(id&63)&1 != 0 }

// attach lets the kernel drop what is not for us before it wakes this process
// up. Whether the rest is good is not decided there.
func attach(s *socket, v *VRIDs) error {
	program := program(s.key, v)
	return unix.SetsockoptSockFprog(s.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
}

// program is the filter: the VRID is the second byte of an advertisement. An
// IPv4 raw socket sees packets from the IP header on, an IPv6 one from behind
// it.
func program(k key, v *VRIDs) []unix.SockFilter {
	const whole = 0x40000
	load := func(mode uint16, offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_B | mode, K: offset}
	}
	alu := func(op uint16, value uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_ALU | op | unix.BPF_K, K: value}
	}
	toX := unix.SockFilter{Code: unix.BPF_MISC | unix.BPF_TAX}
	var p []unix.SockFilter
	if k.family == unix.AF_INET {
		// X = length of the IP header
		p = append(p, unix.SockFilter{Code: unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH, K: 0})
	} else {
		p = append(p, unix.SockFilter{Code: unix.BPF_LDX | unix.BPF_IMM, K: 0})
	}
	if k.protocol == wire.ProtocolAH {
		// Its second byte is its length in words, less two (RFC 4302 2.2).
		p = append(p, load(unix.BPF_IND, 1), alu(unix.BPF_ADD, 2), alu(unix.BPF_LSH, 2),
			unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_ADD | unix.BPF_X}, toX)
	}
	p = append(p, load(unix.BPF_IND, 1))
	for id := range 256 {
		if v.Has(uint8(id)) {
			p = append(p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: uint32(id)},
				unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: whole})
		}
	}
	return append(p, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0})
}
