package haproxy

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"evenkeel/internal/model"
)

var update = flag.Bool("update", false, "write the golden files anew")

// goldenCase is one case of a golden file: lines of a section, and what is
// read from them.
type goldenCase struct{ input, want string }

// readGolden parts a file at "==" (between cases) and "--" (before results).
func readGolden(t *testing.T, name string) []goldenCase {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var out []goldenCase
	for _, c := range strings.Split(string(data), "\n==\n") {
		in, want, _ := strings.Cut(strings.TrimRight(c, "\n")+"\n", "\n--\n")
		out = append(out, goldenCase{strings.TrimRight(in, "\n"), strings.TrimRight(want, "\n")})
	}
	return out
}

func TestRuleGolden(t *testing.T) {
	files, _ := filepath.Glob("testdata/rules/*.golden")
	if len(files) == 0 {
		t.Fatal("no golden files")
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".golden"), func(t *testing.T) {
			cases := readGolden(t, f)
			var written []string
			for _, c := range cases {
				got := readAndDump(c.input)
				written = append(written, c.input+"\n--\n"+got)
				if got != c.want && !*update {
					t.Errorf("%s\n got:\n%s\nwant:\n%s", c.input, indent(got), indent(c.want))
				}
			}
			if *update {
				if err := os.WriteFile(f, []byte(strings.Join(written, "\n==\n")+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func indent(s string) string { return "    " + strings.ReplaceAll(s, "\n", "\n    ") }

// readAndDump reads lines as those of a listen section in HTTP mode, unless they open a
// section themselves, and prints what they mean.
func readAndDump(input string) string {
	if findSection(strings.Fields(input)[0]) == nil {
		input = "listen x\nmode http\n" + input
	}
	cfg, diags := Parse([]File{{Name: "f", Data: []byte(input + "\n")}}, Options{
		Env: func(string) (string, bool) { return "", false },
		ReadFile: func(name string) ([]byte, error) {
			if strings.HasPrefix(name, "missing") {
				return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
			}
			if strings.HasPrefix(name, "empty") {
				return nil, nil
			}
			return []byte("first line\n%[src] and " + name + "\n"), nil
		},
	})
	var out []string
	for _, d := range diags {
		kind := "warning"
		if d.Severity == model.Error {
			kind = "error"
		}
		out = append(out, kind+" "+d.String())
	}
	for _, p := range cfg.Proxies {
		out = append(out, dumpProxy(p)...)
	}
	return strings.Join(out, "\n")
}

// dumpProxy prints what rule lines set.
func dumpProxy(p *model.Proxy) []string {
	var out []string
	for _, r := range rulesets {
		out = append(out, dumpRules(r.name, *r.list(p))...)
	}
	out = append(out, dumpRules("redirect", p.Redirects)...)
	out = append(out, dumpRules("legacy request", p.LegacyRequest)...)
	out = append(out, dumpRules("legacy response", p.LegacyResponse)...)
	for _, u := range p.Frontend.UseBackend {
		out = append(out, "use_backend "+dump(u.Name)+dumpCond(u.Cond))
	}
	for _, u := range p.Backend.UseServer {
		out = append(out, "use-server "+dump(u.Name)+dumpCond(u.Cond))
	}
	for _, c := range p.Frontend.MonitorFail {
		out = append(out, "monitor fail"+dumpCond(c))
	}
	if f := p.LogFormat; f != nil {
		out = append(out, "log-format "+dump(f))
	}
	for _, c := range p.Frontend.RequestCaptures {
		out = append(out, "request slot "+dump(c))
	}
	if p.RequestInspectDelay != 0 || p.ResponseInspectDelay != 0 {
		out = append(out, fmt.Sprint("inspect-delay ", p.RequestInspectDelay, " ", p.ResponseInspectDelay))
	}
	if len(out) == 0 {
		for _, t := range p.Tests {
			out = append(out, "acl "+t.Name+": "+dump(t))
		}
	}
	return out
}

func dumpRules(name string, rules []model.Rule) []string {
	var out []string
	for _, r := range rules {
		out = append(out, fmt.Sprintf("%s %s%s", name, dump(r.Action), dumpCond(r.Cond)))
	}
	return out
}

func dumpCond(c model.Cond) string {
	if c == nil {
		return ""
	}
	return "\n  if " + dump(c)
}

// dump prints a model value without its positions and empty fields.
func dump(v any) string {
	var b strings.Builder
	dumpValue(&b, reflect.ValueOf(v))
	return strings.TrimPrefix(b.String(), "model.")
}

func dumpValue(b *strings.Builder, v reflect.Value) {
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			b.WriteString("nil")
			return
		}
		dumpValue(b, v.Elem())
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			fmt.Fprintf(b, "%q", v.Bytes())
			return
		}
		if n := v.Type().Name(); n != "" {
			b.WriteString(n)
		}
		b.WriteByte('[')
		for i := range v.Len() {
			if i > 0 {
				b.WriteString(", ")
			}
			dumpValue(b, v.Index(i))
		}
		b.WriteByte(']')
	case reflect.Struct:
		dumpStruct(b, v)
	case reflect.String:
		fmt.Fprintf(b, "%q", v.String())
	default:
		fmt.Fprint(b, v.Interface())
	}
}

func dumpStruct(b *strings.Builder, v reflect.Value) {
	switch x := v.Interface().(type) {
	case model.Format:
		if s, ok := x.IsLiteral(); ok {
			fmt.Fprintf(b, "%q", s)
			return
		}
		b.WriteString("Format")
		dumpValue(b, reflect.ValueOf(x.Parts))
		return
	case model.Pattern:
		fmt.Fprintf(b, "%q", x.Text)
		return
	case model.Call:
		b.WriteString(x.Name)
		if x.Args != nil {
			fmt.Fprintf(b, "%q", x.Args)
		}
		return
	case model.Expr:
		dumpValue(b, reflect.ValueOf(x.Fetch))
		for _, c := range x.Convs {
			b.WriteString(" -> ")
			dumpValue(b, reflect.ValueOf(c))
		}
		return
	}
	b.WriteString(strings.TrimPrefix(v.Type().Name(), "Action"))
	b.WriteByte('{')
	first := true
	for i := range v.NumField() {
		f := v.Field(i)
		if f.IsZero() || f.Type() == reflect.TypeFor[model.Pos]() {
			continue
		}
		if !first {
			b.WriteByte(' ')
		}
		first = false
		b.WriteString(v.Type().Field(i).Name + ":")
		dumpValue(b, f)
	}
	b.WriteByte('}')
}
