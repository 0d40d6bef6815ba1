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
	sc.conn.Close()
	sc.conn = nil
}

// idleList holds a server's idle connections, the last used first.
type idleList struct {
	first, last *serverConn
	n           int
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
		return sc
	}
	return nil
}

// keepIdle gives a connection that ended its exchange cleanly to the next one.
func (st *stream) keepServer(sc *serverConn) {
	sc.st = nil
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
		if l.max >= 0 && l.n >= l.max {
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
