package haproxy

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"evenkeel/internal/model"
)

// TestDirectiveGolden reads each case of testdata/directives alone. A case is
// lines of a listen section unless it opens sections itself.
func TestDirectiveGolden(t *testing.T) {
	files, _ := filepath.Glob("testdata/directives/*.golden")
	if len(files) == 0 {
		t.Fatal("no golden files")
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".golden"), func(t *testing.T) {
			var written []string
			for _, c := range readGolden(t, f) {
				got := dumpConfig(c.input)
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

// dumpConfig reads a file and prints what is not as in a file without the
// lines, with the messages.
func dumpConfig(input string) string {
	if findSection(strings.Fields(input)[0]) == nil && input[0] != '.' {
		input = "listen x\n" + input
	}
	env := map[string]string{"HOST": "h", "LIST": "a b  c", "EMPTY": "", "FD_WEB": "7"}
	cfg, diags := Parse([]File{{Name: "f", Data: []byte(input + "\n")}}, Options{
		Env: func(n string) (string, bool) { v, ok := env[n]; return v, ok },
	})
	var out []string
	if g := dump(cfg.Global); g != "Global{}" {
		out = append(out, "global "+g)
	}
	for _, p := range cfg.Proxies {
		out = append(out, dumpSection(p)...)
	}
	for _, u := range cfg.Userlists {
		out = append(out, "userlist "+dump(*u))
	}
	for _, h := range cfg.HTTPErrors {
		out = append(append(out, "http-errors "+h.Name), dumpErrors(h.Files)...)
	}
	for _, d := range diags {
		out = append(out, fmt.Sprintf("%s: %s", [...]string{"notice", "warning", "error"}[d.Severity], d))
	}
	return strings.Join(out, "\n")
}

// dumpSection prints the fields of a proxy that a new one does not have.
func dumpSection(p *model.Proxy) []string {
	out := []string{fmt.Sprintf("%s %s", kindName(p.Kind), p.Name)}
	fresh := initialProxy()
	var walk func(prefix string, got, base reflect.Value)
	walk = func(prefix string, got, base reflect.Value) {
		for i := range got.NumField() {
			name := got.Type().Field(i).Name
			if got.Type().Field(i).Type == reflect.TypeFor[model.Pos]() || slices.Contains([]string{"Name", "Kind"}, name) && prefix == "" {
				continue
			}
			g, b := got.Field(i), base.Field(i)
			if replies, ok := g.Interface().(map[int]model.ErrorReply); ok {
				out = append(out, dumpErrors(replies)...)
				continue
			}
			if slices.Contains([]string{"Frontend", "Backend", "Options", "Timeouts"}, name) && g.Kind() == reflect.Struct {
				walk(name+".", g, b)
				continue
			}
			if !reflect.DeepEqual(g.Interface(), b.Interface()) && !(g.Kind() == reflect.Slice && g.Len() == 0) {
				out = append(out, "  "+prefix+name+" "+dump(g.Interface()))
			}
		}
	}
	walk("", reflect.ValueOf(p).Elem(), reflect.ValueOf(fresh).Elem())
	return out
}

func dumpErrors(replies map[int]model.ErrorReply) []string {
	var out []string
	for _, status := range slices.Sorted(maps.Keys(replies)) {
		out = append(out, fmt.Sprintf("  error %d %s", status, dump(replies[status])))
	}
	return out
}

// TestEveryDirectiveHasAGoldenCase keeps tables and golden files together.
func TestEveryDirectiveHasAGoldenCase(t *testing.T) {
	files, _ := filepath.Glob("testdata/directives/*.golden")
	seen := map[string]bool{}
	for _, f := range files {
		for _, c := range readGolden(t, f) {
			for _, line := range strings.Split(c.input, "\n") {
				words := strings.Fields(line)
				for len(words) > 1 && (words[0] == "no" || words[0] == "default") {
					words = words[1:]
				}
				for i, w := range words {
					seen[words[0]+" … "+w] = true
					if i == 0 {
						seen[w] = true
					}
					if i == 1 {
						seen[words[0]+" "+w] = true
					}
				}
			}
		}
	}
	for _, list := range keywordLists {
		for _, k := range list {
			if !seen[k.Name] && !slices.Contains(ruleKeywords, k) {
				t.Errorf("no golden case for %q", k.Name)
			}
		}
	}
	for _, k := range bindKeywords {
		if !seen["bind … "+k.Name] && !seen["stats … "+k.Name] {
			t.Errorf("no golden case for bind %q", k.Name)
		}
	}
	for _, k := range serverKeywords {
		if !seen["server … "+k.Name] && !seen["default-server … "+k.Name] {
			t.Errorf("no golden case for server %q", k.Name)
		}
	}
	for _, s := range sectionTable {
		if !seen[s.name] {
			t.Errorf("no golden case for section %q", s.name)
		}
	}
}

// TestKeywordTable: names are unique where they are used, and everything that
// is said to people is there.
func TestKeywordTable(t *testing.T) {
	type place struct {
		name string
		bit  section
	}
	seen := map[place]bool{}
	for _, k := range table().all {
		if k.Help == "" || k.Sections == 0 {
			t.Errorf("%q: no help or no sections", k.Name)
		}
		if (k.Status == statusLater || k.Status == statusHarmless) && k.Cure == "" {
			t.Errorf("%q: no cure", k.Name)
		}
		if (k.Status == statusOK || k.Status == statusDeprecated) && k.Parse == nil {
			t.Errorf("%q: nothing reads it", k.Name)
		}
		for bit := secGlobal; bit < secSkipped; bit <<= 1 {
			if k.Sections&bit != 0 {
				if seen[place{k.Name, bit}] {
					t.Errorf("%q stands twice in the tables of %s", k.Name, bit)
				}
				seen[place{k.Name, bit}] = true
			}
		}
	}
	for _, k := range Keywords() {
		if k.Name == "" || k.Help == "" {
			t.Errorf("%+v: no name or no help", k)
		}
	}
}
