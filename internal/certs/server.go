package certs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync"
	"sync/atomic"

	"evenkeel/internal/model"
)

const (
	// sessionsKept is how many sessions a server line remembers: one for each
	// name or address.
	sessionsKept = 256
	// namesKept bounds the settings that are kept for server names.
	namesKept = 1000
)

// upstream is the TLS side of one server line.
type upstream struct {
	// Set once.
	cfg   *tls.Config // nil: only checks speak TLS
	check *tls.Config
	crt   *file // client certificate; nil: none

	client atomic.Pointer[certificate]
	named  sync.Map // server name -> *tls.Config
	count  atomic.Int32
}

// Server gives the settings of a server line; nil: it speaks no TLS.
func (s *Store) Server(m *model.Server) *tls.Config {
	if u := s.servers[m]; u != nil {
		return u.cfg
	}
	return nil
}

// ServerNamed is Server with a server name to ask for; the settings are kept,
// so that a name costs a clone once.
func (s *Store) ServerNamed(m *model.Server, name string) *tls.Config {
	u := s.servers[m]
	if u == nil || u.cfg == nil || name == "" {
		return s.Server(m)
	}
	if c, ok := u.named.Load(name); ok {
		return c.(*tls.Config)
	}
	c := u.cfg.Clone()
	c.ServerName = name
	if u.count.Load() < namesKept {
		u.count.Add(1)
		u.named.Store(name, c)
	}
	return c
}

// CheckTLS gives the settings for health checks of a server, with its
// verification, for a server name and protocols of their own; nil: there are
// none.
func (s *Store) CheckTLS(m *model.Server, sni string, alpn ...string) *tls.Config {
	u := s.servers[m]
	if u == nil {
		return nil
	}
	c := u.check.Clone()
	c.ServerName = sni
	c.NextProtos = alpn
	return c
}

// server makes the settings of one server line.
func (l *loader) server(p *model.Proxy, m *model.Server) {
	t := m.TLS
	if t == nil {
		if !checksSpeakTLS(p, m) {
			return
		}
		if t = m.Check.TLSParams; t == nil {
			t = &model.ServerTLS{}
		}
	}
	u := &upstream{}
	before := len(l.d)
	l.pos, l.what = m.Pos, fmt.Sprintf("'server %s/%s' : ", p.Name, m.Name)
	c := l.serverConfig(t)
	if t.CRT != "" {
		l.clientCertificate(u, c, t.CRT)
	}
	if l.d[before:].HasErrors() {
		return
	}
	u.check = c
	if m.TLS != nil {
		u.cfg = c.Clone()
		if !t.NoReuse {
			u.cfg.ClientSessionCache = tls.NewLRUClientSessionCache(sessionsKept)
		}
		u.cfg.NextProtos = l.alpn(t.ALPN)
	}
	l.s.servers[m] = u
}

func checksSpeakTLS(p *model.Proxy, m *model.Server) bool {
	if m.Check.TLS != nil && *m.Check.TLS {
		return true
	}
	if m.Check.Enabled {
		for _, s := range p.Backend.Check.Steps {
			if s.Kind == model.StepConnect && s.TLS {
				return true
			}
		}
	}
	return false
}

func (l *loader) serverConfig(t *model.ServerTLS) *tls.Config {
	g := &l.cfg.Global
	// Names and chains are verified as HAProxy does it, by VerifyConnection.
	c := &tls.Config{Time: l.o.Now, DynamicRecordSizingDisabled: true, InsecureSkipVerify: true}
	c.MinVersion, c.MaxVersion = versions(t.Versions, g.ServerSSL)
	c.SessionTicketsDisabled = t.Versions.NoTickets || g.ServerSSL.NoTickets
	c.CipherSuites = l.ciphers(first(t.Ciphers, g.ServerCiphers), everySuite())
	l.noCiphersuites(first(t.Ciphersuites, g.ServerCiphersuites))
	all := &authorities{}
	for _, f := range []struct{ keyword, name string }{{"ca-file", t.CAFile}, {"crl-file", t.CRLFile}} {
		if f.name == "" {
			continue
		}
		a, bad := l.authorities(f.name)
		if bad != nil {
			l.fail(&fault{"'" + f.keyword + "' : unable to load " + f.name + ": " + bad.text, bad.cure})
			return c
		}
		all.add(a)
	}
	if t.Verify == "none" || t.Verify == "" && g.ServerVerifyNone {
		return c
	}
	if t.CAFile == "" {
		f := faultf("add 'ca-file FILE' ('ca-file @system-ca' for public authorities), or 'verify none' if the network to the server is trusted",
			"verify is enabled but no CA file specified")
		if t.Verify == "" {
			f.text = "verify is enabled by default but no CA file specified"
		}
		l.fail(f)
		return c
	}
	tr := newTrust(all, x509.ExtKeyUsageServerAuth, l.o.Now)
	l.checkTrust(tr, all, t.CAFile, t.CRLFile)
	host := t.VerifyHost
	c.VerifyConnection = func(cs tls.ConnectionState) error { return tr.checkServer(cs, host) }
	return c
}

// clientCertificate is what servers get that ask for one.
func (l *loader) clientCertificate(u *upstream, c *tls.Config, name string) {
	o, bad := l.open(name)
	if bad == nil && (o.dir || len(o.files) != 1) {
		bad = faultf("name one PEM file with certificate and key", "'%s' is not one certificate", name)
	}
	if bad != nil {
		l.fail(&fault{"'crt' : " + bad.text, bad.cure})
		return
	}
	u.crt = o.files[0]
	u.client.Store(u.crt.cert)
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return u.client.Load().plain, nil
	}
}
