package haproxy

import (
	"maps"
	"slices"
	"strings"

	"evenkeel/internal/model"
)

// sectionKeyword is one word that opens a section.
type sectionKeyword struct {
	name   string
	args   string
	help   string
	kind   section
	status status
	cure   string
	open   func(p *parser, words []word)
}

// sectionTable is filled by init: the functions look into it.
var sectionTable []*sectionKeyword

func init() {
	later := func(name, help, cure string) *sectionKeyword {
		return &sectionKeyword{name: name, args: "NAME", help: help, status: statusLater, cure: cure}
	}
	sectionTable = []*sectionKeyword{
		{name: "global", kind: secGlobal, help: "settings of the process; several sections add up", open: (*parser).openGlobal},
		{name: "defaults", args: "[NAME] [from DEFAULTS]", kind: secDefaults, help: "settings that the proxies after it start with", open: (*parser).openDefaults},
		{name: "frontend", args: "NAME [from DEFAULTS]", kind: secFrontend, help: "a listener: accepts connections and chooses a backend", open: (*parser).openProxy},
		{name: "backend", args: "NAME [from DEFAULTS]", kind: secBackend, help: "a pool of servers", open: (*parser).openProxy},
		{name: "listen", args: "NAME [from DEFAULTS]", kind: secListen, help: "a listener and its pool in one", open: (*parser).openProxy},
		{name: "userlist", args: "NAME", kind: secUserlist, help: "users and groups for HTTP authentication", open: (*parser).openUserlist},
		{name: "http-errors", args: "NAME", kind: secHTTPErrors, help: "a named set of error files", open: (*parser).openHTTPErrors},
		later("peers", "shares stick tables between nodes", "take the section out; stick tables come with a later version"),
		later("resolvers", "asks DNS servers at run time", "take the section out, with the 'resolvers' parameter of the servers; names are resolved at start"),
		later("mailers", "sends mail when a server goes down", "take the section out, with the email-alert lines"),
		later("cache", "keeps small responses", "take the section out, with the cache-use and cache-store rules"),
		later("program", "runs another program beside the worker", "start the program with the init system"),
		later("fcgi-app", "speaks FastCGI to servers", "put an HTTP server before the FastCGI application"),
		later("ring", "buffers log lines", "send the logs straight to their server"),
		later("log-forward", "receives and forwards syslog", "let the syslog daemon forward"),
		later("log-profile", "formats for the steps of a log line", "use log-format"),
		later("traces", "traces of the program's insides", "take the section out"),
		later("crt-store", "certificates by alias", "name the certificate's file on the bind line"),
		later("dynamic-update", "options of update at run time", "take the section out"),
	}
}

func findSection(name string) *sectionKeyword {
	for _, s := range sectionTable {
		if s.name == name {
			return s
		}
	}
	return nil
}

func sectionKeywords() []string {
	var names []string
	for _, s := range sectionTable {
		names = append(names, s.name)
	}
	return names
}

func (p *parser) openSection(s *sectionKeyword, words []word) {
	p.closeSection()
	p.section, p.sectionName = s.kind, s.name
	if len(words) > 1 {
		p.sectionName = words[1].Text
	}
	if s.status == statusLater {
		p.errorf(words[0].Pos, s.cure, "section '%s' is not supported yet", s.name)
		p.section = secSkipped
		return
	}
	s.open(p, words)
}

// closeSection ends the section that is being read.
func (p *parser) closeSection() {
	p.checkLogFormats()
	p.proxy, p.state, p.userlist, p.httpErrors, p.section = nil, nil, nil, nil, 0
}

// finish ends the last section and does what needs the whole of the files.
func (p *parser) finish() {
	p.closeSection()
	p.finishGlobal()
}

func (p *parser) openGlobal(words []word) {
	p.tooMany(words, 0)
	if p.cfg.Global.Pos.IsZero() {
		p.cfg.Global.Pos = words[0].Pos
	}
}

// openDefaults starts a defaults section. It inherits from nothing but the
// section that a `from` names.
func (p *parser) openDefaults(words []word) {
	d := &defaultsSection{pos: words[0].Pos}
	base := p.from(&words)
	if base == nil {
		d.proxy, d.state = initialProxy(), newState()
	} else {
		d.proxy, d.state = cloneProxy(base.proxy), base.state.clone()
	}
	if len(words) > 1 {
		d.name = words[1].Text
		p.checkName("defaults", words[1])
		if old := p.defaultsNamed(d.name); old != nil && old.referenced {
			p.warnf(words[1].Pos, "give it another name", "defaults section '%s' has the same name as the one declared at %s:%d, which is explicitly referenced", d.name, old.pos.File, old.pos.Line)
		}
	}
	p.tooMany(words, 1)
	d.proxy.Pos = words[0].Pos
	p.defaults = append(p.defaults, d)
	p.current = d
	p.proxy, p.state = d.proxy, d.state
}

// from takes `from NAME` off the end of a section line.
func (p *parser) from(words *[]word) *defaultsSection {
	w := *words
	for i := 1; i < len(w); i++ {
		if w[i].Text != "from" || i > 2 {
			continue
		}
		if i == 1 && w[0].Text != "defaults" && len(w) < 3 {
			return nil // a proxy named "from"
		}
		*words = w[:i]
		if i+1 >= len(w) {
			p.errorf(w[i].Pos, "write 'from NAME'", "'from' expects the name of a defaults section")
			return nil
		}
		if len(w) > i+2 {
			p.errorf(w[i+2].Pos, "", "'%s' cannot handle unexpected argument '%s'", w[0].Text, w[i+2].Text)
		}
		if d := p.defaultsNamed(w[i+1].Text); d != nil {
			d.referenced = true
			return d
		}
		var known []string
		for _, d := range p.defaults {
			known = append(known, d.name)
		}
		p.errorf(w[i+1].Pos, closest(w[i+1].Text, known), "%s '%s' references unknown defaults section '%s'", w[0].Text, w[1].Text, w[i+1].Text)
		return nil
	}
	return nil
}

// defaultsNamed finds the last defaults section of a name.
func (p *parser) defaultsNamed(name string) *defaultsSection {
	for _, d := range slices.Backward(p.defaults) {
		if d.name == name && name != "" {
			return d
		}
	}
	return nil
}

func (p *parser) openProxy(words []word) {
	kind := map[string]model.ProxyKind{"frontend": model.KindFrontend, "backend": model.KindBackend, "listen": model.KindListen}[words[0].Text]
	base := p.from(&words)
	if base == nil {
		base = p.current
	}
	if len(words) < 2 {
		p.errorf(words[0].Pos, "write '"+words[0].Text+" NAME'", "'%s' expects an <id> as argument", words[0].Text)
		p.section = secSkipped
		return
	}
	p.checkName("'"+words[0].Text+"'", words[1])
	if old := p.cfg.Proxy(words[1].Text, kind); old != nil {
		p.errorf(words[1].Pos, "give it another name", "%s '%s' has the same name as %s '%s' declared at %s:%d",
			words[0].Text, words[1].Text, kindName(old.Kind), old.Name, old.Pos.File, old.Pos.Line)
	}
	if base == nil {
		p.proxy, p.state = initialProxy(), newState()
	} else {
		p.proxy, p.state = cloneProxy(base.proxy), base.state.clone()
	}
	p.proxy.Name, p.proxy.Pos, p.proxy.Kind = words[1].Text, words[0].Pos, kind
	p.cfg.Proxies = append(p.cfg.Proxies, p.proxy)
	p.legacyAddress(words)
}

// legacyAddress reads the address that old files write on the line that
// opens a frontend or listen section.
func (p *parser) legacyAddress(words []word) {
	if len(words) < 3 {
		return
	}
	if p.section == secBackend {
		p.ignored(words, 2)
		return
	}
	modern := "bind " + rewrite(words[2:])
	p.warnf(words[2].Pos, "write on its own line:  "+modern, "the address on the '%s' line is an old form", words[0].Text)
	bind := word{Text: "bind", Pos: words[2].Pos}
	parseBind(p, append([]word{bind}, words[2:]...))
}

func kindName(k model.ProxyKind) string {
	switch k {
	case model.KindFrontend:
		return "frontend"
	case model.KindBackend:
		return "backend"
	}
	return "proxy"
}

func newState() *proxyState {
	return &proxyState{acls: map[string]*namedACL{}, defaultServer: &serverDraft{}}
}

// clone is the state of a proxy that starts with a defaults section. Named
// acls stay private to the section.
func (s *proxyState) clone() *proxyState {
	c := newState()
	c.defaultServer = s.defaultServer.clone()
	c.check = checkState{implicit: s.check.implicit, inherited: true}
	return c
}

// initialProxy has what holds without any defaults section.
func initialProxy() *model.Proxy {
	p := &model.Proxy{Errors: map[int]model.ErrorReply{}}
	p.Backend.Balance = model.Balance{Draws: 2}
	return p
}

// cloneProxy copies what a proxy inherits, so that its own lines leave the
// defaults section alone.
func cloneProxy(d *model.Proxy) *model.Proxy {
	c := *d
	c.Errors = maps.Clone(d.Errors)
	c.Logs = slices.Clone(d.Logs)
	for _, rules := range []*[]model.Rule{
		&c.TCPConnection, &c.TCPSession, &c.TCPContent, &c.TCPResponse, &c.HTTPRequest, &c.HTTPResponse,
		&c.HTTPAfterResponse, &c.Redirects, &c.LegacyRequest, &c.LegacyResponse,
	} {
		*rules = slices.Clone(*rules)
	}
	f, b := &c.Frontend, &c.Backend
	f.Binds = slices.Clone(f.Binds)
	f.UseBackend = slices.Clone(f.UseBackend)
	f.MonitorFail = slices.Clone(f.MonitorFail)
	f.RequestCaptures = slices.Clone(f.RequestCaptures)
	f.ResponseCaptures = slices.Clone(f.ResponseCaptures)
	b.Servers = nil
	b.RetryOn = slices.Clone(b.RetryOn)
	b.UseServer = slices.Clone(b.UseServer)
	b.ForcePersist = slices.Clone(b.ForcePersist)
	b.IgnorePersist = slices.Clone(b.IgnorePersist)
	b.Check.Steps = slices.Clone(b.Check.Steps)
	return &c
}

// setStartVariables sets the HAPROXY_… variables that files may use.
func (p *parser) setStartVariables(files []File) {
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
	}
	p.env.set("HAPROXY_CFGFILES", strings.Join(names, ";"))
	if p.opt.LocalPeer != "" {
		p.env.set("HAPROXY_LOCALPEER", p.opt.LocalPeer)
	}
	if _, ok := p.env.get("HAPROXY_STARTUP_VERSION"); !ok {
		p.env.set("HAPROXY_STARTUP_VERSION", compatVersion)
	}
	p.env.set("HAPROXY_BRANCH", "3.0")
}
