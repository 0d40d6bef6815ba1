package proxy

import (
	"errors"

	"evenkeel/internal/engine"
	"evenkeel/internal/message"
	"evenkeel/internal/model"
	"evenkeel/internal/pool"
	"evenkeel/internal/rule"
	"evenkeel/internal/wire/http1"
)

// requestStep numbers the blocks of rules that a request passes, in order.
type requestStep uint8

const (
	stepContent requestStep = iota
	stepRequest
	stepRedirect
	stepLegacy
	stepSwitch
	stepBackendContent
	stepBackendRequest
	stepBackendRedirect
	stepBackendLegacy
	stepEnd
)

// startHTTP begins an exchange on a session whose buffer holds the first bytes.
func (st *stream) startHTTP(s *session) {
	st.attach(s)
	now := st.w.loop.Now()
	st.acceptAt = s.idleSince
	st.firstByteAt = now
	st.state = stateHead
	st.run()
}

// readHead waits for a whole request head and prepares the exchange.
func (st *stream) readHead() bool {
	in := st.s.in
	n, err := st.parser.Request(in.B[in.R:in.W], &st.req, &st.w.rt.limits)
	if err == http1.ErrMore {
		if in.W-in.R >= st.w.rt.maxHead {
			st.badRequest(400, 'P', nil)
			return true
		}
		return st.moreHead()
	}
	if err == nil && n > st.w.rt.maxHead {
		st.badRequest(400, 'P', nil)
		return true
	}
	if err != nil {
		st.badRequest(0, 'P', err)
		return true
	}
	st.headEnd = in.R + n
	st.payR, st.payW, st.rest = st.headEnd, st.headEnd, st.headEnd
	return st.beginRequest()
}

// moreHead reads on while the head is incomplete.
func (st *stream) moreHead() bool {
	s, in := st.s, st.s.in
	if in.W == len(in.B) {
		if in.R == 0 {
			st.badRequest(400, 'P', nil)
			return true
		}
		copy(in.B, in.B[in.R:in.W])
		in.W -= in.R
		in.R = 0
	}
	n, err := s.conn.Read(in.B[in.W:])
	if n > 0 {
		in.W += n
		return true
	}
	if err == engine.ErrAgain {
		if limit := st.fe.firstTimeout(); limit < forever && !st.counted {
			st.counted = true // armed once a request: trickling does not extend it
			from := st.firstByteAt
			if s.rc.Requests == 0 {
				from = s.idleSince
			}
			st.w.loop.Arm(&s.timer, s, from+limit)
		}
		return false
	}
	// The client has gone in the middle of a request.
	if onlyLineEnds(in.B[in.R:in.W]) {
		st.state = stateDone
		s.close()
		st.release()
		return false
	}
	st.badRequest(400, 'C', nil)
	return true
}

func onlyLineEnds(b []byte) bool {
	for _, c := range b {
		if c != '\r' && c != '\n' {
			return false
		}
	}
	return true
}

// beginRequest takes note of a parsed head: framing, connection options,
// counters, and lets the rules begin.
func (st *stream) beginRequest() bool {
	s, w := st.s, st.w
	now := w.loop.Now()
	st.counted = true
	st.requestAt = now
	w.loop.Disarm(&s.timer)
	f, err := http1.RequestFraming(&st.req)
	if err != nil {
		st.requestAt = 0
		st.badRequest(0, 'P', err)
		return true
	}
	s.rc.Requests++
	s.rc.HTTPMajor = 1
	fs := &w.stats[st.fe.index]
	fs.requests++
	fs.reqRate.Add(now, 1)
	st.fe.ratesSeen.req.Store(int64(fs.reqRate.Rate(now) * len(w.rt.workers)))
	w.rt.reqTotal.Add(1)

	st.reqFraming = f
	st.reqLeft = f.Length
	st.reqDone = f.Kind == http1.FramingNone || f.Kind == http1.FramingLength && f.Length == 0
	st.conn = http1.ConnectionTokens(&st.req)
	if st.conn.Other {
		st.noteNominated()
	}
	st.clientKeep = st.wantsKeepAlive() && !f.MustClose
	if st.fe.log != nil && st.fe.log.needsLine {
		st.reqLine = appendRequestText(st.reqLine[:0], &st.req)
	}
	tx := &st.tx
	tx.Req = &st.req
	tx.Phase = rule.PhaseHTTPRequest
	tx.ReqBodySize = f.Length
	tx.ReqBodyDone = st.reqDone
	received := int64(s.in.W - s.in.R)
	if !st.reqDone {
		if err := st.decodeRequest(); err != nil {
			st.requestAt = 0
			st.badRequest(400, 'P', err)
			return true
		}
	}
	st.bytesIn = received - int64(s.in.W-st.rest) // what is left is the next request
	if st.fe.special() && st.early() {
		return true
	}
	st.state, st.step = stateRules, stepContent
	return true
}

// wantsKeepAlive is RFC 9112, 9.3, with the frontend's options.
func (st *stream) wantsKeepAlive() bool {
	if st.fe.opt.ConnMode == model.Close || st.conn.Close || st.w.rt.leaving.Load() || st.w.rt.draining.Load() && (st.w.rt.handoff.Load() == nil || st.s.rc.TLS != nil) {
		return false
	}
	return st.req.Version >= message.HTTP11 || st.conn.KeepAlive
}

// decodeRequest turns what was received of the body into payload.
func (st *stream) decodeRequest() error {
	in := st.s.in
	raw := in.B[st.rest:in.W]
	if len(raw) == 0 || st.reqDone {
		return nil
	}
	switch st.reqFraming.Kind {
	case http1.FramingLength:
		n := int(min(int64(len(raw)), st.reqLeft))
		if st.payW != st.rest {
			copy(in.B[st.payW:], raw[:n])
		}
		st.payW += n
		st.rest += n
		st.reqLeft -= int64(n)
		st.reqDone = st.reqLeft == 0
	case http1.FramingChunked:
		n, consumed, done, err := st.reqDec.Decode(raw)
		if err != nil {
			return err
		}
		if st.payW != st.rest {
			copy(in.B[st.payW:], raw[:n])
		}
		st.payW += n
		st.rest += consumed
		st.reqDone = done
	}
	if st.rest == in.W {
		st.rest, in.W = st.payW, st.payW
	}
	st.tx.ReqBody = in.B[st.headEnd:st.payW]
	st.tx.ReqBodyDone = st.reqDone
	return nil
}

// receiveRequest reads more of the body. full says that the buffer has no room.
func (st *stream) receiveRequest() (progress, full bool, err error) {
	in := st.s.in
	if st.payR == st.payW && !st.keepRequest && st.rest == in.W {
		st.payR, st.payW, st.rest, in.W = st.headEnd, st.headEnd, st.headEnd, st.headEnd
	}
	if in.W == len(in.B) {
		return false, true, nil
	}
	n, err := st.s.conn.Read(in.B[in.W:])
	if n == 0 {
		if err == engine.ErrAgain {
			return false, false, nil
		}
		return false, false, err
	}
	in.W += n
	st.bytesIn += int64(n)
	return true, false, st.decodeRequest()
}

// runRules passes the request through the blocks of rules. It stops where one
// needs more input or has decided.
func (st *stream) runRules() bool {
	for st.step < stepEnd {
		if !st.reqDone && !st.bodyAwaited && st.wantsBody() {
			st.state = stateBody
			return true
		}
		p, phase := st.block(st.step)
		if p == nil {
			if st.step == stepSwitch && !st.switchBackend() {
				return true
			}
			st.step++
			continue
		}
		st.tx.Phase = phase
		verdict := p.Run(&st.tx)
		if len(st.tx.EarlyHints) > 0 {
			st.sendHints()
		}
		if verdict == rule.Wait {
			return st.awaitRuleInput()
		}
		st.tx.DelayExpired, st.tx.BodyWaitExpired = false, false
		if !st.obey(verdict) {
			return true
		}
		st.step++
	}
	st.applyRuleResults()
	st.state = stateAssign
	return true
}

// block is the program of a step; nil: there is none.
func (st *stream) block(step requestStep) (*rule.Program, rule.Phase) {
	switch step {
	case stepContent:
		return st.fe.rules.tcpContent, rule.PhaseTCPContent
	case stepRequest:
		return st.fe.rules.request, rule.PhaseHTTPRequest
	case stepRedirect:
		return st.fe.rules.redirects, rule.PhaseHTTPRequest
	case stepLegacy:
		return st.fe.rules.legacyRequest, rule.PhaseHTTPRequest
	}
	if step == stepSwitch || st.be == nil || st.fe.self == st.be {
		return nil, 0
	}
	switch step {
	case stepBackendContent:
		return st.be.rules.tcpContent, rule.PhaseTCPContent
	case stepBackendRequest:
		return st.be.rules.request, rule.PhaseHTTPRequest
	case stepBackendRedirect:
		return st.be.rules.redirects, rule.PhaseHTTPRequest
	}
	return st.be.rules.legacyRequest, rule.PhaseHTTPRequest
}

// awaitRuleInput waits for what a rule asked for, within its time.
func (st *stream) awaitRuleInput() bool {
	progress, full, err := st.receiveRequest()
	if progress {
		return true
	}
	if err != nil && !errors.As(err, new(*http1.ParseError)) {
		st.clientGone('R')
		return true
	}
	if err != nil {
		st.badRequest(400, 'P', err)
		return true
	}
	if full || st.reqDone && !st.tx.WaitHandshake && st.tx.BodyWait > 0 {
		st.tx.BodyWaitExpired, st.tx.RawClosed = true, true
		return true
	}
	if !st.timer.Armed() {
		delay := int64(st.tx.BodyWait)
		if delay == 0 {
			delay = st.ruleSet().requestDelay
		}
		if delay == 0 && st.reqDone {
			st.tx.DelayExpired = true
			return true
		}
		st.w.loop.Arm(&st.timer, st, st.w.loop.Now()+delay)
	}
	if st.reqFraming.Kind != http1.FramingNone {
		st.expectContinue()
	}
	return false
}

// sendHints writes what early-hint rules gave as one 103 response. A client
// that does not take it at once does without: it is a hint.
func (st *stream) sendHints() {
	if st.req.Version >= message.HTTP11 {
		b := append(st.w.scratch[:0], "HTTP/1.1 103 Early Hints\r\n"...)
		for _, f := range st.tx.EarlyHints {
			b = append(append(append(append(b, f.Name...), ": "...), f.Value...), "\r\n"...)
		}
		b = append(b, "\r\n"...)
		if n, _ := st.s.conn.Write(b); n > 0 && n < len(b) {
			st.s.conn.Reset() // a peer that has no room for a hint on an idle connection
		}
		st.w.scratch = b
	}
	st.tx.EarlyHints = st.tx.EarlyHints[:0]
}

func (st *stream) ruleSet() *ruleSet {
	if st.step >= stepBackendContent && st.be != nil {
		return st.be.rules
	}
	return st.fe.rules
}

// obey carries out a verdict. It says whether the request goes on.
func (st *stream) obey(v rule.Verdict) bool {
	fs := &st.w.stats[st.fe.index]
	switch v {
	case rule.Next, rule.Stop:
		return true
	case rule.Deny:
		fs.deniedReq++
		st.errKind = pool.ErrDeniedRequest
		st.setTerm('P', 'R')
		st.answer(st.tx.Reply, 403)
	case rule.Return:
		fs.intercepted++
		st.setTerm('L', 'R')
		st.answer(st.tx.Reply, 200)
	case rule.Tarpit:
		fs.deniedReq++
		st.errKind = pool.ErrDeniedRequest
		st.setTerm('P', 'T')
		delay := st.fe.to.tarpit
		if st.be != nil && st.be.to.tarpit > 0 {
			delay = st.be.to.tarpit
		}
		if delay == 0 {
			delay = st.fe.to.connect
		}
		st.w.loop.Arm(&st.timer, st, st.w.loop.Now()+delay)
		st.state = stateTarpit
	case rule.Reject:
		fs.deniedReq++
		st.setTerm('P', 'R')
		st.requestAt = 0 // no request was accepted: TR is -1
		st.cut()
	case rule.SilentDrop:
		fs.deniedReq++
		st.setTerm('P', 'R')
		silence(st.s.conn.FD())
		st.cut()
	}
	return false
}

// applyRuleResults hands what rules set to the connection.
func (st *stream) applyRuleResults() {
	tx := &st.tx
	if tx.HasMark {
		st.s.conn.SetMark(int(tx.Mark))
	}
	if tx.HasTOS {
		st.s.conn.SetTOS(tx.TOS)
	}
	st.waiter.Class, st.waiter.Offset = tx.PriorityClass, tx.PriorityOffset
}

// switchBackend chooses the backend. It says whether there is one.
func (st *stream) switchBackend() bool {
	be := st.fe.def
	for i := range st.fe.useBackend {
		u := &st.fe.useBackend[i]
		if u.cond != nil && !u.cond(&st.tx) {
			continue
		}
		if u.name == nil {
			be = u.be
			break
		}
		st.w.scratch = u.name.Append(st.w.scratch[:0], &st.tx)
		if found := st.w.rt.bes[string(st.w.scratch)]; found != nil {
			be = found
			break
		}
		break
	}
	st.be = be
	if be == nil {
		if st.tcp {
			st.setTerm('S', 'C')
			st.cut()
			return false
		}
		st.setTerm('S', 'C')
		st.requestAt = 0
		st.fail(503)
		return false
	}
	st.tx.Backend = &be.info
	return true
}

// wantsBody says whether the body comes before the next block of rules: option
// http-buffer-request, and balance url_param check_post.
func (st *stream) wantsBody() bool {
	switch st.step {
	case stepRequest:
		return st.fe.opt.HTTPBufferRequest
	case stepBackendContent:
		return st.be.opt.HTTPBufferRequest || st.be.needBody && st.req.MethodID == message.MethodPost
	}
	return false
}

// awaitBody waits until the buffer is full or the body complete.
func (st *stream) awaitBody() bool {
	if st.reqDone {
		st.bodyReady()
		return true
	}
	progress, full, err := st.receiveRequest()
	switch {
	case progress && err == nil:
		return true
	case full:
		st.bodyReady()
		return true
	case err != nil && errors.As(err, new(*http1.ParseError)):
		st.badRequest(400, 'P', err)
		return true
	case err != nil:
		st.clientGone('D')
		return true
	}
	if !st.timer.Armed() {
		st.w.loop.Arm(&st.timer, st, st.w.loop.Now()+st.fe.firstTimeout())
	}
	st.expectContinue()
	return false
}

func (st *stream) bodyReady() {
	st.w.loop.Disarm(&st.timer)
	st.bodyAwaited = true
	st.state = stateRules
}

// awaitTimer watches the client while a timer runs.
func (st *stream) awaitTimer() bool {
	if st.state == stateTarpit && (st.s.conn.ReadClosed() || st.s.conn.Failed()) {
		st.timerDone()
		return true
	}
	if st.state == statePause && st.clientAborted() {
		st.abortConnect()
		return true
	}
	return false
}

// expectContinue answers 100 once to a client that waits for it before it
// sends the body that we want to see.
func (st *stream) expectContinue() {
	if v, ok := st.req.Get(message.FieldExpect); ok && message.EqualFold(v, "100-continue") && st.payW == st.headEnd {
		st.req.Del(message.FieldExpect, "expect")
		st.s.conn.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	}
}
