package certs

import (
	"errors"
	"io/fs"
	"path"
	"sort"
	"strings"

	"evenkeel/internal/model"
)

// file is one certificate file. The listeners that name it share it.
type file struct {
	name string // set once

	// Guarded by Store.mu after Load.
	parts  parts
	cert   *certificate
	staged *parts // a change that is not committed; nil: none
}

// companions are the endings of files that belong to another one.
var companions = []string{".key", ".issuer", ".ocsp", ".sctl"}

// bundleEnds are the endings of the files that stand in for one that does not
// exist, in HAProxy's order.
var bundleEnds = []string{".dsa", ".ecdsa", ".rsa"}

// opened is what a name led to.
type opened struct {
	files []*file
	dir   bool
}

// open loads what a crt names: a file, the files of a directory, or a bundle.
func (l *loader) open(name string) (opened, *fault) {
	if f := l.s.files[name]; f != nil {
		return opened{files: []*file{f}}, nil
	}
	data, err := l.o.ReadFile(name)
	if err == nil {
		f, bad := l.load(name, data)
		return opened{files: []*file{f}}, bad
	}
	if entries, dirErr := l.o.ReadDir(name); dirErr == nil {
		return l.openDir(name, entries)
	}
	var out opened
	for _, end := range bundleEnds {
		f := l.s.files[name+end]
		if f == nil {
			data, err := l.o.ReadFile(name + end)
			if err != nil {
				continue
			}
			var bad *fault
			if f, bad = l.load(name+end, data); bad != nil {
				return out, bad
			}
		}
		out.files = append(out.files, f)
	}
	if len(out.files) == 0 {
		cure := "correct the name"
		if errors.Is(err, fs.ErrPermission) {
			cure = "let the user that starts the program read it"
		}
		return out, faultf(cure, "unable to stat SSL certificate from file '%s' : %s", name, reason(err))
	}
	return out, nil
}

func (l *loader) openDir(name string, entries []string) (opened, *fault) {
	out := opened{dir: true}
	sort.Strings(entries)
	for _, e := range entries {
		if strings.HasPrefix(e, ".") || contains(companions, path.Ext(e)) {
			continue
		}
		full := strings.TrimSuffix(name, "/") + "/" + e
		f := l.s.files[full]
		if f == nil {
			data, err := l.o.ReadFile(full)
			if err != nil {
				return out, faultf("take it out of the directory", "unable to load certificate from file '%s' : %s", full, reason(err))
			}
			var bad *fault
			if f, bad = l.load(full, data); bad != nil {
				return out, bad
			}
		}
		out.files = append(out.files, f)
	}
	return out, nil
}

// load makes a certificate of a file and those that belong to it.
func (l *loader) load(name string, data []byte) (*file, *fault) {
	f := &file{name: name}
	c, bad := readPEM(data, wantCerts|wantKey)
	if bad != nil {
		return nil, &fault{"unable to load certificate from file '" + name + "': " + bad.text, bad.cure}
	}
	f.parts.certs, f.parts.key = c.certs, c.key
	if c.key == nil {
		if f.parts.key, bad = l.keyBeside(name); bad != nil {
			return nil, bad
		}
	}
	f.parts.ocsp, _ = l.o.ReadFile(name + ".ocsp")
	f.parts.sctl, _ = l.o.ReadFile(name + ".sctl")
	cert, warnings, bad := f.parts.assemble(name, l.o.Now())
	if bad != nil {
		return nil, bad
	}
	for _, w := range warnings {
		l.warn(w)
	}
	f.cert = cert
	l.s.files[name] = f
	return f, nil
}

// keyBeside looks for the key of a file without one. nil: there is none.
func (l *loader) keyBeside(name string) (key signer, bad *fault) {
	tries := []string{name + ".key"}
	if base, ok := strings.CutSuffix(name, ".crt"); ok {
		tries = append(tries, base+".key")
	}
	for _, try := range tries {
		data, err := l.o.ReadFile(try)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, faultf("let the user that starts the program read it", "cannot open the private key '%s' : %s", try, reason(err))
		}
		c, bad := readPEM(data, wantKey)
		if bad != nil {
			return nil, &fault{"unable to load the private key '" + try + "': " + bad.text, bad.cure}
		}
		if c.key == nil {
			return nil, faultf("", "no private key in '%s'", try)
		}
		return c.key, nil
	}
	return nil, nil
}

// warn and fail report at the place that is being read.
func (l *loader) warn(f *fault) {
	l.d = append(l.d, model.Diagnostic{Pos: l.pos, Severity: model.Warning, Message: l.what + f.text, Cure: f.cure})
}

func (l *loader) fail(f *fault) {
	l.d = append(l.d, model.Diagnostic{Pos: l.pos, Severity: model.Error, Message: l.what + f.text, Cure: f.cure})
}
