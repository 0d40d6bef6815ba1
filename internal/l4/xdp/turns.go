package xdp

import (
	"slices"
)

// turns is the table of rr or wrr, and what it was made of.
type turns struct {
	scheduler string
	members   []uint32 // servers in IPVS's order
	table     []uint32
	weights   map[uint32]int
}

func turnsOf(scheduler string, lists [2][]uint32, order []*server) turns {
	t := turns{scheduler: scheduler, members: lists[0], table: lists[1], weights: make(map[uint32]int, len(order))}
	for _, r := range order {
		t.weights[r.id] = r.want.Weight
	}
	return t
}

// turns are those that a service has now.
func (s *service) turns() turns {
	t := turns{members: s.lists[0], table: s.lists[1], weights: make(map[uint32]int, len(s.servers))}
	for name, n := range schedulerNumbers {
		if n == s.record.Scheduler && s.record.Id != 0 {
			t.scheduler = name
		}
	}
	for _, r := range s.servers {
		t.weights[r.id] = r.want.Weight
	}
	return t
}

// nextTurn is what a service's record adds to the turns that were taken, so
// that the next one is where IPVS would go on.
func (p *Plane) nextTurn(s *service, was, now turns) (uint32, error) {
	if now.scheduler != "rr" && now.scheduler != "wrr" {
		return 0, nil
	}
	if was.scheduler == now.scheduler && slices.Equal(was.table, now.table) && slices.Equal(was.members, now.members) {
		return s.record.Turn, nil
	}
	var state directorServiceState
	if err := p.maps.ServiceStates.Lookup(s.id, &state); err != nil {
		return 0, err
	}
	taken := state.Turn != s.turnAt
	s.turnAt = state.Turn
	if len(now.table) == 0 {
		return 0, nil
	}
	at := -1 // where the next turn was in the table before; -1: there was none
	if n := len(was.table); n > 0 && was.scheduler == now.scheduler {
		at = int((state.Turn + s.record.Turn) % uint32(n))
	}
	start := 0
	switch {
	case now.scheduler == "rr":
		start = now.after(was, at)
	case was.scheduler == now.scheduler || was.scheduler == "":
		start = now.level(was, at, taken)
	}
	n := uint32(len(now.table))
	return (uint32(start) + n - state.Turn%n) % n, nil
}

// after is where rr goes on: behind the server that was taken last, or the one
// that came before it if it was removed.
func (t turns) after(was turns, at int) int {
	if at < 0 {
		return 0
	}
	last := slices.Index(was.members, was.table[(at+len(was.table)-1)%len(was.table)])
	from := -1
	for ; last >= 0 && from < 0; last-- {
		from = slices.Index(t.members, was.members[last])
	}
	for i := range t.members {
		if n := slices.Index(t.table, t.members[(from+1+i)%len(t.members)]); n >= 0 {
			return n
		}
	}
	return 0
}

// wrr has a level: a server has a turn on it if its weight is that much. It
// goes down by step from the highest on and begins again. A change of the
// servers has IPVS begin the level that it was on once more, and adding the
// first servers leaves it on the lowest.

// steps is the greatest common divisor of the weights, and the highest level.
func (t turns) steps() (step, most int) {
	for _, w := range t.weights {
		a, b := w, step
		for b != 0 {
			a, b = b, a%b
		}
		step = a
		most = max(most, w)
	}
	step = max(step, 1)
	return step, most - (step - 1)
}

// levels are the positions in the table at which each level begins. A level
// goes through the members in their order.
func (t turns) levels() (starts []int) {
	place := make(map[uint32]int, len(t.members))
	for i, id := range t.members {
		place[id] = i
	}
	for i, id := range t.table {
		if i == 0 || place[id] <= place[t.table[i-1]] {
			starts = append(starts, i)
		}
	}
	return starts
}

// changed is IPVS's level after a change of the servers.
func changed(level int, t turns) int {
	step, most := t.steps()
	switch {
	case level > most || level == 0:
		return most
	case step > 1:
		return level/step*step + 1
	}
	return level
}

// level is where wrr goes on.
func (t turns) level(was turns, at int, taken bool) int {
	level := 0
	if was.scheduler == "" {
		// The servers were added one after the other.
		for n := len(t.members) - 1; n >= 0; n-- {
			added := turns{weights: make(map[uint32]int)}
			for _, id := range t.members[n:] {
				added.weights[id] = t.weights[id]
			}
			level = changed(level, added)
		}
	} else {
		if at >= 0 {
			level = was.levelAt(at, taken)
		}
		level = changed(level, t)
	}
	step, most := t.steps()
	starts := t.levels()
	// A table that was scaled down has fewer levels.
	down := (most - level) / step * len(starts) / max(1, (most+step-1)/step)
	return starts[min(max(down, 0), len(starts)-1)]
}

// levelAt is the level of the turn before a position, or before any turn was
// taken that of the position itself.
func (t turns) levelAt(at int, taken bool) int {
	if taken {
		at = (at + len(t.table) - 1) % len(t.table)
	}
	starts := t.levels()
	down, found := slices.BinarySearch(starts, at)
	if !found {
		down--
	}
	step, most := t.steps()
	return most - down*((most+step-1)/step)/len(starts)*step
}
