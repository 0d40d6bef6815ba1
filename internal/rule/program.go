package rule

import (
	"evenkeel/internal/model"
)

// Verdict is how a block of rules ended.
type Verdict uint8

const (
	Next       Verdict = iota // the end of the block was reached
	Stop                      // allow, accept
	Deny                      // Tx.Reply holds the answer
	Return                    // Tx.Reply holds the answer: return, redirect, auth
	Tarpit                    // Tx.Reply, after the tarpit timeout
	Reject                    // close
	SilentDrop                // close without telling the client
	Wait                      // more data is needed: call Run again
)

var verdictNames = [...]string{"next", "stop", "deny", "return", "tarpit", "reject", "silent-drop", "wait"}

func (v Verdict) String() string { return verdictNames[v] }

// truth is a condition's result. And is &, or is |.
type truth uint8

const (
	no    truth = 0
	maybe truth = 1 // input is missing that may still come
	yes   truth = 3
)

type condition func(tx *Tx) truth

type action func(tx *Tx) Verdict

// op is one step of a program: test, act, go on.
type op struct {
	cond condition // nil: true
	run  action    // nil: nothing
	skip int       // where to go if cond is false
	next int       // where to go after run
	rule *RuleInfo
}

// Program is one compiled block of rules.
type Program struct {
	ops []op
}

// Len is the number of steps: 0 means that there is nothing to run.
func (p *Program) Len() int {
	if p == nil {
		return 0
	}
	return len(p.ops)
}

// Run executes the block. After Wait, the next Run of the same program on tx
// goes on where it stopped.
func (p *Program) Run(tx *Tx) Verdict {
	if p == nil {
		return Next
	}
	pc := 0
	if tx.resume == p {
		pc, tx.resume = tx.resumePC, nil
	}
	for pc < len(p.ops) {
		o := &p.ops[pc]
		if o.cond != nil {
			switch t := o.cond(tx); {
			case t == yes:
			case t == maybe && !tx.final():
				tx.resume, tx.resumePC = p, pc
				return Wait
			default:
				pc = o.skip
				continue
			}
		}
		if o.run != nil {
			tx.scratch = tx.scratch[:0]
			if v := o.run(tx); v != Next {
				if v == Wait {
					tx.resume, tx.resumePC = p, pc
				} else {
					tx.LastRule = o.rule
				}
				return v
			}
		}
		pc = o.next
	}
	return Next
}

// Block compiles rules for one phase.
func (c *Compiler) Block(rules []model.Rule, phase Phase) *Program {
	p := &Program{}
	c.block(p, rules, phase)
	return p
}

func (c *Compiler) block(p *Program, rules []model.Rule, phase Phase) {
	for i := range rules {
		c.rule(p, &rules[i], phase)
	}
}

func (c *Compiler) rule(p *Program, r *model.Rule, phase Phase) {
	var cond condition
	switch t := constOf(r.Cond); {
	case t == yes:
	case t == no && r.Else == nil:
		// Compiled for its diagnostics, then left out.
		c.block(&Program{}, r.Then, phase)
		if r.Action != nil {
			c.action(r, phase)
		}
		return
	default:
		cond = c.cond(r.Cond, phase)
	}
	info := &RuleInfo{File: r.Pos.File, Line: r.Pos.Line}
	if r.Action != nil {
		run := c.action(r, phase)
		if run == nil {
			return
		}
		n := len(p.ops) + 1
		p.ops = append(p.ops, op{cond: cond, run: run, skip: n, next: n, rule: info})
		return
	}
	// if: test -> then… -> jump over else -> else…
	test := len(p.ops)
	p.ops = append(p.ops, op{cond: cond, next: test + 1, rule: info})
	c.block(p, r.Then, phase)
	if r.Else == nil {
		p.ops[test].skip = len(p.ops)
		return
	}
	jump := len(p.ops)
	p.ops = append(p.ops, op{rule: info})
	p.ops[test].skip = len(p.ops)
	c.block(p, r.Else, phase)
	p.ops[jump].next = len(p.ops)
}
