package report

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"evenkeel/internal/model"
)

// Excerpt prints each message with the line that it is about.
type Excerpt struct {
	Color bool
	Read  func(name string) ([]byte, error) // where the text comes from
	files map[string][][]byte
}

const (
	red, yellow, blue, bold, plain = "\x1b[1;31m", "\x1b[1;33m", "\x1b[1;34m", "\x1b[1m", "\x1b[0m"
)

func (e *Excerpt) paint(color, text string) string {
	if !e.Color {
		return text
	}
	return color + text + plain
}

// Diagnostics prints all of d.
func (e *Excerpt) Diagnostics(w io.Writer, d model.Diagnostics) {
	for _, x := range d {
		color, word := blue, "note"
		switch x.Severity {
		case model.Error:
			color, word = red, "error"
		case model.Warning:
			color, word = yellow, "warning"
		}
		fmt.Fprintf(w, "%s %s\n", e.paint(color, word+":"), e.paint(bold, x.Message))
		if !x.Pos.IsZero() {
			fmt.Fprintf(w, "  %s %s\n", e.paint(blue, "-->"), x.Pos)
			e.source(w, x.Pos, color)
		}
		if x.Cure != "" {
			fmt.Fprintf(w, "  %s %s\n", e.paint(blue, "="), x.Cure)
		}
	}
}

func (e *Excerpt) source(w io.Writer, pos model.Pos, color string) {
	lines := e.lines(pos.File)
	if pos.Line < 1 || pos.Line > len(lines) {
		return
	}
	line := strings.TrimRight(string(lines[pos.Line-1]), "\r")
	number := fmt.Sprint(pos.Line)
	gutter := strings.Repeat(" ", len(number))
	// A tab is one column in a position and several on the screen.
	shown := strings.ReplaceAll(line, "\t", "    ")
	fmt.Fprintf(w, " %s %s\n %s %s %s\n", gutter, e.paint(blue, "|"), e.paint(blue, number), e.paint(blue, "|"), shown)
	if pos.Col < 1 || pos.Col > len(line)+1 {
		return
	}
	before, rest := line[:pos.Col-1], line[pos.Col-1:]
	indent := utf8.RuneCountInString(strings.ReplaceAll(before, "\t", "    "))
	width := utf8.RuneCountInString(word(rest))
	fmt.Fprintf(w, " %s %s %s%s\n", gutter, e.paint(blue, "|"), strings.Repeat(" ", indent),
		e.paint(color, strings.Repeat("^", max(width, 1))))
}

// word is the text up to the next blank.
func word(s string) string {
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		return s[:i]
	}
	return s
}

func (e *Excerpt) lines(name string) [][]byte {
	if l, ok := e.files[name]; ok {
		return l
	}
	read := e.Read
	if read == nil {
		read = os.ReadFile
	}
	var l [][]byte
	if text, err := read(name); err == nil {
		l = bytes.Split(text, []byte("\n"))
	}
	if e.files == nil {
		e.files = map[string][][]byte{}
	}
	e.files[name] = l
	return l
}

// Summary is the last line of a check.
func Summary(d model.Diagnostics) string {
	errors, warnings := 0, 0
	for _, x := range d {
		switch x.Severity {
		case model.Error:
			errors++
		case model.Warning:
			warnings++
		}
	}
	return fmt.Sprintf("%s, %s", count(errors, "error"), count(warnings, "warning"))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
