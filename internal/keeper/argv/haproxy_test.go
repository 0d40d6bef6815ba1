package argv

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		line string
		want HAProxy
		err  string
	}{
		{line: "-f a.cfg", want: HAProxy{Files: []string{"a.cfg"}}},
		{line: "-f a -f b -- c d", want: HAProxy{Files: []string{"a", "b", "c", "d"}}},
		{line: "-D -p /run/p -f a -sf 1 2 3 -q", want: HAProxy{Daemon: true, Quiet: true, Pidfile: "/run/p", Files: []string{"a"}, OldPids: []int{1, 2, 3}}},
		{line: "-f a -st 7", want: HAProxy{Files: []string{"a"}, OldPids: []int{7}, OldNow: true}},
		{line: "-f a -sf", want: HAProxy{Files: []string{"a"}}},
		{line: "-f a -sf x", err: "-sf option: some bytes unconsumed in PID list {x}"},
		{line: "-f a -sf 0", err: "-sf option: invalid PID 0"},
		{line: "-Ws -f a -S /run/m,mode,600", want: HAProxy{Master: true, Notify: true, Files: []string{"a"}, MasterCLI: "/run/m,mode,600"}},
		{line: "-f a -S /run/m", want: HAProxy{Files: []string{"a"}}},
		{line: "-c -V -f a -n 100 -N 5 -m 64 -L me -C /etc -x /run/s",
			want: HAProxy{Check: true, Verbose: true, Files: []string{"a"}, MaxConn: 100, MaxProxyConn: 5, MaxMemory: 64, Localpeer: "me", ChangeDir: "/etc", OldSocket: "/run/s"}},
		{line: "-n abc -f a", want: HAProxy{Files: []string{"a"}}},
		{line: "-n 12x -f a", want: HAProxy{Files: []string{"a"}, MaxConn: 12}},
		{line: "-de -dp -dS -dG -dR -dr -dV -dM -dM0x50 -dMno-merge -dt -dtall -dW -dD -dL -dZ -dk -dC -f a",
			want: HAProxy{Files: []string{"a"}, NoEpoll: true, NoPoll: true, NoSplice: true, NoGetaddrinfo: true, NoReusePort: true,
				NoServerVerify: true, IgnoreResolveFailures: true, ZeroWarning: true, Diagnostic: true, DumpLibraries: true, DumpConfig: true}},
		{line: "-d -f a", want: HAProxy{Files: []string{"a"}, Debug: true, Foreground: true}},
		{line: "-db -f a", want: HAProxy{Files: []string{"a"}, Foreground: true}},
		{line: "-v", want: HAProxy{Version: 1}},
		{line: "-vv", want: HAProxy{Version: 2}},
		{line: "-cc true", want: HAProxy{Condition: "true", HasCondition: true}},
		{line: "-dKhelp", want: HAProxy{HasDumpKeywords: true, DumpKeywords: "help"}},
		{line: "", err: "usage"}, {line: "-c", err: "usage"}, {line: "-f", err: "usage"}, {line: "-f a -n", err: "usage"},
		{line: "--bad", err: "usage"}, {line: "-Q", err: "usage"}, {line: "-f a stray", err: "usage"},
	} {
		got, err := Parse(strings.Fields(c.line))
		switch {
		case c.err != "":
			if err == nil || err.Error() != c.err {
				t.Errorf("%q: error %v, want %s", c.line, err, c.err)
			}
		case err != nil:
			t.Errorf("%q: %v", c.line, err)
		case !reflect.DeepEqual(*got, c.want):
			t.Errorf("%q:\n got %+v\nwant %+v", c.line, *got, c.want)
		}
	}
}

func TestPidsInOneWord(t *testing.T) {
	h, err := Parse([]string{"-f", "a", "-sf", "10 11\n", "12"})
	if err != nil || !reflect.DeepEqual(h.OldPids, []int{10, 11, 12}) {
		t.Errorf("%v, %v", h, err)
	}
}

func TestExpand(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []string{"b.cfg", "a.cfg", ".hidden.cfg", "c.txt", "one"} {
		if err := os.WriteFile(filepath.Join(dir, n), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Expand([]string{filepath.Join(dir, "one"), dir})
	want := []string{filepath.Join(dir, "one"), filepath.Join(dir, "a.cfg"), filepath.Join(dir, "b.cfg")}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	_, err = Expand([]string{"/nonexistent"})
	if err == nil || err.Error() != "config : Cannot open configuration file/directory /nonexistent : No such file or directory" {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("-f a -sf 1 2 -dM0x50 -- b")
	f.Fuzz(func(t *testing.T, line string) {
		h, err := Parse(strings.Split(line, " "))
		if err == nil && h.Version == 0 && len(h.Files) == 0 && !h.HasCondition && !h.HasDumpKeywords {
			t.Error("a command line without work was accepted")
		}
		if errors.Is(err, ErrUsage) && h != nil {
			t.Error("usage, and a result")
		}
	})
}
