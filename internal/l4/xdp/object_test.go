package xdp

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Users get the committed objects, so these have to be what the sources say.
func TestObjectsAreWhatTheSourcesSay(t *testing.T) {
	clang, err := exec.LookPath("clang")
	if err != nil {
		t.Skip("no clang here")
	}
	version, err := exec.Command(clang, "--version").Output()
	if err != nil || !strings.Contains(string(version), "version 14.") {
		t.Skipf("the objects are made by clang 14, this is %s", strings.SplitN(string(version), "\n", 2)[0])
	}
	copied := t.TempDir()
	source, err := os.ReadFile("generate.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(source), "\n") {
		command, ok := strings.CutPrefix(line, "//go:generate go run ")
		if !ok {
			continue
		}
		words := strings.Fields(strings.ReplaceAll(command, `"`, ""))
		name, file := words[len(words)-2], words[len(words)-1]
		arguments := strings.SplitN(command, `"`, 3)
		generate := exec.Command("go", append([]string{"run", words[0]}, generatorArguments(arguments, copied, name, file)...)...)
		if out, err := generate.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		object := name + "_bpfel.o"
		want, err := os.ReadFile(filepath.Join(copied, object))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(object)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what %s says: run go generate ./internal/l4/xdp and commit it", object, file)
		}
	}
}

// generatorArguments are those of the line, with another place for the output.
func generatorArguments(parts []string, directory, name, file string) []string {
	before := strings.Fields(parts[0])[1:]
	arguments := append(before[:len(before)-1:len(before)-1], "-output-dir", directory, "-cflags", parts[1])
	return append(arguments, name, file)
}
