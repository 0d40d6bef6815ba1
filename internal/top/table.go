package top

import (
	"cmp"
	"slices"
	"strings"
)

// column is one column of a section. The last one takes what is left of the
// line.
type column struct {
	title string
	right bool
	least int // it may be cut down to this; 0: as wide as what is in it
	drop  int // left out where there is no room, the highest first; 0: never
}

// cell is one word of a row.
type cell struct {
	text  string
	style Style
}

// entry is one row with what belongs to it.
type entry struct {
	cells []cell
	bad   bool   // a person should look
	note  string // the last cell in full: a line of its own where that was cut and the entry is bad
	more  []Line // shown where the section has the screen for itself
	sort  sortable
}

// sortable is what rows are sorted by.
type sortable struct {
	name                string
	state               int // the worst is the smallest
	load, rate, traffic float64
}

// group is a row with those below it.
type group struct {
	head    entry
	members []entry
}

// section is one table.
type section struct {
	title   string // "addresses"
	summary string
	columns []column
	groups  []group
	remarks []Line // about all of it, below the rows
	empty   string // shown instead of rows
}

// order is one way to sort.
type order struct {
	name    string
	compare func(a, b *sortable) int
}

// orders are the ways to sort, in turn.
var orders = [...]order{
	{"as configured", nil},
	{"name", func(a, b *sortable) int { return strings.Compare(a.name, b.name) }},
	{"state, the worst first", func(a, b *sortable) int { return cmp.Compare(a.state, b.state) }},
	{"connections", func(a, b *sortable) int { return cmp.Compare(b.load, a.load) }},
	{"rate", func(a, b *sortable) int { return cmp.Compare(b.rate, a.rate) }},
	{"traffic", func(a, b *sortable) int { return cmp.Compare(b.traffic, a.traffic) }},
}

// arrange sorts groups, and the rows of each.
func (s *section) arrange(o order, reverse bool) {
	if o.compare == nil {
		if reverse {
			slices.Reverse(s.groups)
		}
		return
	}
	compare := func(a, b *sortable) int {
		if reverse {
			a, b = b, a
		}
		return o.compare(a, b)
	}
	slices.SortStableFunc(s.groups, func(a, b group) int { return compare(&a.head.sort, &b.head.sort) })
	for i := range s.groups {
		slices.SortStableFunc(s.groups[i].members, func(a, b entry) int { return compare(&a.sort, &b.sort) })
	}
}

// filter leaves the rows that contain a text; a group stays whole when its own
// row does.
func (s *section) filter(text string) {
	if text == "" {
		return
	}
	text = strings.ToLower(text)
	has := func(e *entry) bool {
		return slices.ContainsFunc(e.cells, func(c cell) bool { return strings.Contains(strings.ToLower(c.text), text) }) ||
			strings.Contains(strings.ToLower(e.note), text)
	}
	var kept []group
	for _, g := range s.groups {
		if !has(&g.head) {
			g.members = slices.DeleteFunc(g.members, func(e entry) bool { return !has(&e) })
			if len(g.members) == 0 {
				continue
			}
		}
		kept = append(kept, g)
	}
	if len(kept) == 0 && len(s.groups) > 0 {
		s.empty = "nothing here contains the filter's text"
	}
	s.groups = kept
}

// noteMark begins a line that says in full what is wrong with the row above.
const noteMark = "    ! "

// gap is between two columns.
const gap = 1

// widths fits the columns into a line of n; 0 stands for a column without
// room. The last column gets what is left.
func (s *section) widths(n int) []int {
	w := make([]int, len(s.columns))
	for i, c := range s.columns {
		w[i] = width(c.title)
	}
	wide := func(e *entry) {
		for i := range min(len(e.cells), len(w)) {
			w[i] = max(w[i], width(e.cells[i].text))
		}
	}
	for i := range s.groups {
		wide(&s.groups[i].head)
		for k := range s.groups[i].members {
			wide(&s.groups[i].members[k])
		}
	}
	last := len(w) - 1
	over := func() int {
		sum := -gap
		for i, x := range w {
			if i == last {
				x = min(x, s.columns[i].least)
			}
			if x > 0 {
				sum += x + gap
			}
		}
		return sum - n
	}
	// Long names first, then what matters least. Room that a column leaves goes
	// back to the names.
	natural := slices.Clone(w)
	for i := range w {
		if c := s.columns[i]; i != last && c.least > 0 && over() > 0 {
			w[i] = max(min(w[i], c.least), w[i]-over())
		}
	}
	for over() > 0 {
		worst := -1
		for i, c := range s.columns {
			if w[i] > 0 && c.drop > 0 && (worst < 0 || c.drop > s.columns[worst].drop) {
				worst = i
			}
		}
		if worst < 0 {
			break
		}
		w[worst] = 0
	}
	for i := range w {
		if i != last && w[i] > 0 && over() < 0 {
			w[i] = min(natural[i], w[i]-over())
		}
	}
	if w[last] > 0 {
		w[last] = max(0, min(w[last], min(w[last], s.columns[last].least)-over()))
	}
	return w
}

// lines draws the section for lines of n columns. alone: it has the screen for
// itself.
func (s *section) lines(n int, alone bool) []Line {
	head := Line{{strings.ToUpper(s.title), Title}}
	if s.summary != "" {
		head = append(head, Span{"  " + s.summary, Title})
	}
	out := []Line{head.clip(n, Title, true)}
	if len(s.groups) == 0 {
		return append(out, text(" "+s.empty, Faint).clip(n, Plain, false))
	}
	w := s.widths(n)
	var titles []cell
	for _, c := range s.columns {
		titles = append(titles, cell{c.title, Faint})
	}
	out = append(out, s.row(titles, w).clip(n, Plain, false))
	draw := func(e *entry) {
		out = append(out, s.row(e.cells, w).clip(n, Plain, false))
		last := len(w) - 1
		if e.bad && e.note != "" && (len(e.cells) <= last || width(e.cells[last].text) > w[last] || e.cells[last].text != e.note) {
			out = append(out, text(noteMark+e.note, Bad).clip(n, Plain, false))
		}
		if alone {
			for _, l := range e.more {
				out = append(out, l.clip(n, Plain, false))
			}
		}
	}
	for i := range s.groups {
		draw(&s.groups[i].head)
		for k := range s.groups[i].members {
			draw(&s.groups[i].members[k])
		}
	}
	for _, l := range s.remarks {
		out = append(out, l.clip(n, Plain, false))
	}
	return out
}

func (s *section) row(cells []cell, w []int) Line {
	var l Line
	for i, c := range cells {
		if i >= len(w) || w[i] == 0 {
			continue
		}
		if len(l) > 0 {
			l = append(l, Span{strings.Repeat(" ", gap), Plain})
		}
		l = append(l, Span{pad(c.text, w[i], s.columns[i].right), c.style})
	}
	return l
}
