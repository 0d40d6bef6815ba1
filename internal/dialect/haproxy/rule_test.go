package haproxy

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"evenkeel/internal/model"
)

// Every action is told of in the listing, with a help line, once for each
// kind of rule, and every refused one has a cure.
func TestActionTable(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range describeActions() {
		if seen[k.Name] {
			t.Errorf("%s is in the table twice", k.Name)
		}
		seen[k.Name] = true
		if k.Help == "" {
			t.Errorf("%s has no help", k.Name)
		}
		if k.Status == "not yet" && k.Cure == "" {
			t.Errorf("%s is refused without a cure", k.Name)
		}
	}
	for _, a := range actionTable {
		if a.Status != statusLater && a.Parse == nil {
			t.Errorf("%s cannot be read", a.Name)
		}
		if a.Paren != strings.HasPrefix(a.Args, "(") {
			t.Errorf("%s: its arguments %q do not say whether they stand in parentheses", a.Name, a.Args)
		}
	}
}

// Every action has a golden case in every kind of rule that it can be used in
// or at least in one.
func TestEveryActionHasAGoldenCase(t *testing.T) {
	var all strings.Builder
	for _, f := range []string{"header", "uri", "reply", "verdict", "variable", "connection", "stream", "pattern", "later"} {
		for _, c := range readGolden(t, "testdata/rules/"+f+".golden") {
			all.WriteString(c.input + "\n")
		}
	}
	for _, a := range actionTable {
		name := " " + strings.TrimSuffix(a.Name, "*")
		if a.Status != statusLater && !strings.Contains(all.String(), name) {
			t.Errorf("%s is in no golden file", a.Name)
		}
	}
}

// Lines of an acl that stand below a condition belong to it too.
func TestLaterLinesOfAnACL(t *testing.T) {
	p := ruleParser()
	read := func(line string) {
		p.text = line
		words := lexed(line)
		table().find(words, p.section).Parse(p, words)
	}
	read("acl a path /1")
	read("http-request deny if METH_GET !a or a")
	read("acl a path /2")
	read("acl a path /3")
	or := p.proxy.HTTPRequest[0].Cond.(model.Or)
	for _, c := range []model.Cond{or[0].(model.And)[1].(model.Not).Cond, or[1].(model.And)[0]} {
		if n := len(c.(model.Or)); n != 3 {
			t.Errorf("the condition has %d of 3 lines", n)
		}
	}
	if len(p.diags) > 0 {
		t.Error(p.diags)
	}
}

func TestLegacyAdviceIsReadable(t *testing.T) {
	for _, line := range []string{
		`reqadd X-Proto:\ https`, `reqadd X:\ "it's 100% $x"`, `reqidel ^X-Forwarded-For:.*`, `reqdel ^X-Secret`,
		`reqirep ^Host:\ old(.*) Host:\ new\1`, `rspadd X:\ y if TRUE`, `rspirep ^Location:\ http://(.*) Location:\ https://\1`,
		`block if TRUE`, `rspdel ^Server:.*`, `reqdeny ^Host:\ bad`, `reqideny ^User-Agent:\ x unless TRUE`,
	} {
		p := ruleParser()
		p.text = line
		words := lexed(line)
		table().find(words, p.section).Parse(p, words)
		if len(p.diags) != 1 || p.diags[0].Severity != model.Warning {
			t.Errorf("%s: %v", line, p.diags)
			continue
		}
		modern, ok := strings.CutPrefix(p.diags[0].Cure, "write:  ")
		if !ok {
			t.Errorf("%s: the cure %q shows no line", line, p.diags[0].Cure)
			continue
		}
		p = ruleParser()
		p.text = modern
		words = lexed(modern)
		k := table().find(words, p.section)
		if k == nil {
			t.Errorf("%s: the modern line %s has no keyword", line, modern)
			continue
		}
		k.Parse(p, words)
		if len(p.diags) > 0 {
			t.Errorf("%s: the modern line %s: %v", line, modern, p.diags)
		}
	}
}

// Every type of action that the model has can be written in this language,
// or is named here with the reason.
func TestEveryModelActionCanBeWritten(t *testing.T) {
	seen := map[string]bool{
		"model.ActionDoNothing":     true, // for other languages
		"model.ActionLegacyDelete":  true, // reqdel
		"model.ActionLegacyReplace": true, // reqrep
		"model.ActionLegacyVerdict": true, // reqdeny
	}
	for _, name := range []string{"header", "uri", "reply", "verdict", "variable", "connection", "stream", "pattern"} {
		for _, c := range readGolden(t, "testdata/rules/"+name+".golden") {
			cfg, _ := Parse([]File{{Name: "f", Data: []byte("listen x\nmode http\n" + c.input + "\n")}}, Options{
				ReadFile: func(string) ([]byte, error) { return []byte("x"), nil },
			})
			for _, p := range cfg.Proxies {
				for _, r := range rulesets {
					for _, rule := range *r.list(p) {
						seen[reflect.TypeOf(rule.Action).String()] = true
					}
				}
			}
		}
	}
	source, err := os.ReadFile("../../model/rule.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`func \((Action\w+)\) isAction`).FindAllStringSubmatch(string(source), -1) {
		if !seen["model."+m[1]] {
			t.Errorf("%s is in no golden file", m[1])
		}
	}
}
