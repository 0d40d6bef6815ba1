package haproxy

import (
	"time"

	"evenkeel/internal/model"
)

// ruleKeywords are the lines that hold conditions and actions.
var ruleKeywords []*keyword

func init() {
	add := func(k keyword) { ruleKeywords = append(ruleKeywords, &k) }
	add(keyword{Name: "acl", Args: "NAME CRITERION [-i] [-f FILE] [-m METHOD] [-n] [-u ID] [-M] [--] [PATTERN]…", Sections: secAny,
		Help: "declares or extends a named test", Parse: parseACL})
	for _, r := range rulesets {
		add(keyword{Name: r.name, Args: "ACTION [ARGUMENT]… [if|unless CONDITION]", Sections: ruleSections(r.set), Foreign: true,
			Help: rulesetHelp[r.set], Parse: func(p *parser, words []word) { parseRule(p, words, r) }})
	}
	add(keyword{Name: "tcp-request inspect-delay", Args: "TIME", Sections: secAny, Help: "how long tcp-request content rules wait for data", Parse: parseInspectDelay})
	add(keyword{Name: "tcp-response inspect-delay", Args: "TIME", Sections: secBE, Foreign: true, Help: "how long tcp-response content rules wait for data", Parse: parseInspectDelay})
	add(keyword{Name: "redirect", Args: redirectArgs + " [if|unless CONDITION]", Sections: secProxy, Help: "answers with a redirection, after the http-request rules", Parse: parseRedirectLine})
	add(keyword{Name: "use_backend", Args: "NAME|FORMAT [if|unless CONDITION]", Sections: secFrontend | secListen, Help: "chooses a backend", Parse: parseUseBackend})
	add(keyword{Name: "use-server", Args: "NAME if|unless CONDITION", Sections: secBackend | secListen, Help: "chooses a server", Parse: parseUseServer})
	add(keyword{Name: "block", Args: "if|unless CONDITION", Sections: secProxy, Status: statusDeprecated, Cure: "write: http-request deny if …",
		Help: "denies a request; runs before all http-request rules", Parse: parseBlock})
	for i := range legacyLines {
		l := &legacyLines[i]
		add(keyword{Name: l.name, Args: l.args, Sections: secProxy, Status: l.status, Cure: l.cure, Help: l.help,
			Parse: func(p *parser, words []word) { l.parse(l, p, words) }})
	}
}

var rulesetHelp = map[ruleset]string{
	setTCPConnection: "acts on a connection before its handshakes",
	setTCPSession:    "acts on a connection after its handshakes",
	setTCPContent:    "acts on the first bytes of a request",
	setTCPResponse:   "acts on the first bytes of a response",
	setHTTPRequest:   "acts on a request",
	setHTTPResponse:  "acts on a response from a server",
	setHTTPAfter:     "acts on every response, the internal ones included",
}

// parseRule reads one rule of a ruleset.
func parseRule(p *parser, words []word, set *rulesetSpec) {
	if !p.namedDefaults(words[0]) {
		return
	}
	first := 1
	if len(words) > 1 && words[0].Text != set.name {
		first = 2 // "tcp-request content"
	}
	if len(words) <= first {
		p.errorf(after(words[first-1]), "write an action behind it, such as: "+set.name+" "+actionNames(set.set)[0], "'%s' expects an action", set.name)
		return
	}
	rule, entry, err := p.rule(words, words[first:], set)
	if err != nil {
		p.report(words[0].Pos, err)
		return
	}
	list := set.list(p.proxy)
	p.checkFinal(words[0], set, *list)
	p.checkOrder(words[0], set.set)
	*list = append(*list, rule)
	p.state.final &^= set.set
	if entry.Final && rule.Cond == nil {
		p.state.final |= set.set
	}
}

// rule reads an action and its condition.
func (p *parser) rule(line, words []word, set *rulesetSpec) (model.Rule, *actionEntry, error) {
	r := model.Rule{Pos: line[0].Pos, Text: p.text}
	entry, paren, err := findAction(set.set, words[0])
	if err != nil {
		return r, entry, err
	}
	usage := entry.Name
	if entry.Paren {
		usage += entry.Args
	} else if entry.Args != "" {
		usage += " " + entry.Args
	}
	a := &actionArgs{p: p, set: set.set, name: words[0], paren: paren, words: words[1:], last: words[0], usage: set.name + " " + usage}
	if r.Action, err = entry.Parse(a); err != nil {
		return r, entry, err
	}
	if a.more() && !isCondition(a.words[0]) {
		return r, entry, wrong(a.words[0].Pos, "write "+a.usage+" [if|unless CONDITION]; an argument with spaces has to be quoted",
			"'%s %s' expects either 'if' or 'unless' followed by a condition but found '%s'", set.name, words[0].Text, a.words[0].Text)
	}
	r.Cond, err = parseCond(p, a.words)
	return r, entry, err
}

// checkFinal warns of a rule that can never run.
func (p *parser) checkFinal(w word, set *rulesetSpec, list []model.Rule) {
	if set.set&setHTTP != 0 && p.state.final&set.set != 0 && len(list) > 0 {
		p.warnf(w.Pos, "give the rule above a condition, or take this one out",
			"previous '%s' action is final and has no condition attached, further entries are NOOP", set.name)
	}
}

// parseInspectDelay reads both inspect-delay lines.
func parseInspectDelay(p *parser, words []word) {
	name := words[0].Text + " inspect-delay"
	if len(words) < 3 {
		p.errorf(after(words[len(words)-1]), "write "+name+" 5s", "'%s' expects a positive delay in milliseconds", name)
		return
	}
	d, ok := p.duration(name, words[2], time.Millisecond)
	if !ok {
		return
	}
	if words[0].Text == "tcp-request" {
		p.proxy.RequestInspectDelay = d
	} else {
		p.proxy.ResponseInspectDelay = d
	}
	if len(words) > 3 {
		p.warnf(words[3].Pos, "take it out", "'%s': '%s' behind the delay is ignored", name, words[3].Text)
	}
}
