// Package neighbor is the codec of the frames by which hosts on an Ethernet
// find, announce and defend addresses: ARP for IPv4 (RFC 826, RFC 5227), and
// neighbour solicitation and advertisement for IPv6 (RFC 4861). It writes what a
// virtual router sends when it takes an address over, and reads all of them.
//
// It does no I/O, keeps nothing, and allocates nothing where the caller gives
// the buffer. VLAN tags are the device's affair and are not known here.
package neighbor
