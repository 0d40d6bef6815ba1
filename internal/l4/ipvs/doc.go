// Package ipvs drives the kernel's IPVS over generic netlink. Client says to it
// what ipvsadm says, one thing at a time; Plane implements l4.Plane on top: it
// makes the kernel's table agree with a configuration by the smallest
// difference.
//
// It owns the codec of the kernel's messages, which is pure, and the services
// that were set through it; those that somebody else has put into the table it
// leaves alone unless Options.Flush says otherwise. It loads no modules, touches
// no address, route or sysctl of the host, and decides nothing about which
// servers are well.
package ipvs
