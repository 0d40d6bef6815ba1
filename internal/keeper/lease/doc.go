// Package lease is what the keeper and the failover process share, so that
// each can act for the other when it dies or freezes: a page of memory with
// the failover process's state and last will, a watchdog in each direction,
// and whether the proxy serves.
//
// It knows no VRRP: the last will is bytes that somebody else made, to be sent
// where that somebody said. It starts no goroutine and decides nothing.
package lease
