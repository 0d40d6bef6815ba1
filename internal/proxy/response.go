package proxy

import (
	"errors"
	"io"

	"evenkeel/internal/engine"
	"evenkeel/internal/message"
	"evenkeel/internal/model"
	"evenkeel/internal/pool"
	"evenkeel/internal/rule"
	"evenkeel/internal/wire/http1"
)

// readResponseHead waits for the head of the answer, and lets it pass through
// the rules. progress: there is something for pumpResponse to do; !same: the
// stream's state has changed.
func (st *stream) readResponseHead() (progress, same bool) {
	if st.sb == nil {
		if !st.sc.conn.Readable() {
			return false, true
		}
		st.sb = st.w.loop.GetBuffer()
	}
	sb := st.sb
	if sb.R == sb.W || st.needMore {
		if sb.W == len(sb.B) {
			st.responseBroken(errHeadTooLarge)
			return false, false
		}
		n, err := st.sc.conn.Read(sb.B[sb.W:])
		if n == 0 {
			if err == engine.ErrAgain {
				if sb.W == 0 {
					st.w.loop.PutBuffer(sb)
					st.sb = nil
				}
				return false, true
			}
			st.noResponse(err)
			return false, false
		}
		sb.W += n
		st.needMore = false
	}
	n, err := st.resParser.Response(sb.B[sb.R:sb.W], &st.res, &st.w.rt.limits)
	if err == http1.ErrMore {
		if sb.W-sb.R >= st.w.rt.maxHead {
			st.responseBroken(errHeadTooLarge)
			return false, false
		}
		st.needMore = true
		return true, true
	}
	if err != nil {
		st.responseBroken(err)
		return false, false
	}
	if st.res.Status < 200 && st.res.Status != 101 {
		return st.interim(n)
	}
	return st.beginResponse(n)
}

var errHeadTooLarge = &http1.ParseError{Off: -1, Reason: "the response head is larger than tune.bufsize allows", Status: 502}

var errUnasked = &http1.ParseError{Off: -1, Reason: "the server switched protocols without being asked", Status: 502}

// interim passes a 1xx answer on; the final one is still to come.
func (st *stream) interim(n int) (progress, same bool) {
	sb := st.sb
	if st.req.Version >= message.HTTP11 {
		st.toClient = outgoing{sb.B[sb.R : sb.R+n], nil}
	}
	sb.R += n
	st.res.Reset()
	if sb.R == sb.W {
		// The interim answer itself must be out before the buffer is filled anew.
		if !st.toClient.empty() {
			_, done, err := st.toClient.flush(st.s.conn)
			if err != nil {
				st.clientGone('H')
				return false, false
			}
			if !done {
				st.toClient.a = append([]byte(nil), st.toClient.a...)
			}
		}
		sb.R, sb.W = 0, 0
	}
	return true, true
}

// beginResponse decides on framing and connections, runs the rules and makes
// the head that the client gets.
func (st *stream) beginResponse(n int) (progress, same bool) {
	now := st.w.loop.Now()
	st.firstAt = now
	st.resHead = true
	st.status = st.res.Status
	f, err := http1.ResponseFraming(&st.res, st.req.MethodID)
	if err != nil {
		st.responseBroken(err)
		return false, false
	}
	if f.Kind == http1.FramingTunnel && st.res.Status == 101 && !st.upgrade {
		st.responseBroken(errUnasked)
		return false, false
	}
	if st.retryOnStatus() {
		return false, false
	}
	st.resFraming = f
	st.resLeft = f.Length
	st.keepRequest = false
	tokens := http1.ConnectionTokens(&st.res)
	st.serverKeep = !tokens.Close && !f.MustClose && (st.res.Version >= message.HTTP11 || tokens.KeepAlive)
	st.noteStatus(tokens)
	sb := st.sb
	sb.R += n
	switch f.Kind {
	case http1.FramingNone:
		st.resDone = true
	case http1.FramingLength:
		st.resDone = f.Length == 0
	case http1.FramingTunnel:
		st.serverKeep = false
	case http1.FramingUntilClose:
		st.serverKeep = false
	}
	st.tx.Res = &st.res
	st.tx.ClearRequestScope()
	if st.be.cookie != nil {
		st.writeCookie()
	}
	if !st.responseRules() {
		return false, false
	}
	if err := st.toClientHead(); err != nil {
		st.responseBroken(err)
		return false, false
	}
	if st.fe.opt.LogASAP {
		st.bytesOut = int64(len(st.toClient.a)) // the head, for the log
		st.tx.Log.LogASAP = true
		st.log()
		st.bytesOut = 0
	}
	return true, true
}

// noteStatus keeps what the answer says about the server and its connection.
func (st *stream) noteStatus(tokens http1.Conn) {
	s, code := st.s, st.res.Status
	switch {
	case code >= 500 && code != 501 && code != 505:
		st.hana = pool.HanaHTTPStatus
	default:
		st.hana = pool.HanaHTTPOK
	}
	s.lastServer = st.srv
	s.lastMust = code == 401 || code == 407
	if s.lastMust {
		// NTLM and Negotiate authenticate the connection, not the request.
		name := "www-authenticate"
		if code == 407 {
			name = "proxy-authenticate"
		}
		for i := st.res.Index(0, name, 0); i >= 0; i = st.res.Index(0, name, i+1) {
			v := st.res.Fields[i].Value
			if hasPrefixFold(v, "ntlm") || hasPrefixFold(v, "nego") {
				st.privateServer = true
			}
		}
	}
}

func hasPrefixFold(v []byte, lower string) bool {
	return len(v) >= len(lower) && message.EqualFold(v[:len(lower)], lower)
}

// responseRules runs http-response and http-after-response. It says whether
// the answer goes on its way.
func (st *stream) responseRules() bool {
	programs := [...]*rule.Program{st.be.rules.response, st.be.rules.legacyResponse, nil, nil}
	if st.fe.self != st.be {
		programs[2], programs[3] = st.fe.rules.response, st.fe.rules.legacyResponse
	}
	st.capture(st.fe.resCaps, &st.res, &st.tx.ResCaptures)
	for _, p := range programs {
		if p == nil {
			continue
		}
		st.tx.Phase = rule.PhaseHTTPResponse
		switch p.Run(&st.tx) {
		case rule.Next, rule.Stop:
		case rule.Return:
			st.setTerm('L', 'H')
			st.firstAt = 0
			st.abandonServer()
			st.answer(st.tx.Reply, 200)
			return false
		case rule.SilentDrop:
			silence(st.s.conn.FD())
			st.setTerm('P', 'H')
			st.cut()
			return false
		case rule.Wait: // a body cannot be waited for any longer than it is here
		default:
			st.w.stats[st.fe.index].deniedResp++
			st.setTerm('P', 'H')
			st.errKind = pool.ErrDeniedResponse
			st.firstAt = 0
			st.abandonServer()
			st.answer(st.tx.Reply, 502)
			return false
		}
	}
	st.afterRules()
	return true
}

// afterRules runs http-after-response on st.res.
func (st *stream) afterRules() {
	st.tx.Phase = rule.PhaseHTTPAfterResponse
	st.tx.Res = &st.res
	if st.be != nil && st.be.rules.afterResponse != nil {
		st.be.rules.afterResponse.Run(&st.tx)
	}
	if p := st.fe.rules.afterResponse; p != nil && (st.be == nil || st.fe.self != st.be) {
		p.Run(&st.tx)
	}
}

// abandonServer gives up an answer in the middle.
func (st *stream) abandonServer() {
	st.dropServer()
	st.resDone = true
	if !st.reqSent {
		st.clientKeep = false
	}
}

// toClientHead makes the head for the client, with what there is of the body.
func (st *stream) toClientHead() error {
	st.status = st.res.Status
	sb := st.sb
	st.co = st.w.loop.GetBuffer()
	b := st.appendResponseHead(st.co.B[:0])
	body := sb.B[sb.R:sb.W]
	switch st.resFraming.Kind {
	case http1.FramingNone:
		st.serverKeep = st.serverKeep && len(body) == 0
		body = nil
	case http1.FramingLength:
		if int64(len(body)) > st.resLeft {
			body = body[:st.resLeft]
			st.serverKeep = false
		}
		st.resLeft -= int64(len(body))
		st.resDone = st.resLeft == 0
	case http1.FramingTunnel:
		st.toClient = outgoing{b, body}
		st.beginUpgrade()
		return nil
	case http1.FramingChunked:
		p, consumed, done, err := st.resDec.Decode(body)
		if err != nil {
			return err
		}
		st.serverKeep = st.serverKeep && consumed == len(body)
		st.resDone = done
		body = body[:p]
	}
	if st.chunkOut {
		if len(body) > 0 {
			b = http1.AppendChunk(b, body)
		}
		if st.resDone {
			b = http1.AppendLastChunk(b, st.resDec.Trailers)
		}
		body = nil
	} else if len(b)+len(body) <= len(st.co.B) {
		b = append(b, body...)
		body = nil
	}
	st.toClient = outgoing{b, body}
	st.resStarted = true
	return nil
}

// appendResponseHead finishes the head: framing towards this client, and the
// fate of its connection.
func (st *stream) appendResponseHead(b []byte) []byte {
	h := &st.res
	st.chunkOut = false
	kind := st.resFraming.Kind
	if st.connMode() == model.Close {
		st.clientKeep = false
	}
	switch {
	case kind == http1.FramingChunked && st.req.Version >= message.HTTP11:
		st.chunkOut = true
	case kind == http1.FramingChunked, kind == http1.FramingUntilClose:
		st.clientKeep = false
	}
	if !st.reqDone && st.resDone {
		st.clientKeep = false
	}
	st.dropResponseHops()
	b = http1.AppendStatusLine(b, h)
	if h.Version < message.HTTP11 {
		b[len("HTTP/1.")] = '0'
	}
	b = http1.AppendFields(b, h)
	if st.chunkOut {
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	switch {
	case kind == http1.FramingTunnel:
		if h.Status == 101 {
			b = append(b, "Connection: upgrade\r\n"...)
		}
	case !st.clientKeep:
		b = append(b, "Connection: close\r\n"...)
	case st.req.Version < message.HTTP11, h.Version < message.HTTP11:
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	return append(b, "\r\n"...)
}

func (st *stream) dropResponseHops() {
	for i := range st.res.Fields {
		f := &st.res.Fields[i]
		switch f.ID {
		case message.FieldConnection, message.FieldProxyConnection, message.FieldKeepAlive:
			f.Name = nil
		case message.FieldTransferEncoding:
			// Kept only where there is no body that it could frame (HEAD).
			if st.resFraming.Kind != http1.FramingNone {
				f.Name = nil
			}
		case message.FieldUpgrade:
			if st.res.Status != 101 && st.res.Status != 426 {
				f.Name = nil
			}
		}
	}
}

// endByClose says whether the client takes the end of the connection for the
// end of the body, so that a body cut short needs a reset to be told apart.
func (st *stream) endByClose() bool {
	return st.resFraming.Kind != http1.FramingLength && !st.chunkOut
}

// noResponse: the server closed or failed before its answer was complete.
func (st *stream) noResponse(err error) {
	fresh := st.sb == nil || st.sb.W == 0 && !st.resStarted
	if fresh && st.retryAfter(st.be.retryOn.emptyResponse || st.reused && st.keepRequest) {
		return
	}
	if st.writeFailed || err != io.EOF && fresh {
		st.hana = pool.HanaHTTPBrokenPipe
	} else {
		st.hana = pool.HanaHTTPReadError
	}
	st.serverFailed(502, 'S', 'H')
}

// responseBroken: the answer makes no sense, or ended in the middle.
func (st *stream) responseBroken(err error) {
	var pe *http1.ParseError
	switch {
	case st.resStarted || st.resHead && !errors.As(err, &pe):
		st.hana = pool.HanaHTTPReadError
		st.setTerm('S', 'D')
		st.errKind = pool.ErrServerAbort
		st.abortOnEnd = st.endByClose()
		st.cut()
	default:
		if st.retryAfter(st.be.retryOn.junkResponse) {
			return
		}
		st.hana = pool.HanaHTTPResponse
		st.firstAt = 0 // no answer in the end
		st.serverFailed(502, 'P', 'H')
	}
}

// serverFailed answers in place of a server that did not.
func (st *stream) serverFailed(status int, cause, phase byte) {
	st.setTerm(cause, phase)
	st.errKind = pool.ErrResponse
	if !st.reqSent {
		st.clientKeep = false
	}
	st.dropServer()
	st.fail(status)
}

// retryAfter sends the request once more on a new connection, if that is
// wanted and possible.
func (st *stream) retryAfter(wanted bool) bool {
	if !wanted || !st.keepRequest || st.tx.DisableL7Retry || st.resStarted {
		return false
	}
	if !st.reused || st.be.retryOn.l7 {
		if st.retriesLeft <= 0 {
			return false
		}
		st.retriesLeft--
		st.retries++
	}
	reused := st.reused && !st.be.retryOn.l7
	st.dropServer()
	if st.sb != nil {
		st.w.loop.PutBuffer(st.sb)
		st.sb = nil
	}
	st.res.Reset()
	st.resParser.Reset()
	st.resHead, st.needMore, st.writeFailed, st.reqSent = false, false, false, false
	st.payR = st.headEnd
	st.freshOnly = true
	st.status = -1
	st.w.loop.Disarm(&st.timer)
	if st.srvSlot && !reused && st.shouldRedispatch() {
		st.srvSlot = false
		st.srv.p.Release(false)
		st.redispatchLater()
		return true
	}
	st.connect()
	return true
}

// retryOnStatus is retry-on with status codes.
func (st *stream) retryOnStatus() bool {
	if !st.be.retryOn.status[st.res.Status] {
		return false
	}
	st.resHead = false
	if st.retryAfter(true) {
		return true
	}
	st.resHead = true
	return false
}

// serverTimeout: nothing came for the whole of timeout server.
func (st *stream) serverTimeout() {
	if st.resHead {
		st.setTerm('s', 'D')
		st.errKind = pool.ErrServerAbort
		st.hana = pool.HanaHTTPReadTimeout
		st.abortOnEnd = st.endByClose()
		st.cut()
		return
	}
	if st.retryAfter(st.be.retryOn.responseTimeout) {
		return
	}
	st.hana = pool.HanaHTTPReadTimeout
	st.serverFailed(504, 's', 'H')
}

// armServer gives the server its time from now.
func (st *stream) armServer() {
	limit := st.be.to.server
	if t := int64(st.tx.ServerTimeout); t > 0 {
		limit = t
	}
	if limit > 0 {
		st.w.loop.Arm(&st.timer, st, st.w.loop.Now()+limit)
	}
}
