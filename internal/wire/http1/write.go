package http1

import (
	"math/bits"
	"slices"

	"evenkeel/internal/message"
)

// AppendRequestLine appends METHOD SP TARGET SP HTTP/1.1 CRLF: a proxy sends its
// own version (RFC 9110, 2.5).
func AppendRequestLine(dst []byte, h *message.Head) []byte {
	dst = append(dst, h.Method...)
	dst = append(dst, ' ')
	dst = append(dst, h.Target...)
	return append(dst, " HTTP/1.1\r\n"...)
}

// AppendStatusLine appends HTTP/1.1 SP status SP reason CRLF.
func AppendStatusLine(dst []byte, h *message.Head) []byte {
	if h.Status == 200 && string(h.Reason) == "OK" {
		return append(dst, "HTTP/1.1 200 OK\r\n"...)
	}
	s := uint(h.Status)
	dst = append(dst, 'H', 'T', 'T', 'P', '/', '1', '.', '1', ' ',
		byte('0'+s/100%10), byte('0'+s/10%10), byte('0'+s%10), ' ')
	dst = append(dst, h.Reason...)
	return append(dst, '\r', '\n')
}

// AppendFields appends the live fields, each with its CRLF, without the empty
// line that ends a head.
func AppendFields(dst []byte, h *message.Head) []byte {
	size := 0
	for i := range h.Fields {
		size += len(h.Fields[i].Name) + len(h.Fields[i].Value) + 4
	}
	n := len(dst)
	dst = slices.Grow(dst, size)
	out := dst[:n+size]
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.Name == nil {
			continue
		}
		n += copy(out[n:], f.Name)
		out[n], out[n+1] = ':', ' '
		n += 2
		n += copy(out[n:], f.Value)
		out[n], out[n+1] = '\r', '\n'
		n += 2
	}
	return out[:n]
}

const hexDigits = "0123456789abcdef"

// AppendChunkSize appends n in hexadecimal and CRLF.
func AppendChunkSize(dst []byte, n int) []byte {
	for shift := max(0, bits.Len64(uint64(n))-1) &^ 3; shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[n>>shift&15])
	}
	return append(dst, '\r', '\n')
}

// PutChunkSize fills all of b with n in hexadecimal, leading zeros and CRLF, for
// room that was reserved in front of a payload; b must be long enough for n.
func PutChunkSize(b []byte, n int) {
	last := len(b) - 3
	b[last+1], b[last+2] = '\r', '\n'
	for i := last; i >= 0; i-- {
		b[i] = hexDigits[n&15]
		n >>= 4
	}
}

// AppendChunk appends one whole chunk; an empty payload, which would end the
// body, appends nothing.
func AppendChunk(dst, payload []byte) []byte {
	if len(payload) == 0 {
		return dst
	}
	dst = AppendChunkSize(dst, len(payload))
	dst = append(dst, payload...)
	return append(dst, '\r', '\n')
}

// AppendLastChunk appends the last chunk, trailer lines as ChunkReader keeps
// them, and the final CRLF.
func AppendLastChunk(dst, trailers []byte) []byte {
	dst = append(dst, '0', '\r', '\n')
	dst = append(dst, trailers...)
	return append(dst, '\r', '\n')
}
