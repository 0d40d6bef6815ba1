package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	maxFileLines = 800
	// maxFuncLines is the declaration from its func to its closing brace.
	maxFuncLines = 110
)

// tall names functions that may be longer, with the reason.
var tall = map[string]string{}

func TestSizes(t *testing.T) {
	for _, p := range packages(t) {
		from := strings.TrimPrefix(p.ImportPath, module)
		files, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			name := filepath.Join(from, filepath.Base(path))
			lines, functions := measure(t, path)
			if lines >= maxFileLines {
				t.Errorf("%s has %d lines: cut it below %d by what its parts are about", name, lines, maxFileLines)
			}
			if strings.HasSuffix(path, "_test.go") {
				continue // a table of cases may be as long as it has to
			}
			for f, n := range functions {
				if n >= maxFuncLines && tall[name+" "+f] == "" {
					t.Errorf("%s: %s has %d lines: cut it below %d", name, f, n, maxFuncLines)
				}
			}
		}
	}
}

func measure(t *testing.T, path string) (lines int, functions map[string]int) {
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	functions = map[string]int{}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
			functions[f.Name.Name] = max(functions[f.Name.Name], set.Position(f.End()).Line-set.Position(f.Pos()).Line+1)
		}
	}
	return strings.Count(string(source), "\n"), functions
}

// Every package says in one place what it owns and what it never does.
func TestPackageComments(t *testing.T) {
	for _, p := range packages(t) {
		from := strings.TrimPrefix(p.ImportPath, module)
		var with []string
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			if file.Doc != nil {
				with = append(with, name)
			}
		}
		switch {
		case len(with) == 0:
			t.Errorf("%s has no package comment: say what it owns and what it never does, in doc.go", from)
		case len(with) > 1:
			t.Errorf("%s has package comments in %v: keep one", from, with)
		case with[0] != "doc.go" && with[0] != filepath.Base(from)+".go" && strings.HasPrefix(from, "internal/"):
			t.Errorf("%s: its package comment is in %s, where nobody looks: move it to doc.go", from, with[0])
		}
	}
}

// Names that say nothing collect everything.
func TestNoMiscellany(t *testing.T) {
	for _, p := range packages(t) {
		switch name := filepath.Base(p.ImportPath); name {
		case "util", "utils", "common", "helpers", "misc", "shared", "lib", "base":
			t.Errorf("%s: name a package by what it owns", p.ImportPath)
		}
	}
}
