package rule

import (
	"errors"
	"fmt"

	"evenkeel/internal/model"
)

func init() {
	// map_MATCH gives text, map_MATCH_int a number, map_MATCH_ip an address.
	for _, m := range []string{"str", "beg", "sub", "dir", "dom", "end", "reg", "int", "ip", "len", "bin"} {
		for _, o := range []struct {
			suffix string
			kind   Kind
		}{{"", KindString}, {"_str", KindString}, {"_int", KindInt}, {"_ip", KindAddr}} {
			if o.suffix == "_str" && m != "str" && m != "ip" && m != "int" && m != "beg" && m != "reg" && m != "sub" && m != "end" && m != "dom" && m != "dir" {
				continue
			}
			addConverters("maps", []ConverterSpec{mapConverter("map_"+m+o.suffix, m, o.kind)})
		}
	}
	addConverters("maps", []ConverterSpec{mapConverter("map", "str", KindString)})
	addConverters("maps", []ConverterSpec{{Name: "map_regm", Args: "(file[,default])", Min: 1, Max: 2, In: KindString, Out: KindString, Help: "text of the first expression of a map that matches, with \\N replaced by its groups", build: func(b *binding, a []string) (converter, error) {
		return buildMap(b, a, "reg", KindString, true)
	}}})
}

func mapConverter(name, match string, out Kind) ConverterSpec {
	in := KindString
	switch match {
	case "int":
		in = KindInt
	case "ip":
		in = KindAddr
	case "bin":
		in = KindBinary
	}
	return ConverterSpec{Name: name, Args: "(file[,default])", Min: 1, Max: 2, In: in, Out: out, Help: "value of the entry of a map that matches (" + match + ")", build: func(b *binding, a []string) (converter, error) {
		return buildMap(b, a, match, out, false)
	}}
}

func buildMap(b *binding, a []string, match string, out Kind, groups bool) (converter, error) {
	c := b.c
	if a[0] == "" {
		return nil, errors.New("the name of the map file is missing")
	}
	before := len(c.Diagnostics)
	m := c.fileMatcher(model.Pattern{Pos: b.pos, Text: a[0]}, matchIndex[match], matchOptions{value: out, c: c}, true)
	if m == nil {
		if len(c.Diagnostics) > before {
			err := errors.New(c.Diagnostics[len(c.Diagnostics)-1].Message)
			c.Diagnostics = c.Diagnostics[:before]
			return nil, err
		}
		return nil, fmt.Errorf("map '%s' cannot be used", a[0])
	}
	var def Value
	hasDef := len(a) == 2
	if hasDef {
		var err error
		if def, err = mapValue(a[1], out); err != nil {
			return nil, fmt.Errorf("default: %w", err)
		}
	}
	return func(tx *Tx, v Value) (Value, bool) {
		l := m.cur.Load()
		i := l.find(v)
		if i < 0 {
			return def, hasDef
		}
		if groups {
			// The whole list was matched: this expression again, for its groups.
			re, err := CompileRegex(l.entries[i].Key, false)
			if err != nil {
				return Value{}, false
			}
			return Str(expand(nil, l.values[i].Bytes, v.Bytes, re.find(v.Bytes))), true
		}
		return l.values[i], true
	}, nil
}
