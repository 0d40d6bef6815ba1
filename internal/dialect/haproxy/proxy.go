package haproxy

import (
	"math"
	"slices"
	"strings"

	"evenkeel/internal/model"
)

// px makes an entry of the proxy sections.
func px(name, args string, where section, help string, parse func(p *parser, w []word)) *keyword {
	return &keyword{Name: name, Args: args, Sections: where, Help: help, Parse: parse}
}

// pxString makes an entry with one argument that is kept as it is.
func pxString(name, args string, where section, help string, field func(*model.Proxy) *string) *keyword {
	return px(name, args, where, help, func(p *parser, w []word) {
		if v, ok := p.need(w, 1, args); ok && !p.tooMany(w, 1) {
			*field(p.proxy) = v.Text
		}
	})
}

// pxInt makes an entry with one number.
func pxInt(name string, where section, help string, lo int, field func(*model.Proxy) *int) *keyword {
	return px(name, "NUMBER", where, help, func(p *parser, w []word) {
		v, ok := p.need(w, 1, "an integer")
		if !ok || p.tooMany(w, 1) {
			return
		}
		if n, ok := p.number(name, v, lo, math.MaxInt32); ok {
			*field(p.proxy) = n
		}
	})
}

// pxFormat makes an entry with a log format, which is ignored in backends.
func pxFormat(name, help string, field func(*model.Proxy) **model.Format) *keyword {
	return px(name, "FORMAT", secAny, help, func(p *parser, w []word) {
		if p.logInBackend(append([]word{w[0]}, w...), name) {
			return
		}
		v, ok := p.need(w, 1, "a format")
		if !ok {
			return
		}
		if len(w) > 2 {
			p.errorf(w[2].Pos, "put the format in double quotes, or write a backslash before each space", "'%s' expects only one argument, don't forget to escape spaces!", name)
			return
		}
		f, err := parseFormat(p, v, formatLog)
		if err != nil {
			p.report(v.Pos, err)
			return
		}
		*field(p.proxy) = f
	})
}

var proxyKeywords = []*keyword{
	px("mode", "tcp|http", secAny, "the layer to work on", parseMode),
	px("id", "NUMBER", secProxy, "number in statistics", func(p *parser, w []word) {
		v, ok := p.need(w, 1, "an integer")
		if !ok {
			return
		}
		if n, ok := p.number("id", v, 1, math.MaxInt32); ok {
			p.proxy.ID = n
		}
	}),
	px("description", "TEXT", secProxy, "shown in statistics", func(p *parser, w []word) {
		if _, ok := p.need(w, 1, "a string"); ok {
			p.proxy.Description = join(w[1:])
		}
	}),
	px("disabled", "", secAny, "do not start this proxy", func(p *parser, w []word) {
		if !p.tooMany(w, 0) {
			p.proxy.Disabled = true
		}
	}),
	px("enabled", "", secAny, "undoes disabled", func(p *parser, w []word) {
		if !p.tooMany(w, 0) {
			p.proxy.Disabled = false
		}
	}),
	{Name: "log", Args: "global | ADDRESS [len N] [format F] [sample R:N] FACILITY [LEVEL [MINLEVEL]]", Sections: secGlobal | secAny, Help: "where log lines go", No: true, Parse: parseLog},
	px("log-tag", "TEXT", secAny, "the program's name in log lines", parseLogTag),
	px("errorfile", "STATUS FILE", secAny|secHTTPErrors, "a file to answer with in place of an error message", parseErrorFile),
	px("errorloc", "STATUS URL", secAny, "redirect in place of an error message (302)", parseErrorLoc),
	px("errorloc302", "STATUS URL", secAny, "redirect in place of an error message (302)", parseErrorLoc),
	px("errorloc303", "STATUS URL", secAny, "redirect in place of an error message (303)", parseErrorLoc),
	px("http-error", "status CODE …", secAny, "a reply in place of an error message", parseHTTPError),
	px("errorfiles", "NAME [STATUS…]", secAny, "take error files from an http-errors section", parseErrorFiles),
	px("backlog", "NUMBER", secFE, "connections that wait to be accepted", func(p *parser, w []word) {
		v, ok := p.need(w, 1, "a limit for the listening queue")
		if !ok || p.tooMany(w, 1) {
			return
		}
		if n, ok := p.number("backlog", v, 0, math.MaxInt32); ok {
			p.proxy.Frontend.Backlog = n
		}
	}),
}

var frontendKeywords = []*keyword{
	px("bind", "ADDRESS[,…] [PARAMETER…]", secFrontend|secListen, "listen on addresses", parseBind),
	pxInt("maxconn", secFE, "connections at a time", 0, func(x *model.Proxy) *int { return &x.Frontend.MaxConn }),
	px("rate-limit", "sessions NUMBER", secFE, "new sessions a second", parseRateLimit),
	px("default_backend", "NAME", secFE, "the backend when no use_backend matched", func(p *parser, w []word) {
		v, ok := p.need(w, 1, "a backend name")
		if ok && !p.tooMany(w, 1) {
			p.proxy.Frontend.DefaultBackend, p.proxy.Frontend.DefaultBackendPos = v.Text, v.Pos
		}
	}),
	pxString("monitor-uri", "URI", secFE, "a path that evenkeel answers itself", func(x *model.Proxy) *string { return &x.Frontend.MonitorURI }),
	{Name: "monitor-net", Args: "NETWORK", Sections: secFE, Help: "clients whose connections are answered and closed", Status: statusDeprecated, Parse: parseMonitorNet},
	px("monitor fail", "if|unless CONDITION", secFrontend|secListen, "when monitor-uri answers 503", parseMonitorFail),
	px("capture request", "header NAME len N", secFrontend|secListen, "remember a header for the log", parseCaptureHeader),
	px("capture response", "header NAME len N", secFrontend|secListen, "remember a header for the log", parseCaptureHeader),
	px("capture cookie", "NAME len N", secFE, "remember a cookie for the log", parseCaptureCookie),
	{Name: "declare capture", Args: "request|response len N", Sections: secFrontend | secListen, Foreign: true, Help: "a slot for captures", Parse: parseDeclare},
	pxFormat("log-format", "the log line", func(x *model.Proxy) **model.Format { return &x.LogFormat }),
	pxFormat("log-format-sd", "structured data of the log line", func(x *model.Proxy) **model.Format { return &x.LogFormatSD }),
	pxFormat("error-log-format", "the log line of failed connections", func(x *model.Proxy) **model.Format { return &x.ErrorLogFormat }),
	pxFormat("unique-id-format", "makes an identifier for each request", func(x *model.Proxy) **model.Format { return &x.Frontend.UniqueIDFormat }),
	pxString("unique-id-header", "NAME", secAny, "the header that carries the identifier", func(x *model.Proxy) *string { return &x.Frontend.UniqueIDHeader }),
	{
		Name: "grace", Args: "TIME", Sections: secAny, Help: "the old way to delay a stop", Status: statusDeprecated,
		Parse: func(p *parser, w []word) {
			p.warnf(w[0].Pos, "take the line out; 'grace' stands in the global section", "'grace' in a proxy is an old form without effect")
		},
	},
	{
		Name: "bind-process", Args: "PROCESSES", Sections: secAny, Help: "processes that run the proxy", Status: statusDeprecated,
		Parse: func(p *parser, w []word) {
			p.warnf(w[0].Pos, "take the line out; 'thread' on bind lines chooses threads", "'bind-process' is an old form without effect: there is one process")
		},
	},
}

func parseMode(p *parser, w []word) {
	v, ok := p.need(w, 1, "'tcp' or 'http'")
	if !ok {
		return
	}
	switch v.Text {
	case "tcp":
		p.proxy.Mode = model.ModeTCP
	case "http":
		p.proxy.Mode = model.ModeHTTP
	case "health":
		p.errorf(v.Pos, "write 'mode http' and 'http-request return status 200'", "'mode health' doesn't exist anymore")
		return
	case "log", "spop":
		p.errorf(v.Pos, "write 'mode tcp' or 'mode http'", "'mode %s' is not supported yet", v.Text)
		return
	default:
		p.errorf(v.Pos, closest(v.Text, []string{"tcp", "http"}), "unknown proxy mode '%s'", v.Text)
		return
	}
	p.tooMany(w, 1)
}

// errorStatuses are the statuses that an error message can be set for.
var errorStatuses = []int{200, 400, 401, 403, 404, 405, 407, 408, 410, 413, 414, 421, 422, 425, 429, 431, 500, 501, 502, 503, 504}

func (p *parser) errorStatus(keyword string, w word) (int, bool) {
	n, ok := p.number(keyword, w, 0, 999)
	if !ok {
		return 0, false
	}
	for _, s := range errorStatuses {
		if s == n {
			return n, true
		}
	}
	list := make([]string, len(errorStatuses))
	for i, s := range errorStatuses {
		list[i] = itoa(s)
	}
	p.errorf(w.Pos, "write one of: "+strings.Join(list, ", "), "%s : status code '%d' not handled", keyword, n)
	return 0, false
}

// parseErrorFile remembers the name; plan reads the file.
func parseErrorFile(p *parser, w []word) {
	if len(w) < 3 {
		p.errorf(w[0].Pos, "write 'errorfile 503 /path/to/503.http'", "errorfile : expects <status_code> and <file> as arguments.")
		return
	}
	p.ignored(w, 3)
	status, ok := p.errorStatus("errorfile", w[1])
	if !ok {
		return
	}
	reply := model.ErrorReply{Pos: w[2].Pos, File: p.path(w[2].Text)}
	if p.httpErrors != nil {
		p.httpErrors.Files[status] = reply
		return
	}
	p.proxy.Errors[status] = reply
}

func parseErrorLoc(p *parser, w []word) {
	if len(w) < 3 {
		p.errorf(w[0].Pos, "write '"+w[0].Text+" 503 http://…'", "%s : expects <status_code> and <url> as arguments.", w[0].Text)
		return
	}
	p.ignored(w, 3)
	status, ok := p.errorStatus(w[0].Text, w[1])
	if !ok {
		return
	}
	code := 302
	if w[0].Text == "errorloc303" {
		code = 303
	}
	p.proxy.Errors[status] = model.ErrorReply{Pos: w[2].Pos, Reply: &model.Reply{
		Pos: w[2].Pos, Status: code,
		Headers: []model.HeaderFormat{
			{Pos: w[2].Pos, Name: "cache-control", Value: model.Literal(w[2].Pos, "no-cache")},
			{Pos: w[2].Pos, Name: "location", Value: model.Literal(w[2].Pos, w[2].Text)},
		},
	}}
}

// ignored warns of words from place n on, which HAProxy does not look at.
func (p *parser) ignored(w []word, n int) {
	if len(w) > n {
		p.warnf(w[n].Pos, "take it out", "'%s' takes %d arguments: '%s' is ignored", w[0].Text, n-1, w[n].Text)
	}
}

// parseHTTPError reads `http-error status CODE …`: the reply of http-request
// return in place of an error message.
func parseHTTPError(p *parser, w []word) {
	a := &actionArgs{p: p, set: setHTTPResponse, name: w[0], words: w[1:], last: w[0], usage: "'http-error status CODE …'"}
	r, err := parseReply(a, 0)
	if err != nil {
		p.report(w[0].Pos, err)
		return
	}
	if a.more() {
		p.errorf(a.words[0].Pos, "", "'http-error' : unknown keyword '%s'", a.words[0].Text)
		return
	}
	if !slices.Contains(errorStatuses, r.Status) {
		p.errorf(w[0].Pos, "write 'http-error status 503 …' with a status that errorfile knows", "'http-error' : expects 'status' with the status of an error message")
		return
	}
	p.proxy.Errors[r.Status] = model.ErrorReply{Pos: w[0].Pos, Reply: r}
}

// parseErrorFiles refers to an http-errors section; plan copies its files.
func parseErrorFiles(p *parser, w []word) {
	v, ok := p.need(w, 1, "the name of an http-errors section")
	if !ok {
		return
	}
	statuses := errorStatuses
	if len(w) > 2 {
		statuses = nil
		for _, x := range w[2:] {
			s, ok := p.errorStatus("errorfiles", x)
			if !ok {
				return
			}
			statuses = append(statuses, s)
		}
	}
	for _, s := range statuses {
		p.proxy.Errors[s] = model.ErrorReply{Pos: v.Pos, Reply: &model.Reply{Pos: v.Pos, Status: s, ErrorFiles: v.Text}}
	}
}

func parseMonitorNet(p *parser, w []word) {
	v, ok := p.need(w, 1, "a network")
	if !ok {
		return
	}
	if !isNetwork(v.Text) {
		p.errorf(v.Pos, "write an address or a network, such as 10.0.0.0/8", "'monitor-net': '%s' is no network", v.Text)
		return
	}
	p.warnf(w[0].Pos, "write:  http-request return status 200 if { src "+v.Text+" }", "'monitor-net' is an old form")
	p.proxy.Frontend.MonitorNet = v.Text
}

func parseCaptureHeader(p *parser, w []word) {
	if len(w) != 6 || w[2].Text != "header" || w[4].Text != "len" {
		p.errorf(w[0].Pos, "write 'capture "+w[1].Text+" header NAME len N'", "'capture %s' expects 'header' <header_name> 'len' <len>", w[1].Text)
		return
	}
	n, ok := p.number("capture", w[5], 1, math.MaxInt32)
	if !ok {
		return
	}
	slots := &p.proxy.Frontend.RequestCaptures
	if w[1].Text == "response" {
		slots = &p.proxy.Frontend.ResponseCaptures
	}
	*slots = append(*slots, model.Capture{Pos: w[0].Pos, Name: w[3].Text, Len: n})
}

func parseCaptureCookie(p *parser, w []word) {
	if len(w) != 5 || w[3].Text != "len" {
		p.errorf(w[0].Pos, "write 'capture cookie NAME len N'", "'capture cookie' expects <cookie_name> 'len' <len>")
		return
	}
	n, ok := p.number("capture cookie", w[4], 1, math.MaxInt32)
	if !ok {
		return
	}
	name, exact := strings.CutSuffix(w[2].Text, "=")
	p.proxy.Frontend.CookieCapture = &model.CookieCapture{Pos: w[0].Pos, Name: name, Prefix: !exact, Len: n}
}

func parseDeclare(p *parser, w []word) {
	if len(w) != 5 || w[2].Text != "request" && w[2].Text != "response" || w[3].Text != "len" {
		p.errorf(w[0].Pos, "write 'declare capture request len N'", "'declare' expects 'capture' 'request' or 'response' 'len' <len>")
		return
	}
	n, ok := p.number("declare capture", w[4], 1, math.MaxInt32)
	if !ok {
		return
	}
	slots := &p.proxy.Frontend.RequestCaptures
	if w[2].Text == "response" {
		slots = &p.proxy.Frontend.ResponseCaptures
	}
	*slots = append(*slots, model.Capture{Pos: w[0].Pos, Len: n})
}
