package haproxy

import (
	"slices"
	"testing"
)

// The arguments are those that HAProxy 2.6 was seen to take.
func TestArgumentQuoting(t *testing.T) {
	for _, c := range []struct {
		text string
		args []string
	}{
		{`str("a\"b")`, []string{`a"b`}},
		{`str('a\b')`, []string{`a\b`}},
		{`str("a\\b\nc\td\qe")`, []string{"a\\b\nc\td\\qe"}},
		{`str(a\\b\nc\td\qe)`, []string{"a\\b\nc\td\\qe"}},
		{`str(a"b,"c'd)'e)`, []string{"ab,cd)e"}},
		{`str(a b)`, []string{"a b"}},
		{`str( a )`, []string{" a "}},
		{`str(a\ b)`, []string{"a b"}},
		{`str("a#b\#c\$d\x41")`, []string{`a#b\#c\$d\x41`}},
		{`str('')`, []string{""}},
		{`str(a\)`, []string{`a\`}},
		{`src()`, nil},
		{`req.hdr(a,)`, []string{"a"}}, // an optional argument that is empty is none
		{`str(a,)`, []string{"a", ""}}, // one too many, for the rule machine to refuse
	} {
		e, _, err := parseExprIn(word{Text: c.text + "]"}, 0, ']')
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
		} else if !slices.Equal(e.Fetch.Args, c.args) {
			t.Errorf("%s: %q, want %q", c.text, e.Fetch.Args, c.args)
		}
	}
	for _, text := range []string{`str(a\)b)`, `str(a`, `str("a)`, `str('a)`} {
		if e, _, err := parseExprIn(word{Text: text + "]"}, 0, ']'); err == nil {
			t.Errorf("%s: %q, want an error", text, e.Fetch.Args)
		}
	}
}
