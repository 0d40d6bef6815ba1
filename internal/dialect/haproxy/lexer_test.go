package haproxy

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"evenkeel/internal/model"
)

func testVariable(name string) (string, bool) {
	v, ok := map[string]string{"A": "one", "SP": "a  b ", "EMPTY": "", ".LINE": "7"}[name]
	return v, ok
}

func TestLexLine(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []string
		fail string
	}{
		{"", nil, ""},
		{"  # only a comment", nil, ""},
		{"a b\tc  ", []string{"a", "b", "c"}, ""},
		{"a#b c", []string{"a"}, ""},
		{`a\#b`, []string{"a#b"}, ""},
		{`"a # b" '# c'`, []string{"a # b", "# c"}, ""},
		{`a"b"'c'd`, []string{"abcd"}, ""},
		{`"it's" 'say "hi"'`, []string{"it's", `say "hi"`}, ""},
		{`a\ b \\ \" \' \n \t \r \x41\x7e`, []string{"a b", `\`, `"`, "'", "\n", "\t", "\r", "A~"}, ""},
		{`\. \1 \$ \q`, []string{`\.`, `\1`, `\$`, `\q`}, ""},
		{`'\n\x' "\$A"`, []string{`\n\x`, "$A"}, ""},
		{`$A "$A" '${A}' "${A}b" "x$A.y"`, []string{"$A", "one", "${A}", "oneb", "xone.y"}, ""},
		{`"${NO-d e}" "${A-d}" "${EMPTY-d}" "$NO"`, []string{"d e", "one", "", ""}, ""},
		{`"${SP}" "x${SP[*]}y" "${NO[*]-p}"`, []string{"a  b ", "xa", "b", "y", "p"}, ""},
		{`"$.LINE"`, []string{"7"}, ""},
		{"a\r", []string{"a"}, ""},
		{"a\rb", []string{"a"}, ""},
		{`""`, []string{""}, ""},
		{`"a`, nil, "unmatched quote"},
		{`a 'b`, nil, "unmatched quote"},
		{`\xg0`, nil, "hexadecimal"},
		{`\x4`, nil, "hexadecimal"},
		{`"$"`, nil, "first char"},
		{`"${}"`, nil, "first char"},
		{`"${A"`, nil, "brace"},
		{`"${A-b"`, nil, "brace"},
		{`"${A[0]}"`, nil, "[*]"},
		{`"$.NOPE"`, nil, "first char"},
	} {
		words, err := lexLine(c.in, model.Pos{File: "f", Line: 1, Col: 1}, testVariable)
		var got []string
		for _, w := range words {
			got = append(got, w.Text)
		}
		switch {
		case err != nil && (c.fail == "" || !strings.Contains(err.reason, c.fail)):
			t.Errorf("%q: %v", c.in, err)
		case err == nil && c.fail != "":
			t.Errorf("%q: no error, want %q", c.in, c.fail)
		case err == nil && !slices.Equal(got, c.want):
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}

func TestWordPlaces(t *testing.T) {
	words, err := lexLine(`  ab "c\x41$A"d`, model.Pos{File: "f", Line: 3, Col: 1}, testVariable)
	if err != nil {
		t.Fatal(err)
	}
	if got := words[0].at(1).String(); got != "f:3:4" {
		t.Errorf("second byte of ab is at %s", got)
	}
	w := words[1]
	if w.Text != "cAoned" || w.Pos.Col != 6 {
		t.Fatalf("%q at %v", w.Text, w.Pos)
	}
	for off, col := range []int{7, 8, 12, 12, 12, 15, 16} {
		if got := w.at(off).Col; got != col {
			t.Errorf("byte %d is at column %d, want %d", off, got, col)
		}
	}
	if r := w.from(5); r.Text != "d" || r.Pos.Col != 15 || r.at(0).Col != 15 {
		t.Errorf("from: %+v", r)
	}
}

func TestEvalCondition(t *testing.T) {
	t.Setenv("EVENKEEL_TEST", "x")
	for text, want := range map[string]bool{
		"": false, "0": false, "1": true, "-5": true, "!1": false, "!!1": true, "(1)": true, "!(0 || 0)": true,
		"0 && 1 || 1": true, "1 || 0 && 0": true, "(1 || 0) && 0": false,
		"defined(EVENKEEL_TEST)": true, "defined(EVENKEEL_NONE)": false,
		"feature(OPENSSL)": true, "feature(LUA)": false, "feature(QUIC)": false, "feature(NOSUCH)": false,
		"streq(a,a)": true, "streq(a,b)": false, "strneq(a,b)": true, `streq("a,b",'a,b')`: true, `streq(a\,b,"a,b")`: true, "strstr(abc,bc)": true, "strstr(abc,x)": false,
		"version_atleast(3.0)": true, "version_atleast(3.0.1)": false, "version_atleast(2.4-dev19)": true, "version_before(3.0)": false, "version_before(3.1-dev1)": true, "version_atleast(3.0-rc1)": true,
		"openssl_version_atleast(1.1.1k)": true, "openssl_version_before(3.0.0)": false, "openssl_version_before(3.0.0a)": true, "openssl_version_atleast(3.0.0-beta1)": true,
		"ssllib_name_startswith(OpenSSL)": true, "ssllib_name_startswith(AWS-LC)": false, "enabled(SPLICE)": true, "enabled(NOSUCH)": false,
	} {
		got, err := EvalCondition(text)
		if err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"x", "streq(a)", "streq(a,b,c)", "streq(a,b", "streq", "(1", "1)", "1 &&", "|| 1", "!", "1 1", "version_atleast(x)", "openssl_version_atleast(x)", "!" + strings.Repeat("(", 5000)} {
		if _, err := EvalCondition(text); err == nil {
			t.Errorf("%q: no error", text)
		} else if !strings.HasPrefix(err.Error(), "condition:1:") {
			t.Errorf("%q: no position: %v", text, err)
		}
	}
}

func TestClosest(t *testing.T) {
	for _, c := range [][2]string{{"optoin", "option"}, {"blance", "balance"}, {"bidn", "bind"}, {"serv", "server"}, {"xyzzy", ""}} {
		got := closest(c[0], []string{"option", "balance", "bind", "server", "source"})
		if want := map[bool]string{true: "", false: "did you mean '" + c[1] + "'?"}[c[1] == ""]; got != want {
			t.Errorf("%s: %q, want %q", c[0], got, want)
		}
	}
}

func FuzzLexLine(f *testing.F) {
	for _, s := range []string{`a "b $A" 'c' \x41 # d`, `"${SP[*]}x" "${NO-d}"`, `"$`, `\`, "a\rb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words, err := lexLine(line, model.Pos{File: "f", Line: 1, Col: 1}, testVariable)
		if err != nil {
			if err.off < 0 || err.off > len(line) {
				t.Errorf("%q: error at %d", line, err.off)
			}
			return
		}
		for _, w := range words {
			for i := range len(w.Text) + 1 {
				if c := w.at(i).Col; c < 1 || c > len(line)+1 {
					t.Errorf("%q: byte %d of %q is at column %d", line, i, w.Text, c)
				}
			}
		}
	})
}

func FuzzEvalCondition(f *testing.F) {
	for _, s := range []string{"1 && (!0 || streq(a,b))", "version_atleast(2.4-dev1)", "((((", `streq("a,\"b",'c')`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, err := evalCondition(text, testVariable)
		if err != nil && (err.off < 0 || err.off > len(text)) {
			t.Errorf("%q: error at %d", text, err.off)
		}
	})
}

// FuzzParse: whatever the file, reading it ends, and every error has a place.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"global\n log h local0\n maxconn 5\ndefaults d\n mode http\nlisten a from d\n bind :80\n server s :1 check\n",
		"frontend f :80\n acl a path /x\n use_backend b if a { src 1.2.3.4 }\nbackend b\n balance uri\n cookie A insert\n option httpchk GET / HTTP/1.1\\r\\nHost:x\n http-check expect status 200\n",
		".if 1\n.elif x\n.else\n.endif\n", "userlist u\n user a password x\nhttp-errors e\n errorfile 503 x\n", "listen a\n server-template t 1-99999999 h:1\n", "\x00", "a",
	} {
		f.Add(s)
	}
	golden, _ := filepath.Glob("testdata/directives/*.golden")
	for _, g := range golden {
		data, err := os.ReadFile(g)
		if err != nil {
			f.Fatal(err)
		}
		for _, c := range strings.Split(string(data), "\n==\n") {
			input, _, _ := strings.Cut(c, "\n--\n")
			f.Add("listen x\n" + input + "\n")
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		cfg, diags := Parse([]File{{Name: "f", Data: []byte(text)}}, Options{
			Env:      testVariable,
			ReadFile: func(string) ([]byte, error) { return []byte("x"), nil },
		})
		if cfg == nil {
			t.Fatal("no configuration")
		}
		for _, d := range diags {
			if d.Pos.Line < 1 || d.Pos.Col < 1 {
				t.Errorf("%q: no place: %v", text, d)
			}
		}
	})
}

func TestRecognises(t *testing.T) {
	for text, want := range map[string]bool{
		"# x\n\nglobal\n": true, "  defaults d\n": true, ".if 1\n": true, "vcl 4.0;\n": false, "! Configuration File\nglobal_defs {\n}\n": false, "\"\n": false, "": false,
	} {
		if got := Dialect().Recognises(File{Name: "f", Data: []byte(text)}); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
