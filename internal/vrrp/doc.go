// Package vrrp is the state machine of one VRRP instance (RFC 3768, RFC 9568),
// the rules that tie instances to a sync group, and the arithmetic of effective
// priorities. Where the RFCs are silent it does what keepalived 2.2.7 does.
//
// It is pure: time comes in with each step, packets come in parsed, and what is
// to be done goes out as a list of actions. It opens no socket, sets no address,
// sleeps nowhere and reads no clock. A plain advertisement, sent or received,
// costs no allocation.
package vrrp
