package haproxy

import (
	"fmt"
	"strings"

	"evenkeel/internal/model"
	"evenkeel/internal/rule"
)

// wrong makes an error that knows its place and its cure.
func wrong(pos model.Pos, cure, format string, args ...any) error {
	return model.Diagnostic{Pos: pos, Severity: model.Error, Message: fmt.Sprintf(format, args...), Cure: cure}
}

// exprScanner reads sample expressions: keywords, each with arguments in
// parentheses, parted by commas. It works on words from which the first level
// of quoting is gone; arguments have a second level of their own.
type exprScanner struct {
	w   word
	off int
}

func (s *exprScanner) peek() byte {
	if s.off < len(s.w.Text) {
		return s.w.Text[s.off]
	}
	return 0
}

func isKeywordByte(c byte) bool {
	return isAlpha(c) || isDigit(c) || c == '_' || c == '.' || c == '-' || c == ':' || c == '+'
}

// name reads one keyword.
func (s *exprScanner) name() (string, model.Pos) {
	start := s.off
	for s.off < len(s.w.Text) && isKeywordByte(s.w.Text[s.off]) {
		s.off++
	}
	return s.w.Text[start:s.off], s.w.at(start)
}

// call reads a keyword's arguments, if it has any. what is "fetch method" or
// "converter".
func (s *exprScanner) call(what, name string, pos model.Pos) (model.Call, error) {
	c := model.Call{Pos: pos, Name: name}
	if s.peek() != '(' {
		return c, nil
	}
	args, err := s.arguments(what, name)
	c.Args = trimOptional(what, name, args)
	return c, err
}

// trimOptional drops empty arguments at the end, down to those that have to be
// there: one that is left out can be written as nothing.
func trimOptional(what, name string, args []string) []string {
	least, most := len(args), -1
	if what == "converter" {
		if spec, ok := rule.LookupConverter(name); ok {
			least, most = spec.Min, spec.Max
		}
	} else if fetch, _, ok := rule.LookupACL(name); ok {
		if spec, ok := rule.LookupFetch(fetch); ok {
			least, most = spec.Min, spec.Max
		}
	}
	if most >= 0 && len(args) > most {
		return args
	}
	for len(args) > max(least, 1) && args[len(args)-1] == "" {
		args = args[:len(args)-1]
	}
	return args
}

// arguments reads "(a,b)" with quotes and escapes. "()" is no argument at all.
func (s *exprScanner) arguments(what, name string) ([]string, error) {
	open := s.off
	s.off++
	if s.peek() == ')' {
		s.off++
		return nil, nil
	}
	var args []string
	var arg []byte
	var quote byte
	quoteAt := 0
	for s.off < len(s.w.Text) {
		c := s.w.Text[s.off]
		switch {
		case quote == 0 && c == ')':
			s.off++
			return append(args, string(arg)), nil
		case quote == 0 && c == ',':
			args = append(args, string(arg))
			arg = arg[:0]
		case (c == '"' || c == '\'') && quote == 0:
			quote, quoteAt = c, s.off
		case c == quote && quote != 0:
			quote = 0
		case c == '\\' && quote != '\'':
			arg = append(arg, s.escape())
		default:
			arg = append(arg, c)
		}
		s.off++
	}
	if quote != 0 {
		return nil, wrong(s.w.at(quoteAt), fmt.Sprintf("close it with %c before the ')'", quote),
			"unmatched quote in the arguments of %s '%s': expected ')'", what, name)
	}
	cure := "close the parenthesis; a space in an argument has to be quoted or written '\\ '"
	return nil, wrong(s.w.at(open), cure, "%s '%s' : expected ')'", what, name)
}

// escape reads what a backslash stands for. A backslash before any other
// character than these is an ordinary one.
func (s *exprScanner) escape() byte {
	if s.off+1 < len(s.w.Text) {
		out := byte(0)
		switch c := s.w.Text[s.off+1]; c {
		case '\\', '\'', '"', ' ':
			out = c
		case 'n':
			out = '\n'
		case 'r':
			out = '\r'
		case 't':
			out = '\t'
		}
		if out != 0 {
			s.off++
			return out
		}
	}
	return '\\'
}

// fetch reads a sample fetch and its arguments. names tells what may stand
// there: lookup gives an error for all else.
func (s *exprScanner) fetch(lookup func(name string, pos model.Pos) error) (model.Call, error) {
	name, pos := s.name()
	if name == "" {
		return model.Call{}, wrong(pos, "write a sample fetch, such as src, path or hdr(host)", "missing fetch method")
	}
	if err := lookup(name, pos); err != nil {
		return model.Call{}, err
	}
	return s.call("fetch method", name, pos)
}

// converters reads ",name(args)" as long as there are any in this word.
func (s *exprScanner) converters(e *model.Expr) error {
	last := "fetch keyword '" + e.Fetch.Name + "'"
	for s.off < len(s.w.Text) {
		if s.peek() != ',' {
			return wrong(s.w.at(s.off), "write a comma before the next converter", "missing comma after %s", last)
		}
		for s.peek() == ',' {
			s.off++
		}
		if s.off == len(s.w.Text) {
			return nil
		}
		if err := s.converter(e); err != nil {
			return err
		}
		last = "converter '" + e.Convs[len(e.Convs)-1].Name + "'"
	}
	return nil
}

func (s *exprScanner) converter(e *model.Expr) error {
	name, pos := s.name()
	if name == "" {
		return wrong(pos, "converters are parted by a comma, without spaces", "unknown converter ''")
	}
	if err := checkConverter(name, pos); err != nil {
		return err
	}
	c, err := s.call("converter", name, pos)
	if err != nil {
		return err
	}
	e.Convs = append(e.Convs, c)
	return nil
}

// parseExpr reads a sample expression at the start of words. Converters may
// also stand in words of their own, as long as they are known ones: what
// follows is given back.
func parseExpr(p *parser, words []word) (*model.Expr, []word, error) {
	if len(words) == 0 {
		return nil, nil, wrong(model.Pos{}, "write a sample fetch, such as src, path or hdr(host)", "missing fetch method")
	}
	s := &exprScanner{w: words[0]}
	e := &model.Expr{Pos: words[0].Pos}
	var err error
	if e.Fetch, err = s.fetch(checkFetch); err != nil {
		return nil, nil, err
	}
	if err := s.converters(e); err != nil {
		return nil, nil, err
	}
	n := 1
	for n < len(words) {
		next := &exprScanner{w: words[n]}
		name, _ := next.name()
		if name == "" || !isConverter(name) {
			break
		}
		next.off = 0
		if err := next.converter(e); err != nil {
			return nil, nil, err
		}
		if err := next.converters(e); err != nil {
			return nil, nil, err
		}
		n++
	}
	e.Text = join(words[:n])
	return e, words[n:], nil
}

// parseExprIn reads an expression that ends before the byte stop, and gives
// the offset of that byte. Inside there is no room for spaces.
func parseExprIn(w word, off int, stop byte) (*model.Expr, int, error) {
	s := &exprScanner{w: w, off: off}
	e := &model.Expr{Pos: w.at(off)}
	var err error
	if e.Fetch, err = s.fetch(checkFetch); err != nil {
		return nil, 0, err
	}
	for s.peek() == ',' {
		for s.peek() == ',' {
			s.off++
		}
		if s.peek() == stop {
			break
		}
		if err := s.converter(e); err != nil {
			return nil, 0, err
		}
	}
	e.Text = w.Text[off:s.off]
	switch c := s.peek(); {
	case s.off == len(w.Text):
		return nil, 0, wrong(w.at(off), fmt.Sprintf("close it with '%c'", stop), "missing '%c' after '%s'", stop, e.Text)
	case c != stop:
		cure := fmt.Sprintf("end the expression with '%c', or part converters with commas, without spaces", stop)
		return nil, 0, wrong(w.at(s.off), cure, "expected '%c' after '%s', but found '%c'", stop, e.Text, c)
	}
	return e, s.off, nil
}

// after is the place behind a word, where the next one is missing.
func after(w word) model.Pos { return w.at(len(w.Text)) }

func isConverter(name string) bool {
	_, ok := rule.LookupConverter(name)
	return ok || knownName(laterConverters, name)
}

func checkFetch(name string, pos model.Pos) error {
	if spec, ok := rule.LookupFetch(name); ok {
		if spec.Refused != "" {
			return notYet("fetch method", name, pos)
		}
		return nil
	}
	if fetch, match, ok := rule.LookupACL(name); ok {
		return wrong(pos, fmt.Sprintf("use '%s', and '-m %s' in the condition that tests it", fetch, match),
			"'%s' is a keyword of conditions: it cannot be used as a sample", name)
	}
	return unknownName("fetch method", name, pos, laterFetches, rule.Fetches())
}

func checkConverter(name string, pos model.Pos) error {
	if spec, ok := rule.LookupConverter(name); ok {
		if spec.Refused != "" {
			return notYet("converter", name, pos)
		}
		return nil
	}
	return unknownName("converter", name, pos, laterConverters, rule.Converters())
}

// notYet refuses what HAProxy knows and is not built here.
func notYet(what, name string, pos model.Pos) error {
	return wrong(pos, "take it out for now; 'evenkeel keywords haproxy' lists what can be used", "%s '%s' is not supported yet", what, name)
}

// unknownName reports a keyword that is in no table: one that HAProxy knows
// is not built yet, all others have a neighbour that may have been meant.
func unknownName(what, name string, pos model.Pos, later string, known []rule.Keyword) error {
	if knownName(later, name) {
		return notYet(what, name, pos)
	}
	var names []string
	for _, k := range known {
		names = append(names, k.Name)
	}
	return wrong(pos, closest(name, names), "unknown %s '%s'", what, name)
}

// knownName looks for a whole word in a list of words.
func knownName(list, name string) bool {
	if name == "" {
		return false
	}
	for i := 0; ; {
		j := strings.Index(list[i:], name)
		if j < 0 {
			return false
		}
		i += j
		end := i + len(name)
		if (i == 0 || isSpace(list[i-1])) && (end == len(list) || isSpace(list[end])) {
			return true
		}
		i = end
	}
}
