package proxy

import (
	"bytes"
	"time"

	"evenkeel/internal/message"
	"evenkeel/internal/pool"
	"evenkeel/internal/rule"
	"evenkeel/internal/wire/http1"
)

// assign chooses a server and takes a slot on it.
func (st *stream) assign() bool {
	now := st.w.loop.Now()
	if !st.chosen {
		st.chosen = true
		st.prepareChoice(now)
	}
	st.queuedGeneration = st.generation
	if st.be.dispatch != nil {
		st.srv = st.be.dispatch
		st.queueAt = now
		return st.connect()
	}
	var (
		p      *pool.Server
		queued bool
		err    error
	)
	if want := st.wantedServer(); want != nil {
		p, queued, err = st.be.pool.PickServerFor(want, &st.choice, &st.waiter)
		if err == pool.ErrServerDown || err == pool.ErrQueueFull {
			p, queued, err = st.be.pool.Pick(&st.choice, &st.waiter)
		}
	} else {
		p, queued, err = st.be.pool.Pick(&st.choice, &st.waiter)
	}
	st.beSession = st.beSession || st.choice.Counted
	switch {
	case err == pool.ErrQueueFull:
		st.setTerm('S', 'Q')
		st.errKind = pool.ErrQueue
		st.fail(503)
		return true
	case err != nil:
		st.setTerm('S', 'C')
		st.fail(503)
		return true
	case queued:
		st.state, st.woken = stateQueue, false
		limit := st.be.to.queue
		if limit == 0 {
			limit = st.be.to.connect
		}
		if limit > 0 {
			st.w.loop.Arm(&st.timer, st, now+limit)
		}
		return true
	}
	st.take(p)
	if st.srv.redir != nil && !st.tcp && (st.req.MethodID == message.MethodGet || st.req.MethodID == message.MethodHead) {
		st.redirectToServer()
		return true
	}
	return st.connect()
}

// redirectToServer sends the client to the server itself (server … redir).
func (st *stream) redirectToServer() {
	st.setTerm('L', 'C')
	st.tx.Server = &st.srv.info
	st.clientKeep = false
	target := st.req.Target
	if i := bytes.Index(target, []byte("://")); i > 0 {
		target = target[i+3:]
		target = target[max(bytes.IndexByte(target, '/'), 0):]
	}
	p := &st.replyBuf
	*p = page{status: 302, reason: message.Reason(302), fields: append(p.fields[:0], contentLength(0),
		field("cache-control", "no-cache"), field("location", string(st.srv.redir)+string(target)))}
	st.reply = p
	st.startReply()
}

// take notes the server whose slot the stream holds now.
func (st *stream) take(p *pool.Server) {
	st.srv = st.be.byPool[p]
	st.srvSlot = true
	if st.queueAt == 0 || st.state == stateQueue {
		st.queueAt = st.w.loop.Now()
	}
	st.tx.Log.SrvQueue, st.tx.Log.BeQueue = st.waiter.SrvQueue(), st.waiter.BeQueue()
}

// prepareChoice collects what the choice of a server depends on.
func (st *stream) prepareChoice(now int64) {
	be, s := st.be, st.s
	ch := &st.choice
	*ch = pool.Choice{Now: now, Src: st.tx.Src().Addr()}
	st.retriesLeft = be.retries
	st.tx.Phase = rule.PhaseHTTPRequest
	if st.tcp {
		st.tx.Phase = rule.PhaseTCPContent
	}
	if be.key != nil {
		ch.Key, ch.HasKey = be.key(st)
	}
	if be.cookie != nil && !st.tcp {
		st.readCookie()
	}
	if s.lastServer != nil && s.lastServer.be == be {
		ch.Last, ch.LastMust = s.lastServer.p, s.lastMust
	}
	for _, c := range be.forcePersist {
		ch.Force = ch.Force || c(&st.tx)
	}
	ch.Force = ch.Force || be.opt.Persist
	for _, c := range be.ignorePersist {
		ch.Ignore = ch.Ignore || c(&st.tx)
	}
}

// wantedServer is what a use-server line asks for.
func (st *stream) wantedServer() *pool.Server {
	if st.choice.Avoid != nil {
		return nil
	}
	for i := range st.be.useServer {
		u := &st.be.useServer[i]
		if u.cond != nil && !u.cond(&st.tx) {
			continue
		}
		if u.srv != nil {
			return u.srv.p
		}
		st.w.scratch = u.name.Append(st.w.scratch[:0], &st.tx)
		if p := st.be.pool.Server(string(st.w.scratch)); p != nil {
			return p
		}
		return nil
	}
	return nil
}

// readCookie finds the persistence cookie in the request.
func (st *stream) readCookie() {
	c := st.be.cookie
	for i := range st.req.Fields {
		f := &st.req.Fields[i]
		if f.ID != message.FieldCookie || f.Name == nil {
			continue
		}
		v, _, _, ok := http1.FindCookie(f.Value, c.name)
		if !ok {
			continue
		}
		st.cookieVal = append(st.cookieVal[:0], v...)
		server, dates, expired := c.split(st.cookieVal, st.w.loop.Wall())
		st.cookieVal = server
		st.cookieDates = dates
		st.choice.Cookie = server
		if expired != 0 {
			st.choice.Cookie = nil
			st.cookieMark = expired
		}
		return
	}
}

// awaitSlot waits in the queue.
func (st *stream) awaitSlot() bool {
	if st.woken {
		st.woken = false
		st.w.loop.Disarm(&st.timer)
		if st.granted == nil {
			st.state = stateAssign
			return true
		}
		st.take(st.granted)
		st.granted = nil
		return st.connect()
	}
	if st.clientAborted() {
		if !st.be.pool.Cancel(&st.waiter) {
			return false // woken already; the post is on its way
		}
		st.setTerm('C', 'Q')
		st.errKind = pool.ErrClientAbort
		st.cut()
		return true
	}
	return false
}

// clientAborted says whether the client has gone while its request waits:
// surely, or, with option abortonclose, by closing its direction.
func (st *stream) clientAborted() bool {
	c := st.s.conn
	if c.Failed() {
		return true
	}
	if !c.ReadClosed() {
		return false
	}
	// Unread data in front of the end of the stream is the rest of the
	// request, or the next one.
	return st.be.opt.AbortOnClose && (st.tcp || st.reqDone)
}

// OnTimer is the end of what the server's side was given.
func (st *stream) OnTimer(*engineTimer) {
	generation := st.generation
	st.timerDone()
	if st.generation == generation {
		st.run()
	}
}

func (st *stream) timerDone() {
	switch st.state {
	case stateRules, stateTCPRules:
		st.tx.DelayExpired, st.tx.BodyWaitExpired = true, true
	case stateTarpit:
		st.answer(st.tx.Reply, 500)
	case stateBody:
		st.badRequest(408, 'c', nil)
	case stateQueue:
		if !st.be.pool.Cancel(&st.waiter) {
			return
		}
		st.setTerm('s', 'Q')
		st.errKind = pool.ErrQueue
		st.queueAt = st.w.loop.Now()
		st.tx.Log.SrvQueue, st.tx.Log.BeQueue = st.waiter.SrvQueue(), st.waiter.BeQueue()
		st.fail(503)
	case statePause:
		st.state = stateAssign
		if st.choice.Avoid == nil && st.srv != nil && st.srv.p != nil {
			st.retrySame()
		}
	case stateConnect:
		st.connectFailed("timeout", true)
	case stateForward:
		st.serverTimeout()
	case stateTunnel:
		st.tunnelTimeout('s')
	}
}

// retrySame takes a slot on the server that just failed.
func (st *stream) retrySame() {
	st.queuedGeneration = st.generation
	p, queued, err := st.be.pool.PickServerFor(st.srv.p, &st.choice, &st.waiter)
	switch {
	case err != nil:
		st.choice.Avoid = st.srv.p
		st.state = stateAssign
	case queued:
		st.state, st.woken = stateQueue, false
		if st.be.to.queue > 0 {
			st.w.loop.Arm(&st.timer, st, st.w.loop.Now()+st.be.to.queue)
		}
	default:
		st.take(p)
		st.connect()
	}
}

// connectFailed decides what follows a connection that could not be made:
// another attempt, on this server after a pause or on another one, or a 503.
func (st *stream) connectFailed(why string, timeout bool) {
	st.w.loop.Disarm(&st.timer)
	st.dropServer()
	st.connectErr = why
	be := st.be
	if st.retriesLeft <= 0 || !be.retryOn.connFailure {
		cause := byte('S')
		if timeout {
			cause = 's'
		}
		st.setTerm(cause, 'C')
		// The slot is kept until finish, so that the failure counts as this server's.
		st.errKind, st.hana = pool.ErrConn, pool.HanaL4Err
		st.fail(503)
		return
	}
	if st.srvSlot {
		st.srvSlot = false
		st.srv.p.Release(false)
	}
	st.choice.Now = st.w.loop.Now()
	st.retriesLeft--
	st.retries++
	again := st.shouldRedispatch()
	if again {
		st.redispatchLater()
	}
	// The same server gets a second to recover; so does a choice that may well
	// fall on it again.
	if timeout || again && st.freeChoice() {
		if again {
			st.state = stateAssign
		} else {
			st.retrySame()
		}
		return
	}
	pause := int64(time.Second)
	if be.to.connect > 0 {
		pause = min(pause, be.to.connect)
	}
	st.state = statePause
	st.w.loop.Arm(&st.timer, st, st.w.loop.Now()+pause)
}

// redispatchLater has the next choice avoid this server.
func (st *stream) redispatchLater() {
	st.choice.Avoid = st.srv.p
	st.choice.Cookie = nil
	st.redispatched = true
	st.state = stateAssign
}

// freeChoice: round robin with other servers to go to does not care about any
// one of them.
func (st *stream) freeChoice() bool {
	switch st.be.m.Backend.Balance.Algorithm {
	case "", "roundrobin", "static-rr":
		return st.be.pool.Usable() > 1
	}
	return false
}

// shouldRedispatch is `option redispatch N`: every Nth attempt, or for a
// negative N the Nth before the last; and at once where the server has gone
// down, or the choice was free.
func (st *stream) shouldRedispatch() bool {
	n := st.be.redispatch
	switch {
	case st.be.dispatch != nil || st.choice.Force && st.choice.Persistent || n == 0:
		return false
	case !st.srv.p.Up() || !st.choice.Persistent && st.freeChoice():
		return true
	case n < 0:
		return st.retriesLeft == -n-1
	}
	return st.retries%n == 0
}

// abortConnect ends a stream whose client has gone before the server answered
// the phone.
func (st *stream) abortConnect() {
	st.setTerm('C', 'C')
	st.errKind = pool.ErrClientAbort
	st.cut()
}
