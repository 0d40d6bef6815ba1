package keepalived

import (
	"strconv"
	"strings"
)

// sequence reads a line that begins with ~SEQ(…), ~SEQx(…) or ~LST(…): the
// rest of it once for each value.
func (s *source) sequence(l sourceLine, depth int) bool {
	var body func(args string, rest sourceLine, at sourceLine, depth int) string
	var head string
	for prefix, f := range map[string]func(string, sourceLine, sourceLine, int) string{
		"~SEQ(": s.numbers, "~SEQx(": s.numbers, "~LST(": s.list,
	} {
		if strings.HasPrefix(l.s, prefix) {
			head, body = prefix, f
		}
	}
	if body == nil {
		return false
	}
	end := strings.IndexByte(l.s, ')')
	if end < 0 {
		s.p.errorf(l.pos(len(head)-1), "close it with ')'", "the parenthesis of '%s' is not closed", head[:len(head)-1])
		return true
	}
	rest := l.with(l.from(end + 1).trim())
	args := l.s[len(head):end]
	if strings.Contains(args, "$") {
		// The values are parameters themselves: put them in, then come back.
		if t, state := s.substitute(l, depth); state == replaced {
			s.feed(l.with(t), depth+1)
			return true
		}
	}
	if reason := body(args, rest, l, depth); reason != "" {
		s.p.errorf(l.pos(0), "write ~SEQ(NAME, START, STEP, END), with numbers, or ~LST(NAME, VALUE, …)", "'%s%s)' %s", head, args, reason)
	}
	return true
}

// give reads a line with a parameter that has a value for its length.
func (s *source) give(names, values []string, rest sourceLine, depth int) {
	for i, name := range names {
		s.defines[name] = &definition{name: name, pos: rest.pos(0), lines: []sourceLine{{text: text{s: values[i]}, file: rest.file, line: rest.line}}}
	}
	s.feed(rest, depth+1)
}

func (s *source) numbers(args string, rest, at sourceLine, depth int) string {
	parts := strings.Split(args, ",")
	if len(parts) < 2 || len(parts) > 4 {
		return "does not have two to four arguments"
	}
	name := strings.TrimSpace(parts[0])
	if nameLength(name) != len(name) || name == "" {
		return "does not begin with the name of a parameter"
	}
	var n []int64
	for _, p := range parts[1:] {
		v, err := strconv.ParseInt(strings.TrimSpace(p), 0, 32)
		if err != nil {
			return "has an argument that is not a number: " + strconv.Quote(strings.TrimSpace(p))
		}
		n = append(n, v)
	}
	end := n[len(n)-1]
	start, step := int64(1), int64(1)
	if end < 0 {
		start = -1
	}
	if len(n) > 1 {
		start = n[0]
	}
	if start > end {
		step = -1
	}
	if len(n) > 2 {
		step = n[1]
	}
	if step == 0 || (end-start)*step < 0 {
		return "never comes to its end"
	}
	base := 10
	if strings.HasPrefix(at.s, "~SEQx") {
		base = 16
	}
	for v := start; (end-v)*step >= 0 && !s.full; v += step {
		s.give([]string{name}, []string{strconv.FormatInt(v, base)}, rest, depth)
	}
	delete(s.defines, name)
	return ""
}

func (s *source) list(args string, rest, _ sourceLine, depth int) string {
	items, ok := splitList(args)
	if !ok || len(items) < 2 {
		return "needs a name, or {NAME, NAME}, and values of the same form"
	}
	names := items[0]
	for _, n := range names {
		if n == "" || nameLength(n) != len(n) {
			return "does not begin with the name of a parameter"
		}
	}
	for _, values := range items[1:] {
		if len(values) != len(names) {
			return "has " + strconv.Itoa(len(names)) + " name(s) and a group of " + strconv.Itoa(len(values)) + " value(s)"
		}
	}
	for _, values := range items[1:] {
		if s.full {
			break
		}
		s.give(names, values, rest, depth)
	}
	for _, n := range names {
		delete(s.defines, n)
	}
	return ""
}

// splitList splits at commas; a part in braces is split itself.
func splitList(args string) ([][]string, bool) {
	var out [][]string
	for args = strings.TrimSpace(args); args != ""; args = strings.TrimSpace(args) {
		var item []string
		if args[0] == '{' {
			end := strings.IndexByte(args, '}')
			if end < 0 {
				return nil, false
			}
			for _, x := range strings.Split(args[1:end], ",") {
				item = append(item, strings.TrimSpace(x))
			}
			args = strings.TrimSpace(args[end+1:])
			if args != "" && args[0] != ',' {
				return nil, false
			}
			args = strings.TrimPrefix(args, ",")
		} else {
			var one string
			one, args, _ = strings.Cut(args, ",")
			item = []string{strings.TrimSpace(one)}
		}
		out = append(out, item)
	}
	return out, true
}
