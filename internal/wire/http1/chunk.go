package http1

import (
	"evenkeel/internal/message"
)

// Bounds on what surrounds the payload of a chunked body.
const (
	MaxChunkLine = 4096 // a size line: extensions carry nothing that is used
	MaxTrailers  = 8192
)

type chunkState uint8

const (
	chunkSizeFirst chunkState = iota // the first digit of a size
	chunkSize                        // further digits
	chunkSpace                       // white space after the size
	chunkExtension
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	trailerStart // at the beginning of a trailer line
	trailerLine
	trailerLF
	lastLF
	chunkDone
	chunkFailed
)

// ChunkReader decodes a chunked body. It holds no payload, can stop and go on at
// every byte, and its zero value is ready.
//
// A size has at most 16 digits and fits an int64; white space may stand between
// a size and what follows, as some servers pad sizes; extensions are checked and
// dropped; every line ends with CRLF. A trailer that would change the framing is
// an error; others that must not be merged into a head (RFC 9110, 6.5.1) are dropped.
type ChunkReader struct {
	// Trailers are the lines that followed the last chunk, each with its CRLF;
	// valid until Reset.
	Trailers []byte

	left   int64 // payload of the current chunk still to come
	line   int   // length of the current size line, or all trailer bytes
	start  int   // where the current trailer line starts in Trailers
	digits uint8
	state  chunkState
	err    error
}

// Reset makes the reader ready for another body.
func (c *ChunkReader) Reset() { *c = ChunkReader{Trailers: c.Trailers[:0]} }

// Done says whether the whole body was read.
func (c *ChunkReader) Done() bool { return c.state == chunkDone }

// Remaining is how much payload of the current chunk is still to come, so that
// it can be moved without Decode; Skip says that it was.
func (c *ChunkReader) Remaining() int64 {
	if c.state != chunkData {
		return 0
	}
	return c.left
}

// Skip says that n bytes, at most Remaining, were moved without Decode.
func (c *ChunkReader) Skip(n int64) {
	if c.left -= n; c.left == 0 {
		c.state = chunkDataCR
	}
}

// Decode moves the payload in p to p[:payload] and says how many bytes of p it
// used up; unless the body ended or failed, that is all of p. After an error
// the reader gives the same error again.
func (c *ChunkReader) Decode(p []byte) (payload, consumed int, done bool, err error) {
	i, w := 0, 0
	for i < len(p) {
		switch c.state {
		case chunkData:
			n := len(p) - i
			if int64(n) >= c.left {
				n = int(c.left)
				c.state = chunkDataCR
			}
			if w != i {
				copy(p[w:], p[i:i+n])
			}
			c.left -= int64(n)
			i += n
			w += n
		case chunkDone:
			return w, i, true, nil
		case chunkFailed:
			return w, i, false, c.err
		case trailerStart, trailerLine:
			i = c.trailer(p, i)
		default:
			c.step(p[i])
			i++
		}
	}
	return w, i, c.state == chunkDone, c.err
}

func (c *ChunkReader) fail(reason string) {
	c.state = chunkFailed
	c.err = bad(-1, reason)
}

// step takes one byte of framing.
func (c *ChunkReader) step(b byte) {
	switch c.state {
	case chunkSizeFirst:
		if class[b]&classHex == 0 {
			c.fail("invalid chunk size")
			return
		}
		c.left, c.line, c.digits = int64(unhex(b)), 1, 1
		c.state = chunkSize
	case chunkSize:
		c.line++
		if class[b]&classHex != 0 {
			if c.digits++; c.digits > 16 || c.left>>59 != 0 {
				c.fail("chunk size too large")
				return
			}
			c.left = c.left<<4 | int64(unhex(b))
			return
		}
		c.afterSize(b)
	case chunkSpace:
		c.line++
		c.afterSize(b)
	case chunkExtension:
		c.line++
		switch {
		case b == '\r':
			c.state = chunkSizeLF
		case class[b]&classText == 0:
			c.fail("invalid character in a chunk extension")
		case c.line > MaxChunkLine:
			c.fail("chunk extension too long")
		}
	case chunkSizeLF:
		switch {
		case b != '\n':
			c.fail("bare CR in a chunk size line")
		case c.left == 0:
			c.state, c.line = trailerStart, 0
		default:
			c.state = chunkData
		}
	case chunkDataCR:
		c.state = chunkDataLF
		if b != '\r' {
			c.fail("no CRLF after a chunk")
		}
	case chunkDataLF:
		c.state = chunkSizeFirst
		if b != '\n' {
			c.fail("no CRLF after a chunk")
		}
	case trailerLF:
		if b != '\n' {
			c.fail("bare CR in a trailer")
			return
		}
		c.endTrailer()
	case lastLF:
		c.state = chunkDone
		if b != '\n' {
			c.fail("bare CR after the last chunk")
		}
	}
}

func (c *ChunkReader) afterSize(b byte) {
	switch {
	case b == '\r':
		c.state = chunkSizeLF
	case b == ';':
		c.state = chunkExtension
	case c.line > MaxChunkLine:
		c.fail("chunk size line too long")
	case b == ' ' || b == '\t':
		c.state = chunkSpace
	default:
		c.fail("invalid chunk size")
	}
}

func unhex(b byte) byte {
	if b <= '9' {
		return b - '0'
	}
	return b&^0x20 - 'A' + 10
}

// trailer takes bytes of a trailer line up to its CR.
func (c *ChunkReader) trailer(p []byte, i int) int {
	if c.state == trailerStart {
		if p[i] == '\r' {
			c.state = lastLF
			return i + 1
		}
		c.state, c.start = trailerLine, len(c.Trailers)
	}
	end := skipText(p, i)
	if end < 0 {
		end = len(p)
	}
	if c.line += end - i; c.line > MaxTrailers {
		c.fail("trailers too large")
		return i
	}
	c.Trailers = append(c.Trailers, p[i:end]...)
	if end == len(p) {
		return end
	}
	if p[end] != '\r' {
		c.fail("control character in a trailer")
		return end
	}
	c.state = trailerLF
	return end + 1
}

func (c *ChunkReader) endTrailer() {
	if c.line += 2; c.line > MaxTrailers {
		c.fail("trailers too large")
		return
	}
	line := c.Trailers[c.start:]
	n := 0
	for n < len(line) && class[line[n]]&classToken != 0 {
		n++
	}
	if n == 0 || n == len(line) || line[n] != ':' {
		c.fail("invalid trailer")
		return
	}
	c.state = trailerStart
	switch message.Identify(line[:n]) {
	case message.FieldContentLength, message.FieldTransferEncoding:
		c.fail("framing field in the trailers")
	case message.FieldHost, message.FieldConnection, message.FieldTE, message.FieldTrailer, message.FieldUpgrade,
		message.FieldExpect, message.FieldKeepAlive, message.FieldProxyConnection, message.FieldCookie,
		message.FieldSetCookie, message.FieldXForwardedFor, message.FieldForwarded, message.FieldCacheControl,
		message.FieldAuthorization, message.FieldProxyAuthorization, message.FieldHTTP2Settings,
		message.FieldContentEncoding, message.FieldContentType, message.FieldLocation, message.FieldVary:
		c.Trailers = c.Trailers[:c.start]
	default:
		c.Trailers = append(c.Trailers, '\r', '\n')
	}
}
