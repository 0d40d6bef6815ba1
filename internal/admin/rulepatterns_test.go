package admin

import (
	"errors"
	"testing"

	"evenkeel/internal/model"
	"evenkeel/internal/rule"
)

// The commands must work on the lists that compiled rules match against.
func TestRulePatterns(t *testing.T) {
	c := rule.NewCompiler(&model.Config{})
	c.Files = func(name string) ([]byte, error) {
		if name != "/a.acl" {
			return nil, errors.New("no such file")
		}
		return []byte("/x\n/y\n"), nil
	}
	cond := c.Cond(&model.Test{Method: "str", Expr: &model.Expr{Fetch: model.Call{Name: "str", Args: []string{"/z"}}},
		Files: []model.Pattern{{Text: "/a.acl"}}}, rule.PhaseHTTPRequest)
	if cond == nil || c.Diagnostics.HasErrors() {
		t.Fatal(c.Diagnostics)
	}
	p := RulePatterns(c.Patterns)
	id := -1
	for _, s := range p.Sets() {
		if s.File == "/a.acl" {
			id = s.ID
			if s.Entries != 2 || !s.ACL {
				t.Errorf("%+v", s)
			}
		}
	}
	if id < 0 {
		t.Fatalf("the file is not listed: %+v", p.Sets())
	}
	var tx rule.Tx
	matches := func() bool { return cond(&tx) }
	list := func(v uint32) (s string) {
		p.Entries(id, v, func(e PatternEntry) bool { s += e.Key + " "; return true })
		return s
	}
	if matches() || list(0) != "/x /y " {
		t.Errorf("at first: %t %q", matches(), list(0))
	}
	p.Add(id, 0, "/z", "")
	if !matches() || list(0) != "/x /y /z " {
		t.Errorf("after add: %t %q", matches(), list(0))
	}
	if n := p.Delete(id, PatternSelector{Key: "/z"}); n != 1 || matches() {
		t.Errorf("after del: %d %t", n, matches())
	}
	var ref uint64
	p.Entries(id, 0, func(e PatternEntry) bool { ref = e.Ref; return false })
	if n := p.Delete(id, PatternSelector{Ref: ref, ByRef: true}); n != 1 || list(0) != "/y " {
		t.Errorf("after del by reference: %d %q", n, list(0))
	}
	v := p.Prepare(id)
	p.Add(id, v, "/z", "")
	if matches() || list(v) != "/z " || list(0) != "/y " {
		t.Errorf("prepared: %t %q %q", matches(), list(v), list(0))
	}
	p.Commit(id, v)
	if !matches() || list(v) != "/z " || list(0) != "" {
		t.Errorf("committed: %t %q %q", matches(), list(v), list(0))
	}
	if m := p.Match(id, "/z"); len(m) != 1 || !m[0].Found {
		t.Errorf("%+v", m)
	}
	p.Clear(id, v)
	if matches() || list(v) != "" {
		t.Errorf("cleared: %t %q", matches(), list(v))
	}
}
