// Package bfd watches neighbors with Bidirectional Forwarding Detection: RFC
// 5880 in asynchronous mode without authentication, over UDP as RFC 5881 (one
// hop) and RFC 5883 (several) have it.
//
// Machine is one session: pure, driven by packets and a clock that are given
// to it. Runner owns sockets and time for any number of sessions, and reports
// their changes. What a session that is down means for an address or a server
// is not decided here.
package bfd
