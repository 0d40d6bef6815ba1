package certs

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"strings"
	"time"
)

// keyKind orders certificates as the choice prefers them.
type keyKind uint8

const (
	kindECDSA keyKind = iota
	kindRSA
	kindOther
	kinds
)

// parts are the pieces that a certificate is made of; a runtime change
// replaces some of them.
type parts struct {
	certs []*x509.Certificate // leaf first
	key   signer
	ocsp  []byte // DER, as stapled
	sctl  []byte
}

// certificate is one certificate ready for use. It never changes.
type certificate struct {
	chain []*x509.Certificate
	key   signer
	kind  keyKind
	names []string // lower case: CN and SANs
	plain *tls.Certificate
	// stapled has the OCSP response too, and is used until the response ends.
	stapled      *tls.Certificate
	stapledUntil int64 // Unix seconds
}

// at gives the certificate for a handshake now.
func (c *certificate) at(now func() time.Time) *tls.Certificate {
	if c.stapled != nil && now().Unix() < c.stapledUntil {
		return c.stapled
	}
	return c.plain
}

// assemble checks that the pieces fit. warnings are faults that do not keep
// the certificate from being used.
func (p *parts) assemble(name string, now time.Time) (c *certificate, warnings []*fault, err *fault) {
	if len(p.certs) == 0 {
		return nil, nil, faultf("put the certificate, its chain and the key into one file", "no certificate in '%s'", name)
	}
	leaf := p.certs[0]
	if p.key == nil {
		return nil, nil, faultf("append the key to the file or put it in '"+name+".key'", "no private key in '%s'", name)
	}
	if err := p.matches(name); err != nil {
		return nil, nil, err
	}
	c = &certificate{chain: p.certs, key: p.key, names: namesOf(leaf), kind: kindOf(leaf)}
	t := &tls.Certificate{PrivateKey: p.key, Leaf: leaf}
	for _, x := range p.certs {
		t.Certificate = append(t.Certificate, x.Raw)
	}
	if now.After(leaf.NotAfter) {
		warnings = append(warnings, faultf("renew it", "the certificate in '%s' expired on %s", name, leaf.NotAfter.UTC().Format(time.DateTime)))
	} else if now.Before(leaf.NotBefore) {
		warnings = append(warnings, faultf("check the clock", "the certificate in '%s' is valid from %s on only", name, leaf.NotBefore.UTC().Format(time.DateTime)))
	}
	if len(p.sctl) > 0 {
		list, ok := splitSCTL(p.sctl)
		if !ok {
			return nil, nil, faultf("", "'%s.sctl' is not a list of signed certificate timestamps", name)
		}
		t.SignedCertificateTimestamps = list
	}
	c.plain = t
	if len(p.ocsp) > 0 {
		until, why := checkOCSP(p.ocsp, leaf, now)
		if why != "" {
			warnings = append(warnings, faultf("fetch a new one", "the OCSP response in '%s.ocsp' is not used: %s", name, why))
		} else {
			s := *t
			s.OCSPStaple = p.ocsp
			c.stapled, c.stapledUntil = &s, until.Unix()
		}
	}
	return c, warnings, nil
}

func (p *parts) matches(name string) *fault {
	if samePublicKey(p.certs[0], p.key) {
		return nil
	}
	for i, x := range p.certs {
		if samePublicKey(x, p.key) {
			return faultf("put the server's certificate first, then its issuers", "the private key of '%s' belongs to its certificate number %d, not to the first", name, i+1)
		}
	}
	return faultf("give the key that the certificate was requested with", "inconsistencies between private key and certificate loaded '%s': the key does not match", name)
}

func samePublicKey(x *x509.Certificate, key signer) bool {
	type comparer interface{ Equal(crypto.PublicKey) bool }
	p, ok := key.Public().(comparer)
	return ok && p.Equal(x.PublicKey)
}

func kindOf(x *x509.Certificate) keyKind {
	switch x.PublicKeyAlgorithm {
	case x509.ECDSA:
		return kindECDSA
	case x509.RSA:
		return kindRSA
	}
	return kindOther
}

// namesOf are the names that HAProxy serves a certificate for: the DNS names,
// then each common name.
func namesOf(x *x509.Certificate) []string {
	var out []string
	for _, n := range x.DNSNames {
		out = append(out, normalName(n))
	}
	for _, a := range x.Subject.Names {
		if s, ok := a.Value.(string); ok && a.Type.String() == "2.5.4.3" {
			out = append(out, normalName(s))
		}
	}
	return out
}

func normalName(s string) string { return strings.TrimSuffix(strings.ToLower(s), ".") }

// splitSCTL reads RFC 6962's SignedCertificateTimestampList.
func splitSCTL(data []byte) ([][]byte, bool) {
	if len(data) < 2 || int(binary.BigEndian.Uint16(data)) != len(data)-2 {
		return nil, false
	}
	data = data[2:]
	var out [][]byte
	for len(data) > 0 {
		if len(data) < 2 {
			return nil, false
		}
		n := int(binary.BigEndian.Uint16(data))
		if n == 0 || len(data) < 2+n {
			return nil, false
		}
		out = append(out, bytes.Clone(data[2:2+n]))
		data = data[2+n:]
	}
	return out, len(out) > 0
}

// signer is a private key. What it is made of never leaves crypto.
type signer = crypto.Signer
