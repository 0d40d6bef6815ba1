package haproxy

// sectionKeyword is one word that opens a section.
type sectionKeyword struct {
	name   string
	args   string
	help   string
	kind   section
	status status
	cure   string
	open   func(p *parser, words []word)
}

var sectionTable []*sectionKeyword

func findSection(name string) *sectionKeyword {
	for _, s := range sectionTable {
		if s.name == name {
			return s
		}
	}
	return nil
}

func sectionKeywords() []string {
	var names []string
	for _, s := range sectionTable {
		names = append(names, s.name)
	}
	return names
}

func (p *parser) openSection(s *sectionKeyword, words []word) {
	p.closeSection()
	p.section, p.sectionName = s.kind, s.name
	if len(words) > 1 {
		p.sectionName = words[1].Text
	}
	if s.status == statusLater {
		p.errorf(words[0].Pos, s.cure, "section '%s' is not supported yet", s.name)
		p.section = secSkipped
		return
	}
	s.open(p, words)
}

// closeSection ends the section that is being read.
func (p *parser) closeSection() {
	p.proxy, p.state, p.userlist, p.httpErrors, p.section = nil, nil, nil, nil, 0
}

// finish ends the last section.
func (p *parser) finish() { p.closeSection() }

func (p *parser) setStartVariables(files []File) {}
