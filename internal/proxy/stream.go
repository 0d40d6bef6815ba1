package proxy

import (
	"evenkeel/internal/engine"
	"evenkeel/internal/message"
	"evenkeel/internal/model"
	"evenkeel/internal/pool"
	"evenkeel/internal/rule"
	"evenkeel/internal/wire/http1"
)

// streamState is what a stream waits for.
type streamState uint8

const (
	stateHead     streamState = iota // a complete request head
	stateRules                       // rules of the request
	stateTarpit                      // the time of a tarpit
	stateBody                        // the body that balancing needs
	stateAssign                      // a server
	stateQueue                       // a slot on a server
	statePause                       // the second before the next attempt
	stateConnect                     // the connection to the server
	stateForward                     // both directions
	stateTCPRules                    // rules of a TCP connection
	stateTunnel                      // bytes both ways, no HTTP any more
	stateReply                       // our own answer to be written
	stateDone
)

// stream is one exchange: an HTTP request and its response, or a TCP
// connection. It is owned by one loop and used again from its free list.
type stream struct {
	// kept from one exchange to the next
	w        *worker
	tx       rule.Tx
	req, res message.Head
	reqDec   http1.ChunkReader
	resDec   http1.ChunkReader
	timer    engine.Timer // the server's side: queue, connect, server, tarpit
	waiter   pool.Waiter
	replyBuf page
	// generation tells a late wake-up that its stream has gone.
	generation       uint32
	queuedGeneration uint32
	waiting          bool // a wake-up is on its way though the stream has ended
	reqLine          []byte
	cookieVal        []byte
	nominated        []string // by the client's Connection field
	nextFree         *stream

	exchange
}

// exchange is what is forgotten at the end of one.
type exchange struct {
	s       *session
	fe      *Frontend
	be      *Backend
	srv     *server
	sc      *serverConn
	parser  http1.Parser
	state   streamState
	step    requestStep
	running bool
	again   bool
	tcp     bool
	id      uint32
	chosen  bool // choice is filled in
	choice  pool.Choice
	granted *pool.Server // by Wake
	woken   bool

	// the request's way
	headEnd     int // of the request head in s.in
	payR, payW  int // payload in s.in that is decoded and not yet sent
	rest        int // first byte of s.in that is not decoded
	reqFraming  http1.Framing
	reqLeft     int64 // payload bytes still to come (FramingLength)
	reqDone     bool  // all of the request was received
	reqSent     bool  // all of it was written to the server
	bodyAwaited bool  // the buffer holds as much of it as it can
	so          *engine.Buffer
	toServer    outgoing
	up          *engine.Buffer // a big buffer for long uploads

	// the response's way
	sb         *engine.Buffer
	resFraming http1.Framing
	resLeft    int64
	resParser  http1.Parser
	resDone    bool // all of the response was received
	resHead    bool // the head was received
	resStarted bool // something of it was given to the client
	chunkOut   bool // the client gets it chunked
	big        bool // sb is a big buffer
	co         *engine.Buffer
	toClient   outgoing

	conn       http1.Conn // the request's Connection tokens
	clientKeep bool       // the client's connection may go on
	serverKeep bool
	upgrade    bool
	abortOnEnd bool // close the client with a reset: the response is cut short
	reply      *page

	// a retry needs the request again
	keepRequest   bool
	retriesLeft   int
	retries       int
	redispatched  bool
	reused        bool
	privateServer bool
	srvSlot       bool // a slot of srv is taken
	beSession     bool
	connectErr    string

	// what is logged
	acceptAt, requestAt, queueAt, connectAt, firstAt int64 // loop time, 0: not reached
	firstByteAt                                      int64
	term                                             [4]byte
	bytesIn, bytesOut                                int64
	status                                           int
	logged                                           bool
	counted                                          bool
	hana                                             pool.Hana
	errKind                                          pool.ErrKind
	cookieMark                                       byte
	cookieDates                                      cookieDates
	received                                         int // fields of the request as it came

	freshOnly       bool // a retry: no idle connection again
	needProxyHeader bool // before anything else on the new connection
	needMore        bool // the response head is incomplete
	writeFailed     bool // the server did not take all of the request
	monitor         bool // answered by monitor-uri or monitor-net
	badLine         bool // the request was not understood
	cutShort        bool
	ownReply        bool // the answer is not a server's
	clientEOF       bool
	serverEOF       bool
	upgraded        bool // a tunnel that began as HTTP

	rawEOFSent, srvEOFSent bool // TCP: half-closes passed on
	upBytes, downBytes     int64
	pipeUp, pipeDown       *engine.Pipe
	noSplice               bool
}

// outgoing is what is still to be written to one side: a, then b.
type outgoing struct{ a, b []byte }

func (o *outgoing) empty() bool { return len(o.a) == 0 && len(o.b) == 0 }

// flush writes what it can. done says that nothing is left.
func (o *outgoing) flush(c *engine.Conn) (n int, done bool, err error) {
	for {
		var m int
		switch {
		case len(o.a) > 0 && len(o.b) > 0:
			m, err = c.Writev(o.a, o.b)
		case len(o.a) > 0:
			m, err = c.Write(o.a)
		case len(o.b) > 0:
			m, err = c.Write(o.b)
		default:
			return n, true, nil
		}
		n += m
		k := min(m, len(o.a))
		o.a = o.a[k:]
		o.b = o.b[m-k:]
		if err == engine.ErrAgain {
			return n, o.empty(), nil
		}
		if err != nil {
			return n, false, err
		}
	}
}

// attach ties the stream to its session.
func (st *stream) attach(s *session) {
	w := st.w
	st.s, st.fe = s, s.fe
	w.seq++
	st.id = w.seq
	st.tx.Conn = &s.rc
	st.tx.Env = w.rt.envv
	st.tx.Frontend = &s.fe.info
	st.tx.Thread = w.id
	st.tx.Now = w.loop.Wall()
	st.term = [4]byte{'-', '-', '-', '-'}
	st.status = -1
}

// release takes the stream apart and gives it back to the free list.
func (st *stream) release() {
	w := st.w
	loop := w.loop
	loop.Disarm(&st.timer)
	for _, b := range [...]*engine.Buffer{st.so, st.up, st.sb, st.co} {
		if b != nil {
			loop.PutBuffer(b)
		}
	}
	if st.pipeUp != nil {
		loop.PutPipe(st.pipeUp)
	}
	if st.pipeDown != nil {
		loop.PutPipe(st.pipeDown)
	}
	if st.s != nil && st.s.st == st {
		st.s.st = nil
	}
	st.clear()
	w.putStream(st)
}

// clear resets everything but the storage that is worth keeping.
func (st *stream) clear() {
	st.tx.Reset()
	st.req.Reset()
	st.res.Reset()
	st.reqDec.Reset()
	st.resDec.Reset()
	st.replyBuf.fields = st.replyBuf.fields[:0]
	st.reqLine, st.cookieVal, st.nominated = st.reqLine[:0], st.cookieVal[:0], st.nominated[:0]
	st.exchange = exchange{}
}

// run drives the stream as far as it goes. Handlers of both connections and
// timers end here.
func (st *stream) run() {
	if st.running {
		st.again = true
		return
	}
	st.running = true
	generation := st.generation
	for {
		st.again = false
		more := st.advance()
		if st.generation != generation {
			return // released
		}
		if !more && !st.again {
			break
		}
	}
	st.running = false
}

// advance does one state's work and says whether to go on with the next.
func (st *stream) advance() bool {
	switch st.state {
	case stateHead:
		return st.readHead()
	case stateRules:
		return st.runRules()
	case stateBody:
		return st.awaitBody()
	case stateAssign:
		return st.assign()
	case stateQueue:
		return st.awaitSlot()
	case statePause, stateTarpit:
		return st.awaitTimer()
	case stateConnect:
		return st.awaitConnection()
	case stateForward:
		return st.forward()
	case stateTunnel:
		return st.tunnel()
	case stateTCPRules:
		return st.runTCPRules()
	case stateReply:
		return st.sendReply()
	}
	return false
}

// wakeFromQueue is the pool's word, from any goroutine, that a slot is there.
func (st *stream) wakeFromQueue(p *pool.Server) {
	// Written by the loop before the pool could know of the waiter.
	generation := st.queuedGeneration
	st.w.loop.Post(func() {
		if st.generation != generation || st.state != stateQueue {
			if p != nil {
				p.Release(true)
			}
			return
		}
		st.granted, st.woken = p, true
		st.run()
	})
}

// mode of connection that frontend and backend agree on: the shorter-lived.
func (st *stream) connMode() model.ConnMode {
	m := st.fe.opt.ConnMode
	if st.be != nil {
		m = max(m, st.be.opt.ConnMode)
	}
	return m
}

// setTerm notes the first reason for which the stream ends early.
func (st *stream) setTerm(cause, state byte) {
	if st.term[0] == '-' {
		st.term[0], st.term[1] = cause, state
	}
}
