package http1

// Cookies are read as HAProxy reads them: ';' and ',' separate, names are
// compared with their case, white space around names and values does not count,
// a quoted value may hold separators and keeps its quotes, and a pair without '='
// is no cookie.

// cookie is one pair; offsets into the field's value.
type cookie struct {
	name, nameEnd int
	val, valEnd   int // val is -1 without '='
	next          int // after the separator, or the length of the value
}

func cookieAt(v []byte, i int) (c cookie) {
	for i < len(v) && (v[i] == ' ' || v[i] == '\t') {
		i++
	}
	c.name, c.val = i, -1
	for i < len(v) && v[i] != '=' && v[i] != ';' && v[i] != ',' {
		i++
	}
	c.nameEnd = trimEnd(v, c.name, i)
	if i < len(v) && v[i] == '=' {
		i++
		for i < len(v) && (v[i] == ' ' || v[i] == '\t') {
			i++
		}
		c.val = i
		i = cookieValueEnd(v, i)
		c.valEnd = trimEnd(v, c.val, i)
	}
	c.next = min(i+1, len(v))
	return c
}

func cookieValueEnd(v []byte, i int) int {
	quoted := false
	for ; i < len(v); i++ {
		switch v[i] {
		case '"':
			quoted = !quoted
		case '\\':
			if quoted {
				i++
			}
		case ';', ',':
			if !quoted {
				return i
			}
		}
	}
	return len(v)
}

func trimEnd(v []byte, start, end int) int {
	for end > start && (v[end-1] == ' ' || v[end-1] == '\t') {
		end--
	}
	return end
}

// NextCookie iterates over a Cookie field's value; name is nil at its end.
func NextCookie(value []byte) (name, val, rest []byte) {
	for i := 0; i < len(value); {
		c := cookieAt(value, i)
		if c.val >= 0 && c.nameEnd > c.name {
			return value[c.name:c.nameEnd], value[c.val:c.valEnd], value[c.next:]
		}
		i = c.next
	}
	return nil, nil, nil
}

// FindCookie finds the first cookie of that name in a Cookie field's value; val
// is value[start:end].
func FindCookie(value []byte, name string) (val []byte, start, end int, ok bool) {
	for i := 0; i < len(value); {
		c := cookieAt(value, i)
		if c.val >= 0 && string(value[c.name:c.nameEnd]) == name {
			return value[c.val:c.valEnd], c.val, c.valEnd, true
		}
		i = c.next
	}
	return nil, 0, 0, false
}

// RemoveCookie cuts every cookie of that name out of a Cookie field's value, in
// place, with one separator each. An empty rest means that the field should go.
func RemoveCookie(value []byte, name string) (rest []byte, removed bool) {
	kept := 0 // end of the last pair that stays
	for i := 0; i < len(value); {
		c := cookieAt(value, i)
		if c.val < 0 || string(value[c.name:c.nameEnd]) != name {
			kept, i = c.next, c.next
			continue
		}
		removed = true
		if c.next < len(value) {
			// The next pair takes its place.
			next := c.next
			for next < len(value) && (value[next] == ' ' || value[next] == '\t') {
				next++
			}
			value = value[:c.name+copy(value[c.name:], value[next:])]
			i = c.name
			continue
		}
		// The last one: the separator before it goes, too.
		end := trimEnd(value, 0, c.name)
		if end > 0 && end == kept {
			end = trimEnd(value, 0, end-1)
		}
		value = value[:end]
	}
	return value, removed
}

// FindSetCookie finds the value of the cookie that a Set-Cookie field sets, if
// it has that name; val is value[start:end].
func FindSetCookie(value []byte, name string) (val []byte, start, end int, ok bool) {
	c := cookieAt(value, 0)
	if c.val < 0 || string(value[c.name:c.nameEnd]) != name {
		return nil, 0, 0, false
	}
	return value[c.val:c.valEnd], c.val, c.valEnd, true
}
