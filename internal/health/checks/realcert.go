package checks

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"evenkeel/internal/model"
)

// clientCertificate reads what the SSL block names. Its ca is for nothing, as
// with keepalived: servers' certificates are not looked at.
func clientCertificate(s *model.CheckSSL) ([]tls.Certificate, error) {
	if s.Certificate == "" {
		if s.Key != "" {
			return nil, errors.New("the SSL block has a key and no certificate: write certificate FILE")
		}
		return nil, nil
	}
	cert, err := os.ReadFile(s.Certificate)
	if err != nil {
		return nil, err
	}
	keyFile := s.Key
	if keyFile == "" {
		keyFile = s.Certificate // both may be in one file
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	if key, err = decrypted(key, string(s.Password)); err != nil {
		return nil, fmt.Errorf("%s: %w", keyFile, err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", s.Certificate, keyFile, err)
	}
	return []tls.Certificate{pair}, nil
}

// decrypted takes the password off a key in the traditional form.
func decrypted(file []byte, password string) ([]byte, error) {
	for rest := file; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			return file, nil
		}
		switch {
		case b.Type == "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("the key is encrypted in a form that is not read here: take its password off with 'openssl pkey -in FILE -out FILE.plain', readable by root only")
		case x509.IsEncryptedPEMBlock(b): //nolint:staticcheck // what keepalived's users have
			der, err := x509.DecryptPEMBlock(b, []byte(password)) //nolint:staticcheck // see above
			if err != nil {
				return nil, err
			}
			return pem.EncodeToMemory(&pem.Block{Type: b.Type, Bytes: der}), nil
		}
	}
}
