package pool

import (
	"errors"
	"net/netip"
)

// ErrNoServer says that no server can take the request now (status 503,
// termination "SC").
var ErrNoServer = errors.New("pool: no server is available")

// ErrQueueFull says that the server asked for is full and its queue too
// (maxqueue); the proxy may ask again without persistence.
var ErrQueueFull = errors.New("pool: the server's queue is full")

// ErrServerDown says that the server given to PickServer cannot be used.
var ErrServerDown = errors.New("pool: the server is down")

// Choice is what the choice of a server depends on.
type Choice struct {
	// Now is the loop's monotonic clock in nanoseconds; 0: Options.Now is
	// asked.
	Now int64
	// Key is hashed by source-independent hash algorithms (uri, url_param,
	// hdr, rdp-cookie, hash). balance.URIKey and its siblings make it.
	Key    []byte
	HasKey bool
	// Src is hashed by `balance source`.
	Src netip.Addr
	// Cookie is the value of the persistence cookie in the request, without
	// date suffixes; nil: there is none. Which server it named, if any, is
	// in CookieState afterwards.
	Cookie []byte
	// Avoid is a server that just failed: another one is taken if there is
	// one.
	Avoid *Server
	// Force makes persistence hold even to a server that is down
	// (force-persist, option persist); Ignore switches persistence off
	// (ignore-persist).
	Force, Ignore bool
	// Last is the server of the client connection's previous request, for
	// option prefer-last-server and for 401 and 407 authentication.
	Last *Server
	// LastMust keeps Last whatever the option (a 401 or 407 was seen).
	LastMust bool

	// Counted is set by Pick once the session has been counted by the
	// backend (Begin). Leave it alone for retries of the same transaction.
	Counted bool
	// CookieState is an outcome of Pick.
	CookieState CookieState
	// Persistent is an outcome of Pick: the server was found by its cookie
	// or by Last, not by load balancing.
	Persistent bool
}

// CookieState is what became of the request's persistence cookie; its letters
// are those of the log's termination state.
type CookieState uint8

const (
	CookieNone    CookieState = iota // N: none was given
	CookieInvalid                    // I: no such server
	CookieDown                       // D: its server is down
	CookieValid                      // V: its server is used
	CookieUnused                     // U: persistence was ignored
)

// Letter is the third character of the termination state.
func (c CookieState) Letter() byte { return "NIDVU"[c] }

// Waiter is a transaction that waits for a slot. It is embedded in the
// transaction and may be used again once Wake was called or Cancel has
// returned true. After Cancel returned false Wake is still to come, or under
// way on another goroutine: until it was called neither the Waiter nor what
// Wake reads may be used for anything else.
type Waiter struct {
	// Wake is called once when a slot was found for the waiter, with the slot
	// taken and no lock held, from whatever goroutine freed it. s is nil when
	// the waiter must pick again (its server went down, or it is given back to
	// the backend).
	Wake func(s *Server)
	// Class and Offset order a queue: http-request set-priority-class
	// (-2047..2047, lower first) and set-priority-offset (milliseconds).
	Class, Offset int

	q *queue // nil: not queued
	waiterLinks
}

// Reset prepares w for another transaction. It must not be queued.
func (w *Waiter) Reset() {
	w.Class, w.Offset, w.srvPos, w.bePos = 0, 0, 0, 0
}

// Queued says whether the waiter stands in a queue at this moment.
func (w *Waiter) Queued() bool {
	if w.backend == nil {
		return false
	}
	w.backend.mu.Lock()
	defer w.backend.mu.Unlock()
	return w.q != nil
}

// SrvQueue is the position the waiter had in servers' queues, for the log: how
// many got a slot before it, itself included; 0: it never waited there. Valid
// after Wake or Cancel.
func (w *Waiter) SrvQueue() int { return w.srvPos }

// BeQueue is SrvQueue for the backend's queue.
func (w *Waiter) BeQueue() int { return w.bePos }
