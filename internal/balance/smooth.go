package balance

// smooth is the weighted round robin whose weights can change while it runs
// and which spreads the turns of heavy nodes evenly over a cycle.
//
// A cycle is as long as the sum of the weights. Each node knows at which
// position its next turn is due; it takes a turn every total/weight positions,
// and carries the remainder over. Nodes wait in three places: due in this
// cycle (ordered by position), not yet served in this cycle (heaviest first),
// or waiting for the next cycle.
type smooth struct {
	t        *Table
	act, bck cycle
}

type cycle struct {
	due         heap
	fresh, next *heap // swapped at the end of a cycle
	a, b        heap
	pos         uint32 // current position
	weight      uint32 // length of this cycle
	nextWeight  uint32 // sum of weights now: the length of the next one
}

func newSmooth(t *Table) *smooth {
	s := &smooth{t: t}
	for _, c := range []*cycle{&s.act, &s.bck} {
		c.fresh, c.next = &c.a, &c.b
	}
	return s
}

func (s *smooth) cycle(n *Node) *cycle {
	if n.Backup {
		return &s.bck
	}
	return &s.act
}

func (s *smooth) loaded(*Node) {}

// start lets all usable nodes begin at the same time, the heaviest first.
func (s *smooth) start() {
	for _, n := range s.t.Nodes {
		if n.weight == 0 {
			continue
		}
		c := s.cycle(n)
		c.nextWeight += uint32(n.weight)
		c.weight, c.pos = c.nextWeight, c.nextWeight
		c.queueFresh(c.fresh, n)
	}
}

func (s *smooth) up(n *Node) {
	c := s.cycle(n)
	c.nextWeight += uint32(n.weight)
	n.npos = c.pos + (c.nextWeight+c.weight-c.pos)/uint32(n.weight)
	c.queue(n)
}

func (s *smooth) down(n *Node, old int) {
	c := s.cycle(n)
	c.nextWeight -= uint32(old)
	c.take(n)
}

func (s *smooth) reweigh(n *Node, old int) {
	c := s.cycle(n)
	c.nextWeight += uint32(n.weight) - uint32(old)
	if n.in == c.fresh {
		c.fresh.remove(n)
		c.queueFresh(c.fresh, n)
		return
	}
	c.take(n)
	was := n.npos
	step := c.nextWeight / uint32(n.weight)
	n.npos, n.rweight = n.lpos+step, 0
	if n.npos > was {
		n.npos = was
	}
	if n.npos < c.pos+2 {
		n.npos = c.pos + step
	}
	c.queue(n)
}

// take removes n from where it waits and makes its position one of this cycle.
func (c *cycle) take(n *Node) {
	switch n.in {
	case c.fresh:
		n.npos, n.rweight = 0, 0
	case c.next:
		n.npos += c.weight
	}
	if n.in != nil {
		n.in.remove(n)
	}
}

func (c *cycle) queueFresh(h *heap, n *Node) {
	h.insert(n, uint32(MaxWeight*Scale-n.weight))
}

// queue puts n where its next turn belongs.
func (c *cycle) queue(n *Node) {
	if n.npos >= 2*c.weight || n.npos >= c.weight+c.nextWeight {
		n.npos -= c.weight
		c.queueFresh(c.next, n)
		return
	}
	c.due.insert(n, MaxWeight*n.npos+(MaxWeight*Scale+n.rweight-uint32(n.weight))/Scale)
}

// pick removes nothing: it says whose turn it is in this cycle.
func (c *cycle) pick() *Node {
	due := c.due.first()
	if due != nil && due.npos <= c.pos {
		return due
	}
	if n := c.fresh.first(); n != nil {
		n.npos, n.rweight = 0, 0
		return n
	}
	return due
}

// advance moves n's next turn one step on.
func (c *cycle) advance(n *Node) {
	if n.npos == 0 {
		n.npos = c.pos
	}
	w := uint32(n.weight)
	n.lpos = n.npos
	n.npos += c.nextWeight / w
	n.rweight += c.nextWeight % w
	if n.rweight >= w {
		n.rweight -= w
		n.npos++
	}
}

func (c *cycle) turn() {
	c.fresh, c.next = c.next, c.fresh
	c.weight = c.nextWeight
	c.pos = c.weight
}

func (s *smooth) next(avoid *Node) *Node {
	if n := s.t.sole(); n != nil {
		return n
	}
	c := &s.act
	if s.t.active == 0 {
		c = &s.bck
	}
	var got, full, avoided *Node
	turned := false
	for {
		if c.weight == 0 {
			c.weight = c.nextWeight
			c.pos = c.weight
		}
		n := c.pick()
		if n == nil {
			if turned {
				got = avoided
				break
			}
			turned = true
			c.turn()
			continue
		}
		c.advance(n)
		n.in.remove(n)
		c.pos++
		if n.free() {
			if n != avoid || avoided != nil {
				got = n
				break
			}
			avoided = n
		}
		n.nextFull, full = full, n
	}
	if got != nil {
		c.queue(got)
	}
	for full != nil {
		n := full
		full, n.nextFull = n.nextFull, nil
		if n == got {
			continue
		}
		if turned {
			// Its place was lost with the old cycle: only its weight counts.
			c.queueFresh(c.fresh, n)
		} else {
			c.queue(n)
		}
	}
	return got
}
