package certs

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/model"
	"evenkeel/test/loopback"
)

// pki is everything that the verification tests present.
type pki struct {
	disk
	root, inter, foreign, oldInter *authority
	clients                        map[string][]*authority // chain that is sent
}

func newPKI(t testing.TB) *pki {
	p := &pki{disk: disk{}, clients: map[string][]*authority{}}
	day := 24 * time.Hour
	client := func(cn string) spec { return spec{cn: cn, usage: x509.ExtKeyUsageClientAuth} }
	p.root = issue(t, nil, spec{cn: "root", ca: true})
	p.inter = issue(t, p.root, spec{cn: "inter", ca: true})
	p.foreign = issue(t, nil, spec{cn: "foreign root", ca: true})
	foreignInter := issue(t, p.foreign, spec{cn: "foreign inter", ca: true})
	p.oldInter = issue(t, p.root, spec{cn: "old inter", ca: true, from: testNow.Add(-30 * day), until: testNow.Add(-day)})

	good := issue(t, p.root, client("good"))
	p.clients["good"] = []*authority{good}
	p.clients["good with inter"] = []*authority{issue(t, p.inter, client("deep")), p.inter}
	p.clients["inter not sent"] = []*authority{issue(t, p.inter, client("alone"))}
	p.clients["inter and root sent"] = []*authority{issue(t, p.inter, client("all")), p.inter, p.root}
	s := client("late")
	s.until = testNow.Add(-day)
	p.clients["expired"] = []*authority{issue(t, p.root, s)}
	s = client("early")
	s.from = testNow.Add(day)
	p.clients["not yet"] = []*authority{issue(t, p.root, s)}
	p.clients["old inter"] = []*authority{issue(t, p.oldInter, client("below old")), p.oldInter}
	p.clients["self-signed"] = []*authority{issue(t, nil, client("self"))}
	p.clients["foreign"] = []*authority{issue(t, p.foreign, client("stranger"))}
	p.clients["foreign chain"] = []*authority{issue(t, foreignInter, client("stranger")), foreignInter}
	p.clients["foreign with root"] = []*authority{issue(t, foreignInter, client("stranger")), foreignInter, p.foreign}
	p.clients["foreign expired"] = []*authority{issue(t, p.foreign, spec{cn: "x", until: testNow.Add(-day)})}
	s = client("server")
	s.usage = x509.ExtKeyUsageServerAuth
	p.clients["wrong purpose"] = []*authority{issue(t, p.root, s)}
	p.clients["no CA above"] = []*authority{issue(t, good, client("grandchild")), good}
	revoked := issue(t, p.root, client("revoked"))
	p.clients["revoked"] = []*authority{revoked}
	s = client("revoked and late")
	s.until = testNow.Add(-day)
	both := issue(t, p.root, s)
	p.clients["revoked and expired"] = []*authority{both}

	p.disk["/srv.pem"] = issue(t, p.root, spec{cn: "srv", names: []string{"srv.test"}}).both(t)
	p.disk["/ca.pem"] = p.root.certPEM()
	p.disk["/inter.pem"] = p.inter.certPEM()
	p.disk["/both.pem"] = p.inter.certPEM() + p.root.certPEM()
	p.disk["/crl.pem"] = p.root.crl(t, testNow.AddDate(0, 1, 0), revoked, both)
	p.disk["/crl-inter.pem"] = p.disk["/crl.pem"] + p.inter.crl(t, testNow.AddDate(0, 1, 0))
	p.disk["/crl-old.pem"] = p.root.crl(t, testNow.Add(-day))
	fake := issue(t, nil, spec{cn: "root", ca: true})
	p.disk["/crl-fake.pem"] = fake.crl(t, testNow.AddDate(0, 1, 0))
	return p
}

func (p *pki) present(name string, sni string) *tls.Config {
	c := anyServer(sni)
	if chain := p.clients[name]; chain != nil {
		crt := chain[0].tls()
		for _, x := range chain[1:] {
			crt.Certificate = append(crt.Certificate, x.cert.Raw)
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &crt, nil }
	}
	return c
}

// verification is a bind line's way to verify, and what becomes of clients:
// -1: refused, else ssl_c_verify.
type verification struct {
	name    string
	set     func(t *model.BindTLS)
	clients map[string]int
}

func verifications() []verification {
	everything := func(t *model.BindTLS) { t.Verify, t.ErrIgnore, t.CAIgnoreErr = "optional", "all", "all" }
	return []verification{
		{name: "none", set: func(t *model.BindTLS) { t.Verify = "none" }, clients: map[string]int{"": 0, "good": 0, "self-signed": 0}},
		{name: "optional", set: func(t *model.BindTLS) { t.Verify = "optional" }, clients: map[string]int{
			"": 0, "good": 0, "good with inter": 0, "inter not sent": -1, "inter and root sent": 0, "expired": -1, "not yet": -1, "old inter": -1,
			"self-signed": -1, "foreign": -1, "foreign chain": -1, "foreign with root": -1, "wrong purpose": -1, "no CA above": -1, "revoked": 0}},
		{name: "required", set: func(t *model.BindTLS) { t.Verify = "required" }, clients: map[string]int{"": -1, "good": 0, "expired": -1}},
		{name: "all ignored", set: everything, clients: map[string]int{
			"": 0, "good": 0, "good with inter": 0, "inter not sent": 21, "expired": 10, "not yet": 9, "old inter": 10, "self-signed": 18,
			"foreign": 21, "foreign chain": 20, "foreign with root": 19, "wrong purpose": 26, "foreign expired": 10, "revoked": 0}},
		{name: "expiry ignored", set: func(t *model.BindTLS) { t.Verify, t.ErrIgnore = "required", "10" }, clients: map[string]int{
			"expired": 10, "old inter": -1, "foreign expired": -1, "not yet": -1, "self-signed": -1, "": -1}},
		{name: "authority's expiry ignored", set: func(t *model.BindTLS) { t.Verify, t.CAIgnoreErr = "required", "10" }, clients: map[string]int{
			"expired": -1, "old inter": 10}},
		{name: "unknown issuer ignored", set: func(t *model.BindTLS) { t.Verify, t.ErrIgnore, t.CAIgnoreErr = "required", "20,21", "19,20" }, clients: map[string]int{
			"foreign": 21, "foreign chain": 20, "foreign with root": 19, "foreign expired": -1, "self-signed": -1}},
		{name: "revocation", set: func(t *model.BindTLS) { t.Verify, t.CRLFile = "optional", "/crl.pem" }, clients: map[string]int{
			"good": 0, "revoked": -1, "good with inter": -1, "": 0}},
		{name: "revocation seen", set: func(t *model.BindTLS) { everything(t); t.CRLFile = "/crl.pem" }, clients: map[string]int{
			"good": 0, "revoked": 23, "good with inter": 3, "revoked and expired": 10}},
		{name: "every authority's list", set: func(t *model.BindTLS) { t.Verify, t.CRLFile = "optional", "/crl-inter.pem" }, clients: map[string]int{
			"good": 0, "revoked": -1, "good with inter": 0}},
		{name: "old list", set: func(t *model.BindTLS) { everything(t); t.CRLFile = "/crl-old.pem" }, clients: map[string]int{"good": 12}},
		{name: "forged list", set: func(t *model.BindTLS) { everything(t); t.CRLFile = "/crl-fake.pem" }, clients: map[string]int{"good": 3}},
		{name: "authorities in two files", set: func(t *model.BindTLS) { t.Verify, t.CAFile, t.CAVerifyFile = "required", "/inter.pem", "/ca.pem" }, clients: map[string]int{
			"good": 0, "inter not sent": 0, "foreign": -1}},
		{name: "links only", set: func(t *model.BindTLS) { t.Verify, t.CAFile = "required", "/inter.pem" }, clients: map[string]int{"good": -1, "inter not sent": -1}},
		{name: "links only seen", set: func(t *model.BindTLS) { everything(t); t.CAFile = "/inter.pem" }, clients: map[string]int{"inter not sent": 2}},
	}
}

func (v *verification) bind() *model.BindTLS {
	t := &model.BindTLS{Certs: crts("/srv.pem"), CAFile: "/ca.pem"}
	v.set(t)
	return t
}

func TestClientVerification(t *testing.T) {
	p := newPKI(t)
	for _, v := range verifications() {
		t.Run(v.name, func(t *testing.T) {
			cfg, b := line(v.bind())
			st := load(t, cfg, p.disk)
			for who, want := range v.clients {
				for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
					c := p.present(who, "")
					c.MaxVersion = version
					cache := tls.NewLRUClientSessionCache(1)
					c.ClientSessionCache = cache
					c.ServerName = "srv.test"
					r := handshake(t, st.Bind(b), c)
					got := VerifyError(&r.server)
					if r.serverErr != nil {
						got = -1
					}
					if got != want {
						t.Errorf("%q with %x: got %d (%v), not %d", who, version, got, r.serverErr, want)
					}
					if want < 0 {
						continue
					}
					// Resumption does not forget.
					r = handshake(t, st.Bind(b), c)
					// crypto/tls resumes no session of an expired certificate.
					late := who != "" && testNow.After(p.clients[who][0].cert.NotAfter) && v.name != "none"
					if r.server.DidResume == late || VerifyError(&r.server) != want {
						t.Errorf("%q with %x: resumed %v with %d, not %d", who, version, r.server.DidResume, VerifyError(&r.server), want)
					}
				}
			}
		})
	}
}

// TestClientVerificationAsHAProxy has the real one tell its ssl_c_verify.
func TestClientVerificationAsHAProxy(t *testing.T) {
	if _, err := os.Stat(haproxyPath); err != nil {
		t.Skip("no haproxy here to compare with")
	}
	p := newPKI(t)
	dir := t.TempDir()
	for name, text := range p.disk {
		write(t, dir+name, text)
	}
	var cfg strings.Builder
	cfg.WriteString("defaults\n  mode http\n  timeout client 30s\n  timeout server 30s\n  timeout connect 30s\n")
	all := verifications()
	port := loopback.Ports(t, len(all))
	for i, v := range all {
		b := v.bind()
		fmt.Fprintf(&cfg, "frontend f%d\n  http-request return status 200 hdr v %%[ssl_c_verify]\n  bind 127.0.0.1:%d ssl crt %s verify %s", i, port+i, dir+"/srv.pem", b.Verify)
		for _, o := range [][2]string{{"ca-file", b.CAFile}, {"ca-verify-file", b.CAVerifyFile}, {"crl-file", b.CRLFile}} {
			if o[1] != "" {
				fmt.Fprintf(&cfg, " %s %s%s", o[0], dir, o[1])
			}
		}
		for _, o := range [][2]string{{"crt-ignore-err", b.ErrIgnore}, {"ca-ignore-err", b.CAIgnoreErr}} {
			if o[1] != "" {
				fmt.Fprintf(&cfg, " %s %s", o[0], o[1])
			}
		}
		cfg.WriteString("\n")
	}
	startHAProxy(t, dir, cfg.String(), port+len(all)-1)
	for i, v := range all {
		for who, want := range v.clients {
			if got := askVerify(t, port+i, p.present(who, "")); got != want {
				t.Errorf("%s: %q: HAProxy says %d, not %d", v.name, who, got, want)
			}
		}
	}
}

func askVerify(t *testing.T, port int, cfg *tls.Config) int {
	t.Helper()
	raw, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	c := tls.Client(raw, cfg)
	if c.Handshake() != nil {
		return -1
	}
	fmt.Fprintf(c, "GET / HTTP/1.0\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return -1
	}
	n, err := strconv.Atoi(res.Header.Get("v"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
