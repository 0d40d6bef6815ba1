package plan

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"

	"evenkeel/internal/model"
)

// Plan is a configuration with its names resolved.
type Plan struct {
	Config *model.Config
	// Frontends and Backends are the enabled proxies by name; a `listen`
	// section is in both.
	Frontends map[string]*model.Proxy
	Backends  map[string]*model.Proxy
	// Files are all files that are read at start, in the order of the
	// configuration.
	Files []FileRef

	defaults  map[*model.Proxy]*model.Proxy
	switching map[*model.Proxy][]*model.Proxy
	useServer map[*model.Proxy][]*model.Server
	tracked   map[*model.Server]Tracked
}

// Tracked is the server whose state another one takes.
type Tracked struct {
	Backend *model.Proxy
	Server  *model.Server
}

// DefaultBackend is the backend of a frontend when no rule matched; a `listen`
// section without default_backend is its own. nil: there is none.
func (p *Plan) DefaultBackend(frontend *model.Proxy) *model.Proxy { return p.defaults[frontend] }

// UseBackend is what the frontend's use_backend line i names; nil: its name
// has to be computed for each request.
func (p *Plan) UseBackend(frontend *model.Proxy, i int) *model.Proxy {
	return p.switching[frontend][i]
}

// UseServer is what the backend's use-server line i names; nil: its name has
// to be computed for each request.
func (p *Plan) UseServer(backend *model.Proxy, i int) *model.Server { return p.useServer[backend][i] }

// Track is the server that s takes its state from, at the end of a chain.
func (p *Plan) Track(s *model.Server) (Tracked, bool) {
	t, ok := p.tracked[s]
	return t, ok
}

// HasListener says whether there is an address to listen on. Without one,
// HAProxy calls a configuration valid and does not start.
func (p *Plan) HasListener() bool {
	for _, f := range p.Frontends {
		if len(f.Frontend.Binds) > 0 {
			return true
		}
	}
	return false
}

// FileUse says what a file is read as.
type FileUse uint8

const (
	UseErrorFile FileUse = iota
	UseCertificate
	UseCRTList
	UseCA
	UseCRL
	UseTicketKeys
)

// FileRef is a file that is needed at start.
type FileRef struct {
	Pos  model.Pos
	Use  FileUse
	Path string
}

// Options are the plan's view of the machine. A nil function leaves the check
// that needs it out, apart from ReadFile.
type Options struct {
	// ReadFile reads a file (error files); nil: os.ReadFile.
	ReadFile func(name string) ([]byte, error)
	// Stat says whether a file is there; nil: os.Stat.
	Stat func(name string) error
	// LookupUser and LookupGroup find a number; nil: the system's.
	LookupUser  func(name string) (int, error)
	LookupGroup func(name string) (int, error)
	// Resolve says whether a server's host has an address.
	Resolve func(host string) error
	// SSLVerifyNone: verification of servers is off (-dV).
	SSLVerifyNone bool
}

func (o Options) withDefaults() Options {
	if o.ReadFile == nil {
		o.ReadFile = os.ReadFile
	}
	if o.Stat == nil {
		o.Stat = func(name string) error { _, err := os.Stat(name); return err }
	}
	if o.LookupUser == nil {
		o.LookupUser = func(name string) (int, error) {
			u, err := user.Lookup(name)
			if err != nil {
				return 0, err
			}
			return strconv.Atoi(u.Uid)
		}
	}
	if o.LookupGroup == nil {
		o.LookupGroup = func(name string) (int, error) {
			g, err := user.LookupGroup(name)
			if err != nil {
				return 0, err
			}
			return strconv.Atoi(g.Gid)
		}
	}
	return o
}

// Build resolves and checks a configuration with this machine's files.
func Build(cfg *model.Config) (*Plan, model.Diagnostics) { return BuildWith(cfg, Options{}) }

// BuildWith is Build with another view of the machine. It fills cfg in: ids,
// the numbers of users and groups, the bytes of error files. The plan can be
// used only if the diagnostics hold no error.
func BuildWith(cfg *model.Config, opt Options) (*Plan, model.Diagnostics) {
	b := &builder{opt: opt.withDefaults(), plan: &Plan{
		Config: cfg, Frontends: map[string]*model.Proxy{}, Backends: map[string]*model.Proxy{},
		defaults: map[*model.Proxy]*model.Proxy{}, switching: map[*model.Proxy][]*model.Proxy{},
		useServer: map[*model.Proxy][]*model.Server{}, tracked: map[*model.Server]Tracked{},
	}}
	b.index(cfg)
	b.numbers(cfg)
	b.identities(&cfg.Global)
	b.userlists(cfg)
	for _, p := range cfg.Proxies {
		if p.Disabled {
			continue
		}
		b.names(p)
		b.checkProxy(p)
		b.files(p)
	}
	b.errorPages(cfg)
	b.tracking(cfg)
	if cfg.Global.ZeroWarning && len(b.diags) > 0 && !b.diags.HasErrors() {
		b.errorf(cfg.Global.Pos, "mend what the warnings say, or take 'zero-warning' out", "warnings were found, and 'zero-warning' makes them errors")
	}
	return b.plan, b.diags
}

// builder holds the state of one Build.
type builder struct {
	opt   Options
	plan  *Plan
	diags model.Diagnostics
}

func (b *builder) errorf(pos model.Pos, cure, format string, args ...any) {
	b.diags = append(b.diags, model.Diagnostic{Pos: pos, Severity: model.Error, Message: fmt.Sprintf(format, args...), Cure: cure})
}

func (b *builder) warnf(pos model.Pos, cure, format string, args ...any) {
	b.diags = append(b.diags, model.Diagnostic{Pos: pos, Severity: model.Warning, Message: fmt.Sprintf(format, args...), Cure: cure})
}

// index enters the enabled proxies by name.
func (b *builder) index(cfg *model.Config) {
	for _, p := range cfg.Proxies {
		if p.Disabled {
			continue
		}
		if p.Kind&model.KindFrontend != 0 {
			b.plan.Frontends[p.Name] = p
		}
		if p.Kind&model.KindBackend != 0 {
			b.plan.Backends[p.Name] = p
		}
	}
}

// numbers gives out the ids that were not written, in the order of the file,
// and reports those that were written twice.
func (b *builder) numbers(cfg *model.Config) {
	used := map[int]*model.Proxy{}
	for _, p := range cfg.Proxies {
		if p.ID == 0 {
			continue
		}
		if old := used[p.ID]; old != nil {
			b.errorf(p.Pos, "give it another id", "%s %s reuses same custom id as %s %s (declared at %s:%d)", kind(p), p.Name, kind(old), old.Name, old.Pos.File, old.Pos.Line)
			continue
		}
		used[p.ID] = p
	}
	next := 2 // 1 is the runtime API's
	for _, p := range cfg.Proxies {
		if p.ID == 0 {
			for used[next] != nil {
				next++
			}
			p.ID, used[next] = next, p
		}
		next++ // also past one that has an id of its own, as HAProxy does
		b.serverNumbers(p)
		b.bindNumbers(p)
	}
}

func (b *builder) serverNumbers(p *model.Proxy) {
	used := map[int]*model.Server{}
	for _, s := range p.Backend.Servers {
		if s.ID == 0 {
			continue
		}
		if old := used[s.ID]; old != nil {
			b.errorf(s.Pos, "give it another id", "'server %s/%s' : 'id' : custom id %d already used at %s:%d ('server %s')", p.Name, s.Name, s.ID, old.Pos.File, old.Pos.Line, old.Name)
		}
		used[s.ID] = s
	}
	next := 1
	for _, s := range p.Backend.Servers {
		if s.ID == 0 {
			for used[next] != nil {
				next++
			}
			s.ID, used[next] = next, s
		}
		next++
	}
}

func (b *builder) bindNumbers(p *model.Proxy) {
	used := map[int]*model.Bind{}
	for _, l := range p.Frontend.Binds {
		if l.ID == 0 {
			continue
		}
		if old := used[l.ID]; old != nil {
			b.errorf(l.Pos, "give it another id", "'bind %s' : 'id' : custom id %d already used at %s:%d ('bind %s')", l.Text, l.ID, old.Pos.File, old.Pos.Line, old.Text)
		}
		used[l.ID] = l
	}
	next := 1
	for _, l := range p.Frontend.Binds {
		if l.ID == 0 {
			for used[next] != nil {
				next++
			}
			l.ID, used[next] = next, l
		}
		next++
	}
}

// kind is the word for a proxy in messages.
func kind(p *model.Proxy) string {
	switch p.Kind {
	case model.KindFrontend:
		return "frontend"
	case model.KindBackend:
		return "backend"
	}
	return "proxy"
}

func mode(p *model.Proxy) string {
	if p.Mode == model.ModeHTTP {
		return "http"
	}
	return "tcp"
}

// identities turns the names of user and group into numbers.
func (b *builder) identities(g *model.Global) {
	find := func(what, name string, lookup func(string) (int, error), field **int) {
		if name == "" || *field != nil {
			return
		}
		id, err := lookup(name)
		if err != nil {
			b.errorf(g.Pos, "create the "+what+", or name another one", "cannot find %s id for '%s'", what, name)
			return
		}
		*field = &id
	}
	find("user", g.User, b.opt.LookupUser, &g.UID)
	find("group", g.Group, b.opt.LookupGroup, &g.GID)
}

// reason shortens an error about a file to what a reader wants to know.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
