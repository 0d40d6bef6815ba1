package ipvs

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"evenkeel/internal/l4"
)

// Options of a Plane.
type Options struct {
	// Flush removes what others have put into the kernel's table at the first
	// Set (keepalived's lvs_flush). Without it such services are left alone,
	// unless the configuration has one of the same key: that one is taken over.
	Flush bool
	// Clear removes our services on Close; without it forwarding goes on.
	Clear bool
	// Proc is where sysctls are. "": /proc/sys.
	Proc string
}

// Plane is the kernel's IPVS as an l4.Plane.
type Plane struct {
	client  *Client
	options Options

	mu    sync.Mutex
	set   bool // Set was called with success
	order []l4.Key
	last  map[l4.Key]l4.Service // what was set, by key
	ours  map[l4.Key]bool       // services that we made or took over, also those half done
	on    map[string]bool       // switches that we turned on
}

// Open connects to the IPVS of the network namespace of the calling thread.
// Why it cannot is told in words of Probe.
func Open(o Options) (*Plane, error) {
	client, err := Dial()
	if err != nil {
		if missing := Probe(); len(missing) > 0 {
			return nil, errors.New(strings.Join(missing, "; "))
		}
		return nil, err
	}
	return newPlane(client, o), nil
}

func newPlane(c *Client, o Options) *Plane {
	if o.Proc == "" {
		o.Proc = "/proc/sys"
	}
	return &Plane{client: c, options: o, ours: map[l4.Key]bool{}}
}

// Client is the plane's connection, for what goes beyond l4.Plane.
func (p *Plane) Client() *Client { return p.client }

// Features is what IPVS can do.
func (p *Plane) Features() l4.Features { return Features() }

// Features is what IPVS can do, where nothing is missing.
func Features() l4.Features {
	return l4.Features{Name: "ipvs", Methods: []l4.Method{l4.NAT, l4.DR, l4.TUN, l4.Local},
		FwMarks: true, Engines: []string{"sip"}}
}

// Set makes the kernel's table agree.
func (p *Plane) Set(c l4.Config) error {
	if err := c.Validate(Features()); err != nil {
		return err
	}
	for i := range c.Services {
		if err := sameMarks(&c.Services[i]); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	have, err := p.client.Services()
	if err != nil {
		return err
	}
	ours := p.ours
	if p.options.Flush && !p.set {
		ours = map[l4.Key]bool{}
		for i := range have {
			ours[have[i].Key.Canonical()] = true
		}
	}
	steps := difference(have, c.Services, ours)
	for i := range c.Services {
		p.ours[c.Services[i].Key.Canonical()] = true
	}
	if err := p.setTimeouts(c.Timeouts); err != nil {
		return err
	}
	if err := p.setSysctls(c); err != nil {
		return err
	}
	var errs []error
	for _, s := range steps {
		errs = append(errs, p.apply(s))
	}
	if err := errors.Join(errs...); err != nil {
		return err // what was done stays; the next Set finds out what is left
	}
	p.remember(c)
	return nil
}

// sameMarks finds what the kernel's keys cannot tell apart.
func sameMarks(s *l4.Service) error {
	seen := map[l4.ServerKey]bool{}
	for _, r := range s.Servers {
		k := normalServer(s.Key.Canonical(), r).Key()
		if seen[k] {
			return fmt.Errorf("%v: server %v is there twice, once with the service's port as its own", s.Key, k)
		}
		seen[k] = true
	}
	return nil
}

func (p *Plane) remember(c l4.Config) {
	p.set = true
	p.order = p.order[:0]
	p.last = make(map[l4.Key]l4.Service, len(c.Services))
	p.ours = make(map[l4.Key]bool, len(c.Services))
	for _, s := range c.Services {
		k := s.Key.Canonical()
		p.order = append(p.order, k)
		p.last[k] = s
		p.ours[k] = true
	}
}

// apply does one step. What somebody else has done meanwhile is no error.
func (p *Plane) apply(s step) error {
	c := p.client
	switch s.kind {
	case addService:
		err := c.AddService(s.service)
		if errors.Is(err, syscall.EEXIST) {
			err = c.EditService(s.service)
		}
		return lacksScheduler(err, s.service)
	case editService:
		return lacksScheduler(c.EditService(s.service), s.service)
	case deleteService:
		return except(c.DeleteService(s.key), syscall.ESRCH)
	case addServer:
		err := c.AddServer(s.key, s.server)
		if errors.Is(err, syscall.EEXIST) {
			err = c.EditServer(s.key, s.server)
		}
		return err
	case editServer:
		return c.EditServer(s.key, s.server)
	default:
		return except(c.DeleteServer(s.key, s.remove), syscall.ENOENT)
	}
}

func except(err error, harmless syscall.Errno) error {
	if errors.Is(err, harmless) {
		return nil
	}
	return err
}

// lacksScheduler says what ENOENT means for a service.
func lacksScheduler(err error, s l4.Service) error {
	if !errors.Is(err, syscall.ENOENT) {
		return err
	}
	what := fmt.Sprintf("scheduler %s (modprobe ip_vs_%s)", s.SchedulerName(), s.SchedulerName())
	if s.PersistenceName != "" {
		what += fmt.Sprintf(" or persistence engine %s (modprobe ip_vs_pe_%s)", s.PersistenceName, s.PersistenceName)
	}
	return fmt.Errorf("%w: the kernel has no %s", err, what)
}

// setTimeouts changes what differs.
func (p *Plane) setTimeouts(t l4.Timeouts) error {
	t = t.WithDefaults()
	t = l4.Timeouts{TCP: wholeSeconds(t.TCP), TCPFin: wholeSeconds(t.TCPFin), UDP: wholeSeconds(t.UDP)}
	have, err := p.client.Timeouts()
	if err != nil {
		return err
	}
	if have == t {
		return nil
	}
	return p.client.SetTimeouts(t)
}

func wholeSeconds(d time.Duration) time.Duration { return time.Duration(seconds(d)) * time.Second }

// setSysctls turns those switches of IPVS on that a configuration wants on, and
// off again when it does not want them any more. What the host's own settings
// have turned on stays so.
func (p *Plane) setSysctls(c l4.Config) error {
	for _, s := range []struct {
		name string
		on   bool
	}{{"expire_nodest_conn", c.ExpireNoDestination}, {"expire_quiescent_template", c.ExpireQuiescent}, {"sloppy_tcp", c.SloppyTCP}} {
		path := p.options.Proc + "/net/ipv4/vs/" + s.name
		value := "0"
		if s.on {
			value = "1"
		} else if !p.on[s.name] {
			continue
		}
		now, err := os.ReadFile(path)
		if err == nil && strings.TrimSpace(string(now)) == value {
			continue
		}
		if err := os.WriteFile(path, []byte(value), 0); err != nil {
			return fmt.Errorf("IPVS: %s=%s: %w", s.name, value, err)
		}
		if p.on == nil {
			p.on = map[string]bool{}
		}
		p.on[s.name] = s.on
	}
	return nil
}

// Stats reads the counters of our services, in the order of the last Set.
func (p *Plane) Stats() (l4.Snapshot, error) {
	var out l4.Snapshot
	have, err := p.client.Services()
	if err != nil {
		return out, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	table := make(map[l4.Key]*l4.ServiceStats, len(have))
	for i := range have {
		table[have[i].Key.Canonical()] = &have[i]
	}
	for _, k := range p.order {
		h := table[k]
		if h == nil {
			continue // somebody removed it
		}
		s := l4.ServiceStats{Service: p.last[k], Counters: h.Counters, Rates: h.Rates}
		servers := s.Service.Servers
		s.Service.Servers = nil
		for _, w := range servers {
			key := normalServer(k, w).Key()
			for i := range h.Servers {
				if h.Servers[i].Key() == key {
					r := h.Servers[i]
					r.Server = w
					s.Servers = append(s.Servers, r)
				}
			}
		}
		out.Services = append(out.Services, s)
		out.Counters.Add(s.Counters)
		out.Rates.Add(s.Rates)
	}
	return out, nil
}

// Flows lists the kernel's connections, also those of services that are not
// ours.
func (p *Plane) Flows(yield func(l4.Flow) bool) error { return p.client.Flows(yield) }

// Zero sets counters back.
func (p *Plane) Zero(keys ...l4.Key) error { return p.client.Zero(keys...) }

// Close ends the connection to the kernel, which goes on forwarding unless
// Options.Clear says otherwise.
func (p *Plane) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	if p.options.Clear {
		for _, k := range p.order {
			errs = append(errs, except(p.client.DeleteService(k), syscall.ESRCH))
		}
		p.order = nil
	}
	return errors.Join(append(errs, p.client.Close())...)
}
