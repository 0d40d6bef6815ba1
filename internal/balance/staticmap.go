package balance

// staticMap spreads the nodes over a table with as many places as the sum of
// their weights. A change of the usable nodes rebuilds it, so keys move.
type staticMap struct {
	t     *Table
	m     []*Node
	stale bool
	turn  int
}

func newStaticMap(t *Table) *staticMap { return &staticMap{t: t, stale: true} }

func (s *staticMap) start() {
	s.stale = true
}

func (s *staticMap) up(*Node)           { s.stale = true }
func (s *staticMap) down(*Node, int)    { s.stale = true }
func (s *staticMap) reweigh(*Node, int) { s.stale = true }
func (s *staticMap) loaded(*Node)       {}

// build gives each place to the node that lags most behind its share; of
// equals the first declared wins, so place 0 is always the first node's.
//
// When only the first backup node should be used, the table is as long as its
// weight but HAProxy fills it with all backup nodes, so that others of larger
// weight appear in it. Directors that must agree have to do the same.
func (s *staticMap) build() {
	s.stale = false
	total, backups := s.t.total, s.t.active == 0
	s.m = s.m[:0]
	for _, n := range s.t.Nodes {
		n.wscore = 0
	}
	for range total {
		var best *Node
		most := 0
		for _, n := range s.t.Nodes {
			if n.weight == 0 || n.Backup != backups {
				continue
			}
			if total == 1 {
				best = n
				break
			}
			n.wscore += n.weight
			if lag := (n.wscore + total) / total; best == nil || lag > most {
				best, most = n, lag
			}
		}
		best.wscore -= total
		s.m = append(s.m, best)
	}
}

func (s *staticMap) lookup(hash uint32, _ *Node) *Node {
	if s.stale {
		s.build()
	}
	return s.m[hash%uint32(len(s.m))]
}

func (s *staticMap) next(avoid *Node) *Node {
	if s.stale {
		s.build()
	}
	if s.turn >= len(s.m) {
		s.turn = 0
	}
	var avoided *Node
	after := 0
	for i, left := s.turn, len(s.m); left > 0; left-- {
		if i == len(s.m) {
			i = 0
		}
		n := s.m[i]
		i++
		if !n.free() {
			continue
		}
		if n != avoid {
			// May be one past the end: a larger map would go on from there.
			s.turn = i
			return n
		}
		avoided, after = n, i
	}
	if avoided != nil {
		s.turn = after
	}
	return avoided
}
