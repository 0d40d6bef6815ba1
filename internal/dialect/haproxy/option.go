package haproxy

import (
	"math"
	"net/netip"
	"strings"

	"evenkeel/internal/model"
)

// opt makes an entry for a switch: `option NAME` and `no option NAME`.
func opt(name string, where section, help string, field func(*model.Options) *bool) *keyword {
	return &keyword{Name: "option " + name, Sections: where, Help: help, No: true, Parse: func(p *parser, w []word) {
		if p.optionArgs(w, 0) {
			*field(&p.proxy.Options) = !p.negated && !p.defaulted
		}
	}}
}

// optDo makes an entry for an option with its own reader.
func optDo(name, args string, where section, help string, no bool, parse func(p *parser, w []word)) *keyword {
	return &keyword{Name: "option " + name, Args: args, Sections: where, Help: help, No: no, Parse: parse}
}

func optNothing(name string, where section, help, cure string) *keyword {
	return &keyword{Name: "option " + name, Sections: where, Help: help, No: true, Status: statusHarmless, Cure: cure}
}

func optLater(name, help, cure string) *keyword {
	return &keyword{Name: "option " + name, Sections: secAny, Help: help, No: true, Status: statusLater, Cure: cure}
}

// optionArgs reports arguments beyond the n that an option takes.
func (p *parser) optionArgs(w []word, n int) bool {
	if len(w) <= n+2 {
		return true
	}
	p.errorf(w[n+2].Pos, "", "'option %s' cannot handle unexpected argument '%s'", w[1].Text, w[n+2].Text)
	return false
}

var optionKeywords = []*keyword{
	opt("abortonclose", secBE, "drop a waiting request when its client has gone", func(o *model.Options) *bool { return &o.AbortOnClose }),
	opt("accept-invalid-http-request", secFE, "accepted; only harmless irregularities are let through", func(o *model.Options) *bool { return &o.AcceptInvalidRequest }),
	opt("accept-invalid-http-response", secBE, "accepted; only harmless irregularities are let through", func(o *model.Options) *bool { return &o.AcceptInvalidResponse }),
	opt("accept-unsafe-violations-in-http-request", secFE, "accepted; framing stays strict", func(o *model.Options) *bool { return &o.AcceptInvalidRequest }),
	opt("accept-unsafe-violations-in-http-response", secBE, "accepted; framing stays strict", func(o *model.Options) *bool { return &o.AcceptInvalidResponse }),
	opt("allbackups", secBE, "use all backup servers together", func(o *model.Options) *bool { return &o.AllBackups }),
	opt("checkcache", secBE, "refuse cacheable answers that set cookies", func(o *model.Options) *bool { return &o.CheckCache }),
	opt("clitcpka", secFE, "TCP keep-alive towards clients", func(o *model.Options) *bool { return &o.TCPKACli }),
	opt("srvtcpka", secBE, "TCP keep-alive towards servers", func(o *model.Options) *bool { return &o.TCPKASrv }),
	optDo("tcpka", "", secAny, "TCP keep-alive on both sides", true, func(p *parser, w []word) {
		if p.optionArgs(w, 0) {
			on := !p.negated && !p.defaulted
			p.proxy.Options.TCPKACli, p.proxy.Options.TCPKASrv = on, on
		}
	}),
	opt("contstats", secFE, "count bytes while a session lasts", func(o *model.Options) *bool { return &o.ContStats }),
	opt("dontlog-normal", secFE, "log only what went wrong", func(o *model.Options) *bool { return &o.DontLogNormal }),
	opt("dontlognull", secFE, "do not log connections without data", func(o *model.Options) *bool { return &o.DontLogNull }),
	opt("http-buffer-request", secAny, "wait for the request's body before the rules go on", func(o *model.Options) *bool { return &o.HTTPBufferRequest }),
	opt("http-ignore-probes", secFE, "do not answer or log connections without a request", func(o *model.Options) *bool { return &o.HTTPIgnoreProbes }),
	opt("http-no-delay", secAny, "send every piece of data at once", func(o *model.Options) *bool { return &o.HTTPNoDelay }),
	opt("http-pretend-keepalive", secBE, "do not say 'close' to servers", func(o *model.Options) *bool { return &o.PretendKeepAlive }),
	opt("http-use-proxy-header", secFE, "Proxy-Connection in place of Connection", func(o *model.Options) *bool { return &o.HTTPUseProxyHeader }),
	opt("idle-close-on-response", secFE, "close idle connections only with a response", func(o *model.Options) *bool { return &o.IdleCloseOnResponse }),
	opt("independent-streams", secAny, "each direction has its own inactivity", func(o *model.Options) *bool { return &o.IndependentStreams }),
	opt("independant-streams", secAny, "the same, as it was misspelt", func(o *model.Options) *bool { return &o.IndependentStreams }),
	opt("log-health-checks", secBE, "log the results of checks", func(o *model.Options) *bool { return &o.LogHealthChecks }),
	opt("log-separate-errors", secFE, "log errors at level err", func(o *model.Options) *bool { return &o.LogSeparateErrors }),
	opt("logasap", secFE, "log before the transfer is over", func(o *model.Options) *bool { return &o.LogASAP }),
	opt("nolinger", secAny, "drop connections at once", func(o *model.Options) *bool { return &o.NoLinger }),
	opt("persist", secBE, "send to a server that is down if the cookie says so", func(o *model.Options) *bool { return &o.Persist }),
	opt("prefer-last-server", secBE, "reuse the last server of the connection", func(o *model.Options) *bool { return &o.PreferLastServer }),
	opt("socket-stats", secFE, "statistics for each socket", func(o *model.Options) *bool { return &o.SocketStats }),
	opt("tcp-smart-accept", secFE, "save a packet when accepting", func(o *model.Options) *bool { return &o.TCPSmartAccept }),
	opt("tcp-smart-connect", secBE, "save a packet when connecting", func(o *model.Options) *bool { return &o.TCPSmartConnect }),
	opt("transparent", secBE, "connect to where the client wanted to go", func(o *model.Options) *bool { return &o.TransparentProxy }),
	optSplice("splice-auto", model.SpliceAuto), optSplice("splice-request", model.SpliceRequest), optSplice("splice-response", model.SpliceResponse),

	optMode("http-keep-alive", model.KeepAlive, "connections stay open on both sides"),
	optMode("http-server-close", model.ServerClose, "the server's connection is closed after each response"),
	optMode("httpclose", model.Close, "both connections are closed after each response"),
	{
		Name: "option forceclose", Sections: secAny, Help: "the old name of httpclose", No: true, Status: statusDeprecated,
		Parse: func(p *parser, w []word) {
			p.warnf(w[1].Pos, "write:  option httpclose", "'option forceclose' is an old form")
			p.connMode(w, model.Close)
		},
	},
	{
		Name: "option http-tunnel", Sections: secAny, Help: "an old mode of connections", No: true, Status: statusDeprecated,
		Parse: func(p *parser, w []word) {
			p.warnf(w[1].Pos, "take the line out; 'option http-keep-alive' is the default", "'option http-tunnel' is an old form without effect: every request is looked at")
		},
	},

	optDo("httplog", "[clf]", secAny, "log lines of HTTP", false, parseHTTPLog),
	optDo("tcplog", "[clf]", secAny, "log lines of TCP", false, parseTCPLog),
	optDo("forwardfor", "[except NETWORK] [header NAME] [if-none]", secAny, "add X-Forwarded-For", false, func(p *parser, w []word) {
		p.forwardFor(w, "X-Forwarded-For", &p.proxy.Options.ForwardFor)
	}),
	optDo("originalto", "[except NETWORK] [header NAME]", secAny, "add X-Original-To", false, func(p *parser, w []word) {
		p.forwardFor(w, "X-Original-To", &p.proxy.Options.OriginalTo)
	}),
	optDo("redispatch", "[INTERVAL]", secBE, "retry on another server", true, parseRedispatch),
	optDo("http-restrict-req-hdr-names", "preserve|delete|reject", secAny, "header names outside of [A-Za-z0-9-]", false, parseRestrictNames),

	optNothing("http-use-htx", secAny, "an old switch", "take the line out"),
	optNothing("disable-h2-upgrade", secFE, "no HTTP/2 without TLS", "take the line out: HTTP/2 is not spoken"),
	optNothing("h1-case-adjust-bogus-client", secFE, "header names in the case that old clients want", "take the line out: the case that was received is kept"),
	optNothing("h1-case-adjust-bogus-server", secBE, "header names in the case that old servers want", "take the line out: the case that was received is kept"),
	optNothing("http-drop-request-trailers", secBE, "drop trailers of requests", "take the line out"),
	optNothing("http-drop-response-trailers", secFE, "drop trailers of responses", "take the line out"),
	optLater("http_proxy", "an old way to be a forward proxy", "use 'http-request set-dst' when it is there"),
	optLater("forwarded", "add Forwarded (RFC 7239)", "write 'option forwardfor', or 'http-request set-header Forwarded …'"),
	optLater("external-check", "checks by a program", "use 'option httpchk' or 'option tcp-check'"),
	optLater("httpslog", "log lines of HTTP with TLS details", "write the fields that you need into log-format"),
	optLater("httpsslog", "log lines of HTTP with TLS details", "write the fields that you need into log-format"),
}

func optMode(name string, mode model.ConnMode, help string) *keyword {
	return optDo(name, "", secAny, help, true, func(p *parser, w []word) { p.connMode(w, mode) })
}

func (p *parser) connMode(w []word, mode model.ConnMode) {
	if !p.optionArgs(w, 0) {
		return
	}
	o := &p.proxy.Options
	switch {
	case !p.negated && !p.defaulted:
		o.ConnMode = mode
	case o.ConnMode == mode:
		o.ConnMode = model.KeepAlive
	}
}

func optSplice(name string, mode model.SpliceMode) *keyword {
	return optDo(name, "", secAny, "let the kernel move the data", true, func(p *parser, w []word) {
		if !p.optionArgs(w, 0) {
			return
		}
		if p.negated || p.defaulted {
			p.proxy.Options.Splice &^= mode
		} else {
			p.proxy.Options.Splice |= mode
		}
	})
}

func parseHTTPLog(p *parser, w []word) {
	if p.logInBackend(w, "option httplog") {
		return
	}
	o := &p.proxy.Options
	clf := len(w) > 2
	if clf && w[2].Text != "clf" {
		p.errorf(w[2].Pos, "write 'option httplog' or 'option httplog clf'", "keyword '%s' only supports option 'clf'", w[1].Text)
		return
	}
	if p.optionArgs(w, 1) {
		o.HTTPLog, o.CLFLog, o.TCPLog = true, clf, false
		p.proxy.LogFormat = nil
	}
}

func parseTCPLog(p *parser, w []word) {
	if p.logInBackend(w, "option tcplog") {
		return
	}
	if len(w) > 2 && w[2].Text != "clf" {
		p.errorf(w[2].Pos, "write 'option tcplog'", "keyword '%s' only supports option 'clf'", w[1].Text)
		return
	}
	o := &p.proxy.Options
	o.TCPLog, o.HTTPLog, o.CLFLog = true, false, len(w) > 2
	p.proxy.LogFormat = nil
}

// logInBackend warns of a log format where no log line is written.
func (p *parser) logInBackend(w []word, name string) bool {
	if p.section != secBackend {
		return false
	}
	p.warnf(w[0].Pos, "move the line to the frontend, or take it out", "backend '%s' : '%s' directive is ignored in backends", p.sectionName, name)
	return true
}

func (p *parser) forwardFor(w []word, header string, field **model.ForwardFor) {
	f := &model.ForwardFor{Pos: w[0].Pos, Header: header}
	name := "option " + w[1].Text
	for i := 2; i < len(w); i++ {
		switch w[i].Text {
		case "if-none":
			f.IfNone = true
		case "except":
			if i+1 >= len(w) || !isNetwork(w[i+1].Text) {
				p.errorf(w[i].Pos, "write an address or a network, such as 10.0.0.0/8", "'%s except' expects <address>[/mask] as argument", name)
				return
			}
			i++
			f.Except = append(f.Except, w[i].Text)
		case "header":
			if i+1 >= len(w) {
				p.errorf(w[i].Pos, "write the name of a header", "'%s header' expects <header_name> as argument", name)
				return
			}
			i++
			f.Header = w[i].Text
		default:
			p.errorf(w[i].Pos, closest(w[i].Text, []string{"except", "header", "if-none"}), "'%s' only supports optional values: 'except', 'header' and 'if-none'", name)
			return
		}
	}
	*field = f
}

// isNetwork accepts an address with an optional prefix length or mask.
func isNetwork(s string) bool {
	if _, err := netip.ParsePrefix(s); err == nil {
		return true
	}
	host, mask, ok := strings.Cut(s, "/")
	if ok {
		m, err := netip.ParseAddr(mask)
		if err != nil || !m.Is4() {
			return false
		}
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

func parseRedispatch(p *parser, w []word) {
	if p.negated || p.defaulted {
		p.proxy.Options.Redispatch = 0
		return
	}
	n := -1
	if len(w) > 2 {
		v, ok := p.number("option redispatch", w[2], math.MinInt32, math.MaxInt32)
		if !ok {
			return
		}
		n = v
	}
	if p.optionArgs(w, 1) {
		p.proxy.Options.Redispatch = n
	}
}

func parseRestrictNames(p *parser, w []word) {
	if len(w) < 3 {
		p.errorf(w[1].Pos, "write one of: preserve, delete, reject", "'option %s' expects a value", w[1].Text)
		return
	}
	if p.oneOf("option "+w[1].Text, w[2], "preserve", "delete", "reject") {
		p.proxy.Options.RestrictReqHdrNames = map[string]model.RestrictNames{
			"preserve": model.RestrictPreserve, "delete": model.RestrictDelete, "reject": model.RestrictReject,
		}[w[2].Text]
	}
}
