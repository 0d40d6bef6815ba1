package health

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"evenkeel/internal/health/checks"
	"evenkeel/internal/model"
	"evenkeel/internal/pool"
)

// listen runs serve for each connection, until the test ends.
func listen(t *testing.T, serve func(c net.Conn)) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(10 * time.Second))
			serve(c)
			c.Close()
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().(*net.TCPAddr).Port
}

// once runs one health check of the first server of px by hand.
func once(t *testing.T, px *model.Proxy, port int) (checks.Result, *pool.Server) {
	t.Helper()
	px.Name, px.Kind = "be", model.KindBackend
	px.Backend.Servers[0].Addr = model.ServerAddr{Network: "tcp4", Host: "127.0.0.1", Port: port}
	px.Backend.Servers[0].Check.Inter = 10 * time.Second
	b, err := pool.New(px, pool.Options{Now: func() int64 { return 1 }})
	if err != nil {
		t.Fatal(err)
	}
	r := &Runner{}
	r.opt.TLS, r.opt.Dial = newTLS(&r.global).config, dial
	w := newWatch(r, b.Servers[0])
	if w.script, err = checks.Compile(&px.Backend.Check, &checks.Env{}); err != nil {
		t.Fatal(err)
	}
	return w.check(t.Context()), b.Servers[0]
}

func certificate(t *testing.T) (cert tls.Certificate, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	m := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a.example"}, DNSNames: []string{"a.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, m, m, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

func TestTLSChecks(t *testing.T) {
	cert, ca := certificate(t)
	_, otherCA := certificate(t)
	names := make(chan string, 10)
	port := listen(t, func(c net.Conn) {
		s := tls.Server(c, &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			names <- h.ServerName + " " + strings.Join(h.SupportedProtos, ",")
			return &cert, nil
		}})
		if s.Handshake() == nil {
			io.Copy(io.Discard, s)
		}
	})
	plain := listen(t, func(c net.Conn) { io.WriteString(c, "220 not TLS at all\r\n"); io.Copy(io.Discard, c) })
	no := false
	for _, x := range []struct {
		name   string
		tls    *model.ServerTLS
		check  model.ServerCheck
		port   int
		want   checks.Result
		spoken string
	}{
		{"no verify", &model.ServerTLS{Verify: "none"}, model.ServerCheck{SNI: "b.example", ALPN: "h2,http/1.1"}, port, checks.Result{Status: pool.CheckL6OK}, "b.example h2,http/1.1"},
		{"verify", &model.ServerTLS{Verify: "required", CAFile: ca}, model.ServerCheck{}, port, checks.Result{Status: pool.CheckL6OK}, " "},
		{"verify host", &model.ServerTLS{Verify: "required", CAFile: ca, VerifyHost: "z.example"}, model.ServerCheck{}, port, checks.Result{Status: pool.CheckL6Response, Info: "SSL handshake failure"}, " "},
		{"other authority", &model.ServerTLS{Verify: "required", CAFile: otherCA}, model.ServerCheck{}, port, checks.Result{Status: pool.CheckL6Response, Info: "SSL handshake failure"}, " "},
		{"not TLS", &model.ServerTLS{Verify: "none"}, model.ServerCheck{}, plain, checks.Result{Status: pool.CheckL6Response, Info: "SSL handshake failure"}, ""},
		{"no-check-ssl", &model.ServerTLS{Verify: "none"}, model.ServerCheck{TLS: &no}, port, checks.Result{Status: pool.CheckL4OK}, ""},
		{"a port of its own", &model.ServerTLS{Verify: "none"}, model.ServerCheck{Port: plain}, port, checks.Result{Status: pool.CheckL4OK}, ""},
	} {
		x.check.Enabled = true
		px := &model.Proxy{}
		px.Backend.Servers = []*model.Server{{Name: "s", ID: 1, TLS: x.tls, Check: x.check}}
		got, _ := once(t, px, x.port)
		if got != x.want {
			t.Errorf("%s: %v %+v", x.name, got.Status, got)
		}
		if x.spoken != "" {
			if s := <-names; s != x.spoken {
				t.Errorf("%s: hello %q", x.name, s)
			}
		}
	}
}

// A check that only connects must end with a reset, as one that read an answer
// and did not ask for lingering.
func TestChecksEndWithAReset(t *testing.T) {
	ends := make(chan error, 1)
	port := listen(t, func(c net.Conn) {
		_, err := c.Read(make([]byte, 1))
		ends <- err
	})
	for _, linger := range []bool{false, true} {
		px := &model.Proxy{}
		px.Backend.Servers = []*model.Server{{Name: "s", ID: 1, Check: model.ServerCheck{Enabled: true}}}
		if linger {
			px.Backend.Check.Steps = []model.CheckStep{{Kind: model.StepConnect, Linger: true}}
		}
		if got, _ := once(t, px, port); got.Status != pool.CheckL4OK {
			t.Errorf("%+v", got)
		}
		if err := <-ends; errors.Is(err, syscall.ECONNRESET) == linger {
			t.Errorf("linger %t: the server saw %v", linger, err)
		}
	}
}

func TestProxyHeader(t *testing.T) {
	lines := make(chan string, 1)
	port := listen(t, func(c net.Conn) {
		line, _ := bufio.NewReader(c).ReadString('\n')
		lines <- strings.TrimSpace(line) + " from " + c.RemoteAddr().String() + " to " + c.LocalAddr().String()
		io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\n")
	})
	px := &model.Proxy{}
	px.Backend.Check.Kind = model.CheckHTTP
	px.Backend.Servers = []*model.Server{{Name: "s", ID: 1, Check: model.ServerCheck{Enabled: true, SendProxy: true}}}
	once(t, px, port)
	got := <-lines
	header, rest, _ := strings.Cut(got, " from ")
	from, to, _ := strings.Cut(rest, " to ")
	h1, p1, _ := net.SplitHostPort(from)
	h2, p2, _ := net.SplitHostPort(to)
	if header != "PROXY TCP4 "+h1+" "+h2+" "+p1+" "+p2 {
		t.Error(got)
	}
}

func TestDisableOn404(t *testing.T) {
	port := listen(t, func(c net.Conn) {
		c.Read(make([]byte, 1000))
		io.WriteString(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
	})
	for _, on := range []bool{true, false} {
		px := &model.Proxy{}
		px.Backend.Check = model.Check{Kind: model.CheckHTTP, DisableOn404: on}
		px.Backend.Servers = []*model.Server{{Name: "s", ID: 1, Check: model.ServerCheck{Enabled: true}}}
		got, s := once(t, px, port)
		if want := (checks.Result{Status: pool.CheckL7Status, Code: 404, Info: "Not Found"}); !on && got != want {
			t.Errorf("%+v", got)
		}
		if want := (checks.Result{Status: pool.CheckL7OKConditional, Code: 404}); on && got != want {
			t.Errorf("%+v", got)
		}
		if state := serverState(s, "n"); !strings.HasPrefix(state, "UP") || !strings.Contains(state, "; address=127.0.0.1; port=") || !strings.HasSuffix(state, "; name=be/s; node=n; weight=1/1; scur=0/0; qcur=0") {
			t.Errorf("state %q", state)
		}
	}
}
