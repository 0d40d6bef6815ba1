package model

import "time"

// Backend is the serving half of a proxy: how a server is chosen and kept.
type Backend struct {
	Balance                     Balance
	HashType                    HashType
	HashBalanceFactor           int
	Servers                     []*Server // server-template has been unfolded
	FullConn                    int
	Cookie                      *Persistence
	DynamicCookieKey            string
	Retries                     *int // nil: 3
	RetryOn                     []string
	HTTPReuse                   Reuse
	UseServer                   []UseServer
	ForcePersist, IgnorePersist []Cond
	Source                      *Source
	Check                       Check
	MaxKeepQueue                int
	LoadServerState             string // "", global, local
	ServerStateFile             string // of a local state: server-state-file-name
	HTTPSendNameHeader          string
	Dispatch                    string // host:port of a `dispatch` line
	DispatchPos                 Pos
	EmailAlert                  *EmailAlert
}

// EmailAlert is the email-alert lines of a proxy.
type EmailAlert struct {
	Pos                           Pos
	Mailers, From, To, MyHostname string
	Level                         int
}

// Balance is one balance algorithm and its arguments.
type Balance struct {
	Pos        Pos
	Algorithm  string // roundrobin, static-rr, leastconn, first, source, uri, url_param, hdr, rdp-cookie, random, hash
	Name       string // parameter, header or cookie name
	Depth, Len int    // uri
	Whole      bool   // uri
	PathOnly   bool   // uri
	DomainOnly bool   // hdr … use_domain_only
	CheckPost  int    // url_param … check_post
	Draws      int    // random(N), default 2
	Hash       *Expr  // hash EXPR
}

// HashType is `hash-type METHOD FUNCTION MODIFIER`.
type HashType struct {
	Pos        Pos
	Consistent bool
	Function   string // "" (sdbm), sdbm, djb2, wt6, crc32, none
	Avalanche  bool
}

// Persistence is the `cookie` line of a backend.
type Persistence struct {
	Pos                                                              Pos
	Name                                                             string
	Insert, Rewrite, Prefix                                          bool
	Indirect, NoCache, PostOnly, Preserve, HTTPOnly, Secure, Dynamic bool
	Domains                                                          []string
	MaxIdle, MaxLife                                                 time.Duration // whole seconds
	Attrs                                                            []string
}

// Reuse is when a server connection serves another session's request.
type Reuse uint8

const (
	ReuseSafe Reuse = iota
	ReuseNever
	ReuseAggressive
	ReuseAlways
)

// UseServer is one `use-server` line.
type UseServer struct {
	Pos  Pos
	Name *Format
	Cond Cond
}

// Source is the address that connections to servers start from.
type Source struct {
	Pos            Pos
	Addr           string // host, "" for any
	PortLo, PortHi int
	Interface      string
	UseSrc         string // usesrc client|clientip|ADDR|hdr_ip(…)
}

// Server is one server of a backend.
type Server struct {
	Pos                        Pos
	Name                       string
	ID                         int // puid: position from 1, or `id`
	Addr                       ServerAddr
	Weight                     *int // nil: 1
	Backup, Disabled           bool
	MaxConn, MinConn, MaxQueue int
	Cookie                     string
	Redir                      string
	SlowStart                  time.Duration
	Track                      string // backend/server or server
	Observe                    string // "", layer4, layer7
	OnError                    string
	ErrorLimit                 int
	OnMarkedDown, OnMarkedUp   string
	InitAddr                   string
	NonStick                   bool
	SendProxy                  ProxyProto
	TLS                        *ServerTLS
	Source                     *Source
	Check                      ServerCheck
	Agent                      AgentCheck
	PoolMaxConn                *int // idle connections kept; nil: no limit
	PoolLowConn                int
	PoolPurgeDelay             time.Duration // 0: 5s
	MaxReuse                   int           // -1 or 0: no limit
	TCPUserTimeout             time.Duration
	TFO                        bool
	Shard                      int
	Namespace                  string
}

// ServerAddr is where a server listens.
type ServerAddr struct {
	Network string // "tcp4", "tcp6", "tcp" (a name), "unix", "abns", "fd"
	Host    string
	Port    int
	// PortMapped: the port is the client's destination port plus Port
	// (written +N, -N, or left out).
	PortMapped bool
	Path       string
	FD         int
}

// ProxyProto is which PROXY protocol header is sent first.
type ProxyProto struct {
	Version    int      // 0: none, 1, 2
	Options    []string // proxy-v2-options
	SSL, SSLCN bool     // send-proxy-v2-ssl, -ssl-cn
}

// ServerTLS is `ssl` on a server line.
type ServerTLS struct {
	Verify                string // "", none, required
	VerifyHost            string
	CAFile, CRLFile, CRT  string
	SNI                   *Expr
	ALPN                  []string
	Versions              TLSVersions
	Ciphers, Ciphersuites string
	NoReuse               bool
	CheckSNI              string
}

// ServerCheck is the check parameters of one server line.
type ServerCheck struct {
	Enabled                     bool
	Addr                        string        // "" : the server's
	Port                        int           // 0: the server's
	Inter, FastInter, DownInter time.Duration // 0: 2s, Inter, Inter
	Rise, Fall                  int           // 0: 2 and 3
	TLS                         *bool         // check-ssl, no-check-ssl; nil: as the server, unless addr or port is given
	SendProxy                   bool
	SNI, ALPN, Proto            string
	// TLSParams are the TLS settings of the line, `ssl` or not: those of checks.
	TLSParams         *ServerTLS
	ViaSOCKS4         bool
	ReuseNotSupported bool
}

// AgentCheck is the agent-* parameters of one server line.
type AgentCheck struct {
	Enabled bool
	Addr    string
	Port    int
	Inter   time.Duration
	Send    string
}

// CheckKind is the protocol of a backend's health checks.
type CheckKind uint8

const (
	CheckTCP CheckKind = iota // connect only, or the tcp-check rules
	CheckHTTP
	CheckSSLHello
	CheckSMTP
	CheckMySQL
	CheckPgSQL
	CheckLDAP
	CheckRedis
	CheckSPOP
)

// Check is how the servers of a backend are checked.
type Check struct {
	Pos   Pos
	Kind  CheckKind
	Steps []CheckStep // in order; empty: the kind's default exchange
	// DisableOn404 is `http-check disable-on-404`.
	DisableOn404 bool
	SendState    bool
	User         string // mysql-check, pgsql-check
	HELO         string // smtpchk: "HELO localhost"
	MySQLPre41   bool
}

// CheckStepKind is one kind of line of a check.
type CheckStepKind uint8

const (
	StepConnect CheckStepKind = iota
	StepSend
	StepExpect
	StepComment
	StepSetVar
	StepUnsetVar
)

// CheckStep is one `http-check` or `tcp-check` line.
type CheckStep struct {
	Pos     Pos
	Kind    CheckStepKind
	Comment string

	// connect
	Default                           bool
	Addr                              string
	Port                              int
	PortExpr                          *Expr
	TLS, SendProxy, ViaSOCKS4, Linger bool
	SNI, ALPN, Proto                  string

	// send: HTTP
	Method  string
	URI     *Format
	Version string // HTTP/1.0 …
	Headers []HeaderFormat
	Body    *Format
	// send: TCP
	Data       []byte
	DataFormat *Format
	Binary     bool // DataFormat makes hexadecimal digits

	// expect
	Match                                                      string // status, rstatus, string, rstring, hdr, fhdr, binary, rbinary
	Negate                                                     bool
	Pattern                                                    string // as written
	PatternFormat                                              *Format
	PatternBytes                                               []byte // of binary
	HeaderName, HeaderNameMatch, HeaderValue, HeaderValueMatch string
	// The name or value is a log format, to be compiled when used (name-lf, value-lf).
	HeaderNameFormat, HeaderValueFormat  bool
	MinRecv                              int
	OKStatus, ErrorStatus, TimeoutStatus string
	OnSuccess, OnError                   *Format
	StatusCode                           *Expr

	// set-var
	Var    string
	Expr   *Expr
	Format *Format
}

// HeaderFormat is a header to be made from a format.
type HeaderFormat struct {
	Pos   Pos
	Name  string
	Value *Format
}
