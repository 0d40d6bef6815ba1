package haproxy

import (
	"crypto/tls"
	"math"
	"strconv"
	"strings"
	"time"

	"evenkeel/internal/model"
)

// param is one parameter of a bind, server or stats socket line. It reads its
// own arguments, w[1:], and says how many words it took in all.
type param[T any] struct {
	keyword
	args  int // words after the name
	apply func(p *parser, t T, w []word)
}

type bindParam = param[*model.Bind]

func bindFlag(name, help string, set func(*model.Bind)) *bindParam {
	return &bindParam{keyword{Name: name, Help: help}, 0, func(_ *parser, b *model.Bind, _ []word) { set(b) }}
}

func bindString(name, args, help string, set func(*model.Bind) *string) *bindParam {
	return &bindParam{keyword{Name: name, Args: args, Help: help}, 1, func(_ *parser, b *model.Bind, w []word) { *set(b) = w[1].Text }}
}

func bindFile(name, help string, set func(*model.Bind) *string) *bindParam {
	return &bindParam{keyword{Name: name, Args: "FILE", Help: help}, 1, func(p *parser, b *model.Bind, w []word) { *set(b) = p.path(w[1].Text) }}
}

func bindInt(name, help string, lo, hi int, set func(*model.Bind) *int) *bindParam {
	return &bindParam{keyword{Name: name, Args: "NUMBER", Help: help}, 1, func(p *parser, b *model.Bind, w []word) {
		if n, ok := p.number(name, w[1], lo, hi); ok {
			*set(b) = n
		}
	}}
}

// bindNothing is accepted without effect.
func bindNothing(name string, args int, help, cure string) *bindParam {
	k := keyword{Name: name, Help: help, Status: statusHarmless, Cure: cure}
	if args > 0 {
		k.Args = "VALUE"
	}
	return &bindParam{k, args, nil}
}

func bindLater(name, help, cure string) *bindParam {
	return &bindParam{keyword{Name: name, Help: help, Status: statusLater, Cure: cure}, 0, nil}
}

// bindTLS gives the TLS settings of a bind line; `ssl` need not come first.
func bindTLS(b *model.Bind) *model.BindTLS {
	if b.TLS == nil {
		b.TLS = &model.BindTLS{}
	}
	return b.TLS
}

func userID(name, help string, set func(*model.Bind) **int) *bindParam {
	return &bindParam{keyword{Name: name, Args: "NUMBER", Help: help}, 1, func(p *parser, b *model.Bind, w []word) { p.id(w[:2], set(b)) }}
}

var tlsVersions = map[string]uint16{
	"SSLv3": tls.VersionTLS10, "TLSv1.0": tls.VersionTLS10, "TLSv1.1": tls.VersionTLS11, "TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13,
}

// tlsVersion reads the argument of ssl-min-ver and ssl-max-ver.
func (p *parser) tlsVersion(w []word, field *uint16) {
	if p.oneOf(w[0].Text, w[1], "SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3") {
		*field = tlsVersions[w[1].Text]
		if w[1].Text == "SSLv3" {
			p.warnf(w[1].Pos, "write TLSv1.2", "'%s SSLv3': SSLv3 is not supported; TLSv1.0 is taken", w[0].Text)
		}
	}
}

// tlsSwitches are the old words that force or forbid one version. They are
// shared by bind and server lines and the ssl-default-…-options.
var tlsSwitches = map[string]func(v *model.TLSVersions){
	"force-sslv3":           func(v *model.TLSVersions) { v.Min, v.Max = tls.VersionTLS10, tls.VersionTLS10 },
	"force-tlsv10":          func(v *model.TLSVersions) { v.Min, v.Max = tls.VersionTLS10, tls.VersionTLS10 },
	"force-tlsv11":          func(v *model.TLSVersions) { v.Min, v.Max = tls.VersionTLS11, tls.VersionTLS11 },
	"force-tlsv12":          func(v *model.TLSVersions) { v.Min, v.Max = tls.VersionTLS12, tls.VersionTLS12 },
	"force-tlsv13":          func(v *model.TLSVersions) { v.Min, v.Max = tls.VersionTLS13, tls.VersionTLS13 },
	"no-sslv3":              func(v *model.TLSVersions) { v.Min = max(v.Min, tls.VersionTLS10) },
	"no-tlsv10":             func(v *model.TLSVersions) { v.Min = max(v.Min, tls.VersionTLS11) },
	"no-tlsv11":             func(v *model.TLSVersions) { v.Min = max(v.Min, tls.VersionTLS12) },
	"no-tlsv12":             func(v *model.TLSVersions) { v.Min = max(v.Min, tls.VersionTLS13) },
	"no-tlsv13":             func(v *model.TLSVersions) { v.Max = tls.VersionTLS12 },
	"no-tls-tickets":        func(v *model.TLSVersions) { v.NoTickets = true },
	"prefer-client-ciphers": func(v *model.TLSVersions) { v.PreferClientCiphers = true },
}

// fixVersions mends `no-tlsv12` next to `no-tlsv13`, which leaves nothing.
func fixVersions(v *model.TLSVersions) {
	if v.Max != 0 && v.Min > v.Max {
		v.Min = v.Max
	}
}

// bindKeywords is filled by init with the words of tlsSwitches too.
var bindKeywords []*bindParam

func init() {
	bindKeywords = append(bindKeywords, bindSocketParams()...)
	bindKeywords = append(bindKeywords, bindTLSParams()...)
	for _, name := range keys(tlsSwitches) {
		set := tlsSwitches[name]
		bindKeywords = append(bindKeywords, bindFlag(name, "bounds the TLS versions, or switches one thing", func(b *model.Bind) { set(&bindTLS(b).Versions) }))
	}
}

func bindSocketParams() []*bindParam {
	return []*bindParam{
		bindFlag("accept-proxy", "a PROXY protocol header comes first", func(b *model.Bind) { b.AcceptProxy = true }),
		bindInt("accept-netscaler-cip", "a NetScaler client address header with this magic number comes first", 0, math.MaxInt32, func(b *model.Bind) *int { return &b.NetscalerCIP }),
		bindInt("backlog", "connections that wait to be accepted", 0, math.MaxInt32, func(b *model.Bind) *int { return &b.Backlog }),
		bindFlag("defer-accept", "accept a connection when its first data came", func(b *model.Bind) { b.DeferAccept = true }),
		bindNothing("expose-fd", 1, "who may take the socket over", "take it out: a reload passes the sockets on by itself"),
		userID("gid", "owner of a unix socket", func(b *model.Bind) **int { return &b.GID }),
		bindString("group", "NAME", "owner of a unix socket", func(b *model.Bind) *string { return &b.Group }),
		bindInt("id", "number in statistics", 1, math.MaxInt32, func(b *model.Bind) *int { return &b.ID }),
		bindString("interface", "NAME", "the only interface to listen on", func(b *model.Bind) *string { return &b.Interface }),
		{keyword{Name: "level", Args: "user|operator|admin", Help: "what the runtime API allows"}, 1, func(p *parser, b *model.Bind, w []word) { p.level(w[1], &b.Level) }},
		bindInt("maxconn", "connections at a time", 0, math.MaxInt32, func(b *model.Bind) *int { return &b.MaxConn }),
		{keyword{Name: "mode", Args: "OCTAL", Help: "file mode of a unix socket"}, 1, func(p *parser, b *model.Bind, w []word) { p.setMode(w[1], &b.Mode) }},
		bindInt("mss", "largest TCP segment", -65535, 65535, func(b *model.Bind) *int { return &b.MSS }),
		bindString("name", "NAME", "name in statistics", func(b *model.Bind) *string { return &b.Name }),
		bindLater("namespace", "the network namespace to listen in", "start evenkeel inside of the namespace"),
		bindInt("nice", "priority of the connections", -1024, 1024, func(b *model.Bind) *int { return &b.Nice }),
		{keyword{Name: "process", Args: "PROCESSES", Help: "processes that listen", Status: statusDeprecated}, 1, func(p *parser, b *model.Bind, w []word) {
			p.warnf(w[0].Pos, "take 'process "+w[1].Text+"' out, or write 'thread …'", "'process' on a bind line is an old form: one process listens")
		}},
		{keyword{Name: "proto", Args: "h1|none", Help: "the protocol, without asking for it"}, 1, func(p *parser, b *model.Bind, w []word) { p.proto(w[1]) }},
		bindNothing("severity-output", 1, "severity in answers of the runtime API", "take it out"),
		bindNothing("shards", 1, "sockets for each address", "take it out: every loop has its own"),
		{keyword{Name: "tcp-ut", Args: "TIME", Help: "how long sent data may stay unacknowledged"}, 1, func(p *parser, b *model.Bind, w []word) {
			p.setTime("tcp-ut", w[1], &b.TCPUserTimeout)
		}},
		bindFlag("tfo", "TCP fast open", func(b *model.Bind) { b.TFO = true }),
		bindString("thread", "THREADS", "threads that accept", func(b *model.Bind) *string { return &b.Threads }),
		bindFlag("transparent", "listen on addresses that are not this machine's", func(b *model.Bind) { b.Transparent = true }),
		userID("uid", "owner of a unix socket", func(b *model.Bind) **int { return &b.UID }),
		bindString("user", "NAME", "owner of a unix socket", func(b *model.Bind) *string { return &b.User }),
		bindFlag("v4v6", "an IPv6 address takes IPv4 too", func(b *model.Bind) { b.V4V6 = true }),
		bindFlag("v6only", "an IPv6 address takes IPv6 only", func(b *model.Bind) { b.V6Only = true }),
		bindNothing("quic-force-retry", 0, "QUIC", "take it out"),
		bindNothing("quic-cc-algo", 1, "QUIC", "take it out"),
		bindNothing("guid-prefix", 1, "names of listeners in state files", "take it out"),
		bindLater("tcp-md5sig", "TCP MD5 signatures", "take it out"),
		bindLater("nbconn", "connections of a reverse HTTP listener", "take it out"),
	}
}

func bindTLSParams() []*bindParam {
	return []*bindParam{
		bindFlag("ssl", "connections start with TLS", func(b *model.Bind) { bindTLS(b) }),
		{keyword{Name: "crt", Args: "FILE|DIR", Help: "PEM file of certificates and key, or a directory of them"}, 1, func(p *parser, b *model.Bind, w []word) {
			t := bindTLS(b)
			t.Certs = append(t.Certs, model.CertRef{Pos: w[1].Pos, Path: p.certPath(w[1].Text)})
		}},
		{keyword{Name: "crt-list", Args: "FILE", Help: "a list of certificates and their parameters"}, 1, func(p *parser, b *model.Bind, w []word) {
			t := bindTLS(b)
			t.CRTLists = append(t.CRTLists, model.CertRef{Pos: w[1].Pos, Path: p.path(w[1].Text)})
		}},
		{keyword{Name: "alpn", Args: "PROTOCOLS", Help: "protocols to offer, such as http/1.1"}, 1, func(p *parser, b *model.Bind, w []word) {
			bindTLS(b).ALPN = p.alpn(w[1])
		}},
		{keyword{Name: "npn", Args: "PROTOCOLS", Help: "what came before alpn"}, 1, func(p *parser, b *model.Bind, w []word) {
			bindTLS(b).NPN = strings.Split(w[1].Text, ",")
			p.once("npn", w[0].Pos, "write alpn "+w[1].Text, "'npn' is accepted and has no effect here")
		}},
		bindString("ciphers", "LIST", "cipher suites up to TLS 1.2", func(b *model.Bind) *string { return &bindTLS(b).Ciphers }),
		bindString("ciphersuites", "LIST", "cipher suites of TLS 1.3", func(b *model.Bind) *string { return &bindTLS(b).Ciphersuites }),
		bindString("curves", "LIST", "curves of the key exchange", func(b *model.Bind) *string { return &bindTLS(b).Curves }),
		bindString("ecdhe", "CURVE", "curve of the key exchange", func(b *model.Bind) *string { return &bindTLS(b).Curves }),
		{keyword{Name: "verify", Args: "none|optional|required", Help: "whether a client must show a certificate"}, 1, func(p *parser, b *model.Bind, w []word) {
			if p.oneOf("verify", w[1], "none", "optional", "required") {
				bindTLS(b).Verify = w[1].Text
			}
		}},
		{keyword{Name: "ca-file", Args: "FILE", Help: "authorities of client certificates"}, 1, func(p *parser, b *model.Bind, w []word) {
			bindTLS(b).CAFile = p.caPath(w[1].Text)
		}},
		{keyword{Name: "ca-verify-file", Args: "FILE", Help: "authorities that are not announced to clients"}, 1, func(p *parser, b *model.Bind, w []word) {
			bindTLS(b).CAVerifyFile = p.caPath(w[1].Text)
		}},
		{keyword{Name: "crl-file", Args: "FILE", Help: "revoked client certificates"}, 1, func(p *parser, b *model.Bind, w []word) {
			bindTLS(b).CRLFile = p.caPath(w[1].Text)
		}},
		{keyword{Name: "ssl-min-ver", Args: "VERSION", Help: "oldest TLS version"}, 1, func(p *parser, b *model.Bind, w []word) { p.tlsVersion(w, &bindTLS(b).Versions.Min) }},
		{keyword{Name: "ssl-max-ver", Args: "VERSION", Help: "newest TLS version"}, 1, func(p *parser, b *model.Bind, w []word) { p.tlsVersion(w, &bindTLS(b).Versions.Max) }},
		bindFlag("strict-sni", "no certificate for unknown names", func(b *model.Bind) { bindTLS(b).StrictSNI = true }),
		bindFlag("allow-0rtt", "early data", func(b *model.Bind) { bindTLS(b).AllowZeroRTT = true }),
		bindFlag("prefer-server-ciphers", "the server's order of ciphers", func(b *model.Bind) { bindTLS(b).PreferServerCiphers = true }),
		bindFlag("tls-tickets", "resumption with tickets", func(b *model.Bind) { bindTLS(b).Versions.NoTickets = false }),
		bindString("crt-ignore-err", "ERRORS", "errors of client certificates to let pass", func(b *model.Bind) *string { return &bindTLS(b).ErrIgnore }),
		bindString("ca-ignore-err", "ERRORS", "errors of authorities to let pass", func(b *model.Bind) *string { return &bindTLS(b).CAIgnoreErr }),
		bindFile("tls-ticket-keys", "keys of the tickets", func(b *model.Bind) *string { return &bindTLS(b).TicketKeys }),
		bindNothing("no-ca-names", 0, "do not announce the authorities", "take it out"),
		bindNothing("client-sigalgs", 1, "signature algorithms", "take it out"),
		bindNothing("sigalgs", 1, "signature algorithms", "take it out"),
		bindNothing("ocsp-update", 1, "fetch OCSP answers", "take it out"),
		bindNothing("no-alpn", 0, "offer no protocols", "take it out, and write no alpn"),
		bindLater("generate-certificates", "make certificates on the fly", "give the certificates with crt"),
		bindLater("ca-sign-file", "signer of generated certificates", "give the certificates with crt"),
		bindLater("ca-sign-pass", "password of ca-sign-file", "give the certificates with crt"),
	}
}

// alpn parts the list; protocols that are not built yet are left out.
func (p *parser) alpn(w word) []string {
	var out []string
	for _, proto := range strings.Split(w.Text, ",") {
		if proto == "h2" || proto == "h3" {
			p.once("alpn "+proto, w.Pos, "write 'alpn http/1.1'", "'alpn %s' is not offered: HTTP/1.1 is what is spoken", proto)
			continue
		}
		out = append(out, proto)
	}
	return out
}

func (p *parser) proto(w word) {
	switch w.Text {
	case "h1", "none":
	case "h2", "fcgi", "quic", "spop":
		p.errorf(w.Pos, "take 'proto' out: HTTP/1.1 is spoken", "'proto %s' is not supported yet", w.Text)
	default:
		p.errorf(w.Pos, closest(w.Text, []string{"h1", "h2", "none"}), "'proto' : unknown MUX protocol '%s'", w.Text)
	}
}

func (p *parser) level(w word, field *model.AdminLevel) {
	if p.oneOf("level", w, "user", "operator", "admin") {
		*field = map[string]model.AdminLevel{"user": model.LevelUser, "operator": model.LevelOperator, "admin": model.LevelAdmin}[w.Text]
	}
}

func (p *parser) setMode(w word, field *uint32) {
	if m, ok := p.fileMode(w); ok {
		*field = m
	}
}

// certPath and caPath put crt-base and ca-base before relative names.
func (p *parser) certPath(name string) string { return based(p.cfg.Global.CRTBase, name, p) }
func (p *parser) caPath(name string) string   { return based(p.cfg.Global.CABase, name, p) }

func based(base, name string, p *parser) string {
	if base != "" && name != "" && name[0] != '/' && name[0] != '@' {
		return strings.TrimSuffix(base, "/") + "/" + name
	}
	return p.path(name)
}

// parseBind reads a bind line.
func parseBind(p *parser, w []word) {
	if len(w) < 2 {
		p.errorf(w[0].Pos, "write 'bind ADDRESS:PORT'", "'bind' expects {<path>|[addr1]:port1[-end1]}{,[addr]:port[-end]}... as arguments.")
		return
	}
	b := &model.Bind{Pos: w[0].Pos, Text: join(w[1:])}
	addrs, ok := p.listenAddrs("bind", w[1])
	if !ok {
		return
	}
	b.Addrs = addrs
	context := "'bind " + w[1].Text + "' in section '" + p.section.String() + "'"
	hadSSL := false
	readParams(p, context, bindKeywords, b, w[2:], func(name string) { hadSSL = hadSSL || name == "ssl" })
	p.finishBind(b, hadSSL)
	p.proxy.Frontend.Binds = append(p.proxy.Frontend.Binds, b)
}

// finishBind drops TLS settings on a line without `ssl`.
func (p *parser) finishBind(b *model.Bind, hadSSL bool) {
	if b.TLS == nil {
		return
	}
	if !hadSSL {
		if len(b.TLS.Certs)+len(b.TLS.CRTLists) > 0 {
			p.warnf(b.Pos, "add 'ssl' for TLS, or take the certificate out", "a certificate was specified for bind '%s' but SSL is not enabled: it is served in clear", b.Text)
		}
		b.TLS = nil
		return
	}
	fixVersions(&b.TLS.Versions)
}

// readParams lets each parameter of a line read its words. An unknown one
// ends the line. seen is told the names.
func readParams[T any](p *parser, context string, table []*param[T], t T, w []word, seen func(string)) {
	for len(w) > 0 {
		k := findParam(table, w[0].Text)
		if k == nil {
			var names []string
			for _, k := range table {
				names = append(names, k.Name)
			}
			p.errorf(w[0].Pos, closest(w[0].Text, names), "%s: unknown keyword '%s'", context, w[0].Text)
			return
		}
		if k.Status == statusLater {
			p.errorf(w[0].Pos, k.Cure, "%s: '%s' is not supported yet", context, k.Name)
			return
		}
		if len(w) <= k.args {
			p.errorf(w[0].Pos, "", "%s : '%s' expects %s as argument", context, k.Name, k.Args)
			return
		}
		if k.Status == statusHarmless {
			p.once(strings.Fields(context)[0]+" "+k.Name, w[0].Pos, k.Cure, "%s: '%s' is accepted and has no effect here", context, k.Name)
		}
		if seen != nil {
			seen(k.Name)
		}
		n := 1 + k.args
		if k.apply != nil {
			k.apply(p, t, w[:n:n])
		}
		w = w[n:]
	}
}

func findParam[T any](table []*param[T], name string) *param[T] {
	for _, k := range table {
		if k.Name == name {
			return k
		}
	}
	return nil
}

// parseStatsSocket reads `stats socket`.
func parseStatsSocket(p *parser, w []word) {
	if len(w) < 3 {
		p.errorf(w[0].Pos, "write 'stats socket /run/evenkeel.sock mode 660 level admin'", "'stats socket' in section 'global' : expects an address")
		return
	}
	w = p.processRange(w)
	addrs, ok := p.listenAddrs("stats socket", w[2])
	if !ok {
		return
	}
	b := &model.Bind{Pos: w[0].Pos, Level: model.LevelOperator}
	expose := false
	for i := 3; i+1 < len(w); i++ {
		expose = expose || w[i].Text == "expose-fd" && w[i+1].Text == "listeners"
	}
	p.warned["'stats expose-fd"] = true // honoured here
	readParams(p, "'stats socket'", bindKeywords, b, w[3:], nil)
	for _, a := range addrs {
		p.cfg.Global.StatsSockets = append(p.cfg.Global.StatsSockets, &model.StatsSocket{
			Pos: b.Pos, Addr: a, Mode: b.Mode, User: b.User, Group: b.Group, UID: b.UID, GID: b.GID,
			Level: b.Level, MaxConn: b.MaxConn, ExposeListeners: expose,
		})
	}
}

// processRange takes `process N` off a stats socket line: old files have one
// socket for each process.
func (p *parser) processRange(w []word) []word {
	for i := 3; i+1 < len(w); i++ {
		if w[i].Text != "process" {
			continue
		}
		p.warnf(w[i].Pos, "write:  "+rewrite(append(append([]word(nil), w[:i]...), w[i+2:]...)), "'process' on a stats socket line is an old form: one process answers on every socket")
		return append(append([]word(nil), w[:i]...), w[i+2:]...)
	}
	return w
}

func parseTimeout(p *parser, name string, w word) (time.Duration, bool) {
	return p.duration(name, w, time.Millisecond)
}

func itoa(n int) string { return strconv.Itoa(n) }
