package balance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"
)

func TestHash(t *testing.T) {
	for _, test := range []struct {
		f    Function
		mix  bool
		key  string
		want uint32
	}{
		{SDBM, false, "", 0},
		{SDBM, false, "a", 97},
		{SDBM, false, "ab", 97*65599 + 98},
		{DJB2, false, "", 5381},
		{DJB2, false, "a", 177670},
		{CRC32, false, "123456789", 0xcbf43926},
		{None, false, "12345", 12345},
		{None, false, "-1x", 0xffffffff},
		{None, false, "4294967297", 1},
		{None, false, "99999999999999999999", 0xffffffff},
		{None, false, "", 0},
	} {
		if got := Hash(test.f, test.mix, []byte(test.key)); got != test.want {
			t.Errorf("function %d of %q: %#x, want %#x", test.f, test.key, got, test.want)
		}
	}
	for _, name := range []string{"", "sdbm", "djb2", "wt6", "crc32", "none"} {
		if _, ok := ParseFunction(name); !ok {
			t.Errorf("%q is not known", name)
		}
	}
	if _, ok := ParseFunction("md5"); ok {
		t.Error("md5 is known")
	}
}

func TestSourceHash(t *testing.T) {
	for addr, want := range map[string]uint32{
		"1.2.3.4": 0x01020304, "::ffff:1.2.3.4": 0x01020304, "::1": 1,
		"2001:db8::1": 0x20010db8 ^ 1,
	} {
		if got := SourceHash(netip.MustParseAddr(addr), false); got != want {
			t.Errorf("%s: %#x, want %#x", addr, got, want)
		}
	}
}

func TestKeys(t *testing.T) {
	for _, test := range []struct {
		target          string
		whole, pathOnly bool
		length, depth   int
		want            string
	}{
		{"/a/b/c?d=e", false, false, 0, 0, "/a/b/c"},
		{"/a/b/c?d=e", true, false, 0, 0, "/a/b/c?d=e"},
		{"/a/b/c?d=e", true, false, 4, 0, "/a/b"},
		{"/a/b/c?d=e", true, false, 0, 1, "/a"},
		{"/a/b/c?d=e", true, false, 0, 2, "/a/b"},
		{"/a/b/c?d=e", false, false, 0, 9, "/a/b/c"},
		{"http://h/a?x", false, false, 0, 0, "http://h/a"},
		{"http://h/a?x", false, true, 0, 0, "/a"},
		{"http://h", false, true, 0, 0, ""},
		{"*", false, true, 0, 0, ""},
		{"/", false, true, 0, 0, "/"},
	} {
		if got := URIKey([]byte(test.target), test.whole, test.pathOnly, test.length, test.depth); string(got) != test.want {
			t.Errorf("URIKey %+v: %q", test, got)
		}
	}
	for host, want := range map[string]string{
		"www.example.com": "example", "example.com": "example", "a.b.c.example.com": "example",
		"localhost": "localhost", ".com": ".com", "a..b": "a.", "example.com.": "com", "": "",
	} {
		if got := DomainKey([]byte(host)); string(got) != want {
			t.Errorf("DomainKey(%q): %q, want %q", host, got, want)
		}
	}
	for target, want := range map[string]string{
		"/?id=1": "1", "/?a=2&id=3&b": "3", "/?xid=1&id=": "", "/?id": "-", "/": "-", "/?ids=1": "-", "/?id=1&id=2": "1",
	} {
		got, ok := URLParamKey([]byte(target), "id")
		if !ok {
			got = []byte("-")
		}
		if string(got) != want {
			t.Errorf("URLParamKey(%q): %q, want %q", target, got, want)
		}
	}
	for body, want := range map[string]string{
		"id=1&x=2": "1", "x=2&id=abc": "abc", "id=/etc": "-", "id= x": "", "x": "-", "id=": "",
	} {
		got, ok := BodyParamKey([]byte(body), "id")
		if !ok {
			got = []byte("-")
		}
		if string(got) != want {
			t.Errorf("BodyParamKey(%q): %q, want %q", body, got, want)
		}
	}
}

// table makes nodes of the given weights in use; negative weights are backups.
func table(kind Kind, o Options, weights ...int) *Table {
	nodes := make([]*Node, len(weights))
	eff := make([]int, len(weights))
	for i, w := range weights {
		nodes[i] = &Node{ID: i + 1, Backup: w < 0}
		if w < 0 {
			weights[i] = -w
		}
	}
	o.Kind, o.Weights = kind, weights
	t := New(nodes, o)
	for i, w := range weights {
		eff[i] = t.Effective(w, Scale)
	}
	t.Start(eff)
	return t
}

// Whatever happened before, a round of turns follows the weights exactly, and
// no node gets its turns in one bunch.
func TestRoundRobinFollowsWeights(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		n := 1 + rng.IntN(12)
		weights := make([]int, n)
		for i := range weights {
			weights[i] = 1 + rng.IntN(20)
		}
		for _, kind := range []Kind{RoundRobin, StaticMap} {
			tab := table(kind, Options{}, append([]int(nil), weights...)...)
			sum := 0
			for _, w := range weights {
				sum += w
			}
			for range rng.IntN(50) {
				tab.Next(nil)
			}
			if kind == RoundRobin {
				// Weights change and come back.
				for range rng.IntN(4) {
					k := tab.Nodes[rng.IntN(n)]
					tab.Set(k, rng.IntN(300))
					for range rng.IntN(20) {
						tab.Next(nil)
					}
					tab.Set(k, weights[k.Index]*Scale)
				}
				for range 4 * sum { // let it settle
					tab.Next(nil)
				}
			}
			count := make([]int, n)
			const rounds = 20
			for range rounds * sum {
				count[tab.Next(nil).Index]++
			}
			for i, c := range count {
				if off := math.Abs(float64(c)/rounds - float64(weights[i])); off > 0.3 {
					t.Fatalf("kind %d, weights %v: node %d got %d turns of %d", kind, weights, i, c, rounds*weights[i])
				}
			}
		}
	}
}

func TestRoundRobinIsSmooth(t *testing.T) {
	tab := table(RoundRobin, Options{}, 6, 2, 1)
	run, longest := 0, 0
	var last *Node
	for range 90 {
		n := tab.Next(nil)
		if n == last {
			run++
		} else {
			run = 1
		}
		last, longest = n, max(longest, run)
	}
	if longest > 3 {
		t.Errorf("%d turns in a row for 6 of 9", longest)
	}
}

// Every algorithm, under random weights, loads and failures: never a node that
// is not usable, never a full one except where it must be.
func TestAnyOrderOfEvents(t *testing.T) {
	for kind := RoundRobin; kind <= Consistent; kind++ {
		for seed := range uint64(60) {
			rng := rand.New(rand.NewPCG(seed, uint64(kind)))
			n := 1 + rng.IntN(6)
			weights := make([]int, n)
			for i := range weights {
				if weights[i] = rng.IntN(5); rng.IntN(3) == 0 {
					weights[i] = -weights[i]
				}
			}
			tab := table(kind, Options{AllBackups: rng.IntN(2) == 0}, weights...)
			for step := range 400 {
				k := tab.Nodes[rng.IntN(n)]
				switch rng.IntN(8) {
				case 0:
					w := rng.IntN(4)
					tab.Set(k, tab.Effective(w, 1+rng.IntN(Scale)))
				case 1:
					k.Limit = rng.IntN(4)
				case 2:
					if k.Served > 0 {
						k.Served--
						tab.Loaded(k, -1)
					}
				case 3:
					k.Pending = rng.IntN(2)
					tab.Loaded(k, 0)
				}
				var avoid *Node
				if rng.IntN(3) == 0 {
					avoid = tab.Nodes[rng.IntN(n)]
				}
				got := tab.Next(avoid)
				what := fmt.Sprintf("kind %d seed %d step %d", kind, seed, step)
				open := 0
				for _, m := range tab.Nodes {
					if tab.InUse(m) && m.free() && m != avoid {
						open++
					}
				}
				switch {
				case got == nil && open > 0 && (tab.active > 0 || tab.opt.AllBackups):
					t.Fatalf("%s: none chosen, %d are open", what, open)
				case got == nil:
				case got.weight == 0:
					t.Fatalf("%s: node %d is not usable", what, got.ID)
				case got.Backup && tab.active > 0:
					t.Fatalf("%s: backup node %d was not needed", what, got.ID)
				case !got.free() && tab.sole() != got:
					t.Fatalf("%s: node %d is full", what, got.ID)
				case got == avoid && open > 0 && tab.sole() == nil:
					t.Fatalf("%s: node %d should have been avoided", what, got.ID)
				default:
					got.Served++
					tab.Loaded(got, 1)
				}
				if tab.hash != nil && tab.Total() > 0 {
					if m := tab.Lookup(rng.Uint32(), avoid); m.weight == 0 || (m.Backup && tab.active > 0) {
						t.Fatalf("%s: hash chose node %d", what, m.ID)
					}
				}
			}
		}
	}
}

func TestLeastConnKeepsLoadsEven(t *testing.T) {
	tab := table(LeastConn, Options{}, 1, 2, 4)
	for range 700 {
		n := tab.Next(nil)
		n.Served++
		tab.Loaded(n, 1)
	}
	for i, want := range []int{100, 200, 400} {
		if got := tab.Nodes[i].Served; got < want-2 || got > want+2 {
			t.Errorf("node %d has %d connections, want %d", i, got, want)
		}
	}
	// Idle equals take turns.
	tab = table(LeastConn, Options{}, 1, 1, 1)
	order := ""
	for range 6 {
		n := tab.Next(nil)
		n.Served++
		tab.Loaded(n, 1)
		n.Served--
		tab.Loaded(n, -1)
		order += fmt.Sprint(n.ID)
	}
	if order != "123123" {
		t.Errorf("idle nodes were chosen in the order %s", order)
	}
}

func TestFirstFillsInOrder(t *testing.T) {
	nodes := []*Node{{ID: 30, Limit: 2}, {ID: 10, Limit: 2}, {ID: 20}}
	tab := New(nodes, Options{Kind: First})
	tab.Start([]int{16, 16, 16})
	order := ""
	for range 6 {
		n := tab.Next(nil)
		n.Served++
		tab.Loaded(n, 1)
		order += fmt.Sprint(n.ID, " ")
	}
	if order != "10 10 20 20 20 20 " {
		t.Error(order)
	}
}

// When a node goes, only its keys move, and they come back with it.
func TestRingMovesLittle(t *testing.T) {
	tab := table(Consistent, Options{}, 3, 3, 3, 3, 3)
	const keys = 20000
	before := make([]*Node, keys)
	count := map[*Node]int{}
	place := func(i int) *Node { return tab.Lookup(Hash(SDBM, true, fmt.Appendf(nil, "/object/%d", i)), nil) }
	for i := range before {
		before[i] = place(i)
		count[before[i]]++
	}
	for n, c := range count {
		if c < keys/5*6/10 || c > keys/5*15/10 {
			t.Errorf("node %d has %d of %d keys", n.ID, c, keys)
		}
	}
	gone := tab.Nodes[2]
	tab.Set(gone, 0)
	for i, was := range before {
		if now := place(i); now != was && was != gone || now == gone {
			t.Fatalf("key %d moved from %d to %d", i, was.ID, now.ID)
		}
	}
	tab.Set(gone, 3*Scale)
	for i, was := range before {
		if place(i) != was {
			t.Fatalf("key %d did not come back", i)
		}
	}
	// Rising weight only gains keys.
	tab.Set(gone, 6*Scale)
	for i, was := range before {
		if now := place(i); now != was && now != gone {
			t.Fatalf("key %d moved from %d to %d", i, was.ID, now.ID)
		}
	}
}

func TestBoundedLoads(t *testing.T) {
	tab := table(Consistent, Options{BalanceFactor: 150}, 1, 1, 2)
	for range 400 {
		n := tab.Lookup(12345, nil) // one hot key
		n.Served++
		tab.Loaded(n, 1)
	}
	for i, share := range []int{100, 100, 200} {
		if got := tab.Nodes[i].Served; got > share*3/2+1 {
			t.Errorf("node %d has %d connections, allowed %d", i, got, share*3/2)
		}
	}
}

func TestRandomPrefersIdle(t *testing.T) {
	tab := table(Consistent, Options{}, 1, 1)
	tab.Nodes[0].Served = 1000
	tab.Loaded(tab.Nodes[0], 1000)
	count := [2]int{}
	for range 1000 {
		count[tab.Random(2, nil).Index]++
	}
	if count[0] == 0 || count[0] > 450 {
		t.Errorf("the busy node got %d of 1000", count[0])
	}
	tab.Nodes[0].Limit, tab.Nodes[1].Limit, tab.Nodes[1].Served = 1000, 1, 1
	if n := tab.Random(1, nil); n != nil {
		t.Errorf("node %d is full", n.ID)
	}
}

func FuzzHeap(f *testing.F) {
	f.Add([]byte{1, 2, 3, 250, 4, 4, 4, 251})
	f.Fuzz(func(t *testing.T, ops []byte) {
		var h heap
		nodes := make([]Node, 16)
		for i := range nodes {
			nodes[i].at = -1
		}
		for i, op := range ops {
			n := &nodes[op%16]
			if n.in == nil {
				h.insert(n, uint32(op>>4)+uint32(i%3))
			} else {
				h.remove(n)
			}
			min := h.first()
			for k := range nodes {
				if m := &nodes[k]; m.in == &h && less(m, min) {
					t.Fatalf("step %d: node %d comes before the first", i, k)
				}
			}
			for k, m := range h.nodes {
				if m.at != k {
					t.Fatalf("step %d: a node at %d thinks it is at %d", i, k, m.at)
				}
			}
		}
	})
}

// When the point whose turn it was goes and was the circle's last, its turn is
// the first one's: the next request goes to the second, as with HAProxy.
func TestRingTurnsAfterTheLastPoint(t *testing.T) {
	tab := table(Consistent, Options{}, 1, 1, 1)
	points := func() []point { return tab.alg.(*ring).act.points }
	for range points() { // the last of these turns is the last point's
		tab.Next(nil)
	}
	gone := points()[len(points())-1].node
	tab.Set(gone, 0)
	for i := range points() {
		if want, got := points()[(i+1)%len(points())].node, tab.Next(nil); got != want {
			t.Fatalf("turn %d is node %d's, not node %d's", i+1, got.ID, want.ID)
		}
	}
	for _, n := range tab.Nodes {
		tab.Set(n, 0)
	}
	tab.Set(gone, Scale)
	if got := tab.Next(nil); got != gone {
		t.Errorf("after an empty circle: %+v", got)
	}
}
