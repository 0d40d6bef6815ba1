package certs

import (
	"reflect"
	"strings"
	"sync"
	"testing"

	"evenkeel/internal/model"
)

func TestRuntimeChange(t *testing.T) {
	root := issue(t, nil, spec{cn: "root", ca: true})
	old := issue(t, root, spec{names: []string{"a.test"}})
	renewed := issue(t, root, spec{names: []string{"a.test"}, key: old.key})
	moved := issue(t, root, spec{names: []string{"b.test"}, key: rsaOnce()})
	main := issue(t, root, spec{names: []string{"main.test"}})
	d := disk{"/main.pem": main.both(t), "/a.pem": old.both(t), "/list": "/main.pem\n# x\n/a.pem [alpn http/1.1] *.x.test !y.x.test\n"}
	cfg, b := line(&model.BindTLS{Certs: crts("/main.pem", "/a.pem"), CRTLists: []model.CertRef{{Path: "/list", Pos: model.Pos{Line: 9}}}})
	st := load(t, cfg, d)
	for name := range d {
		delete(d, name) // from here on there is no disk
	}
	f := st.Files()
	shows := func(sni string, want *authority) {
		t.Helper()
		if got := presentedBy(t, handshake(t, st.Bind(b), anyServer(sni))); !same(got, want.cert) {
			t.Errorf("%s: got %v %v", sni, got.DNSNames, got.SerialNumber)
		}
	}
	set := func(name, text string, created bool) {
		t.Helper()
		if got, err := f.Set(name, []byte(text)); err != nil || got != created {
			t.Fatalf("Set %s: %v, %v", name, got, err)
		}
	}
	fails := func(err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, not %q", err, want)
		}
	}
	shows("a.test", old)

	// The same key, and only the certificate in the payload.
	set("/a.pem", renewed.certPEM(), true)
	committed, staged := f.List()
	if !reflect.DeepEqual(committed, []string{"/a.pem", "/main.pem"}) || !reflect.DeepEqual(staged, []string{"/a.pem"}) {
		t.Errorf("List: %v, %v", committed, staged)
	}
	if !same(f.Get("/a.pem", true)[0], renewed.cert) || !same(f.Get("/a.pem", false)[0], old.cert) {
		t.Error("Get mixes up what is staged")
	}
	shows("a.test", old)
	if err := f.Commit("/a.pem"); err != nil {
		t.Fatal(err)
	}
	shows("a.test", renewed)
	shows("q.x.test", renewed)

	// A key that does not fit changes nothing.
	set("/a.pem", moved.certPEM(), true)
	fails(f.Commit("/a.pem"), "does not match")
	shows("a.test", renewed)
	set("/a.pem.key", moved.keyPEM(t), false)
	if err := f.Commit("/a.pem"); err != nil {
		t.Fatal(err)
	}
	shows("b.test", moved)
	shows("a.test", main)

	set("/a.pem", old.both(t), true)
	if err := f.Abort("/a.pem"); err != nil {
		t.Fatal(err)
	}
	fails(f.Commit("/a.pem"), "No ongoing transaction")
	fails(f.Abort("/a.pem"), "No ongoing transaction")
	_, err := f.Set("/other.pem", []byte(old.both(t)))
	fails(err, "not referenced")
	_, err = f.Set("/a.pem", []byte("nonsense"))
	fails(err, "no certificate")
	_, err = f.Set("/a.pem.key", []byte(old.certPEM()))
	fails(err, "no private key")
	if f.Get("/other.pem", false) != nil || f.Get("/a.pem", true) != nil {
		t.Error("Get finds what is not there")
	}

	if got := f.CRTLists(); !reflect.DeepEqual(got, []string{"/list"}) {
		t.Errorf("CRTLists: %v", got)
	}
	if got, ok := f.CRTList("/list"); !ok || !reflect.DeepEqual(got, []string{"/main.pem", "/a.pem [alpn http/1.1] *.x.test !y.x.test"}) {
		t.Errorf("CRTList: %q", got)
	}
}

// Handshakes go on while certificates are replaced.
func TestRuntimeChangeUnderLoad(t *testing.T) {
	root := issue(t, nil, spec{cn: "root", ca: true})
	one := issue(t, root, spec{names: []string{"a.test"}})
	two := issue(t, root, spec{names: []string{"a.test"}})
	cfg, b := line(&model.BindTLS{Certs: crts("/a.pem")})
	st := load(t, cfg, disk{"/a.pem": one.both(t)})
	f := st.Files()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				r := handshake(t, st.Bind(b), anyServer("a.test"))
				if r.clientErr != nil {
					t.Error(r.clientErr)
				}
			}
		})
	}
	for i := range 50 {
		x := []*authority{one, two}[i%2]
		if _, err := f.Set("/a.pem", []byte(x.both(t))); err != nil {
			t.Error(err)
		}
		if err := f.Commit("/a.pem"); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}
