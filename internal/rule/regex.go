package rule

import (
	"bytes"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// Regex is a regular expression in PCRE's spelling. What costs an engine its
// linear time (lookaround, back references, atomic groups, possessive
// repetition) is refused. $ is the very end: no line feed may follow it.
type Regex struct {
	re *regexp.Regexp
	// literal tests for expressions that need no engine
	lit      []byte
	fromHead bool
	toTail   bool
	plain    bool
	anchored bool // matches at the beginning only
}

// RegexError says where in an expression something cannot be used.
type RegexError struct {
	Expr   string
	Off    int
	Reason string
}

func (e *RegexError) Error() string {
	if e.Off >= 0 {
		return fmt.Sprintf("regular expression '%s': %s at character %d", e.Expr, e.Reason, e.Off+1)
	}
	return fmt.Sprintf("regular expression '%s': %s", e.Expr, e.Reason)
}

// CompileRegex translates and compiles an expression.
func CompileRegex(expr string, ignoreCase bool) (*Regex, error) {
	text, err := translateRegex(expr)
	if err != nil {
		return nil, err
	}
	flags := "(?-s)"
	if ignoreCase {
		flags = "(?i)"
	}
	re, cerr := regexp.Compile(flags + text)
	if cerr != nil {
		reason := cerr.Error()
		if se, ok := cerr.(*syntax.Error); ok {
			reason = se.Code.String() + ": '" + se.Expr + "'"
		}
		return nil, &RegexError{expr, -1, reason}
	}
	r := &Regex{re: re, anchored: strings.HasPrefix(expr, "^")}
	if !ignoreCase {
		r.specialise(text)
	}
	return r, nil
}

// specialise recognises ^literal, literal$, ^literal$ and literal.
func (r *Regex) specialise(text string) {
	if strings.HasPrefix(text, "^") {
		r.fromHead, text = true, text[1:]
	}
	if strings.HasSuffix(text, "$") && !escaped(text, len(text)-1) {
		r.toTail, text = true, text[:len(text)-1]
	}
	var lit []byte
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\\' && i+1 < len(text) && strings.IndexByte(`.\/-?+*()[]{}|^$=&:,;"'#%@! `, text[i+1]) >= 0 {
			i++
			c = text[i]
		} else if strings.IndexByte(`\.+*?()|[]{}^$`, c) >= 0 {
			return
		}
		if i+1 < len(text) && strings.IndexByte("*+?{", text[i+1]) >= 0 {
			return
		}
		lit = append(lit, c)
	}
	r.lit, r.plain = lit, true
}

// Match says whether b matches.
func (r *Regex) Match(b []byte) bool {
	if r.plain {
		switch {
		case r.fromHead && r.toTail:
			return bytes.Equal(b, r.lit)
		case r.fromHead:
			return bytes.HasPrefix(b, r.lit)
		case r.toTail:
			return bytes.HasSuffix(b, r.lit)
		}
		return bytes.Contains(b, r.lit)
	}
	return r.re.Match(b)
}

// find gives the positions of the match and its groups, nil if there is none.
// loc is reused.
func (r *Regex) find(b []byte) []int {
	if r.plain && !r.Match(b) {
		return nil
	}
	return r.re.FindSubmatchIndex(b)
}

// Groups is the number of parenthesised groups.
func (r *Regex) Groups() int { return r.re.NumSubexp() }

// translateRegex turns PCRE's spelling into RE2's.
func translateRegex(expr string) (string, error) {
	var out strings.Builder
	fail := func(off int, reason string) (string, error) { return "", &RegexError{expr, off, reason} }
	class := false
	for i := 0; i < len(expr); i++ {
		c := expr[i]
		rest := expr[i:]
		switch {
		case c == '\\':
			if i+1 == len(expr) {
				return fail(i, "a backslash ends it")
			}
			i++
			text, skip, reason := translateEscape(expr[i:], class)
			if reason != "" {
				return fail(i-1, reason)
			}
			out.WriteString(text)
			i += skip
		case class:
			if c == ']' {
				class = false
			} else if c == '[' && !strings.HasPrefix(rest, "[:") {
				out.WriteByte('\\')
			} else if c == '[' {
				if end := strings.Index(rest, ":]"); end > 0 {
					out.WriteString(rest[:end+2])
					i += end + 1
					continue
				}
				out.WriteByte('\\')
			}
			out.WriteByte(c)
		case c == '[':
			class = true
			out.WriteByte(c)
			if strings.HasPrefix(rest, "[^") {
				out.WriteByte('^')
				i++
			}
			// A bracket that stands first is a member.
			if i+1 < len(expr) && expr[i+1] == ']' {
				out.WriteString(`\]`)
				i++
			}
		case strings.HasPrefix(rest, "(?"):
			text, skip, reason := translateGroup(rest)
			if reason != "" {
				return fail(i, reason)
			}
			out.WriteString(text)
			i += skip - 1
		case c == '+' && i > 0 && strings.IndexByte("*+?}", expr[i-1]) >= 0 && !escaped(expr, i-1):
			return fail(i, "possessive repetition is not supported")
		case c == '{' && !isRepeat(rest):
			out.WriteString(`\{`)
		default:
			out.WriteByte(c)
		}
	}
	if class {
		return fail(len(expr)-1, "missing ]")
	}
	return out.String(), nil
}

func escaped(s string, i int) bool {
	n := 0
	for i > 0 && s[i-1] == '\\' {
		i--
		n++
	}
	return n%2 == 1
}

// isRepeat says whether s starts with {N}, {N,} or {N,M}.
func isRepeat(s string) bool {
	end := strings.IndexByte(s, '}')
	return end > 1 && strings.Trim(s[1:end], "0123456789,") == "" && s[1] != ','
}

// translateEscape handles what follows a backslash: the text to write, and how
// many bytes beyond the first it took.
func translateEscape(s string, class bool) (text string, skip int, reason string) {
	c := s[0]
	switch {
	case c >= '1' && c <= '9' && !class:
		return "", 0, "back references are not supported"
	case c == 'h':
		if class {
			return ` \t`, 0, ""
		}
		return `[ \t]`, 0, ""
	case c == 'H' && !class:
		return `[^ \t]`, 0, ""
	case c == 'R' && !class:
		return `(?:\r\n|\n|\r|\f|\x0b)`, 0, ""
	case c == 'e':
		return `\x1b`, 0, ""
	case c == 'Z' && !class:
		return `(?:\n?\z)`, 0, ""
	case c == 's' && !class:
		return `[\s\x0b]`, 0, ""
	case strings.IndexByte("KGXgk", c) >= 0 && !class:
		return "", 0, "\\" + string(c) + " is not supported"
	case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9':
		return `\` + string(c), 0, ""
	case c < 0x80:
		return regexp.QuoteMeta(string(c)), 0, ""
	}
	return string(c), 0, ""
}

// translateGroup handles "(?…": how many bytes it took.
func translateGroup(s string) (text string, skip int, reason string) {
	switch {
	case strings.HasPrefix(s, "(?="), strings.HasPrefix(s, "(?!"):
		return "", 0, "lookahead is not supported"
	case strings.HasPrefix(s, "(?<="), strings.HasPrefix(s, "(?<!"):
		return "", 0, "lookbehind is not supported"
	case strings.HasPrefix(s, "(?>"):
		return "", 0, "atomic groups are not supported"
	case strings.HasPrefix(s, "(?#"):
		if end := strings.IndexByte(s, ')'); end > 0 {
			return "", end + 1, ""
		}
		return "", 0, "missing )"
	case strings.HasPrefix(s, "(?|"):
		return "", 0, "branch reset groups are not supported"
	case strings.HasPrefix(s, "(?("):
		return "", 0, "conditional groups are not supported"
	case strings.HasPrefix(s, "(?P="), strings.HasPrefix(s, "(?R"), strings.HasPrefix(s, "(?&"), strings.HasPrefix(s, "(?P>"):
		return "", 0, "references to groups are not supported"
	case strings.HasPrefix(s, "(?'"):
		if end := strings.IndexByte(s[3:], '\''); end > 0 {
			return "(?P<" + s[3:3+end] + ">", 4 + end, ""
		}
	}
	return "(?", 2, ""
}

// expand appends a replacement to dst, in which \N stands for a group, \0 for
// the whole match; loc is what find gave on b.
func expand(dst []byte, template []byte, b []byte, loc []int) []byte {
	for i := 0; i < len(template); i++ {
		c := template[i]
		if c != '\\' || i+1 == len(template) {
			dst = append(dst, c)
			continue
		}
		i++
		switch c = template[i]; {
		case c >= '0' && c <= '9':
			if n := 2 * int(c-'0'); n+1 < len(loc) && loc[n] >= 0 {
				dst = append(dst, b[loc[n]:loc[n+1]]...)
			}
		case c == 'x' && i+2 < len(template) && hexDigit(template[i+1]) >= 0 && hexDigit(template[i+2]) >= 0:
			dst = append(dst, byte(hexDigit(template[i+1])<<4|hexDigit(template[i+2])))
			i += 2
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
