// Package conformance runs evenkeel, called as haproxy, beside a real HAProxy:
// the same configuration text, the same clients, servers and commands, and
// compares what both answer, log and print.
//
// It owns the harness (directors that inherit their listening sockets, an
// origin that misbehaves on demand, a syslog receiver, clients) and the tables
// of scenarios. A scenario that is meant to differ says why. It never looks
// inside evenkeel: only at sockets, exit codes and files.
package conformance
