package proxy

import (
	"crypto/tls"
	"net/netip"
	"time"

	"evenkeel/internal/engine"
	"evenkeel/internal/model"
	"evenkeel/internal/rule"
	"evenkeel/internal/wire/proxyproto"
)

// sessionPhase is how far a client connection has come.
type sessionPhase uint8

const (
	sessProxyHeader sessionPhase = iota // waits for a PROXY protocol header
	sessHandshake                       // TLS
	sessIdle                            // waits for the (next) request
	sessActive                          // a stream is at work
	sessLinger                          // the answer is out; reading until the client closes
	sessClosed
)

// session is one client connection. While it waits for a request it holds no
// buffer and no stream.
type session struct {
	w      *worker
	fe     *Frontend
	ln     *listener
	conn   *engine.Conn
	st     *stream        // while sessActive
	in     *engine.Buffer // nil while nothing was received
	own    *serverConn    // a server connection that only this session may use
	timer  engine.Timer
	phase  sessionPhase
	serial uint64
	rc     rule.Conn
	// acceptedAt, handshakeNs: loop time and duration, for %Th and %Ti.
	acceptedAt  int64
	handshakeNs int64
	idleSince   int64
	lastServer  *server
	lastMust    bool // the last answer was a 401 or 407: stay on its server
	counted     bool // in fe.conns
	handshook   bool
	prev, next  *session
}

// accept starts a session on a connection that a listener took.
func (w *worker) accept(ln *listener, fd int, remote netip.AddrPort) {
	s := &session{w: w, fe: ln.fe, ln: ln}
	conn, err := w.loop.Adopt(fd, s)
	if err != nil {
		closeFD(fd)
		ln.fe.release(w, ln)
		return
	}
	s.conn = conn
	s.begin(remote)
	s.start()
}

// begin fills in what is known of a new connection.
func (s *session) begin(remote netip.AddrPort) {
	w, ln := s.w, s.ln
	w.link(s)
	s.counted = true
	s.acceptedAt = w.loop.Now()
	s.idleSince = s.acceptedAt
	s.serial = uint64(w.rt.connTotal.Add(1))
	s.rc = rule.Conn{
		Src: remote, ListenerName: ln.name, ListenerID: ln.id,
		FrontendName: ln.fe.info.Name, FrontendID: ln.fe.info.ID, AcceptedAt: w.loop.Wall(),
	}
	if ln.fixedDst.IsValid() {
		s.rc.Dst = ln.fixedDst
	} else if !ln.unix {
		s.rc.Dst = s.conn.LocalAddr()
	}
	if ln.unix {
		s.rc.UnixSrc = ln.path
	}
	st := &w.stats[ln.fe.index]
	st.conns++
	st.cur++
	st.connRate.Add(s.acceptedAt, 1)
	st.connRateMax = max(st.connRateMax, st.connRate.Peak(s.acceptedAt))
}

// start runs the connection's first rules and whatever comes before the first
// request.
func (s *session) start() {
	if p := s.fe.rules.tcpConnection; p != nil {
		if !s.runEarly(p, rule.PhaseTCPConnection) {
			s.w.stats[s.fe.index].deniedConn++
			return
		}
	}
	if s.ln.m.AcceptProxy || s.expectProxy() {
		s.phase = sessProxyHeader
		s.w.loop.Arm(&s.timer, s, s.acceptedAt+s.fe.firstTimeout())
		s.readProxyHeader()
		return
	}
	s.startTLS()
}

func (s *session) expectProxy() bool {
	return s.st == nil && s.w.earlyTx != nil && s.w.earlyTx.ExpectProxy
}

// runEarly evaluates tcp-request connection or session rules, which need no
// stream. It says whether the connection goes on.
func (s *session) runEarly(p *rule.Program, phase rule.Phase) bool {
	tx := s.w.early()
	tx.Conn = &s.rc
	tx.Frontend = &s.fe.info
	tx.Phase = phase
	tx.Now = s.w.loop.Wall()
	tx.RawClosed = true
	verdict := p.Run(tx)
	if tx.HasMark {
		s.conn.SetMark(int(tx.Mark))
	}
	if tx.HasTOS {
		s.conn.SetTOS(tx.TOS)
	}
	switch verdict {
	case rule.SilentDrop:
		s.silentDrop()
		return false
	case rule.Reject, rule.Deny, rule.Tarpit, rule.Return:
		s.close()
		return false
	}
	return true
}

// early gives the transaction that connection-level rules run on.
func (w *worker) early() *rule.Tx {
	if w.earlyTx == nil {
		w.earlyTx = &rule.Tx{Env: w.rt.envv, Thread: w.id}
	}
	w.earlyTx.Reset()
	return w.earlyTx
}

// silentDrop makes the connection vanish for the client: no FIN, no RST.
func (s *session) silentDrop() {
	silence(s.conn.FD())
	s.conn.Reset()
	s.close()
}

// firstTimeout bounds everything before the first request is complete.
func (f *Frontend) firstTimeout() int64 {
	switch {
	case f.m.Mode == model.ModeHTTP && f.to.request > 0:
		return f.to.request
	case f.to.client > 0:
		return f.to.client
	}
	return forever
}

// forever stands for "no time-out".
const forever = int64(10 * 365 * 24 * time.Hour)

// readProxyHeader takes the PROXY protocol header off the stream, and nothing
// behind it: that may be a TLS record.
func (s *session) readProxyHeader() {
	buf := s.w.loop.GetBuffer()
	defer s.w.loop.PutBuffer(buf)
	n, err := s.conn.Peek(buf.B)
	if err == engine.ErrAgain {
		return
	}
	if err != nil {
		s.close()
		return
	}
	h, size, err := proxyproto.Parse(buf.B[:n])
	if err == proxyproto.ErrMore && n < len(buf.B) && !s.conn.ReadClosed() {
		return
	}
	if err != nil {
		s.logEarly("PR", "Received something which does not look like a PROXY protocol header")
		s.close()
		return
	}
	s.conn.Read(buf.B[:size])
	if !h.Local && h.Src.IsValid() {
		s.rc.RealSrc, s.rc.RealDst = s.rc.Src, s.rc.Dst
		s.rc.Src, s.rc.Dst = h.Src, h.Dst
		s.rc.ReceivedProxy = true
	}
	s.startTLS()
}

// fill reads what there is into the session's buffer and says whether the
// buffer holds something. It closes the session when the client has gone.
func (s *session) fill() bool {
	if s.in == nil {
		s.in = s.w.loop.GetBuffer()
	}
	for s.in.W < len(s.in.B) {
		n, err := s.conn.Read(s.in.B[s.in.W:])
		if n > 0 {
			s.in.W += n
			break
		}
		if err == engine.ErrAgain {
			break
		}
		if s.rc.Requests == 0 && s.fe.log != nil && !s.fe.opt.DontLogNull && !s.fe.opt.HTTPIgnoreProbes {
			s.refuse(400, 'C')
			return false
		}
		s.close()
		return false
	}
	if s.in.R == s.in.W {
		s.dropBuffer()
		return false
	}
	return true
}

func (s *session) dropBuffer() {
	if s.in != nil {
		s.w.loop.PutBuffer(s.in)
		s.in = nil
	}
}

// startTLS begins the handshake on a TLS listener.
func (s *session) startTLS() {
	if s.ln.tls == nil {
		s.established()
		return
	}
	s.phase = sessHandshake
	s.w.loop.Arm(&s.timer, s, s.w.loop.Now()+s.fe.firstTimeout())
	s.conn.StartTLSServer(s.ln.tls)
	if !s.conn.Handshaking() {
		s.handshakeDone()
	}
}

func (s *session) handshakeDone() {
	s.handshakeNs = s.w.loop.Now() - s.acceptedAt
	if err := s.conn.HandshakeErr(); err != nil {
		s.logEarly("PR", "SSL handshake failure ("+err.Error()+")")
		s.close()
		return
	}
	s.rc.TLS = s.conn.TLS()
	s.handshook = true
	certs := s.w.rt.opts.TLS
	if s.ln.tls.ClientAuth != tls.NoClientCert || len(s.rc.TLS.PeerCertificates) > 0 {
		s.rc.VerifyError = certs.VerifyError(s.rc.TLS)
	}
	if c := certs.ServerCertificate(s.ln.m, s.rc.TLS); c != nil {
		s.rc.ServerCert = c.Raw
	}
	s.established()
}

// established runs the session rules and waits for, or starts, the first
// exchange.
func (s *session) established() {
	st := &s.w.stats[s.fe.index]
	if p := s.fe.rules.tcpSession; p != nil {
		if !s.runEarly(p, rule.PhaseTCPSession) {
			st.deniedSess++
			return
		}
	}
	st.sessions++
	st.sessRate.Add(s.w.loop.Now(), 1)
	s.fe.ratesSeen.sess.Store(int64(st.sessRate.Rate(s.w.loop.Now()) * len(s.w.rt.workers)))
	st.sessRateMax = max(st.sessRateMax, st.sessRate.Peak(s.w.loop.Now()))
	if s.fe.opt.TCPKACli {
		s.conn.SetKeepAlive(true)
	}
	if l := s.fe.log; l != nil && l.connect != nil {
		s.logConnect()
	}
	if s.fe.m.Mode == model.ModeTCP {
		s.phase = sessActive
		s.w.loop.Disarm(&s.timer)
		s.st = s.w.getStream()
		s.st.startTCP(s)
		return
	}
	s.waitRequest(s.fe.firstTimeout())
}

// waitRequest lets the session sleep until the next request, or starts on what
// is in the buffer already.
func (s *session) waitRequest(limit int64) {
	s.phase = sessIdle
	s.w.loop.Arm(&s.timer, s, s.idleSince+limit)
	if s.in != nil && s.in.R < s.in.W || s.conn.Readable() {
		s.startHTTP()
		return
	}
	s.dropBuffer()
	s.offer()
}

// startHTTP gives the session a stream as soon as a byte is there.
func (s *session) startHTTP() {
	if !s.fill() {
		if s.phase == sessIdle && s.conn != nil {
			s.offer()
		}
		return
	}
	s.phase = sessActive
	s.st = s.w.getStream()
	s.st.startHTTP(s)
}

// OnConn runs when the client connection's readiness changed.
func (s *session) OnConn(c *engine.Conn) {
	switch s.phase {
	case sessProxyHeader:
		s.readProxyHeader()
	case sessHandshake:
		if !c.Handshaking() {
			s.handshakeDone()
		}
	case sessIdle:
		s.startHTTP()
	case sessActive:
		s.st.run()
	case sessLinger:
		s.linger()
	}
}

// OnTimer ends what took too long on the client's side.
func (s *session) OnTimer(*engine.Timer) {
	switch s.phase {
	case sessActive:
		s.st.clientTimeout()
	case sessHandshake:
		s.logEarly("cR", "Timeout during SSL handshake")
		s.close()
	case sessProxyHeader:
		s.logEarly("cR", "Timeout while reading PROXY header")
		s.close()
	case sessIdle:
		if s.rc.Requests == 0 {
			s.idleTimeout()
			return
		}
		s.close()
	default:
		s.close()
	}
}

// idleTimeout ends a connection that never sent a request: with a 408 unless
// it looks like a browser's spare connection.
func (s *session) idleTimeout() {
	if s.fe.opt.HTTPIgnoreProbes {
		s.close()
		return
	}
	s.refuse(408, 'c')
}

// refuse ends a connection on which no request came, with an answer and a
// line in the log.
func (s *session) refuse(status int, cause byte) {
	s.phase = sessActive
	s.st = s.w.getStream()
	s.st.attach(s)
	s.st.badRequest(status, cause, nil)
	if s.st != nil {
		s.st.run()
	}
}

// lingerTime and lingerBytes bound how long a session goes on reading after
// its last answer, so that unread input does not turn into a reset that
// destroys the answer on its way.
const (
	lingerTime  = int64(time.Second)
	lingerBytes = 1 << 20
)

// startLinger closes our direction and reads the rest of the other.
func (s *session) startLinger() {
	if s.conn.ReadClosed() || s.conn.Failed() {
		s.close()
		return
	}
	s.phase = sessLinger
	s.dropBuffer()
	if s.conn.ShutdownWrite() != nil {
		s.close()
		return
	}
	s.w.loop.Arm(&s.timer, s, s.w.loop.Now()+lingerTime)
	s.linger()
}

func (s *session) linger() {
	buf := s.w.loop.GetBuffer()
	defer s.w.loop.PutBuffer(buf)
	for total := 0; total < lingerBytes; {
		n, err := s.conn.Read(buf.B)
		total += n
		if err == engine.ErrAgain {
			return
		}
		if err != nil {
			break
		}
	}
	s.close()
}

// drainAndClose reads what is there before it closes: unread input would turn
// the close into a reset.
func (s *session) drainAndClose() {
	s.linger()
	s.close()
}

// close ends the session. It may be called more than once.
func (s *session) close() {
	if s.phase == sessClosed {
		return
	}
	s.phase = sessClosed
	s.w.loop.Disarm(&s.timer)
	s.dropBuffer()
	if s.own != nil {
		s.own.drop()
	}
	if s.conn != nil {
		s.conn.Close()
	}
	s.w.unlink(s)
	s.w.stats[s.fe.index].cur--
	if s.counted {
		s.counted = false
		s.fe.release(s.w, s.ln)
	}
}
