package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"math/big"
	"net"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"evenkeel/internal/model"
)

// testNow is the moment that all tests live in: the present one, as the real
// haproxy that some of them compare with has no other clock.
var testNow = time.Now().UTC().Truncate(time.Second)

// authority is a CA for tests.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// spec is what a test wants of a certificate.
type spec struct {
	cn          string
	names       []string
	key         crypto.Signer // nil: a new ECDSA key
	from, until time.Time     // zero: a year around testNow
	ca          bool
	usage       x509.ExtKeyUsage
	serial      int64
	ips         []net.IP
}

var lastSerial struct {
	sync.Mutex
	n int64
}

func nextSerial() int64 {
	lastSerial.Lock()
	defer lastSerial.Unlock()
	lastSerial.n++
	return lastSerial.n + 1000
}

func ecKey(t testing.TB) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var rsaOnce = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func edKey(t testing.TB) crypto.Signer {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// issue makes a certificate; a nil authority signs itself.
func issue(t testing.TB, by *authority, s spec) *authority {
	t.Helper()
	if s.key == nil {
		s.key = ecKey(t)
	}
	if s.from.IsZero() {
		s.from = testNow.AddDate(0, -6, 0)
	}
	if s.until.IsZero() {
		s.until = testNow.AddDate(0, 6, 0)
	}
	if s.serial == 0 {
		s.serial = nextSerial()
	}
	x := &x509.Certificate{
		SerialNumber: big.NewInt(s.serial), Subject: pkix.Name{CommonName: s.cn}, DNSNames: s.names, IPAddresses: s.ips,
		NotBefore: s.from, NotAfter: s.until, BasicConstraintsValid: true, IsCA: s.ca, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if s.usage != 0 {
		x.ExtKeyUsage = []x509.ExtKeyUsage{s.usage}
	}
	if s.ca {
		x.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	parent, signer := x, s.key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, x, parent, s.key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{c, s.key}
}

func (a *authority) certPEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
}

func (a *authority) keyPEM(t testing.TB) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// both is a combined file.
func (a *authority) both(t testing.TB) string { return a.certPEM() + a.keyPEM(t) }

func (a *authority) crl(t testing.TB, next time.Time, revoked ...*authority) string {
	t.Helper()
	l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: testNow.AddDate(0, -1, 0), NextUpdate: next}
	for _, r := range revoked {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: r.cert.SerialNumber, RevocationTime: testNow.AddDate(0, 0, -1)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, a.cert, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
}

func (a *authority) tls() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{a.cert.Raw}, PrivateKey: a.key, Leaf: a.cert}
}

// disk is a file system in memory.
type disk map[string]string

func (d disk) options() Options {
	return Options{
		Now: func() time.Time { return testNow },
		ReadFile: func(name string) ([]byte, error) {
			if s, ok := d[name]; ok {
				return []byte(s), nil
			}
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		},
		ReadDir: func(name string) ([]string, error) {
			var out []string
			for f := range d {
				if path.Dir(f) == strings.TrimSuffix(name, "/") {
					out = append(out, path.Base(f))
				}
			}
			if out == nil {
				return nil, errors.New("not a directory")
			}
			return out, nil
		},
	}
}

// line makes a configuration with one bind line.
func line(t *model.BindTLS) (*model.Config, *model.Bind) {
	b := &model.Bind{Pos: model.Pos{File: "h.cfg", Line: 3, Col: 5}, Text: "127.0.0.1:443 ssl", TLS: t}
	p := &model.Proxy{Name: "web", Kind: model.KindFrontend}
	p.Frontend.Binds = []*model.Bind{b}
	return &model.Config{Proxies: []*model.Proxy{p}}, b
}

func crts(names ...string) []model.CertRef {
	var out []model.CertRef
	for i, n := range names {
		out = append(out, model.CertRef{Pos: model.Pos{File: "h.cfg", Line: 3, Col: 30 + 10*i}, Path: n})
	}
	return out
}

// load is Load for files that must be good.
func load(t testing.TB, cfg *model.Config, d disk) *Store {
	t.Helper()
	s, diags := Load(cfg, d.options())
	if diags.HasErrors() {
		t.Fatalf("Load: %v", diags)
	}
	return s
}

// result is what both sides know after a handshake.
type result struct {
	server, client       tls.ConnectionState
	serverErr, clientErr error
}

func handshake(t testing.TB, server, client *tls.Config) result {
	t.Helper()
	if client.Time == nil {
		client.Time = func() time.Time { return testNow }
	}
	a, b := socketPair(t)
	defer a.Close()
	defer b.Close()
	var r result
	done := make(chan struct{})
	go func() {
		defer close(done)
		s := tls.Server(a, server)
		r.serverErr = s.Handshake()
		r.server = s.ConnectionState()
		if r.serverErr == nil {
			_, _ = s.Write([]byte("x")) // behind the tickets
			_, _ = io.Copy(io.Discard, s)
		}
		a.Close()
	}()
	c := tls.Client(b, client)
	r.clientErr = c.Handshake()
	if r.clientErr == nil {
		_, r.clientErr = c.Read(make([]byte, 1))
	}
	r.client = c.ConnectionState()
	b.Close()
	<-done
	return r
}

// socketPair gives two connected sockets. net.Pipe has no buffer: two alerts
// that cross would wait for each other.
func socketPair(t testing.TB) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if b, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if a, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// anyServer is a client that takes what it gets.
func anyServer(sni string) *tls.Config {
	return &tls.Config{ServerName: sni, InsecureSkipVerify: true}
}

func presentedBy(t testing.TB, r result) *x509.Certificate {
	t.Helper()
	if r.clientErr != nil || len(r.client.PeerCertificates) == 0 {
		t.Fatalf("no handshake: client %v, server %v", r.clientErr, r.serverErr)
	}
	return r.client.PeerCertificates[0]
}

func same(a, b *x509.Certificate) bool { return a != nil && b != nil && bytes.Equal(a.Raw, b.Raw) }

func mustEC(a *authority) *ecdsa.PrivateKey { return a.key.(*ecdsa.PrivateKey) }
