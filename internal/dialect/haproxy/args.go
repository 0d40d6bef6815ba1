package haproxy

import (
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tooMany reports arguments beyond the n that a keyword takes, as an error
// like HAProxy does.
func (p *parser) tooMany(words []word, n int) bool {
	if len(words) <= n+1 {
		return false
	}
	p.errorf(words[n+1].Pos, "", "'%s' cannot handle unexpected argument '%s'", words[0].Text, words[n+1].Text)
	return true
}

// need gives argument i of a keyword, or says that what it expects is missing.
func (p *parser) need(words []word, i int, what string) (word, bool) {
	if i < len(words) {
		return words[i], true
	}
	last := words[len(words)-1]
	pos := last.Pos
	pos.Col += max(len(last.Text), 1)
	name := words[0].Text
	p.errorf(pos, "", "'%s' expects %s as argument", name, what)
	return word{}, false
}

// number reads a decimal integer between lo and hi. Text behind the digits is
// ignored with a warning, because HAProxy lets it pass in silence.
func (p *parser) number(name string, w word, lo, hi int) (int, bool) {
	s := w.Text
	end := 0
	if end < len(s) && (s[0] == '-' || s[0] == '+') {
		end++
	}
	for end < len(s) && isDigit(s[end]) {
		end++
	}
	n, err := strconv.Atoi(strings.TrimPrefix(s[:end], "+"))
	if err != nil {
		p.errorf(w.Pos, numberRange(lo, hi), "'%s' expects an integer argument, got '%s'", name, s)
		return 0, false
	}
	if n < lo || n > hi {
		p.errorf(w.Pos, numberRange(lo, hi), "'%s': %d is out of range", name, n)
		return 0, false
	}
	if end < len(s) {
		p.warnf(w.at(end), "write "+s[:end], "'%s': '%s' behind the number is ignored", name, s[end:])
	}
	return n, true
}

func numberRange(lo, hi int) string {
	switch {
	case hi == math.MaxInt32 && lo == math.MinInt32:
		return "write a whole number"
	case hi == math.MaxInt32:
		return "write a whole number of " + strconv.Itoa(lo) + " or more"
	}
	return "write a whole number between " + strconv.Itoa(lo) + " and " + strconv.Itoa(hi)
}

// maxTime is HAProxy's limit: 2^31-1 milliseconds.
const maxTime = math.MaxInt32 * time.Millisecond

var timeUnits = map[string]time.Duration{
	"us": time.Microsecond, "ms": time.Millisecond, "s": time.Second,
	"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
}

// duration reads digits and a unit; without one, unit is meant.
func (p *parser) duration(name string, w word, unit time.Duration) (time.Duration, bool) {
	s := w.Text
	end := 0
	for end < len(s) && isDigit(s[end]) {
		end++
	}
	scale := unit
	if end < len(s) || end == 0 {
		u, ok := timeUnits[s[end:]]
		if !ok || end == 0 {
			p.errorf(w.at(end), "write a number and us, ms, s, m, h or d, such as 30s", "'%s': unexpected character '%c' in '%s'", name, s[min(end, len(s)-1)], s)
			return 0, false
		}
		scale = u
	}
	n, err := strconv.ParseInt("0"+s[:end], 10, 64)
	if err != nil || n > int64(maxTime/scale) {
		p.errorf(w.Pos, "the longest time is 2147483647 ms, about 24.8 days", "timer overflow in argument '%s' to '%s'", s, name)
		return 0, false
	}
	d := time.Duration(n) * scale
	if unit >= time.Millisecond {
		// Times are whole milliseconds, and one that is not 0 never becomes 0.
		d = (d + time.Millisecond - 1).Truncate(time.Millisecond)
	}
	return d, true
}

// size reads a number of bytes with k, m or g behind it.
func (p *parser) size(name string, w word) (int, bool) {
	s := w.Text
	scale := 1
	if n := len(s); n > 0 {
		switch s[n-1] | 0x20 {
		case 'k':
			scale = 1 << 10
		case 'm':
			scale = 1 << 20
		case 'g':
			scale = 1 << 30
		}
		if scale > 1 {
			s = s[:n-1]
		}
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > math.MaxInt/scale {
		p.errorf(w.Pos, "write a number of bytes, such as 16384 or 16k", "'%s' expects a size, got '%s'", name, w.Text)
		return 0, false
	}
	return n * scale, true
}

// oneOf says whether a word is among the choices, or what it could have been.
func (p *parser) oneOf(name string, w word, choices ...string) bool {
	for _, c := range choices {
		if w.Text == c {
			return true
		}
	}
	cure := closest(w.Text, choices)
	if cure == "" {
		cure = "write one of: " + strings.Join(choices, ", ")
	}
	p.errorf(w.Pos, cure, "'%s': unknown value '%s'", name, w.Text)
	return false
}

// path is the name of a file, with what `default-path` puts before it.
func (p *parser) path(name string) string {
	if name == "" || filepath.IsAbs(name) || strings.HasPrefix(name, "@") || strings.Contains(name, "://") {
		return name
	}
	switch p.defaultPath {
	case "config":
		return filepath.Join(filepath.Dir(p.file), name)
	case "parent":
		return filepath.Join(filepath.Dir(p.file), "..", name)
	case "origin":
		return filepath.Join(p.origin, name)
	}
	return name
}

// validName finds the first character that the name of a section, server or
// acl cannot have; -1: none.
func validName(s string) int {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !isAlpha(c) && !isDigit(c) && !strings.ContainsRune("_:.-", rune(c)) {
			return i
		}
	}
	return -1
}

// checkName reports a name with a character that is not permitted.
func (p *parser) checkName(what string, w word) bool {
	i := validName(w.Text)
	if i < 0 {
		return true
	}
	p.errorf(w.at(i), "use letters, digits, '-', '_', '.' and ':'", "character '%c' is not permitted in %s name '%s'", w.Text[i], what, w.Text)
	return false
}
