package xdp

import (
	"fmt"
	"slices"
)

// lblc and lblcr remember the servers of each destination address. The programs
// do that, and take what nobody has asked for in a day as forgotten; here it
// makes room for others.

const (
	cachedTicks = 5149841 // bpf/consts.h
	expireEvery = 600     // seconds
)

func remembersDestinations(scheduler uint8) bool {
	return scheduler == schedulerNumbers["lblc"] || scheduler == schedulerNumbers["lblcr"]
}

// forgetDestinations forgets those that which says.
func (p *Plane) forgetDestinations(which func(*directorCachedKey, *directorCached) bool) error {
	keys, values := make([]directorCachedKey, batch), make([]directorCached, batch)
	var list []directorCachedKey
	_, err := walkMap(p.maps.Cacheds, keys, values, func(i int) bool {
		if which(&keys[i], &values[i]) {
			list = append(list, keys[i])
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("destinations: %w", err)
	}
	for i := range list {
		if err := unlessAbsent(p.maps.Cacheds.Delete(&list[i])); err != nil {
			return fmt.Errorf("destinations: %w", err)
		}
	}
	return nil
}

// forgetServers forgets the destinations of servers whose places are free: the
// next one that gets such a place is another.
func (p *Plane) forgetServers(places []uint32) {
	caching := slices.ContainsFunc(p.order, func(s *service) bool { return remembersDestinations(s.record.Scheduler) })
	if len(places) == 0 || !caching {
		return
	}
	err := p.forgetDestinations(func(_ *directorCachedKey, c *directorCached) bool {
		return slices.ContainsFunc(places, func(id uint32) bool { return slices.Contains(c.Dest[:], id) })
	})
	if err != nil {
		p.opts.Log.Error("lblc", "error", err)
	}
}

// expireDestinations forgets those that nobody has asked for in a day.
func (p *Plane) expireDestinations() {
	clock := now()
	err := p.forgetDestinations(func(_ *directorCachedKey, c *directorCached) bool {
		return int32(clock-c.Used) >= cachedTicks
	})
	if err != nil {
		p.opts.Log.Error("lblc", "error", err)
	}
}
