package checks

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"evenkeel/internal/model"
	"evenkeel/test/loopback"
)

// limit is the connect_timeout of checks that should not need it.
const limit = 30 * time.Second

func compileReal(t testing.TB, c model.RealCheck, e *RealEnv) RealChecker {
	t.Helper()
	if c.Timeout == 0 {
		c.Timeout = limit
	}
	k, err := CompileReal(&c, e)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func at(a *net.TCPAddr) RealTarget { return RealTarget{Server: a.AddrPort()} }

// took is the end of a text, which differs from run to run.
var took = regexp.MustCompile(` in [0-9.]+(ms|s|µs)$`)

// said is a result without what differs from run to run.
func said(r RealResult, addr net.Addr) string {
	s := strings.ReplaceAll(took.ReplaceAllString(r.Text, " in T"), addr.String(), "ADDR")
	if !r.OK {
		s = "bad: " + s
	}
	if r.Local {
		s = "local " + s
	}
	return s
}

func httpCheck(urls ...*model.CheckURL) model.RealCheck {
	return model.RealCheck{Kind: model.CheckerHTTP, HTTP: &model.HTTPCheckSpec{URLs: urls}}
}

func sum(s string) string { return fmt.Sprintf("%x", md5.Sum([]byte(s))) }

func TestRealHTTP(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello"
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
	url := model.CheckURL{Path: "/a"}
	with := func(f func(*model.CheckURL)) *model.CheckURL { u := url; f(&u); return &u }
	regex := func(re string, options ...string) *model.CheckURL {
		return with(func(u *model.CheckURL) { u.Regex, u.RegexOptions = re, options })
	}
	digest := func(s string) *model.CheckURL { return with(func(u *model.CheckURL) { u.Digest = s }) }
	status := func(r ...model.StatusRange) *model.CheckURL { return with(func(u *model.CheckURL) { u.Status = r }) }
	for _, x := range []struct {
		name string
		url  *model.CheckURL
		s    server
		want string
	}{
		{"200", &url, server{read: true, reply: ok, stay: true}, "HTTP status 200 for /a on ADDR in T"},
		{"without length", &url, server{read: true, reply: "HTTP/1.0 204 x\r\n\r\n"}, "HTTP status 204 for /a on ADDR in T"},
		{"503", &url, server{read: true, reply: "HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n", stay: true}, "bad: HTTP status 503 instead of 200-299 for /a on ADDR in T"},
		{"list", status(model.StatusRange{First: 301, Last: 301}, model.StatusRange{First: 401, Last: 403}), server{read: true, reply: ok, stay: true},
			"bad: HTTP status 200 instead of 301 401-403 for /a on ADDR in T"},
		{"in list", status(model.StatusRange{First: 301, Last: 301}, model.StatusRange{First: 401, Last: 403}),
			server{read: true, reply: "HTTP/1.1 403 x\r\nContent-Length: 0\r\n\r\n", stay: true}, "HTTP status 403 for /a on ADDR in T"},
		{"after 100", &url, server{read: true, reply: "HTTP/1.1 100 Continue\r\n\r\n" + ok, stay: true}, "HTTP status 200 for /a on ADDR in T"},
		{"nothing", &url, server{read: true}, "bad: no HTTP answer to /a from ADDR: the connection was closed without one in T"},
		{"reset", &url, server{read: true, reset: true}, "bad: no HTTP answer to /a from ADDR: Connection reset by peer in T"},
		{"not HTTP", &url, server{read: true, reply: "220 mail\r\n", stay: true}, "bad: no HTTP answer to /a from ADDR: what came is not HTTP in T"},
		{"half a head", &url, server{read: true, reply: "HTTP/1.1 200 OK\r\nA: b"}, "bad: no HTTP answer to /a from ADDR: what came is not HTTP in T"},
		{"long head", &url, server{read: true, reply: "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 20000), stay: true},
			"bad: no HTTP answer to /a from ADDR: its head is larger than 64 KiB in T"},
		{"short body", &url, server{read: true, reply: "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"}, "HTTP status 200 for /a on ADDR (45 octets less than announced) in T"},
		{"digest", digest(sum("hello")), server{read: true, reply: ok, stay: true}, "HTTP status 200 for /a on ADDR in T"},
		{"digest, no length", digest(sum("hello")), server{read: true, reply: "HTTP/1.0 200 OK\r\n\r\nhello"}, "HTTP status 200 for /a on ADDR in T"},
		{"digest of chunks", digest(sum("3;x\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n")), server{read: true, reply: chunked}, "HTTP status 200 for /a on ADDR in T"},
		{"digest of what was chunked", digest(sum("hello")), server{read: true, reply: chunked, stay: true}, "HTTP status 200 for /a on ADDR in T"},
		{"other digest", digest(sum("world")), server{read: true, reply: ok, stay: true},
			"bad: digest " + sum("hello") + " instead of " + sum("world") + " for /a on ADDR in T"},
		{"broken chunks", &url, server{read: true, reply: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", stay: true},
			"bad: no HTTP answer to /a from ADDR: its chunks are malformed in T"},
		{"regex", regex("l+o$"), server{read: true, reply: ok, stay: true}, "HTTP status 200 for /a on ADDR in T"},
		{"regex across chunks", regex("hello"), server{read: true, reply: chunked, stay: true}, "HTTP status 200 for /a on ADDR in T"},
		{"no match", regex("HELLO"), server{read: true, reply: ok, stay: true}, `bad: HTTP status 200, but nothing matches "HELLO" in 5 octets for /a on ADDR in T`},
		{"caseless", regex("HELLO", "caseless"), server{read: true, reply: ok, stay: true}, "HTTP status 200 for /a on ADDR in T"},
		{"regex_no_match", with(func(u *model.CheckURL) { u.Regex, u.RegexNegate = "ell", true }), server{read: true, reply: ok, stay: true},
			`bad: HTTP status 200, but the answer matches "ell" for /a on ADDR in T`},
		{"status before regex", regex("hello"), server{read: true, reply: "HTTP/1.0 500 x\r\n\r\nhello"}, "bad: HTTP status 500 instead of 200-299 for /a on ADDR in T"},
		{"large body", &url, server{read: true, reply: "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 2<<20), stay: true}, "HTTP status 200 for /a on ADDR in T"},
	} {
		a := x.s.start(t)
		got := said(compileReal(t, httpCheck(x.url), nil).Run(t.Context(), at(a)), a)
		if got != x.want {
			t.Errorf("%s:\n got %s\nwant %s", x.name, got, x.want)
		}
	}
}

// The forms of the request are those of keepalived 2.2.7.
func TestRealHTTPRequest(t *testing.T) {
	six := netip.MustParseAddrPort("[fd00::1]:80")
	four := netip.MustParseAddrPort("192.0.2.5:8080")
	for _, x := range []struct {
		version, host, part string
		to                  netip.AddrPort
		want                string
	}{
		{"", "", "", four, "GET /a HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: 192.0.2.5:8080\r\n\r\n"},
		{"1.0C", "", "", six, "GET /a HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: [fd00::1]:80\r\n\r\n"},
		{"1.1", "www.example.com", "", four, "GET /a HTTP/1.1\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: www.example.com\r\n\r\n"},
	} {
		c := httpCheck(&model.CheckURL{Path: "/a"})
		c.HTTP.Version, c.HTTP.VirtualHost = x.version, x.host
		k := compileReal(t, c, nil).(*realHTTP)
		if got := k.request(&k.urls[0], k.host, x.to); got != x.want {
			t.Errorf("%q, want %q", got, x.want)
		}
	}
	// The nearest virtualhost counts: url, checker, real and virtual server.
	for _, x := range []struct{ url, checker, outer, want string }{
		{"u", "c", "o", "u"}, {"", "c", "o", "c"}, {"", "", "o", "o"},
	} {
		s := server{read: true, reply: "HTTP/1.0 200 OK\r\n\r\n"}
		a := s.start(t)
		c := httpCheck(&model.CheckURL{Path: "/other"}, &model.CheckURL{Path: "/b", VirtualHost: x.url})
		c.HTTP.VirtualHost = x.checker
		k := compileReal(t, c, nil)
		if n := k.(Parted).Parts(); n != 2 {
			t.Fatalf("%d parts", n)
		}
		k.Run(t.Context(), RealTarget{Server: a.AddrPort(), VirtualHost: x.outer, Part: 1})
		if got := string(s.got); !strings.HasPrefix(got, "GET /b ") || !strings.Contains(got, "\r\nHost: "+x.want+"\r\n") {
			t.Errorf("%q", got)
		}
	}
}

func TestRealRegex(t *testing.T) {
	for _, x := range []struct {
		pattern, options, body string
		min, max               int
		want                   bool
	}{
		{"a.c", "", "a\nc", 0, 0, false}, {"a.c", "dotall", "a\nc", 0, 0, true},
		{"^b", "", "a\nb", 0, 0, false}, {"^b", "multiline", "a\nb", 0, 0, true},
		// PCRE's $ is also before a last line feed.
		{"b$", "", "ab\n", 0, 0, true}, {"b$", "", "ab\n\n", 0, 0, false}, {"b$", "dollar_endonly", "ab\n", 0, 0, false},
		{"b$", "multiline", "ab\nc", 0, 0, true}, {`b\Z`, "", "ab\n", 0, 0, true}, {`b[$]`, "", "b$", 0, 0, true}, {`b\$`, "", "b$", 0, 0, true},
		{`\Qb$\E`, "", "b$", 0, 0, true}, {`\Qb$`, "", "b$", 0, 0, true},
		{"a b # comment\n c", "extended", "abc", 0, 0, true}, {`a[ ]b\ c`, "extended", "a b c", 0, 0, true}, {"a b", "", "ab", 0, 0, false},
		{"[]#a]+ x", "extended", "#x", 0, 0, true}, {"[[:space:]#] x", "extended", " x", 0, 0, true},
		{"b", "firstline", "a\nb", 0, 0, false}, {"b", "firstline", "ab\nb", 0, 0, true},
		{"a", "", "xxax", 2, 0, true}, {"a", "", "xxax", 3, 0, false}, {"a", "", "x", 2, 0, false},
		{"a", "", "xxax", 0, 2, true}, {"a", "", "xxax", 0, 1, false}, {"a", "", "xxaxa", 3, 4, true},
		{"a+?", "ungreedy no_auto_possess utf", "aaa", 0, 0, true},
	} {
		r, err := compileBodyRegex(&model.CheckURL{Regex: x.pattern, RegexOptions: strings.Fields(x.options), RegexMinOffset: x.min, RegexMaxOffset: x.max})
		if err != nil {
			t.Errorf("%q: %v", x.pattern, err)
			continue
		}
		if got := r.match([]byte(x.body)); got != x.want {
			t.Errorf("%q (%s) on %q from %d to %d: %v", x.pattern, x.options, x.body, x.min, x.max, got)
		}
	}
}

// What cannot work is refused with the place and with what to write.
func TestRealRefused(t *testing.T) {
	url := func(u model.CheckURL) model.RealCheck { u.Path = "/"; return httpCheck(&u) }
	place := model.Pos{File: "k.conf", Line: 7, Col: 3}
	for _, x := range []struct {
		check model.RealCheck
		want  string
	}{
		{model.RealCheck{Kind: "NO_CHECK"}, "there is no checker NO_CHECK"},
		{model.RealCheck{Kind: model.CheckerHTTP}, "HTTP_GET: no url: write url { path / }"},
		{httpCheck(&model.CheckURL{}), "no path"},
		{httpCheck(&model.CheckURL{Path: "/\r\nX: y"}), "line break"},
		{url(model.CheckURL{Digest: "12"}), "digest 12 is not the 32 hex digits of an MD5 sum"},
		{url(model.CheckURL{Regex: "a(?!b)"}), `regex "a(?!b)" has a negative look-ahead (?!, which is not available: use a second url block with regex_no_match`},
		{url(model.CheckURL{Regex: `(a)\1`}), "back reference"},
		{url(model.CheckURL{Regex: "a++"}), "possessive quantifier ++, which is not available: write +"},
		{url(model.CheckURL{Regex: "(a"}), "missing closing )"},
		{url(model.CheckURL{Regex: "a", RegexOptions: []string{"caselesss"}}), "there is no regex option caselesss"},
		{url(model.CheckURL{Regex: "a", RegexOptions: []string{"ucp"}}), "regex option ucp is not available: write"},
		{url(model.CheckURL{Regex: "a", RegexMinOffset: 3, RegexMaxOffset: 2}), "regex_min_offset 3 is larger than regex_max_offset 2"},
		{model.RealCheck{Kind: model.CheckerHTTP, HTTP: &model.HTTPCheckSpec{Version: "2", URLs: []*model.CheckURL{{Path: "/"}}}}, "http_protocol 2: write 1.0, 1.0C or 1.1"},
		{model.RealCheck{Kind: model.CheckerSSL, HTTP: &model.HTTPCheckSpec{URLs: []*model.CheckURL{{Path: "/"}}}, TLS: &model.CheckSSL{Key: "/k"}}, "SSL_GET: the SSL block has a key and no certificate"},
		{model.RealCheck{Kind: model.CheckerSSL, HTTP: &model.HTTPCheckSpec{URLs: []*model.CheckURL{{Path: "/"}}}, TLS: &model.CheckSSL{Certificate: "/nonexistent/c"}}, "open /nonexistent/c: no such file"},
		{model.RealCheck{Kind: model.CheckerMISC}, "no misc_path"},
		{model.RealCheck{Kind: model.CheckerMISC, Script: &model.ScriptCheckSpec{Command: model.Command{Argv: []string{"/nonexistent/x"}}}}, "/nonexistent"},
		{model.RealCheck{Kind: model.CheckerMISC, Script: &model.ScriptCheckSpec{Command: model.Command{Argv: []string{"/bin/true"}, User: &model.Credential{User: "nobody-has-this"}}}}, "nobody-has-this"},
		{model.RealCheck{Kind: model.CheckerDNS, DNS: &model.DNSCheckSpec{Type: "B"}}, "unknown type B; write A, AAAA"},
		{model.RealCheck{Kind: model.CheckerDNS, DNS: &model.DNSCheckSpec{Name: "a..b"}}, "name a..b"},
		{model.RealCheck{Kind: model.CheckerDNS, DNS: &model.DNSCheckSpec{Name: strings.Repeat("a", 64) + ".b"}}, "name aaa"},
		{model.RealCheck{Kind: model.CheckerUDP, UDP: &model.UDPCheckSpec{MinReply: 300}}, "min_reply_length 300 is larger than max_reply_length 255"},
		{model.RealCheck{Kind: model.CheckerUDP, UDP: &model.UDPCheckSpec{Reply: []byte{1}, ReplyMask: []byte{1, 2}}}, "the mask has 2 octets for a reply of 1"},
		{model.RealCheck{Kind: model.CheckerSMTP, SMTP: &model.SMTPCheckSpec{HELO: "a\r\nb"}}, "line break"},
		{model.RealCheck{Kind: model.CheckerTCP, Connect: model.ConnectTo{Addr: netip.MustParseAddr("::1"), BindTo: netip.MustParseAddr("127.0.0.1")}}, "different families"},
		{model.RealCheck{Kind: model.CheckerBFD}, "no name"},
		{model.RealCheck{Kind: model.CheckerBFD, BFD: "x"}, "not run here"},
		{model.RealCheck{Kind: model.CheckerFILE}, "no track_file"},
		{model.RealCheck{Kind: model.CheckerFILE, File: &model.FileCheckSpec{File: "x"}}, "not watched here"},
	} {
		x.check.Pos = place
		if x.check.HTTP != nil {
			x.check.Pos.Line = 6 // the url block is at fault, if there is one
			for _, u := range x.check.HTTP.URLs {
				u.Pos = place
			}
			if x.check.HTTP.Version != "" || x.check.TLS != nil {
				x.check.Pos = place
			}
			if x.check.TLS != nil {
				x.check.TLS.Pos = place
			}
		}
		_, err := CompileReal(&x.check, nil)
		if err == nil || !strings.Contains(err.Error(), x.want) || !strings.HasPrefix(err.Error(), "k.conf:7:3: ") {
			t.Errorf("%v, want %s", err, x.want)
		}
	}
}

func TestRealTCP(t *testing.T) {
	s := server{stay: true}
	a := s.start(t)
	check := model.RealCheck{Kind: model.CheckerTCP}
	if got := said(compileReal(t, check, nil).Run(t.Context(), at(a)), a); got != "connected to ADDR in T" {
		t.Error(got)
	}
	// The real server is elsewhere: connect_ip and connect_port count.
	check.Connect = model.ConnectTo{Addr: netip.MustParseAddr("127.0.0.1"), Port: uint16(a.Port), BindTo: netip.MustParseAddr("127.0.0.7")}
	if got := said(compileReal(t, check, nil).Run(t.Context(), RealTarget{Server: netip.MustParseAddrPort("192.0.2.1:1")}), a); got != "connected to ADDR in T" {
		t.Error(got)
	}
	// A fixed source port can be used again at once.
	check.Connect.BindPort = 41499
	for range 3 {
		if got := compileReal(t, check, nil).Run(t.Context(), at(a)); !got.OK {
			t.Error(got.Text)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().(*net.TCPAddr)
	l.Close()
	check.Connect = model.ConnectTo{}
	if got := said(compileReal(t, check, nil).Run(t.Context(), at(closed)), closed); got != "bad: connection to ADDR failed: Connection refused in T" {
		t.Error(got)
	}
	check.Connect.BindTo = netip.MustParseAddr("192.0.2.77")
	if got := said(compileReal(t, check, nil).Run(t.Context(), at(a)), a); got != "local bad: connection to ADDR failed: Cannot assign requested address in T" {
		t.Error(got)
	}
}

// A server that is silent, or that never stops, ends in a result in time; an
// end from outside is faster.
func TestRealTimeouts(t *testing.T) {
	silent := server{read: true, stay: true}
	a := silent.start(t)
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { udp.Close() })
	ua := net.TCPAddrFromAddrPort(udp.LocalAddr().(*net.UDPAddr).AddrPort())
	for _, x := range []struct {
		check model.RealCheck
		a     *net.TCPAddr
		want  string
	}{
		{httpCheck(&model.CheckURL{Path: "/"}), a, "bad: no HTTP answer to / from ADDR for 1s, given up in T"},
		{model.RealCheck{Kind: model.CheckerSSL, HTTP: &model.HTTPCheckSpec{URLs: []*model.CheckURL{{Path: "/"}}}}, a, "bad: no TLS handshake with ADDR in T"},
		{model.RealCheck{Kind: model.CheckerSMTP}, a, "bad: no greeting from ADDR for 1s, given up in T"},
		{model.RealCheck{Kind: model.CheckerDNS}, ua, "bad: DNS answer from ADDR was not complete in T"},
		{model.RealCheck{Kind: model.CheckerUDP, UDP: &model.UDPCheckSpec{RequireReply: true}}, ua, "bad: reply from ADDR was not complete in T"},
		{model.RealCheck{Kind: model.CheckerUDP}, ua, "no error from ADDR in T"},
	} {
		x.check.Timeout = time.Second
		if got := said(compileReal(t, x.check, nil).Run(t.Context(), at(x.a)), x.a); got != x.want {
			t.Errorf("%s: %s", x.check.Kind, got)
		}
		x.check.Timeout = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		compileReal(t, x.check, nil).Run(ctx, at(x.a)) // hangs if the end is not seen
		cancel()
	}
	drip := &pieces{r: bytes.NewReader(bytes.Repeat([]byte("x"), 1<<20)), size: 1}
	x := converse(t.Context(), drip, time.Hour, -time.Second)
	if d := x.deadline(); !d.Before(time.Now()) {
		t.Errorf("the whole has until %v", d)
	}
}

func TestRealSMTP(t *testing.T) {
	dialog := func(lines ...string) (*net.TCPAddr, <-chan string) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		said := make(chan string, 100)
		done := make(chan struct{})
		t.Cleanup(func() { l.Close(); <-done })
		go func() {
			defer close(done)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.SetDeadline(time.Now().Add(limit))
				buf := make([]byte, 100)
				for _, line := range lines {
					io.WriteString(c, line)
					n, err := c.Read(buf)
					if err != nil {
						break
					}
					said <- string(buf[:n])
				}
				c.Close()
			}
		}()
		return l.Addr().(*net.TCPAddr), said
	}
	for _, x := range []struct {
		lines []string
		want  string
	}{
		{[]string{"220 hi\r\n", "250 ok\r\n", "221 bye\r\n"}, "SMTP answers on ADDR in T"},
		{[]string{"220-hi\r\n220-there\r\n220 you\r\n", "250-a\r\n250 b\r\n", "500 what?\r\n"}, "SMTP answers on ADDR in T"},
		{[]string{"554 no\r\n"}, `bad: SMTP greeting "554 no" instead of 220 from ADDR in T`},
		{[]string{"220 hi\r\n", "501 bad name\r\n"}, `bad: SMTP answer to HELO "501 bad name" instead of 250 from ADDR in T`},
		{[]string{"220 hi\r\n", "250 ok\r\n"}, "bad: no answer to QUIT from ADDR: the connection was closed in T"},
		{[]string{"hello\r\n"}, `bad: no greeting from ADDR: not an SMTP reply: "hello" in T`},
		{[]string{"220-" + strings.Repeat("x\r\n220-", 20000)}, "bad: no greeting from ADDR: not an SMTP reply: it does not end in T"},
	} {
		a, heard := dialog(x.lines...)
		check := model.RealCheck{Kind: model.CheckerSMTP, SMTP: &model.SMTPCheckSpec{HELO: "me.example"}}
		if got := said(compileReal(t, check, nil).Run(t.Context(), at(a)), a); got != x.want {
			t.Errorf("%q:\n got %s\nwant %s", x.lines, got, x.want)
		}
		if strings.HasPrefix(x.want, "SMTP") {
			if one, two := <-heard, <-heard; one != "HELO me.example\r\n" || two != "QUIT\r\n" {
				t.Errorf("said %q and %q", one, two)
			}
		}
	}
	// Several hosts: all have to be good.
	good, _ := dialog("220 hi\r\n", "250 ok\r\n", "221 bye\r\n")
	bad, _ := dialog("421 busy\r\n")
	for want, list := range map[string][]*net.TCPAddr{"all 2 SMTP hosts answer in T": {good, good}, `bad: SMTP greeting "421 busy" instead of 220 from ADDR in T`: {good, bad}} {
		check := model.RealCheck{Kind: model.CheckerSMTP, SMTP: &model.SMTPCheckSpec{}}
		for _, a := range list {
			check.SMTP.Hosts = append(check.SMTP.Hosts, model.ConnectTo{Addr: a.AddrPort().Addr(), Port: uint16(a.Port)})
		}
		if got := said(compileReal(t, check, nil).Run(t.Context(), RealTarget{}), bad); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestRealMISC(t *testing.T) {
	dir := t.TempDir()
	child := filepath.Join(dir, "child")
	for _, x := range []struct {
		script  string
		dynamic bool
		want    string
		weight  int
	}{
		{"exit 0", false, "F succeeded in T", -1},
		{"exit 1", false, "bad: F failed: exit status 1 in T", -1},
		{"exit 7", false, "bad: F failed: exit status 7 in T", -1},
		{"exit 7", true, "F says weight 5 in T", 5}, {"exit 2", true, "F says weight 0 in T", 0}, {"exit 255", true, "F says weight 253 in T", 253},
		{"exit 0", true, "F succeeded in T", -1}, {"exit 1", true, "bad: F failed: exit status 1 in T", -1},
		{"kill -9 $$", true, "bad: F failed: killed by SIGKILL in T", -1},
		// The whole group ends with it.
		{"sleep 600 & echo $! >" + child + "; sleep 600", false, "bad: F did not end within 1s", -1},
		{"trap '' TERM; sleep 600 & wait; wait", false, "bad: F did not end within 1s", -1},
	} {
		file := filepath.Join(dir, "check")
		if err := os.WriteFile(file, []byte("#!/bin/sh\n"+x.script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		check := model.RealCheck{Kind: model.CheckerMISC, Script: &model.ScriptCheckSpec{Dynamic: x.dynamic, Timeout: limit,
			Command: model.Command{Argv: []string{file}, User: &model.Credential{User: fmt.Sprint(os.Getuid()), Group: fmt.Sprint(os.Getgid())}}}}
		if strings.Contains(x.want, "1s") {
			check.Script.Timeout = time.Second
		}
		r := compileReal(t, check, nil).Run(t.Context(), RealTarget{})
		got := strings.ReplaceAll(said(r, &net.TCPAddr{}), file, "F")
		if !strings.HasPrefix(got, x.want) {
			t.Errorf("%s: %s, want %s", x.script, got, x.want)
		}
		if (r.Weight == nil) != (x.weight < 0) || r.Weight != nil && *r.Weight != x.weight {
			t.Errorf("%s: weight %v", x.script, r.Weight)
		}
	}
	text, err := os.ReadFile(child)
	if err != nil {
		return // a busy machine: the script had no second
	}
	pid := strings.TrimSpace(string(text))
	for late := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(late) {
			t.Fatal("a child of the program lives on")
		}
	}
}

func TestRealWatching(t *testing.T) {
	up, known := false, true
	file := TrackedFile{}
	env := &RealEnv{
		BFD:  func(name string) (bool, bool) { return up, known && name == "b" },
		File: func(name string) (TrackedFile, bool) { return file, known && name == "f" },
	}
	bfd := compileReal(t, model.RealCheck{Kind: model.CheckerBFD, BFD: "b"}, env)
	if w := bfd.(Watching).Watches(); w != (Watched{model.CheckerBFD, "b"}) {
		t.Errorf("%+v", w)
	}
	for _, x := range []struct {
		up, known bool
		want      string
	}{{false, false, "there is no BFD session b"}, {false, true, "BFD session b is down"}, {true, true, "BFD session b is up"}} {
		up, known = x.up, x.known
		if got := bfd.Run(t.Context(), RealTarget{}); got.OK != x.up || got.Text != x.want {
			t.Errorf("%+v", got)
		}
	}
	known = true
	n := func(i int) *int { return &i }
	yes := true
	for _, x := range []struct {
		spec   model.FileCheckSpec
		file   TrackedFile
		ok     bool
		weight *int
	}{
		{model.FileCheckSpec{}, TrackedFile{}, true, nil},
		{model.FileCheckSpec{}, TrackedFile{Value: 1}, false, nil},
		{model.FileCheckSpec{}, TrackedFile{Value: 3, Weight: 2}, true, n(6)},
		{model.FileCheckSpec{}, TrackedFile{Value: 3, Weight: 2, Reverse: true}, true, n(-6)},
		{model.FileCheckSpec{Weight: n(-4)}, TrackedFile{Value: 3, Weight: 2}, true, n(-12)},
		{model.FileCheckSpec{Weight: n(1), Reverse: &yes}, TrackedFile{Value: 3}, true, n(-3)},
		{model.FileCheckSpec{Weight: n(2)}, TrackedFile{Value: -1 << 62}, false, n(0)},
		{model.FileCheckSpec{Reverse: &yes}, TrackedFile{Value: 0}, false, nil},
		{model.FileCheckSpec{Weight: n(0)}, TrackedFile{Value: 1, Weight: 2}, false, nil},
		{model.FileCheckSpec{Dynamic: true}, TrackedFile{Value: 7}, true, n(7)},
	} {
		file = x.file
		x.spec.File = "f"
		got := compileReal(t, model.RealCheck{Kind: model.CheckerFILE, File: &x.spec}, env).Run(t.Context(), RealTarget{})
		if got.OK != x.ok || (got.Weight == nil) != (x.weight == nil) || got.Weight != nil && *got.Weight != *x.weight {
			t.Errorf("%+v %+v: %+v", x.spec, x.file, got)
		}
	}
}

// packetServer answers datagrams, and TCP connections on the same port if over
// is not nil.
func packetServer(t *testing.T, answer func(q []byte) [][]byte, over func(q []byte) []byte) *net.TCPAddr {
	t.Helper()
	a := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: loopback.Ports(t, 1)}
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(a.AddrPort()))
	for tries := 0; err != nil && tries < 100; tries++ {
		a.Port = loopback.Ports(t, 1)
		c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(a.AddrPort()))
	}
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { c.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			for _, p := range answer(buf[:n]) {
				c.WriteTo(p, from)
			}
		}
	}()
	if over == nil {
		return a
	}
	l, err := net.ListenTCP("tcp", a)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-ended })
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(limit))
			var size [2]byte
			if _, err := io.ReadFull(c, size[:]); err == nil {
				q := make([]byte, binary.BigEndian.Uint16(size[:]))
				io.ReadFull(c, q)
				p := over(q)
				c.Write(binary.BigEndian.AppendUint16(nil, uint16(len(p))))
				c.Write(p)
			}
			c.Close()
		}
	}()
	return a
}

func TestRealDNS(t *testing.T) {
	reply := func(f func(*dnsmessage.Message)) func(q []byte) []byte {
		return func(q []byte) []byte {
			var m dnsmessage.Message
			if err := m.Unpack(q); err != nil {
				t.Error(err)
			}
			m.Response = true
			f(&m)
			p, err := m.Pack()
			if err != nil {
				t.Error(err)
			}
			return p
		}
	}
	good := reply(func(*dnsmessage.Message) {})
	refused := reply(func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeRefused })
	bare := reply(func(m *dnsmessage.Message) { m.RCode, m.Questions = dnsmessage.RCodeServerFailure, nil })
	stray := reply(func(m *dnsmessage.Message) { m.ID++ })
	other := reply(func(m *dnsmessage.Message) { m.Questions[0].Type = dnsmessage.TypeTXT })
	query := reply(func(m *dnsmessage.Message) { m.Response = false })
	cut := reply(func(m *dnsmessage.Message) { m.Truncated = true })
	check := model.RealCheck{Kind: model.CheckerDNS, DNS: &model.DNSCheckSpec{Type: "aaaa", Name: "www.example.com"}}
	for _, x := range []struct {
		name   string
		answer []func([]byte) []byte
		over   func([]byte) []byte
		want   string
	}{
		{"good", []func([]byte) []byte{good}, nil, "DNS answer to AAAA www.example.com from ADDR in T"},
		{"refused", []func([]byte) []byte{refused}, nil, "bad: DNS answer REFUSED to AAAA www.example.com from ADDR in T"},
		{"without question", []func([]byte) []byte{bare}, nil, "bad: DNS answer SERVFAIL to AAAA www.example.com from ADDR in T"},
		{"strays first", []func([]byte) []byte{stray, other, query, func([]byte) []byte { return []byte("x") }, good}, nil, "DNS answer to AAAA www.example.com from ADDR in T"},
		{"truncated", []func([]byte) []byte{cut}, good, "DNS answer to AAAA www.example.com from ADDR in T"},
		{"truncated, no TCP", []func([]byte) []byte{cut}, nil, "bad: DNS connection to ADDR failed: Connection refused in T"},
		{"truncated, refused", []func([]byte) []byte{cut}, refused, "bad: DNS answer REFUSED to AAAA www.example.com from ADDR in T"},
		{"truncated, other", []func([]byte) []byte{cut}, other, "bad: the DNS answer from ADDR over TCP is not to our question in T"},
		{"truncated, empty", []func([]byte) []byte{cut}, func([]byte) []byte { return nil }, "bad: the DNS answer from ADDR over TCP is not to our question in T"},
	} {
		a := packetServer(t, func(q []byte) (list [][]byte) {
			for _, f := range x.answer {
				list = append(list, f(q))
			}
			return list
		}, x.over)
		if got := said(compileReal(t, check, nil).Run(t.Context(), at(a)), a); got != x.want {
			t.Errorf("%s:\n got %s\nwant %s", x.name, got, x.want)
		}
	}
	k := compileReal(t, model.RealCheck{Kind: model.CheckerDNS}, nil).(*realDNS)
	if k.about != "SOA ." || k.question.Type != dnsmessage.TypeSOA || k.question.Name.String() != "." {
		t.Errorf("%+v", k)
	}
	if k := compileReal(t, model.RealCheck{Kind: model.CheckerDNS, DNS: &model.DNSCheckSpec{Type: "TYPE65"}}, nil).(*realDNS); k.question.Type != 65 {
		t.Errorf("%+v", k.question)
	}
	if k := compileReal(t, model.RealCheck{Kind: model.CheckerDNS, DNS: &model.DNSCheckSpec{Type: "257"}}, nil).(*realDNS); k.question.Type != 257 {
		t.Errorf("%+v", k.question)
	}
}

func TestRealUDP(t *testing.T) {
	asked := make(chan string, 100)
	a := packetServer(t, func(q []byte) [][]byte { asked <- string(q); return [][]byte{{0xab, 0x12, 3}} }, nil)
	spec := func(s model.UDPCheckSpec) model.RealCheck { return model.RealCheck{Kind: model.CheckerUDP, UDP: &s} }
	for _, x := range []struct {
		spec model.UDPCheckSpec
		want string
	}{
		{model.UDPCheckSpec{}, "reply from ADDR in T"},
		{model.UDPCheckSpec{RequireReply: true}, "reply of 3 octets from ADDR in T"},
		{model.UDPCheckSpec{RequireReply: true, Reply: []byte{0xab, 0x12}}, "reply of 3 octets from ADDR in T"},
		{model.UDPCheckSpec{RequireReply: true, Reply: []byte{0xab, 0x12, 3, 4}}, "reply of 3 octets from ADDR in T"},
		{model.UDPCheckSpec{RequireReply: true, Reply: []byte{0xab, 0x13}}, "bad: reply from ADDR differs at octet 1: 1203 in T"},
		{model.UDPCheckSpec{RequireReply: true, Reply: []byte{0xaf, 0x12}, ReplyMask: []byte{0xf0, 0xff}}, "reply of 3 octets from ADDR in T"},
		{model.UDPCheckSpec{RequireReply: true, MinReply: 4}, "bad: reply from ADDR has 3 octets instead of 4 in T"},
		{model.UDPCheckSpec{RequireReply: true, MaxReply: 2}, "bad: reply from ADDR is longer than 2 octets in T"},
	} {
		x.spec.Payload = []byte("ask")
		if got := said(compileReal(t, spec(x.spec), nil).Run(t.Context(), at(a)), a); got != x.want {
			t.Errorf("%+v: %s", x.spec, got)
		}
		if got := <-asked; got != "ask" {
			t.Errorf("asked %q", got)
		}
	}
	// Nobody there: the kernel's ICMP error is the result.
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := net.TCPAddrFromAddrPort(c.LocalAddr().(*net.UDPAddr).AddrPort())
	c.Close()
	if got := said(compileReal(t, spec(model.UDPCheckSpec{}), nil).Run(t.Context(), at(closed)), closed); got != "bad: no reply from ADDR: Connection refused in T" {
		t.Error(got)
	}
}

func TestRealPING(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("raw sockets need root where ping sockets are not granted")
	}
	for addr, want := range map[string]string{"127.0.0.1": "reply to a ping of 127.0.0.1 in T", "::1": "reply to a ping of ::1 in T"} {
		check := model.RealCheck{Kind: model.CheckerPING}
		got := said(compileReal(t, check, nil).Run(t.Context(), RealTarget{Server: netip.AddrPortFrom(netip.MustParseAddr(addr), 80)}), &net.TCPAddr{})
		if got != want {
			t.Errorf("%s: %s", addr, got)
		}
	}
	if got := checksum([]byte{0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7}); got != 0x220d {
		t.Errorf("RFC 1071's example: %x", got)
	}
	request := echo(false, 1, 2)
	own := bytes.Clone(request)
	if own[0] = echoReply4; !isReply(false, own, request) || isReply(true, own, request) || isReply(false, request, request) || isReply(false, own[:20], request) {
		t.Error("replies are mistaken")
	}
	if got := unwrapped(append([]byte{0x46, 23: 0}, request...)); !bytes.Equal(got, request) {
		t.Errorf("%x", got)
	}
	for _, p := range [][]byte{{}, {0x45}, {0x4f, 3: 0}, {0x60}, {0x41, 40: 0}} {
		if got := unwrapped(p); len(got) != 0 {
			t.Errorf("%x unwrapped to %x", p, got)
		}
	}
	if own[20]++; isReply(false, own, request) {
		t.Error("another's data is taken for ours")
	}
}

// Any reply to any checker ends in one line of a bounded length.
func FuzzRealReplies(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), 3)
	f.Add([]byte("HTTP/1.0 100 x\n\nHTTP/1.0 200 x\nContent-Length: 3\n\nabcd"), 2)
	f.Add([]byte("220-x\r\n220 y\r\n250 y\r\n221 z\r\n"), 1)
	url := func(u model.CheckURL) *realURL {
		u.Path = "/"
		x, err := compileURL(&u)
		if err != nil {
			f.Fatal(err)
		}
		return &x
	}
	urls := []*realURL{url(model.CheckURL{}), url(model.CheckURL{Digest: sum("abc")}), url(model.CheckURL{Regex: "b$"}), url(model.CheckURL{Regex: "x", RegexNegate: true, TLSCompliant: true})}
	to := netip.MustParseAddrPort("192.0.2.1:80")
	f.Fuzz(func(t *testing.T, reply []byte, piece int) {
		from := func() io.Reader { return &pieces{r: bytes.NewReader(reply), size: max(1, piece&63)} }
		line := func(s string) {
			if s == "" || len(s) > 1024 || strings.ContainsAny(s, "\r\n") {
				t.Fatalf("%q", s)
			}
		}
		for _, u := range urls {
			a := answer{from: from(), url: u}
			if err := a.read(); err != nil {
				line(err.Error())
				continue
			}
			r := a.judge(time.Now(), to)
			line(r.Text)
			if len(a.body) > len(reply) || a.size > int64(len(reply)) || a.short < 0 {
				t.Fatalf("body of %d, %d octets, %d short, from %d", len(a.body), a.size, a.short, len(reply))
			}
		}
		s := smtpReader{from: from()}
		for range 100 {
			code, l, err := s.reply()
			if err != nil {
				line(err.Error())
				return
			}
			if code > 999 || len(l) > len(reply) {
				t.Fatalf("%d %q", code, l)
			}
		}
	})
}

// No message is taken for an answer to a question that was not asked.
func FuzzRealDNS(f *testing.F) {
	c := model.RealCheck{Kind: model.CheckerDNS, DNS: &model.DNSCheckSpec{Type: "A", Name: "a.example"}}
	k := compileReal(f, c, nil).(*realDNS)
	q, _ := k.query(7)
	q[2] |= 0x80
	f.Add(q)
	f.Fuzz(func(t *testing.T, p []byte) {
		h, mine := k.answer(p, 7)
		if mine && (h.ID != 7 || !h.Response || len(p) < 12) {
			t.Fatalf("%+v of %x", h, p)
		}
	})
}
