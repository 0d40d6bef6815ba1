package haproxy

import (
	"slices"
	"strings"

	"evenkeel/internal/model"
	"evenkeel/internal/rule"
)

// predefinedNames lists the acls that exist without being declared.
func predefinedNames() []string {
	names := rule.PredefinedACLs()
	slices.Sort(names)
	return names
}

// describePredefined makes the entries of the predefined acls in the listing.
func describePredefined() []Keyword {
	var out []Keyword
	for _, n := range predefinedNames() {
		t, _ := rule.PredefinedACL(n, model.Pos{})
		help := t.Expr.Fetch.Name
		if len(t.Expr.Fetch.Args) > 0 {
			help += "(" + strings.Join(t.Expr.Fetch.Args, ",") + ")"
		}
		for _, p := range t.Patterns {
			help += " " + p.Text
		}
		out = append(out, Keyword{Name: "acl " + n, Sections: secAny.names(), Help: "predefined: " + help, Status: statusOK.String()})
	}
	return out
}
