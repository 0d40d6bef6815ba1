package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"strings"
)

// fault is what is wrong with a file, and what would be right.
type fault struct{ text, cure string }

func (f *fault) Error() string {
	if f.cure == "" {
		return f.text
	}
	return f.text + "; " + f.cure
}

func faultf(cure, format string, args ...any) *fault {
	return &fault{text: fmt.Sprintf(format, args...), cure: cure}
}

// block is one PEM block and the line that it begins on.
type block struct {
	line int
	*pem.Block
}

var (
	pemBegin = []byte("-----BEGIN ")
	pemEnd   = []byte("-----END ")
	pemDash  = []byte("-----")
)

// splitPEM gives the blocks of a file. What stands between them is a comment,
// as for OpenSSL; but a damaged block is an error, which encoding/pem alone
// would skip.
func splitPEM(data []byte) ([]block, *fault) {
	var blocks []block
	start, startLine, line := -1, 0, 0
	for pos := 0; pos < len(data); {
		line++
		end := len(data)
		if i := bytes.IndexByte(data[pos:], '\n'); i >= 0 {
			end = pos + i + 1
		}
		text := data[pos:end]
		switch {
		case bytes.HasPrefix(text, pemBegin):
			if start >= 0 {
				return nil, faultf("copy the file again", "the PEM block of line %d has no END line", startLine)
			}
			start, startLine = pos, line
		case bytes.HasPrefix(text, pemEnd) && start >= 0:
			// Two blocks that were joined without a line end between them.
			if i := bytes.Index(text, pemBegin); i > 0 {
				end = pos + i
				line--
			}
			// A copy: data belongs to the caller.
			b, _ := pem.Decode(append(bytes.Clone(bytes.TrimRight(data[start:end], "\r\n \t")), '\n'))
			if b == nil {
				return nil, faultf("copy the file again", "the PEM block of line %d is damaged", startLine)
			}
			blocks = append(blocks, block{startLine, b})
			start = -1
		}
		pos = end
	}
	if start >= 0 {
		return nil, faultf("copy the file again", "the PEM block of line %d has no END line", startLine)
	}
	return blocks, nil
}

// contents is what a PEM file holds.
type contents struct {
	certs []*x509.Certificate
	key   signer
	crls  []*x509.RevocationList
}

// wanted says which blocks of a file are looked at. The others may be of any
// kind.
type wanted uint8

const (
	wantCerts wanted = 1 << iota
	wantKey
	wantCRLs
)

func readPEM(data []byte, want wanted) (*contents, *fault) {
	blocks, err := splitPEM(data)
	if err != nil {
		return nil, err
	}
	c := &contents{}
	for _, b := range blocks {
		if err := c.add(b, want); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *contents) add(b block, want wanted) *fault {
	switch {
	case b.Type == "CERTIFICATE" || b.Type == "X509 CERTIFICATE" || b.Type == "TRUSTED CERTIFICATE":
		if want&wantCerts == 0 {
			return nil
		}
		x, err := parseCertificate(b)
		if err != nil {
			return faultf("", "the certificate of line %d cannot be read: %v", b.line, err)
		}
		c.certs = append(c.certs, x)
	case strings.HasSuffix(b.Type, "PRIVATE KEY"):
		if want&wantKey == 0 || c.key != nil {
			return nil
		}
		k, err := parseKey(b)
		if err != nil {
			return err
		}
		c.key = k
	case b.Type == "X509 CRL":
		if want&wantCRLs == 0 {
			return nil
		}
		l, err := x509.ParseRevocationList(b.Bytes)
		if err != nil {
			return faultf("", "the revocation list of line %d cannot be read: %v", b.line, err)
		}
		c.crls = append(c.crls, l)
	}
	return nil
}

func parseCertificate(b block) (*x509.Certificate, error) {
	der := b.Bytes
	if b.Type == "TRUSTED CERTIFICATE" {
		// OpenSSL's own notes follow the certificate.
		var first asn1.RawValue
		if _, err := asn1.Unmarshal(der, &first); err == nil {
			der = first.FullBytes
		}
	}
	return x509.ParseCertificate(der)
}

// parseKey never puts a part of the key into its error.
func parseKey(b block) (signer, *fault) {
	const decrypt = "take the password off: openssl pkey -in FILE -out FILE.key"
	if b.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(b.Headers["Proc-Type"], "ENCRYPTED") {
		return nil, faultf(decrypt, "the private key of line %d is protected by a password", b.line)
	}
	var key any
	var err error
	switch b.Type {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(b.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(b.Bytes)
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(b.Bytes)
	default:
		return nil, faultf("use an RSA, ECDSA or Ed25519 key", "the key of line %d, a %s, is of a kind that is not supported", b.line, b.Type)
	}
	if err != nil {
		return nil, faultf("check it with openssl pkey -check -noout -in FILE", "the private key of line %d cannot be read: %v", b.line, err)
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() < 1024 {
			return nil, faultf("use 2048 bits or more", "the RSA key of line %d has %d bits only", b.line, k.N.BitLen())
		}
		return k, nil
	case *ecdsa.PrivateKey:
		return k, nil
	case ed25519.PrivateKey:
		return k, nil
	}
	return nil, faultf("use an RSA, ECDSA or Ed25519 key", "the key of line %d is of a kind that is not supported", b.line)
}
