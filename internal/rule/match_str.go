package rule

import (
	"bytes"
	"sort"
	"strings"
)

func init() {
	addMatches([]matchSpec{
		{Name: "str", In: KindString, Help: "exact string", build: buildStr},
		{Name: "meth", In: KindMethod, Help: "HTTP method", build: buildStr},
		{Name: "beg", In: KindString, Help: "prefix", build: func(k []string, o matchOptions) (func(Value) int, error) {
			return buildAffix(k, o, false), nil
		}},
		{Name: "end", In: KindString, Help: "suffix", build: func(k []string, o matchOptions) (func(Value) int, error) {
			return buildAffix(k, o, true), nil
		}},
		{Name: "sub", In: KindString, Help: "substring", build: buildSub},
		{Name: "dir", In: KindString, Help: "part between slashes", build: func(k []string, o matchOptions) (func(Value) int, error) {
			return buildWord(k, o, "/?"), nil
		}},
		{Name: "dom", In: KindString, Help: "part between dots, as in a domain name", build: func(k []string, o matchOptions) (func(Value) int, error) {
			return buildWord(k, o, "/?.:"), nil
		}},
		{Name: "reg", In: KindString, Help: "regular expression", build: buildReg},
	})
}

func lowerByte(c byte) byte {
	if c-'A' < 26 {
		return c | 0x20
	}
	return c
}

// equalFold compares b with text in lower case, ignoring ASCII case.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range b {
		if lowerByte(b[i]) != lower[i] {
			return false
		}
	}
	return true
}

// asciiLower is strings.ToLower for ASCII letters only.
func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r | 0x20
		}
		return r
	}, s)
}

func folded(keys []string, o matchOptions) []string {
	if !o.ignoreCase {
		return keys
	}
	out := make([]string, len(keys))
	for i, k := range keys {
		b := []byte(k)
		for j := range b {
			b[j] = lowerByte(b[j])
		}
		out[i] = string(b)
	}
	return out
}

// stringIndex finds a string among many: hash lookup after case folding on
// the stack.
type stringIndex struct {
	m      map[string]int
	maxLen int
	fold   bool
}

func newStringIndex(keys []string, fold bool) *stringIndex {
	x := &stringIndex{m: make(map[string]int, len(keys)), fold: fold}
	for i, k := range keys {
		if _, dup := x.m[k]; !dup {
			x.m[k] = i
		}
		x.maxLen = max(x.maxLen, len(k))
	}
	return x
}

func (x *stringIndex) find(b []byte) int {
	if len(b) > x.maxLen {
		return -1
	}
	if x.fold {
		var stack [128]byte
		t := stack[:0]
		for _, c := range b {
			t = append(t, lowerByte(c))
		}
		b = t
	}
	if i, ok := x.m[string(b)]; ok {
		return i
	}
	return -1
}

func buildStr(keys []string, o matchOptions) (func(v Value) int, error) {
	fold := o.ignoreCase
	keys = folded(keys, o)
	if len(keys) == 1 {
		k := keys[0]
		if fold {
			return func(v Value) int {
				if equalFold(v.Bytes, k) {
					return 0
				}
				return -1
			}, nil
		}
		return func(v Value) int {
			if string(v.Bytes) == k {
				return 0
			}
			return -1
		}, nil
	}
	if len(keys) <= 4 {
		return func(v Value) int {
			for i, k := range keys {
				if len(k) == len(v.Bytes) && (string(v.Bytes) == k || fold && equalFold(v.Bytes, k)) {
					return i
				}
			}
			return -1
		}, nil
	}
	x := newStringIndex(keys, fold)
	return func(v Value) int { return x.find(v.Bytes) }, nil
}

// buildAffix compiles prefixes or suffixes. Of several that match, the longest
// wins.
func buildAffix(keys []string, o matchOptions, end bool) func(v Value) int {
	fold := o.ignoreCase
	keys = folded(keys, o)
	part := func(b []byte, n int) []byte {
		if end {
			return b[len(b)-n:]
		}
		return b[:n]
	}
	if len(keys) == 1 && !fold {
		k := keys[0]
		if end {
			return func(v Value) int {
				if n := len(v.Bytes) - len(k); n >= 0 && string(v.Bytes[n:]) == k {
					return 0
				}
				return -1
			}
		}
		return func(v Value) int {
			if len(v.Bytes) >= len(k) && string(v.Bytes[:len(k)]) == k {
				return 0
			}
			return -1
		}
	}
	if len(keys) <= 8 {
		order := byLength(keys)
		return func(v Value) int {
			for _, i := range order {
				k := keys[i]
				if len(v.Bytes) < len(k) {
					continue
				}
				p := part(v.Bytes, len(k))
				if string(p) == k || fold && equalFold(p, k) {
					return i
				}
			}
			return -1
		}
	}
	// One hash table, asked once for each length that occurs.
	x := newStringIndex(keys, fold)
	var lengths []int
	seen := map[int]bool{}
	for _, i := range byLength(keys) {
		if n := len(keys[i]); !seen[n] {
			seen[n] = true
			lengths = append(lengths, n)
		}
	}
	return func(v Value) int {
		for _, n := range lengths {
			if n > len(v.Bytes) {
				continue
			}
			if i := x.find(part(v.Bytes, n)); i >= 0 {
				return i
			}
		}
		return -1
	}
}

// byLength orders the indexes of keys, longest first.
func byLength(keys []string) []int {
	order := make([]int, len(keys))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return len(keys[order[a]]) > len(keys[order[b]]) })
	return order
}

func buildSub(keys []string, o matchOptions) (func(v Value) int, error) {
	keys = folded(keys, o)
	raw := make([][]byte, len(keys))
	for i, k := range keys {
		raw[i] = []byte(k)
	}
	if o.ignoreCase {
		return func(v Value) int {
			for i, k := range keys {
				for j := 0; j+len(k) <= len(v.Bytes); j++ {
					if equalFold(v.Bytes[j:j+len(k)], k) {
						return i
					}
				}
			}
			return -1
		}, nil
	}
	return func(v Value) int {
		for i, k := range raw {
			if bytes.Contains(v.Bytes, k) {
				return i
			}
		}
		return -1
	}, nil
}

// buildWord finds a pattern that stands between delimiters or at an end.
func buildWord(keys []string, o matchOptions, delims string) func(v Value) int {
	var isDelim [256]bool
	for i := range len(delims) {
		isDelim[delims[i]] = true
	}
	fold := o.ignoreCase
	keys = append([]string(nil), folded(keys, o)...)
	for i := range keys {
		keys[i] = strings.Trim(keys[i], delims)
	}
	return func(v Value) int {
		for i, k := range keys {
			if hasWord(v.Bytes, k, &isDelim, fold) {
				return i
			}
		}
		return -1
	}
}

func hasWord(b []byte, word string, isDelim *[256]bool, fold bool) bool {
	start := true
	for i := 0; i+len(word) <= len(b); i++ {
		if i < len(b) && isDelim[b[i]] {
			start = true
			continue
		}
		if !start {
			continue
		}
		p := b[i : i+len(word)]
		if string(p) == word || fold && equalFold(p, word) {
			if i+len(word) == len(b) || isDelim[b[i+len(word)]] {
				return true
			}
		}
		start = false
	}
	return false
}

func buildReg(keys []string, o matchOptions) (func(v Value) int, error) {
	list := make([]*Regex, len(keys))
	for i, k := range keys {
		re, err := CompileRegex(k, o.ignoreCase)
		if err != nil {
			return nil, &patternError{i, err}
		}
		list[i] = re
	}
	if len(list) == 1 {
		re := list[0]
		return func(v Value) int {
			if re.Match(v.Bytes) {
				return 0
			}
			return -1
		}, nil
	}
	return func(v Value) int {
		for i, re := range list {
			if re.Match(v.Bytes) {
				return i
			}
		}
		return -1
	}, nil
}
