package checks

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"evenkeel/internal/model"
)

// bodyRegex is the regex of a url, written for PCRE and run by Go's regexp,
// which needs time in proportion to the text whatever the pattern is.
type bodyRegex struct {
	pattern   string // as written
	re        *regexp.Regexp
	negate    bool
	firstLine bool
	min, max  int // where a match may begin; max 0: anywhere
}

// regexOption is what a word of regex_options means here.
type regexOption struct {
	flag string // of Go's regexp
	cure string // the option is refused: what to write instead
}

// regexOptions has the words of keepalived's manual. Those without flag and
// cure tune PCRE and change no result here.
var regexOptions = map[string]regexOption{
	"caseless": {flag: "i"}, "multiline": {flag: "m"}, "dotall": {flag: "s"}, "ungreedy": {flag: "U"},
	"extended": {}, "dollar_endonly": {}, "firstline": {},
	"ucp":                 {cure: `write \p{L}, \p{N} and so on where \w, \d or \b should mean more than ASCII`},
	"dupnames":            {cure: "give the groups different names, or none"},
	"alt_bsux":            {cure: `write \x{1234} for \u1234, without the option`},
	"allow_empty_class":   {cure: `write [^\x00-\x{10FFFF}] for a class that matches nothing, without the option`},
	"match_unset_backref": {cure: "back references are not available; write the alternatives out"},
	"auto_callout":        {}, "never_ucp": {}, "never_utf": {}, "no_auto_capture": {}, "no_auto_possess": {}, "no_dotstar_anchor": {},
	"no_start_optimize": {}, "utf": {}, "never_backslash_c": {}, "alt_circumflex": {}, "alt_verbnames": {}, "use_offset_limit": {},
}

// onlyPCRE is what PCRE has and Go has not, and what to write instead.
var onlyPCRE = []struct{ text, name, cure string }{
	{"(?=", "look-ahead", "match the text itself instead"},
	{"(?!", "negative look-ahead", "use a second url block with regex_no_match"},
	{"(?<=", "look-behind", "match the text before it too"},
	{"(?<!", "negative look-behind", "use a second url block with regex_no_match"},
	{"(?>", "atomic group", "write (?: ...): nothing is tried twice here"},
	{"(?|", "branch reset", "write (?: ...)"},
	{"(?R", "recursion", "write the depth that is needed out"},
	{"(?(", "condition", "write the alternatives out"},
	{"(*", "verb", "leave it out"},
	{"++", "possessive quantifier", "write +: nothing is tried twice here"},
	{"*+", "possessive quantifier", "write *: nothing is tried twice here"},
	{"?+", "possessive quantifier", "write ?: nothing is tried twice here"},
	{`\K`, `\K`, "leave it out: where the match starts does not matter"},
	{`\R`, `\R`, `write (?:\r\n|\n|\r)`},
	{`\h`, `\h`, `write [ \t]`},
	{`\G`, `\G`, "use regex_min_offset"},
	{`\X`, `\X`, "write . instead"},
	{`\1`, "back reference", "write the alternatives out"}, {`\2`, "back reference", "write the alternatives out"},
	{`\k`, "back reference", "write the alternatives out"}, {`\g`, "back reference", "write the alternatives out"},
}

func compileBodyRegex(u *model.CheckURL) (*bodyRegex, error) {
	r := &bodyRegex{pattern: u.Regex, negate: u.RegexNegate, min: u.RegexMinOffset, max: u.RegexMaxOffset}
	if r.max > 0 && r.min > r.max {
		return nil, fmt.Errorf("regex_min_offset %d is larger than regex_max_offset %d", r.min, r.max)
	}
	has := map[string]bool{}
	flags := ""
	for _, o := range u.RegexOptions {
		x, known := regexOptions[o]
		switch {
		case !known:
			return nil, fmt.Errorf("there is no regex option %s", o)
		case x.cure != "":
			return nil, fmt.Errorf("regex option %s is not available: %s", o, x.cure)
		}
		if !has[o] {
			flags += x.flag
		}
		has[o] = true
	}
	r.firstLine = has["firstline"]
	text := fromPCRE(u.Regex, has["extended"], !has["multiline"] && !has["dollar_endonly"])
	if flags != "" {
		text = "(?" + flags + ")" + text
	}
	var err error
	if r.re, err = regexp.Compile(text); err != nil {
		for _, x := range onlyPCRE {
			if strings.Contains(u.Regex, x.text) {
				return nil, fmt.Errorf("regex %q has a %s %s, which is not available: %s", u.Regex, x.name, x.text, x.cure)
			}
		}
		return nil, fmt.Errorf("regex %q: %w", u.Regex, err)
	}
	return r, nil
}

// match says whether the pattern occurs where it may.
func (r *bodyRegex) match(body []byte) bool {
	if r.min > len(body) {
		return false
	}
	loc := r.re.FindIndex(body[r.min:])
	if loc == nil {
		return false
	}
	// The first match begins before all others.
	at := r.min + loc[0]
	if r.max > 0 && at > r.max {
		return false
	}
	if r.firstLine {
		if i := bytes.IndexByte(body, '\n'); i >= 0 && at > i {
			return false
		}
	}
	return true
}

// fromPCRE rewrites what both know but read differently: with extended, white
// space and comments are taken out; with softEnd, $ is the end, or before a
// line feed that is the end.
func fromPCRE(s string, extended, softEnd bool) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case strings.HasPrefix(s[i:], `\Q`):
			end := strings.Index(s[i:], `\E`)
			if end < 0 {
				end = len(s) - i - 2
			}
			b.WriteString(s[i : i+end+2])
			i += end + 1
		case strings.HasPrefix(s[i:], `\Z`):
			b.WriteString(`\n?\z`)
			i++
		case c == '\\' && i+1 < len(s):
			b.WriteString(s[i : i+2])
			i++
		case c == '[':
			n := classLength(s[i:])
			b.WriteString(s[i : i+n])
			i += n - 1
		case c == '$' && softEnd:
			b.WriteString(`(?:\n?\z)`)
		case extended && strings.IndexByte(" \t\n\r\v\f", c) >= 0:
		case extended && c == '#':
			for i+1 < len(s) && s[i] != '\n' {
				i++
			}
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// classLength is the length of the character class that s begins with.
func classLength(s string) int {
	i := 1
	if i < len(s) && s[i] == '^' {
		i++
	}
	if i < len(s) && s[i] == ']' { // the first one is a member
		i++
	}
	for i < len(s) {
		switch {
		case s[i] == '\\':
			i++
		case strings.HasPrefix(s[i:], "[:"):
			if end := strings.Index(s[i:], ":]"); end > 0 {
				i += end + 1
			}
		case s[i] == ']':
			return i + 1
		}
		i++
	}
	return len(s)
}
