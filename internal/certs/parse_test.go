package certs

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/model"
)

func TestCRTListLines(t *testing.T) {
	for _, c := range []struct {
		text    string
		path    string
		options string
		filters string
		bad     string
	}{
		{"", "", "", "", ""},
		{"   # comment", "", "", "", ""},
		{"/a.pem", "/a.pem", "", "", ""},
		{"\t/a.pem   x.test\t!y.test\r", "/a.pem", "", "x.test !y.test", ""},
		{"/a.pem x.test # rest", "/a.pem", "", "x.test", ""},
		{"/a.pem [] x.test", "/a.pem", "", "x.test", ""},
		{"/a.pem[verify none]x.test", "/a.pem", "verify none", "x.test", ""},
		{"/a.pem [ ciphers A:B curves P-256 no-alpn ] x.test", "/a.pem", "ciphers A:B curves P-256 no-alpn", "x.test", ""},
		{"[alpn h2] /a.pem", "", "", "", "1:1: the name of a certificate's file must come first"},
		{"/a.pem x.test [alpn h2]", "", "", "", "1:15: '[' must follow"},
		{"/a.pem [alpn h2] [verify none]", "", "", "", "1:18: more than one '['"},
		{"/a.pem ] x", "", "", "", "1:8: ']' without '['"},
		{"/a.pem [alpn] x", "", "", "", "'alpn' : missing argument"},
		{"/a.pem [verify maybe] x", "", "", "", "1:16: 'verify' : unknown value 'maybe'; use one of none, optional, required"},
		{"/a.pem [ssl-min-ver TLSv1.4]", "", "", "", "use one of SSLv3"},
	} {
		lines, d := parseCRTList("l", []byte(c.text))
		if c.bad != "" {
			if len(d) != 1 || len(lines) != 0 || !strings.Contains(d[0].String(), c.bad) {
				t.Errorf("%q: got %v", c.text, d)
			}
			continue
		}
		if len(d) > 0 || (len(lines) == 1) != (c.path != "") {
			t.Errorf("%q: %v %v", c.text, lines, d)
			continue
		}
		if len(lines) == 0 {
			continue
		}
		l, options := lines[0], ""
		if l.over != nil {
			options = l.over.text
		}
		if l.path != c.path || options != c.options || strings.Join(l.filters, " ") != c.filters {
			t.Errorf("%q: %q [%s] %q", c.text, l.path, options, l.filters)
		}
	}
}

// What a line is shown as reads as the same line.
func FuzzCRTList(f *testing.F) {
	for _, s := range []string{"/a.pem [alpn h2 verify none] x !y\n#\nb.pem", "a[b]c", "[", "]", "a [ca-file", "a [] [", "\x00 \xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		lines, _ := parseCRTList("l", []byte(s))
		for _, l := range lines {
			again, d := parseCRTList("l", []byte(l.text))
			if len(d) > 0 || len(again) != 1 {
				t.Fatalf("%q: %q is read as %v, %v", s, l.text, again, d)
			}
			a := again[0]
			if a.path != l.path || strings.Join(a.filters, " ") != strings.Join(l.filters, " ") || a.text != l.text {
				t.Fatalf("%q: %q became %q", s, l.text, a.text)
			}
			if l.over != nil {
				l.over.apply(model.BindTLS{}, func(s string) string { return s })
			}
		}
	})
}

func FuzzSplitPEM(f *testing.F) {
	root := issue(f, nil, spec{cn: "root", ca: true})
	good := root.both(f)
	f.Add([]byte(good))
	f.Add([]byte(strings.ReplaceAll(good, "\n", "\r\n")))
	f.Add([]byte(good[:200]))
	f.Add([]byte("-----BEGIN \n-----END "))
	f.Add([]byte("-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\n\nAA==\n-----END A----------BEGIN B-----\n-----END B-----"))
	f.Fuzz(func(t *testing.T, data []byte) {
		before := string(data)
		blocks, bad := splitPEM(data)
		if string(data) != before {
			t.Fatal("the caller's bytes changed")
		}
		if bad != nil && (blocks != nil || bad.text == "") {
			t.Fatal("an error and a result")
		}
		for i, b := range blocks {
			if b.line < 1 || i > 0 && b.line < blocks[i-1].line {
				t.Fatal("lines go back")
			}
		}
		c, bad := readPEM(data, wantCerts|wantKey|wantCRLs)
		if bad == nil {
			p := parts{certs: c.certs, key: c.key}
			_, _, _ = p.assemble("x", testNow)
		}
	})
}

func FuzzOCSP(f *testing.F) {
	root := issue(f, nil, spec{cn: "root", ca: true})
	f.Add(ocspFor(f, 5, 0, testNow.Add(time.Hour)))
	f.Fuzz(func(t *testing.T, der []byte) {
		if until, why := checkOCSP(der, root.cert, testNow); why == "" && !until.After(testNow) {
			t.Fatal("an old response is used")
		}
	})
}

// ocspFor makes a response; status 0 is good, 1 revoked, 2 unknown.
func ocspFor(t testing.TB, serial int64, status int, next time.Time) []byte {
	t.Helper()
	type certID struct {
		Hash      pkix.AlgorithmIdentifier
		Name, Key []byte
		Serial    *big.Int
	}
	type single struct {
		ID     certID
		Status asn1.RawValue
		This   time.Time `asn1:"generalized"`
		Next   time.Time `asn1:"generalized,explicit,tag:0"`
	}
	st := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: status}
	if status == 1 {
		when, _ := asn1.MarshalWithParams(testNow, "generalized")
		st.IsCompound, st.Bytes = true, when
	}
	alg := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}}
	key, _ := asn1.Marshal([]byte("responder"))
	basic, err := asn1.Marshal(struct {
		Data struct {
			ID        asn1.RawValue
			At        time.Time `asn1:"generalized"`
			Responses []single
		}
		Alg pkix.AlgorithmIdentifier
		Sig asn1.BitString
	}{
		Data: struct {
			ID        asn1.RawValue
			At        time.Time `asn1:"generalized"`
			Responses []single
		}{
			asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2, IsCompound: true, Bytes: key}, testNow,
			[]single{{certID{alg, []byte("n"), []byte("k"), big.NewInt(serial)}, st, testNow.Add(-time.Hour), next}},
		},
		Alg: alg, Sig: asn1.BitString{Bytes: []byte{1}, BitLength: 8},
	})
	if err != nil {
		t.Fatal(err)
	}
	type body struct {
		Type asn1.ObjectIdentifier
		Data []byte
	}
	der, err := asn1.Marshal(struct {
		Status asn1.Enumerated
		Body   body `asn1:"explicit,tag:0"`
	}{0, body{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}, basic}})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestStaples(t *testing.T) {
	root := issue(t, nil, spec{cn: "root", ca: true})
	leaf := issue(t, root, spec{names: []string{"a.test"}, serial: 77})
	for _, c := range []struct {
		name string
		ocsp []byte
		warn string
	}{
		{"good", ocspFor(t, 77, 0, testNow.Add(time.Hour)), ""},
		{"another serial", ocspFor(t, 78, 0, testNow.Add(time.Hour)), "about another certificate"},
		{"revoked", ocspFor(t, 77, 1, testNow.Add(time.Hour)), "status is not good"},
		{"unknown", ocspFor(t, 77, 2, testNow.Add(time.Hour)), "status is not good"},
		{"old", ocspFor(t, 77, 0, testNow.Add(-time.Minute)), "it ended on"},
		{"garbage", []byte("x"), "not an OCSP response"},
	} {
		now := &clock{testNow}
		d := disk{"/a.pem": leaf.both(t), "/a.pem.ocsp": string(c.ocsp), "/a.pem.sctl": "\x00\x07\x00\x02ab\x00\x01c"}
		cfg, b := line(&model.BindTLS{Certs: crts("/a.pem")})
		o := d.options()
		o.Now = now.now
		st, diags := Load(cfg, o)
		if (len(diags) == 0) != (c.warn == "") || diags.HasErrors() || len(diags) > 0 && !strings.Contains(diags[0].String(), c.warn) {
			t.Errorf("%s: %v", c.name, diags)
		}
		r := handshake(t, st.Bind(b), anyServer("a.test"))
		if (c.warn == "") != reflect.DeepEqual(r.client.OCSPResponse, c.ocsp) {
			t.Errorf("%s: stapled %d bytes", c.name, len(r.client.OCSPResponse))
		}
		if got := r.client.SignedCertificateTimestamps; len(got) != 2 || string(got[0]) != "ab" {
			t.Errorf("%s: SCTs %q", c.name, got)
		}
		now.t = now.t.Add(2 * time.Hour)
		if r = handshake(t, st.Bind(b), anyServer("a.test")); len(r.client.OCSPResponse) > 0 {
			t.Errorf("%s: stapled after its end", c.name)
		}
	}
}

func TestSCTLForm(t *testing.T) {
	for s, want := range map[string]bool{"": false, "\x00\x00": false, "\x00\x03\x00\x01a": true, "\x00\x03\x00\x02a": false, "\x00\x02\x00\x00": false, "\x00\x09\x00\x01a": false} {
		if _, ok := splitSCTL([]byte(s)); ok != want {
			t.Errorf("%q: %v", s, ok)
		}
	}
}
