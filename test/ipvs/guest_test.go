//go:build ipvs

package ipvs

import (
	"bytes"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the recordings anew")

const (
	root     = "../.."
	recorded = root + "/internal/l4/testdata/schedulers"
)

// job is what the guest does. Its status is the worst of all.
const job = `status=0
./plane.test -test.v -test.count=1 || status=1
mkdir -p out/cover
echo "== evenkeel as ipvsadm"
./evenkeel ipvsadm -A -t 10.0.0.1:80 -s wrr -p 300 && ./evenkeel ipvsadm -a -t 10.0.0.1:80 -r 10.1.0.1 -m -w 3 || status=1
ipvsadm -Ln >/tmp/theirs; ./evenkeel ipvsadm -Ln >/tmp/ours; cmp /tmp/theirs /tmp/ours || status=1
ipvsadm -L >/tmp/theirs; ./evenkeel ipvsadm -L >/tmp/ours; cmp /tmp/theirs /tmp/ours || status=1
ln -s evenkeel ipvsadm-link; mkdir links; ln -s ../evenkeel links/ipvsadm
ipvsadm -S | ./links/ipvsadm -C; ./links/ipvsadm -Sn | cmp - /dev/null || status=1
exit $status
`

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(to), 0o755)
	}
	if err == nil {
		err = os.WriteFile(to, b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// noGuest is the status of scripts/ipvs-guest when the job was not run.
const noGuest = 125

// guest runs the job of a directory and gives what it printed.
func guest(t *testing.T, dir string) string {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(root+"/scripts/ipvs-guest", dir)
	cmd.Stdout = io.MultiWriter(&log, os.Stdout)
	cmd.Stderr = os.Stderr
	err := cmd.Run()
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == noGuest {
		t.Skip("there is no guest here; the script has said why")
	}
	if err != nil {
		t.Errorf("the guest: %v", err)
	}
	return log.String()
}

func TestGuest(t *testing.T) {
	t.Parallel() // an emulated machine has one core
	dir := t.TempDir()
	run(t, "go", "test", "-tags", "ipvs", "-ldflags=-s -w", "-c", "-o", filepath.Join(dir, "plane.test"), "./internal/l4/ipvs")
	run(t, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", filepath.Join(dir, "evenkeel"), "./cmd/evenkeel")
	copyFile(t, root+"/internal/l4/ipvsadm/testdata/recorded.txt", filepath.Join(dir, "testdata/recorded.txt"))
	if err := os.WriteFile(filepath.Join(dir, "run"), []byte(job), 0o755); err != nil {
		t.Fatal(err)
	}
	log := guest(t, dir)
	if !strings.Contains(log, "--- PASS: TestSchedulers") {
		t.Fatal("no schedulers were recorded")
	}
	compare(t, filepath.Join(dir, "out/schedulers"))
}

// oldKernel is what is run of package xdp's tests: the guest is emulated, and
// the long ones would take minutes.
const oldKernel = "TestFixturesOf(Methods|Fragments|Complaints|Checksums)|TestHashingSchedulers|TestMarksAndRanges|" +
	"TestDestinations|TestNAT$|TestDR$|TestTUN$|TestClsact|" +
	"TestTablesOfMarksAreKept|TestMarkedPacketsOfTheHostItself"

// TestOldKernel runs packet forwarding where Debian 12 would: the verifier
// refuses there what later ones take, and there is no tcx.
func TestOldKernel(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, "go", "test", "-ldflags=-s -w", "-c", "-o", filepath.Join(dir, "xdp.test"), "./internal/l4/xdp")
	job := "uname -r\n./xdp.test -test.v -test.count=1 -test.run '" + oldKernel + "'\n"
	if err := os.WriteFile(filepath.Join(dir, "run"), []byte(job), 0o755); err != nil {
		t.Fatal(err)
	}
	log := guest(t, dir)
	for _, name := range []string{"TestNAT", "TestDR", "TestClsact", "TestTablesOfMarksAreKept"} {
		if !strings.Contains(log, "--- PASS: "+name) {
			t.Errorf("%s did not pass", name)
		}
	}
}

// compare holds the recordings to what the kernel chose this time.
func compare(t *testing.T, now string) {
	files, err := filepath.Glob(now + "/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings in %s (%v)", now, err)
	}
	for _, f := range files {
		golden := filepath.Join(recorded, filepath.Base(f))
		if *update {
			copyFile(t, f, golden)
			continue
		}
		got, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Errorf("%v (-update writes it)", err)
			continue
		}
		if bytes.Equal(got, want) {
			continue
		}
		a, b := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
		for i := range a {
			if i >= len(b) || a[i] != b[i] {
				t.Errorf("%s:%d: IPVS now has %q", golden, i+1, a[i])
				break
			}
		}
	}
}
