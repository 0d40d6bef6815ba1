package alert

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/mail"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"
)

// server is a small SMTP server.
type server struct {
	l    net.Listener
	port int
	// answer may replace the reply to a command; "" leaves it, "close" ends
	// the connection, "hang" says nothing.
	answer func(command string) string

	mu    sync.Mutex
	lines []string
	mails []string
	wg    sync.WaitGroup
}

func startServer(t *testing.T, answer func(string) string) *server {
	t.Helper()
	s := &server{answer: answer}
	for port := 41500; port < 41600; port++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			s.l, s.port = l, port
			break
		}
	}
	if s.l == nil {
		t.Fatal("no port is free")
	}
	s.wg.Go(func() {
		for {
			c, err := s.l.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() { s.l.Close(); s.wg.Wait() })
	return s
}

func (s *server) serve(c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	r := bufio.NewReader(c)
	reply := func(command, usual string) bool {
		if s.answer != nil {
			if a := s.answer(command); a != "" {
				usual = a
			}
		}
		switch usual {
		case "close":
			return false
		case "hang":
			io.Copy(io.Discard, c)
			return false
		}
		io.WriteString(c, strings.ReplaceAll(usual, "\n", "\r\n")+"\r\n")
		return true
	}
	if !reply("connect", "220-mail.test\n220 ready") {
		return
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\r\n")
		s.mu.Lock()
		s.lines = append(s.lines, line)
		s.mu.Unlock()
		verb, _, _ := strings.Cut(line, " ")
		switch verb {
		case "DATA":
			if !reply(line, "354 go on") {
				return
			}
			data, err := io.ReadAll(textproto.NewReader(r).DotReader())
			if err != nil {
				return
			}
			if s.answer != nil && s.answer(".") != "" {
				if !reply(".", "") {
					return
				}
				continue
			}
			s.mu.Lock()
			s.mails = append(s.mails, string(data))
			s.mu.Unlock()
			io.WriteString(c, "250 taken\r\n")
		case "QUIT":
			reply(line, "221 bye")
			return
		default:
			if !reply(line, "250 ok") {
				return
			}
		}
	}
}

func (s *server) commands() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "|")
}

func (s *server) taken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.mails...)
}

func (s *server) spec() Mail {
	return Mail{Server: "127.0.0.1", Port: s.port, HELO: "node1.example", From: "lb@example.org", To: []string{"a@example.org", "b@example.org"},
		RouterID: "LVS_1", ConnectTimeout: 20 * time.Second}
}

// open opens a spec; what it tells goes into the returned function's result.
func open(t *testing.T, s Spec) (output, func() string) {
	t.Helper()
	var mu sync.Mutex
	var told []string
	o, err := s.open(func(_ Severity, text string) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, text)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.close)
	return o, func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(told, "|")
	}
}

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func transition() *Event {
	return &Event{Kind: "transition", Severity: Notice, Plane: "vrrp", Name: "VI_1", Text: "(VI_1) Entering MASTER STATE", At: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC),
		Fields: []Field{{"priority", "150"}}, Mail: TransitionMessage("INSTANCE", "VI_1", "MASTER"),
		Notify: &Notify{Object: "INSTANCE", Name: "VI_1", State: "MASTER", Priority: 150}}
}

func TestMail(t *testing.T) {
	s := startServer(t, nil)
	o, told := open(t, s.spec())
	second := transition()
	second.Mail = &Message{Subject: "Zustand geändert\r\nBcc: x@evil", Body: ".leading dot\n..two\n\nlast"}
	if n, err := o.send(bounded(t), []*Event{transition(), second}); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	to := "RCPT TO:<a@example.org>|RCPT TO:<b@example.org>|DATA"
	want := "HELO node1.example|MAIL FROM:<lb@example.org>|" + to + "|MAIL FROM:<lb@example.org>|" + to + "|QUIT"
	if got := s.commands(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	mails := s.taken()
	if len(mails) != 2 || told() != "" {
		t.Fatalf("%d mails, told %q", len(mails), told())
	}
	m, err := mail.ReadMessage(strings.NewReader(mails[0]))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"From": "<lb@example.org>", "To": "<a@example.org>, <b@example.org>",
		"Subject": "[LVS_1] VRRP Instance VI_1 - Entering MASTER state", "Date": "Sat, 21 Nov 2026 10:00:00 +0000"} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if id := m.Header.Get("Message-ID"); !strings.HasSuffix(id, "@node1.example>") {
		t.Errorf("Message-ID: %q", id)
	}
	body, _ := io.ReadAll(m.Body)
	if !strings.Contains(string(body), "(VI_1) Entering MASTER STATE\n") || !strings.Contains(string(body), "priority: 150\n") {
		t.Errorf("%s", body)
	}
	m, err = mail.ReadMessage(strings.NewReader(mails[1]))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || subject != "[LVS_1] Zustand geändert__Bcc: x@evil" || m.Header.Get("Bcc") != "" {
		t.Errorf("subject %q %v, header %v", subject, err, m.Header)
	}
	body, _ = io.ReadAll(m.Body)
	if string(body) != ".leading dot\n..two\n\nlast\n" {
		t.Errorf("%q", body)
	}
}

func TestMailRefusals(t *testing.T) {
	no := func(prefix, with string) func(string) string {
		return func(c string) string {
			if strings.HasPrefix(c, prefix) {
				return with
			}
			return ""
		}
	}
	for _, c := range []struct {
		name    string
		answer  func(string) string
		done    int
		err     string // in the error; "": none
		forEver bool
		mails   int
		told    string
	}{
		{"greylisted server", no("connect", "421 busy"), 0, "421 busy", false, 0, ""},
		{"a server that wants nobody", no("connect", "554 go away"), 0, "554 go away", false, 0, ""},
		{"another protocol", no("connect", "SSH-2.0-x"), 0, "does not speak SMTP", false, 0, ""},
		{"HELO", no("HELO", "501 bad name"), 0, "HELO: the server answered 501 bad name", false, 0, ""},
		{"sender", no("MAIL", "550-no\n550 sender"), 0, "550 no sender", true, 0, ""},
		{"sender for now", no("MAIL", "451 later"), 0, "451 later", false, 0, ""},
		{"one recipient", no("RCPT TO:<a@", "550 unknown"), 1, "", false, 1, "RCPT TO a@example.org: the server answered 550 unknown"},
		{"all recipients", no("RCPT", "550 unknown"), 0, "550 unknown", true, 0, ""},
		{"one recipient for now", no("RCPT TO:<a@", "450 later"), 0, "does not take mail for a@example.org", false, 1, ""},
		{"forwarded", no("RCPT", "251 will forward"), 1, "", false, 1, ""},
		{"DATA", no("DATA", "554 no"), 0, "554 no", true, 0, ""},
		{"its content", no(".", "552 too big"), 0, "552 too big", true, 0, ""},
		{"its content for now", no(".", "452 disk full"), 0, "452 disk full", false, 0, ""},
		{"closed", no("MAIL", "close"), 0, "closed the connection", false, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startServer(t, c.answer)
			o, told := open(t, s.spec())
			n, err := o.send(bounded(t), []*Event{transition()})
			var p permanent
			if n != c.done || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%d, %v; want %d, %s", n, err, c.done, c.err)
			}
			if isPermanent := err != nil && errors.As(err, &p); isPermanent != c.forEver {
				t.Errorf("for ever: %v (%v)", isPermanent, err)
			}
			if len(s.taken()) != c.mails || !strings.Contains(told(), c.told) || c.told == "" && told() != "" {
				t.Errorf("%d mails, told %q", len(s.taken()), told())
			}
		})
	}
}

// TestMailForTheRest: who got the mail does not get it again when the others
// are tried later.
func TestMailForTheRest(t *testing.T) {
	later := true
	var mu sync.Mutex
	s := startServer(t, func(c string) string {
		mu.Lock()
		defer mu.Unlock()
		if later && strings.HasPrefix(c, "RCPT TO:<a@") {
			return "450 later"
		}
		return ""
	})
	o, _ := open(t, s.spec())
	e := transition()
	if n, err := o.send(bounded(t), []*Event{e}); n != 0 || err == nil {
		t.Fatal(n, err)
	}
	mu.Lock()
	later = false
	mu.Unlock()
	if n, err := o.send(bounded(t), []*Event{e, transition()}); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	if got := strings.Count(s.commands(), "RCPT TO:<b@"); got != 2 {
		t.Errorf("b was named %d times: %s", got, s.commands())
	}
	if got := strings.Count(s.commands(), "RCPT TO:<a@"); got != 3 {
		t.Errorf("a was named %d times: %s", got, s.commands())
	}
}

func TestMailServerThatHangs(t *testing.T) {
	for _, at := range []string{"connect", "HELO", "MAIL", "DATA", "."} {
		s := startServer(t, func(c string) string {
			if strings.HasPrefix(c, at) {
				return "hang"
			}
			return ""
		})
		o, _ := open(t, s.spec())
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		done := make(chan error, 1)
		go func() {
			_, err := o.send(ctx, []*Event{transition()})
			done <- err
		}()
		select {
		case err := <-done:
			if err == nil {
				t.Errorf("%s: no error", at)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s: send does not notice that its time is over", at)
		}
		cancel()
	}
}

// TestMailThroughHub has the server away at first.
func TestMailThroughHub(t *testing.T) {
	var mu sync.Mutex
	tries := 0
	s := startServer(t, func(c string) string {
		mu.Lock()
		defer mu.Unlock()
		if c == "connect" {
			if tries++; tries == 1 {
				return "421 not yet"
			}
		}
		return ""
	})
	h := New(Options{})
	if err := h.Set(Config{Sinks: []Spec{s.spec()}}); err != nil {
		t.Fatal(err)
	}
	for _, state := range []string{"MASTER", "BACKUP", "FAULT"} {
		h.Post(Event{Kind: "transition", Plane: "vrrp", Name: "VI_1", Text: state, Mail: TransitionMessage("GROUP", "VG_1", state)})
	}
	h.Post(Event{Kind: "transition", Plane: "vrrp", Name: "VI_1", Text: "nobody asked for a mail"})
	closeNow(h, 20*time.Second)
	var subjects []string
	for _, m := range s.taken() {
		p, err := mail.ReadMessage(strings.NewReader(m))
		if err != nil {
			t.Fatal(err)
		}
		subjects = append(subjects, p.Header.Get("Subject"))
	}
	want := "[LVS_1] VRRP Group VG_1 - Entering MASTER state|[LVS_1] VRRP Group VG_1 - Entering BACKUP state|[LVS_1] VRRP Group VG_1 - Entering FAULT state"
	if got := strings.Join(subjects, "|"); got != want {
		t.Errorf("%s", got)
	}
}

func TestMailSpec(t *testing.T) {
	for _, c := range []struct {
		m    Mail
		want string // in the error; else the address
	}{
		{Mail{}, "notification_email"},
		{Mail{To: []string{"a@b\r\nRCPT TO:<x>"}}, "not the address"},
		{Mail{To: []string{"a"}, HELO: "x y"}, "not the address"},
		{Mail{To: []string{"a"}, From: "x <y"}, "not the address"},
		{Mail{To: []string{"a"}}, "127.0.0.1:25"},
		{Mail{To: []string{"a"}, Server: "mx", Port: 26}, "mx:26"},
		{Mail{To: []string{"a"}, Server: "2001:db8::1"}, "[2001:db8::1]:25"},
		{Mail{To: []string{"a"}, Server: "[2001:db8::1]:587"}, "[2001:db8::1]:587"},
		{Mail{To: []string{"a"}, Server: "mx:27", From: "LB <lb@example.org>"}, "mx:27"},
	} {
		o, err := c.m.open(nil)
		got := fmt.Sprint(err)
		if err == nil {
			got = o.(*mailOutput).address
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%+v: %s, want %s", c.m, got, c.want)
		}
	}
}

func TestLongSubject(t *testing.T) {
	for _, s := range []string{strings.Repeat("word ", 60), strings.Repeat("wörter ", 40), "short"} {
		enc := encodeHeader(s)
		for _, line := range strings.Split(enc, "\n") {
			if len(line) > 78 {
				t.Errorf("%d bytes in one line: %s", len(line), line)
			}
		}
		got, err := new(mime.WordDecoder).DecodeHeader(strings.ReplaceAll(enc, "\n", ""))
		if err != nil || got != s {
			t.Errorf("%q became %q (%v)", s, got, err)
		}
	}
}

func FuzzReply(f *testing.F) {
	for _, s := range []string{"", "250 ok\r\n", "250-a\r\n250-b\r\n250 c\r\n", "250\n", "220 x", "250-a\r\n251 b\r\n", "25 x\r\n", "999 x\r\n", "250_x\r\n",
		strings.Repeat("250-x\r\n", 200), "250 " + strings.Repeat("x", 5000) + "\r\n", "250 \x00\xff\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := readReply(bufio.NewReaderSize(bytes.NewReader(b), maxReplyLine))
		if err == nil && (r.code < 200 || r.code > 599) {
			t.Errorf("%q gave the code %d", b, r.code)
		}
		if len(r.text) > maxReplyLines*401 || strings.ContainsAny(r.text, "\r\n\x00") {
			t.Errorf("%q gave the text %q", b, r.text)
		}
	})
}

func FuzzDots(f *testing.F) {
	for _, s := range []string{"", ".", "..", "a\n.\nb", "a\r\n.b\r\n", "\r", "a\r.\r\n", "\n\n."} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		sent := appendDots(nil, data)
		r := bufio.NewReader(bytes.NewReader(sent))
		got, err := io.ReadAll(textproto.NewReader(r).DotReader())
		if err != nil {
			t.Fatalf("%q was sent as %q: %v", data, sent, err)
		}
		if r.Buffered() > 0 {
			t.Fatalf("%q was sent as %q, which ends too early", data, sent)
		}
		if bytes.Contains(bytes.ReplaceAll(sent, []byte("\r\n"), nil), []byte("\n")) || bytes.Contains(bytes.ReplaceAll(sent, []byte("\r\n"), nil), []byte("\r")) {
			t.Errorf("%q was sent with bare line ends: %q", data, sent)
		}
		want := bytes.ReplaceAll(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")), []byte("\r"), []byte("\n"))
		if len(want) > 0 && want[len(want)-1] != '\n' {
			want = append(want, '\n')
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%q arrived as %q", data, got)
		}
	})
}
