package haproxy

import (
	"sort"
	"strings"

	"evenkeel/internal/model"
	"evenkeel/internal/rule"
)

// isCondition says whether a word opens a condition.
func isCondition(w word) bool { return w.Text == "if" || w.Text == "unless" }

// parseCond reads `if …` or `unless …`, to the end of the line. No words at
// all are no condition: nil.
func parseCond(p *parser, words []word) (model.Cond, error) {
	if len(words) == 0 {
		return nil, nil
	}
	if !isCondition(words[0]) {
		return nil, wrong(words[0].Pos, closest(words[0].Text, []string{"if", "unless"}),
			"expects either 'if' or 'unless' followed by a condition but found '%s'", words[0].Text)
	}
	r := &condReader{p: p, words: words[1:]}
	if err := r.read(); err != nil {
		return nil, err
	}
	if len(r.or) == 0 {
		p.warnf(words[0].Pos, "write the names of acls after it, or '{ CRITERION PATTERNS }'", "the condition is empty: '%s' alone never matches", words[0].Text)
	}
	var c model.Cond = r.or
	if len(r.or) == 1 {
		c = r.or[0]
	}
	if words[0].Text == "unless" {
		c = model.Not{Cond: c}
	}
	return c, nil
}

// condReader reads terms: [!]acl, [!]{ test }, parted by nothing (and) or by
// "or" or "||".
type condReader struct {
	p     *parser
	words []word
	or    model.Or
	uses  []pendingUse
}

// pendingUse is a named acl in the term that is being collected: its place is
// known once the term's slice is final.
type pendingUse struct {
	acl    *namedACL
	index  int
	negate bool
}

func (r *condReader) read() error {
	var and model.And
	negate := false
	for len(r.words) > 0 {
		w := r.words[0]
		for len(w.Text) > 0 && w.Text[0] == '!' {
			negate = !negate
			w = w.from(1)
		}
		r.words = r.words[1:]
		switch {
		case w.Text == "":
			continue
		case w.Text == "or" || w.Text == "||":
			r.endTerm(and)
			and, negate = nil, false
			continue
		}
		c, err := r.term(w, len(and), negate)
		if err != nil {
			return err
		}
		and, negate = append(and, c), false
	}
	r.endTerm(and)
	return nil
}

// endTerm closes a conjunction. Empty ones are ignored.
func (r *condReader) endTerm(and model.And) {
	if len(and) == 0 {
		return
	}
	for _, u := range r.uses {
		use := aclUse{&and[u.index], u.negate}
		use.fill(u.acl.Tests)
		u.acl.Used = true
		u.acl.uses = append(u.acl.uses, use)
	}
	r.uses = nil
	r.or = append(r.or, and)
}

// term reads one acl, named or between braces.
func (r *condReader) term(w word, index int, negate bool) (model.Cond, error) {
	not := func(c model.Cond) model.Cond {
		if negate {
			return model.Not{Cond: c}
		}
		return c
	}
	if w.Text == "{" {
		c, err := r.anonymous(w)
		return not(c), err
	}
	if a := r.p.state.acls[w.Text]; a != nil {
		r.uses = append(r.uses, pendingUse{a, index, negate})
		return nil, nil
	}
	if t, ok := rule.PredefinedACL(w.Text, w.Pos); ok {
		return not(t), nil
	}
	return nil, r.unknown(w)
}

// anonymous reads `{ CRITERION … }`; the opening brace is gone.
func (r *condReader) anonymous(open word) (model.Cond, error) {
	for i, w := range r.words {
		if w.Text != "}" {
			continue
		}
		tests, err := r.p.test(r.words[:i], "", open.Pos)
		r.words = r.words[i+1:]
		if err != nil {
			return nil, err
		}
		if len(tests) == 1 {
			return tests[0], nil
		}
		or := make(model.Or, len(tests))
		for i, t := range tests {
			or[i] = t
		}
		return or, nil
	}
	return nil, wrong(open.Pos, "write ' }' where the test ends, with a space before it", "missing closing '}' in condition")
}

// unknown reports a name that no acl has.
func (r *condReader) unknown(w word) error {
	cure := ""
	switch low := strings.ToLower(w.Text); {
	case w.Text[0] == '{' || strings.HasSuffix(w.Text, "}"):
		cure = "braces stand alone, with a space before and after each: { CRITERION PATTERNS }"
	case low == "and" || w.Text == "&&":
		cure = "take it out: tests that follow each other must all match"
	case low == "not":
		cure = "write ! before the name"
	default:
		var names []string
		for n := range r.p.state.acls {
			names = append(names, n)
		}
		sort.Strings(names)
		names = append(names, predefinedNames()...)
		if cure = closest(w.Text, names); cure == "" {
			cure = "declare it on a line above: acl " + w.Text + " CRITERION PATTERNS"
		}
	}
	return wrong(w.Pos, cure, "no such ACL : '%s'", w.Text)
}
