package admin

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/model"
	"evenkeel/internal/pool"
)

// fake is a Source with two real backends and recorded calls.
type fake struct {
	proxies  []Proxy
	sessions []Session
	errors   []CapturedError
	calls    []string
	pats     *fakePatterns
	certs    *fakeCerts
}

func (f *fake) note(format string, args ...any) {
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
}

func (f *fake) Info() Info {
	return Info{Version: "3.0.1-evenkeel", ReleaseDate: "2026/11/21", NbThread: 2, Pid: 42, Node: "n1", Description: `a "d"`,
		Uptime: 93784 * time.Second, MaxConn: 100, HardMaxConn: 100, Started: time.Unix(1795248799, 0), IdlePercent: 100, DroppedLogs: 7}
}
func (f *fake) Now() int64       { return 5e9 }
func (f *fake) Proxies() []Proxy { return f.proxies }
func (f *fake) Sessions(yield func(*Session) bool) {
	for i := range f.sessions {
		if !yield(&f.sessions[i]) {
			return
		}
	}
}
func (f *fake) ShutdownSession(id uint64) bool        { f.note("shutdown %#x", id); return id == 0xa1 }
func (f *fake) ShutdownServerSessions(s *pool.Server) { f.note("shutdown sessions of %s", s) }
func (f *fake) SetMaxConn(n int)                      { f.note("maxconn %d", n) }
func (f *fake) SetRateLimit(r RateLimit, n int)       { f.note("rate %s %d", r, n) }
func (f *fake) ClearCounters(all bool)                { f.note("clear %t", all) }
func (f *fake) Errors() []CapturedError               { return f.errors }
func (f *fake) StartupLogs() string                   { return "[NOTICE] started" }
func (f *fake) Checks() Checks                        { return fakeChecks{f} }
func (f *fake) Patterns() Patterns                    { return f.pats }
func (f *fake) Certificates() Certificates            { return f.certs }

type fakeChecks struct{ f *fake }

func (k fakeChecks) SetCheckAddr(s *pool.Server, addr string, port int) error {
	k.f.note("check %s %q %d", s, addr, port)
	return nil
}
func (k fakeChecks) SetAgentAddr(s *pool.Server, addr string, port int) error {
	k.f.note("agent %s %q %d", s, addr, port)
	return nil
}
func (k fakeChecks) SetAgentSend(s *pool.Server, text string) error {
	k.f.note("send %s %q", s, text)
	return nil
}

type fakeFrontend struct {
	f        *fake
	snapshot FrontendSnapshot
}

func (x *fakeFrontend) Snapshot(int64) FrontendSnapshot { return x.snapshot }
func (x *fakeFrontend) SetMaxConn(n int)                { x.f.note("frontend maxconn %d", n) }
func (x *fakeFrontend) Disable() error                  { x.snapshot.Disabled = true; return nil }
func (x *fakeFrontend) Enable() error                   { x.snapshot.Disabled = false; return nil }
func (x *fakeFrontend) Shutdown() error                 { x.snapshot.Status = FrontendStopped; return nil }
func (x *fakeFrontend) ClearCounters(all bool)          { x.f.note("frontend clear %t", all) }

// fakePatterns keeps versions of one acl (0) and one map (2).
type fakePatterns struct {
	sets    []PatternSet
	entries map[[2]uint32][]PatternEntry
	next    uint64
}

func newFakePatterns() *fakePatterns {
	return &fakePatterns{
		sets: []PatternSet{
			{ID: 0, File: "/a.acl", Description: "pattern loaded from file '/a.acl' used by acl at file 'a.cfg' line 17", ACL: true},
			{ID: 2, File: "/m.map", Description: "pattern loaded from file '/m.map' used by map at file 'a.cfg' line 18", Map: true},
		},
		entries: map[[2]uint32][]PatternEntry{
			{0, 0}: {{1, "/x", ""}}, {2, 0}: {{2, "a", "b"}, {3, "c", "d"}},
		},
		next: 4,
	}
}

func (p *fakePatterns) set(id int) *PatternSet {
	for i := range p.sets {
		if p.sets[i].ID == id {
			return &p.sets[i]
		}
	}
	return nil
}
func (p *fakePatterns) Sets() []PatternSet {
	out := append([]PatternSet(nil), p.sets...)
	for i := range out {
		out[i].Entries = len(p.entries[[2]uint32{uint32(out[i].ID), out[i].Current}])
	}
	return out
}
func (p *fakePatterns) Entries(set int, v uint32, yield func(PatternEntry) bool) {
	for _, e := range p.entries[[2]uint32{uint32(set), v}] {
		if !yield(e) {
			return
		}
	}
}
func (p *fakePatterns) Add(set int, v uint32, key, value string) error {
	k := [2]uint32{uint32(set), v}
	p.entries[k] = append(p.entries[k], PatternEntry{p.next, key, value})
	p.next++
	return nil
}
func (p *fakePatterns) chosen(set int, sel PatternSelector, do func(e *PatternEntry) (keep bool)) (n int) {
	k := [2]uint32{uint32(set), p.set(set).Current}
	var keep []PatternEntry
	for _, e := range p.entries[k] {
		if sel.ByRef && e.Ref == sel.Ref || !sel.ByRef && e.Key == sel.Key {
			n++
			if !do(&e) {
				continue
			}
		}
		keep = append(keep, e)
	}
	p.entries[k] = keep
	return n
}
func (p *fakePatterns) Update(set int, sel PatternSelector, value string) (int, error) {
	return p.chosen(set, sel, func(e *PatternEntry) bool { e.Value = value; return true }), nil
}
func (p *fakePatterns) Delete(set int, sel PatternSelector) int {
	return p.chosen(set, sel, func(*PatternEntry) bool { return false })
}
func (p *fakePatterns) Clear(set int, v uint32)  { delete(p.entries, [2]uint32{uint32(set), v}) }
func (p *fakePatterns) Prepare(set int) uint32   { p.set(set).Next++; return p.set(set).Next }
func (p *fakePatterns) Commit(set int, v uint32) { p.set(set).Current = v }
func (p *fakePatterns) Match(set int, v string) []PatternMatch {
	m := PatternMatch{Method: "str", Index: "tree"}
	p.chosen(set, PatternSelector{Key: v}, func(e *PatternEntry) bool {
		m.Found, m.Pattern, m.Value = true, e.Key, e.Value
		return true
	})
	return []PatternMatch{m}
}

type fakeCerts struct{ staged string }

func (c *fakeCerts) List() ([]string, []string) {
	if c.staged != "" {
		return []string{"a.pem"}, []string{c.staged}
	}
	return []string{"a.pem"}, nil
}
func (c *fakeCerts) Get(string, bool) []*x509.Certificate { return nil }
func (c *fakeCerts) Set(file string, pem []byte) (bool, error) {
	if file != "a.pem" {
		return false, errors.New("Can't replace a certificate which is not referenced by the configuration!")
	}
	fresh := c.staged == ""
	c.staged = file
	return fresh, nil
}
func (c *fakeCerts) Commit(string) error { c.staged = ""; return nil }
func (c *fakeCerts) Abort(string) error  { c.staged = ""; return nil }
func (c *fakeCerts) CRTLists() []string  { return []string{"l.txt"} }
func (c *fakeCerts) CRTList(f string) ([]string, bool) {
	return []string{"a.pem [alpn h2] x.org"}, f == "l.txt"
}

func newFake(t testing.TB) *fake {
	t.Helper()
	f := &fake{pats: newFakePatterns(), certs: &fakeCerts{}}
	ten := 10
	be := &model.Proxy{Name: "be", ID: 3, Kind: model.KindBackend, Mode: model.ModeHTTP}
	be.Backend.Balance.Algorithm = "roundrobin"
	be.Backend.Servers = []*model.Server{
		{Name: "s1", ID: 1, Addr: addr(21420), Check: model.ServerCheck{Enabled: true}},
		{Name: "s2", ID: 2, Addr: addr(21421), Check: model.ServerCheck{Enabled: true}, Weight: &ten, Backup: true},
		{Name: "s3", ID: 3, Addr: addr(21422)},
	}
	li := &model.Proxy{Name: "li", ID: 4, Kind: model.KindListen, Mode: model.ModeTCP}
	li.Backend.Servers = []*model.Server{{Name: "t1", ID: 1, Addr: addr(21423), Check: model.ServerCheck{Enabled: true}, Agent: model.AgentCheck{Enabled: true, Port: 21424}}}
	fe := &fakeFrontend{f: f, snapshot: FrontendSnapshot{HTTP: true, Status: FrontendOpen, SessLimit: 100}}
	lf := &fakeFrontend{f: f, snapshot: FrontendSnapshot{Status: FrontendOpen, SessLimit: 100}}
	f.proxies = []Proxy{{"fe", 2, fe, nil}, {"be", 3, nil, backend(t, be)}, {"li", 4, lf, backend(t, li)}}
	return f
}

func addr(port int) model.ServerAddr {
	return model.ServerAddr{Network: "tcp4", Host: "127.0.0.1", Port: port}
}

func backend(t testing.TB, p *model.Proxy) *pool.Backend {
	t.Helper()
	b, err := pool.New(p, pool.Options{
		Now: func() int64 { return 5e9 }, Wall: time.Now,
		Resolve: func(string) (netip.Addr, error) { return netip.Addr{}, errors.New("no names") },
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// serve starts a server on a loopback listener.
func serve(t testing.TB, o Options, so Socket) (addr string, s *Server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if so.Name == "" {
		so.Name = "unix@/run/x.sock"
	}
	s = New(o)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l, so) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		s.Stop(ctx)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String(), s
}

// talk sends text, ends the input, and gives everything that came back.
func talk(t testing.TB, addr, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(c, text)
	c.(*net.TCPConn).CloseWrite()
	b, err := io.ReadAll(c)
	if err != nil && !strings.Contains(err.Error(), "reset") {
		t.Fatalf("%q: %v", text, err)
	}
	return string(b)
}
