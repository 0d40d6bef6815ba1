package http1

import "bytes"

// splitAbsolute parts scheme://authority… ; ok is false for other targets.
func splitAbsolute(target []byte) (scheme, authority []byte, ok bool) {
	i := bytes.IndexByte(target, ':')
	if i < 1 || i+3 > len(target) || target[i+1] != '/' || target[i+2] != '/' {
		return nil, nil, false
	}
	scheme = target[:i]
	if c := scheme[0] | 0x20; c < 'a' || c > 'z' {
		return nil, nil, false
	}
	for _, c := range scheme[1:] {
		if l := c | 0x20; (l < 'a' || l > 'z') && c-'0' > 9 && c != '+' && c != '-' && c != '.' {
			return nil, nil, false
		}
	}
	authority = target[i+3:]
	for k, c := range authority {
		if c == '/' || c == '?' || c == '#' {
			authority = authority[:k]
			break
		}
	}
	return scheme, authority, true
}

func withoutUser(authority []byte) []byte {
	return authority[bytes.LastIndexByte(authority, '@')+1:]
}

// Scheme gives the scheme of a target in absolute-form, nil for other forms.
func Scheme(target []byte) []byte {
	scheme, _, _ := splitAbsolute(target)
	return scheme
}

// Authority gives the authority of a target in absolute-form (user information
// included), the target itself in authority-form, nil for other forms.
func Authority(target []byte) []byte {
	if len(target) == 0 || target[0] == '/' || target[0] == '*' {
		return nil
	}
	if _, authority, ok := splitAbsolute(target); ok {
		return authority
	}
	if bytes.IndexByte(target, '/') >= 0 {
		return nil
	}
	return target
}

// PathQuery gives the path and the query, with the question mark; nil when a
// target has no path: *, an authority, or an absolute-form without one.
func PathQuery(target []byte) []byte {
	if len(target) > 0 && target[0] == '/' {
		return target
	}
	scheme, authority, ok := splitAbsolute(target)
	if !ok {
		return nil
	}
	rest := target[len(scheme)+3+len(authority):]
	if len(rest) == 0 {
		return nil
	}
	return rest
}

// Path gives the path without the query; nil when there is none.
func Path(target []byte) []byte {
	pq := PathQuery(target)
	for i, c := range pq {
		if c == '?' || c == '#' {
			return pq[:i]
		}
	}
	return pq
}

// Query gives what follows the first question mark; nil when there is none.
func Query(target []byte) []byte {
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		q := target[i+1:]
		if k := bytes.IndexByte(q, '#'); k >= 0 {
			q = q[:k]
		}
		return q
	}
	return nil
}

// SplitHostPort parts an authority without user information. The brackets of an
// IPv6 literal stay; port is nil when there is none, and may be empty ("a:").
func SplitHostPort(authority []byte) (host, port []byte) {
	for i := len(authority) - 1; i >= 0; i-- {
		switch authority[i] {
		case ']':
			return authority, nil
		case ':':
			return authority[:i], authority[i+1:]
		}
	}
	return authority, nil
}

// Params gives what url_param looks through: all that follows the first delim,
// '?' or another, of a target; nil when there is none.
func Params(target []byte, delim byte) []byte {
	if i := bytes.IndexByte(target, delim); i >= 0 {
		return target[i+1:]
	}
	return nil
}

// NextParam iterates over parameters: the next one's name and value, and what
// follows it. As in HAProxy they end at '&', ';' and delim. val is nil for "a"
// and empty for "a="; name is nil at the end.
func NextParam(params []byte, delim byte) (name, val, rest []byte) {
	for len(params) > 0 && (params[0] == '&' || params[0] == ';' || params[0] == delim) {
		params = params[1:]
	}
	if len(params) == 0 {
		return nil, nil, nil
	}
	end, eq := 0, -1
	for ; end < len(params); end++ {
		c := params[end]
		if c == '&' || c == ';' || c == delim {
			rest = params[end+1:]
			break
		}
		if c == '=' && eq < 0 {
			eq = end
		}
	}
	if eq < 0 {
		return params[:end], nil, rest
	}
	return params[:eq], params[eq+1 : end], rest
}

// FindParam finds the first parameter of that name which has a value.
func FindParam(params []byte, delim byte, name string) (val []byte, ok bool) {
	for len(params) > 0 {
		var n []byte
		if n, val, params = NextParam(params, delim); n == nil {
			break
		}
		if val != nil && string(n) == name {
			return val, true
		}
	}
	return nil, false
}
