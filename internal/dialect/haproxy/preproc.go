package haproxy

import (
	"strings"

	"evenkeel/internal/model"
)

// maxCondDepth is how deep `.if` blocks may be nested, as in HAProxy.
const maxCondDepth = 16

// condStack is the open `.if` blocks.
type condStack struct{ levels []condLevel }

type condLevel struct {
	pos     model.Pos
	outer   bool // the enclosing block is read
	taken   bool // a branch of this block was or is read
	reading bool // the current branch is read
	elsed   bool // .else has been seen
}

func (c *condStack) skipping() bool {
	n := len(c.levels)
	return n > 0 && !c.levels[n-1].reading
}

// directive reads a line that starts with a dot. A broken block ends the
// reading of the file: what follows could belong to either branch.
func (p *parser) directive(words []word) (handled, goOn bool) {
	name, args := words[0].Text, words[1:]
	switch name {
	case ".if":
		return true, p.directiveIf(words[0], args)
	case ".elif":
		return true, p.directiveElif(words[0], args)
	case ".else", ".endif":
		if len(args) > 0 {
			p.errorf(args[0].Pos, "put a comment behind '#'", "unexpected argument '%s' for '%s'", args[0].Text, name)
			return true, false
		}
		if name == ".else" {
			return true, p.directiveElse(words[0])
		}
		n := len(p.conds.levels)
		if n == 0 {
			p.errorf(words[0].Pos, "take it out, or write the '.if' that it ends", "lone '.endif' with no matching '.if'")
			return true, false
		}
		p.conds.levels = p.conds.levels[:n-1]
		return true, true
	case ".notice", ".warning", ".alert", ".diag":
		return true, p.directiveMessage(words)
	}
	return false, true
}

func (p *parser) directiveIf(at word, args []word) bool {
	if len(p.conds.levels) >= maxCondDepth {
		p.errorf(at.Pos, "", "too many nested '.if', max is %d", maxCondDepth)
		return false
	}
	level := condLevel{pos: at.Pos, outer: !p.conds.skipping()}
	if level.outer {
		ok, good := p.evalCondition(".if", at, args)
		if !good {
			return false
		}
		level.taken, level.reading = ok, ok
	}
	p.conds.levels = append(p.conds.levels, level)
	return true
}

func (p *parser) directiveElif(at word, args []word) bool {
	level := p.openLevel(at)
	if level == nil {
		return false
	}
	if !level.outer || level.taken {
		level.reading = false
		return true
	}
	ok, good := p.evalCondition(".elif", at, args)
	if !good {
		return false
	}
	level.taken, level.reading = ok, ok
	return true
}

func (p *parser) directiveElse(at word) bool {
	level := p.openLevel(at)
	if level == nil {
		return false
	}
	level.reading = level.outer && !level.taken
	level.taken, level.elsed = true, true
	return true
}

// openLevel is the block that .elif and .else go on with.
func (p *parser) openLevel(at word) *condLevel {
	n := len(p.conds.levels)
	if n == 0 {
		p.errorf(at.Pos, "take it out, or write the '.if' that it goes with", "lone '%s' with no matching '.if'", at.Text)
		return nil
	}
	level := &p.conds.levels[n-1]
	if level.elsed {
		p.errorf(at.Pos, "end the block with '.endif' first", "'%s' after '.else' is not permitted", at.Text)
		return nil
	}
	return level
}

// evalCondition judges the words after .if or .elif. They are put back into
// one text first, so quotes have been taken off and variables filled in.
func (p *parser) evalCondition(name string, at word, args []word) (result, ok bool) {
	if len(args) == 0 {
		return false, true
	}
	result, err := evalCondition(join(args), p.env.get)
	if err == nil {
		return result, true
	}
	w := args[0]
	off := err.off
	for len(args) > 1 && off > len(args[0].Text) {
		off -= len(args[0].Text) + 1
		args = args[1:]
		w = args[0]
	}
	p.errorf(w.at(off), err.cure, "%s in '%s'", err.reason, name)
	return false, false
}

func (p *parser) directiveMessage(words []word) bool {
	if p.conds.skipping() {
		return true
	}
	name := words[0].Text
	if len(words) > 2 {
		p.errorf(words[2].Pos, "put the message in quotes", "unexpected argument '%s' for '%s', use quotes if the message should contain spaces", words[2].Text, name)
		return false
	}
	d := model.Diagnostic{Pos: words[0].Pos, Severity: model.Notice, Message: "'" + join(words[1:]) + "'"}
	switch name {
	case ".warning":
		d.Severity = model.Warning
	case ".alert":
		d.Severity = model.Error
	case ".diag":
		if !p.opt.Diag {
			return true
		}
	}
	p.diags = append(p.diags, d)
	return name != ".alert"
}

// EvalCondition judges one condition, as `haproxy -cc` does, with the
// process's environment.
func EvalCondition(text string) (bool, error) {
	ok, err := evalCondition(strings.TrimSpace(text), Options{}.WithDefaults().Env)
	if err != nil {
		return false, model.Diagnostic{
			Pos:      model.Pos{File: "condition", Line: 1, Col: err.off + 1},
			Severity: model.Error, Message: err.reason, Cure: err.cure,
		}
	}
	return ok, nil
}
