package keepalived

import (
	"strings"

	"evenkeel/internal/model"
)

// node is one statement, with its block if it has one.
type node struct {
	words []word
	line  sourceLine // from the statement's first word on

	block  bool
	open   model.Pos // of the brace
	close  model.Pos // zero: never closed
	body   []*node
	parent *node
}

// pos is where word i stands; one past the last is allowed.
func (n *node) pos(i int) model.Pos {
	switch {
	case i < len(n.words):
		return model.Pos{File: n.line.file, Line: n.line.line, Col: n.words[i].Col}
	case len(n.words) > 0:
		last := n.words[len(n.words)-1]
		return n.line.pos(min(len(n.line.s), last.off+len(last.Text)))
	}
	return n.open
}

// name is the keyword.
func (n *node) name() string {
	if len(n.words) == 0 {
		return ""
	}
	return n.words[0].Text
}

// arg is word i, or "".
func (n *node) arg(i int) string {
	if i >= len(n.words) {
		return ""
	}
	return n.words[i].Text
}

// title is a statement as messages call it: keyword and name, which is enough
// to find it, and never a password.
func (n *node) title() string {
	if len(n.words) == 0 {
		return "a nameless block"
	}
	s := n.name()
	if len(n.words) > 1 && !strings.HasPrefix(s, "auth") {
		s += " " + n.words[1].Text
	}
	return "'" + s + "'"
}

// maxDepth is how deep blocks may be nested: the deepest that means something
// is four.
const maxDepth = 64

// tree puts statements into blocks.
type tree struct {
	p    *parser
	root node
	at   *node // the block that lines go to
	// last is the statement before, if a brace on a line of its own belongs
	// to it.
	last  *node
	depth int
	// extra are the braces that close nothing.
	extra []model.Pos
}

func newTree(p *parser) *tree {
	t := &tree{p: p}
	t.at = &t.root
	return t
}

// add takes the words and braces of one line.
func (t *tree) add(l sourceLine, list []token) {
	var words []word
	flush := func() *node {
		if len(words) == 0 {
			return nil
		}
		off := words[0].off
		n := &node{words: words, line: l.with(l.from(off)), parent: t.at}
		for i := range n.words {
			n.words[i].off -= off
		}
		if limit := t.limit(); len(t.at.body) >= limit {
			t.p.source.stop(n.pos(0), "split it", "%s has more than %d lines", t.where(), limit)
			return nil
		}
		t.at.body = append(t.at.body, n)
		words = nil
		return n
	}
	for _, k := range list {
		switch k.kind {
		case 'w':
			words = append(words, k.word)
		case '{':
			n := flush()
			if n == nil {
				n = t.last
			}
			t.openBlock(n, l, k)
		case '}':
			flush()
			t.closeBlock(l.pos(k.off))
		}
		if k.kind != 'w' {
			t.last = nil
		}
	}
	if n := flush(); n != nil {
		t.last = n
	}
}

// Bounds on what one block, and the file itself, may hold: names and addresses
// are compared with each other.
const (
	maxBlocks     = 10_000
	maxBlockLines = 5_000
)

func (t *tree) limit() int {
	if t.at == &t.root {
		return maxBlocks
	}
	return maxBlockLines
}

func (t *tree) where() string {
	if t.at == &t.root {
		return "the outermost level"
	}
	return t.at.title()
}

func (t *tree) openBlock(n *node, l sourceLine, k token) {
	pos := l.pos(k.off)
	if n == nil {
		t.p.errorf(pos, "write the block's keyword before it, or take the brace out", "a '{' that belongs to no keyword")
		n = &node{line: l.with(l.from(k.off)), parent: t.at}
		t.at.body = append(t.at.body, n)
	}
	n.block, n.open = true, pos
	t.depth++
	if t.depth > maxDepth {
		t.p.source.stop(pos, "close the blocks that should be closed", "blocks are nested more than %d deep", maxDepth)
		return
	}
	t.at = n
}

func (t *tree) closeBlock(pos model.Pos) {
	if t.at == &t.root {
		t.extra = append(t.extra, pos)
		return
	}
	t.at.close = pos
	t.at = t.at.parent
	t.depth--
}

// finish judges the braces once everything is read. A block that belongs to
// the outermost level and stands inside another one tells where a '}' is
// missing; with as many closing braces as opening ones it is just in the wrong
// place, which the keyword table finds.
func (t *tree) finish() {
	for _, pos := range t.extra {
		t.p.errorf(pos, "take it out, or look for a '{' that is missing above", "a '}' that closes nothing")
	}
	if t.at == &t.root {
		return
	}
	open := t.at
	if n := t.misplaced(&t.root); n != nil && len(t.extra) == 0 {
		t.p.errorf(n.pos(0), "write a '}' before this line",
			"%s begins inside %s, whose block began at line %d and is not closed", n.title(), n.parent.title(), n.parent.open.Line)
		t.lift()
		return
	}
	for ; open != &t.root; open = open.parent {
		t.p.errorf(open.open, "write a '}' where it ends", "the block of %s begins here and is never closed", open.title())
	}
}

// misplaced finds the first block in an unclosed one that can only stand at
// the outermost level.
func (t *tree) misplaced(in *node) *node {
	for _, n := range in.body {
		if in != &t.root && in.close.IsZero() && n.block && t.outermost(n) {
			return n
		}
		if n.block && n.close.IsZero() {
			if x := t.misplaced(n); x != nil {
				return x
			}
		}
	}
	return nil
}

func (t *tree) outermost(n *node) bool {
	k := table().find(n.name(), placeTop)
	return k != nil && k.Block && table().places(n.name()) == placeTop
}

// lift takes the blocks that stand in unclosed ones to the outermost level, so
// that their own mistakes are reported too.
func (t *tree) lift() {
	for i := 0; i < len(t.root.body); i++ {
		n := t.root.body[i]
		if !n.close.IsZero() || !n.block {
			continue
		}
		t.liftFrom(n)
	}
}

func (t *tree) liftFrom(n *node) {
	for i, child := range n.body {
		if child.block && t.outermost(child) {
			moved := n.body[i:]
			n.body = n.body[:i:i]
			t.root.body = append(t.root.body, moved...)
			return
		}
		if child.block && child.close.IsZero() {
			t.liftFrom(child)
		}
	}
}
