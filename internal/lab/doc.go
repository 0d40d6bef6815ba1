// Package lab owns clusters made of network namespaces on this machine: how
// they come up, which failures are tried on them under a probe and load, and
// how they go away without a trace. It runs evenkeel, keepalived, HAProxy and
// nginx as programs of their nodes and looks at them from outside; it never
// uses a plane of this program, and never changes the host beyond namespaces
// and files of its own name.
package lab
