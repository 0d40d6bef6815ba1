// Package proxyproto is the PROXY protocol, versions 1 and 2, and NetScaler's
// client IP insertion: parsing what arrives in front of a stream and building
// what is sent there.
//
// It does no I/O and decides nobody's trust: whether a peer may send a header is
// the listener's business.
package proxyproto
