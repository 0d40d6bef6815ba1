// Package e2e holds the tests that run the built program as its users do:
// with a haproxy.cfg on real sockets, between scripted servers and clients
// that keep to no rules. What must come out is written beside each scenario:
// the status, and the termination flags of the log line. Where Debian's
// HAProxy 2.6 is installed the same scenarios run on it too, which keeps the
// expectations honest. The package holds no code but tests.
package e2e
