// Package bfd reads and writes the control packets of Bidirectional Forwarding
// Detection, RFC 5880 section 4.1. It owns their layout and the checks that
// section 6.8.6 demands of the bytes alone. It knows no sessions, and never
// does I/O: what a packet means, and what TTL it came with, is its caller's.
package bfd
