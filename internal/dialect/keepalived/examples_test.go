package keepalived_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"evenkeel/internal/model"
)

// TestSamples: the samples that come with keepalived are read without an error,
// where they are installed.
func TestSamples(t *testing.T) {
	files, _ := filepath.Glob("/usr/share/doc/keepalived/samples/keepalived.conf.*")
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil || strings.HasSuffix(f, ".gz") {
			continue
		}
		cfg, diags := parse(string(data), nil)
		for _, d := range diags {
			if d.Severity == model.Error {
				t.Errorf("%s: %v", filepath.Base(f), d)
			}
		}
		if len(cfg.Failover.Instances)+len(cfg.Failover.VirtualServers) == 0 {
			t.Errorf("%s: nothing was found in it", f)
		}
	}
}

// TestExamples: every file under examples/keepalived is read without a word,
// and the two of a pair fit each other.
func TestExamples(t *testing.T) {
	files, _ := filepath.Glob("../../../examples/keepalived/*.conf")
	if len(files) < 11 {
		t.Fatalf("%d examples", len(files))
	}
	pairs := map[string][]*model.Failover{}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		cfg, diags := parse(strings.ReplaceAll(string(data), "node1", "node"), nil)
		for _, d := range diags {
			t.Errorf("%s: %v", filepath.Base(f), d)
		}
		if len(cfg.Failover.Instances) == 0 {
			t.Errorf("%s: no instance", f)
		}
		name, _, _ := strings.Cut(filepath.Base(f), ".")
		pairs[name] = append(pairs[name], cfg.Failover)
	}
	for name, pair := range pairs {
		if name == "one-file" {
			continue
		}
		if len(pair) != 2 {
			t.Fatalf("%s: %d files", name, len(pair))
		}
		for i, a := range pair[0].Instances {
			b := pair[1].Instances[i]
			if a.VRID != b.VRID || a.Version != b.Version || a.AdvertInt != b.AdvertInt || a.Auth.Type != b.Auth.Type ||
				a.Auth.Password != b.Auth.Password || a.Priority == b.Priority || len(a.Addresses) != len(b.Addresses) {
				t.Errorf("%s: instance '%s' differs where it must not, or does not where it must", name, a.Name)
			}
		}
	}
}
