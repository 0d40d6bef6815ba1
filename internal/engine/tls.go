package engine

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
)

const (
	// maxRecord is the most plaintext that one TLS record carries.
	maxRecord = 16384
	// maxPlain is the most plaintext that one Write takes.
	maxPlain = 4 * maxRecord
	// maxReplies bounds the answers (to KeyUpdate) that a peer may cause
	// while it does not read them.
	maxReplies = 65536
	// lingerFor is how long a closed connection may take to send its last
	// records.
	lingerFor = 30e9
)

// PrepareTLS sets what the engine wants of a configuration, before its first
// use: full records from the start, as small ones only cost more.
func PrepareTLS(cfg *tls.Config) { cfg.DynamicRecordSizingDisabled = true }

// HandshakeError is why a TLS handshake failed, in words for a log.
type HandshakeError struct {
	Reason string
	Err    error
}

func (e *HandshakeError) Error() string { return "TLS handshake: " + e.Reason }
func (e *HandshakeError) Unwrap() error { return e.Err }

func handshakeError(err error) error {
	reason := err.Error()
	var header tls.RecordHeaderError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		reason = "the peer closed the connection"
	case errors.As(err, &header):
		reason = "the peer does not speak TLS (" + header.Msg + ")"
	}
	return &HandshakeError{Reason: reason, Err: err}
}

// errNoData is what crypto/tls gets when the socket is empty. Being temporary,
// it is not remembered: the next Read goes on in the middle of a record.
var errNoData net.Error = noData{}

type noData struct{}

func (noData) Error() string   { return ErrAgain.Error() }
func (noData) Timeout() bool   { return true }
func (noData) Temporary() bool { return true }

type tlsPhase uint8

const (
	tlsIdle    tlsPhase = iota // a server that waits for the first byte
	tlsWaiting                 // for its turn (Options.MaxHandshakes)
	tlsRunning                 // the handshake goroutine runs
	tlsDone                    // it ended, well or not
)

// tlsState is what a Conn has more when it speaks TLS. As the net.Conn of
// tls.Conn it is used by the handshake goroutine, and then by the loop.
type tlsState struct {
	// Set once.
	l    *Loop
	conn *tls.Conn
	wire wire
	full bool // the configuration asks for full records

	// Owned by the loop; nil after Close, except while lingering.
	c         *Conn
	phase     tlsPhase
	more      bool // crypto/tls may hold plaintext
	gather    bool // records are collected for one send
	rawEOF    bool // the socket ended
	truncated bool // and no close_notify came before it
	shut      bool // shut the socket down when out is empty
	lingers   bool
	fat       bool // on Loop.fat
	readAt    int64
	out       *Buffer // records that the socket did not take
	over      []byte  // and those that out has no room for
	hsErr     error
	ioErr     error
	state     *tls.ConnectionState
	timer     Timer

	hs handshake
}

// handshake is shared by the handshake goroutine and the loop. The goroutine
// uses the socket itself, under mu, so that data needs no trip over the loop;
// Close takes the socket away under mu.
type handshake struct {
	mu         sync.Mutex
	cond       sync.Cond
	fd         int32 // -1: closed
	connecting bool  // the socket is the loop's, or its error would be lost to ConnectErr
	canRead    bool
	ended      bool // the peer's end was seen: a short read does not mean empty
	blocked    bool // out waits for room; the loop was told
	errno      syscall.Errno
	prefix     []byte
	out        []byte
	result     error
}

// wire gives tls.Conn its net.Conn without adding methods to tlsState.
type wire struct{ *tlsState }

// StartTLSServer makes Read and Write carry the plaintext of a TLS server
// session. The handshake begins with the client's first byte; the handler runs
// when it has ended. Callbacks of cfg run on a goroutine.
func (c *Conn) StartTLSServer(cfg *tls.Config) { c.StartTLSServerPrefix(cfg, nil) }

// StartTLSServerPrefix is StartTLSServer for when the first bytes of the
// client's hello were already read.
func (c *Conn) StartTLSServerPrefix(cfg *tls.Config, prefix []byte) {
	s := c.newTLS(cfg)
	if s == nil {
		return
	}
	s.conn = tls.Server(s.wire, cfg)
	s.hs.prefix = append([]byte(nil), prefix...)
	if len(prefix) > 0 {
		s.start()
	}
	// Otherwise a byte that is there already is an event of the registration
	// to come, or, if the socket was read before, of the run-queue.
	if len(prefix) == 0 && c.flags&flagRegistered != 0 && c.flags&flagReadable != 0 {
		s.start()
	}
}

// StartTLSClient makes Read and Write carry the plaintext of a TLS client
// session. It may be called while the dial goes on.
func (c *Conn) StartTLSClient(cfg *tls.Config) {
	s := c.newTLS(cfg)
	if s == nil {
		return
	}
	s.conn = tls.Client(s.wire, cfg)
	s.start()
}

func (c *Conn) newTLS(cfg *tls.Config) *tlsState {
	if c.flags&flagClosed != 0 || c.tls != nil {
		c.check()
		return nil
	}
	s := &tlsState{l: c.loop, c: c, full: cfg.DynamicRecordSizingDisabled}
	s.wire = wire{s}
	s.hs.cond.L = &s.hs.mu
	s.hs.fd = c.fd
	s.hs.connecting = c.flags&flagConnecting != 0
	s.hs.canRead = c.flags&flagReadable != 0
	s.hs.ended = c.flags&flagReadClosed != 0
	c.tls = s
	return s
}

// Handshaking: StartTLS* was called and the handshake has not ended.
func (c *Conn) Handshaking() bool { return c.tls != nil && c.tls.phase != tlsDone }

// HandshakeErr is why the handshake failed.
func (c *Conn) HandshakeErr() error {
	if c.tls == nil {
		return nil
	}
	return c.tls.hsErr
}

// TLS describes the session; nil before the end of the handshake.
func (c *Conn) TLS() *tls.ConnectionState {
	s := c.tls
	if s == nil || s.phase != tlsDone || s.hsErr != nil {
		return nil
	}
	if s.state == nil {
		state := s.conn.ConnectionState()
		s.state = &state
	}
	return s.state
}

// IsTLS: StartTLS* was called.
func (c *Conn) IsTLS() bool { return c.tls != nil }

// Truncated: the end that Read gave came without close_notify.
func (c *Conn) Truncated() bool { return c.tls != nil && c.tls.truncated }

// Pending is the number of encrypted bytes that the socket did not take yet.
func (c *Conn) Pending() int {
	if c.tls == nil || c.tls.phase != tlsDone {
		return 0
	}
	return c.tls.pending()
}

// start runs the handshake, or queues it when too many are running.
func (s *tlsState) start() {
	l := s.l
	if l.maxHandshakes > 0 && l.shaking >= l.maxHandshakes {
		s.phase = tlsWaiting
		l.hsQueue = append(l.hsQueue, connRef{s.c, s.c.gen})
		return
	}
	l.shaking++
	l.handshakes.Add(1)
	s.phase = tlsRunning
	go s.handshake()
}

func (s *tlsState) handshake() {
	err := s.conn.Handshake()
	s.hs.mu.Lock()
	s.hs.result = err
	s.hs.mu.Unlock()
	s.l.Post(s.finished)
}

// finished takes the session over from the goroutine.
func (s *tlsState) finished() {
	l := s.l
	l.shaking--
	l.nextHandshake()
	c := s.c
	if c == nil {
		return // closed while it ran
	}
	h := &s.hs
	s.phase = tlsDone
	if h.canRead {
		c.flags |= flagReadable
	} else if c.flags&(flagReadClosed|flagFailed) == 0 {
		c.flags &^= flagReadable
	}
	if len(h.out) > 0 {
		s.over = h.out
		c.wantOut()
	}
	h.prefix, h.out = nil, nil
	if h.result != nil {
		s.hsErr = handshakeError(h.result)
		s.ioErr = s.hsErr
	}
	s.more = true
	c.call()
}

// nextHandshake starts one that had to wait.
func (l *Loop) nextHandshake() {
	for len(l.hsQueue) > 0 {
		r := l.hsQueue[0]
		l.hsQueue = l.hsQueue[1:]
		if len(l.hsQueue) == 0 {
			l.hsQueue = nil
		}
		if r.c.gen == r.gen && r.c.tls != nil && r.c.tls.phase == tlsWaiting {
			r.c.tls.start()
			return
		}
	}
}

// onEvent sees the new flags of the connection first; it tells whether the
// handler is to run. old is what they were.
func (s *tlsState) onEvent(old uint32) bool {
	c := s.c
	if s.lingers {
		s.linger()
		return false
	}
	dialEnded := old&flagConnecting != 0 && c.flags&flagConnecting == 0
	switch s.phase {
	case tlsIdle:
		if c.flags&(flagReadable|flagFailed) != 0 {
			s.hs.canRead = true
			s.hs.ended = c.flags&flagReadClosed != 0
			s.start()
		}
		return dialEnded
	case tlsWaiting, tlsRunning:
		s.feed()
		return dialEnded
	}
	if s.pending() > 0 && c.flags&flagWritable != 0 {
		s.flush()
	}
	// Only room for output, and not enough of it: nothing for the handler.
	return s.pending() == 0 || c.flags&flagReadable != 0
}

// feed tells the handshake goroutine what the loop has learnt of the socket.
func (s *tlsState) feed() {
	c, h := s.c, &s.hs
	h.mu.Lock()
	h.connecting = c.flags&flagConnecting != 0
	if c.flags&flagReadable != 0 {
		h.canRead = true
		// From here on h.canRead is the truth; the flag marks the next edge.
		c.flags &^= flagReadable
	}
	h.ended = c.flags&flagReadClosed != 0
	if c.flags&flagDialFailed != 0 {
		h.errno = syscall.Errno(c.errno)
	}
	h.send()
	blocked := len(h.out) > 0 && !h.connecting
	h.blocked = blocked
	h.cond.Signal()
	h.mu.Unlock()
	if blocked {
		c.wantOut()
	}
}

// send gives the socket what waits; mu is held.
func (h *handshake) send() {
	if h.connecting {
		return
	}
	for len(h.out) > 0 && h.fd >= 0 {
		n, e := sysSend(h.fd, h.out, 0)
		if e != 0 {
			if e != syscall.EAGAIN && e != syscall.EINPROGRESS {
				h.errno = e
				h.out = nil
			}
			return
		}
		h.out = h.out[n:]
	}
	h.out = nil
}

// Read is crypto/tls reading the socket.
func (w wire) Read(p []byte) (int, error) {
	s := w.tlsState
	if s.phase == tlsDone {
		return s.readSocket(p)
	}
	h := &s.hs
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.fd < 0:
			return 0, net.ErrClosed
		case len(h.prefix) > 0:
			n := copy(p, h.prefix)
			h.prefix = h.prefix[n:]
			return n, nil
		case h.errno != 0:
			return 0, h.errno
		case h.canRead:
			n, e := sysRecv(h.fd, p, 0)
			if e == 0 && n == 0 {
				return 0, io.EOF
			}
			if e == 0 {
				h.canRead = n == len(p) || h.ended
				return n, nil
			}
			if e != syscall.EAGAIN {
				h.errno = e
				return 0, e
			}
			h.canRead = false
		}
		h.cond.Wait()
	}
}

// Write is crypto/tls writing the socket.
func (w wire) Write(p []byte) (int, error) {
	s := w.tlsState
	if s.phase == tlsDone {
		return s.writeSocket(p)
	}
	h := &s.hs
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fd < 0 {
		return 0, net.ErrClosed
	}
	if h.errno != 0 {
		return 0, h.errno
	}
	h.out = append(h.out, p...)
	h.send()
	if h.errno != 0 {
		return 0, h.errno
	}
	if len(h.out) > 0 && !h.blocked && !h.connecting {
		h.blocked = true
		s.l.Post(s.unblock)
	}
	return len(p), nil
}

// unblock has epoll tell when the socket takes more of the handshake.
func (s *tlsState) unblock() {
	if s.c != nil && s.phase == tlsRunning {
		s.feed()
	}
}

// readSocket: crypto/tls on the loop wants bytes. They go straight into its
// buffer.
func (s *tlsState) readSocket(p []byte) (int, error) {
	c := s.c
	if c == nil || c.flags&flagReadable == 0 {
		return 0, errNoData
	}
	n, err := c.recv(p)
	switch err {
	case ErrAgain:
		return 0, errNoData
	case io.EOF:
		s.rawEOF = true
	}
	return n, err
}

// writeSocket: crypto/tls on the loop has a record.
func (s *tlsState) writeSocket(p []byte) (int, error) {
	if s.c == nil {
		return 0, net.ErrClosed
	}
	sent := 0
	if !s.gather && s.pending() == 0 && s.c.flags&flagWritable != 0 {
		n, err := s.c.send(p, 0)
		if err != nil && err != ErrAgain {
			s.ioErr = err
			return 0, err
		}
		sent = n
	}
	if sent < len(p) {
		s.keep(p[sent:])
	}
	return len(p), nil
}

// keep stores records until the socket takes them.
func (s *tlsState) keep(p []byte) {
	if s.out == nil && s.over == nil {
		s.out = s.l.buffers.get(classRecords)
	}
	if s.over == nil {
		if len(p) <= len(s.out.Free()) {
			s.out.W += copy(s.out.Free(), p)
			return
		}
	}
	s.over = append(s.over, p...)
}

func (s *tlsState) pending() int {
	n := len(s.over)
	if s.out != nil {
		n += s.out.Len()
	}
	return n
}

// flush sends what is pending, as far as the socket takes it.
func (s *tlsState) flush() {
	c := s.c
	for s.out != nil {
		if !s.sendSome(s.out.Bytes(), &s.out.R) {
			return
		}
		if s.out.Len() == 0 {
			s.l.PutBuffer(s.out)
			s.out = nil
		}
	}
	for len(s.over) > 0 {
		n := 0
		if !s.sendSome(s.over, &n) {
			return
		}
		s.over = s.over[n:]
	}
	s.over = nil
	if s.shut {
		s.shut = false
		_ = c.shutdownSocket()
	}
}

func (s *tlsState) sendSome(p []byte, done *int) bool {
	if s.c.flags&flagWritable == 0 {
		return false
	}
	n, err := s.c.send(p, 0)
	*done += n
	if err != nil && err != ErrAgain {
		s.ioErr = err
		s.drop()
	}
	return err == nil
}

// drop forgets pending output.
func (s *tlsState) drop() {
	s.l.PutBuffer(s.out)
	s.out, s.over = nil, nil
}

func (s *tlsState) readable() bool {
	return s.phase == tlsDone && (s.more || s.c.flags&flagReadable != 0)
}

func (s *tlsState) writable() bool {
	return s.phase == tlsDone && (s.ioErr != nil || s.pending() == 0 && s.c.flags&flagWritable != 0)
}

func (s *tlsState) failed() bool { return s.ioErr != nil }

func (s *tlsState) read(p []byte) (int, error) {
	if s.lingers {
		return 0, ErrClosed
	}
	if s.phase != tlsDone {
		return 0, ErrAgain
	}
	if s.hsErr != nil {
		return 0, s.hsErr
	}
	c := s.c
	if !s.more && c.flags&flagReadable == 0 || len(p) == 0 {
		return 0, ErrAgain
	}
	if len(s.over) > maxReplies {
		s.ioErr = errFlood
		return 0, errFlood
	}
	n, err := s.conn.Read(p)
	if n > 0 {
		s.more = err != nil || n == len(p) || s.holds()
		s.slim()
		return n, nil
	}
	switch {
	case err == errNoData:
		s.more = false
		s.slim()
		return 0, ErrAgain
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		s.truncated = s.rawEOF
		c.flags |= flagEOF | flagReadClosed
		s.more = true
		return 0, io.EOF
	}
	s.ioErr = err
	s.more = true
	return 0, err
}

var errFlood = errors.New("TLS: the peer asks for answers and does not read them")

// write takes all of a and b, up to maxPlain, or nothing. What the socket does
// not take of the records is pending, and is sent by the loop.
func (s *tlsState) write(a, b []byte) (int, error) {
	if s.lingers {
		return 0, ErrClosed
	}
	if s.phase != tlsDone {
		return 0, ErrAgain
	}
	if s.ioErr != nil {
		return 0, s.ioErr
	}
	if s.pending() > 0 {
		s.flush()
		if s.ioErr != nil {
			return 0, s.ioErr
		}
	}
	if s.pending() > 0 || s.c.flags&flagWritable == 0 {
		return 0, ErrAgain
	}
	if len(a) == 0 {
		a, b = b, nil
	}
	total := min(len(a)+len(b), maxPlain)
	s.gather = total > maxRecord || !s.full
	n, err := s.encrypt(a, b, total)
	s.gather = false
	if s.pending() > 0 {
		s.flush()
	}
	if s.ioErr != nil {
		return 0, s.ioErr
	}
	return n, err
}

// encrypt turns total bytes of a and b into records, a short a sharing its
// record with b.
func (s *tlsState) encrypt(a, b []byte, total int) (int, error) {
	done := 0
	if len(b) > 0 && len(a) < maxRecord {
		l := s.l
		if l.scratch == nil {
			l.scratch = make([]byte, maxRecord)
		}
		n := copy(l.scratch, a)
		m := copy(l.scratch[n:], b)
		if _, err := s.conn.Write(l.scratch[:n+m]); err != nil {
			return 0, err
		}
		done, a, b = n+m, b[m:], nil
	}
	a = a[:min(len(a), total-done)]
	if len(a) > 0 {
		n, err := s.conn.Write(a)
		return done + n, err
	}
	return done, nil
}

func (s *tlsState) shutdownWrite() error {
	if s.phase != tlsDone || s.hsErr != nil {
		return s.c.shutdownSocket()
	}
	err := s.conn.CloseWrite()
	s.flush()
	if s.ioErr != nil {
		return s.ioErr
	}
	if s.pending() > 0 {
		s.shut = true
		return nil
	}
	if e := s.c.shutdownSocket(); e != nil {
		return e
	}
	return err
}

// close ends the session; true: output is pending, and the socket stays until
// it is sent.
func (s *tlsState) close() (lingers bool) {
	c := s.c
	if s.phase == tlsDone && s.ioErr == nil && c.flags&flagFailed == 0 {
		_ = s.conn.CloseWrite()
		s.flush()
		if s.ioErr == nil && s.pending() > 0 {
			s.lingers = true
			s.l.Arm(&s.timer, s, s.l.now+lingerFor)
			return true
		}
	}
	s.abort()
	return false
}

// linger goes on sending for a closed connection.
func (s *tlsState) linger() {
	s.flush()
	if s.ioErr != nil || s.c.flags&flagFailed != 0 || s.pending() == 0 {
		s.c.abort()
	}
}

// OnTimer: lingering took too long.
func (s *tlsState) OnTimer(*Timer) {
	if s.c != nil {
		s.c.abort()
	}
}

// abort takes the socket from the session, and ends a running handshake.
func (s *tlsState) abort() {
	if s.phase == tlsRunning {
		h := &s.hs
		h.mu.Lock()
		h.fd = -1
		h.cond.Signal()
		h.mu.Unlock()
	}
	s.drop()
	s.l.Disarm(&s.timer)
	s.c = nil
}
