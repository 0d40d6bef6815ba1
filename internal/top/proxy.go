package top

import "fmt"

// proxy is the section of the worker; nil where none serves.
func (m *Model) proxy() *section {
	p := m.now.Proxy
	if p == nil {
		return nil
	}
	s := &section{title: "proxy", empty: "nothing is proxied", columns: []column{
		{title: "PROXY/SERVER", least: 16},
		{title: "STATE"},
		{title: "WGT", right: true, drop: 5},
		{title: "SESS", right: true},
		{title: "REQ/S", right: true},
		{title: "QUEUE", right: true, drop: 2},
		{title: "ERR", right: true, drop: 3},
		{title: "B/S-IN", right: true, drop: 4},
		{title: "B/S-OUT", right: true, drop: 4},
		{title: "SINCE", right: true, drop: 7},
		{title: "CHECK", drop: 6},
		{title: "", least: 16, drop: 8},
	}}
	var sessions int64
	var requests, in, out float64
	s.groups = m.proxyGroups(p.Rows)
	for i := range p.Rows {
		if r := &p.Rows[i]; r.Kind == Frontend {
			sessions += r.Sessions
			requests += m.total(r)
			x := m.rates[r.key()]
			in, out = in+x.in, out+x.out
		}
	}
	s.summary = fmt.Sprintf("%s sessions, %s req/s, %sB/s in, %sB/s out", count(sessions), scaled(requests), scaled(in), scaled(out))
	return s
}

// proxyGroups puts the servers of a backend below its row, which show stat has
// after them, and the addresses of a frontend below its own.
func (m *Model) proxyGroups(rows []Row) (all []group) {
	var members []entry
	for i := range rows {
		r := &rows[i]
		switch r.Kind {
		case Backend:
			all = append(all, group{head: m.proxyEntry(r), members: members})
			members = nil
		case ProxyServer:
			members = append(members, m.proxyEntry(r))
		case Listener:
			if n := len(all); n > 0 {
				all[n-1].members = append(all[n-1].members, m.proxyEntry(r))
			}
		default:
			all = append(all, group{head: m.proxyEntry(r)})
		}
	}
	if len(members) > 0 { // a listing that broke off
		all = append(all, group{head: members[0], members: members[1:]})
	}
	return all
}

func (m *Model) proxyEntry(r *Row) entry {
	rate, known := m.rates[r.key()]
	in, out := "-", "-"
	if known {
		in, out = scaled(rate.in), scaled(rate.out)
	}
	e := entry{sort: sortable{name: r.Proxy, load: float64(r.Sessions), rate: m.total(r), traffic: rate.in + rate.out}}
	name, state, style := cell{r.Proxy, Strong}, r.Status, health(r.Status)
	weight := r.Weight
	check, why := cell{r.Check, Faint}, cell{r.why(), Faint}
	switch r.Kind {
	case Frontend:
		name.text, weight = r.Proxy+" (listener)", ""
	case Backend:
		state = fmt.Sprintf("%s %d", r.Status, r.Active)
		if r.Active == 0 && r.Backup > 0 {
			state = fmt.Sprintf("%s %d backup", r.Status, r.Backup)
		}
	default:
		name = cell{"  " + r.Name, Plain}
		e.sort.name = r.Name
	}
	e.bad = style == Bad
	e.sort.state = rank(style)
	if e.bad {
		check.style, why.style = Bad, Bad
		if r.CheckText != "" { // else the check's code says it all
			e.note = why.text
		}
	}
	since := ""
	if r.SinceSeconds >= 0 {
		since = age(seconds(r.SinceSeconds))
	}
	queue, errors := cell{"", Plain}, cell{count(r.Errors), Plain}
	if r.Kind == Backend || r.Kind == ProxyServer {
		queue.text = count(r.Queue)
		if r.Queue > 0 {
			queue.style = Doubt
		}
	}
	e.cells = []cell{name, {state, style}, {weight, Plain}, {count(r.Sessions), Plain}, {scaled(m.total(r)), Plain}, queue, errors,
		{in, Plain}, {out, Plain}, {since, Plain}, check, why}
	return e
}
