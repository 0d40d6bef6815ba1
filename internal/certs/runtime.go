package certs

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"path"
	"sort"
	"strings"
)

// Files are the certificate files in use, for the runtime API. A change is
// staged by Set, and new handshakes see it from Commit on. No file is read or
// written.
type Files struct{ s *Store }

var (
	errNotReferenced = errors.New("Can't replace a certificate which is not referenced by the configuration!")
	errNotStaged     = errors.New("No ongoing transaction!")
)

// List gives the files in use, and those with a staged change.
func (f *Files) List() (committed, staged []string) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	for name, x := range f.s.files {
		committed = append(committed, name)
		if x.staged != nil {
			staged = append(staged, name)
		}
	}
	sort.Strings(committed)
	sort.Strings(staged)
	return committed, staged
}

// Get gives the chain of a file, leaf first; a staged one where staged is set.
// nil: there is none.
func (f *Files) Get(name string, staged bool) []*x509.Certificate {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	x := f.s.files[name]
	switch {
	case x == nil:
		return nil
	case !staged:
		return x.parts.certs
	case x.staged != nil:
		return x.staged.certs
	}
	return nil
}

// find gives a file, and which part of it the name is about.
func (s *Store) find(name string) (x *file, part string) {
	if x := s.files[name]; x != nil {
		return x, ""
	}
	part = path.Ext(name)
	if contains(companions, part) {
		return s.files[strings.TrimSuffix(name, part)], part
	}
	return nil, ""
}

// Set stages the PEM text for a file that is in use, or for what belongs to
// it (FILE.key, FILE.ocsp, FILE.sctl); created says that no change of it was
// staged before. A text without a key keeps the old key.
func (f *Files) Set(name string, text []byte) (created bool, err error) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	x, part := f.s.find(name)
	if x == nil {
		return false, errNotReferenced
	}
	p := x.parts
	if x.staged != nil {
		p = *x.staged
	}
	if bad := p.change(name, part, text); bad != nil {
		return false, bad
	}
	created = x.staged == nil
	x.staged = &p
	return created, nil
}

func (p *parts) change(name, part string, text []byte) *fault {
	switch part {
	case ".ocsp":
		der, bad := decodePayload(text)
		if bad != nil {
			return bad
		}
		p.ocsp = der
		return nil
	case ".sctl":
		raw, bad := decodePayload(text)
		if bad != nil {
			return bad
		}
		p.sctl = raw
		return nil
	case ".issuer":
		return nil // only HAProxy's own check of OCSP responses needs it
	}
	want := wantCerts | wantKey
	if part == ".key" {
		want = wantKey
	}
	c, bad := readPEM(text, want)
	if bad != nil {
		return bad
	}
	if c.key != nil {
		p.key = c.key
	} else if part == ".key" {
		return faultf("", "no private key in the payload")
	}
	if part == "" {
		if len(c.certs) == 0 {
			return faultf("", "no certificate in the payload")
		}
		p.certs = c.certs
		// They were about the old certificate.
		p.ocsp, p.sctl = nil, nil
	}
	return nil
}

// Commit has new handshakes use what was staged. If it does not fit together
// nothing changes.
func (f *Files) Commit(name string) error {
	s := f.s
	s.mu.Lock()
	defer s.mu.Unlock()
	x, _ := s.find(name)
	if x == nil || x.staged == nil {
		return errNotStaged
	}
	cert, _, bad := x.staged.assemble(x.name, s.now())
	if bad != nil {
		return bad
	}
	x.parts, x.cert, x.staged = *x.staged, cert, nil
	for _, b := range s.binds {
		if b.uses(x) {
			b.table.Store(newTable(b.entries))
		}
	}
	for _, u := range s.servers {
		if u.crt == x {
			u.client.Store(cert)
		}
	}
	return nil
}

func (b *listener) uses(x *file) bool {
	for _, e := range b.entries {
		if e.file == x {
			return true
		}
	}
	return false
}

// Abort forgets what was staged.
func (f *Files) Abort(name string) error {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	x, _ := f.s.find(name)
	if x == nil || x.staged == nil {
		return errNotStaged
	}
	x.staged = nil
	return nil
}

// CRTLists names the crt-list files and the directories of certificates.
func (f *Files) CRTLists() []string {
	var names []string
	for _, l := range f.s.lists {
		names = append(names, l.name)
	}
	sort.Strings(names)
	return names
}

// CRTList gives the lines of one.
func (f *Files) CRTList(name string) ([]string, bool) {
	for _, l := range f.s.lists {
		if l.name == name {
			return l.lines, true
		}
	}
	return nil, false
}

// decodePayload: what is binary in a file comes as base64.
func decodePayload(text []byte) ([]byte, *fault) {
	var b []byte
	for _, c := range text {
		if c > ' ' {
			b = append(b, c)
		}
	}
	out, err := base64.StdEncoding.DecodeString(string(b))
	if err != nil {
		return nil, faultf("", "the payload is not base64")
	}
	return out, nil
}
