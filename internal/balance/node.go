package balance

// Scale is how many steps of effective weight one unit of a server's weight
// has where an algorithm can change weights at run time (slowstart needs
// fractions).
const Scale = 16

// MaxWeight is the largest weight of a server.
const MaxWeight = 256

// Node is one server as the algorithms see it. The owner keeps Served,
// Pending and Limit up to date and calls Table.Loaded after changing them.
type Node struct {
	// Set once.
	ID     int // the server's number: order of `first`, seed of its hash keys
	Index  int // position in Table.Nodes
	Backup bool

	// Load, kept by the owner.
	Served  int // taken slots
	Pending int // waiting in the server's own queue
	Limit   int // slots there are at present; 0: no limit

	// Kept by Set.
	weight int // effective; 0 when the node cannot be used

	// Tree position (roundrobin, leastconn).
	place
	npos, lpos, rweight uint32 // roundrobin
	wscore              int    // static map
	cumulative          int    // sum of the weights before it, for bounded loads
	nextFull            *Node
}

// Weight is the node's effective weight, 0 when it is not usable.
func (n *Node) Weight() int { return n.weight }

// free says whether another connection finds a slot at once.
func (n *Node) free() bool {
	return n.Limit == 0 || (n.Pending == 0 && n.Served < n.Limit)
}

// algorithm is one way of choosing. The Table has updated its totals before
// any of the methods is called.
type algorithm interface {
	// start takes up all nodes that are usable at first.
	start()
	up(n *Node)
	down(n *Node, old int)
	reweigh(n *Node, old int)
	// next chooses without a key; nil when every node is full.
	next(avoid *Node) *Node
	// loaded is told that n's Served or Pending changed.
	loaded(n *Node)
}

// hasher is an algorithm that can place a key.
type hasher interface {
	lookup(hash uint32, avoid *Node) *Node
}
