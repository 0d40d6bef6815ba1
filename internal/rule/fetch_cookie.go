package rule

import (
	"evenkeel/internal/message"
)

func init() {
	for _, side := range []struct {
		names  []string
		res    bool
		phases Phase
		needs  string
	}{
		{[]string{"req.cook", "cook"}, false, phaseHead, needsRequest},
		{[]string{"res.cook", "scook", "res.scook"}, true, phaseResHead, needsResponse},
	} {
		res := side.res
		for _, n := range side.names {
			addFetches("cookies", []FetchSpec{
				{Name: n, Args: "([name])", Max: 1, Out: KindString, Phases: side.phases, Needs: side.needs, Help: "value of a cookie", build: func(b *binding, a []string) (sampler, error) {
					return buildCookie(b, a, res), nil
				}},
				{Name: n + "_val", Args: "([name])", Max: 1, Out: KindInt, Phases: side.phases, Needs: side.needs, Help: "number in a cookie", build: func(b *binding, a []string) (sampler, error) {
					fn := buildCookie(b, a, res)
					return func(tx *Tx) (Value, bool) {
						v, ok := fn(tx)
						if !ok {
							return v, false
						}
						return headerInt(v)
					}, nil
				}},
				{Name: n + "_cnt", Args: "([name])", Max: 1, Out: KindInt, Phases: side.phases, Needs: side.needs, Help: "how many cookies of a name there are", build: func(b *binding, a []string) (sampler, error) {
					name := cookieName(a)
					return func(tx *Tx) (Value, bool) {
						h := tx.head(res)
						if h == nil {
							return Value{}, false
						}
						it, n := cookieIter{h: h, res: res}, int64(0)
						for it.next(name) {
							n++
						}
						return Int(n), true
					}, nil
				}},
			})
		}
		nameSpec := FetchSpec{Name: side.names[0] + "_names", Args: "([delimiter])", Max: 1, Out: KindString, Phases: side.phases, Needs: side.needs, Help: "names of all cookies", build: func(b *binding, a []string) (sampler, error) {
			sep := ","
			if len(a) == 1 && a[0] != "" {
				sep = a[0]
			}
			return func(tx *Tx) (Value, bool) { return cookieNames(tx, res, sep) }, nil
		}}
		addFetches("cookies", []FetchSpec{nameSpec})
	}
}

func cookieName(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func buildCookie(b *binding, args []string, res bool) sampler {
	name := cookieName(args)
	if b.all {
		return func(tx *Tx) (Value, bool) {
			h := tx.head(res)
			it := cookieIter{h: h, res: res, field: tx.cur.field, off: tx.cur.off}
			if h == nil || !it.next(name) {
				tx.cur.more = false
				return Value{}, false
			}
			tx.cur = cursor{field: it.field, off: it.off, more: true}
			return Str(it.value), true
		}
	}
	return func(tx *Tx) (Value, bool) {
		h := tx.head(res)
		if h == nil {
			return Value{}, false
		}
		it, found := cookieIter{h: h, res: res}, false
		var v []byte
		for it.next(name) {
			v, found = it.value, true
		}
		return Str(v), found
	}
}

func cookieNames(tx *Tx, res bool, sep string) (Value, bool) {
	h := tx.head(res)
	if h == nil {
		return Value{}, false
	}
	var t []byte
	it := cookieIter{h: h, res: res}
	for it.next("") {
		if t != nil {
			t = append(t, sep...)
		}
		t = append(t, it.name...)
	}
	return Str(tx.tempCopy(t)), true
}

// cookieIter walks the cookies of a head: all pairs of Cookie lines, the first
// pair of each Set-Cookie line.
type cookieIter struct {
	h           *message.Head
	res         bool
	field, off  int
	name, value []byte
}

// next goes to the next cookie of that name; "" takes any.
func (it *cookieIter) next(name string) bool {
	id := message.FieldCookie
	if it.res {
		id = message.FieldSetCookie
	}
	for ; it.field < len(it.h.Fields); it.field, it.off = it.field+1, 0 {
		f := &it.h.Fields[it.field]
		if f.ID != id || f.Name == nil {
			continue
		}
		for it.off < len(f.Value) {
			n, v, next, ok := nextCookie(f.Value, it.off)
			it.off = next
			if it.res {
				it.off = len(f.Value)
			}
			if ok && (name == "" || string(n) == name) {
				it.name, it.value = n, v
				return true
			}
		}
	}
	return false
}

// nextCookie reads one NAME=VALUE pair. ok is false for a word without =.
func nextCookie(b []byte, off int) (name, value []byte, next int, ok bool) {
	i := off
	for i < len(b) && b[i] != '=' && b[i] != ';' && b[i] != ',' {
		i++
	}
	name = trimSpace(b[off:i])
	if i == len(b) || b[i] != '=' {
		return name, nil, i + 1, false
	}
	start, quoted := i+1, false
	for i = start; i < len(b); i++ {
		c := b[i]
		if c == '"' {
			quoted = !quoted
		} else if c == '\\' && quoted {
			i++
		} else if (c == ';' || c == ',') && !quoted {
			break
		}
	}
	i = min(i, len(b))
	return name, trimSpace(b[start:i]), i + 1, true
}
