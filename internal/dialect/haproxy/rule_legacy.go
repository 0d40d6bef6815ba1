package haproxy

import (
	"regexp"
	"regexp/syntax"
	"strings"

	"evenkeel/internal/model"
)

// legacyLine is one of the rewriting lines that HAProxy 2.1 threw out.
type legacyLine struct {
	name, args, help string
	status           status
	cure             string
	parse            func(l *legacyLine, p *parser, words []word)
	response         bool
	ignoreCase       bool
	verdict          string // of lines that deny or allow
}

var legacyLines = []legacyLine{
	{name: "reqadd", args: "HEADER", help: "adds a header line to requests", parse: (*legacyLine).add},
	{name: "reqdel", args: "REGEX", help: "deletes header lines of requests", parse: (*legacyLine).del},
	{name: "reqidel", args: "REGEX", help: "deletes header lines of requests, ignoring case", parse: (*legacyLine).del, ignoreCase: true},
	{name: "reqrep", args: "REGEX TEXT", help: "rewrites lines of requests", parse: (*legacyLine).replace},
	{name: "reqirep", args: "REGEX TEXT", help: "rewrites lines of requests, ignoring case", parse: (*legacyLine).replace, ignoreCase: true},
	{name: "reqallow", args: "REGEX", help: "lets a request pass by a line of it", parse: (*legacyLine).judge, verdict: "allow"},
	{name: "reqiallow", args: "REGEX", help: "lets a request pass by a line of it, ignoring case", parse: (*legacyLine).judge, verdict: "allow", ignoreCase: true},
	{name: "reqdeny", args: "REGEX", help: "denies a request by a line of it", parse: (*legacyLine).judge, verdict: "deny"},
	{name: "reqideny", args: "REGEX", help: "denies a request by a line of it, ignoring case", parse: (*legacyLine).judge, verdict: "deny", ignoreCase: true},
	{name: "reqpass", args: "REGEX", help: "leaves a line alone", parse: (*legacyLine).judge, verdict: "pass"},
	{name: "reqipass", args: "REGEX", help: "leaves a line alone, ignoring case", parse: (*legacyLine).judge, verdict: "pass", ignoreCase: true},
	{name: "reqtarpit", args: "REGEX", help: "keeps a client waiting by a line of its request", parse: (*legacyLine).judge, verdict: "tarpit"},
	{name: "reqitarpit", args: "REGEX", help: "keeps a client waiting by a line of its request, ignoring case", parse: (*legacyLine).judge, verdict: "tarpit", ignoreCase: true},
	{name: "reqsetbe", args: "REGEX BACKEND", help: "chooses a backend by a line of the request", status: statusLater, cure: "write: use_backend NAME if { path_reg REGEX }"},
	{name: "reqisetbe", args: "REGEX BACKEND", help: "chooses a backend by a line of the request", status: statusLater, cure: "write: use_backend NAME if { path_reg -i REGEX }"},
	{name: "rspadd", args: "HEADER", help: "adds a header line to responses", parse: (*legacyLine).add, response: true},
	{name: "rspdel", args: "REGEX", help: "deletes header lines of responses", parse: (*legacyLine).del, response: true},
	{name: "rspidel", args: "REGEX", help: "deletes header lines of responses, ignoring case", parse: (*legacyLine).del, response: true, ignoreCase: true},
	{name: "rsprep", args: "REGEX TEXT", help: "rewrites lines of responses", parse: (*legacyLine).replace, response: true},
	{name: "rspirep", args: "REGEX TEXT", help: "rewrites lines of responses, ignoring case", parse: (*legacyLine).replace, response: true, ignoreCase: true},
	{name: "rspdeny", args: "REGEX", help: "denies a response by a line of it", parse: (*legacyLine).judge, response: true, verdict: "deny"},
	{name: "rspideny", args: "REGEX", help: "denies a response by a line of it, ignoring case", parse: (*legacyLine).judge, response: true, verdict: "deny", ignoreCase: true},
}

func init() {
	for i := range legacyLines {
		l := &legacyLines[i]
		if l.status == statusOK {
			l.status = statusDeprecated
			l.cure = "write it with " + l.ruleName() + " rules"
		}
	}
}

func (l *legacyLine) ruleName() string {
	if l.response {
		return "http-response"
	}
	return "http-request"
}

// take reads n arguments and the condition behind them.
func (l *legacyLine) take(p *parser, words []word, n int) ([]word, model.Cond, bool) {
	if len(words) < n+1 {
		p.errorf(after(words[len(words)-1]), "write: "+l.name+" "+l.args, "'%s' expects %s", l.name, strings.ToLower(l.args))
		return nil, nil, false
	}
	c, ok := p.condOf(words[n+1:])
	return words[1 : n+1], c, ok
}

// put appends the rule and shows the line that should be there today.
func (l *legacyLine) put(p *parser, words []word, c model.Cond, action model.Action, n int, modern string) {
	if rest := words[n+1:]; len(rest) > 0 {
		modern += " " + join(rest)
	}
	p.warnf(words[0].Pos, "write:  "+modern, legacyWarning, l.name)
	l.append(p, words[0], c, action)
}

const legacyWarning = "the '%s' directive is not supported anymore since HAProxy 2.1; it works here"

func (l *legacyLine) append(p *parser, w word, c model.Cond, action model.Action) {
	list := &p.proxy.LegacyRequest
	if l.response {
		list = &p.proxy.LegacyResponse
	}
	*list = append(*list, model.Rule{Pos: w.Pos, Text: p.text, Cond: c, Action: action})
}

// quoteWord writes a word so that the lexer reads it back.
func quoteWord(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t#'\"\\$") {
		return s
	}
	if !strings.Contains(s, "'") {
		return "'" + s + "'"
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`).Replace(s) + `"`
}

func (l *legacyLine) add(p *parser, words []word) {
	w, c, ok := l.take(p, words, 1)
	if !ok {
		return
	}
	name, value, found := strings.Cut(w[0].Text, ":")
	if !found || strings.ContainsAny(name, " \t") || name == "" {
		p.errorf(w[0].Pos, `write NAME:\ VALUE`, "'%s' expects a header line, got '%s'", l.name, w[0].Text)
		return
	}
	off := len(name) + 1 + len(value) - len(strings.TrimLeft(value, " \t"))
	value = strings.TrimSpace(value)
	action := model.ActionAddHeader{Name: model.Literal(w[0].Pos, name), Value: model.Literal(w[0].at(off), value)}
	l.put(p, words, c, action, 1, l.ruleName()+" add-header "+name+" "+quoteWord(strings.ReplaceAll(value, "%", "%%")))
}

// regex checks a pattern. What Go's syntax lacks is left for the rule
// machine to judge.
func (l *legacyLine) regex(p *parser, w word) bool {
	_, err := regexp.Compile(w.Text)
	if e, ok := err.(*syntax.Error); ok && e.Code != syntax.ErrInvalidPerlOp && e.Code != syntax.ErrInvalidEscape {
		p.errorf(w.Pos, "mend the regex", "'%s': regex '%s' is invalid: %s", l.name, w.Text, e.Code)
		return false
	}
	return true
}

// headerRegex takes "^Name:\s*rest" apart.
var headerRegex = regexp.MustCompile(`^\^([A-Za-z0-9-]+)\\?:(?:\[ \]\*|\\s[*+]| [*+]?|\\ [*+]?)?(.*)$`)

func (l *legacyLine) del(p *parser, words []word) {
	w, c, ok := l.take(p, words, 1)
	if !ok || !l.regex(p, w[0]) {
		return
	}
	modern := l.ruleName() + " del-header NAME"
	if m := headerRegex.FindStringSubmatch(w[0].Text); m != nil {
		modern = l.ruleName() + " del-header " + m[1]
		if m[2] != "" && m[2] != ".*" && m[2] != ".*$" {
			modern = l.ruleName() + " replace-header " + m[1] + " " + quoteWord(m[2]) + " ''"
		}
	} else if m := headerPrefix.FindStringSubmatch(w[0].Text); m != nil {
		modern = l.ruleName() + " del-header " + m[1] + " -m beg"
	}
	l.put(p, words, c, model.ActionLegacyDelete{Regex: w[0].Text, IgnoreCase: l.ignoreCase}, 1, modern)
}

var headerPrefix = regexp.MustCompile(`^\^([A-Za-z0-9-]+)(?:\.\*)?$`)

// requestLine is the usual way to rewrite a path with reqrep.
var requestLine = regexp.MustCompile(`^\^\(\[\^ (?:\\?:)?\]\*(?: |\\ )?\)(?: |\\ )?(.*)$`)

func (l *legacyLine) replace(p *parser, words []word) {
	w, c, ok := l.take(p, words, 2)
	if !ok || !l.regex(p, w[0]) {
		return
	}
	if i := badReference(w[1].Text); i >= 0 {
		p.errorf(w[1].at(i), `write \0 to \9 for what the groups matched, and \\ for a backslash`, "'%s': invalid character or unterminated sequence in replacement string near '%s'", l.name, w[1].Text[i:])
		return
	}
	flag := ""
	if l.ignoreCase {
		flag = "(?i)"
	}
	modern := l.ruleName() + " replace-header NAME REGEX FORMAT"
	if m := headerRegex.FindStringSubmatch(w[0].Text); m != nil {
		value := w[1].Text
		if n, v, found := strings.Cut(value, ":"); found && strings.EqualFold(n, m[1]) {
			value = strings.TrimLeft(v, " ")
		}
		modern = l.ruleName() + " replace-header " + m[1] + " " + quoteWord(flag+m[2]) + " " + quoteWord(strings.ReplaceAll(value, "%", "%%"))
	} else if m := requestLine.FindStringSubmatch(w[0].Text); m != nil && !l.response {
		modern = "http-request replace-pathq REGEX FORMAT"
		if to, ok := strings.CutPrefix(w[1].Text, `\1 `); ok && !strings.ContainsAny(m[1]+to, " ") {
			to = groupReference.ReplaceAllStringFunc(to, func(r string) string { return `\` + string(r[1]-1) })
			modern = "http-request replace-pathq " + quoteWord(flag+"^"+m[1]) + " " + quoteWord(strings.ReplaceAll(to, "%", "%%"))
		}
	}
	l.put(p, words, c, model.ActionLegacyReplace{Regex: w[0].Text, Replacement: w[1].Text, IgnoreCase: l.ignoreCase}, 2, modern)
}

// groupReference is \1 to \9. The first group of a request line was its method.
var groupReference = regexp.MustCompile(`\\[1-9]`)

// badReference finds a backslash that stands for nothing; -1: none.
func badReference(s string) int {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		if i+1 == len(s) {
			return i
		}
		i++
		if c := s[i]; c == 'x' && (i+2 >= len(s) || unhex(s[i+1]) < 0 || unhex(s[i+2]) < 0) {
			return i - 1
		}
	}
	return -1
}

func (l *legacyLine) judge(p *parser, words []word) {
	w, c, ok := l.take(p, words, 1)
	if !ok || !l.regex(p, w[0]) {
		return
	}
	action := model.ActionLegacyVerdict{Regex: w[0].Text, Verdict: l.verdict, IgnoreCase: l.ignoreCase}
	p.warnf(words[0].Pos, l.judgeAdvice(w[0].Text, words[2:]), legacyWarning, l.name)
	l.append(p, words[0], c, action)
}

// judgeAdvice shows the rule that does the same today.
func (l *legacyLine) judgeAdvice(regex string, cond []word) string {
	if l.verdict == "pass" {
		return "give the lines that it protects a header from a condition, and take it out"
	}
	test := "{ CRITERION -m reg "
	rest := regex
	if m := headerRegex.FindStringSubmatch(regex); m != nil {
		fetch := "req.hdr"
		if l.response {
			fetch = "res.hdr"
		}
		test, rest = "{ "+fetch+"("+m[1]+") -m reg ", m[2]
		if rest == "" {
			test, rest = "{ "+fetch+"("+m[1]+") -m found ", "--"
		}
	}
	if l.ignoreCase && rest != "--" {
		test += "-i "
	}
	test = strings.TrimSuffix(test+quoteWord(rest), " --") + " }"
	modern := "write:  " + l.ruleName() + " " + l.verdict + " if " + test
	switch {
	case len(cond) == 0:
		return modern
	case cond[0].Text == "if":
		// The test belongs to every branch of an "or".
		for _, w := range cond[1:] {
			modern += " " + w.Text
			if w.Text == "or" || w.Text == "||" {
				modern += " " + test
			}
		}
		return modern
	case len(cond) == 2:
		return modern + " !" + cond[1].Text
	}
	return modern + ", with the opposite of the condition behind it"
}
