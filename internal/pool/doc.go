// Package pool owns the servers of a backend: their state, their connection
// slots, the queues in front of them, and their counters.
//
// Everything of one backend is guarded by one mutex with short sections, so
// that any loop can take and give back a slot. The package never touches a
// socket, starts a goroutine or arms a timer: time comes in as an argument,
// what happens goes out through Options.Event and the other callbacks, which
// are called with no lock held.
package pool
