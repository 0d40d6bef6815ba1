package haproxy_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"evenkeel/internal/dialect/haproxy"
	"evenkeel/internal/model"
	"evenkeel/internal/plan"
)

// comparison is one line of testdata/rules/valid.table: what HAProxy 2.6 and
// evenkeel say of a snippet, where it stands, and why they differ if they do.
type comparison struct {
	line          int
	theirs, ours  bool
	where         string // f: frontend, b: backend
	text, because string
}

func comparisons(t *testing.T) []comparison {
	t.Helper()
	f, err := os.Open("testdata/rules/valid.table")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []comparison
	s := bufio.NewScanner(f)
	for n := 1; s.Scan(); n++ {
		line := s.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		c := comparison{line: n}
		c.theirs, c.ours, c.where = line[0] == '+', line[1] == '+', line[3:4]
		c.text, c.because, _ = strings.Cut(line[5:], " ## ")
		if c.theirs != c.ours && c.because == "" {
			t.Errorf("line %d: a difference has no reason: %s", n, c.text)
		}
		out = append(out, c)
	}
	return out
}

// config puts a snippet into a file that is valid without it. Lines are parted
// by ";;".
func (c comparison) config() string {
	snippet := strings.ReplaceAll(c.text, ";;", "\n")
	front, back := "", ""
	if c.where == "f" {
		front = snippet
	} else {
		back = snippet
	}
	return fmt.Sprintf(`global
	log 127.0.0.1:514 local0
defaults
	mode http
	log global
	timeout connect 1s
	timeout client 1s
	timeout server 1s
userlist ul
	user a insecure-password b
frontend f
	bind 127.0.0.1:1
	%s
	default_backend b
backend b
	%s
	server s 127.0.0.1:2
`, front, back)
}

// check is what evenkeel says.
func check(config string) model.Diagnostics {
	cfg, diags := haproxy.Parse([]haproxy.File{{Name: "c.cfg", Data: []byte(config)}}, haproxy.Options{})
	if diags.HasErrors() {
		return diags
	}
	_, planned := plan.Build(cfg)
	return append(append(diags, planned...), plan.CompileAll(cfg)...)
}

func TestValidTable(t *testing.T) {
	table := comparisons(t)
	if len(table) < 120 {
		t.Errorf("only %d lines", len(table))
	}
	for _, c := range table {
		diags := check(c.config())
		if diags.HasErrors() == c.ours {
			t.Errorf("valid.table:%d: %s\n  want valid=%v, got %v", c.line, c.text, c.ours, diags)
		}
		for _, d := range diags {
			if d.Severity == model.Error && d.Pos.Col == 0 {
				t.Errorf("valid.table:%d: %s: an error without a column: %v", c.line, c.text, d)
			}
		}
	}
}

// TestValidTableAgainstHAProxy asks the installed HAProxy the same.
func TestValidTableAgainstHAProxy(t *testing.T) {
	program, err := exec.LookPath("/usr/sbin/haproxy")
	if err != nil || testing.Short() {
		t.Skip("no HAProxy to compare with")
	}
	version, _ := exec.Command(program, "-v").Output()
	if !strings.Contains(string(version), "version 2.6") {
		t.Skip("the table is about HAProxy 2.6")
	}
	file := filepath.Join(t.TempDir(), "c.cfg")
	for _, c := range comparisons(t) {
		if err := os.WriteFile(file, []byte(c.config()), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(program, "-c", "-f", file).CombinedOutput()
		if (err == nil) != c.theirs {
			t.Errorf("valid.table:%d: %s\n  want valid=%v, HAProxy says:\n%s", c.line, c.text, c.theirs, out)
		}
	}
}
