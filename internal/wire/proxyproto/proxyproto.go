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

// Family of the addresses.
type Family uint8

const (
	FamilyUnspec Family = iota // UNKNOWN: use the connection's own addresses
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
	Verified bool // the certificate, if any, was verified
	Version  []byte
	CN       []byte
	Cipher   []byte
	SigAlg   []byte
	KeyAlg   []byte
}

// Bits of SSL.Client.
const (
	ClientSSL      = 1
	ClientCertConn = 2
	ClientCertSess = 4
)

// Header is one PROXY protocol header. Byte slices point into the parsed buffer.
type Header struct {
	Version   int  // 1 or 2
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
	CRC32C    bool  // verified when parsed; asks AppendV2 to add one
	Extra     []TLV // of other types, in their order
}

// Parse reads a header of either version; n is its length.
func Parse(buf []byte) (h Header, n int, err error) { return h, 0, ErrMore }

// ParseCIP reads a NetScaler client IP insertion header with that magic number.
func ParseCIP(buf []byte, magic uint32) (h Header, n int, err error) { return h, 0, ErrMore }

// AppendV1 appends a version 1 line.
func AppendV1(dst []byte, h *Header) []byte { return dst }

// AppendV2 appends a version 2 header with every TLV that the header holds.
func AppendV2(dst []byte, h *Header) []byte { return dst }
