package metrics

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// scrape gives what /metrics answers, as far as it is about evenkeel.
func scrape(t *testing.T, r *Registry) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	var lines []string
	for _, l := range strings.Split(w.Body.String(), "\n") {
		if strings.Contains(l, "evenkeel_test") || w.Code != http.StatusOK {
			lines = append(lines, l)
		}
	}
	return w.Code, strings.Join(lines, "\n")
}

func must[T any](t *testing.T, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestText(t *testing.T) {
	r := New("1.2.3")
	n := 0.0
	descs := []Desc{
		{"evenkeel_test_state", GaugeKind, "With a \\ and\na line.", []string{"instance", "state"}},
		{"evenkeel_test_sent_total", CounterKind, "Sent.", nil},
		{"evenkeel_test_unused", GaugeKind, "Never given out.", nil},
	}
	if err := r.Collect(descs, func(emit Emit) {
		n++
		emit("evenkeel_test_state", 1, "VI_2", "MASTER")
		emit("evenkeel_test_state", 0.5, "VI \"1\"\\\n", "BACKUP")
		emit("evenkeel_test_sent_total", n)
	}); err != nil {
		t.Fatal(err)
	}
	c, err := r.Counter("evenkeel_test_count_total", "Counted.", "x")
	must(t, c, err).Add(2, "a")
	c.Add(3, "a")
	c.Add(-1, "a") // a counter never goes down
	c.Add(1)       // not as many labels as it has: it is nobody's
	g, err := r.Gauge("evenkeel_test_gauge", "Moved.", "x")
	must(t, g, err).Set(5, "a")
	g.Set(4, "a")
	g.Set(1, "b")
	g.Remove("b")
	want := `# HELP evenkeel_test_count_total Counted.
# TYPE evenkeel_test_count_total counter
evenkeel_test_count_total{x="a"} 5
# HELP evenkeel_test_gauge Moved.
# TYPE evenkeel_test_gauge gauge
evenkeel_test_gauge{x="a"} 4
# HELP evenkeel_test_sent_total Sent.
# TYPE evenkeel_test_sent_total counter
evenkeel_test_sent_total 1
# HELP evenkeel_test_state With a \\ and\na line.
# TYPE evenkeel_test_state gauge
evenkeel_test_state{instance="VI \"1\"\\\n",state="BACKUP"} 0.5
evenkeel_test_state{instance="VI_2",state="MASTER"} 1`
	if code, got := scrape(t, r); code != 200 || got != want {
		t.Errorf("%d\n%s\nwant\n%s", code, got, want)
	}
	if _, got := scrape(t, r); !strings.Contains(got, "evenkeel_test_sent_total 2") {
		t.Errorf("the second scrape has old values: %s", got)
	}
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, s := range []string{`evenkeel_build_info{`, `version="1.2.3"`, "\ngo_goroutines ", "\nprocess_resident_memory_bytes ", "\nprocess_cpu_seconds_total ", "\nprocess_start_time_seconds "} {
		if !strings.Contains(w.Body.String(), s) {
			t.Errorf("no %s", s)
		}
	}
	if ct := w.Header().Get("Content-Type"); !strings.HasPrefix(ct, "text/plain; version=0.0.4") {
		t.Errorf("Content-Type: %s", ct)
	}
}

func TestMistakes(t *testing.T) {
	desc := []Desc{{"evenkeel_test_a", GaugeKind, "A.", []string{"x"}}}
	for name, read := range map[string]func(Emit){
		"a name without a description": func(e Emit) { e("evenkeel_test_b", 1) },
		"too few labels":               func(e Emit) { e("evenkeel_test_a", 1) },
		"too many labels":              func(e Emit) { e("evenkeel_test_a", 1, "x", "y") },
		"the same twice":               func(e Emit) { e("evenkeel_test_a", 1, "x"); e("evenkeel_test_a", 2, "x") },
	} {
		r := New("")
		if err := r.Collect(desc, read); err != nil {
			t.Fatal(err)
		}
		if code, got := scrape(t, r); code != http.StatusInternalServerError || !strings.Contains(got, "evenkeel_test") {
			t.Errorf("%s: %d %s", name, code, got)
		}
	}
	r := New("")
	if err := r.Collect(desc, func(Emit) {}); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func() error{
		"a name twice":   func() error { return r.Collect(desc, func(Emit) {}) },
		"a counter's":    func() error { _, err := r.Counter("evenkeel_test_a", "A.", "x"); return err },
		"a bad name":     func() error { _, err := r.Gauge("evenkeel test", "B."); return err },
		"a bad label":    func() error { _, err := r.Gauge("evenkeel_test_c", "C.", "1x"); return err },
		"a bad desc":     func() error { return r.Collect([]Desc{{Name: "9"}}, func(Emit) {}) },
		"a label, twice": func() error { _, err := r.Gauge("evenkeel_test_d", "D.", "x", "x"); return err },
	} {
		if f() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	r := New("")
	c, err := r.Counter("evenkeel_test_total", "T.", "x")
	must(t, c, err)
	var wg sync.WaitGroup
	for _, x := range []string{"a", "b", "c", "d"} {
		wg.Go(func() {
			for range 1000 {
				c.Add(1, x)
			}
		})
	}
	scrape(t, r)
	wg.Wait()
	if _, got := scrape(t, r); strings.Count(got, "} 1000") != 4 {
		t.Errorf("%s", got)
	}
}

// TestNames keeps the interface that dashboards rely on in order.
func TestNames(t *testing.T) {
	name, label := regexp.MustCompile(`^evenkeel_[a-z_]+$`), regexp.MustCompile(`^[a-z]+$`)
	seen := map[string]bool{}
	for _, d := range Failover {
		if !name.MatchString(d.Name) || seen[d.Name] || !strings.HasSuffix(d.Help, ".") || strings.HasSuffix(d.Name, "_total") != (d.Kind == CounterKind) {
			t.Errorf("%+v", d)
		}
		seen[d.Name] = true
		for _, l := range d.Labels {
			if !label.MatchString(l) {
				t.Errorf("%s: label %s", d.Name, l)
			}
		}
	}
	if err := New("").Collect(Failover, func(Emit) {}); err != nil {
		t.Error(err)
	}
}

func get(t *testing.T, s *Server, path string) (int, string) {
	t.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial(s.listener.Addr().Network(), s.Addr())
	}}}
	resp, err := c.Get("http://x" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestServer(t *testing.T) {
	sock := filepath.Join(t.TempDir(), "metrics")
	for _, addr := range []string{":0", "127.0.0.1:0", sock, "unix:" + sock} {
		s, err := Listen(addr, New("9"))
		if err != nil {
			t.Fatalf("%s: %v", addr, err)
		}
		if a, ok := s.listener.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() {
			t.Errorf("%s listens on %s", addr, a)
		}
		if code, body := get(t, s, "/metrics"); code != 200 || !strings.Contains(body, "evenkeel_build_info") {
			t.Errorf("%s: %d %s", addr, code, body)
		}
		if code, _ := get(t, s, "/"); code != 404 {
			t.Errorf("%s: / gives %d", addr, code)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	// The socket of a process that was killed is taken over, no other file is.
	stale, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(sock, New("")); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a socket in use: %v", err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	stale.Close()
	s, err := Listen(sock, New(""))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	os.WriteFile(sock, nil, 0o600)
	for _, addr := range []string{sock, "nonsense", "256.0.0.1:1"} {
		if s, err := Listen(addr, New("")); err == nil {
			s.Close()
			t.Errorf("%s is accepted", addr)
		}
	}
	if (*Server)(nil).Close() != nil {
		t.Error("closing none")
	}
}
