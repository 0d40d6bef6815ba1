package health

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"

	"evenkeel/internal/health/checks"
	"evenkeel/internal/model"
	"evenkeel/internal/pool"
	"evenkeel/internal/rule"
)

func TestRuleEnv(t *testing.T) {
	c := rule.NewCompiler(&model.Config{})
	env := RuleEnv(c)
	upper := &model.Expr{Text: "str(abc),upper", Fetch: model.Call{Name: "str", Args: []string{"abc"}}, Convs: []model.Call{{Name: "upper"}}}
	format := &model.Format{Parts: []model.FormatPart{{Literal: "say "}, {Expr: upper}, {Literal: "\n"}}}
	lines := make(chan string, 1)
	port := listen(t, func(c net.Conn) {
		line, _ := bufio.NewReader(c).ReadString('\n')
		lines <- line
		io.WriteString(c, "ok\n")
		io.Copy(io.Discard, c)
	})
	px := &model.Proxy{}
	px.Backend.Servers = []*model.Server{{Name: "s", ID: 1, Check: model.ServerCheck{Enabled: true}}}
	px.Backend.Check.Steps = []model.CheckStep{
		{Kind: model.StepSend, DataFormat: format},
		{Kind: model.StepExpect, Match: "rstring", Pattern: `^o(?:k|o)\n`},
	}
	_, s := once(t, &model.Proxy{Backend: model.Backend{Servers: px.Backend.Servers}}, port)
	<-lines
	script, err := checks.Compile(&px.Backend.Check, &env)
	if err != nil {
		t.Fatal(err)
	}
	r := &Runner{}
	r.opt.TLS, r.opt.Dial = newTLS(&r.global).config, dial
	w := newWatch(r, s)
	w.script = script
	if got := w.check(t.Context()); got.Status != pool.CheckL7OK {
		t.Errorf("%+v", got)
	}
	if line := <-lines; line != "say ABC\n" {
		t.Errorf("sent %q", line)
	}
	bad := &model.Format{Parts: []model.FormatPart{{Expr: &model.Expr{Text: "nonsense", Fetch: model.Call{Name: "nonsense"}}}}}
	if _, err := env.Format(bad); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("an unknown fetch gives %v", err)
	}
	if _, err := env.Expr(bad.Parts[0].Expr); err == nil {
		t.Error("an unknown fetch compiles")
	}
	if _, err := env.Regex("("); err == nil {
		t.Error("a broken expression compiles")
	}
}
