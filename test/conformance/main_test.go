package conformance

import (
	"flag"
	"os"
	"testing"

	"evenkeel/test/subject"
)

// peer is the real HAProxy.
const peer = "/usr/sbin/haproxy"

// ours is a symbolic link called haproxy that leads to a fresh evenkeel.
var ours string

func TestMain(m *testing.M) {
	flag.Parse()
	// Scenarios mostly wait: for time-outs, and for answers that must not come.
	flag.Set("test.parallel", "20")
	os.Exit(subject.Run(m, subject.How{Name: "haproxy"}, func(path string) { ours = path }))
}

// needPeer skips where there is no HAProxy to compare with; make test installs
// it where it may.
func needPeer(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(peer); err != nil {
		t.Skipf("no HAProxy to compare with: %v", err)
	}
}
