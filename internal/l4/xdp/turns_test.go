package xdp

import (
	"math/rand"
	"slices"
	"testing"

	"evenkeel/internal/l4"
)

// tableOf is what a service of servers with these weights has; their numbers
// are 1 and on, in the order in which they were added.
func tableOf(scheduler string, weights ...int) turns {
	servers := make([]l4.Server, len(weights))
	order := make([]*server, len(weights))
	for i, w := range weights {
		servers[i].Weight = w
		order[i] = &server{id: uint32(i + 1), want: servers[i]}
	}
	var lists [2][]uint32
	for _, i := range l4.Order(servers) {
		lists[0] = append(lists[0], order[i].id)
	}
	for _, i := range l4.Table(scheduler, servers) {
		lists[1] = append(lists[1], order[i].id)
	}
	return turnsOf(scheduler, lists, order)
}

// Levels of tables that had to be scaled down are about where they were.
func TestLevelsOfScaledTables(t *testing.T) {
	was, now := tableOf("wrr", 60000, 7, 30001), tableOf("wrr", 60000, 7, 30002)
	if len(was.table) > l4.MaxTurns || len(was.table) < l4.MaxTurns/2 {
		t.Fatalf("%d turns", len(was.table))
	}
	for at := range was.table {
		got := now.level(was, at, true)
		if at == 0 { // the turn before was the last one
			at = len(was.table)
		}
		if d := got - at; d > len(was.table)/20 || d < -len(was.table)/20 {
			t.Fatalf("of %d turns at %d, afterwards at %d", len(was.table), at, got)
		}
	}
}

// Wherever it is and whatever changes, the next turn is in the table.
func TestTurnsStayInTheTable(t *testing.T) {
	random := rand.New(rand.NewSource(3))
	some := func() []int {
		list := make([]int, 1+random.Intn(6))
		for i := range list {
			list[i] = random.Intn(4) * (1 + random.Intn(9)) * (1 + random.Intn(200))
		}
		return list
	}
	for range 3000 {
		a, b := some(), some()
		for _, scheduler := range []string{"rr", "wrr"} {
			was, now := tableOf(scheduler, a...), tableOf(scheduler, b...)
			if len(now.table) == 0 {
				continue
			}
			for _, at := range []int{-1, 0, len(was.table) / 2, len(was.table) - 1} {
				if at >= len(was.table) || at < 0 && len(was.table) > 0 {
					continue
				}
				got := 0
				if scheduler == "rr" {
					got = now.after(was, at)
				} else {
					got = now.level(was, at, random.Intn(2) == 0)
				}
				if got < 0 || got >= len(now.table) {
					t.Fatalf("%s from %v at %d to %v: turn %d of %d", scheduler, a, at, b, got, len(now.table))
				}
			}
		}
	}
}

// rr goes on behind the server that was last, or the one before that one.
func TestTurnsGoOn(t *testing.T) {
	was := tableOf("rr", 1, 1, 1, 1) // 4 3 2 1
	without := func(gone uint32) turns {
		now := tableOf("rr", 1, 1, 1, 1)
		keep := func(list []uint32) []uint32 {
			return slices.DeleteFunc(list, func(id uint32) bool { return id == gone })
		}
		now.members, now.table = keep(now.members), keep(now.table)
		return now
	}
	for _, c := range []struct {
		next       int // in the table before
		gone, want uint32
	}{{1, 4, 3}, {1, 3, 2}, {1, 2, 3}, {0, 1, 4}, {0, 4, 3}, {3, 2, 1}, {3, 1, 4}} {
		now := without(c.gone)
		if got := now.table[now.after(was, c.next)]; got != c.want {
			t.Errorf("next was %d, %d is removed: %d, want %d", was.table[c.next], c.gone, got, c.want)
		}
	}
}
