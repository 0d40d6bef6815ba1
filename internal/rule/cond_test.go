package rule

import (
	"fmt"
	"strings"
	"testing"

	"evenkeel/internal/model"
)

// parseTest reads "keyword(args),conv [-i] [-m method] [-f file] patterns" as
// the dialect does.
func parseTest(s string) *model.Test {
	words := strings.Fields(s)
	t := &model.Test{Expr: parseExpr(words[0])}
	if f, m, ok := LookupACL(t.Expr.Fetch.Name); ok {
		t.Expr.Fetch.Name, t.Method = f, m
	}
	words = words[1:]
	for len(words) > 0 && strings.HasPrefix(words[0], "-") {
		switch words[0] {
		case "-i":
			t.IgnoreCase = true
		case "-m":
			t.Method = words[1]
			words = words[1:]
		case "-f":
			t.Files = append(t.Files, model.Pattern{Text: words[1]})
			words = words[1:]
		case "--":
			words = words[1:]
			goto patterns
		}
		words = words[1:]
	}
patterns:
	for _, w := range words {
		t.Patterns = append(t.Patterns, model.Pattern{Text: w})
	}
	return t
}

func TestConditions(t *testing.T) {
	many := ""
	for i := range 20 {
		many += fmt.Sprintf(" /p%d/", i)
	}
	nets := ""
	for i := range 20 {
		nets += fmt.Sprintf(" 10.%d.0.0/16", i)
	}
	for _, tt := range []struct {
		text string
		want bool
	}{
		{"path /a/b%20c/d.php", true}, {"path /a", false}, {"path -i /A/B%20C/D.PHP", true},
		{"path_beg /a/", true}, {"path_beg /b", false}, {"path_beg /b /a", true}, {"path_beg -i /A/", true},
		{"path_beg" + many, false}, {"path_beg" + many + " /a/b", true}, {"path_beg -i" + many + " /A/B", true},
		{"path_end .php", true}, {"path_end .html", false}, {"path_end -i .PHP .x", true},
		{"path_end .1 .2 .3 .4 .5 .6 .7 .8 .9 .php", true},
		{"path_sub b%20", true}, {"path_sub -i B%20", true}, {"path_sub zz", false},
		{"path_dir a", true}, {"path_dir b%20c", true}, {"path_dir d", false}, {"path_dir /a/", true},
		{"path_reg ^/a/.*\\.php$", true}, {"path_reg ^/b", false}, {"path_reg -i ^/A", true},
		{"path_len 14", true}, {"path_len 1:20", true}, {"path_len gt 20", false},
		{"url_beg /a", true}, {"url_sub two", true}, {"url_len lt 5", false},
		{"hdr(host) www.Example.com:8080", true}, {"hdr(host) -i www.example.com:8080", true}, {"hdr(Host) www.example.com", false},
		{"hdr_dom(host) Example", true}, {"hdr_dom(host) -i example.com", true}, {"hdr_dom(host) Exam", false}, {"hdr_dom(host) -i www", true},
		{"hdr_beg(host) www.", true}, {"hdr_end(host) :8080", true}, {"hdr_sub(host) -i EXAMPLE", true},
		{"hdr_reg(host) -i ^www\\.example", true}, {"hdr_len(host) 20", true},
		{"hdr(x-list) two", true}, {"hdr(x-list) one", true}, {"hdr(x-list) three", true}, {"hdr(x-list) four", false},
		{"req.fhdr(x-list) two", false}, {"hdr(x-list,1) two", false},
		{"hdr_cnt(x-list) 3", true}, {"hdr_cnt(x-list) gt 3", false}, {"hdr_cnt(nope) 0", true},
		{"hdr_val(x-num) 12", true}, {"hdr_val(x-num) 13:", false}, {"hdr_val(x-num) :13", true},
		{"hdr_ip(x-ip) 10.0.0.1", true}, {"hdr_ip(x-ip) 10.0.0.2", true}, {"hdr_ip(x-ip) 10.0.0.3", false}, {"hdr_ip(x-ip) 10.0.0.0/255.0.0.0", true},
		{"hdr(nope) -m found", false}, {"hdr(x-empty) -m found", true}, {"hdr(host) -m found", true},
		{"cook(a) 1", true}, {"cook(a) 3", true}, {"cook(a) 2", false}, {"cook_beg(b) tw", true}, {"cook(b) -m len 3", true},
		{"url_param(x) 3", true}, {"url_param(x) 1", true}, {"url_param(x) 2", false}, {"urlp_reg(y) ^t", true}, {"urlp(n),add(0) 42", true},
		{"src 127.0.0.1", true}, {"src 127.0.0.0/8", true}, {"src 10.0.0.0/8 127.0.0.1", true}, {"src ::1", false}, {"src" + nets, false}, {"src" + nets + " 127.0.0.0/8", true},
		{"dst_port 21100", true}, {"dst_port 80 443", false}, {"dst_port 1 2 3 4 5 6 7 8 9 21100", true}, {"dst_port ge 21100", true}, {"dst_port gt 21100", false}, {"dst_port le 5", false}, {"dst_port 21000:22000", true},
		{"method GET", true}, {"method POST GET", true}, {"method get", false}, {"method -i get", true},
		{"ssl_fc", false}, {"always_true", true}, {"nbsrv(b1) ge 1", true}, {"nbsrv(b1) lt 1", false}, {"srv_is_up(b1/s1)", true},
		{"path -f list.acl", false}, {"path_beg -f list.acl", true}, {"path_beg -f list.acl -- /nope", true},
		{"path,lower,length 14", true}, {"hdr(host),lower,field(1,:) www.example.com", true},
		{"hdr(host),field(1,:),lower,map(hosts.map) app1", true}, {"src,map_ip_int(nets.map) 3", true},
		{"str(abc) -m bin 616263", true}, {"req.ver 1.1", true}, {"path", false},
		{"int(5) -m str 5", true}, {"src -m str 127.0.0.1", true}, {"src -m beg 127.", true},
	} {
		c := newTestCompiler(t)
		got := c.Cond(parseTest(tt.text), PhaseHTTPRequest)(newTx())
		noDiagnostics(t, c)
		if got != tt.want {
			t.Errorf("%s: got %v", tt.text, got)
		}
		c.Cond(parseTest(tt.text), PhaseHTTPRequest)
	}
}

func TestConditionTrees(t *testing.T) {
	yesTest, noTest := parseTest("path_beg /a"), parseTest("path_beg /z")
	for _, tt := range []struct {
		name string
		cond model.Cond
		want bool
	}{
		{"nil", nil, true}, {"and", model.And{yesTest, yesTest}, true}, {"and3", model.And{yesTest, noTest, yesTest}, false},
		{"or", model.Or{noTest, yesTest}, true}, {"not", model.Not{Cond: noTest}, true}, {"not pointer", &model.Not{Cond: yesTest}, false},
		{"empty and", model.And{}, true}, {"empty or", model.Or{}, false}, {"const", model.Const(false), false},
		{"mixed", model.Or{model.And{noTest, yesTest}, model.Not{Cond: model.Or{noTest, noTest}}}, true},
	} {
		c := newTestCompiler(t)
		if got := c.Cond(tt.cond, PhaseHTTPRequest)(newTx()); got != tt.want {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
}

func TestPredefinedACLs(t *testing.T) {
	want := map[string]bool{"TRUE": true, "METH_GET": true, "HTTP_1.1": true, "HTTP_URL_SLASH": true, "LOCALHOST": true, "HTTP": true, "WAIT_END": true}
	for _, n := range PredefinedACLs() {
		c := newTestCompiler(t)
		test, _ := PredefinedACL(n, model.Pos{})
		got := c.Cond(test, PhaseHTTPRequest)(newTx())
		noDiagnostics(t, c)
		if got != want[n] {
			t.Errorf("%s: got %v", n, got)
		}
	}
}

func TestConditionErrors(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"pathh /x", "did you mean 'path'?"},
		{"path -m strr /x", "did you mean 'str'?"},
		{"src 300.1.1.1", "not a valid IPv4"},
		{"dst_port abc", "'abc' is not a number"},
		{"path_reg ^/(?=x)", "lookahead is not supported at character 3"},
		{"nbsrv(nope) 1", "unable to find backend 'nope'"},
		{"path,lowr x", "did you mean 'lower'?"},
		{"path,field(0,/) x", "is not an index"},
		{"path,field(1) x", "needs at least 2 arguments"},
		{"path,lower(3) x", "takes no argument"},
		{"src,table_conn_cnt(x) 1", "stick tables are not built yet"},
		{"path,ipmask(33) x", "between 0 and 32"},
		{"var(foo.bar) x", "must start with its scope"},
		{"status 200", "anonymous acl will never match because it uses keyword 'status' which is incompatible with 'http-request header rule'"},
	} {
		c := newTestCompiler(t)
		c.Cond(parseTest(tt.text), PhaseHTTPRequest)
		if len(c.Diagnostics) == 0 || !strings.Contains(c.Diagnostics[0].String(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.text, c.Diagnostics, tt.want)
		}
	}
}

func TestPhaseOfExpressions(t *testing.T) {
	c := newTestCompiler(t)
	c.Expr(parseExpr("path"), PhaseLog)
	if len(c.Diagnostics) != 1 || !strings.Contains(c.Diagnostics[0].Message, "sample fetch <path> may not be reliably used here because it needs 'HTTP request headers'") {
		t.Errorf("got %v", c.Diagnostics)
	}
	c = newTestCompiler(t)
	c.AnyPhase = true
	c.Expr(parseExpr("path"), PhaseHTTPResponse)
	noDiagnostics(t, c)
}

func TestPatternEdits(t *testing.T) {
	c := newTestCompiler(t)
	in := c.Cond(parseTest("path_beg -f list.acl"), PhaseHTTPRequest)
	value := c.Expr(parseExpr("src,map_ip_int(nets.map)"), PhaseHTTPRequest)
	noDiagnostics(t, c)
	tx := newTx()
	ref := c.Patterns.Find("list.acl")
	if !in(tx) || ref == nil || len(ref.List()) != 2 {
		t.Fatal("the file was not read")
	}
	if err := ref.Del("/a/b"); err != nil || in(tx) {
		t.Error("a deleted pattern still matches", err)
	}
	if err := ref.Add("/a", ""); err != nil || !in(tx) {
		t.Error("an added pattern does not match", err)
	}
	if ref.Del("/none") == nil {
		t.Error("deleting what is not there says nothing")
	}
	nets := c.Patterns.Find("nets.map")
	if err := nets.Set("127.0.0.0/8", "9"); err != nil {
		t.Error(err)
	}
	if v, ok := value.Eval(tx); !ok || v.Int != 9 {
		t.Errorf("after set map: %v %v", v.Int, ok)
	}
	if nets.Add("bad", "1") == nil || nets.Set("127.0.0.0/8", "x") == nil || len(nets.List()) != 3 {
		t.Error("a bad entry was taken")
	}
	if nets.Clear(); len(nets.List()) != 0 {
		t.Error("clear left something")
	}
	if _, ok := value.Eval(tx); ok {
		t.Error("a cleared map still answers")
	}
	if got := c.Patterns.Find("#0"); got == nil {
		t.Error("not found by id")
	}
}

func TestWait(t *testing.T) {
	rules := []model.Rule{
		{Cond: parseTest("req.ssl_hello_type 1"), Action: model.ActionAccept{}},
		{Action: model.ActionReject{}},
	}
	c := newTestCompiler(t)
	p := c.Block(rules, PhaseTCPContent)
	noDiagnostics(t, c)
	tx := newTx()
	tx.Req, tx.Phase = nil, PhaseTCPContent
	for _, s := range []struct {
		raw  string
		late bool
		want Verdict
	}{
		{"", false, Wait}, {"\x16\x03\x01", false, Wait}, {"\x16\x03\x01\x00\x50\x01", false, Stop},
	} {
		tx.Raw = []byte(s.raw)
		if got := p.Run(tx); got != s.want {
			t.Errorf("%q: %v, want %v", s.raw, got, s.want)
		}
	}
	tx.Raw = []byte("GET")
	if got := p.Run(tx); got != Reject {
		t.Errorf("not TLS: %v", got)
	}
	tx.Raw, tx.DelayExpired = nil, true
	if got := p.Run(tx); got != Reject {
		t.Errorf("after the delay: %v", got)
	}
}

func TestWaitResumesWhereItStopped(t *testing.T) {
	rules := []model.Rule{
		{Action: model.ActionSetVar{Scope: "txn", Name: "n", Expr: parseExpr("var(txn.n,0),add(1)")}},
		{Cond: parseTest("req.len ge 4"), Action: model.ActionAccept{}},
		{Cond: parseTest("wait_end"), Action: model.ActionReject{}},
	}
	c := newTestCompiler(t)
	p := c.Block(rules, PhaseTCPContent)
	tx := newTx()
	tx.Req, tx.Phase, tx.Raw = nil, PhaseTCPContent, []byte("ab")
	if p.Run(tx) != Wait || p.Run(tx) != Wait {
		t.Fatal("does not wait")
	}
	tx.Raw = []byte("abcd")
	if v := p.Run(tx); v != Stop {
		t.Errorf("got %v", v)
	}
	if v, _ := c.Variable(tx, "txn.n"); v.Int != 1 {
		t.Errorf("the first rule ran %d times", v.Int)
	}
}

func TestSniffHTTP(t *testing.T) {
	c := newTestCompiler(t)
	cond := c.cond(parseTest("hdr(host) x"), PhaseTCPContent)
	for raw, want := range map[string]truth{"GET / HT": maybe, "GET / HTTP/1.1\r\nHost: x\r\n\r\n": yes, "GET / HTTP/1.1\r\nHost: y\r\n\r\n": no, "\x00\x01\x02\r\n\r\n": no} {
		tx := newTx()
		tx.Req, tx.Phase, tx.Raw = nil, PhaseTCPContent, []byte(raw)
		if got := cond(tx); got != want {
			t.Errorf("%q: %v", raw, got)
		}
	}
}
