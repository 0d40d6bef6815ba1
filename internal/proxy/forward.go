package proxy

import (
	"errors"
	"io"

	"evenkeel/internal/engine"
	"evenkeel/internal/message"
	"evenkeel/internal/model"
	"evenkeel/internal/pool"
	"evenkeel/internal/wire/http1"
)

// chunkRoom is kept free in front of payload in a buffer, for a chunk's size.
const chunkRoom = 12

// buildRequest writes the head, and what is there of the body, into st.so.
func (st *stream) buildRequest() {
	if st.so != nil {
		return
	}
	st.so = st.w.loop.GetBuffer()
	b := st.appendRequestHead(st.so.B[:0])
	st.keepRequest = st.mayRetry()
	if body := st.s.in.B[st.payR:st.payW]; len(body) > 0 {
		if st.reqFraming.Kind == http1.FramingChunked {
			b = http1.AppendChunk(b, body)
			st.afterHead(b, nil)
		} else if len(b)+len(body) <= cap(b) {
			b = append(b, body...)
			st.afterHead(b, nil)
		} else {
			st.afterHead(b, body)
		}
		if !st.keepRequest {
			st.payR = st.payW
		}
	} else {
		st.afterHead(b, nil)
	}
}

// afterHead sets what goes out first.
func (st *stream) afterHead(head, body []byte) {
	if st.reqFraming.Kind == http1.FramingChunked && st.reqDone {
		head = http1.AppendLastChunk(head, st.reqDec.Trailers)
	}
	st.reqSent = st.reqDone
	st.toServer = outgoing{head, body}
}

// mayRetry says whether the request may be sent a second time: it is whole, in
// the buffer, and repeating it does no harm (RFC 9110, 9.2.2), or the user
// asked for it with retry-on.
func (st *stream) mayRetry() bool {
	if !st.reqDone || st.tx.DisableL7Retry {
		return false
	}
	if st.be.retryOn.l7 {
		return true
	}
	switch st.req.MethodID {
	case message.MethodGet, message.MethodHead, message.MethodOptions, message.MethodTrace:
		return st.reused
	case message.MethodPut, message.MethodDelete:
		return st.reused
	}
	return false
}

// appendRequestHead makes the head that the server gets.
func (st *stream) appendRequestHead(b []byte) []byte {
	st.prepareRequestFields()
	b = http1.AppendRequestLine(b, &st.req)
	if st.req.Version < message.HTTP11 {
		// What a server may answer depends on the client's version.
		b[len(b)-3] = '0'
	}
	b = http1.AppendFields(b, &st.req)
	b = st.appendForwarded(b)
	if st.be.sendName != nil {
		b = append(b, st.be.sendName...)
		b = append(b, ": "...)
		b = append(b, st.srv.info.Name...)
		b = append(b, "\r\n"...)
	}
	mode := st.connMode()
	switch {
	case st.upgrade:
		b = append(b, "Connection: upgrade\r\n"...)
	case mode != model.KeepAlive && !st.be.opt.PretendKeepAlive:
		if st.req.Version < message.HTTP11 {
			break
		}
		b = append(b, "Connection: close\r\n"...)
	case st.req.Version < message.HTTP11:
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	return append(b, "\r\n"...)
}

// prepareRequestFields drops what must not travel on: hop-by-hop fields (RFC
// 9110, 7.6.1) and the persistence cookie. It may run again for a retry.
func (st *stream) prepareRequestFields() {
	st.upgrade = false
	for i := range st.req.Fields {
		f := &st.req.Fields[i]
		switch f.ID {
		case message.FieldOther:
			continue
		case message.FieldConnection, message.FieldProxyConnection, message.FieldKeepAlive, message.FieldHTTP2Settings:
			f.Name = nil
		case message.FieldTE:
			if !http1.HasToken(f.Value, "trailers") {
				f.Name = nil
			} else {
				f.Value = trailersToken
			}
		case message.FieldUpgrade:
			// An upgrade to HTTP/2 would hide the requests in it from the rules.
			if f.Name == nil {
				continue
			}
			if !st.conn.Upgrade || st.reqFraming.Kind != http1.FramingNone || http1.HasToken(f.Value, "h2c") || http1.HasToken(f.Value, "h2") {
				f.Name = nil
			} else {
				st.upgrade = true
			}
		case message.FieldCookie:
			if st.be.cookie != nil && st.be.cookie.hide && f.Name != nil {
				if rest, removed := http1.RemoveCookie(f.Value, st.be.cookie.name); removed {
					f.Value = rest
					if len(rest) == 0 {
						f.Name = nil
					}
				}
			}
		}
	}
	if st.conn.Other {
		st.dropNominated()
	}
	if st.be.cookie != nil && st.be.cookie.m.Prefix {
		st.stripCookiePrefix()
	}
}

var trailersToken = []byte("trailers")

// dropNominated deletes the fields that the client's Connection field names.
// Fields that carry the message itself stay whatever a client says.
func (st *stream) dropNominated() {
	for _, name := range st.nominated {
		switch message.Lookup(name) {
		case message.FieldHost, message.FieldContentLength, message.FieldTransferEncoding, message.FieldCookie,
			message.FieldAuthorization, message.FieldCacheControl, message.FieldUpgrade, message.FieldTE,
			message.FieldXForwardedFor, message.FieldForwarded, message.FieldContentType:
			continue
		}
		for i := 0; i < min(st.received, len(st.req.Fields)); i++ {
			if f := &st.req.Fields[i]; f.Name != nil && message.EqualFold(f.Name, name) {
				f.Name = nil
			}
		}
	}
}

// forward moves both directions as far as they go.
func (st *stream) forward() bool {
	c := st.s.conn
	if st.sc != nil && !st.toServer.empty() {
		if !st.flushToServer() {
			return true
		}
	}
	if st.sc != nil && !(st.reqSent && st.toServer.empty()) && !st.pumpRequest() {
		return true
	}
	if st.sc != nil && !st.pumpResponse() {
		return true
	}
	if c.Failed() && !st.resDone {
		st.clientGone('D')
		return true
	}
	if st.reqSent && !st.resDone && st.be.opt.AbortOnClose && c.ReadClosed() {
		st.clientGone('D') // H before the response's head
		return true
	}
	return false
}

// flushToServer writes what is pending. false: the state has changed.
func (st *stream) flushToServer() bool {
	n, done, err := st.toServer.flush(st.sc.conn)
	if err != nil {
		return st.serverWriteFailed()
	}
	if n > 0 {
		st.upBytes += int64(n)
		if !done {
			st.armServer()
		}
	}
	if done && st.reqSent {
		st.requestSent()
	}
	return true
}

// requestSent frees what the request's way needed.
func (st *stream) requestSent() {
	if st.so != nil {
		st.w.loop.PutBuffer(st.so)
		st.so = nil
	}
	if st.up != nil {
		st.w.loop.PutBuffer(st.up)
		st.up = nil
	}
	st.w.loop.Disarm(&st.s.timer)
	st.armServer()
}

// serverWriteFailed: the server does not take the request any more. It may
// have answered before it closed, so its answer is read first.
func (st *stream) serverWriteFailed() bool {
	st.toServer = outgoing{}
	st.reqSent = true
	st.writeFailed = true
	return true
}

// pumpRequest carries the body to the server. false: the state has changed.
func (st *stream) pumpRequest() bool {
	for turns := 0; st.toServer.empty() && !st.reqSent; turns++ {
		if turns == fairTurns {
			st.s.conn.Wake()
			return true
		}
		progress, err := st.fillToServer()
		if err != nil {
			if errors.As(err, new(*http1.ParseError)) {
				st.requestBroken(err)
			} else {
				st.clientGone('D')
			}
			return false
		}
		if !progress {
			if st.fe.to.client > 0 {
				st.w.loop.Arm(&st.s.timer, st.s, st.w.loop.Now()+st.fe.to.client)
			}
			return true
		}
		if !st.flushToServer() {
			return false
		}
	}
	return true
}

// fairTurns is how many buffers one stream moves before it lets others.
const fairTurns = 32

// bigUpload is the size from which a body gets a buffer of its own.
const bigUpload = 32 << 10

// fillToServer reads body from the client and makes it ready to be sent.
func (st *stream) fillToServer() (progress bool, err error) {
	in := st.s.in
	if st.payR == st.payW && st.rest == in.W && st.reqFraming.Kind == http1.FramingLength && st.reqLeft >= bigUpload {
		return st.fillBig()
	}
	if st.payR == st.payW {
		got, _, err := st.receiveRequest()
		if err != nil || !got {
			return false, err
		}
	}
	body := in.B[st.payR:st.payW]
	st.payR = st.payW
	if st.reqFraming.Kind == http1.FramingLength {
		st.toServer = outgoing{body, nil}
	} else {
		if st.so == nil {
			st.so = st.w.loop.GetBuffer()
		}
		b := st.so.B[:0]
		if len(body) > 0 {
			b = http1.AppendChunkSize(b, len(body))
			if len(b)+len(body)+2 > cap(b) {
				// Only a buffer that is all payload: send what fits.
				n := cap(b) - len(b) - 2
				b = http1.AppendChunk(st.so.B[:0], body[:n-8])
				st.payR -= len(body) - (n - 8)
			} else {
				b = append(append(b, body...), "\r\n"...)
			}
		}
		if st.reqDone && st.payR == st.payW {
			b = http1.AppendLastChunk(b, st.reqDec.Trailers)
		}
		st.toServer = outgoing{b, nil}
	}
	st.reqSent = st.reqDone && st.payR == st.payW
	return true, nil
}

func (st *stream) fillBig() (bool, error) {
	if st.up == nil {
		st.up = st.w.loop.GetBigBuffer()
	}
	n, err := st.s.conn.Read(st.up.B[:min(int64(len(st.up.B)), st.reqLeft)])
	if n == 0 {
		if err == engine.ErrAgain {
			return false, nil
		}
		return false, err
	}
	st.reqLeft -= int64(n)
	st.bytesIn += int64(n)
	st.reqDone = st.reqLeft == 0
	st.reqSent = st.reqDone
	st.toServer = outgoing{st.up.B[:n], nil}
	return true, nil
}

// pumpResponse reads the answer and carries it to the client. false: the
// state has changed.
func (st *stream) pumpResponse() bool {
	for turns := 0; ; turns++ {
		if turns == fairTurns {
			// The other connections of this loop want their turn.
			st.s.conn.Wake()
			return true
		}
		if !st.resHead {
			progress, same := st.readResponseHead()
			if !same || st.state == stateTunnel {
				return false
			}
			if !progress {
				return true
			}
		}
		if !st.toClient.empty() {
			n, done, err := st.toClient.flush(st.s.conn)
			st.bytesOut += int64(n)
			if err != nil {
				st.clientGone('D')
				return false
			}
			if n > 0 && st.fe.to.client > 0 && !done || !done && !st.s.timer.Armed() && st.fe.to.client > 0 {
				st.w.loop.Arm(&st.s.timer, st.s, st.w.loop.Now()+st.fe.to.client)
			}
			if !done {
				st.w.loop.Disarm(&st.timer)
				return true
			}
		}
		if st.pipeDown != nil {
			switch sent, err := st.spliceOut(); {
			case err != nil:
				st.clientGone('D')
				return false
			case !sent:
				return true
			}
		}
		if st.resDone {
			st.exchangeDone()
			return false
		}
		if !st.resHead {
			continue // an interim response was sent
		}
		progress, err := st.fillToClient()
		if err != nil {
			st.responseBroken(err)
			return false
		}
		if !progress {
			st.armServer()
			if st.reqSent && st.s.timer.Armed() {
				st.w.loop.Disarm(&st.s.timer)
			}
			return true
		}
	}
}

// fillToClient reads body from the server and makes it ready for the client.
func (st *stream) fillToClient() (progress bool, err error) {
	if st.resLeft >= spliceFrom && st.canSplice() {
		return st.spliceIn()
	}
	if !st.big && (st.resFraming.Kind != http1.FramingLength || st.resLeft > int64(len(st.sb.B))) {
		st.w.loop.PutBuffer(st.sb)
		st.sb = st.w.loop.GetBigBuffer()
		st.big = true
	}
	room := st.sb.B
	if st.chunkOut {
		room = room[chunkRoom : len(room)-chunkRoom]
	}
	switch st.resFraming.Kind {
	case http1.FramingLength:
		n, err := st.sc.conn.Read(room)
		if n == 0 {
			return st.readAgain(err)
		}
		if int64(n) > st.resLeft {
			n, st.serverKeep = int(st.resLeft), false
		}
		st.resLeft -= int64(n)
		st.resDone = st.resLeft == 0
		st.toClient = outgoing{room[:n], nil}
	case http1.FramingChunked:
		n, err := st.sc.conn.Read(room)
		if n == 0 {
			return st.readAgain(err)
		}
		payload, consumed, done, err := st.resDec.Decode(room[:n])
		if err != nil {
			return false, err
		}
		st.resDone = done
		st.serverKeep = st.serverKeep && consumed == n
		st.encode(room[:payload])
	default:
		n, err := st.sc.conn.Read(room)
		if n == 0 {
			if err != io.EOF {
				return st.readAgain(err)
			}
			st.resDone = true
			st.serverKeep = false
		}
		st.encode(room[:n])
	}
	return true, nil
}

func (st *stream) readAgain(err error) (bool, error) {
	if err == engine.ErrAgain {
		return false, nil
	}
	return false, err
}

// encode makes payload, which stands chunkRoom behind the start of st.sb, one
// chunk where the client gets chunks.
func (st *stream) encode(payload []byte) {
	if !st.chunkOut {
		st.toClient = outgoing{payload, nil}
		return
	}
	start, end := chunkRoom, chunkRoom+len(payload)
	b := st.sb.B
	if len(payload) > 0 {
		var digits [chunkRoom]byte
		size := http1.AppendChunkSize(digits[:0], len(payload))
		start -= len(size)
		copy(b[start:], size)
		end += copy(b[end:], "\r\n")
	}
	st.toClient = outgoing{b[start:end], nil}
	if st.resDone {
		st.toClient.b = http1.AppendLastChunk(st.w.scratch[:0:0], st.resDec.Trailers)
	}
}

// exchangeDone: the client has the whole response.
func (st *stream) exchangeDone() {
	if !st.reqDone || !st.reqSent || !st.toServer.empty() {
		// Answered before the request was through: nobody knows where the
		// next message would begin, on either side.
		st.clientKeep, st.serverKeep = false, false
	}
	if st.sc != nil {
		sc := st.sc
		st.sc = nil
		if st.serverKeep && !st.writeFailed && st.connMode() == model.KeepAlive && sc.quiet() {
			st.keepServer(sc)
		} else {
			sc.st = nil
			sc.drop()
		}
	}
	st.finish()
}

// clientGone ends the stream because the client has closed or failed.
func (st *stream) clientGone(phase byte) {
	if st.state == stateForward && !st.resHead {
		phase = 'H'
		if !st.reqSent {
			phase = 'D'
		}
	}
	st.setTerm('C', phase)
	st.errKind = pool.ErrClientAbort
	if phase == 'H' && !st.resStarted {
		st.dropServer()
		st.clientKeep = false
		if !st.s.conn.Failed() {
			st.fail(400) // only its own direction is closed
			return
		}
		st.status = 400
	}
	st.cut()
}

// requestBroken: the body cannot be read on. The server must not take the part
// for the whole.
func (st *stream) requestBroken(err error) {
	st.dropServer()
	st.badRequest(400, 'P', err)
}
