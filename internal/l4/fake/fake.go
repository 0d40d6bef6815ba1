package fake

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"evenkeel/internal/l4"
)

// Plane is an l4.Plane that records. Its zero value is ready, and can do
// everything.
type Plane struct {
	// Offers, when not nil, is what Features says.
	Offers *l4.Features
	// Fail, when not nil, is asked before each Set.
	Fail func(l4.Config) error

	mu     sync.Mutex
	config l4.Config
	lines  []string
	counts map[l4.Key]map[l4.ServerKey]l4.ServerStats
	closed bool
}

// Features is Offers, or everything.
func (p *Plane) Features() l4.Features {
	if p.Offers != nil {
		return *p.Offers
	}
	return l4.Features{Name: "fake", PortRanges: true, AnyPort: true, FwMarks: true, SYNLimit: true, Engines: []string{"sip"}}
}

// Set writes down the difference to what was set before.
func (p *Plane) Set(c l4.Config) error {
	if err := c.Validate(p.Features()); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errors.New("the plane is closed")
	}
	if p.Fail != nil {
		if err := p.Fail(c); err != nil {
			return err
		}
	}
	p.compare(p.config, c)
	p.config = clone(c)
	return nil
}

func clone(c l4.Config) l4.Config {
	c.Services = slices.Clone(c.Services)
	for i := range c.Services {
		c.Services[i].Servers = slices.Clone(c.Services[i].Servers)
	}
	return c
}

// compare writes one line for each difference: what is new, then what changed,
// then what is gone.
func (p *Plane) compare(old, now l4.Config) {
	if old.Timeouts.WithDefaults() != now.Timeouts.WithDefaults() {
		t := now.Timeouts.WithDefaults()
		p.line("timeouts tcp %v tcpfin %v udp %v", t.TCP, t.TCPFin, t.UDP)
	}
	for _, s := range now.Services {
		was := find(old, s.Key)
		if was == nil {
			p.line("add %v %s", s.Key, describe(s))
			was = &l4.Service{}
		} else if describe(*was) != describe(s) {
			p.line("edit %v %s", s.Key, describe(s))
		}
		p.compareServers(s.Key, was.Servers, s.Servers)
	}
	for _, s := range old.Services {
		if find(now, s.Key) == nil {
			p.line("delete %v", s.Key)
		}
	}
}

func (p *Plane) compareServers(k l4.Key, old, now []l4.Server) {
	for _, r := range now {
		i := slices.IndexFunc(old, func(o l4.Server) bool { return o.Key() == r.Key() })
		if i < 0 {
			p.line("add %v -> %v %s", k, r.Key(), describeServer(r))
		} else if old[i] != r {
			p.line("edit %v -> %v %s", k, r.Key(), describeServer(r))
		}
	}
	for _, r := range old {
		if !slices.ContainsFunc(now, func(n l4.Server) bool { return n.Key() == r.Key() }) {
			p.line("delete %v -> %v", k, r.Key())
		}
	}
}

func find(c l4.Config, k l4.Key) *l4.Service {
	for i := range c.Services {
		if c.Services[i].Key.Canonical() == k.Canonical() {
			return &c.Services[i]
		}
	}
	return nil
}

func describe(s l4.Service) string {
	text := s.SchedulerName()
	if s.Flags != 0 {
		text += fmt.Sprintf(" flags %d", s.Flags)
	}
	if s.Persistence != 0 {
		text += fmt.Sprintf(" persistent %v", s.Persistence)
		if s.PersistenceMask != 0 {
			text += fmt.Sprintf(" /%d", s.PersistenceMask)
		}
		if s.PersistenceName != "" {
			text += " by " + s.PersistenceName
		}
	}
	if s.OnePacket {
		text += " one-packet"
	}
	if s.SYNLimit != 0 {
		text += fmt.Sprintf(" at most %d SYN/s", s.SYNLimit)
	}
	return text
}

func describeServer(r l4.Server) string {
	text := fmt.Sprintf("%v weight %d", r.Method, r.Weight)
	if r.Method == l4.TUN && r.Tunnel.Type != l4.IPIP {
		text += fmt.Sprintf(" %v %d", r.Tunnel.Type, r.Tunnel.Port)
	}
	if r.Upper != 0 || r.Lower != 0 {
		text += fmt.Sprintf(" thresholds %d %d", r.Upper, r.Lower)
	}
	return text
}

func (p *Plane) line(format string, args ...any) {
	p.lines = append(p.lines, fmt.Sprintf(format, args...))
}

// Text is what was recorded since the last call, a line for each thing.
func (p *Plane) Text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := strings.Join(p.lines, "\n")
	if text != "" {
		text += "\n"
	}
	p.lines = nil
	return text
}

// Config is what was set last.
func (p *Plane) Config() l4.Config {
	p.mu.Lock()
	defer p.mu.Unlock()
	return clone(p.config)
}

// Count makes Stats say this of a server.
func (p *Plane) Count(k l4.Key, s l4.ServerStats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.counts == nil {
		p.counts = make(map[l4.Key]map[l4.ServerKey]l4.ServerStats)
	}
	k = k.Canonical()
	if p.counts[k] == nil {
		p.counts[k] = make(map[l4.ServerKey]l4.ServerStats)
	}
	p.counts[k][s.Server.Key()] = s
}

// Stats is what was set, with the counters that Count gave.
func (p *Plane) Stats() (l4.Snapshot, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return l4.Snapshot{}, errors.New("the plane is closed")
	}
	var all l4.Snapshot
	for _, s := range p.config.Services {
		st := l4.ServiceStats{Service: s}
		st.Service.Servers = nil
		for _, r := range s.Servers {
			one := p.counts[s.Key.Canonical()][r.Key()]
			one.Server = r
			st.Counters.Add(one.Counters)
			st.Servers = append(st.Servers, one)
		}
		all.Counters.Add(st.Counters)
		all.Services = append(all.Services, st)
	}
	return all, nil
}

// Zero forgets counters.
func (p *Plane) Zero(keys ...l4.Key) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(keys) == 0 {
		p.counts = nil
	}
	for _, k := range keys {
		if find(p.config, k) == nil {
			return fmt.Errorf("%v: no such service", k)
		}
		delete(p.counts, k.Canonical())
	}
	return nil
}

// Forget is written down.
func (p *Plane) Forget(k l4.Key, server l4.ServerKey) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line("forget %v -> %v", k, server)
	return nil
}

// Close makes later calls fail.
func (p *Plane) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return nil
}
