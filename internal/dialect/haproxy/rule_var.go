package haproxy

import (
	"strings"

	"evenkeel/internal/model"
)

const setAny = setTCP | setHTTP

var variableActions = []actionEntry{
	{Name: "set-var", Paren: true, Args: "(SCOPE.NAME[,CONDITION]…) EXPRESSION", Sets: setAny, Help: "stores a sample in a variable", Parse: parseSetVar},
	{Name: "set-var-fmt", Paren: true, Args: "(SCOPE.NAME[,CONDITION]…) FORMAT", Sets: setAny, Help: "stores a formatted text in a variable", Parse: parseSetVarFormat},
	{Name: "unset-var", Paren: true, Args: "(SCOPE.NAME)", Sets: setAny, Help: "forgets a variable", Parse: parseUnsetVar},
}

var (
	varScopes     = []string{"proc", "sess", "txn", "req", "res", "check"}
	varConditions = []string{"ifexists", "ifnotexists", "ifempty", "ifnotempty", "ifset", "ifnotset", "ifgt", "iflt"}
)

// variableName parts "scope.name" and checks both.
func variableName(w word) (scope, name string, err error) {
	dot := strings.IndexByte(w.Text, '.')
	if dot < 0 {
		return "", "", wrong(w.Pos, "write it with its scope: txn."+w.Text, "invalid variable name '%s'. %s", w.Text, scopeHelp)
	}
	scope, name = w.Text[:dot], w.Text[dot+1:]
	known := false
	for _, s := range varScopes {
		known = known || s == scope
	}
	if !known {
		return "", "", wrong(w.Pos, closest(scope, varScopes), "invalid variable name '%s'. %s", w.Text, scopeHelp)
	}
	if name == "" {
		return "", "", wrong(after(w), "write a name behind the dot", "invalid variable name '%s'. %s", w.Text, scopeHelp)
	}
	for i := dot + 1; i < len(w.Text); i++ {
		if c := w.Text[i]; !isAlpha(c) && !isDigit(c) && c != '_' && c != '.' {
			return "", "", wrong(w.at(i), "use letters, digits, '_' and '.'", "invalid syntax at char '%s' of variable name '%s'", w.Text[i:], w.Text)
		}
	}
	return scope, name, nil
}

const scopeHelp = "A variable's name starts with its scope, which can be 'proc', 'sess', 'txn', 'req', 'res' or 'check'"

// parseVariable reads what stands in the parentheses of set-var.
func parseVariable(paren word) (model.ActionSetVar, error) {
	v := model.ActionSetVar{}
	name, rest := paren, ""
	if i := strings.IndexByte(paren.Text, ','); i >= 0 {
		name.Text, rest = paren.Text[:i], paren.Text[i+1:]
		for off := i + 1; ; {
			c, more, found := strings.Cut(rest, ",")
			if err := oneOf(word{Text: c, Pos: paren.at(off)}, "the condition", varConditions...); err != nil {
				return v, err
			}
			v.OnlyIf = append(v.OnlyIf, c)
			if !found {
				break
			}
			off += len(c) + 1
			rest = more
		}
	}
	var err error
	v.Scope, v.Name, err = variableName(name)
	return v, err
}

func parseSetVar(a *actionArgs) (model.Action, error) {
	v, err := parseVariable(a.paren)
	if err != nil {
		return nil, err
	}
	v.Expr, err = a.expr()
	return v, err
}

func parseSetVarFormat(a *actionArgs) (model.Action, error) {
	v, err := parseVariable(a.paren)
	if err != nil {
		return nil, err
	}
	v.Format, err = a.format()
	return v, err
}

func parseUnsetVar(a *actionArgs) (model.Action, error) {
	scope, name, err := variableName(a.paren)
	return model.ActionUnsetVar{Scope: scope, Name: name}, err
}
