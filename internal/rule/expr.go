package rule

import (
	"evenkeel/internal/model"
	"strings"
)

// sampler gets one sample; ok is false if there is none. A sampler that can
// give several values keeps its place in tx.cur.
type sampler func(tx *Tx) (v Value, ok bool)

// converter transforms a sample; ok is false if it cannot.
type converter func(tx *Tx, v Value) (Value, bool)

// binding is where a keyword is being compiled.
type binding struct {
	c     *Compiler
	phase Phase
	pos   model.Pos
	// all: the fetch is asked for every value in turn, as conditions do, and
	// not for the one that an expression uses.
	all bool
	// out may be set by a build function whose result type depends on its
	// arguments.
	out Kind
}

// Expr is a compiled sample expression.
type Expr struct {
	fn  sampler
	out Kind
}

// Kind is the type of the result; KindNone if it is known at run time only.
func (e *Expr) Kind() Kind { return e.out }

// Eval gives the value. Its bytes are valid until the next evaluation on tx.
func (e *Expr) Eval(tx *Tx) (Value, bool) {
	tx.scratch = tx.scratch[:0]
	return e.eval(tx)
}

func (e *Expr) eval(tx *Tx) (Value, bool) {
	tx.cur = cursor{}
	return e.fn(tx)
}

// EvalAs is Eval with the result cast to a kind.
func (e *Expr) EvalAs(tx *Tx, k Kind) (Value, bool) {
	v, ok := e.Eval(tx)
	if !ok {
		return v, false
	}
	return cast(tx, v, k)
}

// Missing says that the last evaluation failed for want of bytes that may
// still come.
func (tx *Tx) Missing() bool { return tx.missing }

// Expr compiles a sample expression. It never returns nil: one with errors
// gives no value.
func (c *Compiler) Expr(e *model.Expr, phase Phase) *Expr {
	return c.expr(e, phase, false)
}

func (c *Compiler) expr(e *model.Expr, phase Phase, all bool) *Expr {
	none := &Expr{fn: func(*Tx) (Value, bool) { return Value{}, false }}
	if e == nil {
		return none
	}
	spec, ok := fetchIndex[e.Fetch.Name]
	if !ok {
		c.unknown(e.Fetch.Pos, "sample fetch", e.Fetch.Name, fetchNames())
		return none
	}
	if spec.Refused != "" {
		c.Diagnostics.Errorf(e.Fetch.Pos, "sample fetch '%s' cannot be used: %s", e.Fetch.Name, spec.Refused)
		return none
	}
	if !c.checkArgs(e.Fetch, "sample fetch", spec.Min, spec.Max) {
		return none
	}
	c.ServerAddrs = c.ServerAddrs || strings.HasPrefix(e.Fetch.Name, "bc_")
	if !all && !c.AnyPhase && phase != 0 && spec.Phases&phase == 0 {
		c.Diagnostics.Errorf(e.Fetch.Pos, "sample fetch <%s> may not be reliably used here because it needs '%s' which is not available here",
			e.Fetch.Name, spec.needs())
		return none
	}
	if !all && spec.Needs == "backend" && phase&phaseRequest != 0 && c.Proxy != nil && c.Proxy.Kind&model.KindBackend == 0 {
		c.Diagnostics.Errorf(e.Fetch.Pos, "sample fetch <%s> may not be reliably used here because it needs 'backend' which is not available here", e.Fetch.Name)
		return none
	}
	b := &binding{c: c, phase: phase, pos: e.Fetch.Pos, all: all, out: spec.Out}
	fn, err := spec.build(b, e.Fetch.Args)
	if err != nil {
		c.Diagnostics.Errorf(e.Fetch.Pos, "sample fetch '%s': %v", e.Fetch.Name, err)
		return none
	}
	out := b.out
	for _, call := range e.Convs {
		if fn, out, ok = c.convert(fn, out, call, phase); !ok {
			return none
		}
	}
	return &Expr{fn: fn, out: out}
}

// convert appends one converter to a chain.
func (c *Compiler) convert(fn sampler, in Kind, call model.Call, phase Phase) (sampler, Kind, bool) {
	spec, ok := converterIndex[call.Name]
	if !ok {
		c.unknown(call.Pos, "converter", call.Name, converterNames())
		return nil, 0, false
	}
	if spec.Refused != "" {
		c.Diagnostics.Errorf(call.Pos, "converter '%s' cannot be used: %s", call.Name, spec.Refused)
		return nil, 0, false
	}
	if !c.checkArgs(call, "converter", spec.Min, spec.Max) {
		return nil, 0, false
	}
	if !castable(in, spec.In) {
		c.Diagnostics.Errorf(call.Pos, "converter '%s' cannot be applied: it takes a %s, and what stands before it gives a %s",
			call.Name, spec.In, in)
		return nil, 0, false
	}
	out := spec.Out
	if out == KindNone {
		if out = spec.In; out == KindNone {
			out = in
		}
	}
	b := &binding{c: c, phase: phase, pos: call.Pos, out: out}
	conv, err := spec.build(b, call.Args)
	if err != nil {
		c.Diagnostics.Errorf(call.Pos, "converter '%s': %v", call.Name, err)
		return nil, 0, false
	}
	prev := castTo(fn, in, spec.In)
	return func(tx *Tx) (Value, bool) {
		v, ok := prev(tx)
		if !ok {
			return v, false
		}
		return conv(tx, v)
	}, b.out, true
}

// castTo makes the samples of fn have a kind.
func castTo(fn sampler, from, to Kind) sampler {
	if to == KindNone || from == to {
		return fn
	}
	return func(tx *Tx) (Value, bool) {
		v, ok := fn(tx)
		if !ok || v.Kind == to {
			return v, ok
		}
		return cast(tx, v, to)
	}
}

func (c *Compiler) checkArgs(call model.Call, what string, lo, hi int) bool {
	n := len(call.Args)
	switch {
	case n < lo:
		c.Diagnostics.Errorf(call.Pos, "%s '%s' needs at least %d argument%s, found %d", what, call.Name, lo, plural(lo), n)
	case hi >= 0 && n > hi:
		if hi == 0 {
			if n == 1 && call.Args[0] == "" {
				return true
			}
			c.Diagnostics.Errorf(call.Pos, "%s '%s' takes no argument", what, call.Name)
			return false
		}
		c.Diagnostics.Errorf(call.Pos, "%s '%s' takes at most %d argument%s, found %d", what, call.Name, hi, plural(hi), n)
	default:
		return true
	}
	return false
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

// unknown reports a keyword that is in no table, with the nearest that is.
func (c *Compiler) unknown(pos model.Pos, what, name string, known []string) {
	d := model.Diagnostic{Pos: pos, Severity: model.Error, Message: "unknown " + what + " '" + name + "'"}
	if near := Nearest(name, known); near != "" {
		d.Cure = "did you mean '" + near + "'?"
	}
	c.Diagnostics = append(c.Diagnostics, d)
}

// Nearest finds the word that differs least from name, "" if none is near.
func Nearest(name string, known []string) string {
	best, limit := "", 1+len(name)/3
	for _, k := range known {
		if d := distance(name, k, limit); d < limit || d == limit && best == "" && d > 0 {
			best, limit = k, d
		}
	}
	return best
}

// distance is the edit distance, or more than limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diag
			if a[i-1] != b[j-1] {
				cost = 1 + min(diag, row[j], row[j-1])
			}
			diag, row[j] = row[j], cost
		}
	}
	return row[len(b)]
}

func fetchNames() []string {
	var n []string
	for _, k := range Fetches() {
		n = append(n, k.Name)
	}
	for _, k := range ACLKeywords() {
		n = append(n, k.Name)
	}
	return n
}

func converterNames() []string {
	var n []string
	for _, k := range Converters() {
		n = append(n, k.Name)
	}
	return n
}

func (s *FetchSpec) needs() string {
	if s.Needs != "" {
		return s.Needs
	}
	return "another phase"
}
