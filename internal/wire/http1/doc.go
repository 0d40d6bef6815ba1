// Package http1 is the HTTP/1.x codec: heads, framing, chunked bodies, and the
// small syntaxes inside a head (lists, cookies, request targets). It is as strict
// as RFC 9112 allows, and no option loosens it.
//
// It does no I/O, keeps no connection state, and never answers anybody: it says
// what is wrong and with which status HAProxy would refuse it.
package http1
