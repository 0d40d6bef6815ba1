package balance

import "bytes"

// URIKey is the part of a request target that `balance uri` hashes: up to the
// query unless whole, at most length bytes, and up to the depth-th directory.
// With pathOnly, scheme and authority are left out.
func URIKey(target []byte, whole, pathOnly bool, length, depth int) []byte {
	if pathOnly {
		target = path(target)
	}
	if length > 0 && len(target) > length {
		target = target[:length]
	}
	slashes := 0
	for i, c := range target {
		if c == '/' {
			// The leading slash does not count.
			if slashes++; depth > 0 && slashes == depth+1 {
				return target[:i]
			}
		} else if c == '?' && !whole {
			return target[:i]
		}
	}
	return target
}

// path is the path of a target in any form, with its query; empty for * and
// authority form.
func path(target []byte) []byte {
	if len(target) == 0 || target[0] == '/' {
		return target
	}
	i := bytes.Index(target, []byte("://"))
	if i < 0 {
		return nil
	}
	rest := target[i+3:]
	if i = bytes.IndexByte(rest, '/'); i < 0 {
		return nil
	}
	return rest[i:]
}

// URLParamKey is the value of a query parameter of a target.
func URLParamKey(target []byte, name string) ([]byte, bool) {
	i := bytes.IndexByte(target, '?')
	if i < 0 {
		return nil, false
	}
	return param(target[i+1:], name)
}

// BodyParamKey is the value of a parameter of a form body (check_post). A body
// whose value starts with a byte that no token has holds no form: not found,
// but blank counts as an empty value.
func BodyParamKey(body []byte, name string) ([]byte, bool) {
	v, ok := param(body, name)
	if !ok || len(v) == 0 || token(v[0]) {
		return v, ok
	}
	if c := v[0]; c == ' ' || c == '\t' || c == '\r' || c == '\n' {
		return v[:0], true
	}
	return nil, false
}

func token(c byte) bool {
	switch {
	case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		return true
	}
	return bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), c) >= 0
}

func param(s []byte, name string) ([]byte, bool) {
	for len(s) > len(name) {
		if s[len(name)] == '=' && string(s[:len(name)]) == name {
			v := s[len(name)+1:]
			if i := bytes.IndexByte(v, '&'); i >= 0 {
				v = v[:i]
			}
			return v, true
		}
		i := bytes.IndexByte(s, '&')
		if i < 0 {
			return nil, false
		}
		s = s[i+1:]
	}
	return nil, false
}

// DomainKey is what `hdr(NAME) use_domain_only` hashes: the label before the
// last dot ("example" of www.example.com), or everything when there is no dot
// after the first byte.
func DomainKey(host []byte) []byte {
	end := bytes.LastIndexByte(host, '.')
	if end < 1 {
		return host
	}
	start := bytes.LastIndexByte(host[:end-1], '.') + 1
	return host[start:end]
}
