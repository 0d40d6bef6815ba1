// Package engine runs event loops: one epoll instance a core, each locked to
// its thread and the only owner of its descriptors, buffers and timers.
//
// It knows bytes, sockets and TLS records, never a protocol above them.
//
// # Rules of a loop
//
// Everything that belongs to a Loop (its Conns, Timers, Buffers, Pipes and
// Listeners) is touched from that loop only: from a handler, a timer or a
// function given to Post. Post, Hand, Stop, Conns, Stats and ID are the only
// methods for other goroutines. There are no locks on the way of a byte.
//
// One round is: register new descriptors, poll, run the handlers of what
// became ready, then what was posted, then due timers, then the run-queue that
// Wake fills. Handlers must not block.
//
// # Life of a Conn
//
// Readiness is edge-triggered. The handler runs when something changed, and
// reads or writes until ErrAgain (or until it does not want to), never more.
// Close ends a Conn: no handler of it runs again, not even for events of the
// same batch. The struct is used again for another connection after the round
// in which it was closed, so whoever calls Close drops the pointer.
//
// Descriptors are registered with epoll at the end of the round that brought
// them, so a connection whose first read or write succeeds at once causes no
// useless event, and one closed in the same round is never registered at all.
//
// # TLS
//
// A handshake runs on a goroutine because crypto/tls cannot suspend one. That
// goroutine does its own non-blocking socket calls under a lock and sleeps on a
// condition that the loop signals. When it ends, the connection belongs to the
// loop alone, and records are read and written inline.
package engine
