package haproxy

import (
	"math"
	"strconv"
	"strings"
	"time"

	"evenkeel/internal/model"
)

var backendKeywords = []*keyword{
	{Name: "server", Args: "NAME ADDRESS[:PORT] [PARAMETER…]", Sections: secBackend | secListen, Foreign: true, Help: "a server of the pool", Parse: parseServer},
	{Name: "default-server", Args: "PARAMETER…", Sections: secBE, Foreign: true, Help: "parameters of the servers after this line", Parse: parseDefaultServer},
	{Name: "server-template", Args: "PREFIX NUMBER|RANGE ADDRESS[:PORT] [PARAMETER…]", Sections: secBackend | secListen, Foreign: true, Help: "several servers alike", Parse: parseServerTemplate},
	px("balance", "ALGORITHM [PARAMETER…]", secBE, "how a server is chosen", parseBalance),
	px("hash-type", "METHOD [FUNCTION [avalanche]]", secBE, "how hashes choose a server", parseHashType),
	px("hash-balance-factor", "PERCENT", secBE, "percent of the mean load that a server may reach; 0: no bound", func(p *parser, w []word) {
		v, ok := p.need(w, 1, "an integer")
		if !ok {
			return
		}
		n, ok := p.number("hash-balance-factor", v, 0, math.MaxInt32)
		if ok && n > 0 && n <= 100 {
			p.errorf(v.Pos, "write 0, or a number above 100 such as 150", "'hash-balance-factor' must be 0 or greater than 100.")
			return
		}
		if ok {
			p.proxy.Backend.HashBalanceFactor = n
		}
	}),
	px("cookie", "NAME [insert|rewrite|prefix] [indirect] [nocache] …", secBE, "keep clients on their server", parseCookie),
	pxString("dynamic-cookie-key", "KEY", secBE, "secret of dynamic cookies", func(x *model.Proxy) *string { return &x.Backend.DynamicCookieKey }),
	pxInt("fullconn", secBE, "load at which minconn reaches maxconn", 0, func(x *model.Proxy) *int { return &x.Backend.FullConn }),
	px("retries", "NUMBER", secBE, "attempts to connect after the first", func(p *parser, w []word) {
		v, ok := p.need(w, 1, "an integer")
		if !ok || p.tooMany(w, 1) {
			return
		}
		if n, ok := p.number("retries", v, 0, math.MaxInt32); ok {
			p.proxy.Backend.Retries = &n
		}
	}),
	{Name: "retry-on", Args: "CONDITION…", Sections: secBE, Foreign: true, Help: "failures after which a request is sent again", Parse: parseRetryOn},
	px("http-reuse", "never|safe|aggressive|always", secBE, "when a server connection serves another client", parseReuse),
	px("source", "ADDRESS[:PORT] [usesrc WHAT] [interface NAME]", secBE, "the address to connect from", func(p *parser, w []word) {
		s, n, ok := p.source(w)
		if ok && n < len(w) {
			p.errorf(w[n].Pos, "", "'source' only supports optional keywords 'interface' and 'usesrc'")
			return
		}
		if ok && s.PortLo != s.PortHi {
			p.errorf(w[1].Pos, "write the range on the server lines: source "+w[1].Text, "'source %s' : port range not permitted here", w[1].Text)
			return
		}
		if ok {
			p.proxy.Backend.Source = s
		}
	}),
	px("dispatch", "HOST:PORT", secBE, "one address to connect to, without servers", func(p *parser, w []word) {
		v, ok := p.need(w, 1, "an address")
		if !ok || p.tooMany(w, 1) {
			return
		}
		a, ok := p.serverAddr(v)
		if ok && (a.PortMapped || a.Path != "") {
			p.errorf(v.Pos, "write HOST:PORT", "'dispatch' : missing port number in '%s'", v.Text)
			return
		}
		if ok {
			p.proxy.Backend.Dispatch, p.proxy.Backend.DispatchPos = v.Text, v.Pos
		}
	}),
	pxString("http-send-name-header", "HEADER", secBE, "the header that tells the server its name", func(x *model.Proxy) *string { return &x.Backend.HTTPSendNameHeader }),
	pxInt("max-keep-alive-queue", secBE, "length of a queue above which the last server is left", -1, func(x *model.Proxy) *int { return &x.Backend.MaxKeepQueue }),
	px("load-server-state-from-file", "none|local|global", secBE, "take the servers' state over at start", func(p *parser, w []word) {
		v, ok := p.need(w, 1, "'global', 'local' or 'none'")
		if ok && p.oneOf("load-server-state-from-file", v, "global", "local", "none") {
			p.proxy.Backend.LoadServerState = strings.TrimPrefix(v.Text, "none")
		}
	}),
	px("server-state-file-name", "[use-backend-name|FILE]", secBE, "the file of 'load-server-state-from-file local'", func(p *parser, w []word) {
		if p.tooMany(w, 1) {
			return
		}
		p.proxy.Backend.ServerStateFile = p.proxy.Name
		if len(w) > 1 && w[1].Text != "use-backend-name" {
			p.proxy.Backend.ServerStateFile = w[1].Text
		}
	}),
	px("force-persist", "if|unless CONDITION", secBackend|secListen, "follow the cookie to a server that is down", func(p *parser, w []word) { p.persistRule(w, &p.proxy.Backend.ForcePersist) }),
	px("ignore-persist", "if|unless CONDITION", secBackend|secListen, "do not follow the cookie", func(p *parser, w []word) { p.persistRule(w, &p.proxy.Backend.IgnorePersist) }),
	{
		Name: "redispatch", Sections: secBE, Help: "the old name of option redispatch", Status: statusDeprecated,
		Parse: func(p *parser, w []word) {
			p.warnf(w[0].Pos, "write:  option redispatch", "'redispatch' is an old form")
			p.proxy.Options.Redispatch = -1
		},
	},
}

func parseBalance(p *parser, w []word) {
	if len(w) < 2 {
		p.proxy.Backend.Balance = model.Balance{Pos: w[0].Pos, Algorithm: "roundrobin", Draws: 2}
		return
	}
	name, arg, paren := w[1], "", false
	if i := strings.IndexByte(name.Text, '('); i > 0 {
		name.Text, arg, paren = name.Text[:i], name.Text[i+1:], true
		end := strings.LastIndexByte(arg, ')')
		if end < 0 {
			p.errorf(w[1].Pos, "close it with ')'", "balance %s: missing closing parenthesis in '%s'", name.Text, w[1].Text)
			return
		}
		if end+1 < len(arg) {
			p.errorf(w[1].at(i+2+end), "", "balance %s : unexpected character '%c' after argument.", name.Text, arg[end+1])
			return
		}
		arg = strings.TrimSpace(arg[:end])
	}
	read, ok := balanceReaders[name.Text]
	if !ok || paren && !contains([]string{"hdr", "random", "rdp-cookie"}, name.Text) {
		p.errorf(w[1].Pos, closest(name.Text, keys(balanceReaders)),
			"balance only supports 'roundrobin', 'static-rr', 'leastconn', 'first', 'source', 'uri', 'url_param', 'hash', 'random', 'hdr(name)' and 'rdp-cookie(name)' options (got '%s')", w[1].Text)
		return
	}
	b := model.Balance{Pos: w[0].Pos, Algorithm: name.Text, Draws: 2}
	if read(p, &b, w, arg, paren) {
		p.proxy.Backend.Balance = b
	}
}

// balanceReaders read the parameters of each algorithm: arg is what stands in
// parentheses.
var balanceReaders = map[string]func(p *parser, b *model.Balance, w []word, arg string, paren bool) bool{
	"roundrobin": balancePlain, "static-rr": balancePlain, "leastconn": balancePlain, "first": balancePlain, "source": balancePlain,
	"uri": balanceURI, "url_param": balanceParam, "hdr": balanceHeader, "random": balanceRandom, "rdp-cookie": balanceRDP, "hash": balanceHash,
}

// balancePlain ignores further words, as HAProxy does.
func balancePlain(p *parser, b *model.Balance, w []word, _ string, _ bool) bool {
	if len(w) > 2 {
		p.warnf(w[2].Pos, "take it out", "balance %s takes no parameter: '%s' is ignored", b.Algorithm, w[2].Text)
	}
	return true
}

func balanceURI(p *parser, b *model.Balance, w []word, _ string, _ bool) bool {
	for i := 2; i < len(w); i++ {
		switch w[i].Text {
		case "len", "depth":
			if i+1 >= len(w) {
				p.errorf(w[i].Pos, "", "balance uri : '%s' expects a positive integer", w[i].Text)
				return false
			}
			n, ok := p.number("balance uri "+w[i].Text, w[i+1], 1, math.MaxInt32)
			if !ok {
				return false
			}
			if w[i].Text == "len" {
				b.Len = n
			} else {
				b.Depth = n
			}
			i++
		case "whole":
			b.Whole = true
		case "path-only":
			b.PathOnly = true
		default:
			p.errorf(w[i].Pos, closest(w[i].Text, []string{"len", "depth", "whole", "path-only"}), "balance uri only accepts parameters 'len', 'depth', 'path-only', and 'whole' (got '%s')", w[i].Text)
			return false
		}
	}
	return true
}

func balanceParam(p *parser, b *model.Balance, w []word, _ string, _ bool) bool {
	if len(w) < 3 {
		p.errorf(w[1].Pos, "write 'balance url_param NAME'", "balance url_param requires an URL parameter name.")
		return false
	}
	b.Name = w[2].Text
	if len(w) > 3 {
		if w[3].Text != "check_post" {
			p.errorf(w[3].Pos, closest(w[3].Text, []string{"check_post"}), "balance url_param only accepts check_post modifier.")
			return false
		}
		b.CheckPost = 48
		if len(w) > 4 {
			n, ok := p.number("check_post", w[4], 3, math.MaxInt32)
			if !ok {
				return false
			}
			b.CheckPost = n
		}
	}
	return true
}

func balanceHeader(p *parser, b *model.Balance, w []word, arg string, paren bool) bool {
	if !paren || arg == "" {
		p.errorf(w[1].Pos, "write 'balance hdr(NAME)'", "balance hdr requires an http header field name.")
		return false
	}
	b.Name = arg
	if len(w) > 2 {
		if w[2].Text != "use_domain_only" {
			p.errorf(w[2].Pos, closest(w[2].Text, []string{"use_domain_only"}), "balance %s only accepts 'use_domain_only' modifier (got '%s').", w[1].Text, w[2].Text)
			return false
		}
		b.DomainOnly = true
	}
	return true
}

func balanceRandom(p *parser, b *model.Balance, w []word, arg string, paren bool) bool {
	if paren && arg != "" {
		n, err := strconv.Atoi(arg)
		if err != nil || n < 1 {
			p.errorf(w[1].Pos, "write 'balance random(2)'", "balance random : number of draws must be at least 1 (got '%s').", arg)
			return false
		}
		b.Draws = n
	}
	return true
}

func balanceRDP(p *parser, b *model.Balance, w []word, arg string, paren bool) bool {
	b.Name = "mstshash"
	if paren {
		if arg == "" {
			p.errorf(w[1].Pos, "write 'balance rdp-cookie' or 'balance rdp-cookie(NAME)'", "balance rdp-cookie : missing cookie name.")
			return false
		}
		b.Name = arg
	}
	return true
}

func balanceHash(p *parser, b *model.Balance, w []word, _ string, _ bool) bool {
	if len(w) < 3 {
		p.errorf(w[1].Pos, "write 'balance hash EXPRESSION', such as 'balance hash path'", "balance hash requires a sample expression.")
		return false
	}
	e, rest, err := parseExpr(p, w[2:])
	if err != nil {
		p.report(w[2].Pos, err)
		return false
	}
	if len(rest) > 0 {
		p.errorf(rest[0].Pos, "", "balance hash : unexpected argument '%s'", rest[0].Text)
		return false
	}
	b.Hash = e
	return true
}

func parseHashType(p *parser, w []word) {
	v, ok := p.need(w, 1, "'consistent' or 'map-based'")
	if !ok {
		return
	}
	h := model.HashType{Pos: w[0].Pos}
	switch v.Text {
	case "consistent":
		h.Consistent = true
	case "map-based":
	case "avalanche":
		h.Avalanche = true
		p.warnf(v.Pos, "write:  hash-type map-based sdbm avalanche", "'hash-type avalanche' is an old form")
	default:
		p.errorf(v.Pos, closest(v.Text, []string{"consistent", "map-based"}), "'hash-type' only supports 'consistent' and 'map-based'.")
		return
	}
	if len(w) > 2 {
		if !p.oneOf("hash-type", w[2], "sdbm", "djb2", "wt6", "crc32", "none") {
			return
		}
		h.Function = w[2].Text
	}
	if len(w) > 3 {
		if w[3].Text != "avalanche" {
			p.errorf(w[3].Pos, closest(w[3].Text, []string{"avalanche"}), "'hash-type' only supports 'avalanche' as a modifier for hash functions.")
			return
		}
		h.Avalanche = true
	}
	p.proxy.Backend.HashType = h
}

var retryEvents = []string{
	"none", "conn-failure", "empty-response", "junk-response", "response-timeout", "0rtt-rejected", "all-retryable-errors",
	"401", "403", "404", "408", "421", "425", "429", "500", "501", "502", "503", "504",
}

func parseRetryOn(p *parser, w []word) {
	if _, ok := p.need(w, 1, "at least one keyword"); !ok {
		return
	}
	var list []string
	for _, x := range w[1:] {
		if !contains(retryEvents, x.Text) {
			p.errorf(x.Pos, closest(x.Text, retryEvents), "'retry-on': unknown keyword '%s'", x.Text)
			return
		}
		if x.Text == "none" && len(w) > 2 {
			p.errorf(x.Pos, "take the other words out", "'retry-on' 'none' keyword only usable alone")
			return
		}
		list = append(list, x.Text)
	}
	p.proxy.Backend.RetryOn = list
}

func parseReuse(p *parser, w []word) {
	v, ok := p.need(w, 1, "'never', 'safe', 'aggressive', 'always'")
	if ok && p.oneOf("http-reuse", v, "never", "safe", "aggressive", "always") && !p.tooMany(w, 1) {
		p.proxy.Backend.HTTPReuse = map[string]model.Reuse{
			"never": model.ReuseNever, "safe": model.ReuseSafe, "aggressive": model.ReuseAggressive, "always": model.ReuseAlways,
		}[v.Text]
	}
}

func (p *parser) persistRule(w []word, rules *[]model.Cond) {
	if len(w) < 3 || w[1].Text != "if" && w[1].Text != "unless" {
		p.errorf(w[0].Pos, "write '"+w[0].Text+" if CONDITION'", "'%s' requires either 'if' or 'unless' followed by a condition", w[0].Text)
		return
	}
	c, err := parseCond(p, w[1:])
	if err != nil {
		p.report(w[1].Pos, err)
		return
	}
	*rules = append(*rules, c)
}

// cookieFlags are the words of a cookie line that stand alone.
var cookieFlags = map[string]func(c *model.Persistence){
	"insert": func(c *model.Persistence) { c.Insert = true }, "rewrite": func(c *model.Persistence) { c.Rewrite = true },
	"prefix": func(c *model.Persistence) { c.Prefix = true }, "indirect": func(c *model.Persistence) { c.Indirect = true },
	"nocache": func(c *model.Persistence) { c.NoCache = true }, "postonly": func(c *model.Persistence) { c.PostOnly = true },
	"preserve": func(c *model.Persistence) { c.Preserve = true }, "httponly": func(c *model.Persistence) { c.HTTPOnly = true },
	"secure": func(c *model.Persistence) { c.Secure = true }, "dynamic": func(c *model.Persistence) { c.Dynamic = true },
}

func parseCookie(p *parser, w []word) {
	v, ok := p.need(w, 1, "<cookie_name>")
	if !ok {
		return
	}
	c := &model.Persistence{Pos: w[0].Pos, Name: v.Text}
	for i := 2; i < len(w); i++ {
		if set := cookieFlags[w[i].Text]; set != nil {
			set(c)
			continue
		}
		known := append(keys(cookieFlags), "domain", "maxidle", "maxlife", "attr")
		if !contains(known[len(known)-4:], w[i].Text) {
			p.errorf(w[i].Pos, closest(w[i].Text, known), "'cookie' supports 'rewrite', 'insert', 'prefix', 'indirect', 'nocache', 'postonly', 'preserve', 'httponly', 'secure', 'domain', 'maxidle', 'dynamic', 'maxlife' and 'attr' options (got '%s')", w[i].Text)
			return
		}
		if i+1 >= len(w) {
			p.errorf(w[i].Pos, "", "'cookie %s' expects a value as argument", w[i].Text)
			return
		}
		i++
		if !p.cookieValue(c, w[i-1].Text, w[i]) {
			return
		}
	}
	if n := btoi(c.Insert) + btoi(c.Rewrite) + btoi(c.Prefix); n > 1 {
		p.errorf(w[0].Pos, "keep one of the three", "cookie 'rewrite', 'insert' and 'prefix' modes are incompatible.")
		return
	}
	p.proxy.Backend.Cookie = c
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (p *parser) cookieValue(c *model.Persistence, name string, v word) bool {
	switch name {
	case "domain":
		if !strings.Contains(strings.TrimPrefix(v.Text, "."), ".") {
			p.warnf(v.Pos, "write a domain such as .example.com", "domain '%s' contains no embedded dot, this configuration may not work properly (see RFC6265#5.2.3)", v.Text)
		}
		c.Domains = append(c.Domains, v.Text)
	case "attr":
		if i := strings.IndexFunc(v.Text, func(r rune) bool { return r < ' ' || r == ';' || r == 0x7f }); i >= 0 {
			p.errorf(v.at(i), "write each attribute with an 'attr' of its own", "character '%%x%02X' is not permitted in attribute value", v.Text[i])
			return false
		}
		c.Attrs = append(c.Attrs, v.Text)
	default:
		d, ok := p.duration(name, v, time.Second)
		if !ok {
			return false
		}
		if d < time.Second && d > 0 {
			d = time.Second
		}
		if name == "maxidle" {
			c.MaxIdle = d
		} else {
			c.MaxLife = d
		}
	}
	return true
}
