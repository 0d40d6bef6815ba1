package keepalived

import (
	"encoding/hex"
	"net/netip"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"time"

	"evenkeel/internal/model"
)

const defaultPersistence = 360 * time.Second

// checkDraft is a checker while it is read: what it says of its timing itself.
type checkDraft struct {
	*model.RealCheck
	timing model.CheckTiming
	alpha  *bool
	log    *bool
	strict bool // tls_compliant for all URLs
}

// checker makes the entry of a checker's block.
func checker(kind model.RealCheckKind, opens place, start func(c *model.RealCheck), finish func(p *parser, c *checkDraft, n *node) bool) func(*parser, *node) {
	return func(p *parser, n *node) {
		c := &checkDraft{RealCheck: &model.RealCheck{Pos: n.pos(0), Kind: kind}}
		if start != nil {
			start(c.RealCheck)
		}
		p.lvs.check = c
		p.dispatch(n.body, opens)
		p.lvs.check = nil
		if finish != nil && !finish(p, c, n) {
			return
		}
		p.checkConnect(c, n)
		p.lvs.real.Checkers = append(p.lvs.real.Checkers, c.RealCheck)
		if p.drafts == nil {
			p.drafts = map[*model.RealCheck]*checkDraft{}
		}
		p.drafts[c.RealCheck] = c
	}
}

// checkConnect: where a checker connects and where it does so from are of one
// family.
func (p *parser) checkConnect(c *checkDraft, n *node) {
	to := c.Connect.Addr
	if !to.IsValid() {
		to = p.lvs.real.Addr
	}
	if from := c.Connect.BindTo; from.IsValid() && family(from) != family(to) {
		p.warnf(n.pos(0), "", "bindto %s and %s are of different families: bindto is not used", from, to)
		c.Connect.BindTo = netip.Addr{}
	}
	if to.IsLinkLocalUnicast() && to.Is6() && c.Connect.BindIf == "" && hasConnection(c.Kind) {
		p.warnf(n.pos(0), "write 'bind_if NAME'", "a checker of the link-local address %s needs to know the interface", to)
	}
}

func hasConnection(k model.RealCheckKind) bool {
	return k != model.CheckerMISC && k != model.CheckerFILE && k != model.CheckerBFD
}

// completeChecks settles the timing of a virtual server's checkers: the
// innermost line wins.
func (p *parser) completeChecks(v *model.VirtualServer) {
	for _, r := range v.Real {
		for _, c := range r.Checkers {
			d := p.drafts[c]
			own := d.timing
			inherited := func(pick func(model.CheckTiming) time.Duration, otherwise time.Duration) time.Duration {
				for _, t := range []model.CheckTiming{own, r.Check, v.Check} {
					if x := pick(t); x > 0 {
						return x
					}
				}
				return otherwise
			}
			c.Interval = inherited(func(t model.CheckTiming) time.Duration { return t.DelayLoop }, time.Minute)
			retry, delay := 1, time.Second
			switch c.Kind {
			case model.CheckerDNS:
				retry, delay = 3, c.Interval
			case model.CheckerMISC:
				retry = 0
			case model.CheckerHTTP, model.CheckerSSL:
				delay = 3 * time.Second
			}
			c.Retry = first(retry, own.Retry, r.Check.Retry, v.Check.Retry)
			c.DelayBeforeRetry = first(delay, own.DelayBeforeRetry, r.Check.DelayBeforeRetry, v.Check.DelayBeforeRetry)
			c.Warmup = first(c.Interval, own.Warmup, r.Check.Warmup, v.Check.Warmup)
			c.Timeout = inherited(func(t model.CheckTiming) time.Duration { return t.ConnectTimeout }, 5*time.Second)
			c.Alpha = first(v.Alpha, d.alpha, r.Alpha)
			c.Log = first(p.f.LogAllFailures, d.log)
			if c.Kind == model.CheckerSSL {
				c.TLS = p.f.SSL
			}
			if c.HTTP != nil {
				settleHost(c.HTTP, r, v)
			}
			if c.Script != nil && c.Script.Timeout == 0 {
				c.Script.Timeout = c.Interval
			}
		}
	}
}

// settleHost fills in the Host of requests that do not say.
func settleHost(h *model.HTTPCheckSpec, r *model.RealServer, v *model.VirtualServer) {
	for _, s := range []string{r.VirtualHost, v.VirtualHost} {
		if h.VirtualHost == "" {
			h.VirtualHost = s
		}
	}
	for _, u := range h.URLs {
		if u.VirtualHost == "" {
			u.VirtualHost = h.VirtualHost
		}
	}
}

// timingOf gives the timing of what is being read: a checker's, a real
// server's, or the virtual server's.
func (p *parser) timingOf() *model.CheckTiming {
	switch {
	case p.lvs.check != nil:
		return &p.lvs.check.timing
	case p.lvs.real != nil:
		return &p.lvs.real.Check
	}
	return &p.lvs.virtual.Check
}

func readAlpha(p *parser, n *node) {
	v, ok := p.boolean(n, 1)
	switch {
	case !ok:
	case p.lvs.check != nil:
		p.lvs.check.alpha = &v
	case p.lvs.real != nil:
		p.lvs.real.Alpha = &v
	default:
		p.lvs.virtual.Alpha = v
	}
}

func readRetry(p *parser, n *node) {
	if n.name() == "nb_get_retry" {
		p.warnf(n.pos(0), "write retry", "'nb_get_retry' is deprecated: it is read as retry")
	}
	if v, ok := p.number(n, 1, 0, 4294967295, "the line is not used"); ok {
		i := int(v)
		p.timingOf().Retry = &i
	}
}

// connectTo gives where lines about connections go.
func (p *parser) connectTo() *model.ConnectTo {
	if p.lvs.smtpHost != nil {
		return p.lvs.smtpHost
	}
	return &p.lvs.check.Connect
}

func finishWeb(p *parser, c *checkDraft, n *node) bool {
	if len(c.HTTP.URLs) == 0 {
		p.warnf(n.pos(0), "write url { path / }", "%s asks for no url: it is left out, and the real server counts as up", n.name())
		return false
	}
	for _, u := range c.HTTP.URLs {
		u.TLSCompliant = u.TLSCompliant || c.strict
	}
	return true
}

func readURL(p *parser, n *node) {
	u := &model.CheckURL{Pos: n.pos(0), RegexMinOffset: 0}
	p.lvs.url = u
	p.dispatch(n.body, placeURL)
	p.lvs.url = nil
	if u.Path == "" {
		p.warnf(n.pos(0), "write 'path /'", "the url has no path: it is left out")
		return
	}
	if u.Regex == "" && (u.RegexNegate || len(u.RegexOptions) > 0 || len(u.RegexStack) > 0) {
		p.warnf(n.pos(0), `write regex "PATTERN"`, "there are lines about a regex and no regex: they are not used")
	}
	if u.RegexMaxOffset > 0 && u.RegexMinOffset > u.RegexMaxOffset {
		p.warnf(n.pos(0), "exchange them", "regex_min_offset is above regex_max_offset: both are not used")
		u.RegexMinOffset, u.RegexMaxOffset = 0, 0
	}
	p.lvs.check.HTTP.URLs = append(p.lvs.check.HTTP.URLs, u)
}

func readPath(p *parser, n *node) {
	if !p.want(n, 1, 1) {
		return
	}
	path := n.arg(1)
	if strings.ContainsAny(path, " \r\n\x00") {
		p.errorf(n.pos(1), "write %20 for a blank", "the path has characters that cannot be in a request line")
		return
	}
	if !strings.HasPrefix(path, "/") && path != "*" {
		p.warnf(n.pos(1), "write '/"+path+"'", "the path does not begin with '/'")
	}
	p.lvs.url.Path = path
}

func readDigest(p *parser, n *node) {
	if !p.want(n, 1, 1) {
		return
	}
	d := strings.ToLower(n.arg(1))
	if raw, err := hex.DecodeString(d); err != nil || len(raw) != 16 {
		p.errorf(n.pos(1), "take it from 'genhash', or from 'curl URL | md5sum'", "a digest has 32 hexadecimal digits, this has %d characters", len(n.arg(1)))
		return
	}
	p.lvs.url.Digest = d
}

func readStatus(p *parser, n *node) {
	if !p.want(n, 1, -1) {
		return
	}
	for i := 1; i < len(n.words); i++ {
		a, b, ranged := strings.Cut(n.arg(i), "-")
		if !ranged {
			b = a
		}
		low, ok1 := wholeNumber(a)
		high, ok2 := wholeNumber(b)
		if !ok1 || !ok2 || low < 100 || high > 999 || low > high {
			p.errorf(n.pos(i), "write CODE or FIRST-LAST, from 100 to 999, with blanks between several", "'%s' is not a status", n.arg(i))
			continue
		}
		p.lvs.url.Status = append(p.lvs.url.Status, model.StatusRange{First: int(low), Last: int(high)})
	}
}

// readRegex takes the pattern. That it compiles is a matter of the checker:
// here only what no engine takes is found.
func readRegex(p *parser, n *node) {
	if !p.want(n, 1, -1) {
		return
	}
	if len(n.words) > 2 {
		p.errorf(n.pos(2), `put the pattern into "…"`, "a regex is one word")
		return
	}
	if _, err := syntax.Parse(n.arg(1), syntax.Perl); err != nil && strings.Contains(err.Error(), "missing") {
		p.errorf(n.pos(1), "", "the regex cannot be read: %v", err)
		return
	}
	p.lvs.url.Regex = n.arg(1)
}

var regexOptions = []string{
	"allow_empty_class", "alt_bsux", "auto_callout", "caseless", "dollar_endonly", "dotall", "dupnames", "extended", "firstline",
	"match_unset_backref", "multiline", "never_ucp", "never_utf", "no_auto_capture", "no_auto_possess", "no_dotstar_anchor",
	"no_start_optimize", "ucp", "ungreedy", "utf", "never_backslash_c", "alt_circumflex", "alt_verbnames", "use_offset_limit",
}

func readRegexOptions(p *parser, n *node) {
	if !p.want(n, 1, -1) {
		return
	}
	for i := 1; i < len(n.words); i++ {
		if !slices.Contains(regexOptions, n.arg(i)) {
			p.warnf(n.pos(i), closest(n.arg(i), regexOptions), "unknown regex option '%s': it is not used", n.arg(i))
			continue
		}
		p.lvs.url.RegexOptions = append(p.lvs.url.RegexOptions, n.arg(i))
	}
}

func readRegexStack(p *parser, n *node) {
	low, ok := p.number(n, 1, 1, 1<<31, "the line is not used")
	if !ok {
		return
	}
	high, ok := p.number(n, 2, 1, 1<<31, "the line is not used")
	if ok && low > high {
		p.warnf(n.pos(1), "exchange them", "the first size is above the second: the line is not used")
	} else if ok {
		p.lvs.url.RegexStack = []int{int(low), int(high)}
	}
}

func readHTTPVersion(p *parser, n *node) {
	if !p.want(n, 1, 1) {
		return
	}
	switch v := strings.ToUpper(n.arg(1)); v {
	case "1.0", "1.0C", "1.1":
		p.lvs.check.HTTP.Version = v
	default:
		p.warnf(n.pos(1), "write 1.0, 1.0C or 1.1", "unknown version '%s' of HTTP: 1.0 is used", n.arg(1))
	}
}

func readSMTPHost(p *parser, n *node) {
	p.warnf(n.pos(0), "write its lines in SMTP_CHECK itself, and a SMTP_CHECK for each host", "the host block of SMTP_CHECK is deprecated")
	p.lvs.smtpHost = &model.ConnectTo{}
	p.dispatch(n.body, placeSMTPHost)
	p.lvs.check.SMTP.Hosts = append(p.lvs.check.SMTP.Hosts, *p.lvs.smtpHost)
	p.lvs.smtpHost = nil
}

func readMiscPath(p *parser, n *node) {
	if c := p.command(n, 1, false); c != nil {
		user := p.lvs.check.Script.Command.User
		p.lvs.check.Script.Command = *c
		p.lvs.check.Script.Command.User = user
		p.checkExists(c)
	}
}

func finishMisc(p *parser, c *checkDraft, n *node) bool {
	if len(c.Script.Command.Argv) == 0 {
		p.warnf(n.pos(0), `write misc_path "COMMAND"`, "MISC_CHECK has no misc_path: it is left out")
		return false
	}
	return true
}

var dnsTypes = []string{"A", "NS", "CNAME", "SOA", "MX", "TXT", "AAAA", "PTR", "SRV", "NAPTR", "DS", "RRSIG", "NSEC", "DNSKEY", "NSEC3", "CAA", "HTTPS", "SVCB", "ANY"}

func readDNSType(p *parser, n *node) {
	if !p.want(n, 1, 1) {
		return
	}
	t := strings.ToUpper(n.arg(1))
	if v, ok := wholeNumber(t); ok && v > 0 && v < 65536 || slices.Contains(dnsTypes, t) {
		p.lvs.check.DNS.Type = t
		return
	}
	p.warnf(n.pos(1), closest(t, dnsTypes), "unknown DNS type '%s': %s is used", n.arg(1), p.lvs.check.DNS.Type)
}

func readDNSName(p *parser, n *node) {
	if !p.want(n, 1, 1) {
		return
	}
	name := n.arg(1)
	trimmed := strings.TrimSuffix(name, ".")
	bad := len(name) > 253
	for _, label := range strings.Split(trimmed, ".") {
		bad = bad || (label == "" && name != ".") || len(label) > 63
	}
	if bad {
		p.warnf(n.pos(1), "write labels of 1 to 63 characters with dots between them", "'%s' is not a domain name: %s is used", name, p.lvs.check.DNS.Name)
		return
	}
	p.lvs.check.DNS.Name = name
}

// hexBytes reads keepalived's free form: digits are taken in pairs, a blank
// ends a pair that is not full, and X stands for four bits of any value.
func hexBytes(s string, wild bool) (data, mask []byte, ok bool) {
	for _, part := range strings.Fields(s) {
		for len(part) > 0 {
			size := 2
			if len(part) == 1 {
				size = 1
			}
			var v, m byte
			for _, c := range []byte(part[:size]) {
				d := hexDigit(c)
				switch {
				case d >= 0:
					v, m = v<<4|byte(d), m<<4|0xf
				case wild && (c == 'x' || c == 'X'):
					v, m = v<<4, m<<4
				default:
					return nil, nil, false
				}
			}
			if size == 1 {
				m |= 0xf0
			}
			data, mask = append(data, v), append(mask, m)
			part = part[size:]
		}
	}
	return data, mask, true
}

func joined(n *node) string {
	var all []string
	for _, w := range n.words[1:] {
		all = append(all, w.Text)
	}
	return strings.Join(all, " ")
}

func readPayload(p *parser, n *node) {
	if !p.want(n, 1, -1) {
		return
	}
	data, _, ok := hexBytes(joined(n), false)
	if !ok || len(data) == 0 {
		p.errorf(n.pos(1), "write pairs of hexadecimal digits", "the payload is not hexadecimal")
		return
	}
	p.lvs.check.UDP.Payload = data
}

func readReply(p *parser, n *node) {
	p.lvs.check.UDP.RequireReply = true
	if len(n.words) == 1 {
		return
	}
	data, mask, ok := hexBytes(joined(n), true)
	if !ok {
		p.errorf(n.pos(1), "write pairs of hexadecimal digits, X for those that may have any value", "the reply is not hexadecimal")
		return
	}
	p.lvs.check.UDP.Reply, p.lvs.check.UDP.ReplyMask = data, mask
}

func finishUDP(p *parser, c *checkDraft, n *node) bool {
	u := c.UDP
	if u.MinReply > u.MaxReply {
		p.warnf(n.pos(0), "exchange them", "min_reply_length %d is above max_reply_length %d: the check always fails", u.MinReply, u.MaxReply)
	}
	if slices.IndexFunc(u.ReplyMask, func(b byte) bool { return b != 0xff }) < 0 {
		u.ReplyMask = nil
	}
	return true
}

func finishFile(p *parser, c *checkDraft, n *node) bool {
	if c.File.File == "" {
		p.warnf(n.pos(0), "write 'track_file NAME'", "FILE_CHECK names no track_file: it is left out")
		return false
	}
	return true
}

func finishBFD(p *parser, c *checkDraft, n *node) bool {
	if c.BFD == "" {
		p.warnf(n.pos(0), "write 'name BFD_INSTANCE'", "BFD_CHECK names no bfd_instance: it is left out")
		return false
	}
	return true
}

// resolveNamed drops checkers of files and sessions that do not exist, once all
// of those are read.
func (p *parser) resolveNamed() {
	for _, v := range p.f.VirtualServers {
		for _, r := range v.Real {
			r.Checkers = slices.DeleteFunc(r.Checkers, func(c *model.RealCheck) bool {
				name, block, known := c.BFD, "bfd_instance", bfdNames
				switch c.Kind {
				case model.CheckerFILE:
					name, block, known = c.File.File, "track_file", fileNames
				case model.CheckerBFD:
				default:
					return false
				}
				list := known(p.f)
				if slices.Contains(list, name) {
					return false
				}
				p.warnf(c.Pos, closestOr(name, list, "write "+block+" "+name+" { … } at the outermost level"), "there is no %s '%s': %s is left out", block, name, c.Kind)
				return true
			})
		}
	}
}

func closestOr(name string, known []string, otherwise string) string {
	if c := closest(name, known); c != "" {
		return c
	}
	return otherwise
}

func readFileWeight(p *parser, n *node) {
	var weight int
	var reverse bool
	had := len(p.diags)
	p.readWeight(n, 2147483647, &weight, &reverse)
	if len(p.diags) == had {
		p.lvs.check.File.Weight, p.lvs.check.File.Reverse = &weight, &reverse
	}
}

func readSSL(p *parser, n *node) {
	if p.f.SSL != nil {
		p.warnf(n.pos(0), "put all of it into one block", "there are two SSL blocks: the second is used")
	}
	p.f.SSL = &model.CheckSSL{Pos: n.pos(0)}
	p.dispatch(n.body, placeSSL)
}

func granularity(p *parser, n *node) {
	if !p.want(n, 1, 1) {
		return
	}
	v := p.lvs.virtual
	if bits, err := strconv.Atoi(n.arg(1)); err == nil {
		if bits < 1 || bits > 128 {
			p.warnf(n.pos(1), "", "'%s' is not the length of a prefix: the line is not used", n.arg(1))
			return
		}
		v.PersistenceMask = bits
		return
	}
	mask, ok := p.address(n, 1)
	if !ok {
		return
	}
	bits := maskBits(mask)
	if bits < 1 {
		p.warnf(n.pos(1), "write a mask such as 255.255.255.0", "'%s' is not a netmask: the line is not used", mask)
		return
	}
	v.PersistenceMask = bits
}
