package haproxy

import "strings"

// section is a bit for each kind of section.
type section uint16

const (
	secGlobal section = 1 << iota
	secDefaults
	secFrontend
	secBackend
	secListen
	secUserlist
	secHTTPErrors
	// secSkipped is a section that was refused: its lines are not read.
	secSkipped

	secProxy = secFrontend | secBackend | secListen
	secFE    = secDefaults | secFrontend | secListen
	secBE    = secDefaults | secBackend | secListen
	secAny   = secDefaults | secProxy
)

var sectionNames = []struct {
	bit  section
	name string
}{
	{secGlobal, "global"}, {secDefaults, "defaults"}, {secFrontend, "frontend"},
	{secBackend, "backend"}, {secListen, "listen"}, {secUserlist, "userlist"},
	{secHTTPErrors, "http-errors"},
}

// names lists the sections of a set, in the manual's order.
func (s section) names() []string {
	var out []string
	for _, x := range sectionNames {
		if s&x.bit != 0 {
			out = append(out, x.name)
		}
	}
	return out
}

func (s section) String() string { return strings.Join(s.names(), ", ") }

// status says what becomes of a keyword.
type status uint8

const (
	// statusOK is honoured.
	statusOK status = iota
	// statusDeprecated is honoured, and its Parse warns with the modern line.
	statusDeprecated
	// statusHarmless is accepted without effect: the reader of the table
	// warns, once for each keyword, with the entry's Cure.
	statusHarmless
	// statusLater is refused: it is not built yet. The error has the entry's
	// Cure.
	statusLater
)

func (s status) String() string {
	return [...]string{"supported", "deprecated", "no effect", "not yet"}[s]
}

// keyword is one entry of the language.
type keyword struct {
	Name     string // may be two words: "timeout connect"
	Args     string
	Sections section
	Help     string
	Status   status
	Cure     string
	// Foreign is what the keyword does in a proxy that lacks its half:
	// by default it warns and is ignored; with Foreign it is an error.
	Foreign bool
	// No says that `no NAME` and `default NAME` are understood.
	No bool
	// Parse reads one line. words[0] is the keyword itself (its first word),
	// without a leading `no`: see parser.negated.
	Parse func(p *parser, words []word)
}
