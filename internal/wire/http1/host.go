package http1

import (
	"bytes"

	"evenkeel/internal/message"
)

// targetStart says whether a target may start with c, for an early refusal.
func targetStart(c byte, m message.Method) bool {
	return c == '/' || c == '*' || m == message.MethodConnect || class[c]&classToken != 0 || c == '['
}

// checkTarget checks a target that is not in origin-form (RFC 9112, 3.2).
func checkTarget(h *message.Head, off int) error {
	t := h.Target
	switch {
	case h.MethodID == message.MethodConnect:
		host, port := SplitHostPort(t)
		if len(host) == 0 || !validHost(t) || !validPort(port) {
			return bad(off, "CONNECT needs a host and a port")
		}
	case t[0] == '*':
		if len(t) != 1 || h.MethodID != message.MethodOptions {
			return bad(off, "a target of * is for OPTIONS only")
		}
	default:
		_, authority, ok := splitAbsolute(t)
		if !ok {
			return bad(off, "invalid request target")
		}
		host := withoutUser(authority)
		if len(host) == 0 || host[0] == ':' || !validHost(host) {
			return bad(off, "invalid authority in the request target")
		}
	}
	return nil
}

// checkHost checks the Host fields against each other and against the target's
// authority. A repetition of the same value is deleted, as in HAProxy.
func checkHost(h *message.Head, first int) error {
	if first < 0 {
		// HTTP/1.1 demands one (RFC 9112, 3.2); health checks in the field often
		// leave it out, and HAProxy lets them.
		return nil
	}
	host := h.Fields[first].Value
	if !validHost(host) {
		return bad(-1, "invalid Host")
	}
	for i := first + 1; i < len(h.Fields); i++ {
		f := &h.Fields[i]
		if f.ID != message.FieldHost {
			continue
		}
		if !bytes.EqualFold(f.Value, host) {
			return bad(-1, "several different Host fields")
		}
		f.Name = nil
	}
	if h.Target[0] == '/' || h.Target[0] == '*' {
		return nil
	}
	scheme, authority := []byte(nil), h.Target
	if h.MethodID != message.MethodConnect {
		scheme, authority, _ = splitAbsolute(h.Target)
	}
	if !sameAuthority(scheme, withoutUser(authority), host) {
		return bad(-1, "Host differs from the request target's authority")
	}
	return nil
}

func sameAuthority(scheme, a, b []byte) bool {
	ah, ap := SplitHostPort(a)
	bh, bp := SplitHostPort(b)
	if !bytes.EqualFold(ah, bh) {
		return false
	}
	if scheme == nil && len(bp) > 0 {
		return string(ap) == string(bp)
	}
	return string(withoutDefault(scheme, ap)) == string(withoutDefault(scheme, bp))
}

// withoutDefault leaves a scheme's default port away. CONNECT has no scheme, and
// clients leave either default away in its Host.
func withoutDefault(scheme, port []byte) []byte {
	switch {
	case string(port) == "80" && (len(scheme) == 0 || message.EqualFold(scheme, "http")),
		string(port) == "443" && (len(scheme) == 0 || message.EqualFold(scheme, "https")):
		return nil
	}
	return port
}

// validHost checks host[:port], which may be empty.
func validHost(v []byte) bool {
	colons := 0
	for i := 0; i < len(v); i++ {
		c := v[i]
		if class[c]&classHost == 0 {
			return false
		}
		if c == ':' {
			colons++
		} else if c == '[' || c == ']' {
			return validLiteral(v)
		}
	}
	if colons == 0 {
		return true
	}
	if colons > 1 {
		return false
	}
	_, port := SplitHostPort(v)
	return digits(port)
}

// validLiteral checks [address][:port] by its shape.
func validLiteral(v []byte) bool {
	end := bytes.IndexByte(v, ']')
	if v[0] != '[' || end < 2 {
		return false
	}
	for _, c := range v[1:end] {
		if class[c]&classHost == 0 || c == '[' {
			return false
		}
	}
	rest := v[end+1:]
	return len(rest) == 0 || rest[0] == ':' && digits(rest[1:])
}

func digits(b []byte) bool {
	for _, c := range b {
		if c-'0' > 9 {
			return false
		}
	}
	return true
}

func validPort(port []byte) bool {
	if len(port) == 0 || len(port) > 5 || !digits(port) {
		return false
	}
	n := 0
	for _, c := range port {
		n = n*10 + int(c-'0')
	}
	return n >= 1 && n <= 65535
}
