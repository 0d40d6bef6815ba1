package top

import "strings"

// StatTable is show stat (CSV) as a table for `evenkeel status`: state, load
// and counters of every listener, server and backend. columns is as for
// Model.Text.
func StatTable(csv string, columns int) (string, error) {
	rows, err := statistics(csv)
	if err != nil {
		return "", err
	}
	s := section{empty: "(nothing is proxied)", columns: []column{
		{title: "PROXY", least: 8},
		{title: "NAME", least: 8},
		{title: "STATE"},
		{title: "WGT", right: true, drop: 3},
		{title: "NOW", right: true},
		{title: "TOTAL", right: true},
		{title: "RATE", right: true},
		{title: "QUEUE", right: true, drop: 2},
		{title: "ERRORS", right: true},
		{title: "SINCE", right: true, drop: 1},
		{title: "CHECK", least: 8, drop: 4},
	}}
	for i := range rows {
		r := &rows[i]
		style := health(r.Status)
		since := ""
		if r.SinceSeconds >= 0 {
			since = age(seconds(r.SinceSeconds))
		}
		queue := ""
		if r.Kind == Backend || r.Kind == ProxyServer {
			queue = count(r.Queue)
		}
		e := entry{bad: style == Bad && r.CheckText != "", note: r.why()}
		for _, word := range []string{r.Proxy, r.Name, r.Status, r.Weight, count(r.Sessions), count(r.Total), count(r.Rate), queue, count(r.Errors), since, r.Check} {
			e.cells = append(e.cells, cell{word, Plain})
		}
		s.groups = append(s.groups, group{head: e})
	}
	if columns <= 0 {
		columns = unbounded
	}
	var b strings.Builder
	for _, l := range s.lines(columns, false)[1:] { // the first is the title
		b.WriteString(l.String() + "\n")
	}
	return b.String(), nil
}
