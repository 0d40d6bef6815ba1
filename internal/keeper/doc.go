// Package keeper is the parent process: small, long-lived, and ignorant of
// any traffic. It owns what must outlive a worker: the listening sockets,
// the lives of the workers, the last configuration that worked, and the last
// state of the servers.
//
// One goroutine owns everything (Keeper.loop); the others wait on a file
// descriptor each and post what they found. Nothing that a worker does can
// hold it up: it sends without waiting, and a worker that does not read is
// killed.
//
// Should the keeper itself die, its workers notice the end of their socket:
// they take no new connections, serve out what they have, and exit.
package keeper
