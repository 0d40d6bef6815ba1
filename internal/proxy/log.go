package proxy

import (
	"os"

	"evenkeel/internal/pool"
	"evenkeel/internal/rule"
)

// logger writes a frontend's access log.
type logger struct {
	format    *rule.Format // of finished exchanges
	connect   *rule.Format // "Connect from …", written when a session begins
	errFormat *rule.Format // error-log-format
	to        LogSender
	needsLine bool
	sd        *rule.Format // log-format-sd
	toSD      sdSender
}

// sdSender is a LogSender that takes RFC 5424 structured data as well.
type sdSender interface {
	SendSD(level int, sd, line []byte)
}

const (
	levelErr  = 3
	levelInfo = 6
)

// logEarly writes a line for a connection that never became a stream.
func (s *session) logEarly(term, why string) {
	l := s.fe.log
	if l == nil || s.fe.opt.DontLogNull && s.rc.Requests == 0 && !s.conn.Readable() && term != "PR" {
		return
	}
	tx := s.w.early()
	tx.Conn, tx.Frontend, tx.Now = &s.rc, &s.fe.info, s.w.loop.Wall()
	tx.Log.FCErrText = why
	level := levelInfo
	if s.fe.opt.LogSeparateErrors {
		level = levelErr
	}
	if l.errFormat != nil {
		s.w.scratch = l.errFormat.Append(s.w.scratch[:0], tx)
	} else {
		b := s.w.scratch[:0]
		b = append(b, s.rc.Src.String()...)
		b = append(b, " ["...)
		b = s.rc.AcceptedAt.AppendFormat(b, "02/Jan/2006:15:04:05.000")
		b = append(b, "] "...)
		b = append(b, s.fe.info.Name...)
		b = append(b, '/')
		b = append(b, s.ln.logName()...)
		b = append(b, ": "...)
		s.w.scratch = append(b, why...)
	}
	l.to.Send(level, s.w.scratch)
}

// logConnect writes the line of a proxy that has no log format: who came.
func (s *session) logConnect() {
	tx := s.w.early()
	tx.Conn, tx.Frontend, tx.Now, tx.Phase = &s.rc, &s.fe.info, s.w.loop.Wall(), rule.PhaseLog
	tx.Log.Accept = s.rc.AcceptedAt
	s.w.scratch = s.fe.log.connect.Append(s.w.scratch[:0], tx)
	s.fe.log.to.Send(levelInfo, s.w.scratch)
}

func (ln *listener) logName() string {
	if ln.name != "" {
		return ln.name
	}
	return itoa(ln.id)
}

// log writes the line of a finished exchange.
func (st *stream) log() {
	l := st.fe.log
	if l == nil || st.logged || l.format == nil {
		return
	}
	st.logged = true
	fe := st.fe
	failed := st.term[0] != '-' && st.term[0] != 'L' || st.status >= 500 || st.retries > 0 || st.redispatched
	switch {
	case st.tx.LogLevel == rule.LogLevelSilent, st.monitor && st.tx.LogLevel == 0,
		fe.opt.DontLogNull && st.nothing(),
		fe.opt.DontLogNormal && !failed:
		return
	}
	st.fillLog()
	level := levelInfo
	if fe.opt.LogSeparateErrors && failed {
		level = levelErr
	}
	if st.tx.LogLevel >= rule.LogLevelEmerg {
		level = int(st.tx.LogLevel - rule.LogLevelEmerg)
	}
	st.tx.Phase = rule.PhaseLog
	st.w.scratch = l.format.Append(st.w.scratch[:0], &st.tx)
	if l.toSD != nil {
		l.toSD.SendSD(level, l.sd.Append(nil, &st.tx), st.w.scratch)
		return
	}
	l.to.Send(level, st.w.scratch)
}

// nothing: a connection on which no byte arrived.
func (st *stream) nothing() bool {
	if st.tcp {
		return st.bytesIn == 0 && st.bytesOut == 0 && st.errKind != pool.ErrConn
	}
	return st.requestAt == 0 && (st.s.in == nil || st.s.in.R == st.s.in.W)
}

// fillLog sets everything that log formats print.
func (st *stream) fillLog() {
	s, l := st.s, &st.tx.Log
	now := st.w.loop.Now()
	wall := st.w.loop.Wall()
	l.Pid = os.Getpid()
	if st.w.rt.opts.Pid != 0 {
		l.Pid = st.w.rt.opts.Pid
	}
	l.Accept = s.rc.AcceptedAt
	since := s.acceptedAt
	if s.rc.Requests > 1 || st.acceptAt > s.acceptedAt {
		l.Accept = wall.Add(-nanos(now - st.acceptAt))
		since = st.acceptAt
		l.Th = 0
	} else {
		l.Th = ms(s.handshakeNs)
	}
	if st.tcp {
		l.Th = ms(s.handshakeNs)
		l.Request = l.Accept
	}
	first := st.firstByteAt
	if first == 0 {
		first = since
	}
	l.Ti = ms(first-since) - l.Th
	l.TR = span(first, st.requestAt)
	l.Request = wall.Add(-nanos(now - first))
	l.Tw = span(st.requestAt, st.queueAt)
	l.Tc = span(st.queueAt, st.connectAt)
	l.Tr = span(st.connectAt, st.firstAt)
	if st.connectAt == 0 {
		l.Tr = -1
	}
	if st.term[1] == 'T' {
		// HAProxy counts a tarpit as time in a queue.
		l.TR, l.Tw = -1, ms(now-first)
	}
	l.Tq = -1
	if st.requestAt != 0 {
		l.Tq = ms(st.requestAt - since)
	}
	l.Ta, l.Tt = ms(now-first), ms(now-since)
	l.Tu = l.Tt
	if st.tcp {
		l.Ta = l.Tt
	}
	l.Td = -1
	if st.firstAt != 0 {
		l.Td = ms(now - st.firstAt)
	}
	l.BytesRead, l.BytesUploaded = st.bytesOut, st.bytesIn
	l.Status = st.status
	if st.be != nil && st.be.cookie != nil && !st.tcp && st.term[2] == '-' {
		st.term[2], st.term[3] = 'N', 'N'
		if st.cookieMark != 0 {
			st.term[2] = st.cookieMark
		} else if st.chosen {
			st.term[2] = st.choice.CookieState.Letter()
		}
	}
	l.TermState = st.term
	l.ActConn = int(st.w.rt.conns.Load())
	l.FeConn = int(st.fe.conns.Load())
	l.BeConn, l.SrvConn = 0, 0
	if st.be != nil && st.be.pool != nil {
		l.BeConn = st.be.pool.Conns()
	}
	if st.srv != nil && st.srv.p != nil {
		l.SrvConn = st.srv.p.Conns()
		if st.tx.Server == nil && st.connectAt != 0 {
			st.tx.Server = &st.srv.info
		}
		st.tx.Server = &st.srv.info
	}
	l.Retries, l.Redispatched = st.retries, st.redispatched
	l.RequestCounter = st.id
	if st.badLine {
		l.BadRequest = badRequestText
	} else if st.fe.log.needsLine {
		l.RequestLine = st.reqLine
	}
	l.ReqCookie, l.ResCookie = st.loggedCookies()
}

var badRequestText = []byte("<BADREQ>")
