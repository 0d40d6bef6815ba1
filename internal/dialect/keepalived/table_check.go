package keepalived

import (
	"math"
	"strings"
	"time"

	"evenkeel/internal/model"
)

func checkerKeywords() []keyword {
	type C = model.RealCheck
	web := func(c *C) { c.HTTP = &model.HTTPCheckSpec{Version: "1.0"} }
	block := func(kind model.RealCheckKind, opens place, help string, start func(c *C), finish func(p *parser, c *checkDraft, n *node) bool) keyword {
		return keyword{Name: string(kind), In: placeRealServer, Block: true, Opens: opens, Help: help, Parse: checker(kind, opens, start, finish)}
	}
	return []keyword{
		block(model.CheckerHTTP, placeHTTP, "asks for URLs by HTTP", web, finishWeb),
		block(model.CheckerSSL, placeSSLGet, "asks for URLs by HTTPS", web, finishWeb),
		block(model.CheckerTCP, placeTCP, "connects", nil, nil),
		block(model.CheckerSMTP, placeSMTP, "greets a mail server", func(c *C) { c.SMTP = &model.SMTPCheckSpec{} }, nil),
		block(model.CheckerMISC, placeMISC, "runs a program", func(c *C) { c.Script = &model.ScriptCheckSpec{} }, finishMisc),
		block(model.CheckerDNS, placeDNS, "asks a name server by UDP", func(c *C) { c.DNS = &model.DNSCheckSpec{Type: "SOA", Name: "."} }, nil),
		block(model.CheckerUDP, placeUDP, "sends a packet, and waits for an answer or a refusal", func(c *C) { c.UDP = &model.UDPCheckSpec{MaxReply: 255} }, finishUDP),
		block(model.CheckerPING, placePing, "ICMP echo", nil, nil),
		block(model.CheckerFILE, placeFileCheck, "follows a track_file", func(c *C) { c.File = &model.FileCheckSpec{} }, finishFile),
		block(model.CheckerBFD, placeBFDCheck, "follows a bfd_instance", nil, finishBFD),
	}
}

func checkerLineKeywords() []keyword {
	connect := placeConnect | placeSMTPHost
	return []keyword{
		{Name: "connect_ip", Args: "ADDRESS", In: connect, Help: "where to (the real server)", Parse: func(p *parser, n *node) {
			if a, ok := p.address(n, 1); ok {
				p.connectTo().Addr = a
			}
		}},
		{Name: "connect_port", Args: "PORT", In: connect, Help: "where to (the real server's)", Parse: portOf(func(c *model.ConnectTo) *uint16 { return &c.Port })},
		{Name: "bindto", Args: "ADDRESS", In: connect, Help: "where from", Parse: func(p *parser, n *node) {
			if a, ok := p.address(n, 1); ok {
				p.connectTo().BindTo = a
			}
		}},
		{Name: "bind_port", Args: "PORT", In: connect, Help: "where from", Parse: portOf(func(c *model.ConnectTo) *uint16 { return &c.BindPort })},
		{Name: "bind_if", Args: "NAME", In: connect, Help: "through which interface", Parse: func(p *parser, n *node) {
			if name, ok := p.interfaceName(n, 1); ok {
				p.connectTo().BindIf = name
			}
		}},
		{Name: "fwmark", Args: "NUMBER", In: connect, Help: "mark of the packets", Parse: func(p *parser, n *node) {
			if v, ok := p.number(n, 1, 0, math.MaxUint32, "the line is not used"); ok {
				p.connectTo().FwMark = uint32(v)
			}
		}},

		{Name: "http_protocol", Args: "1.0|1.0C|1.1", In: placeWeb, Help: "version (1.0); 1.0C has Connection: close", Parse: readHTTPVersion},
		{Name: "fast_recovery", Args: "[on|off]", In: placeWeb, Help: "all URLs at once when a server comes back", Parse: flag(func(p *parser) *bool { return &p.lvs.check.HTTP.FastRecovery })},
		{Name: "enable_sni", Args: "[on|off]", In: placeWeb, Help: "the virtualhost is told to the server (SSL_GET)", Parse: flag(func(p *parser) *bool { return &p.lvs.check.HTTP.SNI })},
		{Name: "url", In: placeWeb, Block: true, Opens: placeURL, Help: "what is asked for", Parse: readURL},
		{Name: "path", Args: "PATH", In: placeURL, Help: "path and query", Parse: readPath},
		{Name: "digest", Args: "MD5", In: placeURL, Help: "of the answer's body", Parse: readDigest},
		{Name: "status_code", Args: "CODE|FIRST-LAST …", In: placeURL, Help: "of the answer (200-299)", Parse: readStatus},
		{Name: "regex", Args: `"PATTERN"`, In: placeURL, Help: "found in the answer", Parse: readRegex},
		{Name: "regex_no_match", In: placeURL, Help: "not found in the answer", Parse: set(func(p *parser) *bool { return &p.lvs.url.RegexNegate })},
		{Name: "regex_options", Args: strings.Join(regexOptions, "|") + " …", In: placeURL, Help: "switches of the pattern", Parse: readRegexOptions},
		{Name: "regex_stack", Status: statusHarmless, Cure: "take it out: a search here takes no stack", Args: "START MAXIMUM", In: placeURL, Help: "bytes for the search", Parse: readRegexStack},
		{Name: "regex_min_offset", Args: "BYTES", In: placeURL, Help: "where the search begins", Parse: counted(0, math.MaxInt32, func(p *parser) *int { return &p.lvs.url.RegexMinOffset })},
		{Name: "regex_max_offset", Args: "BYTES", In: placeURL, Help: "where a match begins at the latest", Parse: counted(0, math.MaxInt32, func(p *parser) *int { return &p.lvs.url.RegexMaxOffset })},
		{Name: "tls_compliant", In: placeURL | placeSSLGet, Help: "a server that ends without close_notify has failed", Parse: func(p *parser, _ *node) {
			if p.lvs.url != nil {
				p.lvs.url.TLSCompliant = true
			} else {
				p.lvs.check.strict = true
			}
		}},

		{Name: "helo_name", Args: "NAME", In: placeSMTP, Help: "the name in HELO", Parse: text1(func(p *parser) *string { return &p.lvs.check.SMTP.HELO })},
		{Name: "host", In: placeSMTP, Block: true, Opens: placeSMTPHost, Status: statusDeprecated, Cure: "write its lines in SMTP_CHECK itself", Help: "one of several mail servers", Parse: readSMTPHost},

		{Name: "misc_path", Args: `"COMMAND"`, In: placeMISC, Help: "the program and its parameters", Parse: readMiscPath},
		{Name: "misc_timeout", Args: "SECONDS", In: placeMISC, Help: "for one run (delay_loop)", Parse: timed(time.Microsecond, maxTimer, func(p *parser) *time.Duration { return &p.lvs.check.Script.Timeout })},
		{Name: "misc_dynamic", In: placeMISC, Help: "its exit status is the weight", Parse: set(func(p *parser) *bool { return &p.lvs.check.Script.Dynamic })},
		{Name: "user", Args: "USER [GROUP]", In: placeMISC, Help: "who runs it", Parse: func(p *parser, n *node) {
			if p.want(n, 1, 2) {
				p.lvs.check.Script.Command.User = p.credential(n, 1)
			}
		}},

		{Name: "type", Args: strings.Join(dnsTypes, "|"), In: placeDNS, Help: "what is asked for (SOA)", Parse: readDNSType},
		{Name: "name", Args: "DOMAIN", In: placeDNS, Help: "about which name (.)", Parse: readDNSName},

		{Name: "payload", Args: "HEX", In: placeUDP, Help: "what is sent", Parse: readPayload},
		{Name: "require_reply", Args: "[HEX]", In: placeUDP, Help: "there must be an answer, which begins so; X is any digit", Parse: readReply},
		{Name: "min_reply_length", Args: "BYTES", In: placeUDP, Help: "of the answer (0)", Parse: counted(0, 65535, func(p *parser) *int { return &p.lvs.check.UDP.MinReply })},
		{Name: "max_reply_length", Args: "BYTES", In: placeUDP, Help: "of the answer (255)", Parse: counted(0, 65535, func(p *parser) *int { return &p.lvs.check.UDP.MaxReply })},

		{Name: "track_file", Args: "NAME", In: placeFileCheck, Help: "which one", Parse: text1(func(p *parser) *string { return &p.lvs.check.File.File })},
		{Name: "dynamic", In: placeFileCheck, Help: "its number is added to the weight", Parse: set(func(p *parser) *bool { return &p.lvs.check.File.Dynamic })},
		{Name: "weight", Args: "NUMBER [reverse]", In: placeFileCheck, Help: "its number is multiplied with it", Parse: readFileWeight},

		{Name: "name", Args: "BFD_INSTANCE", In: placeBFDCheck, Help: "which one", Parse: text1(func(p *parser) *string { return &p.lvs.check.BFD })},
	}
}

func portOf(at func(c *model.ConnectTo) *uint16) func(*parser, *node) {
	return func(p *parser, n *node) {
		if !p.want(n, 1, 1) {
			return
		}
		if v, ok := p.port(n, 1); ok {
			*at(p.connectTo()) = v
		}
	}
}
