package checks

import (
	"bytes"
	"context"
	"encoding/hex"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/model"
	"evenkeel/internal/pool"
)

// server answers each connection: it reads until want bytes (or anything) have
// come, sends reply, and then closes, or waits for the client's close.
type server struct {
	read  bool
	reply string
	stay  bool   // keep the connection open
	got   []byte // the first bytes received
	reset bool
}

func (s *server) start(t testing.TB) (addr *net.TCPAddr) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.serve(c.(*net.TCPConn))
		}
	}()
	return l.Addr().(*net.TCPAddr)
}

func (s *server) serve(c *net.TCPConn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	buf := make([]byte, 4096)
	if s.read {
		n, _ := c.Read(buf)
		s.got = append(s.got, buf[:n]...)
	}
	if s.reset {
		c.SetLinger(0)
		return
	}
	c.Write([]byte(s.reply))
	if !s.stay {
		c.CloseWrite()
	}
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}

func target(a *net.TCPAddr) *Target {
	var d net.Dialer
	return &Target{Network: "tcp", Host: "127.0.0.1", Port: a.Port, Dial: d.DialContext,
		Whole: 30 * time.Second, Connect: 30 * time.Second, Reply: 30 * time.Second}
}

func lit(s string) *model.Format { return model.Literal(model.Pos{}, s) }

func compile(t testing.TB, c model.Check) *Script {
	t.Helper()
	s, err := Compile(&c, &Env{Node: "n"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func expectStep(match, pattern string, negate bool) model.CheckStep {
	return model.CheckStep{Kind: model.StepExpect, Match: match, Pattern: pattern, Negate: negate}
}

var ping = model.CheckStep{Kind: model.StepSend, Data: []byte("PING\r\n")}

// The outcomes were taken from HAProxy 2.6 against servers that answer so.
func TestOutcomes(t *testing.T) {
	const ok200 = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello"
	http := model.Check{Kind: model.CheckHTTP}
	with := func(steps ...model.CheckStep) model.Check { return model.Check{Kind: model.CheckHTTP, Steps: steps} }
	tcp := func(steps ...model.CheckStep) model.Check { return model.Check{Kind: model.CheckTCP, Steps: steps} }
	hdr := model.CheckStep{Kind: model.StepExpect, Match: "hdr", HeaderName: "x", HeaderValue: "z"}
	hdrOK := model.CheckStep{Kind: model.StepExpect, Match: "hdr", HeaderName: "X", HeaderValue: "y"}
	commented := expectStep("string", "+PONG", false)
	commented.Comment = "expected pong"
	long := expectStep("string", "x", false)
	long.MinRecv = 100
	const mysqlOK = "\x0e\x00\x00\x00\x0a8.0.36\x00abcdef\x07\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00"
	const mysqlErr = "\x0f\x00\x00\x00\xff\x6a\x04#08004Too ma"
	for _, x := range []struct {
		name  string
		check model.Check
		s     server
		want  Result
	}{
		{"http 503", http, server{read: true, reply: "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", stay: true}, Result{pool.CheckL7Status, 503, "Service Unavailable"}},
		{"http 200", http, server{read: true, reply: ok200, stay: true}, Result{pool.CheckL7OK, 200, ""}},
		{"http 404", http, server{read: true, reply: "HTTP/1.1 404 Not Found\r\n\r\n"}, Result{pool.CheckL7Status, 404, "Not Found"}},
		{"http no reason", http, server{read: true, reply: "HTTP/1.0 200\r\n\r\n", stay: true}, Result{pool.CheckL7OK, 200, ""}},
		{"http after 100", http, server{read: true, reply: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 None\r\n\r\n", stay: true}, Result{pool.CheckL7OK, 204, ""}},
		{"http garbage", http, server{read: true, reply: "garbage\r\n\r\n", stay: true}, Result{pool.CheckL7Response, 0, ""}},
		{"http nothing", http, server{read: true}, Result{pool.CheckL7Response, 0, ""}},
		{"http half", http, server{read: true, reply: "HTTP/1.1 200 OK\r\n"}, Result{pool.CheckL7Response, 0, ""}},
		{"http reset", http, server{read: true, reset: true}, Result{pool.CheckSockErr, 0, "Connection reset by peer"}},
		{"http string", with(expectStep("string", "hello", false)), server{read: true, reply: ok200, stay: true}, Result{pool.CheckL7OK, 200, ""}},
		{"http other string", with(expectStep("string", "world", false)), server{read: true, reply: ok200, stay: true}, Result{pool.CheckL7Response, 200, "HTTP content check did not match"}},
		{"http ! string", with(expectStep("string", "hello", true)), server{read: true, reply: ok200, stay: true}, Result{pool.CheckL7Response, 200, "HTTP check matched unwanted content"}},
		{"http no body", with(expectStep("string", "hello", false)), server{read: true, reply: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", stay: true}, Result{pool.CheckL7Response, 200, "HTTP content check could not find a response body"}},
		{"http chunked", with(expectStep("rstring", "^hel+o$", false)), server{read: true, reply: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x\r\nlo\r\n0\r\n\r\n", stay: true}, Result{pool.CheckL7OK, 200, ""}},
		{"http rstatus", with(expectStep("rstatus", "^3", false)), server{read: true, reply: ok200, stay: true}, Result{pool.CheckL7Status, 200, "OK"}},
		{"http ! status", with(expectStep("status", "200", true)), server{read: true, reply: ok200, stay: true}, Result{pool.CheckL7Status, 200, "OK"}},
		{"http statuses", with(expectStep("status", "404,200-299", false)), server{read: true, reply: ok200, stay: true}, Result{pool.CheckL7OK, 200, ""}},
		{"http header", with(hdrOK), server{read: true, reply: ok200, stay: true}, Result{pool.CheckL7OK, 200, ""}},
		{"http other header", with(hdr), server{read: true, reply: ok200, stay: true}, Result{pool.CheckL7Status, 200, "OK"}},
		{"redis", model.Check{Kind: model.CheckRedis}, server{read: true, reply: "+PONG\r\n", stay: true}, Result{pool.CheckL7OK, 0, "Redis server is ok"}},
		{"redis error", model.Check{Kind: model.CheckRedis}, server{read: true, reply: "-ERR nope\r\n", stay: true}, Result{pool.CheckL7Status, 0, "-ERR nope"}},
		{"redis nothing", model.Check{Kind: model.CheckRedis}, server{read: true}, Result{pool.CheckL7Status, 0, "TCPCHK got an empty response at step 2"}},
		{"smtp refused", model.Check{Kind: model.CheckSMTP}, server{reply: "554 no way\r\n", stay: true}, Result{pool.CheckL7Status, 554, "no way"}},
		{"smtp garbage", model.Check{Kind: model.CheckSMTP}, server{reply: "hello there\r\n", stay: true}, Result{pool.CheckL7Response, 0, "o there"}},
		{"mysql", model.Check{Kind: model.CheckMySQL}, server{reply: mysqlOK, stay: true}, Result{pool.CheckL7OK, 0, "MySQL server is ok: 8.0.36"}},
		{"mysql user", model.Check{Kind: model.CheckMySQL, User: "foo"}, server{read: true, reply: mysqlOK, stay: true}, Result{pool.CheckL7OK, 0, "MySQL server is ok: 8.0.36"}},
		{"mysql error", model.Check{Kind: model.CheckMySQL}, server{reply: mysqlErr, stay: true}, Result{pool.CheckL7Status, 1130, "Too ma"}},
		{"mysql cut off", model.Check{Kind: model.CheckMySQL}, server{reply: "220 hi"}, Result{pool.CheckL7Response, 0, ""}},
		{"pgsql", model.Check{Kind: model.CheckPgSQL, User: "u"}, server{read: true, reply: "R\x00\x00\x00\x0c\x00\x00\x00\x05abcd", stay: true}, Result{pool.CheckL7OK, 0, "PostgreSQL server is ok"}},
		{"pgsql garbage", model.Check{Kind: model.CheckPgSQL, User: "u"}, server{read: true, reply: ok200, stay: true}, Result{pool.CheckL7Status, 0, "PostgreSQL unknown error"}},
		{"pgsql error", model.Check{Kind: model.CheckPgSQL, User: "u"}, server{read: true, reply: "E\x00\x00\x00\x18SFATAL\x00Mno such role\x00\x00", stay: true}, Result{pool.CheckL7Response, 0, "no such role"}},
		{"pgsql nothing", model.Check{Kind: model.CheckPgSQL, User: "u"}, server{read: true}, Result{pool.CheckL7Response, 0, "TCPCHK got an empty response at step 3"}},
		{"ldap", model.Check{Kind: model.CheckLDAP}, server{read: true, reply: "\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00", stay: true}, Result{pool.CheckL7OK, 0, "Success"}},
		{"ldap long lengths", model.Check{Kind: model.CheckLDAP}, server{read: true, reply: "\x30\x84\x00\x00\x00\x10\x02\x01\x01\x61\x84\x00\x00\x00\x07\x0a\x01\x31\x04\x00\x04\x00", stay: true}, Result{pool.CheckL7Status, 49, "See RFC: http://tools.ietf.org/html/rfc4511#section-4.1.9"}},
		{"ldap garbage", model.Check{Kind: model.CheckLDAP}, server{read: true, reply: ok200, stay: true}, Result{pool.CheckL7Response, 0, "Not LDAPv3 protocol"}},
		{"ssl hello", model.Check{Kind: model.CheckSSLHello}, server{read: true, reply: "\x15\x03\x00\x00\x02\x02\x28", stay: true}, Result{pool.CheckL6OK, 0, ""}},
		{"ssl hello garbage", model.Check{Kind: model.CheckSSLHello}, server{read: true, reply: ok200, stay: true}, Result{pool.CheckL6Response, 0, ""}},
		{"ssl hello nothing", model.Check{Kind: model.CheckSSLHello}, server{read: true}, Result{pool.CheckL6Response, 0, "TCPCHK got an empty response at step 2"}},
		{"tcp", model.Check{}, server{stay: true}, Result{pool.CheckL4OK, 0, ""}},
		{"script", tcp(ping, expectStep("string", "+PONG", false)), server{read: true, reply: "+PONG\r\n", stay: true}, Result{pool.CheckL7OK, 0, "(tcp-check)"}},
		{"script mismatch", tcp(ping, expectStep("string", "+PONG", false)), server{read: true, reply: "-ERR nope\r\n"}, Result{pool.CheckL7Response, 0, "TCPCHK did not match content '+PONG' at step 2"}},
		{"script comment", tcp(ping, commented), server{read: true, reply: "-ERR nope\r\n"}, Result{pool.CheckL7Response, 0, "TCPCHK did not match content '+PONG' at step 2 comment: 'expected pong'"}},
		{"script nothing", tcp(ping, expectStep("string", "+PONG", false)), server{read: true}, Result{pool.CheckL7Response, 0, "TCPCHK got an empty response at step 2"}},
		{"script reset", tcp(ping, expectStep("string", "+PONG", false)), server{read: true, reset: true}, Result{pool.CheckSockErr, 0, "Connection reset by peer at step 2 of tcp-check (expect string '+PONG')"}},
		{"script binary", tcp(ping, expectStep("binary", "2b504f4e48", false)), server{read: true, reply: "+PONG\r\n"}, Result{pool.CheckL7Response, 0, "TCPCHK did not match content (binary) at step 2"}},
		{"script rbinary", tcp(ping, expectStep("rbinary", "^2B50[0-9A-F]+0D0A$", false)), server{read: true, reply: "+PONG\r\n", stay: true}, Result{pool.CheckL7OK, 0, "(tcp-check)"}},
		{"script min-recv", tcp(ping, long), server{read: true, reply: "+PONG\r\n"}, Result{pool.CheckL7Response, 0, "TCPCHK did not match content 'x' at step 2"}},
		{"script unwanted", tcp(ping, expectStep("string", "PONG", true)), server{read: true, reply: "+PONG\r\n", stay: true}, Result{pool.CheckL7Response, 0, "TCPCHK matched unwanted content 'PONG' at step 2"}},
		{"script regex", tcp(ping, expectStep("rstring", "^X", false)), server{read: true, reply: "+PONG\r\n"}, Result{pool.CheckL7Response, 0, "TCPCHK did not match content (regex) at step 2"}},
		{"script only sends", tcp(ping), server{read: true, stay: true}, Result{pool.CheckL7OK, 0, "(tcp-check)"}},
	} {
		got := compile(t, x.check).Run(t.Context(), target(x.s.start(t)))
		if got != x.want {
			t.Errorf("%s:\n got %v %+v\nwant %v %+v", x.name, got.Status, got, x.want.Status, x.want)
		}
	}
}

func TestSMTPConversation(t *testing.T) {
	client, srv := net.Pipe()
	said := make(chan string, 10)
	go func() {
		defer srv.Close()
		buf := make([]byte, 100)
		for _, line := range []string{"220 mail ready\r\n", "250 pleased\r\n", "221 bye\r\n"} {
			srv.Write([]byte(line))
			n, err := srv.Read(buf)
			if err != nil {
				return
			}
			said <- string(buf[:n])
		}
	}()
	x := target(&net.TCPAddr{})
	x.Dial = func(context.Context, string, string) (net.Conn, error) { return client, nil }
	got := compile(t, model.Check{Kind: model.CheckSMTP, HELO: "EHLO me"}).Run(t.Context(), x)
	if want := (Result{pool.CheckL7OK, 221, "bye"}); got != want {
		t.Errorf("%+v", got)
	}
	if a, b := <-said, <-said; a != "EHLO me\r\n" || b != "QUIT\r\n" {
		t.Errorf("said %q and %q", a, b)
	}
}

func TestConnectFailures(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := l.Addr().(*net.TCPAddr)
	l.Close()
	if got := compile(t, model.Check{}).Run(t.Context(), target(gone)); got != (Result{pool.CheckL4Con, 0, "Connection refused"}) {
		t.Errorf("refused: %+v", got)
	}
	s := server{stay: true}
	second := model.Check{Steps: []model.CheckStep{
		{Kind: model.StepConnect, Port: s.start(t).Port},
		{Kind: model.StepConnect, Port: gone.Port, Comment: "second"},
	}}
	if got := compile(t, second).Run(t.Context(), target(gone)); got.Status != pool.CheckL4Con ||
		got.Info != "Connection refused at step 2 of tcp-check (connect port "+itoa(gone.Port)+") comment: 'second'" {
		t.Errorf("second connect: %+v", got)
	}
	x := target(gone)
	x.Network, x.Host = "unix", filepath.Join(t.TempDir(), "none")
	if got := compile(t, model.Check{}).Run(t.Context(), x); got != (Result{pool.CheckSockErr, 0, "General socket error (No such file or directory)"}) {
		t.Errorf("no unix socket: %+v", got)
	}
	x = target(gone)
	x.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return nil, context.DeadlineExceeded
	}
	if got := compile(t, model.Check{}).Run(t.Context(), x); got.Status != pool.CheckL4Timeout {
		t.Errorf("timeout: %+v", got)
	}
}

// late is a connection whose time runs out, if it is bounded, when an answer is
// read: not before, however long this machine takes for what comes before.
type late struct {
	net.Conn
	t       *testing.T
	bounded bool
}

func (c *late) SetDeadline(at time.Time) error {
	c.bounded = !at.IsZero()
	return nil
}

func (c *late) Read(p []byte) (int, error) {
	if !c.bounded {
		c.t.Error("an answer may take for ever")
	}
	c.Conn.SetReadDeadline(time.Unix(1, 0))
	return c.Conn.Read(p)
}

func TestTimeouts(t *testing.T) {
	for _, c := range []struct {
		check model.Check
		want  Result
	}{
		{model.Check{Kind: model.CheckHTTP}, Result{pool.CheckL7Timeout, 0, ""}},
		{model.Check{Kind: model.CheckSSLHello}, Result{pool.CheckL6Timeout, 0, ""}},
		{model.Check{Steps: []model.CheckStep{ping, expectStep("string", "+PONG", false)}}, Result{pool.CheckL7Timeout, 0, " at step 2 of tcp-check (expect string '+PONG')"}},
	} {
		s := server{read: true, stay: true}
		x := target(s.start(t))
		dial := x.Dial
		x.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(ctx, network, addr)
			return &late{Conn: c, t: t}, err
		}
		if got := compile(t, c.check).Run(t.Context(), x); got != c.want {
			t.Errorf("got %v %+v, want %+v", got.Status, got, c.want)
		}
	}
}

// A cancelled run must end at once, and be told from a failed one.
func TestCancel(t *testing.T) {
	s := server{read: true, stay: true}
	ctx, cancel := context.WithCancel(t.Context())
	x := target(s.start(t))
	dial := x.Dial
	x.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		cancel()
		return c, err
	}
	if got := compile(t, model.Check{Kind: model.CheckHTTP}).Run(ctx, x); got.Status != pool.CheckUnknown {
		t.Errorf("%+v", got)
	}
}

// endless sends without end: reading must stop at the buffer's size.
type endless struct{ sent int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	e.sent += len(p)
	return len(p), nil
}
func (e *endless) Write(p []byte) (int, error)        { return len(p), nil }
func (e *endless) Close() error                       { return nil }
func (e *endless) LocalAddr() net.Addr                { return nil }
func (e *endless) RemoteAddr() net.Addr               { return nil }
func (e *endless) SetDeadline(t time.Time) error      { return nil }
func (e *endless) SetReadDeadline(t time.Time) error  { return nil }
func (e *endless) SetWriteDeadline(t time.Time) error { return nil }

func TestBoundedReading(t *testing.T) {
	for kind := range kinds {
		e := &endless{}
		x := target(&net.TCPAddr{})
		x.BufSize = 3000
		x.Dial = func(context.Context, string, string) (net.Conn, error) { return e, nil }
		got := compile(t, model.Check{Kind: kind, User: "u"}).Run(t.Context(), x)
		if e.sent > 3000 || got.Status.Passed() && got.Status != pool.CheckL4OK {
			t.Errorf("kind %d: %d bytes read, %+v", kind, e.sent, got)
		}
	}
	e := &endless{}
	x := target(&net.TCPAddr{})
	x.BufSize = 3000
	x.Dial = func(context.Context, string, string) (net.Conn, error) { return e, nil }
	if r := Agent(t.Context(), x, ""); e.sent > 3000 || r.Status == pool.CheckL7OK {
		t.Errorf("agent: %d bytes read, %+v", e.sent, r)
	}
}

// What HAProxy 2.6 sends, byte for byte.
func TestRequests(t *testing.T) {
	send := model.CheckStep{Kind: model.StepSend, Method: "POST", URI: lit("/p"), Version: "HTTP/1.1",
		Headers: []model.HeaderFormat{{Name: "Host", Value: lit("bar")}, {Name: "X-Y", Value: lit("c")}}, Body: lit("hello")}
	get := model.CheckStep{Kind: model.StepSend, Method: "GET", URI: lit("/x?y"), Version: "HTTP/1.1",
		Headers: []model.HeaderFormat{{Name: "Host", Value: lit("foo.example")}}}
	for _, x := range []struct {
		name    string
		check   model.Check
		version int
		want    string
	}{
		{"default", model.Check{Kind: model.CheckHTTP}, 0, "OPTIONS / HTTP/1.0\r\n\r\n"},
		{"1.1", model.Check{Kind: model.CheckHTTP, Steps: []model.CheckStep{get}}, 0, "GET /x?y HTTP/1.1\r\nhost: foo.example\r\nconnection: close\r\n\r\n"},
		{"body", model.Check{Kind: model.CheckHTTP, Steps: []model.CheckStep{send}}, 0, "POST /p HTTP/1.1\r\nhost: bar\r\nx-y: c\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"},
		{"proxy v2", model.Check{Kind: model.CheckHTTP}, 2, "\r\n\r\n\x00\r\nQUIT\n \x00\x00\x00"},
		{"state", model.Check{Kind: model.CheckHTTP, SendState: true}, 0, "OPTIONS / HTTP/1.0\r\nx-haproxy-server-state: UP 1/3; node=n\r\n\r\n"},
		{"mysql", model.Check{Kind: model.CheckMySQL, User: "foo"}, 0, "%\x00\x00\x01\x00\x82\x00\x00\x00\x80\x00\x01!\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00foo\x00\x00\x01\x00\x00\x00\x01"},
		{"mysql pre-41", model.Check{Kind: model.CheckMySQL, User: "foo", MySQLPre41: true}, 0, "\n\x00\x00\x01\x00\x80\x00\x00\x01foo\x00\x00\x01\x00\x00\x00\x01"},
		{"pgsql", model.Check{Kind: model.CheckPgSQL, User: "foo"}, 0, "\x00\x00\x00\x12\x00\x03\x00\x00user\x00foo\x00\x00"},
		{"ldap", model.Check{Kind: model.CheckLDAP}, 0, "0\x0c\x02\x01\x01`\x07\x02\x01\x03\x04\x00\x80\x00"},
		{"redis", model.Check{Kind: model.CheckRedis}, 0, "*1\r\n$4\r\nPING\r\n"},
		{"ssl hello", model.Check{Kind: model.CheckSSLHello}, 0, "\x16\x03\x00\x00y\x01\x00\x00u\x03\x00k\x01Y\x16HAPROXYSSLCHK\nHAPROXYSSLCHK\n\x00\x00N" + suites() + "\x01\x00"},
	} {
		client, srv := net.Pipe()
		got := make(chan []byte, 1)
		go func() {
			buf := make([]byte, len(x.want)+1)
			srv.SetDeadline(time.Now().Add(30 * time.Second))
			n := 0
			for n < len(x.want) {
				m, err := srv.Read(buf[n:])
				if n += m; err != nil {
					break
				}
			}
			srv.Close()
			got <- buf[:n]
		}()
		tg := target(&net.TCPAddr{})
		tg.ProxyVersion = x.version
		tg.State = func() string { return "UP 1/3; node=n" }
		tg.Dial = func(context.Context, string, string) (net.Conn, error) { return client, nil }
		compile(t, x.check).Run(t.Context(), tg)
		if b := <-got; string(b) != x.want {
			t.Errorf("%s:\n got %q\nwant %q", x.name, b, x.want)
		}
	}
}

func suites() string {
	b, _ := hex.DecodeString("000100020003000400050006000700080009000a000b000c000d000e000f00100011001200130014001500160017001800190" +
		"01a001b002f0030003100320033003400350036003700380039003a")
	return string(b)
}

func TestBadChecks(t *testing.T) {
	for _, c := range []model.Check{
		{Kind: model.CheckSPOP},
		{Kind: model.CheckHTTP, Steps: []model.CheckStep{expectStep("status", "20x", false)}},
		{Kind: model.CheckHTTP, Steps: []model.CheckStep{expectStep("rstring", "(", false)}},
		{Kind: model.CheckHTTP, Steps: []model.CheckStep{expectStep("moon", "x", false)}},
		{Steps: []model.CheckStep{expectStep("binary", "2b5", false)}},
		{Steps: []model.CheckStep{expectStep("status", "200", false)}},
		{Steps: []model.CheckStep{{Kind: model.StepSetVar}}},
		{Steps: []model.CheckStep{{Kind: model.StepSend, DataFormat: &model.Format{Parts: []model.FormatPart{{Alias: "ci"}}}}}},
		{Steps: []model.CheckStep{{Kind: model.StepExpect, Match: "string", OKStatus: "L9OK"}}},
	} {
		if _, err := Compile(&c, &Env{}); err == nil {
			t.Errorf("%+v compiles", c)
		}
	}
}

func TestAgent(t *testing.T) {
	n := 30
	for _, x := range []struct {
		line string
		want pool.AgentReport
	}{
		{"up", pool.AgentReport{Status: pool.CheckL7OK, Oper: "up"}},
		{"75%", pool.AgentReport{Status: pool.CheckL7OK, Weight: "75%"}},
		{"ready,up 50%\tmaxconn:30", pool.AgentReport{Status: pool.CheckL7OK, Admin: "ready", Oper: "up", Weight: "50%", MaxConn: &n}},
		{"drain", pool.AgentReport{Status: pool.CheckL7OK, Admin: "drain"}},
		{"down # disk full", pool.AgentReport{Status: pool.CheckL7OK, Oper: "down", Reason: "disk full"}},
		{"Fail", pool.AgentReport{Status: pool.CheckL7OK, Oper: "failed"}},
		{"stopped", pool.AgentReport{Status: pool.CheckL7OK, Oper: "stopped"}},
		{"", pool.AgentReport{Status: pool.CheckL7Response, Info: "Invalid agent response: empty"}},
		{"up banana", pool.AgentReport{Status: pool.CheckL7Response, Info: "Unknown feedback string: 'banana'"}},
		{"-5%", pool.AgentReport{Status: pool.CheckL7Response, Info: "Unknown feedback string: '-5%'"}},
	} {
		s := server{read: true, reply: x.line + "\n", stay: true}
		got := Agent(t.Context(), target(s.start(t)), "hello\n")
		limits := got.MaxConn == nil && x.want.MaxConn == nil || got.MaxConn != nil && x.want.MaxConn != nil && *got.MaxConn == *x.want.MaxConn
		got.MaxConn, x.want.MaxConn = nil, nil
		if got != x.want || !limits {
			t.Errorf("%q: %+v", x.line, got)
		}
	}
}

// FuzzReplies feeds every protocol with any reply, in pieces: each must end
// with a result, and read no more than its buffer.
func FuzzReplies(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), 3)
	f.Add([]byte("220 x\r\n250 y\r\n"), 1)
	f.Add([]byte("\x30\x84\x00\x00\x00\x10\x02\x01\x01\x61\x84\x00\x00\x00\x07\x0a\x01\x31\x04\x00\x04\x00"), 30)
	f.Add([]byte("\x0f\x00\x00\x00\xff\x6a\x04#08004Too ma"), 4)
	f.Add([]byte("R\x00\x00\x00\x0c\x00\x00\x00\x05abcd"), 2)
	f.Add([]byte("up 10% maxconn:3 # x\n"), 5)
	all := []model.Check{
		{Kind: model.CheckHTTP}, {Kind: model.CheckHTTP, Steps: []model.CheckStep{expectStep("string", "x", false)}},
		{Kind: model.CheckHTTP, Steps: []model.CheckStep{{Kind: model.StepExpect, Match: "hdr", HeaderName: "a", HeaderNameMatch: "sub"}}},
		{Steps: []model.CheckStep{ping, expectStep("rbinary", "^00", false), expectStep("string", "y", true)}},
		{Kind: model.CheckSMTP}, {Kind: model.CheckMySQL}, {Kind: model.CheckMySQL, User: "u"}, {Kind: model.CheckPgSQL, User: "u"},
		{Kind: model.CheckLDAP}, {Kind: model.CheckRedis}, {Kind: model.CheckSSLHello},
	}
	var scripts []*Script
	for _, c := range all {
		scripts = append(scripts, compile(f, c))
	}
	f.Fuzz(func(t *testing.T, reply []byte, piece int) {
		piece = max(1, piece&63)
		for i, s := range scripts {
			x := target(&net.TCPAddr{})
			x.BufSize = 512
			x.Dial = func(context.Context, string, string) (net.Conn, error) {
				return &pieces{r: bytes.NewReader(reply), size: piece}, nil
			}
			r := s.Run(context.Background(), x)
			if r.Status == pool.CheckUnknown || r.Status == pool.CheckInit || len(r.Info) > 1024 || strings.ContainsAny(r.Info, "\r\n") {
				t.Fatalf("script %d: %v %+v", i, r.Status, r)
			}
		}
		x := target(&net.TCPAddr{})
		x.Dial = func(context.Context, string, string) (net.Conn, error) {
			return &pieces{r: bytes.NewReader(reply), size: piece}, nil
		}
		Agent(context.Background(), x, "")
	})
}

// pieces gives a reply in small reads.
type pieces struct {
	endless
	r    *bytes.Reader
	size int
}

func (p *pieces) Read(b []byte) (int, error) { return p.r.Read(b[:min(len(b), p.size)]) }
