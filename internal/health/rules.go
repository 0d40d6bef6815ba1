package health

import (
	"errors"
	"time"

	"evenkeel/internal/health/checks"
	"evenkeel/internal/model"
	"evenkeel/internal/rule"
)

// RuleEnv lets the formats, expressions and regular expressions of checks be
// those of the rules. What cannot be compiled is in c.Diagnostics, where the
// configuration's other mistakes are.
func RuleEnv(c *rule.Compiler) checks.Env {
	return checks.Env{
		Format: func(f *model.Format) (func(*checks.Facts) []byte, error) {
			before := len(c.Diagnostics)
			compiled := c.Format(f, rule.PhaseCheck)
			if err := newError(c, before); err != nil {
				return nil, err
			}
			return func(x *checks.Facts) []byte { return compiled.Append(nil, checkTx(x)) }, nil
		},
		Expr: func(e *model.Expr) (func(*checks.Facts) []byte, error) {
			before := len(c.Diagnostics)
			compiled := c.Expr(e, rule.PhaseCheck)
			if err := newError(c, before); err != nil {
				return nil, err
			}
			return func(x *checks.Facts) []byte {
				v, ok := compiled.EvalAs(checkTx(x), rule.KindString)
				if !ok {
					return nil
				}
				return v.Bytes
			}, nil
		},
		Regex: func(expr string) (func([]byte) bool, error) {
			r, err := rule.CompileRegex(expr, false)
			if err != nil {
				return nil, err
			}
			return r.Match, nil
		},
	}
}

// newError is the first error that compiling added.
func newError(c *rule.Compiler, before int) error {
	for _, d := range c.Diagnostics[before:] {
		if d.Severity == model.Error {
			return errors.New(d.String())
		}
	}
	return nil
}

// checkTx shows what a check knows as a transaction.
func checkTx(x *checks.Facts) *rule.Tx {
	tx := &rule.Tx{Phase: rule.PhaseCheck, RawRes: x.Payload, ResBody: x.Payload, ResBodyDone: true, RawClosed: true, DelayExpired: true, Now: time.Now()}
	if s := x.Server; s != nil {
		tx.Server = &rule.ServerInfo{Name: s.Name, ID: s.ID, Addr: s.Addr().Addr, TLS: s.Model.TLS != nil}
		tx.Backend = &rule.ProxyInfo{Name: s.Backend.Name, ID: s.Backend.ID, HTTP: s.Backend.Model.Mode == model.ModeHTTP}
		tx.ServerAddr = tx.Server.Addr
	}
	return tx
}
