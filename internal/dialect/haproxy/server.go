package haproxy

import (
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"evenkeel/internal/model"
)

// serverDraft is a server while its line is read. TLS settings may come
// before `ssl`, or from a default-server line without it.
type serverDraft struct {
	model.Server
	tls model.ServerTLS
	ssl bool
}

type serverParam = param[*serverDraft]

func (d *serverDraft) clone() *serverDraft {
	c := *d
	c.tls.ALPN = slices.Clone(d.tls.ALPN)
	c.SendProxy.Options = slices.Clone(d.SendProxy.Options)
	return &c
}

// finish gives the server that the draft describes.
func (d *serverDraft) finish() *model.Server {
	s := d.clone()
	if s.ssl {
		fixVersions(&s.tls.Versions)
		s.Server.TLS = &s.tls
	}
	s.Check.TLSParams = &s.tls
	return &s.Server
}

func srvFlag(name, help string, set func(*serverDraft)) *serverParam {
	return &serverParam{keyword{Name: name, Help: help}, 0, func(_ *parser, d *serverDraft, _ []word) { set(d) }}
}

func srvString(name, args, help string, set func(*serverDraft) *string) *serverParam {
	return &serverParam{keyword{Name: name, Args: args, Help: help}, 1, func(_ *parser, d *serverDraft, w []word) { *set(d) = w[1].Text }}
}

func srvInt(name, help string, lo, hi int, set func(*serverDraft) *int) *serverParam {
	return &serverParam{keyword{Name: name, Args: "NUMBER", Help: help}, 1, func(p *parser, d *serverDraft, w []word) {
		if n, ok := p.number(name, w[1], lo, hi); ok {
			*set(d) = n
		}
	}}
}

func srvTime(name, help string, least time.Duration, set func(*serverDraft) *time.Duration) *serverParam {
	return &serverParam{keyword{Name: name, Args: "TIME", Help: help}, 1, func(p *parser, d *serverDraft, w []word) {
		v, ok := parseTimeout(p, name, w[1])
		if ok && v < least {
			p.errorf(w[1].Pos, "write a time above 0, such as 2s", "invalid value %s for argument '%s' of server", w[1].Text, name)
			return
		}
		if ok {
			*set(d) = v
		}
	}}
}

func srvOneOf(name, help string, set func(*serverDraft) *string, choices ...string) *serverParam {
	return &serverParam{keyword{Name: name, Args: strings.Join(choices, "|"), Help: help}, 1, func(p *parser, d *serverDraft, w []word) {
		if p.oneOf(name, w[1], choices...) {
			*set(d) = w[1].Text
		}
	}}
}

func srvNothing(name string, args int, help, cure string) *serverParam {
	k := keyword{Name: name, Help: help, Status: statusHarmless, Cure: cure}
	if args > 0 {
		k.Args = "VALUE"
	}
	return &serverParam{k, args, nil}
}

func srvLater(name, help, cure string) *serverParam {
	return &serverParam{keyword{Name: name, Help: help, Status: statusLater, Cure: cure}, 0, nil}
}

// srvDo makes an entry with its own reader.
func srvDo(name, args string, n int, help string, apply func(p *parser, d *serverDraft, w []word)) *serverParam {
	return &serverParam{keyword{Name: name, Args: args, Help: help}, n, apply}
}

var serverKeywords []*serverParam

func init() {
	serverKeywords = append(serverKeywords, serverTrafficParams()...)
	serverKeywords = append(serverKeywords, serverCheckParams()...)
	serverKeywords = append(serverKeywords, serverTLSParams()...)
	for _, name := range keys(tlsSwitches) {
		set := tlsSwitches[name]
		if name != "prefer-client-ciphers" {
			serverKeywords = append(serverKeywords, srvFlag(name, "bounds the TLS versions, or switches one thing", func(d *serverDraft) { set(&d.tls.Versions) }))
		}
	}
}

func serverTrafficParams() []*serverParam {
	return []*serverParam{
		srvDo("weight", "NUMBER", 1, "share of the load, 0 to 256", func(p *parser, d *serverDraft, w []word) {
			if n, ok := p.number("weight", w[1], 0, 256); ok {
				d.Weight = &n
			}
		}),
		srvFlag("backup", "used when no other server is left", func(d *serverDraft) { d.Backup = true }),
		srvFlag("no-backup", "undoes backup", func(d *serverDraft) { d.Backup = false }),
		srvFlag("disabled", "starts in maintenance", func(d *serverDraft) { d.Disabled = true }),
		srvFlag("enabled", "undoes disabled", func(d *serverDraft) { d.Disabled = false }),
		srvInt("maxconn", "connections at a time; more wait", 0, math.MaxInt32, func(d *serverDraft) *int { return &d.MaxConn }),
		srvInt("minconn", "maxconn while the backend has little load", 0, math.MaxInt32, func(d *serverDraft) *int { return &d.MinConn }),
		srvInt("maxqueue", "connections that may wait for this server", 0, math.MaxInt32, func(d *serverDraft) *int { return &d.MaxQueue }),
		srvString("cookie", "VALUE", "the cookie's value that leads to this server", func(d *serverDraft) *string { return &d.Cookie }),
		srvString("redir", "PREFIX", "GET and HEAD are redirected to this prefix", func(d *serverDraft) *string { return &d.Redir }),
		srvTime("slowstart", "how long the weight rises after the server came back", 0, func(d *serverDraft) *time.Duration { return &d.SlowStart }),
		srvInt("id", "number in statistics", 1, math.MaxInt32, func(d *serverDraft) *int { return &d.ID }),
		srvDo("init-addr", "last,libc,none,IP", 1, "where the address comes from at start", func(p *parser, d *serverDraft, w []word) {
			for _, m := range strings.Split(w[1].Text, ",") {
				if _, err := netip.ParseAddr(m); err != nil && !p.oneOf("init-addr", word{Text: m, Pos: w[1].Pos}, "last", "libc", "none") {
					return
				}
			}
			d.InitAddr = w[1].Text
		}),
		srvFlag("non-stick", "never put into a stick table", func(d *serverDraft) { d.NonStick = true }),
		srvFlag("stick", "undoes non-stick", func(d *serverDraft) { d.NonStick = false }),
		srvFlag("send-proxy", "send a PROXY protocol header, version 1", func(d *serverDraft) { d.SendProxy.Version = 1 }),
		srvFlag("no-send-proxy", "undoes send-proxy", func(d *serverDraft) { d.SendProxy = model.ProxyProto{} }),
		srvFlag("send-proxy-v2", "send a PROXY protocol header, version 2", func(d *serverDraft) { d.SendProxy.Version = 2 }),
		srvFlag("no-send-proxy-v2", "undoes send-proxy-v2", func(d *serverDraft) { d.SendProxy = model.ProxyProto{} }),
		srvFlag("send-proxy-v2-ssl", "with what is known of TLS", func(d *serverDraft) { d.SendProxy.Version, d.SendProxy.SSL = 2, true }),
		srvFlag("no-send-proxy-v2-ssl", "undoes send-proxy-v2-ssl", func(d *serverDraft) { d.SendProxy = model.ProxyProto{} }),
		srvFlag("send-proxy-v2-ssl-cn", "with the client certificate's name too", func(d *serverDraft) { d.SendProxy.Version, d.SendProxy.SSL, d.SendProxy.SSLCN = 2, true, true }),
		srvFlag("no-send-proxy-v2-ssl-cn", "undoes send-proxy-v2-ssl-cn", func(d *serverDraft) { d.SendProxy = model.ProxyProto{} }),
		srvDo("proxy-v2-options", "OPTION,…", 1, "what a version 2 header holds", func(p *parser, d *serverDraft, w []word) {
			list := strings.Split(w[1].Text, ",")
			for _, o := range list {
				if !p.oneOf("proxy-v2-options", word{Text: o, Pos: w[1].Pos}, "ssl", "cert-cn", "ssl-cipher", "cert-sig", "cert-key", "authority", "crc32c", "unique-id") {
					return
				}
			}
			d.SendProxy.Options = list
		}),
		srvDo("pool-max-conn", "NUMBER", 1, "idle connections to keep; -1: no limit", func(p *parser, d *serverDraft, w []word) {
			if n, ok := p.number("pool-max-conn", w[1], -1, math.MaxInt32); ok {
				d.PoolMaxConn = &n
				if n < 0 {
					d.PoolMaxConn = nil
				}
			}
		}),
		srvInt("pool-low-conn", "idle connections below which threads do not share", 0, math.MaxInt32, func(d *serverDraft) *int { return &d.PoolLowConn }),
		srvTime("pool-purge-delay", "how often half of the idle connections are closed", 0, func(d *serverDraft) *time.Duration { return &d.PoolPurgeDelay }),
		srvInt("max-reuse", "times that a connection is reused; -1: no limit", -1, math.MaxInt32, func(d *serverDraft) *int { return &d.MaxReuse }),
		srvTime("tcp-ut", "how long sent data may stay unacknowledged", 0, func(d *serverDraft) *time.Duration { return &d.TCPUserTimeout }),
		srvFlag("tfo", "TCP fast open", func(d *serverDraft) { d.TFO = true }),
		srvFlag("no-tfo", "undoes tfo", func(d *serverDraft) { d.TFO = false }),
		srvInt("shard", "share of a stick table", 0, 1<<16, func(d *serverDraft) *int { return &d.Shard }),
		srvDo("proto", "h1|none", 1, "the protocol, without asking for it", func(p *parser, _ *serverDraft, w []word) { p.proto(w[1]) }),
		srvNothing("ws", 1, "protocol of WebSockets", "take it out: HTTP/1.1 carries them"),
		srvNothing("backlog", 1, "an old word that servers have no use for", "take it out: a backlog belongs to bind lines and frontends"),
		srvNothing("guid", 1, "name in state files", "take it out"),
		srvNothing("resolve-net", 1, "networks to prefer in DNS answers", "take it out"),
		srvNothing("resolve-prefer", 1, "address family to prefer in DNS answers", "take it out"),
		srvNothing("resolve-opts", 1, "options of the DNS resolution", "take it out"),
		srvLater("resolvers", "asks DNS at run time", "take 'resolvers NAME' out: names are resolved at start"),
		srvLater("namespace", "the network namespace of the server", "start evenkeel inside of the namespace"),
		srvLater("socks4", "go through a SOCKS4 proxy", "connect directly"),
		srvLater("log-proto", "protocol of log servers", "take it out"),
		srvLater("log-bufsize", "ring of log servers", "take it out"),
		srvLater("hash-key", "what identifies the server in a consistent hash", "take it out: the server's number is used"),
		srvLater("set-proxy-v2-tlv-fmt", "custom fields of a PROXY header", "take it out"),
	}
}

func serverCheckParams() []*serverParam {
	return []*serverParam{
		srvFlag("check", "health checks", func(d *serverDraft) { d.Check.Enabled = true }),
		srvFlag("no-check", "undoes check", func(d *serverDraft) { d.Check.Enabled = false }),
		srvDo("addr", "ADDRESS", 1, "where the checks go", func(p *parser, d *serverDraft, w []word) {
			host, port, ok := splitHostPort(w[1].Text)
			if strings.Count(w[1].Text, ":") > 1 && !strings.HasPrefix(w[1].Text, "[") {
				host, port, ok = w[1].Text, "", true
			}
			if unix, is := cutAny(w[1].Text, "unix@", "abns@"); is || strings.HasPrefix(unix, "/") {
				d.Check.Addr = w[1].Text
				return
			}
			if !ok || !isHost(host) {
				p.errorf(w[1].Pos, "write an IP address or a name", "'addr': invalid address: '%s'", w[1].Text)
				return
			}
			d.Check.Addr = host
			if port != "" {
				if n, ok := p.number("addr", word{Text: port, Pos: w[1].Pos}, 1, 65535); ok {
					d.Check.Port = n
				}
			}
		}),
		srvInt("port", "port of the checks", 0, 65535, func(d *serverDraft) *int { return &d.Check.Port }),
		srvTime("inter", "time between two checks", time.Millisecond, func(d *serverDraft) *time.Duration { return &d.Check.Inter }),
		srvTime("fastinter", "the same between UP and DOWN", time.Millisecond, func(d *serverDraft) *time.Duration { return &d.Check.FastInter }),
		srvTime("downinter", "the same while DOWN", time.Millisecond, func(d *serverDraft) *time.Duration { return &d.Check.DownInter }),
		srvInt("rise", "good checks until a server is UP", 1, math.MaxInt32, func(d *serverDraft) *int { return &d.Check.Rise }),
		srvInt("fall", "bad checks until a server is DOWN", 1, math.MaxInt32, func(d *serverDraft) *int { return &d.Check.Fall }),
		srvFlag("check-ssl", "checks use TLS", func(d *serverDraft) { on := true; d.Check.TLS = &on }),
		srvFlag("no-check-ssl", "checks use no TLS", func(d *serverDraft) { off := false; d.Check.TLS = &off }),
		srvFlag("check-send-proxy", "checks send a PROXY protocol header", func(d *serverDraft) { d.Check.SendProxy = true }),
		srvFlag("no-check-send-proxy", "undoes check-send-proxy", func(d *serverDraft) { d.Check.SendProxy = false }),
		srvString("check-sni", "NAME", "server name of the checks' TLS", func(d *serverDraft) *string { return &d.Check.SNI }),
		srvString("check-alpn", "PROTOCOLS", "protocols that checks offer", func(d *serverDraft) *string { return &d.Check.ALPN }),
		srvDo("check-proto", "h1|none", 1, "the protocol of checks", func(p *parser, d *serverDraft, w []word) {
			p.proto(w[1])
			d.Check.Proto = w[1].Text
		}),
		srvFlag("check-via-socks4", "checks go through the SOCKS4 proxy", func(d *serverDraft) { d.Check.ViaSOCKS4 = true }),
		srvNothing("check-reuse-pool", 0, "checks reuse idle connections", "take it out"),
		srvNothing("no-check-reuse-pool", 0, "undoes check-reuse-pool", "take it out"),
		srvFlag("agent-check", "ask an agent on the server for its state", func(d *serverDraft) { d.Agent.Enabled = true }),
		srvFlag("no-agent-check", "undoes agent-check", func(d *serverDraft) { d.Agent.Enabled = false }),
		srvString("agent-addr", "ADDRESS", "where the agent listens", func(d *serverDraft) *string { return &d.Agent.Addr }),
		srvInt("agent-port", "port of the agent", 1, 65535, func(d *serverDraft) *int { return &d.Agent.Port }),
		srvTime("agent-inter", "time between two questions", time.Millisecond, func(d *serverDraft) *time.Duration { return &d.Agent.Inter }),
		srvString("agent-send", "TEXT", "sent to the agent first", func(d *serverDraft) *string { return &d.Agent.Send }),
		srvString("track", "[BACKEND/]SERVER", "take the state of another server", func(d *serverDraft) *string { return &d.Track }),
		srvOneOf("observe", "watch the traffic for errors", func(d *serverDraft) *string { return &d.Observe }, "layer4", "layer7"),
		srvInt("error-limit", "errors that on-error acts upon", 1, math.MaxInt32, func(d *serverDraft) *int { return &d.ErrorLimit }),
		srvOneOf("on-error", "what observed errors lead to", func(d *serverDraft) *string { return &d.OnError }, "fastinter", "fail-check", "sudden-death", "mark-down"),
		srvOneOf("on-marked-down", "what happens when the server goes down", func(d *serverDraft) *string { return &d.OnMarkedDown }, "shutdown-sessions"),
		srvOneOf("on-marked-up", "what happens when the server comes up", func(d *serverDraft) *string { return &d.OnMarkedUp }, "shutdown-backup-sessions"),
	}
}

func serverTLSParams() []*serverParam {
	file := func(name, help string, set func(*serverDraft) *string) *serverParam {
		return srvDo(name, "FILE", 1, help, func(p *parser, d *serverDraft, w []word) { *set(d) = p.caPath(w[1].Text) })
	}
	return []*serverParam{
		srvFlag("ssl", "TLS to the server", func(d *serverDraft) { d.ssl = true }),
		srvFlag("no-ssl", "undoes ssl", func(d *serverDraft) { d.ssl = false }),
		srvOneOf("verify", "whether the server's certificate is verified", func(d *serverDraft) *string { return &d.tls.Verify }, "none", "required"),
		srvString("verifyhost", "NAME", "the name that the certificate must have", func(d *serverDraft) *string { return &d.tls.VerifyHost }),
		file("ca-file", "authorities of the server's certificate", func(d *serverDraft) *string { return &d.tls.CAFile }),
		file("crl-file", "revoked server certificates", func(d *serverDraft) *string { return &d.tls.CRLFile }),
		srvDo("crt", "FILE", 1, "certificate to show to the server", func(p *parser, d *serverDraft, w []word) { d.tls.CRT = p.certPath(w[1].Text) }),
		srvDo("sni", "EXPRESSION", 1, "server name to ask for", func(p *parser, d *serverDraft, w []word) {
			e, _, err := parseExpr(p, w[1:])
			if err != nil {
				p.report(w[1].Pos, err)
				return
			}
			d.tls.SNI = e
		}),
		srvDo("alpn", "PROTOCOLS", 1, "protocols to offer", func(p *parser, d *serverDraft, w []word) { d.tls.ALPN = p.alpn(w[1]) }),
		srvNothing("npn", 1, "what came before alpn", "write alpn"),
		srvNothing("no-alpn", 0, "undoes alpn", "take it out"),
		srvString("ciphers", "LIST", "cipher suites up to TLS 1.2", func(d *serverDraft) *string { return &d.tls.Ciphers }),
		srvString("ciphersuites", "LIST", "cipher suites of TLS 1.3", func(d *serverDraft) *string { return &d.tls.Ciphersuites }),
		srvNothing("curves", 1, "curves of the key exchange", "take it out"),
		srvNothing("sigalgs", 1, "signature algorithms", "take it out"),
		srvNothing("client-sigalgs", 1, "signature algorithms", "take it out"),
		srvDo("ssl-min-ver", "VERSION", 1, "oldest TLS version", func(p *parser, d *serverDraft, w []word) { p.tlsVersion(w, &d.tls.Versions.Min) }),
		srvDo("ssl-max-ver", "VERSION", 1, "newest TLS version", func(p *parser, d *serverDraft, w []word) { p.tlsVersion(w, &d.tls.Versions.Max) }),
		srvFlag("ssl-reuse", "resume TLS sessions", func(d *serverDraft) { d.tls.NoReuse = false }),
		srvFlag("no-ssl-reuse", "never resume TLS sessions", func(d *serverDraft) { d.tls.NoReuse = true }),
		srvFlag("tls-tickets", "resume with tickets", func(d *serverDraft) { d.tls.Versions.NoTickets = false }),
		srvFlag("allow-0rtt", "early data", func(*serverDraft) {}),
	}
}

// parseServer reads a server line.
func parseServer(p *parser, w []word) {
	if len(w) < 3 {
		p.errorf(w[0].Pos, "write 'server NAME ADDRESS:PORT'", "'server' expects <name> and <addr>[:<port>] as arguments.")
		return
	}
	if !p.checkName("server", w[1]) {
		return
	}
	addr, ok := p.serverAddr(w[2])
	if !ok {
		return
	}
	d := p.state.defaultServer.clone()
	d.Pos, d.Name, d.Addr = w[0].Pos, w[1].Text, addr
	p.serverParams("'server "+p.proxy.Name+"/"+d.Name+"'", d, w[3:])
	p.proxy.Backend.Servers = append(p.proxy.Backend.Servers, d.finish())
}

// serverParams reads the parameters; `source` takes what follows it up to
// the next parameter.
func (p *parser) serverParams(context string, d *serverDraft, w []word) {
	for i, x := range w {
		if x.Text != "source" || i > 0 && takesValue(w[i-1].Text) {
			continue
		}
		src, n, ok := p.source(w[i:])
		if !ok {
			return
		}
		d.Source = src
		w = append(append([]word(nil), w[:i]...), w[i+n:]...)
		break
	}
	readParams(p, context, serverKeywords, d, w, nil)
}

func takesValue(name string) bool {
	k := findParam(serverKeywords, name)
	return k != nil && k.args > 0
}

func parseDefaultServer(p *parser, w []word) {
	if _, ok := p.need(w, 1, "parameters of server lines"); !ok {
		return
	}
	for _, x := range w[1:] {
		if x.Text == "id" || x.Text == "track" {
			p.errorf(x.Pos, "write it on the server line", "'%s' is not permitted in 'default-server'", x.Text)
			return
		}
	}
	p.serverParams("'default-server'", p.state.defaultServer, w[1:])
}

// parseServerTemplate reads `server-template PREFIX NUMBER|FROM-TO ADDR …` and
// unfolds it.
func parseServerTemplate(p *parser, w []word) {
	if len(w) < 4 {
		p.errorf(w[0].Pos, "write 'server-template PREFIX NUMBER NAME:PORT'", "'server-template' expects <prefix> <nb | range> <addr>[:<port>] as arguments.")
		return
	}
	lo, hi, isRange := strings.Cut(w[2].Text, "-")
	first, err := strconv.Atoi(lo)
	last := first
	if isRange && err == nil {
		last, err = strconv.Atoi(hi)
	} else {
		first = 1
	}
	if err != nil || first < 0 || last < first || last-first >= 1<<14 {
		p.errorf(w[2].Pos, "write a number such as 3, or a range such as 1-3", "Wrong number or range '%s' of servers", w[2].Text)
		return
	}
	if !p.checkName("server", w[1]) {
		return
	}
	addr, ok := p.serverAddr(w[3])
	if !ok {
		return
	}
	d := p.state.defaultServer.clone()
	d.Pos, d.Addr = w[0].Pos, addr
	p.serverParams("'server-template "+p.proxy.Name+"/"+w[1].Text+"'", d, w[4:])
	for i := first; i <= last; i++ {
		s := d.finish()
		s.Name = w[1].Text + strconv.Itoa(i)
		if i > first {
			s.ID = 0
		}
		p.proxy.Backend.Servers = append(p.proxy.Backend.Servers, s)
	}
}

// source reads `source ADDR[:PORT[-PORT]] [usesrc WHAT] [interface NAME]` and
// says how many words that took.
func (p *parser) source(w []word) (*model.Source, int, bool) {
	v, ok := p.need(w, 1, "an address")
	if !ok {
		return nil, 0, false
	}
	s := &model.Source{Pos: w[0].Pos}
	rest, _ := cutAny(v.Text, "ipv4@", "ipv6@")
	host, port, ok := splitHostPort(rest)
	if strings.Count(rest, ":") > 1 && !strings.HasPrefix(rest, "[") && port == "" {
		host, port, ok = rest, "", true
	}
	lo, hi, isRange := strings.Cut(port, "-")
	var err error
	if port != "" {
		s.PortLo, err = strconv.Atoi(lo)
		s.PortHi = s.PortLo
		if isRange && err == nil {
			s.PortHi, err = strconv.Atoi(hi)
		}
	}
	if !ok || !isHost(host) || err != nil || s.PortLo < 0 || s.PortHi < s.PortLo || s.PortHi > 65535 {
		p.errorf(v.Pos, "write ADDRESS, ADDRESS:PORT or 0.0.0.0 for any", "'%s' : invalid address: '%s'", w[0].Text, v.Text)
		return nil, 0, false
	}
	if host != "*" && host != "0.0.0.0" {
		s.Addr = host
	}
	n := 2
	for n < len(w) {
		switch w[n].Text {
		case "usesrc", "interface":
		default:
			return s, n, true
		}
		x, ok := p.need(w, n+1, "a value for '"+w[n].Text+"'")
		if !ok {
			return nil, 0, false
		}
		if w[n].Text == "usesrc" {
			s.UseSrc = x.Text
		} else {
			s.Interface = x.Text
		}
		n += 2
	}
	return s, n, true
}
