package docs

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// The pages of keywords are what the program prints.
func TestKeywordsPage(t *testing.T) {
	for _, dialect := range []string{"haproxy", "keepalived"} {
		t.Run(dialect, func(t *testing.T) { keywordsPage(t, dialect) })
	}
}

func keywordsPage(t *testing.T, dialect string) {
	t.Helper()
	page := "docs/" + dialect + ".md"
	cmd := exec.Command("go", "run", "./cmd/evenkeel", "keywords", dialect, "--markdown")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	made, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	kept := read(t, page)
	if string(made) == kept {
		return
	}
	old, now := strings.Split(kept, "\n"), strings.Split(string(made), "\n")
	for i := range max(len(old), len(now)) {
		a, b := "(the end)", "(the end)"
		if i < len(old) {
			a = old[i]
		}
		if i < len(now) {
			b = now[i]
		}
		if a != b {
			t.Fatalf("%s is not what the tables say (make docs): line %d is\n%s\nand should be\n%s", page, i+1, a, b)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func pages(t *testing.T) (names []string) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", "examples/*.md", "bench/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			name, _ := filepath.Rel(root, f)
			names = append(names, name)
		}
	}
	if len(names) < 5 {
		t.Fatalf("only %v found", names)
	}
	return names
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`)

func TestLinks(t *testing.T) {
	for _, name := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, name), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(name), m[1])); err != nil {
				t.Errorf("%s: %s leads nowhere", name, m[0])
			}
		}
	}
}

var treePath = regexp.MustCompile("`((?:cmd|internal|test|examples|demo|bench|scripts|docs)/[\\w./-]*)`")

// What a page names in the tree is there, and the map names every package.
func TestMap(t *testing.T) {
	for _, name := range pages(t) {
		for _, m := range treePath.FindAllStringSubmatch(read(t, name), -1) {
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
				t.Errorf("%s names %s, which is not there", name, m[1])
			}
		}
	}
	text := read(t, "docs/ARCHITECTURE.md")
	err := filepath.WalkDir(filepath.Join(root, "internal"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if d.Name() == "testdata" {
			return filepath.SkipDir
		}
		if files, _ := filepath.Glob(filepath.Join(path, "*.go")); len(files) == 0 {
			return nil
		}
		if name, _ := filepath.Rel(root, path); !strings.Contains(text, "`"+name+"`") {
			t.Errorf("docs/ARCHITECTURE.md says nothing of `%s`", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
