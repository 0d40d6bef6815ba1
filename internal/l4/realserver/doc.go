// Package realserver is the real server's side of DR and TUN: it puts virtual
// addresses on the loopback device, keeps the host from answering ARP for them,
// has tunnelled packets unwrapped, undoes exactly that, and says in words what
// is missing.
//
// It owns a state file of what it changed and a systemd unit that does it again
// after a reboot. It forwards nothing, and touches nothing that was as it has to
// be before.
package realserver
