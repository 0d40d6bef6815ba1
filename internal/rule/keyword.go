package rule

import "sort"

// Keyword describes one entry of a table, for documentation and messages.
type Keyword struct {
	Name    string
	Args    string // as shown to users, e.g. "(name[,occ])"
	Phases  Phase
	Out     string // type of the result
	Help    string // one line
	Section string
}

// FetchSpec is a sample fetch.
type FetchSpec struct {
	Name   string
	Args   string
	Min    int // arguments
	Max    int // -1: any number
	Out    Kind
	Phases Phase
	// Needs is the part of a transaction that the fetch reads, for messages.
	Needs string
	Help  string
	// Refused is why the keyword is known and cannot be used yet.
	Refused string

	build func(b *binding, args []string) (sampler, error)
}

// ConverterSpec is a converter.
type ConverterSpec struct {
	Name     string
	Args     string
	Min, Max int
	In, Out  Kind // Out none: same as the input
	Help     string
	// Refused is why the keyword is known and cannot be used yet.
	Refused string

	build func(b *binding, args []string) (converter, error)
}

// aclSpec is a keyword of the acl table: a fetch and a match method.
type aclSpec struct{ name, fetch, match string }

var (
	fetchIndex     = map[string]*FetchSpec{}
	converterIndex = map[string]*ConverterSpec{}
	aclIndex       = map[string]aclSpec{}
)

func addFetches(section string, specs []FetchSpec) {
	for i := range specs {
		s := &specs[i]
		if fetchIndex[s.Name] != nil {
			panic("rule: fetch " + s.Name + " is in the table twice")
		}
		fetchIndex[s.Name] = s
		fetchSections[s.Name] = section
	}
}

func addConverters(section string, specs []ConverterSpec) {
	for i := range specs {
		s := &specs[i]
		if converterIndex[s.Name] != nil {
			panic("rule: converter " + s.Name + " is in the table twice")
		}
		converterIndex[s.Name] = s
		converterSections[s.Name] = section
	}
}

var fetchSections, converterSections = map[string]string{}, map[string]string{}

// LookupFetch finds a sample fetch by name.
func LookupFetch(name string) (*FetchSpec, bool) {
	s, ok := fetchIndex[name]
	return s, ok
}

// LookupConverter finds a converter by name.
func LookupConverter(name string) (*ConverterSpec, bool) {
	s, ok := converterIndex[name]
	return s, ok
}

// LookupACL gives the fetch and the match method that an acl keyword stands
// for; match is "" where the type of the sample decides.
func LookupACL(name string) (fetch, match string, ok bool) {
	if a, ok := aclIndex[name]; ok {
		return a.fetch, a.match, true
	}
	if _, ok := fetchIndex[name]; ok {
		return name, "", true
	}
	return "", "", false
}

// Fetches lists all sample fetches by name.
func Fetches() []Keyword {
	out := make([]Keyword, 0, len(fetchIndex))
	for _, s := range fetchIndex {
		if s.Refused != "" {
			continue
		}
		out = append(out, Keyword{s.Name, s.Args, s.Phases, s.Out.String(), s.Help, fetchSections[s.Name]})
	}
	return sorted(out)
}

// Converters lists all converters by name.
func Converters() []Keyword {
	out := make([]Keyword, 0, len(converterIndex))
	for _, s := range converterIndex {
		if s.Refused != "" {
			continue
		}
		out = append(out, Keyword{s.Name, s.Args, phaseAny, s.Out.String(), s.Help, converterSections[s.Name]})
	}
	return sorted(out)
}

// ACLKeywords lists the keywords that are a fetch with a match method of their
// own.
func ACLKeywords() []Keyword {
	out := make([]Keyword, 0, len(aclIndex))
	for _, a := range aclIndex {
		f := fetchIndex[a.fetch]
		out = append(out, Keyword{a.name, f.Args, f.Phases, "boolean", a.fetch + " -m " + a.match, "acl"})
	}
	return sorted(out)
}

func sorted(k []Keyword) []Keyword {
	sort.Slice(k, func(i, j int) bool { return k[i].Name < k[j].Name })
	return k
}
