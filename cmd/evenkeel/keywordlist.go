package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"evenkeel/internal/dialect"
	"evenkeel/internal/dialect/haproxy"
	"evenkeel/internal/dialect/keepalived"
	"evenkeel/internal/rule"
)

// keywordTable is one list of keywords, with a heading.
type keywordTable struct {
	title string
	rows  [][]string // name and arguments, where or what, help
}

// keywordPages are the languages that have a page of keywords.
var keywordPages = map[string]struct {
	title  string
	tables func() []keywordTable
}{
	"haproxy":    {"HAProxy keywords", keywordTables},
	"keepalived": {"keepalived keywords", keepalivedTables},
}

// keepalivedTables has a table for each kind of block.
func keepalivedTables() []keywordTable {
	var titles []string
	lists := map[string][]dialect.Keyword{}
	for _, k := range keepalived.Keywords() {
		sections := k.Sections
		if len(sections) == 0 {
			sections = []string{"everywhere"}
		}
		for _, s := range sections {
			if lists[s] == nil {
				titles = append(titles, s)
			}
			lists[s] = append(lists[s], k)
		}
	}
	var tables []keywordTable
	for _, s := range titles {
		t := lineTable("In "+s, lists[s])
		if s == "everywhere" || s == "the outermost level" {
			t.title = strings.ToUpper(s[:1]) + s[1:]
		}
		tables = append(tables, t)
	}
	for _, t := range tables {
		slices.SortStableFunc(t.rows, func(a, b []string) int { return cmp.Compare(a[0], b[0]) })
	}
	return tables
}

func lineTable(title string, keywords []dialect.Keyword) keywordTable {
	lines := keywordTable{title: title}
	for _, k := range keywords {
		help := k.Help
		if k.Cure != "" {
			help = strings.TrimSpace(help + " (" + k.Status + ": " + k.Cure + ")")
		} else if k.Status != "" && k.Status != "supported" {
			help = strings.TrimSpace(help + " (" + k.Status + ")")
		}
		lines.rows = append(lines.rows, []string{strings.TrimSpace(k.Name + " " + k.Args), strings.Join(k.Sections, ", "), help})
	}
	return lines
}

func keywordTables() []keywordTable {
	lines := lineTable("Configuration lines", haproxy.Keywords())
	tables := []keywordTable{lines}
	for _, t := range []struct {
		title string
		list  []rule.Keyword
	}{
		{"Sample fetches", rule.Fetches()}, {"Converters", rule.Converters()}, {"ACL keywords", rule.ACLKeywords()},
		{"Actions", rule.Actions()}, {"Log variables", rule.Aliases()},
	} {
		table := keywordTable{title: t.title}
		for _, k := range t.list {
			table.rows = append(table.rows, []string{signature(k.Name, k.Args), k.Out, k.Help})
		}
		tables = append(tables, table)
	}
	for _, t := range tables {
		slices.SortStableFunc(t.rows, func(a, b []string) int { return cmp.Compare(a[0], b[0]) })
	}
	return tables
}

// printKeywords lists one language; it must be one of keywordPages.
func printKeywords(w io.Writer, language string, markdown bool) {
	page := keywordPages[language]
	if markdown {
		fmt.Fprintf(w, "# %s\n\nMade by `evenkeel keywords %s --markdown` from the tables that the parser uses.\n", page.title, language)
	}
	cell := func(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
	for _, t := range page.tables() {
		if markdown {
			fmt.Fprintf(w, "\n## %s\n\n| keyword | where, or type | what it does |\n| --- | --- | --- |\n", t.title)
			for _, r := range t.rows {
				fmt.Fprintf(w, "| `%s` | %s | %s |\n", cell(r[0]), cell(r[1]), cell(r[2]))
			}
			continue
		}
		fmt.Fprintf(w, "%s\n", t.title)
		columns := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
		for _, r := range t.rows {
			fmt.Fprintf(columns, "  %s\t%s\t%s\n", r[0], r[1], r[2])
		}
		columns.Flush()
		fmt.Fprintln(w)
	}
}

// signature is a keyword as it is written: fetches and converters have their
// arguments in parentheses, actions behind a blank.
func signature(name, args string) string {
	if args == "" || args[0] == '(' {
		return name + args
	}
	return name + " " + args
}
