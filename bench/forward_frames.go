package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

const frameLength = 60

// template is a frame, of which a program makes those of many clients: two
// bytes of the client's address and one of its port are put in.
type template struct {
	frame         [64]byte
	l4            uint64 // offset of the checksum over ports and payload
	ipSum, l4Sum  uint64 // one's complement sums of what does not change, in this machine's order of bytes
	clientsToCome uint64 // how many clients: then it begins again
}

const (
	offsetIP       = 14
	offsetIPSum    = offsetIP + 10
	offsetClient   = offsetIP + 14 // the last two bytes of the source address
	offsetPort     = offsetIP + 20 // the source port
	offsetUDPSum   = offsetIP + 20 + 6
	offsetTCPSum   = offsetIP + 20 + 16
	tcpSYN, tcpACK = 0x02, 0x10
)

// newTemplate makes a frame to a virtual address's (or a server's) port 80 by
// a director's hardware address. flags 0 is UDP, other ones are of TCP.
func newTemplate(to net.HardwareAddr, destination netip.Addr, flags byte, clients int) template {
	t := template{clientsToCome: uint64(clients), l4: offsetUDPSum}
	f := t.frame[:frameLength]
	copy(f, to)
	copy(f[6:], []byte{2, 0, 0, 0, 0, 2})
	f[12] = 8
	ip := f[offsetIP:]
	ip[0], ip[8], ip[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(ip[2:], frameLength-offsetIP)
	copy(ip[12:], []byte{198, 18, 0, 0})
	copy(ip[16:], destination.AsSlice())
	l4 := ip[20:]
	l4[0], l4[3] = 4, 80
	if flags == 0 {
		binary.BigEndian.PutUint16(l4[4:], uint16(len(l4)))
	} else {
		ip[9], t.l4 = 6, offsetTCPSum
		l4[12], l4[13] = 0x50, flags
		binary.BigEndian.PutUint16(l4[14:], 0xffff)
	}
	native := func(b []byte) (sum uint64) {
		for ; len(b) > 1; b = b[2:] {
			sum += uint64(binary.NativeEndian.Uint16(b))
		}
		return sum
	}
	fold := func(s uint64) uint64 {
		for s > 0xffff {
			s = s&0xffff + s>>16
		}
		return s
	}
	t.ipSum = fold(native(ip[:20]))
	pseudo := []byte{0, ip[9], 0, byte(len(l4))}
	t.l4Sum = fold(native(ip[12:20]) + native(pseudo) + native(l4))
	return t
}

// The state of a program that makes frames: how many clients have had theirs,
// and the template.
const (
	stateNext    = 0
	stateClients = 8
	stateIPSum   = 16
	stateL4Sum   = 24
	stateFrame   = 32
	stateSize    = stateFrame + 64
)

func newState() (*ebpf.Map, error) {
	return ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: stateSize, MaxEntries: 1})
}

func (t template) set(state *ebpf.Map) error {
	var b [stateSize]byte
	for offset, v := range map[int]uint64{stateClients: t.clientsToCome, stateIPSum: t.ipSum, stateL4Sum: t.l4Sum} {
		binary.NativeEndian.PutUint64(b[offset:], v)
	}
	copy(b[stateFrame:], t.frame[:])
	return state.Put(uint32(0), b[:])
}

// made is how many clients have had a frame since the template was set, or
// since it began again.
func made(state *ebpf.Map) (uint64, error) {
	var b [stateSize]byte
	err := state.Lookup(uint32(0), b[:])
	return binary.NativeEndian.Uint64(b[stateNext:]), err
}

// frames is the part of a program that writes the next client's frame over
// the packet it was given: packets are used again, with what was rewritten in
// them. The context stays in R6; what follows goes on at "made".
func frames(kind ebpf.ProgramType, state *ebpf.Map, l4Sum uint64) asm.Instructions {
	data, end, size := int16(0), int16(4), asm.Word
	if kind == ebpf.SchedCLS {
		data, end = 76, 80
	}
	i := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R7, asm.R6, data, size),
		asm.LoadMem(asm.R2, asm.R6, end, size),
		asm.Mov.Reg(asm.R3, asm.R7),
		asm.Add.Imm(asm.R3, frameLength),
		asm.JGT.Reg(asm.R3, asm.R2, "short"),
		asm.LoadMapValue(asm.R8, state.FD(), 0),
	}
	for at := int16(0); at < frameLength; at += 8 {
		size := asm.DWord
		if at+8 > frameLength {
			size = asm.Word
		}
		i = append(i, asm.LoadMem(asm.R1, asm.R8, stateFrame+at, size), asm.StoreMem(asm.R7, at, asm.R1, size))
	}
	i = append(i,
		// R1: the client, and then its address; R2: its port.
		asm.LoadMem(asm.R1, asm.R8, stateNext, asm.DWord),
		asm.LoadMem(asm.R3, asm.R8, stateClients, asm.DWord),
		asm.Mov.Reg(asm.R2, asm.R1),
		asm.Add.Imm(asm.R2, 1),
		asm.JLT.Reg(asm.R2, asm.R3, "next"),
		asm.Mov.Imm(asm.R2, 0),
		asm.StoreMem(asm.R8, stateNext, asm.R2, asm.DWord).WithSymbol("next"),
		asm.Mov.Reg(asm.R2, asm.R1),
		asm.RSh.Imm(asm.R2, 16),
		asm.And.Imm(asm.R2, 0xff),
		asm.And.Imm(asm.R1, 0xffff),
		asm.StoreMem(asm.R7, offsetClient, asm.R1, asm.Half),
		asm.StoreMem(asm.R7, offsetPort+1, asm.R2, asm.Byte),
		asm.LSh.Imm(asm.R2, 8), // the second byte of a word, where the first one is the low one
		// R1: the sum of the IP header; R2: that of ports and payload.
		asm.Add.Reg(asm.R2, asm.R1),
		asm.LoadMem(asm.R3, asm.R8, stateL4Sum, asm.DWord),
		asm.Add.Reg(asm.R2, asm.R3),
		asm.LoadMem(asm.R3, asm.R8, stateIPSum, asm.DWord),
		asm.Add.Reg(asm.R1, asm.R3),
	)
	for _, sum := range []struct {
		register asm.Register
		offset   int16
	}{{asm.R1, offsetIPSum}, {asm.R2, int16(l4Sum)}} {
		for range 2 {
			i = append(i, asm.Mov.Reg(asm.R3, sum.register), asm.RSh.Imm(asm.R3, 16), asm.And.Imm(sum.register, 0xffff), asm.Add.Reg(sum.register, asm.R3))
		}
		i = append(i, asm.Xor.Imm(sum.register, 0xffff), asm.StoreMem(asm.R7, sum.offset, sum.register, asm.Half))
	}
	return append(i, asm.Ja.Label("made"),
		asm.Mov.Imm(asm.R0, failedToMake).WithSymbol("short"), asm.Return(),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("made"))
}

// failedToMake is what programs return whose packet has no room for a frame,
// or behind which the other program is missing: an aborted XDP, a dropped skb.
const failedToMake = 0

func loadProgram(kind ebpf.ProgramType, i asm.Instructions) (*ebpf.Program, error) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return nil, errors.New("frames are made in little-endian order")
	}
	spec := &ebpf.ProgramSpec{Type: kind, License: "Dual MIT/GPL", Instructions: i}
	if kind == ebpf.XDP {
		spec.AttachType = ebpf.AttachXDP
	}
	p, err := ebpf.NewProgram(spec)
	if err != nil {
		return nil, fmt.Errorf("program: %w", err)
	}
	return p, nil
}

// thenReturn ends a program with a verdict.
func thenReturn(verdict int32) asm.Instructions {
	return asm.Instructions{asm.Mov.Imm(asm.R0, verdict), asm.Return()}
}

// thenCall ends a program with another one.
func thenCall(table *ebpf.Map) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.LoadMapPtr(asm.R2, table.FD()),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnTailCall.Call(),
		asm.Mov.Imm(asm.R0, failedToMake), asm.Return(),
	}
}

// thenRedirect ends a program with the packet going out by an interface.
func thenRedirect(index int) asm.Instructions {
	return asm.Instructions{asm.Mov.Imm(asm.R1, int32(index)), asm.Mov.Imm(asm.R2, 0), asm.FnRedirect.Call(), asm.Return()}
}

// sinkProgram counts what comes for the server, and drops everything.
func sinkProgram(counts *ebpf.Map) (*ebpf.Program, error) {
	const drop = 1
	return loadProgram(ebpf.XDP, asm.Instructions{
		asm.LoadMem(asm.R7, asm.R1, 0, asm.Word),
		asm.LoadMem(asm.R2, asm.R1, 4, asm.Word),
		asm.Mov.Reg(asm.R3, asm.R7),
		asm.Add.Imm(asm.R3, 14),
		asm.JGT.Reg(asm.R3, asm.R2, "drop"),
		asm.LoadMem(asm.R3, asm.R7, 5, asm.Byte),
		asm.JNE.Imm(asm.R3, int32(serverMAC[5]), "drop"),
		asm.Mov.Imm(asm.R3, 0),
		asm.StoreMem(asm.RFP, -4, asm.R3, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, counts.FD()),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "drop"),
		asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord),
		asm.Add.Imm(asm.R1, 1),
		asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, drop).WithSymbol("drop"), asm.Return(),
	})
}

// floorProgram is the least that can be called forwarding: other hardware
// addresses, and out by the way it came.
func floorProgram(kind ebpf.ProgramType, from net.HardwareAddr, index int) (*ebpf.Program, error) {
	data, end := int16(0), int16(4)
	if kind == ebpf.SchedCLS {
		data, end = 76, 80
	}
	addresses := append(append([]byte(nil), serverMAC...), from...)
	i := asm.Instructions{
		asm.LoadMem(asm.R7, asm.R1, data, asm.Word),
		asm.LoadMem(asm.R2, asm.R1, end, asm.Word),
		asm.Mov.Reg(asm.R3, asm.R7),
		asm.Add.Imm(asm.R3, 14),
		asm.JGT.Reg(asm.R3, asm.R2, "out"),
	}
	for at := 0; at < 12; at += 4 {
		i = append(i, asm.Mov.Imm32(asm.R3, int32(binary.NativeEndian.Uint32(addresses[at:]))), asm.StoreMem(asm.R7, int16(at), asm.R3, asm.Word))
	}
	const xdpTX = 3
	if kind == ebpf.XDP {
		i = append(i, asm.Mov.Imm(asm.R0, xdpTX).WithSymbol("out"), asm.Return())
	} else {
		i = append(i, asm.Mov.Imm(asm.R1, int32(index)).WithSymbol("out"), asm.Mov.Imm(asm.R2, 0), asm.FnRedirect.Call(), asm.Return())
	}
	return loadProgram(kind, i)
}

// testRun is the part of union bpf_attr that BPF_PROG_TEST_RUN reads. (The
// library's ways of doing this take either a context or the time, and begin
// again after a signal.)
type testRun struct {
	program, verdict, dataSize, outSize uint32
	data, out                           unsafe.Pointer
	repeat, took, contextSize, _        uint32
	context, _                          unsafe.Pointer
	flags, cpu, batch, _                uint32
}

const (
	progTestRun    = 10
	testLiveFrames = 1 << 1 // BPF_F_TEST_XDP_LIVE_FRAMES
)

// do ends early, with EINTR, when the thread gets a signal.
func (a *testRun) do() error {
	if _, _, e := unix.Syscall(unix.SYS_BPF, progTestRun, uintptr(unsafe.Pointer(a)), unsafe.Sizeof(*a)); e != 0 {
		return e
	}
	return nil
}
