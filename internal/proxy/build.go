package proxy

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"evenkeel/internal/balance"
	"evenkeel/internal/engine"
	"evenkeel/internal/message"
	"evenkeel/internal/model"
	"evenkeel/internal/pool"
	"evenkeel/internal/rule"
	"evenkeel/internal/wire/http1"
)

// builder compiles a configuration.
type builder struct {
	rt    *Runtime
	opts  *Options
	comp  *rule.Compiler
	diags model.Diagnostics
}

// Build compiles a validated configuration into a runtime. It opens nothing:
// sockets come with Listen. Loops may be nil for a dry run.
func Build(o Options) (*Runtime, model.Diagnostics) {
	cfg := o.Config
	rt := &Runtime{
		cfg: cfg, opts: o, fes: map[string]*Frontend{}, bes: map[string]*Backend{},
		errors: map[int]*page{}, drainDone: make(chan struct{}),
	}
	rt.envv = environment{rt}
	b := &builder{rt: rt, opts: &rt.opts, comp: o.Compiler}
	rt.limits.MaxFields = cfg.Global.Tune.MaxHeaders
	rt.bufSize = 16384
	if n := cfg.Global.Tune.BufSize; n > 0 {
		rt.bufSize = n
	}
	reserve := 1024
	if n := cfg.Global.Tune.MaxRewrite; n > 0 {
		reserve = min(n, rt.bufSize/2)
	}
	rt.maxHead = rt.bufSize - reserve
	rt.maxConn.Store(int64(cfg.Global.MaxConn))

	index := 0
	for _, p := range cfg.Proxies {
		if p.Kind&model.KindBackend != 0 && !p.Disabled {
			be := b.backend(p, &index)
			rt.backends = append(rt.backends, be)
			rt.bes[p.Name] = be
		}
	}
	for _, p := range cfg.Proxies {
		if p.Kind&model.KindFrontend != 0 && !p.Disabled {
			f := b.frontend(p)
			f.index = len(rt.frontends)
			rt.frontends = append(rt.frontends, f)
			rt.fes[p.Name] = f
		}
	}
	rt.servers = index
	b.diags = append(b.diags, b.comp.Diagnostics...)
	b.comp.Diagnostics = nil
	return rt, b.diags
}

// Attach gives the runtime its loops. It must come before Listen.
func (rt *Runtime) Attach(loops []*engine.Loop) {
	for _, l := range loops {
		w := newWorker(rt, l, rt.servers, len(rt.frontends))
		for _, be := range rt.backends {
			for _, s := range be.servers {
				il := &w.idle[s.index]
				il.purge, il.max = defaultPurge, -1
				if d := s.m.PoolPurgeDelay; d > 0 {
					il.purge = int64(d)
				}
				il.low = s.m.PoolLowConn
				if n := s.m.PoolMaxConn; n != nil {
					il.max = *n
				}
			}
		}
		rt.workers = append(rt.workers, w)
		l.Arm(&w.sweep, w, l.Now()+sweepInterval)
	}
}

// common compiles what both halves share. A `listen` has it once.
func (b *builder) common(p *model.Proxy) common {
	b.comp.Proxy = p
	c := common{m: p, opt: &p.Options, to: compileTimeouts(&p.Timeouts), errors: b.pages(p.Errors)}
	c.info = rule.ProxyInfo{
		Name: p.Name, ID: p.ID, HTTP: p.Mode == model.ModeHTTP, ClientTimeout: p.Timeouts.Client,
		ServerTimeout: p.Timeouts.Server, TunnelTimeout: p.Timeouts.Tunnel,
	}
	c.ff = compileForwardFor(p.Options.ForwardFor, "X-Forwarded-For")
	c.oto = compileForwardFor(p.Options.OriginalTo, "X-Original-To")
	block := func(rules []model.Rule, phase rule.Phase) *rule.Program {
		if len(rules) == 0 {
			return nil
		}
		return b.comp.Block(rules, phase)
	}
	c.rules = &ruleSet{
		tcpConnection:  block(p.TCPConnection, rule.PhaseTCPConnection),
		tcpSession:     block(p.TCPSession, rule.PhaseTCPSession),
		tcpContent:     block(p.TCPContent, rule.PhaseTCPContent),
		tcpResponse:    block(p.TCPResponse, rule.PhaseTCPResponse),
		request:        block(p.HTTPRequest, rule.PhaseHTTPRequest),
		redirects:      block(p.Redirects, rule.PhaseHTTPRequest),
		legacyRequest:  block(p.LegacyRequest, rule.PhaseHTTPRequest),
		response:       block(p.HTTPResponse, rule.PhaseHTTPResponse),
		legacyResponse: block(p.LegacyResponse, rule.PhaseHTTPResponse),
		afterResponse:  block(p.HTTPAfterResponse, rule.PhaseHTTPAfterResponse),
		requestDelay:   int64(p.RequestInspectDelay),
		responseDelay:  int64(p.ResponseInspectDelay),
	}
	return c
}

func (b *builder) pages(errs map[int]model.ErrorReply) map[int]*page {
	pages := map[int]*page{}
	for status, e := range errs {
		switch {
		case e.Reply != nil:
			pages[status] = b.replyPage(status, e.Reply)
		default:
			p, err := parsePage(e.Raw)
			if err != nil {
				b.diags.Errorf(e.Pos, "error file %q for status %d: %v", e.File, status, err)
				continue
			}
			if p.announced >= 0 && p.announced != len(p.body) {
				b.diags.Errorf(e.Pos, "error file %q for status %d: payload size does not match the announced content-length (%d != %d); write %d, or leave the header out",
					e.File, status, len(p.body), p.announced, len(p.body))
				continue
			}
			if p.status == 0 {
				p.status = status
			}
			p.logged = status
			pages[status] = p
		}
	}
	return pages
}

// replyPage is an error reply made of literals, as errorloc and http-error
// give; samples in it have no request to look at.
func (b *builder) replyPage(status int, r *model.Reply) *page {
	logged := status
	if r.Status != 0 {
		status = r.Status
	}
	p := &page{status: status, logged: logged, reason: message.Reason(status), body: r.BodyBytes}
	if r.Raw != nil {
		if q, err := parsePage(r.Raw); err == nil {
			q.logged = logged
			return q
		}
	}
	if s, ok := r.Body.IsLiteral(); ok {
		p.body = []byte(s)
	}
	p.fields = append(p.fields, contentLength(len(p.body)))
	if r.ContentType != "" {
		p.fields = append(p.fields, field("content-type", r.ContentType))
	}
	for _, h := range r.Headers {
		if s, ok := h.Value.IsLiteral(); ok {
			p.fields = append(p.fields, message.Field{
				Name: []byte(h.Name), Value: []byte(s), ID: message.Lookup(strings.ToLower(h.Name)),
			})
		}
	}
	return p
}

func (b *builder) frontend(p *model.Proxy) *Frontend {
	f := &Frontend{common: b.common(p), rt: b.rt}
	m := &p.Frontend
	f.self = b.rt.bes[p.Name]
	if p.Kind != model.KindListen {
		f.self = nil
	}
	f.maxConn.Store(int64(m.MaxConn))
	f.rateLimit.Store(int64(m.RateLimit))
	phase := rule.PhaseHTTPRequest
	if p.Mode == model.ModeTCP {
		phase = rule.PhaseTCPContent
	}
	for _, u := range m.UseBackend {
		ub := useBackend{cond: b.cond(u.Cond, phase)}
		if name, ok := u.Name.IsLiteral(); ok {
			if ub.be = b.rt.bes[name]; ub.be == nil {
				b.diags.Errorf(u.Pos, "unable to find required use_backend: '%s'", name)
			}
		} else {
			ub.name = b.comp.Format(u.Name, phase)
		}
		f.useBackend = append(f.useBackend, ub)
	}
	switch {
	case m.DefaultBackend != "":
		if f.def = b.rt.bes[m.DefaultBackend]; f.def == nil {
			b.diags.Errorf(m.DefaultBackendPos, "unable to find required default_backend: '%s'", m.DefaultBackend)
		}
	case f.self != nil:
		f.def = f.self
	}
	if m.MonitorURI != "" {
		f.monitorURI = []byte(m.MonitorURI)
	}
	if m.MonitorNet != "" {
		f.monitorNet = parseNet(m.MonitorNet)
	}
	for _, c := range m.MonitorFail {
		f.monitorFail = append(f.monitorFail, b.cond(c, phase))
	}
	for _, c := range m.RequestCaptures {
		f.reqCaps = append(f.reqCaps, capture{strings.ToLower(c.Name), c.Len})
	}
	for _, c := range m.ResponseCaptures {
		f.resCaps = append(f.resCaps, capture{strings.ToLower(c.Name), c.Len})
	}
	f.cookieCap = m.CookieCapture
	if m.UniqueIDFormat != nil {
		f.uniqueID = b.comp.Format(m.UniqueIDFormat, phase)
		if m.UniqueIDHeader != "" {
			f.uniqueHdr = []byte(m.UniqueIDHeader)
		}
	}
	f.log = b.logger(p)
	for i, bind := range m.Binds {
		id := bind.ID
		if id == 0 {
			id = i + 1
		}
		for range 1 {
			b.binds(f, bind, id)
		}
	}
	return f
}

func (b *builder) binds(f *Frontend, m *model.Bind, id int) {
	var cfg *tls.Config
	if m.TLS != nil && b.opts.TLS != nil {
		cfg = b.opts.TLS.Bind(m)
	}
	for i := range m.Addrs {
		a := m.Addrs[i]
		hi := max(a.Port, a.PortHi)
		for port := a.Port; port <= hi; port++ {
			ln := &listener{fe: f, m: m, tls: cfg, name: m.Name, id: id, maxConn: int64(m.MaxConn), fd: -1}
			ln.want = a
			ln.want.Port, ln.want.PortHi = port, port
			ln.describe()
			f.listeners = append(f.listeners, ln)
		}
	}
}

// describe fills in what follows from the address.
func (ln *listener) describe() {
	a := &ln.want
	switch a.Network {
	case "unix", "abns":
		ln.unix, ln.path = true, a.Path
		ln.addr = a.Network + "@" + a.Path
	case "fd":
		ln.addr = fmt.Sprintf("fd@%d", a.FD)
	default:
		host := a.Host
		if host == "" || host == "*" {
			host = "0.0.0.0"
			if a.Network == "tcp6" {
				host = "::"
			}
		}
		if ip, err := netip.ParseAddr(host); err == nil {
			ap := netip.AddrPortFrom(ip, uint16(a.Port))
			ln.addr = ap.String()
			if !ip.IsUnspecified() && !ln.m.Transparent {
				ln.fixedDst = ap
			}
		}
	}
}

func parseNet(s string) netip.Prefix {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked()
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen())
	}
	return netip.Prefix{}
}

func (b *builder) cond(c model.Cond, phase rule.Phase) rule.Cond {
	if c == nil {
		return nil
	}
	return b.comp.Cond(c, phase)
}

func (b *builder) logger(p *model.Proxy) *logger {
	if b.opts.Logs == nil || len(p.Logs) == 0 {
		return nil
	}
	to := b.opts.Logs(p)
	if to == nil {
		return nil
	}
	l := &logger{to: to, needsLine: true}
	builtin := func(text string) *rule.Format {
		return b.comp.Format(b.opts.ParseFormat(text), rule.PhaseLog)
	}
	switch {
	case p.LogFormat != nil:
		l.format = b.comp.Format(p.LogFormat, rule.PhaseLog)
	case p.Options.HTTPLog && p.Options.CLFLog:
		l.format = builtin(rule.CLFLogFormat)
	case p.Options.HTTPLog:
		l.format = builtin(rule.HTTPLogFormat)
	case p.Options.TCPLog:
		l.format = builtin(rule.TCPLogFormat)
	case p.Mode == model.ModeTCP:
		l.connect = builtin(rule.DefaultTCPLogFormat)
	default:
		l.connect = builtin(rule.DefaultHTTPLogFormat)
	}
	if p.LogFormatSD != nil {
		l.sd = b.comp.Format(p.LogFormatSD, rule.PhaseLog)
		l.toSD, _ = to.(sdSender)
	}
	if p.ErrorLogFormat != nil {
		l.errFormat = b.comp.Format(p.ErrorLogFormat, rule.PhaseLog)
	}
	return l
}

func (b *builder) backend(p *model.Proxy, index *int) *Backend {
	be := &Backend{common: b.common(p), pool: b.opts.Pools[p], byPool: map[*pool.Server]*server{}}
	m := &p.Backend
	be.retries = 3
	if m.Retries != nil {
		be.retries = *m.Retries
	}
	be.retryOn = b.retryOn(p, m.RetryOn)
	be.redispatch = p.Options.Redispatch
	be.reuse = m.HTTPReuse
	be.source = b.source(m.Source)
	if m.HTTPSendNameHeader != "" {
		be.sendName = []byte(m.HTTPSendNameHeader)
	}
	if m.Cookie != nil && p.Mode == model.ModeHTTP {
		be.cookie = compileCookie(m.Cookie)
	}
	phase := rule.PhaseHTTPRequest
	if p.Mode == model.ModeTCP {
		phase = rule.PhaseTCPContent
	}
	for i, ms := range m.Servers {
		s := b.server(be, ms, phase)
		s.index = *index
		*index++
		if be.pool != nil {
			s.p = be.pool.Servers[i]
			be.byPool[s.p] = s
		}
		be.servers = append(be.servers, s)
	}
	for _, u := range m.UseServer {
		us := useServer{cond: b.cond(u.Cond, phase)}
		if name, ok := u.Name.IsLiteral(); ok {
			for _, s := range be.servers {
				if s.info.Name == name {
					us.srv = s
				}
			}
			if us.srv == nil {
				b.diags.Errorf(u.Pos, "unable to find server '%s' in proxy '%s' referenced in a 'use-server' rule", name, p.Name)
			}
		} else {
			us.name = b.comp.Format(u.Name, phase)
		}
		be.useServer = append(be.useServer, us)
	}
	for _, c := range m.ForcePersist {
		be.forcePersist = append(be.forcePersist, b.cond(c, phase))
	}
	for _, c := range m.IgnorePersist {
		be.ignorePersist = append(be.ignorePersist, b.cond(c, phase))
	}
	if m.Dispatch != "" && len(m.Servers) == 0 {
		be.dispatch = b.dispatch(be, m, index)
	}
	be.key = b.keyMaker(be, &m.Balance, phase)
	be.needBody = m.Balance.Algorithm == "url_param" && m.Balance.CheckPost > 0
	return be
}

// dispatch is the one destination of a proxy without servers.
func (b *builder) dispatch(be *Backend, m *model.Backend, index *int) *server {
	addr, err := netip.ParseAddrPort(m.Dispatch)
	if err != nil {
		b.diags.Errorf(m.DispatchPos, "'dispatch' needs an address and a port, not %q", m.Dispatch)
	}
	s := &server{m: &model.Server{Name: "<DISPATCH>"}, be: be, index: *index}
	s.info = rule.ServerInfo{Name: "<NOSRV>", Addr: addr}
	*index++
	be.servers = append(be.servers, s)
	return s
}

func (b *builder) server(be *Backend, m *model.Server, phase rule.Phase) *server {
	s := &server{m: m, be: be, maxReuse: m.MaxReuse}
	s.info = rule.ServerInfo{Name: m.Name, ID: m.ID, TLS: m.TLS != nil}
	if m.TLS != nil && b.opts.TLS != nil {
		s.tls = b.opts.TLS.Server(m)
		if m.TLS.SNI != nil {
			s.sni = b.comp.Expr(m.TLS.SNI, phase)
		}
	}
	if m.SendProxy.Version != 0 {
		s.sendProxy = &proxyHeader{m: m.SendProxy}
		s.private = true
	}
	if m.Redir != "" {
		s.redir = []byte(m.Redir)
	}
	s.source = b.source(m.Source)
	if src := s.source; src != nil && src.perClient() || be.source != nil && be.source.perClient() {
		s.private = true
	}
	return s
}

func (src *engineSource) perClient() bool {
	return src.useClient || src.clientIP || src.header != ""
}

func (b *builder) source(m *model.Source) *engineSource {
	if m == nil {
		return nil
	}
	src := &engineSource{iface: m.Interface, portHi: uint16(m.PortHi)}
	if m.Addr != "" && m.Addr != "*" {
		a, err := netip.ParseAddr(m.Addr)
		if err != nil {
			b.diags.Errorf(m.Pos, "'source' needs a numeric address, not %q", m.Addr)
			return nil
		}
		src.addr = netip.AddrPortFrom(a, uint16(m.PortLo))
	}
	switch {
	case m.UseSrc == "client":
		src.useClient = true
	case m.UseSrc == "clientip":
		src.clientIP = true
	case strings.HasPrefix(m.UseSrc, "hdr_ip("):
		name, _, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(m.UseSrc, "hdr_ip("), ")"), ",")
		src.header = strings.ToLower(name)
	case m.UseSrc != "":
		if ap, err := netip.ParseAddrPort(m.UseSrc); err == nil {
			src.fixed = ap
		} else if a, err := netip.ParseAddr(m.UseSrc); err == nil {
			src.fixed = netip.AddrPortFrom(a, 0)
		}
	}
	return src
}

// retryOn is the conditions of `retry-on`.
type retryOn struct {
	connFailure, emptyResponse, responseTimeout, junkResponse bool
	l7                                                        bool // any of them needs the request again
	status                                                    map[int]bool
}

func (b *builder) retryOn(p *model.Proxy, words []string) retryOn {
	r := retryOn{status: map[int]bool{}}
	if len(words) == 0 {
		r.connFailure = true
		return r
	}
	for _, w := range words {
		switch w {
		case "none":
		case "conn-failure":
			r.connFailure = true
		case "empty-response":
			r.emptyResponse = true
		case "response-timeout":
			r.responseTimeout = true
		case "junk-response":
			r.junkResponse = true
		case "0rtt-rejected": // never happens: no early data is sent
		case "all-retryable-errors":
			r.connFailure, r.emptyResponse, r.responseTimeout, r.junkResponse = true, true, true, true
			for _, s := range []int{500, 502, 503, 504} {
				r.status[s] = true
			}
		default:
			var s int
			if _, err := fmt.Sscanf(w, "%d", &s); err == nil {
				r.status[s] = true
			}
		}
	}
	r.l7 = r.emptyResponse || r.responseTimeout || r.junkResponse || len(r.status) > 0
	return r
}

// keyMaker compiles what a hash algorithm hashes.
func (b *builder) keyMaker(be *Backend, m *model.Balance, phase rule.Phase) keyMaker {
	switch m.Algorithm {
	case "uri":
		return func(st *stream) ([]byte, bool) {
			return balance.URIKey(st.req.Target, m.Whole, m.PathOnly, m.Len, m.Depth), true
		}
	case "url_param":
		return func(st *stream) ([]byte, bool) {
			if k, ok := balance.URLParamKey(st.req.Target, m.Name); ok {
				return k, true
			}
			if st.req.MethodID == message.MethodPost { // what is here of it, without check_post
				return balance.BodyParamKey(st.tx.ReqBody, m.Name)
			}
			return nil, false
		}
	case "hdr":
		lower := strings.ToLower(m.Name)
		id := message.Lookup(lower)
		return func(st *stream) ([]byte, bool) {
			i := st.req.Index(id, lower, 0)
			if i < 0 {
				return nil, false
			}
			v, _ := http1.NextToken(st.req.Fields[i].Value)
			if m.DomainOnly && id == message.FieldHost {
				v = balance.DomainKey(v)
			}
			return v, len(v) > 0
		}
	case "rdp-cookie":
		fetch := model.Call{Name: "req.rdp_cookie"}
		if m.Name != "" {
			fetch.Args = []string{m.Name}
		}
		return b.exprKey(&model.Expr{Pos: m.Pos, Text: "req.rdp_cookie", Fetch: fetch}, rule.PhaseTCPContent)
	case "hash":
		return b.exprKey(m.Hash, phase)
	}
	return nil
}

func (b *builder) exprKey(m *model.Expr, phase rule.Phase) keyMaker {
	e := b.comp.Expr(m, phase)
	return func(st *stream) ([]byte, bool) {
		v, ok := e.EvalAs(&st.tx, rule.KindBinary)
		return v.Bytes, ok
	}
}

// String of a duration in a message.
var _ = time.Second
