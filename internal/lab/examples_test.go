package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Every example is valid for the real programs, on both directors and in all
// states that drills bring it into.
func TestExamples(t *testing.T) {
	const home = "../../examples/lab"
	entries, err := os.ReadDir(home)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		dir := filepath.Join(home, e.Name())
		top, err := ReadTopology(filepath.Join(dir, "lab.conf"))
		if err != nil {
			t.Error(err)
			continue
		}
		if other := names[top.Name]; other != "" {
			t.Errorf("%s and %s are both called %s", other, dir, top.Name)
		}
		names[top.Name] = dir
		if top.Description == "" {
			t.Errorf("%s: a comment at its head says what it shows", dir)
		}
		for i, d := range top.Directors {
			for _, software := range []Software{Evenkeel, Keepalived} {
				unchanged := render(t, dir, top.Keepalived, func() (string, error) {
					return renderFile(dir, top.Keepalived, top.View(i, "/nowhere", string(software), false))
				})
				changed := render(t, dir, top.Keepalived, func() (string, error) {
					return renderFile(dir, top.Keepalived, top.View(i, "/nowhere", string(software), true))
				})
				if unchanged == changed {
					t.Errorf("%s: .Changed changes nothing, so reload-change would show nothing", dir)
				}
				render(t, dir, top.Haproxy, func() (string, error) {
					return renderFile(dir, top.Haproxy, top.View(i, "/nowhere", string(software), false))
				})
				for _, f := range top.Files {
					render(t, dir, f.Path, func() (string, error) {
						return renderFile(dir, f.Path, top.View(i, "/nowhere", string(software), false))
					})
				}
			}
			if d.Name == "" {
				t.Errorf("%s: director %d has no name", dir, i)
			}
		}
		valid(t, dir, "haproxy", []string{"-c", "-f"}, render(t, dir, top.Haproxy, func() (string, error) {
			return renderFile(dir, top.Haproxy, top.View(0, "/nowhere", string(Keepalived), false))
		}), "")
		// Interfaces of the node are not here: that is all keepalived may miss.
		valid(t, dir, "keepalived", []string{"-t", "-f"}, render(t, dir, top.Keepalived, func() (string, error) {
			return renderFile(dir, top.Keepalived, top.View(0, "/nowhere", string(Keepalived), false))
		}), "eth0")
	}
	if len(names) < 7 {
		t.Errorf("only %d topologies", len(names))
	}
}

func render(t *testing.T, dir, name string, f func() (string, error)) string {
	t.Helper()
	text, err := f()
	if err != nil {
		t.Errorf("%s/%s: %v", dir, name, err)
	}
	return text
}

// valid lets the real program judge a file, where it is installed. Lines of
// its output with the word that is forgiven do not count.
func valid(t *testing.T, dir, program string, args []string, text, forgiven string) {
	t.Helper()
	path := find(program)
	if path == "" || os.Geteuid() != 0 {
		return
	}
	file := filepath.Join(t.TempDir(), program+".conf")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path, append(args, file)...).CombinedOutput()
	if err == nil {
		return
	}
	for line := range strings.Lines(string(out)) {
		if _, message, ok := strings.Cut(line, ": Line "); ok && (forgiven == "" || !strings.Contains(message, forgiven)) && !strings.Contains(line, "/nowhere/") {
			t.Errorf("%s: %s: %v\n%s", dir, program, err, out)
			return
		}
	}
	if forgiven == "" {
		t.Errorf("%s: %s: %v\n%s", dir, program, err, out)
	}
}
