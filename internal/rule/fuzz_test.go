package rule

import (
	"bytes"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/message"
)

// clientHelloBytes catches what crypto/tls sends first.
func clientHelloBytes(t testing.TB, name string) []byte {
	a, b := net.Pipe()
	defer b.Close()
	go tls.Client(a, &tls.Config{ServerName: name, NextProtos: []string{"h2", "http/1.1"}, InsecureSkipVerify: true}).Handshake()
	defer a.Close()
	b.SetReadDeadline(time.Now().Add(30 * time.Second))
	buf := make([]byte, 4096)
	n, err := b.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

func TestClientHello(t *testing.T) {
	b := clientHelloBytes(t, "www.example.org")
	c := newTestCompiler(t)
	f := c.Format(parseFormat("%[req.ssl_sni] %[req.ssl_ver] %[req.ssl_alpn] %[req.ssl_hello_type] %[req.ssl_ec_ext]"), PhaseTCPContent)
	ver := c.Cond(parseTest("req.ssl_ver 3.3:3.4"), PhaseTCPContent)
	noDiagnostics(t, c)
	tx := &Tx{Phase: PhaseTCPContent, Raw: b}
	if got, want := string(f.Append(nil, tx)), "www.example.org 196612 h2,http/1.1 1 1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if !ver(tx) {
		t.Error("version")
	}
	for n := range len(b) - 1 {
		if _, st := parseClientHello(b[:n]); st != helloShort {
			t.Fatalf("%d of %d bytes: state %d", n, len(b), st)
		}
	}
}

func TestPayload(t *testing.T) {
	tx := &Tx{Phase: PhaseTCPContent, Raw: []byte("\x03\x00\x00\x2b\x26\xe0\x00\x00\x00\x00\x00Cookie: mstshash=user1\r\n\x01\x00\x08\x00\x03\x00\x00\x00"), RawClosed: true}
	tx.Raw[3] = byte(len(tx.Raw))
	for expr, want := range map[string]string{
		"req.payload(0,4),hex": "030000" + "2B", "req.payload_lv(3,1,0),length": "1", "req.rdp_cookie(mstshash)": "user1", "rdp_cookie": "user1", "req.rdp_cookie(other)": "", "req.len": "43",
	} {
		c := newTestCompiler(t)
		f := c.Format(parseFormat("%["+expr+"]"), PhaseTCPContent)
		noDiagnostics(t, c)
		if got := string(f.Append(nil, tx)); got != want {
			t.Errorf("%s: got %q, want %q", expr, got, want)
		}
	}
}

func FuzzClientHello(f *testing.F) {
	f.Add(clientHelloBytes(f, "a.b"))
	f.Fuzz(func(t *testing.T, b []byte) { parseClientHello(b) })
}

// Whatever a client sends, walking over it one value at a time ends, and finds
// as many as counting does.
func FuzzRequestSamples(f *testing.F) {
	f.Add("/a?x=1&y", "a, b,\"c,d\"", "a=1; b=\"x;\\\"\"; c")
	f.Fuzz(func(t *testing.T, target, header, cookie string) {
		tx := newTx()
		tx.Req = parseHead("GET / HTTP/1.1")
		tx.Req.Target = []byte(target)
		tx.Req.Add(message.FieldOther, []byte("x"), []byte(header))
		tx.Req.Add(message.FieldCookie, []byte("cookie"), []byte(cookie))
		c := newTestCompiler(t)
		for _, pair := range [][2]string{{"req.hdr(x)", "req.hdr_cnt(x)"}, {"req.cook()", "req.cook_cnt()"}, {"url_param()", ""}} {
			each := c.expr(parseExpr(pair[0]), PhaseHTTPRequest, true)
			tx.cur = cursor{}
			n := int64(0)
			for {
				if _, ok := each.fn(tx); ok {
					n++
				}
				if !tx.cur.more {
					break
				}
				if n > 10000 {
					t.Fatal("does not end")
				}
			}
			if pair[1] == "" {
				continue
			}
			if v, _ := c.Expr(parseExpr(pair[1]), PhaseHTTPRequest).Eval(tx); v.Int != n {
				t.Errorf("%s: %d values, counted %d", pair[0], n, v.Int)
			}
		}
		for _, e := range []string{"path", "pathq", "base", "query", "url_ip", "url_port", "req.hdr_ip(x)", "path,url_dec", "path,json", "path,regsub(a*,b,g)", "req.hdr(x,-2)", "path,word(-2,/,2)", "path,field(-2,/,2)"} {
			c.Expr(parseExpr(e), PhaseHTTPRequest).Eval(tx)
		}
		a, p, q := splitTarget([]byte(target))
		if got := string(bytes.Join([][]byte{a, p, q}, nil)); got != target {
			t.Errorf("split %q into %q", target, got)
		}
	})
}

// A translated expression compiles or gives an error with a position inside of
// the text; it never panics.
func FuzzRegex(f *testing.F) {
	for _, s := range []string{"^a$", `\d[^]]`, "(?i)x{2}", `(?<n>.)\h`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		re, err := CompileRegex(s, false)
		if e, ok := err.(*RegexError); ok && e.Off >= len(s) {
			t.Errorf("position %d of %q", e.Off, s)
		}
		if err == nil && re.plain && !strings.ContainsAny(s, "\\") {
			b := []byte("x" + s + "y")
			if re.Match(b) != re.re.Match(b) {
				t.Errorf("%q: the literal test differs", s)
			}
		}
	})
}
