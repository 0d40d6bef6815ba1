package admin

import (
	"time"

	"evenkeel/internal/pool"
)

// Source is what the runtime API shows and changes. Every method may be called
// from many sessions at one time. What it returns is a snapshot: the caller may
// keep it, the implementation must not change it.
type Source interface {
	// Info is the process: `show info`.
	Info() Info
	// Now is the clock of the pool's snapshots, in monotonic nanoseconds.
	Now() int64
	// Proxies lists all proxies in the order of the configuration.
	Proxies() []Proxy
	// Sessions calls yield for each session on the proxies until it returns
	// false.
	Sessions(yield func(*Session) bool)
	// ShutdownSession ends one session; false: there is none of that id.
	ShutdownSession(id uint64) bool
	// ShutdownServerSessions ends all sessions on a server.
	ShutdownServerSessions(s *pool.Server)
	// SetMaxConn changes the limit of the process; 0: as configured.
	SetMaxConn(n int)
	// SetRateLimit changes a limit of the process.
	SetRateLimit(which RateLimit, perSecond int)
	// ClearCounters clears the process's own counters, not those of proxies.
	ClearCounters(all bool)
	// Errors lists the captured bad messages (`show errors`), newest first.
	Errors() []CapturedError
	// StartupLogs is what was printed while starting.
	StartupLogs() string
}

// Proxy is one section; a listen section has both halves.
type Proxy struct {
	Name     string
	ID       int
	Frontend Frontend      // nil: it has none
	Backend  *pool.Backend // nil: it has none
}

// Frontend is the listening half of a proxy.
type Frontend interface {
	Snapshot(now int64) FrontendSnapshot
	SetMaxConn(n int)
	// Disable closes the door for a while (`disable frontend`), Enable opens
	// it again, Shutdown closes it for good.
	Disable() error
	Enable() error
	Shutdown() error
	ClearCounters(all bool)
}

// RateLimit is what `set rate-limit` can set.
type RateLimit string

const (
	RateConnections RateLimit = "connections"
	RateSessions    RateLimit = "sessions"
	RateSSL         RateLimit = "ssl-sessions"
	RateCompression RateLimit = "http-compression"
)

// FrontendStatus is a frontend's status in `show stat`.
type FrontendStatus string

const (
	FrontendOpen    FrontendStatus = "OPEN"
	FrontendFull    FrontendStatus = "FULL"
	FrontendStopped FrontendStatus = "STOP"
)

// FrontendSnapshot is one frontend at one moment.
type FrontendSnapshot struct {
	HTTP                            bool
	Status                          FrontendStatus
	Disabled                        bool // by Disable
	SessCur, SessMax, SessLimit     int64
	SessTotal                       int64
	BytesIn, BytesOut               int64
	DeniedReq, DeniedResp, ErrReq   int64
	DeniedConn, DeniedSess          int64 // tcp-request connection and session
	Rate, RateLimit, RateMax        int
	HTTPStatus                      [6]int64 // other, 1xx … 5xx
	ReqRate, ReqRateMax             int
	Requests                        int64
	CompIn, CompOut, CompBypassed   int64
	CompResponses                   int64
	ConnRate, ConnRateMax           int
	ConnTotal                       int64
	Intercepted                     int64
	FailedRewrites, InternalErrors  int64
	CacheLookups, CacheHits         int64
	SessH1, SessOther               int64
	ReqH1, ReqOther                 int64
	TLSSessions, TLSReused, TLSFail int64
	Listeners                       []ListenerSnapshot // with option socket-stats
}

// ListenerSnapshot is one bind address with option socket-stats.
type ListenerSnapshot struct {
	Name, Addr, Status          string
	ID                          int
	SessCur, SessMax, SessLimit int64
	SessTotal                   int64
	BytesIn, BytesOut           int64
	DeniedReq, DeniedResp       int64
	ErrReq                      int64
}

// Session is one client connection and what it does now.
type Session struct {
	ID                       uint64
	Proto                    string // tcpv4, tcpv6, unix_stream
	Source                   string // address:port, or unix:ID
	Frontend, Backend        string
	FrontendID, BackendID    int
	FrontendMode             string // tcp, http
	BackendMode              string
	Server                   string // "" : none
	ServerID                 int
	ServerAddr               string
	LocalAddr                string // the client's side of the frontend
	Started                  time.Time
	Age                      time.Duration
	Idle                     bool          // between two requests
	Calls                    uint64        // wake-ups
	RequestExpires           time.Duration // until a timeout ends it; negative: never
	ServerExpires            time.Duration
	Retries                  int
	RequestBuf, ResponseBuf  int // bytes that wait in buffers
	Waiting                  bool
	TLSVersion, TLSCipher    string
	ClientFD, ServerFD       int // -1: none
	RequestTotal             int64
	ResponseTotal            int64
	RequestLine              string // first line of the request, "" if unknown
	Thread                   int
	Queued                   bool
	QueuePosition            int
	ClientState, ServerState string // EST, CLO …
}

// CapturedError is one message that was refused.
type CapturedError struct {
	ID                uint64
	At                time.Time
	Frontend, Backend string
	FrontendID        int
	BackendID         int
	Server            string
	ServerID          int
	Source            string
	Response          bool // a server's message, not a client's
	Position          int  // of the first bad byte
	State             string
	Message           []byte // what had been read
}

// Checks changes where the checks of a server go. Package health has it.
type Checks interface {
	// SetCheckAddr and SetAgentAddr take an address and, if it is not 0, a
	// port; "" keeps the address.
	SetCheckAddr(s *pool.Server, addr string, port int) error
	SetAgentAddr(s *pool.Server, addr string, port int) error
	SetAgentSend(s *pool.Server, text string) error
}

// WithChecks is a Source whose checks can be moved.
type WithChecks interface{ Checks() Checks }

// WithPatterns is a Source that has pattern files and maps.
type WithPatterns interface{ Patterns() Patterns }

// WithCertificates is a Source whose certificates can be changed.
type WithCertificates interface{ Certificates() Certificates }

// WithActivity is a Source that has text of its own for `show activity`,
// `show threads`, `show pools` and the like.
type WithActivity interface {
	// Activity gives the lines of one of these, "" for "not kept".
	Activity(what string) string
}
