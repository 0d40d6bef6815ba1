// Package transport sends and receives VRRP packets: raw sockets for protocol
// 112, and 51 where there is an authentication header, one a family, for all
// interfaces of the namespace in which they were opened. It joins multicast
// groups, sends many packets with one system call, and lets the kernel drop
// those of virtual routers that are not ours.
//
// It knows IP headers and where the VRID stands, nothing else of a packet, and
// decides about none. It never waits, and makes only raw system calls for
// packets, so that the Go scheduler has no part in them.
package transport
