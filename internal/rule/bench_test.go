package rule

import (
	"fmt"
	"testing"

	"evenkeel/internal/message"
	"evenkeel/internal/model"
)

func benchRules() []model.Rule {
	var rules []model.Rule
	for i := range 20 {
		name, value := lit(fmt.Sprintf("X-Header-%d", i)), lit(fmt.Sprintf("value-%d", i))
		switch i % 4 {
		case 0:
			rules = append(rules, model.Rule{Action: model.ActionSetHeader{Name: name, Value: value}})
		case 1:
			rules = append(rules, model.Rule{Action: model.ActionAddHeader{Name: name, Value: lit("%[src]")}})
		case 2:
			rules = append(rules, model.Rule{Action: model.ActionSetHeader{Name: name, Value: lit("%[req.hdr(host)]")}})
		case 3:
			rules = append(rules, model.Rule{Cond: parseTest("path_beg /a/ /static/"), Action: model.ActionSetHeader{Name: name, Value: value}})
		}
	}
	return rules
}

const benchRequest = "GET /a/index.html HTTP/1.1\nHost: www.example.com\nUser-Agent: curl/8\nAccept: */*\nX-Forwarded-For: 1.2.3.4\nCookie: a=1; b=2"

func BenchmarkTwentyHeaderRules(b *testing.B) {
	c := newTestCompiler(b)
	p := c.Block(benchRules(), PhaseHTTPRequest)
	noDiagnostics(b, c)
	tx := newTx()
	src := parseHead(benchRequest)
	fields := append([]message.Field(nil), src.Fields...)
	tx.Req = &message.Head{}
	b.ReportAllocs()
	for b.Loop() {
		tx.Req.Reset()
		tx.Req.Method, tx.Req.MethodID, tx.Req.Target, tx.Req.Version = src.Method, src.MethodID, src.Target, src.Version
		tx.Req.Fields = append(tx.Req.Fields, fields...)
		if p.Run(tx) != Next {
			b.Fatal("verdict")
		}
	}
}

func benchCond(b *testing.B, text string) {
	c := newTestCompiler(b)
	cond := c.Cond(parseTest(text), PhaseHTTPRequest)
	noDiagnostics(b, c)
	tx := newTx()
	tx.Req = parseHead(benchRequest)
	b.ReportAllocs()
	for b.Loop() {
		cond(tx)
	}
}

func BenchmarkPathBeg(b *testing.B) { benchCond(b, "path_beg /a/") }
func BenchmarkHostDom(b *testing.B) { benchCond(b, "hdr_dom(host) -i example.com") }
func BenchmarkSrcNet(b *testing.B)  { benchCond(b, "src 10.0.0.0/8 127.0.0.0/8") }
func BenchmarkPathReg(b *testing.B) { benchCond(b, "path_reg \\.(php|html)$") }
func BenchmarkCookie(b *testing.B)  { benchCond(b, "cook(b) 2") }

func BenchmarkHTTPLog(b *testing.B) {
	c := newTestCompiler(b)
	f := c.Format(parseFormat(HTTPLogFormat), PhaseLog)
	noDiagnostics(b, c)
	tx := newTx()
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = f.Append(buf[:0], tx)
	}
}

// What runs on every request must not allocate.
func TestPlainPathsDoNotAllocate(t *testing.T) {
	c := newTestCompiler(t)
	p := c.Block(benchRules(), PhaseHTTPRequest)
	conds := []Cond{}
	for _, s := range []string{"path_beg /a/", "hdr_dom(host) -i example.com", "src 10.0.0.0/8", "cook(b) 2", "url_param(x) 1", "hdr_ip(x-forwarded-for) 1.2.3.4",
		"path,lower /x", "method POST", "path_reg ^/a", "dst_port 80", "path -i /a /b /c /d /e /f"} {
		conds = append(conds, c.Cond(parseTest(s), PhaseHTTPRequest))
	}
	log := c.Format(parseFormat(HTTPLogFormat), PhaseLog)
	noDiagnostics(t, c)
	tx := newTx()
	src := parseHead(benchRequest)
	fields := append([]message.Field(nil), src.Fields...)
	tx.Req = &message.Head{}
	buf := make([]byte, 0, 4096)
	run := func() {
		tx.Req.Reset()
		tx.Req.Method, tx.Req.Target, tx.Req.Version = src.Method, src.Target, src.Version
		tx.Req.Fields = append(tx.Req.Fields, fields...)
		p.Run(tx)
		for _, f := range conds {
			f(tx)
		}
		buf = log.Append(buf[:0], tx)
	}
	run()
	if n := testing.AllocsPerRun(100, run); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
