// Package admin is the runtime API: the line protocol that HAProxy speaks on
// its stats sockets, with the same commands, levels, words and output forms,
// so that the tools written for HAProxy work unchanged.
//
// It owns the protocol, the table of commands and the client side. It never
// opens a listener, touches traffic, or keeps state of its own beyond a
// session: what it shows and changes lies behind the Source interface and the
// servers of package pool. The Server can host any other table of commands,
// such as the master's.
package admin
