package rule

import "sort"

// matchSpec is one matching method.
type matchSpec struct {
	Name string
	In   Kind // what samples are cast to
	Help string
	// truth is set for methods that take no patterns.
	truth func(v Value) bool
	// build compiles patterns; the result gives the index of the one that
	// matches, or -1.
	build func(keys []string, o matchOptions) (func(v Value) int, error)
}

type matchOptions struct {
	ignoreCase, noDNS bool
	value             Kind // of maps: what values are
	c                 *Compiler
}

var matchIndex = map[string]*matchSpec{}

func addMatches(specs []matchSpec) {
	for i := range specs {
		matchIndex[specs[i].Name] = &specs[i]
	}
}

// defaultMatch is the method that a type has where none is given.
func defaultMatch(k Kind) string {
	switch k {
	case KindBool:
		return "bool"
	case KindInt:
		return "int"
	case KindAddr:
		return "ip"
	case KindMethod:
		return "meth"
	case KindBinary:
		return "bin"
	}
	return "str"
}

// Matches lists the matching methods by name.
func Matches() []Keyword {
	var out []Keyword
	for _, m := range matchIndex {
		out = append(out, Keyword{m.Name, "", phaseAny, m.In.String(), m.Help, "match"})
	}
	return sorted(out)
}

func matchNames() []string {
	var out []string
	for n := range matchIndex {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}
