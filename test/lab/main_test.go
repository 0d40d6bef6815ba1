package lab

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"evenkeel/test/subject"
)

// program is the evenkeel under test.
var program string

func TestMain(m *testing.M) {
	os.Exit(subject.Run(m, subject.How{}, func(path string) { program = path }))
}

// place is where a test has its labs: names of its own, so that nothing that
// runs on this machine is in the way.
type place struct {
	t      *testing.T
	dir    string
	prefix string
	table  string // what the first drills printed
}

func newPlace(t *testing.T) *place {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	for _, need := range []string{"keepalived", "haproxy"} {
		if _, err := os.Stat("/usr/sbin/" + need); err != nil {
			t.Skipf("%s is not installed", need)
		}
	}
	p := &place{t: t, dir: filepath.Join("/run", fmt.Sprintf("ekG%d", os.Getpid())), prefix: "ekG" + fmt.Sprint(os.Getpid()) + "-"}
	t.Cleanup(func() {
		exec.Command(program, "lab", "down", "-dir", p.dir, "-prefix", p.prefix).Run()
	})
	return p
}

// command is `evenkeel lab` with the place's flags after its first word.
func (p *place) command(word string, args ...string) *exec.Cmd {
	all := append([]string{"lab", word, "-dir", p.dir, "-prefix", p.prefix}, args...)
	return exec.Command(program, all...)
}

// lab runs a command and gives what it printed.
func (p *place) lab(word string, args ...string) (string, error) {
	p.t.Helper()
	var out, errs bytes.Buffer
	cmd := p.command(word, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, errs.String())
	}
	return out.String(), err
}

// must is lab that has to go well.
func (p *place) must(word string, args ...string) string {
	p.t.Helper()
	out, err := p.lab(word, args...)
	if err != nil {
		p.t.Fatalf("lab %s %s: %v\n%s", word, strings.Join(args, " "), err, out)
	}
	return out
}

// traces lists what there is of the place's labs on this machine.
func (p *place) traces() (found []string) {
	p.t.Helper()
	names, _ := filepath.Glob("/run/netns/" + p.prefix + "*")
	found = append(found, names...)
	if _, err := os.Stat(p.dir); err == nil {
		found = append(found, p.dir)
	}
	marks, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, m := range marks {
		b, err := os.ReadFile(m)
		if err == nil && bytes.Contains(b, []byte("EVENKEEL_LAB="+p.prefix)) {
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(m), "cmdline"))
			found = append(found, m+" "+string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, p.prefix) || strings.Contains(line, p.dir+"/") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// begun says whether a lab is at least being made. It looks for no processes:
// on a busy machine that takes longer than a lab needs to come up.
func (p *place) begun() bool {
	names, _ := filepath.Glob("/run/netns/" + p.prefix + "*")
	return len(names) > 0
}

// clean fails the test when anything is left.
func (p *place) clean() {
	p.t.Helper()
	if found := p.traces(); len(found) > 0 {
		p.t.Errorf("left behind:\n%s", strings.Join(found, "\n"))
	}
}

// until waits for a condition.
func (p *place) until(what string, is func() bool) {
	p.t.Helper()
	for end := time.Now().Add(90 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("waited in vain for %s", what)
		}
	}
}

func example(name string) string {
	return filepath.Join("..", "..", "examples", "lab", name, "lab.conf")
}

// interval is the time between advertisements in these tests: a machine that
// has no time for a tenth of a second may let a backup wait in vain for three
// advertisements that are 50 ms apart, and then it is right to take over.
const interval = 300 * time.Millisecond

var advertInterval = regexp.MustCompile(`advert_int \S+`)

// slower is an example with that interval, in a directory of the test's.
func slower(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	files, err := filepath.Glob(filepath.Join(filepath.Dir(example(name)), "*"))
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		changed += len(advertInterval.FindAll(text, -1))
		text = advertInterval.ReplaceAll(text, fmt.Appendf(nil, "advert_int %g", interval.Seconds()))
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(f)), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if changed == 0 {
		t.Fatalf("there is no advert_int in %s", name)
	}
	return filepath.Join(dir, "lab.conf")
}
