// Package loopback owns the addresses that end-to-end tests give to programs.
// It never listens on one.
package loopback
