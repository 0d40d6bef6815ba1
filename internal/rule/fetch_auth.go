package rule

import (
	"bytes"
	"encoding/base64"
	"fmt"

	"evenkeel/internal/message"
	"evenkeel/internal/model"
)

func init() {
	addFetches("authentication", []FetchSpec{
		{Name: "http_auth", Args: "(userlist)", Min: 1, Max: 1, Out: KindBool, Phases: phaseHead, Needs: needsRequest, Help: "user and password are those of a user list", build: func(b *binding, a []string) (sampler, error) {
			l, err := b.userlist(a[0])
			if err != nil {
				return nil, err
			}
			return func(tx *Tx) (Value, bool) { return Bool(l.authenticate(tx) != nil), true }, nil
		}},
		{Name: "http_auth_group", Args: "(userlist)", Min: 1, Max: 1, Out: KindString, Phases: phaseHead, Needs: needsRequest, Help: "groups of the user, if the password is right", build: func(b *binding, a []string) (sampler, error) {
			l, err := b.userlist(a[0])
			if err != nil {
				return nil, err
			}
			return func(tx *Tx) (Value, bool) {
				u := l.authenticate(tx)
				i := tx.cur.field
				tx.cur.more = u != nil && i+1 < len(u.groups)
				if u == nil || i >= len(u.groups) {
					return Value{}, false
				}
				tx.cur.field++
				return Str(u.groups[i]), true
			}, nil
		}},
		{Name: "http_auth_type", Out: KindString, Phases: phaseHead, Needs: needsRequest, Help: "scheme of the Authorization header", build: request(func(tx *Tx, h *message.Head) (Value, bool) {
			scheme, _, ok := authorization(h)
			return Str(scheme), ok
		})},
		{Name: "http_auth_user", Out: KindString, Phases: phaseHead, Needs: needsRequest, Help: "user of a Basic Authorization header", build: request(func(tx *Tx, h *message.Head) (Value, bool) {
			user, _, ok := basicAuth(tx, h)
			return Str(user), ok
		})},
		{Name: "http_auth_pass", Out: KindString, Phases: phaseHead, Needs: needsRequest, Help: "password of a Basic Authorization header", build: request(func(tx *Tx, h *message.Head) (Value, bool) {
			_, pass, ok := basicAuth(tx, h)
			return Str(pass), ok
		})},
		{Name: "http_auth_bearer", Args: "([header])", Max: 1, Out: KindString, Phases: phaseHead, Needs: needsRequest, Help: "token of a Bearer Authorization header", build: func(b *binding, a []string) (sampler, error) {
			name := parseHeaderName(a)
			return func(tx *Tx) (Value, bool) {
				h := tx.request()
				if h == nil {
					return Value{}, false
				}
				if name.lower != "" {
					i := name.next(h, 0)
					if i < 0 {
						return Value{}, false
					}
					t, ok := bytes.CutPrefix(h.Fields[i].Value, []byte("Bearer "))
					return Str(t), ok
				}
				scheme, rest, ok := authorization(h)
				return Str(rest), ok && equalFold(scheme, "bearer")
			}, nil
		}},
	})
}

// authorization splits the header of the request; proxies' own header is used
// for requests that are made to a proxy.
func authorization(h *message.Head) (scheme, rest []byte, ok bool) {
	v, ok := h.Get(message.FieldAuthorization)
	if len(h.Target) > 0 && h.Target[0] != '/' && h.Target[0] != '*' {
		if p, found := h.Get(message.FieldProxyAuthorization); found {
			v, ok = p, true
		}
	}
	if !ok {
		return nil, nil, false
	}
	i := bytes.IndexByte(v, ' ')
	if i < 1 {
		return nil, nil, false
	}
	return v[:i], bytes.TrimLeft(v[i+1:], " "), true
}

func basicAuth(tx *Tx, h *message.Head) (user, pass []byte, ok bool) {
	scheme, rest, ok := authorization(h)
	if !ok || !equalFold(scheme, "basic") {
		return nil, nil, false
	}
	t := tx.temp(base64.StdEncoding.DecodedLen(len(rest)))
	n, err := base64.StdEncoding.Decode(t, rest)
	if err != nil {
		return nil, nil, false
	}
	return bytes.Cut(t[:n], []byte(":"))
}

// userlist is a compiled user list.
type userlist struct {
	users map[string]*user
	cache *authCache
}

type user struct {
	name, hash string
	plain      bool
	groups     [][]byte
}

func (b *binding) userlist(name string) (*userlist, error) {
	if b.c.Config == nil {
		return nil, fmt.Errorf("unable to find userlist '%s'", name)
	}
	u := b.c.Config.Userlist(name)
	if u == nil {
		return nil, fmt.Errorf("unable to find userlist '%s'", name)
	}
	l := &userlist{users: map[string]*user{}, cache: b.c.auth}
	for _, m := range u.Users {
		x := &user{name: m.Name, hash: m.Password}
		if m.Password == "" {
			x.hash, x.plain = m.Insecure, true
		} else if err := checkCrypt(m.Password); err != nil {
			return nil, fmt.Errorf("user '%s' of userlist '%s': %w", m.Name, name, err)
		}
		x.groups = userGroups(u, &m)
		l.users[m.Name] = x
	}
	return l, nil
}

func userGroups(l *model.Userlist, u *model.User) [][]byte {
	var out [][]byte
	for _, g := range u.Groups {
		out = append(out, []byte(g))
	}
	for _, g := range l.Groups {
		for _, n := range g.Users {
			if n == u.Name {
				out = append(out, []byte(g.Name))
			}
		}
	}
	return out
}

// authenticate gives the user whose password the request shows.
func (l *userlist) authenticate(tx *Tx) *user {
	h := tx.request()
	if h == nil {
		return nil
	}
	name, pass, ok := basicAuth(tx, h)
	if !ok {
		return nil
	}
	u := l.users[string(name)]
	if u == nil {
		return nil
	}
	if u.plain {
		if !sameBytes(pass, u.hash) {
			return nil
		}
	} else if !l.cache.verify(u.hash, pass) {
		return nil
	}
	tx.Authenticated = append(tx.Authenticated[:0], name...)
	return u
}
