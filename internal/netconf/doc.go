// Package netconf owns what this program puts on the host's network: addresses,
// routes, rules, links (macvlan, ipvlan) and sysctls. Each owner (a VRRP
// instance, the static part of a configuration) says with Set what it wants in
// whole; the package works out what to add, change and take away, and sends
// that to the kernel as one batch. Saying the same again changes nothing, and
// puts back what somebody else has removed.
//
// It also keeps a picture of the host's links and addresses that follows the
// kernel's notifications, and sends the frames that tell neighbours of a moved
// address.
//
// What was on the host before is never removed or given a lifetime, unless an
// owner takes it over with Adopt. The package decides nothing about who should
// have an address, starts no goroutine, and waits for the kernel at most as
// long as Options.Timeout says.
package netconf
