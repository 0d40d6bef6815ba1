package haproxy

import (
	"errors"
	"strings"
	"testing"

	"evenkeel/internal/model"
)

// ruleParser is a parser that stands in an empty listen section.
func ruleParser() *parser {
	p := newParser(Options{ReadFile: func(string) ([]byte, error) { return nil, errors.New("no file") }}.WithDefaults())
	p.file, p.line = "f", 1
	p.section, p.sectionName = secListen, "x"
	p.proxy, p.state = initialProxy(), newState()
	p.proxy.Mode = model.ModeHTTP
	return p
}

// checkPlaces fails if an error points outside of the line.
func checkPlaces(t *testing.T, p *parser, line string, err error) {
	t.Helper()
	var d model.Diagnostic
	if err != nil && errors.As(err, &d) {
		p.diags = append(p.diags, d)
	}
	for _, d := range p.diags {
		if d.Pos.Line > 1 || d.Pos.Line == 1 && (d.Pos.Col < 1 || d.Pos.Col > len(line)+1) {
			t.Fatalf("%q: %s points outside of the line", line, d)
		}
		if d.Message == "" {
			t.Fatalf("%q: an error says nothing", line)
		}
	}
}

func lexed(line string) []word {
	words, err := lexLine(line, model.Pos{File: "f", Line: 1, Col: 1}, func(string) (string, bool) { return "", false })
	if err != nil {
		return nil
	}
	for i, w := range words {
		if w.Text == "" {
			return words[:i]
		}
	}
	return words
}

func FuzzParseExpr(f *testing.F) {
	for _, s := range []string{
		"src", "req.hdr(host),lower", "req.hdr(host,-1) lower,upper if TRUE", `"path,regsub('^/(a|b)',/,g)"`,
		`str(a\,b\\)`, "path,", "path(", "path)", `'str("a\")'`, ",,", "()", "hdr(a)b",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words := lexed(line)
		if len(words) == 0 {
			return
		}
		p := ruleParser()
		e, rest, err := parseExpr(p, words)
		checkPlaces(t, p, line, err)
		if err != nil {
			return
		}
		if e == nil || len(rest) >= len(words) {
			t.Fatalf("%q: no expression and no error", line)
		}
		// What was read must read the same once more.
		again, _, err := parseExpr(ruleParser(), []word{{Text: exprText(e)}})
		if err != nil {
			t.Fatalf("%q: written as %q: %v", line, exprText(e), err)
		}
		if dump(e) != dump(again) {
			t.Fatalf("%q: %s, once more %s", line, dump(e), dump(again))
		}
	})
}

// exprText writes an expression with every argument quoted.
func exprText(e *model.Expr) string {
	calls := append([]model.Call{e.Fetch}, e.Convs...)
	var out []string
	for _, c := range calls {
		s := c.Name
		if c.Args != nil {
			var args []string
			for _, a := range c.Args {
				args = append(args, `'`+strings.ReplaceAll(a, `'`, `'"'"'`)+`'`)
			}
			s += "(" + strings.Join(args, ",") + ")"
		}
		out = append(out, s)
	}
	return strings.Join(out, ",")
}

func FuzzParseCond(f *testing.F) {
	for _, s := range []string{
		"if TRUE", "unless a !b or { path /x } || !{ src 10.0.0.0/8 -f x }", "if { path -i -f a -i b c -- -d }", "if {", "if }", "if ! !", "when a",
		"if { hdr(host) -m beg -u 5 -M -n x }",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words := lexed(line)
		p := ruleParser()
		p.state.acls["a"] = &namedACL{Tests: []*model.Test{{Name: "a"}}}
		c, err := parseCond(p, words)
		checkPlaces(t, p, line, err)
		if err == nil && c == nil && len(words) > 0 {
			t.Fatalf("%q: no condition and no error", line)
		}
		if err == nil && c != nil {
			checkCond(t, line, c)
		}
	})
}

// checkCond fails on a hole in a condition.
func checkCond(t *testing.T, line string, c model.Cond) {
	t.Helper()
	switch x := c.(type) {
	case model.And:
		for _, y := range x {
			checkCond(t, line, y)
		}
	case model.Or:
		for _, y := range x {
			checkCond(t, line, y)
		}
	case model.Not:
		checkCond(t, line, x.Cond)
	case *model.Test:
		if x == nil {
			t.Fatalf("%q: an empty test", line)
		}
	case nil:
		t.Fatalf("%q: a hole in the condition", line)
	}
}

func FuzzParseFormat(f *testing.F) {
	for _, s := range []string{
		"%ci:%cp", "100%%", "100%", "%{+Q,-E}o%{+X}pid %[path,lower]", "%[", "%{", "%()", "a  b %[str(a]b)]", "%{+Q}[src]%r", "%Ci",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, ctx := range []formatContext{formatLog, formatRequest} {
			p := ruleParser()
			format, err := parseFormat(p, word{Text: text, Pos: model.Pos{File: "f", Line: 1, Col: 1}}, ctx)
			checkPlaces(t, p, text, err)
			if err != nil {
				continue
			}
			if s, ok := format.IsLiteral(); ok && ctx == formatRequest && strings.ReplaceAll(s, "%", "%%") != text && !strings.Contains(text, "o") {
				t.Fatalf("%q became %q", text, s)
			}
		}
	})
}

// FuzzRule reads whole rule lines: no panic, no rule with a hole.
func FuzzRule(f *testing.F) {
	for _, s := range []string{
		"http-request deny status 403 content-type a string b hdr X y if TRUE", "http-response redirect prefix / code 301 set-cookie A=b",
		"tcp-request content capture src len 5", "http-request set-var(txn.x,ifset) src", "reqrep ^a b", "redirect scheme https",
		"use_backend %[path]", "acl a path /", "http-request wait-for-body time 1s at-least 1k", "http-request set-timeout server 1s",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsAny(line, "\n\r\x00") {
			return
		}
		words := lexed(line)
		if len(words) == 0 {
			return
		}
		p := ruleParser()
		p.text = line
		k := table().find(words, p.section)
		if k == nil || k.Parse == nil || k.Sections&p.section == 0 || k.Status == statusLater {
			return
		}
		mine := false
		for _, r := range ruleKeywords {
			mine = mine || r == k
		}
		if !mine {
			return
		}
		k.Parse(p, words)
		checkPlaces(t, p, line, nil)
		for _, r := range rulesets {
			for _, rule := range *r.list(p.proxy) {
				if rule.Action == nil {
					t.Fatalf("%q: a rule without action", line)
				}
			}
		}
	})
}
