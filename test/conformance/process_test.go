package conformance

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// run runs a program to its end.
func run(t *testing.T, env []string, program string, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), env...)
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return b.String(), code
}

// TestConditions compares haproxy -cc. Left out is what evenkeel answers as it
// has to: features that it does not have (LUA, NS, ZLIB, SLZ), and functions of
// HAProxy 3.0 that 2.6 does not know (strstr, enabled).
func TestConditions(t *testing.T) {
	needPeer(t)
	for _, c := range []string{"true", "false", "1", "0", "2", "feature(OPENSSL)", "feature(QUIC)", "feature(NOSUCH)", "feature(THREAD)",
		"version_atleast(2.4-dev0)", "version_atleast(1.8)", "version_atleast(99.0)", "version_before(99.0)", "version_before(2.0)", "defined(HOME)", "defined(NOSUCHVAR)", "streq(a,a)", "streq(a,b)", "strneq(a,b)", "strneq(a,a)",
		"!defined(NOSUCHVAR)", "true && false", "true || false", "(true || false) && true", "!true", "!(true && false)", "streq(\"$HOME\",\"$HOME\")", "streq($HOME,/root)", "openssl_version_atleast(1.1.1)", "openssl_version_before(1.0.0)", "ssllib_name_startswith(OpenSSL)",
		"nosuch(1)", "streq(a", "true true", "&& true", "true &&", "(true"} {
		want, wantCode := run(t, nil, peer, "-cc", c)
		got, gotCode := run(t, nil, ours, "-cc", c)
		if (wantCode == 0) != (gotCode == 0) || wantCode != gotCode || (want == "") != (got == "") {
			t.Errorf("-cc %q: HAProxy %d %q, evenkeel %d %q", c, wantCode, want, gotCode, got)
		}
	}
}

// TestCheck compares haproxy -c: the verdict, and where messages point to.
// Old forms that HAProxy refuses and evenkeel takes with a warning are elsewhere,
// as are numbers that HAProxy reads as zero.
func TestCheck(t *testing.T) {
	needPeer(t)
	proxies := "defaults\n mode http\n timeout client 1s\n timeout server 1s\n timeout connect 1s\n"
	for name, texts := range map[string][]string{
		"good":        {proxies + "listen l\n bind 127.0.0.1:1\n server s 127.0.0.1:2\n"},
		"no timeouts": {"listen l\n bind 127.0.0.1:1\n server s 127.0.0.1:2\n"},
		"unknown":     {"global\n nosuch word\n"},
		"two files":   {proxies, "listen l\n bind 127.0.0.1:1\n server s 127.0.0.1:2\n"},
		"error in 2":  {proxies, "listen l\n bind 127.0.0.1:1\n serve s 127.0.0.1:2\n"},
		"if blocks":   {".if defined(TESTVAR) && streq(\"$TESTVAR\",yes)\n" + proxies + "listen l\n bind 127.0.0.1:1\n.else\nnosuch\n.endif\n.if !defined(TESTVAR)\nnosuch\n.elif true\n.notice \"hello\"\n.else\nnosuch\n.endif\n"},
		"diag":        {".warning \"careful\"\n" + proxies + "listen l\n bind 127.0.0.1:1\n"},
		"alert":       {".alert \"stop\"\n"},
		"open if":     {".if true\n" + proxies},
		"env":         {proxies + "listen \"${TESTVAR}x\"\n bind 127.0.0.1:\"${TESTPORT-81}\"\n server s \"127.0.0.1:${TESTPORT}\"\n"},
		"env list":    {proxies + "listen l\n bind 127.0.0.1:1\n http-request deny if { path ${TESTLIST[*]} }\n"},
		"setenv":      {"global\n setenv NEWVAR 82\n presetenv TESTVAR no\n unsetenv GONE\n" + proxies + "listen l\n bind 127.0.0.1:$NEWVAR\n bind \"127.0.0.1:$NEWVAR\"\n"},
		"no newline":  {proxies + "listen l\n bind 127.0.0.1:1"},
		"empty":       {""},
		"dup":         {proxies + "backend a\nbackend a\n"},
		"missing be":  {proxies + "frontend f\n bind 127.0.0.1:1\n default_backend nope\n"},
		"quotes":      {proxies + "listen l\n bind 127.0.0.1:1\n http-request deny if { path \"a\n"},
		"peers env":   {proxies + "listen l\n bind 127.0.0.1:1\n http-request set-header X \"$TESTVAR ${HAPROXY_LOCALPEER}\"\n"},
		"no args":     {"global\n log\n"},
		"bad bind":    {proxies + "listen l\n bind 127.0.0.1:99999\n"},
		"bad server":  {proxies + "listen l\n bind 127.0.0.1:1\n server s 127.0.0.1:2 nosuch\n"},
		"bad acl":     {proxies + "listen l\n bind 127.0.0.1:1\n acl a nosuch b\n http-request deny if b\n"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			args := []string{"-c"}
			for i, text := range texts {
				path := filepath.Join(dir, string(rune('a'+i))+".cfg")
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				args = append(args, "-f", path)
			}
			env := []string{"TESTVAR=yes", "TESTPORT=83", "TESTLIST=/a /b"}
			want, wantCode := run(t, env, peer, args...)
			got, gotCode := run(t, env, ours, args...)
			for _, p := range places(want) {
				if !slices.Contains(places(got), p) {
					t.Errorf("no message for %s", p)
				}
			}
			if wantCode != gotCode {
				t.Errorf("HAProxy %d\n%s\nevenkeel %d\n%s", wantCode, want, gotCode, got)
			}
		})
	}
}

var place = regexp.MustCompile(`\[(ALERT|WARNING)\] .*?\[(?:[^\]]*/)?([^/\]]+:\d+)\]`)

// places are the severities, files and lines of messages, each once.
func places(s string) []string {
	var out []string
	seen := map[string]bool{}
	for _, m := range place.FindAllStringSubmatch(s, -1) {
		if p := m[1] + " " + m[2]; !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	return out
}

// TestDaemon starts a daemon with a pidfile, and takes its place with -sf.
func TestDaemon(t *testing.T) {
	needPeer(t)
	for _, program := range []string{peer, ours} {
		d := newDirector(t, program)
		pidfile := filepath.Join(d.dir, "pid")
		sock := filepath.Join(d.dir, "sock")
		cfg := d.file("d.cfg", "global\n stats socket "+sock+" level admin expose-fd listeners\ndefaults\n mode http\n timeout client 1s\n timeout server 1s\n timeout connect 1s\nlisten l\n bind unix@"+filepath.Join(d.dir, "l")+"\n http-request return status 200\n")
		out, code := run(t, nil, program, "-D", "-f", cfg, "-p", pidfile)
		if code != 0 {
			t.Fatalf("%s -D: %d %s", program, code, out)
		}
		first := readPid(t, pidfile, "")
		out, code = run(t, nil, program, "-D", "-f", cfg, "-p", pidfile, "-x", sock, "-sf", first)
		if code != 0 {
			t.Errorf("%s -sf: %d %s", program, code, out)
		}
		second := readPid(t, pidfile, first)
		deadline := time.Now().Add(30 * time.Second)
		for alive(first) && time.Now().Before(deadline) {
			time.Sleep(20 * time.Millisecond)
		}
		if alive(first) {
			t.Errorf("%s: the old process is still there", program)
		}
		if !alive(second) {
			t.Errorf("%s: the new process is gone", program)
		}
		exec.Command("kill", second).Run()
	}
}

func alive(pid string) bool {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !strings.Contains(string(b), ") Z ")
}

func readPid(t *testing.T, path, old string) string {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		b, _ := os.ReadFile(path)
		if pid := strings.TrimSpace(string(b)); pid != "" && pid != old {
			return strings.Fields(pid)[0]
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("no pidfile")
	return ""
}
