// Package marks has netfilter hand packets with a service's mark to our data
// plane. Its programs are at the interfaces' ingress, and marks are set behind
// that: what is routed on comes by them once more on its way out, what goes to
// an address of this host does not. Two tables of nftables (ip and ip6, named
// evenkeel_marks), behind everybody else's PREROUTING, make a copy of such a
// packet that leaves by the loopback, where the director is too, and drop the
// packet itself. Connections that the director knows never come here: it is the
// first packet of each that does.
//
// It owns these two tables and nothing else, puts them back when somebody has
// flushed all rules, and takes them away when no service has a mark. They stay
// when the process ends. It sets no mark, and forwards nothing.
package marks
