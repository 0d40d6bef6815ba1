package certs

import (
	"bytes"
	"crypto/tls"
	"strings"

	"evenkeel/internal/model"
)

// overrides are the settings of one certificate that differ from its bind
// line's. Empty: as the bind line.
type overrides struct {
	text                          string // as written, to find equal ones
	alpn                          []string
	alpnGiven, noCANames          bool
	verify                        string
	caFile, caVerifyFile, crlFile string
	ciphers, ciphersuites, curves string
	min, max                      uint16
}

// crtLine is one line of a crt-list.
type crtLine struct {
	pos     model.Pos
	path    string
	over    *overrides // nil: none
	filters []string
	text    string // for `show ssl crt-list`
}

// crtOption is a word that may stand between the brackets.
type crtOption struct {
	name string
	args int
	set  func(o *overrides, value string)
	// check says what is wrong with the value; nil: anything goes.
	values []string
}

var versionNames = map[string]uint16{
	"SSLv3": tls.VersionTLS10, "TLSv1.0": tls.VersionTLS10, "TLSv1.1": tls.VersionTLS11,
	"TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13,
}

var versionWords = []string{"SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"}

var crtOptions = []crtOption{
	{"allow-0rtt", 0, func(*overrides, string) {}, nil},
	{"alpn", 1, func(o *overrides, v string) { o.alpn, o.alpnGiven = strings.Split(v, ","), true }, nil},
	{"no-alpn", 0, func(o *overrides, _ string) { o.alpn, o.alpnGiven = nil, true }, nil},
	{"npn", 1, func(*overrides, string) {}, nil},
	{"verify", 1, func(o *overrides, v string) { o.verify = v }, []string{"none", "optional", "required"}},
	{"ca-file", 1, func(o *overrides, v string) { o.caFile = v }, nil},
	{"ca-verify-file", 1, func(o *overrides, v string) { o.caVerifyFile = v }, nil},
	{"crl-file", 1, func(o *overrides, v string) { o.crlFile = v }, nil},
	{"no-ca-names", 0, func(o *overrides, _ string) { o.noCANames = true }, nil},
	{"ciphers", 1, func(o *overrides, v string) { o.ciphers = v }, nil},
	{"ciphersuites", 1, func(o *overrides, v string) { o.ciphersuites = v }, nil},
	{"curves", 1, func(o *overrides, v string) { o.curves = v }, nil},
	{"ecdhe", 1, func(o *overrides, v string) { o.curves = v }, nil},
	{"sigalgs", 1, func(*overrides, string) {}, nil},
	{"client-sigalgs", 1, func(*overrides, string) {}, nil},
	{"ssl-min-ver", 1, func(o *overrides, v string) { o.min = versionNames[v] }, versionWords},
	{"ssl-max-ver", 1, func(o *overrides, v string) { o.max = versionNames[v] }, versionWords},
	{"ocsp-update", 1, func(*overrides, string) {}, []string{"on", "off"}},
}

// parseCRTList reads a crt-list:
//
//	FILE [option …] filter …
//
// where the brackets are written, and stand for themselves.
func parseCRTList(name string, data []byte) ([]crtLine, model.Diagnostics) {
	var out []crtLine
	var d model.Diagnostics
	for n := 1; len(data) > 0; n++ {
		var line []byte
		line, data, _ = bytes.Cut(data, []byte("\n"))
		if i := bytes.IndexByte(line, '#'); i >= 0 {
			line = line[:i]
		}
		if l, ok := parseCRTLine(model.Pos{File: name, Line: n}, line, &d); ok {
			out = append(out, l)
		}
	}
	return out, d
}

// crtWord is a word of a line; depth is 1 between the brackets.
type crtWord struct {
	text  string
	col   int
	depth int
}

func parseCRTLine(pos model.Pos, line []byte, d *model.Diagnostics) (crtLine, bool) {
	words, why, col := splitCRTLine(line)
	if why != "" {
		pos.Col = col
		*d = append(*d, model.Diagnostic{Pos: pos, Severity: model.Error, Message: why, Cure: "write 'FILE [option …] name …'"})
		return crtLine{}, false
	}
	if len(words) == 0 {
		return crtLine{}, false
	}
	l := crtLine{path: words[0].text}
	l.pos = pos
	l.pos.Col = words[0].col
	var inside []crtWord
	for _, w := range words[1:] {
		if w.depth == 1 {
			inside = append(inside, w)
			continue
		}
		l.filters = append(l.filters, w.text)
	}
	if len(inside) > 0 {
		l.over = parseOverrides(pos, inside, d)
		if l.over == nil {
			return crtLine{}, false
		}
	}
	l.text = l.path
	if l.over != nil {
		l.text += " [" + l.over.text + "]"
	}
	if len(l.filters) > 0 {
		l.text += " " + strings.Join(l.filters, " ")
	}
	return l, true
}

// splitCRTLine splits at blanks and brackets. A bracket ends a word and need
// not stand alone; there is one pair at most.
func splitCRTLine(line []byte) (words []crtWord, why string, col int) {
	depth, closed, start := 0, false, -1
	flush := func(end int) {
		if start >= 0 {
			words = append(words, crtWord{string(line[start:end]), start + 1, depth})
			start = -1
		}
	}
	for i, c := range line {
		switch c {
		case ' ', '\t', '\r', '\v', '\f':
			flush(i)
		case '[':
			flush(i)
			switch {
			case len(words) == 0:
				return nil, "the name of a certificate's file must come first", i + 1
			case depth == 1 || closed:
				return nil, "more than one '['", i + 1
			case len(words) > 1:
				return nil, "'[' must follow the certificate's file", i + 1
			}
			depth = 1
		case ']':
			flush(i)
			if depth == 0 {
				return nil, "']' without '['", i + 1
			}
			depth, closed = 0, true
		default:
			if start < 0 {
				start = i
			}
		}
	}
	flush(len(line))
	if depth == 1 {
		return nil, "'[' without ']'", len(line)
	}
	return words, "", 0
}

func parseOverrides(pos model.Pos, words []crtWord, d *model.Diagnostics) *overrides {
	o := &overrides{}
	var text []string
	for i := 0; i < len(words); i++ {
		w := words[i]
		pos.Col = w.col
		k := crtOptionNamed(w.text)
		if k == nil {
			*d = append(*d, model.Diagnostic{Pos: pos, Severity: model.Error, Message: "unknown ssl keyword '" + w.text + "'",
				Cure: "those of a certificate are " + crtOptionNames()})
			return nil
		}
		value := ""
		if k.args == 1 {
			if i+1 >= len(words) {
				*d = append(*d, model.Diagnostic{Pos: pos, Severity: model.Error, Message: "'" + w.text + "' : missing argument"})
				return nil
			}
			i++
			value = words[i].text
			if k.values != nil && !contains(k.values, value) {
				pos.Col = words[i].col
				*d = append(*d, model.Diagnostic{Pos: pos, Severity: model.Error, Message: "'" + w.text + "' : unknown value '" + value + "'",
					Cure: "use one of " + strings.Join(k.values, ", ")})
				return nil
			}
			text = append(text, w.text, value)
		} else {
			text = append(text, w.text)
		}
		k.set(o, value)
	}
	o.text = strings.Join(text, " ")
	return o
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func crtOptionNamed(name string) *crtOption {
	for i := range crtOptions {
		if crtOptions[i].name == name {
			return &crtOptions[i]
		}
	}
	return nil
}

func crtOptionNames() string {
	var names []string
	for i := range crtOptions {
		names = append(names, crtOptions[i].name)
	}
	return strings.Join(names, ", ")
}

// apply gives the bind line's settings with those of one certificate.
func (o *overrides) apply(t model.BindTLS, based func(string) string) model.BindTLS {
	if o.alpnGiven {
		t.ALPN = o.alpn
	}
	file := func(to *string, v string) {
		if v != "" {
			*to = based(v)
		}
	}
	text := func(to *string, v string) {
		if v != "" {
			*to = v
		}
	}
	text(&t.Verify, o.verify)
	file(&t.CAFile, o.caFile)
	file(&t.CAVerifyFile, o.caVerifyFile)
	file(&t.CRLFile, o.crlFile)
	text(&t.Ciphers, o.ciphers)
	text(&t.Ciphersuites, o.ciphersuites)
	text(&t.Curves, o.curves)
	if o.min != 0 {
		t.Versions.Min = o.min
	}
	if o.max != 0 {
		t.Versions.Max = o.max
	}
	return t
}
