package haproxy

import (
	"encoding/hex"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"evenkeel/internal/model"
)

// checkLine is what is known of a proxy's check beyond the model.
type checkState struct {
	// implicit: the first send step comes from an `option httpchk` line, and
	// the first http-check send line is merged with it.
	implicit bool
	// inherited: the steps come from the defaults section, and the first line
	// of the proxy itself replaces them.
	inherited bool
}

// chk makes an entry for an option that chooses the protocol of checks.
func chk(name, args string, kind model.CheckKind, help string, read func(p *parser, w []word, c *model.Check) bool) *keyword {
	return optDo(name, args, secBE, help, false, func(p *parser, w []word) {
		c := &p.proxy.Backend.Check
		next := model.Check{Pos: w[0].Pos, Kind: kind, Steps: c.Steps, DisableOn404: c.DisableOn404, SendState: c.SendState}
		if kind != c.Kind && len(c.Steps) > 0 && p.state.check.inherited {
			next.Steps = nil
		}
		if read == nil && !p.optionArgs(w, 0) || read != nil && !read(p, w, &next) {
			return
		}
		*c = next
	})
}

var checkKeywords = []*keyword{
	chk("httpchk", "[[METHOD] URI [VERSION]]", model.CheckHTTP, "checks speak HTTP", readHTTPCheck),
	chk("tcp-check", "", model.CheckTCP, "checks follow the tcp-check lines", nil),
	chk("ssl-hello-chk", "", model.CheckSSLHello, "checks send an SSLv3 hello", nil),
	chk("smtpchk", "[HELO|EHLO DOMAIN]", model.CheckSMTP, "checks speak SMTP", readSMTPCheck),
	chk("mysql-check", "[user NAME [post-41|pre-41]]", model.CheckMySQL, "checks speak MySQL", readMySQLCheck),
	chk("pgsql-check", "user NAME", model.CheckPgSQL, "checks speak PostgreSQL", readPgSQLCheck),
	chk("ldap-check", "", model.CheckLDAP, "checks speak LDAP", nil),
	chk("redis-check", "", model.CheckRedis, "checks speak Redis", nil),
	chk("spop-check", "", model.CheckSPOP, "checks speak to an SPOE agent", nil),
	px("http-check", "connect|send|expect|send-state|disable-on-404|set-var|unset-var|comment …", secBE, "one step of HTTP checks", parseHTTPCheck),
	px("tcp-check", "connect|send|send-binary|expect|set-var|unset-var|comment …", secBE, "one step of TCP checks", parseTCPCheck),
}

// readHTTPCheck reads `option httpchk [METHOD] URI [VERSION]`. Old files put
// headers behind the version, with \r\n between them.
func readHTTPCheck(p *parser, w []word, c *model.Check) bool {
	s := model.CheckStep{Pos: w[0].Pos, Kind: model.StepSend}
	switch args := w[2:]; {
	case len(args) == 1:
		s.URI = model.Literal(args[0].Pos, args[0].Text)
	case len(args) >= 2:
		s.Method, s.URI = args[0].Text, model.Literal(args[1].Pos, args[1].Text)
		if len(args) > 2 && !p.checkVersion(args, &s) {
			return false
		}
	}
	if p.state.check.inherited {
		c.Steps, p.state.check = nil, checkState{}
	}
	i := firstSend(c.Steps)
	switch {
	case i < 0:
		at := 0
		for at < len(c.Steps) && c.Steps[at].Kind == model.StepConnect {
			at++
		}
		c.Steps = slices.Insert(slices.Clone(c.Steps), at, s)
		p.state.check.implicit = true
	case p.state.check.implicit:
		c.Steps[i] = s
	default:
		overwriteSend(&c.Steps[i], s)
	}
	return true
}

// checkVersion reads the version and the headers that old files hide in it.
func (p *parser) checkVersion(args []word, s *model.CheckStep) bool {
	text := join(args[2:])
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	s.Version = strings.TrimSpace(lines[0])
	if !strings.HasPrefix(s.Version, "HTTP/") {
		p.warnf(args[2].Pos, "write HTTP/1.0 or HTTP/1.1", "'option httpchk': '%s' is no HTTP version", s.Version)
	}
	var modern []string
	for i, line := range lines[1:] {
		line = strings.TrimSuffix(line, "\r")
		if line == "" {
			if body := strings.Join(lines[i+2:], "\n"); body != "" {
				s.Body = model.Literal(args[2].Pos, body)
				modern = append(modern, "body "+quoteWord(body))
			}
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			p.errorf(args[2].Pos, `write "HTTP/1.1\r\nHost: NAME"`, "'option httpchk' : expects an HTTP header after the version (got '%s')", line)
			return false
		}
		value = strings.TrimLeft(value, " \t")
		s.Headers = append(s.Headers, model.HeaderFormat{Pos: args[2].Pos, Name: name, Value: model.Literal(args[2].Pos, value)})
		modern = append(modern, "hdr "+quoteWord(name)+" "+quoteWord(value))
	}
	if len(modern) > 0 {
		p.warnf(args[2].Pos, "write:  http-check send meth "+quoteWord(args[0].Text)+" uri "+quoteWord(args[1].Text)+" ver "+quoteWord(s.Version)+" "+strings.Join(modern, " "),
			"'option httpchk' : hiding headers or body at the end of the version string is deprecated. Please, consider to use 'http-check send' directive instead")
	} else if len(args) > 3 {
		p.errorf(args[3].Pos, "", "'option httpchk' cannot handle unexpected argument '%s'", args[3].Text)
		return false
	}
	return true
}

// firstSend is the place of a send step that stands first or behind the first
// connect; -1: there is none.
func firstSend(steps []model.CheckStep) int {
	for i, s := range steps {
		switch s.Kind {
		case model.StepSend:
			return i
		case model.StepExpect:
			return -1
		}
	}
	return -1
}

// overwriteSend merges an option httpchk line and an http-check send line.
func overwriteSend(old *model.CheckStep, s model.CheckStep) {
	if s.Method != "" {
		old.Method = s.Method
	}
	if s.URI != nil {
		old.URI = s.URI
	}
	if s.Version != "" {
		old.Version = s.Version
	}
	if s.Headers != nil {
		old.Headers = s.Headers
	}
	if s.Body != nil {
		old.Body = s.Body
	}
	if s.Comment != "" {
		old.Comment = s.Comment
	}
}

func readSMTPCheck(p *parser, w []word, c *model.Check) bool {
	c.HELO = "HELO localhost"
	if len(w) == 2 {
		return true
	}
	if len(w) == 4 && (w[2].Text == "HELO" || w[2].Text == "EHLO") {
		c.HELO = w[2].Text + " " + w[3].Text
		return true
	}
	if len(w) < 4 {
		p.warnf(w[2].Pos, "write 'option smtpchk EHLO DOMAIN'", "'option smtpchk' with one argument says HELO localhost")
		return true
	}
	c.HELO = "HELO localhost"
	return p.optionArgs(w, 2)
}

func readMySQLCheck(p *parser, w []word, c *model.Check) bool {
	if len(w) == 2 {
		return true
	}
	if len(w) < 4 || w[2].Text != "user" {
		p.errorf(w[2].Pos, "write 'option mysql-check user NAME'", "'option mysql-check' expects 'user' <username>")
		return false
	}
	c.User = w[3].Text
	if len(w) > 4 {
		if !p.oneOf("option mysql-check", w[4], "post-41", "pre-41") {
			return false
		}
		c.MySQLPre41 = w[4].Text == "pre-41"
	}
	return p.optionArgs(w, 3)
}

func readPgSQLCheck(p *parser, w []word, c *model.Check) bool {
	if len(w) < 4 || w[2].Text != "user" {
		p.errorf(w[1].Pos, "write 'option pgsql-check user NAME'", "'option pgsql-check' expects 'user' <username>")
		return false
	}
	c.User = w[3].Text
	return p.optionArgs(w, 2)
}

// ownSteps drops inherited steps before the first line of the proxy itself is
// added. The request of an inherited `option httpchk` is dropped with them by
// a line that sends or connects, as in HAProxy. Before any other line it
// stays: HAProxy would connect, send nothing, and never see the server up.
func (p *parser) ownSteps(next model.CheckStepKind) *model.Check {
	c := &p.proxy.Backend.Check
	if !p.state.check.inherited {
		return c
	}
	i := firstSend(c.Steps)
	keep := i >= 0 && p.state.check.implicit && next != model.StepSend && next != model.StepConnect
	if keep {
		c.Steps = []model.CheckStep{c.Steps[i]}
	} else {
		c.Steps = nil
	}
	p.state.check = checkState{implicit: keep}
	return c
}

func parseHTTPCheck(p *parser, w []word) {
	if _, ok := p.need(w, 1, "a step: connect, send, expect, send-state, disable-on-404, set-var, unset-var or comment"); !ok {
		return
	}
	c := &p.proxy.Backend.Check
	switch w[1].Text {
	case "disable-on-404":
		c.DisableOn404 = true
		return
	case "send-state":
		c.SendState = true
		return
	}
	s := model.CheckStep{Pos: w[0].Pos}
	if !p.checkStep(w, &s, true) {
		return
	}
	c = p.ownSteps(s.Kind)
	last := model.CheckStepKind(255)
	for _, x := range c.Steps {
		if x.Kind <= model.StepExpect {
			last = x.Kind
		}
	}
	if p.state.check.implicit && len(c.Steps) == 1 {
		last = 255
	}
	wrong := ""
	switch {
	case last == 255:
	case last != model.StepConnect && s.Kind == model.StepSend:
		wrong = "connect"
	case last != model.StepSend && last != model.StepExpect && s.Kind == model.StepExpect:
		wrong = "send"
	case last != model.StepExpect && s.Kind == model.StepConnect:
		wrong = "expect"
	}
	if wrong != "" {
		p.errorf(w[0].Pos, "write 'http-check "+wrong+" …' first", "unable to add http-check %s rule at step %d (missing %s rule)", w[1].Text, len(c.Steps)+1, wrong)
		return
	}
	if s.Kind == model.StepSend && p.state.check.implicit {
		p.state.check.implicit = false
		if i := firstSend(c.Steps); i >= 0 {
			merged := c.Steps[i]
			overwriteSend(&merged, s)
			c.Steps = append(slices.Delete(slices.Clone(c.Steps), i, i+1), merged)
			return
		}
	}
	c.Steps = append(c.Steps, s)
}

func parseTCPCheck(p *parser, w []word) {
	if _, ok := p.need(w, 1, "a step: connect, send, send-binary, expect, set-var, unset-var or comment"); !ok {
		return
	}
	s := model.CheckStep{Pos: w[0].Pos}
	if p.checkStep(w, &s, false) {
		c := p.ownSteps(s.Kind)
		c.Steps = append(c.Steps, s)
	}
}

// checkStep reads one http-check or tcp-check line.
func (p *parser) checkStep(w []word, s *model.CheckStep, isHTTP bool) bool {
	name, paren, _ := strings.Cut(w[1].Text, "(")
	switch name {
	case "connect":
		return p.stepConnect(w[2:], s)
	case "expect":
		return p.stepExpect(w[1], w[2:], s, isHTTP)
	case "comment":
		s.Kind = model.StepComment
		v, ok := p.need(w, 2, "a text after 'comment'")
		s.Comment = v.Text
		return ok
	case "set-var", "set-var-fmt", "unset-var":
		return p.stepVar(name, paren, w, s)
	case "send":
		if isHTTP {
			return p.stepHTTPSend(w[2:], s)
		}
		return p.stepTCPSend(w, s)
	case "send-lf", "send-binary", "send-binary-lf":
		if !isHTTP {
			return p.stepTCPSend(w, s)
		}
	}
	known := []string{"connect", "send", "expect", "comment", "set-var", "set-var-fmt", "unset-var"}
	if isHTTP {
		known = append(known, "disable-on-404", "send-state")
	} else {
		known = append(known, "send-lf", "send-binary", "send-binary-lf")
	}
	cure := closest(w[1].Text, known)
	if cure == "" {
		cure = "write one of: " + strings.Join(known, ", ")
	}
	p.errorf(w[1].Pos, cure, "'%s' : unknown step '%s'", w[0].Text, w[1].Text)
	return false
}

func (p *parser) stepVar(name, paren string, w []word, s *model.CheckStep) bool {
	v, closed := strings.CutSuffix(paren, ")")
	v, _, _ = strings.Cut(v, ",")
	scope, _, dotted := strings.Cut(v, ".")
	if !closed || !dotted || !contains([]string{"proc", "sess", "txn", "req", "res", "check"}, scope) {
		p.errorf(w[1].Pos, "write '"+name+"(check.NAME)'", "'%s %s': invalid variable", w[0].Text, w[1].Text)
		return false
	}
	s.Kind, s.Var = model.StepSetVar, v
	if name == "unset-var" {
		s.Kind = model.StepUnsetVar
		return true
	}
	if _, ok := p.need(w, 2, "a value"); !ok {
		return false
	}
	if name == "set-var-fmt" {
		return p.checkFormat(w[2], &s.Format)
	}
	e, rest, err := parseExpr(p, w[2:])
	if err != nil {
		p.report(w[2].Pos, err)
		return false
	}
	if len(rest) > 0 {
		p.errorf(rest[0].Pos, "", "'%s %s' cannot handle unexpected argument '%s'", w[0].Text, w[1].Text, rest[0].Text)
		return false
	}
	s.Expr = e
	return true
}

func (p *parser) checkFormat(w word, field **model.Format) bool {
	f, err := parseFormat(p, w, formatCheck)
	if err != nil {
		p.report(w.Pos, err)
		return false
	}
	*field = f
	return true
}

// stepConnect reads what follows `connect`.
func (p *parser) stepConnect(w []word, s *model.CheckStep) bool {
	s.Kind = model.StepConnect
	values := map[string]*string{"addr": &s.Addr, "sni": &s.SNI, "alpn": &s.ALPN, "proto": &s.Proto, "comment": &s.Comment, "port": nil}
	flags := map[string]*bool{"default": &s.Default, "ssl": &s.TLS, "send-proxy": &s.SendProxy, "via-socks4": &s.ViaSOCKS4, "linger": &s.Linger}
	for i := 0; i < len(w); i++ {
		name := w[i].Text
		if f := flags[name]; f != nil {
			*f = true
			continue
		}
		field, ok := values[name]
		if !ok {
			p.errorf(w[i].Pos, closest(name, append(keys(values), keys(flags)...)), "'connect' : unknown parameter '%s'", name)
			return false
		}
		if i++; i >= len(w) {
			p.errorf(w[i-1].Pos, "", "'connect' : '%s' expects a value", name)
			return false
		}
		if name != "port" {
			*field = w[i].Text
		} else if !p.connectPort(w[i], s) {
			return false
		}
	}
	return true
}

func (p *parser) connectPort(w word, s *model.CheckStep) bool {
	if isDigit(w.Text[0]) {
		n, ok := p.number("connect port", w, 1, 65535)
		s.Port = n
		return ok
	}
	e, _, err := parseExpr(p, []word{w})
	if err != nil {
		p.report(w.Pos, err)
		return false
	}
	s.PortExpr = e
	return true
}

func (p *parser) stepTCPSend(w []word, s *model.CheckStep) bool {
	s.Kind = model.StepSend
	v, ok := p.need(w, 2, "a value after '"+w[1].Text+"'")
	if !ok {
		return false
	}
	switch w[1].Text {
	case "send":
		s.Data = []byte(v.Text)
	case "send-binary":
		b, err := hex.DecodeString(v.Text)
		if err != nil {
			p.errorf(v.Pos, "write an even number of hexadecimal digits", "'tcp-check send-binary' : '%s' is no binary string", v.Text)
			return false
		}
		s.Data = b
	default:
		s.Binary = w[1].Text == "send-binary-lf"
		if !p.checkFormat(v, &s.DataFormat) {
			return false
		}
	}
	if len(w) > 4 && w[3].Text == "comment" {
		s.Comment = w[4].Text
		return true
	}
	if len(w) > 3 {
		p.errorf(w[3].Pos, "write 'comment TEXT', or put the value in quotes", "'tcp-check %s' : expects 'comment', got '%s'", w[1].Text, w[3].Text)
		return false
	}
	return true
}

func (p *parser) stepHTTPSend(w []word, s *model.CheckStep) bool {
	s.Kind = model.StepSend
	known := []string{"meth", "uri", "uri-lf", "ver", "hdr", "body", "body-lf", "comment"}
	for i := 0; i < len(w); i += 2 {
		name := w[i]
		if !contains(known, name.Text) {
			p.errorf(name.Pos, closest(name.Text, known), "'http-check send' : unknown parameter '%s'", name.Text)
			return false
		}
		if i+1 >= len(w) || name.Text == "hdr" && i+2 >= len(w) {
			p.errorf(name.Pos, "", "'http-check send' : '%s' expects a value", name.Text)
			return false
		}
		v, ok := w[i+1], true
		switch name.Text {
		case "meth":
			s.Method = v.Text
		case "uri":
			s.URI = model.Literal(v.Pos, v.Text)
		case "uri-lf":
			ok = p.checkFormat(v, &s.URI)
		case "ver":
			s.Version = v.Text
		case "hdr":
			h := model.HeaderFormat{Pos: v.Pos, Name: v.Text}
			ok = p.checkFormat(w[i+2], &h.Value)
			// The body decides on the framing, as in HAProxy.
			if k := http.CanonicalHeaderKey(h.Name); k != "Content-Length" && k != "Transfer-Encoding" {
				s.Headers = append(s.Headers, h)
			}
			i++
		case "body":
			s.Body = model.Literal(v.Pos, v.Text)
		case "body-lf":
			ok = p.checkFormat(v, &s.Body)
		case "comment":
			s.Comment = v.Text
		}
		if !ok {
			return false
		}
	}
	return true
}

// stepExpect reads what follows `expect`.
func (p *parser) stepExpect(at word, w []word, s *model.CheckStep, isHTTP bool) bool {
	s.Kind = model.StepExpect
	i, ok := p.expectOptions(w, s)
	if !ok {
		return false
	}
	for i < len(w) && strings.HasPrefix(w[i].Text, "!") {
		s.Negate = !s.Negate
		if w[i].Text == "!" {
			i++
			continue
		}
		w = slices.Clone(w)
		w[i] = w[i].from(1)
	}
	if i >= len(w) {
		p.errorf(at.Pos, "write a match and a pattern, such as 'expect string OK'", "'expect' expects a match and a pattern")
		return false
	}
	return p.expectMatch(w[i:], s, isHTTP)
}

// expectOptions reads options, which stand before the match or behind its
// pattern, and says how many words they take.
func (p *parser) expectOptions(w []word, s *model.CheckStep) (n int, ok bool) {
	for ; n < len(w); n += 2 {
		name := w[n].Text
		field := map[string]*string{"comment": &s.Comment, "ok-status": &s.OKStatus, "error-status": &s.ErrorStatus, "tout-status": &s.TimeoutStatus}[name]
		if field == nil && !contains([]string{"min-recv", "on-success", "on-error", "status-code"}, name) {
			return n, true
		}
		if n+1 >= len(w) {
			p.errorf(w[n].Pos, "", "'expect' : '%s' expects a value", name)
			return n, false
		}
		if field == nil {
			if !p.expectOption(name, w[n+1], s) {
				return n, false
			}
			continue
		}
		*field = w[n+1].Text
		if name != "comment" && !p.checkStatus(w[n], w[n+1]) {
			return n, false
		}
	}
	return n, true
}

func (p *parser) checkStatus(name, v word) bool {
	return p.oneOf(name.Text, v, map[string][]string{
		"ok-status":    {"L7OK", "L7OKC", "L6OK", "L4OK"},
		"error-status": {"L7OKC", "L7RSP", "L7STS", "L6RSP", "L4CON"},
		"tout-status":  {"L7TOUT", "L6TOUT", "L4TOUT"},
	}[name.Text]...)
}

func (p *parser) expectOption(name string, v word, s *model.CheckStep) bool {
	switch name {
	case "min-recv":
		n, ok := p.number("min-recv", v, -1, math.MaxInt32)
		s.MinRecv = n
		return ok
	case "on-success":
		return p.checkFormat(v, &s.OnSuccess)
	case "on-error":
		return p.checkFormat(v, &s.OnError)
	}
	e, _, err := parseExpr(p, []word{v})
	if err != nil {
		p.report(v.Pos, err)
		return false
	}
	s.StatusCode = e
	return true
}

// expectMatch reads the match and its pattern; w starts with the match.
func (p *parser) expectMatch(w []word, s *model.CheckStep, isHTTP bool) bool {
	matches := []string{"string", "rstring", "binary", "rbinary", "string-lf", "binary-lf"}
	if isHTTP {
		matches = []string{"status", "rstatus", "string", "rstring", "string-lf", "hdr", "fhdr"}
	}
	m := w[0].Text
	if !contains(matches, m) {
		p.errorf(w[0].Pos, closest(m, matches), "'expect' : only supports %s (got '%s')", "'"+strings.Join(matches, "', '")+"'", m)
		return false
	}
	if len(w) < 2 {
		p.errorf(w[0].Pos, "", "'expect %s' expects a pattern", m)
		return false
	}
	s.Match = strings.TrimSuffix(m, "-lf")
	if s.Match == "hdr" || s.Match == "fhdr" {
		return p.expectHeader(w[1:], s)
	}
	v := w[1]
	s.Pattern = v.Text
	ok := true
	switch m {
	case "string-lf", "binary-lf":
		ok = p.checkFormat(v, &s.PatternFormat)
	case "status":
		if !statusRanges(v.Text) {
			p.errorf(v.Pos, "write statuses and ranges, such as 200,300-399", "'expect status' : invalid list '%s'", v.Text)
			return false
		}
	case "binary":
		b, err := hex.DecodeString(v.Text)
		if err != nil {
			p.errorf(v.Pos, "write an even number of hexadecimal digits", "'expect binary' : '%s' is no binary string", v.Text)
			return false
		}
		s.PatternBytes = b
	case "rstatus", "rstring", "rbinary":
		ok = p.checkRegex("expect "+m, v)
	}
	if ok && len(w) > 2 {
		n, good := p.expectOptions(w[2:], s)
		if !good || 2+n == len(w) {
			return good
		}
		// The rest is ignored by HAProxy; it is nearly always an unquoted space.
		p.warnf(w[2].Pos, "put the pattern in double quotes", "'expect %s' takes one pattern: '%s' and what follows is ignored", m, w[2].Text)
	}
	return ok
}

func statusRanges(s string) bool {
	for _, r := range strings.Split(s, ",") {
		lo, hi, isRange := strings.Cut(r, "-")
		if !isStatus(lo) || isRange && !isStatus(hi) {
			return false
		}
	}
	return true
}

func isStatus(s string) bool {
	return len(s) == 3 && isDigit(s[0]) && isDigit(s[1]) && isDigit(s[2])
}

// checkRegex reports an expression that cannot be compiled.
func (p *parser) checkRegex(name string, w word) bool {
	if _, err := regexp.Compile(w.Text); err != nil {
		p.errorf(w.Pos, "", "'%s' : invalid regular expression: %v", name, err)
		return false
	}
	return true
}

// expectHeader reads `name[-lf] [-m METHOD] NAME [value[-lf] [-m METHOD] VALUE]`.
func (p *parser) expectHeader(w []word, s *model.CheckStep) bool {
	read := func(what string, value, method *string, isFormat *bool) bool {
		*isFormat = w[0].Text == what+"-lf"
		if w[0].Text != what && !*isFormat {
			p.errorf(w[0].Pos, closest(w[0].Text, []string{what, what + "-lf"}), "'expect %s' : expects '%s' or '%s-lf', got '%s'", s.Match, what, what, w[0].Text)
			return false
		}
		at := w[0]
		w = w[1:]
		if len(w) > 1 && w[0].Text == "-m" {
			if !p.oneOf("-m", w[1], "str", "beg", "end", "sub", "reg") {
				return false
			}
			*method, w = w[1].Text, w[2:]
		}
		if len(w) == 0 {
			p.errorf(at.Pos, "", "'expect %s %s' expects a value", s.Match, what)
			return false
		}
		if *method == "reg" && !p.checkRegex("expect "+s.Match, w[0]) {
			return false
		}
		*value, w = w[0].Text, w[1:]
		return true
	}
	if !read("name", &s.HeaderName, &s.HeaderNameMatch, &s.HeaderNameFormat) {
		return false
	}
	if len(w) == 0 {
		return true
	}
	return read("value", &s.HeaderValue, &s.HeaderValueMatch, &s.HeaderValueFormat)
}
