package haproxy

import (
	"strings"

	"evenkeel/internal/model"
)

var headerActions = []actionEntry{
	{Name: "set-header", Args: "NAME FORMAT", Sets: setHTTP, Help: "replaces all headers of a name by one", Parse: parseSetHeader},
	{Name: "add-header", Args: "NAME FORMAT", Sets: setHTTP, Help: "adds a header", Parse: parseAddHeader},
	{Name: "del-header", Args: "NAME [-m str|beg|end|sub|reg]", Sets: setHTTP, Help: "deletes headers by name", Parse: parseDelHeader},
	{Name: "replace-header", Args: "NAME REGEX FORMAT", Sets: setHTTP, Help: "rewrites whole header lines of a name", Parse: parseReplaceHeader},
	{Name: "replace-value", Args: "NAME REGEX FORMAT", Sets: setHTTP, Help: "rewrites each comma-separated value of a header", Parse: parseReplaceValue},
	{Name: "early-hint", Args: "NAME FORMAT", Sets: setHTTPRequest, Help: "sends a header to the client in a 103 response", Parse: parseEarlyHint},
	{Name: "set-status", Args: "STATUS [reason TEXT]", Sets: setHTTPResponse | setHTTPAfter, Help: "replaces the status of a response", Parse: parseSetStatus},
}

// nameAndValue reads NAME FORMAT. The name is taken as it is written.
func (a *actionArgs) nameAndValue() (name, value *model.Format, err error) {
	w, err := a.need(2)
	if err != nil {
		return nil, nil, err
	}
	a.checkHeaderName(w[0])
	name = model.Literal(w[0].Pos, w[0].Text)
	value, err = a.formatOf(w[1])
	return name, value, err
}

// checkHeaderName warns of a name that RFC 9110 does not allow: HAProxy sends it
// as it is.
func (a *actionArgs) checkHeaderName(w word) {
	for i := 0; i < len(w.Text); i++ {
		if c := w.Text[i]; !isAlpha(c) && !isDigit(c) && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			a.p.warnf(w.at(i), "use letters, digits and '-'", "character '%c' is not permitted in header name '%s'", c, w.Text)
			return
		}
	}
}

func parseSetHeader(a *actionArgs) (model.Action, error) {
	name, value, err := a.nameAndValue()
	return model.ActionSetHeader{Name: name, Value: value}, err
}

func parseAddHeader(a *actionArgs) (model.Action, error) {
	name, value, err := a.nameAndValue()
	return model.ActionAddHeader{Name: name, Value: value}, err
}

func parseEarlyHint(a *actionArgs) (model.Action, error) {
	name, value, err := a.nameAndValue()
	return model.ActionEarlyHint{Name: name, Value: value}, err
}

func parseDelHeader(a *actionArgs) (model.Action, error) {
	w, err := a.need(1)
	if err != nil {
		return nil, err
	}
	d := model.ActionDelHeader{Name: w[0].Text}
	if !a.take("-m") {
		return d, nil
	}
	m, err := a.value("a matching method")
	if err != nil {
		return nil, err
	}
	if err := oneOf(m, "the matching method", "str", "beg", "end", "sub", "reg"); err != nil {
		return nil, err
	}
	d.Match = m.Text
	return d, nil
}

func parseReplaceHeader(a *actionArgs) (model.Action, error) {
	w, err := a.need(3)
	if err != nil {
		return nil, err
	}
	value, err := a.formatOf(w[2])
	return model.ActionReplaceHeader{Name: w[0].Text, Regex: w[1].Text, Value: value}, err
}

func parseReplaceValue(a *actionArgs) (model.Action, error) {
	w, err := a.need(3)
	if err != nil {
		return nil, err
	}
	value, err := a.formatOf(w[2])
	return model.ActionReplaceValue{Name: w[0].Text, Regex: w[1].Text, Value: value}, err
}

func parseSetStatus(a *actionArgs) (model.Action, error) {
	w, err := a.need(1)
	if err != nil {
		return nil, err
	}
	s := model.ActionSetStatus{}
	if s.Status, err = wholeNumber(w[0], 100, 999, "an integer status code"); err != nil {
		return nil, err
	}
	if a.take("reason") {
		r, err := a.value("the reason")
		if err != nil {
			return nil, err
		}
		s.Reason = r.Text
	}
	return s, nil
}
