package haproxy

import (
	"fmt"
	"strconv"
	"strings"

	"evenkeel/internal/model"
)

// word is one argument of a line, after quotes, escapes and variables.
type word struct {
	Text string
	Pos  model.Pos
	// Quoted: some part stood in quotes, was escaped, or came from a variable.
	Quoted bool
	cols   []int // column of each byte of Text; nil: they follow Pos.Col
}

// at gives the place in the file of the byte at offset off of the word.
func (w word) at(off int) model.Pos {
	pos := w.Pos
	switch {
	case w.cols == nil:
		pos.Col += off
	case off < len(w.cols):
		pos.Col = w.cols[off]
	case len(w.cols) > 0:
		pos.Col = w.cols[len(w.cols)-1] + 1
	}
	return pos
}

// from gives the rest of the word from offset off, with its place.
func (w word) from(off int) word {
	r := word{Text: w.Text[off:], Pos: w.at(off), Quoted: w.Quoted}
	if w.cols != nil {
		r.cols = w.cols[off:]
	}
	return r
}

// join puts words back into one text with single spaces.
func join(words []word) string {
	s := make([]string, len(words))
	for i, w := range words {
		s[i] = w.Text
	}
	return strings.Join(s, " ")
}

// rewrite gives words as they can be written in a file, for advice.
func rewrite(words []word) string {
	s := make([]string, len(words))
	for i, w := range words {
		s[i] = quoteWord(w.Text)
	}
	return strings.Join(s, " ")
}

// lexError is a line that cannot be split into words.
type lexError struct {
	off    int // byte offset in the line
	reason string
	cure   string
}

// lexer splits one line. It is HAProxy's: an unquoted or weakly quoted
// backslash escapes a few characters and is an ordinary character before all
// others; variables are expanded only inside double quotes.
type lexer struct {
	in   string
	pos  int
	base model.Pos
	look func(name string) (string, bool)

	words []word
	buf   []byte
	cols  []int
	start int // offset of the first byte of the current word, -1: none
	plain bool
}

// lexLine splits a line into words. look finds variables, the pseudo-variables
// .FILE, .LINE and .SECTION included.
func lexLine(line string, base model.Pos, look func(string) (string, bool)) ([]word, *lexError) {
	lx := &lexer{in: line, base: base, look: look, start: -1, plain: true}
	if err := lx.run(); err != nil {
		return nil, err
	}
	return lx.words, nil
}

func isSpace(c byte) bool {
	return c == ' ' || c >= '\t' && c <= '\r'
}

func isAlpha(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func unhex(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

func (lx *lexer) peek(n int) byte {
	if lx.pos+n < len(lx.in) {
		return lx.in[lx.pos+n]
	}
	return 0
}

func (lx *lexer) begin() {
	if lx.start < 0 {
		lx.start = lx.pos
	}
}

func (lx *lexer) emit(c byte, off int) {
	lx.buf = append(lx.buf, c)
	lx.cols = append(lx.cols, lx.base.Col+off)
}

func (lx *lexer) flush() {
	if lx.start < 0 {
		return
	}
	w := word{Text: string(lx.buf), Pos: lx.base, Quoted: !lx.plain}
	w.Pos.Col += lx.start
	if !lx.plain {
		w.cols = append([]int(nil), lx.cols...)
	}
	lx.words = append(lx.words, w)
	lx.buf, lx.cols, lx.start, lx.plain = lx.buf[:0], lx.cols[:0], -1, true
}

func (lx *lexer) run() *lexError {
	var quote byte
	quoteAt := 0
	for lx.pos < len(lx.in) {
		c := lx.in[lx.pos]
		switch {
		case c == '\n' || c == '\r':
			// The rest of the line is not read: a CR ends it as LF does.
			lx.pos = len(lx.in)
			continue
		case quote == 0 && c == '#':
			lx.pos = len(lx.in)
			continue
		case quote == 0 && isSpace(c):
			lx.flush()
			lx.pos++
		case (c == '"' || c == '\'') && (quote == 0 || quote == c):
			lx.begin()
			lx.plain = false
			if quote == 0 {
				quote, quoteAt = c, lx.pos
			} else {
				quote = 0
			}
			lx.pos++
		case c == '\\' && quote != '\'':
			if err := lx.escape(quote); err != nil {
				return err
			}
		case c == '$' && quote == '"':
			if err := lx.variable(); err != nil {
				return err
			}
		default:
			lx.begin()
			lx.emit(c, lx.pos)
			lx.pos++
		}
	}
	if quote != 0 {
		return &lexError{quoteAt, "unmatched quote",
			fmt.Sprintf("close it with %c, or write \\%c for a quote that is meant as a character", quote, quote)}
	}
	lx.flush()
	return nil
}

// escape reads a backslash and what it escapes.
func (lx *lexer) escape(quote byte) *lexError {
	lx.begin()
	at := lx.pos
	send, skip := byte('\\'), 1
	switch n := lx.peek(1); n {
	case ' ', '\\', '#', '"', '\'':
		send, skip = n, 2
	case '$':
		if quote == '"' {
			send, skip = n, 2
		}
	case 't':
		send, skip = '\t', 2
	case 'n':
		send, skip = '\n', 2
	case 'r':
		send, skip = '\r', 2
	case 'x':
		hi, lo := unhex(lx.peek(2)), unhex(lx.peek(3))
		if hi < 0 || lo < 0 {
			return &lexError{at, "truncated or invalid hexadecimal sequence", `write \x and two hexadecimal digits, such as \x0a`}
		}
		send, skip = byte(hi<<4|lo), 4
	}
	if skip > 1 {
		lx.plain = false
	}
	lx.emit(send, at)
	lx.pos += skip
	return nil
}

// variable reads $NAME, ${NAME}, ${NAME-default} or ${NAME[*]}.
func (lx *lexer) variable() *lexError {
	at := lx.pos
	lx.pos++
	brace := false
	if lx.peek(0) == '{' {
		brace = true
		lx.pos++
	}
	nameAt := lx.pos
	if c := lx.peek(0); !isAlpha(c) && c != '_' && c != '.' {
		return &lexError{lx.pos, "forbidden first char in environment variable name",
			`a name starts with a letter or "_"; write \$ for a dollar sign`}
	}
	lx.pos++
	for c := lx.peek(0); isAlpha(c) || isDigit(c) || c == '_'; c = lx.peek(0) {
		lx.pos++
	}
	name := lx.in[nameAt:lx.pos]
	value, ok := lx.look(name)
	if name[0] == '.' && !ok {
		return &lexError{nameAt, "forbidden first char in environment variable name",
			"the names that start with a dot are .FILE, .LINE and .SECTION"}
	}
	expand := false
	if brace && lx.peek(0) == '[' {
		if lx.peek(1) != '*' || lx.peek(2) != ']' {
			return &lexError{lx.pos, "expecting '[*]' for word expansion", "write ${" + name + "[*]}"}
		}
		expand = true
		lx.pos += 3
	}
	if brace {
		end := strings.IndexByte(lx.in[lx.pos:], '}')
		if lx.peek(0) == '-' && end > 0 {
			if !ok {
				value = lx.in[lx.pos+1 : lx.pos+end]
			}
		} else if lx.peek(0) != '}' {
			return &lexError{at + 1, "unmatched brace in environment variable name", "write ${" + name + "}"}
		}
		lx.pos += end + 1
	}
	lx.substitute(value, at, expand)
	return nil
}

// substitute emits a variable's value; with expand, spaces in it part words.
func (lx *lexer) substitute(value string, at int, expand bool) {
	lx.plain = false
	for i := 0; i < len(value); i++ {
		if !expand || !isSpace(value[i]) {
			lx.emit(value[i], at)
			continue
		}
		lx.flush()
		for i+1 < len(value) && isSpace(value[i+1]) {
			i++
		}
		lx.start, lx.plain = at, false
	}
}

// environment is the process's environment with the changes that setenv and
// its like make while files are read.
type environment struct {
	base    func(string) (string, bool)
	changed map[string]*string // nil: unset
	// closed is set by resetenv: only names in changed exist.
	closed bool
}

func newEnvironment(base func(string) (string, bool)) *environment {
	return &environment{base: base, changed: map[string]*string{}}
}

func (e *environment) get(name string) (string, bool) {
	if v, ok := e.changed[name]; ok {
		if v == nil {
			return "", false
		}
		return *v, true
	}
	if e.closed {
		return "", false
	}
	return e.base(name)
}

func (e *environment) set(name, value string) { e.changed[name] = &value }
func (e *environment) unset(name string)      { e.changed[name] = nil }

// lookup is the variables that a line can name.
func (p *parser) lookup(name string) (string, bool) {
	switch name {
	case ".FILE":
		return p.file, true
	case ".LINE":
		return strconv.Itoa(p.line), true
	case ".SECTION":
		return p.sectionName, true
	}
	if name[0] == '.' {
		return "", false
	}
	return p.env.get(name)
}
