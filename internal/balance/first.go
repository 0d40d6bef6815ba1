package balance

import "slices"

// first fills the node with the lowest number before the next one gets any
// connection.
type first struct {
	t     *Table
	order []*Node
}

func newFirst(t *Table) *first {
	f := &first{t: t, order: slices.Clone(t.Nodes)}
	slices.SortStableFunc(f.order, func(a, b *Node) int { return a.ID - b.ID })
	return f
}

func (f *first) start() {

}

func (f *first) up(*Node)           {}
func (f *first) down(*Node, int)    {}
func (f *first) reweigh(*Node, int) {}
func (f *first) loaded(*Node)       {}

func (f *first) next(avoid *Node) *Node {
	if n := f.t.sole(); n != nil {
		return n
	}
	var avoided *Node
	for _, n := range f.order {
		if !f.t.InUse(n) || !n.free() {
			continue
		}
		if n != avoid {
			return n
		}
		avoided = n
	}
	return avoided
}
