package keepalived

import "strings"

// text is a part of a line that knows the columns that its bytes came from,
// also after parameters were put in.
type text struct {
	s    string
	base int     // column of s[0] while cols is nil
	cols []int32 // column of each byte; nil: base, base+1, …
}

// col is the column of byte i; one past the end is allowed.
func (t text) col(i int) int {
	switch {
	case t.cols == nil:
		return t.base + i
	case i < len(t.cols):
		return int(t.cols[i])
	case len(t.cols) > 0:
		return int(t.cols[len(t.cols)-1]) + 1
	}
	return t.base
}

func (t text) slice(i, j int) text {
	out := text{s: t.s[i:j], base: t.col(i)}
	if t.cols != nil {
		out.cols = t.cols[i:j]
	}
	return out
}

func (t text) from(i int) text { return t.slice(i, len(t.s)) }

// trim takes blanks from both ends.
func (t text) trim() text {
	i := len(t.s) - len(strings.TrimLeft(t.s, blanks))
	return t.slice(i, max(i, len(strings.TrimRight(t.s, blanks))))
}

// replace puts a value in place of s[i:j]; its bytes have the column of s[i].
func (t text) replace(i, j int, value string) text {
	out := text{s: t.s[:i] + value + t.s[j:], base: t.base}
	out.cols = make([]int32, 0, len(out.s))
	for k := range i {
		out.cols = append(out.cols, int32(t.col(k)))
	}
	at := int32(t.col(i))
	for range len(value) {
		out.cols = append(out.cols, at)
	}
	for k := j; k < len(t.s); k++ {
		out.cols = append(out.cols, int32(t.col(k)))
	}
	return out
}

// blanks separate words. A carriage return is one, so that files with CRLF
// read as they do in keepalived.
const blanks = " \t\r\f\v"

func isBlank(c byte) bool { return strings.IndexByte(blanks, c) >= 0 }

// word is one word of a statement.
type word struct {
	Text   string
	Col    int
	off    int // where it begins in the statement's text
	Quoted bool
}

// quotedEnd finds the end of the quoted part that begins at s[i], or -1. A
// double quote always opens one; a single quote does where a word begins and
// another one follows, so that an apostrophe inside a word is a letter.
func quotedEnd(s string, i int) (end int, quoted bool) {
	switch {
	case s[i] == '"':
		for j := i + 1; j < len(s); j++ {
			if s[j] == '\\' && j+1 < len(s) {
				j++
				continue
			}
			if s[j] == '"' {
				return j, true
			}
		}
		return -1, true
	case s[i] == '\'' && (i == 0 || isBlank(s[i-1])):
		if j := strings.IndexByte(s[i+1:], '\''); j >= 0 {
			return i + 1 + j, true
		}
	}
	return i, false
}

// comment finds where a comment begins, or len(s).
func comment(s string) int {
	for i := 0; i < len(s); i++ {
		if s[i] == '#' || s[i] == '!' {
			return i
		}
		if end, quoted := quotedEnd(s, i); quoted {
			if end < 0 {
				// The quote is never closed: it protects nothing.
				continue
			}
			i = end
		}
	}
	return len(s)
}

// token is a word or a brace.
type token struct {
	word
	kind byte // 'w', '{' or '}'
}

// lexError says what a line did wrong, and where.
type lexError struct {
	off          int
	reason, cure string
}

// tokens splits a line into words and braces. Braces count wherever they
// stand outside quotes, also glued to a word, except in ${NAME}.
func tokens(t text) ([]token, *lexError) {
	var (
		out   []token
		bad   *lexError
		buf   []byte
		start = -1
		q     bool
		s     = t.s
	)
	flush := func() {
		if start >= 0 {
			out = append(out, token{word{Text: string(buf), Col: t.col(start), off: start, Quoted: q}, 'w'})
		}
		buf, start, q = nil, -1, false
	}
	begin := func(i int) {
		if start < 0 {
			start = i
		}
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case isBlank(c):
			flush()
		case c == '$' && i+1 < len(s) && s[i+1] == '{' && strings.IndexByte(s[i:], '}') > 0:
			begin(i)
			end := i + strings.IndexByte(s[i:], '}')
			buf = append(buf, s[i:end+1]...)
			i = end
		case c == '{' || c == '}':
			flush()
			out = append(out, token{word{Text: string(c), Col: t.col(i), off: i}, c})
		default:
			begin(i)
			end, quoted := quotedEnd(s, i)
			if !quoted {
				buf = append(buf, c)
				continue
			}
			if end < 0 {
				bad = &lexError{off: i, reason: "the quoted text that begins here does not end on this line", cure: `close it with a second "`}
				end = len(s)
			}
			q = true
			buf = append(buf, unescape(s[i+1:end])...)
			i = end
		}
	}
	flush()
	return out, bad
}

// unescape gives the meaning of what stands between quotes: the escapes of a
// shell.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			out = append(out, s[i])
			continue
		}
		i++
		simple := map[byte]byte{'a': 7, 'b': 8, 'E': 27, 'f': 12, 'n': 10, 'r': 13, 't': 9, 'v': 11}
		switch c := s[i]; {
		case simple[c] != 0:
			out = append(out, simple[c])
		case c >= '0' && c <= '7':
			v := 0
			j := i
			for ; j < len(s) && j < i+3 && s[j] >= '0' && s[j] <= '7'; j++ {
				v = v*8 + int(s[j]-'0')
			}
			out, i = append(out, byte(v)), j-1
		case c == 'x' && i+1 < len(s) && hexDigit(s[i+1]) >= 0:
			v := 0
			j := i + 1
			for ; j < len(s) && hexDigit(s[j]) >= 0; j++ {
				v = v<<4 | hexDigit(s[j])
			}
			out, i = append(out, byte(v)), j-1
		case c == 'c' && i+1 < len(s):
			out, i = append(out, s[i+1]&0x1f), i+1
		default:
			out = append(out, c)
		}
	}
	return string(out)
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
