// Package vrrp is the codec of VRRP advertisements: version 2 (RFC 3768, with
// the authentication of RFC 2338: simple text password and IP AH with
// HMAC-MD5-96) and version 3 (RFC 9568) over IPv4 and IPv6.
//
// It does no I/O, keeps no state and judges nobody: whether a sender, a TTL or
// a sequence number is acceptable is for the state machine in internal/vrrp.
// With buffers that the caller uses again it allocates nothing.
package vrrp
