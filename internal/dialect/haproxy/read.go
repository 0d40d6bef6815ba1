package haproxy

import (
	"bytes"
	"strings"

	"evenkeel/internal/model"
)

// readFile reads one file line by line. A section may start in one file and
// go on in the next, as in HAProxy.
func (p *parser) readFile(f File) {
	p.file, p.line = f.Name, 0
	depth := len(p.conds.levels)
	rest := f.Data
	for len(rest) > 0 {
		p.line++
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			p.errorf(p.pos(len(rest)+1), "end the last line with a line feed, after making sure that nothing is missing",
				"Missing LF on last line, file might have been truncated at position %d", len(rest)+1)
			return
		}
		line := rest[:end]
		rest = rest[end+1:]
		if i := bytes.IndexByte(line, 0); i >= 0 {
			p.errorf(p.pos(i+1), "take the NUL character out", "embedded NUL character in line, file might have been truncated at position %d", i+1)
			return
		}
		if !p.readLine(string(line)) {
			return
		}
	}
	if n := len(p.conds.levels); n > depth {
		p.errorf(p.conds.levels[n-1].pos, "write '.endif' where the block ends", "%d unterminated conditional block(s) at end of file", n-depth)
	}
	p.conds.levels = p.conds.levels[:min(depth, len(p.conds.levels))]
}

// pos is a column of the current line.
func (p *parser) pos(col int) model.Pos {
	return model.Pos{File: p.file, Line: p.line, Col: col}
}

// readLine reads one line; false: the file cannot be read any further.
func (p *parser) readLine(line string) bool {
	p.text = strings.TrimSpace(line)
	words, lexErr := lexLine(line, p.pos(1), p.lookup)
	if lexErr != nil {
		p.errorf(p.pos(1+lexErr.off), lexErr.cure, "%s at position %d", lexErr.reason, lexErr.off+1)
		return true
	}
	// An empty argument ends the line, as it does in HAProxy.
	for i, w := range words {
		if w.Text != "" {
			continue
		}
		if i > 0 && i+1 < len(words) {
			p.warnf(w.Pos, "give it a value; a variable that is unset can have a default: \"${NAME-value}\"",
				"argument %d of '%s' is empty: the rest of the line is ignored", i, words[0].Text)
		}
		words = words[:i]
		break
	}
	if len(words) == 0 {
		return true
	}
	if words[0].Text[0] == '.' {
		if handled, goOn := p.directive(words); handled {
			return goOn
		}
	}
	if p.conds.skipping() {
		return true
	}
	p.statement(words)
	return true
}

// statement reads a line that opens a section or stands in one.
func (p *parser) statement(words []word) {
	p.negated, p.defaulted = false, false
	if s := findSection(words[0].Text); s != nil {
		p.openSection(s, words)
		return
	}
	if p.section == secSkipped {
		return
	}
	if words[0].Text == "no" || words[0].Text == "default" {
		p.negated, p.defaulted = words[0].Text == "no", words[0].Text == "default"
		if len(words) < 2 {
			p.errorf(words[0].Pos, "write '"+words[0].Text+" option NAME'", "'%s' expects a keyword", words[0].Text)
			return
		}
		words = words[1:]
	}
	p.dispatch(words)
}

// modifier is the `no` or `default` of the current line, or "".
func (p *parser) modifier() string {
	switch {
	case p.negated:
		return "no"
	case p.defaulted:
		return "default"
	}
	return ""
}

// dispatch finds the keyword's entry and lets it read the line.
func (p *parser) dispatch(words []word) {
	if p.section == 0 {
		p.errorf(words[0].Pos, closest(words[0].Text, sectionKeywords()), "unknown keyword '%s' out of section", words[0].Text)
		return
	}
	k := table().find(words, p.section)
	if k == nil {
		p.unknown(words)
		return
	}
	if m := p.modifier(); m != "" && !k.No {
		p.errorf(words[0].Pos, "take the '"+m+"' away: without its line a keyword has its default",
			"negation/default currently supported only for options, log, and a few switches of the global section (got '%s %s')", m, k.Name)
		return
	}
	if k.Sections&p.section == 0 {
		p.foreign(k, words)
		return
	}
	switch k.Status {
	case statusLater:
		p.refuse(words[0].Pos, k)
	case statusHarmless:
		p.once(k.Name, words[0].Pos, k.Cure, "'%s' is accepted and has no effect here", k.Name)
		if k.Parse != nil {
			k.Parse(p, words)
		}
	default:
		k.Parse(p, words)
	}
}

// refuse says that a keyword is known and not built yet.
func (p *parser) refuse(pos model.Pos, k *keyword) {
	p.errorf(pos, k.Cure, "'%s' is not supported yet", k.Name)
}

// once warns the first time only.
func (p *parser) once(key string, pos model.Pos, cure, format string, args ...any) {
	if !p.warned[key] {
		p.warned[key] = true
		p.warnf(pos, cure, format, args...)
	}
}

// unknown reports a word that no table has, with its nearest neighbour.
func (p *parser) unknown(words []word) {
	name, t := words[0].Text, table()
	if elsewhere := t.sectionsOf(words); elsewhere != 0 {
		p.errorf(words[0].Pos, "it belongs to: "+elsewhere.String(), "unknown keyword '%s' in '%s' section", name, p.section)
		return
	}
	if len(words) > 1 && t.families[name] != nil {
		var known []string
		for _, k := range t.families[name] {
			if k.Sections&p.section != 0 {
				known = append(known, k.Name[len(name)+1:])
			}
		}
		if len(known) > 0 {
			cure := closest(words[1].Text, known)
			if cure == "" {
				cure = "known are: " + strings.Join(known, ", ")
			}
			if name == "option" {
				p.errorf(words[1].Pos, cure, "unknown option '%s'", words[1].Text)
			} else {
				p.errorf(words[1].Pos, cure, "unknown keyword '%s %s' in '%s' section", name, words[1].Text, p.section)
			}
			return
		}
	}
	if len(words) == 1 && t.families[name] != nil {
		p.errorf(words[0].Pos, "", "'%s' expects an argument", name)
		return
	}
	p.errorf(words[0].Pos, closest(name, t.namesIn(p.section)), "unknown keyword '%s' in '%s' section", name, p.section)
}

// foreign reports a keyword of the other half of a proxy.
func (p *parser) foreign(k *keyword, words []word) {
	half := "backend"
	if k.Sections&secBackend == 0 {
		half = "frontend"
	}
	if p.section == secDefaults || k.Sections&secProxy == 0 {
		p.errorf(words[0].Pos, "it belongs to: "+k.Sections.String(), "'%s' not allowed in '%s' section", k.Name, p.section)
		return
	}
	cure := "move the line to a " + half + " section, or take it out"
	if k.Foreign {
		p.errorf(words[0].Pos, cure, "'%s' not allowed: %s '%s' has no %s capability", k.Name, p.section, p.sectionName, half)
		return
	}
	p.warnf(words[0].Pos, cure, "'%s' ignored because %s '%s' has no %s capability", k.Name, p.section, p.sectionName, half)
}

// closest gives "did you mean 'x'?" for the candidate that a misspelt word is
// nearest to, or "".
func closest(name string, candidates []string) string {
	best, bestDistance := "", 1+len(name)/3
	for _, c := range candidates {
		if d := distance(name, c, bestDistance); d <= bestDistance && (best == "" || d < bestDistance) {
			best, bestDistance = c, d
		}
	}
	if best == "" {
		return ""
	}
	return "did you mean '" + best + "'?"
}

// distance is the number of insertions, deletions, changes and swaps of
// neighbours between two words, or limit+1 if it is above limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	before, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(b)]
}
