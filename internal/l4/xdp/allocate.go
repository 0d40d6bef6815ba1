package xdp

import (
	"errors"
	"slices"
)

var errFull = errors.New("no room left: raise Options.MaxServers")

// numbers gives out the places of an array. 0 is never given.
type numbers struct {
	used []bool
	next int
}

func newNumbers(n uint32) *numbers {
	u := &numbers{used: make([]bool, n), next: 1}
	u.used[0] = true
	return u
}

func (n *numbers) take() (uint32, error) {
	for range n.used {
		i := n.next
		n.next++
		if n.next == len(n.used) {
			n.next = 1
		}
		if !n.used[i] {
			n.used[i] = true
			return uint32(i), nil
		}
	}
	return 0, errFull
}

// mark notes that a place is taken already.
func (n *numbers) mark(i uint32) {
	if int(i) < len(n.used) {
		n.used[i] = true
	}
}

func (n *numbers) free(i uint32) {
	if i != 0 {
		n.used[i] = false
	}
}

// span is a run of blocks.
type span struct{ first, count uint32 }

// spans gives out runs of blocks. What is given back is not used again before
// settle, so that a packet under way still reads what it was told to.
type spans struct {
	free    []span // by first
	waiting []span
}

func newSpans(n uint32) *spans { return &spans{free: []span{{1, n - 1}}} }

func (s *spans) take(count uint32) (span, error) {
	if count == 0 {
		return span{}, nil
	}
	for i, f := range s.free {
		if f.count < count {
			continue
		}
		got := span{f.first, count}
		if f.count == count {
			s.free = slices.Delete(s.free, i, i+1)
		} else {
			s.free[i] = span{f.first + count, f.count - count}
		}
		return got, nil
	}
	return span{}, errFull
}

// mark notes that a run is taken already.
func (s *spans) mark(m span) {
	if m.count == 0 {
		return
	}
	for i, f := range s.free {
		if m.first < f.first || m.first+m.count > f.first+f.count {
			continue
		}
		rest := []span{{f.first, m.first - f.first}, {m.first + m.count, f.first + f.count - m.first - m.count}}
		rest = slices.DeleteFunc(rest, func(r span) bool { return r.count == 0 })
		s.free = slices.Replace(s.free, i, i+1, rest...)
		return
	}
}

func (s *spans) give(g span) {
	if g.count != 0 {
		s.waiting = append(s.waiting, g)
	}
}

// settle makes what was given back free. No packet is in the programs any more
// that began before the give.
func (s *spans) settle() {
	if len(s.waiting) == 0 {
		return
	}
	s.free = append(s.free, s.waiting...)
	s.waiting = nil
	slices.SortFunc(s.free, func(a, b span) int { return int(a.first) - int(b.first) })
	out := s.free[:1]
	for _, f := range s.free[1:] {
		if last := &out[len(out)-1]; last.first+last.count == f.first {
			last.count += f.count
		} else {
			out = append(out, f)
		}
	}
	s.free = out
}
