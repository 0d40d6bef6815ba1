package haproxy

import "evenkeel/internal/model"

var patternActions = []actionEntry{
	{Name: "add-acl", Paren: true, Args: "(FILE) KEY", Sets: setHTTPRequest | setHTTPResponse, Help: "adds a pattern to those of a file", Parse: patternAction("add-acl", false)},
	{Name: "del-acl", Paren: true, Args: "(FILE) KEY", Sets: setHTTPRequest | setHTTPResponse, Help: "takes a pattern from those of a file", Parse: patternAction("del-acl", false)},
	{Name: "set-map", Paren: true, Args: "(FILE) KEY VALUE", Sets: setHTTPRequest | setHTTPResponse, Help: "sets the value of a key of a map", Parse: patternAction("set-map", true)},
	{Name: "del-map", Paren: true, Args: "(FILE) KEY", Sets: setHTTPRequest | setHTTPResponse, Help: "takes a key from a map", Parse: patternAction("del-map", false)},
}

// patternAction edits the patterns of a file in memory; the file stays as it is.
func patternAction(op string, value bool) func(a *actionArgs) (model.Action, error) {
	return func(a *actionArgs) (model.Action, error) {
		if a.paren.Text == "" {
			return nil, wrong(a.paren.Pos, "write "+a.usage, "'%s' expects the name of a file in its parentheses", op)
		}
		n := 1
		if value {
			n = 2
		}
		w, err := a.need(n)
		if err != nil {
			return nil, err
		}
		act := model.ActionPattern{Op: op, File: a.p.path(a.paren.Text)}
		if act.Key, err = a.formatOf(w[0]); err != nil || !value {
			return act, err
		}
		act.Value, err = a.formatOf(w[1])
		return act, err
	}
}
