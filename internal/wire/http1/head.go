package http1

import (
	"encoding/binary"
	"math/bits"

	"evenkeel/internal/message"
)

// ParseRequest reads a request head from the beginning of buf, after any empty
// lines there, and says how many bytes it took. With ErrMore the head is in no
// defined state. The head's arena is left alone: call Head.Reset between messages.
//
// Stricter than HAProxy, on purpose: bare LF, obs-fold, control characters in
// values, more than one space between the parts of the request line, versions
// other than 1.x (505), targets that have none of the four forms, and Host
// values with characters that no host has are refused.
func ParseRequest(buf []byte, h *message.Head, lim *Limits) (n int, err error) {
	h.Response, h.Status, h.Reason, h.Fields = false, 0, nil, h.Fields[:0]
	i, err := skipEmptyLines(buf)
	if err != nil {
		return 0, err
	}
	if i, err = requestLine(buf, i, h); err != nil {
		return 0, err
	}
	host := -1
	if n, host, err = parseFields(buf, i, h, lim.maxFields()); err != nil {
		return 0, err
	}
	if err = checkHost(h, host); err != nil {
		return 0, err
	}
	return n, nil
}

// maxEmptyLines may come before a request; nothing says that there is a request
// behind an endless row of them.
const maxEmptyLines = 16

func skipEmptyLines(buf []byte) (int, error) {
	i := 0
	for {
		if i > 2*maxEmptyLines {
			return 0, bad(i, "too many empty lines before the request line")
		}
		if i >= len(buf) {
			return 0, ErrMore
		}
		switch buf[i] {
		case '\r':
			if i+1 >= len(buf) {
				return 0, ErrMore
			}
			if buf[i+1] != '\n' {
				return 0, bad(i, "bare CR before the request line")
			}
			i += 2
		case '\n':
			return 0, bad(i, "bare LF before the request line")
		default:
			return i, nil
		}
	}
}

func requestLine(buf []byte, i int, h *message.Head) (int, error) {
	start := i
	if i+4 <= len(buf) && binary.LittleEndian.Uint32(buf[i:]) == 'G'|'E'<<8|'T'<<16|' '<<24 {
		i += 3
		h.MethodID = message.MethodGet
		h.Method = buf[start:i:i]
	} else {
		for i < len(buf) && class[buf[i]]&classToken != 0 {
			i++
		}
		if i >= len(buf) {
			return 0, ErrMore
		}
		if buf[i] != ' ' || i == start {
			return 0, bad(i, "invalid method")
		}
		h.Method = buf[start:i:i]
		h.MethodID = message.IdentifyMethod(h.Method)
	}
	i++
	target := i
	for i+8 <= len(buf) {
		m := notTarget(load64(buf, i))
		if m != 0 {
			i += bits.TrailingZeros64(m) >> 3
			break
		}
		i += 8
	}
	for i < len(buf) && class[buf[i]]&classTarget != 0 {
		i++
	}
	if i >= len(buf) {
		if i > target && !targetStart(buf[target], h.MethodID) {
			return 0, bad(target, "invalid request target")
		}
		return 0, ErrMore
	}
	if buf[i] != ' ' || i == target {
		return 0, bad(i, "invalid character in the request target")
	}
	h.Target = buf[target:i:i]
	end, err := requestVersion(buf, i+1, h)
	if err != nil {
		return 0, err
	}
	if h.Target[0] != '/' || h.MethodID == message.MethodConnect {
		if err := checkTarget(h, target); err != nil {
			return 0, err
		}
	}
	return end, nil
}

// http1Dot is "HTTP/1." as a little-endian word.
const http1Dot = 'H' | 'T'<<8 | 'T'<<16 | 'P'<<24 | '/'<<32 | '1'<<40 | '.'<<48

func requestVersion(buf []byte, i int, h *message.Head) (int, error) {
	if i+10 > len(buf) {
		return 0, partialVersion(buf, i)
	}
	w := load64(buf, i)
	minor := byte(w >> 56)
	if w&(1<<56-1) != http1Dot || minor-'0' > 9 {
		return 0, badVersion(buf, i, h)
	}
	if buf[i+8] != '\r' || buf[i+9] != '\n' {
		return 0, bad(i+8, "no CRLF after the version")
	}
	h.Version = message.HTTP11
	if minor == '0' {
		h.Version = message.HTTP10
	}
	return i + 10, nil
}

// partialVersion tells a version that has not arrived yet from a wrong one.
func partialVersion(buf []byte, i int) error {
	const want = "HTTP/"
	for k := 0; i+k < len(buf) && k < len(want); k++ {
		if buf[i+k] != want[k] {
			return bad(i+k, "invalid version")
		}
	}
	return ErrMore
}

func badVersion(buf []byte, i int, h *message.Head) error {
	w := buf[i : i+8]
	if string(w[:5]) != "HTTP/" || w[5]-'0' > 9 || w[6] != '.' || w[7]-'0' > 9 {
		return bad(i, "invalid version")
	}
	if string(h.Method) == "PRI" && string(h.Target) == "*" && w[5] == '2' && w[7] == '0' {
		return ErrHTTP2Preface
	}
	return &ParseError{Off: i, Reason: "HTTP version not supported", Status: 505}
}

// ParseResponse reads a response head. Stricter than HAProxy, on purpose, in
// the same points as ParseRequest; a status is three digits from 100 to 999, and
// nothing may stand before the status line.
func ParseResponse(buf []byte, h *message.Head, lim *Limits) (n int, err error) {
	h.Response, h.MethodID, h.Method, h.Target, h.Fields = true, 0, nil, nil, h.Fields[:0]
	i, err := statusLine(buf, h)
	if err != nil {
		return 0, asResponse(err)
	}
	if n, _, err = parseFields(buf, i, h, lim.maxFields()); err != nil {
		return 0, asResponse(err)
	}
	return n, nil
}

func statusLine(buf []byte, h *message.Head) (int, error) {
	if len(buf) < 13 {
		return 0, partialStatusLine(buf)
	}
	w := load64(buf, 0)
	minor := byte(w>>56) - '0'
	if w&(1<<56-1) != http1Dot || minor > 9 || buf[8] != ' ' {
		return 0, bad(0, "invalid version in the status line")
	}
	h.Version = message.HTTP11
	if minor == 0 {
		h.Version = message.HTTP10
	}
	a, b, c := buf[9]-'0', buf[10]-'0', buf[11]-'0'
	if a-1 > 8 || b > 9 || c > 9 {
		return 0, bad(9, "invalid status")
	}
	h.Status = int(a)*100 + int(b)*10 + int(c)
	i := 12
	h.Reason = nil
	if buf[i] == ' ' {
		i++
		end := skipText(buf, i)
		if end < 0 {
			return 0, ErrMore
		}
		h.Reason = buf[i:end:end]
		i = end
	}
	if i+1 >= len(buf) {
		if buf[i] != '\r' {
			return 0, bad(i, "invalid character in the status line")
		}
		return 0, ErrMore
	}
	if buf[i] != '\r' || buf[i+1] != '\n' {
		return 0, bad(i, "invalid character in the status line")
	}
	return i + 2, nil
}

func partialStatusLine(buf []byte) error {
	const want = "HTTP/1."
	for k := 0; k < len(buf) && k < len(want); k++ {
		if buf[k] != want[k] {
			return bad(k, "invalid version in the status line")
		}
	}
	return ErrMore
}

// skipText gives the offset of the first byte at or after i that cannot stand
// in a field value or a reason, -1 if there is none.
func skipText(buf []byte, i int) int {
	b := buf[i:]
	for len(b) >= 8 {
		m := controls(binary.LittleEndian.Uint64(b))
		if m == 0 {
			b = b[8:]
			continue
		}
		k := bits.TrailingZeros64(m) >> 3
		if b[k] != '\t' {
			return len(buf) - len(b) + k
		}
		b = b[k+1:]
	}
	for k, c := range b {
		if class[c]&classText == 0 {
			return len(buf) - len(b) + k
		}
	}
	return -1
}

// parseFields reads field lines and the empty line; host is the index of the
// first Host field, -1 if there is none.
func parseFields(buf []byte, i int, h *message.Head, max int) (n, host int, err error) {
	host = -1
	fields := h.Fields
	for {
		if i >= len(buf) {
			return 0, 0, ErrMore
		}
		start := i
		for i < len(buf) && class[buf[i]]&classToken != 0 {
			i++
		}
		if i >= len(buf) {
			return 0, 0, ErrMore
		}
		if buf[i] != ':' || i == start {
			if i == start && buf[i] == '\r' {
				if i+1 >= len(buf) {
					return 0, 0, ErrMore
				}
				if buf[i+1] == '\n' {
					h.Fields = fields
					return i + 2, host, nil
				}
			}
			return 0, 0, badName(buf, start, i, len(fields))
		}
		name := buf[start:i:i]
		i++
		for i < len(buf) && (buf[i] == ' ' || buf[i] == '\t') {
			i++
		}
		value := i
		if i = skipText(buf, i); i < 0 {
			return 0, 0, ErrMore
		}
		if buf[i] != '\r' {
			return 0, 0, badValue(buf, i)
		}
		if i+1 >= len(buf) {
			return 0, 0, ErrMore
		}
		if buf[i+1] != '\n' {
			return 0, 0, bad(i, "bare CR in a field value")
		}
		end := i
		for end > value && (buf[end-1] == ' ' || buf[end-1] == '\t') {
			end--
		}
		i += 2
		if len(fields) >= max {
			return 0, 0, bad(start, "too many fields")
		}
		id := message.Identify(name)
		if id == message.FieldHost && host < 0 {
			host = len(fields)
		}
		if len(fields) == cap(fields) {
			fields = append(fields, message.Field{})
			h.Fields = fields[:0]
		} else {
			fields = fields[:len(fields)+1]
		}
		f := &fields[len(fields)-1]
		f.Name, f.Value, f.ID = name, buf[value:end:end], id
	}
}

func badName(buf []byte, start, i, fields int) error {
	switch c := buf[i]; {
	case i == start && (c == ' ' || c == '\t') && fields > 0:
		return bad(i, "obsolete line folding")
	case i == start && (c == ' ' || c == '\t'):
		return bad(i, "white space before the first field")
	case c == ' ' || c == '\t':
		return bad(i, "white space before the colon")
	case c == '\n':
		return bad(i, "bare LF")
	case c == '\r':
		return bad(i, "bare CR, or a field without a colon")
	case i == start && c == ':':
		return bad(i, "empty field name")
	}
	return bad(i, "invalid character in a field name")
}

func badValue(buf []byte, i int) error {
	if buf[i] == '\n' {
		return bad(i, "bare LF")
	}
	return bad(i, "control character in a field value")
}

// Parser is ParseRequest and ParseResponse for input that arrives in pieces: the
// cost of a head stays linear however small the pieces are. buf always starts at
// the head's first byte and may move in memory between calls. The zero value is
// ready, and is ready again after any result but ErrMore.
type Parser struct {
	scanned int // bytes that were searched for the end of a head
	tried   int // length of the input at the last full attempt
}

// Reset forgets a head that was begun.
func (p *Parser) Reset() { *p = Parser{} }

// Request is ParseRequest.
func (p *Parser) Request(buf []byte, h *message.Head, lim *Limits) (n int, err error) {
	if !p.ready(buf) {
		return 0, ErrMore
	}
	n, err = ParseRequest(buf, h, lim)
	p.after(buf, err)
	return n, err
}

// Response is ParseResponse.
func (p *Parser) Response(buf []byte, h *message.Head, lim *Limits) (n int, err error) {
	if !p.ready(buf) {
		return 0, ErrMore
	}
	n, err = ParseResponse(buf, h, lim)
	p.after(buf, err)
	return n, err
}

// ready says whether an attempt is worth its cost: at the first call, when an
// empty line has arrived, and when the input has doubled, so that bad input is
// refused before it ends.
func (p *Parser) ready(buf []byte) bool {
	if p.tried == 0 || len(buf) >= 2*p.tried {
		return true
	}
	for i := p.scanned; i < len(buf); i++ {
		if buf[i] == '\n' && i > 0 && (buf[i-1] == '\n' || buf[i-1] == '\r' && i > 1 && buf[i-2] == '\n') {
			return true
		}
	}
	p.scanned = len(buf)
	return false
}

func (p *Parser) after(buf []byte, err error) {
	if err != ErrMore {
		*p = Parser{}
		return
	}
	p.scanned, p.tried = len(buf), max(len(buf), 64)
}
