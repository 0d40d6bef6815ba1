// Package probe owns the lab's two observers in the client's namespace. The
// prober asks every few milliseconds who has an address (ARP, on a port of
// its own, so that the client's neighbour table is not touched) and whether
// it is reachable (ICMP echo, through the client's stack), and listens for
// advertisements. The load asks for pages. Both write records and judge
// nothing.
package probe
