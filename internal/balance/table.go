package balance

import "fmt"

// Kind is a family of algorithms: how the next node is found.
type Kind uint8

const (
	RoundRobin Kind = iota
	StaticMap       // static-rr, and hashes with hash-type map-based
	LeastConn
	First
	Consistent // random, and hashes with hash-type consistent
)

// Options tune a Table.
type Options struct {
	Kind       Kind
	AllBackups bool // all backup servers share the load, not only the first
	// BalanceFactor is hash-balance-factor in percent, 0: off.
	BalanceFactor int
	// AlwaysHash places keys even when a single node is left. HAProxy's
	// url_param does, its other hashes do not, and with several backup nodes
	// the outcome differs (see staticMap.build).
	AlwaysHash bool
	// Weights are the configured weights by node index; the static map divides
	// them by their greatest common divisor.
	Weights []int
	// Rand gives random bits (random draws); nil: a built-in generator.
	Rand func() uint32
}

// Table chooses among the servers of one backend. Its owner guards it.
type Table struct {
	Nodes []*Node

	opt            Options
	active, backup int // usable nodes
	wact, wbck     int
	firstBackup    *Node // the one that is used without AllBackups
	total, used    int
	served         int // slots taken on all nodes
	gcd            int
	alg            algorithm
	hash           hasher
	rng            uint32
}

// New makes a table in which no node is usable yet: Start comes next.
func New(nodes []*Node, o Options) *Table {
	t := &Table{Nodes: nodes, opt: o, gcd: 1, rng: 2463534242}
	for i, n := range nodes {
		n.Index = i
		n.place.at = -1
	}
	switch o.Kind {
	case RoundRobin:
		t.alg = newSmooth(t)
	case LeastConn:
		t.alg = &leastConn{t: t}
	case First:
		t.alg = newFirst(t)
	case Consistent:
		c := newRing(t)
		t.alg, t.hash = c, c
	case StaticMap:
		t.gcd = commonDivisor(o.Weights)
		m := newStaticMap(t)
		t.alg, t.hash = m, m
	default:
		panic(fmt.Sprintf("balance: unknown kind %d", o.Kind))
	}
	return t
}

// Dynamic says whether weights can change at run time (and so slowstart).
func (t *Table) Dynamic() bool { return t.opt.Kind != StaticMap }

// Effective turns a user's weight into an effective one. part and whole scale
// it during slowstart: part of whole steps, whole being Scale.
func (t *Table) Effective(weight, part int) int {
	if !t.Dynamic() {
		return (weight + t.gcd - 1) / t.gcd
	}
	return weight * part
}

// User turns an effective weight (or a sum of them) back into users' units.
func (t *Table) User(effective int) int {
	if !t.Dynamic() {
		return effective * t.gcd
	}
	return (effective + Scale - 1) / Scale
}

// Active and Backup are the numbers of usable nodes of either sort; Total the
// effective weight in use.
func (t *Table) Active() int { return t.active }
func (t *Table) Backup() int { return t.backup }
func (t *Table) Total() int  { return t.total }

// Start gives the nodes their first effective weights, by index. It is called
// once, before Set.
func (t *Table) Start(weights []int) {
	for i, n := range t.Nodes {
		n.weight = weights[i]
	}
	t.recount()
	t.alg.start()
}

// Single says whether one node takes everything.
func (t *Table) Single() bool { return t.used == 1 }

// Set makes n usable with an effective weight, or unusable with 0.
func (t *Table) Set(n *Node, weight int) {
	old := n.weight
	if old == weight {
		return
	}
	n.weight = weight
	t.recount()
	switch {
	case old == 0:
		t.alg.up(n)
	case weight == 0:
		t.alg.down(n, old)
	default:
		t.alg.reweigh(n, old)
	}
}

func (t *Table) recount() {
	t.active, t.backup, t.wact, t.wbck, t.firstBackup = 0, 0, 0, 0, nil
	for _, n := range t.Nodes {
		switch {
		case n.weight == 0:
		case n.Backup:
			if t.firstBackup == nil && !t.opt.AllBackups {
				t.firstBackup = n
			}
			n.cumulative = t.wbck
			t.backup++
			t.wbck += n.weight
		default:
			n.cumulative = t.wact
			t.active++
			t.wact += n.weight
		}
	}
	switch {
	case t.active > 0:
		t.total, t.used = t.wact, t.active
	case t.firstBackup != nil:
		t.total, t.used = t.firstBackup.weight, 1
	default:
		t.total, t.used = t.wbck, t.backup
	}
}

// InUse says whether n belongs to the nodes that are chosen from now: any
// usable active node, or the backup nodes when there is none.
func (t *Table) InUse(n *Node) bool {
	if n.weight == 0 {
		return false
	}
	return !n.Backup || (t.active == 0 && (t.firstBackup == n || t.opt.AllBackups))
}

// sole is the single backup node that takes everything, if that is so.
func (t *Table) sole() *Node {
	if t.active == 0 {
		return t.firstBackup
	}
	return nil
}

// Next chooses without a key (round robin). nil: all are full, or there is
// none (Total is 0). A firstBackup is returned even when it is full.
func (t *Table) Next(avoid *Node) *Node {
	if t.total == 0 {
		return nil
	}
	return t.alg.next(avoid)
}

// Lookup finds the node of a hash, full or not. The table's kind must be
// StaticMap or Consistent.
func (t *Table) Lookup(hash uint32, avoid *Node) *Node {
	if t.total == 0 {
		return nil
	}
	if t.used == 1 && !t.opt.AlwaysHash {
		hash = 0
	}
	return t.hash.lookup(hash, avoid)
}

// Random draws nodes from the ring and keeps the least loaded; nil when that
// one is full.
func (t *Table) Random(draws int, avoid *Node) *Node {
	if t.total == 0 {
		return nil
	}
	var best *Node
	for ; ; draws-- {
		n := t.hash.lookup(t.random(), avoid)
		if best == nil || n.Served*best.weight <= best.Served*n.weight {
			best = n
		}
		if draws <= 1 {
			break
		}
	}
	if best.Pending > 0 || !best.free() {
		return nil
	}
	return best
}

func (t *Table) random() uint32 {
	if t.opt.Rand != nil {
		return t.opt.Rand()
	}
	// xorshift32: plenty for spreading load.
	x := t.rng
	x ^= x << 13
	x ^= x >> 17
	x ^= x << 5
	t.rng = x
	return x
}

// Loaded is called after n's Served or Pending changed; delta is the change
// of Served.
func (t *Table) Loaded(n *Node, delta int) {
	t.served += delta
	t.alg.loaded(n)
}

func commonDivisor(weights []int) int {
	gcd := 0
	for _, w := range weights {
		for w != 0 {
			gcd, w = w, gcd%w
		}
	}
	return max(gcd, 1)
}
