package haproxy_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"evenkeel/internal/dialect/haproxy"
	"evenkeel/internal/model"
	"evenkeel/internal/plan"
)

const haproxyPath = "/usr/sbin/haproxy"

// snippet is one configuration and what it is worth.
type snippet struct {
	where string // g, d, f, b: added to that section of the frame; raw: the whole file
	text  string
	ok    bool
	// differs is why HAProxy's verdict is the other one; "": it is the same.
	differs string
}

// The deliberate differences.
const (
	oldForm = "an old form that HAProxy has thrown out and evenkeel still reads"
	laterOn = "a feature that is not built yet"
	strict  = "HAProxy takes it in silence; evenkeel says what is wrong"
	newer   = "HAProxy 3.0 knows it, 2.6 does not"
	noLimit = "evenkeel has no such limit"
)

// frame puts a snippet into a file that is valid without it.
func (s snippet) frame() string {
	if s.where == "raw" {
		return s.text
	}
	at := map[string]string{}
	at[s.where] = s.text + "\n"
	return "global\n node frame\n" + at["g"] +
		"defaults\n mode http\n timeout connect 1s\n timeout client 1s\n timeout server 1s\n" + at["d"] +
		"userlist users\n group admins\n user joe insecure-password secret groups admins\n" +
		"frontend f\n bind 127.0.0.1:15990\n default_backend b\n" + at["f"] +
		"backend b\n server s1 127.0.0.1:15991\n server s2 127.0.0.1:15992\n" + at["b"] +
		"backend other\n server s1 127.0.0.1:15993\n" + at["o"] +
		"listen tcp\n mode tcp\n bind 127.0.0.1:15994\n server s1 127.0.0.1:15995\n" + at["t"]
}

// ours is evenkeel's verdict: what `evenkeel haproxy -c` finds.
func ours(t *testing.T, name, text string) (bool, model.Diagnostics) {
	t.Helper()
	cfg, d := haproxy.Parse([]haproxy.File{{Name: name, Data: []byte(text)}}, haproxy.Options{})
	if !d.HasErrors() {
		_, more := plan.Build(cfg)
		d = append(d, more...)
	}
	if !d.HasErrors() {
		d = append(d, plan.CompileAll(cfg)...)
	}
	return !d.HasErrors(), d
}

// theirs is HAProxy's verdict.
func theirs(t *testing.T, path string) (bool, string) {
	t.Helper()
	out, err := exec.Command(haproxyPath, "-c", "-f", path).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return err == nil || bytes.Contains(out, []byte("Configuration file has no error")), string(out)
}

func TestVerdictsAgreeWithHAProxy(t *testing.T) {
	_, err := os.Stat(haproxyPath)
	compare := err == nil && !testing.Short()
	if len(snippets) < 150 {
		t.Errorf("%d snippets, want at least 150", len(snippets))
	}
	dir := t.TempDir()
	for _, name := range []string{"503.http", "empty.http"} {
		data := ""
		if name == "503.http" {
			data = "HTTP/1.0 503 Service Unavailable\r\nContent-Type: text/plain\r\n\r\nsorry\n"
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range snippets {
		text := strings.ReplaceAll(s.frame(), "@DIR@", dir)
		path := filepath.Join(dir, "c.cfg")
		got, d := ours(t, path, text)
		if got != s.ok {
			t.Errorf("%s: %q: evenkeel says %v, want %v: %v", s.where, s.text, got, s.ok, d)
		}
		for _, x := range d {
			if x.Severity == model.Error && x.Pos.Line == 0 {
				t.Errorf("%s: %q: no position: %v", s.where, s.text, x)
			}
		}
		if !compare {
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		want, out := theirs(t, path)
		if s.differs == "" && want != s.ok || s.differs != "" && want == s.ok {
			t.Errorf("%s: %q: HAProxy says %v (differs: %q)\n%s\nevenkeel: %v", s.where, s.text, want, s.differs, out, d)
		}
	}
}
