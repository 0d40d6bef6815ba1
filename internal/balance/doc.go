// Package balance holds the load balancing algorithms: given the servers'
// weights and loads, which one is next. It is pure: no locks, clocks or
// sockets, and it knows of a server only what Node says.
//
// For the same key and the same servers each hash algorithm makes the choice
// that HAProxy makes, so that the two can stand side by side.
package balance
