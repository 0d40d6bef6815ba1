package rule

import (
	"strings"
	"testing"
)

func TestRegex(t *testing.T) {
	for _, tt := range []struct {
		expr string
		fold bool
		text string
		want bool
	}{
		{"^/a", false, "/ab", true}, {"^/a$", false, "/a", true}, {"^/a$", false, "/ab", false}, {`\.php$`, false, "x.php", true}, {`\.php$`, false, "xphp", false},
		{"b", false, "abc", true}, {"B", true, "abc", true}, {"B", false, "abc", false}, {"(?i)B", false, "abc", true},
		{`^\/a\/`, false, "/a/b", true}, {`a\-b\:c`, false, "a-b:c", true}, {"ab*c", false, "ac", true}, {"ab?", false, "a", true}, {"a{2}", false, "aa", true}, {"a{x", false, "a{x", true},
		{`^[^/]*$`, false, "abc", true}, {`[]a]`, false, "]", true}, {`[^]a]`, false, "]", false}, {`[a[]`, false, "[", true}, {`[[:digit:]]+`, false, "12", true},
		{`\d+\s\w`, false, "1 a", true}, {`\h`, false, "\t", true}, {`x(?#note)y`, false, "xy", true}, {"(?:a|b)+c", false, "abac", true}, {`(?<n>a)`, false, "a", true}, {`(?'n'a)`, false, "a", true},
		{`a\\b`, false, `a\b`, true}, {`\x41`, false, "A", true}, {`^(a|b)$`, false, "b", true}, {`.`, false, "\xff", true}, {`\$`, false, "$", true}, {`a\$`, false, "a$", true},
	} {
		re, err := CompileRegex(tt.expr, tt.fold)
		if err != nil {
			t.Errorf("%s: %v", tt.expr, err)
			continue
		}
		if got := re.Match([]byte(tt.text)); got != tt.want {
			t.Errorf("%s on %q: %v", tt.expr, tt.text, got)
		}
	}
}

func TestRegexRefused(t *testing.T) {
	for expr, want := range map[string]string{
		"a(?=b)": "lookahead is not supported at character 2", "a(?!b)": "lookahead", "(?<=a)b": "lookbehind", "(?<!a)b": "lookbehind", "(?>a)": "atomic",
		`(a)\1`: "back references are not supported at character 4", "a++": "possessive", "(a": "missing closing )", "[a": "missing ]", `a\`: "a backslash ends it", "*a": "missing argument to repetition",
	} {
		if _, err := CompileRegex(expr, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", expr, err, want)
		}
	}
}
