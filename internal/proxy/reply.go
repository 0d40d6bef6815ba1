package proxy

import (
	"evenkeel/internal/engine"
	"evenkeel/internal/message"
	"evenkeel/internal/pool"
	"evenkeel/internal/rule"
	"evenkeel/internal/wire/http1"
)

// errorPage is the page of a status: the backend's, the frontend's, or ours.
func (st *stream) errorPage(status int) *page {
	if st.be != nil {
		if p := st.be.errors[status]; p != nil {
			return p
		}
	}
	if p := st.fe.errors[status]; p != nil {
		return p
	}
	if p := st.w.rt.errors[status]; p != nil {
		return p
	}
	return builtinPage(status)
}

// fail ends the exchange with an error page.
func (st *stream) fail(status int) {
	if st.tcp {
		st.cut()
		return
	}
	st.reply = st.errorPage(status)
	st.startReply()
}

// answer ends the exchange with what a rule said; status is for rules that
// said nothing.
func (st *stream) answer(r *rule.Reply, status int) {
	switch {
	case r == nil:
		st.fail(status)
		return
	case r.Silent:
		st.setTerm('P', 'R')
		st.cut()
		return
	case r.Raw != nil:
		p, err := parsePage(r.Raw)
		if err != nil || p.silent {
			st.cut()
			return
		}
		st.reply = p
	case r.UseErrorPage:
		if r.Status != 0 {
			status = r.Status
		}
		p := *st.errorPage(status)
		if !paged[status] {
			p = *emptyPage(status)
		}
		if len(r.Fields) > 0 {
			p.fields = append(append([]message.Field(nil), p.fields...), r.Fields...)
		}
		st.reply = &p
	default:
		if r.Status != 0 {
			status = r.Status
		}
		p := &st.replyBuf
		reason := r.Reason
		if reason == "" {
			reason = message.Reason(status)
		}
		*p = page{status: status, reason: reason, body: r.Body, fields: p.fields[:0]}
		if !hasField(r.Fields, message.FieldContentLength) {
			p.fields = append(p.fields, contentLength(len(r.Body)))
		}
		if r.ContentType != "" && len(r.Body) > 0 && !hasField(r.Fields, message.FieldContentType) {
			p.fields = append(p.fields, field("content-type", r.ContentType))
		}
		p.fields = append(p.fields, r.Fields...)
		st.reply = p
	}
	st.startReply()
}

func hasField(fields []message.Field, id message.FieldID) bool {
	for _, f := range fields {
		if f.ID == id {
			return true
		}
	}
	return false
}

// startReply makes st.reply the response.
func (st *stream) startReply() {
	p := st.reply
	if p.silent {
		st.cut()
		return
	}
	st.status, st.ownReply = p.status, true
	if p.logged != 0 {
		st.status = p.logged
	}
	st.releaseSlot()
	st.w.loop.Disarm(&st.timer)
	st.w.loop.Disarm(&st.s.timer)
	h := &st.res
	h.Reset()
	h.Response, h.Version, h.Status = true, message.HTTP11, p.status
	if p.old {
		h.Version = message.HTTP10
	}
	h.Reason = h.KeepString(p.reason)
	h.Fields = append(h.Fields, p.fields...)
	body := p.body
	if st.req.MethodID == message.MethodHead || p.status == 204 || p.status == 304 || p.status < 200 {
		body = nil
	}
	st.status = p.status
	st.resFraming = http1.Framing{Kind: http1.FramingLength, Length: int64(len(body))}
	st.resDone = true
	if !st.reqDone && !st.drainRequest() {
		st.clientKeep = false
	}
	st.tx.Server = nil
	st.afterRules()
	if st.status = h.Status; p.logged != 0 {
		st.status = p.logged
	}
	if st.co == nil {
		st.co = st.w.loop.GetBuffer()
	}
	b := st.appendResponseHead(st.co.B[:0])
	if len(b)+len(body) <= len(st.co.B) {
		b, body = append(b, body...), nil
	}
	st.toClient = outgoing{b, body}
	st.resStarted = true
	st.state = stateReply
	st.Again()
}

// Again has run go on: the state was changed outside of it.
func (st *stream) Again() { st.again = true }

// drainRequest takes the rest of a short body that is here already, so that
// the connection can be kept.
func (st *stream) drainRequest() bool {
	if st.req.Method == nil || st.s.in == nil {
		return false
	}
	for !st.reqDone {
		st.payR, st.keepRequest = st.payW, false
		progress, _, err := st.receiveRequest()
		if err != nil || !progress {
			return false
		}
	}
	return true
}

// sendReply writes the answer.
func (st *stream) sendReply() bool {
	n, done, err := st.toClient.flush(st.s.conn)
	st.bytesOut += int64(n)
	if err != nil {
		st.setTerm('C', 'D')
		st.cut()
		return true
	}
	if !done {
		if limit := st.fe.to.client; limit > 0 && (n > 0 || !st.s.timer.Armed()) {
			st.w.loop.Arm(&st.s.timer, st.s, st.w.loop.Now()+limit)
		}
		return false
	}
	st.finish()
	return true
}

// badRequest answers a request that cannot be understood or did not come in
// time, and closes.
func (st *stream) badRequest(status int, cause byte, err error) {
	fs := &st.w.stats[st.fe.index]
	if pe, ok := err.(*http1.ParseError); ok && status == 0 {
		status = pe.Status
	}
	if status == 0 {
		status = 400
	}
	if st.status < 0 && st.requestAt == 0 {
		fs.badReq++
		fs.requests++
		st.badLine = true
	}
	phase := byte('R')
	if st.state == stateForward {
		phase = 'H'
		if st.resHead {
			phase = 'D'
		}
	}
	st.setTerm(cause, phase)
	st.errKind = pool.ErrReq
	st.clientKeep = false
	if st.resStarted {
		st.cut()
		return
	}
	if cause == 'C' && st.s.conn.Failed() {
		st.status = 400
		st.cut()
		return
	}
	st.fail(status)
}

// clientTimeout: the client did nothing for as long as it may.
func (st *stream) clientTimeout() {
	generation := st.generation
	switch st.state {
	case stateHead:
		if st.s.rc.Requests > 0 && onlyLineEnds(st.s.in.B[st.s.in.R:st.s.in.W]) {
			s := st.s
			st.state = stateDone
			s.close()
			st.release()
			return
		}
		if st.fe.opt.HTTPIgnoreProbes && st.s.rc.Requests == 0 {
			st.setTerm('c', 'R')
			st.cut()
			return
		}
		st.badRequest(408, 'c', nil)
	case stateForward:
		if !st.resStarted && !st.reqSent {
			st.dropServer()
			st.badRequest(408, 'c', nil)
			break
		}
		st.setTerm('c', 'D')
		st.errKind = pool.ErrClientAbort
		st.cut()
	case stateReply:
		st.setTerm('c', 'D')
		st.cut()
	case stateTunnel:
		st.tunnelTimeout('c')
	default:
		return
	}
	if st.generation == generation {
		st.run()
	}
}

// cut ends the stream and both connections at once.
func (st *stream) cut() {
	st.dropServer()
	st.clientKeep = false
	st.cutShort = true
	st.finish()
}

// releaseSlot gives the server's slot back, with the counts of this exchange.
func (st *stream) releaseSlot() {
	if st.state == stateQueue && !st.be.pool.Cancel(&st.waiter) {
		st.waiting = true // the wake-up on its way gives the slot back itself
	}
	if st.be == nil || st.be.pool == nil || !st.srvSlot && !st.beSession {
		return
	}
	r := st.result()
	if st.srvSlot {
		st.srvSlot = false
		st.srv.p.Finish(&r)
	} else {
		st.be.pool.End(&r)
	}
	st.beSession = false
}

func (st *stream) result() pool.Result {
	status := st.status
	if status < 0 || st.tcp {
		status = 0
	}
	now := st.w.loop.Now()
	return pool.Result{
		Now: now, Status: status, Own: st.ownReply, BytesIn: st.bytesIn, BytesOut: st.bytesOut,
		Tw: span(st.requestAt, st.queueAt), Tc: span(st.queueAt, st.connectAt), Tr: span(st.connectAt, st.firstAt),
		Tt: span(st.acceptAt, now), Err: st.errKind, Hana: st.hana, Retries: st.retries,
		Redispatched: st.redispatched, Connect: st.connectAt > 0 && !st.reused, Reuse: st.reused, Session: st.beSession,
	}
}

// span is the milliseconds between two moments, -1 if one was not reached.
func span(from, to int64) int {
	if from == 0 || to == 0 {
		return -1
	}
	return ms(to - from)
}

// finish logs the exchange, gives everything back, and lets the session wait
// for its next request or end.
func (st *stream) finish() {
	s, w := st.s, st.w
	if st.state == stateDone {
		return
	}
	st.releaseSlot()
	st.state = stateDone
	fs := &w.stats[st.fe.index]
	fs.bytesIn += uint64(st.bytesIn)
	fs.bytesOut += uint64(st.bytesOut)
	if !st.tcp {
		if class := st.status / 100; class >= 1 && class <= 5 {
			fs.responses[class-1]++
		} else {
			fs.responses[5]++
		}
	}
	st.log()
	in := s.in
	if !st.clientKeep || st.tcp {
		reset, cutShort, drained, tcp := st.abortOnEnd, st.cutShort, st.reqDone, st.tcp
		st.release()
		switch {
		case reset:
			s.abort()
		case cutShort && tcp:
			s.drainAndClose()
		case cutShort || drained && (in == nil || !s.conn.Readable()):
			s.close()
		default:
			s.startLinger()
		}
		return
	}
	in.R = st.rest
	if in.R == in.W {
		in.R, in.W = 0, 0
	}
	st.release()
	s.idleSince = w.loop.Now()
	w.next(s)
}

// next waits for the session's next request, once the stack has unwound.
func (w *worker) next(s *session) {
	limit := s.fe.to.keepAlive
	if limit == 0 {
		limit = s.fe.to.request
	}
	if limit == 0 {
		limit = s.fe.to.client
	}
	if limit == 0 {
		limit = forever
	}
	s.phase = sessIdle
	w.loop.Arm(&s.timer, s, s.idleSince+limit)
	if s.in != nil && s.in.R < s.in.W {
		// A pipelined request: it gets its turn after the others'.
		s.conn.Wake()
		return
	}
	s.dropBuffer()
	if s.conn.Readable() {
		s.conn.Wake()
		return
	}
	s.offer()
}

// abort closes with a reset, so that a client cannot take a part for the whole.
func (s *session) abort() {
	if s.phase == sessClosed {
		return
	}
	if s.conn.TLS() == nil {
		s.conn.SetLinger(0)
	}
	s.close()
}

var _ = engine.ErrAgain
