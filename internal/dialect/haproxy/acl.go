package haproxy

import (
	"strconv"
	"strings"

	"evenkeel/internal/model"
	"evenkeel/internal/rule"
)

// aclUse is a place in a condition that names an acl. Later lines of the same
// acl go there too.
type aclUse struct {
	slot   *model.Cond
	negate bool
}

// fill puts the acl's tests, all that are known, into the place.
func (u aclUse) fill(tests []*model.Test) {
	var c model.Cond
	if len(tests) == 1 {
		c = tests[0]
	} else {
		or := make(model.Or, len(tests))
		for i, t := range tests {
			or[i] = t
		}
		c = or
	}
	if u.negate {
		c = model.Not{Cond: c}
	}
	*u.slot = c
}

// parseACL reads `acl NAME CRITERION [flags] patterns`.
func parseACL(p *parser, words []word) {
	if len(words) < 2 {
		p.errorf(after(words[0]), "write 'acl NAME CRITERION [flags] [patterns]'", "missing acl name")
		return
	}
	name := words[1]
	switch {
	case name.Text == "or":
		p.errorf(name.Pos, "give it another name", "acl name 'or' will never match. 'or' is used to express a logical disjunction within a condition")
		return
	case !p.checkName("acl", name) || !p.namedDefaults(words[0]):
		return
	}
	tests, err := p.test(words[2:], name.Text, name.Pos)
	if err != nil {
		p.report(name.Pos, err)
		return
	}
	a := p.state.acls[name.Text]
	if a == nil {
		a = &namedACL{Pos: name.Pos}
		p.state.acls[name.Text] = a
	}
	a.Tests = append(a.Tests, tests...)
	p.proxy.Tests = append(p.proxy.Tests[:len(p.proxy.Tests):len(p.proxy.Tests)], tests...)
	for _, u := range a.uses {
		u.fill(a.Tests)
	}
}

// namedDefaults refuses rules in a defaults section that has no name.
func (p *parser) namedDefaults(keyword word) bool {
	if p.inDefaults() && p.current != nil && p.current.name == "" {
		p.errorf(keyword.Pos, "give the section a name, and write 'from NAME' after the names of the proxies that use it",
			"'%s' not allowed in anonymous 'defaults' section", keyword.Text)
		return false
	}
	return true
}

// test reads what follows the name of an acl, or stands between braces. It
// gives several tests where -i begins in the middle of the patterns.
func (p *parser) test(words []word, name string, pos model.Pos) ([]*model.Test, error) {
	if len(words) == 0 {
		return nil, wrong(pos, "write what is tested, such as path_beg, src or hdr(host)", "missing fetch method in ACL expression")
	}
	t := &model.Test{Pos: words[0].Pos, Name: name}
	if err := p.criterion(t, words[0]); err != nil {
		return nil, err
	}
	f := &aclFlags{p: p, done: []*model.Test{t}}
	rest, err := f.read(words[1:])
	if err != nil {
		return nil, err
	}
	if kind := outputKind(t.Expr); t.Method == "" && (kind == rule.KindNone || kind == rule.KindBinary) {
		return nil, wrong(after(words[0]), "write a method behind it: -m str, -m bin, -m len, -m reg, -m found, …",
			"matching method must be specified first (using '-m') when using a sample fetch of this type ('%s')", words[0].Text)
	}
	if len(rest) > 0 {
		f.patterns(rest)
	} else if !f.ended {
		p.warnNoPattern(t, f.current(), words[0])
	}
	return f.done, nil
}

// criterion reads the fetch, its converters, and the method that a keyword
// such as path_beg implies. With converters that method is dropped: then the
// type of the last one decides.
func (p *parser) criterion(t *model.Test, w word) error {
	s := &exprScanner{w: w}
	e := &model.Expr{Pos: w.Pos, Text: w.Text}
	call, err := s.fetch(checkCriterion)
	if err != nil {
		return err
	}
	keyword := call.Name
	fetch, match, _ := rule.LookupACL(keyword)
	call.Name = fetch
	e.Fetch = call
	if err := s.converters(e); err != nil {
		return err
	}
	if len(e.Convs) == 0 {
		t.Method = match
	}
	t.Expr = e
	return nil
}

func checkCriterion(name string, pos model.Pos) error {
	if spec, ok := rule.LookupFetch(name); ok && spec.Refused != "" {
		return notYet("fetch method", name, pos)
	}
	if _, _, ok := rule.LookupACL(name); ok {
		return nil
	}
	return unknownName("fetch method", name, pos, laterFetches, append(rule.Fetches(), rule.ACLKeywords()...))
}

// aclFlags reads the flags between a criterion and its patterns. A test ends
// and the next begins where -i changes what follows.
type aclFlags struct {
	p     *parser
	done  []*model.Test
	ended bool // by --, or nothing more is wanted
}

func (f *aclFlags) current() *model.Test { return f.done[len(f.done)-1] }

// read handles the flags and gives the words that follow them.
func (f *aclFlags) read(words []word) ([]word, error) {
	for len(words) > 0 && strings.HasPrefix(words[0].Text, "-") {
		flag := words[0]
		words = words[1:]
		if flag.Text == "--" {
			f.ended = true
			return words, nil
		}
		taken, err := f.flag(flag, words)
		if err != nil {
			return nil, err
		}
		words = words[taken:]
	}
	return words, nil
}

// flag handles one flag and says how many of the words after it belong to it.
func (f *aclFlags) flag(flag word, rest []word) (int, error) {
	t := f.current()
	needs := map[string]string{"-f": "the name of a file", "-m": "a matching method", "-u": "a number"}[flag.Text]
	if needs != "" && len(rest) == 0 {
		return 0, wrong(after(flag), "write "+needs+" after it", "'%s' expects %s", flag.Text, needs)
	}
	switch flag.Text {
	case "-i":
		f.ignoreCase()
		return 0, nil
	case "-n":
		t.NoDNS = true
		return 0, nil
	case "-M":
		t.MapFile = true
		return 0, nil
	case "-u":
		if n, err := strconv.Atoi(rest[0].Text); err != nil || n < 0 {
			return 0, wrong(rest[0].Pos, "write a number that no other acl has", "the argument of -u must be an integer")
		}
		t.UniqueID = rest[0].Text
	case "-f":
		t.Files = append(t.Files, model.Pattern{Pos: rest[0].Pos, Text: f.p.path(rest[0].Text)})
	case "-m":
		return 1, f.method(flag, rest[0])
	default:
		return 0, wrong(flag.Pos, closestFlag(flag.Text),
			"'%s' is not a valid ACL option. Please use '--' before any pattern beginning with a '-'", flag.Text)
	}
	return 1, nil
}

func closestFlag(flag string) string {
	if len(flag) > 1 && isDigit(flag[1]) {
		return "write: -- " + flag
	}
	return "the flags are -i, -f FILE, -m METHOD, -n, -u ID, -M and --"
}

// ignoreCase starts a new test if patterns have been read already: they keep
// their case.
func (f *aclFlags) ignoreCase() {
	t := f.current()
	if len(t.Files) == 0 {
		t.IgnoreCase = true
		return
	}
	if t.IgnoreCase {
		return
	}
	next := *t
	next.Files, next.IgnoreCase = nil, true
	f.done = append(f.done, &next)
}

var aclMethods = []string{"found", "bool", "int", "ip", "bin", "len", "str", "sub", "reg", "beg", "end", "dir", "dom", "meth"}

func (f *aclFlags) method(flag, w word) error {
	t := f.current()
	if len(t.Files) > 0 || len(f.done) > 1 {
		return wrong(flag.Pos, "move '-m "+w.Text+"' before the first -f", "'-m' must only be specified before patterns and files in parsing ACL expression")
	}
	for _, m := range aclMethods {
		if m == w.Text {
			t.Method = m
			return nil
		}
	}
	cure := closest(w.Text, aclMethods)
	if cure == "" {
		cure = "the methods are " + strings.Join(aclMethods[:len(aclMethods)-1], ", ")
	}
	return wrong(w.Pos, cure, "unknown matching method '%s' when parsing ACL expression", w.Text)
}

func (f *aclFlags) patterns(words []word) {
	t := f.current()
	for _, w := range words {
		t.Patterns = append(t.Patterns, model.Pattern{Pos: w.Pos, Text: w.Text})
	}
}

// warnNoPattern warns of a test that compares with nothing.
func (p *parser) warnNoPattern(first, last *model.Test, w word) {
	if len(first.Files) > 0 || len(last.Files) > 0 || first.Method == "found" || first.Method == "bool" {
		return
	}
	if first.Method == "" && outputKind(first.Expr) == rule.KindBool {
		return
	}
	p.warnf(w.Pos, "write patterns after it, '-m found' to test for existence, '-m bool' to take a number as a truth value, or '--' if it shall never match",
		"'%s': no pattern to match against were provided, so this ACL will never match", w.Text)
}

// outputKind is the type that an expression gives.
func outputKind(e *model.Expr) rule.Kind {
	kind := rule.KindNone
	if f, ok := rule.LookupFetch(e.Fetch.Name); ok {
		kind = f.Out
	}
	for _, c := range e.Convs {
		if spec, ok := rule.LookupConverter(c.Name); ok && spec.Out != rule.KindNone {
			kind = spec.Out
		}
	}
	return kind
}
