package keepalived_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/dialect/keepalived"
	"evenkeel/internal/model"
)

// parse reads a text as the file f, with files beside it.
func parse(text string, beside map[string]string) (*model.Config, model.Diagnostics) {
	return keepalived.Parse([]keepalived.File{{Name: "f", Data: []byte(text)}}, keepalived.Options{
		ConfigID: "node",
		ReadFile: func(name string) ([]byte, error) {
			if s, ok := beside[name]; ok {
				return []byte(s), nil
			}
			return nil, os.ErrNotExist
		},
		Glob: func(pattern string) ([]string, error) {
			var out []string
			for name := range beside {
				if ok, err := filepath.Match(pattern, name); ok && err == nil {
					out = append(out, name)
				}
			}
			return out, nil
		},
		Exists: func(name string) bool { return !strings.Contains(name, "nonexistent") },
	})
}

// TestGolden compares each testdata/*.conf with the .golden beside it: the
// model as text, and the messages.
func TestGolden(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.conf")
	if len(files) < 10 {
		t.Fatalf("%d golden files", len(files))
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".conf"), func(t *testing.T) {
			input, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			got := describe(parse(string(input), map[string]string{
				"part.conf": "vrrp_script part {\n script /bin/true\n}\n", "d/a.conf": "include b.conf\n", "d/b.conf": "vrrp_script b {\n script ${_PWD}/x\n}\n",
				"loop.conf": "include loop.conf\n",
			}))
			golden := strings.TrimSuffix(f, ".conf") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s\n%s", f, difference(string(want), got))
			}
		})
	}
}

// difference shows the lines that are not in both texts.
func difference(want, got string) string {
	var out []string
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for _, l := range w {
		if !slices.Contains(g, l) {
			out = append(out, "- "+l)
		}
	}
	for _, l := range g {
		if !slices.Contains(w, l) {
			out = append(out, "+ "+l)
		}
	}
	return strings.Join(out, "\n")
}

// describe is a configuration as readable text: what is not as in an empty
// one, then the messages.
func describe(cfg *model.Config, diags model.Diagnostics) string {
	var b strings.Builder
	empty, _ := parse("", nil)
	dump(&b, "", reflect.ValueOf(*cfg.Failover), reflect.ValueOf(*empty.Failover))
	for _, d := range diags {
		fmt.Fprintf(&b, "%s: %s\n", [...]string{"notice", "warning", "error"}[d.Severity], d)
	}
	return strings.ReplaceAll(b.String(), workingDirectory(), "DIR")
}

func workingDirectory() string {
	dir, _ := os.Getwd()
	return dir
}

// plain are types that print as one word.
func plain(v reflect.Value) (string, bool) {
	switch x := v.Interface().(type) {
	case model.Pos:
		return "", true
	case time.Duration:
		return x.String(), true
	case netip.Addr:
		return x.String(), true
	case netip.Prefix:
		return x.String(), true
	case model.VRRPAuth, model.Secret:
		return fmt.Sprint(x), true
	case []byte:
		return fmt.Sprintf("%x", x), true
	case []string, []int:
		return fmt.Sprintf("%q", x), true
	case map[string]string:
		var keys []string
		for k, v := range x {
			keys = append(keys, k+"="+v)
		}
		sort.Strings(keys)
		return strings.Join(keys, " "), true
	}
	switch v.Kind() {
	case reflect.Struct, reflect.Slice, reflect.Pointer:
		return "", false
	case reflect.String:
		return fmt.Sprintf("%q", v.String()), true
	}
	return fmt.Sprint(v.Interface()), true
}

func dump(b *strings.Builder, indent string, v, base reflect.Value) {
	for i := range v.NumField() {
		name, f := v.Type().Field(i).Name, v.Field(i)
		if f.Type() == reflect.TypeFor[model.Pos]() || f.IsZero() && (!base.IsValid() || base.Field(i).IsZero()) {
			continue
		}
		if base.IsValid() && reflect.DeepEqual(f.Interface(), base.Field(i).Interface()) {
			continue
		}
		dumpField(b, indent, name, f)
	}
}

func dumpField(b *strings.Builder, indent, name string, f reflect.Value) {
	if s, ok := plain(f); ok {
		fmt.Fprintf(b, "%s%s %s\n", indent, name, s)
		return
	}
	switch f.Kind() {
	case reflect.Pointer:
		if f.Elem().Kind() != reflect.Struct {
			fmt.Fprintf(b, "%s%s %v\n", indent, name, f.Elem().Interface())
			return
		}
		dumpField(b, indent, name, f.Elem())
	case reflect.Slice:
		for i := range f.Len() {
			dumpField(b, indent, name, f.Index(i))
		}
	default:
		fmt.Fprintf(b, "%s%s\n", indent, name)
		dump(b, indent+"  ", f, baseline(f))
	}
}

// baseline is an instance, or another block, of which nothing is said: what it
// has is not printed again and again.
func baseline(f reflect.Value) reflect.Value {
	if f.Type() != reflect.TypeFor[model.VRRPInstance]() {
		return reflect.Value{}
	}
	cfg, _ := parse("vrrp_instance x {\n virtual_router_id 1\n interface eth0\n}\n", nil)
	base := reflect.ValueOf(*cfg.Failover.Instances[0])
	return base
}

// TestEveryKeywordHasAGoldenCase keeps tables and golden files together.
func TestEveryKeywordHasAGoldenCase(t *testing.T) {
	seen := map[string]bool{}
	files, _ := filepath.Glob("testdata/*.conf")
	for _, f := range append(files, "testdata/verdicts.txt") {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer(`\n`, "\n", "{", " ", "}", " ", "\t", "\n").Replace(string(data))
		for _, line := range strings.Split(text, "\n") {
			if words := strings.Fields(line); len(words) > 0 {
				seen[words[0]] = true
			}
		}
	}
	for _, k := range keepalived.Keywords() {
		if k.Sections != nil && !seen[k.Name] {
			t.Errorf("no golden case and no snippet for '%s' of %v", k.Name, k.Sections)
		}
	}
}

// TestNoSecretIsTold: a password is in no message, whatever is wrong with it,
// and in no form in which the model prints.
func TestNoSecretIsTold(t *testing.T) {
	for _, auth := range []string{
		"auth_type PASS\n auth_pass Sesame99", "auth_pass Sesame99", "auth_type AH\n auth_pass Sesame99extra", "auth_type X\n auth_pass Sesame99",
		"auth_type PASS\n auth_pass Sesame99 more", "auth_type PASS\n auth_pass Sesame99#x", "auth_type PASS\n auth_pass Sesame99 {\n }", "auth_type PASS\n auth_passw Sesame99",
		"auth_type PASS\n auth_pass \"Sesame99", "auth_type PASS\n auth_pass {\n Sesame99\n }",
	} {
		for _, more := range []string{"", " version 3\n", " strict_mode\n"} {
			cfg, diags := parse("vrrp_instance a {\n interface eth0\n virtual_router_id 5\n"+more+" authentication {\n "+auth+"\n }\n}\n", nil)
			told := fmt.Sprintf("%v %+v", diags, diags)
			for _, i := range cfg.Failover.Instances {
				told += fmt.Sprintf("%v %+v %#v", *i, *i, *i)
			}
			if strings.Contains(told, "Sesame") || strings.Contains(told, "83 101 115") || strings.Contains(told, "0x53, 0x65") {
				t.Errorf("%q: the password is told: %s", auth, told)
			}
			for _, d := range diags {
				lines := strings.Split("vrrp_instance a {\n interface eth0\n virtual_router_id 5\n"+more+" authentication {\n "+auth+"\n }\n}\n", "\n")
				if d.Pos.Line > 0 && d.Pos.Line <= len(lines) && strings.Contains(lines[d.Pos.Line-1], "Sesame") && !d.Secret {
					t.Errorf("%q: the line with the password would be shown for %v", auth, d)
				}
			}
		}
	}
}

func TestRecognises(t *testing.T) {
	d := keepalived.Dialect()
	for text, want := range map[string]bool{
		"": false, "! Configuration File for keepalived\n\nglobal_defs {\n": true, "vrrp_instance x{\n": true, "include /etc/keepalived/conf.d/*.conf\n": true,
		"global\n daemon\n": false, "$X=1\n": true, "@a global_defs {\n": true, "listen x\n bind :80\n": false, "~SEQ(A,1,2) vrrp_script $A {\n": true,
	} {
		if got := d.Recognises(keepalived.File{Name: "x", Data: []byte(text)}); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	if !d.Recognises(keepalived.File{Name: "/etc/keepalived/keepalived.conf"}) {
		t.Error("not by its name")
	}
}

func TestKeywordTable(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range keepalived.Keywords() {
		if k.Name == "" || k.Help == "" {
			t.Errorf("%+v: no name or no help", k)
		}
		if (k.Status == "no effect" || k.Status == "deprecated") && k.Cure == "" {
			t.Errorf("'%s' has no cure", k.Name)
		}
		for _, s := range k.Sections {
			if seen[k.Name+" in "+s] {
				t.Errorf("'%s' stands twice in the tables of %s", k.Name, s)
			}
			seen[k.Name+" in "+s] = true
		}
	}
}
