package socket

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func open(t *testing.T, s Spec) int {
	t.Helper()
	fd, publish, err := Open(s)
	if err != nil {
		t.Fatal(err)
	}
	if publish != nil {
		if err := publish(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { syscall.Close(fd) })
	return fd
}

func TestOpenAndDescribe(t *testing.T) {
	uid, gid := os.Geteuid(), os.Getegid()
	path := filepath.Join(t.TempDir(), "s")
	for _, s := range []Spec{
		{Addr: netip.MustParseAddrPort("127.0.0.1:0")},
		{Addr: netip.MustParseAddrPort("[::1]:0"), V6Only: true, Backlog: 5, MSS: 1000, DeferAccept: true},
		{Addr: netip.MustParseAddrPort("[::]:0")},
		{Path: path, Mode: 0o640, UID: &uid, GID: &gid},
		{Path: "@evenkeel-test-" + fmt.Sprint(os.Getpid())},
	} {
		fd := open(t, s)
		got, err := Describe(fd)
		if err != nil {
			t.Fatal(err)
		}
		if s.Addr.IsValid() {
			if got.Addr.Port() == 0 {
				t.Errorf("%s has no port", s)
			}
			s.Addr = got.Addr
		}
		if got.Key() != s.Key() {
			t.Errorf("opened %q, found %q", s.Key(), got.Key())
		}
		// The same description serves again as an inherited descriptor.
		copied := open(t, Spec{Inherited: true, FD: fd})
		if again, _ := Describe(copied); again.Key() != s.Key() {
			t.Errorf("the copy is %q", again.Key())
		}
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("%v %v", st, err)
	}
}

func TestUnixSocketIsReplacedInOneStep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	open(t, Spec{Path: path})
	before, _ := os.Stat(path)
	_, publish, err := Open(Spec{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if now, _ := os.Stat(path); !os.SameFile(before, now) {
		t.Error("the path was taken away before the new socket was published")
	}
	if err := publish(); err != nil {
		t.Fatal(err)
	}
	if now, _ := os.Stat(path); os.SameFile(before, now) {
		t.Error("the path still leads to the old socket")
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, s := range []Spec{
		{}, {Path: "/x", Addr: netip.MustParseAddrPort("127.0.0.1:1")}, {Inherited: true, FD: 9999},
		{Addr: netip.MustParseAddrPort("192.0.2.1:1")}, {Path: "/nonexistent/directory/s"},
	} {
		if fd, _, err := Open(s); err == nil {
			syscall.Close(fd)
			t.Errorf("%+v was opened", s)
		}
	}
}

// TestGetsocks passes more sockets than one message holds.
func TestGetsocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "runtime")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const count = 300
	var list []Exported
	for range count {
		list = append(list, Exported{FD: open(t, Spec{Addr: netip.MustParseAddrPort("127.0.0.1:0")})})
	}
	list[7].Interface = "lo"
	served := make(chan error, 1)
	go func() {
		c, err := l.AcceptUnix()
		if err != nil {
			served <- err
			return
		}
		defer c.Close()
		if line, err := bufio.NewReaderSize(c, 16).ReadString('\n'); line != "_getsocks\n" {
			served <- fmt.Errorf("asked %q, %v", line, err)
			return
		}
		served <- SendAll(c, list)
	}()
	held, specs, err := Fetch(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	interfaces := 0
	for _, s := range specs {
		syscall.Close(held[s.Key()])
		if s.Interface == "lo" {
			interfaces++
		}
	}
	if len(specs) != count || len(held) != count || interfaces != 1 {
		t.Errorf("%d sockets, %d keys, %d with an interface", len(specs), len(held), interfaces)
	}
}

func FuzzParseNames(f *testing.F) {
	f.Add([]byte("\x00\x02lo\x00\x00\x00\x00"), 1)
	f.Fuzz(func(t *testing.T, text []byte, count int) {
		if count < 0 || count > 1000 {
			return
		}
		list, err := parseNames(text, count)
		if err == nil && len(list) != count {
			t.Error("no error, but not all names")
		}
	})
}
