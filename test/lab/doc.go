// Package lab drives `evenkeel lab` from outside, as root: clusters come up,
// are drilled, and go away without a trace, whatever happens on the way.
package lab
