package conformance

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// peer is the real HAProxy.
const peer = "/usr/sbin/haproxy"

// ours is a symbolic link called haproxy that leads to a fresh evenkeel.
var ours string

func TestMain(m *testing.M) {
	flag.Parse()
	// Scenarios mostly wait: for time-outs, and for answers that must not come.
	flag.Set("test.parallel", "20")
	code, err := build(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

func build(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "conformance")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	bin := filepath.Join(dir, "evenkeel")
	cmd := exec.Command("go", "build", "-o", bin, "evenkeel/cmd/evenkeel")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("cannot build evenkeel: %w\n%s", err, out)
	}
	ours = filepath.Join(dir, "haproxy")
	if err := os.Symlink(bin, ours); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// needPeer skips where there is no HAProxy to compare with; make test installs
// it where it may.
func needPeer(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(peer); err != nil {
		t.Skipf("no HAProxy to compare with: %v", err)
	}
}
