package balance

// place is where a node stands in a heap.
type place struct {
	key uint32
	seq uint64 // order of insertion: equal keys leave first in, first out
	at  int    // index in the heap, -1: in none
	in  *heap
}

// heap orders nodes by key, equal ones by insertion.
type heap struct {
	nodes []*Node
	seq   uint64
}

func (h *heap) first() *Node {
	if len(h.nodes) == 0 {
		return nil
	}
	return h.nodes[0]
}

func (h *heap) insert(n *Node, key uint32) {
	h.seq++
	n.place = place{key: key, seq: h.seq, at: len(h.nodes), in: h}
	h.nodes = append(h.nodes, n)
	h.rise(n.at)
}

func (h *heap) remove(n *Node) {
	i, last := n.at, len(h.nodes)-1
	if i != last {
		h.swap(i, last)
	}
	h.nodes[last] = nil
	h.nodes = h.nodes[:last]
	if i != last {
		h.rise(i)
		h.sink(i)
	}
	n.at, n.in = -1, nil
}

func less(a, b *Node) bool {
	return a.key < b.key || (a.key == b.key && a.seq < b.seq)
}

func (h *heap) swap(i, j int) {
	h.nodes[i], h.nodes[j] = h.nodes[j], h.nodes[i]
	h.nodes[i].at, h.nodes[j].at = i, j
}

func (h *heap) rise(i int) {
	for i > 0 {
		p := (i - 1) / 2
		if !less(h.nodes[i], h.nodes[p]) {
			return
		}
		h.swap(i, p)
		i = p
	}
}

func (h *heap) sink(i int) {
	for {
		c := 2*i + 1
		if c >= len(h.nodes) {
			return
		}
		if c+1 < len(h.nodes) && less(h.nodes[c+1], h.nodes[c]) {
			c++
		}
		if !less(h.nodes[c], h.nodes[i]) {
			return
		}
		h.swap(i, c)
		i = c
	}
}
