package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"evenkeel/test/subject"
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

func TestMain(m *testing.M) {
	how := subject.How{Name: peer.name, Race: os.Getenv("EVENKEEL_E2E_RACE") != ""}
	os.Exit(subject.Run(m, how, func(path string) { evenkeel.path, peer.path = path, findPeer() }))
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
