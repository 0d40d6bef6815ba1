package rule

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// plain makes a build function of a converter without arguments.
func plain(fn converter) func(*binding, []string) (converter, error) {
	return func(*binding, []string) (converter, error) { return fn, nil }
}

func init() {
	addConverters("strings", []ConverterSpec{
		{Name: "lower", In: KindString, Out: KindString, Help: "to lower case", build: plain(func(tx *Tx, v Value) (Value, bool) {
			t := tx.temp(len(v.Bytes))
			for i, c := range v.Bytes {
				t[i] = lowerByte(c)
			}
			return Str(t), true
		})},
		{Name: "upper", In: KindString, Out: KindString, Help: "to upper case", build: plain(func(tx *Tx, v Value) (Value, bool) {
			t := tx.temp(len(v.Bytes))
			for i, c := range v.Bytes {
				if c-'a' < 26 {
					c &^= 0x20
				}
				t[i] = c
			}
			return Str(t), true
		})},
		{Name: "length", In: KindString, Out: KindInt, Help: "length in bytes", build: plain(func(tx *Tx, v Value) (Value, bool) { return Int(int64(len(v.Bytes))), true })},
		{Name: "bytes", Args: "(offset[,length])", Min: 1, Max: 2, In: KindBinary, Out: KindBinary, Help: "a part", build: buildBytes},
		{Name: "field", Args: "(index,delimiters[,count])", Min: 2, Max: 3, In: KindString, Out: KindString, Help: "a field between delimiters, counted from 1 or from -1 at the end", build: func(b *binding, a []string) (converter, error) {
			return buildFields(a, false)
		}},
		{Name: "word", Args: "(index,delimiters[,count])", Min: 2, Max: 3, In: KindString, Out: KindString, Help: "a word between delimiters; empty ones are skipped", build: func(b *binding, a []string) (converter, error) {
			return buildFields(a, true)
		}},
		{Name: "concat", Args: "([start[,variable[,end]]])", Max: 3, In: KindString, Out: KindString, Help: "appends a text, a variable and a text", build: buildConcat},
		{Name: "strcmp", Args: "(variable)", Min: 1, Max: 1, In: KindString, Out: KindInt, Help: "compares with a variable: negative, 0 or positive", build: func(b *binding, a []string) (converter, error) {
			x, err := b.c.variable(a[0])
			return func(tx *Tx, v Value) (Value, bool) {
				y, ok := x.get(tx)
				if ok {
					y, ok = cast(tx, y, KindString)
				}
				return Int(int64(bytes.Compare(v.Bytes, y.Bytes))), ok
			}, err
		}},
		{Name: "secure_memcmp", Args: "(variable)", Min: 1, Max: 1, In: KindBinary, Out: KindBool, Help: "equal to a variable, in constant time", build: func(b *binding, a []string) (converter, error) {
			x, err := b.c.variable(a[0])
			return func(tx *Tx, v Value) (Value, bool) {
				y, ok := x.get(tx)
				if ok {
					y, ok = cast(tx, y, KindBinary)
				}
				return Bool(ok && sameBytes(v.Bytes, string(y.Bytes))), ok
			}, err
		}},
		{Name: "ltrim", Args: "(characters)", Min: 1, Max: 1, In: KindString, Out: KindString, Help: "removes characters at the beginning", build: trimmer(func(b []byte, cut string) []byte { return bytes.TrimLeft(b, cut) })},
		{Name: "rtrim", Args: "(characters)", Min: 1, Max: 1, In: KindString, Out: KindString, Help: "removes characters at the end", build: trimmer(func(b []byte, cut string) []byte { return bytes.TrimRight(b, cut) })},
		{Name: "regsub", Args: "(regex,replacement[,flags])", Min: 2, Max: 3, In: KindString, Out: KindString, Help: "replaces what a regular expression matches; flags g (all) and i (ignore case)", build: buildRegsub},
		{Name: "param", Args: "(name[,delimiter])", Min: 1, Max: 2, In: KindString, Out: KindString, Help: "value of NAME=VALUE in a list", build: buildParam},
		{Name: "reverse_dom", In: KindString, Out: KindString, Help: "domain name read from the end", build: plain(func(tx *Tx, v Value) (Value, bool) {
			parts := strings.Split(string(v.Bytes), ".")
			for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
				parts[i], parts[j] = parts[j], parts[i]
			}
			return Str([]byte(strings.Join(parts, "."))), true
		})},
	})
}

func trimmer(f func([]byte, string) []byte) func(*binding, []string) (converter, error) {
	return func(b *binding, a []string) (converter, error) {
		return func(tx *Tx, v Value) (Value, bool) { return Str(f(v.Bytes, a[0])), true }, nil
	}
}

func buildBytes(b *binding, a []string) (converter, error) {
	off, err := b.number(a[0])
	if err != nil {
		return nil, err
	}
	length := intArg(func(*Tx) (int64, bool) { return -1, true })
	if len(a) == 2 {
		if length, err = b.number(a[1]); err != nil {
			return nil, err
		}
	}
	return func(tx *Tx, v Value) (Value, bool) {
		o, ok := off(tx)
		n, ok2 := length(tx)
		if !ok || !ok2 || o < 0 {
			return Value{}, false
		}
		if o >= int64(len(v.Bytes)) {
			return Bin(nil), true
		}
		rest := v.Bytes[o:]
		if n >= 0 && n < int64(len(rest)) {
			rest = rest[:n]
		}
		return Bin(rest), true
	}, nil
}

// fieldBounds finds fields first and last, counted from 0, of b. Empty ones
// are not counted for words.
func fieldBounds(b []byte, delims *[256]bool, index, count int, words bool) (lo, hi int, ok bool) {
	n, start := 0, 0
	for i := 0; i <= len(b); i++ {
		if i < len(b) && !delims[b[i]] {
			continue
		}
		if !words || i > start {
			n++
			if n == index {
				lo, ok = start, true
			}
			if ok {
				hi = i
				if count > 0 && n == index+count-1 {
					return lo, hi, true
				}
			}
		}
		start = i + 1
	}
	return lo, hi, ok
}

func countFields(b []byte, delims *[256]bool, words bool) int {
	n, start := 0, 0
	for i := 0; i <= len(b); i++ {
		if i < len(b) && !delims[b[i]] {
			continue
		}
		if !words || i > start {
			n++
		}
		start = i + 1
	}
	return n
}

func buildFields(a []string, words bool) (converter, error) {
	index, err := strconv.Atoi(a[0])
	if err != nil || index == 0 {
		return nil, fmt.Errorf("'%s' is not an index: it counts from 1, or from -1 at the end", a[0])
	}
	if a[1] == "" {
		return nil, errors.New("the delimiters are missing")
	}
	count := 1
	if len(a) == 3 {
		if count, err = strconv.Atoi(a[2]); err != nil || count < 0 {
			return nil, fmt.Errorf("'%s' is not a count", a[2])
		}
	}
	var delims [256]bool
	for i := range len(a[1]) {
		delims[a[1][i]] = true
	}
	return func(tx *Tx, v Value) (Value, bool) {
		first, n := index, count
		if index < 0 {
			// The field named is the last of those taken.
			total := countFields(v.Bytes, &delims, words)
			last := total + 1 + index
			first = last - count + 1
			if count == 0 {
				first, n = 1, last
			}
			if last < 1 {
				return Str(nil), !words
			}
			if first < 1 {
				first, n = 1, last
			}
		}
		lo, hi, ok := fieldBounds(v.Bytes, &delims, first, n, words)
		if !ok {
			return Str(nil), !words
		}
		return Str(v.Bytes[lo:hi]), true
	}, nil
}

func buildConcat(b *binding, a []string) (converter, error) {
	for len(a) < 3 {
		a = append(a, "")
	}
	start, end := a[0], a[2]
	var x variable
	if a[1] != "" {
		var err error
		if x, err = b.c.variable(a[1]); err != nil {
			return nil, err
		}
	}
	return func(tx *Tx, v Value) (Value, bool) {
		var mid Value
		if x.name != "" {
			if y, ok := x.get(tx); ok {
				mid, _ = cast(tx, y, KindString)
			}
		}
		t := tx.temp(len(v.Bytes) + len(start) + len(mid.Bytes) + len(end))[:0]
		t = append(append(append(append(t, v.Bytes...), start...), mid.Bytes...), end...)
		return Str(t), true
	}, nil
}

func buildRegsub(b *binding, a []string) (converter, error) {
	all, fold := false, false
	if len(a) == 3 {
		for _, c := range a[2] {
			switch c {
			case 'g':
				all = true
			case 'i':
				fold = true
			default:
				return nil, fmt.Errorf("invalid regex flag '%c': only 'i' and 'g' are supported", c)
			}
		}
	}
	re, err := CompileRegex(a[0], fold)
	if err != nil {
		return nil, err
	}
	template := []byte(a[1])
	return func(tx *Tx, v Value) (Value, bool) {
		if !re.Match(v.Bytes) {
			return v, true
		}
		return Str(tx.tempCopy(substitute(re, nil, v.Bytes, template, all))), true
	}, nil
}

// substitute appends b to dst with the first match, or all, replaced.
func substitute(re *Regex, dst, b, template []byte, all bool) []byte {
	for {
		loc := re.find(b)
		if loc == nil {
			break
		}
		dst = append(dst, b[:loc[0]]...)
		dst = expand(dst, template, b, loc)
		skip := loc[1]
		if loc[1] == loc[0] {
			// An empty match: take one byte along, or it would match for ever.
			if skip == len(b) {
				return dst
			}
			dst = append(dst, b[skip])
			skip++
		}
		b = b[skip:]
		if !all || re.anchored {
			break
		}
	}
	return append(dst, b...)
}

func buildParam(b *binding, a []string) (converter, error) {
	delim := byte('&')
	if len(a) == 2 && a[1] != "" {
		delim = a[1][0]
	}
	name := a[0]
	return func(tx *Tx, v Value) (Value, bool) {
		for rest := v.Bytes; len(rest) > 0; {
			part, after, _ := bytes.Cut(rest, []byte{delim})
			n, val, _ := bytes.Cut(part, []byte{'='})
			if string(n) == name {
				return Str(val), true
			}
			rest = after
		}
		return Value{}, false
	}, nil
}
