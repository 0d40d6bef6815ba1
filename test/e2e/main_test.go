package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// program is what runs the configurations of the tests.
type program struct {
	name string
	path string
}

var (
	evenkeel = program{name: "evenkeel"}
	// peer is HAProxy; its path is empty where it is not installed, or not the
	// release that the expectations were taken from.
	peer = program{name: "haproxy"}
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ek")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	args := []string{"build", "-o", filepath.Join(dir, "evenkeel")}
	env := append(os.Environ(), "CGO_ENABLED=0")
	if os.Getenv("EVENKEEL_E2E_RACE") != "" {
		args = append(args, "-race")
		env = append(os.Environ(), "CGO_ENABLED=1")
	}
	build := exec.Command("go", append(args, "evenkeel/cmd/evenkeel")...)
	build.Env = env
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s%v\n", out, err)
		return 1
	}
	evenkeel.path = filepath.Join(dir, "haproxy")
	if err := os.Symlink("evenkeel", evenkeel.path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	peer.path = findPeer()
	return m.Run()
}

func findPeer() string {
	const path = "/usr/sbin/haproxy"
	out, err := exec.Command(path, "-v").Output()
	if err != nil || !strings.HasPrefix(string(out), "HAProxy version 2.6.") {
		return ""
	}
	return path
}

// programs are those that run here.
func programs() []program {
	if peer.path == "" {
		return []program{evenkeel}
	}
	return []program{evenkeel, peer}
}
