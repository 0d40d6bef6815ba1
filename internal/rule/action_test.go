package rule

import (
	"strings"
	"testing"
	"time"

	"evenkeel/internal/model"
)

func lit(s string) *model.Format { return parseFormat(s) }

// runRules compiles and runs actions on the sample messages.
func runRules(t *testing.T, phase Phase, actions ...model.Action) (*Tx, Verdict) {
	t.Helper()
	c := newTestCompiler(t)
	c.Proxy = c.Config.Proxies[0]
	var rules []model.Rule
	for _, a := range actions {
		rules = append(rules, model.Rule{Action: a})
	}
	p := c.Block(rules, phase)
	noDiagnostics(t, c)
	tx := newTx()
	tx.Phase = phase
	if phase&phaseResponse != 0 {
		tx.Res = parseHead(sampleResponse)
	}
	return tx, p.Run(tx)
}

func TestHeaderActions(t *testing.T) {
	head := "GET /p HTTP/1.1\nHost: h\nX-A: a1, a2 ,zz\nx-a: foox bo\nX-B: b"
	for _, tt := range []struct {
		name   string
		action model.Action
		want   string // the header lines
	}{
		{"set replaces all", model.ActionSetHeader{Name: lit("X-a"), Value: lit("n")}, "Host: h\nX-B: b\nX-a: n\n"},
		{"set from itself", model.ActionSetHeader{Name: lit("X-B"), Value: lit("<%[req.hdr(x-b)]>")}, "Host: h\nX-A: a1, a2 ,zz\nx-a: foox bo\nX-B: <b>\n"},
		{"set known", model.ActionSetHeader{Name: lit("host"), Value: lit("n")}, "X-A: a1, a2 ,zz\nx-a: foox bo\nX-B: b\nhost: n\n"},
		{"set with a formatted name", model.ActionSetHeader{Name: lit("X-%[str(B)]"), Value: lit("n")}, "Host: h\nX-A: a1, a2 ,zz\nx-a: foox bo\nX-B: n\n"},
		{"add", model.ActionAddHeader{Name: lit("X-B"), Value: lit("%[src]")}, "Host: h\nX-A: a1, a2 ,zz\nx-a: foox bo\nX-B: b\nX-B: 127.0.0.1\n"},
		{"add encodes what a header cannot hold", model.ActionAddHeader{Name: lit("E"), Value: lit("%[str(a%0D%0Ab:%20%09c%7F),url_dec]")}, "Host: h\nX-A: a1, a2 ,zz\nx-a: foox bo\nX-B: b\nE: a%0D%0Ab: \tc%7F\n"},
		{"del", model.ActionDelHeader{Name: "x-A"}, "Host: h\nX-B: b\n"},
		{"del beg", model.ActionDelHeader{Name: "x-", Match: "beg"}, "Host: h\n"},
		{"del reg", model.ActionDelHeader{Name: "^(host|x-b)$", Match: "reg"}, "X-A: a1, a2 ,zz\nx-a: foox bo\n"},
		{"replace-header", model.ActionReplaceHeader{Name: "x-a", Regex: "o(.)", Value: lit(`Z\1`)}, "Host: h\nX-A: a1, a2 ,zz\nx-a: Zo\nX-B: b\n"},
		{"replace-value", model.ActionReplaceValue{Name: "x-a", Regex: "a(.)", Value: lit(`Z\1`)}, "Host: h\nX-A: Z1,Z2,zz\nx-a: foox bo\nX-B: b\n"},
		{"reqrep line", model.ActionLegacyReplace{Regex: `^X-B:\ (.*)`, Replacement: `X-C:\ [\1]`}, "Host: h\nX-A: a1, a2 ,zz\nx-a: foox bo\nX-C: [b]\n"},
		{"reqirep", model.ActionLegacyReplace{Regex: `^x-b: .*`, IgnoreCase: true, Replacement: `X-D: 1`}, "Host: h\nX-A: a1, a2 ,zz\nx-a: foox bo\nX-D: 1\n"},
		{"reqdel", model.ActionLegacyDelete{Regex: "^X-", IgnoreCase: true}, "Host: h\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newTestCompiler(t)
			p := c.Block([]model.Rule{{Action: tt.action}}, PhaseHTTPRequest)
			noDiagnostics(t, c)
			tx := newTx()
			tx.Req = parseHead(head)
			if v := p.Run(tx); v != Next {
				t.Errorf("verdict %v", v)
			}
			_, got, _ := strings.Cut(showHead(tx.Req), "\n")
			if got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestTargetActions(t *testing.T) {
	for _, tt := range []struct {
		target string
		action model.Action
		want   string
	}{
		{"/a?b", model.ActionSetPath{Value: lit("/n%[path]")}, "GET /n/a?b HTTP/1.1"},
		{"http://h/a?b", model.ActionSetPath{Value: lit("/n")}, "GET http://h/n?b HTTP/1.1"},
		{"*", model.ActionSetPath{Value: lit("/n")}, "GET * HTTP/1.1"},
		{"/a?b", model.ActionSetPath{Value: lit("/n o")}, "GET /a?b HTTP/1.1"},
		{"/a?b", model.ActionSetPathQ{Value: lit("/n?q")}, "GET /n?q HTTP/1.1"},
		{"/a?b", model.ActionSetQuery{Value: lit("x=%[query]")}, "GET /a?x=b HTTP/1.1"},
		{"/a?b", model.ActionSetQuery{Value: lit("")}, "GET /a HTTP/1.1"},
		{"/a", model.ActionSetQuery{Value: lit("x")}, "GET /a?x HTTP/1.1"},
		{"/a?b", model.ActionSetURI{Value: lit("http://x%[url]")}, "GET http://x/a?b HTTP/1.1"},
		{"/a?b", model.ActionSetMethod{Value: lit("POST")}, "POST /a?b HTTP/1.1"},
		{"/abc?d=b", model.ActionReplacePart{Part: "path", Regex: "(.*)b(.*)", Value: lit(`X\1-\2`)}, "GET X/a-c?d=b HTTP/1.1"},
		{"/abc?d=b", model.ActionReplacePart{Part: "pathq", Regex: "(.*)b", Value: lit(`\1c`)}, "GET /abc?d=c HTTP/1.1"},
		{"/abc?d=b", model.ActionReplacePart{Part: "uri", Regex: "^/(.*)", Value: lit(`http://h/\1`)}, "GET http://h/abc?d=b HTTP/1.1"},
		{"/abc", model.ActionReplacePart{Part: "path", Regex: "^/x", Value: lit("/y")}, "GET /abc HTTP/1.1"},
		{"/a/x", model.ActionLegacyReplace{Regex: `^([^ ]*) /a/(.*)`, Replacement: `\1 /\2`}, "GET /x HTTP/1.1"},
		{"//a///b?c//d", model.ActionNormalizeURI{Normalizer: "path-merge-slashes"}, "GET /a/b?c//d HTTP/1.1"},
		{"/a/./b/.", model.ActionNormalizeURI{Normalizer: "path-strip-dot"}, "GET /a/b/ HTTP/1.1"},
		{"/a/b/../c/..", model.ActionNormalizeURI{Normalizer: "path-strip-dotdot"}, "GET /a/ HTTP/1.1"},
		{"/../a", model.ActionNormalizeURI{Normalizer: "path-strip-dotdot"}, "GET /../a HTTP/1.1"},
		{"/../a", model.ActionNormalizeURI{Normalizer: "path-strip-dotdot", Strict: true}, "GET /a HTTP/1.1"},
		{"/%61%2f?%7e", model.ActionNormalizeURI{Normalizer: "percent-decode-unreserved"}, "GET /a%2f?~ HTTP/1.1"},
		{"/%2f", model.ActionNormalizeURI{Normalizer: "percent-to-uppercase"}, "GET /%2F HTTP/1.1"},
		{"/?b=1&a=2&b=0", model.ActionNormalizeURI{Normalizer: "query-sort-by-name"}, "GET /?a=2&b=1&b=0 HTTP/1.1"},
		{"/a#f", model.ActionNormalizeURI{Normalizer: "fragment-strip"}, "GET /a HTTP/1.1"},
	} {
		c := newTestCompiler(t)
		p := c.Block([]model.Rule{{Action: tt.action}}, PhaseHTTPRequest)
		noDiagnostics(t, c)
		tx := newTx()
		tx.Req = parseHead("GET " + tt.target + " HTTP/1.1\nHost: h")
		p.Run(tx)
		if got := string(startLine(nil, tx.Req)); got != tt.want {
			t.Errorf("%s %T: got %s, want %s", tt.target, tt.action, got, tt.want)
		}
	}
}

func showReply(r *Reply) string {
	if r == nil {
		return "none"
	}
	out := ""
	for _, f := range r.Fields {
		out += string(f.Name) + ": " + string(f.Value) + "\n"
	}
	if r.UseErrorPage {
		out += "(error page)"
	}
	return out + string(r.Raw) + string(r.Body)
}

// The replies are HAProxy 2.6's, without "connection: close".
func TestReplies(t *testing.T) {
	for _, tt := range []struct {
		name    string
		phase   Phase
		action  model.Action
		verdict Verdict
		status  int
		want    string
	}{
		{"deny", PhaseHTTPRequest, model.ActionDeny{}, Deny, 403, "(error page)"},
		{"deny of a response", PhaseHTTPResponse, model.ActionDeny{}, Deny, 502, "(error page)"},
		{"deny with a status", PhaseHTTPRequest, model.ActionDeny{Reply: &model.Reply{Status: 429}}, Deny, 429, "(error page)"},
		{"deny with a text", PhaseHTTPRequest, model.ActionDeny{Reply: &model.Reply{Status: 418, ContentType: "text/plain", Body: lit("hello")}}, Deny, 418, "content-length: 5\ncontent-type: text/plain\nhello"},
		{"tarpit", PhaseHTTPRequest, model.ActionTarpit{}, Tarpit, 500, "(error page)"},
		{"return", PhaseHTTPRequest, model.ActionReturn{Reply: &model.Reply{Status: 404}}, Return, 404, "content-length: 0\n"},
		{"return a format", PhaseHTTPRequest, model.ActionReturn{Reply: &model.Reply{ContentType: "text/plain", Body: lit("x%[method]"), Headers: []model.HeaderFormat{{Name: "x-a", Value: lit("b")}}}}, Return, 200,
			"x-a: b\ncontent-length: 4\ncontent-type: text/plain\nxGET"},
		{"return an errorfile", PhaseHTTPRequest, model.ActionReturn{Reply: &model.Reply{Status: 503, Raw: []byte("HTTP/1.0 503 x\r\n\r\n")}}, Return, 503, "HTTP/1.0 503 x\r\n\r\n"},
		{"auth", PhaseHTTPRequest, model.ActionAuth{Realm: "Hi There"}, Return, 401, "www-authenticate: Basic realm=\"Hi There\"\n(error page)"},
		{"auth without realm", PhaseHTTPRequest, model.ActionAuth{}, Return, 401, "www-authenticate: Basic realm=\"fe1\"\n(error page)"},
		{"redirect", PhaseHTTPRequest, model.ActionRedirect{Type: "location", Target: lit("/new?%[method]")}, Return, 302, "content-length: 0\nlocation: /new?GET\ncache-control: no-cache\n"},
		{"redirect prefix", PhaseHTTPRequest, model.ActionRedirect{Type: "prefix", Target: lit("http://x.com"), DropQuery: true, AppendSlash: true, SetCookie: "A=1"}, Return, 302,
			"content-length: 0\nlocation: http://x.com/a/b%20c/d.php/\ncache-control: no-cache\nset-cookie: A=1; path=/;\n"},
		{"redirect prefix /", PhaseHTTPRequest, model.ActionRedirect{Type: "prefix", Target: lit("/"), Code: 301, DropQuery: true}, Return, 301, "content-length: 0\nlocation: /a/b%20c/d.php\n"},
		{"redirect scheme", PhaseHTTPRequest, model.ActionRedirect{Type: "scheme", Target: lit("https"), Code: 308}, Return, 308,
			"content-length: 0\nlocation: https://www.Example.com:8080/a/b%20c/d.php?x=1&y=two&nov&e=&n=42z;sem=7&x=3\n"},
		{"redirect, cookie cleared", PhaseHTTPRequest, model.ActionRedirect{Type: "location", Target: lit("/"), Code: 303, ClearCookie: "A="}, Return, 303,
			"content-length: 0\nlocation: /\ncache-control: no-cache\nset-cookie: A=; path=/; Max-Age=0;\n"},
		{"redirect to nothing", PhaseHTTPRequest, model.ActionRedirect{Type: "location", Target: lit("%[var(txn.no)]"), IgnoreEmpty: true}, Next, 0, "none"},
		{"redirect holds no line feed", PhaseHTTPRequest, model.ActionRedirect{Type: "location", Target: lit("%[str(a%0d%0ab),url_dec]")}, Return, 302, "content-length: 0\nlocation: a%0D%0Ab\ncache-control: no-cache\n"},
		{"reqdeny", PhaseHTTPRequest, model.ActionLegacyVerdict{Regex: `^GET /a`, Verdict: "deny"}, Deny, 403, "(error page)"},
		{"reqtarpit by header", PhaseHTTPRequest, model.ActionLegacyVerdict{Regex: `^x-num: 12`, IgnoreCase: true, Verdict: "tarpit"}, Tarpit, 500, "(error page)"},
		{"reqpass", PhaseHTTPRequest, model.ActionLegacyVerdict{Regex: `^Host`, Verdict: "pass"}, Stop, 0, "none"},
		{"rspdeny", PhaseHTTPResponse, model.ActionLegacyVerdict{Regex: `^HTTP/1.1 200`, Verdict: "deny"}, Deny, 502, "(error page)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tx, v := runRules(t, tt.phase, tt.action)
			if v != tt.verdict {
				t.Errorf("verdict %v, want %v", v, tt.verdict)
			}
			if got := showReply(tx.Reply); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if tx.Reply != nil && tx.Reply.Status != tt.status {
				t.Errorf("status %d, want %d", tx.Reply.Status, tt.status)
			}
		})
	}
}

func TestStateActions(t *testing.T) {
	tx, _ := runRules(t, PhaseHTTPRequest,
		model.ActionSetVar{Scope: "txn", Name: "a", Expr: parseExpr("path")},
		model.ActionSetVar{Scope: "txn", Name: "b", Format: lit("<%[var(txn.a)]>")},
		model.ActionSetVar{Scope: "txn", Name: "b", Format: lit("no"), OnlyIf: []string{"ifnotexists"}},
		model.ActionUnsetVar{Scope: "txn", Name: "a"},
		model.ActionSetLogLevel{Level: "silent"},
		model.ActionSetSrc{Expr: parseExpr("req.hdr_ip(x-ip,1)")},
		model.ActionSetSrcPort{Expr: parseExpr("int(7)")},
		model.ActionSetMark{Mark: 5}, model.ActionSetTOS{TOS: 8},
		model.ActionSetPriorityClass{Expr: parseExpr("int(-99999)")},
		model.ActionSetTimeout{Which: "server", Value: time.Second},
		model.ActionSetTimeout{Which: "tunnel", Expr: parseExpr("int(1500)")},
		model.ActionCapture{Expr: parseExpr("req.hdr(host)"), ID: 0},
		model.ActionEarlyHint{Name: lit("Link"), Value: lit("</s.css>")},
		model.ActionDisableL7Retry{},
		model.ActionAddHeader{Name: lit("X"), Value: lit("%[var(txn.b)] %[var(txn.a)] %[src]:%[src_port] %[fc_src] %[capture.req.hdr(0)] %[cur_server_timeout]")},
	)
	got, _ := tx.Req.GetName("x")
	if want := "</a/b%20c/d.php>  10.0.0.1:7 127.0.0.1 www.E 1000"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if tx.LogLevel != LogLevelSilent || !tx.HasMark || tx.Mark != 5 || tx.TOS != 8 || tx.PriorityClass != -2047 ||
		tx.TunnelTimeout != 1500*time.Millisecond || !tx.DisableL7Retry || len(tx.EarlyHints) != 1 {
		t.Errorf("results: %+v", tx)
	}
	tx.Reset()
	if tx.Src().String() != "127.0.0.1:40000" || tx.LogLevel != 0 || len(tx.ReqCaptures) != 0 {
		t.Error("Reset left something")
	}
}

func TestResponseActions(t *testing.T) {
	tx, _ := runRules(t, PhaseHTTPResponse,
		model.ActionSetStatus{Status: 404}, model.ActionSetHeader{Name: lit("Server"), Value: lit("%[res.hdr(server)]/x %[status] %[capture.req.method]")},
		model.ActionDelHeader{Name: "set-cookie"}, model.ActionAddHeader{Name: lit("N"), Value: lit("%[hdr_cnt(cache-control)]%[scook(SID)]")})
	if got, want := showHead(tx.Res), "HTTP/1.1 404 Not Found\nContent-Type: text/html\nCache-Control: private, max-age=0\nServer: nginx/x 404 GET\nN: 2\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// VCL's form: if, elsif and else.
func TestThenElse(t *testing.T) {
	set := func(v string) []model.Rule {
		return []model.Rule{{Action: model.ActionAddHeader{Name: lit("R"), Value: lit(v)}}}
	}
	rules := []model.Rule{
		{Cond: parseTest("path_beg /a"), Then: append(set("1"), model.Rule{
			Cond: parseTest("path_end .html"), Then: set("2"),
			Else: []model.Rule{{Cond: parseTest("path_end .php"), Then: set("3"), Else: set("4")}},
		}), Else: set("5")},
		{Cond: parseTest("path_beg /z"), Then: set("6")},
		{Cond: model.Const(false), Then: set("7"), Else: set("8")},
		{Then: set("9")},
	}
	c := newTestCompiler(t)
	p := c.Block(rules, PhaseHTTPRequest)
	noDiagnostics(t, c)
	tx := newTx()
	p.Run(tx)
	name := parseHeaderName([]string{"r"})
	got := ""
	for i := name.next(tx.Req, 0); i >= 0; i = name.next(tx.Req, i+1) {
		got += string(tx.Req.Fields[i].Value)
	}
	if got != "1389" {
		t.Errorf("ran %s", got)
	}
}

func TestMapActions(t *testing.T) {
	c := newTestCompiler(t)
	p := c.Block([]model.Rule{
		{Action: model.ActionPattern{Op: "set-map", File: "hosts.map", Key: lit("%[src]"), Value: lit("new")}},
		{Action: model.ActionPattern{Op: "add-acl", File: "list.acl", Key: lit("%[path]")}},
		{Action: model.ActionPattern{Op: "del-acl", File: "list.acl", Key: lit("/x")}},
		{Action: model.ActionAddHeader{Name: lit("M"), Value: lit("%[src,map(hosts.map)] %[path,map_beg(paths.map)] %[path,map_regm(re.map)] %[str(q),map(hosts.map,none)]")}},
	}, PhaseHTTPRequest)
	noDiagnostics(t, c)
	tx := newTx()
	p.Run(tx)
	if v, _ := tx.Req.GetName("m"); string(v) != "new b got-b%20c/d.php none" {
		t.Errorf("got %q", v)
	}
	l := c.Patterns.Find("list.acl").List()
	if len(l) != 2 || l[1].Key != "/a/b%20c/d.php" {
		t.Errorf("list %v", l)
	}
}

func TestWaitForBody(t *testing.T) {
	c := newTestCompiler(t)
	p := c.Block([]model.Rule{
		{Action: model.ActionWaitForBody{Time: time.Second, AtLeast: 4}},
		{Action: model.ActionAddHeader{Name: lit("B"), Value: lit("%[req.body_param(k)]")}},
	}, PhaseHTTPRequest)
	tx := newTx()
	tx.ReqBody = []byte("k")
	if v := p.Run(tx); v != Wait || tx.BodyWait != time.Second {
		t.Fatalf("got %v", v)
	}
	tx.ReqBody = []byte("k=12&x")
	if v := p.Run(tx); v != Next {
		t.Fatalf("got %v", v)
	}
	if v, _ := tx.Req.GetName("b"); string(v) != "12" {
		t.Errorf("got %q", v)
	}
}

func TestActionErrors(t *testing.T) {
	for _, tt := range []struct {
		phase  Phase
		action model.Action
		want   string
	}{
		{PhaseHTTPResponse, model.ActionSetPath{Value: lit("/")}, "cannot be used in a http-response"},
		{PhaseHTTPRequest, model.ActionRedirect{Type: "location", Target: lit("/"), Code: 200}, "redirect code"},
		{PhaseHTTPRequest, model.ActionReplaceHeader{Name: "a", Regex: "(", Value: lit("")}, "missing closing )"},
		{PhaseHTTPRequest, model.ActionSetVar{Scope: "foo", Name: "x", Expr: parseExpr("path")}, "must start with its scope"},
		{PhaseHTTPRequest, model.ActionSetHeader{Name: lit("a"), Value: lit("%[res.hdr(x)]")}, "needs 'HTTP response headers'"},
		{PhaseHTTPRequest, model.ActionSetHeader{Name: lit("a"), Value: lit("%zz")}, "unknown log-format alias '%zz'"},
		{PhaseHTTPRequest, model.ActionCapture{Expr: parseExpr("path"), ID: 4}, "capture slot 4"},
		{PhaseHTTPRequest, model.ActionNormalizeURI{Normalizer: "path-strip-dots"}, "did you mean 'path-strip-dot'?"},
		{PhaseHTTPRequest, model.ActionReturn{Reply: &model.Reply{ErrorFiles: "none"}}, "unable to find the http-errors section"},
	} {
		c := newTestCompiler(t)
		c.Proxy = c.Config.Proxies[0]
		c.Block([]model.Rule{{Action: tt.action}}, tt.phase)
		if len(c.Diagnostics) == 0 || !strings.Contains(c.Diagnostics[0].String(), tt.want) {
			t.Errorf("%T: got %v, want %q", tt.action, c.Diagnostics, tt.want)
		}
	}
}
