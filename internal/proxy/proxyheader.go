package proxy

import (
	"crypto/tls"
	"crypto/x509"

	"evenkeel/internal/model"
	"evenkeel/internal/wire/proxyproto"
)

// proxyHeader makes the PROXY protocol header of a server's connections.
type proxyHeader struct{ m model.ProxyProto }

// build appends the header for the stream's client.
func (p *proxyHeader) build(b []byte, st *stream) []byte {
	src, dst := st.tx.Src(), st.tx.Dst()
	h := proxyproto.Header{Version: p.m.Version, Transport: proxyproto.TransportStream, Src: src, Dst: dst}
	switch {
	case !src.IsValid() || !dst.IsValid():
		h.Family = proxyproto.FamilyUnspec
	case src.Addr().Unmap().Is4() && dst.Addr().Unmap().Is4():
		h.Family = proxyproto.FamilyIPv4
	default:
		h.Family = proxyproto.FamilyIPv6
	}
	if p.m.Version == 1 {
		return proxyproto.AppendV1(b, &h)
	}
	p.options(&h, st)
	return proxyproto.AppendV2(b, &h)
}

// options adds what proxy-v2-options and send-proxy-v2-ssl ask for.
func (p *proxyHeader) options(h *proxyproto.Header, st *stream) {
	t := st.s.rc.TLS
	ssl := p.m.SSL || p.m.SSLCN
	for _, o := range p.m.Options {
		switch o {
		case "ssl", "cert-cn", "ssl-cipher", "cert-sig", "cert-key":
			ssl = true
		case "crc32c":
			h.CRC32C = true
		case "unique-id":
			h.UniqueID = st.tx.Log.UniqueID
		case "authority":
			if t != nil {
				h.Authority = []byte(t.ServerName)
			}
		}
	}
	if ssl {
		h.SSL = sslTLV(t, p.m.Options, p.m.SSLCN)
		if h.SSL != nil {
			h.SSL.Verified = st.s.rc.VerifyError == 0
		}
	}
}

// sslTLV is what a version 2 header says about the client's TLS.
func sslTLV(t *tls.ConnectionState, options []string, cn bool) *proxyproto.SSL {
	if t == nil {
		return nil
	}
	s := &proxyproto.SSL{Client: proxyproto.ClientSSL, Version: []byte(tls.VersionName(t.Version))}
	var cert *x509.Certificate
	if len(t.PeerCertificates) > 0 {
		cert = t.PeerCertificates[0]
		s.Client |= proxyproto.ClientCertConn | proxyproto.ClientCertSess
		if cn {
			s.CN = []byte(cert.Subject.CommonName)
		}
	}
	for _, o := range options {
		switch {
		case o == "ssl-cipher":
			s.Cipher = []byte(tls.CipherSuiteName(t.CipherSuite))
		case cert == nil:
		case o == "cert-cn":
			s.CN = []byte(cert.Subject.CommonName)
		case o == "cert-sig":
			s.SigAlg = []byte(cert.SignatureAlgorithm.String())
		case o == "cert-key":
			s.KeyAlg = []byte(cert.PublicKeyAlgorithm.String())
		}
	}
	return s
}
