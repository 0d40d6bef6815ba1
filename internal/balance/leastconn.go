package balance

// leastConn takes the node with the fewest connections for its weight. Nodes
// that are equal take turns, because a node goes behind its equals whenever
// its load changes.
type leastConn struct {
	t        *Table
	act, bck heap
}

func (l *leastConn) heap(n *Node) *heap {
	if n.Backup {
		return &l.bck
	}
	return &l.act
}

func (l *leastConn) key(n *Node) uint32 {
	load := n.Served + n.Pending
	if load == 0 {
		return 0
	}
	return uint32((load + 1) * MaxWeight * Scale / n.weight)
}

func (l *leastConn) start() {
	for _, n := range l.t.Nodes {
		if n.weight > 0 {
			l.up(n)
		}
	}
}

func (l *leastConn) up(n *Node)               { l.heap(n).insert(n, l.key(n)) }
func (l *leastConn) down(n *Node, _ int)      { l.heap(n).remove(n) }
func (l *leastConn) reweigh(n *Node, old int) { l.down(n, old); l.up(n) }

func (l *leastConn) loaded(n *Node) {
	if n.in == nil || n.key == l.key(n) {
		return
	}
	l.down(n, 0)
	l.up(n)
}

func (l *leastConn) next(avoid *Node) *Node {
	if n := l.t.sole(); n != nil {
		return n
	}
	h := &l.act
	if l.t.active == 0 {
		h = &l.bck
	}
	if n := h.first(); n != avoid && n.free() {
		return n
	}
	// The best one is full or failed: look for the best of the rest.
	var best *Node
	for _, n := range h.nodes {
		if n != avoid && n.free() && (best == nil || less(n, best)) {
			best = n
		}
	}
	if best == nil && avoid != nil && avoid.in == h && avoid.free() {
		best = avoid
	}
	return best
}
