package rule

import (
	"errors"
	"fmt"
	"strconv"

	"evenkeel/internal/model"
)

// Cond compiles a condition; nil is always true.
func (c *Compiler) Cond(cond model.Cond, phase Phase) Cond {
	switch constOf(cond) {
	case yes:
		return func(*Tx) bool { return true }
	case no:
		return func(*Tx) bool { return false }
	}
	fn := c.cond(cond, phase)
	return func(tx *Tx) bool { return fn(tx) == yes }
}

// constOf gives yes or no for a condition that is known now, else maybe.
func constOf(cond model.Cond) truth {
	switch t := cond.(type) {
	case nil:
		return yes
	case model.Const:
		if t {
			return yes
		}
		return no
	case model.Not:
		return negate(constOf(t.Cond))
	case *model.Not:
		return negate(constOf(t.Cond))
	case model.And:
		r := yes
		for _, x := range t {
			r &= constOf(x)
		}
		return r
	case model.Or:
		r := no
		for _, x := range t {
			r |= constOf(x)
		}
		return r
	case *model.Test:
		if t.Expr != nil && len(t.Expr.Convs) == 0 && (t.Method == "" || t.Method == "bool") {
			switch t.Expr.Fetch.Name {
			case "always_true":
				return yes
			case "always_false":
				return no
			}
		}
	}
	return maybe
}

func negate(t truth) truth {
	switch t {
	case yes:
		return no
	case no:
		return yes
	}
	return maybe
}

func (c *Compiler) cond(cond model.Cond, phase Phase) condition {
	switch t := constOf(cond); t {
	case yes, no:
		return func(*Tx) truth { return t }
	}
	switch t := cond.(type) {
	case model.And:
		return c.all(t, phase)
	case model.Or:
		return c.any(t, phase)
	case model.Not:
		return c.not(t.Cond, phase)
	case *model.Not:
		return c.not(t.Cond, phase)
	case *model.Test:
		return c.test(t, phase)
	}
	c.Diagnostics.Errorf(model.Pos{}, "condition of an unknown type %T", cond)
	return func(*Tx) truth { return no }
}

func (c *Compiler) not(x model.Cond, phase Phase) condition {
	fn := c.cond(x, phase)
	return func(tx *Tx) truth { return negate(fn(tx)) }
}

func (c *Compiler) all(terms []model.Cond, phase Phase) condition {
	var fns []condition
	for _, x := range terms {
		if constOf(x) != yes {
			fns = append(fns, c.cond(x, phase))
		}
	}
	switch len(fns) {
	case 1:
		return fns[0]
	case 2:
		a, b := fns[0], fns[1]
		return func(tx *Tx) truth {
			r := a(tx)
			if r == no {
				return no
			}
			return r & b(tx)
		}
	}
	return func(tx *Tx) truth {
		r := yes
		for _, f := range fns {
			if r &= f(tx); r == no {
				return no
			}
		}
		return r
	}
}

func (c *Compiler) any(terms []model.Cond, phase Phase) condition {
	var fns []condition
	for _, x := range terms {
		if constOf(x) != no {
			fns = append(fns, c.cond(x, phase))
		}
	}
	if len(fns) == 1 {
		return fns[0]
	}
	return func(tx *Tx) truth {
		r := no
		for _, f := range fns {
			if r |= f(tx); r == yes {
				return yes
			}
		}
		return r
	}
}

// phaseNames are HAProxy's words for where a rule stands.
var phaseNames = map[Phase]string{
	PhaseTCPConnection: "tcp-request connection rule", PhaseTCPSession: "tcp-request session rule",
	PhaseTCPContent: "tcp-request content rule", PhaseHTTPRequest: "http-request header rule",
	PhaseTCPResponse: "tcp-response content rule", PhaseHTTPResponse: "http-response header rule",
	PhaseHTTPAfterResponse: "http-after-response header rule", PhaseLog: "log statement", PhaseCheck: "check rule",
}

// test compiles one line of an acl.
func (c *Compiler) test(t *model.Test, phase Phase) condition {
	never := func(*Tx) truth { return no }
	if t.Expr == nil {
		return never
	}
	if spec := fetchIndex[t.Expr.Fetch.Name]; spec != nil && phase != 0 && spec.Phases&phase == 0 && !c.AnyPhase {
		what := "anonymous acl will never match because it uses keyword '" + t.Expr.Fetch.Name + "' which is incompatible with '%s'"
		if t.Name != "" {
			what = "acl '" + t.Name + "' will never match because it only involves keywords that are incompatible with '%s'"
		}
		c.Diagnostics.Warnf(t.Pos, what, phaseNames[phase])
	}
	e := c.expr(t.Expr, phase, true)
	method := t.Method
	if method == "" {
		method = defaultMatch(e.out)
	}
	spec := matchIndex[method]
	if spec == nil {
		c.unknown(t.Pos, "matching method", method, matchNames())
		return never
	}
	if !castable(e.out, spec.In) {
		c.Diagnostics.Errorf(t.Pos, "matching method '%s' cannot be used with a sample of type %s", method, e.out)
		return never
	}
	fn := castTo(e.fn, e.out, spec.In)
	if spec.truth != nil {
		return testValue(fn, spec.truth)
	}
	matchers := c.matchers(t, spec)
	switch len(matchers) {
	case 0:
		return never
	case 1:
		if t.Expr.Fetch.Name == "path" && len(t.Expr.Convs) == 0 && spec.In == KindString {
			return testPath(matchers[0])
		}
		return testList(fn, matchers[0])
	}
	return testValue(fn, func(v Value) bool {
		for _, m := range matchers {
			if m.cur.Load().find(v) >= 0 {
				return true
			}
		}
		return false
	})
}

// testValue tries every value that fn has. One that does not match may still
// change, as long as input is missing.
func testValue(fn sampler, match func(v Value) bool) condition {
	return func(tx *Tx) truth {
		tx.cur, tx.missing = cursor{}, false
		for {
			v, ok := fn(tx)
			if !ok {
				break
			}
			if match(v) {
				return yes
			}
			if !tx.cur.more {
				break
			}
		}
		if tx.missing && !tx.final() {
			return maybe
		}
		return no
	}
}

// testPath is testList for the commonest sample of all.
func testPath(m *matcher) condition {
	return func(tx *Tx) truth {
		h := tx.Req
		if h == nil {
			tx.missing = false
			if h = tx.request(); h == nil {
				if tx.missing && !tx.final() {
					return maybe
				}
				return no
			}
		}
		if p := pathOf(h.Target); p != nil && m.cur.Load().find(Value{Kind: KindString, Bytes: p}) >= 0 {
			return yes
		}
		return no
	}
}

func testList(fn sampler, m *matcher) condition {
	return func(tx *Tx) truth {
		tx.cur, tx.missing = cursor{}, false
		for {
			v, ok := fn(tx)
			if !ok {
				break
			}
			if m.cur.Load().find(v) >= 0 {
				return yes
			}
			if !tx.cur.more {
				break
			}
		}
		if tx.missing && !tx.final() {
			return maybe
		}
		return no
	}
}

// matchers compiles the patterns of a test: its inline list and its files.
func (c *Compiler) matchers(t *model.Test, spec *matchSpec) []*matcher {
	var out []*matcher
	opts := matchOptions{ignoreCase: t.IgnoreCase, noDNS: t.NoDNS, c: c}
	if len(t.Patterns) > 0 {
		entries := make([]PatternEntry, len(t.Patterns))
		for i, p := range t.Patterns {
			entries[i] = PatternEntry{ID: i, Key: p.Text}
		}
		id := -1
		if t.UniqueID != "" {
			n, err := strconv.Atoi(t.UniqueID)
			if err != nil || n < 0 {
				c.Diagnostics.Errorf(t.Pos, "the unique id '%s' is not a number", t.UniqueID)
			} else {
				id = n
			}
		}
		ref := c.Patterns.inline(id, fmt.Sprintf("acl '%s' file '%s' line %d", t.Expr.Fetch.Name, t.Pos.File, t.Pos.Line), entries)
		m, err := ref.use(spec, opts)
		if err != nil {
			pos := t.Pos
			var pe *patternError
			if errors.As(err, &pe) && pe.index < len(t.Patterns) && !t.Patterns[pe.index].Pos.IsZero() {
				pos = t.Patterns[pe.index].Pos
			}
			c.Diagnostics.Errorf(pos, "%v", err)
		} else {
			out = append(out, m)
		}
	}
	for _, f := range t.Files {
		if m := c.fileMatcher(f, spec, opts, t.MapFile); m != nil {
			out = append(out, m)
		}
	}
	return out
}

// fileMatcher compiles a pattern file.
func (c *Compiler) fileMatcher(f model.Pattern, spec *matchSpec, opts matchOptions, isMap bool) *matcher {
	ref, err := c.Patterns.file(f.Text, isMap, func() ([]PatternEntry, error) {
		data, err := c.Files(f.Text)
		if err != nil {
			return nil, err
		}
		return parsePatternFile(data, isMap), nil
	})
	if err != nil {
		c.Diagnostics.Errorf(f.Pos, "pattern file <%s> cannot be used: %v", f.Text, err)
		return nil
	}
	c.Patterns.usedAt(ref, f.Pos)
	m, err := ref.use(spec, opts)
	if err != nil {
		var pe *patternError
		where := ""
		if errors.As(err, &pe) && pe.index < len(ref.entries) {
			where = fmt.Sprintf(" (pattern '%s')", ref.entries[pe.index].Key)
		}
		c.Diagnostics.Errorf(f.Pos, "in pattern file <%s>: %v%s", f.Text, err, where)
		return nil
	}
	return m
}
