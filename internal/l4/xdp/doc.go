// Package xdp forwards packets with programs of our own in the kernel: the
// eBPF director under tc (tcx or clsact) or XDP, written in C in bpf/, and what
// feeds it: services and servers into maps, next hops from the host's routes
// and neighbours, counters back out. It implements l4.Plane.
//
// It owns the maps and the links of its programs, pinned where Options.Pin
// says, so that forwarding goes on without this process and a new one takes it
// over.
//
// What it does not do: SCTP, GUE and GRE
// tunnels, persistence engines (IPVS does those), and clients on the director
// itself. Marks are those that a packet has when it comes to tc, before
// netfilter sets its own. The host's stack gets what is malformed, and drops
// it.
//
// It touches no address, route or sysctl of the host and decides nothing
// about which servers are well.
package xdp
