// Package failover is the process that moves addresses between nodes: it runs
// VRRP instances on sockets and timers, gives their state machines what they
// hear and track, does what they ask for (advertisements, addresses, routes,
// announcements, notifications), and keeps with the keeper the lease and the
// will that make a crash harmless.
//
// One goroutine, that of the loop, owns all instances; what may block (scripts,
// mail, names) happens elsewhere and is posted to it. Who is master is decided
// in internal/vrrp, how the host is changed in internal/netconf: nothing of
// either is decided here. It never parses a configuration file and carries no
// traffic.
package failover
