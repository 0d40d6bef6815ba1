package haproxy

import (
	"strings"
	"sync"
)

// keywordTable is all keywords, ready for look-ups.
type keywordTable struct {
	byName   map[string][]*keyword // one name may mean two things in two sections
	families map[string][]*keyword // two-word names by their first word
	all      []*keyword
}

// keywordLists is filled by init, because the entries' functions look into
// the table that is made of them.
var (
	keywordLists [][]*keyword
	tableOnce    sync.Once
	tableBuilt   keywordTable
)

func init() {
	keywordLists = [][]*keyword{
		globalKeywords, proxyKeywords, frontendKeywords, backendKeywords,
		timeoutKeywords, optionKeywords, checkKeywords, otherKeywords,
		ruleKeywords, tuneKeywords, harmlessKeywords, laterKeywords,
	}
}

// table gives the keywords, putting them in order at its first use.
func table() *keywordTable {
	tableOnce.Do(func() {
		t := &tableBuilt
		t.byName, t.families = map[string][]*keyword{}, map[string][]*keyword{}
		for _, list := range keywordLists {
			for _, k := range list {
				t.all = append(t.all, k)
				t.byName[k.Name] = append(t.byName[k.Name], k)
				if first, _, two := strings.Cut(k.Name, " "); two {
					t.families[first] = append(t.families[first], k)
				}
			}
		}
	})
	return &tableBuilt
}

// find gives the entry for a line: the two-word name before the one-word
// name, an entry of this section before one of another half of a proxy.
func (t *keywordTable) find(words []word, s section) *keyword {
	if len(words) > 1 {
		if k := pick(t.byName[words[0].Text+" "+words[1].Text], s); k != nil {
			return k
		}
	}
	return pick(t.byName[words[0].Text], s)
}

// pick chooses the entry that a section can use. An entry of another kind of
// section is none at all; one of the other half of a proxy is reported as such.
func pick(list []*keyword, s section) *keyword {
	for _, k := range list {
		if k.Sections&s != 0 {
			return k
		}
	}
	if s&secAny != 0 {
		for _, k := range list {
			if k.Sections&secAny != 0 {
				return k
			}
		}
	}
	return nil
}

// sectionsOf is where a line's keyword would be understood.
func (t *keywordTable) sectionsOf(words []word) section {
	var s section
	if len(words) > 1 {
		for _, k := range t.byName[words[0].Text+" "+words[1].Text] {
			s |= k.Sections
		}
	}
	if s != 0 {
		return s
	}
	for _, k := range t.byName[words[0].Text] {
		s |= k.Sections
	}
	return s
}

// namesIn lists the first words that a section understands.
func (t *keywordTable) namesIn(s section) []string {
	seen := map[string]bool{}
	var names []string
	for _, k := range t.all {
		first, _, _ := strings.Cut(k.Name, " ")
		if k.Sections&s != 0 && !seen[first] {
			seen[first] = true
			names = append(names, first)
		}
	}
	return append(names, sectionKeywords()...)
}

// Keywords describes the whole language for messages, `evenkeel keywords`
// and the manual.
func Keywords() []Keyword {
	var out []Keyword
	for _, k := range table().all {
		out = append(out, k.describe(k.Name, k.Sections.names()))
	}
	out = append(out, describeRules()...)
	for _, k := range bindKeywords {
		out = append(out, k.describe("bind … "+k.Name, []string{"frontend", "listen"}))
	}
	for _, k := range serverKeywords {
		out = append(out, k.describe("server … "+k.Name, []string{"defaults", "backend", "listen"}))
	}
	for _, s := range sectionTable {
		out = append(out, Keyword{Name: s.name, Args: s.args, Help: s.help, Status: s.status.String(), Cure: s.cure})
	}
	return out
}

func (k *keyword) describe(name string, sections []string) Keyword {
	return Keyword{Name: name, Args: k.Args, Sections: sections, Help: k.Help, Status: k.Status.String(), Cure: k.Cure}
}
