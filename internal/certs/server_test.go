package certs

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/model"
)

// serverLine makes a configuration with one server line.
func serverLine(m *model.Server) *model.Config {
	m.Pos, m.Name = model.Pos{File: "h.cfg", Line: 7, Col: 3}, "s1"
	p := &model.Proxy{Name: "app", Kind: model.KindBackend}
	p.Backend.Servers = []*model.Server{m}
	return &model.Config{Proxies: []*model.Proxy{p}}
}

// origin is a TLS server for tests.
func origin(a *authority, more ...*authority) *tls.Config {
	c := a.tls()
	for _, x := range more {
		c.Certificate = append(c.Certificate, x.cert.Raw)
	}
	return &tls.Config{Certificates: []tls.Certificate{c}, Time: func() time.Time { return testNow }, ClientAuth: tls.RequestClientCert}
}

func TestServerVerification(t *testing.T) {
	root := issue(t, nil, spec{cn: "root", ca: true})
	inter := issue(t, root, spec{cn: "inter", ca: true})
	foreign := issue(t, nil, spec{cn: "foreign", ca: true})
	good := issue(t, root, spec{names: []string{"app.test"}, usage: x509.ExtKeyUsageServerAuth})
	revoked := issue(t, root, spec{names: []string{"app.test"}})
	origins := map[string]*tls.Config{
		"good":     origin(good),
		"chain":    origin(issue(t, inter, spec{names: []string{"app.test"}}), inter),
		"no chain": origin(issue(t, inter, spec{names: []string{"app.test"}})),
		"cn":       origin(issue(t, root, spec{cn: "app.test"})),
		"wild":     origin(issue(t, root, spec{names: []string{"*.test"}})),
		"part":     origin(issue(t, root, spec{names: []string{"a*p.test"}})),
		"other":    origin(issue(t, root, spec{names: []string{"other.test"}})),
		"ip":       origin(issue(t, root, spec{ips: []net.IP{net.ParseIP("10.0.0.1")}})),
		"foreign":  origin(issue(t, foreign, spec{names: []string{"app.test"}})),
		"expired":  origin(issue(t, root, spec{names: []string{"app.test"}, until: testNow.AddDate(0, 0, -1)})),
		"client":   origin(issue(t, root, spec{names: []string{"app.test"}, usage: x509.ExtKeyUsageClientAuth})),
		"revoked":  origin(revoked),
	}
	d := disk{"/ca.pem": root.certPEM(), "/crl.pem": root.crl(t, testNow.AddDate(0, 1, 0), revoked)}
	o := d.options()
	o.SystemRoots = func() (*x509.CertPool, error) {
		p := x509.NewCertPool()
		p.AddCert(foreign.cert)
		return p, nil
	}
	for _, c := range []struct {
		name string
		set  func(m *model.ServerTLS)
		sni  string
		good string
	}{
		{"none", func(m *model.ServerTLS) { m.Verify = "none" }, "app.test", "good chain no chain cn wild part other ip foreign expired client revoked"},
		{"chain alone", func(m *model.ServerTLS) {}, "", "good chain cn wild part other ip revoked"},
		{"name of sni", func(m *model.ServerTLS) {}, "app.test", "good chain cn wild part revoked"},
		{"verifyhost", func(m *model.ServerTLS) { m.VerifyHost = "app.test" }, "", "good chain cn wild part revoked"},
		{"sni goes before verifyhost", func(m *model.ServerTLS) { m.VerifyHost = "other.test" }, "App.Test", "good chain cn wild part revoked"},
		{"address", func(m *model.ServerTLS) { m.VerifyHost = "10.0.0.1" }, "", "ip"},
		{"revocation", func(m *model.ServerTLS) { m.CRLFile = "/crl.pem" }, "", "good cn wild part other ip"},
		{"system", func(m *model.ServerTLS) { m.CAFile = "@system-ca" }, "app.test", "foreign"},
	} {
		m := &model.Server{TLS: &model.ServerTLS{CAFile: "/ca.pem"}}
		c.set(m.TLS)
		st, diags := Load(serverLine(m), o)
		if len(diags) > 0 {
			t.Fatal(diags)
		}
		for name, org := range origins {
			for kind, client := range map[string]*tls.Config{"server": st.ServerNamed(m, c.sni), "check": st.CheckTLS(m, c.sni)} {
				r := handshake(t, org, client)
				want := false
				for _, g := range strings.Split(strings.ReplaceAll(c.good, "no chain", "no_chain"), " ") {
					want = want || g == strings.ReplaceAll(name, " ", "_")
				}
				if (r.clientErr == nil) != want {
					t.Errorf("%s: %s to %q: %v", c.name, kind, name, r.clientErr)
				}
			}
		}
	}
}

func TestServerSessions(t *testing.T) {
	root := issue(t, nil, spec{cn: "root", ca: true})
	org := origin(issue(t, root, spec{names: []string{"app.test"}}))
	for _, never := range []bool{false, true} {
		m := &model.Server{TLS: &model.ServerTLS{Verify: "none", NoReuse: never, ALPN: []string{"http/1.1"}}}
		st := load(t, serverLine(m), disk{})
		if a, b := st.ServerNamed(m, "app.test"), st.ServerNamed(m, "app.test"); a != b {
			t.Error("a name is cloned twice")
		}
		handshake(t, org, st.ServerNamed(m, "app.test"))
		if r := handshake(t, org, st.ServerNamed(m, "app.test")); r.client.DidResume == never {
			t.Errorf("no-ssl-reuse %v: resumed %v", never, r.client.DidResume)
		}
		if r := handshake(t, org, st.CheckTLS(m, "app.test", "x")); r.client.DidResume {
			t.Error("a check resumed a session")
		}
	}
}

func TestServerClientCertificate(t *testing.T) {
	root := issue(t, nil, spec{cn: "root", ca: true})
	org := origin(issue(t, root, spec{names: []string{"app.test"}}))
	me := issue(t, root, spec{cn: "me"})
	again := issue(t, root, spec{cn: "me again"})
	m := &model.Server{TLS: &model.ServerTLS{Verify: "none", CRT: "/me.pem"}}
	st := load(t, serverLine(m), disk{"/me.pem": me.both(t)})
	if r := handshake(t, org, st.Server(m)); len(r.server.PeerCertificates) != 1 || !same(r.server.PeerCertificates[0], me.cert) {
		t.Errorf("%v: the server saw %v", r.clientErr, r.server.PeerCertificates)
	}
	f := st.Files()
	if _, err := f.Set("/me.pem", []byte(again.both(t))); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit("/me.pem"); err != nil {
		t.Fatal(err)
	}
	if r := handshake(t, org, st.CheckTLS(m, "")); len(r.server.PeerCertificates) != 1 || !same(r.server.PeerCertificates[0], again.cert) {
		t.Errorf("%v: after the change the server saw %v", r.clientErr, r.server.PeerCertificates)
	}
}

func TestServerErrors(t *testing.T) {
	yes := true
	check := func() *model.Server {
		m := &model.Server{}
		m.Check.Enabled, m.Check.TLS = true, &yes
		return m
	}
	for _, c := range []struct {
		m    *model.Server
		none bool // ssl-server-verify none
		want string
	}{
		{&model.Server{}, false, ""},
		{&model.Server{TLS: &model.ServerTLS{}}, true, ""},
		{&model.Server{TLS: &model.ServerTLS{}}, false, "h.cfg:7:3: 'server app/s1' : verify is enabled by default but no CA file specified; add 'ca-file FILE'"},
		{&model.Server{TLS: &model.ServerTLS{Verify: "required"}}, true, "verify is enabled but no CA file specified"},
		{&model.Server{TLS: &model.ServerTLS{CAFile: "/absent.pem"}}, true, "'ca-file' : unable to load /absent.pem: cannot open the file"},
		{&model.Server{TLS: &model.ServerTLS{CRT: "/absent.pem"}}, true, "'crt' : unable to stat SSL certificate"},
		{&model.Server{TLS: &model.ServerTLS{CRT: "/dir"}}, true, "'/dir' is not one certificate"},
		{check(), false, "verify is enabled by default"},
		{check(), true, ""},
	} {
		cfg := serverLine(c.m)
		cfg.Global.ServerVerifyNone = c.none
		st, diags := Load(cfg, disk{"/dir/.x": ""}.options())
		if (len(diags) == 0) != (c.want == "") || len(diags) > 0 && !strings.Contains(diags[0].String(), c.want) {
			t.Errorf("got %v, not %q", diags, c.want)
		}
		if c.m.TLS == nil && st.Server(c.m) != nil {
			t.Error("a server without ssl has TLS")
		}
		if len(diags) == 0 && c.m.Check.TLS != nil && st.CheckTLS(c.m, "") == nil {
			t.Error("check-ssl without ssl has no settings")
		}
	}
}
