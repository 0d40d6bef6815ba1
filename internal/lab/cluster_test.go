package lab

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

// Whoever reads a file while it is written again reads all of it.
func TestReplaceFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := replaceFile(path, []byte("the first"), 0o755); err != nil {
		t.Fatal(err)
	}
	reader, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := replaceFile(path, []byte("another"), 0o644); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(reader); err != nil || string(b) != "the first" {
		t.Errorf("who reads meanwhile gets %q, %v", b, err)
	}
	b, err := os.ReadFile(path)
	if err != nil || string(b) != "another" {
		t.Errorf("who reads later gets %q, %v", b, err)
	}
	if s, err := os.Stat(path); err != nil || s.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v", s.Mode(), err)
	}
	if list, err := os.ReadDir(filepath.Dir(path)); err != nil || len(list) != 1 {
		t.Errorf("left: %v, %v", list, err)
	}
}
