package admin

import (
	"encoding/json"
	"strconv"
	"strings"
)

// valueKind is the type of a value, as typed output names it.
type valueKind string

const (
	empty valueKind = ""
	u32   valueKind = "u32"
	u64   valueKind = "u64"
	s32   valueKind = "s32"
	str   valueKind = "str"
)

// Value is one cell of the statistics. The zero Value is an empty cell.
type Value struct {
	kind valueKind
	n    int64
	s    string
}

// U32, U64 and S32 make numbers, Str a string. A u32 wraps as HAProxy's does.
func U32(n int) Value    { return Value{kind: u32, n: int64(uint32(n))} }
func U64(n int64) Value  { return Value{kind: u64, n: n} }
func S32(n int) Value    { return Value{kind: s32, n: int64(n)} }
func Str(s string) Value { return Value{kind: str, s: s} }

// optional is an empty cell for an empty string.
func optional(s string) Value {
	if s == "" {
		return Value{}
	}
	return Str(s)
}

// String is the value as CSV has it before quoting.
func (v Value) String() string {
	switch v.kind {
	case empty, str:
		return v.s
	case u64:
		return strconv.FormatUint(uint64(v.n), 10)
	}
	return strconv.FormatInt(v.n, 10)
}

// csv quotes what would be misread.
func (v Value) csv() string {
	s := v.String()
	if v.kind == str && strings.ContainsAny(s, "\",\r\n") {
		return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	return s
}

var (
	origins = map[byte]string{'M': "Metric", 'S': "Status", 'K': "Key", 'C': "Config", 'P': "Product"}
	natures = map[byte]string{'A': "Age", 'a': "Avg", 'C': "Counter", 'D': "Duration", 'G': "Gauge", 'L': "Limit",
		'M': "Max", 'm': "Min", 'N': "Name", 'O': "Output", 'R': "Rate", 'T': "Time"}
	scopes = map[byte]string{'C': "Cluster", 'P': "Process", 'S': "Service", 's': "System"}
)

// json is the tags and the value as members of an object. tags are the three
// letters of typed output.
func (v Value) json(tags string) string {
	text := v.String()
	if v.kind == str {
		text = jsonString(text)
	}
	return `"tags":{"origin":"` + origins[tags[0]] + `","nature":"` + natures[tags[1]] + `","scope":"` + scopes[tags[2]] +
		`"},"value":{"type":"` + string(v.kind) + `","value":` + text + `}`
}

func jsonString(s string) string {
	b, _ := json.Marshal(s) // a string always marshals
	return string(b)
}
