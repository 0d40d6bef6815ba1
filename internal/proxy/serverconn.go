package proxy

import (
	"time"

	"evenkeel/internal/engine"
	"evenkeel/internal/model"
)

// serverConn is one connection to a server. It belongs to a stream, or is idle
// in its loop's list.
type serverConn struct {
	w    *worker
	conn *engine.Conn
	srv  *server
	st   *stream // nil while idle

	owner *session // its only user (http-reuse never, private connections)
	sni   string
	// requests sent on it so far. From the second on http-reuse aggressive
	// trusts it.
	requests   int
	busy       bool // counted in idleList.used
	idleAt     int64
	prev, next *serverConn
}

// OnConn runs when the connection's readiness changed.
func (sc *serverConn) OnConn(c *engine.Conn) {
	if sc.st != nil {
		sc.st.run()
		return
	}
	// An idle connection that speaks or closes is of no more use.
	sc.drop()
}

// drop closes an idle or finished connection.
func (sc *serverConn) drop() {
	if sc.conn == nil {
		return
	}
	if sc.idleAt != 0 {
		sc.w.idle[sc.srv.index].remove(sc)
	}
	if sc.owner != nil {
		sc.owner.own = nil
		sc.owner = nil
	}
	sc.rest()
	if sc.conn.ReadClosed() || sc.conn.Pending() > 0 {
		sc.conn.Close()
	} else {
		// Whoever closes first keeps the port in TIME_WAIT: a reset spares it,
		// and a busy proxy would run out of ports to its servers.
		sc.conn.Reset()
	}
	sc.conn = nil
}

// use and rest count the connections at work.
func (sc *serverConn) use() {
	l := &sc.w.idle[sc.srv.index]
	sc.busy = true
	l.used++
	l.peak = max(l.peak, l.used)
}

func (sc *serverConn) rest() {
	if sc.busy {
		sc.busy = false
		sc.w.idle[sc.srv.index].used--
	}
}

// idleList holds a server's idle connections, the last used first.
type idleList struct {
	first, last *serverConn
	n           int
	used        int   // connections at work
	peak        int   // most of them since the last sweep
	need        int   // what was needed lately, falling slowly
	low         int   // kept beyond the need (pool-low-conn)
	purge       int64 // ns
	max         int   // -1: no limit
}

func (l *idleList) push(sc *serverConn) {
	sc.next = l.first
	if l.first != nil {
		l.first.prev = sc
	} else {
		l.last = sc
	}
	l.first = sc
	l.n++
}

func (l *idleList) remove(sc *serverConn) {
	if sc.prev != nil {
		sc.prev.next = sc.next
	} else {
		l.first = sc.next
	}
	if sc.next != nil {
		sc.next.prev = sc.prev
	} else {
		l.last = sc.prev
	}
	sc.prev, sc.next, sc.idleAt = nil, nil, 0
	l.n--
}

// wanted says whether one more idle connection may be of use: no more are kept
// than were at work at the same time lately. Sessions that end after one
// request would pile up connections otherwise, as http-reuse safe gives none
// of these to a session's first request.
func (l *idleList) wanted() bool {
	if l.max >= 0 && l.n >= l.max {
		return false
	}
	return l.n == 0 || l.n < max(l.peak, l.need)+l.low
}

// estimate notes what was needed since the last sweep.
func (l *idleList) estimate() {
	l.need = max(l.peak, l.need-(l.need+7)/8)
	l.peak = l.used
}

func (l *idleList) closeOlder(now int64) {
	for sc := l.last; sc != nil && now-sc.idleAt >= l.purge; sc = l.last {
		sc.drop()
	}
}

func (l *idleList) closeAll() {
	for l.last != nil {
		l.last.drop()
	}
}

const defaultPurge = int64(5 * time.Second)

// takeIdle finds an idle connection that this stream's request may use.
func (st *stream) takeIdle(srv *server, sni string) *serverConn {
	s := st.s
	if own := s.own; own != nil && own.srv == srv && own.sni == sni && own.st == nil {
		s.own = nil
		own.owner = nil
		own.use()
		return own
	}
	if srv.private || st.be.reuse == model.ReuseNever {
		return nil
	}
	first := s.rc.Requests <= 1
	l := &st.w.idle[srv.index]
	for sc := l.first; sc != nil; sc = sc.next {
		switch {
		case sc.sni != sni:
			continue
		case first && st.be.reuse == model.ReuseSafe:
			return nil
		case first && st.be.reuse == model.ReuseAggressive && sc.requests < 2:
			continue
		}
		l.remove(sc)
		sc.use()
		return sc
	}
	return nil
}

// keepServer gives a connection that ended its exchange cleanly to the next one.
func (st *stream) keepServer(sc *serverConn) {
	sc.st = nil
	sc.rest()
	srv := sc.srv
	switch {
	case sc.conn.ReadClosed() || sc.conn.Failed() || st.w.rt.stopped.Load(),
		srv.maxReuse > 0 && sc.requests > srv.maxReuse:
		sc.drop()
	case srv.private || st.be.reuse == model.ReuseNever || st.privateServer:
		if st.s.own != nil {
			st.s.own.drop()
		}
		sc.owner, st.s.own = st.s, sc
	default:
		l := &st.w.idle[srv.index]
		if !l.wanted() {
			sc.drop()
			return
		}
		sc.idleAt = st.w.loop.Now()
		l.push(sc)
	}
}

// quiet says whether nothing is left to be read, so that the next byte will be
// that of the next answer.
func (sc *serverConn) quiet() bool {
	if !sc.conn.Readable() {
		return true
	}
	var b [1]byte
	_, err := sc.conn.Peek(b[:])
	return err == engine.ErrAgain
}
