package e2e

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// logSink receives log lines over UDP.
type logSink struct {
	addr  string
	mu    sync.Mutex
	cond  *sync.Cond
	lines []string // guarded by mu
}

func newLogSink(t *testing.T) *logSink {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.(*net.UDPConn).SetReadBuffer(8 << 20)
	s := &logSink{addr: c.LocalAddr().String()}
	s.cond = sync.NewCond(&s.mu)
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 65536)
		for {
			n, _, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.lines = append(s.lines, strings.TrimRight(string(b[:n]), "\n\x00"))
			s.cond.Broadcast()
			s.mu.Unlock()
		}
	}()
	return s
}

// of gives the lines of one frontend so far, without its name
// and what stands behind a semicolon.
func (s *logSink) of(frontend string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ofLocked(frontend)
}

func (s *logSink) ofLocked(frontend string) []string {
	var out []string
	for _, l := range s.lines {
		if rest, ok := strings.CutPrefix(l, frontend+" "); ok {
			rest, _, _ = strings.Cut(rest, " ;")
			out = append(out, rest)
		}
	}
	return out
}

// await waits for n lines of a frontend.
func (s *logSink) await(t *testing.T, frontend string, n int) []string {
	t.Helper()
	timer := time.AfterFunc(patience, func() { s.mu.Lock(); s.cond.Broadcast(); s.mu.Unlock() })
	defer timer.Stop()
	deadline := time.Now().Add(patience)
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		got := s.ofLocked(frontend)
		if len(got) >= n {
			return got
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d log lines of %s, want %d: %q", len(got), frontend, n, got)
		}
		s.cond.Wait()
	}
}

// find waits for a line with text in it, of whatever kind.
func (s *logSink) find(t *testing.T, text string) string {
	t.Helper()
	timer := time.AfterFunc(patience, func() { s.mu.Lock(); s.cond.Broadcast(); s.mu.Unlock() })
	defer timer.Stop()
	deadline := time.Now().Add(patience)
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for _, l := range s.lines {
			if strings.Contains(l, text) {
				return l
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("no log line with %q in %q", text, s.lines)
		}
		s.cond.Wait()
	}
}
