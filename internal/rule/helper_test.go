package rule

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/message"
	"evenkeel/internal/model"
)

// parseExpr reads fetch(args),converter(args)… well enough for tests.
func parseExpr(s string) *model.Expr {
	e := &model.Expr{Text: s}
	first := true
	for s != "" {
		var c model.Call
		i := strings.IndexAny(s, "(,")
		if i < 0 {
			i = len(s)
		}
		c.Name, s = s[:i], s[i:]
		if strings.HasPrefix(s, "(") {
			end := closing(s)
			if arg := s[1:end]; arg != "" {
				c.Args = splitArgs(arg)
			} else if c.Name == "str" {
				c.Args = []string{""}
			}
			s = s[end+1:]
		}
		s = strings.TrimPrefix(s, ",")
		if first {
			e.Fetch = c
			first = false
		} else {
			e.Convs = append(e.Convs, c)
		}
	}
	return e
}

func closing(s string) int {
	quoted := false
	for i := range len(s) {
		switch {
		case s[i] == '\'':
			quoted = !quoted
		case s[i] == ')' && !quoted:
			return i
		}
	}
	return len(s) - 1
}

func splitArgs(s string) []string {
	var out []string
	quoted, cur := false, ""
	for i := range len(s) {
		switch {
		case s[i] == '\'':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			out, cur = append(out, cur), ""
		default:
			cur += string(s[i])
		}
	}
	return append(out, cur)
}

// parseHead makes a head from text with \n line ends.
func parseHead(text string) *message.Head {
	h := &message.Head{Version: message.HTTP11}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	start := strings.SplitN(lines[0], " ", 3)
	if strings.HasPrefix(lines[0], "HTTP/") {
		h.Response = true
		n, _ := readInt([]byte(start[1]))
		h.Status, h.Reason = int(n), []byte(start[2])
	} else {
		h.Method, h.Target = []byte(start[0]), []byte(start[1])
		h.MethodID = message.IdentifyMethod(h.Method)
		if start[2] == "HTTP/1.0" {
			h.Version = message.HTTP10
		}
	}
	for _, l := range lines[1:] {
		n, v, _ := strings.Cut(l, ":")
		h.Add(message.Identify([]byte(n)), []byte(n), []byte(strings.Trim(v, " ")))
	}
	return h
}

func showHead(h *message.Head) string {
	out := string(startLine(nil, h)) + "\n"
	for i := range h.Fields {
		if h.Fields[i].Name != nil {
			out += string(fieldLine(nil, &h.Fields[i])) + "\n"
		}
	}
	return out
}

const sampleRequest = `GET /a/b%20c/d.php?x=1&y=two&nov&e=&n=42z;sem=7&x=3 HTTP/1.1
Host: www.Example.com:8080
X-List: one, two
X-List: three
X-IP: 10.0.0.1, 10.0.0.2:80
X-IP6: [2001:db8::1]:80
X-Num: 12abc
X-Quoted: "a,b", c
X-Empty:
X-Lang: de;q=0.5, fr;q=0.9, en;q=0.7
Cookie: a=1; b=two; q="x;y"; sp = v ; n=7x; noval; a=3
X-E: 1`

const sampleResponse = `HTTP/1.1 200 OK
Server: nginx
Content-Type: text/html
Set-Cookie: SID=s1; path=/
Set-Cookie: T=2
Cache-Control: private, max-age=0`

type testEnv struct{ NoEnv }

func (testEnv) NbSrv(string) (int, bool)                { return 1, true }
func (testEnv) ServerIsUp(string, string) (up, ok bool) { return true, true }
func (testEnv) QueueLen(string) int                     { return 5 }

func newTx() *Tx {
	return &Tx{
		Conn: &Conn{Src: netip.MustParseAddrPort("127.0.0.1:40000"), Dst: netip.MustParseAddrPort("127.0.0.1:21100"),
			FrontendName: "fe1", FrontendID: 1, ListenerID: 1, Requests: 1},
		Req: parseHead(sampleRequest), Phase: PhaseHTTPRequest, Env: testEnv{},
		Frontend: &ProxyInfo{Name: "fe1", ID: 1, HTTP: true},
		Now:      time.Unix(1000000000, 0),
	}
}

func newTestCompiler(t testing.TB) *Compiler {
	t.Helper()
	c := NewCompiler(&model.Config{Proxies: []*model.Proxy{
		{Name: "fe1", Kind: model.KindFrontend, Frontend: model.Frontend{RequestCaptures: []model.Capture{{Name: "host", Len: 5}}}},
		{Name: "b1", Kind: model.KindBackend, Backend: model.Backend{Servers: []*model.Server{{Name: "s1"}}}},
	}})
	c.Files = func(name string) ([]byte, error) { return []byte(testFiles[name]), nil }
	return c
}

var testFiles = map[string]string{
	"hosts.map": "# comment\nwww.example.com  app1\n\n  static.example.com app2 with blanks\n",
	"nets.map":  "10.0.0.0/8 1\n10.1.0.0/16 2\n127.0.0.0/8 3\n",
	"paths.map": "/ root\n/a/ a\n/a/b b\n",
	"re.map":    "^/a/(.*)$ got-\\1\n",
	"list.acl":  "/x\n/a/b\n# no\n\n",
}

func noDiagnostics(t testing.TB, c *Compiler) {
	t.Helper()
	for _, d := range c.Diagnostics {
		t.Errorf("unexpected diagnostic: %s", d)
	}
}

// format reads literals, %[…] and %alias, with %{+Q}alias, for tests.
func parseFormat(s string) *model.Format {
	f := &model.Format{Text: s}
	for s != "" {
		i := strings.IndexByte(s, '%')
		if i != 0 {
			if i < 0 {
				i = len(s)
			}
			f.Parts = append(f.Parts, model.FormatPart{Literal: s[:i]})
			s = s[i:]
			continue
		}
		s = s[1:]
		p := model.FormatPart{}
		if strings.HasPrefix(s, "{") {
			end := strings.IndexByte(s, '}')
			for _, fl := range strings.Split(s[1:end], ",") {
				on := fl[0] == '+'
				switch fl[1:] {
				case "Q":
					p.Quote = on
				case "E":
					p.Escape = on
				case "X":
					p.Hex = on
				}
			}
			s = s[end+1:]
		}
		if strings.HasPrefix(s, "[") {
			end := strings.IndexByte(s, ']')
			p.Expr = parseExpr(s[1:end])
			s = s[end+1:]
		} else {
			n := 0
			for n < len(s) && (s[n]|0x20 >= 'a' && s[n]|0x20 <= 'z') {
				n++
			}
			p.Alias, s = s[:n], s[n:]
		}
		f.Parts = append(f.Parts, p)
	}
	return f
}
