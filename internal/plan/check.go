package plan

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"evenkeel/internal/model"
)

// checkProxy reports what does not go together in one proxy.
func (b *builder) checkProxy(p *model.Proxy) {
	b.missingTimeouts(p)
	if p.Kind&model.KindFrontend != 0 {
		if len(p.Frontend.Binds) == 0 {
			b.warnf(p.Pos, "add a bind line, or write 'backend "+p.Name+"'", "%s '%s' has no 'bind' directive. Please declare it as a backend if this was intended", kind(p), p.Name)
		}
		b.checkBinds(p)
	}
	if p.Mode == model.ModeTCP {
		b.httpInTCP(p)
	}
	if p.Kind&model.KindBackend != 0 {
		b.checkServers(p)
		b.checkChecks(p)
	}
	if p.LogFormat != nil && len(p.Logs) == 0 && p.Kind&model.KindFrontend != 0 {
		b.warnf(p.LogFormat.Pos, "add a log line, such as 'log global'", "log format ignored for %s '%s' since it has no log address", kind(p), p.Name)
	}
}

// missingTimeouts warns of sides that could wait for ever.
func (b *builder) missingTimeouts(p *model.Proxy) {
	t := &p.Timeouts
	var missing []string
	if p.Kind&model.KindFrontend != 0 && t.Client == 0 {
		missing = append(missing, "timeout client")
	}
	if p.Kind&model.KindBackend != 0 && len(p.Backend.Servers) > 0 {
		if t.Connect == 0 {
			missing = append(missing, "timeout connect")
		}
		if t.Server == 0 && (p.Mode == model.ModeHTTP || t.Tunnel == 0) {
			missing = append(missing, "timeout server")
		}
	}
	if len(missing) > 0 {
		b.warnf(p.Pos, "add, here or in the defaults:  "+strings.Join(missing, " 30s,  ")+" 30s", "missing timeouts for %s '%s'. While not properly invalid, you will certainly encounter various problems with such a configuration", kind(p), p.Name)
	}
}

func (b *builder) checkBinds(p *model.Proxy) {
	for _, l := range p.Frontend.Binds {
		if l.TLS != nil && len(l.TLS.Certs)+len(l.TLS.CRTLists) == 0 && !l.TLS.GenerateCertificates {
			b.errorf(l.Pos, "add 'crt FILE'", "Proxy '%s': no SSL certificate specified for bind '%s' at [%s:%d] (use 'crt')", p.Name, l.Text, l.Pos.File, l.Pos.Line)
		}
		if l.TLS != nil && (l.TLS.Verify == "optional" || l.TLS.Verify == "required") && l.TLS.CAFile == "" && l.TLS.CAVerifyFile == "" {
			b.errorf(l.Pos, "add 'ca-file FILE', or write 'verify none'", "Proxy '%s': verify is enabled but no CA file specified for bind '%s' at [%s:%d]", p.Name, l.Text, l.Pos.File, l.Pos.Line)
		}
	}
}

// httpInTCP warns of what needs mode http and is ignored, as HAProxy does, and
// takes it out of the model.
func (b *builder) httpInTCP(p *model.Proxy) {
	cure := "write 'mode http', or take the lines out"
	for _, r := range []struct {
		name  string
		rules *[]model.Rule
	}{
		{"http-request", &p.HTTPRequest}, {"http-response", &p.HTTPResponse}, {"http-after-response", &p.HTTPAfterResponse},
		{"redirect", &p.Redirects}, {"req…", &p.LegacyRequest}, {"rsp…", &p.LegacyResponse},
	} {
		if len(*r.rules) > 0 {
			b.warnf((*r.rules)[0].Pos, cure, "'%s' rules ignored for %s '%s' as they require HTTP mode", r.name, kind(p), p.Name)
			*r.rules = nil
		}
	}
	if p.Kind&model.KindFrontend != 0 {
		if p.Frontend.MonitorURI != "" {
			b.warnf(p.Pos, cure, "monitor-uri will be ignored for %s '%s' (needs 'mode http')", kind(p), p.Name)
			p.Frontend.MonitorURI = ""
		}
		if p.Options.HTTPLog {
			b.warnf(p.Pos, "write 'option tcplog'", "'option httplog' not usable with %s '%s' (needs 'mode http'). Falling back to 'option tcplog'", kind(p), p.Name)
			p.Options.HTTPLog, p.Options.CLFLog, p.Options.TCPLog = false, false, true
		}
	}
	for _, o := range []struct {
		name  string
		field **model.ForwardFor
	}{{"forwardfor", &p.Options.ForwardFor}, {"originalto", &p.Options.OriginalTo}} {
		if f := *o.field; f != nil {
			b.warnf(f.Pos, cure, "'option %s' ignored for %s '%s' as it requires HTTP mode", o.name, kind(p), p.Name)
			*o.field = nil
		}
	}
	if p.Kind&model.KindBackend != 0 {
		b.httpBackendInTCP(p)
	}
}

func (b *builder) httpBackendInTCP(p *model.Proxy) {
	be := &p.Backend
	if be.Cookie != nil {
		b.warnf(be.Cookie.Pos, "write 'mode http', or 'balance source'", "cookie will be ignored for %s '%s' (needs 'mode http')", kind(p), p.Name)
		be.Cookie = nil
	}
	switch be.Balance.Algorithm {
	case "uri", "url_param", "hdr":
		b.warnf(be.Balance.Pos, "write 'mode http'", "Layer 7 hash not possible for %s '%s' (needs 'mode http'). Falling back to round robin", kind(p), p.Name)
		be.Balance = model.Balance{Pos: be.Balance.Pos, Algorithm: "roundrobin", Draws: 2}
	}
	if p.Options.PreferLastServer {
		b.warnf(p.Pos, "take it out", "'option prefer-last-server' ignored for %s '%s' as it requires HTTP mode", kind(p), p.Name)
		p.Options.PreferLastServer = false
	}
	for _, s := range be.Servers {
		if s.Redir != "" {
			b.errorf(s.Pos, "write 'mode http', or take 'redir' out", "%s '%s' : server cannot have cookie or redirect prefix in non-HTTP mode", kind(p), p.Name)
		} else if s.Cookie != "" {
			b.warnf(s.Pos, "write 'mode http', or take 'cookie' out", "%s '%s' : ignoring cookie for server '%s' as HTTP mode is disabled", kind(p), p.Name, s.Name)
			s.Cookie = ""
		}
	}
}

func (b *builder) checkServers(p *model.Proxy) {
	first := map[string]*model.Server{}
	for _, s := range p.Backend.Servers {
		if old := first[s.Name]; old != nil {
			b.errorf(s.Pos, "give it another name", "%s '%s', another server named '%s' was already defined at line %d, please use distinct names", kind(p), p.Name, s.Name, old.Pos.Line)
		} else {
			first[s.Name] = s
		}
		b.checkServer(p, s)
	}
	if p.Backend.Dispatch != "" && len(p.Backend.Servers) > 0 {
		b.warnf(p.Backend.DispatchPos, "take the dispatch line out", "dispatch address will be ignored for %s '%s' in presence of a 'server' line", kind(p), p.Name)
		p.Backend.Dispatch = ""
	}
}

func (b *builder) checkServer(p *model.Proxy, s *model.Server) {
	label := "'server " + p.Name + "/" + s.Name + "'"
	tls := s.TLS
	if tls == nil && checkUsesTLS(p, s) {
		tls = s.Check.TLSParams
	}
	if tls != nil {
		if tls.Verify == "" && (b.plan.Config.Global.ServerVerifyNone || b.opt.SSLVerifyNone) {
			tls.Verify = "none"
		}
		if tls.Verify != "none" && tls.CAFile == "" {
			how := "verify is enabled by default"
			if tls.Verify != "" {
				how = "verify is enabled"
			}
			b.errorf(s.Pos, "add 'ca-file FILE' ('ca-file @system-ca' for the system's), or 'verify none'", "%s : %s but no CA file specified", label, how)
		}
	}
	if s.Addr.Network == "tcp" && b.opt.Resolve != nil && !strings.Contains(s.InitAddr, "none") && !hasLiteral(s.InitAddr) {
		if err := b.opt.Resolve(s.Addr.Host); err != nil {
			b.errorf(s.Pos, "mend the name, or add 'init-addr none' to start without it", "%s : could not resolve address '%s'", label, s.Addr.Host)
		}
	}
	if s.Check.Enabled && s.Track != "" {
		b.errorf(s.Pos, "take 'check' or 'track' out", "%s : unable to enable checks and tracking at the same time", label)
	}
	if s.Agent.Enabled && s.Agent.Port == 0 {
		b.errorf(s.Pos, "add 'agent-port PORT'", "%s : server %s does not have agent port. Agent check has been disabled", label, s.Name)
	}
	if s.Check.Enabled && !hasCheckPort(p, s) {
		b.errorf(s.Pos, "add 'port PORT' to the server", "%s '%s': server '%s' has neither service port nor check port nor tcp_check rule 'connect' with port information", kind(p), p.Name, s.Name)
	}
	// A minconn that is not below maxconn is a maxconn.
	if s.MinConn > s.MaxConn {
		s.MaxConn = s.MinConn
	} else if s.MaxConn > 0 && s.MinConn == 0 {
		s.MinConn = s.MaxConn
	}
}

// checkUsesTLS says whether the checks of a server that has no `ssl` use TLS.
func checkUsesTLS(p *model.Proxy, s *model.Server) bool {
	if !s.Check.Enabled && !slices.ContainsFunc(p.Backend.Check.Steps, func(x model.CheckStep) bool { return x.TLS }) {
		return false
	}
	if s.Check.TLS != nil {
		return *s.Check.TLS
	}
	return slices.ContainsFunc(p.Backend.Check.Steps, func(x model.CheckStep) bool { return x.TLS })
}

// hasLiteral: init-addr ends in an address to fall back upon.
func hasLiteral(initAddr string) bool {
	for _, m := range strings.Split(initAddr, ",") {
		if _, err := netip.ParseAddr(m); err == nil {
			return true
		}
	}
	return false
}

// hasCheckPort says whether a check knows where to connect to.
func hasCheckPort(p *model.Proxy, s *model.Server) bool {
	switch s.Addr.Network {
	case "unix", "abns", "fd":
		return true
	}
	if s.Check.Port != 0 || s.Addr.Port > 0 && !s.Addr.PortMapped || strings.Contains(s.Check.Addr, "/") {
		return true
	}
	steps := p.Backend.Check.Steps
	for _, x := range steps {
		switch x.Kind {
		case model.StepConnect:
			return x.Port != 0 || x.PortExpr != nil
		case model.StepSend, model.StepExpect:
			return false
		}
	}
	return false
}

// checkChecks warns of check lines for another protocol than the one chosen.
func (b *builder) checkChecks(p *model.Proxy) {
	c := &p.Backend.Check
	if c.Kind == model.CheckHTTP || c.Kind == model.CheckTCP {
		http := func(s model.CheckStep) bool {
			return s.Method != "" || s.URI != nil || s.Headers != nil || s.Body != nil || s.Match == "status" || s.Match == "rstatus" || s.Match == "hdr" || s.Match == "fhdr"
		}
		if c.Kind == model.CheckTCP && slices.ContainsFunc(c.Steps, http) {
			b.warnf(c.Steps[0].Pos, "add 'option httpchk'", "%s '%s' uses http-check rules without 'option httpchk', so the rules are ignored", kind(p), p.Name)
			c.Steps = nil
		}
		return
	}
	c.Steps = nil
}

// errorPages reads error files, and copies those that `errorfiles` names.
func (b *builder) errorPages(cfg *model.Config) {
	cache := map[string][]byte{}
	load := func(files map[int]model.ErrorReply) {
		for _, status := range slices.Sorted(maps.Keys(files)) {
			r := files[status]
			if r.File != "" && r.Raw == nil {
				r.Raw = b.errorFile(r, cache)
				files[status] = r
			}
		}
	}
	sets := map[string]*model.HTTPErrors{}
	for _, s := range cfg.HTTPErrors {
		load(s.Files)
		sets[s.Name] = s
	}
	for _, p := range cfg.Proxies {
		if p.Disabled {
			continue
		}
		unknown := map[string]bool{}
		for _, status := range slices.Sorted(maps.Keys(p.Errors)) {
			r := p.Errors[status]
			if r.Reply == nil || r.Reply.ErrorFiles == "" {
				continue
			}
			set := sets[r.Reply.ErrorFiles]
			if set == nil {
				if !unknown[r.Reply.ErrorFiles] {
					b.errorf(r.Pos, "add a section 'http-errors "+r.Reply.ErrorFiles+"'", "proxy '%s': unknown http-errors section '%s'", p.Name, r.Reply.ErrorFiles)
				}
				unknown[r.Reply.ErrorFiles] = true
				continue
			}
			if file, ok := set.Files[status]; ok {
				p.Errors[status] = file
			} else {
				delete(p.Errors, status)
			}
		}
		load(p.Errors)
	}
}

func (b *builder) errorFile(r model.ErrorReply, cache map[string][]byte) []byte {
	b.plan.Files = append(b.plan.Files, FileRef{Pos: r.Pos, Use: UseErrorFile, Path: r.File})
	if raw, ok := cache[r.File]; ok {
		return raw
	}
	raw, err := b.opt.ReadFile(r.File)
	switch {
	case err != nil:
		b.errorf(r.Pos, "write the file, or take the line out", "errorfile : error opening file '%s': %s", r.File, reason(err))
		raw = []byte{}
	case raw == nil:
		raw = []byte{}
	case len(raw) > 0 && !strings.HasPrefix(string(raw), "HTTP/1."):
		b.errorf(r.Pos, "start the file with a status line, such as HTTP/1.1 503 Service Unavailable, then headers, an empty line and the body", "errorfile : file '%s' is no HTTP/1 response", r.File)
	}
	cache[r.File] = raw
	return raw
}

// files lists what the proxy needs at start, and reports certificates that
// are not there.
func (b *builder) files(p *model.Proxy) {
	need := func(pos model.Pos, use FileUse, path string) {
		if path == "" || strings.HasPrefix(path, "@") {
			return
		}
		b.plan.Files = append(b.plan.Files, FileRef{Pos: pos, Use: use, Path: path})
		err := b.opt.Stat(path)
		if use == UseCertificate {
			// A name may stand for a bundle: one file for each kind of key.
			for _, kind := range []string{".rsa", ".ecdsa", ".dsa"} {
				if err != nil && b.opt.Stat(path+kind) == nil {
					err = nil
				}
			}
		}
		if err != nil {
			b.errorf(pos, "put the file there, or mend the path", "unable to stat SSL certificate from file '%s' : %s", path, reason(err))
		}
	}
	for _, l := range p.Frontend.Binds {
		if l.TLS == nil {
			continue
		}
		for _, c := range l.TLS.Certs {
			need(c.Pos, UseCertificate, c.Path)
		}
		for _, c := range l.TLS.CRTLists {
			need(c.Pos, UseCRTList, c.Path)
		}
		need(l.Pos, UseCA, l.TLS.CAFile)
		need(l.Pos, UseCA, l.TLS.CAVerifyFile)
		need(l.Pos, UseCRL, l.TLS.CRLFile)
		need(l.Pos, UseTicketKeys, l.TLS.TicketKeys)
	}
	for _, s := range p.Backend.Servers {
		if s.TLS != nil {
			need(s.Pos, UseCA, s.TLS.CAFile)
			need(s.Pos, UseCRL, s.TLS.CRLFile)
			need(s.Pos, UseCertificate, s.TLS.CRT)
		}
	}
}
