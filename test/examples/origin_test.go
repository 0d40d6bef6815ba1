package examples

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// origin starts an HTTP server in place of the server with that address in
// the file. It says who it is, and what it saw of a request.
func (s *site) origin(address, name string) *httptest.Server {
	s.t.Helper()
	o := s.newOrigin(address, name)
	o.Start()
	return o
}

func (s *site) newOrigin(address, name string) *httptest.Server {
	s.t.Helper()
	local, ok := s.server[address]
	if !ok {
		s.t.Fatalf("no server has the address %s", address)
	}
	l, err := net.Listen("tcp", local)
	if err != nil {
		s.t.Fatal(err)
	}
	o := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Origin", name)
		h.Set("X-Saw", r.Method+" "+r.RequestURI)
		h.Set("Server", "origin/1.0")
		for _, field := range []string{"Host", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Kind", "X-Proto",
			"X-Secret", "X-Real-Ip", "X-Device", "X-Debug", "X-Tls", "Cookie"} {
			h["Saw-"+field] = r.Header[field]
		}
		h.Set("Saw-Host", r.Host)
		if r.URL.Path == "/moved" {
			h.Set("Location", "http://app.internal/elsewhere")
		}
		io.WriteString(w, name+"\n")
	})}}
	s.t.Cleanup(o.Close)
	return o
}

// kill ends a server with all its connections.
func kill(o *httptest.Server) {
	o.Listener.Close()
	o.CloseClientConnections()
}

// client follows no redirects and keeps no connections.
func client(config *tls.Config) *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, TLSClientConfig: config},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       patience,
	}
}

// ask sends a request; fields are "Name: value".
func ask(t *testing.T, c *http.Client, method, url string, fields ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if name == "Host" {
			r.Host = value
		}
		r.Header.Set(name, value)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: body: %v", method, url, err)
	}
	resp.Body = io.NopCloser(strings.NewReader(string(body)))
	return resp
}

func body(r *http.Response) string {
	b, _ := io.ReadAll(r.Body)
	return string(b)
}

func want(t *testing.T, what, got, wanted string) {
	t.Helper()
	if got != wanted {
		t.Errorf("%s: %q, not %q", what, got, wanted)
	}
}

func wantStatus(t *testing.T, r *http.Response, status int) {
	t.Helper()
	if r.StatusCode != status {
		t.Errorf("%s %s: status %d, not %d", r.Request.Method, r.Request.URL, r.StatusCode, status)
	}
}

// lineServer starts a TCP server that handles each connection with serve. The
// returned function ends it, and its connections.
func (s *site) lineServer(address string, serve func(c net.Conn, r *bufio.Reader)) func() {
	s.t.Helper()
	l, err := net.Listen("tcp", s.server[address])
	if err != nil {
		s.t.Fatal(err)
	}
	open := make(chan net.Conn, 1000)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open <- c
			go func() {
				defer c.Close()
				serve(c, bufio.NewReader(c))
			}()
		}
	}()
	end := func() {
		l.Close()
		for {
			select {
			case c := <-open:
				c.Close()
			default:
				return
			}
		}
	}
	s.t.Cleanup(end)
	return end
}

// authority signs certificates for the test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// issue makes a certificate and its key in one PEM text.
func (a *authority) issue(t *testing.T, names ...string) []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
