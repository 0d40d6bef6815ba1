package keepalived

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"evenkeel/internal/model"
)

func staticRules(p *parser, n *node) {
	p.f.StaticRules = append(p.f.StaticRules, p.rules(n, true)...)
}

func virtualRules(p *parser, n *node) {
	p.instance.Rules = append(p.instance.Rules, p.rules(n, false)...)
}

func (p *parser) rules(n *node, static bool) []*model.IPRule {
	var out []*model.IPRule
	for _, line := range n.body {
		if !p.value(line) {
			continue
		}
		r := &ruleReader{p: p, n: line, static: static, r: &model.IPRule{Pos: line.pos(0)}}
		if r.read() {
			out = append(out, r.r)
		}
	}
	return out
}

// ruleReader reads one rule in the words of ip rule. What is wrong with it
// leaves the whole rule out.
type ruleReader struct {
	p      *parser
	n      *node
	i      int
	static bool
	r      *model.IPRule
	bad    bool
	action bool // a table, or what is done instead, was given
}

func (r *ruleReader) fail(i int, cure, format string, args ...any) {
	if !r.bad {
		r.p.warnf(r.n.pos(i), cure, format+": the rule is left out", args...)
	}
	r.bad = true
}

func (r *ruleReader) next() (string, bool) {
	if r.i+1 >= len(r.n.words) {
		r.fail(len(r.n.words), "", "'%s' lacks its value", r.n.arg(r.i))
		return "", false
	}
	r.i++
	return r.n.arg(r.i), true
}

func (r *ruleReader) read() bool {
	for ; r.i < len(r.n.words) && !r.bad; r.i++ {
		word := r.n.arg(r.i)
		if read := ruleOptions[word]; read != nil {
			read(r)
			continue
		}
		r.fail(r.i, closest(word, keys(ruleOptions)), "unknown word '%s' in a rule", word)
	}
	return !r.bad && r.check()
}

func (r *ruleReader) check() bool {
	x := r.r
	if x.Family == 0 {
		x.Family = 4
	}
	switch {
	case !r.action:
		r.fail(0, "write 'table NAME', or blackhole, prohibit, unreachable, goto NUMBER or nop", "the rule does not say what is to be done")
	case x.Goto != nil && x.Priority == nil:
		r.fail(0, "write 'preference NUMBER'", "a rule with 'goto' needs a preference")
	case x.Goto != nil && *x.Priority >= *x.Goto:
		r.fail(0, "a rule can only go forward", "the preference %d is not below the target of 'goto' %d", *x.Priority, *x.Goto)
	case x.Realms != "" && x.Family == 6:
		r.fail(0, "", "'realms' is for IPv4")
	}
	if x.Priority == nil && !r.bad {
		r.p.warnf(r.n.pos(0), "write 'preference NUMBER'", "the rule has no preference: its place among the others depends on the order in which they come")
	}
	if x.NoTrack && x.TrackGroup != "" {
		r.p.warnf(r.n.pos(0), "take one of them out", "'no_track' and 'track_group' exclude each other: the rule is not tracked")
		x.TrackGroup = ""
	}
	if x.TrackGroup != "" && !r.static {
		r.p.warnf(r.n.pos(0), "take it out", "'track_group' is for static rules: it is not used")
		x.TrackGroup = ""
	}
	return !r.bad
}

var ruleOptions map[string]func(*ruleReader)

func init() {
	ruleOptions = map[string]func(*ruleReader){
		"from":                  func(r *ruleReader) { r.prefix(&r.r.From) },
		"to":                    func(r *ruleReader) { r.prefix(&r.r.To) },
		"not":                   func(r *ruleReader) { r.r.Not = true },
		"inet":                  func(r *ruleReader) { r.family(4) },
		"inet6":                 func(r *ruleReader) { r.family(6) },
		"table":                 func(r *ruleReader) { r.does("", &r.r.Table) },
		"l3mdev":                func(r *ruleReader) { r.does("l3mdev", nil) },
		"nop":                   func(r *ruleReader) { r.does("nop", nil) },
		"blackhole":             func(r *ruleReader) { r.does("blackhole", nil) },
		"prohibit":              func(r *ruleReader) { r.does("prohibit", nil) },
		"unreachable":           func(r *ruleReader) { r.does("unreachable", nil) },
		"goto":                  (*ruleReader).jump,
		"preference":            func(r *ruleReader) { r.number32(&r.r.Priority) },
		"fwmark":                (*ruleReader).mark,
		"tos":                   (*ruleReader).tos,
		"iif":                   func(r *ruleReader) { r.device(&r.r.IIF) },
		"oif":                   func(r *ruleReader) { r.device(&r.r.OIF) },
		"realms":                func(r *ruleReader) { r.text(&r.r.Realms) },
		"suppress_prefixlength": (*ruleReader).suppress,
		"suppress_ifgroup":      func(r *ruleReader) { r.text(&r.r.SuppressGroup) },
		"tunnel-id":             func(r *ruleReader) { r.text(&r.r.TunnelID) },
		"uidrange":              func(r *ruleReader) { r.span(&r.r.UIDRange, 32) },
		"sport":                 func(r *ruleReader) { r.span(&r.r.SrcPort, 16) },
		"dport":                 func(r *ruleReader) { r.span(&r.r.DstPort, 16) },
		"ip_proto":              func(r *ruleReader) { r.text(&r.r.IPProto) },
		"protocol":              func(r *ruleReader) { r.text(&r.r.Protocol) },
		"no_track":              func(r *ruleReader) { r.r.NoTrack = !r.static || noStatic(r.p, r.n.pos(r.i)) },
		"track_group":           func(r *ruleReader) { r.text(&r.r.TrackGroup) },
	}
	for alias, name := range map[string]string{
		"dev": "iif", "lookup": "table", "pref": "preference", "order": "preference", "priority": "preference",
		"dsfield": "tos", "ipproto": "ip_proto", "sup_pl": "suppress_prefixlength", "sup_group": "suppress_ifgroup",
	} {
		ruleOptions[alias] = ruleOptions[name]
	}
}

func (r *ruleReader) prefix(at *netip.Prefix) {
	v, ok := r.next()
	if !ok {
		return
	}
	if v == "all" || v == "any" || v == "default" {
		return
	}
	x, err := parsePrefix(v)
	if err != nil {
		r.fail(r.i, "write NETWORK/LENGTH", "'%s' is not a network", v)
		return
	}
	*at = x.Masked()
	r.family(family(x.Addr()))
}

func (r *ruleReader) family(f int) {
	if r.r.Family != 0 && r.r.Family != f {
		r.fail(r.i, "make two rules", "the rule mixes IPv4 and IPv6")
	}
	r.r.Family = f
}

// does sets what is done; it can be said once.
func (r *ruleReader) does(action string, value *string) {
	if r.action {
		r.fail(r.i, "", "the rule says twice what is to be done")
		return
	}
	r.action = true
	r.r.Action = action
	if value != nil {
		r.text(value)
		if *value == "0" {
			r.fail(r.i, "", "there is no table 0")
		}
	}
}

func (r *ruleReader) jump() {
	r.does("goto", nil)
	r.number32(&r.r.Goto)
}

func (r *ruleReader) text(at *string) {
	if v, ok := r.next(); ok {
		*at = v
	}
}

func (r *ruleReader) device(at *string) {
	if _, ok := r.next(); ok {
		name, ok := r.p.interfaceName(r.n, r.i)
		*at, r.bad = name, r.bad || !ok
	}
}

func (r *ruleReader) number32(at **uint32) {
	if v, ok := r.next(); ok {
		n, err := strconv.ParseUint(v, 0, 32)
		if err != nil {
			r.fail(r.i, "", "'%s' of '%s' is not a number", v, r.n.arg(r.i-1))
			return
		}
		x := uint32(n)
		*at = &x
	}
}

func (r *ruleReader) mark() {
	v, ok := r.next()
	if !ok {
		return
	}
	m, mask, both := strings.Cut(v, "/")
	a, err := strconv.ParseUint(m, 0, 32)
	b, err2 := uint64(0), error(nil)
	if both {
		b, err2 = strconv.ParseUint(mask, 0, 32)
	}
	if err != nil || err2 != nil {
		r.fail(r.i, "write MARK or MARK/MASK", "'%s' is not a firewall mark", v)
		return
	}
	x, y := uint32(a), uint32(b)
	r.r.FwMark = &x
	if both {
		r.r.FwMask = &y
	}
}

func (r *ruleReader) tos() {
	if v, ok := r.next(); ok {
		n, err := strconv.ParseUint(v, 0, 8)
		if err != nil {
			r.fail(r.i, "write a number from 0 to 255", "'%s' is not a type of service", v)
			return
		}
		t := uint8(n)
		r.r.TOS = &t
	}
}

func (r *ruleReader) suppress() {
	if v, ok := r.next(); ok {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 || n > 128 {
			r.fail(r.i, "", "'%s' is not the length of a prefix", v)
			return
		}
		r.r.SuppressLen = &n
	}
}

// span reads N or N-M.
func (r *ruleReader) span(at *string, bits int) {
	v, ok := r.next()
	if !ok {
		return
	}
	parts := strings.Split(v, "-")
	var ends []uint64
	for _, s := range parts {
		n, err := strconv.ParseUint(s, 10, bits)
		if err != nil {
			break
		}
		ends = append(ends, n)
	}
	if len(ends) != len(parts) || len(parts) > 2 || !slices.IsSorted(ends) {
		r.fail(r.i, "write N or FIRST-LAST", "'%s' of '%s' is not a range of numbers", v, r.n.arg(r.i-1))
		return
	}
	*at = v
}
