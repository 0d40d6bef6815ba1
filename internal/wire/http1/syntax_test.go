package http1

import (
	"fmt"
	"strings"
	"testing"

	"evenkeel/internal/message"
)

// What HAProxy 2.6's req.cook(a) gives, "-" for nothing found.
func TestFindCookie(t *testing.T) {
	for _, c := range [][2]string{
		{"a=1; b=2", "1"},
		{"b=2; a=1", "1"},
		{"a=1,2; b=3", "1"},
		{`a="x;y"; b=2`, `"x;y"`},
		{` a = 1 ;b=2`, "1"},
		{"$Version=1; a=1", "1"},
		{"a; b=2", "-"},
		{"a; a=2", "2"},
		{"x;;a=1", "1"},
		{"A=1", "-"},
		{"a=1=2", "1=2"},
		{"a=", ""},
		{"aa=1;a=2", "2"},
		{"b=1,a=2", "2"},
		{"b=a=1; a=3", "3"},
		{`a=\"x;y`, `\"x;y`},
		{`b="a=5; a=6`, "-"},
		{"=1;a=2", "2"},
		{"a=1 2;b", "1 2"},
		{"a==1", "=1"},
		{"", "-"},
	} {
		v := []byte(c[0])
		got, start, end, ok := FindCookie(v, "a")
		if !ok {
			got = []byte("-")
		} else if string(v[start:end]) != string(got) {
			t.Errorf("%q: offsets %d:%d", c[0], start, end)
		}
		if string(got) != c[1] {
			t.Errorf("%q: %q, want %q", c[0], got, c[1])
		}
	}
}

func TestRemoveCookie(t *testing.T) {
	for _, c := range [][2]string{
		{"S=s1", ""},
		{"S=s1; b=2", "b=2"},
		{"b=2; S=s1", "b=2"},
		{"b=2; S=s1; c=3", "b=2; c=3"},
		{"b=2;S=s1;c=3", "b=2;c=3"},
		{"b=2 ; S=s1 ; c=3", "b=2 ; c=3"},
		{"b=2;  S = s1;  c=3", "b=2;  c=3"},
		{"S=s1;;b=2", ";b=2"},
		{"b=1,S=s1,c=2", "b=1,c=2"},
		{"S=s1; S=s2; a=1", "a=1"},
		{"a=1; S=s1; S=s2", "a=1"},
		{"a=1; S=s1; S=s2 ; ", "a=1; "},
		{`S="s;1"; a=1`, "a=1"},
		{"S; a=1", "S; a=1"},
		{"S=; a=1", "a=1"},
		{"XS=1; Sx=2", "XS=1; Sx=2"},
	} {
		rest, removed := RemoveCookie([]byte(c[0]), "S")
		if string(rest) != c[1] || removed != (c[0] != c[1]) {
			t.Errorf("%q: %q %v, want %q", c[0], rest, removed, c[1])
		}
	}
}

func TestFindSetCookie(t *testing.T) {
	for _, c := range [][2]string{
		{"a=1; Path=/", "1"},
		{"b=1; a=2", "-"},
		{`a="x;y"; Path=/`, `"x;y"`},
		{" a = 1 ; x", "1"},
		{"a", "-"},
		{"a=", ""},
		{"b=a=1", "-"},
	} {
		v := []byte(c[0])
		got, start, end, ok := FindSetCookie(v, "a")
		if !ok {
			got = []byte("-")
		} else if string(v[start:end]) != string(got) {
			t.Errorf("%q: offsets", c[0])
		}
		if string(got) != c[1] {
			t.Errorf("%q: %q, want %q", c[0], got, c[1])
		}
	}
}

func TestNextCookie(t *testing.T) {
	got := ""
	for v := []byte(`a=1; x; =2; b = "3;4" ;;c=`); ; {
		var name, val []byte
		if name, val, v = NextCookie(v); name == nil {
			break
		}
		got += fmt.Sprintf("%s=%s|", name, val)
	}
	if got != `a=1|b="3;4"|c=|` {
		t.Error(got)
	}
}

func TestTargetParts(t *testing.T) {
	for _, c := range []struct{ target, scheme, authority, pathQuery, path, query string }{
		{"/", "", "", "/", "/", ""},
		{"/p/q?a=1&b=2", "", "", "/p/q?a=1&b=2", "/p/q", "a=1&b=2"},
		{"/p;x=1?a?b", "", "", "/p;x=1?a?b", "/p;x=1", "a?b"},
		{"http://h/p?q", "http", "h", "/p?q", "/p", "q"},
		{"http://u@h:80", "http", "u@h:80", "", "", ""},
		{"http://h?q", "http", "h", "?q", "", "q"},
		{"http://h/?u=http://x/", "http", "h", "/?u=http://x/", "/", "u=http://x/"},
		{"*", "", "", "", "", ""},
		{"h:80", "", "h:80", "", "", ""},
		{"[::1]:80", "", "[::1]:80", "", "", ""},
		{"/a://b/c", "", "", "/a://b/c", "/a://b/c", ""},
		{"", "", "", "", "", ""},
	} {
		b := []byte(c.target)
		for name, pair := range map[string][2]string{
			"scheme":    {string(Scheme(b)), c.scheme},
			"authority": {string(Authority(b)), c.authority},
			"pathquery": {string(PathQuery(b)), c.pathQuery},
			"path":      {string(Path(b)), c.path},
			"query":     {string(Query(b)), c.query},
		} {
			if pair[0] != pair[1] {
				t.Errorf("%q: %s is %q, want %q", c.target, name, pair[0], pair[1])
			}
		}
	}
}

func TestSplitHostPort(t *testing.T) {
	for _, c := range [][3]string{
		{"a", "a", "-"}, {"a:80", "a", "80"}, {"a:", "a", ""}, {"[::1]", "[::1]", "-"},
		{"[::1]:8", "[::1]", "8"}, {"", "", "-"}, {":80", "", "80"},
	} {
		host, port := SplitHostPort([]byte(c[0]))
		if port == nil {
			port = []byte("-")
		}
		if string(host) != c[1] || string(port) != c[2] {
			t.Errorf("%q: %q %q", c[0], host, port)
		}
	}
}

// What HAProxy 2.6's url_param(a) and url_param(b,;) give, "-" for nothing.
func TestParams(t *testing.T) {
	for _, c := range []struct {
		target, name string
		delim        byte
		want         string
	}{
		{"/r?a=1&b=2", "a", '?', "1"},
		{"/r?a=1&b=2", "b", '?', "2"},
		{"/r;b=2?a=1", "b", ';', "2?a=1"},
		{"/r?b&a=1", "a", '?', "1"},
		{"/r?a&a=1", "a", '?', "1"},
		{"/r?a=&b=2", "a", '?', ""},
		{"/r?A=1", "a", '?', "-"},
		{"/r?x?a=1", "a", '?', "1"},
		{"/r?b=1;a=2", "a", '?', "2"},
		{"/r?x=1&&a=1&a=2", "a", '?', "1"},
		{"/r?a=b=c", "a", '?', "b=c"},
		{"/r", "a", '?', "-"},
	} {
		got, ok := FindParam(Params([]byte(c.target), c.delim), c.delim, c.name)
		if !ok {
			got = []byte("-")
		}
		if string(got) != c.want {
			t.Errorf("%q %s: %q, want %q", c.target, c.name, got, c.want)
		}
	}
}

func TestAppend(t *testing.T) {
	h := message.Head{Method: []byte("GET"), Target: []byte("/x"), Version: message.HTTP10, Status: 404, Reason: []byte("Not Found")}
	h.Add(message.FieldOther, []byte("A"), []byte("1"))
	h.Add(message.FieldOther, []byte("B"), nil)
	h.Add(message.FieldOther, nil, []byte("deleted"))
	h.Add(message.FieldOther, []byte("C"), []byte("3"))
	if got := string(AppendFields(AppendRequestLine([]byte("!"), &h), &h)); got != "!GET /x HTTP/1.1\r\nA: 1\r\nB: \r\nC: 3\r\n" {
		t.Errorf("%q", got)
	}
	if got := string(AppendStatusLine(nil, &h)); got != "HTTP/1.1 404 Not Found\r\n" {
		t.Errorf("%q", got)
	}
	h.Status, h.Reason = 200, []byte("OK")
	if got := string(AppendStatusLine(nil, &h)); got != "HTTP/1.1 200 OK\r\n" {
		t.Errorf("%q", got)
	}
}

func TestAppendChunks(t *testing.T) {
	for _, n := range []int{0, 1, 15, 16, 255, 256, 4095, 4096, 1 << 20, 1<<63 - 1} {
		if got, want := string(AppendChunkSize(nil, n)), fmt.Sprintf("%x\r\n", n); got != want {
			t.Errorf("%d: %q", n, got)
		}
		b := make([]byte, 18)
		PutChunkSize(b, n)
		if want := fmt.Sprintf("%016x\r\n", n); string(b) != want {
			t.Errorf("%d: %q", n, b)
		}
	}
	out := AppendLastChunk(AppendChunk(AppendChunk(nil, []byte("hello")), nil), []byte("X: y\r\n"))
	if string(out) != "5\r\nhello\r\n0\r\nX: y\r\n\r\n" {
		t.Errorf("%q", out)
	}
	if s := strings.Repeat("x", 20); !strings.HasPrefix(string(AppendChunk(nil, []byte(s))), "14\r\n") {
		t.Error("size")
	}
}
