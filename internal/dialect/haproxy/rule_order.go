package haproxy

import "evenkeel/internal/model"

// stage is where in the life of a request the rules of a line run. A line
// that stands below one of a later stage is warned of, because it does not
// run in the order that it is read.
type stage struct {
	set     ruleset // 0: not a ruleset
	keyword string  // as the warning names the line
	earlier string  // as the warning names it when another stands below it
}

const (
	setMonitor ruleset = 1 << (iota + 10)
	setRedirect
	setUseBackend
	setUseServer
)

// stages in the order in which they run.
var stages = []stage{
	{setTCPConnection, "tcp-request", "a 'tcp-request connection'"},
	{setTCPSession, "tcp-request", "a 'tcp-request session'"},
	{setTCPContent, "tcp-request", "a 'tcp-request content'"},
	{setMonitor, "monitor fail", "a 'monitor fail'"},
	{setHTTPRequest, "http-request", "an 'http-request'"},
	{setRedirect, "redirect", "a 'redirect'"},
	{setUseBackend, "use_backend", "a 'use_backend'"},
	{setUseServer, "use-server", "a 'use-server'"},
}

// checkOrder notes that a line of a stage was read, and warns if one of a
// later stage stands above it.
func (p *parser) checkOrder(w word, set ruleset) {
	seen := &p.state.stages
	defer func() { *seen |= set }()
	later := false
	for _, s := range stages {
		if s.set == set {
			later = true
			set = s.set
			continue
		}
		if later && *seen&s.set != 0 {
			p.warnf(w.Pos, "move it up, to where it runs", "a '%s' rule placed after %s rule will still be processed before", keywordOf(set), s.earlier)
			return
		}
	}
}

func keywordOf(set ruleset) string {
	for _, s := range stages {
		if s.set == set {
			return s.keyword
		}
	}
	return ""
}

// ruleState is what is known of the rules of a proxy while it is read.
type ruleState struct {
	stages ruleset
	// final has the sets whose last rule ends them unconditionally.
	final ruleset
}

// blocks counts the `block` rules at the head of the http-request rules.
func blocks(rules []model.Rule) int {
	n := 0
	for n < len(rules) && len(rules[n].Text) > 6 && rules[n].Text[:6] == "block " {
		n++
	}
	return n
}
