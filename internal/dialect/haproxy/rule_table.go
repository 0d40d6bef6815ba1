package haproxy

import (
	"sort"
	"strings"

	"evenkeel/internal/model"
	"evenkeel/internal/rule"
)

// ruleset is a bit for each kind of rule line.
type ruleset uint16

const (
	setTCPConnection ruleset = 1 << iota
	setTCPSession
	setTCPContent
	setTCPResponse
	setHTTPRequest
	setHTTPResponse
	setHTTPAfter

	setHTTP     = setHTTPRequest | setHTTPResponse | setHTTPAfter
	setTCPEarly = setTCPConnection | setTCPSession
	setTCPIn    = setTCPEarly | setTCPContent
	setTCP      = setTCPIn | setTCPResponse
	setRequest  = setTCPIn | setHTTPRequest
	// setStream is where a whole exchange is known, and not a connection only.
	setStream = setTCPContent | setTCPResponse | setHTTPRequest | setHTTPResponse
)

// rulesetSpec is what the rules of one kind have in common.
type rulesetSpec struct {
	set    ruleset
	name   string // "http-request", "tcp-request content"
	format formatContext
	list   func(p *model.Proxy) *[]model.Rule
}

var rulesets = []*rulesetSpec{
	{setTCPConnection, "tcp-request connection", formatPlain, func(p *model.Proxy) *[]model.Rule { return &p.TCPConnection }},
	{setTCPSession, "tcp-request session", formatPlain, func(p *model.Proxy) *[]model.Rule { return &p.TCPSession }},
	{setTCPContent, "tcp-request content", formatPlain, func(p *model.Proxy) *[]model.Rule { return &p.TCPContent }},
	{setTCPResponse, "tcp-response content", formatPlain, func(p *model.Proxy) *[]model.Rule { return &p.TCPResponse }},
	{setHTTPRequest, "http-request", formatRequest, func(p *model.Proxy) *[]model.Rule { return &p.HTTPRequest }},
	{setHTTPResponse, "http-response", formatResponse, func(p *model.Proxy) *[]model.Rule { return &p.HTTPResponse }},
	{setHTTPAfter, "http-after-response", formatResponse, func(p *model.Proxy) *[]model.Rule { return &p.HTTPAfterResponse }},
}

func rulesetOf(s ruleset) *rulesetSpec {
	for _, r := range rulesets {
		if r.set == s {
			return r
		}
	}
	return nil
}

// names lists the kinds of rules of a set.
func (s ruleset) names() []string {
	var out []string
	for _, r := range rulesets {
		if s&r.set != 0 {
			out = append(out, r.name)
		}
	}
	return out
}

// actionEntry is one action of rules.
type actionEntry struct {
	Name string
	// Paren: arguments in parentheses follow the name without a space.
	Paren  bool
	Args   string
	Sets   ruleset
	Help   string
	Status status
	Cure   string
	// Final ends the evaluation, so that what follows an unconditional one
	// never runs.
	Final bool
	// Parse reads the arguments of the action, up to a condition.
	Parse func(a *actionArgs) (model.Action, error)
}

// actionTable is filled by init, because the entries' functions look into it.
var actionTable []*actionEntry

func init() {
	for _, list := range [][]actionEntry{
		headerActions, uriActions, replyActions, verdictActions, variableActions,
		connectionActions, streamActions, patternActions, laterActions,
	} {
		for i := range list {
			actionTable = append(actionTable, &list[i])
		}
	}
	sort.SliceStable(actionTable, func(i, j int) bool { return actionTable[i].Name < actionTable[j].Name })
}

// findAction finds the entry for a word of a ruleset, and what stands in its
// parentheses.
func findAction(set ruleset, w word) (*actionEntry, word, error) {
	name, paren := w.Text, strings.IndexByte(w.Text, '(')
	if paren >= 0 {
		name = w.Text[:paren]
	}
	var entry *actionEntry
	elsewhere := ruleset(0)
	for _, a := range actionTable {
		if a.Name != name && (!strings.HasSuffix(a.Name, ".*") || !strings.HasPrefix(name, a.Name[:len(a.Name)-1])) {
			continue
		}
		elsewhere |= a.Sets
		if a.Sets&set != 0 {
			entry = a
		}
	}
	kind := rulesetOf(set).name
	if entry == nil {
		cure := ""
		if elsewhere != 0 {
			cure = "it can be used in: " + strings.Join(elsewhere.names(), ", ")
		} else if names := actionNames(set); true {
			if cure = closest(name, names); cure == "" {
				cure = "the actions are: " + strings.Join(names, ", ")
			}
		}
		return nil, word{}, wrong(w.Pos, cure, "'%s' has no action '%s'", kind, name)
	}
	if entry.Status == statusLater {
		return entry, word{}, wrong(w.Pos, entry.Cure, "'%s %s' is not supported yet", kind, name)
	}
	if !entry.Paren {
		if paren >= 0 {
			return entry, word{}, wrong(w.at(paren), "write the arguments as words: "+name+" "+entry.Args, "'%s %s' takes no parentheses", kind, name)
		}
		return entry, word{}, nil
	}
	if paren < 0 {
		return entry, word{}, wrong(after(w), "write "+name+entry.Args, "invalid or incomplete action '%s'", name)
	}
	if !strings.HasSuffix(w.Text, ")") {
		return entry, word{}, wrong(after(w), "close the parenthesis, without spaces before it", "'%s %s' : expected ')'", kind, w.Text)
	}
	inner := w.from(paren + 1)
	inner.Text = inner.Text[:len(inner.Text)-1]
	return entry, inner, nil
}

func actionNames(set ruleset) []string {
	var names []string
	for _, a := range actionTable {
		if a.Sets&set != 0 {
			names = append(names, a.Name)
		}
	}
	return names
}

// describeActions makes the entries of the listing and the manual.
func describeActions() []Keyword {
	var out []Keyword
	for _, r := range rulesets {
		for _, a := range actionTable {
			if a.Sets&r.set == 0 {
				continue
			}
			args := a.Args
			if !a.Paren && args != "" {
				args = " " + args
			}
			out = append(out, Keyword{
				Name: r.name + " " + a.Name, Args: strings.TrimSpace(args), Sections: ruleSections(r.set).names(),
				Help: a.Help, Status: a.Status.String(), Cure: a.Cure,
			})
		}
	}
	return out
}

// describeRules makes the entries of the listing and the manual for what stands
// inside of rule lines.
func describeRules() []Keyword {
	out := describeActions()
	out = append(out, describePredefined()...)
	for _, a := range rule.Aliases() {
		out = append(out, Keyword{Name: "log-format %" + a.Name, Sections: secAny.names(), Help: a.Help, Status: statusOK.String()})
	}
	return out
}

// ruleSections is where the lines of a ruleset may stand.
func ruleSections(s ruleset) section {
	switch s {
	case setTCPConnection, setTCPSession:
		return secFE
	case setTCPResponse:
		return secBE
	}
	return secAny
}
