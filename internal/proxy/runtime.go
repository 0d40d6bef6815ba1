package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"evenkeel/internal/model"
	"evenkeel/internal/pool"
	"evenkeel/internal/rule"
	"evenkeel/internal/wire/http1"
)

// LogSender takes finished log lines. It must not block.
type LogSender interface {
	Send(level int, line []byte)
}

// TLSSource is where the proxy gets certificates and their like from. All
// methods are for any goroutine.
type TLSSource interface {
	// Bind and Server give the settings of a bind or server line.
	Bind(*model.Bind) *tls.Config
	Server(*model.Server) *tls.Config
	// ServerNamed is Server for another server name.
	ServerNamed(m *model.Server, name string) *tls.Config
	// ServerCertificate is what a client of a bind line was shown, nil if
	// that is not known.
	ServerCertificate(b *model.Bind, cs *tls.ConnectionState) *x509.Certificate
	// VerifyError is OpenSSL's number for what is wrong with the client's
	// certificate, 0 for nothing.
	VerifyError(cs *tls.ConnectionState) int
}

// Options is what the wiring gives a runtime.
type Options struct {
	Config *model.Config
	// Pools has one pool for every proxy with a backend half.
	Pools map[*model.Proxy]*pool.Backend
	// Logs gives where a proxy's lines go; nil: nowhere.
	Logs     func(*model.Proxy) LogSender
	TLS      TLSSource
	Compiler *rule.Compiler
	Pid      int
	// ParseFormat reads a built-in log format in HAProxy's notation.
	ParseFormat func(text string) *model.Format
}

// Runtime is everything that one worker runs: built whole from a plan, never
// changed in shape afterwards.
type Runtime struct {
	// set once
	cfg       *model.Config
	opts      Options
	frontends []*Frontend
	backends  []*Backend
	fes       map[string]*Frontend
	bes       map[string]*Backend
	workers   []*worker
	bufSize   int
	maxHead   int // bytes of a message head
	limits    http1.Limits
	servers   int // idle lists each worker needs
	errors    map[int]*page
	envv      environment

	conns     atomic.Int64 // client connections now
	connTotal atomic.Int64
	reqTotal  atomic.Int64
	draining  atomic.Bool
	leaving   atomic.Bool // every response ends its connection
	stopped   atomic.Bool
	paused    atomic.Bool
	throttled atomic.Bool  // some listener was paused for lack of room
	closeIdle atomic.Bool  // idle connections are closed while draining
	maxConn   atomic.Int64 // 0: no limit
	// connRateLimit bounds the new connections of a second over all frontends;
	// 0: no limit.
	connRateLimit atomic.Int64
	rateMu        sync.Mutex
	rate          pool.FreqCounter // guarded by rateMu
	handoff       atomic.Pointer[Handoff]

	mu        sync.Mutex
	drainDone chan struct{} // closed once, when the last connection ends after Drain
	drainOver bool          // guarded by mu
}

// timeouts in nanoseconds; 0: none.
type timeouts struct {
	connect, client, server, clientFin, serverFin, tunnel int64
	request, keepAlive, queue, tarpit                     int64
}

func compileTimeouts(t *model.Timeouts) timeouts {
	return timeouts{
		connect: int64(t.Connect), client: int64(t.Client), server: int64(t.Server),
		clientFin: int64(t.ClientFin), serverFin: int64(t.ServerFin), tunnel: int64(t.Tunnel),
		request: int64(t.HTTPRequest), keepAlive: int64(t.HTTPKeepAlive), queue: int64(t.Queue),
		tarpit: int64(t.Tarpit),
	}
}

// ruleSet is the compiled rules of one proxy. Absent blocks are nil.
type ruleSet struct {
	tcpConnection, tcpSession, tcpContent, tcpResponse *rule.Program
	request, redirects, legacyRequest                  *rule.Program
	response, legacyResponse, afterResponse            *rule.Program
	requestDelay, responseDelay                        int64
}

// common is what both halves of a proxy share.
type common struct {
	m      *model.Proxy
	info   rule.ProxyInfo
	rules  *ruleSet
	to     timeouts
	opt    *model.Options
	errors map[int]*page
	ff     *forwardFor
	oto    *forwardFor
}

// Frontend is a compiled frontend.
type Frontend struct {
	common
	rt               *Runtime
	useBackend       []useBackend
	def              *Backend
	log              *logger
	maxConn          atomic.Int64
	monitorURI       []byte
	monitorNet       netip.Prefix
	monitorFail      []rule.Cond
	uniqueID         *rule.Format
	uniqueHdr        []byte
	listeners        []*listener
	reqCaps, resCaps []capture
	cookieCap        *model.CookieCapture
	// self is the backend half of a `listen`; its rules are not run twice.
	self *Backend

	index     int                              // into worker.stats
	disabled  atomic.Bool                      // by the runtime API
	conns     atomic.Int64                     // client connections now
	connsPeak atomic.Int64                     // the most that there were
	ratesSeen struct{ sess, req atomic.Int64 } // of the last event, for rules
	rateLimit atomic.Int64                     // new connections a second, 0: no limit
	rateMu    sync.Mutex
	rate      pool.FreqCounter // of new connections, kept only under a limit
}

type capture struct {
	name string // lower case; "" for a slot that rules fill
	max  int
}

type useBackend struct {
	cond rule.Cond
	be   *Backend
	name *rule.Format // dynamic
}

// Backend is a compiled backend.
type Backend struct {
	common
	pool                        *pool.Backend
	servers                     []*server
	byPool                      map[*pool.Server]*server
	useServer                   []useServer
	forcePersist, ignorePersist []rule.Cond
	retries                     int
	retryOn                     retryOn
	redispatch                  int
	reuse                       model.Reuse
	key                         keyMaker
	source                      *engineSource
	sendName                    []byte
	cookie                      *cookiePersistence
	needBody                    bool // balance url_param check_post
	dispatch                    *server
}

type useServer struct {
	cond rule.Cond
	srv  *server
	name *rule.Format
}

// server is a pool server with what is needed to connect to it.
type server struct {
	p         *pool.Server
	m         *model.Server
	info      rule.ServerInfo
	be        *Backend
	index     int // over all servers of the runtime: into worker.idle
	tls       *tls.Config
	sni       *rule.Expr
	sendProxy *proxyHeader
	redir     []byte
	maxReuse  int
	keepIdle  bool
	private   bool // connections carry something of one client
	source    *engineSource
}

// Frontends lists the frontends in the order of the configuration.
func (rt *Runtime) Frontends() []*Frontend { return rt.frontends }

// Backends lists the backends in the order of the configuration.
func (rt *Runtime) Backends() []*Backend { return rt.backends }

// Name of the frontend.
func (f *Frontend) Name() string { return f.info.Name }

// Model is what the frontend was compiled from.
func (f *Frontend) Model() *model.Proxy { return f.m }

// Name of the backend.
func (b *Backend) Name() string { return b.info.Name }

// Pool is the backend's pool of servers.
func (b *Backend) Pool() *pool.Backend { return b.pool }

// ms turns loop nanoseconds into milliseconds.
func ms(ns int64) int { return int(ns / int64(time.Millisecond)) }
