package checks

import (
	"bytes"
	"strconv"
	"strings"
)

// response is an HTTP response as far as it has been read. It is parsed anew
// with each piece: replies to checks are small.
type response struct {
	toHead bool // the request was HEAD: no body follows

	headDone bool
	broken   bool
	status   int
	reason   string
	headers  [][2][]byte // names in lower case
	body     []byte
}

// maxHeaders bounds the header lines of a reply.
const maxHeaders = 256

// parse reads in from its start; eof says that nothing will follow. more: the
// message is not complete.
func (r *response) parse(in []byte, eof bool) (more bool) {
	for {
		end := bytes.Index(in, []byte("\n\r\n"))
		size := 3
		if i := bytes.Index(in, []byte("\n\n")); i >= 0 && (end < 0 || i < end) {
			end, size = i, 2
		}
		if len(in) > 0 && !startsLikeHTTP(in) {
			r.broken = true
			return false
		}
		if end < 0 {
			r.broken = eof
			return !eof
		}
		if !r.head(in[:end+1]) {
			r.broken = true
			return false
		}
		in = in[end+size:]
		// Interim responses precede the one that counts.
		if r.status >= 100 && r.status < 200 && r.status != 101 {
			continue
		}
		r.headDone = true
		return r.readBody(in, eof)
	}
}

// startsLikeHTTP says whether b may become a status line.
func startsLikeHTTP(b []byte) bool {
	const p = "HTTP/"
	n := min(len(b), len(p))
	return string(b[:n]) == p[:n]
}

// head reads the status line and the header lines.
func (r *response) head(b []byte) bool {
	line, rest, _ := bytes.Cut(b, []byte("\n"))
	line = bytes.TrimRight(line, "\r")
	// HTTP/d.d SP ddd
	if len(line) < 12 || line[5] < '0' || line[5] > '9' || line[6] != '.' || line[7] < '0' || line[7] > '9' || line[8] != ' ' {
		return false
	}
	status, err := strconv.ParseUint(string(line[9:12]), 10, 16)
	if err != nil || status < 100 || len(line) > 12 && line[12] != ' ' {
		return false
	}
	r.status, r.reason = int(status), ""
	if len(line) > 13 {
		r.reason = string(line[13:])
	}
	r.headers = r.headers[:0]
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		line = bytes.TrimRight(line, "\r")
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(name) == 0 || bytes.ContainsAny(name, " \t") || len(r.headers) >= maxHeaders {
			return false
		}
		r.headers = append(r.headers, [2][]byte{bytes.ToLower(name), bytes.Trim(value, " \t")})
	}
	return true
}

// readBody frames what follows the head.
func (r *response) readBody(in []byte, eof bool) (more bool) {
	if r.toHead || r.status == 204 || r.status == 304 {
		r.body = nil
		return false
	}
	length := -1
	for _, h := range r.headers {
		switch string(h[0]) {
		case "transfer-encoding":
			if strings.EqualFold(string(h[1]), "chunked") {
				body, done, ok := unchunk(in)
				r.body = body
				if !ok {
					r.broken = true
					return false
				}
				return !done && !eof
			}
		case "content-length":
			n, err := strconv.ParseUint(string(h[1]), 10, 31)
			if err != nil {
				r.broken = true
				return false
			}
			length = int(n)
		}
	}
	if length >= 0 {
		r.body = in[:min(len(in), length)]
		return len(in) < length && !eof
	}
	r.body = in
	return !eof
}

// unchunk gives the payload of as many chunks as there are.
func unchunk(in []byte) (body []byte, done, ok bool) {
	for {
		line, rest, found := bytes.Cut(in, []byte("\n"))
		if !found {
			return body, false, len(in) < 1024
		}
		size, _, _ := bytes.Cut(bytes.TrimRight(line, "\r"), []byte(";"))
		n, err := strconv.ParseUint(string(bytes.TrimSpace(size)), 16, 31)
		if err != nil {
			return body, false, false
		}
		if n == 0 {
			return body, true, true
		}
		if uint64(len(rest)) < n {
			return append(body, rest...), false, true
		}
		body = append(body, rest[:n]...)
		in = rest[n:]
		switch {
		case len(in) == 0 || len(in) == 1 && in[0] == '\r':
			return body, false, true
		case in[0] == '\n':
			in = in[1:]
		case in[0] == '\r' && in[1] == '\n':
			in = in[2:]
		default:
			return body, false, false
		}
	}
}

// hasHeader says whether a header matches; full takes the whole value, else
// each part between commas is looked at.
func (r *response) hasHeader(name, value func([]byte) bool, full bool) bool {
	for _, h := range r.headers {
		if !name(h[0]) {
			continue
		}
		if full {
			if value(h[1]) {
				return true
			}
			continue
		}
		for _, part := range bytes.Split(h[1], []byte(",")) {
			if value(bytes.Trim(part, " \t")) {
				return true
			}
		}
	}
	return false
}
