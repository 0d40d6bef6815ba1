package rule

import (
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// tlsSide is one connection that may be encrypted.
type tlsSide struct {
	prefix string
	phases Phase
	state  func(tx *Tx) *tls.ConnectionState
}

func clientTLS(tx *Tx) *tls.ConnectionState {
	if tx.Conn == nil {
		return nil
	}
	return tx.Conn.TLS
}

func init() {
	for _, s := range []tlsSide{
		{"ssl_fc", phaseClient, clientTLS},
		{"ssl_bc", phaseServer | PhaseCheck, func(tx *Tx) *tls.ConnectionState { return tx.ServerTLS }},
	} {
		addTLSFetches(s)
	}
	addFetches("TLS", []FetchSpec{
		{Name: "ssl_fc_has_sni", Out: KindBool, Phases: phaseClient, Help: "the client named a server", build: fixed(func(tx *Tx) (Value, bool) {
			st := clientTLS(tx)
			return Bool(st != nil && st.ServerName != ""), true
		})},
		{Name: "ssl_fc_has_crt", Out: KindBool, Phases: phaseClient, Help: "the client presented a certificate", build: fixed(func(tx *Tx) (Value, bool) {
			st := clientTLS(tx)
			return Bool(st != nil && len(st.PeerCertificates) > 0), st != nil
		})},
		{Name: "ssl_fc_has_early", Out: KindBool, Phases: phaseClient, Help: "the request came as early data, which is never taken", build: fixed(func(tx *Tx) (Value, bool) { return Bool(false), true })},
		{Name: "ssl_fc_sni", Out: KindString, Phases: phaseClient, Help: "server name that the client asked for", build: fixed(func(tx *Tx) (Value, bool) {
			st := clientTLS(tx)
			if st == nil {
				return Value{}, false
			}
			return nameValue(tx, st.ServerName)
		})},
		{Name: "ssl_fc_err", Out: KindInt, Phases: phaseClient, Help: "number of the last TLS error", build: fixed(func(tx *Tx) (Value, bool) { return Int(0), clientTLS(tx) != nil })},
	})
	addCertFetches("ssl_c", phaseClient, func(tx *Tx) *x509.Certificate {
		if st := clientTLS(tx); st != nil && len(st.PeerCertificates) > 0 {
			return st.PeerCertificates[0]
		}
		return nil
	})
	addCertFetches("ssl_s", phaseServer|PhaseCheck, func(tx *Tx) *x509.Certificate {
		if tx.ServerTLS != nil && len(tx.ServerTLS.PeerCertificates) > 0 {
			return tx.ServerTLS.PeerCertificates[0]
		}
		return nil
	})
	addCertFetches("ssl_f", phaseClient, func(tx *Tx) *x509.Certificate {
		if tx.Conn == nil || tx.Conn.ServerCert == nil {
			return nil
		}
		c, _ := x509.ParseCertificate(tx.Conn.ServerCert)
		return c
	})
	addFetches("TLS", []FetchSpec{
		{Name: "ssl_c_used", Out: KindBool, Phases: phaseClient, Help: "the client presented a certificate, now or when the session began", build: fixed(func(tx *Tx) (Value, bool) {
			st := clientTLS(tx)
			return Bool(st != nil && len(st.PeerCertificates) > 0), st != nil
		})},
		{Name: "ssl_c_verify", Out: KindInt, Phases: phaseClient, Help: "OpenSSL's number for the client certificate's verification, 0 if it is good", build: fixed(func(tx *Tx) (Value, bool) {
			if clientTLS(tx) == nil {
				return Value{}, false
			}
			return Int(int64(tx.Conn.VerifyError)), true
		})},
		{Name: "ssl_c_err", Out: KindInt, Phases: phaseClient, Help: "error of the client certificate at depth 0", build: fixed(func(tx *Tx) (Value, bool) { return Int(0), clientTLS(tx) != nil })},
		{Name: "ssl_c_ca_err", Out: KindInt, Phases: phaseClient, Help: "error of the client certificate above depth 0", build: fixed(func(tx *Tx) (Value, bool) { return Int(0), clientTLS(tx) != nil })},
		{Name: "ssl_c_ca_err_depth", Out: KindInt, Phases: phaseClient, Help: "depth of that error", build: fixed(func(tx *Tx) (Value, bool) { return Int(0), clientTLS(tx) != nil })},
	})
}

func addTLSFetches(s tlsSide) {
	text := func(f func(st *tls.ConnectionState) string) func(*binding, []string) (sampler, error) {
		return fixed(func(tx *Tx) (Value, bool) {
			st := s.state(tx)
			if st == nil {
				return Value{}, false
			}
			return nameValue(tx, f(st))
		})
	}
	addFetches("TLS", []FetchSpec{
		{Name: s.prefix, Out: KindBool, Phases: s.phases, Help: "the connection is encrypted", build: fixed(func(tx *Tx) (Value, bool) { return Bool(s.state(tx) != nil), true })},
		{Name: s.prefix + "_protocol", Out: KindString, Phases: s.phases, Help: "protocol version, as TLSv1.3", build: text(func(st *tls.ConnectionState) string { return tlsVersionName(st.Version) })},
		{Name: s.prefix + "_cipher", Out: KindString, Phases: s.phases, Help: "cipher, in OpenSSL's spelling", build: text(func(st *tls.ConnectionState) string { return cipherName(st.CipherSuite) })},
		{Name: s.prefix + "_alpn", Out: KindString, Phases: s.phases, Help: "protocol that ALPN chose", build: text(func(st *tls.ConnectionState) string { return st.NegotiatedProtocol })},
		{Name: s.prefix + "_npn", Out: KindString, Phases: s.phases, Help: "protocol that ALPN chose", build: text(func(st *tls.ConnectionState) string { return st.NegotiatedProtocol })},
		{Name: s.prefix + "_is_resumed", Out: KindBool, Phases: s.phases, Help: "the TLS session was resumed", build: fixed(func(tx *Tx) (Value, bool) {
			st := s.state(tx)
			return Bool(st != nil && st.DidResume), true
		})},
		{Name: s.prefix + "_alg_keysize", Out: KindInt, Phases: s.phases, Help: "bits of the cipher's key", build: keySize(s)},
		{Name: s.prefix + "_use_keysize", Out: KindInt, Phases: s.phases, Help: "bits of the cipher's key in use", build: keySize(s)},
		{Name: s.prefix + "_unique_id", Out: KindBinary, Phases: s.phases, Help: "tls-unique channel binding", build: fixed(func(tx *Tx) (Value, bool) {
			st := s.state(tx)
			if st == nil {
				return Value{}, false
			}
			return Bin(st.TLSUnique), len(st.TLSUnique) > 0
		})},
	})
}

func keySize(s tlsSide) func(*binding, []string) (sampler, error) {
	return fixed(func(tx *Tx) (Value, bool) {
		st := s.state(tx)
		if st == nil {
			return Value{}, false
		}
		return Int(int64(cipherBits(st.CipherSuite))), true
	})
}

func tlsVersionName(v uint16) string {
	switch v {
	case tls.VersionTLS10:
		return "TLSv1"
	case tls.VersionTLS11:
		return "TLSv1.1"
	case tls.VersionTLS12:
		return "TLSv1.2"
	case tls.VersionTLS13:
		return "TLSv1.3"
	}
	return ""
}

// openSSLNames are OpenSSL's names of the suites that crypto/tls speaks; TLS
// 1.3 names are the same.
var openSSLNames = map[uint16]string{
	tls.TLS_RSA_WITH_AES_128_CBC_SHA: "AES128-SHA", tls.TLS_RSA_WITH_AES_256_CBC_SHA: "AES256-SHA",
	tls.TLS_RSA_WITH_AES_128_CBC_SHA256: "AES128-SHA256",
	tls.TLS_RSA_WITH_AES_128_GCM_SHA256: "AES128-GCM-SHA256", tls.TLS_RSA_WITH_AES_256_GCM_SHA384: "AES256-GCM-SHA384",
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA: "ECDHE-ECDSA-AES128-SHA", tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA: "ECDHE-ECDSA-AES256-SHA",
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA: "ECDHE-RSA-AES128-SHA", tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA: "ECDHE-RSA-AES256-SHA",
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256: "ECDHE-ECDSA-AES128-SHA256", tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256: "ECDHE-RSA-AES128-SHA256",
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: "ECDHE-RSA-AES128-GCM-SHA256", tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: "ECDHE-ECDSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: "ECDHE-RSA-AES256-GCM-SHA384", tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: "ECDHE-ECDSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-RSA-CHACHA20-POLY1305", tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
}

func cipherName(id uint16) string {
	if n, ok := openSSLNames[id]; ok {
		return n
	}
	return tls.CipherSuiteName(id)
}

func cipherBits(id uint16) int {
	switch id {
	case tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		tls.TLS_RSA_WITH_AES_256_CBC_SHA, tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA:
		return 256
	}
	return 128
}

// addCertFetches adds what can be read from one certificate.
func addCertFetches(prefix string, phases Phase, cert func(tx *Tx) *x509.Certificate) {
	add := func(name, args string, hi int, out Kind, help string, f func(tx *Tx, c *x509.Certificate, a []string) (Value, bool)) {
		addFetches("TLS certificates", []FetchSpec{{Name: prefix + name, Args: args, Max: hi, Out: out, Phases: phases, Help: help, build: func(b *binding, a []string) (sampler, error) {
			return func(tx *Tx) (Value, bool) {
				c := cert(tx)
				if c == nil {
					return Value{}, false
				}
				return f(tx, c, a)
			}, nil
		}}})
	}
	bin := func(f func(c *x509.Certificate) []byte) func(tx *Tx, c *x509.Certificate, a []string) (Value, bool) {
		return func(tx *Tx, c *x509.Certificate, _ []string) (Value, bool) { return Bin(f(c)), true }
	}
	text := func(f func(c *x509.Certificate) string) func(tx *Tx, c *x509.Certificate, a []string) (Value, bool) {
		return func(tx *Tx, c *x509.Certificate, _ []string) (Value, bool) { return nameValue(tx, f(c)) }
	}
	add("_der", "", 0, KindBinary, "the certificate", bin(func(c *x509.Certificate) []byte { return c.Raw }))
	add("_serial", "", 0, KindBinary, "serial number", bin(func(c *x509.Certificate) []byte { return c.SerialNumber.Bytes() }))
	add("_sha1", "", 0, KindBinary, "SHA-1 fingerprint", bin(func(c *x509.Certificate) []byte { s := sha1.Sum(c.Raw); return s[:] }))
	add("_s_dn", "([entry[,occurrence[,format]]])", 3, KindString, "subject, or an entry of it", func(tx *Tx, c *x509.Certificate, a []string) (Value, bool) {
		return distinguishedName(tx, c.RawSubject, a)
	})
	add("_i_dn", "([entry[,occurrence[,format]]])", 3, KindString, "issuer, or an entry of it", func(tx *Tx, c *x509.Certificate, a []string) (Value, bool) {
		return distinguishedName(tx, c.RawIssuer, a)
	})
	add("_notbefore", "", 0, KindString, "start of validity, YYMMDDhhmmssZ", text(func(c *x509.Certificate) string { return certTime(c.NotBefore) }))
	add("_notafter", "", 0, KindString, "end of validity, YYMMDDhhmmssZ", text(func(c *x509.Certificate) string { return certTime(c.NotAfter) }))
	add("_version", "", 0, KindInt, "version of the certificate", func(tx *Tx, c *x509.Certificate, _ []string) (Value, bool) { return Int(int64(c.Version)), true })
	add("_key_alg", "", 0, KindString, "algorithm of the key", text(func(c *x509.Certificate) string {
		switch c.PublicKeyAlgorithm {
		case x509.RSA:
			return "rsaEncryption"
		case x509.ECDSA:
			return "id-ecPublicKey"
		}
		return c.PublicKeyAlgorithm.String()
	}))
	add("_sig_alg", "", 0, KindString, "algorithm of the signature", text(func(c *x509.Certificate) string {
		names := map[x509.SignatureAlgorithm]string{x509.SHA256WithRSA: "RSA-SHA256", x509.SHA384WithRSA: "RSA-SHA384", x509.SHA512WithRSA: "RSA-SHA512",
			x509.SHA1WithRSA: "RSA-SHA1", x509.ECDSAWithSHA256: "ecdsa-with-SHA256", x509.ECDSAWithSHA384: "ecdsa-with-SHA384", x509.ECDSAWithSHA512: "ecdsa-with-SHA512"}
		if n, ok := names[c.SignatureAlgorithm]; ok {
			return n
		}
		return c.SignatureAlgorithm.String()
	}))
}

func certTime(t time.Time) string {
	t = t.UTC()
	if t.Year() >= 2050 {
		return t.Format("20060102150405Z")
	}
	return t.Format("060102150405Z")
}

var dnNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "street",
	"2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.42": "GN", "1.2.840.113549.1.9.1": "emailAddress",
	"0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC",
}

// distinguishedName prints a name as /C=…/O=…/CN=…, or one entry of it.
func distinguishedName(tx *Tx, raw []byte, a []string) (Value, bool) {
	var seq pkix.RDNSequence
	if _, err := asn1.Unmarshal(raw, &seq); err != nil {
		return Value{}, false
	}
	var all []byte
	var picked []string
	for _, set := range seq {
		for _, e := range set {
			name := dnNames[e.Type.String()]
			if name == "" {
				name = e.Type.String()
			}
			val := fmt.Sprint(e.Value)
			if len(a) > 0 && strings.EqualFold(a[0], name) {
				picked = append(picked, val)
			}
			all = append(all, '/')
			all = append(append(append(all, name...), '='), val...)
		}
	}
	if len(a) == 0 || a[0] == "" {
		return Str(all), len(all) > 0
	}
	occ := 1
	if len(a) > 1 && a[1] != "" {
		if n, err := strconv.Atoi(a[1]); err == nil && n != 0 {
			occ = n
		}
	}
	if occ < 0 {
		occ += len(picked) + 1
	}
	if occ < 1 || occ > len(picked) {
		return Value{}, false
	}
	return Str([]byte(picked[occ-1])), true
}
