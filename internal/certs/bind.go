package certs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"

	"evenkeel/internal/model"
)

// bind makes the settings of one bind line.
func (l *loader) bind(p *model.Proxy, m *model.Bind) {
	b := &listener{strict: m.TLS.StrictSNI, now: l.o.Now}
	prefix := fmt.Sprintf("'bind %s' : ", firstWord(m.Text))
	before := len(l.d)
	made := &variants{l: l, base: m.TLS, b: b, prefix: prefix}
	l.pos, l.what = m.Pos, prefix
	b.main = &variant{cfg: l.bindConfig(m.TLS, false)}
	for _, src := range sources(m.TLS) {
		l.pos, l.what = src.Pos, prefix
		if src.list {
			l.crtList(src.Path, made)
			continue
		}
		l.crt(src.Path, nil, b, b.main)
	}
	l.pos, l.what = m.Pos, ""
	if len(b.entries) == 0 && !l.d[before:].HasErrors() {
		f := faultf("write 'crt FILE', where FILE holds certificate, chain and key", "Proxy '%s': no SSL certificate specified for bind '%s'", p.Name, firstWord(m.Text))
		if !b.strict {
			l.fail(f)
		} else {
			f.text += ": every TLS connection will fail"
			l.warn(f)
		}
	}
	if l.d[before:].HasErrors() {
		return
	}
	b.finish()
	l.ticketKeys(m, b)
	l.s.binds[m] = b
}

func firstWord(s string) string {
	w, _, _ := strings.Cut(s, " ")
	return w
}

// crt adds the certificates that a name leads to.
func (l *loader) crt(name string, filters []string, b *listener, v *variant) {
	o, bad := l.open(name)
	if bad != nil {
		l.fail(bad)
		return
	}
	if o.dir {
		list := crtList{name: strings.TrimSuffix(name, "/")}
		for _, f := range o.files {
			list.lines = append(list.lines, f.name)
		}
		l.addList(list)
	}
	first := len(b.entries) == 0
	for i, f := range o.files {
		// All certificates of a bundle are the default together.
		b.entries = append(b.entries, &entry{file: f, filters: filters, variant: v, main: first && (i == 0 || !o.dir)})
	}
}

func (l *loader) addList(list crtList) {
	for _, x := range l.s.lists {
		if x.name == list.name {
			return
		}
	}
	l.s.lists = append(l.s.lists, list)
}

// variants makes one set of settings for lines with the same options.
type variants struct {
	l      *loader
	base   *model.BindTLS
	b      *listener
	prefix string
	made   map[string]*variant
}

func (v *variants) of(o *overrides) *variant {
	if o == nil || o.text == "" {
		return v.b.main
	}
	if x := v.made[o.text]; x != nil {
		return x
	}
	t := o.apply(*v.base, func(name string) string { return based(v.l.cfg.Global.CABase, name) })
	t.ALPN = v.l.alpn(t.ALPN)
	x := &variant{cfg: v.l.bindConfig(&t, o.noCANames)}
	if v.made == nil {
		v.made = map[string]*variant{}
	}
	v.made[o.text] = x
	v.b.more = append(v.b.more, x)
	return x
}

// alpn leaves out what is not spoken.
func (l *loader) alpn(list []string) []string {
	var out []string
	for _, p := range list {
		if p == "h2" || p == "h3" {
			l.once("alpn "+p, faultf("write 'alpn http/1.1'", "'alpn %s' is not offered: HTTP/1.1 is what is spoken", p))
			continue
		}
		if p != "" {
			out = append(out, p)
		}
	}
	return out
}

func (l *loader) crtList(name string, v *variants) {
	data, err := l.o.ReadFile(name)
	if err != nil {
		// HAProxy takes a directory here as well.
		if _, dirErr := l.o.ReadDir(name); dirErr == nil {
			l.crt(name, nil, v.b, v.b.main)
			return
		}
		l.fail(faultf("correct the name", "cannot open the crt-list '%s' : %s", name, reason(err)))
		return
	}
	lines, d := parseCRTList(name, data)
	l.d = append(l.d, d...)
	list := crtList{name: name}
	for _, line := range lines {
		l.pos, l.what = line.pos, ""
		list.lines = append(list.lines, line.text)
		l.crt(based(l.cfg.Global.CRTBase, line.path), line.filters, v.b, v.of(line.over))
	}
	l.addList(list)
}

// bindConfig makes settings without certificates. Problems are reported at
// l.pos.
func (l *loader) bindConfig(t *model.BindTLS, noCANames bool) *tls.Config {
	g := &l.cfg.Global
	c := &tls.Config{Time: l.o.Now, DynamicRecordSizingDisabled: true}
	c.MinVersion, c.MaxVersion = versions(t.Versions, g.BindSSL)
	c.NextProtos = l.alpn(t.ALPN)
	c.SessionTicketsDisabled = t.Versions.NoTickets || g.BindSSL.NoTickets
	c.CipherSuites = l.ciphers(first(t.Ciphers, g.BindCiphers), nil)
	c.CurvePreferences = l.curves(first(t.Curves, g.BindCurves))
	l.noCiphersuites(first(t.Ciphersuites, g.BindCiphersuites))
	l.clientAuth(c, t, noCANames)
	return c
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// versions gives the bounds: those of the line, else the general ones, else
// TLS 1.2 and no upper bound.
func versions(v, general model.TLSVersions) (lo, hi uint16) {
	lo, hi = v.Min, v.Max
	if lo == 0 {
		lo = general.Min
	}
	if hi == 0 {
		hi = general.Max
	}
	if lo == 0 {
		lo = tls.VersionTLS12
	}
	// The stricter word of the line wins over a bound from elsewhere.
	if hi != 0 && lo > hi {
		if v.Min != 0 {
			hi = lo
		} else {
			lo = hi
		}
	}
	return lo, hi
}

func (l *loader) ciphers(list string, standard []uint16) []uint16 {
	if list == "" {
		return standard
	}
	ids, ok := parseCiphers(list)
	if !ok {
		l.fail(faultf("name one at least that is used today, such as ECDHE-RSA-AES128-GCM-SHA256", "unable to set SSL cipher list to '%s': nothing in it is supported", list))
	}
	return ids
}

func (l *loader) noCiphersuites(list string) {
	if list != "" {
		l.once("ciphersuites", faultf("take it out", "the ciphersuites of TLS 1.3 cannot be chosen: all three are used, the fastest first"))
	}
}

func (l *loader) curves(list string) []tls.CurveID {
	if list == "" {
		return nil
	}
	ids, skipped, unknown := parseCurves(list)
	switch {
	case unknown != "":
		l.fail(faultf("use X25519, P-256, P-384 or P-521", "unable to set SSL curves list to '%s': '%s' is not known", list, unknown))
	case len(ids) == 0 && len(skipped) > 0:
		l.fail(faultf("use X25519, P-256, P-384 or P-521", "unable to set SSL curves list to '%s': none of them is supported", list))
	case len(skipped) > 0:
		l.once("curves "+list, faultf("use X25519, P-256, P-384 or P-521", "the curves %s are left out: they are not supported", strings.Join(skipped, ", ")))
	}
	return ids
}

// clientAuth sets how clients' certificates are asked for and verified. The
// authorities are loaded even if they are not used, as a wrong name is wrong.
func (l *loader) clientAuth(c *tls.Config, t *model.BindTLS, noCANames bool) {
	all, named := &authorities{}, &authorities{}
	for _, f := range []struct{ keyword, name string }{{"ca-file", t.CAFile}, {"ca-verify-file", t.CAVerifyFile}, {"crl-file", t.CRLFile}} {
		if f.name == "" {
			continue
		}
		a, bad := l.authorities(f.name)
		if bad != nil {
			l.fail(&fault{"'" + f.keyword + "' : unable to load " + f.name + ": " + bad.text, bad.cure})
			return
		}
		all.add(a)
		if f.keyword == "ca-file" {
			named.add(a)
		}
	}
	if t.Verify == "" || t.Verify == "none" {
		return
	}
	if t.CAFile == "" && t.CAVerifyFile == "" {
		l.fail(faultf("add 'ca-file FILE' with the authority of the clients' certificates", "verify is enabled but no CA file specified"))
		return
	}
	tr := newTrust(all, x509.ExtKeyUsageClientAuth, l.o.Now)
	l.checkTrust(tr, all, first(t.CAFile, t.CAVerifyFile), t.CRLFile)
	var bad *fault
	if tr.leafIgnored, bad = parseIgnored(t.ErrIgnore); bad != nil {
		l.fail(&fault{"'crt-ignore-err' : " + bad.text, bad.cure})
	}
	if tr.caIgnored, bad = parseIgnored(t.CAIgnoreErr); bad != nil {
		l.fail(&fault{"'ca-ignore-err' : " + bad.text, bad.cure})
	}
	c.ClientAuth = tls.RequestClientCert
	if t.Verify == "required" {
		c.ClientAuth = tls.RequireAnyClientCert
	}
	if !noCANames {
		// For the names that are sent only: verification is checkClient's.
		c.ClientCAs = x509.NewCertPool()
		for _, x := range named.certs {
			c.ClientCAs.AddCert(x)
		}
	}
	c.VerifyConnection = tr.checkClient
}

// checkTrust adds the revocation lists, and warns of authorities that cannot
// end a chain.
func (l *loader) checkTrust(tr *trust, a *authorities, caFile, crlFile string) {
	if len(tr.roots) == 0 && a.system == nil {
		l.warn(faultf("add the root certificate to the file", "'%s' has no self-signed certificate: no chain can end there, and nothing will verify", caFile))
	}
	if crlFile == "" {
		return
	}
	if len(a.crls) == 0 {
		l.warn(faultf("put the list of each authority of the chain there, in PEM form", "no revocation list in '%s': nothing will verify", crlFile))
	}
	tr.crls = newRevocations(a.crls)
}

// ticketKeys gives a listener its keys.
func (l *loader) ticketKeys(m *model.Bind, b *listener) {
	cfg := b.main.cfg
	if m.TLS.TicketKeys == "" {
		b.tickets = l.s.tickets
		b.tickets.use(cfg)
	} else {
		l.pos, l.what = m.Pos, "'tls-ticket-keys' : "
		data, err := l.o.ReadFile(m.TLS.TicketKeys)
		if err != nil {
			l.fail(faultf("correct the name", "unable to load TLS tickets key file '%s' : %s", m.TLS.TicketKeys, reason(err)))
			return
		}
		keys, bad := parseTicketKeys(data)
		if bad != nil {
			l.fail(&fault{"'" + m.TLS.TicketKeys + "' : " + bad.text, bad.cure})
			return
		}
		cfg.SetSessionTicketKeys(keys)
	}
	if life := l.cfg.Global.Tune.SSLLifetime; life > 0 {
		for _, v := range append([]*variant{b.main}, b.more...) {
			limitSessions(v.cfg, cfg, life, l.o.Now)
			limitSessions(v.bare, cfg, life, l.o.Now)
		}
	}
}
