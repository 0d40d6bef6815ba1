package l4

import (
	"slices"

	"evenkeel/internal/l4/maglev"
)

// MaxTurns is how long a table of wrr gets: weights whose turns do not fit are
// scaled down, so that a server's share is off by less than one in so many.
const MaxTurns = 4096

// hashTableSize is how many places IPVS's sh and dh have.
const hashTableSize = 256

// Order is the order in which IPVS keeps a service's servers when they were
// added as listed: it puts each new one first. Ties and turns follow it.
func Order(servers []Server) []int {
	order := make([]int, len(servers))
	for i := range order {
		order[i] = len(servers) - 1 - i
	}
	return order
}

// Table lays down the choices of a scheduler of kind Table: rr and wrr go
// through it and begin again, the hashing ones look a packet's place up. It
// holds indices of servers. Those with weight 0 are in those of sh and dh only,
// where they keep one place; who looks it up has to go on to another one. It is
// nil when no server has a weight, and for other schedulers.
func Table(scheduler string, servers []Server) []int {
	all := Order(servers)
	var order []int
	for _, i := range all {
		if servers[i].Weight > 0 {
			order = append(order, i)
		}
	}
	if len(order) == 0 {
		return nil
	}
	switch scheduler {
	case "rr":
		return order
	case "wrr":
		return turns(order, servers)
	case "sh":
		return buckets(all, func(i int) int { return max(1, servers[i].Weight) })
	case "dh":
		return buckets(all, func(int) int { return 1 }) // it takes no notice of weights
	case "mh":
		members := make([]maglev.Member, len(servers))
		for i, s := range servers {
			members[i] = maglev.Member{Addr: s.Addr.Unmap(), Port: s.Port, Weight: s.Weight}
		}
		return maglev.Table(members, maglev.Size)
	}
	return nil
}

// buckets gives the places of sh and dh out: each server as many in a row as
// its share says, around and around.
func buckets(order []int, share func(int) int) []int {
	table := make([]int, 0, hashTableSize)
	for {
		for _, i := range order {
			for range share(i) {
				table = append(table, i)
				if len(table) == hashTableSize {
					return table
				}
			}
		}
	}
}

// turns is one round of wrr: from the largest weight downwards in steps of
// their greatest common divisor, each server that has at least that weight.
func turns(order []int, servers []Server) []int {
	weights := make([]int, len(servers))
	total := 0
	for _, i := range order {
		weights[i] = servers[i].Weight
		total += weights[i]
	}
	step := divisor(order, weights)
	for total/step > MaxTurns {
		scale := total/MaxTurns + 1
		total = 0
		for _, i := range order {
			weights[i] = max(1, weights[i]/scale)
			total += weights[i]
		}
		step = divisor(order, weights)
		if total <= len(order) {
			break
		}
	}
	var table []int
	for level := slices.Max(weights); level > 0; level -= step {
		for _, i := range order {
			if weights[i] >= level {
				table = append(table, i)
			}
		}
	}
	return table
}

func divisor(order, weights []int) int {
	d := 0
	for _, i := range order {
		a, b := weights[i], d
		for b != 0 {
			a, b = b, a%b
		}
		d = a
	}
	return d
}
