package plan

import (
	"maps"
	"slices"

	"evenkeel/internal/model"
	"evenkeel/internal/rule"
)

// CompileAll compiles every rule, condition, format and expression of a
// configuration in the phase that it will run in, and gives what is wrong with
// them. What it compiles is thrown away.
func CompileAll(cfg *model.Config) model.Diagnostics {
	return CompileAllWith(rule.NewCompiler(cfg))
}

// CompileAllWith is CompileAll with a compiler that the caller has set up.
func CompileAllWith(c *rule.Compiler) model.Diagnostics {
	k := &checker{c: c}
	for _, p := range c.Config.Proxies {
		k.proxy(p)
	}
	for _, set := range c.Config.HTTPErrors {
		c.Proxy = nil
		k.errors(set.Files)
	}
	return distinct(c.Diagnostics)
}

// checker compiles what a configuration holds.
type checker struct {
	c *rule.Compiler
	// request is the phase of what runs once per exchange while the request
	// is there: switching, persistence, balancing.
	request rule.Phase
}

func (k *checker) proxy(p *model.Proxy) {
	k.c.Proxy = p
	k.request = rule.PhaseHTTPRequest
	if p.Mode == model.ModeTCP {
		k.request = rule.PhaseTCPContent
	}
	for _, t := range p.Tests {
		// A test that nothing uses has no phase.
		k.c.Cond(t, 0)
	}
	for _, b := range []struct {
		rules []model.Rule
		phase rule.Phase
	}{
		{p.TCPConnection, rule.PhaseTCPConnection},
		{p.TCPSession, rule.PhaseTCPSession},
		{p.TCPContent, rule.PhaseTCPContent},
		{p.HTTPRequest, rule.PhaseHTTPRequest},
		{p.LegacyRequest, rule.PhaseHTTPRequest},
		{p.Redirects, rule.PhaseHTTPRequest},
		{p.TCPResponse, rule.PhaseTCPResponse},
		{p.HTTPResponse, rule.PhaseHTTPResponse},
		{p.LegacyResponse, rule.PhaseHTTPResponse},
		{p.HTTPAfterResponse, rule.PhaseHTTPAfterResponse},
	} {
		k.c.Block(b.rules, b.phase)
	}
	for _, f := range []*model.Format{p.LogFormat, p.LogFormatSD, p.ErrorLogFormat} {
		k.format(f, rule.PhaseLog)
	}
	k.errors(p.Errors)
	if p.Kind&model.KindFrontend != 0 {
		k.frontend(&p.Frontend)
	}
	if p.Kind&model.KindBackend != 0 {
		k.backend(&p.Backend)
	}
}

func (k *checker) format(f *model.Format, phase rule.Phase) {
	if f != nil {
		k.c.Format(f, phase)
	}
}

func (k *checker) expr(e *model.Expr, phase rule.Phase) {
	if e != nil {
		k.c.Expr(e, phase)
	}
}

func (k *checker) cond(c model.Cond, phase rule.Phase) {
	if c != nil {
		k.c.Cond(c, phase)
	}
}

// errors checks the replies that stand for error messages. They may be sent in
// any phase.
func (k *checker) errors(replies map[int]model.ErrorReply) {
	for _, status := range slices.Sorted(maps.Keys(replies)) {
		e := replies[status]
		if e.Reply == nil {
			continue
		}
		for _, h := range e.Reply.Headers {
			k.format(h.Value, 0)
		}
		k.format(e.Reply.Body, 0)
	}
}

func (k *checker) frontend(f *model.Frontend) {
	for _, u := range f.UseBackend {
		k.format(u.Name, k.request)
		k.cond(u.Cond, k.request)
	}
	for _, c := range f.MonitorFail {
		k.cond(c, rule.PhaseHTTPRequest)
	}
	k.format(f.UniqueIDFormat, k.request)
}

func (k *checker) backend(b *model.Backend) {
	for _, u := range b.UseServer {
		k.format(u.Name, k.request)
		k.cond(u.Cond, k.request)
	}
	for _, list := range [][]model.Cond{b.ForcePersist, b.IgnorePersist} {
		for _, c := range list {
			k.cond(c, k.request)
		}
	}
	k.expr(b.Balance.Hash, k.request)
	for _, s := range b.Servers {
		if s.TLS != nil {
			k.expr(s.TLS.SNI, k.request)
		}
	}
	for i := range b.Check.Steps {
		k.step(&b.Check.Steps[i])
	}
}

func (k *checker) step(s *model.CheckStep) {
	for _, f := range []*model.Format{s.URI, s.Body, s.DataFormat, s.PatternFormat, s.OnSuccess, s.OnError, s.Format} {
		k.format(f, rule.PhaseCheck)
	}
	for _, h := range s.Headers {
		k.format(h.Value, rule.PhaseCheck)
	}
	for _, e := range []*model.Expr{s.PortExpr, s.StatusCode, s.Expr} {
		k.expr(e, rule.PhaseCheck)
	}
}

// distinct drops what was said before: an acl that is used twice is compiled
// twice.
func distinct(in model.Diagnostics) model.Diagnostics {
	seen := map[model.Diagnostic]bool{}
	var out model.Diagnostics
	for _, d := range in {
		if !seen[d] {
			seen[d] = true
			out = append(out, d)
		}
	}
	return out
}
