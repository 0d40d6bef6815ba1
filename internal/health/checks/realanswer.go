package checks

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"errors"
	"hash"
	"io"
	"strconv"
	"strings"
)

// answer is an HTTP response that is read as a stream: only what a regular
// expression looks at is kept.
type answer struct {
	from  io.Reader
	url   *realURL
	under *streamEnd // tls_compliant: whose end is an error; nil: does not matter

	head  response // status and header lines
	raw   hash.Hash
	plain hash.Hash // without the framing of chunks
	body  []byte    // the start of it, for a regular expression
	size  int64     // octets of the body, as far as they were read
	cut   bool      // it is longer than was read
	short int64     // octets that were announced and did not come
}

// Faults of an answer.
var (
	errNoAnswer = errors.New("the connection was closed without one")
	errNotHTTP  = errors.New("what came is not HTTP")
	errHeadSize = errors.New("its head is larger than 64 KiB")
	errCut      = errors.New("the TLS stream ended without being closed (tls_compliant)")
	errChunks   = errors.New("its chunks are malformed")
)

// read reads head and body.
func (a *answer) read() error {
	a.raw, a.plain = md5.New(), md5.New()
	in := bufio.NewReaderSize(a.from, maxHead)
	for {
		if err := a.readHead(in); err != nil {
			return err
		}
		// Interim responses precede the one that counts.
		if s := a.head.status; s < 100 || s >= 200 || s == 101 {
			break
		}
	}
	return a.readBody(in)
}

// readHead reads up to the empty line.
func (a *answer) readHead(in *bufio.Reader) error {
	for want := 1; ; {
		b, err := in.Peek(want)
		if len(b) == 0 {
			return a.ended(err, errNoAnswer)
		}
		b, _ = in.Peek(in.Buffered())
		if !startsLikeHTTP(b) {
			return errNotHTTP
		}
		end, size := bytes.Index(b, []byte("\n\r\n")), 3
		if i := bytes.Index(b, []byte("\n\n")); i >= 0 && (end < 0 || i < end) {
			end, size = i, 2
		}
		switch {
		case end >= 0:
			if !a.head.head(b[:end+1]) {
				return errNotHTTP
			}
			// The lines belong to the reader's buffer.
			for i, h := range a.head.headers {
				a.head.headers[i] = [2][]byte{bytes.Clone(h[0]), bytes.Clone(h[1])}
			}
			in.Discard(end + size)
			return nil
		case len(b) >= maxHead:
			return errHeadSize
		case err != nil:
			return a.ended(err, errNotHTTP)
		}
		want = len(b) + 1
	}
}

// ended gives whole, unless the stream ended with another error than its end.
func (a *answer) ended(err, whole error) error {
	switch {
	case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return err
	case a.under != nil && a.under.seen:
		return errCut
	}
	return whole
}

// limit is how much of the body is of interest.
func (a *answer) limit() int64 {
	switch {
	case a.url.digest != nil:
		return maxBody
	case a.url.regex != nil:
		return maxRegexBody
	}
	return maxPlainBody
}

// readBody reads to the end that the head announces, or that of the stream.
func (a *answer) readBody(in *bufio.Reader) error {
	if a.head.status == 204 || a.head.status == 304 {
		return nil
	}
	for _, h := range a.head.headers {
		switch string(h[0]) {
		case "transfer-encoding":
			if strings.EqualFold(string(h[1]), "chunked") {
				return a.chunks(in)
			}
		case "content-length":
			n, err := strconv.ParseUint(string(h[1]), 10, 63)
			if err != nil {
				continue // as keepalived: the end of the stream counts
			}
			err = a.copy(in, int64(n), true)
			a.short = int64(n) - a.size
			if a.cut {
				a.short = 0
			}
			return err
		}
	}
	return a.copy(in, 1<<62, true)
}

// copy takes up to n octets of the body; raw says that no framing was taken
// off before.
func (a *answer) copy(in *bufio.Reader, n int64, raw bool) error {
	for n > 0 {
		if a.size >= a.limit() {
			a.cut = true
			return nil
		}
		_, err := in.Peek(1)
		b, _ := in.Peek(int(min(int64(in.Buffered()), n, a.limit()-a.size)))
		if len(b) == 0 {
			return a.ended(err, nil)
		}
		a.plain.Write(b)
		if raw {
			a.raw.Write(b)
		}
		if a.url.regex != nil {
			a.body = append(a.body, b...)
		}
		a.size += int64(len(b))
		n -= int64(len(b))
		in.Discard(len(b))
	}
	return nil
}

// chunks reads a chunked body. keepalived does not know chunks and digests
// them as they come, so that both ways count.
func (a *answer) chunks(in *bufio.Reader) error {
	framed := bufio.NewReaderSize(io.TeeReader(in, a.raw), maxHead)
	for {
		line, err := framed.ReadSlice('\n')
		if err != nil {
			if errors.Is(err, bufio.ErrBufferFull) {
				return errChunks
			}
			return a.ended(err, nil)
		}
		size, _, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(";"))
		n, err := strconv.ParseUint(string(bytes.TrimSpace(size)), 16, 62)
		if err != nil {
			return errChunks
		}
		if n == 0 {
			return a.trailers(framed)
		}
		before := a.size
		if err := a.copy(framed, int64(n), false); err != nil || a.cut {
			return err
		}
		if a.size-before < int64(n) {
			a.short = int64(n) - (a.size - before)
			return nil
		}
		if line, err := framed.ReadSlice('\n'); err != nil {
			return a.ended(err, nil)
		} else if len(bytes.TrimRight(line, "\r\n")) != 0 {
			return errChunks
		}
	}
}

// trailers reads what follows the last chunk, for the digest.
func (a *answer) trailers(in *bufio.Reader) error {
	for size := 0; size < maxHead; {
		line, err := in.ReadSlice('\n')
		if err != nil || len(bytes.TrimRight(line, "\r\n")) == 0 {
			return nil // all that counts has come
		}
		size += len(line)
	}
	return nil
}
