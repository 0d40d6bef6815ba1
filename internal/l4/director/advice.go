package director

import (
	"net/netip"
	"slices"

	"evenkeel/internal/l4"
	"evenkeel/internal/model"
)

// adviser is Backend.Advice.
type adviser func(four, six []l4.Method) []string

// advise tells what the host should have besides, each once, at the first
// virtual server that needs it.
func (p *plan) advise(ask adviser) (d model.Diagnostics) {
	if ask == nil {
		return nil
	}
	told := map[string]bool{}
	for _, v := range p.virtuals {
		for _, text := range ask(v.methods(l4.IPv4), v.methods(l4.IPv6)) {
			if !told[text] {
				told[text] = true
				d.Warnf(v.spec.Pos, "%s", text)
			}
		}
	}
	return d
}

// methods lists the ways that packets of a family are forwarded in, each once.
func (v *virtual) methods(f l4.Family) (list []l4.Method) {
	if !slices.ContainsFunc(v.keys, func(k l4.Key) bool { return k.AddressFamily() == f }) {
		return nil
	}
	all := slices.Clone(v.spec.Real)
	if v.spec.Sorry != nil {
		all = append(all, v.spec.Sorry)
	}
	for _, r := range all {
		name := r.Method
		if name == "" {
			name = v.spec.Method
		}
		if m := methods[name]; !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	return list
}

// lacks is what the host should have besides for what is forwarded now,
// whoever has asked for it.
func (s *Service) lacks(services []l4.ServiceStats) []string {
	if s.used.Backend == nil || s.used.Advice == nil {
		return nil
	}
	var four, six []l4.Method
	for i := range services {
		list := &four
		if services[i].Key.AddressFamily() == l4.IPv6 {
			list = &six
		}
		for k := range services[i].Servers {
			if m := services[i].Servers[k].Method; !slices.Contains(*list, m) {
				*list = append(*list, m)
			}
		}
	}
	return s.used.Advice(four, six)
}

// lacksFor is the same for one change by hand.
func (s *Service) lacksFor(e Edit) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := &e.Service.Key; e.Do == AddService && k.FwMark != 0 && s.used.Backend != nil && s.used.Marks != nil {
		var list []string
		for _, text := range s.used.Marks(k.AddressFamily()) {
			list = append(list, unseen(s.used.Name, text))
		}
		return list
	}
	if e.Do != AddServer && e.Do != EditServer {
		return nil
	}
	x := l4.ServiceStats{}
	x.Key, x.Servers = e.Service.Key, []l4.ServerStats{{Server: e.Server}}
	return s.lacks([]l4.ServiceStats{x})
}

// away says that this host has none of the addresses that a service is reached
// at, so that nobody is sent here who asks the network for them.
func (s *Service) away(keys []l4.Key) bool {
	s.queue.mu.Lock()
	held := s.queue.held
	s.queue.mu.Unlock()
	if held == nil {
		return false
	}
	any := false
	for _, k := range keys {
		if k.FwMark != 0 {
			return false // its addresses are not known
		}
		any = true
		if held(netip.PrefixFrom(k.Addr, k.Addr.BitLen())) {
			return false
		}
	}
	return any
}
