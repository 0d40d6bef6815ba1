package keepalived

import (
	"path/filepath"
	"strings"

	"evenkeel/internal/model"
)

// Bounds on what a file can make of itself with sequences, parameters and
// includes: far above any real configuration, far below the host's memory.
const (
	maxLines        = 100_000  // lines after expansion
	maxText         = 16 << 20 // bytes after expansion
	maxLine         = 64 << 10 // bytes of one line
	maxSubstitution = 256      // parameters put into one line
	maxNesting      = 32       // lines made of lines made of lines
	maxIncludeDepth = 16
	maxIncludeFiles = 1000
)

// sourceLine is one line on its way to the tree.
type sourceLine struct {
	text
	file string
	line int
}

func (l sourceLine) pos(i int) model.Pos {
	return model.Pos{File: l.file, Line: l.line, Col: l.col(i)}
}

func (l sourceLine) with(t text) sourceLine {
	l.text = t
	return l
}

// source turns files into statements for the tree.
type source struct {
	p    *parser
	tree *tree

	defines map[string]*definition
	// pending is the definition whose lines are being collected; skipping is
	// set while the lines of one are passed over, because its condition is
	// not true.
	pending  *definition
	skipping bool

	files    []string // the files being read, outermost first
	included int
	checks   includeCheck
	lines    int
	bytes    int
	full     bool // a bound was met: nothing is read any more
	random   uint64
	// secrets are the lines that hold a password.
	secrets map[model.Pos]bool
}

func newSource(p *parser, t *tree) *source {
	return &source{p: p, tree: t, defines: map[string]*definition{}, secrets: map[model.Pos]bool{}, random: seed(p.configID())}
}

// stop ends reading for good.
func (s *source) stop(pos model.Pos, cure, format string, args ...any) {
	if !s.full {
		s.full = true
		s.p.errorf(pos, cure, format, args...)
	}
}

// readFile reads one file from its first line to its last.
func (s *source) readFile(name string, data string) {
	s.files = append(s.files, name)
	defer func() { s.files = s.files[:len(s.files)-1] }()
	if strings.HasPrefix(data, "\ufeff") {
		s.p.warnf(model.Pos{File: name, Line: 1, Col: 1}, "save the file as UTF-8 without a byte order mark: keepalived takes it for a part of the first word",
			"the file begins with a byte order mark")
		data = data[len("\ufeff"):]
	}
	for n := 1; data != "" && !s.full; n++ {
		var line string
		line, data, _ = strings.Cut(data, "\n")
		l := sourceLine{text{s: line, base: 1}, name, n}
		if i := strings.IndexByte(line, 0); i >= 0 {
			s.p.errorf(l.pos(i), "take it out", "there is a NUL character in the line: is this a text file?")
			return
		}
		s.physical(l)
	}
	if s.pending != nil {
		s.p.errorf(s.pending.pos, `end every line of it except the last with '\'`, "the definition of $%s has no last line", s.pending.name)
		s.pending = nil
	}
	s.skipping = false
}

// physical takes a line as it stands in a file.
func (s *source) physical(l sourceLine) {
	if end := comment(l.s); end < len(l.s) {
		s.gluedComment(l, end)
		l.text = l.slice(0, end)
	}
	s.feed(l, 0)
}

// gluedComment warns of a comment that begins inside a word: the rest of a
// password or a path is cut off without a word.
func (s *source) gluedComment(l sourceLine, i int) {
	if i == 0 || isBlank(l.s[i-1]) || strings.IndexByte("{}\"'", l.s[i-1]) >= 0 {
		return
	}
	s.p.warnf(l.pos(i), `put a blank before a comment; if the character belongs to the word, put the word into "…"`,
		"a comment begins here, in the middle of a word: the rest of the line is not read")
}

// feed takes a line without comment: it collects definitions, follows
// conditions, repeats sequences, puts parameters in, and hands what is left to
// the tree.
func (s *source) feed(l sourceLine, depth int) {
	s.lines++
	s.bytes += len(l.s)
	switch {
	case s.full:
		return
	case s.lines > maxLines || s.bytes > maxText:
		s.stop(l.pos(0), "look for a ~SEQ, ~LST or multi-line definition that makes more than was meant",
			"the configuration comes to more than %d lines or %d bytes with its sequences and parameters", maxLines, maxText)
		return
	case depth > maxNesting:
		s.stop(l.pos(0), "look for a definition that contains itself", "definitions are nested more than %d deep", maxNesting)
		return
	}
	l.text = l.trim()
	if l.s == "" || s.collect(l) {
		return
	}
	for count := 0; ; count++ {
		if count > maxSubstitution || len(l.s) > maxLine {
			s.stop(l.pos(0), "look for a parameter that contains itself", "the line grows without end as its parameters are put in")
			return
		}
		var goOn bool
		if l, goOn = s.condition(l); !goOn {
			return
		}
		if s.define(l) || s.include(l) || s.sequence(l, depth) {
			return
		}
		next, state := s.substitute(l, depth)
		if state == fed {
			return
		}
		if state == unchanged {
			break
		}
		l.text = next.trim()
		if l.s == "" {
			return
		}
	}
	s.statement(l)
}

// condition judges a leading @ID or @^ID. false: the line is not read.
func (s *source) condition(l sourceLine) (sourceLine, bool) {
	for strings.HasPrefix(l.s, "@") {
		end := strings.IndexAny(l.s, blanks)
		if end < 0 {
			end = len(l.s)
		}
		id, not := strings.CutPrefix(l.s[1:end], "^")
		if (id == s.p.configID()) == not {
			s.skipping = strings.HasSuffix(l.s, `\`)
			return l, false
		}
		l.text = l.from(end).trim()
	}
	return l, l.s != ""
}

// statement gives a finished line to the tree.
func (s *source) statement(l sourceLine) {
	if strings.HasPrefix(l.s, "~") {
		s.p.errorf(l.pos(0), "write ~SEQ(NAME, START, STEP, END), ~SEQx(…) or ~LST(NAME, VALUE, …)", "unknown expansion '%s'", firstWord(l.s))
		return
	}
	list, bad := tokens(l.text)
	if bad != nil {
		s.p.errorf(l.pos(bad.off), bad.cure, "%s", bad.reason)
	}
	if len(list) > 0 && list[0].Text == "include_check" {
		s.checks.set(s.p, l, list[1:])
	}
	if len(list) > 1 && list[0].Text == "random_seed" {
		if v, ok := wholeNumber(list[1].Text); ok {
			s.random = uint64(v)
		}
	}
	// A line with a password, also with a misspelt keyword, is never shown.
	for _, t := range list {
		if name := strings.ToLower(t.Text); name == "header" || strings.HasPrefix(name, "auth_p") || strings.HasPrefix(name, "passw") {
			s.secrets[model.Pos{File: l.file, Line: l.line}] = true
		}
	}
	s.tree.add(l, list)
}

func firstWord(s string) string {
	if i := strings.IndexAny(s, blanks); i >= 0 {
		return s[:i]
	}
	return s
}

// directory is where the file being read stands: relative names begin there.
func (s *source) directory() string {
	if len(s.files) == 0 {
		return "."
	}
	return filepath.Dir(s.files[len(s.files)-1])
}
