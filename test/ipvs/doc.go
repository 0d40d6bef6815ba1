// Package ipvs holds evenkeel to the kernel's own IPVS, in a guest that has it:
// `make test-ipvs`. It builds the tests that need it, boots the guest
// (scripts/ipvs-guest), and compares what schedulers chose there with the
// recordings in internal/l4/testdata/schedulers. The guest's kernel is also the
// oldest that the eBPF plane is held to.
package ipvs
