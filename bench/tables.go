package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// print is the table for a terminal.
func (t table) print(w io.Writer) {
	width := make([]int, len(t.Header))
	for _, line := range append([][]string{t.Header}, t.Rows...) {
		for i, cell := range line {
			width[i] = max(width[i], utf8.RuneCountInString(plain(cell)))
		}
	}
	for _, line := range append([][]string{t.Header}, t.Rows...) {
		fmt.Fprint(w, " ")
		for i, cell := range line {
			cell = plain(cell)
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				fmt.Fprint(w, " ", cell, pad)
			} else {
				fmt.Fprint(w, "  ", pad, cell)
			}
		}
		fmt.Fprintln(w)
	}
}

// plain is without Markdown's emphasis.
func plain(cell string) string { return strings.ReplaceAll(cell, "**", "") }

func (t table) markdown(w io.Writer) {
	fmt.Fprintf(w, "\n**%s**\n\n| %s |\n|%s\n", t.Title, strings.Join(t.Header, " | "), strings.Repeat("---|", len(t.Header)))
	for _, line := range t.Rows {
		fmt.Fprintf(w, "| %s |\n", strings.Join(line, " | "))
	}
}
