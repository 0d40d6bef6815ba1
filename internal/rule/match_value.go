package rule

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

func init() {
	addMatches([]matchSpec{
		{Name: "found", Help: "the sample exists", truth: func(Value) bool { return true }},
		{Name: "bool", In: KindInt, Help: "the sample is not zero", truth: func(v Value) bool { return v.Int != 0 }},
		{Name: "int", In: KindInt, Help: "number, range or comparison", build: func(keys []string, o matchOptions) (func(v Value) int, error) {
			return rangeList(keys, strconvInt, func(v Value) int64 { return v.Int })
		}},
		{Name: "len", In: KindString, Help: "length of the string", build: func(keys []string, o matchOptions) (func(v Value) int, error) {
			return rangeList(keys, strconvInt, func(v Value) int64 { return int64(len(v.Bytes)) })
		}},
		{Name: "ver", In: KindInt, Help: "dotted version, range or comparison", build: func(keys []string, o matchOptions) (func(v Value) int, error) {
			return rangeList(keys, dottedVersion, func(v Value) int64 { return v.Int })
		}},
		{Name: "bin", In: KindBinary, Help: "bytes, written in hexadecimal", build: buildBin},
	})
}

type intRange struct {
	lo, hi int64
	index  int
}

func strconvInt(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("'%s' is not a number", s)
	}
	return n, nil
}

// dottedVersion reads "3.1" as 3<<16 + 1.
func dottedVersion(s string) (int64, error) {
	major, minor, _ := strings.Cut(s, ".")
	a, err := strconv.ParseUint(major, 10, 15)
	b, err2 := uint64(0), error(nil)
	if minor != "" {
		b, err2 = strconv.ParseUint(minor, 10, 16)
	}
	if err != nil || err2 != nil {
		return 0, fmt.Errorf("'%s' is not a dotted version", s)
	}
	return int64(a<<16 | b), nil
}

const (
	minInt = -1 << 63
	maxInt = 1<<63 - 1
)

// rangeList compiles numbers, ranges (lo:hi, lo:, :hi) and comparisons: an
// operator holds for the patterns that follow it.
func rangeList(keys []string, parse func(string) (int64, error), of func(v Value) int64) (func(v Value) int, error) {
	op := "eq"
	var list []intRange
	for i, k := range keys {
		switch k {
		case "eq", "ge", "gt", "le", "lt":
			op = k
			continue
		}
		r, err := parseRange(k, op, parse)
		if err != nil {
			return nil, &patternError{i, err}
		}
		r.index = i
		list = append(list, r)
	}
	if len(list) == 1 {
		r := list[0]
		return func(v Value) int {
			if n := of(v); n >= r.lo && n <= r.hi {
				return r.index
			}
			return -1
		}, nil
	}
	if exact := exactNumbers(list); exact != nil {
		return func(v Value) int {
			if i, ok := exact[of(v)]; ok {
				return i
			}
			return -1
		}, nil
	}
	return func(v Value) int {
		n := of(v)
		for _, r := range list {
			if n >= r.lo && n <= r.hi {
				return r.index
			}
		}
		return -1
	}, nil
}

// exactNumbers indexes a long list that holds no range.
func exactNumbers(list []intRange) map[int64]int {
	if len(list) < 9 {
		return nil
	}
	m := make(map[int64]int, len(list))
	for _, r := range list {
		if r.lo != r.hi {
			return nil
		}
		if _, dup := m[r.lo]; !dup {
			m[r.lo] = r.index
		}
	}
	return m
}

func parseRange(k, op string, parse func(string) (int64, error)) (intRange, error) {
	lo, hi, isRange := strings.Cut(k, ":")
	r := intRange{lo: minInt, hi: maxInt}
	var err error
	if lo != "" {
		if r.lo, err = parse(lo); err != nil {
			return r, err
		}
	}
	if isRange && hi != "" {
		if r.hi, err = parse(hi); err != nil {
			return r, err
		}
	}
	if !isRange {
		if lo == "" {
			return r, fmt.Errorf("'%s' is not a number", k)
		}
		r.hi = r.lo
	}
	switch op {
	case "ge":
		r.hi = maxInt
	case "gt":
		r.lo, r.hi = r.lo+1, maxInt
	case "le":
		r.lo = minInt
	case "lt":
		r.lo, r.hi = minInt, r.hi-1
	default:
		return r, nil
	}
	if isRange {
		return r, fmt.Errorf("the range '%s' cannot be used with the operator '%s'", k, op)
	}
	return r, nil
}

func buildBin(keys []string, o matchOptions) (func(v Value) int, error) {
	m := map[string]int{}
	for i, k := range keys {
		b, err := hex.DecodeString(k)
		if err != nil {
			return nil, &patternError{i, fmt.Errorf("'%s' is not an even number of hexadecimal digits", k)}
		}
		if _, dup := m[string(b)]; !dup {
			m[string(b)] = i
		}
	}
	return func(v Value) int {
		if i, ok := m[string(v.Bytes)]; ok {
			return i
		}
		return -1
	}, nil
}
