package node

import (
	"crypto/tls"

	"evenkeel/internal/certs"
	"evenkeel/internal/proxy"
)

// tlsSource is the certificates as the proxy sees them.
type tlsSource struct{ *certs.Store }

var _ proxy.TLSSource = tlsSource{}

// VerifyError implements proxy.TLSSource.
func (tlsSource) VerifyError(cs *tls.ConnectionState) int { return certs.VerifyError(cs) }
