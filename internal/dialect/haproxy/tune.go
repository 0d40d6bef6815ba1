package haproxy

import (
	"math"
	"strings"
	"time"

	"evenkeel/internal/model"
)

// tuneSize makes an entry for a number of bytes that is honoured.
func tuneSize(name, help string, least int, field func(*model.Tune) *int) *keyword {
	return g(name, "BYTES", help, func(p *parser, w []word) {
		v, ok := p.need(w, 1, "an integer")
		if !ok || p.tooMany(w, 1) {
			return
		}
		n, ok := p.size(name, v)
		if ok && (n < least || n > math.MaxInt32) {
			p.errorf(v.Pos, numberRange(least, math.MaxInt32), "'%s': %d is out of range", name, n)
			return
		}
		if ok {
			*field(&p.cfg.Global.Tune) = n
		}
	})
}

func tuneInt(name, help string, lo, hi int, field func(*model.Tune) *int) *keyword {
	return gInt(name, help, lo, hi, func(g *model.Global) *int { return field(&g.Tune) })
}

func tlsText(name, help string, field func(*model.Global) *string) *keyword {
	return gString(name, "LIST", help, field)
}

var tuneKeywords = []*keyword{
	tuneSize("tune.bufsize", "size of a buffer, which bounds a message's head", 1024, func(t *model.Tune) *int { return &t.BufSize }),
	tuneSize("tune.maxrewrite", "part of a buffer that is kept for rewriting", 0, func(t *model.Tune) *int { return &t.MaxRewrite }),
	tuneInt("tune.http.maxhdr", "header fields in one message", 1, 32767, func(t *model.Tune) *int { return &t.MaxHeaders }),
	tuneInt("tune.maxaccept", "connections taken at one wake-up; -1: no limit", -1, math.MaxInt32, func(t *model.Tune) *int { return &t.MaxAccept }),
	gTime("tune.idletimer", "pause after which a stream counts as idle", func(g *model.Global) *time.Duration { return &g.Tune.IdleTimer }),
	tuneInt("tune.pool-low-fd-ratio", "percent of descriptors above which idle connections are closed", 0, 100, func(t *model.Tune) *int { return &t.PoolLowFD }),
	tuneSize("tune.rcvbuf.client", "kernel's receive buffer of clients", 0, func(t *model.Tune) *int { return &t.RcvBufClient }),
	tuneSize("tune.rcvbuf.server", "kernel's receive buffer of servers", 0, func(t *model.Tune) *int { return &t.RcvBufServer }),
	tuneSize("tune.sndbuf.client", "kernel's send buffer of clients", 0, func(t *model.Tune) *int { return &t.SndBufClient }),
	tuneSize("tune.sndbuf.server", "kernel's send buffer of servers", 0, func(t *model.Tune) *int { return &t.SndBufServer }),
	g("tune.ssl.lifetime", "TIME", "how long a TLS session can be resumed, in seconds", func(p *parser, w []word) {
		v, ok := p.need(w, 1, "ssl sessions <lifetime> in seconds")
		if !ok || p.tooMany(w, 1) {
			return
		}
		if d, ok := p.duration("tune.ssl.lifetime", v, time.Second); ok {
			p.cfg.Global.Tune.SSLLifetime = d
		}
	}),
	tuneInt("tune.ssl.cachesize", "TLS sessions that are remembered", 0, math.MaxInt32, func(t *model.Tune) *int { return &t.SSLCacheSize }),
	tuneSize("tune.vars.txn-max-size", "memory of a transaction's variables", 0, func(t *model.Tune) *int { return &t.VarsMaxSize }),

	gString("ca-base", "DIR", "the directory of ca-file and crl-file", func(g *model.Global) *string { return &g.CABase }),
	gString("crt-base", "DIR", "the directory of crt", func(g *model.Global) *string { return &g.CRTBase }),
	g("ssl-default-bind-options", "OPTION…", "TLS versions of bind lines", func(p *parser, w []word) { p.tlsOptions(w, &p.cfg.Global.BindSSL) }),
	g("ssl-default-server-options", "OPTION…", "TLS versions of server lines", func(p *parser, w []word) { p.tlsOptions(w, &p.cfg.Global.ServerSSL) }),
	tlsText("ssl-default-bind-ciphers", "cipher suites up to TLS 1.2 of bind lines", func(g *model.Global) *string { return &g.BindCiphers }),
	tlsText("ssl-default-bind-ciphersuites", "cipher suites of TLS 1.3 of bind lines", func(g *model.Global) *string { return &g.BindCiphersuites }),
	tlsText("ssl-default-bind-curves", "curves of bind lines", func(g *model.Global) *string { return &g.BindCurves }),
	tlsText("ssl-default-server-ciphers", "cipher suites up to TLS 1.2 of server lines", func(g *model.Global) *string { return &g.ServerCiphers }),
	tlsText("ssl-default-server-ciphersuites", "cipher suites of TLS 1.3 of server lines", func(g *model.Global) *string { return &g.ServerCiphersuites }),
	g("ssl-server-verify", "none|required", "whether servers' certificates are verified", func(p *parser, w []word) {
		if v, ok := p.need(w, 1, "'none' or 'required'"); ok && p.oneOf("ssl-server-verify", v, "none", "required") {
			p.cfg.Global.ServerVerifyNone = v.Text == "none"
		}
	}),
}

// tlsOptions reads ssl-default-bind-options and ssl-default-server-options.
func (p *parser) tlsOptions(w []word, v *model.TLSVersions) {
	if _, ok := p.need(w, 1, "at least one option"); !ok {
		return
	}
	for i := 1; i < len(w); i++ {
		if set := tlsSwitches[w[i].Text]; set != nil {
			set(v)
			continue
		}
		switch w[i].Text {
		case "ssl-min-ver", "ssl-max-ver":
			if i+1 >= len(w) {
				p.errorf(w[i].Pos, "write "+w[i].Text+" TLSv1.2", "'%s' expects a version", w[i].Text)
				return
			}
			field := &v.Min
			if w[i].Text == "ssl-max-ver" {
				field = &v.Max
			}
			p.tlsVersion(w[i:i+2], field)
			i++
		case "strict-sni", "no-ca-names":
			p.warnf(w[i].Pos, map[string]string{"strict-sni": "write it on each bind line", "no-ca-names": "take it out"}[w[i].Text], "'%s' has no effect in '%s' yet", w[i].Text, w[0].Text)
		case "tls-tickets", "prefer-server-ciphers":
		default:
			p.errorf(w[i].Pos, closest(w[i].Text, append(keys(tlsSwitches), "ssl-min-ver", "ssl-max-ver", "tls-tickets")), "'%s' : unknown option '%s'", w[0].Text, w[i].Text)
			return
		}
	}
	fixVersions(v)
}

// harmless makes an entry that is accepted without effect. args is one letter
// for each argument: n a number, b on or off, t a time, s a size, w any word;
// a star takes all that follow.
func harmless(where section, name, args, help string) *keyword {
	shown := map[byte]string{'n': "NUMBER", 'b': "on|off", 't': "TIME", 's': "SIZE", 'w': "WORD", '*': "…"}
	var list []string
	for i := range len(args) {
		list = append(list, shown[args[i]])
	}
	return &keyword{
		Name: name, Args: strings.Join(list, " "), Sections: where, Help: help, Status: statusHarmless, No: args == "",
		Cure:  "take the line out, or leave it for HAProxy",
		Parse: func(p *parser, w []word) { p.harmlessArgs(name, args, w) },
	}
}

func (p *parser) harmlessArgs(name, args string, w []word) {
	for i := range len(args) {
		if args[i] == '*' {
			return
		}
		v, ok := p.need(w, i+1, map[byte]string{'n': "an integer", 'b': "'on' or 'off'", 't': "a time", 's': "a size", 'w': "a word"}[args[i]])
		if !ok {
			return
		}
		switch args[i] {
		case 'n':
			p.number(name, v, math.MinInt32, math.MaxInt32)
		case 'b':
			p.oneOf(name, v, "on", "off", "auto")
		case 't':
			p.duration(name, v, time.Millisecond)
		case 's':
			p.size(name, v)
		}
	}
	p.tooMany(w, len(args))
}

func harmlessList(where section, help string, entries ...string) []*keyword {
	var out []*keyword
	for _, e := range entries {
		name, args, _ := strings.Cut(e, " ")
		out = append(out, harmless(where, name, args, help))
	}
	return out
}

var harmlessKeywords = func() (out []*keyword) {
	out = append(out, harmlessList(secGlobal, "tunes a part that works otherwise here",
		"tune.buffers.limit n", "tune.buffers.reserve n", "tune.comp.maxlevel n", "tune.fail-alloc n", "tune.fd.edge-triggered b",
		"tune.h2.be.glitches-threshold n", "tune.h2.be.initial-window-size n", "tune.h2.be.max-concurrent-streams n",
		"tune.h2.fe.glitches-threshold n", "tune.h2.fe.initial-window-size n", "tune.h2.fe.max-concurrent-streams n", "tune.h2.fe.max-total-streams n",
		"tune.h2.header-table-size n", "tune.h2.initial-window-size n", "tune.h2.max-concurrent-streams n", "tune.h2.max-frame-size n", "tune.h2.zero-copy-fwd-send b",
		"tune.applet.zero-copy-forwarding b", "tune.cookielen n", "tune.http.cookielen n", "tune.http.logurilen n", "tune.idle-pool.shared b",
		"tune.disable-zero-copy-forwarding ", "tune.disable-fast-forward ", "tune.events.max-events-at-once n", "tune.h1.zero-copy-fwd-recv b", "tune.h1.zero-copy-fwd-send b",
		"tune.listener.default-shards w", "tune.listener.multi-queue w", "tune.lua.burst-timeout t", "tune.lua.forced-yield n", "tune.lua.maxmem n",
		"tune.lua.service-timeout t", "tune.lua.session-timeout t", "tune.lua.task-timeout t", "tune.lua.log.loggers b", "tune.lua.log.stderr w",
		"tune.max-checks-per-thread n", "tune.maxpollevents n", "tune.memory.hot-size n", "tune.pattern.cache-size n", "tune.peers.max-updates-at-once n",
		"tune.pipesize s", "tune.pool-high-fd-ratio n", "tune.pt.zero-copy-forwarding b", "tune.rcvbuf.backend n", "tune.rcvbuf.frontend n", "tune.sndbuf.backend n", "tune.sndbuf.frontend n",
		"tune.recv_enough n", "tune.ring.queues n", "tune.runqueue-depth n", "tune.sched.low-latency b", "tune.stick-counters n", "tune.takeover-other-tg-connections w",
		"tune.ssl.capture-buffer-size n", "tune.ssl.capture-cipherlist-size n", "tune.ssl.default-dh-param n", "tune.ssl.force-private-cache ", "tune.ssl.hard-maxrecord n",
		"tune.ssl.keylog b", "tune.ssl.maxrecord n", "tune.ssl.ocsp-update.maxdelay n", "tune.ssl.ocsp-update.mindelay n", "tune.ssl.ssl-ctx-cache-size n",
		"tune.vars.check-max-size s", "tune.vars.global-max-size s", "tune.vars.proc-max-size s", "tune.vars.reqres-max-size s", "tune.vars.sess-max-size s",
		"tune.zlib.memlevel n", "tune.zlib.windowsize n", "tune.quic.frontend.conn-tx-buffers.limit n", "tune.quic.frontend.max-idle-timeout t", "tune.quic.frontend.max-streams-bidi n",
		"tune.quic.retry-threshold n", "tune.quic.socket-owner w", "tune.quic.max-frame-loss n", "tune.quic.zero-copy-fwd-send b", "tune.chksize n",
	)...)
	out = append(out, harmlessList(secGlobal, "a switch of HAProxy's insides",
		"busy-polling ", "set-dumpable ", "strict-limits ", "insecure-fork-wanted ", "insecure-setuid-wanted ", "numa-cpu-mapping ", "no-memory-trimming ",
		"noepoll ", "nopoll ", "nokqueue ", "noevports ", "nosplice ", "nogetaddrinfo ", "quiet ", "debug ", "expose-experimental-directives ", "expose-deprecated-directives ",
		"prealloc-fd ", "no-quic ", "limited-quic ", "h1-accept-payload-with-any-method ", "h2-workaround-bogus-websocket-clients ", "pp2-never-send-local ",
		"mworker-max-reloads n", "fd-hard-limit n", "thread-groups n", "thread-group *", "thread-hard-limit n", "close-spread-time w", "warn-blocked-traffic-after t", "force-cfg-parser-pause t",
		"profiling.tasks w", "profiling.memory b", "ssl-mode-async ", "ssl-skip-self-issued-ca ", "ssl-engine *", "ssl-provider w", "ssl-provider-path w", "ssl-propquery w", "ssl-security-level n",
		"ssl-dh-param-file w", "ssl-load-extra-files *", "ssl-load-extra-del-ext ", "issuers-chain-path w", "ssl-default-bind-sigalgs w", "ssl-default-bind-client-sigalgs w",
		"ssl-default-server-curves w", "ssl-default-server-sigalgs w", "ssl-default-server-client-sigalgs w", "acme.scheduler w",
		"maxcomprate n", "maxcompcpuusage n", "maxzlibmem n", "cluster-secret w", "anonkey n", "dns-accept-family w", "ocsp-update.disable b", "ocsp-update.mode b", "ocsp-update.mindelay n", "ocsp-update.maxdelay n",
		"httpclient.resolvers.disabled w", "httpclient.resolvers.id w", "httpclient.resolvers.prefer w", "httpclient.retries n", "httpclient.ssl.ca-file w", "httpclient.ssl.verify *", "httpclient.timeout.connect t",
		"harden.reject-privileged-ports.tcp b", "harden.reject-privileged-ports.quic b", "h1-do-not-close-on-insecure-forwarding ", "stats-file w", "setcap w",
	)...)
	out = append(out, harmlessList(secAny, "tunes a part that works otherwise here",
		"clitcpka-cnt n", "clitcpka-idle t", "clitcpka-intvl t", "srvtcpka-cnt n", "srvtcpka-idle t", "srvtcpka-intvl t", "hash-preserve-affinity w", "guid w",
		"log-steps *", "max-session-srv-conns n",
	)...)
	return out
}()
