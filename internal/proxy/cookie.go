package proxy

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"evenkeel/internal/message"
	"evenkeel/internal/model"
	"evenkeel/internal/pool"
	"evenkeel/internal/wire/http1"
)

// cookiePersistence is a backend's `cookie` line, compiled.
type cookiePersistence struct {
	m     *model.Persistence
	name  string
	hide  bool   // insert indirect: the server never sees the cookie
	tail  string // attributes of the Set-Cookie
	dated bool   // maxidle or maxlife: the value carries dates
}

// cookieDates are when the cookie was last seen and first given, in Unix
// seconds; 0: not there.
type cookieDates struct{ last, first int64 }

func compileCookie(m *model.Persistence) *cookiePersistence {
	c := &cookiePersistence{m: m, name: m.Name, hide: m.Insert && m.Indirect}
	var b strings.Builder
	b.WriteString("; path=/")
	for _, d := range m.Domains {
		b.WriteString("; domain=" + d)
	}
	if m.HTTPOnly {
		b.WriteString("; HttpOnly")
	}
	if m.Secure {
		b.WriteString("; Secure")
	}
	for _, a := range m.Attrs {
		b.WriteString("; " + a)
	}
	c.tail = b.String()
	c.dated = m.MaxIdle > 0 || m.MaxLife > 0
	return c
}

// split takes a cookie value apart: server|last|first (maxidle, maxlife), or
// server~rest with the prefix mode. expired is O or E when a date has passed.
func (c *cookiePersistence) split(v []byte, now time.Time) (server []byte, d cookieDates, expired byte) {
	if c.m.Prefix {
		for i, b := range v {
			if b == '~' {
				return v[:i], d, 0
			}
		}
		return v, d, 0
	}
	if !c.dated {
		return v, d, 0
	}
	parts := strings.SplitN(string(v), "|", 3)
	if len(parts) > 1 {
		d.last = decodeDate(parts[1])
	}
	if len(parts) > 2 {
		d.first = decodeDate(parts[2])
	}
	if c.m.MaxIdle > 0 {
		// A cookie without a date was given before the limit was configured.
		if d.last != 0 && (now.Sub(time.Unix(d.last, 0)) > c.m.MaxIdle || d.last > now.Add(24*time.Hour).Unix()) {
			return v[:len(parts[0])], d, 'E'
		}
	}
	if c.m.MaxLife > 0 && d.first != 0 {
		if now.Sub(time.Unix(d.first, 0)) > c.m.MaxLife || d.first > now.Add(24*time.Hour).Unix() {
			return v[:len(parts[0])], d, 'O'
		}
	}
	return v[:len(parts[0])], d, 0
}

// Dates travel as 30 bits in five base64 digits.
const dateDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

func encodeDate(t int64) string {
	t >>= 2 // a resolution of four seconds makes it last past 2106
	var b [5]byte
	for i := 4; i >= 0; i-- {
		b[i] = dateDigits[t&63]
		t >>= 6
	}
	return string(b[:])
}

func decodeDate(s string) int64 {
	if len(s) != 5 {
		return 0
	}
	var t int64
	for i := 0; i < 5; i++ {
		d := strings.IndexByte(dateDigits, s[i])
		if d < 0 {
			return 0
		}
		t = t<<6 | int64(d)
	}
	return t << 2
}

var _ = base64.StdEncoding

// writeCookie inserts, rewrites or prefixes the persistence cookie in the
// response, and notes in the log's flags what it did.
func (st *stream) writeCookie() {
	c := st.be.cookie
	value := ""
	if st.srv.p != nil {
		value = st.srv.p.CookieValue()
	}
	st.term[2] = st.choice.CookieState.Letter()
	if st.cookieMark != 0 {
		st.term[2] = st.cookieMark
	}
	st.term[3] = 'N'
	seen := false
	for i := range st.res.Fields {
		f := &st.res.Fields[i]
		if f.ID != message.FieldSetCookie || f.Name == nil {
			continue
		}
		v, start, end, ok := http1.FindSetCookie(f.Value, c.name)
		if !ok {
			continue
		}
		seen = true
		st.term[3] = 'P'
		switch {
		case c.m.Insert && !c.m.Preserve && (c.m.Indirect || value != ""):
			f.Name = nil
			st.term[3] = 'D'
			seen = false
		case c.m.Rewrite && value != "":
			st.replaceValue(f, start, end, value)
			st.term[3] = 'R'
		case c.m.Prefix && value != "":
			st.replaceValue(f, start, end, value+"~"+string(v))
			st.term[3] = 'R'
		}
	}
	if seen && c.m.Preserve && c.m.Insert {
		return
	}
	if !c.m.Insert || c.m.PostOnly && st.req.MethodID != message.MethodPost || st.choice.Ignore {
		return
	}
	st.insertCookie(value)
}

func (st *stream) replaceValue(f *message.Field, start, end int, value string) {
	b := append([]byte(nil), f.Value[:start]...)
	b = append(b, value...)
	f.Value = st.res.Keep(append(b, f.Value[end:]...))
}

// insertCookie gives the client the server's cookie unless it has it already.
func (st *stream) insertCookie(value string) {
	c := st.be.cookie
	valid := st.choice.CookieState == pool.CookieValid && st.cookieMark == 0
	if st.choice.Force && !valid && st.choice.CookieState == pool.CookieDown && len(st.choice.Cookie) > 0 && string(st.choice.Cookie) == value {
		return // force-persist: the client's cookie was obeyed
	}
	now := st.w.loop.Wall().Unix()
	switch {
	case value == "":
		// The server has no cookie: take away one that names another.
		if len(st.cookieVal) == 0 {
			return
		}
		st.addSetCookie(c.name + "=; Expires=Thu, 01-Jan-1970 00:00:01 GMT" + c.tail)
		st.term[3] = 'D'
		return
	case valid && !(c.m.MaxIdle > 0 && now-st.cookieDates.last > 30):
		return
	}
	set := c.name + "=" + value
	if c.dated {
		first := st.cookieDates.first
		if !valid || first == 0 {
			first = now
		}
		last := ""
		if c.m.MaxIdle > 0 {
			last = encodeDate(now)
		}
		set += "|" + last
		if c.m.MaxLife > 0 {
			set += "|" + encodeDate(first)
		}
	}
	if valid {
		st.term[3] = 'U'
	} else {
		st.term[3] = 'I'
	}
	st.addSetCookie(set + c.tail)
	if c.m.NoCache && st.cacheable() {
		st.res.Add(message.FieldCacheControl, nameCacheControl, valuePrivate)
	}
}

// cacheable says whether a shared cache might keep the answer: it has a
// validator or says how long it is fresh, and does not forbid it.
func (st *stream) cacheable() bool {
	fresh := st.res.Index(0, "expires", 0) >= 0
	if v, ok := st.res.Get(message.FieldCacheControl); ok {
		for tok, rest := http1.NextToken(v); len(tok) > 0; tok, rest = http1.NextToken(rest) {
			name, _, _ := strings.Cut(strings.ToLower(string(tok)), "=")
			switch name {
			case "private", "no-cache", "no-store":
				return false
			case "max-age", "s-maxage", "public":
				fresh = true
			}
		}
	}
	_, etag := st.res.Get(message.FieldETag)
	_, modified := st.res.Get(message.FieldLastModified)
	return fresh || etag || modified
}

var (
	nameSetCookie    = []byte("Set-Cookie")
	nameCacheControl = []byte("Cache-Control")
	valuePrivate     = []byte("private")
)

func (st *stream) addSetCookie(v string) {
	st.res.Add(message.FieldSetCookie, nameSetCookie, st.res.KeepString(v))
}

// stripCookiePrefix gives the server its own cookie value back.
func (st *stream) stripCookiePrefix() {
	for i := range st.req.Fields {
		f := &st.req.Fields[i]
		if f.ID != message.FieldCookie || f.Name == nil {
			continue
		}
		v, _, _, ok := http1.FindCookie(f.Value, st.be.cookie.name)
		if !ok {
			continue
		}
		at := strings.Index(string(f.Value), st.be.cookie.name+"="+string(v))
		cut := strings.IndexByte(string(v), '~')
		if at < 0 || cut < 0 {
			continue
		}
		from := at + len(st.be.cookie.name) + 1
		b := append([]byte(nil), f.Value[:from]...)
		f.Value = st.req.Keep(append(b, f.Value[from+cut+1:]...))
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
