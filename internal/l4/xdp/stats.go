package xdp

import (
	"errors"
	"fmt"
	"slices"

	"evenkeel/internal/l4"
)

// rateEvery is how many seconds apart counters are sampled for rates; each
// sample counts a quarter, as in IPVS.
const rateEvery = 2

// rate is a running average of what counters grow by in a second.
type rate struct {
	last l4.Counters
	now  l4.Rates
	seen bool // last is something
}

func (r *rate) sample(c l4.Counters) {
	if !r.seen {
		// What an earlier process has counted did not come in this moment.
		r.last, r.seen = c, true
		return
	}
	step := func(rate *uint64, now, last uint64) {
		if now < last {
			now = last // it was set back
		}
		grown := (now - last) / rateEvery
		*rate = uint64(int64(*rate) + (int64(grown)-int64(*rate))/4)
		if *rate < 4 && grown == 0 {
			*rate = 0
		}
	}
	step(&r.now.Connections, c.Connections, r.last.Connections)
	step(&r.now.PacketsIn, c.PacketsIn, r.last.PacketsIn)
	step(&r.now.PacketsOut, c.PacketsOut, r.last.PacketsOut)
	step(&r.now.BytesIn, c.BytesIn, r.last.BytesIn)
	step(&r.now.BytesOut, c.BytesOut, r.last.BytesOut)
	r.last = c
}

// counters is what a place has counted on all CPUs.
func (p *Plane) counters(id uint32) (l4.Counters, error) {
	var each []directorCounters
	if err := p.maps.DestCounters.Lookup(id, &each); err != nil {
		return l4.Counters{}, fmt.Errorf("counters: %w", err)
	}
	var sum l4.Counters
	for _, c := range each {
		sum.Add(l4.Counters{Connections: c.Connections, PacketsIn: c.PacketsIn, PacketsOut: c.PacketsOut, BytesIn: c.BytesIn, BytesOut: c.BytesOut})
	}
	return sum, nil
}

func minus(a, b l4.Counters) l4.Counters {
	return l4.Counters{
		Connections: a.Connections - b.Connections,
		PacketsIn:   a.PacketsIn - b.PacketsIn, PacketsOut: a.PacketsOut - b.PacketsOut,
		BytesIn: a.BytesIn - b.BytesIn, BytesOut: a.BytesOut - b.BytesOut,
	}
}

// sample brings the rates up to date.
func (p *Plane) sample() {
	var total l4.Counters
	for _, s := range p.order {
		sum := s.retired
		for _, r := range s.order {
			c, err := p.counters(r.id)
			if err != nil {
				continue
			}
			r.rate.sample(c)
			sum.Add(minus(c, r.base))
		}
		s.rate.sample(sum)
		total.Add(sum)
	}
	total.Add(p.retired)
	p.total.sample(total)
}

// Stats is what was forwarded so far.
func (p *Plane) Stats() (l4.Snapshot, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return l4.Snapshot{}, errors.New("the plane is closed")
	}
	snapshot := l4.Snapshot{Counters: p.retired, Rates: p.total.now, Trouble: p.unmarked}
	for _, s := range p.order {
		st := l4.ServiceStats{Service: s.want, Counters: s.retired, Rates: s.rate.now}
		st.Service.Servers = nil
		for _, r := range s.order {
			one, err := p.serverStats(r)
			if err != nil {
				return snapshot, fmt.Errorf("%v: %v: %w", s.key, r.key, err)
			}
			st.Counters.Add(one.Counters)
			st.Servers = append(st.Servers, one)
		}
		snapshot.Counters.Add(st.Counters)
		snapshot.Services = append(snapshot.Services, st)
	}
	var err error
	if snapshot.Flows, err = p.remembered(); err != nil {
		return snapshot, err
	}
	snapshot.Drops, err = p.drops()
	return snapshot, err
}

func (p *Plane) serverStats(r *server) (l4.ServerStats, error) {
	c, err := p.counters(r.id)
	if err != nil {
		return l4.ServerStats{}, err
	}
	var n directorDestState
	if err := p.maps.DestStates.Lookup(r.id, &n); err != nil {
		return l4.ServerStats{}, err
	}
	return l4.ServerStats{
		Server: r.want, Counters: minus(c, r.base), Rates: r.rate.now,
		Active: int(int32(n.Active)), Inactive: int(int32(n.Inactive)), Persistent: int(int32(n.Persistent)),
		Overloaded: n.Overloaded != 0,
	}, nil
}

// drops counts by reason what was not forwarded.
func (p *Plane) drops() (map[string]uint64, error) {
	counts := make(map[string]uint64)
	for why := 1; why < len(dropNames); why++ {
		var each []uint64
		if err := p.maps.Drops.Lookup(uint32(why), &each); err != nil {
			return nil, fmt.Errorf("drops: %w", err)
		}
		for _, n := range each {
			if n != 0 {
				counts[dropNames[why]] += n
			}
		}
	}
	return counts, nil
}

// Zero sets counters back, of these services or of all.
func (p *Plane) Zero(keys ...l4.Key) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := len(keys) == 0
	for i := range keys {
		keys[i] = keys[i].Canonical()
		if p.services[keys[i]] == nil {
			return fmt.Errorf("%v: no such service", keys[i])
		}
	}
	for _, s := range p.order {
		if !all && !slices.Contains(keys, s.key) {
			continue
		}
		s.retired = l4.Counters{}
		for _, r := range s.order {
			c, err := p.counters(r.id)
			if err != nil {
				return err
			}
			r.base = c
		}
	}
	if all {
		p.retired = l4.Counters{}
	}
	return nil
}
