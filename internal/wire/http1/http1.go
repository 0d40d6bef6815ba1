package http1

import (
	"errors"

	"evenkeel/internal/message"
)

// DefaultMaxFields is HAProxy's default of tune.http.maxhdr.
const DefaultMaxFields = 101

// Limits bounds what a head may hold. Its size in bytes is bounded by the
// caller's buffer.
type Limits struct {
	MaxFields int // 0 means DefaultMaxFields
}

// ErrMore says that the input is a valid beginning and that more of it is needed.
var ErrMore = errors.New("http1: more input is needed")

// ParseError is a message that must not be forwarded.
type ParseError struct {
	Off    int    // offset in the buffer, or -1 when the message as a whole is refused
	Reason string // for logs; never holds bytes of the message
	Status int    // what a client is answered; a server's message is always a 502
}

func (e *ParseError) Error() string { return "http1: " + e.Reason }

// ParseRequest reads a request head.
func ParseRequest(buf []byte, h *message.Head, lim *Limits) (n int, err error) { return 0, ErrMore }

// ParseResponse reads a response head.
func ParseResponse(buf []byte, h *message.Head, lim *Limits) (n int, err error) { return 0, ErrMore }

// Parser is ParseRequest and ParseResponse for input that arrives in pieces: the
// cost of a head stays linear however small the pieces are. buf always starts at
// the head's first byte and may move in memory. The zero value is ready, and is
// ready again after anything else than ErrMore.
type Parser struct{ scanned, tried int }

func (p *Parser) Reset() { *p = Parser{} }
func (p *Parser) Request(buf []byte, h *message.Head, lim *Limits) (n int, err error) {
	return ParseRequest(buf, h, lim)
}
func (p *Parser) Response(buf []byte, h *message.Head, lim *Limits) (n int, err error) {
	return ParseResponse(buf, h, lim)
}

// FramingKind says how the end of a body is found.
type FramingKind uint8

const (
	FramingNone       FramingKind = iota // there is no body
	FramingLength                        // Length bytes
	FramingChunked                       // chunked transfer coding
	FramingUntilClose                    // a response body that the end of the connection ends
	FramingTunnel                        // no HTTP any more: 101, or 2xx to CONNECT
)

// Framing is what RFC 9112, 6.3 concludes from a head.
type Framing struct {
	Kind   FramingKind
	Length int64
	// MustClose asks to close the connection after this exchange, as its peer
	// may see other message borders than we do (RFC 9112, 6.1).
	MustClose bool
}

// RequestFraming decides a request's framing; it normalises the head's framing fields.
func RequestFraming(h *message.Head) (Framing, error) { return Framing{}, nil }

// ResponseFraming decides a response's framing; it normalises the head's framing fields.
func ResponseFraming(h *message.Head, reqMethod message.Method) (Framing, error) {
	return Framing{}, nil
}

// Conn is what the Connection fields say.
type Conn struct {
	Close, KeepAlive, Upgrade, TE, HTTP2Settings bool
	Other                                        bool // names some other field or option
}

// ConnectionTokens reads the Connection and Proxy-Connection fields.
func ConnectionTokens(h *message.Head) Conn { return Conn{} }

// ChunkReader decodes a chunked body.
type ChunkReader struct {
	Trailers []byte // raw lines, each with its CRLF; valid until Reset
}

func (c *ChunkReader) Reset() { c.Trailers = c.Trailers[:0] }
func (c *ChunkReader) Decode(p []byte) (payload, consumed int, done bool, err error) {
	return 0, 0, false, nil
}

func AppendRequestLine(dst []byte, h *message.Head) []byte { return dst }
func AppendStatusLine(dst []byte, h *message.Head) []byte  { return dst }
func AppendFields(dst []byte, h *message.Head) []byte      { return dst }

// AppendChunkSize appends n in hexadecimal and CRLF.
func AppendChunkSize(dst []byte, n int) []byte { return dst }

// PutChunkSize fills all of b with n in hexadecimal, leading zeros and CRLF: for
// room that was reserved in front of a payload. len(b) is 3 to 18.
func PutChunkSize(b []byte, n int) {}

// AppendChunk appends one whole chunk; an empty payload appends nothing.
func AppendChunk(dst, payload []byte) []byte { return dst }

// AppendLastChunk appends the last chunk, trailer lines as ChunkReader keeps them, and the final CRLF.
func AppendLastChunk(dst, trailers []byte) []byte { return dst }

// NextToken takes the next element of a comma separated list, trimmed; quoted
// strings are kept whole. tok is empty when the list is over.
func NextToken(v []byte) (tok, rest []byte) { return nil, nil }

// HasToken says whether a list holds a token (in lower case), ignoring case.
func HasToken(v []byte, lower string) bool { return false }

// FindCookie finds a cookie in a Cookie field's value. value[start:end] is what
// has to go for the cookie to go, one separator included.
func FindCookie(value []byte, name string) (val []byte, start, end int, ok bool) { return }

// NextCookie iterates over a Cookie field's value; name is nil at its end.
func NextCookie(value []byte) (name, val, rest []byte) { return }

// RemoveCookie cuts a cookie out of a Cookie field's value, in place.
func RemoveCookie(value []byte, name string) (rest []byte, removed bool) { return value, false }

// FindSetCookie finds a cookie's value in a Set-Cookie field's value, which is
// value[start:end] there.
func FindSetCookie(value []byte, name string) (val []byte, start, end int, ok bool) { return }

// Path, Query, PathQuery and Authority take a request target apart.
func Path(target []byte) []byte      { return nil }
func PathQuery(target []byte) []byte { return nil }
func Query(target []byte) []byte     { return nil }
func Authority(target []byte) []byte { return nil }

// SplitHostPort parts an authority; port is empty when there is none.
func SplitHostPort(authority []byte) (host, port []byte) { return nil, nil }

// NextParam iterates over a query string; delim is '&' mostly.
func NextParam(query []byte, delim byte) (name, val, rest []byte) { return }

// FindParam finds a parameter of a query string.
func FindParam(query []byte, delim byte, name string) (val []byte, ok bool) { return }
