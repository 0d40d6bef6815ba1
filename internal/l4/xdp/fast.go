package xdp

import (
	"fmt"
	"math/bits"

	"github.com/cilium/ebpf"
)

// The short ways of flows (bpf/fast.h): how many sets of two a CPU has. All
// CPUs together have about one for every flow, and one CPU 2 MiB at most, which
// a second level cache can hold.
const (
	fastBitsLeast = 8
	fastBitsMost  = 14
)

func fastBits(flows uint32, cpus int) uint32 {
	sets := max(1, int(flows)/2/cpus)
	return uint32(min(max(bits.Len(uint(sets))-1, fastBitsLeast), fastBitsMost))
}

// sizeFast tells a program and its table how many there are.
func sizeFast(spec *ebpf.CollectionSpec, flows uint32) error {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return fmt.Errorf("how many CPUs there are: %w", err)
	}
	n := fastBits(flows, cpus)
	spec.Maps[directorMapFast4s].MaxEntries = uint32(min(cpus, fastCPUs)) << n
	spec.Maps[directorMapFastLines].MaxEntries = spec.Maps[directorMapFast4s].MaxEntries / fastLine
	return spec.Variables["fast_bits"].Set(n)
}
