// Package xdp forwards packets with programs of our own in the kernel: the
// eBPF director under tc (tcx or clsact) or XDP, written in C in bpf/, and what
// feeds it: services and servers into maps, next hops from the host's routes
// and neighbours, counters back out. It implements l4.Plane.
//
// It owns the maps and the links of its programs, pinned where Options.Pin
// says, so that forwarding goes on without this process and a new one takes it
// over.
//
// What it does not do: SCTP, GUE and GRE tunnels and persistence engines (IPVS
// does those). Marks are those that a packet has when it comes to tc, and those
// that netfilter sets behind that: packets that the host routes on come by again,
// copies of those to the host's own addresses are sent here by package marks. The
// host's stack gets what is malformed, and drops it. Clients on the director itself are
// served for addresses that it has, whose packets pass the loopback, with
// one-packet services as with others; in a tunnel of the other address family
// they are not.
//
// It touches no address or route of the host and no sysctl but the loopback's
// accept_local, without which IPv4 clients on the director get no answers. It
// decides nothing about which servers are well.
package xdp
