package balance

import "evenkeel/internal/keyhash"

import "slices"

// ring is the consistent hash: each node has as many points on a circle of
// 32-bit numbers as its effective weight, and a key belongs to the nearest
// point. A change moves only the keys of the nodes that changed.
type ring struct {
	t        *Table
	act, bck circle
}

// point is one place of a node on the circle.
type point struct {
	key  uint32
	node *Node
}

type circle struct {
	points []point // by key, equal ones by arrival
	last   int     // where next left off
	count  []int   // points by node index
	most   []int   // most points ever, by node index
}

func newRing(t *Table) *ring {
	r := &ring{t: t}
	r.act.count = make([]int, len(t.Nodes))
	r.bck.count = make([]int, len(t.Nodes))
	r.act.most = make([]int, len(t.Nodes))
	r.bck.most = make([]int, len(t.Nodes))
	r.act.last, r.bck.last = -1, -1
	return r
}

func (r *ring) circle(n *Node) *circle {
	if n.Backup {
		return &r.bck
	}
	return &r.act
}

func (r *ring) start() {
	for _, n := range r.t.Nodes {
		if n.weight > 0 {
			r.up(n)
		}
	}
}

func (r *ring) up(n *Node)             { r.circle(n).resize(n) }
func (r *ring) down(n *Node, _ int)    { r.circle(n).resize(n) }
func (r *ring) reweigh(n *Node, _ int) { r.circle(n).resize(n) }
func (r *ring) loaded(*Node)           {}

// pointKey is the place of a node's i-th point: it depends on the server's
// number only, so that two directors with the same file agree.
func pointKey(id, i int) uint32 { return keyhash.Avalanche(uint32(id*MaxWeight*Scale + i)) }

func (c *circle) resize(n *Node) {
	have, want := c.count[n.Index], n.weight
	c.count[n.Index] = want
	if want < have {
		c.drop(n, want, have)
		return
	}
	if want > c.most[n.Index] {
		c.most[n.Index] = want
		if have > 0 {
			// A weight that was never as high: HAProxy takes all of the node's
			// points out first, which moves the round robin on.
			c.drop(n, 0, have)
			have = 0
		}
	}
	added := make([]point, 0, want-have)
	for i := have; i < want; i++ {
		added = append(added, point{pointKey(n.ID, i), n})
	}
	slices.SortStableFunc(added, func(a, b point) int {
		if a.key < b.key {
			return -1
		} else if a.key > b.key {
			return 1
		}
		return 0
	})
	merged := make([]point, 0, len(c.points)+len(added))
	last := -1
	i := 0
	for j, p := range c.points {
		for i < len(added) && added[i].key < p.key {
			merged = append(merged, added[i])
			i++
		}
		if j == c.last {
			last = len(merged)
		}
		merged = append(merged, p)
	}
	c.points, c.last = append(merged, added[i:]...), last
}

func (c *circle) drop(n *Node, want, have int) {
	gone := make(map[uint32]int, have-want)
	for i := want; i < have; i++ {
		gone[pointKey(n.ID, i)]++
	}
	kept := c.points[:0]
	last := -1
	for j, p := range c.points {
		if p.node == n && gone[p.key] > 0 {
			gone[p.key]--
			if j == c.last {
				last = len(kept) // the point after it moves here
			}
			continue
		}
		if j == c.last {
			last = len(kept)
		}
		kept = append(kept, p)
	}
	if last >= len(kept) { // there is none after it: the first, as HAProxy has it
		last = min(0, len(kept)-1)
	}
	clear(c.points[len(kept):])
	c.points, c.last = kept, last
}

func (r *ring) used() *circle {
	if r.t.active > 0 {
		return &r.act
	}
	return &r.bck
}

func (r *ring) lookup(hash uint32, avoid *Node) *Node {
	if n := r.t.sole(); n != nil {
		return n
	}
	points := r.used().points
	// The first point at or after the hash, and the one before it.
	lo, hi := 0, len(points)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if points[mid].key < hash {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	after := lo
	if after == len(points) {
		after = 0
	}
	before := after - 1
	if before < 0 {
		before = len(points) - 1
	}
	at := after
	if hash-points[before].key <= points[after].key-hash {
		at = before
	}
	wrapped := false
	for {
		n := points[at].node
		if n != avoid && (r.t.opt.BalanceFactor == 0 || r.withinBounds(n)) {
			return n
		}
		if at++; at == len(points) {
			if wrapped {
				return n
			}
			at, wrapped = 0, true
		}
	}
}

// withinBounds is the rule of "consistent hashing with bounded loads"
// (arXiv:1608.01350) for nodes of unequal weight: nobody gets more than the
// balance factor times its share of the connections, this one included.
func (r *ring) withinBounds(n *Node) bool {
	slots := ((r.t.served+1)*r.t.opt.BalanceFactor + 99) / 100
	each, rest := slots/r.t.total, slots%r.t.total
	mine := n.weight*each + (n.cumulative+n.weight)*rest/r.t.total - n.cumulative*rest/r.t.total
	return n.Served < max(mine, 1)
}

func (r *ring) next(avoid *Node) *Node {
	if n := r.t.sole(); n != nil {
		return n
	}
	c := r.used()
	at := c.last
	avoided := -1
	for range c.points {
		if at++; at >= len(c.points) {
			at = 0
		}
		n := c.points[at].node
		if !n.free() {
			continue
		}
		if n != avoid {
			c.last = at
			return n
		}
		avoided = at
	}
	if avoided < 0 {
		return nil
	}
	c.last = avoided
	return c.points[avoided].node
}
