package keepalived

import (
	"path/filepath"
	"slices"
	"strings"

	"evenkeel/internal/model"
)

// includeCheck is what an include demands of the files that it names.
type includeCheck uint8

const (
	checkReadable includeCheck = 1 << iota // a match is a file that can be read
	checkMatch                             // something matches, unless there are wildcards
	checkWildcard                          // something matches, wildcards or not
	checkBrace                             // every alternative of a brace matches
	checkAll      = checkReadable | checkMatch | checkWildcard | checkBrace
)

// includeKeywords are the forms of the line, with what each checks besides
// include_check.
var includeKeywords = map[string]includeCheck{
	"include": 0, "includer": checkReadable, "includem": checkReadable | checkMatch,
	"includew": checkReadable | checkMatch | checkWildcard, "includeb": checkReadable | checkBrace, "includea": checkAll,
}

var includeOptions = map[string]includeCheck{
	"readable": checkReadable, "match": checkReadable | checkMatch,
	"wildcard_match": checkReadable | checkWildcard, "brace_match": checkReadable | checkBrace,
}

// set reads `include_check [+|-]OPTION …`.
func (c *includeCheck) set(p *parser, l sourceLine, options []token) {
	value, adds := includeCheck(0), false
	if len(options) == 0 {
		value = checkAll
	}
	for i, o := range options {
		name := strings.TrimLeft(o.Text, "+-")
		bit, ok := includeOptions[name]
		if !ok {
			p.warnf(l.pos(o.off), closest(name, []string{"readable", "match", "wildcard_match", "brace_match"}), "unknown include_check option '%s'", o.Text)
			continue
		}
		sign := o.Text[:len(o.Text)-len(name)]
		if sign != "" && i == 0 {
			value, adds = *c, true
		}
		if sign == "-" {
			value &^= bit
			if name != "readable" {
				value |= *c & checkReadable
			}
			continue
		}
		if sign == "" && adds {
			p.warnf(l.pos(o.off), "give all of them a '+' or '-', or none", "'%s' has no sign, those before it have", o.Text)
		}
		value |= bit
	}
	*c = value
}

// include reads the files that a line names.
func (s *source) include(l sourceLine) bool {
	checks, ok := includeKeywords[firstWord(l.s)]
	if !ok {
		return false
	}
	checks |= s.checks
	arg := l.from(len(firstWord(l.s))).trim()
	if len(arg.s) > 1 && arg.s[0] == '"' && arg.s[len(arg.s)-1] == '"' {
		arg = arg.slice(1, len(arg.s)-1)
	}
	if arg.s == "" {
		s.p.errorf(l.pos(len(l.s)), "write 'include FILE'", "'%s' names no file", firstWord(l.s))
		return true
	}
	if len(s.files) >= maxIncludeDepth {
		s.stop(l.pos(0), "look for files that include each other", "files are included more than %d deep", maxIncludeDepth)
		return true
	}
	patterns, ok := braces(arg.s)
	if !ok {
		s.p.errorf(model.Pos{File: l.file, Line: l.line, Col: arg.col(0)}, "name fewer, or use '*'", "the braces of '%s' stand for too many names", arg.s)
		return true
	}
	at := l.with(arg)
	found := 0
	for _, pattern := range patterns {
		n := s.includePattern(at, pattern, checks)
		found += n
		if n == 0 && len(patterns) > 1 && checks&checkBrace != 0 {
			s.p.errorf(at.pos(0), "make the file, or take the name out of the braces", "no file is named '%s'", pattern)
		}
	}
	if found == 0 && !s.full {
		s.nothingFound(at, checks)
	}
	return true
}

// nothingFound: what keepalived takes in silence is a warning, what the line
// demands an error.
func (s *source) nothingFound(l sourceLine, checks includeCheck) {
	wild := strings.ContainsAny(l.s, "*?[")
	switch {
	case wild && checks&checkWildcard != 0, !wild && checks&checkMatch != 0:
		s.p.errorf(l.pos(0), "the name is relative to the directory of the file that it stands in", "no file matches '%s'", l.s)
	case !wild:
		s.p.warnf(l.pos(0), "the name is relative to the directory of the file that it stands in", "there is no file '%s' to include", l.s)
	}
}

// includePattern reads the files of one pattern and says how many it found.
func (s *source) includePattern(l sourceLine, pattern string, checks includeCheck) int {
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(s.directory(), pattern)
	}
	names := []string{pattern}
	if strings.ContainsAny(pattern, "*?[") {
		var err error
		if names, err = s.p.opt.Glob(pattern); err != nil {
			s.p.errorf(l.pos(0), "mind that '[' begins a set of characters", "'%s' is not a pattern of file names", pattern)
			return 1
		}
		slices.Sort(names)
	}
	found := 0
	for _, name := range names {
		if s.full {
			break
		}
		if slices.Contains(s.files, name) {
			s.p.errorf(l.pos(0), "take the line out", "'%s' includes itself", name)
			return 1
		}
		if s.included++; s.included > maxIncludeFiles {
			s.stop(l.pos(0), "", "more than %d files are included", maxIncludeFiles)
			return found
		}
		data, err := s.p.opt.ReadFile(name)
		if err != nil {
			if len(names) > 1 || name != pattern {
				found++
				s.unreadable(l, name, err, checks)
			}
			continue
		}
		found++
		s.p.addFile(name)
		saved := s.checks
		s.readFile(name, string(data))
		s.checks = saved
	}
	return found
}

func (s *source) unreadable(l sourceLine, name string, err error, checks includeCheck) {
	if checks&checkReadable != 0 {
		s.p.errorf(l.pos(0), "", "'%s' cannot be read: %v", name, err)
		return
	}
	s.p.warnf(l.pos(0), "", "'%s' cannot be read: %v", name, err)
}

// braces expands {a,b} as a shell does. false: there are too many.
func braces(pattern string) ([]string, bool) {
	out := []string{pattern}
	if len(pattern) > 4096 {
		return nil, false
	}
	for i := 0; i < len(out); {
		open, end, commas := brace(out[i])
		if open < 0 {
			i++
			continue
		}
		var next []string
		from := open + 1
		for _, c := range append(commas, end) {
			next = append(next, out[i][:open]+out[i][from:c]+out[i][end+1:])
			from = c + 1
		}
		if len(out)+len(next) > maxIncludeFiles {
			return nil, false
		}
		out = slices.Replace(out, i, i+1, next...)
	}
	return out, true
}

// brace finds the first brace that is closed, and its commas.
func brace(s string) (open, end int, commas []int) {
	open = strings.IndexByte(s, '{')
	if open < 0 {
		return -1, 0, nil
	}
	depth := 0
	for i := open; i < len(s); i++ {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return open, i, commas
			}
		case ',':
			if depth == 1 {
				commas = append(commas, i)
			}
		}
	}
	return -1, 0, nil
}
