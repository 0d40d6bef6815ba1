package http1

import (
	"bytes"
	"math"

	"evenkeel/internal/message"
)

// FramingKind says how the end of a body is found.
type FramingKind uint8

const (
	FramingNone       FramingKind = iota // there is no body
	FramingLength                        // Length bytes, at least one
	FramingChunked                       // chunked transfer coding
	FramingUntilClose                    // a response body that the end of the connection ends
	FramingTunnel                        // no HTTP from here on: 101, or 2xx to CONNECT
)

// Framing is what RFC 9112, 6.3 concludes from a head.
type Framing struct {
	Kind   FramingKind
	Length int64
	// MustClose asks to close the connection that the message came from after
	// this exchange: its sender may see other message borders than we do.
	MustClose bool
}

// RequestFraming decides a request's framing and leaves exactly one field that
// states it in the head:
//
//   - Content-Length: digits up to 2^63-1. Repetitions of one value, in a list or
//     in several fields, become one field without leading zeros, as in HAProxy;
//     anything else is a 400.
//   - Transfer-Encoding: exactly one field "chunked", in HTTP/1.1. Other codings
//     before a final chunked are a 422 as in HAProxy (2.6), the rest a 400. HAProxy
//     lets HTTP/1.0 use it; we follow RFC 9112, 6.1 and refuse.
//   - Both, in HTTP/1.1 and with a valid length: the length is deleted and
//     MustClose set (RFC 9112, 6.3, as HAProxy).
//   - CONNECT has no body (RFC 9110, 9.3.6): a length of 0 is deleted, any other
//     framing refused.
func RequestFraming(h *message.Head) (Framing, error) {
	length, chunked, err := framingFields(h)
	if err != nil {
		return Framing{}, err
	}
	if h.MethodID == message.MethodConnect {
		if chunked || length > 0 {
			return Framing{}, bad(-1, "CONNECT with a body")
		}
		h.Del(message.FieldContentLength, "content-length")
		return Framing{}, nil
	}
	switch {
	case chunked:
		return Framing{Kind: FramingChunked, MustClose: dropLength(h, length)}, nil
	case length > 0:
		return Framing{Kind: FramingLength, Length: length}, nil
	}
	return Framing{}, nil
}

// ResponseFraming decides a response's framing by the same rules as
// RequestFraming, with every error a 502, and for the method of its request:
// no body for HEAD, 1xx, 204 and 304, a tunnel for 101 and for 2xx to CONNECT.
// Framing fields are deleted where a message cannot have them (RFC 9110, 8.6;
// RFC 9112, 6.1).
func ResponseFraming(h *message.Head, reqMethod message.Method) (Framing, error) {
	tunnel := h.Status == 101 || reqMethod == message.MethodConnect && h.Status/100 == 2
	if tunnel || h.Status < 200 || h.Status == 204 {
		n := h.Del(message.FieldContentLength, "content-length") + h.Del(message.FieldTransferEncoding, "transfer-encoding")
		if tunnel {
			return Framing{Kind: FramingTunnel}, nil
		}
		// A server that names a length here may send that body, too.
		return Framing{MustClose: n > 0}, nil
	}
	length, chunked, err := framingFields(h)
	if err != nil {
		return Framing{}, asResponse(err)
	}
	mustClose := chunked && dropLength(h, length)
	switch {
	case reqMethod == message.MethodHead || h.Status == 304:
		return Framing{MustClose: mustClose}, nil
	case chunked:
		return Framing{Kind: FramingChunked, MustClose: mustClose}, nil
	case length > 0:
		return Framing{Kind: FramingLength, Length: length}, nil
	case length == 0:
		return Framing{}, nil
	}
	return Framing{Kind: FramingUntilClose, MustClose: true}, nil
}

func dropLength(h *message.Head, length int64) bool {
	if length < 0 {
		return false
	}
	h.Del(message.FieldContentLength, "content-length")
	return true
}

var chunkedValue = []byte("chunked")

// framingFields reads both framing fields; length is -1 without a Content-Length.
func framingFields(h *message.Head) (length int64, chunked bool, err error) {
	length = -1
	codings := 0
	for i := range h.Fields {
		f := &h.Fields[i]
		switch f.ID {
		case message.FieldContentLength:
			if f.Name == nil {
				continue
			}
			n, digits, ok := contentLength(f.Value)
			if !ok || length >= 0 && length != n {
				return 0, false, bad(-1, "invalid or contradicting Content-Length")
			}
			if length >= 0 {
				f.Name = nil
				continue
			}
			length, f.Value = n, digits
		case message.FieldTransferEncoding:
			if f.Name == nil {
				continue
			}
			if codings++; codings == 1 && message.EqualFold(f.Value, "chunked") {
				f.Value = chunkedValue
			}
		}
	}
	if codings == 0 {
		return length, false, nil
	}
	return length, true, transferEncoding(h, codings)
}

func transferEncoding(h *message.Head, n int) error {
	if h.Version == message.HTTP10 {
		return bad(-1, "Transfer-Encoding in HTTP/1.0")
	}
	i := h.Index(message.FieldTransferEncoding, "transfer-encoding", 0)
	if n == 1 && string(h.Fields[i].Value) == "chunked" {
		return nil
	}
	// Only the status is left to find: chunked once and last is a coding that
	// we do not know, anything else no framing at all.
	chunked, last := 0, false
	for ; i >= 0; i = h.Index(message.FieldTransferEncoding, "transfer-encoding", i+1) {
		for v := h.Fields[i].Value; len(v) > 0; {
			var tok []byte
			tok, v = NextToken(v)
			if last = message.EqualFold(tok, "chunked"); last {
				chunked++
			}
		}
	}
	if chunked == 1 && last {
		return &ParseError{Off: -1, Reason: "unknown transfer coding", Status: 422}
	}
	return bad(-1, "invalid Transfer-Encoding")
}

// contentLength reads a Content-Length value: a number, or a list of the same
// number; digits is the number without leading zeros.
func contentLength(v []byte) (n int64, digits []byte, ok bool) {
	n, i := number(v)
	if i == 0 || n < 0 {
		return 0, nil, false
	}
	digits = v[:i]
	for rest := v[i:]; len(rest) > 0; {
		rest = bytes.TrimLeft(rest, " \t")
		if len(rest) == 0 || rest[0] != ',' {
			return 0, nil, false
		}
		rest = bytes.TrimLeft(rest[1:], " \t")
		m, k := number(rest)
		if k == 0 || m != n {
			return 0, nil, false
		}
		rest = rest[k:]
	}
	for len(digits) > 1 && digits[0] == '0' {
		digits = digits[1:]
	}
	return n, digits, true
}

// number reads leading digits and says how many there were; -1 is an overflow.
func number(v []byte) (n int64, i int) {
	for ; i < len(v) && v[i]-'0' <= 9; i++ {
		d := int64(v[i] - '0')
		if n < 0 || n > (math.MaxInt64-d)/10 {
			n = -1
			continue
		}
		n = n*10 + d
	}
	return n, i
}
