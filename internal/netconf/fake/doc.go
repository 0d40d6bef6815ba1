// Package fake stands in for netconf.Host in tests: a host in memory that
// records what is done to it as lines of text, and lets a test play the kernel
// and the administrator (links that come and go, addresses taken away).
//
// It keeps netconf's promises, by the same contract test, and knows nothing
// else of a kernel: what Linux would refuse for reasons beyond netconf.Check,
// it accepts. Nothing but tests uses it.
package fake
