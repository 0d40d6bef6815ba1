package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// trust decides whether a peer's certificate is good. It never changes.
type trust struct {
	rootPool, linkPool *x509.CertPool
	roots, links       []*x509.Certificate // not those of the system
	crls               *revocations        // nil: revocation is not looked at
	usage              x509.ExtKeyUsage
	leafIgnored        ignored
	caIgnored          ignored
	now                func() time.Time
}

func newTrust(a *authorities, usage x509.ExtKeyUsage, now func() time.Time) *trust {
	t := &trust{rootPool: x509.NewCertPool(), linkPool: x509.NewCertPool(), usage: usage, now: now}
	if a.system != nil {
		t.rootPool = a.system.Clone()
	}
	for _, x := range a.certs {
		if selfIssued(x) {
			t.roots = append(t.roots, x)
			t.rootPool.AddCert(x)
		} else {
			t.links = append(t.links, x)
			t.linkPool.AddCert(x)
		}
	}
	return t
}

// flaw is one thing that is wrong with a chain.
type flaw struct {
	code  int
	depth int // 0: the peer's own certificate
}

func (f flaw) String() string {
	return fmt.Sprintf("%s (error %d at depth %d)", errTexts[f.code], f.code, f.depth)
}

// Verdict is what a verification found although it let the peer in.
type Verdict struct {
	// Result is the last error, as ssl_c_verify gives it; 0: none.
	Result int
	// LeafError is the first one of the peer's own certificate (ssl_c_err);
	// CAError that of an issuer (ssl_c_ca_err), and CADepth its depth.
	LeafError, CAError, CADepth int
}

// verify checks a chain, leaf first. The error is nil also if all that is
// wrong with it is let pass; the verdict tells.
func (t *trust) verify(peer []*x509.Certificate) (Verdict, error) {
	flaws := t.flaws(peer)
	var v Verdict
	for _, f := range flaws {
		v.Result = f.code
		if f.depth == 0 {
			if v.LeafError == 0 {
				v.LeafError = f.code
			}
			if !t.leafIgnored.has(f.code) {
				return v, errors.New("certificate of the peer: " + f.String())
			}
			continue
		}
		if v.CAError == 0 {
			v.CAError, v.CADepth = f.code, f.depth
		}
		if !t.caIgnored.has(f.code) {
			return v, errors.New("certificate of the peer: " + f.String())
		}
	}
	return v, nil
}

func (t *trust) flaws(peer []*x509.Certificate) []flaw {
	now := t.now()
	links := t.linkPool
	if len(peer) > 1 {
		links = links.Clone()
		for _, x := range peer[1:] {
			links.AddCert(x)
		}
	}
	opts := x509.VerifyOptions{Roots: t.rootPool, Intermediates: links, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{t.usage}}
	chains, err := peer[0].Verify(opts)
	if err == nil {
		return t.leastRevoked(chains, now)
	}
	// A chain that is good but for the calendar is good at another moment.
	for _, x := range peer {
		for _, at := range []time.Time{x.NotAfter, x.NotBefore} {
			opts.CurrentTime = at
			if chains, e := peer[0].Verify(opts); e == nil {
				return atLeastOne(append(t.leastRevoked(chains, now), calendar(chains[0], now)...))
			}
		}
	}
	opts.CurrentTime = peer[0].NotAfter
	if _, e := peer[0].Verify(opts); e != nil {
		err = e // what is wrong besides the calendar
	}
	chain, ended, trusted := t.walk(peer)
	flaws := t.chainFlaws(chain, ended, trusted, err)
	if t.crls != nil {
		flaws = append(flaws, t.revoked(chain, now)...)
	}
	return atLeastOne(append(flaws, calendar(chain, now)...))
}

// atLeastOne: whatever it is, it did not verify.
func atLeastOne(flaws []flaw) []flaw {
	if len(flaws) == 0 {
		return []flaw{{errUnspecified, 0}}
	}
	return flaws
}

// calendar gives what is not valid now, the root first, as OpenSSL reports it.
func calendar(chain []*x509.Certificate, now time.Time) []flaw {
	var out []flaw
	for i := len(chain) - 1; i >= 0; i-- {
		switch {
		case now.Before(chain[i].NotBefore):
			out = append(out, flaw{errNotYetValid, i})
		case now.After(chain[i].NotAfter):
			out = append(out, flaw{errExpired, i})
		}
	}
	return out
}

// leastRevoked gives the revocation flaws of the best chain.
func (t *trust) leastRevoked(chains [][]*x509.Certificate, now time.Time) []flaw {
	if t.crls == nil {
		return nil
	}
	var best []flaw
	for i, c := range chains {
		f := t.revoked(c, now)
		if i == 0 || len(f) < len(best) {
			best = f
		}
	}
	return best
}

// revoked checks every certificate of a chain, as HAProxy has OpenSSL do: each
// issuer must have a list.
func (t *trust) revoked(chain []*x509.Certificate, now time.Time) []flaw {
	var out []flaw
	for i, x := range chain {
		issuer := x
		if i+1 < len(chain) {
			issuer = chain[i+1]
		} else if !selfIssued(x) {
			issuer = nil
		}
		if code := t.crls.check(x, issuer, now); code != 0 {
			out = append(out, flaw{code, i})
		}
	}
	return out
}

func (r *revocations) check(x, issuer *x509.Certificate, now time.Time) int {
	found := errNoCRL
	for _, l := range r.byIssuer[string(x.RawIssuer)] {
		if issuer != nil && len(l.list.AuthorityKeyId) > 0 && len(issuer.SubjectKeyId) > 0 && !bytes.Equal(l.list.AuthorityKeyId, issuer.SubjectKeyId) {
			continue // of another authority with the same name
		}
		if issuer == nil || !l.signedBy(issuer) {
			found = errCRLSignature
			continue
		}
		if _, bad := l.serials[string(x.SerialNumber.Bytes())]; bad {
			return errRevoked
		}
		switch {
		case now.Before(l.list.ThisUpdate):
			found = errCRLNotYetValid
		case !l.list.NextUpdate.IsZero() && now.After(l.list.NextUpdate):
			found = errCRLExpired
		default:
			return 0
		}
	}
	return found
}

// walk follows the issuers as far as they are known. ended: the last one is
// self-issued; trusted is how many were taken from our own files.
func (t *trust) walk(peer []*x509.Certificate) (chain []*x509.Certificate, ended bool, trusted int) {
	const longest = 20
	chain = []*x509.Certificate{peer[0]}
	for len(chain) < longest {
		last := chain[len(chain)-1]
		if selfIssued(last) {
			return chain, true, trusted
		}
		next, ours := issuerOf(last, t.roots), true
		if next == nil {
			next = issuerOf(last, t.links)
		}
		if next == nil {
			next, ours = issuerOf(last, peer[1:]), false
		}
		if next == nil {
			return chain, false, trusted
		}
		if ours {
			trusted++
		}
		chain = append(chain, next)
	}
	return chain, false, trusted
}

func issuerOf(x *x509.Certificate, from []*x509.Certificate) *x509.Certificate {
	for _, c := range from {
		if bytes.Equal(c.RawSubject, x.RawIssuer) && x.CheckSignatureFrom(c) == nil {
			return c
		}
	}
	return nil
}

// chainFlaws puts a failed verification into OpenSSL's numbers. There is one
// at least.
func (t *trust) chainFlaws(chain []*x509.Certificate, ended bool, trusted int, err error) []flaw {
	top := len(chain) - 1
	isRoot := false
	for _, r := range t.roots {
		isRoot = isRoot || bytes.Equal(r.Raw, chain[top].Raw)
	}
	switch {
	case ended && !isRoot && top == 0:
		return []flaw{{errSelfSigned, 0}}
	case ended && !isRoot:
		return []flaw{{errSelfSignedInside, top}}
	case !ended && trusted > 0:
		return []flaw{{errNoIssuer, top}}
	case !ended && top == 0:
		return []flaw{{errNoLocalIssuer, 0}, {errLeafSignature, 0}}
	case !ended:
		return []flaw{{errNoLocalIssuer, top}}
	}
	var invalid x509.CertificateInvalidError
	var critical x509.UnhandledCriticalExtension
	switch {
	case errors.As(err, &critical):
		return []flaw{{errCriticalExt, 0}}
	case errors.As(err, &invalid):
		depth := 0
		for i, x := range chain {
			if x.Equal(invalid.Cert) {
				depth = i
			}
		}
		switch invalid.Reason {
		case x509.IncompatibleUsage:
			return []flaw{{errPurpose, depth}}
		case x509.NotAuthorizedToSign:
			return []flaw{{errInvalidCA, depth}}
		case x509.TooManyIntermediates:
			return []flaw{{errPathLength, depth}}
		case x509.CANotAuthorizedForThisName, x509.CANotAuthorizedForExtKeyUsage, x509.NameConstraintsWithoutSANs,
			x509.UnconstrainedName, x509.NameMismatch:
			return []flaw{{errNameNotPermitted, depth}}
		}
	}
	return []flaw{{errUnspecified, 0}}
}

// verdictOID marks the copy of a peer's certificate that carries the verdict.
// It is from the range for examples and never sent.
var verdictOID = asn1.ObjectIdentifier{2, 999, 1, 1}

// keepVerdict ties a verdict to the connection: its own copy of the peer's
// certificate takes it along, as crypto/tls has no place for it. The slice is
// the connection's own; the certificate may be shared, and is copied.
func keepVerdict(cs *tls.ConnectionState, v Verdict) {
	x := *cs.PeerCertificates[0]
	x.ExtraExtensions = []pkix.Extension{{Id: verdictOID, Value: []byte{byte(v.Result), byte(v.LeafError), byte(v.CAError), byte(v.CADepth)}}}
	cs.PeerCertificates[0] = &x
}

// Verified is what the verification of the peer found although the handshake
// went on.
func Verified(cs *tls.ConnectionState) Verdict {
	if cs == nil || len(cs.PeerCertificates) == 0 {
		return Verdict{}
	}
	for _, e := range cs.PeerCertificates[0].ExtraExtensions {
		if len(e.Value) == 4 && e.Id.Equal(verdictOID) {
			return Verdict{int(e.Value[0]), int(e.Value[1]), int(e.Value[2]), int(e.Value[3])}
		}
	}
	return Verdict{}
}

// VerifyError is OpenSSL's number (X509_V_ERR_*) for what is wrong with the
// peer's certificate; 0: nothing, or there is none.
func VerifyError(cs *tls.ConnectionState) int { return Verified(cs).Result }

// checkClient is VerifyConnection of a listener. It runs for resumed sessions
// too, so that a ticket from one listener opens no other.
func (t *trust) checkClient(cs tls.ConnectionState) error {
	if len(cs.PeerCertificates) == 0 {
		return nil // ClientAuth says whether that is allowed
	}
	v, err := t.verify(cs.PeerCertificates)
	if err != nil {
		return err
	}
	if v != (Verdict{}) {
		keepVerdict(&cs, v)
	}
	return nil
}

// checkServer is VerifyConnection towards a server. As in HAProxy the name to
// find in the certificate is the one that was asked for, else host; with
// neither the chain alone counts.
func (t *trust) checkServer(cs tls.ConnectionState, host string) error {
	if len(cs.PeerCertificates) == 0 {
		return errors.New("the server sent no certificate")
	}
	if _, err := t.verify(cs.PeerCertificates); err != nil {
		return err
	}
	if cs.ServerName != "" {
		host = cs.ServerName
	}
	if host == "" || hasName(cs.PeerCertificates[0], host) {
		return nil
	}
	return fmt.Errorf("the server's certificate is not for %q", host)
}

// hasName looks at the DNS names and the common name, as HAProxy does, and at
// the addresses.
func hasName(x *x509.Certificate, host string) bool {
	for _, n := range namesOf(x) {
		if matchesPattern(n, strings.ToLower(host)) {
			return true
		}
	}
	if ip := net.ParseIP(host); ip != nil {
		for _, a := range x.IPAddresses {
			if a.Equal(ip) {
				return true
			}
		}
	}
	return false
}

// matchesPattern: one * in the first label stands for any part of it
// (RFC 6125, section 6.4.3). Both are in lower case.
func matchesPattern(pattern, host string) bool {
	if pattern == host {
		return true
	}
	first, rest, ok := strings.Cut(pattern, ".")
	hostFirst, hostRest, hostOK := strings.Cut(host, ".")
	if !ok || !hostOK || rest != hostRest {
		return false
	}
	before, after, ok := strings.Cut(first, "*")
	return ok && !strings.Contains(after, "*") && len(hostFirst) >= len(before)+len(after) &&
		strings.HasPrefix(hostFirst, before) && strings.HasSuffix(hostFirst, after)
}
