package model

import "time"

// ProxyKind says which halves a proxy has.
type ProxyKind uint8

const (
	KindFrontend ProxyKind = 1 << iota
	KindBackend
	KindListen = KindFrontend | KindBackend
)

// Mode is the layer that a proxy works on.
type Mode uint8

const (
	ModeTCP Mode = iota
	ModeHTTP
)

// Proxy is a frontend (listener), a backend (pool) or both (`listen`).
// Settings of a defaults section have been copied into it already.
type Proxy struct {
	Pos         Pos
	Name        string
	ID          int // from `id`, or numbered by plan
	Kind        ProxyKind
	Mode        Mode
	Disabled    bool
	Description string

	Timeouts Timeouts
	Options  Options

	Logs           []LogTarget
	LogFormat      *Format // nil: none was asked for, the short default line
	LogFormatSD    *Format
	ErrorLogFormat *Format
	LogTag         string

	Errors map[int]ErrorReply // by status, from errorfile, errorloc*, http-error

	TCPConnection     []Rule
	TCPSession        []Rule
	TCPContent        []Rule
	TCPResponse       []Rule
	HTTPRequest       []Rule
	HTTPResponse      []Rule
	HTTPAfterResponse []Rule
	// Redirects run after HTTPRequest: the `redirect` lines of a proxy.
	Redirects []Rule
	// Legacy rewriting (reqadd, rspadd, …) runs after HTTPRequest and
	// HTTPResponse respectively.
	LegacyRequest  []Rule
	LegacyResponse []Rule

	// Tests are all named tests as they were declared, used or not, so that
	// they can be checked.
	Tests []*Test

	RequestInspectDelay  time.Duration
	ResponseInspectDelay time.Duration

	Frontend Frontend // meaningful when Kind&KindFrontend != 0
	Backend  Backend  // meaningful when Kind&KindBackend != 0
}

// Timeouts of one proxy; 0: none was set.
type Timeouts struct {
	Connect, Client, Server                  time.Duration
	ClientFin, ServerFin, Tunnel             time.Duration
	HTTPRequest, HTTPKeepAlive, Queue, Check time.Duration
	Tarpit                                   time.Duration
}

// Options are the switches of `option …` lines that concern either half.
type Options struct {
	// ConnMode is how connections are kept: the last one of
	// http-keep-alive, http-server-close, httpclose given.
	ConnMode                        ConnMode
	ForwardFor                      *ForwardFor
	OriginalTo                      *ForwardFor
	HTTPLog, TCPLog                 bool
	CLFLog                          bool // option httplog clf
	DontLogNull                     bool
	DontLogNormal                   bool
	LogASAP                         bool
	LogSeparateErrors               bool
	LogHealthChecks                 bool
	HTTPIgnoreProbes                bool
	AbortOnClose                    bool
	Redispatch                      int // 0: off; N: every Nth retry, negative: Nth before the last
	PreferLastServer                bool
	AllBackups                      bool
	HTTPNoDelay                     bool
	HTTPBufferRequest               bool
	HTTPUseProxyHeader              bool
	PretendKeepAlive                bool
	AcceptInvalidRequest            bool // accepted; framing is never loosened
	AcceptInvalidResponse           bool
	TransparentProxy                bool
	TCPKACli, TCPKASrv              bool
	TCPSmartAccept, TCPSmartConnect bool
	SocketStats                     bool
	Splice                          SpliceMode
	ContStats                       bool
	CheckCache                      bool
	NoLinger                        bool
	Persist                         bool
	IndependentStreams              bool
	IdleCloseOnResponse             bool
	RestrictReqHdrNames             RestrictNames
}

// RestrictNames is what to do with a header name outside [A-Za-z0-9-].
type RestrictNames uint8

const (
	RestrictDefault RestrictNames = iota
	RestrictPreserve
	RestrictDelete
	RestrictReject
)

// ConnMode is how long the two connections of a transaction live.
type ConnMode uint8

const (
	KeepAlive   ConnMode = iota
	ServerClose          // the client's is kept, the server's closed after each response
	Close                // both are closed
)

// SpliceMode says in which directions splice(2) may be used.
type SpliceMode uint8

const (
	SpliceRequest SpliceMode = 1 << iota
	SpliceResponse
	SpliceAuto
)

// ForwardFor is `option forwardfor` or `option originalto`.
type ForwardFor struct {
	Pos    Pos
	Except []string // networks whose clients get no header
	Header string   // default X-Forwarded-For or X-Original-To
	IfNone bool
}

// ErrorReply is what is sent in place of a built-in error message.
type ErrorReply struct {
	Pos Pos
	// Raw is a whole response, head and body, as read from an errorfile. An
	// empty non-nil Raw closes the connection without a word.
	Raw []byte
	// File is where Raw was read from, if it was.
	File string
	// Reply is used instead where it is not nil (errorloc, http-error).
	Reply *Reply
}

// Frontend is the listening half of a proxy.
type Frontend struct {
	Binds             []*Bind
	MaxConn           int
	Backlog           int
	RateLimit         int // new sessions a second, 0: none
	UseBackend        []UseBackend
	DefaultBackend    string
	DefaultBackendPos Pos
	MonitorURI        string
	MonitorNet        string
	MonitorFail       []Cond
	RequestCaptures   []Capture
	ResponseCaptures  []Capture
	CookieCapture     *CookieCapture
	UniqueIDFormat    *Format
	UniqueIDHeader    string
}

// UseBackend is one `use_backend` line. Name may hold sample expressions.
type UseBackend struct {
	Pos  Pos
	Name *Format
	Cond Cond
}

// Capture is one `capture request|response header` line or declared slot.
type Capture struct {
	Pos  Pos
	Name string
	Len  int // bytes
}

// CookieCapture is `capture cookie NAME len N`.
type CookieCapture struct {
	Pos    Pos
	Name   string
	Prefix bool // NAME was given without its trailing =
	Len    int
}

// ListenAddr is one address to listen on.
type ListenAddr struct {
	// Network is "tcp4", "tcp6", "unix", "abns" or "fd".
	Network string
	Host    string // literal address, "" or "*" for any
	Port    int
	PortHi  int    // last port of a range; equals Port for a single one
	Path    string // of a unix or abstract socket
	FD      int    // of an inherited descriptor
}

// Bind is one `bind` line: addresses and how connections on them start.
type Bind struct {
	Pos   Pos
	Text  string // as written
	Addrs []ListenAddr
	Name  string
	ID    int
	TLS   *BindTLS

	AcceptProxy      bool
	NetscalerCIP     int
	Backlog, MaxConn int
	DeferAccept      bool
	Interface        string
	MSS              int
	TCPUserTimeout   time.Duration
	TFO              bool
	Transparent      bool
	V4V6, V6Only     bool
	Namespace        string
	Mode             uint32
	User, Group      string
	UID, GID         *int
	Nice             int
	Level            AdminLevel
	Threads          string // accepted
}

// BindTLS is `ssl` on a bind line.
type BindTLS struct {
	Certs                         []CertRef // crt, in order: the first is the default
	CRTLists                      []CertRef
	ALPN                          []string
	NPN                           []string
	Versions                      TLSVersions
	Ciphers, Ciphersuites, Curves string
	Verify                        string // "", none, optional, required
	CAFile, CAVerifyFile, CRLFile string
	StrictSNI                     bool
	AllowZeroRTT                  bool
	GenerateCertificates          bool
	ErrIgnore, CAIgnoreErr        string
	TicketKeys                    string
	PreferServerCiphers           bool
}

// CertRef names a PEM file, or a directory of them, or a crt-list.
type CertRef struct {
	Pos  Pos
	Path string
}
