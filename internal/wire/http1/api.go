package http1

import (
	"encoding/binary"
	"errors"
)

// DefaultMaxFields is HAProxy's default of tune.http.maxhdr.
const DefaultMaxFields = 101

// Limits bounds what a head may hold. Its size in bytes is bounded by the
// caller's buffer.
type Limits struct {
	// MaxFields counts the lines of a head, its first line included, as
	// tune.http.maxhdr does; 0 means DefaultMaxFields.
	MaxFields int
}

func (l *Limits) maxFields() int {
	if l == nil || l.MaxFields <= 0 {
		return DefaultMaxFields - 1
	}
	return l.MaxFields - 1
}

// ErrMore says that the input is a valid beginning and that more of it is needed.
var ErrMore = errors.New("http1: more input is needed")

// ErrHTTP2Preface is given for the connection preface of HTTP/2, so that a
// caller that speaks it can take over.
var ErrHTTP2Preface = &ParseError{Reason: "HTTP/2 connection preface on an HTTP/1 connection", Status: 505}

// ParseError is a message that must not be forwarded.
type ParseError struct {
	Off    int    // offset in the buffer, or -1 when the message as a whole is refused
	Reason string // for logs; never holds bytes of the message
	Status int    // what the client is answered; for a server's message always 502
}

func (e *ParseError) Error() string { return "http1: " + e.Reason }

func bad(off int, reason string) error {
	return &ParseError{Off: off, Reason: reason, Status: 400}
}

// asResponse turns the error of a shared parser into the one for a server's message.
func asResponse(err error) error {
	if e, ok := err.(*ParseError); ok {
		e.Status = 502
	}
	return err
}

// Byte classes.
const (
	classToken  = 1 << iota // RFC 9110, 5.6.2
	classHost               // RFC 3986, 3.2.2: reg-name, IP literals and the port's colon
	classTarget             // what a request target may hold
	classText               // HTAB, SP, VCHAR, obs-text: RFC 9110, 5.5
	classHex
)

var class [256]byte

func init() {
	for c := 0; c < 256; c++ {
		b := byte(c)
		letter := b|0x20 >= 'a' && b|0x20 <= 'z'
		digit := b >= '0' && b <= '9'
		if letter || digit {
			class[c] |= classToken | classHost
		}
		if digit || b|0x20 >= 'a' && b|0x20 <= 'f' {
			class[c] |= classHex
		}
		if b >= 0x21 && b <= 0x7e && b != '#' {
			class[c] |= classTarget
		}
		if b == '\t' || b >= 0x20 && b != 0x7f {
			class[c] |= classText
		}
	}
	for _, b := range []byte("!#$%&'*+-.^_`|~") {
		class[b] |= classToken
	}
	for _, b := range []byte("-._~%!$&'()*+,;=:[]") {
		class[b] |= classHost
	}
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// controls flags the first byte of x that is below 0x20 or 0x7f; flags above
// the first may be wrong, as borrows spread upwards.
func controls(x uint64) uint64 {
	return ((x - 0x20*ones) | (x&(0x7f*ones) + ones)) &^ x & highs
}

// notTarget flags the first byte of x that cannot stand in a request target.
func notTarget(x uint64) uint64 {
	del, hash := x^0x7f*ones, x^'#'*ones
	return ((x-0x21*ones)&^x | (del-ones)&^del | (hash-ones)&^hash | x) & highs
}

func load64(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }
