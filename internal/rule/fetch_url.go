package rule

import (
	"bytes"
	"fmt"
)

func init() {
	for _, n := range []string{"url_param", "urlp"} {
		addFetches("URL parameters", []FetchSpec{
			{Name: n, Args: "([name[,delimiter[,i]]])", Max: 3, Out: KindString, Phases: phaseHead, Needs: needsRequest, Help: "parameter of the URL", build: buildURLParam},
		})
	}
	addFetches("URL parameters", []FetchSpec{
		{Name: "urlp_val", Args: "([name[,delimiter[,i]]])", Max: 3, Out: KindInt, Phases: phaseHead, Needs: needsRequest, Help: "number in a parameter of the URL", build: func(b *binding, a []string) (sampler, error) {
			fn, err := buildURLParam(b, a)
			return func(tx *Tx) (Value, bool) {
				v, ok := fn(tx)
				if !ok {
					return v, false
				}
				return headerInt(v)
			}, err
		}},
		{Name: "req.body_param", Args: "([name[,i]])", Max: 2, Out: KindString, Phases: phaseHead, Needs: "HTTP request body", Help: "parameter of a form in the body", build: func(b *binding, a []string) (sampler, error) {
			p := paramName{}
			if len(a) > 0 {
				p.name = a[0]
			}
			p.setFold(len(a) > 1 && a[1] == "i")
			return p.sampler(b, func(tx *Tx) ([]byte, bool) { return tx.ReqBody, tx.request() != nil }), nil
		}},
	})
}

type paramName struct {
	name string
	fold bool
}

func (p *paramName) setFold(on bool) {
	if p.fold = on; on {
		p.name = asciiLower(p.name)
	}
}

func buildURLParam(b *binding, args []string) (sampler, error) {
	p, delim := paramName{}, byte('?')
	if len(args) > 0 {
		p.name = args[0]
	}
	if len(args) > 1 && args[1] != "" {
		if len(args[1]) != 1 {
			return nil, fmt.Errorf("the delimiter '%s' is not one character", args[1])
		}
		delim = args[1][0]
	}
	if len(args) > 2 {
		if args[2] != "i" {
			return nil, fmt.Errorf("expects 'i', found '%s'", args[2])
		}
		p.setFold(true)
	}
	return p.sampler(b, func(tx *Tx) ([]byte, bool) {
		h := tx.request()
		if h == nil {
			return nil, false
		}
		i := bytes.IndexByte(h.Target, delim)
		if i < 0 {
			return nil, false
		}
		q := h.Target[i+1:]
		// With another delimiter (";"), the parameters end at the query.
		if delim != '?' {
			if j := bytes.IndexByte(q, '?'); j >= 0 {
				q = q[:j]
			}
		}
		return q, true
	}), nil
}

// sampler gives the parameters of the form that get returns.
func (p paramName) sampler(b *binding, get func(tx *Tx) ([]byte, bool)) sampler {
	if !b.all {
		return func(tx *Tx) (Value, bool) {
			q, ok := get(tx)
			if !ok {
				return Value{}, false
			}
			v, _, ok := p.next(q, 0)
			return Str(v), ok
		}
	}
	return func(tx *Tx) (Value, bool) {
		q, ok := get(tx)
		tx.cur.more = false
		if !ok {
			return Value{}, false
		}
		v, off, ok := p.next(q, tx.cur.off)
		tx.cur.off, tx.cur.more = off, ok
		return Str(v), ok
	}
}

// next finds the parameter at or after off.
func (p *paramName) next(q []byte, off int) (value []byte, next int, ok bool) {
	for off < len(q) {
		end := off
		for end < len(q) && q[end] != '&' && q[end] != ';' {
			end++
		}
		part := q[off:end]
		off = end + 1
		eq := bytes.IndexByte(part, '=')
		if eq < 0 {
			continue
		}
		n := part[:eq]
		if p.name == "" || string(n) == p.name || p.fold && equalFold(n, p.name) {
			return part[eq+1:], off, true
		}
	}
	return nil, off, false
}
