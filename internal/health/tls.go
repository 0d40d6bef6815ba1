package health

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"evenkeel/internal/model"
	"evenkeel/internal/pool"
)

// tlsFiles makes client configurations from server lines; files are read once.
type tlsFiles struct {
	global *model.Global

	mu    sync.Mutex
	pools map[string]*x509.CertPool
	certs map[string]tls.Certificate
}

func newTLS(g *model.Global) *tlsFiles {
	return &tlsFiles{global: g, pools: map[string]*x509.CertPool{}, certs: map[string]tls.Certificate{}}
}

func (f *tlsFiles) config(s *pool.Server, sni string, alpn []string) (*tls.Config, error) {
	m := s.Model.TLS
	if m == nil {
		m = &model.ServerTLS{Verify: "none"}
	}
	c := &tls.Config{ServerName: sni, NextProtos: alpn, MinVersion: tls.VersionTLS12,
		// Certificates are judged below: HAProxy takes any name unless
		// verifyhost gives one.
		InsecureSkipVerify: true}
	for _, v := range []model.TLSVersions{f.global.ServerSSL, m.Versions} {
		if v.Min != 0 {
			c.MinVersion = v.Min
		}
		if v.Max != 0 {
			c.MaxVersion = v.Max
		}
	}
	if m.CRT != "" {
		cert, err := f.certificate(rooted(f.global.CRTBase, m.CRT))
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{cert}
	}
	if m.Verify == "none" || m.Verify == "" && (f.global.ServerVerifyNone || m.CAFile == "") {
		return c, nil
	}
	roots, err := f.roots(m.CAFile)
	if err != nil {
		return nil, err
	}
	name := m.VerifyHost
	c.VerifyConnection = func(st tls.ConnectionState) error {
		between := x509.NewCertPool()
		for _, x := range st.PeerCertificates[1:] {
			between.AddCert(x)
		}
		_, err := st.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: name})
		return err
	}
	return c, nil
}

func rooted(base, path string) string {
	if base == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(base, path)
}

func (f *tlsFiles) roots(file string) (*x509.CertPool, error) {
	if file == "@system-ca" {
		return x509.SystemCertPool()
	}
	file = rooted(f.global.CABase, file)
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := f.pools[file]; p != nil {
		return p, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	f.pools[file] = p
	return p, nil
}

func (f *tlsFiles) certificate(file string) (tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c, ok := f.certs[file]; ok {
		return c, nil
	}
	c, err := tls.LoadX509KeyPair(file, file)
	if err == nil {
		f.certs[file] = c
	}
	return c, err
}

func splitALPN(s string) []string { return strings.Split(s, ",") }

// bindTo makes sockets use one interface.
func bindTo(name string) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = syscall.BindToDevice(int(fd), name) }); e != nil {
			return e
		}
		return err
	}
}

// serverState is the value of x-haproxy-server-state.
func serverState(s *pool.Server, node string) string {
	snap := s.Backend.Snapshot(0)
	for i := range snap.Servers {
		x := &snap.Servers[i]
		if x.ID != s.ID {
			continue
		}
		text := x.Status
		if x.Throttle >= 0 {
			text += fmt.Sprintf("; throttle=%d%%", x.Throttle)
		}
		host, port, err := net.SplitHostPort(x.Addr)
		if err != nil {
			host, port = x.Addr, "0"
		}
		return fmt.Sprintf("%s; address=%s; port=%s; name=%s/%s; node=%s; weight=%d/%d; scur=%d/%d; qcur=%d",
			text, host, port, s.Backend.Name, s.Name, node, x.Weight, snap.Weight, x.SessCur, snap.SessCur, x.QueueCur)
	}
	return ""
}
