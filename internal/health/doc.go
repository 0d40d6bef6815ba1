// Package health runs the health and agent checks of all servers: one
// goroutine for each check, its timing, and where it connects. It reports to
// package pool, whose state machine decides what a result means.
//
// It never changes the state of a server itself, and reads nothing but its own
// connections.
package health
