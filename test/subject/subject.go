package subject

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// How says what is built.
type How struct {
	// Name is by which the program is called, since it does what its name says;
	// evenkeel when empty, else a symbolic link that leads to it.
	Name string
	Race bool // with the race detector
}

// Run is a TestMain: it builds the program, tells where it is, runs the tests
// and gives their exit code.
func Run(m *testing.M, how How, built func(path string)) int {
	dir, err := os.MkdirTemp("", "ek") // short: sockets may lie below it
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	path, err := how.build(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	built(path)
	return m.Run()
}

func (how How) build(dir string) (path string, err error) {
	path = filepath.Join(dir, "evenkeel")
	args, cgo := []string{"build", "-o", path}, "CGO_ENABLED=0"
	if how.Race {
		args, cgo = append(args, "-race"), "CGO_ENABLED=1"
	}
	cmd := exec.Command("go", append(args, "evenkeel/cmd/evenkeel")...)
	cmd.Env = append(os.Environ(), cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building evenkeel: %w\n%s", err, out)
	}
	if how.Name == "" {
		return path, nil
	}
	link := filepath.Join(dir, how.Name)
	return link, os.Symlink("evenkeel", link)
}

// Output is what a process prints, which may be read while it prints more.
type Output struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
