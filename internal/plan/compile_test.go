package plan

import (
	"strings"
	"testing"

	"evenkeel/internal/model"
)

// wrongExpr is an expression that no phase can compile, marked so that its
// message can be told from others.
func wrongExpr(mark string) *model.Expr {
	return &model.Expr{Text: mark, Fetch: model.Call{Name: mark, Pos: model.Pos{File: mark, Line: 1, Col: 1}}}
}

func wrongFormat(mark string) *model.Format {
	return &model.Format{Text: mark, Parts: []model.FormatPart{{Expr: wrongExpr(mark)}}}
}

func wrongCond(mark string) model.Cond {
	return &model.Test{Expr: wrongExpr(mark), Method: "found"}
}

// Every place that holds an expression is looked at: each has a mistake of its
// own, and each mistake is found.
func TestCompileAllLooksEverywhere(t *testing.T) {
	var marks []string
	mark := func(name string) string {
		marks = append(marks, "zzz_"+name)
		return "zzz_" + name
	}
	rule := func(name string) []model.Rule {
		return []model.Rule{{Action: model.ActionAllow{}, Cond: wrongCond(mark(name))}}
	}
	reply := func(name string) map[int]model.ErrorReply {
		return map[int]model.ErrorReply{503: {Reply: &model.Reply{
			Body:    wrongFormat(mark(name + "_body")),
			Headers: []model.HeaderFormat{{Name: "x", Value: wrongFormat(mark(name + "_header"))}},
		}}}
	}
	step := model.CheckStep{
		URI: wrongFormat(mark("uri")), Body: wrongFormat(mark("body")), DataFormat: wrongFormat(mark("data")),
		PatternFormat: wrongFormat(mark("pattern")), OnSuccess: wrongFormat(mark("success")), OnError: wrongFormat(mark("failure")),
		Format: wrongFormat(mark("set_format")), PortExpr: wrongExpr(mark("port")), StatusCode: wrongExpr(mark("code")), Expr: wrongExpr(mark("set_var")),
		Headers: []model.HeaderFormat{{Name: "x", Value: wrongFormat(mark("check_header"))}},
	}
	p := &model.Proxy{
		Name: "p", Kind: model.KindListen, Mode: model.ModeHTTP,
		Tests:         []*model.Test{wrongCond(mark("unused_test")).(*model.Test)},
		TCPConnection: rule("connection"), TCPSession: rule("session"), TCPContent: rule("content"), TCPResponse: rule("tcp_response"),
		HTTPRequest: rule("request"), HTTPResponse: rule("response"), HTTPAfterResponse: rule("after"), Redirects: rule("redirect"),
		LegacyRequest: rule("legacy_request"), LegacyResponse: rule("legacy_response"),
		LogFormat: wrongFormat(mark("log")), LogFormatSD: wrongFormat(mark("log_sd")), ErrorLogFormat: wrongFormat(mark("error_log")),
		Errors: reply("error"),
		Frontend: model.Frontend{
			UseBackend:     []model.UseBackend{{Name: wrongFormat(mark("backend_name")), Cond: wrongCond(mark("backend_cond"))}},
			MonitorFail:    []model.Cond{wrongCond(mark("monitor"))},
			UniqueIDFormat: wrongFormat(mark("unique_id")),
		},
		Backend: model.Backend{
			UseServer:    []model.UseServer{{Name: wrongFormat(mark("server_name")), Cond: wrongCond(mark("server_cond"))}},
			ForcePersist: []model.Cond{wrongCond(mark("force"))}, IgnorePersist: []model.Cond{wrongCond(mark("ignore"))},
			Balance: model.Balance{Hash: wrongExpr(mark("hash"))},
			Servers: []*model.Server{{TLS: &model.ServerTLS{SNI: wrongExpr(mark("sni"))}}},
			Check:   model.Check{Steps: []model.CheckStep{step}},
		},
	}
	cfg := &model.Config{Proxies: []*model.Proxy{p}, HTTPErrors: []*model.HTTPErrors{{Name: "e", Files: reply("set")}}}
	var found strings.Builder
	for _, d := range CompileAll(cfg) {
		found.WriteString(d.String() + "\n")
	}
	for _, m := range marks {
		if n := strings.Count(found.String(), "'"+m+"'"); n != 1 {
			t.Errorf("the mistake %s was told of %d times, not once", m, n)
		}
	}
}

func TestCompileAllIsSilentOnGoodRules(t *testing.T) {
	p := &model.Proxy{Name: "p", Kind: model.KindFrontend, Mode: model.ModeHTTP}
	p.HTTPRequest = []model.Rule{{Action: model.ActionAllow{}, Cond: &model.Test{
		Expr: &model.Expr{Fetch: model.Call{Name: "path"}}, Method: "beg", Patterns: []model.Pattern{{Text: "/"}},
	}}}
	if d := CompileAll(&model.Config{Proxies: []*model.Proxy{p}}); len(d) > 0 {
		t.Error(d)
	}
}
