package subject

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

var path string

func TestMain(m *testing.M) {
	code := Run(m, How{Name: "haproxy"}, func(built string) { path = built })
	if _, err := os.Stat(filepath.Dir(path)); !os.IsNotExist(err) {
		fmt.Fprintf(os.Stderr, "%s is left: %v\n", filepath.Dir(path), err)
		code = 1
	}
	os.Exit(code)
}

// The program answers by the name that was asked for.
func TestRun(t *testing.T) {
	if filepath.Base(path) != "haproxy" {
		t.Errorf("it is at %s", path)
	}
	out := &Output{}
	cmd := exec.Command(path, "-v")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil || out.String() == "" {
		t.Errorf("%v: %q", err, out)
	}
}

// Several processes may print to one, and somebody read meanwhile.
func TestOutput(t *testing.T) {
	out := &Output{}
	var done sync.WaitGroup
	for range 10 {
		done.Go(func() {
			fmt.Fprint(out, "12345")
			_ = out.String()
		})
	}
	done.Wait()
	if got := out.String(); len(got) != 50 {
		t.Errorf("got %q", got)
	}
}
