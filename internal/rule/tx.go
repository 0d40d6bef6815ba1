package rule

import (
	"crypto/tls"
	"net/netip"
	"time"

	"evenkeel/internal/message"
)

// Phase is a set of moments in the life of a transaction at which rules run.
type Phase uint16

const (
	PhaseTCPConnection Phase = 1 << iota
	PhaseTCPSession
	PhaseTCPContent
	PhaseHTTPRequest // also use_backend, redirect, use-server, balance
	PhaseTCPResponse
	PhaseHTTPResponse
	PhaseHTTPAfterResponse
	PhaseLog
	PhaseCheck
)

const (
	phaseAny      = PhaseTCPConnection | PhaseTCPSession | PhaseTCPContent | PhaseHTTPRequest | PhaseTCPResponse | PhaseHTTPResponse | PhaseHTTPAfterResponse | PhaseLog | PhaseCheck
	phaseRequest  = PhaseTCPContent | PhaseHTTPRequest
	phaseResponse = PhaseTCPResponse | PhaseHTTPResponse | PhaseHTTPAfterResponse
	phaseClient   = phaseAny &^ PhaseCheck
	phaseStream   = phaseClient &^ (PhaseTCPConnection | PhaseTCPSession)
	phaseServer   = phaseResponse | PhaseLog
	phaseHTTP     = PhaseHTTPRequest | PhaseHTTPResponse | PhaseHTTPAfterResponse
)

// Conn is what is known about a client's connection. The proxy fills it at
// accept and keeps it as long as the connection.
type Conn struct {
	Src, Dst     netip.AddrPort // after the PROXY protocol; set-src and set-dst change them
	TLS          *tls.ConnectionState
	UnixSrc      string
	ListenerName string
	ListenerID   int
	FrontendName string
	FrontendID   int
	AcceptedAt   time.Time
	Vars         Vars // scope sess

	// ReceivedProxy: a PROXY protocol header gave Src and Dst.
	ReceivedProxy bool
	// RealSrc and RealDst are the socket's own ends where they differ.
	RealSrc, RealDst netip.AddrPort
	// HTTPMajor is the version spoken to the client: 1, 2, or 0 before the
	// first request.
	HTTPMajor int
	// Requests counts the requests of this connection, from 1.
	Requests int
	// ServerCert is the certificate presented to the client, nil if unknown.
	ServerCert []byte
	// VerifyError is OpenSSL's number for what was wrong with the client's
	// certificate; 0: nothing.
	VerifyError int
}

// ProxyInfo is what rules may know about a frontend or a backend.
type ProxyInfo struct {
	Name string
	ID   int
	HTTP bool
	// timeouts in force
	ClientTimeout, ServerTimeout, TunnelTimeout time.Duration
}

// ServerInfo is what rules may know about the server of a transaction.
type ServerInfo struct {
	Name string
	ID   int
	Addr netip.AddrPort
	TLS  bool
}

// Log is everything that log-format aliases print. Times are in milliseconds,
// -1 where the stage was not reached.
type Log struct {
	UniqueID                               []byte
	Pid                                    int
	Accept, Request                        time.Time
	Th, Ti, TR, Tw, Tc, Tr, Td, Tt, Ta, Tq int
	Tu                                     int
	BytesRead, BytesUploaded               int64
	Status                                 int // -1: none was sent
	TermState                              [4]byte
	ActConn, FeConn, BeConn, SrvConn       int
	Retries                                int
	Redispatched                           bool
	SrvQueue, BeQueue                      int
	RequestCounter                         uint32
	ReqCookie, ResCookie                   []byte
	// LogASAP: sizes and times still grow, so they are printed with a plus.
	LogASAP bool
	// BadRequest is the line logged for a request that could not be parsed
	// ("<BADREQ>"); nil: the transaction's own request line.
	BadRequest []byte
	// RequestLine replaces the pieces of Tx.Req, which rules may have
	// rewritten; nil: they are used.
	RequestLine []byte
	// LuaErrors and the like are not kept; FCErr is the error of the client
	// connection for error-log-format.
	FCErr     int
	FCErrText string
}

// Reply is an answer that rules made.
type Reply struct {
	Status      int
	Reason      string
	Raw         []byte // a whole message, sent as it is
	Fields      []message.Field
	ContentType string
	Body        []byte
	// UseErrorPage: the proxy sends its error page for Status instead.
	UseErrorPage bool
	// Silent: an empty errorfile; close without a word.
	Silent bool
}

// Tx is one request and its response, or one TCP stream. The proxy owns it and
// uses it again after Reset.
type Tx struct {
	// filled by the proxy
	Conn            *Conn
	Req, Res        *message.Head // nil where there is none
	Phase           Phase
	ReqBody         []byte // what has been received so far
	ResBody         []byte
	ReqBodyDone     bool
	ResBodyDone     bool
	ReqBodySize     int64  // announced, or received so far if chunked
	Raw             []byte // received and not consumed, in TCP content phases
	RawRes          []byte // same, of the server's side
	RawClosed       bool   // no more input will come
	DelayExpired    bool   // the inspect delay is over
	BodyWaitExpired bool   // the time of wait-for-body is over
	Frontend        *ProxyInfo
	Backend         *ProxyInfo
	Server          *ServerInfo
	ServerAddr      netip.AddrPort // connected to
	ServerSrc       netip.AddrPort // connected from
	ServerTLS       *tls.ConnectionState
	ServerMajor     int // HTTP version spoken to the server
	Log             Log
	Env             Env
	Now             time.Time // the loop's; zero: the system's
	Thread          int       // number of the loop, from 0

	// kept across phases
	Vars        Vars // scope txn
	ReqVars     Vars // scope req: the proxy clears it when the response starts
	ResVars     Vars // scope res
	ReqCaptures [][]byte
	ResCaptures [][]byte

	// results of actions, for the proxy to apply
	Reply           *Reply
	LogLevel        LogLevel
	ServerTimeout   time.Duration // 0: not changed
	TunnelTimeout   time.Duration
	ClientTimeout   time.Duration
	Mark            uint32
	TOS             int
	Nice            int
	HasMark, HasTOS bool
	HasNice         bool
	PriorityClass   int
	PriorityOffset  int
	DisableL7Retry  bool
	EarlyHints      []message.Field
	AuthRealm       string        // of a 401 or 407
	BodyWait        time.Duration // of the wait-for-body rule that gave Wait
	WaitHandshake   bool          // a rule gave Wait for the TLS handshake
	ExpectProxy     bool
	LastRule        *RuleInfo // that ended the evaluation
	// RedirectClose: the answer does not keep the connection (a redirect to
	// another host does in HAProxy, unless the body was read).
	Authenticated []byte // user name of the last Authorization that was accepted

	src, dst   netip.AddrPort // of set-src, set-dst in content and HTTP rules
	cur        cursor
	missing    bool // a fetch needs bytes that may still come
	resume     *Program
	resumePC   int
	scratch    []byte
	buf        []byte
	reply      Reply
	sniffed    *message.Head
	sniffedLen int
}

// RuleInfo is where a rule stands.
type RuleInfo struct {
	File string
	Line int
}

// LogLevel is a severity that a rule set.
type LogLevel uint8

const (
	LogLevelUnset  LogLevel = iota
	LogLevelSilent          // no line
	LogLevelEmerg           // LogLevel - LogLevelEmerg is the RFC 5424 severity
	LogLevelAlert
	LogLevelCrit
	LogLevelErr
	LogLevelWarning
	LogLevelNotice
	LogLevelInfo
	LogLevelDebug
)

// cursor is where a fetch that can give several values stands.
type cursor struct {
	field, off int
	more       bool // ask again
}

// Reset empties the transaction and keeps its storage. Conn, Env, Frontend and
// Thread stay.
func (tx *Tx) Reset() {
	tx.Vars.Clear()
	tx.ReqVars.Clear()
	tx.ResVars.Clear()
	for i := range tx.ReqCaptures {
		tx.ReqCaptures[i] = nil
	}
	for i := range tx.ResCaptures {
		tx.ResCaptures[i] = nil
	}
	r := tx.reply
	r.Fields = r.Fields[:0]
	*tx = Tx{
		Conn: tx.Conn, Env: tx.Env, Frontend: tx.Frontend, Thread: tx.Thread,
		Vars: tx.Vars, ReqVars: tx.ReqVars, ResVars: tx.ResVars,
		ReqCaptures: tx.ReqCaptures[:0], ResCaptures: tx.ResCaptures[:0],
		EarlyHints: tx.EarlyHints[:0],
		scratch:    tx.scratch[:0], buf: tx.buf[:0], reply: Reply{Fields: r.Fields},
	}
}

// ClearRequestScope drops variables of scope req: the request was forwarded.
func (tx *Tx) ClearRequestScope() { tx.ReqVars.Clear() }

// Src is the client's address as rules see it.
func (tx *Tx) Src() netip.AddrPort {
	if tx.src.IsValid() {
		return tx.src
	}
	if tx.Conn == nil {
		return netip.AddrPort{}
	}
	return tx.Conn.Src
}

// Dst is the address that the client connected to, as rules see it.
func (tx *Tx) Dst() netip.AddrPort {
	if tx.dst.IsValid() {
		return tx.dst
	}
	if tx.Conn == nil {
		return netip.AddrPort{}
	}
	return tx.Conn.Dst
}

func (tx *Tx) now() time.Time {
	if tx.Now.IsZero() {
		return time.Now()
	}
	return tx.Now
}

// final says that no more input is to be waited for.
func (tx *Tx) final() bool { return tx.DelayExpired || tx.RawClosed }

// temp gives n bytes of scratch memory, valid until the next rule or
// evaluation.
func (tx *Tx) temp(n int) []byte {
	m := len(tx.scratch)
	if m+n > cap(tx.scratch) {
		// Slices given out before keep the old array alive.
		tx.scratch = make([]byte, 0, max(1024, 2*cap(tx.scratch), n))
		m = 0
	}
	tx.scratch = tx.scratch[:m+n]
	return tx.scratch[m : m+n : m+n]
}

// keep makes what an append to tx.temp(0)-like space gave permanent until the
// scratch memory is reset.
func (tx *Tx) tempCopy(b []byte) []byte {
	t := tx.temp(len(b))
	copy(t, b)
	return t
}

// capture stores a copy in a slot, at most limit bytes of it (0: all).
func (tx *Tx) capture(slot int, res bool, b []byte, limit int) {
	list := &tx.ReqCaptures
	h := tx.Req
	if res {
		list = &tx.ResCaptures
	}
	if res || h == nil {
		h = tx.Res
	}
	if h == nil {
		h = tx.Req
	}
	if limit > 0 && len(b) > limit {
		b = b[:limit]
	}
	for slot >= len(*list) {
		*list = append(*list, nil)
	}
	if h == nil {
		b = append([]byte(nil), b...)
	} else {
		b = h.Keep(b)
	}
	(*list)[slot] = b
}
