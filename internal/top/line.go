package top

import "strings"

// Style is what a piece of text means; the terminal chooses how that looks.
type Style uint8

// Styles.
const (
	Plain  Style = iota
	Faint        // beside the point
	Strong       // names, numbers that matter
	Good
	Bad
	Doubt // neither good nor bad: draining, suspended, waiting
	Title // of a section: the whole line
	Bar   // first and last line of the screen
)

// Span is a piece of a line.
type Span struct {
	Text  string
	Style Style
}

// Line is one line of the screen.
type Line []Span

// String is the line without its styles.
func (l Line) String() string {
	var b strings.Builder
	for _, s := range l {
		b.WriteString(s.Text)
	}
	return strings.TrimRight(b.String(), " ")
}

// clip cuts a line to n columns. fill styles the rest, up to n.
func (l Line) clip(n int, fill Style, whole bool) Line {
	var out Line
	for _, s := range l {
		if n <= 0 {
			return out
		}
		if t := fit(s.Text, n); t != "" {
			out = append(out, Span{t, s.Style})
			n -= width(t)
			if t != s.Text {
				return out
			}
		}
	}
	if whole && n > 0 {
		out = append(out, Span{strings.Repeat(" ", n), fill})
	}
	return out
}

func text(s string, style Style) Line { return Line{{s, style}} }
