package haproxy

import (
	"slices"
	"strings"

	"evenkeel/internal/model"
)

// condOf reads the rest of a line that must be a condition or nothing.
func (p *parser) condOf(words []word) (model.Cond, bool) {
	c, err := parseCond(p, words)
	if err != nil {
		p.report(words[0].Pos, err)
	}
	return c, err == nil
}

// nameFormat reads a name that may hold samples. Without a percent sign it is
// what it says.
func (p *parser) nameFormat(w word) (*model.Format, bool) {
	if !strings.Contains(w.Text, "%") {
		return model.Literal(w.Pos, w.Text), true
	}
	f, err := parseFormat(p, w, formatPlain)
	if err != nil {
		p.report(w.Pos, err)
	}
	return f, err == nil
}

func parseUseBackend(p *parser, words []word) {
	if len(words) < 2 {
		p.errorf(after(words[0]), "write: use_backend NAME if CONDITION", "'use_backend' expects a backend name")
		return
	}
	if len(words) > 2 && !isCondition(words[2]) {
		p.errorf(words[2].Pos, "write: use_backend "+words[1].Text+" if CONDITION",
			"unexpected keyword '%s' after switching rule, only 'if' and 'unless' are allowed", words[2].Text)
		return
	}
	name, ok := p.nameFormat(words[1])
	if !ok {
		return
	}
	c, ok := p.condOf(words[2:])
	if !ok {
		return
	}
	p.checkOrder(words[0], setUseBackend)
	p.proxy.Frontend.UseBackend = append(p.proxy.Frontend.UseBackend, model.UseBackend{Pos: words[1].Pos, Name: name, Cond: c})
}

func parseUseServer(p *parser, words []word) {
	if len(words) < 3 {
		p.errorf(after(words[len(words)-1]), "write: use-server NAME if CONDITION", "'use-server' expects a server name and a condition")
		return
	}
	if !isCondition(words[2]) {
		p.errorf(words[2].Pos, "write: use-server "+words[1].Text+" if CONDITION",
			"unexpected keyword '%s' after server name, only 'if' and 'unless' are allowed", words[2].Text)
		return
	}
	name, ok := p.nameFormat(words[1])
	if !ok {
		return
	}
	c, ok := p.condOf(words[2:])
	if !ok {
		return
	}
	p.checkOrder(words[0], setUseServer)
	p.proxy.Backend.UseServer = append(p.proxy.Backend.UseServer, model.UseServer{Pos: words[1].Pos, Name: name, Cond: c})
}

func parseMonitorFail(p *parser, words []word) {
	if len(words) < 3 || !isCondition(words[2]) {
		pos := after(words[1])
		if len(words) > 2 {
			pos = words[2].Pos
		}
		p.errorf(pos, "write: monitor fail if CONDITION", "'monitor fail' requires either 'if' or 'unless' followed by a condition")
		return
	}
	c, ok := p.condOf(words[2:])
	if !ok {
		return
	}
	p.checkOrder(words[0], setMonitor)
	p.proxy.Frontend.MonitorFail = append(p.proxy.Frontend.MonitorFail, c)
}

// parseRedirectLine reads a `redirect` line: a redirection whose target is
// plain text.
func parseRedirectLine(p *parser, words []word) {
	a := &actionArgs{p: p, set: setHTTPRequest, name: words[0], words: words[1:], last: words[0], usage: "redirect " + redirectArgs}
	action, err := parseRedirect(a, func(w word) (*model.Format, error) { return model.Literal(w.Pos, w.Text), nil })
	if err != nil {
		p.report(words[0].Pos, err)
		return
	}
	c, ok := p.condOf(a.words)
	if !ok {
		return
	}
	p.checkOrder(words[0], setRedirect)
	p.proxy.Redirects = append(p.proxy.Redirects, model.Rule{Pos: words[0].Pos, Text: p.text, Cond: c, Action: action})
}

// parseBlock reads a `block` line of HAProxy 1.x. Such rules run before all
// http-request rules.
func parseBlock(p *parser, words []word) {
	if len(words) < 2 {
		p.errorf(after(words[0]), "write: http-request deny if CONDITION", "'block' expects either 'if' or 'unless' followed by a condition")
		return
	}
	c, ok := p.condOf(words[1:])
	if !ok {
		return
	}
	p.warnf(words[0].Pos, "write:  http-request deny "+join(words[1:]), "the 'block' directive is not supported anymore since HAProxy 2.1; it works here")
	list := &p.proxy.HTTPRequest
	*list = slices.Insert(*list, blocks(*list), model.Rule{Pos: words[0].Pos, Text: p.text, Cond: c, Action: model.ActionDeny{}})
}
