package accesslog

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"evenkeel/internal/model"
	"evenkeel/test/loopback"
)

var moment = time.Date(2026, 11, 1, 8, 15, 5, 889182000, time.UTC)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

func udp(t testing.TB, network, addr string) *net.UDPConn {
	t.Helper()
	a, err := net.ResolveUDPAddr(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.ListenUDP(network, a)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetReadDeadline(time.Now().Add(30 * time.Second))
	return c
}

func receive(t testing.TB, c net.Conn) string {
	t.Helper()
	b := make([]byte, 70000)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func mustOpen(t testing.TB, list []model.LogTarget, o Options) *Targets {
	t.Helper()
	s, err := Open(list, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// The lines were taken from HAProxy 2.6 on a UDP socket, with another moment,
// tag and process put in.
func TestWireFormats(t *testing.T) {
	c := udp(t, "udp4", "127.0.0.1:0")
	const msg = `127.0.0.1:56966 [x] fe fe/<NOSRV> 403`
	for _, x := range []struct {
		name string
		m    model.LogTarget
		host string
		sd   string
		want string
	}{
		{"default", model.LogTarget{Facility: "local0"}, "", "", `<134>Nov  1 08:15:05 haproxy[8331]: ` + msg},
		{"default with host", model.LogTarget{Facility: "local0"}, "vm", "", `<134>Nov  1 08:15:05 vm haproxy[8331]: ` + msg},
		{"rfc3164", model.LogTarget{Facility: "local1", FormatGiven: true}, "", "", `<142>Nov  1 08:15:05 localhost haproxy[8331]: ` + msg},
		{"local", model.LogTarget{Facility: "daemon", Format: model.LogLocal}, "vm", "", `<30>Nov  1 08:15:05 haproxy[8331]: ` + msg},
		{"rfc5424", model.LogTarget{Facility: "local2", Format: model.LogRFC5424}, "", "", `<150>1 2026-11-01T08:15:05.889182+00:00 - haproxy 8331 - - ` + msg},
		{"rfc5424 with host and data", model.LogTarget{Facility: "local2", Format: model.LogRFC5424}, "vm", `[a@1 b="c"]`, `<150>1 2026-11-01T08:15:05.889182+00:00 vm haproxy 8331 - [a@1 b="c"] ` + msg},
		{"short", model.LogTarget{Facility: "daemon", Format: model.LogShort}, "", "", `<6>` + msg},
		{"timed", model.LogTarget{Facility: "daemon", Format: model.LogTimed}, "", "", `<6>2026-11-01T08:15:05.889182+00:00 ` + msg},
		{"iso", model.LogTarget{Facility: "daemon", Format: model.LogISO}, "", "", `2026-11-01T08:15:05.889182+00:00 ` + msg},
		{"priority", model.LogTarget{Facility: "daemon", Format: model.LogPriority}, "", "", `<30>` + msg},
		{"raw", model.LogTarget{Facility: "daemon", Format: model.LogRaw}, "", "", msg},
		{"raised to minlevel", model.LogTarget{Facility: "kern", Format: model.LogPriority, MinLevel: 7}, "", "", `<7>` + msg},
	} {
		x.m.Network, x.m.Addr, x.m.Level = "udp", c.LocalAddr().String(), Debug
		s := mustOpen(t, []model.LogTarget{x.m}, Options{Hostname: x.host, Pid: 8331, Now: at(moment)})
		s.SendSD(Info, []byte(x.sd), []byte(msg))
		if got := receive(t, c); got != x.want+"\n" {
			t.Errorf("%s:\n got %q\nwant %q", x.name, got, x.want+"\n")
		}
		if s.Sent() != 1 || s.Dropped() != 0 {
			t.Errorf("%s: sent %d, dropped %d", x.name, s.Sent(), s.Dropped())
		}
	}
}

func TestTruncationCountsTheHeader(t *testing.T) {
	c := udp(t, "udp4", "127.0.0.1:0")
	for _, f := range []model.LogWire{model.LogRFC3164, model.LogRaw} {
		s := mustOpen(t, []model.LogTarget{{Network: "udp", Addr: c.LocalAddr().String(), Level: 7, MaxLen: 80, Format: f}},
			Options{Pid: 1, Now: at(moment)})
		s.Send(Info, bytes.Repeat([]byte("x"), 200))
		if got := receive(t, c); len(got) != 81 || got[80] != '\n' {
			t.Errorf("format %d: %d bytes: %q", f, len(got), got)
		}
	}
}

func TestLevelsAndSamples(t *testing.T) {
	c := udp(t, "udp4", "127.0.0.1:0")
	s := mustOpen(t, []model.LogTarget{
		{Network: "udp", Addr: c.LocalAddr().String(), Level: Notice, Format: model.LogRaw, SampleRanges: "1,3-4", SampleSize: 5},
	}, Options{})
	if s.Any(Info) || !s.Any(Notice) {
		t.Error("Any does not follow the level")
	}
	s.Send(Info, []byte("hidden"))
	for i := range 10 {
		s.Send(Notice, fmt.Append(nil, i))
	}
	got := ""
	for range 6 {
		got += strings.TrimSpace(receive(t, c))
	}
	if got != "023578" || s.Sent() != 6 {
		t.Errorf("got %s of which %d were sent, want 023578", got, s.Sent())
	}
	for _, bad := range []string{"", "0", "6", "3-2", "a", "1-9", "1,,2"} {
		if _, err := newSample(bad, 5); err == nil {
			t.Errorf("ranges %q are taken", bad)
		}
	}
}

func TestUnixSockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for _, name := range []string{path, fmt.Sprintf("@evenkeel-log-%d", os.Getpid())} {
		c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetReadDeadline(time.Now().Add(30 * time.Second))
		s := mustOpen(t, []model.LogTarget{{Network: "unixgram", Addr: name, Level: 7, Format: model.LogRaw}}, Options{})
		s.Send(Info, []byte("hello\n"))
		if got := receive(t, c); got != "hello\n" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A peer that reads nothing must never hold a sender up.
func TestFullPeerIsCounted(t *testing.T) {
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "log"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := mustOpen(t, []model.LogTarget{{Network: "unixgram", Addr: c.LocalAddr().String(), Level: 7}}, Options{})
	line := bytes.Repeat([]byte("x"), 800)
	for range 5000 {
		s.Send(Info, line)
	}
	if s.Dropped() == 0 || s.Sent() == 0 || s.Sent()+s.Dropped() != 5000 {
		t.Errorf("sent %d, dropped %d", s.Sent(), s.Dropped())
	}
}

func TestAbsentPeerIsCounted(t *testing.T) {
	s := mustOpen(t, []model.LogTarget{{Network: "unixgram", Addr: filepath.Join(t.TempDir(), "none"), Level: 7}}, Options{})
	s.Send(Info, []byte("x"))
	if s.Dropped() != 1 {
		t.Errorf("dropped %d", s.Dropped())
	}
}

func TestDescriptors(t *testing.T) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	a, b := os.NewFile(uintptr(pair[0]), "a"), os.NewFile(uintptr(pair[1]), "b")
	defer a.Close()
	defer b.Close()
	for _, x := range []struct {
		name string
		fd   uintptr
		from io.Reader
	}{{"pipe", w.Fd(), r}, {"socket", uintptr(pair[0]), b}} {
		s := mustOpen(t, []model.LogTarget{{Network: "fd", Addr: fmt.Sprint(x.fd), Level: 7, Format: model.LogShort}}, Options{})
		s.Send(Warning, []byte("hello"))
		buf := make([]byte, 100)
		n, err := x.from.Read(buf)
		if err != nil || string(buf[:n]) != "<4>hello\n" {
			t.Errorf("%s: %q %v", x.name, buf[:n], err)
		}
		for range 2000 { // nobody reads: it must end
			s.Send(Info, bytes.Repeat([]byte("y"), 900))
		}
		if s.Dropped() == 0 {
			t.Errorf("%s: nothing was dropped", x.name)
		}
	}
}

func TestStream(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := mustOpen(t, []model.LogTarget{{Network: "tcp", Addr: l.Addr().String(), Level: 7, Format: model.LogRaw}}, Options{})
	s.Send(Info, []byte("one"))
	s.Send(Info, []byte("two"))
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 8)
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "one\ntwo\n" {
		t.Errorf("%q %v", buf, err)
	}
	for range 1 << 20 {
		s.Send(Info, bytes.Repeat([]byte("z"), 1000))
		if s.Dropped() > 0 {
			return
		}
	}
	t.Error("the buffer has no end")
}

// What was taken before the end must arrive.
func TestStreamIsFlushed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := Open([]model.LogTarget{{Network: "tcp", Addr: l.Addr().String(), Level: 7, Format: model.LogRaw}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Send(Info, []byte("first"))
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	if line, _ := r.ReadString('\n'); line != "first\n" { // so it is connected
		t.Errorf("%q", line)
	}
	for range 50 {
		s.Send(Info, []byte("x"))
	}
	s.Close()
	if b, _ := io.ReadAll(r); string(b) != strings.Repeat("x\n", 50) {
		t.Errorf("%d bytes after the end", len(b))
	}
}

func TestBadTargets(t *testing.T) {
	for _, m := range []model.LogTarget{
		{Network: "carrier"},
		{Network: "fd", Addr: "x"},
		{Network: "fd", Addr: "9999"},
		{Network: "unixgram", Addr: strings.Repeat("p", 200)},
		{Network: "udp", Addr: "127.0.0.1:99999"},
		{Network: "udp", Addr: "127.0.0.1:1", Facility: "local9"},
		{Network: "udp", Addr: "127.0.0.1:1", Level: 8},
		{Network: "tcp", Addr: "127.0.0.1"},
	} {
		if s, err := Open([]model.LogTarget{m}, Options{}); err == nil {
			s.Close()
			t.Errorf("%+v is taken", m)
		}
	}
	var none *Targets
	none.Send(Info, []byte("x"))
	none.Close()
	if none.Len() != 0 || none.Dropped() != 0 {
		t.Error("no targets have a count")
	}
}

func TestGlobalTargetsAreTaken(t *testing.T) {
	c := udp(t, "udp6", "[::1]:0")
	s := mustOpen(t, []model.LogTarget{{Global: true}}, Options{Global: []model.LogTarget{{Network: "udp", Addr: c.LocalAddr().String(), Level: 7, Format: model.LogRaw}}})
	s.Send(Info, []byte("six"))
	if got := receive(t, c); got != "six\n" || s.Len() != 1 {
		t.Errorf("%q", got)
	}
}

func TestSendDoesNotAllocate(t *testing.T) {
	c := udp(t, "udp4", "127.0.0.1:0")
	addr := c.LocalAddr().String()
	s := mustOpen(t, []model.LogTarget{
		{Network: "udp", Addr: addr, Level: 7},
		{Network: "udp", Addr: addr, Level: 7, Format: model.LogRFC5424},
	}, Options{Now: at(moment)})
	line := bytes.Repeat([]byte("x"), 200)
	if n := testing.AllocsPerRun(100, func() { s.Send(Info, line) }); n != 0 {
		t.Errorf("%v allocations a line", n)
	}
}

func BenchmarkSend(b *testing.B) {
	c := udp(b, "udp4", "127.0.0.1:0")
	s := mustOpen(b, []model.LogTarget{{Network: "udp", Addr: c.LocalAddr().String(), Level: 7, Facility: "local0"}}, Options{})
	line := bytes.Repeat([]byte("x"), 200)
	b.ReportAllocs()
	for b.Loop() {
		s.Send(Info, line)
	}
}

// TestAgainstHAProxy lets HAProxy log one request in each format, sends the
// same text through this package, and compares the bytes.
func TestAgainstHAProxy(t *testing.T) {
	path, err := exec.LookPath("haproxy")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/haproxy"); err != nil {
			t.Skip("there is no haproxy to compare with")
		}
	}
	out, _ := exec.Command(path, "-v").Output()
	if !bytes.HasPrefix(out, []byte("HAProxy version")) {
		t.Skip("haproxy is another program here")
	}
	c := udp(t, "udp4", "127.0.0.1:0")
	formats := []struct {
		word string
		wire model.LogWire
		give bool
	}{
		{"", model.LogRFC3164, false},
		{"format rfc3164", model.LogRFC3164, true},
		{"format rfc5424", model.LogRFC5424, true},
		{"format local", model.LogLocal, true},
		{"format short", model.LogShort, true},
		{"format priority", model.LogPriority, true},
		{"format raw", model.LogRaw, true},
		{"len 80", model.LogRFC3164, false},
	}
	addr := loopback.Address(t)
	for i, f := range formats {
		cfg := filepath.Join(t.TempDir(), "haproxy.cfg")
		text := fmt.Sprintf("global\n log %s %s local%d\ndefaults\n mode http\n log global\n timeout client 5s\n log-format \"hello %s\"\nfrontend fe\n bind %s\n http-request deny\n",
			c.LocalAddr(), f.word, i%8, strings.Repeat("w", 60), addr)
		if err := os.WriteFile(cfg, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p := exec.Command(path, "-f", cfg, "-db")
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		pid := p.Process.Pid
		ask(t, addr)
		theirs := receive(t, c)
		for strings.Contains(theirs, "Proxy fe") || strings.Contains(theirs, "roxy fe started") {
			theirs = receive(t, c)
		}
		p.Process.Kill()
		p.Wait()
		m := model.LogTarget{Network: "udp", Addr: c.LocalAddr().String(), Level: 7, Format: f.wire, FormatGiven: f.give, Facility: fmt.Sprintf("local%d", i%8)}
		if f.word == "len 80" {
			m.MaxLen = 80
		}
		s := mustOpen(t, []model.LogTarget{m}, Options{Pid: pid, Tag: "haproxy"})
		s.Send(Info, []byte("hello "+strings.Repeat("w", 60)))
		ours := receive(t, c)
		if plain(ours) != plain(theirs) {
			t.Errorf("%s:\n  ours %q\ntheirs %q", f.word, ours, theirs)
		}
	}
}

// plain takes the digits out: they are dates and times of different moments.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return '#'
		}
		return r
	}, s)
}

// ask sends a request as soon as the listener answers.
func ask(t *testing.T, addr string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			continue
		}
		defer c.Close()
		fmt.Fprint(c, "GET / HTTP/1.0\r\n\r\n")
		io.Copy(io.Discard, c)
		return
	}
	t.Fatal("haproxy does not listen")
}
