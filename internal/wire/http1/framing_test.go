package http1

import (
	"fmt"
	"strings"
	"testing"

	"evenkeel/internal/message"
)

func liveFields(h *message.Head) string {
	var out []string
	for _, f := range h.Fields {
		if f.Name != nil && f.ID != message.FieldHost {
			out = append(out, string(f.Name)+": "+string(f.Value))
		}
	}
	return strings.Join(out, "; ")
}

func TestRequestFraming(t *testing.T) {
	for _, c := range []struct {
		raw    string
		want   Framing
		fields string
	}{
		{get(), Framing{}, ""},
		{post("Content-Length: 0"), Framing{}, "Content-Length: 0"},
		{post("Content-Length: 5"), Framing{Kind: FramingLength, Length: 5}, "Content-Length: 5"},
		{post("Content-Length: 0005"), Framing{Kind: FramingLength, Length: 5}, "Content-Length: 5"},
		{post("Content-Length: 000"), Framing{}, "Content-Length: 0"},
		{post("Content-Length: 5 ,\t5"), Framing{Kind: FramingLength, Length: 5}, "Content-Length: 5"},
		{post("Content-Length: 5", "X: y", "Content-Length: 5, 5"), Framing{Kind: FramingLength, Length: 5}, "Content-Length: 5; X: y"},
		{post("Transfer-Encoding: cHunkeD"), Framing{Kind: FramingChunked}, "Transfer-Encoding: chunked"},
		{post("Content-Length: 5", "Transfer-Encoding: chunked"), Framing{Kind: FramingChunked, MustClose: true}, "Transfer-Encoding: chunked"},
		{post("Transfer-Encoding: chunked", "Content-Length: 0"), Framing{Kind: FramingChunked, MustClose: true}, "Transfer-Encoding: chunked"},
		{"CONNECT a:80 HTTP/1.1\r\nContent-Length: 0\r\n\r\n", Framing{}, ""},
	} {
		var h message.Head
		if _, err := ParseRequest([]byte(c.raw), &h, nil); err != nil {
			t.Fatal(err)
		}
		f, err := RequestFraming(&h)
		if err != nil || f != c.want || liveFields(&h) != c.fields {
			t.Errorf("%q: %+v %v; fields %s", c.raw, f, err, liveFields(&h))
		}
	}
}

func TestResponseFraming(t *testing.T) {
	const cl, te = "Content-Length: 2", "Transfer-Encoding: chunked"
	get, head, connect := message.MethodGet, message.MethodHead, message.MethodConnect
	for _, c := range []struct {
		method message.Method
		status int
		fields string
		want   Framing
		left   string
	}{
		{get, 200, cl, Framing{Kind: FramingLength, Length: 2}, cl},
		{get, 200, te, Framing{Kind: FramingChunked}, te},
		{get, 200, "", Framing{Kind: FramingUntilClose, MustClose: true}, ""},
		{get, 200, "Content-Length: 0", Framing{}, "Content-Length: 0"},
		{get, 200, cl + "\r\n" + te, Framing{Kind: FramingChunked, MustClose: true}, te},
		{get, 205, cl, Framing{Kind: FramingLength, Length: 2}, cl},
		{get, 404, cl, Framing{Kind: FramingLength, Length: 2}, cl},
		{head, 200, cl, Framing{}, cl},
		{head, 200, te, Framing{}, te},
		{head, 200, "", Framing{}, ""},
		{get, 304, cl, Framing{}, cl},
		{get, 304, "", Framing{}, ""},
		{get, 204, cl, Framing{MustClose: true}, ""},
		{get, 204, te, Framing{MustClose: true}, ""},
		{get, 204, "", Framing{}, ""},
		{get, 100, cl, Framing{MustClose: true}, ""},
		{get, 103, "", Framing{}, ""},
		{get, 101, te, Framing{Kind: FramingTunnel}, ""},
		{connect, 200, cl, Framing{Kind: FramingTunnel}, ""},
		{connect, 204, te, Framing{Kind: FramingTunnel}, ""},
		{connect, 403, cl, Framing{Kind: FramingLength, Length: 2}, cl},
		{connect, 403, "", Framing{Kind: FramingUntilClose, MustClose: true}, ""},
	} {
		raw := fmt.Sprintf("HTTP/1.1 %d x\r\n", c.status)
		if c.fields != "" {
			raw += c.fields + "\r\n"
		}
		var h message.Head
		if _, err := ParseResponse([]byte(raw+"\r\n"), &h, nil); err != nil {
			t.Fatal(err)
		}
		f, err := ResponseFraming(&h, c.method)
		if err != nil || f != c.want || liveFields(&h) != c.left {
			t.Errorf("%v %q: %+v %v; fields %s", c.method, raw, f, err, liveFields(&h))
		}
	}
}

func TestFramingIgnoresDeletedFields(t *testing.T) {
	var h message.Head
	raw := post("Content-Length: 5", "Transfer-Encoding: gzip", "Connection: close")
	if _, err := ParseRequest([]byte(raw), &h, nil); err != nil {
		t.Fatal(err)
	}
	for i := range h.Fields {
		h.Fields[i].Name = nil
	}
	if f, err := RequestFraming(&h); err != nil || f != (Framing{}) {
		t.Error(f, err)
	}
	if c := ConnectionTokens(&h); c != (Conn{}) {
		t.Error(c)
	}
}

func TestConnectionTokens(t *testing.T) {
	for _, c := range []struct {
		fields []string
		want   Conn
	}{
		{nil, Conn{}},
		{[]string{"Connection: keep-alive"}, Conn{KeepAlive: true}},
		{[]string{"connection: CLOSE"}, Conn{Close: true}},
		{[]string{"Connection: ,, Upgrade , HTTP2-Settings"}, Conn{Upgrade: true, HTTP2Settings: true}},
		{[]string{"Connection: te", "Connection: close, x-foo"}, Conn{TE: true, Close: true, Other: true}},
		{[]string{"Proxy-Connection: keep-alive"}, Conn{KeepAlive: true}},
		{[]string{`Connection: "close"`}, Conn{Other: true}},
		{[]string{"Connection:"}, Conn{}},
	} {
		var h message.Head
		if _, err := ParseRequest([]byte(get(c.fields...)), &h, nil); err != nil {
			t.Fatal(err)
		}
		if got := ConnectionTokens(&h); got != c.want {
			t.Errorf("%v: %+v", c.fields, got)
		}
	}
}

func TestNextToken(t *testing.T) {
	for in, want := range map[string]string{
		"":                        "",
		" , ,\t,":                 "",
		"a":                       "a",
		"a, b ,c":                 "a|b|c",
		`a;q="x,y", b`:            `a;q="x,y"|b`,
		`"a\",b", c`:              `"a\",b"|c`,
		`"torn, a`:                `"torn, a`,
		`gzip;q=1.0, *;q=0`:       `gzip;q=1.0|*;q=0`,
		`a\,b`:                    `a\|b`,
		"\"ends in a backslash\\": "\"ends in a backslash\\",
	} {
		var got []string
		for v := []byte(in); len(v) > 0; {
			var tok []byte
			if tok, v = NextToken(v); len(tok) > 0 {
				got = append(got, string(tok))
			}
		}
		if s := strings.Join(got, "|"); s != want {
			t.Errorf("%q: %q", in, s)
		}
	}
	if !HasToken([]byte("a, 100-Continue"), "100-continue") || HasToken([]byte("100-continues"), "100-continue") || HasToken(nil, "") {
		t.Error("HasToken")
	}
	if s := TokenName([]byte("gzip ;q=1")); string(s) != "gzip" {
		t.Errorf("%q", s)
	}
}
