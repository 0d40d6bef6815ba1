// Package flowsync lets directors tell each other of their connections over
// the network, so that the one that takes an address over goes on with them.
//
// It owns the wire format (datagram.go, record.go: pure), what encrypts it where
// there is a key (keys.go, seal.go: pure), what is known of the others (peers.go:
// pure), when something is told (Daemon, follow.go) and the multicast socket. It
// never prints a key. It knows no data plane: where connections come from and go to is a
// Table. It never decides who is master.
//
// Without a key datagrams are not encrypted and not authenticated: whoever can send to the
// group on the interface can tell of connections. All they can bring about is
// that connections go to other servers of the same service than they would
// have, and a fuller table; what names a service or a server that the
// configuration does not have is left out.
package flowsync
