package proxy

import (
	"io"

	"evenkeel/internal/engine"
	"evenkeel/internal/pool"
	"evenkeel/internal/rule"
)

// startTCP begins a stream in mode tcp.
func (st *stream) startTCP(s *session) {
	st.attach(s)
	st.tcp = true
	st.acceptAt = s.acceptedAt
	st.requestAt = s.w.loop.Now()
	st.state, st.step = stateTCPRules, stepContent
	st.tx.Phase = rule.PhaseTCPContent
	st.run()
}

// runTCPRules passes the connection through tcp-request content, of the
// frontend and then of the backend.
func (st *stream) runTCPRules() bool {
	for st.step < stepEnd {
		var p *rule.Program
		switch st.step {
		case stepContent:
			p = st.fe.rules.tcpContent
		case stepSwitch:
			if !st.switchBackend() {
				return true
			}
		case stepBackendContent:
			if st.fe.self != st.be {
				p = st.be.rules.tcpContent
			}
		}
		if p != nil {
			if !st.rawInput() {
				return true
			}
			verdict := p.Run(&st.tx)
			if verdict == rule.Wait {
				return st.awaitRawInput()
			}
			if !st.obeyTCP(verdict) {
				return true
			}
		}
		st.step++
		st.tx.DelayExpired = false
	}
	st.w.loop.Disarm(&st.timer)
	st.applyRuleResults()
	st.state = stateAssign
	return true
}

// rawInput shows the rules what was received. false: the client has failed.
func (st *stream) rawInput() bool {
	s := st.s
	if s.in == nil {
		s.in = st.w.loop.GetBuffer()
	}
	for s.in.W < len(s.in.B) {
		n, err := s.conn.Read(s.in.B[s.in.W:])
		s.in.W += n
		st.bytesIn += int64(n)
		if err == nil && n > 0 {
			continue
		}
		if err == io.EOF {
			st.tx.RawClosed, st.clientEOF = true, true
		} else if err != nil && err != engine.ErrAgain {
			st.setTerm('C', 'R')
			st.cut()
			return false
		}
		break
	}
	if s.in.W == len(s.in.B) {
		st.tx.RawClosed = true
	}
	st.tx.Raw = s.in.B[s.in.R:s.in.W]
	return true
}

func (st *stream) awaitRawInput() bool {
	if st.timer.Armed() {
		return false
	}
	delay := st.ruleSet().requestDelay
	if delay == 0 {
		st.tx.DelayExpired = true
		return true
	}
	st.w.loop.Arm(&st.timer, st, st.w.loop.Now()+delay)
	return false
}

func (st *stream) obeyTCP(v rule.Verdict) bool {
	switch v {
	case rule.Next, rule.Stop:
		return true
	case rule.SilentDrop:
		silence(st.s.conn.FD())
	}
	st.w.stats[st.fe.index].deniedReq++
	st.errKind = pool.ErrDeniedRequest
	st.setTerm('P', 'R')
	st.cut()
	return false
}

// beginTunnel starts moving bytes on a TCP stream.
func (st *stream) beginTunnel() {
	st.state = stateTunnel
	st.firstAt = 0
	if in := st.s.in; in != nil {
		if in.R < in.W {
			st.toServer = outgoing{in.B[in.R:in.W], nil}
		} else {
			st.s.dropBuffer()
		}
	}
	st.tunnelTimers()
}

// beginUpgrade turns an HTTP exchange into a tunnel: after 101, or after 2xx
// to CONNECT. What the client sent behind its request goes first.
func (st *stream) beginUpgrade() {
	st.state = stateTunnel
	st.resStarted, st.upgraded = true, true
	in := st.s.in
	if st.toServer.empty() && st.rest < in.W {
		st.toServer = outgoing{in.B[st.rest:in.W], nil}
		st.rest = in.W
	}
	st.reqSent, st.clientKeep = true, false
	st.tunnelTimers()
	st.Again()
}

// tunnelTimers gives both sides their time from now.
func (st *stream) tunnelTimers() {
	now := st.w.loop.Now()
	client, server := st.fe.to.client, st.be.to.server
	if t := int64(st.tx.ServerTimeout); t > 0 {
		server = t
	}
	tunnel := st.be.to.tunnel
	if t := int64(st.tx.TunnelTimeout); t > 0 {
		tunnel = t
	}
	if tunnel > 0 {
		client, server = tunnel, tunnel
	}
	if st.srvEOFSent && st.fe.to.clientFin > 0 {
		client = st.fe.to.clientFin
	}
	if st.rawEOFSent && st.be.to.serverFin > 0 {
		server = st.be.to.serverFin
	}
	if client > 0 {
		st.w.loop.Arm(&st.s.timer, st.s, now+client)
	}
	if server > 0 {
		st.w.loop.Arm(&st.timer, st, now+server)
	}
}

// tunnel moves bytes both ways until both sides have closed.
func (st *stream) tunnel() bool {
	before := st.bytesIn + st.bytesOut
	for turns := 0; ; turns++ {
		if turns == fairTurns {
			st.s.conn.Wake()
			break
		}
		up := st.tunnelUp()
		if st.state != stateTunnel {
			return true
		}
		down := st.tunnelDown()
		if st.state != stateTunnel {
			return true
		}
		if !up && !down {
			break
		}
	}
	if st.rawEOFSent && st.srvEOFSent {
		st.tunnelOver()
		return true
	}
	if st.bytesIn+st.bytesOut != before {
		st.tunnelTimers()
	}
	return false
}

// tunnelUp moves what there is from client to server.
func (st *stream) tunnelUp() bool {
	c, srv := st.s.conn, st.sc.conn
	moved := false
	for {
		if !st.toServer.empty() {
			n, done, err := st.toServer.flush(srv)
			moved = moved || n > 0
			if err != nil {
				st.setTerm('S', 'D')
				st.errKind = pool.ErrServerAbort
				st.cut()
				return true
			}
			if !done {
				return moved
			}
		}
		if st.clientEOF {
			if !st.rawEOFSent {
				st.rawEOFSent = true
				st.markTermEOF('C')
				srv.ShutdownWrite()
				moved = true
			}
			return moved
		}
		if !c.Readable() {
			st.freeUp()
			return moved
		}
		if st.s.in != nil && !st.upgraded {
			st.s.dropBuffer()
		}
		if st.up == nil {
			st.up = st.tunnelBuffer(st.bytesIn)
		}
		n, err := c.Read(st.up.B)
		switch {
		case n > 0:
			st.bytesIn += int64(n)
			st.toServer = outgoing{st.up.B[:n], nil}
			m, done, err := st.toServer.flush(srv)
			if m > 0 && err == nil && done {
				return true
			}
			moved = true
		case err == io.EOF:
			st.clientEOF = true
		case err == engine.ErrAgain:
			st.freeUp()
			return moved
		default:
			st.setTerm('C', 'D')
			st.errKind = pool.ErrClientAbort
			st.cut()
			return true
		}
	}
}

// tunnelBuffer: connections that move much get a big buffer.
func (st *stream) tunnelBuffer(so64 int64) *engine.Buffer {
	if so64 > 64<<10 {
		return st.w.loop.GetBigBuffer()
	}
	return st.w.loop.GetBuffer()
}

func (st *stream) freeUp() {
	if st.up != nil && st.toServer.empty() {
		st.w.loop.PutBuffer(st.up)
		st.up = nil
	}
}

// tunnelDown moves what there is from server to client.
func (st *stream) tunnelDown() bool {
	c, srv := st.s.conn, st.sc.conn
	moved := false
	for {
		if !st.toClient.empty() {
			n, done, err := st.toClient.flush(c)
			moved = moved || n > 0
			st.bytesOut += int64(n)
			if err != nil {
				st.setTerm('C', 'D')
				st.errKind = pool.ErrClientAbort
				st.cut()
				return true
			}
			if !done {
				return moved
			}
		}
		if st.serverEOF {
			if !st.srvEOFSent {
				st.srvEOFSent = true
				st.markTermEOF('S')
				c.ShutdownWrite()
				moved = true
			}
			return moved
		}
		if !srv.Readable() {
			st.freeDown()
			return moved
		}
		if st.co != nil {
			st.w.loop.PutBuffer(st.co)
			st.co = nil
		}
		if st.sb != nil && !st.big && st.bytesOut > 64<<10 {
			st.freeDown()
		}
		if st.sb == nil {
			st.big = st.bytesOut > 64<<10
			st.sb = st.tunnelBuffer(st.bytesOut)
		}
		n, err := srv.Read(st.sb.B)
		switch {
		case n > 0:
			if st.firstAt == 0 {
				st.firstAt = st.w.loop.Now()
				if p := st.be.rules.tcpResponse; p != nil && !st.tcpResponse(p, st.sb.B[:n]) {
					return true
				}
			}
			st.toClient = outgoing{st.sb.B[:n], nil}
		case err == io.EOF:
			st.serverEOF = true
		case err == engine.ErrAgain:
			st.freeDown()
			return moved
		default:
			if st.bytesOut == 0 && !st.upgraded {
				st.setTerm('S', 'D')
			} else {
				st.setTerm('S', 'D')
			}
			st.errKind = pool.ErrServerAbort
			st.abortOnEnd = true
			st.cut()
			return true
		}
	}
}

func (st *stream) freeDown() {
	if st.sb != nil && st.toClient.empty() {
		st.w.loop.PutBuffer(st.sb)
		st.sb = nil
	}
}

// tcpResponse runs tcp-response content on the first bytes of the answer.
func (st *stream) tcpResponse(p *rule.Program, data []byte) bool {
	st.tx.Phase = rule.PhaseTCPResponse
	st.tx.RawRes = data
	st.tx.DelayExpired = true
	switch p.Run(&st.tx) {
	case rule.Next, rule.Stop, rule.Wait:
		return true
	}
	st.w.stats[st.fe.index].deniedResp++
	st.setTerm('P', 'D')
	st.errKind = pool.ErrDeniedResponse
	st.cut()
	return false
}

// markTermEOF: in a plain TCP stream closing is the normal end.
func (st *stream) markTermEOF(byte) {}

// tunnelOver: both sides have closed properly.
func (st *stream) tunnelOver() {
	st.dropServer()
	st.clientKeep = false
	st.cutShort = true
	st.finish()
}

// tunnelTimeout: one side did nothing for too long.
func (st *stream) tunnelTimeout(side byte) {
	st.setTerm(side, 'D')
	if side == 'c' {
		st.errKind = pool.ErrClientAbort
	} else {
		st.errKind = pool.ErrServerAbort
	}
	st.cut()
}
