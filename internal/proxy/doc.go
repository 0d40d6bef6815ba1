// Package proxy carries HTTP and TCP traffic: it takes connections from
// listeners, runs the rules on each request and response, asks the pool for a
// server, and moves bytes both ways.
//
// Everything of a connection is owned by the event loop that accepted it: a
// session is one client connection, a stream one exchange on it (one HTTP
// request and its response, or the whole of a TCP connection). The proxy never
// parses configuration, checks servers, or touches a descriptor of another
// loop.
package proxy
