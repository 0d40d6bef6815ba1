package certs

import (
	"crypto/tls"
	"sync/atomic"
	"time"
)

// variant is one set of settings of a bind line: its own, or those of a
// crt-list line.
type variant struct {
	cfg *tls.Config
	// bare is cfg without ALPN, for clients that know none of our protocols:
	// HAProxy goes on without where crypto/tls would give up.
	bare *tls.Config
}

// listener is the TLS side of one bind line.
type listener struct {
	// Set once.
	entries []*entry
	main    *variant
	more    []*variant // of crt-list lines
	strict  bool
	refuse  *tls.Config // has no certificate: the client is told that the name is not known
	now     func() time.Time
	tickets *tickets // nil: no tickets, or keys from a file

	table atomic.Pointer[table]
}

// finish ties the settings to the choice of certificates. The settings may
// not change any more.
func (b *listener) finish() {
	b.table.Store(newTable(b.entries))
	b.refuse = &tls.Config{SessionTicketsDisabled: true}
	var only *variant
	hooked := b.strict || len(b.more) > 0
	for _, v := range append([]*variant{b.main}, b.more...) {
		if len(b.more) > 0 {
			only = v
		}
		hooked = hooked || len(v.cfg.NextProtos) > 0
		v.cfg.GetCertificate = b.certificate(only)
		v.bare = v.cfg.Clone()
		v.bare.NextProtos = nil
	}
	if hooked {
		b.main.cfg.GetConfigForClient = b.configFor
	}
}

// certificate gives GetCertificate of a variant.
func (b *listener) certificate(only *variant) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if b.tickets != nil {
			b.tickets.rotateIfDue()
		}
		c := b.table.Load().pick(clientHello{h}, b.strict, only)
		if c == nil {
			return nil, nil // crypto/tls answers unrecognized_name
		}
		return c.cert.at(b.now), nil
	}
}

func (b *listener) configFor(h *tls.ClientHelloInfo) (*tls.Config, error) {
	v := b.main
	if b.strict || len(b.more) > 0 {
		c := b.table.Load().pick(clientHello{h}, b.strict, nil)
		if c == nil {
			return b.refuse, nil
		}
		v = c.variant
	}
	if len(h.SupportedProtos) > 0 && len(v.cfg.NextProtos) > 0 && !overlap(h.SupportedProtos, v.cfg.NextProtos) {
		return v.bare, nil
	}
	if v == b.main {
		return nil, nil
	}
	return v.cfg, nil
}

func overlap(a, b []string) bool {
	for _, x := range a {
		if contains(b, x) {
			return true
		}
	}
	return false
}

// presented is a client after its handshake.
type presented struct{ cs *tls.ConnectionState }

func (p presented) name() string { return p.cs.ServerName }

// supports reads the kind of key from the suite, which TLS 1.3 does not tell;
// there the preferred kind was used by all but very odd clients.
func (p presented) supports(c *tls.Certificate) bool {
	if p.cs.Version >= tls.VersionTLS13 {
		return true
	}
	ecdsa := kindOf(c.Leaf) != kindRSA
	for i := range suites {
		if suites[i].id == p.cs.CipherSuite {
			return suites[i].is("ECDSA") == ecdsa
		}
	}
	return true
}
