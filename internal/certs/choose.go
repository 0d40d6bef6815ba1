package certs

import (
	"crypto/tls"
	"strings"
)

// entry is one certificate of a bind line, as configured. Set once.
type entry struct {
	file    *file
	filters []string // of the crt-list line; none: the certificate's names
	main    bool     // a default certificate
	variant *variant
}

// candidate is an entry with the certificate that its file holds now.
type candidate struct {
	*entry
	cert     *certificate
	excluded map[string]bool // !names of the line
}

// table answers which certificate a server name gets. It never changes.
type table struct {
	exact    map[string][]*candidate
	wild     map[string][]*candidate // by what follows the *, dot included
	defaults []*candidate
}

// newTable must not run while a file changes.
func newTable(entries []*entry) *table {
	t := &table{exact: map[string][]*candidate{}, wild: map[string][]*candidate{}}
	for _, e := range entries {
		c := &candidate{entry: e, cert: e.file.cert}
		names := e.filters
		if len(names) == 0 {
			names = c.cert.names
		}
		if e.main {
			t.defaults = append(t.defaults, c)
		}
		for _, n := range names {
			t.add(c, n)
		}
	}
	return t
}

func (t *table) add(c *candidate, name string) {
	name, negative := strings.CutPrefix(normalName(name), "!")
	suffix, wild := strings.CutPrefix(name, "*")
	switch {
	case name == "":
	case negative && wild: // no name at all; the line is a default, or nothing
	case negative:
		if c.excluded == nil {
			c.excluded = map[string]bool{}
		}
		c.excluded[name] = true
	case wild && suffix == "":
		if !c.main {
			t.defaults = append(t.defaults, c)
		}
	case wild:
		t.wild[suffix] = append(t.wild[suffix], c)
	default:
		t.exact[name] = append(t.exact[name], c)
	}
}

// hello is what a client says of itself.
type hello interface {
	name() string
	// supports says whether the client can use a certificate.
	supports(c *tls.Certificate) bool
}

// pick gives the certificate for a client, nil: none. As in HAProxy the exact
// and the wildcard names are looked through together, the first certificate of
// each kind of key counts, and ECDSA goes before RSA if the client can use it.
// only leaves out the other variants.
func (t *table) pick(h hello, strict bool, only *variant) *candidate {
	var best [kinds]*candidate
	count := 0
	take := func(list []*candidate, name string) {
		for _, c := range list {
			if best[c.cert.kind] != nil || only != nil && c.variant != only || c.excluded[name] {
				continue
			}
			best[c.cert.kind] = c
			count++
		}
	}
	if name := strings.ToLower(h.name()); name != "" {
		take(t.exact[name], "")
		if i := strings.IndexByte(name, '.'); i >= 0 {
			take(t.wild[name[i:]], name)
		}
	}
	if count == 0 {
		if strict {
			return nil
		}
		take(t.defaults, "")
	}
	if count > 1 {
		for _, c := range best {
			if c != nil && h.supports(c.cert.plain) {
				return c
			}
		}
	}
	// One is left, or none fits: the handshake will say why.
	for _, k := range [kinds]keyKind{kindOther, kindECDSA, kindRSA} {
		if best[k] != nil {
			return best[k]
		}
	}
	return nil
}

// clientHello is a real client.
type clientHello struct{ *tls.ClientHelloInfo }

func (h clientHello) name() string { return h.ServerName }

func (h clientHello) supports(c *tls.Certificate) bool {
	// A crt-list may give a name a certificate that was not made for it.
	anyName := *h.ClientHelloInfo
	anyName.ServerName = ""
	return anyName.SupportsCertificate(c) == nil
}
