package command

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// script writes an executable shell script.
func script(t testing.TB, dir, name, body string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// output runs a command and gives what it wrote.
func output(t *testing.T, c Command, o Options) (string, Exit) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	o.Stdout = w
	p, err := Start(c, o)
	w.Close()
	if err != nil {
		t.Fatalf("%s: %v", c, err)
	}
	var b strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			break
		}
	}
	return b.String(), p.Wait()
}

func TestExit(t *testing.T) {
	for _, c := range []struct {
		argv []string
		want string
		ok   bool
	}{
		{[]string{"true"}, "exit status 0", true},
		{[]string{"/bin/sh", "-c", "exit 3"}, "exit status 3", false},
		{[]string{"/bin/sh", "-c", "kill -9 $$"}, "killed by SIGKILL", false},
		{[]string{"</dev/null"}, "exit status 0", true},
		{[]string{"<", "/nonexistent/file"}, "exit status 2", false},
	} {
		p, err := Start(Command{Argv: c.argv}, Options{})
		if err != nil {
			t.Errorf("%q: %v", c.argv, err)
			continue
		}
		if got := p.Wait(); c.ok != got.OK() || c.ok && got.String() != c.want || !c.ok && !strings.HasPrefix(got.String(), c.want[:6]) {
			t.Errorf("%q: %v, want %s", c.argv, got, c.want)
		}
	}
}

func TestStartErrors(t *testing.T) {
	dir := t.TempDir()
	notScript := filepath.Join(dir, "text")
	os.WriteFile(notScript, []byte("hello"), 0o755)
	os.WriteFile(filepath.Join(dir, "plain"), []byte("#!/bin/sh\n"), 0o644)
	for _, c := range []struct {
		argv []string
		want string
	}{
		{nil, "no program"},
		{[]string{"surely-no-such-program"}, "in no directory of PATH"},
		{[]string{"/nonexistent/x"}, "no such file"},
		{[]string{notScript}, "#! and an interpreter"},
		{[]string{filepath.Join(dir, "plain")}, "permission denied"},
	} {
		p, err := Start(Command{Argv: c.argv}, Options{})
		if err == nil {
			p.Wait()
			t.Errorf("%q started", c.argv)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.argv, err, c.want)
		}
	}
	if err := (Command{Argv: []string{filepath.Join(dir, "plain")}}).Verify(false); err == nil || !strings.Contains(err.Error(), "chmod +x") {
		t.Errorf("a file that is not executable: %v", err)
	}
	if err := (Command{Argv: []string{dir}}).Verify(false); err == nil || !strings.Contains(err.Error(), "not a file") {
		t.Errorf("a directory: %v", err)
	}
}

func TestKillReachesTheGroup(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	// The child of the script holds the pipe and ignores SIGTERM.
	p, err := Start(Command{Argv: []string{"/bin/sh", "-c", `(trap "" TERM; echo up; while :; do sleep 60; done) & wait`}}, Options{Stdout: w})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 16)
	if _, err := r.Read(buf); err != nil {
		t.Fatal(err)
	}
	p.Kill(syscall.SIGTERM)
	if e := p.Wait(); e.Signal != syscall.SIGTERM {
		t.Errorf("the leader: %v", e)
	}
	r.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := r.Read(buf); err == nil || os.IsTimeout(err) {
		t.Errorf("the script's child lives on: %v", err)
	}
	p.Kill(syscall.SIGKILL) // the number may be another's: it must do nothing
}

func TestLeavesBackgroundAlone(t *testing.T) {
	// output reads until nobody holds the pipe, so the background part is heard
	// out only if the end of the script does not kill it.
	got, e := output(t, Command{Argv: []string{"/bin/sh", "-c", `(sleep 0.1; echo late) & exit 0`}}, Options{})
	if !e.OK() || got != "late\n" {
		t.Errorf("%v: %q", e, got)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "/run/x")
	t.Setenv("EVENKEEL_SECRET", "1")
	t.Setenv("KEPT", "yes")
	got, e := output(t, Command{Argv: []string{"env"}}, Options{})
	if !e.OK() || strings.Contains(got, "NOTIFY_SOCKET") || strings.Contains(got, "EVENKEEL_") || !strings.Contains(got, "KEPT=yes\n") || !strings.Contains(got, "PATH=") {
		t.Errorf("%v: %s", e, got)
	}
}

func TestUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	id, err := Lookup("nobody", "daemon")
	if err != nil {
		t.Fatal(err)
	}
	got, e := output(t, Command{Argv: []string{"/bin/sh", "-c", "id -u; id -g; id -G"}, User: id}, Options{})
	g, _ := user.LookupGroup("daemon")
	u, _ := user.Lookup("nobody")
	if want := u.Uid + "\n" + g.Gid + "\n" + g.Gid + "\n"; !e.OK() || got != want {
		t.Errorf("%v: %q, want %q", e, got, want)
	}
	byNumber, err := Lookup("54321", "54322")
	if err != nil {
		t.Fatal(err)
	}
	got, _ = output(t, Command{Argv: []string{"/bin/sh", "-c", "id -u; id -G"}, User: byNumber}, Options{})
	if got != "54321\n54322\n" {
		t.Errorf("by number: %q", got)
	}
	byNumber.Groups = append(byNumber.Groups, 54323)
	got, _ = output(t, Command{Argv: []string{"id", "-G"}, User: byNumber}, Options{})
	if got != "54322 54323\n" {
		t.Errorf("supplementary groups: %q", got)
	}
	for name, want := range map[string]string{"no-such-user": "no user is called", "54321": "group must be given"} {
		if _, err := Lookup(name, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Lookup("nobody", "no-such-group"); err == nil || !strings.Contains(err.Error(), "no group") {
		t.Errorf("a group that is not there: %v", err)
	}
}

// place makes a directory that only root can change, whatever TMPDIR is.
func place(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/run", "ekf")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	return dir
}

func TestSecurity(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("files must be given to other users")
	}
	nobody, err := Lookup("nobody", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		spoil func(dir, file string)
		want  string // in the error; "": accepted
	}{
		{"as it should be", func(string, string) {}, ""},
		{"file of another", func(_, f string) { os.Chown(f, int(nobody.UID), 0) }, "chown root"},
		{"file for everybody", func(_, f string) { os.Chmod(f, 0o757) }, "chmod o-w"},
		{"file for a group", func(_, f string) { os.Chown(f, 0, 1); os.Chmod(f, 0o775) }, "chmod g-w"},
		{"file for root's group", func(_, f string) { os.Chmod(f, 0o775) }, ""},
		{"directory for everybody", func(d, _ string) { os.Chmod(d, 0o777) }, "can be written by everybody"},
		{"sticky directory", func(d, _ string) { os.Chmod(d, 0o777|os.ModeSticky) }, ""},
		{"directory of another", func(d, _ string) { os.Chown(d, int(nobody.UID), 0) }, "belongs to uid"},
		{"a link through a bad directory", func(d, f string) {
			bad := filepath.Join(d, "bad")
			os.Mkdir(bad, 0o777)
			os.Chmod(bad, 0o777)
			os.Rename(f, filepath.Join(bad, "real"))
			os.Symlink("bad/../bad/real", f)
		}, "/bad can be written"},
		{"a link of another", func(d, f string) {
			os.Rename(f, f+".real")
			os.Symlink(f+".real", f)
			os.Lchown(f, int(nobody.UID), 0)
		}, "belongs to uid"},
		{"a loop", func(d, f string) { os.Remove(f); os.Symlink(f, f) }, "too many"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(place(t), "d")
			os.Mkdir(dir, 0o755)
			file := script(t, dir, "check", "exit 0")
			c.spoil(dir, file)
			err := Command{Argv: []string{file}}.Verify(true)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if c.want == "" || c.name == "a loop" {
				return
			}
			if p, err := Start(Command{Argv: []string{file}}, Options{Secure: true}); err == nil {
				p.Wait()
				t.Error("it was started all the same")
			}
			// Who is not root cannot do more harm than the owner of the file.
			if err := (Command{Argv: []string{file}, User: nobody}).Verify(true); err != nil {
				t.Errorf("as nobody: %v", err)
			}
			if err := (Command{Argv: []string{file}}).Verify(false); err != nil {
				t.Errorf("without security: %v", err)
			}
		})
	}
}

func TestMayExecute(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("files must be given to other users")
	}
	file := script(t, place(t), "x", "exit 0")
	os.Chown(file, 1001, 2002)
	for _, c := range []struct {
		mode os.FileMode
		id   Identity
		want bool
	}{
		{0o700, Identity{UID: 1001, GID: 5}, true},
		{0o077, Identity{UID: 1001, GID: 2002}, false}, // the owner's class alone counts
		{0o070, Identity{UID: 7, GID: 2002}, true},
		{0o070, Identity{UID: 7, GID: 5, Groups: []uint32{5, 2002}}, true},
		{0o707, Identity{UID: 7, GID: 2002}, false},
		{0o701, Identity{UID: 7, GID: 5}, true},
		{0o710, Identity{UID: 7, GID: 5}, false},
		{0o001, Identity{UID: 0}, true},
		{0o666, Identity{UID: 0}, false},
	} {
		os.Chmod(file, c.mode)
		id := c.id
		err := Command{Argv: []string{file}, User: &id}.Verify(false)
		if (err == nil) != c.want {
			t.Errorf("mode %o, %+v: %v", c.mode, c.id, err)
		}
	}
}

func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "plain", "two words", "it's", "$HOME `id` \"x\"", "a\nb", "-n"} {
		f.Add(s)
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		f.Skip("no shell")
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsRune(s, 0) {
			return
		}
		q := Quote(s)
		if q == s {
			// Plain words need no shell to be judged.
			if strings.ContainsAny(s, " \t\n'\"$`\\|&;<>()*?[#~!{}") || s == "" {
				t.Errorf("%q was left as it is", s)
			}
			return
		}
		out, err := exec.Command(sh, "-c", "printf %s "+q).Output()
		if err != nil || string(out) != s {
			t.Errorf("%q became %s, which a shell reads as %q (%v)", s, q, out, err)
		}
	})
}

// A program that dies with this process does not die with the thread that has
// asked for it.
func TestDiesWithTheProcessAlone(t *testing.T) {
	var p *Process
	var err error
	thread, over := make(chan int), make(chan struct{})
	defer close(over)
	begin := func() {
		runtime.LockOSThread() // the thread ends with this goroutine
		if syscall.Gettid() == os.Getpid() {
			thread <- 0 // but for the first of a process, which stays
			<-over
			return
		}
		p, err = Start(Command{Argv: []string{"sleep", "1000"}}, Options{DieWithParent: true})
		thread <- syscall.Gettid()
	}
	go begin()
	id := <-thread
	if id == 0 {
		go begin()
		id = <-thread
	}
	task := fmt.Sprint("/proc/self/task/", id)
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(task); err != nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the thread does not end")
		}
	}
	// Of two signals the one with the lower number comes first.
	p.Kill(syscall.SIGVTALRM)
	if got := p.Wait(); got.Signal != syscall.SIGVTALRM {
		t.Errorf("it was %v", got)
	}
}

func TestManyAtOnce(t *testing.T) {
	const n = 100
	done := make(chan Exit, n)
	for i := range n {
		p, err := Start(Command{Argv: []string{"true"}}, Options{DieWithParent: i%2 == 0})
		if err != nil {
			t.Fatal(err)
		}
		go func() { done <- p.Wait() }()
	}
	for range n {
		if e := <-done; !e.OK() {
			t.Error(e)
		}
	}
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, d := range fds {
		if l, _ := os.Readlink("/proc/self/fd/" + d.Name()); strings.Contains(l, "pidfd") {
			t.Errorf("descriptor %s is left: %s", d.Name(), l)
		}
	}
}
