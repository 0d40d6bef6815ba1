package http1

import (
	"bytes"
	"strings"
	"testing"
)

// decodeAll decodes body in pieces of at most step bytes, as a connection would
// deliver them, and gives the payload and what was left.
func decodeAll(c *ChunkReader, body []byte, step int) (payload, rest []byte, done bool, err error) {
	for len(body) > 0 && !done && err == nil {
		p := bytes.Clone(body[:min(step, len(body))])
		n, used, d, e := c.Decode(p)
		payload = append(payload, p[:n]...)
		body, done, err = body[used:], d, e
	}
	return payload, body, done, err
}

var chunkCases = []struct {
	name     string
	body     string
	payload  string
	trailers string
	bad      bool
	haproxy  bool   // HAProxy 2.6 accepts it
	why      string // where we differ
}{
	{"plain", "5\r\nhello\r\n0\r\n\r\n", "hello", "", false, true, ""},
	{"two", "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world", "", false, true, ""},
	{"empty", "0\r\n\r\n", "", "", false, true, ""},
	{"upper case", "A\r\n0123456789\r\n0\r\n\r\n", "0123456789", "", false, true, ""},
	{"16 digits", "0000000000000005\r\nhello\r\n00000\r\n\r\n", "hello", "", false, true, ""},
	{"17 digits", "00000000000000005\r\nhello\r\n0\r\n\r\n", "", "", true, true, "a size has at most 16 digits"},
	{"space before", " 5\r\nhello\r\n0\r\n\r\n", "", "", true, false, ""},
	{"space after", "5 \t\r\nhello\r\n0\r\n\r\n", "hello", "", false, true, ""},
	{"extension", "5;a=b\r\nhello\r\n0;c\r\n\r\n", "hello", "", false, true, ""},
	{"extension after space", "5 ; a=b\r\nhello\r\n0\r\n\r\n", "hello", "", false, true, ""},
	{"extension, quoted", "5;a=\"b;\\\"c\"\r\nhello\r\n0\r\n\r\n", "hello", "", false, true, ""},
	{"extension, quoted line end", "5;a=\"b\r\n\"\r\nhello\r\n0\r\n\r\n", "", "", true, false, ""},
	{"extension, bare LF", "5;a\nhello\r\n0\r\n\r\n", "", "", true, true, strict},
	{"extension, bare CR", "5;a\rb\r\nhello\r\n0\r\n\r\n", "", "", true, false, ""},
	{"extension, NUL", "5;a\x00b\r\nhello\r\n0\r\n\r\n", "", "", true, true, strict},
	{"extension, empty", "5;\r\nhello\r\n0\r\n\r\n", "hello", "", false, true, ""},
	{"extension without semicolon", "5 a\r\nhello\r\n0\r\n\r\n", "", "", true, false, ""},
	{"extension too long", "5;" + strings.Repeat("a", 5000) + "\r\nhello\r\n0\r\n\r\n", "", "", true, true, "it costs and says nothing"},
	{"space too long", "5" + strings.Repeat(" ", 5000) + "\r\nhello\r\n0\r\n\r\n", "", "", true, true, "it costs and says nothing"},
	{"size ends in LF", "5\nhello\r\n0\r\n\r\n", "", "", true, true, strict},
	{"size ends in CR", "5\rhello\r\n0\r\n\r\n", "", "", true, false, ""},
	{"data ends in LF", "5\r\nhello\n0\r\n\r\n", "", "", true, true, strict},
	{"data too long", "5\r\nhellox\r\n0\r\n\r\n", "", "", true, false, ""},
	{"no size", "\r\n5\r\nhello\r\n0\r\n\r\n", "", "", true, false, ""},
	{"0x5", "0x5\r\nhello\r\n0\r\n\r\n", "", "", true, false, ""},
	{"+5", "+5\r\nhello\r\n0\r\n\r\n", "", "", true, false, ""},
	{"-5", "-5\r\nhello\r\n0\r\n\r\n", "", "", true, false, ""},
	{"overflow", "ffffffffffffffff\r\nhello\r\n0\r\n\r\n", "", "", true, false, ""},
	{"overflow to 5", "10000000000000005\r\nhello\r\n0\r\n\r\n", "", "", true, false, ""},
	{"last, bare LF", "0\r\n\n", "", "", true, true, strict},
	{"last, CR CR", "0\r\n\r\r\n", "", "", true, false, ""},
	{"trailers", "0\r\nX-T: a\r\nY:\r\n\r\n", "", "X-T: a\r\nY:\r\n", false, true, ""},
	{"trailer, space in the name", "0\r\nX T: a\r\n\r\n", "", "", true, true, strict},
	{"trailer without colon", "0\r\nXT\r\n\r\n", "", "", true, false, ""},
	{"trailer, bare LF", "0\r\nX: a\n\r\n", "", "", true, true, strict},
	{"trailer, bare CR", "0\r\nX: a\rb\r\n\r\n", "", "", true, false, ""},
	{"trailer, obs-fold", "0\r\nX: a\r\n b\r\n\r\n", "", "", true, true, strict},
	{"trailer Content-Length", "0\r\nContent-Length: 3\r\n\r\n", "", "", true, true, "RFC 9110, 6.5.1"},
	{"trailer Transfer-Encoding", "0\r\nTransfer-Encoding: chunked\r\n\r\n", "", "", true, true, "RFC 9110, 6.5.1"},
	{"trailer Host is dropped", "0\r\nA: 1\r\nHost: b\r\nB: 2\r\n\r\n", "", "A: 1\r\nB: 2\r\n", false, true, ""},
	{"trailer Cookie is dropped", "0\r\nCookie: b\r\nAuthorization: x\r\n\r\n", "", "", false, true, ""},
	{"trailers too large", "0\r\nX: " + strings.Repeat("a", 9000) + "\r\n\r\n", "", "", true, true, "a bound on memory"},
	{"dropped trailers too large", "0\r\n" + strings.Repeat("Host: aaaaaaaaaaaaaa\r\n", 400) + "\r\n", "", "", true, true, "a bound on work"},
}

func TestChunkReader(t *testing.T) {
	for _, c := range chunkCases {
		t.Run(c.name, func(t *testing.T) {
			if (c.bad == c.haproxy) != (c.why != "") {
				t.Errorf("refused: %v, HAProxy accepts: %v, reason %q", c.bad, c.haproxy, c.why)
			}
			for _, step := range []int{1, 2, 3, 7, 1 << 20} {
				var r ChunkReader
				payload, rest, done, err := decodeAll(&r, []byte(c.body+"NEXT"), step)
				if c.bad {
					if err == nil || done {
						t.Errorf("step %d: accepted %q", step, payload)
					}
					if _, _, _, again := r.Decode([]byte("0\r\n\r\n")); again != err {
						t.Errorf("step %d: a failed reader went on: %v", step, again)
					}
					continue
				}
				if err != nil || !done || !r.Done() || string(payload) != c.payload || string(rest) != "NEXT" || string(r.Trailers) != c.trailers {
					t.Errorf("step %d: %q rest %q trailers %q done %v err %v", step, payload, rest, r.Trailers, done, err)
				}
				r.Reset()
				if _, _, done, err := decodeAll(&r, []byte("0\r\n\r\n"), step); !done || err != nil || len(r.Trailers) != 0 {
					t.Errorf("step %d: after Reset %v %v", step, done, err)
				}
			}
		})
	}
}

func TestChunkReaderLargest(t *testing.T) {
	var r ChunkReader
	if _, _, _, err := r.Decode([]byte("7fffffffffffffff\r\n")); err != nil || r.Remaining() != 1<<63-1 {
		t.Error(err, r.Remaining())
	}
}

func TestChunkReaderSkip(t *testing.T) {
	var r ChunkReader
	if _, _, _, err := r.Decode([]byte("10\r\n0123")); err != nil || r.Remaining() != 12 {
		t.Fatal(err, r.Remaining())
	}
	r.Skip(2)
	r.Skip(10)
	if r.Remaining() != 0 {
		t.Error(r.Remaining())
	}
	if n, _, done, err := r.Decode([]byte("\r\n0\r\n\r\n")); n != 0 || !done || err != nil {
		t.Error(n, done, err)
	}
}
