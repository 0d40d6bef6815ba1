package certs

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"sort"
	"sync"
	"time"

	"evenkeel/internal/model"
)

// Options are how files are read.
type Options struct {
	ReadFile func(name string) ([]byte, error)
	ReadDir  func(name string) ([]string, error)
	// Now is the clock of validity, and of the ticket keys' rotation; nil:
	// time.Now.
	Now func() time.Time
	// SystemRoots are the authorities that @system-ca means; nil: those of
	// crypto/x509.
	SystemRoots func() (*x509.CertPool, error)
}

func (o *Options) setDefaults() {
	if o.ReadFile == nil {
		o.ReadFile = os.ReadFile
	}
	if o.ReadDir == nil {
		o.ReadDir = readDir
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.SystemRoots == nil {
		o.SystemRoots = x509.SystemCertPool
	}
}

func readDir(name string) ([]string, error) {
	entries, err := os.ReadDir(name)
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// Store holds the TLS settings of one configuration.
type Store struct {
	// Set once by Load.
	binds   map[*model.Bind]*listener
	servers map[*model.Server]*upstream
	tickets *tickets
	lists   []crtList
	now     func() time.Time

	mu    sync.Mutex
	files map[string]*file // the map is set once; what the files hold is guarded by mu
}

// crtList is a crt-list file or a directory, as the runtime API shows it.
type crtList struct {
	name  string
	lines []string
}

// loader is the state of Load.
type loader struct {
	o    Options
	cfg  *model.Config
	s    *Store
	d    model.Diagnostics
	cas  map[string]*authorities
	said map[string]bool // warnings that one is enough of

	// Where a problem is reported.
	pos  model.Pos
	what string
}

// Load reads everything that the configuration names.
func Load(cfg *model.Config, o Options) (*Store, model.Diagnostics) {
	o.setDefaults()
	s := &Store{binds: map[*model.Bind]*listener{}, servers: map[*model.Server]*upstream{}, files: map[string]*file{}, now: o.Now}
	s.tickets = newTickets(o.Now)
	l := &loader{o: o, cfg: cfg, s: s, cas: map[string]*authorities{}, said: map[string]bool{}}
	for _, p := range cfg.Proxies {
		for _, b := range p.Frontend.Binds {
			if b.TLS != nil {
				l.bind(p, b)
			}
		}
		if p.Kind&model.KindBackend != 0 {
			for _, m := range p.Backend.Servers {
				l.server(p, m)
			}
		}
	}
	return s, l.d
}

// Bind gives the settings of a bind line; nil: it speaks no TLS.
func (s *Store) Bind(b *model.Bind) *tls.Config {
	if x := s.binds[b]; x != nil {
		return x.main.cfg
	}
	return nil
}

// ServerCertificate is the certificate that a client of a bind line was shown
// (ssl_f_*): found again by its server name, as crypto/tls does not tell. nil:
// not known.
func (s *Store) ServerCertificate(b *model.Bind, cs *tls.ConnectionState) *x509.Certificate {
	x := s.binds[b]
	if x == nil || cs == nil {
		return nil
	}
	if c := x.table.Load().pick(presented{cs}, x.strict, nil); c != nil {
		return c.cert.plain.Leaf
	}
	return nil
}

// TicketKeys are the keys that session tickets are sealed with, the newest
// first, so that the next worker resumes this one's sessions.
func (s *Store) TicketKeys() [][32]byte { return s.tickets.list() }

// SetTicketKeys takes up the keys of the worker before. Listeners with a
// tls-ticket-keys file keep those.
func (s *Store) SetTicketKeys(keys [][32]byte) { s.tickets.set(keys) }

// Files gives what the runtime API sees and changes.
func (s *Store) Files() *Files { return &Files{s} }

// once warns one time for a whole configuration.
func (l *loader) once(key string, f *fault) {
	if !l.said[key] {
		l.said[key] = true
		l.warn(f)
	}
}

// based puts crt-base or ca-base before a relative name.
func based(base, name string) string {
	if base != "" && name != "" && name[0] != '/' && name[0] != '@' {
		if base[len(base)-1] != '/' {
			base += "/"
		}
		return base + name
	}
	return name
}

// source is a crt or a crt-list of a bind line.
type source struct {
	model.CertRef
	list bool
}

// sources are in the order of the line: the first certificate is the default.
func sources(t *model.BindTLS) []source {
	var out []source
	for _, c := range t.Certs {
		out = append(out, source{c, false})
	}
	for _, c := range t.CRTLists {
		out = append(out, source{c, true})
	}
	sort.SliceStable(out, func(i, j int) bool {
		a, b := out[i].Pos, out[j].Pos
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Col < b.Col
	})
	return out
}
