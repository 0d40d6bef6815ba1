// Package cell owns a node's inside: its first process (PID 1 of a process,
// mount and host name space of its own, in the node's network namespace),
// which starts programs, collects what ends, and can kill everything beside
// itself at one instant. It decides nothing: whoever connects to its socket
// does. When it dies the kernel ends the whole node with it.
package cell
