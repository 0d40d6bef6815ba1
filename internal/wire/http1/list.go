package http1

import (
	"bytes"

	"evenkeel/internal/message"
)

// Conn is what the Connection and Proxy-Connection fields say.
type Conn struct {
	Close, KeepAlive, Upgrade, TE, HTTP2Settings bool
	// Other: a field or option without a bit here is named, too.
	Other bool
}

// ConnectionTokens reads the Connection and Proxy-Connection fields.
func ConnectionTokens(h *message.Head) Conn {
	var c Conn
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.ID == message.FieldConnection || f.ID == message.FieldProxyConnection {
			if f.Name != nil {
				c.add(f.Value)
			}
		}
	}
	return c
}

func (c *Conn) add(v []byte) {
	switch { // the two that nearly every message has
	case len(v) == 10 && message.EqualFold(v, "keep-alive"):
		c.KeepAlive = true
		return
	case len(v) == 5 && message.EqualFold(v, "close"):
		c.Close = true
		return
	}
	for len(v) > 0 {
		var t []byte
		t, v = NextToken(v)
		switch {
		case len(t) == 0:
		case message.EqualFold(t, "keep-alive"):
			c.KeepAlive = true
		case message.EqualFold(t, "close"):
			c.Close = true
		case message.EqualFold(t, "upgrade"):
			c.Upgrade = true
		case message.EqualFold(t, "te"):
			c.TE = true
		case message.EqualFold(t, "http2-settings"):
			c.HTTP2Settings = true
		default:
			c.Other = true
		}
	}
}

// NextToken takes the next element of a comma separated list, trimmed; a comma
// inside a quoted string separates nothing. Empty elements are skipped: tok is
// empty at the end of the list only.
func NextToken(v []byte) (tok, rest []byte) {
	for len(v) > 0 {
		end := elementEnd(v)
		tok, rest = v[:end], nil
		if end < len(v) {
			rest = v[end+1:]
		}
		if tok = trim(tok); len(tok) > 0 {
			return tok, rest
		}
		v = rest
	}
	return nil, nil
}

func elementEnd(v []byte) int {
	quoted := false
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '"':
			quoted = !quoted
		case '\\':
			if quoted {
				i++
			}
		case ',':
			if !quoted {
				return i
			}
		}
	}
	return len(v)
}

func trim(v []byte) []byte {
	for len(v) > 0 && (v[0] == ' ' || v[0] == '\t') {
		v = v[1:]
	}
	for len(v) > 0 && (v[len(v)-1] == ' ' || v[len(v)-1] == '\t') {
		v = v[:len(v)-1]
	}
	return v
}

// HasToken says whether a list holds a token (given in lower case), in any case.
func HasToken(v []byte, lower string) bool {
	if len(v) > 0 && message.EqualFold(v, lower) {
		return true
	}
	for len(v) > 0 {
		var t []byte
		if t, v = NextToken(v); message.EqualFold(t, lower) && len(t) > 0 {
			return true
		}
	}
	return false
}

// TokenName cuts the parameters off a list element: "gzip;q=0.5" is "gzip".
func TokenName(tok []byte) []byte {
	if i := bytes.IndexByte(tok, ';'); i >= 0 {
		return trim(tok[:i])
	}
	return tok
}
