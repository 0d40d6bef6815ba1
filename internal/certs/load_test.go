package certs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"evenkeel/internal/model"
)

func TestKeyForms(t *testing.T) {
	root := issue(t, nil, spec{cn: "root", ca: true})
	inter := issue(t, root, spec{cn: "inter", ca: true})
	leaf := issue(t, inter, spec{names: []string{"a.test"}})
	rsaLeaf := issue(t, inter, spec{names: []string{"a.test"}, key: rsaOnce()})
	edLeaf := issue(t, inter, spec{names: []string{"a.test"}, key: edKey(t)})
	sec1, err := x509.MarshalECPrivateKey(mustEC(leaf))
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	params := "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
	for name, d := range map[string]disk{
		"certificate, chain, key":  {"/a.pem": leaf.certPEM() + inter.certPEM() + leaf.keyPEM(t)},
		"key first":                {"/a.pem": leaf.keyPEM(t) + leaf.certPEM() + inter.certPEM()},
		"key in the middle":        {"/a.pem": leaf.certPEM() + leaf.keyPEM(t) + inter.certPEM()},
		"SEC1 with parameters":     {"/a.pem": params + block("EC PRIVATE KEY", sec1) + leaf.certPEM() + inter.certPEM()},
		"PKCS1":                    {"/a.pem": rsaLeaf.certPEM() + inter.certPEM() + block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaOnce()))},
		"Ed25519":                  {"/a.pem": edLeaf.both(t) + inter.certPEM()},
		"comments":                 {"/a.pem": "Bag Attributes\n  name: x\n" + leaf.certPEM() + "subject=…\n" + inter.certPEM() + leaf.keyPEM(t)},
		"CRLF":                     {"/a.pem": strings.ReplaceAll(leaf.certPEM()+inter.certPEM()+leaf.keyPEM(t), "\n", "\r\n")},
		"no line end between":      {"/a.pem": strings.TrimSuffix(leaf.certPEM(), "\n") + inter.certPEM() + strings.TrimSuffix(leaf.keyPEM(t), "\n")},
		"key beside":               {"/a.pem": leaf.certPEM() + inter.certPEM(), "/a.pem.key": leaf.keyPEM(t)},
		"key beside, no extension": {"/a.crt": leaf.certPEM() + inter.certPEM(), "/a.key": leaf.keyPEM(t)},
	} {
		t.Run(name, func(t *testing.T) {
			crt := "/a.pem"
			if d["/a.crt"] != "" {
				crt = "/a.crt"
			}
			cfg, b := line(&model.BindTLS{Certs: crts(crt)})
			r := handshake(t, load(t, cfg, d).Bind(b), anyServer("a.test"))
			presentedBy(t, r)
			if len(r.client.PeerCertificates) != 2 || !same(r.client.PeerCertificates[1], inter.cert) {
				t.Errorf("the chain is %d long", len(r.client.PeerCertificates))
			}
		})
	}
}

func TestLoadErrors(t *testing.T) {
	root := issue(t, nil, spec{cn: "root", ca: true})
	leaf := issue(t, root, spec{names: []string{"a.test"}})
	other := issue(t, root, spec{names: []string{"b.test"}})
	late := issue(t, root, spec{names: []string{"late.test"}, from: testNow.AddDate(-2, 0, 0), until: testNow.AddDate(-1, 0, 0)})
	d := disk{
		"/good.pem":      leaf.both(t),
		"/late.pem":      late.both(t),
		"/nokey.pem":     leaf.certPEM(),
		"/wrong.pem":     leaf.certPEM() + other.keyPEM(t),
		"/order.pem":     root.certPEM() + leaf.both(t),
		"/locked.pem":    leaf.certPEM() + "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
		"/locked-1.pem":  leaf.certPEM() + "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,AA\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
		"/dsa.pem":       leaf.certPEM() + "-----BEGIN DSA PRIVATE KEY-----\nAAAA\n-----END DSA PRIVATE KEY-----\n",
		"/cut.pem":       leaf.both(t)[:300],
		"/empty.pem":     "",
		"/ca.pem":        root.certPEM(),
		"/leaf-ca.pem":   leaf.certPEM(),
		"/list":          "/good.pem [colour blue] x\n",
		"/list-nofile":   "\n\n/absent.pem x\n",
		"/list-brackets": "/good.pem [alpn h2\n",
		"/list-h2":       "/good.pem [alpn h2,http/1.1] x\n/good.pem [alpn h2] y\n",
		"/keys":          "AAAA\n",
	}
	with := func(set func(*model.BindTLS)) *model.BindTLS {
		b := &model.BindTLS{Certs: crts("/good.pem")}
		set(b)
		return b
	}
	list := func(name string) *model.BindTLS {
		return &model.BindTLS{CRTLists: []model.CertRef{{Path: name, Pos: model.Pos{File: "h.cfg", Line: 3, Col: 30}}}}
	}
	for _, c := range []struct {
		bind *model.BindTLS
		want string // part of the only diagnostic; "": none. A leading w: a warning.
	}{
		{with(func(*model.BindTLS) {}), ""},
		{&model.BindTLS{Certs: crts("/absent.pem")}, "h.cfg:3:30: 'bind 127.0.0.1:443' : unable to stat SSL certificate from file '/absent.pem' : file does not exist; correct the name"},
		{&model.BindTLS{}, "h.cfg:3:5: Proxy 'web': no SSL certificate specified for bind '127.0.0.1:443'; write 'crt FILE'"},
		{&model.BindTLS{StrictSNI: true}, "wno SSL certificate"},
		{&model.BindTLS{Certs: crts("/nokey.pem")}, "no private key in '/nokey.pem'; append the key to the file or put it in '/nokey.pem.key'"},
		{&model.BindTLS{Certs: crts("/wrong.pem")}, "the key does not match"},
		{&model.BindTLS{Certs: crts("/order.pem")}, "belongs to its certificate number 2, not to the first; put the server's certificate first"},
		{&model.BindTLS{Certs: crts("/locked.pem")}, "is protected by a password; take the password off"},
		{&model.BindTLS{Certs: crts("/locked-1.pem")}, "is protected by a password"},
		{&model.BindTLS{Certs: crts("/dsa.pem")}, "kind that is not supported; use an RSA"},
		{&model.BindTLS{Certs: crts("/cut.pem")}, "the PEM block of line 1 has no END line"},
		{&model.BindTLS{Certs: crts("/empty.pem")}, "no certificate in '/empty.pem'"},
		{&model.BindTLS{Certs: crts("/late.pem")}, "wthe certificate in '/late.pem' expired on"},
		{list("/list"), "/list:1:12: unknown ssl keyword 'colour'"},
		{list("/list-nofile"), "/list-nofile:3:1: unable to stat SSL certificate from file '/absent.pem'"},
		{list("/list-brackets"), "/list-brackets:1:18: '[' without ']'"},
		{list("/list-h2"), "w/list-h2:1:1: 'alpn h2' is not offered"},
		{list("/list-absent"), "cannot open the crt-list '/list-absent'"},
		{with(func(b *model.BindTLS) { b.Verify = "required" }), "verify is enabled but no CA file specified; add 'ca-file FILE'"},
		{with(func(b *model.BindTLS) { b.CAFile = "/absent.pem" }), "'ca-file' : unable to load /absent.pem"},
		{with(func(b *model.BindTLS) { b.Verify, b.CAFile = "required", "/leaf-ca.pem" }), "whas no self-signed certificate"},
		{with(func(b *model.BindTLS) { b.Verify, b.CAFile, b.CRLFile = "required", "/ca.pem", "/ca.pem" }), "wno revocation list in '/ca.pem'"},
		{with(func(b *model.BindTLS) { b.Verify, b.CAFile, b.ErrIgnore = "required", "/ca.pem", "ten" }), "'crt-ignore-err' : 'ten' is not the number"},
		{with(func(b *model.BindTLS) {
			b.Verify, b.CAFile, b.ErrIgnore = "required", "/ca.pem", "X509_V_ERR_CERT_HAS_EXPIRED,9"
		}), ""},
		{with(func(b *model.BindTLS) { b.Ciphers = "RC4-SHA:NONSENSE" }), "unable to set SSL cipher list to 'RC4-SHA:NONSENSE'"},
		{with(func(b *model.BindTLS) { b.Ciphersuites = "TLS_AES_128_GCM_SHA256" }), "wcannot be chosen"},
		{with(func(b *model.BindTLS) { b.Curves = "P-256:nonsense" }), "'nonsense' is not known"},
		{with(func(b *model.BindTLS) { b.Curves = "P-256:X448" }), "wX448 are left out"},
		{with(func(b *model.BindTLS) { b.TicketKeys = "/keys" }), "'tls-ticket-keys' : '/keys' : the key of line 1 has 3 bytes"},
	} {
		cfg, b := line(c.bind)
		s, diags := Load(cfg, d.options())
		want, severity := c.want, model.Error
		if strings.HasPrefix(want, "w") {
			want, severity = want[1:], model.Warning
		}
		switch {
		case want == "" && len(diags) == 0:
		case len(diags) != 1 || !strings.Contains(diags[0].String(), want) || diags[0].Severity != severity:
			t.Errorf("got %v, not %q", diags, want)
		}
		if diags.HasErrors() && strings.Contains(diags[0].String(), "AAAA") && !strings.Contains(want, "bytes") {
			t.Errorf("a key shows up in %v", diags)
		}
		if usable := s.Bind(b) != nil; usable == diags.HasErrors() && c.bind.TicketKeys == "" {
			t.Errorf("%q: usable: %v", c.want, usable)
		}
	}
}

func TestALPN(t *testing.T) {
	s := newShop(t)
	cfg, b := line(&model.BindTLS{Certs: crts("/c/first.pem"), ALPN: []string{"h2", "http/1.1"}})
	st, diags := Load(cfg, s.disk.options())
	if len(diags) != 1 || diags[0].Severity != model.Warning || !strings.Contains(diags[0].Message, "'alpn h2' is not offered") {
		t.Errorf("diagnostics: %v", diags)
	}
	for _, c := range []struct {
		offer []string
		want  string
	}{{nil, ""}, {[]string{"http/1.1"}, "http/1.1"}, {[]string{"h2", "http/1.1"}, "http/1.1"}, {[]string{"h2"}, ""}, {[]string{"acme-tls/1", "x"}, ""}} {
		client := anyServer("first.example.com")
		client.NextProtos = c.offer
		r := handshake(t, st.Bind(b), client)
		presentedBy(t, r)
		if r.client.NegotiatedProtocol != c.want || r.server.NegotiatedProtocol != c.want {
			t.Errorf("%v: %q and %q, not %q", c.offer, r.client.NegotiatedProtocol, r.server.NegotiatedProtocol, c.want)
		}
	}
}

func TestVersions(t *testing.T) {
	const v10, v11, v12, v13 = tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13
	for _, c := range []struct{ lineMin, lineMax, min, max, wantMin, wantMax uint16 }{
		{0, 0, 0, 0, v12, 0},
		{0, 0, v13, 0, v13, 0},
		{v10, 0, v12, 0, v10, 0},
		{v12, v12, 0, 0, v12, v12},
		{0, v11, 0, 0, v11, v11},
		{0, v12, v13, 0, v12, v12},
		{v13, 0, v12, v12, v13, v13},
	} {
		lo, hi := versions(model.TLSVersions{Min: c.lineMin, Max: c.lineMax}, model.TLSVersions{Min: c.min, Max: c.max})
		if lo != c.wantMin || hi != c.wantMax {
			t.Errorf("%+v: got %x, %x", c, lo, hi)
		}
	}
}

func TestCiphers(t *testing.T) {
	for list, want := range map[string]string{
		"ECDHE-RSA-AES128-GCM-SHA256":                            "ECDHE-RSA-AES128-GCM-SHA256",
		"ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-SHA:TLS_AES": "ECDHE-RSA-AES128-GCM-SHA256",
		"EECDH+AESGCM":                                              "ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-RSA-AES256-GCM-SHA384 ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-RSA-AES128-GCM-SHA256",
		"EECDH+aRSA+AESGCM:!AES256":                                 "ECDHE-RSA-AES128-GCM-SHA256",
		"kRSA+AES128:-SHA256:!SHA1":                                 "AES128-GCM-SHA256",
		"HIGH:!aNULL:!kRSA:!AES:!MD5":                               "ECDHE-ECDSA-CHACHA20-POLY1305 ECDHE-RSA-CHACHA20-POLY1305",
		"AES128-SHA AES256-SHA":                                     "AES256-SHA AES128-SHA",
		"!AES128-SHA:AES128-SHA:AES256-SHA":                         "AES256-SHA",
		"SHA384+ECDHE":                                              "",
		"RC4:3DES:NULL":                                             "",
		"AES256-SHA:@STRENGTH:@SECLEVEL=1:+AES256-SHA":              "AES256-SHA",
		"ECDHE-ECDSA-AES256-GCM-SHA384,ECDHE-RSA-CHACHA20-POLY1305": "ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-RSA-CHACHA20-POLY1305",
	} {
		ids, ok := parseCiphers(list)
		var got []string
		for _, id := range ids {
			for _, s := range suites {
				if s.id == id {
					got = append(got, s.name)
				}
			}
		}
		if strings.Join(got, " ") != want || ok != (want != "") {
			t.Errorf("%s: %v", list, got)
		}
	}
}
