// Package forwarding tests packet forwarding from keepalived.conf to the
// packet: a client, one or two directors that run evenkeel, and real servers
// with nginx, each in a network namespace of its own. It needs root, ip and
// nginx.
package forwarding
