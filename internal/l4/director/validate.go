package director

import (
	"errors"
	"strings"

	"evenkeel/internal/l4"
	"evenkeel/internal/model"
)

// validate says what a plane with these features cannot forward, each at its
// line. cure is added to what another plane could do: see elsewhere.
func (p *plan) validate(f l4.Features, other []l4.Features) (d model.Diagnostics) {
	whole := p.globals
	for _, v := range p.virtuals {
		if len(v.keys) == 0 {
			continue
		}
		bare := v.bare(v.keys[0])
		wrong := p.judge(bare, nil, f)
		for _, text := range wrong {
			d = append(d, model.Diagnostic{Pos: v.spec.Pos, Severity: model.Error, Message: title(v.spec) + ": " + text, Cure: p.elsewhere(bare, nil, other)})
		}
		if len(wrong) > 0 {
			continue
		}
		d = append(d, p.validateServers(v, f, other)...)
		for _, k := range v.keys {
			whole.Services = append(whole.Services, v.bare(k))
		}
	}
	if d.HasErrors() {
		return d
	}
	if err := whole.Validate(f); err != nil {
		for _, text := range split(err) {
			d.Errorf(p.place(text), "%s", text)
		}
	}
	return d
}

// marks warns of services whose packets a plane does not see as theirs here.
func (p *plan) marks(b *Backend) (d model.Diagnostics) {
	if b.Marks == nil {
		return nil
	}
	here := map[l4.Family][]string{} // the same for all of them
	for _, v := range p.virtuals {
		told := map[l4.Family]bool{}
		for _, k := range v.keys {
			f := k.AddressFamily()
			if k.FwMark == 0 || told[f] {
				continue
			}
			told[f] = true
			missing, asked := here[f]
			if !asked {
				missing = b.Marks(f)
				here[f] = missing
			}
			if len(missing) > 0 {
				d = append(d, model.Diagnostic{Pos: v.spec.Pos, Severity: model.Warning,
					Message: title(v.spec) + ": " + unseen(b.Name, strings.Join(missing, "; ")),
					Cure:    "or name addresses and ports instead (a virtual_server_group has ranges of both), or write 'lvs_backend ipvs' in global_defs"})
			}
		}
	}
	return d
}

func unseen(name, why string) string {
	return name + " does not see marks of nftables and iptables on packets to this host's own addresses: " + why
}

func (p *plan) validateServers(v *virtual, f l4.Features, other []l4.Features) (d model.Diagnostics) {
	all := append([]*model.RealServer(nil), v.spec.Real...)
	if v.spec.Sorry != nil {
		all = append(all, v.spec.Sorry)
	}
	for _, r := range all {
		used := false
		seen := map[l4.Key]bool{}
		for _, k := range v.keys {
			s, ok := v.server(k, r, max(r.Weight, 0))
			if !ok {
				continue
			}
			used = true
			// What is wrong does not depend on which address of a range it is.
			kind := l4.Key{Port: k.Port, PortLast: k.PortLast, FwMark: min(k.FwMark, 1), Family: k.AddressFamily()}
			if seen[kind] {
				continue
			}
			seen[kind] = true
			bare := v.bare(k)
			wrong := p.judge(bare, &s, f)
			for _, text := range wrong {
				d = append(d, model.Diagnostic{Pos: r.Pos, Severity: model.Error, Message: title(v.spec) + ": " + text, Cure: p.elsewhere(bare, &s, other)})
			}
			if len(wrong) > 0 {
				break // the other members of a group have the same trouble
			}
		}
		if !used {
			d = append(d, model.Diagnostic{Pos: r.Pos, Severity: model.Error,
				Message: title(v.spec) + ": real server " + r.Addr.String() + " is of another family than every address of the service",
				Cure:    "use lvs_method TUN for it, or an address of the same family"})
		}
	}
	return d
}

func (v *virtual) bare(k l4.Key) l4.Service {
	s := v.settings
	s.Key = k
	return s
}

// judge is what is wrong with a service, or with it and one server.
func (p *plan) judge(s l4.Service, r *l4.Server, f l4.Features) []string {
	c := p.globals
	if r != nil {
		s.Servers = []l4.Server{*r}
	}
	c.Services = []l4.Service{s}
	return split(c.Validate(f))
}

// elsewhere says which other plane would do it.
func (p *plan) elsewhere(s l4.Service, r *l4.Server, other []l4.Features) string {
	for _, f := range other {
		if len(p.judge(s, r, f)) == 0 {
			return "write 'lvs_backend " + f.Name + "' in global_defs: " + f.Name + " can do it"
		}
	}
	return ""
}

// place is the line of the service that a text is about.
func (p *plan) place(text string) model.Pos {
	for k, v := range p.owner {
		if strings.HasPrefix(text, k.String()+":") {
			return v.spec.Pos
		}
	}
	return p.model.Pos
}

// split takes joined errors apart.
func split(err error) (list []string) {
	if err == nil {
		return nil
	}
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		for _, e := range joined.Unwrap() {
			list = append(list, e.Error())
		}
		return list
	}
	return []string{err.Error()}
}

func lower(s string) string { return strings.ToLower(s) }
