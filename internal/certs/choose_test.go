package certs

import (
	"crypto/tls"
	"strings"
	"testing"

	"evenkeel/internal/model"
)

// clients of the choice tests.
func rsaOnly(sni string) *tls.Config {
	c := anyServer(sni)
	c.MaxVersion = tls.VersionTLS12
	c.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	return c
}

func modern12(sni string) *tls.Config {
	c := anyServer(sni)
	c.MaxVersion = tls.VersionTLS12
	return c
}

// shop is a disk with certificates by short name.
type shop struct {
	disk
	certs map[string]*authority
}

func newShop(t testing.TB) *shop {
	s := &shop{disk{}, map[string]*authority{}}
	root := issue(t, nil, spec{cn: "root", ca: true})
	add := func(name string, sp spec) {
		a := issue(t, root, sp)
		s.certs[name] = a
		s.disk["/c/"+name] = a.both(t)
	}
	add("first.pem", spec{cn: "first.example.com", names: []string{"first.example.com", "alt.first.example.com"}})
	add("a.pem", spec{cn: "a.example.com"})
	add("wild.pem", spec{cn: "Wild", names: []string{"*.Example.com"}})
	add("wildrsa.pem", spec{names: []string{"*.example.com"}, key: rsaOnce()})
	add("arsa.pem", spec{names: []string{"a.example.com"}, key: rsaOnce()})
	add("b.pem.rsa", spec{names: []string{"b.example.com"}, key: rsaOnce()})
	add("b.pem.ecdsa", spec{names: []string{"b.example.com"}})
	add("ed.pem", spec{names: []string{"ed.example.com"}, key: edKey(t)})
	add("other.pem", spec{names: []string{"other.example.org"}})
	add("deep.pem", spec{names: []string{"*.deep.example.com", "deep.example.com"}})
	s.disk["/dir/1.pem"] = s.disk["/c/first.pem"]
	s.disk["/dir/2.pem"] = s.certs["a.pem"].certPEM()
	s.disk["/dir/2.pem.key"] = s.certs["a.pem"].keyPEM(t)
	s.disk["/dir/.hidden"] = "nothing"
	s.disk["/dir/3.ocsp"] = ""
	return s
}

// choice is a bind line and what clients get on it.
type choice struct {
	name    string
	crt     []string
	list    string // content of a crt-list, after the crts
	strict  bool
	clients map[string]string // [R:|E:]sni -> certificate; "-": refused
	// ours: HAProxy 2.6 does this differently, and 3.0 like us.
	ours bool
}

func choices() []choice {
	return []choice{
		{name: "one", crt: []string{"first.pem"}, clients: map[string]string{"": "first.pem", "nowhere.net": "first.pem", "alt.first.example.com": "first.pem"}},
		{name: "exact before default", crt: []string{"first.pem", "a.pem"}, clients: map[string]string{"a.example.com": "a.pem", "A.EXAMPLE.com": "a.pem", "b.example.com": "first.pem"}},
		{name: "wildcard is one label", crt: []string{"first.pem", "wild.pem"}, clients: map[string]string{
			"x.example.com": "wild.pem", "x.y.example.com": "first.pem", "example.com": "first.pem", "first.example.com": "first.pem", "wild": "wild.pem"}},
		{name: "exact and wildcard of one kind", crt: []string{"wild.pem", "a.pem"}, clients: map[string]string{"a.example.com": "a.pem", "c.example.com": "wild.pem"}},
		{name: "ECDSA wildcard before exact RSA", crt: []string{"arsa.pem", "wild.pem"}, clients: map[string]string{"E:a.example.com": "wild.pem", "R:a.example.com": "arsa.pem"}},
		{name: "both kinds", crt: []string{"arsa.pem", "a.pem"}, clients: map[string]string{"a.example.com": "a.pem", "E:a.example.com": "a.pem", "R:a.example.com": "arsa.pem"}},
		{name: "RSA only for that client", crt: []string{"a.pem", "wildrsa.pem"}, clients: map[string]string{"E:a.example.com": "a.pem", "R:a.example.com": "wildrsa.pem"}},
		{name: "bundle", crt: []string{"first.pem", "b.pem"}, clients: map[string]string{"b.example.com": "b.pem.ecdsa", "R:b.example.com": "b.pem.rsa"}},
		{name: "bundle as the default", crt: []string{"b.pem"}, clients: map[string]string{"E:": "b.pem.ecdsa", "E:c.net": "b.pem.ecdsa"}},
		{name: "bundle as the default, old client", crt: []string{"b.pem"}, ours: true, clients: map[string]string{"R:": "b.pem.rsa", "R:c.net": "b.pem.rsa"}},
		{name: "first of the same name", crt: []string{"wild.pem", "first.pem", "deep.pem"}, clients: map[string]string{
			"deep.example.com": "deep.pem", "x.deep.example.com": "deep.pem", "first.example.com": "first.pem"}},
		{name: "ed25519", crt: []string{"first.pem", "ed.pem"}, clients: map[string]string{"ed.example.com": "ed.pem"}},
		{name: "strict", crt: []string{"first.pem", "wild.pem"}, strict: true, clients: map[string]string{
			"first.example.com": "first.pem", "q.example.com": "wild.pem", "nowhere.net": "-", "": "-"}},
		{name: "directory", crt: []string{"/dir"}, clients: map[string]string{"": "first.pem", "a.example.com": "a.pem"}},
		{name: "list: fallback", list: "/c/first.pem !*\n# comment\n/c/a.pem\n", clients: map[string]string{"first.example.com": "first.pem", "a.example.com": "a.pem", "x.y": "first.pem"}},
		{name: "list: fallback, strict", list: "/c/first.pem !*\n/c/a.pem\n", strict: true, clients: map[string]string{"first.example.com": "-", "a.example.com": "a.pem"}},
		{name: "list: filters replace names", list: "/c/first.pem\n/c/other.pem shop.test *.shop.test !no.shop.test\n", clients: map[string]string{
			"shop.test": "other.pem", "x.shop.test": "other.pem", "no.shop.test": "first.pem", "other.example.org": "first.pem"}},
		{name: "list: excluded goes to the next", list: "/c/first.pem\n/c/wild.pem *.x.test !s.x.test\n/c/other.pem *.x.test\n", clients: map[string]string{
			"a.x.test": "wild.pem", "s.x.test": "other.pem"}},
		{name: "list: negative only", list: "/c/first.pem\n/c/wild.pem !q.example.com\n", clients: map[string]string{"q.example.com": "first.pem", "r.example.com": "first.pem"}},
		{name: "list: upper case", list: "/c/first.pem\n/c/other.pem SHOP.Test\n", clients: map[string]string{"shop.test": "other.pem"}},
		{name: "list: bundle", list: "/c/first.pem\n/c/b.pem shop.test\n", clients: map[string]string{"E:shop.test": "b.pem.ecdsa", "R:shop.test": "b.pem.rsa"}},
		{name: "list: options", list: "/c/first.pem\n/c/other.pem [ssl-min-ver TLSv1.3] shop.test\n/c/a.pem[ssl-max-ver TLSv1.2]max.test\n", clients: map[string]string{
			"shop.test": "other.pem", "E:shop.test": "-", "max.test": "a.pem"}},
		{name: "list and crt", crt: []string{"a.pem"}, list: "/c/first.pem x.test\n", clients: map[string]string{"": "a.pem", "x.test": "first.pem"}},
		{name: "list: star is a default", ours: true, list: "/c/arsa.pem\n/c/other.pem *\n", clients: map[string]string{"E:": "other.pem", "R:": "arsa.pem"}},
	}
}

func (c *choice) bind(s *shop) *model.BindTLS {
	var names []string
	for _, n := range c.crt {
		if n[0] != '/' {
			n = "/c/" + n
		}
		names = append(names, n)
	}
	t := &model.BindTLS{Certs: crts(names...), StrictSNI: c.strict}
	if c.list != "" {
		s.disk["/lists/"+c.name] = c.list
		t.CRTLists = []model.CertRef{{Pos: model.Pos{File: "h.cfg", Line: 3, Col: 500}, Path: "/lists/" + c.name}}
	}
	return t
}

func clientFor(key string) *tls.Config {
	kind, sni, ok := strings.Cut(key, ":")
	switch {
	case ok && kind == "R":
		return rsaOnly(sni)
	case ok && kind == "E":
		return modern12(sni)
	}
	return anyServer(key)
}

func TestChoice(t *testing.T) {
	s := newShop(t)
	for _, c := range choices() {
		t.Run(c.name, func(t *testing.T) {
			cfg, b := line(c.bind(s))
			st := load(t, cfg, s.disk)
			for key, want := range c.clients {
				r := handshake(t, st.Bind(b), clientFor(key))
				if want == "-" {
					if r.clientErr == nil {
						t.Errorf("%q: got %v, not refused", key, r.client.PeerCertificates[0].DNSNames)
					}
					continue
				}
				if got := presentedBy(t, r); !same(got, s.certs[want].cert) {
					t.Errorf("%q: got %v %v, not %s", key, got.Subject, got.DNSNames, want)
				}
				if got := st.ServerCertificate(b, &r.server); !same(got, s.certs[want].cert) {
					t.Errorf("%q: ServerCertificate: got %v, not %s", key, got, want)
				}
			}
		})
	}
}

func TestStrictSNIAlert(t *testing.T) {
	s := newShop(t)
	cfg, b := line(&model.BindTLS{Certs: crts("/c/first.pem"), StrictSNI: true})
	st := load(t, cfg, s.disk)
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		c := anyServer("nowhere.net")
		c.MaxVersion = v
		r := handshake(t, st.Bind(b), c)
		if r.clientErr == nil || !strings.Contains(r.clientErr.Error(), "unrecognized name") {
			t.Errorf("%x: client got %v", v, r.clientErr)
		}
	}
}

// A ticket must not open a name that strict-sni refuses.
func TestStrictSNIResumption(t *testing.T) {
	s := newShop(t)
	cfg, b := line(&model.BindTLS{Certs: crts("/c/first.pem"), StrictSNI: true})
	st := load(t, cfg, s.disk)
	cache := &oneSession{}
	c := anyServer("first.example.com")
	c.ClientSessionCache = cache
	handshake(t, st.Bind(b), c)
	if cache.state == nil {
		t.Fatal("no ticket")
	}
	c = anyServer("nowhere.net")
	c.ClientSessionCache = cache
	if r := handshake(t, st.Bind(b), c); r.clientErr == nil {
		t.Error("the session was resumed under a name that is refused")
	}
}

// oneSession gives one session for every name.
type oneSession struct{ state *tls.ClientSessionState }

func (o *oneSession) Get(string) (*tls.ClientSessionState, bool) { return o.state, o.state != nil }
func (o *oneSession) Put(_ string, s *tls.ClientSessionState)    { o.state = s }

func BenchmarkPick(b *testing.B) {
	s := newShop(b)
	cfg, m := line(&model.BindTLS{Certs: crts("/c/first.pem", "/c/wild.pem", "/c/a.pem")})
	tab := load(b, cfg, s.disk).binds[m].table.Load()
	h := clientHello{&tls.ClientHelloInfo{ServerName: "a.example.com"}}
	b.ReportAllocs()
	for b.Loop() {
		tab.pick(h, false, nil)
	}
}
