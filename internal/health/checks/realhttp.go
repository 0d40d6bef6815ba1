package checks

import (
	"context"
	"crypto/md5" //nolint:gosec // keepalived's digests are MD5
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"evenkeel/internal/model"
)

// realHTTP is HTTP_GET and SSL_GET: a request for each url, one a run.
type realHTTP struct {
	reach   *reach
	tls     bool
	sni     bool
	version string // 1.0 or 1.1
	closing bool   // say Connection: close
	host    string // virtualhost of the checker
	urls    []realURL

	certificates []tls.Certificate // of the SSL block
}

// realURL is what one url asks for and wants.
type realURL struct {
	path   string
	host   string // its virtualhost
	status []model.StatusRange
	digest []byte
	regex  *bodyRegex
	strict bool // tls_compliant: the end of the stream must be announced
}

// Limits of an answer. What is larger ends in a result all the same.
const (
	maxHead      = 64 << 10
	maxRegexBody = 4 << 20  // of the body, for a regular expression
	maxPlainBody = 1 << 20  // where nothing is asked of the body
	maxBody      = 64 << 20 // for a digest
	// wholeAnswers is how many times connect_timeout an answer may take as
	// long as something comes.
	wholeAnswers = 12
)

func compileRealHTTP(c *model.RealCheck, _ *RealEnv) (RealChecker, error) {
	r, err := newReach(c.Connect, c.Timeout)
	if err != nil {
		return nil, err
	}
	spec := c.HTTP
	if spec == nil || len(spec.URLs) == 0 {
		return nil, errors.New("no url: write url { path / }")
	}
	k := &realHTTP{reach: r, tls: c.Kind == model.CheckerSSL, sni: spec.SNI, host: spec.VirtualHost, version: "1.0"}
	switch spec.Version {
	case "", "1.0":
	case "1.0C":
		k.closing = true
	case "1.1":
		k.version, k.closing = "1.1", true
	default:
		return nil, fmt.Errorf("http_protocol %s: write 1.0, 1.0C or 1.1", spec.Version)
	}
	for _, u := range spec.URLs {
		compiled, err := compileURL(u)
		if err != nil {
			return nil, placed{&RealError{u.Pos, err.Error()}}
		}
		k.urls = append(k.urls, compiled)
	}
	if strings.ContainsAny(k.host, "\r\n") {
		return nil, errors.New("virtualhost has a line break in it")
	}
	if c.TLS != nil && k.tls {
		if k.certificates, err = clientCertificate(c.TLS); err != nil {
			return nil, placed{&RealError{c.TLS.Pos, err.Error()}}
		}
	}
	return k, nil
}

func compileURL(u *model.CheckURL) (realURL, error) {
	x := realURL{path: u.Path, host: u.VirtualHost, status: u.Status, strict: u.TLSCompliant}
	if x.path == "" {
		return x, errors.New("no path")
	}
	if strings.ContainsAny(x.path+x.host, "\r\n") {
		return x, errors.New("path or virtualhost has a line break in it")
	}
	if len(x.status) == 0 {
		x.status = []model.StatusRange{{First: 200, Last: 299}}
	}
	if u.Digest != "" {
		d, err := hex.DecodeString(u.Digest)
		if err != nil || len(d) != md5.Size {
			return x, fmt.Errorf("digest %s is not the 32 hex digits of an MD5 sum", u.Digest)
		}
		x.digest = d
	}
	if u.Regex != "" {
		re, err := compileBodyRegex(u)
		if err != nil {
			return x, err
		}
		x.regex = re
	}
	return x, nil
}

// Parts is the number of urls.
func (k *realHTTP) Parts() int { return len(k.urls) }

// Run asks for one url on a connection of its own.
func (k *realHTTP) Run(ctx context.Context, t RealTarget) RealResult {
	start, to := time.Now(), k.reach.to(t.Server)
	u := &k.urls[min(max(t.Part, 0), len(k.urls)-1)]
	c, err := k.reach.dial(ctx, "tcp", to)
	if err != nil {
		return k.reach.unreached(start, "connection", to, err)
	}
	host := u.host
	for _, h := range []string{k.host, t.VirtualHost} {
		if host == "" {
			host = h
		}
	}
	x := converse(ctx, c, k.reach.timeout, wholeAnswers*k.reach.timeout)
	// A server that is done closes the connection itself; others get a reset.
	defer x.end(false)
	var raw streamEnd
	if k.tls {
		hand, cancel := context.WithTimeout(ctx, k.reach.timeout)
		raw.Conn = c
		secure := tls.Client(&raw, k.client(host))
		err := secure.HandshakeContext(hand)
		cancel()
		if err != nil {
			if isTimeout(err) {
				return outcome(start, false, "no TLS handshake with %s", to)
			}
			return outcome(start, false, "TLS handshake with %s failed: %s", to, errorText(err))
		}
		x.Conn = secure
	}
	if _, err := io.WriteString(x, k.request(u, host, to)); err != nil {
		return x.broken(start, "answer", to, err)
	}
	a := answer{from: x, url: u}
	if u.strict && k.tls {
		a.under = &raw
	}
	if err := a.read(); err != nil {
		return x.broken(start, "HTTP answer to "+u.path, to, err)
	}
	return a.judge(start, to)
}

// streamEnd notes the end of the stream below TLS. crypto/tls takes it for the
// end of the data, also when no close_notify came before.
type streamEnd struct {
	net.Conn
	seen bool
}

func (s *streamEnd) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	s.seen = s.seen || err == io.EOF
	return n, err
}

// client is what keepalived is as a TLS client: it takes any certificate, and
// speaks with old servers.
func (k *realHTTP) client(host string) *tls.Config {
	c := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, Certificates: k.certificates}
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		c.CipherSuites = append(c.CipherSuites, s.ID)
	}
	if k.sni {
		c.ServerName, _, _ = strings.Cut(host, ":")
		if h, _, err := net.SplitHostPort(host); err == nil {
			c.ServerName = h
		}
	}
	return c
}

// request is in keepalived's form.
func (k *realHTTP) request(u *realURL, host string, to netip.AddrPort) string {
	if host == "" {
		host = netip.AddrPortFrom(to.Addr().WithZone(""), to.Port()).String()
	}
	closing := ""
	if k.closing {
		closing = "Connection: close\r\n"
	}
	return "GET " + u.path + " HTTP/" + k.version + "\r\nUser-Agent: KeepAliveClient\r\n" + closing + "Host: " + host + "\r\n\r\n"
}

// judge looks at status, digest and regular expression, in this order.
func (a *answer) judge(start time.Time, to netip.AddrPort) RealResult {
	u, status := a.url, a.head.status
	switch {
	case !slices.ContainsFunc(u.status, func(r model.StatusRange) bool { return r.First <= status && status <= r.Last }):
		return outcome(start, false, "HTTP status %d instead of %s for %s on %s", status, rangesText(u.status), u.path, to)
	case u.digest != nil && a.cut:
		return outcome(start, false, "HTTP status %d, but more than %d MiB for %s on %s", status, maxBody>>20, u.path, to)
	case u.digest != nil && string(a.raw.Sum(nil)) != string(u.digest) && string(a.plain.Sum(nil)) != string(u.digest):
		return outcome(start, false, "digest %x instead of %x for %s on %s", a.plain.Sum(nil), u.digest, u.path, to)
	}
	if u.regex != nil {
		switch found := u.regex.match(a.body); {
		case found && u.regex.negate:
			return outcome(start, false, "HTTP status %d, but the answer matches %q for %s on %s", status, u.regex.pattern, u.path, to)
		case !found && !u.regex.negate:
			return outcome(start, false, "HTTP status %d, but nothing matches %q in %d octets for %s on %s", status, u.regex.pattern, len(a.body), u.path, to)
		}
	}
	note := ""
	if a.short > 0 {
		note = fmt.Sprintf(" (%d octets less than announced)", a.short)
	}
	return outcome(start, true, "HTTP status %d for %s on %s%s", status, u.path, to, note)
}

// rangesText is how status_code was written.
func rangesText(list []model.StatusRange) string {
	var b strings.Builder
	for i, r := range list {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(itoa(r.First))
		if r.Last != r.First {
			b.WriteString("-" + itoa(r.Last))
		}
	}
	return b.String()
}
