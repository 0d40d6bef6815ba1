package keepalived

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"evenkeel/internal/model"
)

// want checks the number of arguments; fewer than low is reported, more than
// high are left out with a warning.
func (p *parser) want(n *node, low, high int) bool {
	have := len(n.words) - 1
	if have < low {
		p.warnf(n.pos(len(n.words)), "write '"+usage(n)+"'", "'%s' lacks a value: the line is not used", n.name())
		return false
	}
	if high >= 0 && have > high {
		p.noticef(n.pos(high+1), "take it out", "what follows on the line of '%s' is not read", n.name())
	}
	return true
}

// usage is a keyword with its arguments as the table has them for the block that
// it stands in.
func usage(n *node) string {
	in := placeTop
	if n.parent != nil && len(n.parent.words) > 0 {
		for _, k := range table().byName[n.parent.name()] {
			in = k.Opens
		}
	}
	k := table().find(n.name(), in)
	if all := table().byName[n.name()]; k == nil && len(all) > 0 {
		k = all[0]
	}
	if k == nil {
		return n.name()
	}
	return strings.TrimSpace(k.Name + " " + k.Args)
}

// number reads word i as a whole number between two bounds. What is wrong is
// reported with what happens instead.
func (p *parser) number(n *node, i int, low, high int64, otherwise string) (int64, bool) {
	if !p.want(n, i, -1) {
		return 0, false
	}
	v, err := strconv.ParseInt(n.arg(i), 10, 64)
	if err != nil || v < low || v > high {
		cure := ""
		if c := plain(n.arg(i)); c != "" {
			cure = "write " + c
		}
		if x, err := strconv.ParseUint(n.arg(i), 0, 63); err == nil && int64(x) >= low && int64(x) <= high {
			cure = "write " + strconv.FormatUint(x, 10) // it was hexadecimal, or the like
		}
		p.warnf(n.pos(i), cure, "'%s' of '%s' is not a whole number from %d to %d: %s", n.arg(i), n.name(), low, high, otherwise)
		return 0, false
	}
	return v, true
}

// plain finds the number inside a word such as "1s" or “5”, or "".
func plain(s string) string {
	i := strings.IndexAny(s, "0123456789")
	if i < 0 {
		return ""
	}
	j := i
	for j < len(s) && (s[j] >= '0' && s[j] <= '9' || s[j] == '.') {
		j++
	}
	if i == 0 && j == len(s) {
		return ""
	}
	return strings.TrimSuffix(s[i:j], ".")
}

// seconds reads a decimal number of seconds, to the microsecond.
func seconds(s string) (time.Duration, bool) {
	if s == "" || strings.Trim(s, "0123456789.+") != "" {
		return 0, false
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || v > 1e9 {
		return 0, false
	}
	return time.Duration(math.Round(v*1e6)) * time.Microsecond, true
}

// timer reads word i as seconds between two bounds.
func (p *parser) timer(n *node, i int, low, high time.Duration, otherwise string) (time.Duration, bool) {
	if !p.want(n, i, -1) {
		return 0, false
	}
	d, ok := seconds(n.arg(i))
	if !ok || d < low || d > high {
		cure := ""
		if c := plain(n.arg(i)); c != "" && !ok {
			cure = "it is a number of seconds, without a unit: write " + c
		}
		p.warnf(n.pos(i), cure, "'%s' of '%s' is not a number of seconds from %s to %s: %s", n.arg(i), n.name(), inSeconds(low), inSeconds(high), otherwise)
		return 0, false
	}
	return d, true
}

func inSeconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
}

// maxTimer is keepalived's bound on most times: what fits 32 bits of
// microseconds.
const maxTimer = 4294 * time.Second

// boolean reads word i; without it the answer is yes.
func (p *parser) boolean(n *node, i int) (value, ok bool) {
	if i >= len(n.words) {
		return true, true
	}
	switch n.arg(i) {
	case "on", "true", "yes":
		return true, true
	case "off", "false", "no":
		return false, true
	}
	p.warnf(n.pos(i), "write on, off, true, false, yes or no", "'%s' of '%s' is neither yes nor no: the line is not used", n.arg(i), n.name())
	return false, false
}

// flag sets a switch that has an optional yes or no.
func flag(at func(p *parser) *bool) func(*parser, *node) {
	return func(p *parser, n *node) {
		if v, ok := p.boolean(n, 1); ok {
			*at(p) = v
		}
	}
}

// pointed sets a switch that knows whether it was set.
func pointed(at func(p *parser) **bool) func(*parser, *node) {
	return func(p *parser, n *node) {
		if v, ok := p.boolean(n, 1); ok {
			*at(p) = &v
		}
	}
}

// set turns a switch on that has no value.
func set(at func(p *parser) *bool) func(*parser, *node) {
	return func(p *parser, n *node) { *at(p) = true }
}

// text1 stores one word.
func text1(at func(p *parser) *string) func(*parser, *node) {
	return func(p *parser, n *node) {
		if p.want(n, 1, 1) {
			*at(p) = n.arg(1)
		}
	}
}

// counted stores a number between bounds.
func counted(low, high int, at func(p *parser) *int) func(*parser, *node) {
	return func(p *parser, n *node) {
		if v, ok := p.number(n, 1, int64(low), int64(high), "the line is not used"); ok {
			*at(p) = int(v)
		}
	}
}

// countedP stores a number between bounds, and that it was given.
func countedP(low, high int, at func(p *parser) **int) func(*parser, *node) {
	return func(p *parser, n *node) {
		if v, ok := p.number(n, 1, int64(low), int64(high), "the line is not used"); ok {
			i := int(v)
			*at(p) = &i
		}
	}
}

// timed stores seconds between bounds.
func timed(low, high time.Duration, at func(p *parser) *time.Duration) func(*parser, *node) {
	return func(p *parser, n *node) {
		if v, ok := p.timer(n, 1, low, high, "the line is not used"); ok {
			*at(p) = v
		}
	}
}

// timedP stores seconds between bounds, and that they were given.
func timedP(low, high time.Duration, at func(p *parser) **time.Duration) func(*parser, *node) {
	return func(p *parser, n *node) {
		if v, ok := p.timer(n, 1, low, high, "the line is not used"); ok {
			*at(p) = &v
		}
	}
}

// wholeSecondsP stores seconds that keepalived takes without fractions.
func wholeSecondsP(low, high int64, at func(p *parser) **time.Duration) func(*parser, *node) {
	return func(p *parser, n *node) {
		if v, ok := p.number(n, 1, low, high, "the line is not used"); ok {
			d := time.Duration(v) * time.Second
			*at(p) = &d
		}
	}
}

// address reads a word as an IP address.
func (p *parser) address(n *node, i int) (netip.Addr, bool) {
	if !p.want(n, i, -1) {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(n.arg(i))
	if err != nil || a.Zone() != "" {
		p.errorf(n.pos(i), "", "'%s' of '%s' is not an IP address", n.arg(i), n.name())
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

func family(a netip.Addr) int {
	if a.Is4() || a.Is4In6() {
		return 4
	}
	return 6
}

// interfaceName checks the name of a link: at most 15 bytes.
func (p *parser) interfaceName(n *node, i int) (string, bool) {
	if !p.want(n, i, -1) {
		return "", false
	}
	s := n.arg(i)
	if len(s) > 15 || strings.ContainsAny(s, "/ \t:") || s == "." || s == ".." {
		p.errorf(n.pos(i), "a name has at most 15 characters and no '/' or ':'", "'%s' cannot be the name of an interface", s)
		return "", false
	}
	if r := smartQuote(s); r != "" {
		p.errorf(n.pos(i), "write plain quotes, or none", "'%s' has a typographic quote %s", s, r)
		return "", false
	}
	return s, true
}

// smartQuote finds a quote that a text processor made, or "".
func smartQuote(s string) string {
	for _, r := range s {
		if strings.ContainsRune("“”„‟‘’‚‛«»", r) {
			return string(r)
		}
	}
	return ""
}

// command reads a program with arguments and, behind it, a user and a group. A
// quoted word is a whole command line; its parts are separated by blanks and
// may be put into single quotes.
func (p *parser) command(n *node, i int, withUser bool) *model.Command {
	if !p.want(n, i, -1) {
		return nil
	}
	w := n.words[i]
	if r := smartQuote(w.Text); r != "" {
		p.errorf(n.pos(i), `write plain quotes: "…"`, "'%s' has a typographic quote %s", n.name(), r)
		return nil
	}
	c := &model.Command{Pos: n.pos(i)}
	var bad string
	c.Argv, bad = splitCommand(w.Text)
	if bad != "" {
		p.errorf(n.pos(i), "", "the command of '%s' %s", n.name(), bad)
		return nil
	}
	if len(c.Argv) == 0 {
		p.errorf(n.pos(i), "name the program with its path", "'%s' has no command", n.name())
		return nil
	}
	rest := n.words[i+1:]
	if !withUser {
		if len(rest) > 0 {
			p.warnf(n.pos(i+1), `put the command and its parameters together into "…"`,
				"what follows the first word of '%s' is taken as its parameters; keepalived leaves it out", n.name())
			for _, x := range rest {
				c.Argv = append(c.Argv, x.Text)
			}
		}
		return c
	}
	if len(rest) > 2 {
		p.warnf(n.pos(i+3), `put the command and its parameters together into "…"; behind it stand a user and a group`,
			"too many words for '%s': those behind user and group are not read", n.name())
	}
	if len(rest) > 0 && !w.Quoted && strings.ContainsAny(rest[0].Text[:min(1, len(rest[0].Text))], "/-0123456789") {
		p.warnf(n.pos(i+1), `put the command and its parameters together into "…"`,
			"'%s' is taken as the user that runs '%s'", rest[0].Text, c.Argv[0])
	}
	c.User = p.credential(n, i+1)
	return c
}

// credential reads USER [GROUP] from word i on, if they are there.
func (p *parser) credential(n *node, i int) *model.Credential {
	if i >= len(n.words) {
		return nil
	}
	return &model.Credential{Pos: n.pos(i), User: n.arg(i), Group: n.arg(i + 1)}
}

// splitCommand splits a command line at blanks; quotes keep blanks.
func splitCommand(s string) (argv []string, bad string) {
	var word []byte
	in := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case isBlank(c) || c == '\n':
			if in {
				argv = append(argv, string(word))
			}
			word, in = nil, false
		case c == '\'' || c == '"':
			end := strings.IndexByte(s[i+1:], c)
			if end < 0 {
				return nil, "has a quote that is not closed"
			}
			word, in = append(word, s[i+1:i+1+end]...), true
			i += end + 1
		case c == '\\' && i+1 < len(s):
			i++
			word, in = append(word, s[i]), true
		default:
			word, in = append(word, c), true
		}
	}
	if in {
		argv = append(argv, string(word))
	}
	return argv, ""
}
