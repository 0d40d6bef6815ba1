package real

import (
	"errors"
	"net/netip"
	"reflect"

	"evenkeel/internal/health/checks"
	"evenkeel/internal/model"
)

// Plan is a configuration whose checkers are compiled. It can be given to one
// Runner, once.
type Plan struct {
	services []*plannedService
	// announce: rs_init_notifies, servers that are taken for up at the start are
	// told as up.
	announce bool
}

type plannedService struct {
	spec      *model.VirtualServer
	key       string
	addresses []netip.Prefix // that ha_suspend looks for
	servers   []*plannedServer
}

type plannedServer struct {
	spec     *model.RealServer
	key      string
	checkers []plannedCheck
}

type plannedCheck struct {
	spec    *model.RealCheck
	checker checks.RealChecker
}

// Compile prepares what a configuration wants checked. On errors in the
// diagnostics the plan is nil.
func Compile(f *model.Failover, env *checks.RealEnv) (*Plan, model.Diagnostics) {
	return compile(f, func(c *model.RealCheck) (checks.RealChecker, error) { return checks.CompileReal(c, env) })
}

func compile(f *model.Failover, checker func(*model.RealCheck) (checks.RealChecker, error)) (p *Plan, ds model.Diagnostics) {
	p = &Plan{announce: f.ServerInitNotify}
	groups := map[string]*model.VirtualServerGroup{}
	for _, g := range f.ServerGroups {
		groups[g.Name] = g
	}
	seen := map[string]bool{}
	for _, v := range f.VirtualServers {
		s := &plannedService{spec: v, key: Name(v), addresses: addressesOf(v, groups[v.Group])}
		if seen[s.key] {
			ds.Warnf(v.Pos, "there is another virtual_server %s: the first is used", s.key)
			continue
		}
		seen[s.key] = true
		inside := map[string]bool{}
		for _, r := range v.Real {
			x := &plannedServer{spec: r, key: address(r)}
			if inside[x.key] {
				ds.Warnf(r.Pos, "virtual_server %s has another real_server %s: the first is used", s.key, x.key)
				continue
			}
			inside[x.key] = true
			for _, c := range r.Checkers {
				k, err := checker(c)
				if err != nil {
					at, text := c.Pos, err.Error()
					if e := (*checks.RealError)(nil); errors.As(err, &e) {
						at, text = e.Pos, e.Message
					}
					ds.Errorf(at, "%s", text)
					continue
				}
				x.checkers = append(x.checkers, plannedCheck{c, k})
			}
			s.servers = append(s.servers, x)
		}
		p.services = append(p.services, s)
	}
	if ds.HasErrors() {
		return nil, ds
	}
	return p, ds
}

// addressesOf is what a virtual server answers on; marks are no addresses.
func addressesOf(v *model.VirtualServer, g *model.VirtualServerGroup) (list []netip.Prefix) {
	add := func(a netip.Addr) {
		if a.IsValid() {
			list = append(list, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	add(v.Addr)
	if g == nil {
		return list
	}
	for _, m := range g.Members {
		if !m.First.IsValid() {
			continue
		}
		last := m.Last
		if !last.IsValid() {
			last = m.First
		}
		list = append(list, spanning(m.First, last)...)
	}
	return list
}

// spanning gives the prefixes that cover the addresses from first to last.
func spanning(first, last netip.Addr) (list []netip.Prefix) {
	for a := first; a.IsValid() && a.Compare(last) <= 0; {
		bits := a.BitLen()
		for bits > 0 {
			wider := netip.PrefixFrom(a, bits-1)
			if wider.Masked().Addr() != a || end(wider).Compare(last) > 0 {
				break
			}
			bits--
		}
		p := netip.PrefixFrom(a, bits)
		list = append(list, p)
		a = end(p).Next()
	}
	return list
}

// end is the last address of a prefix.
func end(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// asks compares what two blocks ask, without their place in the file; timing
// says whether how often and how long counts too.
func asks(a, b *model.RealCheck, timing bool) bool {
	x, y := bare(*a), bare(*b)
	if !timing {
		for _, c := range []*model.RealCheck{&x, &y} {
			c.Interval, c.Retry, c.DelayBeforeRetry, c.Warmup, c.Alpha, c.Log = 0, 0, 0, 0, false, false
		}
	}
	return reflect.DeepEqual(x, y)
}

// bare is a block without positions.
func bare(c model.RealCheck) model.RealCheck {
	c.Pos = model.Pos{}
	if c.HTTP != nil {
		h := *c.HTTP
		h.URLs = make([]*model.CheckURL, len(c.HTTP.URLs))
		for i, u := range c.HTTP.URLs {
			x := *u
			x.Pos = model.Pos{}
			h.URLs[i] = &x
		}
		c.HTTP = &h
	}
	if c.Script != nil {
		s := *c.Script
		s.Command.Pos = model.Pos{}
		if s.Command.User != nil {
			u := *s.Command.User
			u.Pos = model.Pos{}
			s.Command.User = &u
		}
		c.Script = &s
	}
	return c
}
