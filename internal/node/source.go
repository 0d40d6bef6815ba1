package node

import (
	"crypto/tls"
	"evenkeel/internal/accesslog"
	"os"
	"runtime"
	"syscall"
	"time"

	"evenkeel/internal/admin"
	"evenkeel/internal/engine"
	"evenkeel/internal/model"
	"evenkeel/internal/pool"
	"evenkeel/internal/proxy"
)

// source is what the runtime API sees of the service.
type source struct{ s *Service }

var (
	_ admin.Source           = source{}
	_ admin.WithPatterns     = source{}
	_ admin.WithChecks       = source{}
	_ admin.WithCertificates = source{}
)

// Patterns implements admin.WithPatterns.
func (v source) Patterns() admin.Patterns { return v.s.patterns }

// Checks implements admin.WithChecks.
func (v source) Checks() admin.Checks {
	if v.s.checks == nil {
		return nil
	}
	return v.s.checks
}

// Certificates implements admin.WithCertificates.
func (v source) Certificates() admin.Certificates { return v.s.keys.Files() }

func (s *Service) startAdmin() {
	g := &s.cfg.Global
	s.patterns = admin.RulePatterns(s.comp.Patterns)
	s.admin = admin.New(admin.Options{
		Source: source{s}, Timeout: g.StatsTimeout, BufSize: g.Tune.BufSize, MaxConn: g.StatsMaxConn,
	})
	for _, c := range s.control {
		go s.admin.Serve(c.listener, c.info)
	}
}

func (v source) Now() int64 { return engine.Monotonic() }

func (v source) Info() admin.Info {
	s, g := v.s, &v.s.cfg.Global
	var limit syscall.Rlimit
	syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	info := admin.Info{
		Version: s.opt.Version, NbThread: len(s.loops), Pid: os.Getpid(), Node: g.Node, Description: g.Description,
		Started: s.started, Uptime: time.Since(s.started), PoolAlloc: int64(mem.Sys), PoolUsed: int64(mem.HeapInuse),
		UlimitN: int(limit.Cur), MaxSock: int(limit.Cur), MaxConn: int(s.rt.MaxConn()), HardMaxConn: int(s.rt.MaxConn()),
		CurrConns: s.rt.Conns(), CumConns: s.rt.Total(), CumReq: s.rt.Requests(), MaxSSLConns: g.MaxSSLConn,
		ConnRateLimit: g.MaxConnRate, SessRateLimit: g.MaxSessRate, SSLRateLimit: g.MaxSSLRate, MaxPipes: g.MaxPipes,
		Listeners: len(s.rt.Endpoints()), Jobs: int(s.rt.Conns()) + len(s.rt.Endpoints()),
	}
	if info.Node == "" {
		info.Node, _ = os.Hostname()
	}
	for _, f := range s.rt.Frontends() {
		c := f.Counters()
		info.ConnRate += c.ConnRate
		info.SessRate += c.SessRate
		info.MaxConnRate = max(info.MaxConnRate, c.ConnRateMax)
		info.MaxSessRate = max(info.MaxSessRate, c.SessRateMax)
		info.BytesOut += int64(c.BytesOut)
	}
	return info
}

func (v source) Proxies() []admin.Proxy {
	var all []admin.Proxy
	fes := map[string]*proxy.Frontend{}
	for _, f := range v.s.rt.Frontends() {
		fes[f.Name()] = f
	}
	for _, p := range v.s.cfg.Proxies {
		ap := admin.Proxy{Name: p.Name, ID: p.ID, Backend: v.s.byModel[p]}
		if f := fes[p.Name]; f != nil && f.Model() == p {
			ap.Frontend = frontend{f, v.s.event}
		}
		all = append(all, ap)
	}
	return all
}

// frontend is one frontend for the runtime API.
type frontend struct {
	f     *proxy.Frontend
	event func(p *model.Proxy, level int, text string)
}

func (v frontend) Snapshot(int64) admin.FrontendSnapshot {
	c := v.f.Counters()
	snap := admin.FrontendSnapshot{
		HTTP: v.f.Model().Mode == model.ModeHTTP, Status: admin.FrontendOpen, Disabled: c.Disabled,
		SessCur: c.Cur, SessMax: c.Max, SessLimit: c.MaxConn, SessTotal: int64(c.Sessions),
		BytesIn: int64(c.BytesIn), BytesOut: int64(c.BytesOut), DeniedReq: int64(c.DeniedReq),
		DeniedResp: int64(c.DeniedResp), ErrReq: int64(c.BadReq), DeniedConn: int64(c.DeniedConn),
		DeniedSess: int64(c.DeniedSess), Rate: c.SessRate, RateLimit: int(c.RateLimit), RateMax: c.SessRateMax,
		ReqRate: c.ReqRate, ReqRateMax: c.ReqMax, Requests: int64(c.Requests), ConnRate: c.ConnRate,
		ConnRateMax: c.ConnRateMax, ConnTotal: int64(c.Conns), Intercepted: int64(c.Intercepted),
		SessH1: int64(c.Sessions), ReqH1: int64(c.Requests),
	}
	switch {
	case c.Disabled:
		snap.Status = admin.FrontendStopped
	case c.Full:
		snap.Status = admin.FrontendFull
	}
	snap.HTTPStatus[0] = int64(c.Responses[5])
	for i := range 5 {
		snap.HTTPStatus[i+1] = int64(c.Responses[i])
	}
	return snap
}

func (v frontend) SetMaxConn(n int) { v.f.SetMaxConn(n) }
func (v frontend) Disable() error {
	v.f.SetDisabled(true)
	v.event(v.f.Model(), accesslog.Warning, "Paused proxy "+v.f.Name()+".")
	return nil
}

func (v frontend) Enable() error {
	v.f.SetDisabled(false)
	v.event(v.f.Model(), accesslog.Warning, "Resumed proxy "+v.f.Name()+".")
	return nil
}

func (v frontend) Shutdown() error        { v.f.SetDisabled(true); return nil }
func (v frontend) ClearCounters(all bool) { v.f.ClearCounters(all) }

func (v source) Sessions(yield func(*admin.Session) bool) {
	for _, x := range v.s.rt.Sessions() {
		if !yield(session(&x)) {
			return
		}
	}
}

func session(x *proxy.SessionView) *admin.Session {
	s := &admin.Session{
		ID: x.ID, Proto: "tcpv4", Source: x.Source, LocalAddr: x.Local, Frontend: x.Frontend, Backend: x.Backend,
		FrontendID: x.FrontendID, BackendID: x.BackendID, FrontendMode: modeName(x.FrontendHTTP),
		BackendMode: modeName(x.BackendHTTP), Server: x.Server, ServerID: x.ServerID, ServerAddr: x.ServerAddr,
		Started: x.Started, Age: x.Age, Idle: x.Idle, RequestExpires: x.ClientExpires, ServerExpires: x.ServerExpires,
		Retries: x.Retries, RequestTotal: x.BytesIn, ResponseTotal: x.BytesOut, RequestLine: x.RequestLine,
		Thread: x.Thread, Queued: x.Queued, ClientFD: x.ClientFD, ServerFD: x.ServerFD, ClientState: "EST",
	}
	switch {
	case x.Unix:
		s.Proto = "unix_stream"
	case x.V6:
		s.Proto = "tcpv6"
	}
	if x.ServerFD >= 0 {
		s.ServerState = "EST"
	}
	if x.TLSVersion != 0 {
		s.TLSVersion, s.TLSCipher = tls.VersionName(x.TLSVersion), tls.CipherSuiteName(x.TLSCipher)
	}
	return s
}

func modeName(http bool) string {
	if http {
		return "http"
	}
	return "tcp"
}

func (v source) ShutdownSession(id uint64) bool { return v.s.rt.ShutdownSession(id) }

func (v source) ShutdownServerSessions(p *pool.Server) { v.s.rt.ShutdownServer(p, 'K') }

func (v source) SetMaxConn(n int) {
	if n == 0 {
		n = v.s.cfg.Global.MaxConn
	}
	v.s.rt.SetMaxConn(n)
}

func (v source) SetRateLimit(which admin.RateLimit, perSecond int) {
	v.s.rt.SetRateLimit(string(which), perSecond)
}

func (v source) ClearCounters(bool) {}

func (v source) Errors() []admin.CapturedError { return nil }

func (v source) StartupLogs() string { return "" }
