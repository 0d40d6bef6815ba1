package haproxy

import (
	"math"
	"strconv"
	"strings"

	"evenkeel/internal/model"
)

var logFacilities = []string{
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "auth2", "ftp",
	"ntp", "audit", "alert", "cron2", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

var logLevels = []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}

var logFormats = map[string]model.LogWire{
	"rfc3164": model.LogRFC3164, "rfc5424": model.LogRFC5424, "priority": model.LogPriority, "short": model.LogShort,
	"timed": model.LogTimed, "iso": model.LogISO, "raw": model.LogRaw, "local": model.LogLocal,
}

// parseLog reads a log line of the global section or of a proxy.
func parseLog(p *parser, w []word) {
	targets := &p.cfg.Global.Logs
	if p.proxy != nil {
		targets = &p.proxy.Logs
	}
	if p.negated {
		if len(w) > 1 {
			p.errorf(w[1].Pos, "write 'no log'", "'no log' does not expect arguments")
			return
		}
		*targets = nil
		return
	}
	if len(w) > 1 && w[1].Text == "global" {
		if p.proxy == nil {
			p.errorf(w[1].Pos, "name an address", "log : 'global' is not supported for a global syslog server")
		} else if !p.tooMany(w, 1) {
			*targets = append(*targets, model.LogTarget{Pos: w[0].Pos, Global: true})
		}
		return
	}
	if len(w) < 3 {
		p.errorf(w[0].Pos, "write 'log ADDRESS FACILITY [LEVEL]', such as 'log /dev/log local0'", "log : expects <address> and <facility>  as arguments")
		return
	}
	t := model.LogTarget{Pos: w[0].Pos, MaxLen: 1024, Level: 7}
	if !p.logAddress(w[1], &t) {
		return
	}
	rest, ok := p.logOptions(w[2:], &t)
	if !ok {
		return
	}
	if len(rest) == 0 {
		p.errorf(w[0].Pos, "write a facility, such as local0", "log : expects <address> and <facility>  as arguments")
		return
	}
	if rest[0].Text != "len" && !contains(logFacilities, rest[0].Text) {
		cure := closest(rest[0].Text, logFacilities)
		if cure == "" {
			cure = "write one of: " + strings.Join(logFacilities, ", ")
		}
		p.errorf(rest[0].Pos, cure, "log : unknown log facility '%s'", rest[0].Text)
		return
	}
	t.Facility = rest[0].Text
	if p.logLevels(rest[1:], &t) {
		*targets = append(*targets, t)
	}
}

func (p *parser) logLevels(rest []word, t *model.LogTarget) bool {
	for i, field := range []*int{&t.Level, &t.MinLevel} {
		if i >= len(rest) {
			return true
		}
		*field = index(logLevels, rest[i].Text)
		if *field < 0 {
			p.errorf(rest[i].Pos, "write one of: "+strings.Join(logLevels, ", "), "log : unknown optional %slog level '%s'", []string{"", "minimum "}[i], rest[i].Text)
			return false
		}
	}
	if len(rest) > 2 {
		p.errorf(rest[2].Pos, "", "log : cannot handle unexpected argument '%s'", rest[2].Text)
		return false
	}
	return true
}

// logOptions reads what may stand between the address and the facility.
func (p *parser) logOptions(w []word, t *model.LogTarget) ([]word, bool) {
	explicit := false
	for len(w) > 1 {
		switch w[0].Text {
		case "len":
			n, ok := p.number("log len", w[1], 80, 65535)
			if !ok {
				return nil, false
			}
			t.MaxLen = n
		case "format":
			f, ok := logFormats[w[1].Text]
			if !ok {
				p.errorf(w[1].Pos, closest(w[1].Text, keys(logFormats)), "log : unknown log format '%s'", w[1].Text)
				return nil, false
			}
			t.Format, explicit = f, true
		case "sample":
			ranges, size, ok := strings.Cut(w[1].Text, ":")
			n, err := strconv.Atoi(size)
			if !ok || err != nil || n < 1 || !sampleRanges(ranges, n) {
				p.errorf(w[1].Pos, "write ranges and a size, such as 1,3-5:10", "log : bad sampling '%s'", w[1].Text)
				return nil, false
			}
			t.SampleRanges, t.SampleSize = ranges, n
		case "profile":
			p.errorf(w[0].Pos, "use log-format", "'log … profile' is not supported yet")
			return nil, false
		default:
			return p.logFormatDefault(w, t, explicit), true
		}
		w = w[2:]
	}
	return p.logFormatDefault(w, t, explicit), true
}

func (p *parser) logFormatDefault(rest []word, t *model.LogTarget, explicit bool) []word {
	if !explicit && t.Network == "unixgram" {
		t.Format = model.LogLocal
	}
	return rest
}

func sampleRanges(s string, size int) bool {
	for _, r := range strings.Split(s, ",") {
		lo, hi, isRange := strings.Cut(r, "-")
		a, err := strconv.Atoi(lo)
		b := a
		if err == nil && isRange {
			b, err = strconv.Atoi(hi)
		}
		if err != nil || a < 1 || b < a || b > size {
			return false
		}
	}
	return true
}

// logAddress reads where a log line goes: UDP by default.
func (p *parser) logAddress(w word, t *model.LogTarget) bool {
	s := p.expandAddr(w.Text)
	switch {
	case s == "stdout" || s == "stderr":
		t.Network = s
		return true
	case strings.HasPrefix(s, "fd@"):
		t.Network, t.Addr = "fd", s[3:]
		if _, err := strconv.Atoi(t.Addr); err != nil {
			p.errorf(w.at(3), "write a number, or \"fd@${NAME}\"", "log : invalid file descriptor '%s'", t.Addr)
			return false
		}
		return true
	case strings.HasPrefix(s, "ring@"), strings.HasPrefix(s, "backend@"):
		p.errorf(w.Pos, "name the log server's address", "log : '%s' is not supported yet", s)
		return false
	}
	if rest, ok := cutAny(s, "unix@", "abns@", "uxdg@"); ok || strings.HasPrefix(s, "/") {
		t.Network, t.Addr = "unixgram", rest
		if strings.HasPrefix(s, "abns@") {
			t.Addr = "@" + rest
		}
		return true
	}
	t.Network = "udp"
	rest, _ := cutAny(s, "udp@", "udp4@", "udp6@", "ipv4@", "ipv6@")
	if r, ok := cutAny(s, "tcp@", "tcp4@", "tcp6@"); ok {
		rest, t.Network = r, "tcp"
	}
	host, port, ok := splitHostPort(rest)
	if !ok || !isHost(host) || host == "" {
		p.errorf(w.Pos, "write HOST:PORT, a path such as /dev/log, stdout, stderr or fd@N", "log : invalid address: '%s'", s)
		return false
	}
	n := 514
	if port != "" {
		if strings.Contains(port, "-") {
			p.errorf(w.Pos, "write one port", "log : port range not permitted here in '%s'", s)
			return false
		}
		n, ok = p.number("log", word{Text: port, Pos: w.at(len(s) - len(port))}, 1, 65535)
		if !ok {
			return false
		}
	}
	t.Addr = joinHostPort(host, n)
	return true
}

func parseLogTag(p *parser, w []word) {
	if v, ok := p.need(w, 1, "a tag"); ok {
		p.proxy.LogTag = v.Text
	}
}

func parseRateLimit(p *parser, w []word) {
	if len(w) < 3 || w[1].Text != "sessions" {
		p.errorf(w[0].Pos, "write 'rate-limit sessions NUMBER'", "'rate-limit' only supports 'sessions'")
		return
	}
	if n, ok := p.number("rate-limit sessions", w[2], 0, math.MaxInt32); ok {
		p.proxy.Frontend.RateLimit = n
	}
}
