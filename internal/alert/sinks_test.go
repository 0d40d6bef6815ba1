package alert

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// datagrams listens on a socket in the file system or on UDP.
func datagrams(t *testing.T, network, address string) net.PacketConn {
	t.Helper()
	c, err := net.ListenPacket(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	return c
}

func receive(t *testing.T, c net.PacketConn) string {
	t.Helper()
	b := make([]byte, 64<<10)
	n, _, err := c.ReadFrom(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestSyslog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	c := datagrams(t, "unixgram", path)
	o, _ := open(t, Syslog{Address: path, Facility: "local1", PID: 77})
	e := &Event{Severity: Notice, Text: "(VI_1) Entering\nMASTER\x00 STATE", At: time.Date(2026, 2, 3, 4, 5, 6, 0, time.Local)}
	if n, err := o.send(bounded(t), []*Event{e, {Severity: Critical, Text: "two", At: e.At}}); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	if got, want := receive(t, c), "<141>Feb  3 04:05:06 Keepalived_vrrp[77]: (VI_1) Entering_MASTER_ STATE"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := receive(t, c), "<138>Feb  3 04:05:06 Keepalived_vrrp[77]: two"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	// The daemon is started anew: the line is not lost.
	c.Close()
	os.Remove(path)
	if n, err := o.send(bounded(t), []*Event{e}); n != 0 || err == nil {
		t.Errorf("without a daemon: %d %v", n, err)
	}
	c = datagrams(t, "unixgram", path)
	if n, err := o.send(bounded(t), []*Event{e}); n != 1 || err != nil {
		t.Errorf("with another daemon: %d %v", n, err)
	}
	receive(t, c)
	c.Close()
	os.Remove(path)
	c = datagrams(t, "unixgram", path)
	if n, err := o.send(bounded(t), []*Event{e}); n != 1 || err != nil {
		t.Errorf("with a third daemon, unnoticed: %d %v", n, err)
	}
	long := &Event{Severity: Info, Text: strings.Repeat("ä", 5000), At: e.At}
	receive(t, c)
	if n, err := o.send(bounded(t), []*Event{long}); n != 1 || err != nil {
		t.Errorf("a long line: %d %v", n, err)
	}
	if got := receive(t, c); len(got) > maxText+100 || !strings.HasSuffix(got, "ä...") {
		t.Errorf("a long line has %d bytes: %q", len(got), got[len(got)-10:])
	}
}

func TestSyslogUDP(t *testing.T) {
	c := datagrams(t, "udp", "127.0.0.1:0")
	o, _ := open(t, Syslog{Address: c.LocalAddr().String(), Tag: "lb"})
	if n, err := o.send(bounded(t), []*Event{{Severity: Warning, Text: "x", At: time.Now()}}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	host, _ := os.Hostname()
	host, _, _ = strings.Cut(host, ".")
	if got := receive(t, c); !strings.HasPrefix(got, "<28>") || !strings.Contains(got, " "+host+" lb[") || !strings.HasSuffix(got, "]: x") {
		t.Errorf("%q", got)
	}
	if o, _ := open(t, Syslog{Address: "192.0.2.1"}); o.(*syslogOutput).address != "192.0.2.1:514" {
		t.Errorf("%s", o.(*syslogOutput).address)
	}
	if _, err := (Syslog{Facility: "local9"}).open(nil); err == nil || !strings.Contains(err.Error(), "local9") {
		t.Errorf("%v", err)
	}
}

func TestSyslogThatIsFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	datagrams(t, "unixgram", path) // nobody reads
	o, _ := open(t, Syslog{Address: path})
	var many []*Event
	for range 10000 {
		many = append(many, &Event{Text: strings.Repeat("x", 1000)})
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	n, err := o.send(ctx, many)
	if err == nil || n == 0 || n == len(many) {
		t.Errorf("%d %v", n, err)
	}
}

// fields reads a message in the journal's protocol.
func fields(t *testing.T, s string) map[string]string {
	t.Helper()
	m := map[string]string{}
	for s != "" {
		line, rest, ok := strings.Cut(s, "\n")
		if !ok {
			t.Fatalf("no line end after %q", s)
		}
		if name, value, ok := strings.Cut(line, "="); ok {
			m[name], s = value, rest
			continue
		}
		n := binary.LittleEndian.Uint64([]byte(rest))
		m[line] = rest[8 : 8+n]
		s = strings.TrimPrefix(rest[8+n:], "\n")
	}
	return m
}

func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	c := datagrams(t, "unixgram", path)
	o, _ := open(t, Journal{Path: path, Tag: "lb"})
	e := &Event{Kind: "transition", Severity: Notice, Plane: "vrrp", Name: "VI_1", Text: "one\nPRIORITY=0", At: time.Now(),
		Fields: []Field{{"old-state", "BACKUP"}, {strings.Repeat("x", 100), "y"}}}
	if n, err := o.send(bounded(t), []*Event{e}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	got := fields(t, receive(t, c))
	for name, want := range map[string]string{"MESSAGE": "one\nPRIORITY=0", "PRIORITY": "5", "SYSLOG_IDENTIFIER": "lb", "SYSLOG_FACILITY": "3",
		"EVENKEEL_KIND": "transition", "EVENKEEL_PLANE": "vrrp", "EVENKEEL_NAME": "VI_1", "EVENKEEL_OLD_STATE": "BACKUP",
		"EVENKEEL_" + strings.Repeat("X", 55): "y"} {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
}

func TestJournalMessageThatIsTooLong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	datagrams(t, "unixgram", path)
	o, _ := open(t, Journal{Path: path})
	e := &Event{Text: "x"}
	for range 500 {
		e.Fields = append(e.Fields, Field{"x", strings.Repeat("x", 4*maxText)})
	}
	var p permanent
	if n, err := o.send(bounded(t), []*Event{e}); n != 0 || !errors.As(err, &p) {
		t.Errorf("%d %v: it would be tried for ever, and hold up the others", n, err)
	}
}

func TestStream(t *testing.T) {
	var b bytes.Buffer
	o, _ := open(t, Stream{Name: "stderr", To: &b})
	o.send(bounded(t), []*Event{{Text: "a\nb", At: time.Date(2026, 2, 3, 4, 5, 6, 7e6, time.UTC)}})
	if b.String() != "Tue Feb  3 04:05:06.007 2026: a_b\n" {
		t.Errorf("%q", b.String())
	}
}

func TestLevels(t *testing.T) {
	for _, c := range []struct {
		s    Spec
		e    Event
		want bool
	}{
		{Syslog{}, Event{Severity: Info}, true},
		{Syslog{}, Event{Severity: Debug}, false},
		{Syslog{Level: Debug}, Event{Severity: Debug}, true},
		{Webhook{Level: Warning}, Event{Severity: Notice}, false},
		{Journal{Level: Warning}, Event{Severity: Warning}, true},
		{Stream{Level: Notice}, Event{Severity: Emergency}, true},
		{Mail{}, Event{Severity: Emergency}, false},
		{Mail{}, Event{Severity: Debug, Mail: &Message{}}, true},
		{Scripts{}, Event{Notify: &Notify{}}, false},
		{Scripts{}, Event{Notify: &Notify{Hooks: &Hooks{}}}, true},
		{FIFO{}, Event{}, false},
		{FIFO{}, Event{Notify: &Notify{Object: "RS"}}, true},
		{FIFO{Objects: VRRPObjects}, Event{Notify: &Notify{Object: "RS"}}, false},
		{FIFO{Objects: VRRPObjects}, Event{Notify: &Notify{Object: "GROUP"}}, true},
		{FIFO{Objects: LVSObjects}, Event{Notify: &Notify{Object: "INSTANCE"}}, false},
		{FIFO{Objects: LVSObjects}, Event{Notify: &Notify{Object: "VS"}}, true},
	} {
		if got := c.s.Wants(&c.e); got != c.want {
			t.Errorf("%+v of %+v: %v", c.s, c.e, got)
		}
	}
}

func TestWebhook(t *testing.T) {
	type request struct {
		header http.Header
		body   map[string]any
	}
	var mu sync.Mutex
	var got []request
	status := http.StatusOK
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		var body map[string]any
		b, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(b, &body); err != nil || r.Method != "POST" {
			t.Errorf("%s %s: %v", r.Method, b, err)
		}
		got = append(got, request{r.Header, body})
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	}))
	defer s.Close()
	spec := Webhook{URL: s.URL + "/hook?token=geheim", Headers: []string{"Authorization: Bearer geheim", "X-Two:2"}, Node: "lb1"}
	if strings.Contains(spec.Key(), "geheim") {
		t.Errorf("the key shows a secret: %s", spec.Key())
	}
	if other := (Webhook{URL: s.URL + "/hook?token=other"}); other.Key() == spec.Key() {
		t.Errorf("two webhooks of one server have one key: %s", spec.Key())
	}
	o, _ := open(t, spec)
	if n, err := o.send(bounded(t), []*Event{transition()}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	r := got[0]
	if r.header.Get("Authorization") != "Bearer geheim" || r.header.Get("X-Two") != "2" || r.header.Get("Content-Type") != "application/json" {
		t.Errorf("%v", r.header)
	}
	b, _ := json.Marshal(r.body)
	want := `{"fields":{"priority":"150"},"kind":"transition","name":"VI_1","node":"lb1","object":"INSTANCE","plane":"vrrp","priority":150,"severity":"notice","state":"MASTER","text":"(VI_1) Entering MASTER STATE","time":"2026-11-21T10:00:00Z"}`
	if string(b) != want {
		t.Errorf("%s\nwant %s", b, want)
	}
	for code, forEver := range map[int]bool{500: false, 503: false, 429: false, 408: false, 400: true, 404: true, 302: true} {
		mu.Lock()
		status = code
		before := len(got)
		mu.Unlock()
		n, err := o.send(bounded(t), []*Event{transition()})
		var p permanent
		if n != 0 || err == nil || errors.As(err, &p) != forEver || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%d: %d, %v", code, n, err)
		}
		if len(got) != before+1 {
			t.Errorf("%d: %d requests", code, len(got)-before)
		}
	}
	s.Close()
	if _, err := o.send(bounded(t), []*Event{transition()}); err == nil || strings.Contains(err.Error(), "geheim") {
		t.Errorf("without a server: %v", err)
	}
	for _, bad := range []Webhook{{URL: "ftp://x/"}, {URL: "http://"}, {URL: "://geheim"}, {URL: "http://x/", Headers: []string{"geheim"}}, {URL: "http://x/", Headers: []string{"A: b\r\nC: d"}}} {
		if _, err := bad.open(nil); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

func TestWebhookThatHangs(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-release }))
	defer s.Close()
	defer close(release)
	h := New(Options{})
	spec := Webhook{URL: s.URL, Timeout: 50 * time.Millisecond}
	if err := h.Set(Config{Sinks: []Spec{spec}}); err != nil {
		t.Fatal(err)
	}
	post(h, "k", "1")
	late := time.After(20 * time.Second)
	for h.Stats()[0].Retries == 0 {
		select {
		case <-late:
			t.Fatalf("%+v", h.Stats())
		case <-time.After(time.Millisecond):
		}
	}
	closeNow(h, time.Millisecond)
	var trouble string
	for _, e := range h.Recent() {
		trouble += e.Text
	}
	if !strings.Contains(trouble, "delivery failed, it is tried again: context deadline exceeded") {
		t.Errorf("%s", trouble)
	}
}
