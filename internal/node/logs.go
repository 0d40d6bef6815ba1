package node

import (
	"os"
	"sync"

	"evenkeel/internal/accesslog"
	"evenkeel/internal/model"
	"evenkeel/internal/proxy"
)

// logs opens the log targets of proxies, each list once.
type logs struct {
	cfg     *model.Config
	sockets *accesslog.Sockets
	errs    model.Diagnostics

	mu   sync.Mutex
	open map[*model.Proxy]*accesslog.Targets // guarded by mu
}

func newLogs(cfg *model.Config) *logs {
	return &logs{cfg: cfg, sockets: accesslog.NewSockets(), open: map[*model.Proxy]*accesslog.Targets{}}
}

func (l *logs) targets(p *model.Proxy) *accesslog.Targets {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t, ok := l.open[p]; ok {
		return t
	}
	l.open[p] = nil
	if len(p.Logs) == 0 {
		return nil
	}
	g := &l.cfg.Global
	o := accesslog.Options{Tag: g.LogTag, Pid: os.Getpid(), Global: g.Logs, Sockets: l.sockets}
	if p.LogTag != "" {
		o.Tag = p.LogTag
	}
	if g.LogSendHostname != nil {
		o.Hostname = *g.LogSendHostname
		if o.Hostname == "" {
			o.Hostname, _ = os.Hostname()
		}
	}
	o.Refuse = func(error) bool { return true }
	t, err := accesslog.Open(p.Logs, o)
	if err != nil {
		l.errs.Warnf(p.Pos, "log of proxy '%s': %v", p.Name, err)
		return nil
	}
	l.open[p] = t
	return t
}

// forProxy is proxy.Options.Logs.
func (l *logs) forProxy(p *model.Proxy) proxy.LogSender {
	if t := l.targets(p); t != nil {
		return t
	}
	return nil
}
