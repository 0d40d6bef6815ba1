package plan

import (
	"slices"
	"strings"

	"evenkeel/internal/model"
)

// names resolves what a proxy refers to by name.
func (b *builder) names(p *model.Proxy) {
	if p.Kind&model.KindFrontend != 0 {
		b.defaultBackend(p)
		b.useBackend(p)
	}
	if p.Kind&model.KindBackend != 0 {
		b.useServerNames(p)
	}
}

func (b *builder) defaultBackend(p *model.Proxy) {
	name, pos := p.Frontend.DefaultBackend, p.Frontend.DefaultBackendPos
	if name == "" {
		if p.Kind&model.KindBackend != 0 {
			b.plan.defaults[p] = p
		}
		return
	}
	t := b.plan.Backends[name]
	switch {
	case t == nil:
		b.errorf(pos, b.noBackend(name), "Proxy '%s': unable to find required default_backend: '%s'", p.Name, name)
	case t == p:
		b.errorf(pos, "take the line out: a listen section uses its own servers", "Proxy '%s': loop detected for default_backend: '%s'", p.Name, name)
	case incompatible(p, t):
		b.errorf(pos, "give both the same mode", "%s %s '%s' (%s:%d) tries to use incompatible %s %s '%s' (%s:%d) as its default backend (see 'mode')",
			mode(p), kind(p), p.Name, p.Pos.File, p.Pos.Line, mode(t), kind(t), t.Name, t.Pos.File, t.Pos.Line)
	default:
		b.plan.defaults[p] = t
	}
}

// incompatible: a TCP listener may hand over to an HTTP pool, not the other
// way round.
func incompatible(frontend, backend *model.Proxy) bool {
	return frontend.Mode == model.ModeHTTP && backend.Mode == model.ModeTCP
}

// noBackend is the cure for a name that no backend has.
func (b *builder) noBackend(name string) string {
	if f := b.plan.Frontends[name]; f != nil && f.Kind == model.KindFrontend {
		return "'" + name + "' is a frontend: name a backend or listen section"
	}
	for _, p := range b.plan.Config.Proxies {
		if strings.EqualFold(p.Name, name) && p.Kind&model.KindBackend != 0 {
			if p.Disabled {
				return "'" + p.Name + "' is disabled"
			}
			return "names are case sensitive: write '" + p.Name + "'"
		}
	}
	return "add a section 'backend " + name + "'"
}

func (b *builder) useBackend(p *model.Proxy) {
	list := make([]*model.Proxy, len(p.Frontend.UseBackend))
	for i, u := range p.Frontend.UseBackend {
		name, static := u.Name.IsLiteral()
		if !static {
			continue
		}
		t := b.plan.Backends[name]
		switch {
		case t == nil:
			b.errorf(u.Pos, b.noBackend(name), "Proxy '%s': unable to find required use_backend: '%s'", p.Name, name)
		case t == p:
			b.errorf(u.Pos, "take the line out", "Proxy '%s': loop detected for use_backend: '%s'", p.Name, name)
		case incompatible(p, t):
			b.errorf(u.Pos, "give both the same mode", "%s %s '%s' (%s:%d) tries to use incompatible %s %s '%s' (%s:%d) in a 'use_backend' rule (see 'mode')",
				mode(p), kind(p), p.Name, p.Pos.File, p.Pos.Line, mode(t), kind(t), t.Name, t.Pos.File, t.Pos.Line)
		}
		list[i] = t
	}
	b.plan.switching[p] = list
}

func (b *builder) useServerNames(p *model.Proxy) {
	list := make([]*model.Server, len(p.Backend.UseServer))
	for i, u := range p.Backend.UseServer {
		name, static := u.Name.IsLiteral()
		if !static {
			continue
		}
		if list[i] = server(p, name); list[i] == nil {
			b.errorf(u.Pos, serverNames(p), "%s '%s' : unable to find server '%s' referenced in a 'use-server' rule", kind(p), p.Name, name)
		}
	}
	b.plan.useServer[p] = list
}

func server(p *model.Proxy, name string) *model.Server {
	for _, s := range p.Backend.Servers {
		if s.Name == name {
			return s
		}
	}
	return nil
}

func serverNames(p *model.Proxy) string {
	var names []string
	for _, s := range p.Backend.Servers {
		names = append(names, s.Name)
	}
	if len(names) == 0 {
		return "the section has no servers"
	}
	return "its servers are: " + strings.Join(names, ", ")
}

// tracking follows `track` lines to the server that is checked.
func (b *builder) tracking(cfg *model.Config) {
	for _, p := range cfg.Proxies {
		if p.Disabled {
			continue
		}
		for _, s := range p.Backend.Servers {
			if s.Track != "" {
				b.follow(p, s)
			}
		}
	}
}

func (b *builder) follow(p *model.Proxy, s *model.Server) {
	label := "'server " + p.Name + "/" + s.Name + "'"
	seen := []*model.Server{s}
	at := Tracked{p, s}
	for at.Server.Track != "" {
		px, name, two := strings.Cut(at.Server.Track, "/")
		target := at.Backend
		if !two {
			name = px
		} else if target = b.plan.Backends[px]; target == nil {
			b.errorf(s.Pos, "write 'track BACKEND/SERVER'", "%s : unable to find required proxy '%s' for tracking", label, px)
			return
		}
		next := server(target, name)
		if next == nil {
			b.errorf(s.Pos, serverNames(target), "%s : unable to find required server '%s' for tracking", label, name)
			return
		}
		if slices.Contains(seen, next) {
			b.errorf(s.Pos, "let one server of the chain be checked", "%s : unable to track %s/%s as it belongs to a tracking chain looping back to %s/%s", label, target.Name, next.Name, p.Name, s.Name)
			return
		}
		seen = append(seen, next)
		at = Tracked{target, next}
	}
	if !at.Server.Check.Enabled && !at.Server.Agent.Enabled {
		b.errorf(s.Pos, "add 'check' to that server", "%s : unable to use %s/%s for tracking as it does not have any check nor agent enabled", label, at.Backend.Name, at.Server.Name)
		return
	}
	if p != at.Backend && p.Backend.Check.DisableOn404 != at.Backend.Backend.Check.DisableOn404 {
		b.errorf(s.Pos, "write 'http-check disable-on-404' in both, or in none", "%s : unable to use %s/%s for tracking: disable-on-404 option inconsistency", label, at.Backend.Name, at.Server.Name)
		return
	}
	b.plan.tracked[s] = at
}

// userlists checks that users and groups know each other, and enters the
// users that only the groups name.
func (b *builder) userlists(cfg *model.Config) {
	for _, l := range cfg.Userlists {
		for i := range l.Users {
			u := &l.Users[i]
			for _, g := range u.Groups {
				if !slices.ContainsFunc(l.Groups, func(x model.UserGroup) bool { return x.Name == g }) {
					b.errorf(u.Pos, "add 'group "+g+"' to the userlist", "userlist '%s': no such group '%s' specified in user '%s'", l.Name, g, u.Name)
				}
			}
		}
		for _, g := range l.Groups {
			for _, name := range g.Users {
				i := slices.IndexFunc(l.Users, func(u model.User) bool { return u.Name == name })
				if i < 0 {
					b.errorf(g.Pos, "add 'user "+name+" …' to the userlist", "userlist '%s': no such user '%s' specified in group '%s'", l.Name, name, g.Name)
				} else if !slices.Contains(l.Users[i].Groups, g.Name) {
					l.Users[i].Groups = append(l.Users[i].Groups, g.Name)
				}
			}
		}
	}
}
