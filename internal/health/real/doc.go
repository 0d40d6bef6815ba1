// Package real decides which real servers of keepalived.conf's virtual servers
// are up, with what weight, and whether a virtual server has its quorum: the
// timing, the retries and the counting of keepalived's checkers.
//
// check and service are the state machines: pure, driven by results. Runner
// runs the checks of all of them and tells what changes as Events. It changes
// nothing in the kernel: who forwards packets reads Destinations. The
// conversations themselves are package checks'.
package real
