package xdp

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"evenkeel/internal/l4"
)

// caches is a service of transparent caches: marked packets to anywhere.
func caches(scheduler string, weights ...int) l4.Service {
	s := farm(scheduler, weights...)
	s.Key = l4.Key{FwMark: 7}
	for i := range s.Servers {
		s.Servers[i].Port = 0
	}
	return s
}

func site(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{198, 51, byte(100 + i/250), byte(1 + i%250)})
}

// ask begins a connection of the client to a site and gives the index of the
// cache that it comes to.
func (b *bench) ask(client, to int) int {
	b.t.Helper()
	before := b.connections()
	p := packet{client: clientNumber(client, false), sport: uint16(2000 + client), server: site(to)}
	b.runContext(p.frame(), &skb{Mark: 7})
	for n, c := range b.connections() {
		if c != before[n] {
			return n
		}
	}
	return -1
}

// Destinations keep their servers, and are divided over all of them.
func TestDestinationsKeepTheirServers(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 16384})
	for _, scheduler := range []string{"lblc", "lblcr"} {
		b.forget()
		// Nobody has more connections than its weight: nothing is too busy.
		b.set(l4.Config{Services: []l4.Service{caches(scheduler, 5000, 5000, 5000, 5000)}})
		const sites = 600
		var first [sites]int
		count := make([]int, 4)
		for i := range first {
			first[i] = b.ask(i, i)
			count[first[i]]++
		}
		if slices.Min(count) != sites/4 || slices.Max(count) != sites/4 {
			t.Errorf("%s: destinations by server: %v", scheduler, count)
		}
		for round := range 3 {
			for i := range first {
				if got := b.ask(1000*(round+1)+i, i); got != first[i] {
					t.Fatalf("%s: site %d goes to %d, before to %d", scheduler, i, got, first[i])
				}
			}
		}
		// Connections without a mark are nobody's.
		if v, _ := b.run(packet{server: site(1), sport: 7}.frame()); v != tcNext {
			t.Errorf("%s: without a mark: verdict %d", scheduler, v)
		}
	}
}

// A busy server's destinations move to another when one is not half as busy,
// with lblcr as one more server.
func TestBusyServersGiveDestinationsAway(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 16384})
	for _, c := range []struct {
		scheduler string
		want      []int
	}{
		// Weights 4 and 4: five connections are too many only while the other
		// has less than two.
		{"lblc", []int{1, 1, 1, 1, 1, 0, 0, 0, 0, 0}},
		{"lblcr", []int{1, 1, 1, 1, 1, 0, 0, 0, 0, 0}},
	} {
		b.forget()
		b.set(l4.Config{Services: []l4.Service{caches(c.scheduler, 4, 4)}})
		var got []int
		for i := range c.want {
			got = append(got, b.ask(i, 1))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.scheduler, got, c.want)
		}
	}
	// lblcr has both servers now, the last one first, and takes the less loaded.
	if got := b.cached(1); got.Size != 2 {
		t.Errorf("the destination's set: %+v", got)
	}
	for i := range 6 {
		if got := b.ask(100+i, 1); got != i%2 {
			t.Errorf("lblcr with two: connection %d to %d", i, got)
		}
	}
}

// cached is what is remembered of a site.
func (b *bench) cached(to int) (c directorCached) {
	b.t.Helper()
	err := b.maps.Cacheds.Lookup(b.cachedKey(to), &c)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		b.t.Fatal(err)
	}
	return c
}

func (b *bench) cachedKey(to int) *directorCachedKey {
	return &directorCachedKey{Service: b.services[l4.Key{FwMark: 7, Family: l4.IPv4}].id, Daddr: words(site(to))}
}

// age makes what is remembered of a site older.
func (b *bench) age(to int, change func(*directorCached)) {
	b.t.Helper()
	c := b.cached(to)
	change(&c)
	if err := b.maps.Cacheds.Put(b.cachedKey(to), &c); err != nil {
		b.t.Fatal(err)
	}
}

func TestDestinationsAreForgotten(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 16384})
	s := caches("lblc", 1000, 1000)
	b.set(l4.Config{Services: []l4.Service{s}})
	if got := []int{b.ask(0, 1), b.ask(1, 2), b.ask(2, 2), b.ask(3, 1)}; !slices.Equal(got, []int{1, 0, 0, 1}) {
		t.Fatal(got)
	}
	b.ask(4, 1)
	// The first site's server has more connections now: a day later it is asked
	// for as if it were for the first time.
	b.age(1, func(c *directorCached) { c.Used -= cachedTicks - 100 })
	if got := b.ask(5, 1); got != 1 {
		t.Errorf("after less than a day: %d", got)
	}
	b.age(1, func(c *directorCached) { c.Used -= cachedTicks + 1 })
	if got := b.ask(6, 1); got != 0 {
		t.Errorf("after a day: %d", got)
	}
	b.age(1, func(c *directorCached) { c.Used -= cachedTicks + 1 })
	b.expireDestinations()
	if b.cached(1).Size != 0 || b.cached(2).Size != 1 {
		t.Errorf("left after a day: %+v, and used since: %+v", b.cached(1), b.cached(2))
	}

	// A server that does not take connections loses its destinations.
	b.ask(7, 1)
	home := b.ask(8, 1)
	s.Servers[home].Weight = 0
	b.set(l4.Config{Services: []l4.Service{s}})
	if got := b.ask(9, 1); got != 1-home {
		t.Errorf("with the server drained: %d", got)
	}
	s.Servers[home].Weight = 1000
	less := s
	less.Servers = s.Servers[home : home+1]
	b.set(l4.Config{Services: []l4.Service{less}})
	if got := b.ask(10, 1); got != 0 {
		t.Errorf("with the server removed: %d", got)
	}
	b.set(l4.Config{})
	if err := b.forgetDestinations(func(k *directorCachedKey, _ *directorCached) bool {
		t.Errorf("left of a removed service: %+v", k)
		return false
	}); err != nil {
		t.Fatal(err)
	}
}

// A set of lblcr that has not changed for a day loses its most loaded server.
func TestSetsShrink(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 16384})
	b.set(l4.Config{Services: []l4.Service{caches("lblcr", 1, 1, 1)}})
	for i := range 12 {
		b.ask(i, 1)
	}
	if got := b.cached(1); got.Size != 3 {
		t.Fatalf("%+v", got)
	}
	for want := uint32(2); want > 0; want-- {
		b.age(1, func(c *directorCached) { c.Modified -= cachedTicks / 2 })
		b.ask(20+int(want), 1)
		if got := b.cached(1); got.Size != want+1 {
			t.Errorf("after half a day: %+v", got)
		}
		b.age(1, func(c *directorCached) { c.Modified -= cachedTicks/2 + 2 })
		b.ask(30+int(want), 1)
		got := b.cached(1)
		if got.Size != want || got.Dest[want] != 0 || got.Dest[want-1] == 0 || int32(now()-got.Modified) > 1000 {
			t.Errorf("after a day: %+v", got)
		}
	}
	b.age(1, func(c *directorCached) { c.Modified -= cachedTicks + 2 })
	b.ask(40, 1)
	if got := b.cached(1); got.Size != 1 {
		t.Errorf("the last server is gone: %+v", got)
	}
}

// More servers than a set has room for: the one that came first goes.
func TestSetsHaveAnEnd(t *testing.T) {
	b := newBench(t, Options{MaxFlows: 16384})
	weights := make([]int, 20)
	for i := range weights {
		weights[i] = 1
	}
	b.set(l4.Config{Services: []l4.Service{caches("lblcr", weights...)}})
	seen := make(map[int]bool)
	for i := range 60 {
		seen[b.ask(i, 1)] = true
	}
	if got := b.cached(1); len(seen) != 20 || got.Size != 16 {
		t.Errorf("%d servers were used, %+v", len(seen), got)
	}
}
