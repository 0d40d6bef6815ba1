package keepalived

import (
	"hash/fnv"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"

	"evenkeel/internal/model"
)

// definition is a parameter: its value is one line, or several.
type definition struct {
	name  string
	pos   model.Pos
	multi bool
	lines []sourceLine
}

// validName: letters, digits and underscores, not beginning with a digit.
func nameLength(s string) int {
	i := 0
	for i < len(s) && (s[i] == '_' || s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z' || i > 0 && s[i] >= '0' && s[i] <= '9') {
		i++
	}
	return i
}

// continued cuts the backslash off that lets a definition go on.
func continued(t text) (text, bool) {
	if !strings.HasSuffix(t.s, `\`) {
		return t, false
	}
	return t.slice(0, len(t.s)-1).trim(), true
}

// collect takes a line of the definition under way.
func (s *source) collect(l sourceLine) bool {
	if s.skipping {
		s.skipping = strings.HasSuffix(l.s, `\`)
		return true
	}
	if s.pending == nil {
		return false
	}
	t, more := continued(l.text)
	s.pending.lines = append(s.pending.lines, l.with(t))
	if !more {
		s.pending = nil
	}
	return true
}

// define reads $NAME=VALUE.
func (s *source) define(l sourceLine) bool {
	if l.s[0] != '$' {
		return false
	}
	n := nameLength(l.s[1:])
	if n == 0 || len(l.s) <= n+1 || l.s[n+1] != '=' {
		return false
	}
	name := l.s[1 : n+1]
	if _, reserved := predefined[name]; reserved {
		s.p.warnf(l.pos(0), "choose a name that does not begin with an underscore", "$%s is defined already: the name keeps its meaning", name)
	}
	d := &definition{name: name, pos: l.pos(0)}
	value, more := continued(l.from(n + 2).trim())
	d.multi = more
	if !more || value.s != "" {
		d.lines = append(d.lines, l.with(value))
	}
	if more {
		s.pending = d
	}
	s.defines[name] = d
	if strings.Contains(strings.ToLower(name), "pass") {
		s.secrets[model.Pos{File: l.file, Line: l.line}] = true
	}
	return true
}

// state of a line after one round of substitution.
type substitution uint8

const (
	unchanged substitution = iota
	replaced
	fed // the line became several, which have been read
)

// substitute puts the first parameter of a line in.
func (s *source) substitute(l sourceLine, depth int) (text, substitution) {
	for i := 0; i < len(l.s); i++ {
		if l.s[i] != '$' {
			continue
		}
		name, args, end := parameter(l.s, i)
		if name == "" {
			continue
		}
		if give, ok := predefined[name]; ok {
			if value, ok := give(s, args); ok {
				return l.replace(i, end, value), replaced
			}
			continue
		}
		d := s.defines[name]
		if d == nil || args != "" {
			continue
		}
		if d.multi {
			s.several(l, i, end, d, depth)
			return l.text, fed
		}
		return l.replace(i, end, d.lines[0].s), replaced
	}
	return l.text, unchanged
}

// parameter reads $NAME (with a blank or nothing behind it) or ${NAME ARGS}.
func parameter(line string, i int) (name, args string, end int) {
	rest := line[i+1:]
	if strings.HasPrefix(rest, "{") {
		closing := strings.IndexByte(rest, '}')
		if closing < 0 {
			return "", "", 0
		}
		n := nameLength(rest[1:])
		args = strings.TrimSpace(rest[1+n : closing])
		if n == 0 || 1+n < closing && !isBlank(rest[1+n]) {
			return "", "", 0
		}
		return rest[1 : 1+n], args, i + 1 + closing + 1
	}
	n := nameLength(rest)
	if n == 0 || n < len(rest) && !isBlank(rest[n]) {
		return "", "", 0
	}
	return rest[:n], "", i + 1 + n
}

// several reads the lines of a definition in the place of its parameter: what
// stands before it joins the first line, what stands behind it the last.
func (s *source) several(l sourceLine, i, end int, d *definition, depth int) {
	for k, line := range d.lines {
		if k == 0 && i > 0 {
			line.text = line.replace(0, 0, l.s[:i])
		}
		if k == len(d.lines)-1 && end < len(l.s) {
			line.text = line.replace(len(line.s), len(line.s), l.s[end:])
		}
		s.feed(line, depth+1)
		if s.full {
			return
		}
	}
}

// predefined are the parameters that need no definition.
var predefined = map[string]func(s *source, args string) (string, bool){
	"_PWD": func(s *source, _ string) (string, bool) {
		dir, err := filepath.Abs(s.directory())
		return dir, err == nil
	},
	"_INSTANCE": func(s *source, _ string) (string, bool) { return s.p.configID(), true },
	"_HASH":     func(*source, string) (string, bool) { return "#", true },
	"_BANG":     func(*source, string) (string, bool) { return "!", true },
	"_RANDOM":   (*source).randomNumber,
}

// randomNumber is ${_RANDOM [MIN [MAX]]}. The numbers depend on the host's
// name and on their order, not on the time: a reload that reads the same file
// must not change what it says.
func (s *source) randomNumber(args string) (string, bool) {
	low, high := uint64(0), uint64(32767)
	for i, f := range strings.Fields(args) {
		n, err := strconv.ParseUint(f, 10, 31)
		if err != nil || i > 1 {
			return "", false
		}
		if i == 0 {
			low = n
		} else {
			high = n
		}
	}
	if low > high {
		return "", false
	}
	s.random++
	r := rand.New(rand.NewPCG(s.random, 0))
	return strconv.FormatUint(low+r.Uint64N(high-low+1), 10), true
}

func seed(id string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(id))
	return h.Sum64()
}
