package haproxy

import "evenkeel/internal/model"

// condStack is the open `.if` blocks.
type condStack struct{ levels []condLevel }

type condLevel struct {
	pos     model.Pos
	taken   bool // a branch of this block has been read
	reading bool // the current branch is read
	outer   bool // the enclosing block is read
	elseAt  bool // .else has been seen
}

func (c *condStack) skipping() bool {
	n := len(c.levels)
	return n > 0 && !c.levels[n-1].reading
}

func (p *parser) directive(words []word) (handled, goOn bool) { return false, true }
