package http1

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"evenkeel/internal/message"
)

// verdict compares what we do to a message with what HAProxy 2.6 does: 0 is
// accepted, anything else the status. Where they differ why says the reason.
type verdict struct {
	name    string
	raw     string
	want    int
	haproxy int
	why     string
}

const (
	strict  = "RFC 9112 forbids it, and a server behind may read it in another way"
	noParse = "our refusals of versions that are not HTTP/1.x are 505"
)

func req(line string, fields ...string) string {
	s := line + "\r\nHost: a\r\n"
	for _, f := range fields {
		s += f + "\r\n"
	}
	return s + "\r\n"
}

func get(fields ...string) string  { return req("GET / HTTP/1.1", fields...) }
func post(fields ...string) string { return req("POST / HTTP/1.1", fields...) }

func manyFields(n int) []string {
	var f []string
	for i := range n - 1 {
		f = append(f, fmt.Sprintf("X%d: a", i))
	}
	return f
}

var requestVerdicts = []verdict{
	{"plain", get(), 0, 0, ""},
	{"empty line before", "\r\n\r\n" + get(), 0, 0, ""},
	{"LF before", "\n" + get(), 400, 0, strict},
	{"CR before", "\r" + get(), 400, 400, ""},
	{"bare LF", "GET / HTTP/1.1\nHost: a\n\n", 400, 0, strict},
	{"bare LF in the fields", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400, 0, strict},
	{"bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400, 0, strict},
	{"bare CR in a value", get("X: a\rb"), 400, 400, ""},
	{"NUL in a value", get("X: a\x00b"), 400, 0, strict},
	{"control in a value", get("X: a\x01b"), 400, 0, strict},
	{"DEL in a value", get("X: a\x7fb"), 400, 0, strict},
	{"HTAB in a value", get("X: a\tb"), 0, 0, ""},
	{"obs-text in a value", get("X: a\x80\xffb"), 0, 0, ""},
	{"obs-text in a name", get("X\x80: a"), 400, 400, ""},
	{"space before the colon", get("X : a"), 400, 400, ""},
	{"empty name", get(": a"), 400, 400, ""},
	{"no colon", get("X"), 400, 400, ""},
	{"obs-fold", get("X: a\r\n b"), 400, 0, strict},
	{"obs-fold, empty", get("X: a\r\n "), 400, 0, strict},
	{"space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, 400, ""},
	{"parenthesis in a name", get("X(: a"), 400, 400, ""},

	{"method in lower case", req("get / HTTP/1.1"), 0, 0, ""},
	{"unknown method", req("PURGE / HTTP/1.1"), 0, 0, ""},
	{"parenthesis in the method", req("G(T / HTTP/1.1"), 400, 400, ""},
	{"slash in the method", req("G/T / HTTP/1.1"), 400, 400, ""},
	{"space before the method", req(" GET / HTTP/1.1"), 400, 400, ""},
	{"two spaces after the method", req("GET  / HTTP/1.1"), 400, 0, strict},
	{"two spaces before the version", req("GET /  HTTP/1.1"), 400, 0, strict},
	{"space after the version", req("GET / HTTP/1.1 "), 400, 400, ""},
	{"tab after the method", req("GET\t/ HTTP/1.1"), 400, 0, strict},
	{"no version", "GET /\r\n\r\n", 400, 400, ""},
	{"empty version", "GET / \r\n\r\n", 400, 400, ""},
	{"a TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcdefgh\r\n\r\n", 400, 400, ""},

	{"HTTP/1.0", req("GET / HTTP/1.0"), 0, 0, ""},
	{"HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", 0, 0, ""},
	{"HTTP/1.1 without Host", "GET / HTTP/1.1\r\n\r\n", 0, 0, ""},
	{"HTTP/1.2", req("GET / HTTP/1.2"), 0, 0, ""},
	{"HTTP/2.0", req("GET / HTTP/2.0"), 505, 0, noParse},
	{"HTTP/0.9", req("GET / HTTP/0.9"), 505, 0, noParse},
	{"HTTP/1.10", req("GET / HTTP/1.10"), 400, 400, ""},
	{"HTTP/01.1", req("GET / HTTP/01.1"), 400, 400, ""},
	{"http/1.1", req("GET / http/1.1"), 400, 400, ""},
	{"HTTP/1", req("GET / HTTP/1"), 400, 400, ""},
	{"HTTP/1.", req("GET / HTTP/1."), 400, 400, ""},
	{"HTTX/1.1", req("GET / HTTX/1.1"), 400, 400, ""},
	{"RTSP", req("OPTIONS rtsp://a/ RTSP/1.0"), 400, 400, ""},
	{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, 0, noParse},
	{"PRI in HTTP/1.1", req("PRI * HTTP/1.1"), 400, 400, ""},

	{"fragment in the target", req("GET /a#b HTTP/1.1"), 400, 400, ""},
	{"obs-text in the target", req("GET /a\x80 HTTP/1.1"), 400, 400, ""},
	{"control in the target", req("GET /a\x01 HTTP/1.1"), 400, 400, ""},
	{"DEL in the target", req("GET /a\x7f HTTP/1.1"), 400, 400, ""},
	{"signs that a URI cannot hold", req("GET /\"<>\\^`{|} HTTP/1.1"), 0, 0, ""},
	{"target without a slash", req("GET a HTTP/1.1"), 400, 0, strict},
	{"authority for GET", req("GET a:80 HTTP/1.1"), 400, 400, ""},
	{"* for GET", req("GET * HTTP/1.1"), 400, 0, strict},
	{"* for OPTIONS", req("OPTIONS * HTTP/1.1"), 0, 0, ""},
	{"*x", req("OPTIONS *x HTTP/1.1"), 400, 0, strict},
	{"?", req("GET ?a HTTP/1.1"), 400, 400, ""},
	{"absolute", req("GET http://a/ HTTP/1.1"), 0, 0, ""},
	{"absolute without a path", req("GET http://a HTTP/1.1"), 0, 0, ""},
	{"absolute with only a query", req("GET http://a?x HTTP/1.1"), 0, 400, "RFC 3986 allows an empty path"},
	{"absolute, other Host", req("GET http://b/ HTTP/1.1"), 400, 400, ""},
	{"absolute, other Host, HTTP/1.0", req("GET http://b/ HTTP/1.0"), 400, 400, ""},
	{"absolute, other case", req("GET http://A/ HTTP/1.1"), 0, 0, ""},
	{"absolute, default port", req("GET http://a:80/ HTTP/1.1"), 0, 0, ""},
	{"absolute, other port", req("GET http://a:81/ HTTP/1.1"), 400, 400, ""},
	{"absolute https, default port", req("GET https://a:443/ HTTP/1.1"), 0, 0, ""},
	{"absolute https, other port", req("GET https://a:80/ HTTP/1.1"), 400, 400, ""},
	{"absolute, empty port", req("GET http://a:/ HTTP/1.1"), 0, 0, ""},
	{"absolute, port in Host only", "GET http://a/ HTTP/1.1\r\nHost: a:80\r\n\r\n", 0, 0, ""},
	{"absolute, other port in Host", "GET http://a/ HTTP/1.1\r\nHost: a:81\r\n\r\n", 400, 400, ""},
	{"absolute, user information", req("GET http://u@a/ HTTP/1.1"), 0, 0, ""},
	{"absolute without Host", "GET http://a/ HTTP/1.1\r\n\r\n", 0, 0, ""},
	{"absolute, empty host", req("GET http:/// HTTP/1.1"), 400, 0, "RFC 9110, 4.2.1"},
	{"absolute, other scheme", req("GET ftp://a/ HTTP/1.1"), 0, 0, ""},
	{"scheme without authority", req("GET mailto:a HTTP/1.1"), 400, 400, ""},
	{"scheme and one slash", req("GET http:/a HTTP/1.1"), 400, 400, ""},

	{"Host twice", get("Host: a"), 0, 0, ""},
	{"Host twice, other case", get("Host: A"), 0, 0, ""},
	{"Host twice, different", get("Host: b"), 400, 400, ""},
	{"Host twice, different, HTTP/1.0", req("GET / HTTP/1.0", "Host: b"), 400, 400, ""},
	{"Host empty", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 0, 0, ""},
	{"Host with a list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400, 0, strict},
	{"Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, 0, strict},
	{"Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, 0, strict},
	{"Host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, 0, strict},
	{"Host with a wrong port", "GET / HTTP/1.1\r\nHost: a:xx\r\n\r\n", 400, 0, strict},
	{"Host with two ports", "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", 400, 0, strict},
	{"Host IPv6", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 0, 0, ""},
	{"Host IPv6 torn", "GET / HTTP/1.1\r\nHost: [::1:80\r\n\r\n", 400, 0, strict},

	{"CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 0, 0, ""},
	{"CONNECT, Host without port 80", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, ""},
	{"CONNECT, Host without port 443", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0, ""},
	{"CONNECT, Host without port 8080", "CONNECT a:8080 HTTP/1.1\r\nHost: a\r\n\r\n", 400, 400, ""},
	{"CONNECT, Host with the other default", "CONNECT a:443 HTTP/1.1\r\nHost: a:80\r\n\r\n", 400, 400, ""},
	{"CONNECT without a port", "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", 400, 400, ""},
	{"CONNECT port 0", "CONNECT a:0 HTTP/1.1\r\nHost: a:0\r\n\r\n", 400, 0, "no such port"},
	{"CONNECT port 65536", "CONNECT a:65536 HTTP/1.1\r\nHost: a:65536\r\n\r\n", 400, 0, "no such port"},
	{"CONNECT, other Host", "CONNECT a:80 HTTP/1.1\r\nHost: b\r\n\r\n", 400, 400, ""},
	{"CONNECT without Host", "CONNECT a:80 HTTP/1.1\r\n\r\n", 0, 0, ""},
	{"CONNECT origin", "CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", 400, 400, ""},
	{"CONNECT absolute", "CONNECT http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, 400, ""},
	{"CONNECT with a body", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 1\r\n\r\nx", 400, 0, strict},
	{"CONNECT with an empty body", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 0\r\n\r\n", 0, 0, ""},

	{"100 fields", req("GET / HTTP/1.1", manyFields(100)...), 0, 0, ""},
	{"101 fields", req("GET / HTTP/1.1", manyFields(101)...), 400, 400, ""},

	{"length", post("Content-Length: 5"), 0, 0, ""},
	{"length 5, 5", post("Content-Length: 5, 5"), 0, 0, ""},
	{"length 5 and 5", post("Content-Length: 5", "Content-Length: 5"), 0, 0, ""},
	{"length 5 and 05", post("Content-Length: 5", "Content-Length: 05"), 0, 0, ""},
	{"length 5 and 6", post("Content-Length: 5", "Content-Length: 6"), 400, 400, ""},
	{"length 5, 6", post("Content-Length: 5, 6"), 400, 400, ""},
	{"length 5,", post("Content-Length: 5,"), 400, 400, ""},
	{"length ,5", post("Content-Length: ,5"), 400, 400, ""},
	{"length empty", post("Content-Length:"), 400, 400, ""},
	{"length +5", post("Content-Length: +5"), 400, 400, ""},
	{"length -5", post("Content-Length: -5"), 400, 400, ""},
	{"length 05", post("Content-Length: 05"), 0, 0, ""},
	{"length 0x5", post("Content-Length: 0x5"), 400, 400, ""},
	{"length 5 5", post("Content-Length: 5 5"), 400, 400, ""},
	{"length quoted", post(`Content-Length: "5"`), 400, 400, ""},
	{"length 2^64", post("Content-Length: 18446744073709551616"), 400, 0, "it overflows"},
	{"length 2^64-1", post("Content-Length: 18446744073709551615"), 400, 0, "it overflows"},
	{"length 2^63", post("Content-Length: 9223372036854775808"), 400, 400, ""},
	{"length 2^63-1", post("Content-Length: 9223372036854775807"), 0, 0, ""},
	{"length of a GET", get("Content-Length: 5"), 0, 0, ""},
	{"length in HTTP/1.0", req("POST / HTTP/1.0", "Content-Length: 5"), 0, 0, ""},

	{"chunked", post("Transfer-Encoding: chunked"), 0, 0, ""},
	{"Chunked", post("Transfer-Encoding: Chunked"), 0, 0, ""},
	{"chunked GET", get("Transfer-Encoding: chunked"), 0, 0, ""},
	{"chunked in HTTP/1.0", req("POST / HTTP/1.0", "Transfer-Encoding: chunked"), 400, 0, strict},
	{"chunked and length", post("Content-Length: 5", "Transfer-Encoding: chunked"), 0, 0, ""},
	{"chunked and two lengths", post("Content-Length: 5", "Content-Length: 6", "Transfer-Encoding: chunked"), 400, 400, ""},
	{"chunked and a wrong length", post("Transfer-Encoding: chunked", "Content-Length: x"), 400, 400, ""},
	{"chunked and length in HTTP/1.0", req("POST / HTTP/1.0", "Content-Length: 5", "Transfer-Encoding: chunked"), 400, 0, strict},
	{"identity", post("Transfer-Encoding: identity"), 400, 400, ""},
	{"gzip", post("Transfer-Encoding: gzip"), 400, 400, ""},
	{"gzip, chunked", post("Transfer-Encoding: gzip, chunked"), 422, 422, ""},
	{"gzip and chunked", post("Transfer-Encoding: gzip", "Transfer-Encoding: chunked"), 422, 422, ""},
	{"chunked, gzip", post("Transfer-Encoding: chunked, gzip"), 400, 400, ""},
	{"chunked, chunked", post("Transfer-Encoding: chunked, chunked"), 400, 400, ""},
	{"chunked and chunked", post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400, 400, ""},
	{"chunked with a parameter", post("Transfer-Encoding: chunked;q=1"), 400, 400, ""},
	{"xchunked", post("Transfer-Encoding: xchunked"), 400, 400, ""},
	{"chunked quoted", post(`Transfer-Encoding: "chunked"`), 400, 400, ""},
	{"chunked after VT", post("Transfer-Encoding: \vchunked"), 400, 400, ""},
	{"coding empty", post("Transfer-Encoding:"), 400, 400, ""},
	{"chunked,", post("Transfer-Encoding: chunked,"), 422, 0, strict},
	{",chunked", post("Transfer-Encoding: ,chunked"), 422, 422, ""},
	{"chunked in white space", post("Transfer-Encoding: \tchunked\t "), 0, 0, ""},
}

// parseWhole parses a head and its framing and gives the status, 0 if it is good.
func parseWhole(raw string, response bool, h *message.Head) (int, Framing, error) {
	var f Framing
	var err error
	if response {
		if _, err = ParseResponse([]byte(raw), h, nil); err == nil {
			f, err = ResponseFraming(h, message.MethodGet)
		}
	} else if _, err = ParseRequest([]byte(raw), h, nil); err == nil {
		f, err = RequestFraming(h)
	}
	var pe *ParseError
	if errors.As(err, &pe) {
		return pe.Status, f, err
	}
	if err != nil {
		return -1, f, err
	}
	return 0, f, nil
}

func TestRequestVerdicts(t *testing.T) {
	for _, v := range requestVerdicts {
		t.Run(v.name, func(t *testing.T) {
			var h message.Head
			if got, _, err := parseWhole(v.raw, false, &h); got != v.want {
				t.Errorf("got %d (%v), want %d", got, err, v.want)
			}
			if (v.want != v.haproxy) != (v.why != "") {
				t.Errorf("we answer %d, HAProxy %d, reason %q", v.want, v.haproxy, v.why)
			}
		})
	}
}

var responseVerdicts = []verdict{
	{"plain", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", 0, 0, ""},
	{"empty reason", "HTTP/1.1 200 \r\n\r\n", 0, 0, ""},
	{"no reason", "HTTP/1.1 200\r\n\r\n", 0, 0, ""},
	{"status 99", "HTTP/1.1 99 x\r\n\r\n", 502, 0, "a status has three digits"},
	{"status 099", "HTTP/1.1 099 x\r\n\r\n", 502, 0, "there is no class 0"},
	{"status 999", "HTTP/1.1 999 x\r\n\r\n", 0, 0, ""},
	{"status 1000", "HTTP/1.1 1000 x\r\n\r\n", 502, 0, "a status has three digits"},
	{"status 20x", "HTTP/1.1 20x x\r\n\r\n", 502, 502, ""},
	{"two spaces", "HTTP/1.1  200 OK\r\n\r\n", 502, 0, strict},
	{"space before", " HTTP/1.1 200 OK\r\n\r\n", 502, 502, ""},
	{"empty line before", "\r\nHTTP/1.1 200 OK\r\n\r\n", 502, 0, strict},
	{"control in the reason", "HTTP/1.1 200 O\x01K\r\n\r\n", 502, 0, strict},
	{"obs-text in the reason", "HTTP/1.1 200 O\xe9K\r\n\r\n", 0, 0, ""},
	{"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\n", 0, 0, ""},
	{"HTTP/1.2", "HTTP/1.2 200 OK\r\n\r\n", 0, 0, ""},
	{"HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n", 502, 0, "no HTTP/1.x"},
	{"http/1.1", "http/1.1 200 OK\r\n\r\n", 502, 502, ""},
	{"ICY", "ICY 200 OK\r\nX: aaaa\r\n\r\n", 502, 502, ""},
	{"garbage", "hello world\r\n\r\n", 502, 502, ""},
	{"bare LF", "HTTP/1.1 200 OK\nContent-Length: 2\n\n", 502, 0, strict},
	{"bare LF after the status", "HTTP/1.1 200\nContent-Length: 2\n\n", 502, 0, strict},
	{"bare CR in a value", "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n", 502, 502, ""},
	{"NUL in a value", "HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n", 502, 0, strict},
	{"obs-fold", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", 502, 0, strict},
	{"space before the colon", "HTTP/1.1 200 OK\r\nX : a\r\n\r\n", 502, 502, ""},
	{"length twice", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n", 0, 0, ""},
	{"length 2 and 3", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n", 502, 502, ""},
	{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 0, ""},
	{"chunked and length", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n", 0, 0, ""},
	{"chunked in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 502, 0, strict},
	{"identity", "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n", 502, 502, ""},
	{"gzip", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", 502, 502, ""},
	{"gzip, chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 502, 502, ""},
	{"chunked, chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", 502, 502, ""},
	{"coding empty", "HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\n", 502, 0, strict},
}

func TestResponseVerdicts(t *testing.T) {
	for _, v := range responseVerdicts {
		t.Run(v.name, func(t *testing.T) {
			var h message.Head
			if got, _, err := parseWhole(v.raw, true, &h); got != v.want {
				t.Errorf("got %d (%v), want %d", got, err, v.want)
			}
			if (v.want != v.haproxy) != (v.why != "") {
				t.Errorf("we answer %d, HAProxy %d, reason %q", v.want, v.haproxy, v.why)
			}
		})
	}
}

func TestPreface(t *testing.T) {
	var h message.Head
	if _, err := ParseRequest([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), &h, nil); err != ErrHTTP2Preface {
		t.Errorf("got %v", err)
	}
}

func TestParseRequestFillsHead(t *testing.T) {
	raw := "\r\nPOST /p?q HTTP/1.0\r\nhOSt: \t example.com \t\r\nX-Empty:\r\nContent-Length:5\r\nX-Tab: a\tb\r\n\r\nhello"
	var h message.Head
	n, err := ParseRequest([]byte(raw), &h, nil)
	if err != nil || n != len(raw)-len("hello") {
		t.Fatal(n, err)
	}
	if h.Response || h.Version != message.HTTP10 || h.MethodID != message.MethodPost || string(h.Method) != "POST" || string(h.Target) != "/p?q" {
		t.Errorf("%+v", h)
	}
	got := ""
	for _, f := range h.Fields {
		got += fmt.Sprintf("%s=%q %d;", f.Name, f.Value, f.ID)
	}
	want := fmt.Sprintf(`hOSt="example.com" %d;X-Empty="" 0;Content-Length="5" %d;X-Tab="a\tb" 0;`, message.FieldHost, message.FieldContentLength)
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestParseResponseFillsHead(t *testing.T) {
	raw := "HTTP/1.0 404 Not  Found\r\nServer: x\r\n\r\nbody"
	var h message.Head
	n, err := ParseResponse([]byte(raw), &h, nil)
	if err != nil || n != len(raw)-4 || !h.Response || h.Version != message.HTTP10 || h.Status != 404 || string(h.Reason) != "Not  Found" || len(h.Fields) != 1 {
		t.Errorf("%d %v %+v", n, err, h)
	}
}

// Any beginning of a good head asks for more, and of a bad one never succeeds.
func TestPrefixes(t *testing.T) {
	var h message.Head
	for _, v := range requestVerdicts {
		end := strings.Index(v.raw, "\r\n\r\n") + 3
		for n := 0; n < end; n++ {
			if _, err := ParseRequest([]byte(v.raw[:n]), &h, nil); err != ErrMore && (err == nil || v.want == 0) && !strings.HasPrefix(v.raw, "\r\n") {
				t.Fatalf("%s: %q: %v", v.name, v.raw[:n], err)
			}
		}
	}
	for _, v := range responseVerdicts {
		for n := 0; n < len(v.raw)-1; n++ {
			if _, err := ParseResponse([]byte(v.raw[:n]), &h, nil); err != ErrMore && (err == nil || v.want == 0) {
				t.Fatalf("%s: %q: %v", v.name, v.raw[:n], err)
			}
		}
	}
}

// Byte by byte through a Parser every message ends as in one piece.
func TestParserIncremental(t *testing.T) {
	for _, v := range requestVerdicts {
		var p Parser
		var h, whole message.Head
		_, wantErr := ParseRequest([]byte(v.raw), &whole, nil)
		var err error = ErrMore
		for n := 0; n <= len(v.raw) && err == ErrMore; n++ {
			_, err = p.Request(bytes.Clone([]byte(v.raw[:n])), &h, nil)
		}
		if fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Errorf("%s: %v, in one piece %v", v.name, err, wantErr)
		}
	}
}

// The work for a trickled head is bounded: full attempts only when the input has
// doubled or an empty line came.
func TestParserAttemptsAreFew(t *testing.T) {
	raw := []byte("GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", 98) + "Long: " + strings.Repeat("z", 14000))
	var p Parser
	attempts := 0
	for n := 1; n <= len(raw); n++ {
		if p.ready(raw[:n]) {
			attempts++
			var h message.Head
			_, err := ParseRequest(raw[:n], &h, nil)
			p.after(raw[:n], err)
		}
	}
	if attempts > 10 {
		t.Errorf("%d attempts", attempts)
	}
}

func TestEmptyLinesAreBounded(t *testing.T) {
	var h message.Head
	_, err := ParseRequest([]byte(strings.Repeat("\r\n", 100)), &h, nil)
	if err == nil || err == ErrMore {
		t.Errorf("got %v", err)
	}
}

func TestMaxFields(t *testing.T) {
	var h message.Head
	lim := &Limits{MaxFields: 3}
	if _, err := ParseRequest([]byte(get("X: 1")), &h, lim); err != nil {
		t.Error(err)
	}
	if _, err := ParseRequest([]byte(get("X: 1", "Y: 2")), &h, lim); err == nil {
		t.Error("a line too many was accepted")
	}
}

// Each byte in each place of a word: the word-wise scans agree with the table.
func TestWordScans(t *testing.T) {
	for c := 0; c < 256; c++ {
		for at := range 17 {
			b := bytes.Repeat([]byte{'a'}, 17)
			b[at] = byte(c)
			want := -1
			if class[c]&classText == 0 {
				want = at
			}
			if got := skipText(b, 0); got != want {
				t.Fatalf("text %#x at %d: %d", c, at, got)
			}
			var h message.Head
			raw := "GET /" + string(b) + " HTTP/1.1\r\n\r\n"
			_, err := ParseRequest([]byte(raw), &h, nil)
			if (err == nil) != (class[c]&classTarget != 0) {
				t.Fatalf("target %#x at %d: %v", c, at, err)
			}
		}
	}
}

func TestNoAllocation(t *testing.T) {
	var h message.Head
	rq, rs := []byte(browserRequest), []byte(nginxResponse)
	out := make([]byte, 0, 2048)
	if n := testing.AllocsPerRun(100, func() {
		ParseRequest(rq, &h, nil)
		RequestFraming(&h)
		ConnectionTokens(&h)
		out = AppendFields(AppendRequestLine(out[:0], &h), &h)
		ParseResponse(rs, &h, nil)
		ResponseFraming(&h, message.MethodGet)
		out = AppendFields(AppendStatusLine(out[:0], &h), &h)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
