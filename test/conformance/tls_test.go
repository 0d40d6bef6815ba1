package conformance

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// authority makes the certificates of the TLS scenarios.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

var (
	caOnce sync.Once
	ca     *authority
	pems   map[string]string // certificate and key in one
	client tls.Certificate
)

func certificates(t *testing.T) map[string]string {
	t.Helper()
	caOnce.Do(func() {
		ca = &authority{}
		ca.cert, ca.key, ca.pem = issue(t, nil, "Test CA")
		pems = map[string]string{"ca.pem": ca.pem}
		for _, name := range []string{"a.com", "b.com", "client", "*.wild.com"} {
			cert, key, text := issue(t, ca, name)
			der, err := x509.MarshalECPrivateKey(key)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			pem.Encode(&b, &pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
			file := name + ".pem"
			if name[0] == '*' {
				file = "wild.pem"
			}
			pems[file] = text + b.String()
			if name == "client" {
				client = tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
			}
		}
	})
	return pems
}

func issue(t *testing.T, by *authority, name string) (*x509.Certificate, *ecdsa.PrivateKey, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	tmpl := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name, Organization: []string{"Org"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	parent, signer := tmpl, key
	if by == nil {
		tmpl.IsCA, tmpl.BasicConstraintsValid, tmpl.KeyUsage = true, true, x509.KeyUsageCertSign
	} else {
		tmpl.DNSNames = []string{name}
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := x509.ParseCertificate(der)
	return cert, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// tlsGet asks over TLS; the answer begins with the certificate's name.
func tlsGet(title, sni string, cfg *tls.Config, data string) step {
	return step{name: title, do: func(d *director) string {
		c, err := net.Dial("tcp", d.fes[0])
		if err != nil {
			return err.Error()
		}
		cfg := cfg.Clone()
		cfg.ServerName, cfg.InsecureSkipVerify = sni, true
		x := tls.Client(c, cfg)
		x.SetDeadline(time.Now().Add(patience * d.pace))
		if err := x.Handshake(); err != nil {
			c.Close()
			return "no handshake"
		}
		s := x.ConnectionState()
		answer, fate := d.exchange(x, data, patience, nil)
		switch fate {
		case "open", "closed", "reset":
		default:
			fate = "failed"
		}
		return s.PeerCertificates[0].Subject.CommonName + " " + tls.VersionName(s.Version) + " " + s.NegotiatedProtocol + "\n" + answer + "[" + fate + "]"
	}}
}

const (
	lastWord = "a client that has got its answer and closes is no error"
)

func TestTLS(t *testing.T) {
	files := map[string]string{"list": "{dir}/a.com.pem\n{dir}/b.com.pem [alpn http/1.1] b.com *.b.com\n{dir}/wild.pem !no.wild.com *.wild.com\n"}
	for name, text := range certificates(t) {
		files[name] = text
	}
	facts := `http-request return status 200 content-type text/plain lf-string "%[ssl_fc] %[ssl_fc_sni] %[ssl_fc_protocol] %[ssl_fc_has_sni] %[ssl_fc_has_crt] %[ssl_fc_is_resumed] %[ssl_fc_alpn] %[ssl_c_used] %[ssl_c_verify] %[ssl_c_s_dn(cn)] %[ssl_c_i_dn(cn)] %[ssl_c_s_dn] %[ssl_c_version] %[ssl_c_sig_alg] %[ssl_c_key_alg] %[ssl_c_err] %[ssl_c_ca_err] %[ssl_f_s_dn(cn)] %[ssl_f_i_dn] %[ssl_f_version] %[ssl_f_key_alg] %[ssl_c_notafter,length] %[ssl_c_serial,length] %[ssl_c_sha1,length] %[ssl_c_der,length]"`
	get := getText("/")
	none, withCert := &tls.Config{}, &tls.Config{Certificates: []tls.Certificate{client}}
	v12 := &tls.Config{MaxVersion: tls.VersionTLS12}
	runAll(t, []scenario{
		{name: "crt", files: files, config: "frontend f\n bind {fe1} ssl crt {dir}/a.com.pem crt {dir}/b.com.pem\n " + facts + "\n", steps: steps(
			tlsGet("no sni", "", none, get), tlsGet("a", "a.com", none, get), tlsGet("b", "b.com", none, get), tlsGet("unknown", "zz.com", none, get), tlsGet("1.2", "a.com", v12, get), raw(get))},
		{name: "crt-list", files: files, config: "frontend f\n bind {fe1} ssl crt-list {dir}/list\n " + facts + "\n", steps: steps(
			tlsGet("a", "a.com", none, get), tlsGet("b", "b.com", none, get), tlsGet("sub b", "x.b.com", none, get), tlsGet("wild", "x.wild.com", none, get), tlsGet("not wild", "no.wild.com", none, get))},
		{name: "strict-sni", files: files, config: "frontend f\n bind {fe1} ssl crt {dir}/a.com.pem strict-sni\n " + facts + "\n", steps: steps(tlsGet("a", "a.com", none, get), tlsGet("unknown", "zz.com", none, get), tlsGet("none", "", none, get))},
		{name: "versions and alpn", files: files, config: "frontend f\n bind {fe1} ssl crt {dir}/a.com.pem ssl-min-ver TLSv1.3 alpn http/1.1\n " + facts + "\n", steps: steps(tlsGet("1.2", "a.com", v12, get), tlsGet("alpn", "a.com", &tls.Config{NextProtos: []string{"h2", "http/1.1"}}, get))},
		{name: "verify required", files: files, config: "frontend f\n bind {fe1} ssl crt {dir}/a.com.pem ca-file {dir}/ca.pem verify required\n " + facts + "\n", steps: steps(tlsGet("with", "a.com", withCert, get), tlsGet("without, 1.2", "a.com", v12, get))},
		{name: "verify optional", files: files, config: "frontend f\n bind {fe1} ssl crt {dir}/a.com.pem ca-file {dir}/ca.pem verify optional\n " + facts + "\n", steps: steps(tlsGet("with", "a.com", withCert, get), tlsGet("without", "a.com", none, get))},
		// Idle connections are counted, so none ends while the other program starts.
		{name: "backends", files: files, defaults: " timeout client 60s\n timeout http-keep-alive 60s\n default-server pool-purge-delay 60s\n", config: `frontend f
 bind {fe1}
 use_backend verified if { path /v }
 use_backend refused if { path /r }
 use_backend sni if { path_beg /s }
 default_backend none
backend none
 server s "${testdir}/tls" ssl verify none
backend verified
 server s "${testdir}/tls" ssl ca-file {dir}/ca.pem sni str(a.com)
backend refused
 retries 0
 server s "${testdir}/tls" ssl ca-file {dir}/ca.pem sni str(b.com) verifyhost other.com
backend sni
 server s "${testdir}/tls" ssl verify none sni req.hdr(x-sni) crt {dir}/client.pem
listen g
 bind "${testdir}/tls" ssl crt {dir}/a.com.pem crt {dir}/b.com.pem ca-file {dir}/ca.pem verify optional
 http-request return status 200 content-type text/plain lf-string "%[ssl_fc_sni] %[ssl_c_s_dn(cn)] %[ssl_f_s_dn(cn)] %HU"
`, steps: steps(step{name: "until the UNIX socket is there", do: untilServed("/v")}.not("the first request may come before it"), raw(get), raw(getText("/v")), raw(getText("/r")), with("/s1", "X-Sni: b.com"), with("/s2", "X-Sni: a.com"))},
		{name: "log", files: files, config: "frontend f\n bind {fe1} ssl crt {dir}/a.com.pem name tls1\n log-format \"%ft %sslv %[ssl_fc_sni] %HU\"\n http-request return status 200\n", steps: steps(tlsGet("a", "a.com", none, get), raw(get))},
		{name: "tcp sni routing", files: files, config: "frontend f\n bind {fe1}\n mode tcp\n option tcplog\n tcp-request inspect-delay 2s\n tcp-request content accept if { req.ssl_hello_type 1 }\n use_backend b if { req.ssl_sni -i b.com }\n default_backend a\nbackend a\n mode tcp\n server s \"${testdir}/ta\"\nbackend b\n mode tcp\n server s \"${testdir}/tb\"\nlisten ga\n bind \"${testdir}/ta\" ssl crt {dir}/a.com.pem\n http-request return status 200 content-type text/plain string a\nlisten gb\n bind \"${testdir}/tb\" ssl crt {dir}/b.com.pem\n http-request return status 200 content-type text/plain string b\n",
			steps: steps(tlsGet("a", "a.com", none, get).not(lastWord), tlsGet("b", "B.com", none, get).not(lastWord))},
	})
}

// untilServed asks until the answer is good, so that both programs have the
// same idle connections afterwards.
func untilServed(path string) func(d *director) string {
	return func(d *director) string {
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
			if strings.Contains(d.request(1, getText(path)), " 200 ") {
				break
			}
		}
		return ""
	}
}
