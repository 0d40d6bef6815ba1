package proxyproto

import (
	"errors"
	"net/netip"
)

// ErrMore says that the input is a valid beginning of a header.
var ErrMore = errors.New("proxyproto: more input is needed")

// Error is input that is no valid header.
type Error struct{ Reason string }

func (e *Error) Error() string { return "proxyproto: " + e.Reason }

func bad(reason string) error { return &Error{Reason: reason} }

// Family of the addresses.
type Family uint8

const (
	FamilyUnspec Family = iota // UNKNOWN: the connection's own addresses count
	FamilyIPv4
	FamilyIPv6
	FamilyUnix
)

// Transport of the original connection.
type Transport uint8

const (
	TransportUnspec Transport = iota
	TransportStream
	TransportDatagram
)

// TLV is one type-length-value of a version 2 header.
type TLV struct {
	Type  byte
	Value []byte
}

// SSL is the PP2_TYPE_SSL TLV.
type SSL struct {
	Client   byte // ClientSSL, ClientCertConn, ClientCertSess
	Verified bool // a certificate was presented and verified
	Version  []byte
	CN       []byte
	Cipher   []byte
	SigAlg   []byte
	KeyAlg   []byte
}

// Bits of SSL.Client.
const (
	ClientSSL      = 1 // the client came over TLS
	ClientCertConn = 2 // it gave a certificate on this connection
	ClientCertSess = 4 // it gave one in this TLS session
)

// Header is one PROXY protocol header. Parsed byte slices point into the buffer.
type Header struct {
	Version   int  // 1 or 2; 0 for NetScaler's
	Local     bool // a v2 LOCAL command: the connection's own addresses count
	Family    Family
	Transport Transport
	Src, Dst  netip.AddrPort
	SrcPath   []byte // FamilyUnix
	DstPath   []byte

	ALPN      []byte
	Authority []byte
	UniqueID  []byte
	NetNS     []byte
	SSL       *SSL
	CRC32C    bool  // was verified; asks AppendV2 to add one
	Extra     []TLV // of other types, in their order
}

// HasAddress says whether Src and Dst replace the connection's own addresses.
func (h *Header) HasAddress() bool {
	return !h.Local && (h.Family == FamilyIPv4 || h.Family == FamilyIPv6)
}

// Parse reads a header of either version; n is its length. It asks for more only
// while the input is a beginning of a header.
func Parse(buf []byte) (h Header, n int, err error) {
	if len(buf) == 0 {
		return h, 0, ErrMore
	}
	switch buf[0] {
	case 'P':
		n, err = parseV1(buf, &h)
	case signature[0]:
		n, err = parseV2(buf, &h)
	default:
		err = bad("no signature")
	}
	if err != nil {
		return Header{}, 0, err
	}
	return h, n, nil
}
