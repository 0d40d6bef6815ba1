// Package accesslog sends finished log lines to the targets of `log` lines:
// UDP and unix datagram sockets, inherited descriptors, standard output and
// TCP streams, in each of the wire formats that HAProxy writes.
//
// It owns the sockets and the header in front of a line. It never formats the
// line itself, never waits (a line that cannot be sent at once is dropped and
// counted), and never allocates on the way of a line, so event loops may call
// it directly.
package accesslog
