package certs

import (
	"bytes"
	"crypto/x509"
	"errors"
	"path"
	"sort"
	"strings"
	"sync"
)

// systemCA names the authorities of the machine.
const systemCA = "@system-ca"

// authorities are the certificates of one or several files.
type authorities struct {
	certs  []*x509.Certificate
	crls   []*x509.RevocationList
	system *x509.CertPool // of @system-ca
}

func (a *authorities) add(b *authorities) {
	a.certs = append(a.certs, b.certs...)
	a.crls = append(a.crls, b.crls...)
	if b.system != nil {
		a.system = b.system
	}
}

// authorities reads a file, or a directory of files, or the system's.
func (l *loader) authorities(name string) (*authorities, *fault) {
	if a, ok := l.cas[name]; ok {
		return a, nil
	}
	a, err := l.readAuthorities(name)
	if err == nil {
		l.cas[name] = a
	}
	return a, err
}

func (l *loader) readAuthorities(name string) (*authorities, *fault) {
	if name == systemCA {
		pool, err := l.o.SystemRoots()
		if err != nil {
			return nil, faultf("install the ca-certificates package, or name a file", "the authorities of the system cannot be loaded: %v", err)
		}
		return &authorities{system: pool}, nil
	}
	data, err := l.o.ReadFile(name)
	if err == nil {
		c, bad := readPEM(data, wantCerts|wantCRLs)
		if bad != nil {
			return nil, &fault{"'" + name + "': " + bad.text, bad.cure}
		}
		return &authorities{certs: c.certs, crls: c.crls}, nil
	}
	entries, dirErr := l.o.ReadDir(name)
	if dirErr != nil {
		return nil, faultf("", "cannot open the file '%s' : %s", name, reason(err))
	}
	sort.Strings(entries)
	all := &authorities{}
	for _, e := range entries {
		if strings.HasPrefix(e, ".") || !contains([]string{".pem", ".crt", ".cer", ".crl"}, path.Ext(e)) {
			continue
		}
		data, err := l.o.ReadFile(strings.TrimSuffix(name, "/") + "/" + e)
		if err != nil {
			continue
		}
		c, bad := readPEM(data, wantCerts|wantCRLs)
		if bad != nil {
			l.warn(&fault{"'" + name + "/" + e + "' is left out: " + bad.text, bad.cure})
			continue
		}
		all.certs = append(all.certs, c.certs...)
		all.crls = append(all.crls, c.crls...)
	}
	return all, nil
}

// reason is the innermost text of an error of the file system.
func reason(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}

// selfIssued certificates end a chain. As for OpenSSL, another certificate of
// a ca-file is a link only.
func selfIssued(x *x509.Certificate) bool { return bytes.Equal(x.RawSubject, x.RawIssuer) }

// revocations are revocation lists by issuer.
type revocations struct {
	byIssuer map[string][]*revocation
}

type revocation struct {
	list    *x509.RevocationList
	serials map[string]struct{}

	mu     sync.Mutex
	signer []byte // the last certificate that proved to be the signer
}

func newRevocations(lists []*x509.RevocationList) *revocations {
	r := &revocations{byIssuer: map[string][]*revocation{}}
	for _, l := range lists {
		e := &revocation{list: l, serials: make(map[string]struct{}, len(l.RevokedCertificateEntries))}
		for _, x := range l.RevokedCertificateEntries {
			const removeFromCRL = 8
			if x.ReasonCode != removeFromCRL {
				e.serials[string(x.SerialNumber.Bytes())] = struct{}{}
			}
		}
		key := string(l.RawIssuer)
		r.byIssuer[key] = append(r.byIssuer[key], e)
	}
	return r
}

// signedBy checks the list's signature, once for a signer.
func (r *revocation) signedBy(issuer *x509.Certificate) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if bytes.Equal(r.signer, issuer.Raw) {
		return true
	}
	if r.list.CheckSignatureFrom(issuer) != nil {
		return false
	}
	r.signer = issuer.Raw
	return true
}
