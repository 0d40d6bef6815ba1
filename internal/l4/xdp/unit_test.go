package xdp

import (
	"slices"
	"testing"

	"github.com/cilium/ebpf"
)

func TestPrefixesCoverRanges(t *testing.T) {
	for _, r := range [][2]uint16{{1, 1}, {80, 90}, {0, 65535}, {1024, 65535}, {1, 65534}, {8000, 9001}, {65535, 65535}} {
		covered := make([]bool, 65536)
		list := prefixes(r[0], r[1])
		for _, p := range list {
			for i := 0; i < 1<<(16-p.bits); i++ {
				if covered[int(p.port)+i] {
					t.Fatalf("%v: port %d twice", r, int(p.port)+i)
				}
				covered[int(p.port)+i] = true
			}
		}
		for port, in := range covered {
			if in != (port >= int(r[0]) && port <= int(r[1])) {
				t.Fatalf("%v: port %d covered: %v", r, port, in)
			}
		}
		if len(list) > 30 {
			t.Errorf("%v: %d prefixes", r, len(list))
		}
	}
}

func TestSpansAreUsedAgain(t *testing.T) {
	s := newSpans(100)
	var list []span
	for {
		x, err := s.take(10)
		if err != nil {
			break
		}
		list = append(list, x)
	}
	if len(list) != 9 {
		t.Fatalf("%d runs of 10 out of 99", len(list))
	}
	for _, x := range list {
		s.give(x)
	}
	if _, err := s.take(10); err == nil {
		t.Error("a run is used again while packets may still read it")
	}
	s.settle()
	if x, err := s.take(99); err != nil || x.first != 1 {
		t.Errorf("all of it: %v, %v", x, err)
	}
	m := newSpans(100)
	m.mark(span{40, 20})
	a, _ := m.take(39)
	b, _ := m.take(40)
	if !slices.Equal([]span{a, b}, []span{{1, 39}, {60, 40}}) {
		t.Errorf("around a taken run: %v %v", a, b)
	}
}

func TestNumbersAreGivenOnce(t *testing.T) {
	n := newNumbers(4)
	n.mark(2)
	a, _ := n.take()
	b, _ := n.take()
	if _, err := n.take(); err == nil || a != 1 || b != 3 {
		t.Errorf("%d, %d, %v", a, b, err)
	}
	n.free(1)
	if c, err := n.take(); c != 1 || err != nil {
		t.Errorf("%d, %v", c, err)
	}
}

// What Options says of memory is true.
func TestMemoryOfFlows(t *testing.T) {
	const flows = 1 << 16
	b := newBench(t, Options{MaxFlows: flows})
	small := newBench(t, Options{MaxFlows: flows / 2})
	size := func(b *bench, v6 bool) (n uint64) {
		list := []*ebpf.Map{b.maps.Flows4, b.maps.Ring4s}
		if v6 {
			list = []*ebpf.Map{b.maps.Flows6, b.maps.Ring6s}
		}
		for _, m := range list {
			info, err := m.Info()
			if err != nil {
				t.Fatal(err)
			}
			bytes, ok := info.Memlock()
			if !ok {
				t.Skip("this kernel does not say how large maps are")
			}
			n += bytes
		}
		return n
	}
	for _, c := range []struct {
		v6   bool
		most uint64
	}{{false, bytesOfFlow4}, {true, bytesOfFlow6}} {
		if got := (size(b, c.v6) - size(small, c.v6)) / (flows / 2); got > c.most || got+20 < c.most {
			t.Errorf("a flow of %s takes %d bytes, it says %d", family(c.v6), got, c.most)
		}
	}
}
