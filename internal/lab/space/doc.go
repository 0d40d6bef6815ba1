// Package space owns network namespaces and what is plugged between them:
// named namespaces as `ip netns` makes them, bridges, veth pairs, addresses,
// and the faults of a network (a link down, a carrier lost, a port that eats
// packets). It changes nothing outside of namespaces that it made.
package space
