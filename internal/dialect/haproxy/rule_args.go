package haproxy

import (
	"strings"

	"evenkeel/internal/model"
)

// actionArgs hands the words of a rule to the function that reads an action.
type actionArgs struct {
	p     *parser
	set   ruleset
	name  word // the action
	paren word // what stands in its parentheses
	words []word
	last  word // the word before words[0]
	usage string
}

func (a *actionArgs) in(set ruleset) bool { return a.set&set != 0 }

// more says whether another argument follows.
func (a *actionArgs) more() bool { return len(a.words) > 0 }

// peek is the next word's text, "" at the end.
func (a *actionArgs) peek() string {
	if len(a.words) == 0 {
		return ""
	}
	return a.words[0].Text
}

// next takes a word.
func (a *actionArgs) next() word {
	w := a.words[0]
	a.words, a.last = a.words[1:], w
	return w
}

// take takes the next word if it is this one.
func (a *actionArgs) take(text string) bool {
	if a.peek() != text {
		return false
	}
	a.next()
	return true
}

// missing reports that more is needed at this place.
func (a *actionArgs) missing(format string, args ...any) error {
	return wrong(after(a.last), "write "+a.usage, format, args...)
}

// need takes n words at once.
func (a *actionArgs) need(n int) ([]word, error) {
	if len(a.words) < n {
		if len(a.words) > 0 {
			a.last = a.words[len(a.words)-1]
		}
		plural := "s"
		if n == 1 {
			plural = ""
		}
		return nil, a.missing("expects exactly %d argument%s", n, plural)
	}
	w := a.words[:n]
	a.words, a.last = a.words[n:], w[n-1]
	return w, nil
}

// value takes the word behind a keyword of an action.
func (a *actionArgs) value(what string) (word, error) {
	if !a.more() {
		return word{}, a.missing("'%s' expects %s as argument", a.last.Text, what)
	}
	return a.next(), nil
}

// format takes a word that is a log-format string.
func (a *actionArgs) format() (*model.Format, error) {
	w, err := a.need(1)
	if err != nil {
		return nil, err
	}
	return a.formatOf(w[0])
}

func (a *actionArgs) formatOf(w word) (*model.Format, error) {
	return parseFormat(a.p, w, rulesetOf(a.set).format)
}

// expr takes a sample expression.
func (a *actionArgs) expr() (*model.Expr, error) {
	if !a.more() {
		return nil, a.missing("missing fetch method")
	}
	e, rest, err := parseExpr(a.p, a.words)
	if err != nil {
		return nil, err
	}
	a.last = a.words[len(a.words)-len(rest)-1]
	a.words = rest
	return e, nil
}

// oneOf checks a word against the choices.
func oneOf(w word, what string, choices ...string) error {
	for _, c := range choices {
		if w.Text == c {
			return nil
		}
	}
	cure := closest(w.Text, choices)
	if cure == "" {
		cure = "write one of: " + strings.Join(choices, ", ")
	}
	return wrong(w.Pos, cure, "%s '%s' is not known", what, w.Text)
}
